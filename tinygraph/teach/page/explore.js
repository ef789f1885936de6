// Explore: leaves are changed.
const changeable = () => [
  ...data.leaves.filter(l => l.draw !== "keep").map(l => ({ id: l.id, label: labelOf(l.id), name: nameOf.get(l.id) })),
  ...data.upstream.filter(([, g]) => main[g].shape?.length).map(([y, g]) => ({ id: g, label: t("upstream_head"), name: t("upstream_head") })),
  ...data.numbers.map(n => ({ id: n.id, label: n.name || `<code>${esc(n.code)}</code>`, name: n.name || n.code, note: n.name ? `<code>${esc(n.code)}</code>` : "" })),
].filter(l => values[l.id].data.length <= MOST);
const results = leaf => gradient.has(leaf.id) ? table(values[gradient.get(leaf.id)], gradientOf(leaf.id), `∂ ${leaf.name}`, "gt") + verdict(differences(leaf.id), values[gradient.get(leaf.id)]) : leaf.note ?? "";
const outcome = () => data.outputs.map(y => values[y].data.length > 1 ? "" : `${labelOf(y)} = <b>${number(values[y].data[0])}</b>`).filter(Boolean).join(", ");
const explore = () => {
  let out = `<div class="part">${t("explore")}</div><h2>${t("explore_head")}</h2><p>${t("explore_text")}</p><div class="row"><button id="reset">${t("reset")}</button><button id="shuffle">${t("shuffle")}</button><output id="outcome">${outcome()}</output></div>`;
  for (const leaf of changeable()) out += `<section class="leaf"><div>${table(values[leaf.id], leaf.label, leaf.name, "vt", { edit: leaf.id })}</div><div class="after" data-id="${leaf.id}">${results(leaf)}</div></section>`;
  return out;
};
const refresh = () => {  // what follows from a change, and nothing that is being edited
  for (const leaf of changeable()) {
    const e = $(`.after[data-id="${leaf.id}"]`); if (e) e.innerHTML = results(leaf);
    const most = largest(values[leaf.id]);
    panel.querySelectorAll(`input[data-leaf="${leaf.id}"]`).forEach(x => { const v = values[leaf.id].data[x.dataset.k]; if (x !== document.activeElement || x.dataset.drag) x.value = plain(v); x.parentNode.style.cssText = tint(v, most, "vt"); });
  }
  $("#outcome").innerHTML = outcome();
  fill();
};
const edit = (leaf, k, text) => {
  const v = Number(String(text).replace("−", "-"));
  if (String(text).trim() === "" || !Number.isFinite(v)) return false;
  edits[leaf] = nudged(values[leaf], k, 0); edits[leaf].data[k] = v;
  drawn = fullValues = null; recompute(); return true;
};
