"""Forms as numbers: each form once, on arrays of any type whose axes are the loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.registry import OPS
from tinygraph.engine.types import Array, Shape
from tinygraph.sums.axes import Axis
from tinygraph.sums.form import Form, behind
from tinygraph.sums.lift import Lifted

__all__ = ["Layout", "evaluate", "leaves_of"]

REDUCE = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}


class Layout:
    """Lays arrays out so that axis k runs over loop k: then they broadcast, and a Σ knows its axes.

    Args:
        lengths: of each loop, how often it runs.
        order: the loops, outermost first; any that is missing comes first, where `shape` leaves it out.
    """

    def __init__(self, lengths: Mapping[int, int], order: Sequence[int]) -> None:
        self.lengths, self.inner = lengths, list(order)
        self.order = [*(loop for loop in lengths if loop not in order), *order]
        self.place = {loop: k for k, loop in enumerate(self.order)}

    @classmethod
    def of(cls, lifted: Lifted) -> Layout:
        """Return the layout of the loops of the outputs in which the largest value that has no others lies as it is."""
        forms = behind(lifted.outputs)
        used = frozenset[int]().union(*(f.axes | (f.parts[2] if f.kind == "reduction" else frozenset()) for f in forms))
        loops = [[loop for axis in axes for loop in axis] for axes in lifted.axes]
        values = [(math.prod(n.shape), own) for n, own in zip(lifted.graph.nodes, loops, strict=True)]
        _, largest = max((v for v in values if used.issuperset(v[1])), key=lambda v: v[0], default=(0, []))
        return cls(lifted.lengths, list(dict.fromkeys([*largest, *(loop for loop in lifted.lengths if loop in used)])))

    def shape(self, axes: Iterable[int]) -> Shape:
        """Return the shape of what varies along some loops; axes of length 1 in front are left out."""
        varies = set(axes)
        first = min((self.place[loop] for loop in varies), default=len(self.order))
        return tuple(self.lengths[loop] if loop in varies else 1 for loop in self.order[first:])

    def along(self, axes: Iterable[int], ndim: int) -> Shape:
        """Return which axes of an array with ``ndim`` axes some loops are."""
        return tuple(sorted(self.place[loop] - len(self.order) + ndim for loop in axes))

    def lay_out(self, array: Array, axes: Sequence[Axis]) -> Array:
        """Return a value of the graph with the loops as axes."""
        loops = [loop for axis in axes for loop in axis]
        places = [self.place[loop] for loop in loops]
        if array.shape == self.shape(loops) and places == sorted(places):
            return array
        split = array.reshape([self.lengths[loop] for loop in loops])
        split = split.transpose(sorted(range(len(loops)), key=lambda k: self.place[loops[k]]))
        return split.reshape(self.shape(loops))

    def put_back(self, array: Array, axes: Sequence[Axis], shape: Shape) -> Array:
        """Return what `lay_out` was given."""
        loops = [loop for axis in axes for loop in axis]
        full = np.broadcast_to(array, np.broadcast_shapes(array.shape, self.shape(loops)))
        first = full.reshape([self.lengths[loop] for loop in self.order if loop in loops])
        order = sorted(loops, key=lambda loop: self.place[loop])
        return first.transpose([order.index(loop) for loop in loops]).reshape(shape)


def evaluate(
    forms: Sequence[Form],
    leaf: Callable[[Form], Array],
    layout: Layout,
    number: Callable[[Any], Any] = float,
    function: Callable[..., Array] | None = None,
) -> list[Array]:
    """Return the values of some forms.

    Args:
        forms: what is wanted.
        leaf: gives the array of a leaf, laid out.
        layout: how arrays are laid out.
        number: makes a number out of a Fraction.
        function: computes an elementwise function by its name; those of the ops unless given.

    Returns:
        Arrays, laid out.
    """
    call = function or (lambda name, *args, **params: OPS[name](*args, **params))
    found: dict[Form, Any] = {}
    for form in behind(forms):
        found[form] = value_of(form, found, leaf, layout, number, call)
    return [found[form] for form in forms]


def value_of(form: Form, found: Mapping[Form, Any], leaf: Any, layout: Layout, number: Any, function: Any) -> Any:
    """Return the value of a form from those of what it is made of."""
    if form.kind == "leaf":
        return leaf(form)
    if form.kind == "number":
        return np.full(layout.shape(()), number(form.parts[0]))
    if form.kind == "product":
        return product_value(form, found, number)
    if form.kind == "sum":
        return sum_value(form, found, number)
    if form.kind == "function":
        name, args, params = form.parts
        return function(name, *(found[a] for a in args), **dict(params))
    name, inside, axes = form.parts
    array = found[inside]
    full = np.broadcast_shapes(array.shape, layout.shape(axes))
    array = array if full == array.shape else np.broadcast_to(array, full)  # copies are added up, too
    ndim = len(array.shape)
    along = layout.along(axes, ndim)
    if name == "first":
        return array[tuple(slice(0, 1) if k in along else slice(None) for k in range(ndim))]
    kept = along != tuple(range(len(along)))  # an axis in front may go
    if name == "logsumexp":
        return function("log", np.sum(function("exp", array), axis=along, keepdims=kept))
    reduce: Any = REDUCE[name]
    return reduce(array, axis=along, keepdims=kept)


def product_value(form: Form, found: Mapping[Form, Any], number: Any) -> Any:
    """Multiply and divide; what varies along less is multiplied first."""
    coefficient, factors = form.parts
    ordered = sorted(factors, key=lambda item: len(item[0].axes))
    up, down = ([x for f, p in ordered for x in powers_of(found[f], sign * p)] for sign in (1, -1))
    above: Any = math.prod(up[1:], start=up[0]) if up else None
    if down and above is None:
        above, coefficient = number(coefficient), 1
    value = above / math.prod(down[1:], start=down[0]) if down else above
    return value if coefficient == 1 else -value if coefficient == -1 else number(coefficient) * value


def powers_of(x: Any, p: int) -> list[Any]:
    """Return factors that make a power; none for one that is not positive."""
    square = np.square(x) if p > 1 else None
    return [square] * (p // 2) + [x] * (p % 2) if p > 0 else []


def sum_value(form: Form, found: Mapping[Form, Any], number: Any) -> Any:
    """Add and subtract, what is added first."""
    total: Any = None
    for term, c in sorted(form.parts[0], key=lambda item: item[1] < 0):
        one: Any = (
            number(abs(c)) if term.kind == "number" else found[term] if abs(c) == 1 else number(abs(c)) * found[term]
        )
        signed = -one if c < 0 and total is None else one
        total = signed if total is None else total - one if c < 0 else total + one
    return total


def leaves_of(lifted: Lifted, values: Callable[[int], Array], layout: Layout) -> Callable[[Form], Array]:
    """Return what gives the array of a leaf; ``values`` gives that of a node of the graph."""

    def leaf(form: Form) -> Array:
        key: Any = form.parts[0]
        if isinstance(key, int):
            return layout.lay_out(values(key), lifted.axes[key])
        _, k, shape, labels, axes = key
        picked = np.expand_dims(np.frombuffer(labels, int).reshape(shape), k)
        classes = np.arange(math.prod(layout.lengths[loop] for loop in axes[k]))
        hot = picked == classes.reshape([-1 if a == k else 1 for a in range(picked.ndim)])
        return layout.lay_out(hot.astype(float), axes)

    return leaf
