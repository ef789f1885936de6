// Reads an expression of NumPy and computes it with the interpreter: a fixed grammar, never evaluated as code.
const Parser = (() => {
  const I = Interpreter;
  class Wrong extends Error { constructor(key, facts = {}) { super(key); this.key = key; this.facts = facts; } }
  const TOKEN = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([\p{L}_][\p{L}\p{M}\p{N}_]*)|(\*\*|\/\/|==|[-+*/@()[\],.:=<>])|'([^']*)'|"([^"]*)")/uy;
  const tokens = source => {
    const found = []; TOKEN.lastIndex = 0;
    const text = source.replace(/[−–]/g, "-").replace(/[×·]/g, "*").replace(/÷/g, "/").normalize("NFKC").trimEnd();
    while (TOKEN.lastIndex < text.length) {
      const at = TOKEN.lastIndex, m = TOKEN.exec(text);
      if (!m) throw new Wrong("letter", { text: text.slice(at).trim()[0] });
      found.push(m[1] !== undefined ? { kind: "number", value: Number(m[1]), whole: /^\d+$/.test(m[1]) } : m[2] !== undefined ? { kind: "name", text: m[2] } : m[3] !== undefined ? { kind: "sign", text: m[3] } : { kind: "words", text: m[4] ?? m[5] });
    }
    return found;
  };
  const BINARY = { "<": [1, "less"], ">": [1, "greater"], "==": [1, "equal"], "+": [2, "add"], "-": [2, "sub"], "*": [3, "mul"], "/": [3, "div"], "//": [3, "floor_divide"], "@": [3, "matmul"], "**": [5, "power"] };
  const parse = source => {
    const list = tokens(source); let at = 0;
    const peek = text => list[at]?.kind === "sign" && list[at].text === text;
    const take = text => { if (!peek(text)) throw new Wrong("expected", { text }); at++; };
    const expression = level => {
      let left = unary();
      for (;;) {
        const sign = list[at]?.kind === "sign" && BINARY[list[at].text];
        if (!sign || sign[0] < level) return left;
        at++;
        const right = sign[1] === "power" ? (peek("-") || peek("+") ? unary() : expression(5)) : expression(sign[0] + 1);
        left = { kind: "op", op: sign[1], args: [left, right] };
      }
    };
    const unary = () => {
      if (peek("-")) { at++; return { kind: "op", op: "neg", args: [expression(4)] }; }
      if (peek("+")) { at++; return expression(4); }
      return postfix(primary());
    };
    const primary = () => {
      const t = list[at];
      if (!t) throw new Wrong("end");
      at++;
      if (t.kind === "number") return t;
      if (t.kind === "name" || t.kind === "words") return t;
      if (t.text === "(") return group(")");
      if (t.text === "[") return group("]");
      throw new Wrong("unexpected", { text: t.text });
    };
    const group = end => {  // brackets, or a tuple
      const items = []; let comma = false;
      while (!peek(end)) { items.push(expression(0)); if (peek(",")) { at++; comma = true; } else break; }
      take(end);
      return items.length === 1 && !comma && end === ")" ? items[0] : { kind: "tuple", items };
    };
    const postfix = x => {
      for (;;) {
        if (peek(".")) { at++; const t = list[at++]; if (t?.kind !== "name") throw new Wrong("end"); x = { kind: "attribute", of: x, name: t.text }; }
        else if (peek("(")) { at++; x = { kind: "call", of: x, ...args() }; }
        else if (peek("[")) { at++; x = { kind: "index", of: x, keys: keys() }; }
        else return x;
      }
    };
    const args = () => {
      const args = [], named = {};
      while (!peek(")")) {
        const word = list[at]?.kind === "name" && list[at + 1]?.kind === "sign" && list[at + 1].text === "=" ? list[at].text : null;
        if (word) { at += 2; named[word] = expression(0); } else args.push(expression(0));
        if (peek(",")) at++; else break;
      }
      take(")");
      return { args, named };
    };
    const bound = () => {  // a whole number of a slice, or nothing
      const minus = peek("-"), n = list[at + minus];
      if (n?.kind !== "number") return null;
      at += 1 + minus;
      return minus ? -n.value : n.value;
    };
    const keys = () => {
      const found = [];
      while (!peek("]")) {
        if (peek(".") && list[at + 1]?.text === "." && list[at + 2]?.text === ".") { at += 3; found.push({ kind: "rest" }); if (peek(",")) at++; else break; continue; }
        const first = at, start = bound();
        if (peek(":")) {
          take(":");
          const stop = bound();
          if (peek(":")) at++;
          found.push({ kind: "slice", start, stop, step: bound() ?? 1 });
        } else if ((at = first, true)) found.push(expression(0));
        if (peek(",")) at++; else break;
      }
      take("]");
      return found;
    };
    if (!list.length) throw new Wrong("empty");
    const tree = expression(0);
    if (at < list.length) throw new Wrong("unexpected", { text: list[at].text ?? String(list[at].value) });
    return tree;
  };

  const whole = x => { const n = plain(x); if (!Number.isInteger(n)) throw new Wrong("axis"); return n; };
  const plain = x => { if (x === null || typeof x === "number" || typeof x === "boolean") return x; if (x?.data?.length === 1) return x.data[0]; throw new Wrong("axis"); };
  const axis = x => x === undefined || x === null ? null : Array.isArray(x) ? x.map(whole) : [whole(x)];
  const shape = x => Array.isArray(x) ? x.map(whole) : [whole(x)];
  const value = x => Array.isArray(x) ? stack(x.map(value)) : x?.words !== undefined ? (() => { throw new Wrong("unexpected", { text: x.words }); })() : x === null || x === undefined ? (() => { throw new Wrong("none"); })() : typeof x === "number" ? I.scalar(x) : typeof x === "boolean" ? I.scalar(Number(x)) : x;
  const stack = xs => I.array([xs.length, ...(xs[0]?.shape ?? [])], Float64Array.from(xs.flatMap(x => [...x.data])));
  const REDUCE = ["sum", "mean", "max", "min", "argmax"], MAP = ["sqrt", "exp", "log", "abs", "sign", "tanh", "square"];
  const transpose = (x, axes) => {
    const order = axes ?? x.shape.map((_, k) => k).reverse(), st = I.strides(x.shape), out = order.map(a => x.shape[a < 0 ? a + x.shape.length : a]);
    const s = order.map(a => st[a < 0 ? a + x.shape.length : a]), data = new Float64Array(x.data.length), os = I.strides(out);
    for (let i = 0; i < data.length; i++) { let at = 0, rest = i; for (let k = 0; k < out.length; k++) { at += Math.floor(rest / os[k]) * s[k]; rest %= os[k]; } data[i] = x.data[at]; }
    return I.array(out, data);
  };
  const reshape = (x, wanted) => {
    const known = wanted.filter(n => n >= 0).reduce((a, b) => a * b, 1), full = wanted.map(n => n < 0 ? x.data.length / known : n);
    if (I.size(full) !== x.data.length) throw new RangeError(`${x.data.length} → ${I.text(full)}`);
    return I.array(full, x.data);
  };
  const places = (n, { start, stop, step }) => {  // that a slice takes of an axis
    if (!Number.isInteger(step) || !step) throw new Wrong("axis");
    const clip = (k, low, high) => Math.max(low, Math.min(high, k < 0 ? k + n : k)), out = [];
    const [a, b] = step > 0 ? [clip(start ?? 0, 0, n), clip(stop ?? n, 0, n)] : [start === null ? n - 1 : clip(start, -1, n - 1), stop === null ? -1 : clip(stop, -1, n - 1)];
    for (let k = a; step > 0 ? k < b : k > b; k += step) out.push(k);
    return out;
  };
  const index = (x, keys) => {
    if (keys.length && keys.every(Array.isArray)) {  // lists of places, one for each of the first axes
      const st = I.strides(x.shape), rest = x.shape.slice(keys.length), inner = I.size(rest), data = [];
      keys[0].forEach((_, n) => { const at = keys.reduce((s, k, a) => s + (whole(k[n]) + (whole(k[n]) < 0 ? x.shape[a] : 0)) * st[a], 0); for (let i = 0; i < inner; i++) data.push(x.data[at + i]); });
      return I.array([keys[0].length, ...rest], Float64Array.from(data));
    }
    const rest = keys.findIndex(k => k?.rest);
    if (rest >= 0) keys = keys.toSpliced(rest, 1, ...Array(Math.max(0, x.shape.length - keys.filter(k => k !== null).length + 1)).fill({ slice: true, start: null, stop: null, step: 1 }));
    let place = I.array(x.shape, Float64Array.from(x.data.keys())), axisNow = 0;
    for (const k of keys) {
      const s = place.shape;
      if (k === null) { place = I.array([...s.slice(0, axisNow), 1, ...s.slice(axisNow)], place.data); axisNow++; continue; }
      if (axisNow >= s.length) throw new RangeError("index");
      const n = s[axisNow], inner = I.size(s.slice(axisNow + 1)), outer = I.size(s.slice(0, axisNow));
      const wanted = k?.slice ? places(n, k) : [whole(k) < 0 ? whole(k) + n : whole(k)];
      if (wanted.some(w => w >= n || w < 0)) throw new RangeError("index");
      const data = [];
      for (let o = 0; o < outer; o++) for (const w of wanted) for (let i = 0; i < inner; i++) data.push(place.data[(o * n + w) * inner + i]);
      place = I.array(k?.slice ? [...s.slice(0, axisNow), wanted.length, ...s.slice(axisNow + 1)] : [...s.slice(0, axisNow), ...s.slice(axisNow + 1)], Float64Array.from(data));
      if (k?.slice) axisNow++;
    }
    return I.array(place.shape, Float64Array.from(place.data, i => x.data[i]));
  };
  const side_by_side = (all, a) => {
    const lead = I.size(all[0].shape.slice(0, a)), widths = all.map(x => x.data.length / lead), data = [];
    for (let r = 0; r < lead; r++) all.forEach((x, k) => data.push(...x.data.slice(r * widths[k], (r + 1) * widths[k])));
    return I.array(all[0].shape.map((n, k) => k === a ? all.reduce((s, x) => s + x.shape[a], 0) : n), Float64Array.from(data));
  };
  const CONSTANTS = { inf: Infinity, nan: NaN, pi: Math.PI, e: Math.E, newaxis: null, float64: null, float32: null, int64: null, bool_: null };
  const isNumPy = t => t.kind === "name" ? t.text === "np" : t.kind === "attribute" && t.name === "linalg" && isNumPy(t.of);
  // Functions of arrays alone; a page has those that its program has.
  const PLAIN = new Set([...I.SAME, "logaddexp2", "hypot", "floor_divide", "remainder", "fmod", "heaviside", "fmax", "fmin", "copysign", "arctan2", "cross", "solve", "inv", "det", "cholesky", "pinv"]);
  const call = (name, xs, named, isMethod) => {
    const x = () => value(xs[0]);
    if (REDUCE.includes(name)) return I.OPS[name]({ axis: axis(named.axis ?? named.dim ?? xs[1]), keepdims: plain(named.keepdims ?? xs[2] ?? 0) }, x());
    if (MAP.includes(name) && !(isMethod && name !== "square")) return I.OPS[name]({}, x());
    if (name === "reshape") return reshape(x(), xs.length > 2 ? xs.slice(1).map(whole) : shape(xs[1] ?? named.shape));
    if (name === "transpose") return transpose(x(), xs.length > 2 ? xs.slice(1).map(whole) : xs[1] === undefined ? undefined : shape(xs[1]));
    if (name === "copy") return x();
    if ((name === "cumsum" || name === "cumprod") && (named.axis ?? xs[1] ?? null) !== null) return I.OPS[name]({ axis: axis(named.axis ?? xs[1]).map(a => a < 0 ? a + x().shape.length : a)[0], rows: x().shape }, x());
    if (name === "dot") return I.OPS.matmul({}, x(), value(xs[1]));
    if (name === "astype") return x();
    if (isMethod) throw new Wrong("method", { text: name });
    if (["maximum", "minimum", "where", "matmul", "logaddexp", "power"].includes(name)) return I.OPS[name]({}, ...xs.map(value));
    if (["add", "subtract", "multiply", "divide", "negative"].includes(name)) return I.OPS[{ subtract: "sub", multiply: "mul", divide: "div", negative: "neg" }[name] ?? name]({}, ...xs.map(value));
    if (name === "ones" || name === "zeros") return I.filled(shape(xs[0] ?? named.shape), Number(name === "ones"));
    if (name === "ones_like" || name === "zeros_like") return I.filled(x().shape, Number(name === "ones_like"));
    if (name === "full") return I.filled(shape(xs[0]), plain(xs[1]));
    if (name === "broadcast_to") return I.OPS.broadcast_to({ shape: shape(xs[1]) }, x());
    if (name === "expand_dims") { const a = whole(xs[1] ?? named.axis), s = [...x().shape]; s.splice(a < 0 ? a + s.length + 1 : a, 0, 1); return I.array(s, x().data); }
    if (name === "outer") return I.OPS.matmul({}, reshape(x(), [-1, 1]), reshape(value(xs[1]), [1, -1]));
    if (name === "array") return x();
    if (name === "float64" || name === "float32") return x();
    if (name === "take_along_axis") { const i = value(xs[1]), a = axis(named.axis ?? xs[2])[0]; return I.OPS[name]({ axis: a < 0 ? a + i.shape.length : a, shape: i.shape }, x(), i); }
    if (name === "concatenate") return side_by_side(xs[0].map(value), whole(named.axis ?? xs[1] ?? 0));
    if (name === "convolve" && I.OPS[name]) return I.OPS[name]({ valid: xs[2]?.words === "valid" }, x(), value(xs[1]));
    if (PLAIN.has(name) && I.OPS[name]) return I.OPS[name]({}, ...xs.map(value));
    if (name === "einsum") {
      const given = xs.slice(1).map(value), text = String(xs[0]?.words ?? "").replaceAll(" ", ""), [left, right] = text.split("->"), terms = left.split(",");
      if (!/^[A-Za-z,]*->[A-Za-z]*$/.test(text)) throw new Wrong("unexpected", { text });
      const length = {};
      if (terms.length !== given.length) throw new RangeError(text);
      terms.forEach((term, k) => [...term].forEach((c, a) => { if (term.length !== given[k].shape.length || (length[c] ??= given[k].shape[a]) !== given[k].shape[a]) throw new RangeError(`${text}, ${I.text(given[k].shape)}`); }));
      if ([...right].some(c => !(c in length))) throw new RangeError(text);
      return I.OPS.einsum({ terms, right }, ...given);
    }
    throw new Wrong("function", { text: name });
  };
  // `names` finds a value by its name; `helpers` are the functions of the answer key that NumPy has not.
  const compute = (tree, names, helpers = {}) => {
    const go = t => {
      if (t.kind === "number") return t.value;
      if (t.kind === "words") return { words: t.text };
      if (t.kind === "tuple") return t.items.map(go);
      if (t.kind === "name") {
        if (t.text === "None") return null;
        if (t.text === "True") return true;
        if (t.text === "False") return false;
        const found = names(t.text);
        if (found === undefined) throw new Wrong("name", { text: t.text });
        return found;
      }
      if (t.kind === "op") {
        if (t.op === "less") return I.OPS.greater({}, ...t.args.map(a => value(go(a))).reverse());
        if (!I.OPS[t.op]) throw new Wrong("unexpected", { text: "//" });
        return I.OPS[t.op]({}, ...t.args.map(a => value(go(a))));
      }
      if (t.kind === "attribute") {
        if (t.of.kind === "name" && t.of.text === "np" && Object.hasOwn(CONSTANTS, t.name)) return CONSTANTS[t.name];
        const x = value(go(t.of));
        if (t.name === "T") return transpose(x);
        if (t.name === "shape") return x.shape;
        if (t.name === "size") return x.data.length;
        if (t.name === "ndim") return x.shape.length;
        throw new Wrong("method", { text: t.name });
      }
      if (t.kind === "index") {
        const of = go(t.of);
        if (Array.isArray(of) && t.keys.length === 1) { const k = whole(go(t.keys[0])); const found = of[k < 0 ? k + of.length : k]; if (found === undefined) throw new RangeError("index"); return found; }
        return index(value(of), t.keys.map(k => k.kind === "rest" ? { rest: true } : k.kind === "slice" ? { slice: true, start: k.start, stop: k.stop, step: k.step } : go(k)));
      }
      if (t.kind === "call") {
        if (t.of.kind === "name" && Object.hasOwn(helpers, t.of.text) && names(t.of.text) === undefined) {  // its parameters are known
          const [op, params, count] = helpers[t.of.text];
          return I.OPS[op](params, ...t.args.slice(0, count).map(a => value(go(a))));
        }
        const named = Object.fromEntries(Object.entries(t.named).map(([k, v]) => [k, go(v)]));
        if (t.of.kind === "attribute" && !isNumPy(t.of.of)) return call(t.of.name, [go(t.of.of), ...t.args.map(go)], named, true);
        const name = t.of.kind === "attribute" ? t.of.name : t.of.kind === "name" ? t.of.text : null;
        if (name === null) throw new Wrong("call");
        if (t.of.kind === "name" && names(name) !== undefined) throw new Wrong("call");
        if (name === "float" && t.args[0]?.kind === "words") return { "-inf": -Infinity, inf: Infinity, nan: NaN }[t.args[0].text] ?? NaN;
        if (name === "len") { const x = value(go(t.args[0])); return x.shape[0]; }
        return call(name, t.args.map(go), named, false);
      }
      throw new Wrong("unexpected", { text: t.kind });
    };
    return value(go(tree));
  };
  return { parse, compute, Wrong };
})();
if (typeof module !== "undefined") module.exports.Parser = Parser;
