"""Cards: what stands on them."""

from __future__ import annotations

import pytest

from tests import gallery
from tinygraph.drawing.layout.card import card_of
from tinygraph.drawing.style.formula import text_of
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import fit
from tinygraph.graph.simplify import inline


@pytest.mark.parametrize("detail", [0, 1, 2])
@pytest.mark.parametrize("name", list(gallery.GALLERY))
def test_a_number_that_stands_for_a_card_is_on_that_card(graphs: dict[str, Graph], name: str, detail: int) -> None:
    drawn = fit(inline(graphs[name]), 200)
    for node in drawn.nodes if len(drawn) < 200 else ():
        if not drawn.is_number(node.id) and node.kind == "op" and not node.name:
            card = card_of(drawn, node.id, detail)
            subtitle = text_of(card.items[1].runs)
            assert f"#{node.id}" in subtitle
