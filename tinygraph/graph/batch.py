"""Where the batch enters a graph, and which axes of its values carry it.

This is found on the whole graph. Rewrites such as `inline` and `collapse` keep it, for it stands in `Node.batch`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygraph.graph.batch_axis import NONE, Axes, follow_op, keys_of, rank_of_key
from tinygraph.graph.data import Graph, Node
from tinygraph.ops.linear import spell_out

__all__ = ["Batch", "batch_axes", "with_batch"]

Batch = str | Sequence[str] | Mapping[str, int] | None
Traced = dict[tuple[int, int], int]  # (leaf, its axis) -> where that axis is in another value

ROUNDS = 4  # what meets the batch has it, too; and so has what meets that
MOST_ROOTS = 8  # leaves that one value is traced back to
STRONG, WEAK = 2, 1  # a product with weights tells what is an example; a statistic or a broadcast less surely
WEIGHT_NAME = re.compile(r"(?:.*[./])?[Ww](?:eights?)?(?:[\d₀-₉_^′'{].*)?", re.S)


def with_batch(graph: Graph, batch: Batch = None) -> Graph:
    """Return the graph with ``batch`` of each node: which axes of its value carry the batch.

    Args:
        graph: any graph, whole: before anything in it is inlined or collapsed.
        batch: names of the inputs whose first axis is the batch; or names with the axis of each; () where there is
            no batch. None finds them: inputs that weights are multiplied into, or whose statistics are taken.

    Returns:
        A graph with the same nodes; what was followed before stays, unless ``batch`` says anew.

    Raises:
        ValueError: there is no such name, or no such axis.

    >>> from tinygraph import Parameter, Tensor, snapshot
    >>> graph = snapshot(Tensor(np.ones((4, 3)), name="x") @ Parameter(np.ones((3, 2)), name="W"))
    >>> [node.batch for node in with_batch(graph).nodes], [node.batch for node in with_batch(graph, ()).nodes]
    ([(0,), (), (0,)], [(), (), ()])
    """
    if batch is None and all(node.batch is not None for node in graph.nodes):
        return graph
    found = batch_axes(graph, batch)
    nodes = tuple(
        dataclasses.replace(node, batch=tuple(sorted(axes))) for node, axes in zip(graph.nodes, found, strict=True)
    )
    return dataclasses.replace(graph, nodes=nodes)


def batch_axes(graph: Graph, batch: Batch = None) -> list[Axes]:
    """Return, for each node, which of its axes carry the batch.

    Args:
        graph: any graph.
        batch: as in `with_batch`.

    Returns:
        The axes of each node. Parameters carry none; what meets the batch element by element (labels, weights of
        examples) or stands where the batch is multiplied by weights (a first state) has it, too.

    Raises:
        ValueError: there is no such name, or no such axis.
    """
    sources = find_sources(graph) if batch is None else read_batch(graph, batch)
    if not sources:
        return [NONE] * len(graph)
    carried = follow(graph, sources)
    for _ in range(ROUNDS):
        more = meet(graph, carried)
        if not more:
            break
        sources |= more
        carried = follow(graph, sources)
    return carried


def read_batch(graph: Graph, batch: str | Sequence[str] | Mapping[str, int]) -> dict[int, Axes]:
    """Return the nodes that carry the batch because a user says so."""
    names = [batch] if isinstance(batch, str) else list(batch)
    axis_of = batch if isinstance(batch, Mapping) else {}
    found: dict[int, Axes] = {}
    for name in names:
        nodes = [n for n in graph.nodes if n.name == name]
        if not nodes:
            known = ", ".join(dict.fromkeys(n.name for n in graph.nodes if n.name and n.op is None))
            raise ValueError(f"batch: no value is named {name!r}; the inputs and parameters are {known or 'unnamed'}")
        axis = axis_of.get(name, 0)
        for n in nodes:
            if not isinstance(axis, int) or not -len(n.shape) <= axis < len(n.shape):
                raise ValueError(f"batch: {name} has shape {n.shape} and no axis {axis!r}")
            found[n.id] = frozenset({axis % len(n.shape)})
    return found


def follow(graph: Graph, sources: Mapping[int, Axes]) -> list[Axes]:
    """Follow the axes from their sources through every op."""
    carried: list[Axes] = []
    for node in graph.nodes:
        if node.id in sources:
            carried.append(sources[node.id])
        elif not any(carried[e.source] for e in node.inputs):
            carried.append(NONE)
        else:
            carried.append(follow_op(node, [(carried[e.source], graph.nodes[e.source].shape) for e in node.inputs]))
    return carried


# ------------------------------------------------------------------------------------------- where the batch enters


def find_sources(graph: Graph) -> dict[int, Axes]:
    """Return what the batch enters by: inputs, and rows that an embedding looks up; plain arrays if there are none."""
    evidence = weigh_evidence(graph)
    ranks = {key: (level, graph.nodes[key[0]].kind != "constant") for key, level in evidence.items()}
    best = max(ranks.values(), default=None)
    # A statistic of a plain array, such as the mean of labels, does not make it a batch beside an input.
    return {} if best is None else {i: frozenset({a}) for (i, a), rank in ranks.items() if rank == best}


def weigh_evidence(graph: Graph) -> dict[tuple[int, int], int]:
    """Return how sure it is that an axis is the batch, by (node, axis), where there is reason to think so.

    A leaf is traced through ops that keep its rows. Where it is multiplied by weights and keeps them, or is looked
    at through windows, the axis is the batch; where a statistic or a broadcast treats its rows alike, it may be.
    """
    found: dict[tuple[int, int], int] = {}
    roots: list[Traced] = []
    weights: list[bool] = []
    for node in graph.nodes:
        operands = [graph.nodes[e.source] for e in node.inputs]
        traced = [roots[n.id] for n in operands]
        weights.append(is_weight(graph, node, weights))
        if node.op is None:
            axis = first_axis(graph, node)
            roots.append({} if axis is None or weights[-1] else {(node.id, axis): axis})
            continue
        if node.scope[:1] != ("grad",):
            try:
                shown = list(evidence_of(node, operands, traced, [weights[n.id] for n in operands]))
            except (IndexError, KeyError, TypeError, ValueError):  # parameters in a file that do not fit the op
                shown = []
            for key, level in shown:
                found[key] = max(found.get(key, 0), level)
        here: Traced = {}
        for k, keys in enumerate(traced if node.family in ("elementwise", "shape", "reduction") else ()):
            for key, at in list(keys.items())[: MOST_ROOTS - len(here)]:
                after = follow_one(node, k, at, [n.shape for n in operands])
                if after:
                    here[key] = min(after)
        roots.append(here)
    return found


def first_axis(graph: Graph, leaf: Node) -> int | None:
    """Return the axis of a leaf that may be the batch: the first, or the second of a sequence that is read in steps."""
    if leaf.kind not in ("input", "constant") or len(leaf.shape) < 2 or math.prod(leaf.shape) < 2:
        return None
    users = [graph.nodes[c] for c, _ in graph.consumers[leaf.id] if graph.nodes[c].scope[:1] != ("grad",)]
    users = [u for n in users for u in ([graph.nodes[c] for c, _ in graph.consumers[n.id]] if n.op == "whole" else [n])]
    steps = bool(users) and all(n.op == "index" and is_integer(keys_of(dict(n.params).get("key"))[:1]) for n in users)
    if steps:
        return 1 if len(leaf.shape) > 2 else None
    return 0


def is_weight(graph: Graph, node: Node, weights: Sequence[bool]) -> bool:
    """Whether a value is a parameter, a leaf that is called like one, or made of such alone."""
    if node.op is None:
        return node.kind == "parameter" or bool(node.kind == "input" and WEIGHT_NAME.fullmatch(node.name or ""))
    operands = [e.source for e in node.inputs if not graph.is_number(e.source)]
    if node.op == "index" and looked_up(node) is not None:  # words that are looked up are no weights
        return False
    return bool(operands) and all(weights[i] for i in operands)


def evidence_of(
    node: Node, operands: Sequence[Node], traced: Sequence[Traced], weights: Sequence[bool]
) -> Iterable[tuple[tuple[int, int], int]]:
    """Yield (leaf, axis) and how surely one op shows that this axis is the batch."""
    if node.op == "matmul":
        yield from ((key, STRONG) for key in rows_of_product(operands, traced, weights))
    elif node.op == "contract":
        terms, right = spell_out(str(dict(node.params).get("subscripts", "")), [n.shape for n in operands])
        for term, keys in zip(terms, traced, strict=True):
            yield from ((key, STRONG) for key, at in keys.items() if is_kept_letter(term[at], terms, right))
    elif node.op == "index" and weights[0] and (axis := looked_up(node)) is not None:
        yield (node.id, axis), STRONG
    elif node.family in ("window", "fused"):
        yield from ((key, STRONG) for key, at in traced[0].items() if at == 0)
    elif node.family == "reduction":
        yield from ((key, WEAK) for key in traced[0] if math.prod(node.shape) > 1)
    elif node.family == "elementwise":
        for n, keys in zip(operands, traced, strict=True):
            yield from ((key, WEAK) for key, at in keys.items() if any(is_copied_along(at, n, o) for o in operands))


def rows_of_product(
    operands: Sequence[Node], traced: Sequence[Traced], weights: Sequence[bool]
) -> Iterable[tuple[int, int]]:
    """Yield (leaf, axis) that a matrix product keeps as rows; or, where the left operand is a weight, as columns."""
    (x, y), (left, right) = operands, traced
    yield from (key for key, at in left.items() if at <= len(x.shape) - 2)
    for (leaf, axis), at in right.items():
        if at < len(y.shape) - 2:
            yield leaf, axis
        elif at == 0 and len(y.shape) == 2 == len(x.shape) and weights[0]:
            yield leaf, 1 - axis


def is_kept_letter(letter: str, terms: Sequence[str], right: str) -> bool:
    """Whether an einsum keeps an axis that one of its operands has not."""
    return letter in right and any(letter not in term for term in terms)


def is_copied_along(axis: int, node: Node, other: Node) -> bool:
    """Whether a broadcast copies ``other``, which is no single number, along an axis of ``node``."""
    place = axis + len(other.shape) - len(node.shape)
    return bool(other.shape) and node.shape[axis] > 1 and (place < 0 or other.shape[place] == 1)


def looked_up(node: Node) -> int | None:
    """Return where the rows are that an array of integers picks out of a table; None where there is no such array."""
    for k, key in enumerate(keys_of(dict(node.params).get("key"))):
        if rank_of_key(key):
            return k
        if not (isinstance(key, dict) and "slice" in key):
            return None
    return None


def follow_one(node: Node, k: int, axis: int, shapes: Sequence[tuple[int, ...]]) -> Axes:
    """Return where one axis of operand ``k`` is in the result; ``shapes`` are those of all operands."""
    if node.family == "elementwise" and shapes[k] == node.shape:
        return frozenset({axis})
    return follow_op(node, [(frozenset({axis}) if j == k else NONE, shape) for j, shape in enumerate(shapes)])


def meet(graph: Graph, carried: Sequence[Axes]) -> dict[int, Axes]:
    """Return what has the batch because it meets it: in one op, its rows become rows of the batch."""
    weights: list[bool] = []
    for node in graph.nodes:
        weights.append(not carried[node.id] and is_mostly_weight(graph, node, weights))
    found: dict[int, Axes] = {}
    for node in reversed(graph.nodes):
        axes = found.get(node.id, carried[node.id])
        if not axes or node.family not in ("elementwise", "linear", "shape") or node.op in ("index", "scatter"):
            continue
        bare = [k for k, e in enumerate(node.inputs) if not (carried[e.source] or weights[e.source])]
        shapes = [graph.nodes[e.source].shape for e in node.inputs] if bare else []
        for k in bare:
            i, shape = node.inputs[k].source, shapes[k]
            if i in found or math.prod(shape) < 2:
                continue
            mine = set()
            for a, length in enumerate(shape):
                if length > 1 and (after := follow_one(node, k, a, shapes)) and after <= axes:
                    mine.add(a)
            if mine:
                found[i] = frozenset(mine)
    return found


def is_mostly_weight(graph: Graph, node: Node, weights: Sequence[bool]) -> bool:
    """Whether a value belongs to the weights: a parameter, a matrix used like one, what is made of one by elements.

    A product of weights with something else, such as a first state of zeros, does not.
    """
    if is_weight(graph, node, weights):
        return True
    if node.op is None:  # made as a Tensor, but used as weights are
        users = graph.consumers[node.id]
        return len(node.shape) == 2 and any(
            graph.nodes[c].op == "matmul" and graph.nodes[c].inputs[1] is e for c, e in users
        )
    made_alike = node.family in ("elementwise", "shape", "reduction")
    return made_alike and any(weights[e.source] for e in node.inputs)


def is_integer(keys: Sequence[Any]) -> bool:
    """Whether each of some parts of an index is a single integer."""
    return all(isinstance(k, int) and not isinstance(k, bool) for k in keys)
