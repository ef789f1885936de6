"""Scopes as boxes: which nodes each box has, how a box collapses to one card, and how many cards are too many."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tinygraph.graph.data import Edge, Graph, Node, Summary

__all__ = [
    "Scope",
    "at_depth",
    "check_names",
    "chunks",
    "collapse",
    "fit",
    "fold",
    "paths_of",
    "scopes",
    "with_leaf_scopes",
]

REPEATS = 3  # this many equal blocks in a row fold into one card
CROWD = 48  # blocks fold only where there are more cards than this
RUNS = 40  # cards that a long graph without scopes is cut into


class Scope(NamedTuple):
    """One entry into a scope.

    Attributes:
        path: its name, after those of the scopes around it.
        members: ids of the nodes made inside, in order; with the leaves that these use first.
    """

    path: tuple[str, ...]
    members: tuple[int, ...]


def with_leaf_scopes(graph: Graph) -> Graph:
    """Return the graph with each parameter and each unnamed constant in the scope that its consumers share.

    So a layer's weight is in the layer's box, and a weight that two layers use is in the box around both.
    Consumers in a recorded backward pass (the scope "grad") count only where there are no others.

    Args:
        graph: any graph.

    Returns:
        A graph with the same nodes; only ``scope`` differs.
    """
    nodes = list(graph.nodes)
    for node in graph.nodes:
        if node.kind == "parameter" or (node.kind == "constant" and not node.name):
            paths = [graph.nodes[c].scope for c, _ in graph.consumers[node.id]]
            if paths := [path for path in paths if path[:1] != ("grad",)] or paths:
                nodes[node.id] = dataclasses.replace(node, scope=shared_path(paths))
    return dataclasses.replace(graph, nodes=tuple(nodes))


def shared_path(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the longest path that all of ``paths`` begin with."""
    equal = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return tuple(names[0] for names in equal)


def scopes(graph: Graph) -> list[Scope]:
    """Return every entry into a scope, outer before inner.

    An entry is a run of ops made one after the other under one path. So entries can stand in a row, and a graph
    in which any of them is collapsed has no cycles.

    Args:
        graph: any graph.

    Returns:
        A `Scope` for each entry: a scope that is entered twice is there twice.

    >>> from tinygraph import Tensor, scope, snapshot
    >>> with scope("net"), scope("block"):
    ...     y = Tensor([1.0], name="x") * 2
    >>> [entry.path for entry in scopes(snapshot(y))]
    [('net',), ('net', 'block')]
    """
    runs: list[tuple[tuple[str, ...], list[int]]] = []
    for depth in range(1, 1 + max((len(n.scope) for n in graph.nodes), default=0)):
        last: tuple[str, ...] | None = None
        run_of: dict[int, int] = {}
        for node in graph.nodes:
            if is_leaf(node):
                continue
            path = node.scope[:depth] if len(node.scope) >= depth else None
            if path is not None:
                if path != last:
                    runs.append((path, []))
                runs[-1][1].append(node.id)
                run_of[node.id] = len(runs) - 1
            last = path
        for node in graph.nodes:
            users = graph.consumers[node.id]
            if is_leaf(node) and users and len(node.scope) >= depth:
                first = run_of.get(min(c for c, _ in users))
                if first is not None:
                    runs[first][1].append(node.id)
    return [Scope(path, tuple(sorted(members))) for path, members in runs]


def is_leaf(node: Node) -> bool:
    """Whether a node is made from no other."""
    return node.op is None and node.kind != "scope"


def collapse(graph: Graph, groups: Iterable[Scope], about: Sequence[dict[str, Any]] = ()) -> Graph:
    """Put each group of nodes into one card.

    Args:
        graph: any graph.
        groups: entries from `scopes`, none inside another.
        about: further facts for the card of each group, by name; none unless given.

    Returns:
        A graph in which each group is a node of kind "scope": its ``params`` count ops, nodes and elements of
        parameters; value and gradient are those of its last result that is used outside.
    """
    groups = list(groups)
    group_of = {i: g for g, group in enumerate(groups) for i in group.members}
    last = {g: max(group.members) for g, group in enumerate(groups)}
    order = sorted([*(n.id for n in graph.nodes if n.id not in group_of), *last.values()])
    place = {i: k for k, i in enumerate(order)}
    target = [place[last[group_of[i]]] if i in group_of else place[i] for i in range(len(graph.nodes))]
    nodes = []
    for k, i in enumerate(order):
        if i in group_of:
            g = group_of[i]
            nodes.append(card_node(graph, groups[g], k, target, about[g] if about else {}))
        else:
            edges = tuple(dataclasses.replace(e, source=target[e.source]) for e in graph.nodes[i].inputs)
            nodes.append(dataclasses.replace(graph.nodes[i], id=k, inputs=edges))
    return Graph(tuple(nodes), tuple(dict.fromkeys(target[i] for i in graph.outputs)), graph.notes)


def results_of(graph: Graph, members: Iterable[int]) -> list[int]:
    """Return the members whose values are used outside, or are outputs of the graph."""
    inside = set(members)
    used = [i for i in sorted(inside) if i in graph.outputs or any(c not in inside for c, _ in graph.consumers[i])]
    return [i for i in used if not is_leaf(graph.nodes[i])] or used or [max(inside)]


def card_node(graph: Graph, group: Scope, place: int, target: Sequence[int], about: dict[str, Any]) -> Node:
    """Return the node that stands for a group; ``target`` has the new id of each old node."""
    inside = set(group.members)
    result = graph.nodes[results_of(graph, inside)[-1]]
    edges: dict[int, Edge] = {}
    for i in group.members:
        for e in graph.nodes[i].inputs:
            if e.source not in inside and (e.source not in edges or edges[e.source].grad is None):
                edges[e.source] = Edge(target[e.source], f"in{len(edges)}", grad=e.grad)
    facts = {**count_contents(graph, group.members), **about}
    return Node(
        place, None, "scope", "scope", result.shape, result.dtype, about.get("name", group.path[-1]), group.path[:-1],
        tuple(edges.values()), tuple(facts.items()), requires_grad=result.requires_grad, value=result.value,
        grad=result.grad, grad_state=result.grad_state, saved=sum(graph.nodes[i].saved for i in group.members),
    )  # fmt: skip


def count_contents(graph: Graph, members: Iterable[int]) -> dict[str, int]:
    """Count the ops, nodes and parameters of a group; a card inside it counts for what it stands for."""
    found = {"ops": 0, "nodes": 0, "parameters": 0}
    for i in members:
        node = graph.nodes[i]
        inner = dict(node.params) if node.kind == "scope" else {}
        found["ops"] += inner.get("ops", len(node.op.split(",")) if node.op else 0)
        found["nodes"] += inner.get("nodes", 1)
        found["parameters"] += inner.get("parameters", math.prod(node.shape) if node.kind == "parameter" else 0)
    return found


def block_signature(graph: Graph, group: Scope) -> tuple[Any, ...]:
    """Return what is equal in two blocks that are copies: ops, shapes, parameters and how the nodes are joined."""
    place = {i: k for k, i in enumerate(group.members)}
    found = []
    for i in group.members:
        n = graph.nodes[i]
        inputs = tuple(place.get(e.source, -1) for e in n.inputs)
        found.append((n.op, n.kind, n.family, n.shape, n.dtype, repr(n.params), n.scope[len(group.path) :], inputs))
    return tuple(found)


def repeated_blocks(graph: Graph) -> list[list[Scope]]:
    """Return rows of equal blocks that follow each other; also those inside the first block of a row."""
    found: list[list[Scope]] = []
    covered: set[int] = set()  # nodes of blocks that will be folded; the first block of a row stays open
    everything = scopes(graph)
    for depth in sorted({len(s.path) for s in everything}):
        level = [s for s in everything if len(s.path) == depth]
        for _, blocks in itertools.groupby(level, key=lambda s: (s.path[:-1], block_signature(graph, s))):
            row = list(blocks)
            if len(row) >= REPEATS and not any(covered & set(block.members) for block in row):
                found.append(row)
                covered |= {i for block in row[1:] for i in block.members}
    return found


def fold(graph: Graph) -> Graph:
    """Show the first of equal blocks in a row, and put the others into one card that shows how figures change.

    Args:
        graph: any graph.

    Returns:
        A graph in which each row of 3 blocks or more is the first block and a card; ``courses`` among the card's
        ``params`` has one figure a block.
    """
    rest = [row[1:] for row in repeated_blocks(graph)]
    groups = [Scope(row[0].path, tuple(sorted(i for s in row for i in s.members))) for row in rest]
    about = [
        {"name": name_row([s.path[-1] for s in row]), "repeat": len(row), "courses": courses(graph, row)}
        for row in rest
    ]
    return collapse(graph, groups, about)


def name_row(names: Sequence[str]) -> str:
    """Name a row of blocks: blocks[1…11]."""
    first, last = names[0], names[-1]
    a, b = re.search(r"\d+(?=\D*$)", first), re.search(r"\d+(?=\D*$)", last)
    if a and b and first[: a.start()] == last[: b.start()]:
        return f"{first[: a.start()]}{a[0]}…{b[0]}{first[a.end() :]}"
    return first if first == last else f"{first} … {last}"


def courses(graph: Graph, row: Sequence[Scope]) -> list[list[Any]]:
    """Return how figures change from block to block: (what, ink, one number a block)."""
    outs = [graph.nodes[results_of(graph, s.members)[-1]] for s in row]
    found: list[list[Any]] = []
    if all(n.value and n.value.std is not None for n in outs):
        found.append(["activation std", "value", [n.value.std for n in outs if n.value]])
    weights = [[graph.nodes[i].grad for i in s.members if graph.nodes[i].kind == "parameter"] for s in row]
    if all(any(w) for w in weights):
        found.append(["‖∂L/∂params‖", "grad", [joint_norm(w) for w in weights]])
    if all(n.grad for n in outs):
        found.append(["‖∂L/∂out‖", "grad", [joint_norm([n.grad]) for n in outs]])
    if all(n.op == "relu" and n.value for n in outs):
        shares = [n.value.zeros / max(math.prod(n.shape), 1) for n in outs if n.value]
        found.append(["zeros after relu", "muted", shares])
    return found


def joint_norm(gradients: Iterable[Summary | None]) -> float:
    """Return the length of gradients put into one vector."""
    return math.sqrt(math.fsum((g.norm or 0.0) ** 2 for g in gradients if g))


def count_cards(graph: Graph) -> int:
    """Return how many nodes are drawn."""
    return sum(not graph.is_number(n.id) for n in graph.nodes)


def check_names(graph: Graph, expand: Iterable[str]) -> None:
    """Check that each path in ``expand`` is that of a scope: any other would open nothing.

    Args:
        graph: the graph to draw.
        expand: paths such as "net/bn1".

    Raises:
        ValueError: a path is that of no scope; the message lists the scopes.
    """
    known = paths_of(graph)
    if bad := [path for path in expand if path not in known]:
        raise ValueError(f"expand: no scope is {bad[0]!r}; the scopes are {', '.join(known) or 'none'}")


def paths_of(graph: Graph) -> list[str]:
    """Return the path of each scope, as ``expand`` takes it."""
    return list(dict.fromkeys("/".join(n.scope[:k]) for n in graph.nodes for k in range(1, len(n.scope) + 1)))


def at_depth(graph: Graph, depth: int, expand: Iterable[str] = ()) -> Graph:
    """Collapse the scopes below a depth.

    Args:
        graph: any graph.
        depth: how many scopes inside each other stay open, 0 or more.
        expand: paths of scopes that stay open all the same, with those around them.

    Returns:
        A graph in which each scope below has one card.

    Raises:
        ValueError: depth is no integer, or negative.
    """
    if not isinstance(depth, int) or depth < 0:
        raise ValueError(f"depth is {depth!r}; it must be 0, which collapses every scope, or more")
    opened = [tuple(path.split("/")) for path in expand]
    groups: list[Scope] = []
    covered: set[int] = set()
    for s in scopes(graph):
        is_open = any(s.path == path[: len(s.path)] for path in opened)
        if len(s.path) > depth and not is_open and len(s.members) > 1 and not covered & set(s.members):
            groups.append(s)
            covered |= set(s.members)
    return collapse(graph, groups) if groups else graph


def chunks(graph: Graph, count: int) -> Graph:
    """Put runs of ops into about ``count`` cards: the last resort for a long graph without scopes.

    Args:
        graph: any graph with ops.
        count: how many cards, 1 or more.

    Returns:
        A graph of cards "ops 1–20", "ops 21–40" and so on, and of the inputs.
    """
    ops = [n.id for n in graph.nodes if not is_leaf(n)]
    size = max(2, -(-len(ops) // count))
    runs = [ops[k : k + size] for k in range(0, len(ops), size)]
    run_of = {i: k for k, run in enumerate(runs) for i in run}
    for n in graph.nodes:
        if n.op is None and n.kind in ("parameter", "constant") and graph.consumers[n.id]:
            runs[run_of[min(c for c, _ in graph.consumers[n.id])]].append(n.id)
    groups, about, before = [], [], 0
    for run in runs:
        inside = count_contents(graph, run)["ops"]
        groups.append(Scope(("",), tuple(sorted(run))))
        about.append({"name": f"ops {before + 1}–{before + inside}"})
        before += inside
    return collapse(graph, groups, about)


def fit(graph: Graph, limit: int, depth: int | None = None, expand: Sequence[str] = ()) -> Graph:
    """Collapse as much of a graph as it takes to leave at most ``limit`` cards.

    Equal blocks in a row fold first, where there are more than a few dozen cards; then inner scopes
    collapse, then outer ones; a graph without scopes is cut into runs of ops.

    Args:
        graph: any graph.
        limit: the most cards that may be left, 1 or more.
        depth: collapse everything below this depth of scopes, and nothing else; 0 or more.
        expand: paths of scopes that stay open.

    Returns:
        The graph itself if it fits, else one with cards in the place of scopes.

    Raises:
        ValueError: depth is negative, or expand names no scope.

    >>> from tinygraph import Tensor, batch_norm, snapshot
    >>> graph = snapshot(batch_norm(Tensor(np.eye(3), name="x")))
    >>> [node.name for node in fit(graph, limit=5).nodes]
    ['x', 'batch_norm']
    """
    check_names(graph, expand)
    if depth is not None:
        return at_depth(graph, depth, expand)
    if count_cards(graph) > min(limit, CROWD) and not expand:
        graph = fold(graph)
    deepest = max((len(n.scope) for n in graph.nodes), default=0)
    found = graph
    for level in range(deepest, -1, -1):
        if count_cards(found) <= limit:
            return found
        found = at_depth(graph, level, expand)
    if count_cards(found) > limit:
        found = fold(found)
    return found if count_cards(found) <= limit else chunks(found, RUNS)
