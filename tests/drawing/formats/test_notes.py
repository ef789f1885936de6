"""What a reader of the numbers must know is said in every format."""

from __future__ import annotations

import re
from html import unescape

import pytest

import tinygraph as tg
from tinygraph.drawing.api import file_content
from tinygraph.drawing.style.text_width import width


def twice() -> tg.Graph:
    """Return a graph after two backward passes: the drawing shows the last, ``x.grad`` holds the sum."""
    x = tg.Tensor([1.0, 2.0], name="x")
    y = (x * x).sum().named("y")
    y.backward()
    y.backward()
    return tg.snapshot(y)


@pytest.mark.parametrize("ending", [".svg", ".html", ".dot", ".mmd", ".tex", ".json", ".txt"])
def test_every_format_shows_the_notes(ending: str) -> None:
    graph = twice()
    assert graph.notes
    found = unescape(re.sub(r"<[^>]+>|\\[a-z]+", " ", file_content(graph, ending).decode()))
    found = re.sub(r"#(\d+);", lambda m: chr(int(m[1])), found)
    for note in graph.notes:
        for word in re.findall(r"[a-z]{3,}", note):
            assert word in found, (word, note)


def test_a_long_note_is_broken_into_lines_that_fit() -> None:
    picture = file_content(twice(), ".svg", {"detail": 0}).decode()
    room = float(re.findall(r'viewBox="0 0 ([\d.]+)', picture)[0])
    lines = re.findall(
        r'<text class="sans muted" x="[\d.]+" y="[\d.]+" font-size="9.5" text-anchor="middle">(.*?)<', picture
    )
    assert len(lines) > 1
    for line in lines:
        assert "…" not in line
        assert width(unescape(line), 9.5) <= room


def test_the_legend_of_a_narrow_picture_stays_inside_it() -> None:
    picture = file_content(twice(), ".svg", {"detail": 2}).decode()
    room = float(re.findall(r'viewBox="0 0 ([\d.]+)', picture)[0])
    keys = re.findall(
        r'<g transform="translate\(([\d.]+) [\d.]+\)">.*?<text class="sans muted" x="([\d.]+)".*?>(.*?)<', picture
    )
    assert keys
    for place, x, said in keys:
        assert float(place) + float(x) + width(unescape(said), 9.5) <= room, said
    assert ">swaps them<" in picture.replace("\xa0", " ")
