// Watch: a step at a time.
const MODES = { watch: "W", explore: "E", quiz: "Q", break: "B", paths: "P", derive: "D" }, KINDS = { write: "w", choose: "c", shape: "s", ways: "p" };
let mode = "watch", at = 0, question = 0, broken = null, solved = new Set(), chosen = null, kind = "write", hints = 0, guess = false, way = null;
const panel = $("#panel"), player = $("#player");
const code = s => `<pre><code>${esc(s.name)} = ${esc(s.code)}</code></pre>`;
const copies = s => (s.copied ?? []).map(([name, count]) => t("copied", { name: M(name), count })).join(" ");
const CIRCLED = "①②③④⑤⑥⑦⑧⑨", circled = k => CIRCLED[k] ?? `(${k + 1})`;
const formula = s => `<h2 class="formula">${M(`${s.head}<mo>=</mo>${s.math}`, true)}</h2>`;
const watch = () => {
  const s = steps[at];
  let out = `<div class="part ${s.part}">${t(s.part)}</div>`;
  if (s.part === "given") return out + `<h2 class="formula">${M(s.head)}</h2><p>${t("given_text")}</p><div class="tables">${shown(s.id)}</div>`;
  if (s.part === "forward") {
    const uses = s.uses.filter(i => values[i].data.length <= MANY);
    out += `${formula(s)}<p>${said(s.why, "how")} ${copies(s)}</p><div class="tables">${uses.map(i => shown(i)).join(sign(","))}${uses.length ? sign("→") : ""}`;
    return out + shown(s.id, { result: true }) + `</div>${code(s)}${values[s.id].data.length <= MOST ? `<p class="tip">${t("hover")}</p>` : ""}`;
  }
  const result = (i, name = s.label) => table(values[i], M(name), s.name, "gt", { id: i, result: true });
  if (s.kind === "start") return out + `${formula(s)}<p>${t(main[s.id].shape?.length ? "start_more" : "start")}</p><div class="tables">${result(s.id)}</div>${code(s)}`;
  if (s.kind === "sum") {
    const all = (parts.get(s.of) ?? []).map((p, k) => [p[2], `${circled(k)} ${M(s.ways[k])}`]);
    if (s.seeded) all.unshift([upstream.get(s.of), "⓪"]);
    out += `<h2 class="formula">${M(s.label)} = ${all.map(([, text]) => text.split(" ")[0]).join(" + ")}</h2><p>${t("used", { name: labelOf(s.of), count: s.parts.length })}</p><div class="tables">`;
    out += all.map(([i, text]) => table(values[i], text, "", "gt", { id: i })).join(sign("+")) + sign("=");
    return out + result(s.id) + `</div>${code(s)}${verdict(differences(s.of), values[s.id])}`;
  }
  if (s.kind !== "part") return out + `${formula(s)}<div class="tables">${result(s.id)}</div>${code(s)}`;
  out += `${formula(s)}<p>${t("through", { line: `<code>${esc(s.through)}</code>` })} ${said(s.why, "why")} ${copies(s) ? `${copies(s)} ${t("add_up")}` : ""}</p><div class="tables">`;
  const up = table(values[s.up], M(s.uplabel), s.uplabel.replace(/<[^>]*>/g, ""), "gt", { id: s.up }), before = full()[s.before];
  if (s.local >= 0) out += up + sign("×") + table(full()[s.local], t("local"), t("local"), "vt", { id: s.local }) + sign("=") + (s.before === s.id ? "" : table(before, t("product"), t("product"), "gt", { id: s.before }) + sign("Σ ↓"));
  else out += up + s.uses.filter(i => values[i].data.length <= MANY).map(i => sign(",") + shown(i)).join("") + sign("→");
  return out + result(s.id) + `</div>${code(s)}` + verdict(differences(s.of, [s.user, s.edge]), values[s.id], true);
};
let fullValues = null;
const full = () => fullValues ??= everything(edits);
const verdict = (fd, x, edge) => {
  const off = apart(fd, x), most = Math.max(largest(fd), largest(x), 1e-9), ok = off <= 1e-4 * most;
  return `<p class="note ${ok ? "good" : "bad"}">${t(ok ? edge ? "nudge_edge" : "nudge" : "nudge_off", { error: off ? off.toExponential(0).replace("-", "−") : "0" })}</p>`;
};
// The cells of the other tables that made one cell, by the structure of the ops between them.
const sources = (root, k) => {
  const targets = new Set([...panel.querySelectorAll("figure[data-id]")].map(f => Number(f.dataset.id))), found = new Map(), s = steps[at], v = full();
  const follow = (i, k) => {
    if (targets.has(i) && i !== root) { if (!found.has(i)) found.set(i, new Set()); found.get(i).add(k); if (i !== s.before) return; }
    const key = `${i},${k}`; if (follow.seen.has(key)) return; follow.seen.add(key);
    if (Array.isArray(nodes[i])) I.made(nodes[i], v, v[i], k).forEach((list, n) => list.forEach(j => follow(nodes[i][n + 2], j)));
  };
  if (root === s.up) return new Map([[root, new Set([k])]]);  // it passes as it is
  follow.seen = new Set(); follow(root, k);
  if (s.kind === "part" && s.local >= 0) { const mine = s.before === root ? new Set([k]) : found.get(s.before) ?? new Set(); found.set(s.local, mine); found.set(s.up, mine); }
  return found;
};
const outline = cell => {
  document.querySelectorAll(".made,.asked").forEach(e => e.classList.remove("made", "asked"));
  const figure = cell?.closest("figure[data-result]"); if (!figure || mode !== "watch") return;
  cell.classList.add("asked");
  const found = sources(Number(figure.dataset.id), Number(cell.dataset.k));
  for (const f of panel.querySelectorAll("figure[data-id]")) if (f !== figure) for (const k of found.get(Number(f.dataset.id)) ?? []) f.querySelector(`td[data-k="${k}"]`)?.classList.add("made");
  for (const [i, ks] of found) {
    const of = i === steps[at].up ? steps[at].user : [...gradient].find(([, g]) => g === i)?.[0], texts = of === undefined ? cells(i, "value") : cells(of, "grad").slice(-values[i].data.length);
    if (i < data.count) for (const k of ks) texts[k]?.classList.add("made");
  }
};
