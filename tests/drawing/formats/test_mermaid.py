"""Mermaid: short enough, and hostile names are only text."""

from __future__ import annotations

import re

import pytest

from tests import gallery
from tinygraph.drawing.formats.mermaid import MOST, mermaid
from tinygraph.graph.data import Graph


def test_hostile_names_in_mermaid(hostile: Graph) -> None:
    chart = mermaid(hostile)
    for line in chart.splitlines()[2:]:
        inside = re.sub(r'"[^"]*"', '""', line)
        assert re.fullmatch(r"[\w\s\[\]:#,.\-> ]*(\"\")?[\w\s\[\]:#,.\-> ]*", inside), line
        for quoted in re.findall(r'"([^"]*)"', line):
            rest = quoted.replace("<br/>", "").replace("<small>", "").replace("</small>", "")
            assert not set(rest) & set('<>"`{}|[]\n\\'), quoted


@pytest.mark.parametrize("name", list(gallery.GALLERY))
def test_every_graph_fits_into_mermaid(graphs: dict[str, Graph], name: str) -> None:
    chart = mermaid(graphs[name])
    assert len(chart) < MOST
    assert chart == mermaid(graphs[name])
