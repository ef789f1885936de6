"""Numbers taken out of a layout, for a reader to fill in. Nothing else changes: a sheet and its key have one layout."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.card import CELL, SMALL, Card, Item, Table, Text
from tinygraph.drawing.layout.geometry import Chip, Layout
from tinygraph.drawing.style.conventions import CIRCLED
from tinygraph.drawing.style.formula import name_runs, plain_text, text_of, width_of, words
from tinygraph.graph.data import Graph, bracketed

__all__ = ["Blanks", "blank_card", "blank_graph", "blank_layout", "clear_card", "names_in", "read_blank"]

GRADIENT = re.compile(r"∂(?:(?:\w+|\(.*\))/∂)?")  # what stands before a name where its gradient is meant: ∂L/∂ or ∂


class Blanks(NamedTuple):
    """What is left out: the values and the gradients of some nodes, and the labels of gradient arrows."""

    values: frozenset[int] = frozenset()
    gradients: frozenset[int] = frozenset()
    derivatives: bool = False


def read_blank(graph: Graph, blank: str | Sequence[str]) -> Blanks:
    """Read the option ``blank``.

    Args:
        graph: the graph that is drawn.
        blank: "values" (of all that is computed), "gradients", "derivatives", or a name: "x̂" is a value, "∂x̂" or
            "∂L/∂x̂" its gradient; or several of these.

    Returns:
        What to leave out.

    Raises:
        ValueError: gradients are to be left out, and there are none.
        KeyError: a name is none of the graph's.

    >>> from tinygraph import Tensor, snapshot
    >>> read_blank(snapshot((Tensor([1.0], name="x") * 3).named("y")), "values").values
    frozenset({2})
    """
    values: set[int] = set()
    gradients: set[int] = set()
    derivatives, mirrored = False, any(n.family == "gradient" for n in graph.nodes)
    for word in (blank,) if isinstance(blank, str) else blank:
        start = GRADIENT.match(word)
        if word in ("gradients", "derivatives") or start:
            have_gradients(graph, word)
        if word == "values":
            values |= {n.id for n in graph.nodes if n.op is not None and n.family != "gradient"}
        elif word == "gradients":
            gradients |= {n.id for n in graph.nodes if n.grad is not None or n.family == "gradient"}
        elif word == "derivatives":
            derivatives = True
        elif start:
            gradients |= gradients_of(graph, differentiated(word, start))
        else:
            again = {n.id for n in graph.nodes if n.name == word and mirrored}  # it may stand in several bands
            values |= again or {graph.find(word).id}
    names = {graph.nodes[i].name for i in values} - {None}
    values |= {n.id for n in graph.nodes if n.name in names}  # a mirrored picture may show it again
    values |= {i for i in gradients if graph.nodes[i].family == "gradient"}  # where it is the value of a card
    return Blanks(frozenset(values), frozenset(gradients), derivatives)


def gradients_of(graph: Graph, name: str) -> set[int]:
    """Return the node whose gradient is meant; in a mirrored picture, the cards of its gradients."""
    ends = f"/∂{bracketed(plain_text(name_runs(name)))}"
    cards = {n.id for n in graph.nodes if n.family == "gradient" and (n.name or "").endswith(ends)}
    return cards or {graph.find(name).id}


def names_in(blank: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of nodes that the option ``blank`` has.

    >>> names_in(["values", "∂L/∂σ", "∂(∂y/∂x)/∂b"])
    ('σ', 'b')
    """
    words = (blank,) if isinstance(blank, str) else blank
    names = [w for w in words if w not in ("values", "gradients", "derivatives")]
    return tuple(differentiated(w, start) if (start := GRADIENT.match(w)) else w for w in names)


def differentiated(word: str, start: re.Match[str]) -> str:
    """Return the name after the start of a gradient's name: "∂S/∂x" of "∂L/∂(∂S/∂x)"."""
    name = word[start.end() :]
    return name[1:-1] if name == bracketed(name[1:-1]) else name


def have_gradients(graph: Graph, asked: str) -> None:
    """Raise if a graph has no gradients."""
    if all(n.grad is None and n.family != "gradient" for n in graph.nodes):
        raise ValueError(f"blank is {asked!r}, and this graph has no gradients: call backward() first")


def blank_layout(layout: Layout, blanks: Blanks) -> Layout:
    """Leave empty cells where numbers were; every place and size stays.

    Args:
        layout: of the whole picture, the key.
        blanks: what to leave out.

    Returns:
        A layout that differs in texts alone.
    """
    cards = []
    for placed in layout.cards:
        parts = ["value"] * (placed.card.node in blanks.values) + ["grad"] * (placed.card.node in blanks.gradients)
        parts += ["derivative"] * blanks.derivatives
        card = blank_card(placed.card, parts) if parts else placed.card
        held = (h._replace(items=tuple(empty_held(h.items, h.node in blanks.gradients, blanks))) for h in card.held)
        card = dataclasses.replace(card, held=tuple(held))
        cards.append(placed._replace(card=card))
    chips = [
        empty_chip(chip) if blanks.derivatives and (chip.ink == "grad" or chip.back) else chip for chip in layout.chips
    ]
    return dataclasses.replace(layout, cards=tuple(cards), chips=tuple(chips))


def empty_held(items: Sequence[Item], is_blank: bool, blanks: Blanks) -> Iterator[Item]:
    """Yield the line of a parameter without the length of its gradient, or without the product that this is, too."""
    for item in items:
        if blanks.derivatives and isinstance(item, Text) and item.ink == "grad":
            yield from empty_item(item._replace(of="derivative", left=()))
        else:
            yield from empty_item(item) if is_blank and getattr(item, "of", "") == "grad" else (item,)


def empty_chip(chip: Chip) -> Chip:
    """Leave of a label the number of the contribution, if it has one."""
    mark = re.match(rf"[{CIRCLED}]|\(\d+\)", text_of(chip.runs))
    if chip.back:
        return chip._replace(back=())
    return chip._replace(runs=words(mark[0]) if mark else (), empty=True)


def blank_graph(graph: Graph, blanks: Blanks) -> Graph:
    """Take the numbers out of a graph as well, so that no tooltip tells them.

    Args:
        graph: the graph that is drawn.
        blanks: what to leave out.
    """
    nodes = [
        dataclasses.replace(
            n,
            value=None if n.id in blanks.values else n.value,
            grad=None if n.id in blanks.gradients else n.grad,
            says="" if blanks.derivatives and n.op == "gradient" else n.says,
        )
        for n in graph.nodes
    ]
    return dataclasses.replace(graph, nodes=tuple(nodes))


def blank_card(card: Card, parts: Collection[str]) -> Card:
    """Empty the cells of a card.

    Args:
        card: any card.
        parts: "value", or "grad", which takes every contribution with it.
    """

    def is_blank(item: Item) -> bool:
        of = getattr(item, "of", "")
        return bool(of) and (of in parts or of.rstrip("0123456789") in parts)

    items = [new for item in card.items for new in (empty_item(item) if is_blank(item) else (item,))]
    return dataclasses.replace(card, items=tuple(items))


def empty_item(item: Item) -> Iterator[Item]:
    """Yield what stays of an item whose numbers are taken out: an empty cell of its size, and the words before it."""
    if isinstance(item, Table):
        yield item._replace(cells=tuple(tuple(("", 0) for _ in row) for row in item.cells))
    elif isinstance(item, Text):
        left, _, right, _ = item.box
        if item.left:
            yield item._replace(x=left, runs=item.left, anchor="start", of="", left=())
            left += width_of(item.left, item.size)
        if item.size > SMALL or item.of == "derivative":  # smaller ones are sums and counts, for which there is no room
            yield Table(left, item.y - 11.5, (max(right - left, CELL),), ((("", 0),),), item.ink, item.of)


def clear_card(card: Card, parts: Collection[str]) -> Card:
    """Leave on a card, of all numbers and of what stands around them, only what ``parts`` have.

    Args:
        card: any card.
        parts: what stays, such as "value", "grad0".
    """
    return dataclasses.replace(card, items=tuple(i for i in card.items if getattr(i, "of", "") in {"", *parts}))
