// The frame: modes, player, keys and clicks.
const clamp = (n, count) => Math.max(0, Math.min(count - 1, n));
const progress = () => {
  const done = [...solved].sort((a, b) => a.localeCompare(b, "en", { numeric: true })).join(".");
  const where = (mode === "watch" ? `#watch/${at + 1}` : mode === "quiz" ? `#quiz/${question + 1}${kind === "write" ? "" : `/${kind}`}` : mode === "derive" && rung ? `#derive/${rung + 1}` : `#${mode}`) + (done ? `?solved=${done}` : "");
  if (location.hash !== where) history.replaceState(null, "", where);
};
const read = () => {
  const [, m, n, k] = location.hash.match(/^#(\w*)(?:\/(\d+))?(?:\/(\w+))?/) ?? [], found = name => new RegExp(`[?&]${name}=([\\w.-]*)`).exec(location.hash)?.[1];
  if (/^\d+$/.test(m)) { mode = "watch"; at = clamp(Number(m) - 1, steps.length); }
  if (Object.hasOwn(MODES, m)) mode = m;
  if (n && mode === "watch") at = clamp(Number(n) - 1, steps.length);
  if (n && mode === "derive") rung = clamp(Number(n) - 1, derived.length);
  if (n && mode === "quiz") question = clamp(Number(n) - 1, asks.length);
  if (mode === "quiz") kind = Object.hasOwn(KINDS, k) ? k : "write";
  const done = found("solved"); if (done !== undefined) solved = new Set(done.split(".").filter(x => /^\d+[wcsp]$/.test(x)));
  const l = found("lang"); if (languages.includes(l)) lang = l;
};
const focused = () => {  // how to find again what has the focus
  const e = document.activeElement; if (!e || e === document.body || e.closest("#graph")) return null;
  if (e.id) return `#${CSS.escape(e.id)}`;
  const d = Object.entries(e.dataset); return d.length ? e.tagName.toLowerCase() + d.map(([k, v]) => `[data-${k}="${CSS.escape(v)}"]`).join("") : null;
};
const listing = () => {  // in the quiz, what is asked and what comes after it have no formula
  const quizzed = mode === "quiz", now = quizzed ? stepOf(asks[question]) : at, hidden = k => quizzed && k >= now;
  $("#program").innerHTML = steps.map((s, k) => s.part === "given" ? "" : `<li class="${s.part}${k === now ? " here" : k > now ? " ahead" : ""}" data-step="${k}"><code>${esc(s.name)} = ${hidden(k) ? "?" : esc(s.code)}</code></li>`).join("");
};
const follow = () => { const line = $("#program .here"), box = $("#program"); if (line) box.scrollTop = line.offsetTop - box.offsetTop - box.clientHeight / 2 + 12; };
const show = (focus = false) => {
  const keep = focused();
  enlarge();
  document.body.dataset.mode = mode === "derive" && !derived.length ? "" : mode;
  document.documentElement.lang = lang === "zh" ? "zh-Hans" : lang;
  if (mode !== "break") { broken = null; guess = false; }
  if (mode !== "paths") way = null;
  fullValues = null;
  if (data.titles) document.title = $("h1").textContent = data.titles[lang] ?? data.titles.en;
  words.forEach(([e, said]) => { e.data = inPicture(said); });
  tips.forEach(([e, title, name, what]) => { title.textContent = `${name}\n${inPicture(what)}`; e.setAttribute("aria-label", `${name}, ${inPicture(what)}`); });
  $("#skip").textContent = t("to_panel");
  $("#modes").setAttribute("aria-label", t("keys"));
  $("#modes").innerHTML = Object.entries(MODES).map(([m, k]) => `<button data-mode="${m}" aria-pressed="${mode === m}" aria-keyshortcuts="${k}" title="${k}">${t(m)}</button>`).join("");
  $("#tools").innerHTML = `<select id="lang" aria-label="${t("language")}">${languages.map(l => `<option value="${l}"${l === lang ? " selected" : ""}>${texts[l].name}</option>`).join("")}</select><button id="print">${t("print")}</button><button id="keys" aria-label="${t("k_help")}" aria-keyshortcuts="?">?</button>`;
  $("#zoom").innerHTML = [["out", "−", "zoom_out"], ["fit", "⤢", "zoom_fit"], ["in", "+", "zoom_in"]].map(([id, s, w]) => `<button id="zoom-${id}" aria-label="${t(w)}" title="${t(w)}">${s}</button>`).join("");
  picture.setAttribute("aria-label", t("picture")); $("#program").setAttribute("aria-label", t("program"));
  panel.setAttribute("aria-label", t(mode));
  panel.innerHTML = { watch, explore, quiz, break: breaking, paths: pathsPanel, derive: derivation }[mode]();
  const count = { quiz: asks.length, derive: derived.length }[mode] ?? steps.length, n = here();
  player.hidden = !stepping();
  const text = mode === "quiz" ? t("question", { n: n + 1, count }) : t("step_of", { n: n + 1, count });
  player.innerHTML = `<button id="back" aria-label="${t("back")}"${n ? "" : " disabled"}>←</button><button id="next" aria-label="${t("next")}"${n < count - 1 ? "" : " disabled"}>→</button><input type="range" id="slide" min="0" max="${count - 1}" value="${n}" aria-label="${t(mode === "quiz" ? "question_word" : "step")}" aria-valuetext="${text}"><output>${text}</output>`;
  if (mode === "watch") $("#live").textContent = `${text}: ${t(steps[at].part)}, ${steps[at].name}`;
  if (mode === "derive" && count) $("#live").textContent = `${text}: ${inWords(derived[rung], "name")}`;
  showDerivation(); listing(); lay(); follow();
  light(mode === "quiz" ? Math.max(0, stepOf(asks[question]) - 1) : mode === "watch" ? at : steps.length - 1);
  fill(); markBroken(); showWay(); progress();
  if (focus) { panel.scrollTop = 0; (coarse() ? panel : $("#answer") ?? panel).focus({ preventScroll: true }); }
  else if (keep) { const e = $(keep); (e?.disabled ? $("#back:not(:disabled)") ?? $("#next") : e)?.focus({ preventScroll: true }); }
  centre();
};
const stepping = () => mode === "watch" || mode === "quiz" || mode === "derive" && derived.length > 0;
const go = n => { const old = here(); if (mode === "quiz") { question = clamp(n, asks.length); hints = 0; } else if (mode === "derive") { rung = clamp(n, derived.length); tempted = false; } else at = clamp(n, steps.length); show(); if (here() !== old) panel.scrollTop = 0; };
const here = () => ({ quiz: question, derive: rung })[mode] ?? at;
const turn = m => { mode = m; hints = 0; show(true); };
const sheet = () => {
  const lined = q => { const s = steps[stepOf(q)]; return M(s.label); };
  const blanks = asks.map((q, k) => { const s = steps[stepOf(q)]; return `<section><p><b>${k + 1}.</b> ${lined(q)} = ${s.kind === "part" ? `<span class="names">(${t("through", { line: `<code>${esc(s.through)}</code>` })})</span>` : ""}</p><div class="blank"></div><div class="tables">${table(values[q.answer], lined(q), q.name, "gt", { blank: true })}</div></section>`; }).join("");
  const keyed = asks.map((q, k) => { const s = steps[stepOf(q)]; return `<section><p><b>${k + 1}.</b> ${M(`${s.head}<mo>=</mo>${s.math}`)} <br><code>${esc(q.name)} = ${esc(s.code)}</code></p><div class="tables">${table(values[q.answer], lined(q), q.name, "gt")}</div></section>`; }).join("");
  const svg = picture.cloneNode(true);
  svg.querySelectorAll("text.of-grad,text.bold.grad").forEach(e => { e.textContent = ""; });
  svg.querySelectorAll(".later,.here,.nograd,.source,.wrong").forEach(e => e.classList.remove("later", "here", "nograd", "source", "wrong"));
  svg.querySelectorAll("[style]").forEach(e => e.removeAttribute("style")); svg.removeAttribute("style"); svg.removeAttribute("hidden");
  svg.querySelectorAll("g.chip").forEach(e => { if (e.querySelector("text.grad")) e.remove(); });
  svg.querySelectorAll("path").forEach(e => { if (/^g[1-6]$/.test(e.getAttribute("class") ?? "")) e.remove(); });
  $("#sheet").innerHTML = `<h1>${esc(document.title)}</h1>${svg.outerHTML}<h2>${t("sheet")}</h2><div class="asked-all">${blanks}</div><div class="key"><h2>${t("key")}</h2><div class="asked-all">${keyed}</div></div>`;
};
addEventListener("beforeprint", sheet);
addEventListener("afterprint", () => { $("#sheet").innerHTML = ""; });
addEventListener("resize", () => { centre.ready = false; lay(); centre(); });

document.addEventListener("click", e => {
  const line = e.target.closest?.(".hit"), item = e.target.closest?.("[data-step]");
  if (item) { mode = "watch"; return go(Number(item.dataset.step)); }
  if (line) return pick(...line.dataset.ends.split("-").map(Number));
  const b = e.target.closest?.("button,#graph g.node,#skip"); if (!b) return;
  if (b.id === "skip") { e.preventDefault(); return panel.focus(); }
  const d = b.dataset;
  if (d.mode) return turn(d.mode);
  if (d.rung) return go(Number(d.rung));
  if (b.id === "tempt") { tempted = !tempted; return show(); }
  if (b.id === "back") return go(here() - 1);
  if (b.id === "next") return go(here() + 1);
  if (b.id === "zoom-in") return resize(1.25);
  if (b.id === "zoom-out") return resize(.8);
  if (b.id === "zoom-fit") return resize(0);
  if (b.id === "print") { sheet(); return print(); }
  if (b.id === "keys") return help();
  if (b.id === "close") return $("#help").close();
  if (b.id === "go") return jump();
  if (b.id === "reset") { for (const k in edits) delete edits[k]; drawn = null; recompute(); return show(); }
  if (b.id === "shuffle") { for (const l of data.leaves) if (l.draw !== "keep") edits[l.id] = I.array(values[l.id].shape, values[l.id].data.map(() => Math.round((l.draw === "positive" ? .5 + random() : normal() * 2) * 10) / 10)); drawn = null; recompute(); return show(); }
  if (d.kind) { kind = d.kind; hints = 0; return show(); }
  if (d.question) return go(Number(d.question));
  if (d.insert) return insert(d.insert);
  if (b.id === "show") return reveal();
  if (b.id === "hint") { hints = Math.min(3, hints + 1); b.textContent = `${t("hint")} ${hints}/3`; $("#hints").innerHTML = hinted(); return; }
  if (b.id === "check" && kind === "ways") {
    const picked = new Set([...panel.querySelectorAll("[data-way][aria-pressed=true]")].map(x => Number(x.dataset.way))), right = usersOf(asks[question].of).filter(u => u[1]).map(u => u[0]);
    const ok = right.length === picked.size && right.every(u => picked.has(u));
    return say(ok ? t("right") : t("ways_wrong", { count: right.length }), ok);
  }
  if (b.id === "check") { const r = judge($("#answer").value); return say(r.text, r.ok); }
  if (d.way) { b.setAttribute("aria-pressed", b.getAttribute("aria-pressed") !== "true"); return markWays(); }
  if (d.shape !== undefined && mode === "quiz") { const ok = d.shape === values[asks[question].answer].shape.join(","); return say(ok ? t("right") : t("shape_wrong", { name: labelOf(asks[question].of) }), ok); }
  if (d.choice) { const o = chosen[Number(d.choice)]; return say(o.ok ? t("right") : `${told(o.m.say)}. ${asked(o.m.say[0])}`, !!o.ok); }
  if (d.break) { broken = apply(data.breaks[Number(d.break)]); guess = false; return show(); }
  if (b.id === "guess") { const some = data.breaks.map(apply).filter(x => x.wrong.length); guess = true; broken = some[Math.floor(random() * some.length + Date.now()) % some.length]; return show(); }
  if (b.id === "mend") { broken = null; guess = false; return show(); }
  if (d.guess) { const q = asks[Number(d.guess)]; return found(q.answer === broken.b.at || q.name === broken.b.name); }
  if (d.route) { const next = d.route.split(",").map(Number); way = way?.join() === next.join() ? null : next; return show(); }
  if (b.matches("g.node")) pick(place(b));
});
const pick = (a, b) => {  // a card, or a line from the value a to what used it, in the picture
  if (mode === "break" && guess) return guessed(a, b);
  if (mode === "quiz" && kind === "ways") {
    const q = asks[question], to = b === undefined ? a : a === card.get(q.of) ? b : -1;
    return [...panel.querySelectorAll("[data-way]")].find(x => card.get(Number(x.dataset.way)) === to)?.click();
  }
  if (mode !== "watch") return;
  const mine = s => b === undefined ? card.get(s.part === "backward" ? s.of : s.id) === a : s.kind === "part" && card.get(s.of) === a && card.get(s.user) === b;
  const all = [...steps.keys()].filter(k => mine(steps[k]));
  if (all.length) go(all.find(k => k > at) ?? all[0]);
};
document.addEventListener("change", e => {
  if (e.target.id === "lang") { lang = e.target.value; return show(); }
  if (e.target.dataset.leaf) { const { leaf, k } = e.target.dataset, ok = edit(Number(leaf), Number(k), e.target.value); e.target.setAttribute("aria-invalid", !ok); if (ok) refresh(); }
});
document.addEventListener("input", e => { if (e.target.id === "slide") go(Number(e.target.value)); });
document.addEventListener("mouseover", e => { enlarge(e.target.closest?.("#graph g.node")); const cell = e.target.closest?.("td[data-k]"); if (cell && mode === "watch") outline(cell); });
document.addEventListener("mouseout", e => { if (e.target.closest?.("td[data-k]") && mode === "watch") outline(document.activeElement?.closest?.("td[data-k]")); });
document.addEventListener("focusin", e => { enlarge(e.target.closest?.("#graph g.node:focus-visible")); if (mode === "watch") outline(e.target.closest?.("td[data-k]")); });
let drag = null;  // a number of Explore, dragged sideways
document.addEventListener("pointerdown", e => { if (e.target.dataset?.leaf) drag = { e: e.target, x: e.clientX, from: values[e.target.dataset.leaf].data[e.target.dataset.k], moved: false }; });
document.addEventListener("pointermove", e => {
  if (!drag || !drag.moved && Math.abs(e.clientX - drag.x) < 4) return;
  if (!drag.moved) { drag.moved = true; drag.e.dataset.drag = 1; drag.e.setPointerCapture?.(e.pointerId); }
  e.preventDefault(); edit(Number(drag.e.dataset.leaf), Number(drag.e.dataset.k), Math.round((drag.from + (e.clientX - drag.x) / 40) * 20) / 20); refresh();
});
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { if (drag) delete drag.e.dataset.drag; drag = null; });
document.addEventListener("keydown", e => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const on = e.target, cell = on.closest?.("td[tabindex]");
  if (on.id === "answer") { if (e.key === "Enter") { const r = judge(on.value); say(r.text, r.ok); } if (e.key === "Escape") panel.focus(); return; }
  if (on.id === "word") { if (e.key === "Enter") { e.preventDefault(); jump(); } return; }
  if (on.dataset?.leaf && (e.key === "ArrowUp" || e.key === "ArrowDown")) {
    const { leaf, k } = on.dataset, by = (e.key === "ArrowUp" ? 1 : -1) * (e.shiftKey ? 1 : .1);
    e.preventDefault(); edit(Number(leaf), Number(k), Math.round((values[leaf].data[k] + by) * 1e6) / 1e6); on.value = plain(values[leaf].data[k]); return refresh();
  }
  if (on.matches?.("input:not([type=range]),select") || $("#help").open) return;
  if (cell && e.key.startsWith("Arrow")) {
    const all = [...cell.closest("figure").querySelectorAll("td[data-k]")], wide = cell.parentNode.querySelectorAll("td").length, to = all[all.indexOf(cell) + { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[e.key]];
    e.preventDefault(); if (to) { cell.tabIndex = -1; to.tabIndex = 0; to.focus(); } return;
  }
  if (on.matches?.("#graph g.node") && (e.key === "Enter" || e.key === " ")) { e.preventDefault(); return pick(place(on)); }
  const key = e.key.length === 1 ? e.key.toLowerCase() : e.key, m = Object.keys(MODES).find(x => MODES[x].toLowerCase() === key);
  if (m) { e.preventDefault(); return turn(m); }
  if (stepping() && (key === "ArrowRight" || key === " " && !on.closest?.("button,summary"))) { e.preventDefault(); return go(here() + 1); }
  if (stepping() && key === "ArrowLeft") { e.preventDefault(); return go(here() - 1); }
  if (stepping() && key === "Home") { e.preventDefault(); return go(0); }
  if (stepping() && key === "End") { e.preventDefault(); return go(1e9); }
  if (key === "?") return help();
  if (key === "l" && mode === "watch" && steps[at].tex) { const old = $("#tex"); if (old) return old.remove(); const box = document.createElement("pre"); box.id = "tex"; box.textContent = steps[at].tex; $(".formula", panel).after(box); return; }
  if (key === "/") { e.preventDefault(); search(); }
});
const open = inside => { $("#help").innerHTML = `${inside}<button id="close">${t("close")}</button>`; $("#help").showModal(); };
const help = () => {
  const rows = [["← →, Space", "k_step"], ["Home End", "k_ends"], ["W", "watch"], ["E", "explore"], ["Q", "quiz"], ["B", "break"], ["P", "paths"], ["D", "derive"], ["Tab, ← → ↑ ↓", "k_cells"], ["↑ ↓", "k_drag"], ["L", "k_latex"], ["/", "k_jump"], ["?", "k_help"]];
  open(`<h2>${t("keys")}</h2><dl>${rows.map(([k, w]) => `<dt>${k.split(/,? /).map(x => `<kbd>${x}</kbd>`).join(" ")}</dt><dd>${t(w)}</dd>`).join("")}</dl><p>${t("offline")}</p>`);
};
const search = () => {
  open(`<h2>${t("k_jump")}</h2><label for="word">${t("jump")}</label><input id="word" class="answer" list="words" autocomplete="off" autocapitalize="off" spellcheck="false"><datalist id="words">${steps.map(s => `<option value="${esc(s.name)}">`).join("")}</datalist><p id="none" role="status"></p><button id="go" class="main">${t("go")}</button> `);
  $("#word").focus();
};
const jump = () => {
  const word = $("#word").value.trim(), i = data.shown.find(([n]) => n === word)?.[1], n = steps.findIndex(s => s.name === word || s.part !== "backward" && s.id === i);
  if (n < 0) { $("#none").textContent = t("jump_none"); return; }
  $("#help").close(); mode = "watch"; at = n; show(true);
};
addEventListener("hashchange", () => { read(); show(); });
cards.forEach(e => { e.setAttribute("role", "button"); e.setAttribute("tabindex", "0"); });
for (const { e, ends } of lines) for (const p of e.querySelectorAll(".value-line,.grad-line")) {  // a line is thin: what is clicked is a wide one
  const wide = p.cloneNode(); wide.setAttribute("class", "hit"); wide.dataset.ends = ends.slice(0, 2).join("-"); e.append(wide);
}
picture.setAttribute("role", "group"); picture.removeAttribute("aria-labelledby");
globalThis.Lesson = { judge: (q, s) => { question = q; return judge(s); }, weigh: (q, i) => weigh(asks[q], full()[i], draws().map(v => v[i])), data, get values() { return values; }, full, draws, edit, differences, turn, go, apply, sources };
read(); show();
