"""Scopes as boxes: which nodes they hold, how they collapse to one card, and how many cards are too many."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tinygraph.graph.data import Edge, Graph, Node, Summary

__all__ = ["Scope", "chunks", "collapse", "fit", "fold", "scopes"]

REPEATS = 3  # this many equal blocks in a row fold into one card


CROWD = 48  # more cards than this, and they do


class Scope(NamedTuple):
    """One entry into a scope: its path, and the nodes made inside, with the leaves that only they use first."""

    path: tuple[str, ...]
    members: tuple[int, ...]


def with_leaf_scopes(graph: Graph) -> Graph:
    """Return the graph with each parameter and each unnamed constant in the scope that its consumers share.

    So a layer's weight is in the layer's box, and a weight that two layers use is in the box around both.
    Consumers in a recorded backward pass (the scope "grad") count only where there are no others.
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

    An entry is a run of ops made one after the other under one path; so the parts of a graph that entries
    cut out can be put in a row, and collapsing any of them leaves a graph without cycles.
    """
    runs: list[tuple[tuple[str, ...], list[int]]] = []
    for depth in range(1, 1 + max((len(n.scope) for n in graph.nodes), default=0)):
        last: tuple[str, ...] | None = None
        where: dict[int, int] = {}
        for node in graph.nodes:
            if node.op is None and node.kind != "scope":
                continue
            path = node.scope[:depth] if len(node.scope) >= depth else None
            if path is not None and path != last:
                runs.append((path, []))
            if path is not None:
                runs[-1][1].append(node.id)
                where[node.id] = len(runs) - 1
            last = path
        for node in graph.nodes:
            users = graph.consumers[node.id]
            if node.op is None and node.kind != "scope" and users and len(node.scope) >= depth:
                first = where.get(min(c for c, _ in users))
                if first is not None:
                    runs[first][1].append(node.id)
    return [Scope(path, tuple(sorted(members))) for path, members in runs]


def collapse(graph: Graph, groups: Iterable[Scope], about: Sequence[dict[str, Any]] = ()) -> Graph:
    """Put each group of nodes into one card.

    Args:
        graph: any graph.
        groups: entries from `scopes`, none inside another.
        about: facts to be told of each, beside what is counted here.

    Returns:
        A graph in which each group is a node of kind "scope": its ``params`` count ops, nodes and elements of
        parameters; value and gradient are those of its last result that is used outside.
    """
    groups = list(groups)
    owner = {i: g for g, group in enumerate(groups) for i in group.members}
    last = {g: max(group.members) for g, group in enumerate(groups)}
    order = sorted([*(n.id for n in graph.nodes if n.id not in owner), *last.values()])
    place = {i: k for k, i in enumerate(order)}
    target = [place[last[owner[i]]] if i in owner else place[i] for i in range(len(graph.nodes))]
    nodes = []
    for k, i in enumerate(order):
        if i in owner:
            g = owner[i]
            nodes.append(card_node(graph, groups[g], k, target, about[g] if about else {}))
        else:
            edges = tuple(dataclasses.replace(e, source=target[e.source]) for e in graph.nodes[i].inputs)
            nodes.append(dataclasses.replace(graph.nodes[i], id=k, inputs=edges))
    return Graph(tuple(nodes), tuple(dict.fromkeys(target[i] for i in graph.outputs)), graph.notes)


def results_of(graph: Graph, members: Iterable[int]) -> list[int]:
    """Return the members whose values are used outside, or asked for."""
    inside = set(members)
    used = [i for i in sorted(inside) if i in graph.outputs or any(c not in inside for c, _ in graph.consumers[i])]
    return [i for i in used if graph.nodes[i].op or graph.nodes[i].kind == "scope"] or used or [max(inside)]


def card_node(graph: Graph, group: Scope, place: int, target: Sequence[int], about: dict[str, Any]) -> Node:
    """Return the node that stands for a group."""
    inside = set(group.members)
    result = graph.nodes[results_of(graph, inside)[-1]]
    edges: dict[int, Edge] = {}
    for i in group.members:
        for e in graph.nodes[i].inputs:
            if e.source not in inside and (e.source not in edges or edges[e.source].grad is None):
                edges[e.source] = Edge(target[e.source], f"in{len(edges)}", grad=e.grad)
    facts = {**counted(graph, group.members), **about}
    return Node(
        place, None, "scope", "scope", result.shape, result.dtype, about.get("name", group.path[-1]), group.path[:-1],
        tuple(edges.values()), tuple(facts.items()), requires_grad=result.requires_grad, value=result.value,
        grad=result.grad, grad_state=result.grad_state, saved=sum(graph.nodes[i].saved for i in group.members),
    )  # fmt: skip


def counted(graph: Graph, members: Iterable[int]) -> dict[str, int]:
    """Count what a group holds; a card inside it counts for what it holds itself."""
    found = {"ops": 0, "nodes": 0, "parameters": 0}
    for i in members:
        node = graph.nodes[i]
        inner = dict(node.params) if node.kind == "scope" else {}
        found["ops"] += inner.get("ops", len(node.op.split(",")) if node.op else 0)
        found["nodes"] += inner.get("nodes", 1)
        found["parameters"] += inner.get("parameters", math.prod(node.shape) if node.kind == "parameter" else 0)
    return found


def signature(graph: Graph, group: Scope) -> tuple[Any, ...]:
    """Return what two blocks have in common if they are copies: ops, shapes, parameters and how they are joined."""
    place = {i: k for k, i in enumerate(group.members)}
    out = []
    for i in group.members:
        n = graph.nodes[i]
        inputs = tuple(place.get(e.source, -1) for e in n.inputs)
        out.append((n.op, n.kind, n.family, n.shape, n.dtype, repr(n.params), n.scope[len(group.path) :], inputs))
    return tuple(out)


def repeated(graph: Graph) -> list[list[Scope]]:
    """Return rows of equal blocks that follow each other; also inside the first of a row, which stays open."""
    found: list[list[Scope]] = []
    covered: set[int] = set()
    everything = scopes(graph)
    for depth in sorted({len(s.path) for s in everything}):
        row: list[Scope] = []
        known: tuple[Any, ...] = ()
        for s in [*(s for s in everything if len(s.path) == depth), None]:
            same = bool(row) and s is not None and s.path[:-1] == row[-1].path[:-1]
            mark = signature(graph, s) if s is not None else ()
            if s is not None and same and mark == known:
                row.append(s)
                continue
            if len(row) >= REPEATS and not any(covered & set(group.members) for group in row):
                found.append(row)
                covered |= {i for group in row[1:] for i in group.members}
            row, known = ([s] if s is not None else []), mark
    return found


def fold(graph: Graph) -> Graph:
    """Show the first of equal blocks in a row, and put the others into one card that shows their course."""
    rows = repeated(graph)
    rest = [row[1:] for row in rows]
    groups = [Scope(row[0].path, tuple(sorted(i for s in row for i in s.members))) for row in rest]
    return collapse(
        graph,
        groups,
        [
            {"name": ranged([s.path[-1] for s in row]), "repeat": len(row), "courses": courses(graph, row)}
            for row in rest
        ],
    )


def ranged(names: Sequence[str]) -> str:
    """Name a row of blocks: blocks[1…11]."""
    first, last = names[0], names[-1]
    a, b = re.search(r"\d+(?=\D*$)", first), re.search(r"\d+(?=\D*$)", last)
    if a and b and first[: a.start()] == last[: b.start()]:
        return f"{first[: a.start()]}{a[0]}…{b[0]}{first[a.end() :]}"
    return first if first == last else f"{first} … {last}"


def courses(graph: Graph, row: Sequence[Scope]) -> list[list[Any]]:
    """Return how figures go over equal blocks: (what, ink, one number a block)."""
    outs = [graph.nodes[results_of(graph, s.members)[-1]] for s in row]
    found: list[list[Any]] = []
    if all(n.value and n.value.std is not None for n in outs):
        found.append(["activation std", "value", [n.value.std for n in outs if n.value]])
    weights = [[graph.nodes[i].grad for i in s.members if graph.nodes[i].kind == "parameter"] for s in row]
    if all(any(w) for w in weights):
        found.append(["‖∂L/∂params‖", "grad", [norm_of(w) for w in weights]])
    if all(n.grad for n in outs):
        found.append(["‖∂L/∂out‖", "grad", [norm_of([n.grad]) for n in outs]])
    if all(n.op == "relu" and n.value for n in outs):
        found.append(
            ["zeros after relu", "muted", [n.value.zeros / max(math.prod(n.shape), 1) for n in outs if n.value]]
        )
    return found


def norm_of(gradients: Iterable[Summary | None]) -> float:
    """Return the length of gradients put into one vector."""
    return math.sqrt(math.fsum((g.norm or 0.0) ** 2 for g in gradients if g))


def cards(graph: Graph) -> int:
    """Return how many nodes are drawn."""
    return sum(not graph.is_number(n.id) for n in graph.nodes)


def check_names(graph: Graph, expand: Iterable[str]) -> None:
    """Raise where a path is that of no scope: it would open nothing, and say nothing."""
    known = paths_of(graph)
    if bad := [path for path in expand if path not in known]:
        raise ValueError(f"expand: no scope is {bad[0]!r}; the scopes are {', '.join(known) or 'none'}")


def paths_of(graph: Graph) -> list[str]:
    """Return the path of each scope, as ``expand`` takes it."""
    return list(dict.fromkeys("/".join(n.scope[:k]) for n in graph.nodes for k in range(1, len(n.scope) + 1)))


def at_depth(graph: Graph, depth: int, expand: Iterable[str] = ()) -> Graph:
    """Collapse the scopes below ``depth``, but for those whose path is in ``expand`` and what is around them.

    Raises:
        ValueError: depth is no number, or negative.
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
    """Put runs of ops into about ``count`` cards: the last resort for a long graph without scopes."""
    ops = [n.id for n in graph.nodes if n.op is not None or n.kind == "scope"]
    size = max(2, -(-len(ops) // count))
    runs = [ops[k : k + size] for k in range(0, len(ops), size)]
    owner = {i: k for k, run in enumerate(runs) for i in run}
    for n in graph.nodes:
        if n.op is None and n.kind in ("parameter", "constant") and graph.consumers[n.id]:
            runs[owner[min(c for c, _ in graph.consumers[n.id])]].append(n.id)
    groups, about, done = [], [], 0
    for run in runs:
        made = counted(graph, run)["ops"]
        groups.append(Scope(("",), tuple(sorted(run))))
        about.append({"name": f"ops {done + 1}–{done + made}"})
        done += made
    return collapse(graph, groups, about)


def fit(graph: Graph, limit: int, depth: int | None = None, expand: Sequence[str] = ()) -> Graph:
    """Collapse as much of a graph as it takes to leave at most ``limit`` cards.

    Equal blocks in a row fold first, where there are more than a few dozen cards; then inner scopes
    collapse, then outer ones; a graph without scopes is cut into runs of ops.

    Args:
        graph: any graph.
        limit: cards that may stand.
        depth: collapse everything below this depth of scopes, and nothing else.
        expand: paths of scopes that stay open.

    Raises:
        ValueError: depth is negative, or expand names no scope.
    """
    check_names(graph, expand)
    if depth is not None:
        return at_depth(graph, depth, expand)
    if cards(graph) > min(limit, CROWD) and not expand:
        graph = fold(graph)
    deepest = max((len(n.scope) for n in graph.nodes), default=0)
    found = graph
    for level in range(deepest, -1, -1):
        if cards(found) <= limit:
            return found
        found = at_depth(graph, level, expand)
    if cards(found) > limit:
        found = fold(found)
    return found if cards(found) <= limit else chunks(found, 40)
