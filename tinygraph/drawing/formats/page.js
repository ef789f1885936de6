'use strict';
// The page of a drawing: move, zoom, open cards in their place, find nodes, and say what there is to know of one.
const $ = id => document.getElementById(id), NS = 'http://www.w3.org/2000/svg';
const main = document.querySelector('main'), svg = main.querySelector('svg'), aside = $('about-node');
const data = JSON.parse($('data').textContent), S = data.strings || [], LETTER = 10, PAD = 8, TITLE = 26;
const numbers = text => (text.match(/-?[\d.]+/g) || []).map(Number);
const make = (name, attributes, ...inside) => {
  const e = document.createElementNS(NS, name);
  for (const key in attributes) e.setAttribute(key, attributes[key]);
  e.append(...inside);
  return e;
};

// ------------------------------------------------------------------------------------------------ place and zoom
let x = 0, y = 0, k = 1;
const put = () => { svg.style.transform = `translate(${x}px,${y}px) scale(${k})`; };
const size = () => [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
const zoom = (factor, cx, cy) => {
  const n = Math.min(20, Math.max(.02, k * factor));
  x = cx - (cx - x) * n / k; y = cy - (cy - y) * n / k; k = n; put();
};
const middle = () => [main.clientWidth / 2, main.clientHeight / 2];
const scaleToFit = () => { const [w, h] = size(); return Math.min(main.clientWidth / w, main.clientHeight / h, 1.5); };
const fit = () => {
  const [w, h] = size(); k = scaleToFit();
  x = (main.clientWidth - w * k) / 2; y = Math.max(0, (main.clientHeight - h * k) / 2); put();
};
const start = () => {  // all of it, if its letters are large enough to read; else its beginning
  fit();
  if (k * LETTER >= (main.clientWidth < 700 ? 11 : 7)) return;
  k = 11.2 / LETTER; const [w, h] = size();
  x = w * k < main.clientWidth ? (main.clientWidth - w * k) / 2 : 4;
  y = h * k < main.clientHeight ? (main.clientHeight - h * k) / 2 : 4; put();
};
main.addEventListener('wheel', e => {
  e.preventDefault(); const r = main.getBoundingClientRect();
  zoom(Math.exp(-e.deltaY * (e.ctrlKey ? .01 : .0015)), e.clientX - r.left, e.clientY - r.top);
}, {passive: false});
const down = new Map(); let moved = false, way = 0;
main.addEventListener('pointerdown', e => {
  if (!down.size) { moved = false; way = 0; }
  down.set(e.pointerId, [e.clientX, e.clientY]);
});
addEventListener('pointermove', e => {
  const before = down.get(e.pointerId);
  if (!before) return;
  const now = [e.clientX, e.clientY], others = [...down].filter(([id]) => id !== e.pointerId).map(([, at]) => at);
  down.set(e.pointerId, now);
  if (others.length) {  // a pinch
    const [o] = others, r = main.getBoundingClientRect(), mid = (a, i) => (a[i] + o[i]) / 2;
    const length = a => Math.hypot(a[0] - o[0], a[1] - o[1]) || 1;
    moved = true; x += mid(now, 0) - mid(before, 0); y += mid(now, 1) - mid(before, 1);
    zoom(length(now) / length(before), mid(now, 0) - r.left, mid(now, 1) - r.top);
    return;
  }
  way += Math.hypot(now[0] - before[0], now[1] - before[1]); moved = moved || way > 5;
  if (moved) { main.classList.add('drag'); x += now[0] - before[0]; y += now[1] - before[1]; put(); }
});
for (const end of ['pointerup', 'pointercancel']) addEventListener(end, e => { down.delete(e.pointerId); if (!down.size) main.classList.remove('drag'); });
main.addEventListener('scroll', () => { main.scrollTop = main.scrollLeft = 0; });
$('fit').onclick = fit; $('more').onclick = () => zoom(1.25, ...middle()); $('less').onclick = () => zoom(.8, ...middle());

// ------------------------------------------------------------------------------- pictures, and room for open cards
const instances = new Map(); let root = 0;

const readPath = d => [...d.matchAll(/([A-Za-z])([^A-Za-z]*)/g)].map(m => [m[1], numbers(m[2])]);
const writePath = parts => parts.map(([c, n]) => c + n.map(v => Math.round(v * 10) / 10).join(' ')).join('');
const joined = (spans, low, high) => {  // spans that meet, as one
  const found = [];
  for (const s of [...spans].sort((a, b) => a[low] - b[low])) {
    const last = found.at(-1);
    if (last !== undefined && s[low] <= last[high]) last[high] = Math.max(last[high], s[high]);
    else found.push({[low]: s[low], [high]: s[high], gaps: []});
  }
  return found;
};
// A line is of pieces that are upright or level; its corners are round as far as there is room.
const cornersOf = parts => parts.flatMap(([c, n], i) => c === 'L' && parts[i + 1]?.[0] === 'Q' ? [] : [n.slice(0, 2)]);
const isUpright = ([a, b], [c, d]) => Math.abs(a - c) < Math.abs(b - d);
const curve = points => {
  const length = (a, b) => Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]);
  const parts = [['M', points[0]]], last = points.length - 1;
  for (let i = 1; i < last; i++) {
    const legs = [points[i - 1], points[i + 1]].map((o, j) => [o, length(points[i], o), (j ? i + 1 === last : i === 1) ? 1 : .5]);
    const r = Math.min(26, ...legs.map(([, l, share]) => l * share));
    const [a, b] = legs.map(([o, l]) => points[i].map((v, m) => v + (o[m] - v) * r / (l || 1)));
    parts.push(['L', a], ['Q', [...points[i], ...b]]);
  }
  return writePath([...parts, ['L', points[last]]]);
};
const rectOf = e => ['x', 'y', 'width', 'height'].map(a => +e.getAttribute(a) || 0);

const readPart = (p, e, number) => {
  const kind = e.classList, route = /e(\d+)-(\d+)-\d+$/.exec(e.id || '');
  if (kind.contains('node')) {
    const [mx, top] = numbers(e.getAttribute('transform')), [, , w, h] = rectOf(e.querySelector('rect.card'));
    const card = {e, mx, my: top + h / 2, x0: mx - w / 2, x1: mx + w / 2, y0: top, y1: top + h, opens: +(e.dataset.open ?? -1), panel: null};
    p.cards.push(card); p.byId.set(/n(\d+)$/.exec(e.id)?.[1], card);
  } else if (kind.contains('chip')) {
    const [a, b, w, h] = rectOf(e.firstElementChild); p.chips.push({e, x0: a, x1: a + w, y0: b, y1: b + h, ends: e.firstElementChild.dataset.ends});
  } else if (route) {
    const lines = [...e.children].map(c => ({e: c, parts: readPath(c.getAttribute('d')), head: /^(value|grad-head)$/.test(c.getAttribute('class'))}));
    p.routes.push({e, ends: [route[1], route[2]], lines});
  } else if (e.localName === 'rect') {
    const [a, b, w, h] = rectOf(e); (kind.contains('scope') ? p.boxes : p.lanes).push({e, x0: a, y0: b, x1: a + w, y1: b + h});
  } else if (e.localName === 'path') p.rules.push({e, parts: readPath(e.getAttribute('d'))});
  else { const t = e.localName === 'text' ? e : e.querySelector('text'); p.points.push({e, x: +t.getAttribute('x'), y: +t.getAttribute('y')}); }
};

const read = (g, number, width, height) => {
  const layer = g.querySelector(':scope>g'), below = [];
  for (let e = layer.nextElementSibling; e; e = e.nextElementSibling) below.push({e, transform: e.getAttribute('transform') || ''});
  const p = {g, number, width, height, layer, below, cards: [], byId: new Map(), chips: [], routes: [], lanes: [], boxes: [], rules: [], points: []};
  for (const e of [...layer.children]) readPart(p, e);
  // A picture is of columns, side by side, and these of rows: where nothing crosses a height, the next begins.
  const spanOf = r => {
    const all = r.lines.flatMap(l => l.parts.flatMap(([, n]) => n)), xs = all.filter((_, i) => i % 2 === 0), ys = all.filter((_, i) => i % 2);
    return {x0: Math.min(...xs), y0: Math.min(...ys), y1: Math.max(...ys)};
  };
  const spans = [...p.cards, ...p.boxes, ...p.routes.map(spanOf)];
  p.columns = joined(p.lanes.length ? p.lanes : [{x0: 0, x1: width}], 'x0', 'x1');
  p.columnAt = u => p.columns.findLast(c => u >= c.x0 - 6) || p.columns[0];
  for (const c of p.columns) c.rows = joined([{y0: 0, y1: 0}, ...spans.filter(s => p.columnAt(s.x0) === c)], 'y0', 'y1');
  p.rowAt = (u, v) => { const {rows} = p.columnAt(u); return rows.findLast(r => v >= r.y0 - 12) || rows[0]; };
  const near = (c, [a, b]) => a > c.x0 - 3 && a < c.x1 + 3 && b > c.y0 - 3 && b < c.y1 + 3;
  const cardAt = at => p.cards.find(c => near(c, at));
  for (const r of p.routes) r.lines = r.lines.flatMap((l, i, all) => {  // each with its head, and the cards at its ends
    if (l.head) return [];
    const head = all[i + 1], tip = head.parts[0][1], points = cornersOf(l.parts), around = [...points.slice(0, -1), tip];
    const upright = points.slice(1).map((_, j) => isUpright(around[j], around[j + 1]));
    return [{e: l.e, head, points, tip, upright, from: cardAt(points[0]), to: cardAt(tip), row: p.rowAt(...tip)}];
  });
  for (const h of p.chips) {  // the piece of a line that it is at
    const at = [(h.x0 + h.x1) / 2, (h.y0 + h.y1) / 2];
    for (const {lines, ends} of p.routes) if (ends.join('-') === h.ends) for (const line of lines) line.upright.forEach((upright, i) => {
      const [a, b] = [line.points[i], line.points[i + 1]];
      const away = [0, 1].map(m => Math.max(0, Math.min(a[m], b[m]) - at[m], at[m] - Math.max(a[m], b[m]))), far = Math.hypot(...away);
      if (!(h.far <= far)) Object.assign(h, {far, line, piece: i});
    });
  }
  return p;
};

const instance = number => {
  if (!instances.has(number)) {
    let g, w, h;
    if (number) {
      const [drawing, ids, opens] = data.pictures[number], [width, height, lines] = data.drawings[drawing];
      g = make('g', {class: 'picture'}); [w, h] = [width, height];
      g.innerHTML = lines.map(i => data.lines[i]).join('\n').replaceAll('p~-', `p${number}-`).replace(/#(\d+)|data-(node|open)="(\d+)"/g, (m, a, kind, b) => {
        const i = (a ?? b) - data.base;  // equal blocks share a drawing; their numbers are filled in
        return i < 0 || i >= ids.length ? m : a ? '#' + ids[i] : `data-${kind}="${(kind === 'open' ? opens : ids)[i]}"`;
      });
    } else { g = svg.querySelector(':scope>g.picture'); [w, h] = size(); }
    instances.set(number, read(g, number, w, h));
  }
  return instances.get(number);
};

const rooms = (open, gapsOf, high, middle, more) => {  // where a picture is cut to make room for the open cards
  for (const c of [...open].sort((a, b) => a[high] - b[high])) {
    const gaps = gapsOf(c);
    let g = gaps.find(o => o.at > c[middle]);
    if (!g) gaps.push(g = {at: c[high], more: 0});
    g.more = Math.max(g.more, more(c));
    c.panel[high] = g;
  }
};
const beyond = (gaps, v) => gaps.reduce((sum, g) => v >= g.at ? sum + g.more : sum, 0);

const arrange = p => {  // make room for the open cards of a picture; return its size
  const open = p.cards.filter(c => c.panel);
  for (const column of p.columns) for (const o of [column, ...column.rows]) o.gaps = [];
  for (const {panel} of open) {
    panel.size = arrange(panel.picture);
    panel.title.firstElementChild.setAttribute('width', Math.max(60, panel.title.lastElementChild.getComputedTextLength() + 14));
  }
  rooms(open, c => p.rowAt(c.mx, c.y0).gaps, 'x1', 'mx', c => Math.max(0, c.panel.size[0] + 2 * PAD - (c.x1 - c.x0)));
  rooms(open, c => p.columnAt(c.mx).gaps, 'y1', 'my', c => Math.max(0, c.panel.size[1] + TITLE + PAD - (c.y1 - c.y0)));
  let wider = 0, higher = 0;
  for (const column of p.columns) {
    column.before = wider; wider += column.wider = Math.max(...column.rows.map(r => beyond(r.gaps, Infinity)));
    higher = Math.max(higher, beyond(column.gaps, Infinity));
  }
  const X = (u, v, row = p.rowAt(u, v)) => p.columnAt(u).before + beyond(row.gaps, u), Y = (u, v) => beyond(p.columnAt(u).gaps, v);
  for (const c of p.cards) {  // a card moves as a whole, with its middle
    c.dx = X(c.mx, c.y0); c.dy = Y(c.mx, c.my);
    c.now = [c.x0 + c.dx, c.y0 + c.dy, c.x1 + c.dx + (c.panel ? c.panel.x1.more : 0), c.y1 + c.dy + (c.panel ? c.panel.y1.more : 0)];
    c.e.setAttribute('transform', `translate(${c.mx + c.dx} ${c.y0 + c.dy})`);
    if (c.panel) {
      c.panel.e.setAttribute('transform', `translate(${c.now[0]} ${c.now[1]})`);
      c.panel.frame.setAttribute('width', c.now[2] - c.now[0]); c.panel.frame.setAttribute('height', c.now[3] - c.now[1]);
    }
  }
  const pinned = (c, [u, v], row) => !c ? [X(u, v, row), Y(u, v)]  // how the end of a line moves: with its card
    : [c.dx + (c.panel && u > c.x1 - 1 ? c.panel.x1.more : 0), c.dy + (c.panel && v > c.y1 - 1 ? c.panel.y1.more : 0)];
  const isBlocked = (a, b, line) => p.cards.some(({now}, i) => p.cards[i] !== line.from && p.cards[i] !== line.to
    && Math.min(a[0], b[0]) < now[2] - 1 && Math.max(a[0], b[0]) > now[0] + 1 && Math.min(a[1], b[1]) < now[3] - 1 && Math.max(a[1], b[1]) > now[1] + 1);
  for (const {lines} of p.routes) for (const line of lines) {
    const {points, tip, upright, row} = line, n = upright.length, moved = (at, by) => at.map((v, m) => v + by[m]);
    const pins = [pinned(line.from, points[0], row), pinned(line.to, tip, row)], ends = [moved(points[0], pins[0]), moved(points[n], pins[1])];
    const free = upright.map((up, i) => up ? points[i][0] + X(...points[i], row) : points[i][1] + Y(...points[i]));
    const meet = i => upright[i - 1] === upright[i] ? ends[1] : upright[i] ? [line.across[i], line.across[i - 1]] : [line.across[i - 1], line.across[i]];
    const track = (i, end) => ends[end][upright[i] ? 0 : 1];
    line.across = [...free]; line.across[0] = track(0, 0); if (n > 1) line.across[n - 1] = track(n - 1, 1);
    const corners = () => [ends[0], ...points.slice(1, n).map((_, i) => meet(i + 1)), ends[1]];
    let now = corners();
    const away = [0, 1].map(end => {  // where its card has moved otherwise, and a card would lie in its way
      const i = end ? n - 1 : 0;
      return (n === 1 && Math.abs(track(0, 0) - track(0, 1)) > .1) || isBlocked(now[i], now[i + 1], line);
    });
    [0, 1].forEach(end => { if (away[end]) line.across[end ? n - 1 : 0] = free[end ? n - 1 : 0]; });
    now = corners();
    const step = end => {  // from the track of a card to that of the line
      const i = end ? n - 1 : 0, up = upright[i] ? 0 : 1, own = ends[end][up];
      if (!away[end] || Math.abs(own - line.across[i]) < .1) return [];
      const other = now[end ? n - 1 : 1][1 - up], start = ends[end][1 - up], far = Math.min(n === 1 ? 12 : 24, Math.abs(other - start) / 2), at = start + Math.sign(other - start) * far;
      const found = [own, line.across[i]].map(v => up ? [at, v] : [v, at]);
      return end ? found.reverse() : found;
    };
    line.e.setAttribute('d', curve([now[0], ...step(0), ...now.slice(1, -1), ...step(1), now.at(-1)]));
    line.head.e.setAttribute('d', writePath(line.head.parts.map(([c, v]) => [c, moved(v, pins[1])])));
  }
  for (const h of p.chips) {
    const cx = (h.x0 + h.x1) / 2, cy = (h.y0 + h.y1) / 2, {line, piece} = h;
    let dx = X(cx, cy, line?.row), dy = Y(cx, cy);
    if (line) { const up = line.upright[piece] ? 0 : 1, by = line.across[piece] - line.points[piece][up]; if (up) dy = by; else dx = by; }
    h.e.setAttribute('transform', `translate(${dx} ${dy})`);
  }
  const spread = (b, left, right) => {
    const y0 = b.y0 + Y(b.x0, b.y0);
    for (const [name, v] of [['x', left], ['y', y0], ['width', right - left], ['height', b.y1 + Y(b.x0, b.y1) - y0]]) b.e.setAttribute(name, v);
  };
  for (const b of p.boxes) { const row = p.rowAt(b.x0, (b.y0 + b.y1) / 2); spread(b, b.x0 + X(b.x0, 0, row), b.x1 + X(b.x0, 0, row) - beyond(row.gaps, b.x0) + beyond(row.gaps, b.x1)); }
  const widened = u => { const c = p.columnAt(u); return u + c.before + (u > (c.x0 + c.x1) / 2 ? c.wider : 0); };
  for (const b of p.lanes) spread(b, widened(b.x0), widened(b.x1));
  for (const t of p.points) {
    const middle = t.e.getAttribute('text-anchor') === 'middle', column = p.columnAt(t.x);
    t.e.setAttribute('transform', `translate(${middle ? column.before + column.wider / 2 : X(t.x, t.y)} ${Y(t.x, t.y)})`);
  }
  for (const r of p.rules) {  // a line across, in two parts with a text between them
    const [[, [a, v]], [, [b]]] = r.parts, column = p.columnAt((a + b) / 2), half = column.before + column.wider / 2;
    const left = (a + b) / 2 < (column.x0 + column.x1) / 2;
    r.e.setAttribute('d', `M${left ? a + column.before : a + half} ${v + Y(a, v)}H${left ? b + half : b + column.before + column.wider}`);
  }
  for (const b of p.below) b.e.setAttribute('transform', `translate(${wider / 2} ${higher}) ${b.transform}`);
  return [p.width + wider, p.height + higher];
};

const refresh = () => {
  const [w, h] = arrange(instance(root));
  svg.setAttribute('viewBox', `0 0 ${w} ${h}`); svg.setAttribute('width', w); svg.setAttribute('height', h);
  if ($('find').value.trim()) mark();
};
const corner = e => { const r = e.getBoundingClientRect(); return [r.left, r.top]; };
const keeping = (before, change, after) => {  // what the reader looks at stays where it is on the screen
  const [a, b] = corner(before()); change(); refresh();
  const [c, d] = corner(after()); x += a - c; y += b - d; put();
};

const addPanel = (p, card) => {
  const picture = instance(card.opens), [name] = data.cards[card.opens];
  const label = make('text', {x: 8, y: 17, class: 'bold ink', 'font-size': 12}); label.innerHTML = '▾ ' + S[name];
  const title = make('g', {class: 'shut', 'data-shut': card.opens, role: 'button', tabindex: 0, 'aria-expanded': 'true', 'aria-label': `${S[data.cards[card.opens][1]]}, open`},
    make('rect', {x: 2, y: 3, width: 60, height: 20, rx: 6}), label);
  const frame = make('rect', {class: 'frame', rx: 12});
  const e = make('g', {class: 'panel'}, frame, title, make('g', {transform: `translate(${PAD} ${TITLE})`}, picture.g));
  card.panel = {e, frame, title, picture}; card.e.classList.add('away');
  p.layer.insertBefore(e, p.routes.length ? p.routes[0].e : p.cards[0].e);
};
const removePanel = card => { card.panel.e.remove(); card.panel = null; card.e.classList.remove('away'); };
const shownPictures = () => {  // those that are open, from outside in
  const found = [instance(root)];
  for (const p of found) for (const c of p.cards) if (c.panel) found.push(c.panel.picture);
  return found;
};
const find = number => { for (const p of shownPictures()) for (const c of p.cards) if (c.opens === number) return [p, c]; return null; };
const openCard = number => {
  const [p, c] = find(number);
  keeping(() => c.e, () => addPanel(p, c), () => c.panel.e); c.panel.title.focus({preventScroll: true});
  const r = c.panel.e.getBoundingClientRect(), m = main.getBoundingClientRect();  // bring it in, if there is hardly any of it
  if (r.left > m.right - 120 || r.top > m.bottom - 80) { x -= Math.max(0, r.left - m.left - 40); y -= Math.max(0, r.top - m.top - 20); put(); }
  explainCard(number);
};
const shutCard = number => {
  const [, c] = find(number);
  keeping(() => c.panel.e, () => removePanel(c), () => c.e); c.e.focus({preventScroll: true});
};
const setRoot = number => {
  if (number === root) return;
  for (const p of shownPictures()) for (const c of p.cards) if (c.panel) removePanel(c);
  const before = instance(root).g, after = instance(number).g;
  root = number; before.replaceWith(after); $('overview').hidden = !root;
};
const pathTo = (number, seen = new Set()) => {  // which cards to open, from outside in, to see a picture
  if (number === root) return [];
  if (seen.has(number)) return null;
  seen.add(number);
  for (const parent of data.parents[number] || []) { const found = pathTo(parent, seen); if (found) return [...found, number]; }
  return null;
};
const openTo = number => {
  if (!pathTo(number)) setRoot(1);
  for (const step of pathTo(number) || []) { const found = find(step); if (found && !found[1].panel) addPanel(...found); }
};
const closeBox = number => {  // a box of the first picture: the same boxes are open then, but for this one
  const boxes = [...instance(0).g.querySelectorAll('[data-close]')], box = boxes.find(b => +b.dataset.close === number);
  keeping(() => box, () => {
    setRoot(1);
    for (const other of boxes) { openTo(+other.dataset.close); }
    for (const other of boxes) if (+other.dataset.close === number) { const found = find(number); if (found && found[1].panel) removePanel(found[1]); }
  }, () => find(number)[1].e);
  find(number)[1].e.focus({preventScroll: true});
};
$('overview').onclick = () => { setRoot(0); refresh(); start(); main.focus(); };

// --------------------------------------------------------------------------------------------------------- details
const rows = new Map((data.nodes || []).map(r => [r[0], r])), uses = new Map();
for (const r of rows.values()) for (let i = 0; i < r[17].length; i += 3) if (r[17][i + 1] >= 0) {
  if (!uses.has(r[17][i])) uses.set(r[17][i], []);
  uses.get(r[17][i]).push([r, i / 3]);
}
const safe = text => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const units = (n, names) => { let i = 0; while (n >= 1000 && i < names.length - 1) { n /= 1000; i++; } return `${+n.toPrecision(3)} ${names[i]}`; };
const bytes = n => units(n, ['B', 'kB', 'MB', 'GB']), count = n => units(n, ['', 'thousand', 'million', 'billion']).trim();
const link = id => rows.has(id) ? `<a href="#${id}" data-go="${id}">${S[rows.get(id)[2]]}</a>` : `#${id}`;
const filled = (template, r) => template.replace(/\{(\d+|out)\}/g, (m, i) => {
  if (i === 'out') return S[r[2]];
  const source = r[17][3 * i], partial = r[17][3 * i + 1];
  return source === undefined ? m : partial < 0 ? S[source] : link(source);
});
const line = (name, value) => value ? `<dt>${name}</dt><dd>${value}</dd>` : '';
const gradientOf = r => `∂${data.loss}/∂${/[/ ]/.test(S[r[3]]) ? `(${S[r[2]]})` : S[r[2]]}`;
const tell = inside => {
  aside.innerHTML = '<button class="end" aria-label="close">✕</button>' + inside; aside.hidden = false;
  aside.querySelector('.end').onclick = () => { aside.hidden = true; chosen?.focus({preventScroll: true}); };
};
let chosen = null;
const explain = id => {
  const r = rows.get(id); if (!r) return;
  const ways = []; for (let i = 0; i < r[17].length; i += 3) if (r[17][i + 1] >= 0) ways.push(r[17].slice(i, i + 3));
  const back = ways.filter(w => S[w[1]]), used = uses.get(id) || [], sent = used.filter(([u, i]) => S[u[17][3 * i + 2]]);
  tell(`<h2 class="math">${S[r[2]]}</h2><p class="muted">${safe(S[r[4]])} · ${safe(S[r[5]])} · ${safe(S[r[6]])} · #${id}</p>`
    + (S[r[8]] ? `<h3>Made by</h3><p class="math">${S[r[2]]} = ${filled(S[r[8]], r)}</p><p>${filled(S[r[9]], r)}</p>` : '')
    + (S[r[11]] ? `<h3>Value</h3><p class="value">${safe(S[r[11]])}</p>` : '')
    + `<h3>Gradient <span class="math">${gradientOf(r)}</span></h3><p class="grad">${safe(S[r[12]])}</p>`
    + (sent.length > 1 ? '<p>The sum of what comes through:</p><ul>' + sent.map(([u, i]) => `<li>${link(u[0])}: <span class="grad">${safe(S[u[17][3 * i + 2]])}</span></li>`).join('') + '</ul>' : '')
    + (back.length ? '<h3>Its local derivatives</h3><ul>' + back.map(w => `<li class="math">in ${link(w[0])}: ${filled(S[w[1]], r)}</li>`).join('') + '</ul>' : '')
    + (used.length ? '<h3>Used by</h3><ul>' + used.slice(0, 40).map(([u]) => `<li>${link(u[0])} <span class="muted">${safe(S[u[4]])}</span></li>`).join('') + (used.length > 40 ? `<li>and ${used.length - 40} more</li>` : '') + '</ul>' : '')
    + '<h3>Costs</h3><dl>' + line('value', bytes(r[14])) + line('kept for backward', r[15] ? bytes(r[15]) : '') + line('operations, about', r[16] < 0 ? 'not known' : r[16] ? count(r[16]) : '')
    + line('time', safe(S[r[13]]).replaceAll('; ', '<br>')) + '</dl><h3>Where</h3><dl>' + line('made at', safe(S[r[10]])) + line('inside of', safe(S[r[7]]) || 'no scope') + '</dl>');
};
const explainCard = number => {
  const r = data.cards[number]; if (!r) return;
  tell(`<h2>${S[r[0]]}</h2><p class="muted">${r[8]} ops · ${r[9]} nodes · ${count(r[10])} numbers of parameters</p><h3>Result ${safe(S[r[3]])}</h3><p class="value">${safe(S[r[4]])}</p>`
    + `<h3>Its gradient</h3><p class="grad">${safe(S[r[5]])}</p><h3>Costs</h3><dl>` + line('kept for backward', r[12] ? bytes(r[12]) : '') + line('operations, about', r[11] ? count(r[11]) : '')
    + line('time', safe(S[r[7]])) + '</dl><h3>Where</h3><dl>' + line('made at', safe(S[r[6]])) + line('inside of', safe(S[r[2]]) || 'no scope') + '</dl>');
};
const choose = e => {
  document.querySelectorAll('.chosen-one').forEach(o => o.classList.remove('chosen-one'));
  chosen = e; (e.closest('.node') || e).classList.add('chosen-one');
};
const bringIn = e => {  // into the middle, with letters of a size to read
  if (k * LETTER < 11) zoom(11.2 / LETTER / k, ...middle());
  const r = e.getBoundingClientRect(), m = main.getBoundingClientRect();
  x += (m.left + m.right - r.left - r.right) / 2; y += (m.top + m.bottom - r.top - r.bottom) / 2; put();
};
const go = (id, focus = true) => {
  id = data.within[id] ?? id; const r = rows.get(id); if (!r) return;
  if (root || !data.first.includes(id)) { openTo(r[1]); refresh(); }
  const e = shownPictures().map(p => [...p.cards, ...p.g.querySelectorAll('.held')].map(c => c.e || c).concat([...p.g.querySelectorAll('.held')])
    .find(c => +c.dataset.node === id && !c.closest('.away') && c.closest('.picture') === p.g)).find(Boolean);
  if (!e) return;
  explain(id); choose(e); bringIn(e); if (focus) (e.closest('.node') || e).focus({preventScroll: true});
};
const goCard = (number, focus = true) => {
  const parents = data.parents[number] || [];
  if (!find(number)) { openTo(parents.includes(root) ? root : parents[0]); refresh(); }
  const found = find(number); if (!found) return;
  const e = found[1].panel ? found[1].panel.title : found[1].e;
  explainCard(number); choose(e); bringIn(e); if (focus) e.focus({preventScroll: true});
};
aside.addEventListener('click', e => { const a = e.target.closest('[data-go]'); if (a) { e.preventDefault(); go(+a.dataset.go); } });

// ---------------------------------------------------------------------------------------------------------- search
const seek = $('find'), list = $('list'); let hits = [], next = 0;
const places = [...rows.values()].map(r => ({id: r[0], name: S[r[3]], html: S[r[2]], more: [S[r[4]], S[r[5]], S[r[7]]].filter(Boolean).join(' · '), go: f => go(r[0], f), home: r[1]}))
  .concat(Object.entries(data.cards || {}).map(([n, r]) => ({card: +n, name: S[r[1]], html: '▸ ' + S[r[0]], more: [`${r[9]} nodes`, S[r[2]]].filter(Boolean).join(' · '), go: f => goCard(+n, f), home: 0})));
const rank = (p, q) => {  // σ is not Σ: a single letter is meant as it is
  if (p.name === q || q === `#${p.id}`) return 0;
  if ([...q].length === 1) return p.name.includes(q) ? 3 : 9;
  const small = q.toLowerCase(), name = p.name.toLowerCase();
  return name === small ? 1 : name.startsWith(small) ? 2 : name.includes(small) ? 3 : p.more.toLowerCase().includes(small) ? 4 : 9;
};
const mark = () => {
  const q = seek.value.trim(), ids = new Set(hits.map(h => h.id)), cards = new Set(hits.map(h => h.card)), up = hits.map(h => h.card ?? h.home);
  while (up.length) for (const parent of data.parents[up.pop()] || []) if (!cards.has(-parent - 1)) { cards.add(-parent - 1); up.push(parent); }
  for (const h of hits) cards.add(-h.home - 1);
  document.querySelectorAll('main .node').forEach(e => e.classList.toggle('miss', Boolean(q) && !e.querySelector('.held') && !ids.has(+e.dataset.node)
    && !(e.dataset.open && (cards.has(+e.dataset.open) || cards.has(-e.dataset.open - 1)))));
};
const search = () => {
  const q = seek.value.trim(); next = 0;
  hits = q ? places.map(p => [rank(p, q), p]).filter(([r]) => r < 9).sort((a, b) => a[0] - b[0]).map(([, p]) => p) : [];
  $('hits').textContent = q ? `${hits.length} found` : '';
  list.hidden = !hits.length;
  list.replaceChildren(...hits.slice(0, 40).map(h => {
    const item = document.createElement('li'), b = document.createElement('button');
    b.innerHTML = `${h.html}<small>${safe(h.more)}</small>`; b.onclick = () => { list.hidden = true; h.go(true); };
    item.append(b); return item;
  }));
  mark();
};
if (data.nodes) seek.oninput = search; else $('seek').hidden = true;
seek.addEventListener('keydown', e => {
  if (e.key === 'Enter' && hits.length) { e.preventDefault(); list.hidden = true; hits[next++ % hits.length].go(false); }
  if (e.key === 'ArrowDown' && !list.hidden) { e.preventDefault(); list.querySelector('button')?.focus(); }
});
list.addEventListener('keydown', e => {
  const step = {ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling'}[e.key]; if (!step) return;
  e.preventDefault(); (document.activeElement.parentElement[step]?.firstElementChild || seek).focus();
});
addEventListener('pointerdown', e => { if (!e.target.closest('#seek')) list.hidden = true; });

// -------------------------------------------------------------------------------------------------- clicks and keys
const act = e => {
  if (e.dataset.shut) shutCard(+e.dataset.shut);
  else if (e.dataset.close) closeBox(+e.dataset.close);
  else if (e.dataset.open) { if (+e.dataset.open >= 0) openCard(+e.dataset.open); }
  else { choose(e); explain(+e.dataset.node); }
};
const ACTS = '[data-shut],[data-close],[data-open],[data-node]';
main.addEventListener('click', e => { const found = e.target.closest(ACTS); if (found && !moved && data.nodes) act(found); });
main.addEventListener('focusin', e => {
  if (e.target === main || !e.target.matches(':focus-visible')) return;
  const r = e.target.getBoundingClientRect(), m = main.getBoundingClientRect();
  if (r.left < m.left || r.top < m.top || r.right > m.right || r.bottom > m.bottom) bringIn(e.target);
});
addEventListener('keydown', e => {
  const typing = /^(INPUT|TEXTAREA)$/.test(e.target.tagName), here = e.target.closest?.(ACTS);
  if (e.key === 'Escape') {
    list.hidden = true;
    if (seek.value) { seek.value = ''; search(); (chosen || main).focus({preventScroll: true}); }
    else if (!aside.hidden) { const inside = aside.contains(e.target); aside.hidden = true; if (inside) (chosen || main).focus({preventScroll: true}); }
    else { const panel = e.target.closest?.('.panel'); if (panel) shutCard(+panel.querySelector('.shut').dataset.shut); }
    return;
  }
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const keys = {'+': () => zoom(1.25, ...middle()), '=': () => zoom(1.25, ...middle()), '-': () => zoom(.8, ...middle()), '0': fit, '/': () => { seek.focus(); seek.select(); }};
  if ((e.key === 'Enter' || e.key === ' ') && here && main.contains(here)) { e.preventDefault(); act(here); }
  else if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
  else if (e.key.startsWith('Arrow') && (main.contains(e.target) || e.target === document.body)) {
    e.preventDefault(); x += 60 * ((e.key === 'ArrowLeft') - (e.key === 'ArrowRight')); y += 60 * ((e.key === 'ArrowUp') - (e.key === 'ArrowDown')); put();
  }
});
if (data.nodes) refresh();
start();
