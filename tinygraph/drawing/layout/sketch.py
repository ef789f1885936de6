"""A drawing before anything has a place: its cells, ways, cards and labels, from which the sizes follow."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from tinygraph.drawing.layout.boxes import Cells, scope_cells
from tinygraph.drawing.layout.card import Card, card_of, stub_card
from tinygraph.drawing.layout.distances import NORMAL, Spacing
from tinygraph.drawing.layout.edge_labels import chip_labels
from tinygraph.drawing.layout.grid import CellPlan, Way, choose_way
from tinygraph.drawing.layout.labels import usual_dtype
from tinygraph.drawing.style.formula import Runs
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import Scope

__all__ = ["Options", "Sketch", "sketch_of", "stretch_stubs"]


class Options(NamedTuple):
    """How a graph is drawn.

    ``detail`` is 0 symbols, 1 summaries or 2 numbers; ``show`` is "forward", "backward" or "both"; ``chips``
    says whether edges have labels; ``scopes`` are drawn as boxes; ``badges`` gives some nodes a last line;
    ``spacing`` is how far things stand apart; ``inside`` are the parameters on the card of a node; ``ranges`` says
    whether detail 1 names the least and the greatest element; ``composed`` are the cards so far, by node and least
    height of the value's block, which the rows of a picture share.
    """

    detail: int = 2
    show: str = "both"
    chips: bool = True
    scopes: Sequence[Scope] = ()
    badges: Mapping[int, str] | None = None
    spacing: Spacing = NORMAL
    inside: Mapping[int, Sequence[int]] = MappingProxyType({})
    ranges: bool = True
    composed: dict[tuple[int, float], Card] | None = None


@dataclasses.dataclass(frozen=True)
class Sketch:
    """A graph whose nodes have cells and cards and whose edges have ways and labels, and no coordinates yet.

    ``ways`` and ``back`` go with the links of the plan: ``back`` says whether a gradient line is drawn.
    ``scopes`` are the cells of their boxes. ``extra`` is further room that lines, labels or names turned out to need:
    by ("gutter" or "channel", which one), and by ("title", which box). ``turned`` are links along which a gradient
    comes alone, and whether it runs from the right to the left.
    """

    graph: Graph
    plan: CellPlan
    options: Options
    ways: tuple[Way, ...]
    cards: Mapping[int, Card]
    labels: Mapping[tuple[int, str], Runs]
    back: tuple[bool, ...]
    scopes: tuple[Cells, ...]
    extra: Mapping[tuple[str, int], float] = dataclasses.field(default_factory=dict)
    turned: Mapping[int, bool] = dataclasses.field(default_factory=dict)


def sketch_of(graph: Graph, plan: CellPlan, options: Options) -> Sketch:
    """Choose ways, compose cards and write labels."""
    ways = tuple(choose_way(plan, link) for link in plan.links)
    labels = chip_labels(graph, plan, options.show, options.spacing) if options.chips else {}
    back = tuple(options.show != "forward" and link.back for link in plan.links)
    cards = even_cards(graph, plan, ways, options)
    return Sketch(graph, plan, options, ways, cards, labels, back, scope_cells(graph, plan, options.scopes))


def even_cards(graph: Graph, plan: CellPlan, ways: Sequence[Way], options: Options) -> dict[int, Card]:
    """Compose the cards; those that straight edges join have their gradients at one height."""
    usual, badges, composed = usual_dtype(graph), options.badges or {}, options.composed

    def compose(i: int, room: float = 0.0) -> Card:
        if composed is None or graph.nodes[i].kind == "stub":
            return composed_anew(i, room)
        if (i, room) not in composed:
            composed[i, room] = composed_anew(i, room)
        return composed[i, room]

    def composed_anew(i: int, room: float) -> Card:
        look: dict[str, Any] = {"ranges": options.ranges, "spacing": options.spacing}
        badge, inside = badges.get(i, ""), options.inside.get(i, ())
        return card_of(graph, i, options.detail, options.show, room, usual, badge, inside=inside, **look)

    cards = {i: compose(i) for i in plan.nodes}
    if options.detail < 2:
        return stretch_stubs(plan, ways, cards)
    leader = {i: i for i in plan.nodes}  # union-find: cards that straight edges join have one leader

    def find(i: int) -> int:
        while leader[i] != i:
            i = leader[i]
        return i

    for link, way in zip(plan.links, ways, strict=True):
        if way.kind == "H":
            leader[find(link.u)] = find(link.v)
    rooms: dict[int, float] = defaultdict(float)
    for i in plan.nodes:
        rooms[find(i)] = max(rooms[find(i)], cards[i].room)
    for i, card in cards.items():
        if card.room < rooms[find(i)] and card.kind not in ("scope", "stub"):
            cards[i] = compose(i, rooms[find(i)])
    return stretch_stubs(plan, ways, cards)


def stretch_stubs(plan: CellPlan, ways: Sequence[Way], cards: dict[int, Card]) -> dict[int, Card]:
    """Make each stub tall enough for its lines, or as tall as the card beside it, so that its lines are straight."""
    lines: dict[int, int] = defaultdict(int)
    for link in plan.links:
        lines[link.u] += 1 + link.back
    for i, card in cards.items():
        if card.kind == "stub" and 16 + 10 * lines[i] > card.height:
            cards[i] = stub_card(card, 16 + 10 * lines[i])
    for link, way in zip(plan.links, ways, strict=True):
        for stub, other in ((link.u, link.v), (link.v, link.u)):
            if way.kind == "H" and cards[stub].kind == "stub" and cards[other].kind != "stub":
                neighbour = cards[other]
                cards[stub] = stub_card(cards[stub], neighbour.height, neighbour.value, neighbour.grad)
    return cards
