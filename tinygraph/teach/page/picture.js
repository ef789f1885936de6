// The picture: its cards, lines and labels, and which of them are there at a step.
const picture = $("#graph svg"), stage = $("#graph"), prefix = $("#graph g.node")?.id.replace(/n\d+$/, "") ?? "";
const cardOf = i => document.getElementById(`${prefix}n${card.get(i)}`);
const cards = [...document.querySelectorAll("#graph g.node")], place = e => Number(e.id.slice(prefix.length + 1));
const nodeOfCard = new Map([...card].map(([i, k]) => [k, i]).sort((a, b) => a[1] - b[1]));
const lines = [...document.querySelectorAll(`#graph g[id^="${prefix}e"]`)].map(e => ({ e, ends: e.id.slice(prefix.length + 1).split("-").map(Number) }));
const chips = [...document.querySelectorAll("#graph g.chip")].map(e => ({ e, ends: $("rect", e).dataset.ends.split("-").map(Number), back: e.querySelector("text.grad") !== null }));
const texted = new Map(cards.map(e => [place(e), { value: [...e.querySelectorAll("text.of-value")], grad: [...e.querySelectorAll("text.of-grad")], one: [...e.querySelectorAll("text.value")].at(-1) }]));
const cells = (i, kind) => texted.get(card.get(i))?.[kind] ?? [];
const ownerOf = new Map();  // a card without a line of its own -> the node in whose line it stands
for (const [k, i] of nodeOfCard) { let line = i; while (line !== undefined && !nameOf.has(line)) line = forward.find(j => Array.isArray(main[j]) && main[j].indexOf(line, 2) > 1); if (line !== undefined && line !== i) ownerOf.set(k, line); }
const current = i => broken?.values[i] ?? values[i];
const words = [];  // words in the picture, which are translated
for (const e of document.querySelectorAll("#graph text.sans:not(.of-value,.of-grad)")) { const walk = document.createTreeWalker(e, NodeFilter.SHOW_TEXT); for (let n; (n = walk.nextNode());) if (!n.parentNode.matches(".serif,.roman,.bold") && /[a-z]{2}/.test(n.data)) words.push([n, n.data]); }
const inPicture = said => said.replaceAll("\u00a0", " ").replace(/[a-z][a-z ]*[a-z]/g, w => texts[lang].picture_words[w] ?? w.split(" ").map(x => texts[lang].picture_words[x] ?? x).join(" "));
const tips = cards.map(e => [e, $("title", e), ...($("title", e)?.textContent ?? "").split("\n")]).filter(([, title]) => title);  // a name, and what it is
const asDrawn = new Map();  // what the drawing says where nothing is changed
for (const found of texted.values()) [...found.value, ...found.grad].forEach(e => asDrawn.set(e, e.textContent));
const put = (e, v, fresh) => { e.textContent = fresh ? asDrawn.get(e) : number(v); };
const fill = () => {  // write the values into the cards
  const fresh = !Object.keys(edits).length && broken === null;
  picture.classList.toggle("stale", !fresh);
  for (const [k, i] of nodeOfCard) {
    const v = values[i], { value, grad, one } = texted.get(k) ?? { value: [], grad: [] };
    if (!v.shape.length && one && !value.length && !fresh) one.textContent = number(v.data[0]);
    if (value.length === v.data.length) value.forEach((e, n) => put(e, v.data[n], fresh));
    const g = gradient.has(i) ? current(gradient.get(i)) : null;
    if (!g) continue;
    const sent = parts.get(i) ?? [], all = grad.length === g.data.length ? [g] : grad.length === g.data.length * (sent.length + 1) ? [...sent.map(([, , r]) => current(r)), g] : [];
    let n = 0;
    for (const a of all) for (const x of a.data) put(grad[n++], x, fresh);
  }
};
const light = at => {  // which cards and lines are there at a step
  const stepwise = mode === "watch" || mode === "quiz", done = new Set(), graded = new Set(), arrived = new Set();
  steps.slice(0, at + 1).forEach(s => {
    if (s.part !== "backward") return done.add(card.get(s.id));
    const several = (parts.get(s.of) ?? []).length + upstream.has(s.of) > 1;
    if (s.kind === "part") arrived.add(`${card.get(s.of)}-${card.get(s.user)}`);
    if (!several || s.kind !== "part") graded.add(card.get(s.of));
  });
  for (const [k, i] of ownerOf) { const line = card.get(i); if (done.has(line)) done.add(k); if (graded.has(line)) graded.add(k); }
  const s = steps[at], focus = mode === "quiz" ? asks[question].of : s.part === "backward" ? s.of : s.id;
  const sources = new Set(mode !== "watch" ? [] : [...(s.uses ?? []), ...(s.kind === "part" ? [s.user] : s.kind === "sum" ? (parts.get(s.of) ?? []).map(p => p[0]) : [])].map(i => card.get(i)));
  for (const e of cards) {
    const k = place(e);
    e.classList.toggle("later", stepwise && !done.has(k));
    e.classList.toggle("nograd", stepwise && !graded.has(k));
    e.classList.toggle("here", stepwise && k === card.get(focus));
    e.classList.toggle("source", sources.has(k) && k !== card.get(focus));
    e.classList.remove("chosen-card");
  }
  for (const { e, ends: [a, b] } of lines) {
    e.classList.toggle("later", stepwise && !done.has(b));
    const here = mode === "watch" && s.kind === "part" && a === card.get(s.of) && b === card.get(s.user);
    e.querySelectorAll(".grad-line,.grad-head").forEach(g => { g.style.visibility = !stepwise || arrived.has(`${a}-${b}`) || graded.has(a) && graded.has(b) ? "" : "hidden"; });
    e.querySelector(".grad-line")?.classList.toggle("flow", here);
    e.querySelector(".value-line")?.classList.toggle("flow", mode === "watch" && s.part === "forward" && b === card.get(s.id));
    e.classList.remove("chosen-line");
  }
  for (const { e, ends: [a, b], back } of chips) e.style.visibility = !stepwise || (back ? mode === "watch" && (arrived.has(`${a}-${b}`) || graded.has(a) && graded.has(b)) : done.has(b)) ? "" : "hidden";
};
// The whole picture where its formulas are legible; a card under the pointer or in focus is then seen in full size.
const SMALLEST = .45;
let zoom = null;
const narrow = () => matchMedia("(max-width:800px)").matches;
const coarse = () => matchMedia("(pointer:coarse)").matches;  // a finger: no keyboard is called up
const lay = () => {
  const seen = $("#derivation svg") ?? picture, w = seen.viewBox.baseVal.width, h = seen.viewBox.baseVal.height, left = $("#left"), room = [left.clientWidth - 12, left.clientHeight - 12];
  const fit = Math.min(room[0] / w, room[1] / h), high = Math.max(.66, Math.min(.86, (room[1] - 10) / h));  // all of it, or as high as the room
  const scale = zoom ?? (narrow() ? 1 : fit >= SMALLEST ? Math.min(fit, mode === "derive" ? 1.25 : 1.6) : high);
  seen.style.width = `${w * scale}px`; seen.style.height = `${h * scale}px`;
  $("#program").hidden = narrow() || mode === "derive" || room[1] - h * scale < 110;
  lay.scale = scale; lay.fit = fit;
};
const centre = () => {
  const box = ($("#graph .here") ?? $(mode === "derive" ? "#derivation .chosen" : "#graph .wrong"))?.getBoundingClientRect(), around = stage.getBoundingClientRect();
  if (!box) return;
  const calm = matchMedia("(prefers-reduced-motion:reduce)").matches || !centre.ready;
  stage.scrollBy({ left: box.left + box.width / 2 - around.left - around.width / 2, top: box.height > around.height ? box.top - around.top - 8 : box.top + box.height / 2 - around.top - around.height / 2, behavior: calm ? "instant" : "smooth" });
  centre.ready = true;
};
const resize = by => { zoom = by === 0 ? Math.min(lay.fit, 1.6) : Math.max(.3, Math.min(2.5, lay.scale * by)); lay(); follow(); centre(); };
const enlarge = e => {
  $("#lens")?.remove();
  if (!e || lay.scale > .8 || e.matches(".later")) return;
  const b = e.getBBox(), { e: x, f: y } = e.transform.baseVal[0].matrix, all = picture.viewBox.baseVal, k = 1 / lay.scale, lens = e.cloneNode(true), put = (at, size, end) => Math.max(0, Math.min(end - size * k, at + size / 2 * (1 - k)));
  lens.id = "lens"; lens.removeAttribute("tabindex"); lens.setAttribute("aria-hidden", "true");
  lens.setAttribute("transform", `translate(${put(x + b.x, b.width, all.width) - b.x * k} ${put(y + b.y, b.height, all.height) - b.y * k}) scale(${k})`);
  picture.append(lens);
};
