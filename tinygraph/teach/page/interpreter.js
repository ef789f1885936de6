"use strict";
// Runs a recorded program: forward ops of arrays of float64, {shape, data}. The backward pass is part of the program,
// so no derivative is written here.
const Interpreter = (() => {
  const size = shape => shape.reduce((a, b) => a * b, 1);
  const strides = shape => { const s = Array(shape.length); let step = 1; for (let k = shape.length - 1; k >= 0; k--) { s[k] = step; step *= shape[k]; } return s; };
  const array = (shape, data) => ({ shape, data });
  const filled = (shape, value = 0) => array(shape, new Float64Array(size(shape)).fill(value));
  const scalar = x => array([], Float64Array.of(x));
  const same = (a, b) => a.length === b.length && a.every((n, k) => n === b[k]);

  // Broadcasting: the common shape, and for each element of it the place in an array of a smaller shape.
  const common = (...shapes) => {
    const rank = Math.max(0, ...shapes.map(s => s.length));
    const out = Array(rank).fill(1);
    for (const s of shapes) s.forEach((n, k) => {
      const at = k + rank - s.length;
      if (n !== 1 && out[at] !== 1 && out[at] !== n) throw new RangeError(`shapes ${shapes.map(text).join(" and ")} do not fit`);
      if (n !== 1) out[at] = n;
    });
    return out;
  };
  const text = shape => shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const places = (small, large) => {
    const lead = large.length - small.length, st = strides(small), n = size(large), at = new Int32Array(n), count = Array(large.length).fill(0);
    const step = large.map((_, k) => k < lead || small[k - lead] === 1 ? 0 : st[k - lead]);
    for (let i = 0, here = 0; i < n; i++) {
      at[i] = here;
      for (let k = large.length - 1; k >= 0; k--) {
        here += step[k];
        if (++count[k] < large[k]) break;
        here -= step[k] * large[k]; count[k] = 0;
      }
    }
    return at;
  };
  const zip = f => (p, ...xs) => {
    const shape = common(...xs.map(x => x.shape)), out = filled(shape);
    if (xs.length === 2 && same(xs[0].shape, shape) && same(xs[1].shape, shape)) {
      for (let i = 0; i < out.data.length; i++) out.data[i] = f(xs[0].data[i], xs[1].data[i]);
      return out;
    }
    const at = xs.map(x => places(x.shape, shape));
    for (let i = 0; i < out.data.length; i++) out.data[i] = f(...xs.map((x, k) => x.data[at[k][i]]));
    return out;
  };
  const map = f => (p, x) => array(x.shape, x.data.map(v => f(v, p)));
  const sumTo = (x, shape) => {
    const out = filled(shape), at = places(shape, x.shape);
    for (let i = 0; i < x.data.length; i++) out.data[at[i]] += x.data[i];
    return out;
  };
  const axesOf = (axis, rank) => axis == null ? [...Array(rank).keys()] : [].concat(axis).map(a => {
    if (a < -rank || a >= rank) throw new RangeError(`there is no axis ${a}`);
    return (a + rank) % rank;
  });
  const reduce = f => (p, x) => {
    const axes = axesOf(p.axis, x.shape.length), kept = x.shape.map((n, k) => axes.includes(k) ? 1 : n);
    const groups = Array.from({ length: size(kept) }, () => []), at = places(kept, x.shape);
    for (let i = 0; i < x.data.length; i++) groups[at[i]].push(x.data[i]);
    return array(p.keepdims ? kept : x.shape.filter((_, k) => !axes.includes(k)), Float64Array.from(groups, f));
  };
  const total = values => { let s = 0; for (const v of values) s += v; return s; };
  const largest = values => values.reduce((a, b) => Number.isNaN(a) || a >= b ? a : b, -Infinity);
  const logsumexp = values => { const m = largest(values); return Number.isFinite(m) ? m + Math.log(total(values.map(v => Math.exp(v - m)))) : m; };
  const erf = x => {  // all terms of the series have one sign
    if (Number.isNaN(x)) return x;
    if (Math.abs(x) > 6) return Math.sign(x);
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 400; n++) { term *= 2 * x * x / (2 * n + 1); sum += term; }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  };
  const matmul = (p, x, y) => {
    if (!x.shape.length || !y.shape.length) throw new RangeError("@ takes no single number");
    const a = x.shape.length > 1 ? x.shape : [1, ...x.shape], b = y.shape.length > 1 ? y.shape : [...y.shape, 1];
    const [n, k, m] = [a.at(-2), a.at(-1), b.at(-1)];
    if (b.at(-2) !== k) throw new RangeError(`${text(x.shape)} @ ${text(y.shape)} do not fit`);
    const lead = common(a.slice(0, -2), b.slice(0, -2)), out = filled([...lead, n, m]);
    const pa = places(a.slice(0, -2), lead), pb = places(b.slice(0, -2), lead);
    for (let g = 0; g < pa.length; g++) for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) {
      let s = 0;
      for (let l = 0; l < k; l++) s += x.data[(pa[g] * n + i) * k + l] * y.data[(pb[g] * k + l) * m + j];
      out.data[(g * n + i) * m + j] = s;
    }
    return array([...lead, ...(x.shape.length > 1 ? [n] : []), ...(y.shape.length > 1 ? [m] : [])], out.data);
  };
  const einsum = (p, ...xs) => {  // p.terms: the letters of each operand; p.right: those of the result
    const length = {};
    xs.forEach((x, k) => [...p.terms[k]].forEach((c, a) => { length[c] = Math.max(length[c] ?? 1, x.shape[a]); }));
    const letters = [...p.right, ...Object.keys(length).filter(c => !p.right.includes(c))], shape = letters.map(c => length[c]);
    const step = xs.map((x, k) => { const st = strides(x.shape); return letters.map(c => [...p.terms[k]].reduce((s, d, a) => s + (d === c && x.shape[a] > 1 ? st[a] : 0), 0)); });
    const out = filled([...p.right].map(c => length[c])), outer = out.data.length, inner = size(shape.slice(p.right.length));
    const count = Array(shape.length).fill(0);
    for (let i = 0; i < outer * inner; i++) {
      let v = 1;
      for (let k = 0; k < xs.length; k++) { let at = 0; for (let a = 0; a < count.length; a++) at += count[a] * step[k][a]; v *= xs[k].data[at]; }
      out.data[Math.floor(i / inner)] += v;
      for (let a = shape.length - 1; a >= 0; a--) { if (++count[a] < shape[a]) break; count[a] = 0; }
    }
    return out;
  };
  const grid = function* (shape, at = []) { if (!shape.length) yield at; else for (let i = 0; i < shape[0]; i++) yield* grid(shape.slice(1), [...at, i]); };
  const flat = (at, shape) => at.reduce((s, a, k) => s * shape[k] + a, 0);
  const tap = (p, r, i) => r.map((v, k) => v * p.stride[k] + i[k] * p.dilation[k] - p.padding[k]);
  const outside = (u, shape) => u.some((v, k) => v < 0 || v >= shape[k]);
  // Windows of images: calls visit(image, filter, result) with the flat places of a pixel, a weight and a result.
  const windows = (p, x, w, y, visit) => {
    const rank = w.length - 2, n = x.length > rank + 1 ? x[0] : 1, c = x.at(-rank - 1), pixels = x.slice(-rank), results = y.slice(-rank);
    const [o, cg] = w, kernel = w.slice(2), og = o / p.groups;
    for (let b = 0; b < n; b++) for (let f = 0; f < o; f++) for (const r of grid(results)) for (let d = 0; d < cg; d++) for (const i of grid(kernel)) {
      const u = tap(p, r, i), channel = Math.floor(f / og) * cg + d;
      if (!outside(u, pixels)) visit(flat([b, channel, ...u], [n, c, ...pixels]), flat([f, d, ...i], w), flat([b, f, ...r], [n, o, ...results]));
    }
  };
  const pools = (p, x, y, visit) => {  // visit(pixel or -1 outside, result, number of the window in its image)
    const rank = p.kernel.length, pixels = x.slice(-rank), results = y.slice(-rank), n = size(x.slice(0, -rank)), count = size(results);
    for (let b = 0; b < n; b++) for (const r of grid(results)) for (const i of grid(p.kernel)) {
      const u = tap(p, r, i), k = flat(r, results);
      visit(outside(u, pixels) ? -1 : flat([b, ...u], [n, ...pixels]), b * count + k, k);
    }
  };
  const winners = (p, x) => {  // for each window the pixel that is its largest, the first of equals
    const best = filled(p.shape, -Infinity), at = new Int32Array(best.data.length).fill(-1);
    pools(p, x.shape, p.shape, (pixel, k) => { if (pixel >= 0 && (at[k] < 0 || x.data[pixel] > best.data[k])) { best.data[k] = x.data[pixel]; at[k] = pixel; } });
    return { best, at };
  };
  // Along an axis: a scan carries a value from place to place; places count along the axis of array `rows`.
  const lane = (shape, axis) => { const a = axesOf(axis, shape.length)[0] ?? 0, n = shape[a] ?? 1, inner = size(shape.slice(a + 1)); return { n, inner, place: k => Math.floor(k / inner) % n, start: k => k - (Math.floor(k / inner) % n) * inner }; };
  const scan = f => (p, x) => {
    const out = filled(p.rows), { inner, place } = lane(p.rows, p.axis);
    for (let k = 0; k < out.data.length; k++) out.data[k] = place(k) ? f(out.data[k - inner], x.data[k]) : x.data[k];
    return out;
  };
  const argsort = (p, x) => {
    const out = filled(p.rows), { n, inner, place, start } = lane(p.rows, p.axis), above = (a, b) => p.descending ? b > a || (Number.isNaN(b) && !Number.isNaN(a)) : a > b || (Number.isNaN(a) && !Number.isNaN(b));
    for (let k = 0; k < out.data.length; k++) if (!place(k)) {
      const order = [...Array(n).keys()].sort((i, j) => above(x.data[k + i * inner], x.data[k + j * inner]) ? 1 : above(x.data[k + j * inner], x.data[k + i * inner]) ? -1 : i - j);
      order.forEach((i, j) => { out.data[start(k) + j * inner] = i; });
    }
    return out;
  };
  const picked = (p, whole, indices) => {  // for each index the flat place in an array of shape `whole`
    const shape = common(whole.map((n, a) => a === p.axis ? 1 : n), indices.shape), st = strides(whole), at = places(whole.map((n, a) => a === p.axis ? 1 : n), shape), small = whole.map((n, a) => a === p.axis ? 1 : n), mine = places(indices.shape, shape), thin = strides(small);
    const full = i => { let rest = i, k = 0; small.forEach((n, a) => { k += Math.floor(rest / thin[a]) * st[a]; rest %= thin[a]; }); return k; };
    return Array.from(at, (i, k) => full(i) + ((indices.data[mine[k]] + whole[p.axis]) % whole[p.axis]) * st[p.axis]);
  };
  const number = b => b ? 1 : 0;

  const OPS = {
    add: zip((x, y) => x + y), sub: zip((x, y) => x - y), mul: zip((x, y) => x * y), dropout: zip((x, y) => x * y), div: zip((x, y) => x / y),
    power: zip((x, y) => x === 1 || y === 0 ? 1 : Math.pow(x, y)), maximum: zip((x, y) => Number.isNaN(x) || x > y ? x : y), minimum: zip((x, y) => Number.isNaN(x) || x < y ? x : y),
    greater: zip((x, y) => number(x > y)), equal: zip((x, y) => number(x === y)), where: zip((c, x, y) => c ? x : y),
    logaddexp: zip((x, y) => x === y ? x + Math.LN2 : Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(x - y)))),
    neg: map(x => -x), square: map(x => x * x), sqrt: map(Math.sqrt), exp: map(Math.exp), log: map(Math.log), abs: map(Math.abs), sign: map(Math.sign),
    tanh: map(Math.tanh), sigmoid: map(x => x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x))), relu: map(x => x > 0 || Number.isNaN(x) ? x : 0), erf: map(erf),
    clip: map((x, p) => { if (p.max != null && x > p.max) x = p.max; return p.min != null && x < p.min ? p.min : x; }),
    astype: map((x, p) => p.dtype === "float32" ? Math.fround(x) : p.dtype.startsWith("float") ? x : p.dtype === "bool" ? number(x !== 0) : Math.trunc(x)),
    clone: map(x => x), whole: map(x => x),
    sum: reduce(total), mean: reduce(v => total(v) / v.length), max: reduce(largest), min: reduce(v => -largest(v.map(x => -x))),
    logsumexp: reduce(logsumexp), l2_norm: reduce(v => Math.sqrt(total(v.map(x => x * x)))), argmax: reduce(v => v.indexOf(largest(v))),
    prod: reduce(v => v.reduce((a, b) => a * b, 1)), argmin: reduce(v => v.indexOf(-largest(v.map(x => -x)))),
    cumsum: scan((a, b) => a + b), cumprod: scan((a, b) => a * b), running_max: scan((a, b) => largest([a, b])), logcumsumexp: scan((a, b) => logsumexp([a, b])), argsort,
    take_along_axis: (p, x, i) => array(p.shape, Float64Array.from(picked(p, x.shape, i), k => x.data[k])),
    add_along_axis: (p, x, i) => { const out = filled(p.shape), at = picked(p, p.shape, i), from = places(x.shape, common(x.shape, i.shape)); at.forEach((k, j) => { out.data[k] += x.data[from[j]]; }); return out; },
    matmul, einsum,
    reshape: (p, x) => array(p.shape, x.data), sum_to: (p, x) => sumTo(x, p.shape),
    broadcast_to: (p, x) => { const at = places(x.shape, p.shape); return array(p.shape, Float64Array.from(at, i => x.data[i])); },
    take: (p, x) => array(p.shape, Float64Array.from(p.at, i => i < 0 ? p.fill : x.data[i])),  // elements by their places
    put: (p, ...xs) => { const out = filled(p.shape); xs.forEach((x, k) => x.data.forEach((v, i) => { out.data[p.at[k][i]] += v; })); return out; },
    conv: (p, x, w) => { const y = filled(p.shape); windows(p, x.shape, w.shape, p.shape, (i, f, r) => { y.data[r] += x.data[i] * w.data[f]; }); return y; },
    conv_transpose: (p, y, w) => { const x = filled(p.shape); windows(p, p.shape, w.shape, y.shape, (i, f, r) => { x.data[i] += y.data[r] * w.data[f]; }); return x; },
    conv_weight: (p, x, y) => { const w = filled(p.shape); windows(p, x.shape, p.shape, y.shape, (i, f, r) => { w.data[f] += x.data[i] * y.data[r]; }); return w; },
    avg_pool: (p, x) => { const y = filled(p.shape); pools(p, x.shape, p.shape, (i, r, k) => { if (i >= 0) y.data[r] += x.data[i] * p.share[k]; }); return y; },
    avg_unpool: (p, y) => { const x = filled(p.shape); pools(p, p.shape, y.shape, (i, r, k) => { if (i >= 0) x.data[i] += y.data[r] * p.share[k]; }); return x; },
    resample: (p, x) => { const y = filled(p.shape), n = size(p.shape.slice(-p.rank)), m = size(x.shape.slice(-p.rank)); for (let b = 0; b * m < x.data.length; b++) for (const [i, r, w] of p.terms) y.data[b * n + r] += w * x.data[b * m + i]; return y; },
    max_pool: (p, x) => winners(p, x).best,
    to_largest: (p, g, x) => { const out = filled(x.shape); winners({ ...p, shape: g.shape }, x).at.forEach((pixel, k) => { out.data[pixel] += g.data[k]; }); return out; },
    at_largest: (p, y, x) => array(p.shape, Float64Array.from(winners(p, x).at, pixel => y.data[pixel])),
  };

  // A node is a number, a leaf {shape, data}, or an op [name, parameters, input, …].
  const evaluate = (node, values) => typeof node === "number" || typeof node === "string" ? scalar(Number(node)) : Array.isArray(node) ? OPS[node[0]](node[1], ...node.slice(2).map(i => values[i])) : array(node.shape, Float64Array.from(node.data, Number));
  const run = (nodes, given = {}, first = 0, values = []) => {  // `given`: id of a node -> its value
    for (let i = first; i < nodes.length; i++) values[i] = given[i] ?? evaluate(nodes[i], values);
    return values;
  };
  // Which elements of each operand make element k of a result: told by the structure of the op alone.
  const SAME = new Set(["neg", "square", "sqrt", "exp", "log", "abs", "sign", "tanh", "sigmoid", "relu", "erf", "clip", "astype", "clone", "whole", "reshape"]);
  const WHOLE = new Set();  // ops of which each element is made of all elements
  const where = (list, k) => { const found = []; list.forEach((v, i) => { if (v === k) found.push(i); }); return found; };
  const visited = (walk, mine, k, ...others) => { const found = others.map(() => new Set()); walk((...at) => { if (at[mine] === k) others.forEach((o, n) => found[n].add(at[o])); }); return found.map(s => [...s]); };
  const made = (node, values, out, k) => {
    const [op, p, ...inputs] = node, xs = inputs.map(i => values[i]);
    if (SAME.has(op)) return [[k]];
    if (WHOLE.has(op)) return xs.map(x => [...x.data.keys()]);
    if (op === "sum_to") return [where(places(p.shape, xs[0].shape), k)];
    if (["sum", "mean", "max", "min", "logsumexp", "prod", "l2_norm", "argmax", "argmin"].includes(op)) { const axes = axesOf(p.axis, xs[0].shape.length); return [where(places(xs[0].shape.map((n, a) => axes.includes(a) ? 1 : n), xs[0].shape), k)]; }
    if (["cumsum", "cumprod", "running_max", "logcumsumexp"].includes(op)) { const l = lane(p.rows, p.axis); return [Array.from({ length: l.place(k) + 1 }, (_, i) => l.start(k) + i * l.inner)]; }
    if (op === "argsort") { const l = lane(p.rows, p.axis); return [Array.from({ length: l.n }, (_, i) => l.start(k) + i * l.inner)]; }
    if (op === "take_along_axis") return [[picked(p, xs[0].shape, xs[1])[k]], [places(xs[1].shape, out.shape)[k]]];
    if (op === "add_along_axis") { const found = where(picked(p, p.shape, xs[1]), k); return [found, found]; }
    if (op === "take") return [p.at[k] < 0 ? [] : [p.at[k]]];
    if (op === "put") return xs.map((_, n) => where(p.at[n], k));
    if (op === "matmul") {
      const a = xs[0].shape.length > 1 ? xs[0].shape : [1, ...xs[0].shape], b = xs[1].shape.length > 1 ? xs[1].shape : [...xs[1].shape, 1], [n, l, m] = [a.at(-2), a.at(-1), b.at(-1)];
      const lead = common(a.slice(0, -2), b.slice(0, -2)), g = Math.floor(k / (n * m)), i = Math.floor(k / m) % n, j = k % m, all = [...Array(l).keys()];
      const pa = places(a.slice(0, -2), lead)[g], pb = places(b.slice(0, -2), lead)[g];
      return [all.map(q => (pa * n + i) * l + q), all.map(q => (pb * l + q) * m + j)];
    }
    if (op === "einsum") {
      const ones = xs.map(x => filled(x.shape)), found = xs.map(() => []), probe = (n, i) => { ones.forEach((o, m) => o.data.fill(m === n ? 0 : 1)); ones[n].data[i] = 1; return einsum(p, ...ones).data[k] !== 0; };
      xs.forEach((x, n) => { for (let i = 0; i < x.data.length; i++) if (probe(n, i)) found[n].push(i); });
      return found;
    }
    if (op === "conv") return visited(f => windows(p, xs[0].shape, xs[1].shape, p.shape, f), 2, k, 0, 1);
    if (op === "conv_transpose") return visited(f => windows(p, p.shape, xs[1].shape, xs[0].shape, f), 0, k, 2, 1);
    if (op === "conv_weight") return visited(f => windows(p, xs[0].shape, p.shape, xs[1].shape, f), 1, k, 0, 2);
    if (op === "avg_pool" || op === "max_pool") return visited(f => pools(p, xs[0].shape, p.shape, (i, r) => { if (i >= 0) f(i, r); }), 1, k, 0);
    if (op === "resample") { const n = size(p.shape.slice(-p.rank)), m = size(xs[0].shape.slice(-p.rank)), b = Math.floor(k / n); return [p.terms.filter(t => t[1] === k % n).map(t => b * m + t[0])]; }
    if (op === "avg_unpool") return visited(f => pools(p, p.shape, xs[0].shape, (i, r) => { if (i >= 0) f(i, r); }), 0, k, 1);
    try { return xs.map(x => [places(x.shape, out.shape)[k]]); } catch { return xs.map(x => [...x.data.keys()]); }  // element by element, or all
  };
  return { OPS, SAME, WHOLE, zip, map, erf, made, run, evaluate, array, filled, scalar, size, strides, places, common, sumTo, axesOf, text, same };
})();
if (typeof module !== "undefined") module.exports = Interpreter;
