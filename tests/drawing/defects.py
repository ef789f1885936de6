"""What is wrong with a picture, as Chromium draws it: an SVG goes in, its defects by kind come out.

    python tests/drawing/defects.py                         a table of the gallery and of more_graphs.py
    python tests/drawing/defects.py --width 506pt mlp deep  of two, at the width of a page
    python tests/drawing/defects.py --list picture.svg      each defect of a file

Chromium measures (`MEASURE`), Python judges (`KINDS`). All pictures of a call share one page.
"""
# ruff: noqa: E501 - the script reads best in lines

from __future__ import annotations

import argparse
import itertools
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.drawing.chromium import read_page

Point = tuple[float, float]
Rect = tuple[float, float, float, float]  # left, top, right, bottom

SLIDE, SLIDE_LETTER = (1920.0, 1080.0), 12.0  # pixels
PAPER_LETTER, PAGE_RATIO = 6.0, 1.3  # points; how many pages high a picture may be
PAGE = (506.0, 720.0)  # points
TRACK_GAP, TRACK_LENGTH = 2.0, 3.0

MEASURE = r"""<!DOCTYPE html><meta charset="utf-8"><body>%s<pre id="out"></pre><script>
const round = v => Math.round(v * 100) / 100;
function measure(s) {
  const root = s.getScreenCTM().inverse(), frame = s.viewBox.baseVal;
  const place = new Map();
  const matrix = e => { const m = root.multiply(e.getScreenCTM()); return [m.a, m.d, m.e, m.f]; };
  function box(e) {
    if (place.has(e)) return place.get(e);
    const b = e.getBBox(), [a, d, x, y] = matrix(e);
    const r = [b.x * a + x, b.y * d + y, (b.x + b.width) * a + x, (b.y + b.height) * d + y].map(round);
    place.set(e, r);
    return r;
  }
  const points = (e, d) => { const [a, b, x, y] = matrix(e); return [a, b, x, y, d]; };
  const faint = e => { const g = e.closest('.faint'); return g !== null; };
  const rgb = c => (c.match(/[\d.]+/g) || []).map(Number);
  const order = new Map([...s.querySelectorAll('rect,path,text')].map((e, k) => [e, k]));
  const shapes = [...s.querySelectorAll('rect,path')].map(e => {
    const c = getComputedStyle(e), f = rgb(c.fill);
    const alpha = c.fill === 'none' ? 0 : (f.length > 3 ? f[3] : 1) * c.fillOpacity * c.opacity;
    return { e, f, alpha, b: alpha > 0 && box(e), k: order.get(e) };
  }).filter(x => x.alpha > 0);
  function ground(t, x, y) {
    let under = [255, 255, 255];
    const last = order.get(t);
    for (const { e, f, alpha, b, k } of shapes) {
      if (k > last) break;
      if (x < b[0] || x > b[2] || y < b[1] || y > b[3]) continue;
      const [a, d, dx, dy] = matrix(e);
      if (e.tagName === 'path' && !e.isPointInFill(new DOMPoint((x - dx) / a, (y - dy) / d))) continue;
      under = under.map((u, k) => u * (1 - alpha) + f[k] * alpha);
    }
    return under;
  }
  const light = c => c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
  function text(t) {
    const r = box(t), c = getComputedStyle(t), parts = [t, ...t.children];
    const sizes = parts.filter(e => e.textContent.trim() && [...e.childNodes].some(n => n.nodeType === 3))
      .map(e => parseFloat(getComputedStyle(e).fontSize) * matrix(t)[0]);
    const under = ground(t, (r[0] + r[2]) / 2, (r[1] + r[3]) / 2), own = rgb(c.fill).slice(0, 3);
    const opaque = c.opacity * c.fillOpacity, ink = own.map((v, k) => v * opaque + under[k] * (1 - opaque));
    const pair = [light(ink), light(under)].sort((a, b) => b - a);
    return { rect: r, text: t.textContent, size: Math.min(...sizes, 999), contrast: (pair[0] + .05) / (pair[1] + .05),
             classes: t.getAttribute('class') || '' };
  }
  const all = q => [...s.querySelectorAll(q)];
  return {
    width: frame.width, height: frame.height,
    size: [s.getAttribute('width'), s.getAttribute('height')],
    cards: all('g.node').map(g => ({
      id: g.id, rect: box(g.querySelector('rect.card')), faint: faint(g),
      stub: g.querySelector(':scope > .h-stub') !== null || g.id.includes('stub'),
      title: (g.querySelector('title') || {}).textContent || '', texts: [...g.querySelectorAll('text')].map(text),
      bars: [...g.querySelectorAll('path.value,path.grad')].map(p => points(p, p.getAttribute('d'))),
    })),
    chips: all('g.chip').map(g => ({ rect: box(g.querySelector('rect')), texts: [...g.querySelectorAll('text')].map(text) })),
    edges: all('g[id]').filter(g => /(^|-)e\d+-\d+-\d+$/.test(g.id)).map(g => ({
      id: g.id,
      lines: [...g.querySelectorAll('.value-line,.grad-line')].map(p =>
        ({ ink: p.getAttribute('class').split('-')[0], path: points(p, p.getAttribute('d')) })),
      heads: [...g.querySelectorAll('path.value,path.grad-head')].map(p => ({ rect: box(p), ink: p.getAttribute('class').split('-')[0] })),
    })),
    boxes: all('rect.scope').map(r => ({ rect: box(r), text: (r.nextElementSibling || {}).textContent || '', heading: r.nextElementSibling ? box(r.nextElementSibling) : null })),
    texts: all('text').filter(t => !t.closest('g.node') && !t.closest('g.chip')).map(text),
  };
}
document.getElementById('out').textContent = JSON.stringify([...document.querySelectorAll('body > svg')].map(measure));
</script>"""


class Defect(NamedTuple):
    """One thing that is wrong with a picture."""

    kind: str
    what: str


class Segment(NamedTuple):
    """A straight piece of a line: its ends, the line's edge (source, target, number), its ink, and what it covers."""

    a: Point
    b: Point
    edge: tuple[int, int, int]
    ink: str
    rect: Rect


class Picture:
    """One measured picture."""

    def __init__(self, measured: dict[str, Any]) -> None:
        self.width, self.height, self.size = measured["width"], measured["height"], measured["size"]
        self.cards, self.chips, self.boxes = measured["cards"], measured["chips"], measured["boxes"]
        self.texts, self.edges = measured["texts"], measured["edges"]
        self.segments = [
            Segment(a, b, name, line["ink"], (min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])))
            for edge in self.edges
            for name in [edge_of(edge["id"])]
            for line in edge["lines"]
            for a, b in itertools.pairwise(points_of(line["path"]))
            if a != b
        ]
        self.heads = [(head["rect"], edge["id"], head["ink"]) for edge in self.edges for head in edge["heads"]]

    def segments_in(self, rect: Rect) -> list[Segment]:
        """Return the pieces of lines that run through the inside of a rectangle."""
        left, top, right, bottom = rect
        return [
            s
            for s in self.segments
            if s.rect[0] < right and s.rect[2] > left and s.rect[1] < bottom and s.rect[3] > top and crosses(s, rect)
        ]

    @property
    def all_texts(self) -> Iterator[dict[str, Any]]:
        """Every text of the picture."""
        for part in (*self.cards, *self.chips):
            yield from part["texts"]
        yield from self.texts

    @property
    def points(self) -> float | None:
        """Return its width in points, if that was asked for."""
        found = re.fullmatch(r"([\d.]+)pt", self.size[0] or "")
        return float(found[1]) if found else None


def edge_of(name: str) -> tuple[int, int, int]:
    """Return source, target and number of the edge with this id."""
    source, target, k = re.findall(r"e(\d+)-(\d+)-(\d+)$", name)[0]
    return int(source), int(target), int(k)


def points_of(path: Sequence[Any]) -> list[Point]:
    """Return the points of a line of straight pieces and quadratic bends, each of which becomes eight short pieces."""
    a, d, dx, dy, data = path
    found: list[Point] = []
    for letter, numbers in re.findall(r"([MLQ])([^MLQ]*)", data):
        v = [float(n) for n in re.findall(r"-?[\d.]+", numbers)]
        if letter == "Q":
            (x0, y0), (x1, y1, x2, y2) = found[-1], v
            for k in range(1, 9):
                t = k / 8
                found.append(
                    tuple(
                        (1 - t) ** 2 * p + 2 * t * (1 - t) * q + t * t * r for p, q, r in ((x0, x1, x2), (y0, y1, y2))
                    )
                )  # type: ignore[arg-type]
        else:
            found.append((v[0], v[1]))
    return [(x * a + dx, y * d + dy) for x, y in found]


def shrunk(rect: Sequence[float], by: float) -> Rect:
    """Return a rectangle that is smaller on each side."""
    return rect[0] + by, rect[1] + by, rect[2] - by, rect[3] - by


def meets(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two rectangles have more than an edge in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def crosses(segment: Segment, rect: Sequence[float]) -> bool:
    """Whether a straight piece runs through the inside of a rectangle (Liang and Barsky's clipping)."""
    (x0, y0), (x1, y1) = segment.a, segment.b
    low, high = 0.0, 1.0
    for start, by, least, most in ((x0, x1 - x0, rect[0], rect[2]), (y0, y1 - y0, rect[1], rect[3])):
        if by == 0:
            if not least < start < most:
                return False
            continue
        first, last = sorted(((least - start) / by, (most - start) / by))
        low, high = max(low, first), min(high, last)
    return low < high


def pairs(items: Sequence[Any], rect: Callable[[Any], Sequence[float]]) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs of things whose rectangles meet, found by sweeping from left to right."""
    open_: list[Any] = []
    for item in sorted(items, key=lambda i: rect(i)[0]):
        mine = rect(item)
        open_ = [other for other in open_ if rect(other)[2] > mine[0]]
        yield from ((other, item) for other in open_ if meets(rect(other), mine))
        open_.append(item)


# --------------------------------------------------------------------------------------------------------- the kinds


def cards_over_cards(p: Picture) -> Iterator[str]:
    """Two cards cover each other."""
    for a, b in pairs(p.cards, lambda c: shrunk(c["rect"], 0.2)):
        yield f"{a['id']} and {b['id']}"


def chips_over_cards(p: Picture) -> Iterator[str]:
    """A label covers a card."""
    for chip, card in itertools.product(p.chips, p.cards):
        if meets(shrunk(chip["rect"], 0.2), card["rect"]):
            yield f"{said(chip)} on {card['id']}"


def chips_over_chips(p: Picture) -> Iterator[str]:
    """Two labels cover each other."""
    for a, b in pairs(p.chips, lambda c: shrunk(c["rect"], 0.2)):
        yield f"{said(a)} on {said(b)}"


def lines_through_cards(p: Picture) -> Iterator[str]:
    """A line runs through a card."""
    for card in p.cards:
        inside = shrunk(card["rect"], 1.5)
        for edge in {s.edge for s in p.segments_in(inside)}:
            yield f"{edge} through {card['id']}"


def parts_out_of_page(p: Picture) -> Iterator[str]:
    """A card, a box, a line or a text sticks out of the picture."""
    parts = [(c["id"], c["rect"]) for c in p.cards] + [(said(c), c["rect"]) for c in p.chips]
    parts += [(b["text"], b["rect"]) for b in p.boxes] + [(str(s.edge), s.rect) for s in p.segments]
    parts += [(t["text"], t["rect"]) for t in p.all_texts if t["text"].strip()]
    for name, (left, top, right, bottom) in parts:
        if left < -0.6 or top < -0.6 or right > p.width + 0.6 or bottom > p.height + 0.6:
            yield name


def faint_texts(p: Picture) -> Iterator[str]:
    """The contrast of a text with its ground is less than 4.5."""
    for text in p.all_texts:
        if text["text"].strip() and text["contrast"] < 4.5:
            yield f"{text['text']}: {text['contrast']:.2f}"


def small_on_slide(p: Picture) -> Iterator[str]:
    """The smallest letter is under 12 px on a slide of 1920 × 1080."""
    size = min((t["size"] for t in p.all_texts), default=math.inf) * min(SLIDE[0] / p.width, SLIDE[1] / p.height)
    if size < SLIDE_LETTER - 0.05 and p.points is None:
        yield f"{size:.1f} px"


def small_on_paper(p: Picture) -> Iterator[str]:
    """The smallest letter is under 6 pt at a width in points."""
    if p.points is not None:
        size = min((t["size"] for t in p.all_texts), default=math.inf) * p.points / p.width
        if size < PAPER_LETTER - 0.02:
            yield f"{size:.1f} pt"


def lines_on_one_track(p: Picture) -> Iterator[str]:
    """Lines of two edges lie on each other. Those of one value in one colour may: they fork."""
    tracks: dict[tuple[bool, int], list[Segment]] = defaultdict(list)
    for s in p.segments:
        upright, level = s.a[0] == s.b[0], s.a[1] == s.b[1]
        if upright != level:
            at = s.a[0] if upright else s.a[1]
            for near in {int(at // 4), int((at + TRACK_GAP) // 4)}:
                tracks[upright, near].append(s)
    found = set()
    for (upright, _), group in tracks.items():
        across, along = (0, 1) if upright else (1, 0)
        for a, b in itertools.combinations(group, 2):
            same = a.edge[0] == b.edge[0] and a.ink == b.ink
            overlap = min(a.rect[along + 2], b.rect[along + 2]) - max(a.rect[along], b.rect[along])
            close = abs(a.a[across] - b.a[across]) < TRACK_GAP
            if close and overlap > TRACK_LENGTH and not same and a.edge != b.edge:
                found.add((a.edge, a.ink, b.edge, b.ink))
    yield from (f"{a} {x} and {b} {y}" for a, x, b, y in sorted(found))


def heads_on_heads(p: Picture) -> Iterator[str]:
    """Two arrowheads cover each other."""
    for a, b in pairs(p.heads, lambda h: shrunk(h[0], 0.3)):
        yield f"{a[1]} {a[2]} and {b[1]} {b[2]}"


def heads_under_chips(p: Picture) -> Iterator[str]:
    """A label covers an arrowhead."""
    for chip, (rect, name, ink) in itertools.product(p.chips, p.heads):
        if meets(shrunk(chip["rect"], 0.5), rect):
            yield f"{name} {ink} under {said(chip)}"


def inks_of(chip: dict[str, Any]) -> set[str]:
    """Return which lines a label speaks of: value, grad, or both."""
    return {ink for t in chip["texts"] for ink in ("value", "grad") if ink in t["classes"].split()} or {"value", "grad"}


def lines_under(p: Picture) -> Iterator[tuple[dict[str, Any], set[tuple[tuple[int, int, int], str]]]]:
    """Yield each label with the lines that it covers."""
    for chip in p.chips:
        yield chip, {(s.edge, s.ink) for s in p.segments_in(shrunk(chip["rect"], 0.8))}


def chips_on_other_lines(p: Picture) -> Iterator[str]:
    """A label hides a line of the other colour."""
    for chip, lines in lines_under(p):
        for edge, ink in sorted(lines):
            if ink not in inks_of(chip):
                yield f"{said(chip)} on {ink} of {edge}"


def chips_on_two_lines(p: Picture) -> Iterator[str]:
    """A label stands on two lines of its own colour."""
    for chip, lines in lines_under(p):
        for ink in inks_of(chip):
            own = sorted({edge for edge, other in lines if other == ink})
            if len(own) > 1:
                yield f"{said(chip)} on {own}"


def formulas_cut_off(p: Picture) -> Iterator[str]:
    """A formula ends within a bracket and does not say so with "…"."""
    for text in p.all_texts:
        said_ = text["text"]
        if "…" not in said_ and any(said_.count(a) != said_.count(b) for a, b in ("()", "[]")):
            yield said_


def texts_out_of_parts(p: Picture) -> Iterator[str]:
    """A text is wider or higher than its card or label."""
    for part in (*p.cards, *p.chips):
        left, top, right, bottom = part["rect"]
        for text in part["texts"]:
            x0, y0, x1, y1 = text["rect"]
            if text["text"].strip() and (x0 < left - 0.6 or x1 > right + 0.6 or y0 < top - 2.5 or y1 > bottom + 2.5):
                yield text["text"]


def too_wide(p: Picture) -> Iterator[str]:
    """The picture is wider than 3:1."""
    if p.width > 3 * p.height and p.height > 300:
        yield f"{p.width:.0f} × {p.height:.0f}"


def too_tall(p: Picture) -> Iterator[str]:
    """The picture is higher than 1.3 pages at a width in points."""
    if p.points is not None:
        height = p.points * p.height / p.width
        page = PAGE[1] if abs(p.points - PAGE[0]) < 1 else p.points * math.sqrt(2)
        if height > PAGE_RATIO * page + 0.5:
            yield f"{height:.0f} pt"


def texts_over_bars(p: Picture) -> Iterator[str]:
    """A text covers the bars of its own card."""
    for card in p.cards:
        for a, d, dx, dy, path in card["bars"]:
            for x, y, w, h in re.findall(r"M(-?[\d.]+) (-?[\d.]+)h(-?[\d.]+)v-?(-?[\d.]+)h", path):
                x0, y1 = float(x) * a + dx, float(y) * d + dy
                bar = x0, y1 - abs(float(h)) * d, x0 + float(w) * a, y1
                for text in card["texts"]:
                    if meets(shrunk(text["rect"], 1.5), bar):
                        yield f"{text['text']} in {card['id']}"


def lines_to_nowhere(p: Picture) -> Iterator[str]:
    """A line does not join the two cards that its id names, or the stubs of these, in the direction of its ink."""
    rects: dict[str, list[Rect]] = defaultdict(list)
    stubs = [c["rect"] for c in p.cards if c["stub"]]
    for card in p.cards:
        rects[re.sub(r"^.*-", "", card["id"])].append(card["rect"])
    for edge in p.edges:
        source, target, _ = edge_of(edge["id"])
        alone = len(edge["lines"]) == 1  # in a mirrored band a gradient's own gradient runs with the values
        for line in edge["lines"]:
            points = points_of(line["path"])
            ends = [points[0], points[-1]] if line["ink"] == "value" else [points[-1], points[0]]
            ways = [ends, ends[::-1]] if alone and line["ink"] == "grad" else [ends]
            if not any(
                is_near(a, [*rects[f"n{source}"], *stubs]) and is_near(b, [*rects[f"n{target}"], *stubs])
                for a, b in ways
            ):
                yield f"{edge['id']} {line['ink']}"


def is_near(point: Point, rects: Sequence[Rect]) -> bool:
    """Whether a line that ends here, before its head, touches one of the rectangles."""
    return any(r[0] - 11 <= point[0] <= r[2] + 11 and r[1] - 11 <= point[1] <= r[3] + 11 for r in rects)


def paths_of_cards(p: Picture) -> Iterator[tuple[dict[str, Any], tuple[str, ...], bool]]:
    """Yield each card with the path of its scope, and whether it is a leaf."""
    for card in p.cards:
        lines = card["title"].split("\n")
        kind = lines[1].split(" ")[0] if len(lines) > 1 else "stub"
        if not card["stub"] and kind not in ("stub", "gradient"):
            leaf = kind in ("input", "parameter", "constant")
            yield card, tuple(lines[0].split("/")[:-1]), leaf


def entries_of(p: Picture) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Yield each entry into a scope, as the path and the cards that were computed one after the other under it."""
    computed = sorted(
        (
            (int(re.findall(r"n(\d+)$", card["id"])[0]), path, card)
            for card, path, leaf in paths_of_cards(p)
            if not leaf
        ),
        key=lambda c: c[0],
    )
    for depth in range(1, 1 + max((len(path) for _, path, _ in computed), default=0)):
        for path, run in itertools.groupby(computed, key=lambda c: c[1][:depth]):
            if len(path) == depth:
                yield path, [card for *_, card in run]


def boxes_missing(p: Picture) -> Iterator[str]:
    """A card stands outside every box of its scope, which is of two computed cards or more, or has a box elsewhere."""
    wanted = [(path, cards) for path, cards in entries_of(p) if len(cards) > 1]
    for card, path, leaf in paths_of_cards(p):
        wanted += [(path[:k], [card]) for k in range(1, len(path) + 1) if leaf]
    for path, cards in wanted:
        boxes = [b["rect"] for b in p.boxes if is_box_of(b, path[-1:])]
        lost = [c["id"] for c in cards if not any(contains(b, c["rect"]) for b in boxes)]
        if lost and (len(cards) > 1 or boxes):
            yield f"{'/'.join(path)}: {', '.join(lost)}"


def cards_in_other_boxes(p: Picture) -> Iterator[str]:
    """A computed value stands in the box of a scope that is not its own."""
    for card, path, leaf in paths_of_cards(p):
        for box in p.boxes:
            if not leaf and meets(box["rect"], card["rect"]) and not is_box_of(box, path):
                yield f"{card['id']} in {box['text']}"


def contains(outer: Sequence[float], inner: Sequence[float]) -> bool:
    """Whether one rectangle lies in another."""
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def is_box_of(box: dict[str, Any], names: Sequence[str]) -> bool:
    """Whether a box is that of a scope of one of these names: "▾ encoder (1/2)" of "encoder"; it may be cut off."""
    said_ = plain(re.sub(r"\s*\(\d+/\d+\)$", "", box["text"].removeprefix("▾")))
    return any(plain(name).startswith(said_[:-1]) if said_.endswith("…") else plain(name) == said_ for name in names)


def plain(name: str) -> str:
    """Return a name with plain spaces."""
    return " ".join(name.split())


def lines_through_names(p: Picture) -> Iterator[str]:
    """A line runs through the name of a lane or of a box."""
    names = [t for t in p.texts if t["text"].strip()]
    for text in names:
        for edge in {s.edge for s in p.segments_in(shrunk(text["rect"], 1.5))}:
            yield f"{edge} through {text['text']}"


def said(chip: dict[str, Any]) -> str:
    """Return what a label says."""
    return " ".join(t["text"] for t in chip["texts"])


KINDS: dict[str, Callable[[Picture], Iterator[str]]] = {
    "card over card": cards_over_cards,
    "chip over card": chips_over_cards,
    "chip over chip": chips_over_chips,
    "line through a card": lines_through_cards,
    "part out of page": parts_out_of_page,
    "contrast under 4.5": faint_texts,
    "letter under 12 px on a slide": small_on_slide,
    "letter under 6 pt": small_on_paper,
    "lines on one track": lines_on_one_track,
    "arrowheads on each other": heads_on_heads,
    "arrowhead under a chip": heads_under_chips,
    "chip hides another line": chips_on_other_lines,
    "chip on two lines": chips_on_two_lines,
    "formula cut off": formulas_cut_off,
    "text out of its part": texts_out_of_parts,
    "wider than 3:1": too_wide,
    "taller than 1.3 pages": too_tall,
    "text over its bars": texts_over_bars,
    "line to nowhere": lines_to_nowhere,
    "scope box missing": boxes_missing,
    "card in another's box": cards_in_other_boxes,
    "line through a name": lines_through_names,
}


def defects_of_all(pictures: Sequence[str]) -> list[list[Defect]]:
    """Return the defects of each SVG."""
    measured = read_page(MEASURE.replace("%s", "\n".join(pictures)))
    assert len(measured) == len(pictures)
    judged = map(Picture, measured)
    return [[Defect(kind, what) for kind, find in KINDS.items() for what in find(picture)] for picture in judged]


def defects_of(svg: str) -> Counter[str]:
    """Return how many defects of each kind an SVG has."""
    return Counter(defect.kind for defect in defects_of_all([svg])[0])


# -------------------------------------------------------------------------------------------------- as a command


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, measure, and print a table."""
    from tests import gallery
    from tests.drawing.more_graphs import MORE
    from tinygraph.drawing.formats.svg import svg

    parser = argparse.ArgumentParser(description="Count the defects of pictures as Chromium draws them.")
    parser.add_argument("names", nargs="*", help="graphs of the gallery or of more_graphs.py, or .svg files")
    parser.add_argument("--width", help="such as 506pt")
    parser.add_argument("--detail", type=int, choices=(0, 1, 2))
    parser.add_argument("--depth", type=int)
    parser.add_argument("--list", action="store_true", help="print each defect")
    parser.add_argument("--save", type=Path, help="a folder for the pictures")
    given = parser.parse_args(argv)
    makers = {**gallery.GALLERY, **MORE}
    options = {
        k: v for k, v in (("width", given.width), ("detail", given.detail), ("depth", given.depth)) if v is not None
    }
    names = given.names or list(makers)
    pictures = [
        Path(n).read_text(encoding="utf-8") if n.endswith(".svg") else svg(makers[n](), **options) for n in names
    ]
    if given.save:
        given.save.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, pictures, strict=True):
            (given.save / f"{Path(name).stem}.svg").write_text(picture, encoding="utf-8")
    total: Counter[str] = Counter()
    for name, found in zip(names, defects_of_all(pictures), strict=True):
        counts = Counter(d.kind for d in found)
        total += counts
        print(f"{Path(name).stem:<28} {', '.join(f'{n} × {kind}' for kind, n in counts.items()) or 'nothing'}")
        if given.list:
            print(*(f"    {d.kind}: {d.what}" for d in found), sep="\n")
    print(f"\n{'all':<28} {', '.join(f'{n} × {kind}' for kind, n in total.most_common()) or 'nothing'}")
    return int(bool(total))


if __name__ == "__main__":
    raise SystemExit(main())
