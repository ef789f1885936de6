// What a page has, in the reader's language. The files of this page are one function; see lesson.py.
const I = Interpreter, P = Parser, $ = (q, of = document) => of.querySelector(q);
const sent = $("#data").textContent, { shared } = JSON.parse(sent);
const whole = text => text.replace(/[\ue000-\uf8ff]/g, c => shared.length ? whole(shared[c.charCodeAt(0) - 0xe000]) : c);  // see share in compact.py
const data = JSON.parse(sent, (key, x) => typeof x === "string" ? whole(x) : x), steps = data.steps, texts = data.texts;
const languages = Object.keys(texts);
let lang = data.lang ?? languages.find(l => navigator.language.toLowerCase().startsWith(l)) ?? "en";
const t = (key, facts = {}) => holes(texts[lang][key] ?? key, facts);
const safe = facts => Object.fromEntries(Object.entries(facts).map(([k, v]) => [k, esc(v)]));
const told = say => say.map(([kind, facts]) => holes(texts[lang].mutants[kind].say, safe(facts))).join(t("and"));
const asked = ([kind, facts]) => holes(texts[lang].mutants[kind].ask, safe(facts));
const flat = s => {  // brackets around what is low do not stretch: stretched ones stand apart
  const low = s.replace(/<mo>\(<\/mo>((?:(?!<mo>\(|<mfrac|<munder|<msqrt).)*?)<mo>\)<\/mo>/g, '<mo stretchy="false">(</mo>$1<mo stretchy="false">)</mo>');
  return low === s ? s : flat(low);
};
const M = (s, large, name = "") => `<math${large ? ' displaystyle="true"' : ""}${name ? ` class="${name}"` : ""}>${flat(s).replace(/<mtext>([a-z]+)<\/mtext>/g, (all, w) => `<mtext>${texts[lang].picture_words[w] ?? w}</mtext>`)}</math>`;
const said = ([key, facts], part) => holes(texts[lang][part][key] ?? "", Object.fromEntries(Object.entries(facts).map(([k, v]) => [k, /^(count|op)$/.test(k) ? esc(v) : M(v)]))).replace(/[^\s<>]{0,3}<math>.*?<\/math>(?:[^\s<>]*<math>.*?<\/math>)*[^\s<]{0,2}/g, '<span class="nb">$&</span>');
const holes = (text, facts) => { for (const [k, v] of Object.entries(facts)) text = text.replaceAll(`{${k}}`, v); return text; };
const esc = s => String(s).replace(/[&<>"']/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);

data.nodes.forEach(n => { if (Array.isArray(n)) n[0] = data.ops[n[0]]; });
data.questions.forEach(q => { q.mutants = q.mutants.map(([i, ...says]) => ({ with: i, say: says.map(k => data.says[k]) })); });
data.breaks.forEach(b => { b.say = b.say.map(k => data.says[k]); });

// The values: all that the program computes, also when a leaf is changed, and finite differences.
const nodes = data.nodes, main = nodes.slice(0, data.count), forward = data.forward;
const gradient = new Map(data.gradient), parts = new Map(data.parts), upstream = new Map(data.upstream), card = new Map(data.card);
const nameOf = new Map(data.names.map(([n, i]) => [i, n])), shownName = new Map(data.shown.map(([n, i]) => [i, n]));
const edits = {};  // id of a leaf -> what the reader has put there
let values = I.run(main, edits);
const recompute = () => { values = I.run(main, edits); };
const everything = given => { const out = []; for (let i = 0; i < nodes.length; i++) { try { out[i] = given[i] ?? I.evaluate(nodes[i], out); } catch { out[i] = I.filled([0]); } } return out; };
const loss = v => data.upstream.reduce((sum, [y, g]) => sum + v[y].data.reduce((s, x, k) => s + x * v[g].data[k], 0), 0);
const forwardFrom = (given, first) => {  // the way forward again, with some values given
  const out = values.slice(0, data.count);
  Object.entries(given).forEach(([i, v]) => { out[i] = v; });
  for (const i of forward) if (i > first && given[i] === undefined && Array.isArray(main[i])) out[i] = I.evaluate(main[i], out);
  return out;
};
const nudged = (x, k, by) => { const d = x.data.slice(); d[k] += by; return I.array(x.shape, d); };
const step0 = x => 1e-5 * Math.max(1, Math.abs(x));
// Finite differences: of a value in all its uses, or of the one copy of it that goes along an edge.
const differences = (i, edge) => {
  const x = values[i], out = I.filled(x.shape);
  for (let k = 0; k < x.data.length; k++) {
    const h = step0(x.data[k]), side = by => {
      const moved = nudged(x, k, by);
      if (edge === undefined) return loss(forwardFrom({ [i]: moved }, i));
      const [user, place] = edge, [op, params, ...inputs] = main[user];
      return loss(forwardFrom({ [user]: I.OPS[op](params, ...inputs.map((s, n) => n === place ? moved : values[s])) }, user));
    };
    out.data[k] = (side(h) - side(-h)) / (2 * h);
  }
  const most = Math.max(1, largest(out));  // what rounding leaves of a zero is a zero
  return I.array(out.shape, out.data.map(v => Math.abs(v) < 1e-8 * most ? 0 : v));
};
const largest = a => a.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const apart = (a, b) => !I.same(a.shape, b.shape) ? Infinity : a.data.reduce((m, v, k) => Math.max(m, Number.isNaN(v - b.data[k]) ? Infinity : Math.abs(v - b.data[k])), 0);
const alike = (a, b, tolerance = 1e-7) => apart(a, b) < Infinity && apart(a, b) <= tolerance * Math.max(largest(a), largest(b)) + 1e-12;
let seed = 1;
const random = () => { seed = (seed * 1664525 + 1013904223) % 4294967296; return (seed + .5) / 4294967296; };
const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
const draw = () => {  // other leaves, of the kind of their own
  const given = {};
  const leaves = [...data.leaves, ...data.upstream.filter(([y, g]) => main[g].shape?.length).map(([y, g]) => ({ id: g, draw: "any" }))];
  for (const leaf of leaves) if (leaf.draw !== "keep") given[leaf.id] = I.array(values[leaf.id].shape, values[leaf.id].data.map(() => leaf.draw === "positive" ? .5 + random() : normal()));
  return everything(given);
};
let drawn = null;
const draws = () => drawn ??= Array.from({ length: 12 }, draw);
