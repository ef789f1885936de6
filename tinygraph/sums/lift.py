"""From a recorded graph to forms: what is elementwise, a reduction, a view or a copy is lifted; the rest are calls.

A call (a matrix product, a convolution, a gather, an op of a user) stays what it is: its result is a leaf.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tinygraph.engine.registry import OPS
from tinygraph.engine.types import Shape
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.values import parameters_of
from tinygraph.sums.axes import Axis, Loops, Mixed
from tinygraph.sums.form import Form, Former
from tinygraph.sums.rules import ALL, rules_of

__all__ = ["Lifted", "lift", "one_hot_axis", "read_number"]

REDUCTIONS = ("sum", "mean", "max", "min", "logsumexp")
# Of narrow floats, the type, and the largest denominator of a fraction that one of them is read as.
NARROW: dict[str, tuple[Any, int]] = {"float16": (np.float16, 10**3), "float32": (np.float32, 10**6)}


@dataclasses.dataclass(frozen=True)
class Lifted:
    """A graph as forms.

    Attributes:
        graph: the graph.
        former: what made the forms; its ``log`` has the rules that were applied.
        forms: of each node.
        axes: of each node, the loops of each axis of its value; () of an axis of length 1.
        lengths: of each loop, how often it runs.
        calls: ids of the nodes that are no sums; their forms are leaves.
    """

    graph: Graph
    former: Former
    forms: tuple[Form, ...]
    axes: tuple[tuple[Axis, ...], ...]
    lengths: dict[int, int]
    calls: tuple[int, ...]

    @property
    def outputs(self) -> tuple[Form, ...]:
        """The forms of the graph's outputs."""
        return tuple(self.forms[i] for i in self.graph.outputs)


def lift(graph: Graph, rules: str = ALL, pool: dict[Hashable, Form] | None = None) -> Lifted:
    """Lift a graph into forms.

    Args:
        graph: forward alone, or with its recorded backward pass.
        rules: letters of the rules that hold; "" for none.
        pool: forms to go on with, as those of another ``lifted.former.pool`` of the same graph: then equal forms are
            the same objects.

    Returns:
        The forms, and the loops that they run over.

    >>> from tinygraph import Tensor, snapshot
    >>> x = Tensor([[1.0, 2.0]], name="x")
    >>> lift(snapshot((x - x.mean(1, keepdims=True)).sum(1))).outputs
    (<Form 1: 0>,)
    """
    walked = Walk(graph)
    former = Former(walked.lengths, rules_of(rules), pool)
    forms: list[Form] = []
    for node in graph.nodes:
        former.node = node.id
        forms.append(form_of(former, walked, node, [forms[e.source] for e in node.inputs]))
    former.node = None
    return Lifted(graph, former, tuple(forms), tuple(walked.axes), walked.lengths, tuple(walked.calls))


class Walk:
    """Finds the loops of every axis of every value."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.loops = Loops()
        found: list[Sequence[Axis]] = []
        self.calls: list[int] = []
        for node in graph.nodes:
            mark = len(self.loops.trail)
            try:
                axes = self.axes_of(node, [found[e.source] for e in node.inputs])
                if len(self.loops.trail) > mark and any(map(self.is_twice, [*found, axes])):
                    raise Mixed
            except Mixed:
                self.loops.undo(mark)
                self.calls.append(node.id)
                axes = self.loops.new_axes(node.shape)
            found.append(axes)
        self.axes = [tuple(map(self.loops.resolve, axes)) for axes in found]
        used = {loop for axes in self.axes for axis in axes for loop in axis}
        self.lengths = {loop: self.loops.lengths[loop] for loop in sorted(used)}

    def is_twice(self, axes: Sequence[Axis]) -> bool:
        """Whether a value would run over one loop along two axes: it would be a diagonal."""
        loops = [loop for axis in axes for loop in self.loops.resolve(axis)]
        return len(set(loops)) < len(loops)

    def axes_of(self, node: Node, operands: list[Sequence[Axis]]) -> Sequence[Axis]:
        """Return the axes of a node's value.

        Raises:
            Mixed: it is no sum of its operands.
        """
        if node.op is None:
            return self.loops.new_axes(node.shape)
        shapes = [self.graph.nodes[e.source].shape for e in node.inputs]
        if 0 in node.shape or any(0 in shape for shape in shapes):
            raise Mixed
        if node.op in VIEWS:
            return VIEWS[node.op](self.loops, node, operands[0], shapes[0])
        if node.op not in OPS or not OPS[node.op].elementwise or not plain_parameters(node):
            raise Mixed
        return self.spread(node.shape, operands, shapes)

    def spread(self, shape: Shape, operands: list[Sequence[Axis]], shapes: list[Shape]) -> list[Axis]:
        """Return the axes of what an elementwise op makes: those of its operands, which are the same."""
        found: list[Axis] = []
        for back in range(len(shape), 0, -1):
            same = [axes[-back] for axes, s in zip(operands, shapes, strict=True) if len(s) >= back and s[-back] != 1]
            for other in same[1:]:
                self.loops.unify(same[0], other)
            found.append(same[0] if same else ())
        return found


def plain_parameters(node: Node) -> bool:
    """Whether the parameters of a node can be part of a key: numbers and words, no arrays."""
    return all(
        value is None or isinstance(value, bool | int | float | str) or is_dtype(value) for _, value in node.params
    )


def is_dtype(value: Any) -> bool:
    """Whether an encoded parameter is a dtype."""
    return isinstance(value, dict) and value.keys() == {"dtype"}


# The loops of a view, a copy or a reduction: (loops, node, the operand's axes, its shape) -> axes.


def reduced(node: Node, ndim: int) -> tuple[int, ...]:
    """Return the axes that a reduction is over."""
    axis = parameters_of(node).get("axis")
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(a % ndim for a in given)


def reduce_axes(loops: Loops, node: Node, axes: Sequence[Axis], shape: Shape) -> Sequence[Axis]:
    """Drop the axes that are reduced."""
    gone = reduced(node, len(shape))
    kept = [() if a in gone else axis for a, axis in enumerate(axes)]
    return kept if len(node.shape) == len(shape) else [axis for a, axis in enumerate(axes) if a not in gone]


def copy_axes(loops: Loops, node: Node, axes: Sequence[Axis], shape: Shape) -> Sequence[Axis]:
    """Put loops where a broadcast copies."""
    lead = len(node.shape) - len(shape)
    return [
        axes[a - lead] if a >= lead and shape[a - lead] == n else loops.new(n) for a, n in enumerate(node.shape)
    ]  # fmt: skip


def undo_copies(loops: Loops, node: Node, axes: Sequence[Axis], shape: Shape) -> Sequence[Axis]:
    """Drop the loops of copies that are added up."""
    lead = len(shape) - len(node.shape)
    return [axes[a + lead] if shape[a + lead] == n else () for a, n in enumerate(node.shape)]


def permute_axes(loops: Loops, node: Node, axes: Sequence[Axis], shape: Shape) -> Sequence[Axis]:
    """Put axes in another order."""
    order = parameters_of(node).get("axes")
    return [axes[a] for a in (order if order is not None else reversed(range(len(shape))))]


def pick_axes(loops: Loops, node: Node, axes: Sequence[Axis], shape: Shape) -> Sequence[Axis]:
    """Drop the axis along which one element is picked."""
    k, _ = one_hot_axis(node, shape)
    return [axis for a, axis in enumerate(axes) if a != k]


def unpick_axes(loops: Loops, node: Node, axes: Sequence[Axis], shape: Shape) -> Sequence[Axis]:
    """Put the axis back along which one element was picked."""
    k, _ = one_hot_axis(node, node.shape)
    return [*axes[:k], loops.new(node.shape[k]), *axes[k:]]


def one_hot_axis(node: Node, shape: Shape) -> tuple[int, Any]:
    """Return along which axis an index picks one element for each place along the others, and which.

    Raises:
        Mixed: it picks others.
    """
    key = parameters_of(node).get("key")
    if not isinstance(key, tuple) or len(key) != len(shape) or not all(isinstance(k, np.ndarray) for k in key):
        raise Mixed
    for axis in range(len(shape)):
        others = shape[:axis] + shape[axis + 1 :]
        grid = np.indices(others)
        if np.broadcast_shapes(*(k.shape for k in key)) == others and all(
            np.array_equal(np.broadcast_to(k, others), g)
            for k, g in zip(key[:axis] + key[axis + 1 :], grid, strict=True)
        ):
            labels = np.broadcast_to(key[axis], others)
            if labels.size and labels.min() >= 0:
                return axis, labels
    raise Mixed


VIEWS: dict[str, Callable[[Loops, Node, Sequence[Axis], Shape], Sequence[Axis]]] = {
    **dict.fromkeys(REDUCTIONS, reduce_axes),
    "reshape": lambda loops, node, axes, shape: loops.reshape(axes, shape, node.shape),
    "transpose": permute_axes,
    "broadcast_to": copy_axes,
    "sum_to": undo_copies,
    "clone": lambda loops, node, axes, shape: axes,
    "index": pick_axes,
    "scatter": unpick_axes,
}  # fmt: skip


# The forms.


def form_of(f: Former, walked: Walk, node: Node, operands: list[Form]) -> Form:
    """Return the form of a node."""
    axes = walked.axes[node.id]
    number = read_number(node)
    if number is not None:
        return f.number(number)
    if node.op is None or node.id in walked.calls:
        return f.leaf(node.id, node.name or f"#{node.number}", (loop for axis in axes for loop in axis))
    source = node.inputs[0].source
    widens = node.op == "astype" and {node.dtype[:5], walked.graph.nodes[source].dtype[:5]} == {"float"}
    if node.op in ("reshape", "transpose", "broadcast_to", "clone") or widens:
        return operands[0]
    if node.op in ("index", "scatter"):
        full, shape = (
            (axes, node.shape) if node.op == "scatter" else (walked.axes[source], walked.graph.nodes[source].shape)
        )
        return pick(f, node, operands[0], full, shape)
    if node.op in (*REDUCTIONS, "sum_to"):
        return reduction(f, node, operands[0], walked.axes[source], axes)
    return ELEMENTWISE[node.op](f, *operands) if node.op in ELEMENTWISE else elementwise(f, node, operands)


def pick(f: Former, node: Node, x: Form, axes: Sequence[Axis], shape: Shape) -> Form:
    """Return what an index picks as Σ t x, t being one-hot; what a scatter puts back as t x."""
    k, labels = one_hot_axis(node, shape)
    key = ("one-hot", k, labels.shape, labels.astype(int).tobytes(), tuple(axes))
    hot = f.leaf(key, "t", (loop for axis in axes for loop in axis), unit=axes[k])
    return f.product(hot, x) if node.op == "scatter" else f.reduce("sum", f.product(hot, x), axes[k])


def reduction(f: Former, node: Node, x: Form, before: Sequence[Axis], after: Sequence[Axis]) -> Form:
    """Return a reduction."""
    kept = {loop for axis in after for loop in axis}
    gone = [loop for axis in before for loop in axis if loop not in kept]
    if node.op == "mean":
        return f.scaled(Fraction(1, f.count(gone)), f.reduce("sum", x, gone))
    return f.reduce("sum" if node.op == "sum_to" else str(node.op), x, gone)


def elementwise(f: Former, node: Node, operands: list[Form]) -> Form:
    """Return an elementwise op that is no sum and no product as a function."""
    name = str(node.op)
    if name == "power":
        exponent = operands[1].value
        if exponent is not None and exponent.denominator == 1:
            return f.power(operands[0], int(exponent))
        if exponent is not None and exponent.denominator == 2:
            return f.power(f.function("sqrt", operands[0]), exponent.numerator)
    params = {key: value["dtype"] if is_dtype(value) else value for key, value in node.params if value is not None}
    return f.function(name, *operands, **params)


ELEMENTWISE: dict[str, Callable[..., Form]] = {
    "add": lambda f, x, y: f.total(x, y),
    "sub": lambda f, x, y: f.total_of([(x, 1), (y, -1)]),
    "mul": lambda f, x, y: f.product(x, y),
    "div": lambda f, x, y: f.product(x, f.power(y, -1)),
    "neg": lambda f, x: f.scaled(-1, x),
    "square": lambda f, x: f.power(x, 2),
    "dropout": lambda f, x, mask: f.product(x, mask),
}


def read_number(node: Node) -> Fraction | None:
    """Return the value of a constant that is a number in its consumer's definition; None of any other node.

    A float is the simplest fraction that it is nearest to, so that 0.3333333333333333 is 1/3, and 1e-5 is 1/100000.
    """
    is_constant = node.kind == "constant" and not node.shape and node.name in (None, "", "seed")
    if not is_constant or not (node.value and node.value.values):
        return None
    value = node.value.values[0]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    narrow, most = NARROW.get(node.dtype, (float, 10**6))
    small = Fraction(1, round(1 / value) or 1) if value else Fraction(0)
    for guess in (Fraction(value).limit_denominator(most), small):
        if narrow(float(guess)) == value:
            return guess
    return Fraction(repr(float(value)))
