"""Graph -> Graph: what a reader need not see apart is put together, and nothing else changes.

The result is a picture of the computation, not a program: a node that stands for several has an ``op``
that no registry knows. What it stands for is counted in its ``params``.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tinygraph.graph import Edge, Graph, Node, Summary
from tinygraph.later import Later

__all__ = ["Difference", "Scope", "chunks", "collapse", "diff", "fit", "fold", "inline", "route", "scopes"]

REPEATS = 3  # this many equal blocks in a row fold into one card
CROWD = 48  # more cards than this, and they do


def inline(graph: Graph) -> Graph:
    """Write unnamed steps into the formula of their only consumer, where the chain rule stays one line.

    ``σ = √(v + ε)`` becomes one node, and so does ``L = Σ w y``: one of the two derivatives is 1, so the
    derivative of both together is the other.

    Args:
        graph: any graph.

    Returns:
        A graph with fewer nodes; values, gradients and contributions of those that stay are untouched.
    """
    nodes = list(graph.nodes)
    gone: set[int] = set()
    for i, node in enumerate(graph.nodes):
        if node.op == "reshape" and relabels(graph, node) and i not in graph.outputs:
            leaf = nodes[node.inputs[0].source]
            nodes[i] = dataclasses.replace(leaf, id=i, shape=node.shape, name=leaf.name or node.name)
            gone.add(leaf.id)
            continue
        if i in graph.outputs or not (graph.inlines(i) or turned(graph, node)):
            continue
        consumer = graph.consumers[i][0][0]
        if (joined := merged(graph, node, nodes[consumer])) is not None:
            nodes[consumer] = joined
            gone.add(i)
    return renumbered(nodes, graph, gone)


def relabels(graph: Graph, node: Node) -> bool:
    """Whether a node is a leaf laid out in another shape, under the same name, so that it meets its consumer."""
    leaf = graph.nodes[node.inputs[0].source]
    return (
        leaf.op is None
        and len(graph.consumers[leaf.id]) == 1
        and node.name in (leaf.name, None, "")
        and leaf.id not in graph.outputs
    )


def turned(graph: Graph, node: Node) -> bool:
    """Whether a node is the transpose of a weight for one product, as in a linear layer: x Wᵀ says it all."""
    if node.op != "transpose" or node.name or len(node.shape) != 2:
        return False
    leaf, users = graph.nodes[node.inputs[0].source], graph.consumers[node.id]
    own = leaf.kind == "parameter" and len(graph.consumers[leaf.id]) == 1
    return own and len(users) == 1 and graph.nodes[users[0][0]].op == "matmul"


def merged(graph: Graph, inner: Node, outer: Node) -> Node | None:
    """Return ``outer`` with ``inner`` written into its formula, or None where that would hide a product."""
    edge = next(e for e in outer.inputs if e.source == inner.id)
    live = [e for e in inner.inputs if not graph.is_number(e.source)]
    single = [e.operand for e in outer.inputs].count(edge.operand) == 1
    plain = edge.partial in ("", "1") or all(e.partial in ("", "1") for e in live)
    if not single or not plain or outer.family == "fused" or any("$out" in e.partial for e in inner.inputs) or not live:
        return None
    taken = {e.operand for e in outer.inputs} | {name for name, _ in outer.params} | {"out", "n", "xs"}
    holes: dict[str, str] = {}
    for e in inner.inputs:
        if graph.is_number(e.source):
            holes[e.operand] = exact(graph.label(e.source))
            continue
        name = edge.operand + e.operand
        while name in taken:
            name += e.operand
        taken.add(name)
        holes[e.operand] = f"${name}"
    formula = refilled(inner.tex, holes)
    turns = inner.op == "transpose"
    bare = turns or wraps(outer.tex, edge.operand) or (inner.op in ("mul", "div") and outer.op in ("add", "sub"))
    here = {edge.operand: formula if bare else f"({formula})"}
    in_product = {edge.operand: formula if turns else f"({formula})"}
    edges: list[Edge] = []
    for e in outer.inputs:
        if e is not edge:
            edges.append(dataclasses.replace(e, partial=refilled(e.partial, in_product)))
            continue
        for f in live:
            own, upper = refilled(f.partial, holes), refilled(edge.partial, in_product)
            chain = rf"({upper})^{{\mathsf T}}" if turns else own if edge.partial in ("", "1") else upper
            name = holes[f.operand][1:]
            edges.append(dataclasses.replace(f, operand=name, partial=chain, copies=f.copies * edge.copies))
    op = f"{inner.op}, {outer.op}"
    kept = outer.saved + inner.saved
    return dataclasses.replace(outer, op=op, tex=refilled(outer.tex, here), inputs=tuple(edges), saved=kept)


def wraps(tex: str, hole: str) -> bool:
    """Whether the template sets the operand apart already, by a root, a bracket or an exponent; or adds it up."""
    return bool(re.search(rf"[{{(|]\${hole}[}})|]", tex)) or tex.startswith(r"\sum")


def refilled(template: str, holes: dict[str, str]) -> str:
    """Fill some of the holes of a template, and leave the others open."""
    return re.sub(r"\$([A-Za-z]+)", lambda m: holes.get(m[1], m[0]), template)


def exact(text: str) -> str:
    """Write a number in LaTeX: 1e-05 is a power of ten."""
    mantissa, e, power = text.partition("e")
    if not e or not power.lstrip("+-").isdigit():
        return text
    return ("" if mantissa == "1" else mantissa + r" \times ") + f"10^{{{int(power)}}}"


def renumbered(nodes: list[Node], graph: Graph, gone: set[int]) -> Graph:
    """Return the graph without the nodes in ``gone`` and without numbers that nobody uses any more."""
    used = {e.source for n in nodes if n.id not in gone for e in n.inputs}
    drop = gone | {n.id for n in nodes if graph.is_number(n.id) and n.id not in used and n.id not in graph.outputs}
    place = {n.id: k for k, n in enumerate(n for n in nodes if n.id not in drop)}
    kept = tuple(
        dataclasses.replace(
            n, id=place[n.id], inputs=tuple(dataclasses.replace(e, source=place[e.source]) for e in n.inputs)
        )
        for n in nodes
        if n.id not in drop
    )
    return Graph(kept, tuple(place[i] for i in graph.outputs), graph.notes)


# ---------------------------------------------------------------------------------------------------------- scopes


class Scope(NamedTuple):
    """One entry into a scope: its path, and the nodes made inside, with the leaves that only they use first."""

    path: tuple[str, ...]
    members: tuple[int, ...]


def homes(graph: Graph) -> list[tuple[str, ...]]:
    """Return the scope of each node; a parameter or unnamed constant lives where its consumers have in common."""
    found: list[tuple[str, ...]] = []
    for node in graph.nodes:
        path = node.scope
        follows = node.kind == "parameter" or (node.kind == "constant" and not node.name)
        if node.op is None and follows and graph.consumers[node.id]:
            paths = [graph.nodes[c].scope for c, _ in graph.consumers[node.id]]
            shared = 0
            while all(len(p) > shared and p[shared] == paths[0][shared] for p in paths):
                shared += 1
            path = paths[0][:shared]
        found.append(path)
    return found


def scopes(graph: Graph) -> list[Scope]:
    """Return every entry into a scope, outer before inner.

    An entry is a run of ops made one after the other under one path; so the parts of a graph that entries
    cut out can be put in a row, and collapsing any of them leaves a graph without cycles.
    """
    home = homes(graph)
    runs: list[tuple[tuple[str, ...], list[int]]] = []
    for depth in range(1, 1 + max(map(len, home), default=0)):
        last: tuple[str, ...] | None = None
        where: dict[int, int] = {}
        for node in graph.nodes:
            if node.op is None and node.kind != "scope":
                continue
            path = home[node.id][:depth] if len(home[node.id]) >= depth else None
            if path is not None and path != last:
                runs.append((path, []))
            if path is not None:
                runs[-1][1].append(node.id)
                where[node.id] = len(runs) - 1
            last = path
        for node in graph.nodes:
            users = graph.consumers[node.id]
            if node.op is None and node.kind != "scope" and users and len(home[node.id]) >= depth:
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


# --------------------------------------------------------------------------------------------------------- repeats


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


# ------------------------------------------------------------------------------------------------------ how it fits


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


# ------------------------------------------------------------------------------------------------- two graphs, a way


@dataclasses.dataclass(frozen=True)
class Difference:
    """What two graphs have in common: pairs of ids, and the ids that only the one or the other has."""

    a: Graph
    b: Graph
    names: tuple[str, str]
    shared: tuple[tuple[int, int], ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]

    svg = Later("tinygraph.render.svg", "svg_diff")
    text = Later("tinygraph.render.text", "text_diff")
    _repr_mimebundle_ = Later("tinygraph.drawing", "mimebundle")

    def __repr__(self) -> str:
        (a, b), alone = self.names, (len(self.only_a), len(self.only_b))
        return f"<Difference: {len(self.shared)} nodes are in both, {alone[0]} in {a} alone, {alone[1]} in {b} alone>"


def diff(a: Graph, b: Graph, names: tuple[str, str] = ("a", "b")) -> Difference:
    """Find what two graphs share and what the one has in place of the other.

    Two nodes are the same if they are leaves of one name, kind and shape, or the same op with the same
    parameters on the same operands; an operand that has a name is the same as one of that name and shape.

    Args:
        a, b: graphs, such as a composed batch norm and the fused one.
        names: what to call them.

    Returns:
        A `Difference`, to draw or to print; every id of both graphs is in it once.

    Raises:
        TypeError: one of them is no `Graph`.

    >>> from tinygraph import Tensor, snapshot
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> diff(snapshot((x * x).named("y")), snapshot((x**2).named("y")), names=("product", "power"))
    <Difference: 1 nodes are in both, 1 in product alone, 2 in power alone>
    """
    if bad := [type(g).__name__ for g in (a, b) if not isinstance(g, Graph)]:
        raise TypeError(f"diff takes two Graphs, not {bad[0]}: of a Tensor, take a snapshot")
    keys: dict[Any, list[int]] = {}
    for key, n in zip(identities(b), b.nodes, strict=True):
        keys.setdefault(key, []).append(n.id)
    shared = []
    for key, n in zip(identities(a), a.nodes, strict=True):
        if keys.get(key):
            shared.append((n.id, keys[key].pop(0)))
    left, right = {i for i, _ in shared}, {j for _, j in shared}
    return Difference(
        a, b, names,
        tuple(sorted(shared)),
        tuple(n.id for n in a.nodes if n.id not in left),
        tuple(n.id for n in b.nodes if n.id not in right),
    )  # fmt: skip


def identities(graph: Graph) -> list[Any]:
    """Return a hash of what each node is: its op and its operands, of which a named one is what its name says."""
    own: list[Any] = []
    seen: list[Any] = []
    for node in graph.nodes:
        if node.op is None and node.kind != "scope":
            value = node.value.values if node.kind == "constant" and not node.name and node.value else None
            own.append(hash((node.kind, node.name, node.shape, repr(value))))
        else:
            own.append(hash((node.op, repr(node.params), node.shape, tuple(seen[e.source] for e in node.inputs))))
        seen.append(hash((node.name, node.shape)) if node.name else own[-1])
    return own


def route(graph: Graph, *names: str) -> tuple[set[int], set[tuple[int, int]]]:
    """Return the nodes and edges on the ways from the first of some named nodes through the others to the last.

    Raises:
        KeyError: a name is none of the graph's.
        ValueError: no way leads from one to the next.
    """
    stops = [graph.find(name).id for name in names]
    nodes: set[int] = set(stops)
    edges: set[tuple[int, int]] = set()
    for start, end in zip(stops, stops[1:], strict=False):
        after = {start}
        for n in graph.nodes[start:]:
            if any(e.source in after for e in n.inputs):
                after.add(n.id)
        if end not in after:
            raise ValueError(f"no way leads from {graph.label(start)} to {graph.label(end)}")
        reached = {end}
        for n in reversed(graph.nodes[: end + 1]):
            for e in n.inputs if n.id in reached else ():
                if e.source in after:
                    reached.add(e.source)
                    edges.add((e.source, n.id))
        nodes |= reached
    return nodes, edges
