"""Scopes as boxes: which nodes each box has, how a box collapses to one card, and how many cards are too many."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tinygraph.engine.errors import clean
from tinygraph.graph.data import Edge, Graph, Node, Summary, result_name
from tinygraph.graph.options import layer_words
from tinygraph.graph.periods import periods

__all__ = [
    "Scope",
    "at_depth",
    "check_names",
    "chunks",
    "close_library",
    "collapse",
    "count_contents",
    "fit",
    "fold",
    "fold_runs",
    "is_leaf",
    "known_in",
    "paths_of",
    "scopes",
    "with_leaf_scopes",
]

REPEATS = 3  # this many equal blocks in a row fold into one card
CROWD = 48  # blocks fold only where there are more cards than this
OWNED = ("parameter", "constant")  # leaves that go into the card of the ops that alone use them
RUNS = 40  # cards that a long graph without scopes is cut into
BRANCHES = 3  # this many equal branches between the same values fold into one card
LOSSES = frozenset({"cross_entropy", "log_softmax", "softmax", "attention"})  # closed first: a reader knows them
LIBRARY = LOSSES | {
    "batch_norm", "batch_norm_inference", "batch_norm_spatial", "group_norm", "instance_norm", "layer_norm", "dropout",
    "std", "var",
}  # fmt: skip


class Scope(NamedTuple):
    """One entry into a scope.

    Attributes:
        path: its name, after those of the scopes around it.
        members: ids of the nodes made inside, in order; with the leaves that these alone use.
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
        moves = node.kind == "parameter" or (node.kind == "constant" and not node.name)
        if moves and (users := forward_users(graph, node.id)):
            path = shared_path(graph.nodes[c].scope for c in users)
            nodes[node.id] = dataclasses.replace(node, scope=path)
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
            if is_leaf(node) and len(node.scope) >= depth:
                used_in = {run_of.get(c) for c in forward_users(graph, node.id)}
                if len(used_in) == 1 and (only := used_in.pop()) is not None:
                    runs[only][1].append(node.id)
    return [Scope(path, tuple(sorted(members))) for path, members in runs]


def forward_users(graph: Graph, i: int) -> list[int]:
    """Return what uses a value; what a recorded backward pass made counts only where there is nothing else."""
    users = [c for c, _ in graph.consumers[i]]
    return [c for c in users if graph.nodes[c].scope[:1] != ("grad",)] or users


def is_leaf(node: Node) -> bool:
    """Whether a node is made from no other."""
    return node.op is None and node.kind != "scope"


def collapse(graph: Graph, groups: Iterable[Scope], about: Sequence[dict[str, Any]] = ()) -> Graph:
    """Put each group of nodes into one card.

    A leaf that is used outside of its group, too, stays a card of its own: an arrow that leaves a card is a result.

    Args:
        graph: any graph.
        groups: entries from `scopes`, none inside another; one that holds leaves alone has no card.
        about: further facts for the card of each group, by name; none unless given.

    Returns:
        A graph in which each group is a node of kind "scope": its ``params`` count ops, nodes and elements of
        parameters; value and gradient are those of its last result that is used outside.
    """
    kept = [(group._replace(members=own), k) for k, group in enumerate(groups) if (own := own_members(graph, group))]
    groups, about = [group for group, _ in kept], [about[k] for _, k in kept] if about else ()
    group_of = {i: g for g, group in enumerate(groups) for i in group.members}
    last = {g: max(group.members) for g, group in enumerate(groups)}
    order = sorted([*(n.id for n in graph.nodes if n.id not in group_of), *last.values()])
    place = {i: k for k, i in enumerate(order)}
    target = {i: place[last[group_of[i]] if i in group_of else i] for i in range(len(graph.nodes))}
    place_of_single = {i: k for i, k in place.items() if i not in group_of}
    once = {place[last[g]] for g, facts in enumerate(about) if facts.get("parallel")}
    nodes = []
    for k, i in enumerate(order):
        if i in group_of:
            g = group_of[i]
            nodes.append(card_node(graph, groups[g], k, target, about[g] if about else {}))
        else:
            node = graph.nodes[i].moved(k, target, place_of_single)
            nodes.append(dataclasses.replace(node, inputs=without_repeats(node.inputs, once)) if once else node)
    return Graph(tuple(nodes), tuple(dict.fromkeys(target[i] for i in graph.outputs)), graph.notes)


def without_repeats(edges: Sequence[Edge], once: Collection[int]) -> tuple[Edge, ...]:
    """Return the edges, but from each source in ``once`` the first alone: branches that share a card have one line."""
    seen: set[int] = set()
    kept = []
    for e in edges:
        if e.source not in seen or e.source not in once:
            kept.append(e)
        seen.add(e.source)
    return tuple(kept)


def own_members(graph: Graph, group: Scope) -> tuple[int, ...]:
    """Return the members of a group without the leaves that are outputs, or are used outside of it."""
    inside = set(group.members)

    def is_shared(i: int) -> bool:
        return i in graph.outputs or any(c not in inside for c, _ in graph.consumers[i])

    if all(is_leaf(graph.nodes[i]) for i in group.members):  # parameters that one op stacks
        return group.members
    return tuple(i for i in group.members if not is_leaf(graph.nodes[i]) or not is_shared(i))


def results_of(graph: Graph, members: Iterable[int]) -> list[int]:
    """Return the members that were computed and are used outside, or are outputs; of leaves alone, these."""
    inside = set(members)
    made = [i for i in sorted(inside) if not is_leaf(graph.nodes[i])] or sorted(inside)
    return [i for i in made if i in graph.outputs or any(c not in inside for c, _ in graph.consumers[i])] or made[-1:]


def names_of_results(graph: Graph, members: Iterable[int]) -> list[str | None]:
    """Return what the results are called; that of a collapsed scope has the name of its own result."""
    found = [graph.nodes[i] for i in results_of(graph, members)]
    return [result_name(n) or None if n.kind == "scope" else n.name for n in found]


def card_node(graph: Graph, group: Scope, place: int, target: Mapping[int, int], about: dict[str, Any]) -> Node:
    """Return the node that stands for a group; ``target`` has the new id of each old node."""
    inside = set(group.members)
    result = graph.nodes[results_of(graph, inside)[-1]]
    edges: dict[int, Edge] = {}
    for i in group.members:
        for e in graph.nodes[i].inputs:
            source = target[e.source]  # one arrow between two cards, whatever goes from one to the other
            if e.source not in inside and (source not in edges or edges[source].grad is None):
                edges[source] = Edge(source, f"in{len(edges)}", grad=e.grad)
    facts: dict[str, Any] = {**count_contents(graph, group.members), **about}
    if not about:  # one call of a layer or function: its results, and the op whose options a reader wants to know
        facts["results"] = names_of_results(graph, group.members)
        facts["options"] = layer_words(graph, group.members)
    return Node(
        place, None, "scope", "scope", result.shape, result.dtype, about.get("name", group.path[-1]), group.path[:-1],
        tuple(edges.values()), tuple(facts.items()), requires_grad=result.requires_grad, value=result.value,
        grad=result.grad, grad_state=result.grad_state, saved=sum(graph.nodes[i].saved for i in group.members),
        batch=result.batch, members=tuple(k for i in group.members for k in graph.nodes[i].parts),
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


def block_signature(graph: Graph, group: Scope, *, shared: bool = False) -> tuple[Any, ...]:
    """Return what is equal in two blocks that are copies: ops, shapes, parameters and how the nodes are joined.

    With ``shared``, which values from outside they use is part of it.
    """
    place = {i: k for k, i in enumerate(group.members)}
    found = []
    for i in group.members:
        n = graph.nodes[i]
        inputs = tuple(place.get(e.source, (e.source,) if shared else -1) for e in n.inputs)
        found.append((n.op, n.kind, n.family, n.shape, n.dtype, repr(n.params), n.scope[len(group.path) :], inputs))
    return tuple(found)


def repeated_blocks(graph: Graph) -> list[list[Scope]]:
    """Return rows of equal blocks that follow each other; also those inside the first block of a row."""
    found: list[list[Scope]] = []
    covered: set[int] = set()  # nodes of blocks that will be folded; the first block of a row stays open
    everything = scopes(graph)
    for depth in sorted({len(s.path) for s in everything}):
        level = [s for s in everything if len(s.path) == depth]
        gaps = itertools.accumulate((not is_next(graph, a, b) for a, b in itertools.pairwise(level)), initial=0)
        numbered = zip(gaps, level, strict=True)  # blocks with ops between them are in no one row
        for _, blocks in itertools.groupby(
            numbered, key=lambda s: (s[0], s[1].path[:-1], block_signature(graph, s[1]))
        ):
            row = [block for _, block in blocks]
            if len(row) >= REPEATS and not any(covered & set(block.members) for block in row):
                found.append(row)
                covered |= {i for block in row[1:] for i in block.members}
    return found


def is_next(graph: Graph, a: Scope, b: Scope) -> bool:
    """Whether no op stands between two entries."""
    between = range(max(a.members) + 1, max(b.members))
    inside = set(b.members)
    return all(i in inside or is_leaf(graph.nodes[i]) for i in between)


def fold(graph: Graph, expand: Iterable[str] = ()) -> Graph:
    """Show the first of equal blocks in a row or side by side, and put the others into one card.

    Args:
        graph: any graph.
        expand: paths of scopes that stay open: a row with one of them does not fold.

    Returns:
        A graph in which each row of 3 blocks or more is the first block and a card; ``courses`` among the card's
        ``params`` has one figure a block. Equal branches between the same values, likewise.
    """
    return fold_leaves(fold_branches(fold_rows(graph, tuple(expand)), tuple(expand)))


def fold_leaves(graph: Graph) -> Graph:
    """Put parameters that the same collapsed cards use into one card."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for node in graph.nodes:
        users = tuple(dict.fromkeys(c for c, _ in graph.consumers[node.id]))
        if node.kind == "parameter" and users and all(graph.nodes[c].kind == "scope" for c in users):
            alike.setdefault(users, []).append(node.id)
    rows = [ids for ids in alike.values() if len(ids) >= BRANCHES]
    groups = [Scope((*shared_path(graph.nodes[i].scope for i in ids), ""), tuple(ids)) for ids in rows]
    about = [
        {"name": f"{graph.label(ids[0])} … {graph.label(ids[-1])}", "repeat": len(ids), "parallel": True}
        for ids in rows
    ]
    return collapse(graph, groups, about) if groups else graph


def fold_rows(graph: Graph, expand: Sequence[str]) -> Graph:
    """Fold equal blocks that follow each other."""
    opened = {tuple(path.split("/")) for path in expand}

    def is_opened(row: Sequence[Scope]) -> bool:
        return any(s.path == path[: len(s.path)] for s in row[1:] for path in opened)

    rest = [row[1:] for row in repeated_blocks(graph) if not is_opened(row)]
    if not rest:
        return graph
    groups = [Scope(row[0].path, tuple(sorted(i for s in row for i in s.members))) for row in rest]
    about = [
        {"name": name_row([s.path[-1] for s in row]), "repeat": len(row), "courses": courses(graph, row)}
        for row in rest
    ]
    return collapse(graph, groups, about)


def fold_branches(graph: Graph, expand: Sequence[str]) -> Graph:
    """Fold equal branches that end in one node: the first stays open, the others share a card."""
    groups, about = [], []
    covered: set[int] = set()
    for node in reversed(graph.nodes):
        ends = [e.source for e in node.inputs]
        if "$xs" not in node.tex or len(set(ends)) <= BRANCHES - 1 or node.id in covered:
            continue
        alike: dict[Any, list[Scope]] = {}
        for end in dict.fromkeys(ends):
            branch = branch_to(graph, end, node.id)
            made = branch and any(not is_leaf(graph.nodes[i]) for i in branch.members)  # leaves alone are no branch
            if branch and made and covered.isdisjoint(branch.members):
                alike.setdefault(block_signature(graph, branch, shared=True), []).append(branch)
        for row in alike.values():
            if len(row) < BRANCHES or any(is_within(graph, row, path) for path in expand):
                continue
            rest = row[1:]
            members = tuple(sorted(i for s in rest for i in s.members))
            groups.append(Scope(rest[0].path, members))
            covered |= {i for s in row for i in s.members}
            about.append({"name": name_branches(graph, rest), "repeat": len(rest), "courses": courses(graph, rest),
                          "parallel": True})  # fmt: skip
    return collapse(graph, groups, about) if groups else graph


def is_within(graph: Graph, row: Sequence[Scope], path: str) -> bool:
    """Whether a scope has a node of these branches."""
    names = tuple(path.split("/"))
    return any(graph.nodes[i].scope[: len(names)] == names for s in row for i in s.members)


def branch_to(graph: Graph, end: int, join: int) -> Scope | None:
    """Return the nodes that lead to ``end`` and nowhere else, or None where others than ``join`` use it."""
    if {c for c, _ in graph.consumers[end]} != {join} or end in graph.outputs:
        return None
    members, waiting = {end}, [-e.source for e in graph.nodes[end].inputs]
    heapq.heapify(waiting)
    while waiting:
        i = -heapq.heappop(waiting)
        node = graph.nodes[i]
        mine = all(c in members for c, _ in graph.consumers[i]) and i not in graph.outputs
        if i in members or not mine or (node.op is None and node.kind == "input"):
            continue
        members.add(i)
        for e in node.inputs:
            heapq.heappush(waiting, -e.source)
    path = shared_path([graph.nodes[i].scope for i in members])
    return Scope((*path, "branch"), tuple(sorted(members)))


def name_branches(graph: Graph, row: Sequence[Scope]) -> str:
    """Name equal branches: by the names of their results, or by their ops."""
    ends = [graph.nodes[max(s.members)] for s in row]
    if all(n.name for n in ends):
        return name_row([n.name or "" for n in ends])
    ops = [n.op or f"▸{n.name}" for n in (graph.nodes[i] for i in row[0].members) if not is_leaf(n)]
    return ", ".join(ops) if 0 < len(ops) <= 3 else list_ops(graph, row[0].members) or ends[0].kind


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
        raise ValueError(f"expand: no scope is {bad[0]!r}; the scopes are {clean(', '.join(known)) or 'none'}")


def known_in(graph: Graph, paths: Iterable[str]) -> list[str]:
    """Return the paths that are those of scopes of a graph: a part of a graph has fewer.

    Args:
        graph: any graph.
        paths: paths such as "net/bn1".
    """
    known = set(paths_of(graph))
    return [path for path in paths if path in known]


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
    return close(graph, lambda s: len(s.path) > depth, expand)


def close(graph: Graph, closes: Callable[[Scope], bool], expand: Iterable[str] = ()) -> Graph:
    """Collapse the outermost scopes that ``closes`` accepts; those in ``expand``, and those around them, stay open."""
    opened = [tuple(path.split("/")) for path in expand]
    groups: list[Scope] = []
    covered: set[int] = set()
    for s in scopes(graph):
        is_open = any(s.path == path[: len(s.path)] for path in opened)
        if closes(s) and not is_open and len(s.members) > 1 and covered.isdisjoint(s.members):
            groups.append(s)
            covered.update(s.members)
    return collapse(graph, groups) if groups else graph


def close_library(graph: Graph, expand: Iterable[str] = (), *, all_of_it: bool = False) -> Graph:
    """Collapse scopes that the library opened: losses and softmax, and what else occurs twice.

    Args:
        graph: any graph.
        expand: paths of scopes that stay open all the same.
        all_of_it: collapse those that occur once as well.

    Returns:
        A graph in which each of these has one card.

    >>> from tinygraph import Tensor, snapshot, softmax
    >>> graph = snapshot(softmax(Tensor([[1.0, 2.0]], name="x")).named("p"))
    >>> [node.name for node in close_library(graph).nodes]
    ['x', 'softmax']
    """
    count = Counter(s.path[-1] for s in scopes(graph))
    names = {name for name in LIBRARY if all_of_it or name in LOSSES or count[name] > 1}
    return close(graph, lambda s: s.path[-1] in names, expand)


def chunks(graph: Graph, count: int, keep: Sequence[str] = ()) -> Graph:
    """Put runs of ops into about ``count`` cards: the last resort for a long graph without scopes.

    Args:
        graph: any graph with ops.
        count: how many cards, 1 or more.
        keep: names of nodes that stay as they are.

    Returns:
        A graph of cards "ops 1–20: 10 mul, 10 tanh", "ops 21–40: …" and so on, of the inputs, and of the leaves
        that several runs use.
    """
    ops = [n.id for n in graph.nodes if not is_leaf(n)]
    groups, about, before = [], [], 0
    kept = {graph.find(name).id for name in keep}
    apart = {k + side for k, i in enumerate(ops) if i in kept for side in (0, 1)}
    for first, end in itertools.pairwise(sorted({*choose_cuts(graph, ops, count), *apart})):
        members = with_own_leaves(graph, ops[first:end])
        group = Scope(("",), tuple(i for i in members if i not in kept))
        if end - first > 1:  # one op, or one card, says more as it is
            groups.append(group)
            about.append(about_run(graph, before, group.members))
        before += count_contents(graph, members)["ops"]
    return collapse(graph, groups, about)


def about_run(graph: Graph, before: int, members: Sequence[int]) -> dict[str, Any]:
    """Return what the card of a run of ops is called, after so many, and what its one result is, if that has a name.

    It is called "ops 21–40: 10 mul, 10 tanh".
    """
    last = before + count_contents(graph, members)["ops"]
    name, results = f"ops {before + 1}–{last}: {list_ops(graph, members)}", names_of_results(graph, members)
    return {"name": name, "results": results} if results[0] and len(results) == 1 else {"name": name}


def choose_cuts(graph: Graph, ops: Sequence[int], count: int) -> list[int]:
    """Return where about ``count`` stretches of ops begin and end: where the fewest values are used on both sides."""
    place = {i: k for k, i in enumerate(ops)}
    change = [0] * (len(ops) + 1)
    for i in {e.source for j in ops for e in graph.nodes[j].inputs}:
        uses = [place[c] for c, _ in graph.consumers[i] if c in place]
        change[place.get(i, min(uses)) + 1] += 1
        change[max(uses) + 1] -= 1
    crossing = list(itertools.accumulate(change))
    size = max(2, -(-len(ops) // count))
    cuts = [0]
    for target in range(size, len(ops) - size // 3, size):
        near = range(max(cuts[-1] + 1, target - size // 3), target + size // 3 + 1)
        cuts.append(min(near, key=lambda k: (crossing[k], abs(k - target))))
    return [*cuts, len(ops)]


def gather_leaves(graph: Graph) -> Graph:
    """Put leaves that are alike into one card, where the same ops or cards take very many of them.

    Args:
        graph: any graph.

    Returns:
        A graph in which 3,000 scalars that are stacked are one card, "x0…x2999: 3000 inputs".
    """
    rows: dict[tuple[Any, ...], list[int]] = {}
    for n in graph.nodes:
        users = frozenset(c for c, _ in graph.consumers[n.id])
        if is_leaf(n) and n.id not in graph.outputs and not graph.is_number(n.id):
            rows.setdefault((users, n.kind, n.shape, n.dtype), []).append(n.id)
    first_of = {i: row[0] for row in rows.values() if len(row) > CROWD for i in row}
    left = [n.id for n in graph.nodes if first_of.get(n.id, n.id) == n.id]
    place = {i: k for k, i in enumerate(left)}
    target = {n.id: place[first_of.get(n.id, n.id)] for n in graph.nodes}
    nodes = {n.id: n for n in graph.nodes}
    for row in rows.values():
        if len(row) > CROWD:
            names = name_row([graph.label(row[0]), graph.label(row[-1])])
            name = f"{names}: {len(row)} {nodes[row[0]].kind}s"
            nodes[row[0]] = dataclasses.replace(nodes[row[0]], name=name, value=None, grad=None)
    found = []
    for i in left:
        edges: dict[Any, Edge] = {}
        for k, e in enumerate(nodes[i].inputs):  # one arrow from a card
            edges.setdefault(first_of.get(e.source, (e.source, k)), e)
        found.append(dataclasses.replace(nodes[i], inputs=tuple(edges.values())).moved(place[i], target, place))
    return Graph(tuple(found), tuple(target[i] for i in graph.outputs), graph.notes)


def with_own_leaves(graph: Graph, ops: Sequence[int]) -> tuple[int, ...]:
    """Return ops and the parameters and constants that they alone use, in order."""
    inside = set(ops)
    leaves = {e.source for i in ops for e in graph.nodes[i].inputs if graph.nodes[e.source].kind in OWNED}
    return tuple(sorted(inside | {i for i in leaves if all(c in inside for c, _ in graph.consumers[i])}))


def list_ops(graph: Graph, members: Iterable[int], most: int = 3) -> str:
    """Count the ops of each name, the most frequent first: ``3 mul, 3 tanh``; a card counts under its own name."""
    named = [graph.nodes[i] for i in members if not is_leaf(graph.nodes[i])]
    counts = Counter(name for n in named for name in (n.op.split(", ") if n.op else [f"▸{n.name}"]))
    shown = [f"{count} {name}" for name, count in counts.most_common(most)]
    return ", ".join([*shown, "…"] if len(counts) > most else shown)


def fold_runs(graph: Graph, *, all_of_it: bool = False) -> Graph:
    """Show the first of ops that repeat, and put the further repeats into one card that shows how figures change.

    So `fold` does with blocks; this needs no scopes. A loop of 120 steps becomes its first step and a card ×119.

    Args:
        graph: any graph.
        all_of_it: put the first of them into the card, too: ×120.

    Returns:
        A graph in which each stretch of 3 equal runs of ops or more is the first run and a card, or a card alone.

    >>> from tinygraph import Tensor, snapshot
    >>> h = Tensor([1.0, 2.0], name="x")
    >>> for _ in range(9):
    ...     h = np.tanh(h * 1.1)
    >>> [graph_node.name or graph_node.op for graph_node in fold_runs(snapshot(h)).nodes]
    ['x', None, 'mul', 'tanh', 'mul, tanh']
    """
    ops = [n.id for n in graph.nodes if not is_leaf(n)]
    groups, about = [], []
    for p in periods(graph, REPEATS):
        starts = [p.start + p.length * k for k in range((not p.follows) - all_of_it, p.times)]
        row = [Scope(("",), with_own_leaves(graph, ops[k : k + p.length])) for k in starts]
        members = with_own_leaves(graph, [i for block in row for i in block.members])
        around = shared_path(graph.nodes[i].scope for i in members)
        once = [graph.nodes[i] for i in row[0].members if not is_leaf(graph.nodes[i])]
        names = [n.op or f"▸{n.name}" for n in once]
        name = ", ".join(names) if len(names) <= 3 else list_ops(graph, row[0].members)
        before = count_contents(graph, ops[: starts[0]])["ops"]
        facts = about_run(graph, before, members) if all_of_it else {"name": name}
        groups.append(Scope((*around, ""), members))
        about.append({**facts, "repeat": len(row), "courses": courses(graph, row)})
    return collapse(graph, groups, about)


def fit(graph: Graph, limit: int, depth: int | None = None, expand: Sequence[str] = ()) -> Graph:
    """Collapse as much of a graph as it takes to leave at most ``limit`` cards.

    Equal blocks in a row and ops that repeat fold first, where there are more than a few dozen cards; then inner
    scopes collapse, then outer ones; a graph without scopes is cut into runs of ops.

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
        if count_cards(graph) > min(limit, CROWD):
            graph = fold_runs(graph)
    deepest = max((len(n.scope) for n in graph.nodes), default=0)
    found = graph
    for level in range(deepest, -1, -1):
        if count_cards(found) <= limit:
            return found
        found = at_depth(graph, level, expand)
    if count_cards(found) > limit:
        found = fold_runs(fold(found))
    found = found if count_cards(found) <= limit else chunks(found, RUNS)
    return found if count_cards(found) <= limit else gather_leaves(found)
