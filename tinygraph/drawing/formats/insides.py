"""What is inside of a collapsed card, as a graph of its own, one level deep; and the values at its border as stubs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Sequence
from typing import Any

from tinygraph.drawing.layout.labels import loss_of
from tinygraph.graph.data import Edge, Graph, Node
from tinygraph.graph.scopes import (
    Scope,
    at_depth,
    chunks,
    collapse,
    count_cards,
    courses,
    list_ops,
    name_row,
    shared_path,
)

__all__ = ["Whole", "numbered", "tagged"]

Key = tuple[Any, ...]

MOST = 32  # cards inside of one
GROUPS = 8  # equal or unequal cards are put together into about so many, where there are more than these
ENDS = 10  # stubs for one value's uses outside: with more contributions than a ledger has, none is shown
OUTSIDE = (("outside", True),)  # marks a value at the border until the nodes inside have their places


def tagged(graph: Graph) -> Graph:
    """Return a snapshot whose nodes know their ids in it, whatever becomes of them in a picture."""
    nodes = tuple(dataclasses.replace(node, members=(node.id,)) for node in graph.nodes)
    return dataclasses.replace(graph, nodes=nodes)


class Whole:
    """A graph with all its nodes, `tagged`, and where each node of the snapshot is in it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.place = {k: n.id for n in graph.nodes for k in n.members}

    def inside(self, members: Collection[int]) -> Graph:
        """Return what a card stands for: its nodes, scopes in it collapsed, and a stub for each value at its border.

        Args:
            members: ids of the snapshot that the card stands for.

        Returns:
            A graph of 32 cards or so: of many cards, those that follow each other are put together.
        """
        found = cut_out(self.graph, sorted({self.place[k] for k in members if k in self.place}))
        found = relative(found, len(shared_path(n.scope for n in found.nodes if n.op)))
        shown = at_depth(found, 0)
        while is_one_card(shown):
            found = relative(found, 1)
            shown = at_depth(found, 0)
        if count_cards(shown) > MOST:
            shown = in_groups(shown)
        return self.with_stubs(shown)

    def with_stubs(self, graph: Graph) -> Graph:
        """Return the graph with a stub for each value at its border: where it comes from, and where it goes on."""
        whole = self.graph
        nodes = [as_stub(n) if n.params == OUTSIDE else n for n in graph.nodes]
        inner = {k for n in graph.nodes if n.params != OUTSIDE for k in n.members}
        for i in graph.outputs:
            node = graph.nodes[i]
            results = sorted({self.place[k] for k in node.members})
            uses = [(c, e) for r in results for c, e in whole.consumers[r] if inner.isdisjoint(whole.nodes[c].members)]
            for c, e in uses[:ENDS]:
                user, place = whole.nodes[c], len(nodes)
                facts = (("source", place), ("said", "outside"))
                nodes.append(Node(
                    place, "stub", "stub", "stub", user.shape, user.dtype, whole.label(c), params=facts,
                    inputs=(Edge(i, "x", grad=e.grad),), batch=node.batch, members=user.members,
                ))  # fmt: skip
        outputs = {k for i in whole.outputs for k in whole.nodes[i].members}
        mine = [i for i in graph.outputs if not outputs.isdisjoint(graph.nodes[i].members)]
        return Graph(tuple(nodes), tuple(mine), loss=loss_of(whole))


def is_one_card(graph: Graph) -> bool:
    """Whether there is nothing but one collapsed scope, and leaves."""
    made = [n for n in graph.nodes if n.op or n.kind == "scope"]
    return len(made) == 1 and made[0].kind == "scope"


def relative(graph: Graph, depth: int) -> Graph:
    """Return the graph without its ``depth`` outermost scopes."""
    nodes = (dataclasses.replace(n, scope=n.scope[depth:]) for n in graph.nodes)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def cut_out(graph: Graph, ids: Sequence[int]) -> Graph:
    """Return some nodes of a graph, with the values that they use from outside as leaves; its outputs are results."""
    mine = set(ids)
    sources = {e.source for i in ids for e in graph.nodes[i].inputs} - mine
    order = sorted(mine | sources)
    place = {i: k for k, i in enumerate(order)}
    nodes = []
    for i in order:
        node = graph.nodes[i]
        if i in sources and not graph.is_number(i):
            name = node.name or f"#{node.number}"
            node = dataclasses.replace(node, op=None, kind="input", family="input", inputs=(), params=OUTSIDE,
                                       name=name, scope=(), tex="", says="")  # fmt: skip
        nodes.append(node.moved(place[i], place))
    results = [i for i in ids if i in graph.outputs or any(c not in mine for c, _ in graph.consumers[i])]
    results = [i for i in results if graph.nodes[i].op] or list(ids[-1:])
    return Graph(tuple(nodes), tuple(place[i] for i in results))


def in_groups(graph: Graph) -> Graph:
    """Put cards that follow each other into about eight."""
    made = [n.id for n in graph.nodes if n.op or n.kind == "scope"]
    if not any(graph.nodes[i].kind == "scope" for i in made):
        return chunks(graph, GROUPS)
    size = math.ceil(len(made) / GROUPS)
    groups, about = [], []
    for k in range(0, len(made), size):
        row = made[k : k + size]
        groups.append(Scope(("",), tuple(row)))
        labels = [graph.nodes[i].name or graph.nodes[i].op or "" for i in row]
        facts = {"name": name_row([labels[0], labels[-1]]) if len(row) > 1 else labels[0]}
        alike = all(graph.nodes[i].kind == "scope" for i in row)
        singles = [Scope(("",), (i,)) for i in row]
        more = {"repeat": len(row), "courses": courses(graph, singles)} if alike else {}
        facts = facts if alike else {"name": list_ops(graph, row)}
        about.append({**facts, **more})
    return collapse(graph, groups, about)


def as_stub(node: Node) -> Node:
    """Return a value from outside as a stub."""
    facts = (("source", node.id), ("said", "outside"))
    return dataclasses.replace(node, kind="stub", family="stub", params=facts)


def numbered(graph: Graph, base: int) -> tuple[Graph, Key]:
    """Return a graph whose nodes have the numbers ``base``, ``base`` + 1 …, and what it has in common with equal ones.

    Pictures of graphs with the same key differ in those numbers alone, where they show formulas and no values.
    """
    nodes, key = [], []
    for n in graph.nodes:
        name = n.name and re.sub(rf"#{n.number}$", f"#{base + n.id}", n.name) if n.kind == "stub" else n.name
        nodes.append(dataclasses.replace(n, name=name, members=(base + n.id,) if n.members else ()))
        edges = tuple((e.source, e.operand, e.partial, e.copies, e.grad is None) for e in n.inputs)
        value = n.value.values if graph.is_number(n.id) and n.value else None
        key.append((
            n.op, n.kind, n.family, n.shape, n.dtype, name, n.scope, edges, repr(n.params), n.tex, n.grad is None,
            n.grad_state, n.batch, value, bool(n.members),
        ))  # fmt: skip
    return dataclasses.replace(graph, nodes=tuple(nodes)), (tuple(key), graph.outputs)
