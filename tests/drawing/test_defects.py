"""The checker of pictures finds a defect of each kind, and none in a picture that has none."""
# ruff: noqa: E501 - SVG reads best in lines

from __future__ import annotations

from collections import Counter

import pytest

from tests.drawing.chromium import CHROMIUM
from tests.drawing.defects import KINDS, defects_of, defects_of_all

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")

STYLE = """<style>.paper,.card{fill:#fff}.h-data{fill:#e9ebee}.ink{fill:#1b1f24}.value{fill:#0b5cad}.grad{fill:#b84a00}.pale{fill:#ddd}
.value-line{fill:none;stroke:#0b5cad}.grad-line{fill:none;stroke:#b84a00}.grad-head{fill:#fff;stroke:#b84a00}.scope{fill:none;stroke:#000}</style>"""


def card(
    node: int,
    x: float,
    y: float,
    text: str = "x = 1",
    path: str = "net/x",
    more: str = "",
    kind: str = "add",
    ink: str = "ink",
) -> str:
    return (
        f'<g id="n{node}" class="node" transform="translate({x} {y})"><title>{path}\n{kind} (3,) float64</title>'
        f'<rect class="card" x="-50" width="100" height="60"/><rect class="h-data" x="-50" width="100" height="60"/>'
        f'<text class="{ink}" x="0" y="20" font-size="14" text-anchor="middle">{text}</text>{more}</g>'
    )  # fmt: skip


def line(source: int, target: int, k: int, y: float, *, ink: str = "value", x0: float = 150, x1: float = 400) -> str:
    a, b, tip, base = (x0, x1 - 9, x1, x1 - 9) if ink == "value" else (x1, x0 + 9, x0, x0 + 9)
    head = "value" if ink == "value" else "grad-head"
    return (
        f'<g id="e{source}-{target}-{k}"><path class="{ink}-line" d="M{a} {y}L{b} {y}"/>'
        f'<path class="{head}" d="M{tip} {y}L{base} {y + 4}L{base} {y - 4}z"/></g>'
    )  # fmt: skip


def chip(x: float, y: float, ink: str = "value", text: str = "copy ×4") -> str:
    return (
        f'<g class="chip"><rect class="card" x="{x}" y="{y}" width="80" height="18"/>'
        f'<text class="{ink}" x="{x + 40}" y="{y + 13}" font-size="12" text-anchor="middle">{text}</text></g>'
    )  # fmt: skip


def scope_box(x: float, y: float, w: float, h: float, name: str = "net") -> str:
    return f'<rect class="scope" x="{x}" y="{y}" width="{w}" height="{h}"/><text class="ink" x="{x + 10}" y="{y + 16}" font-size="12">▾ {name}</text>'


def picture(*parts: str, width: float = 600, height: float = 400, size: str = "") -> str:
    size = size or f'width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} font-family="DejaVu Sans">{STYLE}'
        f'<rect class="paper" width="{width}" height="{height}"/>{"".join(parts)}</svg>'
    )  # fmt: skip


A, B = card(1, 100, 100), card(2, 450, 100)
GOOD = (scope_box(20, 60, 520, 240), A, B, line(1, 2, 0, 110), line(1, 2, 0, 140, ink="grad"), chip(220, 101))
BROKEN = {
    "card over card": picture(*GOOD, card(3, 120, 120)),
    "chip over card": picture(*GOOD, chip(60, 110)),
    "chip over chip": picture(*GOOD, chip(200, 101)),
    "line through a card": picture(*GOOD, card(3, 280, 200), card(4, 100, 200), card(5, 450, 200), line(4, 5, 1, 220)),
    "part out of page": picture(*GOOD, card(3, 590, 220)),
    "contrast under 4.5": picture(*GOOD, card(3, 280, 200, ink="pale")),
    "letter under 12 px on a slide": picture(*GOOD, width=6000, height=3000),
    "letter under 6 pt": picture(*GOOD, size='width="200pt" height="133pt"'),
    "lines on one track": picture(*GOOD, line(7, 2, 1, 111)),
    "arrowheads on each other": picture(*GOOD, line(1, 2, 1, 116)),
    "arrowhead under a chip": picture(*GOOD, chip(312, 110)),
    "chip hides another line": picture(*GOOD, chip(220, 131)),
    "chip on two lines": picture(*GOOD, line(1, 2, 1, 125), chip(220, 106).replace('height="18"', 'height="24"')),
    "formula cut off": picture(*GOOD, card(3, 280, 200, text="cat(p, q")),
    "text out of its part": picture(*GOOD, card(3, 280, 200, text="a very long formula")),
    "wider than 3:1": picture(*GOOD, width=1400),
    "taller than 1.3 pages": picture(*GOOD, height=1200, size='width="506pt" height="1012pt"'),
    "text over its bars": picture(*GOOD, card(3, 280, 200, more='<path class="value" d="M-10 30h20v-20h-20z"/>')),
    "line to nowhere": picture(*GOOD, line(1, 2, 1, 200)),
    "scope box missing": picture(*GOOD[1:]),
    "card in another's box": picture(*GOOD, card(3, 280, 200, path="other/y"), card(4, 450, 200, path="other/z")),
    "line through a name": picture(*GOOD, line(1, 2, 1, 72, x0=20)),
}  # fmt: skip


def test_a_picture_without_defects_has_none() -> None:
    assert defects_of(picture(*GOOD)) == Counter()


def test_a_defect_of_each_kind_is_found() -> None:
    assert list(BROKEN) == list(KINDS)
    for kind, found in zip(BROKEN, defects_of_all(list(BROKEN.values())), strict=True):
        assert kind in {defect.kind for defect in found}, kind


def test_lines_of_one_value_may_fork() -> None:
    """They share a stretch in one colour; their heads must not meet."""
    fork = line(1, 2, 1, 110, x1=300).replace("L291 110", "L240 110").partition('<path class="value"')[0] + "</g>"
    kinds = {d.kind for d in defects_of_all([picture(*GOOD, fork)])[0]}
    assert "lines on one track" not in kinds
