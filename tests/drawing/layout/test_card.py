"""Cards: what stands on them."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tinygraph import nn
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
            assert f"#{node.number}" in subtitle


class TwoLayers(nn.Module):
    def __init__(self):
        self.fc1, self.fc2 = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = self.fc1(x).named("h")
        return self.fc2(h.relu())


def titles(graph, depth):
    drawn = fit(inline(graph), 200, depth)
    return [card_of(drawn, n.id, 1).title for n in drawn.nodes if not drawn.is_number(n.id)]


def test_a_collapsed_layer_reads_as_the_call_it_is():
    net = TwoLayers()
    graph = tg.snapshot(net(np.ones((5, 3), np.float32)).sum().named("L"))
    assert titles(graph, 0) == ["x", "▸ h = fc1(x)", "relu h", "▸ fc2(#8)", "L = Σ ( )"]
    assert "x\u2009fc1.weightᵀ" in titles(graph, 1)


def test_a_collapsed_scope_with_several_results_and_many_operands():
    xs = [tg.Tensor(np.ones(3), name=name) for name in "abcd"]
    with tg.scope("both"):
        total = (xs[0] + xs[1] + xs[2]).named("s")
        product = (xs[3] * total).named("p")
    graph = tg.snapshot((total + product).sum().named("L"))
    assert "▸ s, p = both(a, b, c, …)" in titles(graph, 0)
