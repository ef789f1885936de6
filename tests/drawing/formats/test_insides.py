"""The inside of a card: all that is in it once, all that crosses its border, and no sum without all of its parts."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests import gallery
from tests.drawing.more_graphs import MORE
from tinygraph.drawing.formats.insides import ENDS, Whole, numbered, tagged
from tinygraph.drawing.layout.labels import contributions, loss_of
from tinygraph.graph.batch import with_batch
from tinygraph.graph.data import Graph
from tinygraph.graph.simplify import inline

GRAPHS = {
    "batch_norm": gallery.GALLERY["batch_norm"], "deep": lambda: gallery.deep(6), "huge": lambda: gallery.huge(1700),
    **{name: MORE[name] for name in ("transformer_block", "multi_head", "lstm_cell", "resnet18", "unet_small", "vae",
                                     "branches30", "chain200", "random_dag60", "gradient_penalty")},
}  # fmt: skip


def all_insides(whole: Whole, members: range | tuple[int, ...]) -> list[Graph]:
    """Return the inside of a card, and of each card in it."""
    found = whole.inside(members)
    cards = [n for n in found.nodes if n.kind == "scope"]
    assert all(set(n.members) < set(members) for n in cards)  # so that it ends
    return [found, *(g for n in cards for g in all_insides(whole, n.members))]


@pytest.mark.parametrize("name", GRAPHS)
def test_every_node_has_a_card_in_one_picture(name: str) -> None:
    graph = GRAPHS[name]()
    whole = inline(with_batch(tagged(graph)))
    found = all_insides(Whole(whole), range(len(graph)))
    shown = Counter(
        n.number for g in found for n in g.nodes if n.kind not in ("scope", "stub") and not g.is_number(n.id)
    )
    assert set(shown) == {n.number for n in whole.nodes if not whole.is_number(n.id)}
    assert {n for n, count in shown.items() if count > 1 and graph.nodes[n].op} == set()


@pytest.mark.parametrize("name", GRAPHS)
def test_a_gradient_has_all_its_contributions_or_too_many_to_be_listed(name: str) -> None:
    graph = GRAPHS[name]()
    whole = inline(with_batch(tagged(graph)))
    place = {n.number: n.id for n in whole.nodes}
    checked = 0
    for g in all_insides(Whole(whole), range(len(graph))):
        assert loss_of(g) == loss_of(whole)
        for n in g.nodes:
            if n.kind == "op" and all(g.nodes[c].kind != "scope" for c, _ in g.consumers[n.id]):
                here, there = len(contributions(g, n.id)), len(contributions(whole, place[n.number]))
                assert here == there or here >= ENDS
                checked += 1
    assert checked


def test_what_comes_and_goes_stands_at_the_border() -> None:
    graph = gallery.GALLERY["batch_norm"]()
    whole = inline(with_batch(tagged(graph)))
    outside = Whole(whole).inside(range(len(graph)))
    card = next(n for n in outside.nodes if n.kind == "scope")
    inside = Whole(whole).inside(card.members)
    stubs = [n for n in inside.nodes if n.kind == "stub"]
    assert [n.name for n in stubs] == ["x", "L"]
    assert [inside.nodes[e.source].name for e in stubs[1].inputs] == ["y"]


def test_equal_blocks_have_one_key_and_others_another() -> None:
    graph = gallery.huge(1700)
    whole = Whole(inline(with_batch(tagged(graph))))
    stage = next(n for n in whole.inside(range(len(graph))).nodes if n.kind == "scope")
    blocks = [whole.inside(n.members) for n in whole.inside(stage.members).nodes if n.kind == "scope"]
    keys = {numbered(block, 100_000)[1] for block in blocks[1:]}
    assert len(blocks) > 3
    assert len(keys) == 1
    other = Whole(inline(with_batch(tagged(gallery.GALLERY["batch_norm"]()))))
    assert numbered(other.inside(range(16)), 100_000)[1] not in keys


def test_what_a_picture_notes_is_no_part_of_the_data() -> None:
    graph = gallery.GALLERY["batch_norm"]()
    assert tagged(graph) == graph
    assert tagged(graph).to_json() == graph.to_json()
    raw = json.loads(tagged(graph).to_json())
    assert "loss" not in raw
    assert "members" not in raw["nodes"][0]
