// Paths: the gradient, way by way.
const pathsPanel = () => {
  let out = `<div class="part backward">${t("paths")}</div><h2>${t("paths_head")}</h2><p>${t("paths_text")}</p>`;
  data.paths.forEach(({ leaf, ways, count }, n) => {
    if (values[leaf].data.length > MOST) return;
    const total = values[gradient.get(leaf)], scale = 1e-9 * Math.max(1, largest(total));
    out += `<details${n === data.paths.length - 1 || ways.length > 1 && ways.length < 9 ? " open" : ""}><summary>${gradientOf(leaf)}${ways.length > 1 ? ` = ${ways.length < 7 ? ways.map((_, k) => circled(k)).join(" + ") : `① + … + (${ways.length})`}` : ""}</summary>${count > ways.length ? `<p>${t("cut", { shown: ways.length, count })}</p>` : ""}<ol class="ways">`;
    out += ways.map((w, k) => { const x = full()[w.id], none = largest(x) <= scale; return `<li><button data-route="${n},${k}" aria-pressed="${way?.[0] === n && way[1] === k}"><span>${circled(k)}</span> ${w.route.map(r => M(byName.get(r) ?? r)).join(" → ")}</button><div class="math">${M(w.math, true)}</div>${w.code ? `<pre><code>${esc(w.code)}</code></pre>` : ""}<div class="tables">${table(none ? I.filled(x.shape) : x, none ? t("zero_way") : t("way", { n: k + 1 }), t("way", { n: k + 1 }), "gt")}</div></li>`; }).join("");
    out += `</ol><div class="tables">${sign("Σ =")}${table(total, gradientOf(leaf), `d${nameOf.get(leaf)}`, "gt")}</div></details>`;
  });
  const row = (what, a) => `<tr><th scope="row">${what}</th><td>${a.names.map(M).join(", ")}</td><td>${a.numbers}</td><td>${a.bytes.toLocaleString(lang)}</td></tr>`;
  out += `<h2>${t("memory_head")}</h2><table class="list"><thead><tr><td></td><th scope="col">${t("kept")}</th><th scope="col">${t("numbers_word")}</th><th scope="col">${t("bytes")}</th></tr></thead><tbody>`;
  for (const k of data.memory.kept) out += k.fused === null ? row(t("composed_all"), k.arrays) : row(t("composed_of", { name: esc(k.fused) }), k.arrays) + row(t("fused_of", { name: esc(k.fused) }), k.one);
  return out + `</tbody></table>${data.memory.kept.length > 1 ? `<p>${t("memory")}</p>` : ""}`;
};
const showWay = () => {
  if (mode !== "paths" || !way) return;
  const edges = data.paths[way[0]].ways[way[1]].edges.map(([a, b]) => [card.get(a), card.get(b)]), on = new Set(edges.flat());
  cards.forEach(e => e.classList.toggle("later", !on.has(place(e))));
  for (const { e, ends: [a, b] } of lines) { const mine = edges.some(([x, y]) => x === a && y === b); e.classList.toggle("later", !mine); e.querySelector(".grad-line")?.classList.toggle("flow", mine); }
  for (const { e, ends: [a, b] } of chips) e.style.visibility = edges.some(([x, y]) => x === a && y === b) ? "" : "hidden";
};
