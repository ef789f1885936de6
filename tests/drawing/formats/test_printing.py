"""The SVG for the printer: ① stands in pieces of its own, and nothing else has moved."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html import unescape

import pytest

from tinygraph.drawing.formats.printing import printable
from tinygraph.drawing.formats.svg import line_of, svg
from tinygraph.drawing.layout.card import Text
from tinygraph.drawing.style.formula import Run, width_of, words
from tinygraph.graph.data import Graph

RUNS = (Run("∂L/∂x", "serif"), Run("c", "serif", 0.7, -0.2), Run(" = ①+② & ", "roman"), Run("2", "roman", 0.7, 0.4))


@pytest.mark.parametrize("anchor", ["start", "middle", "end"])
def test_a_line_is_cut_where_it_has_a_number_in_a_circle(anchor: str) -> None:
    item = Text(200.0, 50.0, RUNS, 16.0, "grad", anchor)
    before, after = ET.fromstring(line_of(item)), ET.fromstring(printable(line_of(item)))
    assert "".join(after.itertext()) == "".join(before.itertext())
    assert [(s.text, s.get("class")) for s in after if "①" in s.text or "②" in s.text] == [("①", "sans"), ("②", "sans")]
    placed = [(float(s.get("x")), s.text) for s in after if s.get("x")]
    assert [text for _, text in placed] == ["∂L/∂x", "①", "+", "②", " & "]
    one = width_of(words("①"), 16.0)
    known = (
        width_of(RUNS, 16.0) - width_of((Run("①②", "roman"),), 16.0) + 2 * one
    )  # ① is as wide as the sans font has it
    start = 200 - {"start": 0, "middle": known / 2, "end": known}[anchor]
    second = start + width_of((*RUNS[:2], Run(" = ", "roman")), 16.0)
    third = second + one
    assert [x for x, _ in placed][:3] == pytest.approx([start, second, third], abs=0.1)
    assert sum(float(s.get("dy", 0)) for s in after) == sum(float(s.get("dy", 0)) for s in before)
    assert after.get("text-anchor") is None


def test_other_lines_stay() -> None:
    for runs in (words("① + ②"), (Run("x", "serif"), Run(" = 1", "roman"))):
        line = line_of(Text(1.0, 2.0, runs, 10.0, "ink"))
        assert printable(line) == line


def test_no_letter_of_a_picture_is_lost(graphs: dict[str, Graph]) -> None:
    picture = svg(graphs["batch_norm"])
    printed = printable(picture)

    def letters(text: str) -> str:
        return unescape(re.sub(r"<[^>]+>", "", text))

    assert printed != picture
    assert letters(printed) == letters(picture)
    for line in re.findall(r"<text.*?</text>", printed):
        for piece in re.findall(r'<tspan[^>]*class="(?:serif|roman)"[^>]*>([^<]*)', line):
            assert not set(piece) & set("①②③④")
