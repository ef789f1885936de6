"""A program to which nodes are added: copies of its own with something changed, and other numbers to run it on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.registry import OPS
from tinygraph.graph.data import Edge, Node
from tinygraph.graph.run import leaf_value
from tinygraph.graph.values import encode, parameters_of, summarize
from tinygraph.teach.program import Program

__all__ = ["DUST", "Workshop", "compute", "draw_values", "is_same"]


DUST = 1e-12  # what rounding leaves of a zero


class Workshop:
    """The nodes of a program and those that were added, each after what it is made of, with their values.

    Args:
        program: where it starts.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[Node] = list(program.graph.nodes)
        self.values: list[Any] = [leaf_value(node) for node in self.nodes]
        self.made: dict[tuple[Any, ...], int] = {}
        self.drawn: dict[int, list[Any]] = {}

    def draw(self, seed: int) -> list[Any]:
        """Return the values of all nodes for other leaves, as `draw_values` does; each is computed once."""
        if seed not in self.drawn:
            self.drawn[seed] = draw_values(self.nodes, seed)
        return compute(self.nodes, {}, self.drawn[seed])  # a leaf that was added since is a number

    def number(self, value: float) -> int:
        """Return the id of a number."""
        key = ("number", value)
        if key not in self.made:
            self.add(
                key, Node(len(self.nodes), None, "constant", "constant", (), "float", value=summarize(value)), value
            )
        return self.made[key]

    def op(self, name: str, *inputs: int, **params: Any) -> int:
        """Return the id of an op of some nodes; the same op of the same nodes is made once.

        Raises:
            ValueError: the op does not take these shapes.
        """
        key = (name, inputs, repr(sorted(params.items())))
        if key not in self.made:
            made = OPS[name]
            with np.errstate(all="ignore"):
                value = np.asarray(made.value(*(self.values[i] for i in inputs), **params))
            operands = made.operands if not made.variadic else made.operands * len(inputs)
            edges = tuple(Edge(i, x) for i, x in zip(inputs, operands, strict=True))
            encoded = tuple((k, encode(v)) for k, v in params.items())
            place = len(self.nodes)
            node = Node(place, name, "op", made.family, value.shape, str(value.dtype), inputs=edges, params=encoded)
            self.add(key, node, value)
        return self.made[key]

    def add(self, key: tuple[Any, ...], node: Node, value: Any) -> None:
        """Add a node."""
        self.nodes.append(node)
        self.values.append(value)
        self.made[key] = node.id

    def shape(self, i: int) -> tuple[int, ...]:
        """Return the shape of a node's value."""
        return tuple(np.shape(self.values[i]))

    def substitute(self, target: int, changes: Mapping[int, int]) -> int:
        """Return the id of a copy of ``target`` in which some of the nodes that it is made from are others.

        Args:
            target: id of a node.
            changes: id of a node -> id of what stands in its place.

        Raises:
            ValueError: an op does not take the shapes that follow.
        """
        place, first = dict(changes), min(changes)

        def copy(i: int) -> int:
            if i not in place:
                node = self.nodes[i]
                inputs = [copy(e.source) if e.source >= first else e.source for e in node.inputs]
                is_new = any(a != e.source for a, e in zip(inputs, node.inputs, strict=True))
                place[i] = self.op(node.op or "", *inputs, **parameters_of(node)) if is_new else i
            return place[i]

        return copy(target)


def compute(nodes: Sequence[Node], leaves: Mapping[int, Any], known: list[Any] | None = None) -> list[Any]:
    """Return the value of each node for some leaves.

    Args:
        nodes: of a program or a workshop, inputs before what is made of them.
        leaves: id -> value; other leaves have their own.
        known: values of the first nodes; the others are appended.
    """
    values: list[Any] = known if known is not None else []
    with np.errstate(all="ignore"):
        for node in nodes[len(values) :]:
            if node.op is None:
                values.append(leaves[node.id] if node.id in leaves else leaf_value(node))
            else:
                inputs = (values[e.source] for e in node.inputs)
                values.append(np.asarray(OPS[node.op].value(*inputs, **parameters_of(node))))
    return values


def draw_values(nodes: Sequence[Node], seed: int) -> list[Any]:
    """Return the value of each node for other leaves: random ones that look like their own.

    Args:
        nodes: of a workshop, inputs before what is made of them.
        seed: of the random numbers.

    Returns:
        A value for each node. Numbers and integers are as they were; a leaf without a negative element has none.
    """
    rng = np.random.default_rng(seed)
    return compute(nodes, {node.id: draw_leaf(node, rng) for node in nodes if node.op is None})


def draw_leaf(node: Node, rng: np.random.Generator) -> Any:
    """Return other numbers for a leaf; a number in a formula, the seed of a scalar and integers stay as they are."""
    value = leaf_value(node)
    is_number = not node.shape and (node.name == "seed" or (node.kind == "constant" and not node.name))
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or is_number:
        return value
    is_positive = bool(value.size) and value.min() > 0
    drawn = rng.uniform(0.5, 1.5, value.shape) if is_positive else rng.standard_normal(value.shape)
    return np.asarray(drawn, value.dtype)


def is_same(a: Any, b: Any, rtol: float = 1e-7) -> bool:
    """Whether two arrays have one shape and, but for rounding, the same finite elements.

    Args:
        a: an array.
        b: another one.
        rtol: greatest difference, relative to the largest element of both.

    >>> is_same(np.ones(3), np.ones((1, 3))), is_same(np.ones(3), np.ones(3) + 1e-9)
    (False, True)
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return False
    a, b = a.astype(float, copy=False), b.astype(float, copy=False)
    scale = max(abs(a).max(initial=0.0), abs(b).max(initial=0.0))
    return math.isfinite(scale) and bool((abs(a - b) <= rtol * scale + DUST).all())
