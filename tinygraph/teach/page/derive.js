// Derive: from the recorded gradient to its closed form, a rule a step. All of it arrives as data; see page_derivation.py.
const D = data.derivation, derived = D.steps ?? [];
let rung = 0, tempted = false;
// Terms side by side, so that a line may break between them; those with a mark are pale or outlined.
const equation = (name, list, marked, mark) => `<div class="terms">${M(`${name}<mo>=</mo>`)} ${list.map((x, k) => M(x, true, marked.includes(k) ? mark : "")).join(" ")}</div>`;
const lastly = (n, k) => { while (!derived[k].formulas[n]) k--; return derived[k].formulas[n]; };  // a formula as it is at a step
const inWords = (step, key) => texts[lang].derivation[step.rule]?.[key] ?? step[key];
const derivation = () => {
  let out = `<div class="part backward">${t("derive")}</div>`;
  if (D.none) return out + `<h2>${t("derive_head")}</h2><p>${t(`derive_${D.none}`)}</p>`;
  const s = derived[rung];
  out += `<h2>${rung + 1}. ${esc(inWords(s, "name"))}</h2><p>${esc(inWords(s, "says"))}</p>`;
  if (s.tex) out += `<div class="math rule">${M(s.tex, true)}</div>`;
  if (s.parts.length) out += `<h3>${t("derive_applied")}</h3>${s.parts.map(([a, b]) => `<div class="terms">${M(a, true, "goes")} → ${M(b, true, "came")}</div>`).join("")}`;
  const changed = s.formulas.map((f, n) => [f, n]).filter(([f]) => f);
  if (rung && changed.length) out += `<h3>${t("derive_before")}</h3>${changed.map(([, n]) => { const [list, goes] = lastly(n, rung - 1); return equation(D.names[n], list, goes, "goes"); }).join("")}<h3>${t("derive_after")}</h3>`;
  out += changed.map(([[list, , came], n]) => equation(D.names[n], list, came, "came")).join("");
  if (rung && s.formulas.length && !changed.length) out += `<p>${t("derive_same")}</p>`;
  if (s.named.length) out += `<h3>${t("derive_where")}</h3>${s.named.map(([name, x]) => `<div class="math small">${M(`${name}<mo>=</mo>${x}`)}</div>`).join("")}`;
  const closed = derived.findLastIndex(x => x.rule !== "p") === rung;
  if (closed) out += D.code.map(x => `<pre><code>${esc(x)}</code></pre>`).join("");
  out += `<h3>${t("derive_cost")}</h3><table class="list"><thead><tr><td></td>${["sweeps", "arrays", "operations"].map(w => `<th scope="col">${t(w)}</th>`).join("")}</tr></thead><tbody>`;
  out += derived.map((x, k) => `<tr${k === rung ? ' class="now"' : ""}><th scope="row"><button data-rung="${k}"${k === rung ? ' aria-current="true"' : ""}>${k + 1}. ${esc(inWords(x, "name"))}</button></th>${x.cost.map(c => `<td>${c}</td>`).join("")}</tr>`).join("");
  out += `</tbody></table><p class="note ${s.exact === false || s.off > 1e-9 ? "bad" : "good"}">${t(rung ? "derive_check" : "derive_recorded", { off: s.off ? s.off.toExponential(0).replace("-", "−") : 0 })} ${rung && s.exact !== null ? t(s.exact ? "derive_exact" : "derive_unequal") : ""}</p>`;
  if (D.tempting && rung >= derived.length - 2) out += `<h3>${t("tempting_head")}</h3><p>${t("tempting_text")}</p><div class="math">${M(squares(), true)}</div><div class="row"><button id="tempt" aria-expanded="${tempted}">${t("tempting_try")}</button></div><div role="status">${tempted ? refusal() : ""}</div>`;
  return out;
};
// The step that tempts, in float32: every sum and product is rounded as a program rounds it.
const squares = () => { const x = label.get(D.tempting.x) ?? "<mi>x</mi>", e = s => `<mi>mean</mi><mo>(</mo>${s}<mo>)</mo>`, sq = s => `<msup>${s}<mn>2</mn></msup>`; return `${e(sq(`<mrow><mo>(</mo>${x}<mo>−</mo><mi>μ</mi><mo>)</mo></mrow>`))}<mo>=</mo>${e(sq(x))}<mo>−</mo>${sq("<mi>μ</mi>")}`; };
const f32 = Math.fround, mean32 = xs => f32(xs.reduce((s, x) => f32(s + x), 0) / xs.length);
const variances = offset => {  // of a column that is moved: true, from deviations, and multiplied out
  const xs = D.tempting.cells.map(k => f32(values[D.tempting.x].data[k] + offset)), n = xs.length, mu = xs.reduce((s, x) => s + x, 0) / n, m = mean32(xs);
  const squared = list => mean32(list.map(x => f32(x * x)));
  return [xs.reduce((s, x) => s + (x - mu) ** 2, 0) / n, squared(xs.map(x => f32(x - m))), f32(squared(xs) - f32(m * m))];
};
const refusal = () => {
  const rows = [0, 1e2, 1e3, 1e4, 1e5].map(o => [o, ...variances(o)]), wrong = (x, v) => Math.abs(x - v) > 1e-3 * Math.abs(v);
  const cell = (x, v) => `<td${wrong(x, v) ? ' class="off"' : ""}>${number(x)}${x < 0 ? ` <span class="names">${t("tempting_negative")}</span>` : ""}</td>`;
  return `<table class="list"><thead><tr>${["tempting_mean", "tempting_true", "tempting_deviations", "tempting_squares"].map(w => `<th scope="col">${t(w)}</th>`).join("")}</tr></thead><tbody>${rows.map(([o, v, a, b]) => `<tr><th scope="row">${o ? `+${o}` : t("tempting_as_is")}</th><td>${number(v)}</td>${cell(a, v)}${cell(b, v)}</tr>`).join("")}</tbody></table><p class="note bad">${t("tempting_refused")}</p>`;
};
// The graph of a step, drawn of numbers.
const FACES = { i: "serif", r: "roman", s: "sans", b: "bold" };
const lineOf = (i, x, dy = 0, anchor = "") => {
  const [y, size, ink, runs] = D.lines[i];
  return `<text class="sans ${ink ? "ink" : "muted"}" x="${x}" y="${y + dy}" font-size="${size}"${anchor}>${runs.map(r => { const [s, down, small] = [r].flat(); return `<tspan class="${FACES[s[0]]}"${down ? ` dy="${down}"` : ""}${small ? ` font-size="${small}"` : ""}>${esc(inPicture(s.slice(1)))}</tspan>`; }).join("")}</text>`;
};
const bent = corners => {  // a line through corners, which are rounded
  const p = corners.flatMap((x, k) => k % 2 ? [] : [[x, corners[k + 1]]]), near = ([x, y], [a, b]) => { const l = Math.hypot(a - x, b - y), r = Math.min(18, l / 2); return [x + (a - x) * r / l, y + (b - y) * r / l].map(Math.round).join(" "); };
  return p.map((at, k) => !k ? `M${at.join(" ")}` : k === p.length - 1 ? `L${at.join(" ")}` : `L${near(at, p[k - 1])}Q${at.join(" ")} ${near(at, p[k + 1])}`).join("");
};
const drawing = () => {
  const f = D.frames[derived[rung].frame], [w, h] = f.size;
  let out = `<svg class="tg-auto" viewBox="0 0 ${w} ${h}" role="img" aria-label="${t("derive_picture")}" font-size="10" text-anchor="middle"><defs><marker id="tip" viewBox="0 0 9 9" refX="9" refY="4.5" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path class="value" d="M0 0L9 4.5L0 9z"/></marker></defs><rect class="paper" width="${w}" height="${h}"/>`;
  for (const [x, y, width, height, shade, left, words] of f.lanes) out += `<rect class="lane${shade}" x="${x}" y="${y}" width="${width}" height="${height}"/>${words === undefined ? "" : lineOf(words, left, y, ' text-anchor="start"')}`;
  for (const [goes, ...corners] of f.lines) out += `<path class="value-line${goes ? " goes" : ""}" d="${bent(corners)}" marker-end="url(#tip)"/>`;
  for (const [x, y, width, height, family, state, ...said] of f.cards) {
    const box = `x="${-width / 2}" width="${width}" height="${height}" rx="11"`, frame = state & 1 ? "chosen" : D.families[family] === "parameter" ? "strong" : "edge";
    out += `<g class="node${state & 2 ? " goes" : ""}" transform="translate(${x} ${y})"><rect class="card" ${box}/><rect class="h-${D.families[family]}" ${box}/><rect class="${frame}${state & 4 ? " dashed" : ""}" ${box}/>${said.map(i => lineOf(i, 0)).join("")}</g>`;
  }
  return `${out}</svg>`;
};
const showDerivation = () => {
  const on = mode === "derive" && !D.none, box = $("#derivation");
  picture.toggleAttribute("hidden", on); stage.style.flexGrow = on ? 1 : ""; box.hidden = !on; box.innerHTML = on ? drawing() : "";
};
