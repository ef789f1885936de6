"""The graphs of the gallery, and one with hostile names, made once for each file."""

from __future__ import annotations

import pytest

from tests import gallery
from tests.drawing.graphs import hostile_graph
from tinygraph.graph.data import Graph


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: make() for name, make in gallery.GALLERY.items()}


@pytest.fixture(scope="module")
def hostile() -> Graph:
    return hostile_graph()
