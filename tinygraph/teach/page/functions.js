"use strict";
// Functions of one element for the interpreter, beside those of every day; a page has them if its program does.
(I => {
  const { zip, map, erf } = I;
  const softplus = x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const even = x => { const down = Math.floor(x); return x - down === 0.5 ? down + Math.abs(down % 2) : Math.round(x); };  // half to even
  const modulo = (x, y) => { const r = x % y; return r !== 0 && r < 0 !== y < 0 ? r + y : r; };
  const sinc = (x, order) => {  // of z = πx: near 0 the sum of the powers, else from one derivative to the next
    const z = Math.PI * x;
    let out = Math.abs(z) < 1 + 0.5 * order ? 0 : Math.sin(z) / z;
    if (Math.abs(z) < 1 + 0.5 * order) for (let k = Math.ceil(order / 2); k < order + 20; k++) {
      let term = k % 2 ? -1 : 1;
      for (let i = 0; i < order; i++) term *= 2 * k - i;
      for (let i = 2; i <= 2 * k + 1; i++) term /= i;
      out += term * z ** (2 * k - order);
    } else for (let n = 1; n <= order; n++) out = (Math.sin(z + n * Math.PI / 2) - n * out) / z;
    return out * Math.PI ** order;
  };

  const ONE = {  // of one operand
    exp2: map(x => 2 ** x), expm1: map(Math.expm1), log1p: map(Math.log1p), log2: map(Math.log2), log10: map(Math.log10), cbrt: map(Math.cbrt),
    reciprocal: map(x => 1 / x), rsqrt: map(x => 1 / Math.sqrt(x)), floor: map(Math.floor), ceil: map(Math.ceil), trunc: map(Math.trunc),
    round: map((x, p) => { const s = 10 ** Math.abs(p.decimals ?? 0); return p.decimals < 0 ? even(x / s) * s : even(x * s) / s; }),
    nan_to_num: map((x, p) => Number.isNaN(x) ? p.nan ?? 0 : x === Infinity ? p.posinf ?? Number.MAX_VALUE : x === -Infinity ? p.neginf ?? -Number.MAX_VALUE : x),
    softplus: map((x, p) => softplus(p.beta * x) / p.beta), silu: map(x => x / (1 + Math.exp(-x))), mish: map(x => x * Math.tanh(softplus(x))),
    logsigmoid: map(x => -softplus(-x)), elu: map((x, p) => x > 0 ? x : p.alpha * Math.expm1(x)), leaky_relu: map((x, p) => x > 0 ? x : p.slope * x),
    hardtanh: map((x, p) => Math.min(Math.max(x, p.low), p.high)), hardsigmoid: map(x => Math.min(Math.max(x + 3, 0), 6) / 6),
    erfc: map(x => 1 - erf(x)), entr: map(x => x > 0 ? -x * Math.log(x) : x === 0 ? 0 : -Infinity), sin: map(Math.sin), cos: map(Math.cos),
    tan: map(Math.tan), arcsin: map(Math.asin), arccos: map(Math.acos), arctan: map(Math.atan), sinh: map(Math.sinh), cosh: map(Math.cosh),
    arcsinh: map(Math.asinh), arccosh: map(Math.acosh), arctanh: map(Math.atanh), sinc: map((x, p) => sinc(x, p.order)),
  };
  Object.assign(I.OPS, ONE, {
    logaddexp2: zip((x, y) => x === y ? x + 1 : Math.max(x, y) + Math.log1p(2 ** -Math.abs(x - y)) / Math.LN2), hypot: zip(Math.hypot),
    xlogy: zip((x, y) => x === 0 && y === y ? 0 : x * Math.log(y)), floor_divide: zip((x, y) => Math.round((x - modulo(x, y)) / y)),
    remainder: zip(modulo), fmod: zip((x, y) => x % y), heaviside: zip((x, y) => x === 0 ? y : x > 0 ? 1 : 0),
    fmax: zip((x, y) => x >= y || Number.isNaN(y) ? x : y), fmin: zip((x, y) => x <= y || Number.isNaN(y) ? x : y),
    copysign: zip((x, y) => Math.sign(y) < 0 || Object.is(y, -0) ? -Math.abs(x) : Math.abs(x)),
    clip_between: zip((x, low, high) => Math.min(Math.max(x, low), high)), xlog1py: zip((x, y) => x === 0 ? 0 : x * Math.log1p(y)),
    arctan2: zip(Math.atan2),
  });
  for (const op of Object.keys(ONE)) I.SAME.add(op);
})(typeof module !== "undefined" ? require("./interpreter.js") : Interpreter);
