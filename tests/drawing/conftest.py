"""A graph with hostile names, made once for each file."""

from __future__ import annotations

import pytest

from tests.drawing.graphs import hostile_graph
from tinygraph.graph.data import Graph


@pytest.fixture(scope="module")
def hostile() -> Graph:
    return hostile_graph()
