"""Indexing takes elements, and its derivative, `scatter`, puts them back: each is the other's derivative.

The gradient of one index is an array of zeros with one part filled in. If an array is taken apart (`unbind`, `split`, a
loop over rows), the gradients of its parts are therefore put together once, in time in proportion to the array.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.op import Op
from tinygraph.engine.registry import OPS, implements, sample
from tinygraph.engine.tensor import Record, Tensor, array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.kernels.arrays import scatter_add
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.shape import shaping

Key = Any  # an index, or a tuple of them, one for each axis


class Index(Op):
    """Indexing. The gradient of a part of a `whole` is a `Part`, until all of them are put together."""

    def lines_for(self, node: Record, g: Value) -> Iterable[Any]:
        """Return the derivative line."""
        return (Part,) if getattr(node.inputs[0], "op", None) is OPS["whole"] else self.lines


@shaping(
    r"$x[$key]", kind=Index, method="__getitem__", says="Takes the elements $key of $x.",
    samples=[
        sample((4, 3), key=1),
        sample((4, 3), key=(slice(1, None, 2), None, -1)),
        sample((4, 3), key=[0, 2, 2, -4]),
        sample((4, 3, 2), key=(Ellipsis, [1, 0, 1], slice(None))),
        sample((4, 3), key=([[0], [3]], [1, 1])),
    ],
    x=("1", lambda g, x_shape, key: scatter(g, key, x_shape)),  # type: ignore[has-type]
)  # fmt: skip
def index(x: Value, key: Key = ()) -> Value:
    """Take elements by NumPy's rules: integers, slices, None, ``...``, integer and boolean arrays.

    The gradient of an element is the sum over all the places that it was taken to.

    Args:
        x: of any shape.
        key: an index, or a tuple of them, one for each axis.

    Returns:
        The elements at ``key``.

    Raises:
        IndexError: ``key`` reaches outside of x.

    >>> x = Tensor([1.0, 2.0, 3.0])
    >>> x[[0, 0, 2]].sum().backward(); x.grad
    array([2., 0., 1.])
    """
    return x[without_tensors(key)]


def without_tensors(key: Key) -> Key:
    """Return an index without Tensors in it."""
    return tuple(map(array_of, key)) if isinstance(key, tuple) else array_of(key)


@shaping(
    r"$x\to[$key]", says="Adds $x into zeros of shape $shape at $key.",
    samples=[sample((3, 3), key=[0, 2, 2], shape=(4, 3)), sample((3,), key=1, shape=(4, 3))],
    x=("1", lambda g, key: index(g, key)),
)  # fmt: skip
def scatter(x: Value, key: Key = (), shape: Shape = ()) -> Value:
    """Add into zeros of ``shape`` at the places ``key``: the derivative of indexing. Repeats add up.

    Args:
        x: of the shape that indexing with ``key`` gives.
        key: where to add: an index, or a tuple of them.
        shape: lengths of the axes of the result.

    Returns:
        Zeros of that shape, with the elements of x added at ``key``.

    Raises:
        IndexError: ``key`` reaches outside of ``shape``.
        ValueError: x has another shape than indexing with ``key`` gives.

    >>> scatter(Tensor([1.0, 2.0]), [0, 0], (2,))
    Tensor([3., 0.], op=scatter)
    """
    out = np.zeros_like(x, shape=shape)
    scatter_add(out, without_tensors(key), x) if is_fancy(key) else out.__setitem__(without_tensors(key), x)
    return out


def part(x: Value, axis: int, start: int | None, stop: int | None = None, step: int | None = None) -> Value:
    """Return x[start:stop:step] along an axis."""
    return index(x, (slice(None),) * (axis % len(x.shape)) + (slice(start, stop, step),))


def backwards(x: Value, axis: int) -> Value:
    """Return x in the opposite order along an axis."""
    return part(x, axis, None, None, -1)


def is_fancy(key: Key) -> bool:
    """Whether an index may take one element twice: whether it has an array of integers in it."""
    indices = key if isinstance(key, tuple) else (key,)
    return any(not isinstance(i, int | slice | type(Ellipsis) | None) for i in indices)


class Part:
    """The gradient ``g`` of the part ``key`` of an array of ``shape``, and the parts that it was added to.

    To the backward walk it looks like a gradient of that shape; adding another part takes no time.
    """

    size, base = 0, None  # so small that the walk does not add in place

    def __init__(self, g: Value, shape: Shape, key: Key, others: Part | None = None) -> None:
        self.g, self.shape, self.key, self.others = g, shape, key, others

    def __add__(self, part: Part) -> Part:
        return Part(part.g, part.shape, part.key, self)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, params: Any) -> Any:
        return function(*map(put_together, args), **params)


def put_together(g: Value) -> Value:
    """Make one array of the gradients of parts; return any other gradient as it is."""
    if not isinstance(g, Part):
        return g
    gs, keys = [], []
    part: Part | None = g
    while part:
        gs.append(part.g)
        keys.append(part.key)
        part = part.others
    return OPS["assemble"](*gs, keys=tuple(keys), shape=g.shape)


@shaping(
    r"$x", says="Is $x, which is taken apart: here the gradients of its parts are put together.",
    samples=[sample((4, 3))],
    x=("1", put_together),
)  # fmt: skip
def whole(x: Value) -> Value:
    """Return x itself. The gradients of what is indexed from the result are put together once.

    Args:
        x: of any shape.

    Returns:
        x.

    >>> x = Tensor([1.0, 2.0])
    >>> whole(x).data is x.data
    True
    """
    return x


MANY = 8  # up to so many parts are taken from x itself, so that a drawing has one card less


def take_parts(x: Value, keys: Sequence[Key]) -> Iterator[Value]:
    """Return the elements of x at each of ``keys``, which are slices and integers."""
    x = whole(x) if len(keys) > MANY else x
    return (index(x, key) for key in keys)


@implements(np.split)
def split(x: Value, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Value]:
    """Cut along an axis, into equal sections or before each index, as ``numpy.split``.

    Args:
        x: of any shape.
        indices_or_sections: how many equal sections, or the indices before which to cut.
        axis: the axis to cut.

    Returns:
        A list of the sections.

    Raises:
        ValueError: there is no such axis, or its length is no multiple of the number of sections.

    >>> [piece.shape for piece in split(Tensor(np.ones((4, 2))), 2)]
    [(2, 2), (2, 2)]
    """
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    length = x.shape[axis]
    if not isinstance(indices_or_sections, Sequence | np.ndarray):
        if indices_or_sections < 1 or length % indices_or_sections:
            raise ValueError(f"split: axis {axis} of length {length} has no {indices_or_sections} equal sections")
        section = length // indices_or_sections
        indices_or_sections = [section * i for i in range(1, indices_or_sections)]
    edges = [0, *indices_or_sections, length]
    return list(take_parts(x, [(slice(None),) * axis + (slice(a, b),) for a, b in itertools.pairwise(edges)]))


@implements(method="unbind unstack")
@accept_dim
def unbind(x: Value, axis: int = 0) -> list[Value]:
    """Take an array apart along an axis, as ``torch.unbind``; a loop ``for row in x`` does so along the first one.

    In a loop over many rows, take them this way. The gradient of ``x[i]`` is an array of the size of x, so that a loop
    over i takes time in proportion to n times that size; the gradients of these rows are put together once.

    Args:
        x: (…, n, …), of at least one axis.
        axis: the axis that goes.

    Returns:
        A list of n arrays, of the shape of x without that axis.

    Raises:
        ValueError: there is no such axis.

    >>> first, second = unbind(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> second
    Tensor([3., 4.], op=index)
    """
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    return list(take_parts(x, [(slice(None),) * axis + (i,) for i in range(x.shape[axis])]))


@implements(method="__iter__")
def iterate(x: Tensor) -> Iterator[Tensor]:
    """Return an iterator over the rows, as `unbind` takes them."""
    return take_parts(x, range(len(x)))


implements(*filter(None, [getattr(np, "unstack", None)]))(unbind)  # from NumPy 2.1 on
