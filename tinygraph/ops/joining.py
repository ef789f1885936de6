"""Joining puts arrays side by side. The gradient of each is the part of the gradient at its place."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.registry import implements, sample
from tinygraph.engine.tensor import Record
from tinygraph.engine.types import Shape, Value
from tinygraph.engine.variadic import Variadic
from tinygraph.ops.indexing import MANY, Key, index, whole
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.shape import expand_dims, flatten, shaping


class SideBySide(Variadic):
    """An op that puts its operands side by side. The line of an operand gets the part of g at its place."""

    def lines_for(self, node: Record, g: Value) -> Iterable[Any]:
        """Return a line for each operand, which takes its part."""
        keys = places(node)
        g, line = whole(g) if len(keys) > MANY else g, self.lines[0]
        return (lambda _, key=key: line(index(g, key)) for key in keys) if line else ()


def places(node: Record) -> Sequence[Key]:
    """Return where each operand of `assemble` or `join` lies in the result."""
    keys: Sequence[Key] = node.params.get("keys", ())
    if keys:
        return keys
    axis = node.params["axis"] % len(node.shape)
    stops = list(itertools.accumulate(np.shape(x)[axis] for x in node.inputs))
    return [(slice(None),) * axis + (slice(start, stop),) for start, stop in itertools.pairwise([0, *stops])]


@shaping(
    r"\operatorname{assemble}($xs)", kind=SideBySide, says="Adds $xs into zeros of shape $shape, each in its place.",
    samples=[
        sample((2, 3), (3,), keys=(slice(1, 3), 0), shape=(4, 3)),
        sample((2,), keys=((1, slice(2)),), shape=(2, 2)),
    ],
    xs=("1", lambda g: g),
)  # fmt: skip
def assemble(*xs: Value, keys: Sequence[Key] = (), shape: Shape = ()) -> Value:
    """Add each of several arrays into zeros at a place of its own: what taking an array apart undoes.

    Args:
        xs: arrays, each of the shape that indexing with its key gives.
        keys: for each array its place: a tuple of slices and integers.
        shape: lengths of the axes of the result.

    Returns:
        An array of that shape, in the common dtype of ``xs``; it is 0 where nothing was added.

    Raises:
        IndexError: a key reaches outside of ``shape``.

    >>> assemble(Tensor([1.0, 2.0]), Tensor(3.0), keys=(slice(2), 3), shape=(4,))
    Tensor([1., 2., 0., 3.], op=assemble)
    """
    out = np.zeros_like(xs[0], shape=shape, dtype=np.result_type(*{x.dtype for x in xs}))
    for x, key in zip(xs, keys, strict=True):
        out[key] += x
    return out


@shaping(
    r"\operatorname{cat}($xs)", kind=SideBySide, onnx="Concat", says="Joins $xs along axis $axis.",
    samples=[sample((2, 3), (1, 3), (4, 3), axis=0), sample((2, 3), (2, 1), axis=-1)],
    xs=("1", lambda g: g),
)  # fmt: skip
def join(*xs: Value, axis: int = 0) -> Value:
    """Join arrays along an axis that they have; `concatenate` takes them as a sequence.

    Args:
        xs: arrays of one shape, but for the length of ``axis``.
        axis: the axis along which they are joined.

    Returns:
        All their elements, in the common dtype.

    Raises:
        ValueError: the shapes do not fit.

    >>> join(Tensor([1.0]), Tensor([2.0]))
    Tensor([1., 2.], op=join)
    """
    return np.concatenate(xs, axis=axis)


@implements(np.concatenate)
@accept_dim
def concatenate(tensors: Sequence[Value], axis: int | None = 0) -> Value:
    """Join a sequence of arrays along an axis that they have; None lays each out in one axis first.

    Args:
        tensors: a sequence of arrays of one shape, but for the length of ``axis``.
        axis: the axis along which they are joined, or None.

    Returns:
        All their elements, in the common dtype.

    Raises:
        ValueError: the shapes do not fit, or there is no array.

    >>> concatenate([Tensor([1.0]), np.array([2.0])])
    Tensor([1., 2.], op=join)
    """
    return join(*map(flatten, tensors)) if axis is None else join(*tensors, axis=axis)


@implements(np.stack)
@accept_dim
def stack(tensors: Sequence[Value], axis: int = 0) -> Value:
    """Join arrays of one shape along a new axis.

    Args:
        tensors: a sequence of arrays of one shape.
        axis: the place of the new axis.

    Returns:
        An array whose new axis is as long as the sequence.

    Raises:
        ValueError: the shapes differ, or there is no array.

    >>> stack([Tensor([1.0]), Tensor([2.0])]).shape
    (2, 1)
    """
    return join(*(expand_dims(x, axis) for x in tensors), axis=axis)
