// Quiz: a line is asked for, and the answer is judged by its numbers.
const asks = data.questions;
const known = () => {  // names that an answer may use: all values, and the gradients that come before
  const found = new Map(data.names.map(([n, i]) => [n.normalize("NFKC"), i]));
  data.shown.forEach(([n, i]) => { if (!found.has(n.normalize("NFKC"))) found.set(n.normalize("NFKC"), i); });
  for (const s of steps) { if (s.part !== "backward") continue; if (s.name === asks[question].name) break; found.set(s.name, s.id); }
  return found;
};
const judge = source => {  // → {ok, text}
  const q = asks[question], names = known(), first = data.leaves.find(l => l.kind === "input") ?? data.leaves[0];
  const lookup = v => name => {
    const n = name.normalize("NFKC");
    if (names.has(n)) return v[names.get(n)];
    if (n === "N" && first) return v[first.id].shape[0];
    if (n === "D" && first?.id !== undefined && v[first.id].shape.length > 1) return v[first.id].shape[1];
    return undefined;
  };
  let tree, mine, others;
  try {
    tree = P.parse(source.includes("=") && /^\s*\w+\s*=(?!=)/u.test(source) ? source.replace(/^\s*\w+\s*=/u, "") : source);
    mine = P.compute(tree, lookup(full()), q.helpers);
    others = draws().map(v => P.compute(tree, lookup(v), q.helpers));
  } catch (e) {
    if (e instanceof P.Wrong) return { ok: false, text: t(`parse_${e.key}`, Object.fromEntries(Object.entries(e.facts).map(([k, v]) => [k, esc(v)]))) };
    if (e instanceof RangeError) return { ok: false, text: t("parse_shapes", { text: esc(e.message) }) };
    return { ok: false, text: t("parse_unexpected", { text: "" }) };
  }
  return weigh(q, mine, others);
};
const weigh = (q, mine, others) => {  // an answer by its numbers: here, and on other leaves
  const fits = i => alike(mine, full()[i]) && others.every((x, k) => alike(x, draws()[k][i]));
  if (fits(q.answer)) return { ok: true, text: t("right") };
  const hit = q.mutants.find(m => fits(m.with)) ?? q.mutants.find(m => others.every((x, k) => alike(x, draws()[k][m.with])));
  const wanted = values[q.answer].shape, shape = I.same(mine.shape, wanted) ? "" : t("shape", { found: I.text(mine.shape), wanted: I.text(wanted) });
  if (hit) return { ok: false, mutant: hit, text: `${shape ? `${shape}. ` : ""}${told(hit.say)}. ${asked(hit.say[0])}` };
  if (shape) return { ok: false, text: shape };
  const right = full()[q.answer]; let worst = 0;
  mine.data.forEach((v, k) => { if (!(Math.abs(v - right.data[k]) <= Math.abs(mine.data[worst] - right.data[worst]))) worst = k; });
  const st = I.strides(wanted);
  return { ok: false, text: t("worst", { place: `[${wanted.map((n, k) => Math.floor(worst / st[k]) % n).join(", ")}]`, found: number(mine.data[worst]), wanted: number(right.data[worst]) }) };
};
const shuffled = (list, salt) => list.map((x, k) => [Math.sin((k + 1) * 99.7 + salt * 17.3) % 1, x]).sort((a, b) => a[0] - b[0]).map(x => x[1]);
const stepOf = q => steps.findIndex(s => s.part === "backward" && s.name === q.name);
const key = () => `${question + 1}${KINDS[kind]}`;
const strip = () => `<div class="strip" role="group" aria-label="${t("question_word")}">${asks.map((q, k) => { const done = solved.has(`${k + 1}${KINDS[kind]}`); return `<button data-question="${k}" aria-current="${k === question}" class="${done ? "done" : ""}" aria-label="${k + 1}${done ? `, ${t("solved")}` : ""}">${done ? "✓" : k + 1}</button>`; }).join("")}</div>`;
const quiz = () => {
  const q = asks[question], s = steps[stepOf(q)], value = values[q.answer];
  let out = `<div class="part backward">${t("question", { n: question + 1, count: asks.length })} · ${t("progress", { done: asks.filter((_, k) => solved.has(`${k + 1}${KINDS[kind]}`)).length, count: asks.length })}</div>${strip()}`;
  out += `<div class="row kinds" role="group" aria-label="${t("kinds")}">${Object.keys(KINDS).map(k => `<button data-kind="${k}" aria-pressed="${kind === k}">${t(`kind_${k}`)}</button>`).join("")}</div>`;
  out += `<h2 class="formula">${M(s.label)} = ? <span class="code">${esc(q.name)}</span></h2>`;
  const answer = '<div id="said" role="status"></div>';
  if (kind === "shape") return out + `<p>${t("shape_text", { name: M(s.label) })}</p><div class="choices">${shuffled(shapes(value.shape), question).map(sh => `<button data-shape="${sh.join(",")}">${I.text(sh)}</button>`).join("")}</div>${answer}`;
  if (kind === "ways") return out + `<p>${t("ways_text", { name: labelOf(q.of) })}</p><div class="choices">${shuffled(usersOf(q.of), question).map(([i]) => `<button data-way="${i}" aria-pressed="false">${labelOf(q.of)} ← ${labelOf(i)}</button>`).join("")}</div><div class="row"><button id="check">${t("check")}</button></div>${answer}`;
  if (s.kind === "part") out += `<p>${t("through", { line: `<code>${esc(s.through)}</code>` })} ${copies(s)}</p>`;
  if (s.kind === "sum") out += `<p>${t("used", { name: labelOf(q.of), count: s.parts.length })}</p>`;
  if (kind === "choose") {
    const right = full()[q.answer], differ = q.mutants.filter(m => m.say.length === 1 && full()[m.with].data.length <= MANY && !alike(full()[m.with], right)), wrong = [];
    for (const m of shuffled(differ, question)) if (wrong.length < 3 && !wrong.some(o => alike(full()[o.with], full()[m.with]))) wrong.push(m);
    chosen = shuffled([{ ok: true, id: q.answer }, ...wrong.map(m => ({ id: m.with, m }))], question + 5);
    return out + `<p>${t("choose_text")}</p><div class="choices tabled">${chosen.map((o, k) => `<button data-choice="${k}">${table(full()[o.id], `${k + 1}`, `${k + 1}`, "gt")}</button>`).join("")}</div>${answer}`;
  }
  out += `<label for="answer">${t("write_text")}</label><input class="answer" id="answer" autocomplete="off" autocapitalize="off" autocorrect="off" spellcheck="false" aria-describedby="said" placeholder="${esc(q.name)} = …">`;
  out += `<div class="chips" role="group" aria-label="${t("names")}">${[...known().keys()].filter(n => /^[\x20-\x7e]+$/.test(n)).concat("N").map(n => `<button data-insert="${esc(n)}">${esc(n)}</button>`).join("")}${["+", "-", "*", "/", "**2", "@", "(", ")", ".sum(axis=0)", ".T", "np.", ...Object.keys(q.helpers)].map(n => `<button class="op" data-insert="${esc(n)}">${esc(n)}</button>`).join("")}</div>`;
  out += `<div class="row"><button id="check" class="main">${t("check")}</button><button id="hint">${t("hint")} ${hints}/3</button><button id="show">${t("show")}</button></div>${answer}<div id="hints" role="status">${hinted()}</div>`;
  return out;
};
const hinted = () => {  // the question, the place, the formula
  const q = asks[question], s = steps[stepOf(q)], out = [];
  if (hints > 0) out.push(s.kind === "sum" ? t("hint_sum", { u: labelOf(q.of) }) : t("hint_question", { u: labelOf(q.of), y: labelOf(s.user) }));
  if (hints > 1) out.push(s.kind === "part" ? `${said(s.why, "why")} ${copies(s) ? t("add_up") : ""}` : `${t("hint_names")} <code>${[...new Set(s.code.match(/[A-Za-z_]\w*/g))].filter(n => known().has(n)).map(esc).join(", ")}</code>`);
  if (hints > 2) out.push(`${t("hint_formula")} ${M(`${s.head}<mo>=</mo>${s.math}`)}`);
  return out.map((x, k) => `<p class="note">${k + 1}. ${x}</p>`).join("");
};
const shapes = right => {
  const found = [right, [1, ...right], right.length ? right.slice(1) : [1], ...steps.map(s => values[s.id].shape)], out = [];
  for (const s of found) if (!out.some(o => I.same(o, s))) out.push(s);
  return out.slice(0, 5);
};
const usersOf = i => {
  const right = new Set((parts.get(i) ?? []).map(([u]) => u)), found = [];
  for (const u of right) if (nameOf.has(u)) found.push([u, true]);
  for (const [u] of data.gradient) if (!right.has(u) && nameOf.has(u) && u !== i && found.length < 6) found.push([u, false]);
  return found;
};
const say = (text, ok) => {
  const box = $("#said"); box.innerHTML = `<p class="note ${ok ? "good" : "bad"}">${text}</p>`;
  if (ok && mode === "quiz") { solved.add(key()); progress(); const old = $(".strip"); if (old) old.outerHTML = strip(); }
};
const reveal = () => { const s = steps[stepOf(asks[question])]; $("#said").innerHTML = `<div class="note">${code(s)}<p>${M(`${s.head}<mo>=</mo>${s.math}`)}</p><div class="tables">${table(values[s.id], M(s.label), s.name, "gt")}</div></div>`; };
const insert = text => {
  const a = $("#answer"), from = a.selectionStart ?? a.value.length;
  a.setRangeText(text, from, a.selectionEnd ?? from, "end"); if (!coarse()) a.focus();
};
const markWays = () => {
  const q = asks[question], picked = new Set([...panel.querySelectorAll("[data-way][aria-pressed=true]")].map(x => card.get(Number(x.dataset.way))));
  for (const { e, ends: [a, b] } of lines) e.classList.toggle("chosen-line", a === card.get(q.of) && picked.has(b));
  for (const e of cards) e.classList.toggle("chosen-card", picked.has(place(e)));
};
