// Break it: a line is wrong.
const apply = b => {
  const v = full(), out = [];
  for (let i = 0; i < data.count; i++) { try { out[i] = i === b.at ? v[b.with] : edits[i] ?? I.evaluate(main[i], out); } catch { out[i] = null; } }
  const wrong = [];
  for (const [i, g] of data.gradient) if (!upstream.has(i) && (out[g] === null || !alike(out[g], values[g], 1e-6))) wrong.push(i);
  return { values: out.map(x => x ?? I.filled([0])), wrong, b };
};
const byLine = name => M(byName.get(name) ?? esc(name));
const breaking = () => {
  let out = `<div class="part backward">${t("break")}</div><h2>${t("break_head")}</h2><p>${t("break_text")}</p><div class="row"><button id="guess" class="main">${t("guess")}</button><button id="mend"${broken ? "" : " disabled"}>${t("mend")}</button></div>`;
  if (broken) {
    const wrong = broken.wrong.filter(i => nameOf.has(i));
    out += `<p class="note bad">${guess ? t("guess_text") : `${byLine(broken.b.name)}: ${told(broken.b.say)}.`}</p><p>${wrong.length ? t("flagged", { count: wrong.length, names: wrong.map(gradientOf).join(", ") }) : t("all_right")}</p>`;
    if (guess) out += `<div id="said" role="status"></div><div class="choices lined">${asks.map((q, k) => `<button data-guess="${k}">${byLine(q.name)}</button>`).join("")}</div>`;
    else out += wrong.slice(-3).map(i => { const fd = differences(i), x = broken.values[gradient.get(i)]; const off = new Set(I.same(x.shape, fd.shape) ? [...x.data.keys()].filter(k => Math.abs(x.data[k] - fd.data[k]) > 1e-5 * Math.max(largest(fd), 1e-9)) : []); return `<div class="tables">${table(x, gradientOf(i), `d${nameOf.get(i)}`, "gt", { off })}${sign("≠")}${table(fd, t("differences"), t("differences"), "vt")}</div>`; }).join("");
  }
  if (guess) return out;
  for (const rule of Object.keys(texts[lang].rules)) {
    const found = data.breaks.map((b, k) => [b, k]).filter(([b]) => b.rule === rule); if (!found.length) continue;
    out += `<h3>${texts[lang].rules[rule]}</h3><div class="choices lined">${found.map(([b, k]) => `<button data-break="${k}" aria-pressed="${broken?.b === b}" title="${told(b.say)}">${rule === "frozen" ? labelOf(b.of) : byLine(b.name)}</button>`).join("")}</div>`;
  }
  return out;
};
const markBroken = () => cards.forEach(e => e.classList.toggle("wrong", !!broken && broken.wrong.some(i => card.get(i) === place(e))));
const found = ok => say(ok ? `${t("right")}: ${byLine(broken.b.name)}: ${told(broken.b.say)}.` : t("guess_wrong"), ok);
const guessed = (a, b) => {  // a card, or the line from a to b, was clicked in the picture
  const s = steps.find(s => s.part === "backward" && s.name === broken.b.name);
  if (b === undefined) return found(card.get(broken.b.of) === a);
  found(card.get(broken.b.of) === a && (s?.kind !== "part" || card.get(s.user) === b));
};
