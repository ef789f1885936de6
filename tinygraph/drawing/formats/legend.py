"""What stands below a picture, as data: the legend of what is in it, and what its reader must know.

A format draws the sample of each entry in its own way; the words and their places are the same in all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.card import FEW_PARTS, Text
from tinygraph.drawing.layout.geometry import Layout
from tinygraph.drawing.style.conventions import plural
from tinygraph.drawing.style.formula import clip_runs, text_of, width_of, words
from tinygraph.drawing.style.highlight import Highlight
from tinygraph.drawing.style.names import cut_text, name_text
from tinygraph.drawing.style.text_width import wrap
from tinygraph.graph.data import Graph, Node, brief_name

__all__ = ["Below", "Key", "family_class"]

SIZE = 10.0  # of the letters
FAMILY = {"input": "data"}  # what is drawn as what
FAMILY_WORDS = {
    **{name: name for name in (
        "data", "constant", "parameter", "elementwise", "shape", "linear", "window", "reduction", "loss")},
    "fused": "fused op", "scope": "collapsed scope", "gradient": "gradient",
}  # fmt: skip
KEYS = (
    ("data",), ("constant",), ("parameter",), ("elementwise", "linear", "window", "shape"), ("reduction",), ("loss",),
    ("fused",), ("scope",), ("gradient",),
)  # fmt: skip


class Key(NamedTuple):
    """One entry of the legend.

    ``sample`` is what is drawn before its words, ``room`` how wide that is: the line of a "value" or a "grad"; a "card"
    of a ``family``; the sign of a parameter that is "held" by a card; "parts" for ①②; a "stub"; or "" for nothing.
    """

    sample: str
    room: float
    words: str
    family: str = ""

    @property
    def width(self) -> float:
        """How wide it is, without the gap behind it."""
        return self.room + width_of(words(self.words), SIZE)


class Below(NamedTuple):
    """The rows of a legend and the lines below them; gaps between entries and from line to line are in pixels."""

    rows: Sequence[Sequence[Key]]
    lines: Sequence[str]
    gap: float
    key_leading: float
    leading: float
    foot: float
    less: float

    @property
    def height(self) -> float:
        """How much it adds to a picture, with its margin."""
        margin = self.foot + 2.0 if self.rows or self.lines else 8.0
        return margin + self.key_leading * len(self.rows) + self.leading * len(self.lines) - self.less

    def keys(self, width: float) -> Iterator[tuple[float, float, Key]]:
        """Yield the entries, and where each begins; y counts from the end of the drawing."""
        for k, row in enumerate(self.rows):
            x = max(20.0, (width - self.across(row)) / 2)
            for key in row:
                yield x, self.foot + k * self.key_leading, key
                x += key.width + self.gap

    def texts(self, width: float) -> Iterator[Text]:
        """Yield the lines below the legend; y counts from the end of the drawing."""
        start = self.foot + self.key_leading * len(self.rows)
        for k, line in enumerate(self.lines):
            said = clip_runs(words(line), SIZE, width - 30)
            yield Text(width / 2, start + k * self.leading, said, SIZE, "muted")

    def across(self, row: Sequence[Key]) -> float:
        """Return how wide a row is."""
        return math.fsum(key.width + self.gap for key in row)


def below(
    graph: Graph, drawn: Graph, layout: Layout, highlight: Highlight, said: str, *,
    legend: bool = True, caption: bool = True, compact: bool = False,
) -> Below:  # fmt: skip
    """Arrange what stands below a picture.

    Args:
        graph: the whole graph.
        drawn: what is shown of it.
        layout: where.
        highlight: what is emphasized; its caption comes first.
        said: what was tried to make the picture legible.
        legend: explain colours and lines.
        caption: say how much is shown, and the notes.
        compact: in fewer words, with smaller gaps.
    """
    found = Below((), (), 14.0, 14.0, 13.0, 17.0, 10.0) if compact else Below((), (), 22.0, 20.0, 15.0, 24.0, 0.0)
    keys, room = legend_of(drawn, layout, compact) if legend else [], layout.width - 30
    wide = [key.words for key in keys if key.width > room]
    captions = captions_of(graph, drawn, layout, highlight, said) if caption else []
    lines = [line for text in (*wide, *captions) for line in wrap(text, SIZE, room)]
    rows = wrap_keys([key for key in keys if key.words not in wide], found.gap, layout.width - 40)
    if compact and rows and len(lines) == 1:  # one line beside the last entries
        last = [*rows[-1], Key("", 0, lines[0])]
        if found.across(last) < layout.width - 40:
            rows, lines = [*rows[:-1], last], []
    return found._replace(rows=rows, lines=lines)


def legend_of(drawn: Graph, layout: Layout, compact: bool) -> list[Key]:
    """Explain what is in a picture, and nothing else."""
    keys: list[Key] = []
    if len(layout.cards) < 2:
        return keys
    if any(r.forward for r in layout.routes):
        keys.append(Key("value", 36, "forward" if compact else "forward value"))
    if any(r.backward for r in layout.routes):
        keys.append(Key("grad", 36, f"backward{'' if compact else ' gradient'} × local derivative"))
    present = {family_class(p.card.family) for p in layout.cards}
    for families in KEYS:
        if said := ", ".join(FAMILY_WORDS[family] for family in families if family in present):
            keys.append(Key("card", 24, said, families[0]))
    held = {drawn.nodes[h.node].kind for p in layout.cards for h in p.card.held}
    if held - {"constant"}:
        said = "parameter on the card that uses it; ∂ is the gradient of that card"
        keys.append(Key("held", 18, "parameter; ∂: gradient of its card" if compact else said))
    if any("①" in text_of((*c.runs, *c.back)) for c in layout.chips):
        keys.append(Key("parts", 30, "are added" if compact else "contributions that are added"))
    if any(p.card.kind == "stub" for p in layout.cards):
        keys.append(Key("stub", 24, "a value that stands elsewhere"))
    if len({lane.depth for lane in layout.lanes}) > 1:
        said = "↓ reduces, ↑ broadcasts"
        keys.append(Key("", 0, said if compact else f"lanes: {said}, backward swaps them"))
    return keys


def wrap_keys(keys: Sequence[Key], gap: float, room: float) -> list[list[Key]]:
    """Break a legend into rows."""
    rows: list[list[Key]] = [[]]
    used = 0.0
    for key in keys:
        if rows[-1] and used + key.width + gap > room:
            rows.append([])
            used = 0.0
        rows[-1].append(key)
        used += key.width + gap
    return [row for row in rows if row]


def captions_of(graph: Graph, drawn: Graph, layout: Layout, highlight: Highlight, said: str) -> list[str]:
    """Say how much of a graph is shown, and what a reader must know."""
    shown = sum((p.card.kind != "stub") + len(p.card.held) for p in layout.cards)
    count = len(graph.nodes)
    lines = []
    cards = [n for n in drawn.nodes if n.kind == "scope"]
    inside, folded = sum(dict(n.params).get("nodes", 0) for n in cards), len(cards)
    gradients = sum(1 + len(p.card.held) for p in layout.cards if p.card.kind == "gradient")
    if gradients:
        values = [plural(shown - gradients, "value")] * (shown > gradients)
        more = f"; {inside} inside {name_cards(cards)}" * bool(folded)
        lines.append(f"{count} nodes: {', '.join([*values, plural(gradients, 'gradient')])} shown{more}")
    elif count and shown != count:
        where = [f"{inside} inside {name_cards(cards)}"] if folded else []
        where += ["the others inside the formulas"] if count > shown + inside - folded else []
        lines.append(f"{count} nodes, {shown} shown; {', '.join(where)}")
    return [line for line in (highlight.caption, *lines, said, *graph.notes) if line]


def name_cards(cards: Sequence[Node]) -> str:
    """Name collapsed cards: ``▸ softmax, ▸ batch_norm ×2``; many of them by their number alone."""
    count = Counter(cut_text(name_text(brief_name(node) or ""), 40) for node in cards)
    if len(count) > FEW_PARTS // 2:
        return f"{len(cards)} collapsed cards ▸"
    return ", ".join(f"▸ {name}{f' ×{n}' * (n > 1)}" for name, n in count.items())


def family_class(family: str) -> str:
    """Return the class that a family of nodes is drawn in; one that no picture knows is drawn as elementwise."""
    name = FAMILY.get(family, family)
    return name if name in FAMILY_WORDS or name == "stub" else "elementwise"
