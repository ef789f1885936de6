"""Shape ops move, copy or drop elements and compute nothing. What an op copies, its derivative adds up.

`broadcast_to` and `sum_to` are each other's derivative, and so are `index` and `scatter`. The gradient of one index is
an array of zeros with one part filled in. If an array is taken apart (`unbind`, `split`, a loop over rows), the
gradients of its parts are therefore put together once, in time in proportion to the array.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.op import Op, op
from tinygraph.engine.registry import OPS, implements, sample
from tinygraph.engine.tensor import Record, Tensor, array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.engine.variadic import Variadic
from tinygraph.kernels.arrays import scatter_add
from tinygraph.ops.keywords import accept_dim

# Some lines call an op that is defined further down, where mypy does not know its type yet: "has-type".
shaping = functools.partial(op, family="shape")
Key = Any  # an index, or a tuple of them, one for each axis


@shaping(
    r"$x\uparrow", np.broadcast_to, method="broadcast_to", onnx="Expand", says="Copies $x to shape $shape.",
    samples=[sample((4, 1), shape=(5, 4, 3)), sample((), shape=(2, 3)), sample((3,), shape=(3,))],
    x=("1", lambda g, x_shape: sum_to(g, x_shape)),  # type: ignore[has-type]
)  # fmt: skip
def broadcast_to(x: Value, shape: Shape = ()) -> Value:
    """Copy along new axes and along axes of length 1, as NumPy broadcasts. The derivative sums the copies.

    Args:
        x: of a shape that broadcasts to ``shape``.
        shape: lengths of the axes of the result.

    Returns:
        Copies of x, of that shape.

    Raises:
        ValueError: x does not broadcast to that shape.

    >>> broadcast_to(Tensor([1.0, 2.0]), (2, 2))
    Tensor([[1., 2.],
            [1., 2.]], op=broadcast_to)
    """
    return np.broadcast_to(x, shape)


@shaping(
    r"$x\downarrow", says="Adds up the copies in $x, down to shape $shape.",
    samples=[sample((5, 4, 3), shape=(4, 1)), sample((2, 3), shape=()), sample((3,), shape=(3,))],
    x=("1", lambda g, x_shape: broadcast_to(g, x_shape)),
)  # fmt: skip
def sum_to(x: Value, shape: Shape = ()) -> Value:
    """Undo a broadcast from ``shape``: sum the axes along which it copied.

    Args:
        x: of a shape to which ``shape`` broadcasts.
        shape: lengths of the axes of the result.

    Returns:
        The sums, of that shape.

    Raises:
        ValueError: ``shape`` does not broadcast to the shape of x.

    >>> sum_to(Tensor([[1.0, 2.0], [3.0, 4.0]]), (2,))
    Tensor([4., 6.], op=sum_to)
    """
    lead = len(x.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 != x.shape[i + lead])
    out = x.sum(axis=axes, keepdims=True) if axes else x
    out = out.reshape(out.shape[lead:]) if lead else out
    if out.shape != tuple(shape):
        raise ValueError(f"sum_to: {x.shape} is no broadcast of {tuple(shape)}")
    return out


@shaping(
    r"$x", onnx="Reshape", says="Lays $x out in shape $shape.",
    samples=[sample((4, 3), shape=(2, -1)), sample((4,), shape=4), sample((1,), shape=())],
    x=("1", lambda g, x_shape: reshape(g, x_shape)),  # type: ignore[has-type]
)  # fmt: skip
def reshape(x: Value, shape: int | Sequence[int] = (-1,)) -> Value:
    """Lay the elements out in another shape, in C order; one length may be -1.

    Args:
        x: of any shape.
        shape: lengths of the new axes, or one length; one of them may be -1, for what is left.

    Returns:
        The same elements, of that shape.

    Raises:
        ValueError: the number of elements does not fit.

    >>> reshape(Tensor([1.0, 2.0]), (2, 1)).shape
    (2, 1)
    """
    return x.reshape(shape)


@shaping(
    r"$x^{\mathsf T}", np.transpose, onnx="Transpose", says="Reorders the axes of $x.",
    samples=[sample((2, 3, 4)), sample((2, 3, 4), axes=(1, 2, 0)), sample((2, 3, 4), axes=(-1, 0, 1)), sample((3,))],
    x=("1", lambda g, axes: transpose(g, invert(axes))),  # type: ignore[has-type]
)  # fmt: skip
def transpose(x: Value, axes: Sequence[int] | None = None) -> Value:
    """Reorder the axes; reverse them if ``axes`` is None.

    Args:
        x: of any shape.
        axes: for each axis of the result, which axis of x it is; None reverses them.

    Returns:
        The same elements, with the axes in that order.

    Raises:
        ValueError: ``axes`` does not name each axis of x once.

    >>> transpose(Tensor(np.ones((2, 3)))).shape
    (3, 2)
    """
    return np.transpose(x, axes)


def invert(axes: Sequence[int] | None) -> Sequence[int] | None:
    """Return the permutation that undoes ``axes``."""
    return None if axes is None else [int(i) for i in np.argsort([a % len(axes) for a in axes])]


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
    return assemble(*gs, keys=tuple(keys), shape=g.shape)


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


@implements(method="unbind")
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


@shaping(
    r"\operatorname{pad} $x", np.pad, onnx="Pad", says="Surrounds $x with $constant_values.",
    samples=[sample((2, 3), pad_width=((1, 0), (2, 1))), sample((3,), pad_width=2), sample((2, 2), pad_width=(1, 2))],
    x=("1", lambda g, x_shape, pad_width: index(g, place_in_pad(pad_width, x_shape))),
)  # fmt: skip
def pad(x: Value, pad_width: int | Sequence[Any] = 0, mode: str = "constant", constant_values: float = 0.0) -> Value:
    """Surround with a constant; ``pad_width`` as in ``numpy.pad``. Other modes are not differentiable here.

    Args:
        x: of any shape.
        pad_width: how many elements to add: one number for all sides, a pair (before, after) for all axes, or a
            pair for each axis.
        mode: "constant", the only one.
        constant_values: the number to surround x with.

    Returns:
        x within a border of that number.

    Raises:
        ValueError: ``mode`` is another one, or ``pad_width`` does not fit the axes of x.

    >>> pad(Tensor([1.0]), 1)
    Tensor([0., 1., 0.], op=pad)
    """
    if mode != "constant":
        raise ValueError(f"pad: mode {mode!r} is not known; there is 'constant'")
    return np.pad(x, pad_width, constant_values=constant_values)


def place_in_pad(pad_width: int | Sequence[Any], shape: Shape) -> tuple[slice, ...]:
    """Return where the operand of `pad` lies in the result."""
    before = np.broadcast_to(np.asarray(pad_width), (len(shape), 2))[:, 0].tolist()
    return tuple(slice(start, start + n) for start, n in zip(before, shape, strict=True))


@implements(np.swapaxes, method="swapaxes")
def swapaxes(x: Value, axis1: int, axis2: int) -> Value:
    """Swap two axes.

    Args:
        x: of any shape.
        axis1: one axis.
        axis2: the other one.

    Returns:
        The same elements, with the two axes swapped.

    Raises:
        IndexError: x has no such axis.

    >>> swapaxes(Tensor(np.ones((2, 3))), 0, 1).shape
    (3, 2)
    """
    order = list(range(len(x.shape)))
    a, b = (normalize_axis_tuple(axis, len(order))[0] for axis in (axis1, axis2))
    order[a], order[b] = b, a
    return transpose(x, order)


@implements(np.moveaxis)
def moveaxis(x: Value, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Move axes to new places; the others keep their order.

    Args:
        x: of any shape.
        source: the axes to move: one, or several.
        destination: for each of them its place in the result.

    Returns:
        The same elements, with the axes in their new order.

    Raises:
        ValueError: x has no such axis, or the numbers of axes and places differ.

    >>> moveaxis(Tensor(np.ones((2, 3, 4))), 0, -1).shape
    (3, 4, 2)
    """
    moved = normalize_axis_tuple(source, len(x.shape))
    order = [i for i in range(len(x.shape)) if i not in moved]
    for place, axis in sorted(zip(normalize_axis_tuple(destination, len(x.shape)), moved, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


@implements(np.expand_dims)
@accept_dim
def expand_dims(x: Value, axis: int | Sequence[int]) -> Value:
    """Insert axes of length 1, at the places ``axis`` of the result.

    Args:
        x: of any shape.
        axis: the place of the new axis in the result, or several.

    Returns:
        The same elements with more axes.

    Raises:
        ValueError: there is no such place, or one is named twice.

    >>> expand_dims(Tensor([1.0]), (0, 2)).shape
    (1, 1, 1)
    """
    return reshape(x, np.expand_dims(np.broadcast_to(0, x.shape), axis).shape)


@implements(np.squeeze, method="squeeze")
@accept_dim
def squeeze(x: Value, axis: int | Sequence[int] | None = None) -> Value:
    """Drop axes of length 1: all, or those named.

    Args:
        x: of any shape.
        axis: the axis to drop, several, or None for all of length 1.

    Returns:
        The same elements with fewer axes.

    Raises:
        ValueError: an axis is longer than 1, or x has no such axis.

    >>> squeeze(Tensor([[1.0]])).shape
    ()
    """
    return reshape(x, np.squeeze(np.broadcast_to(0, x.shape), axis).shape)


@implements(np.ravel, method="flatten ravel")
def flatten(x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Lay the axes ``start_dim`` … ``end_dim`` out in one: all of them unless given, as ``torch.flatten``.

    Args:
        x: of any shape.
        start_dim: the first of the axes that become one.
        end_dim: the last of them.

    Returns:
        The same elements, in C order. A 0-d array becomes one of shape (1,).

    Raises:
        ValueError: there is no such axis, or ``start_dim`` comes after ``end_dim``.

    >>> flatten(Tensor([[1.0, 2.0]])).shape
    (2,)
    >>> flatten(np.ones((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = x.shape or (1,)
    start, end = (normalize_axis_tuple(axis, len(shape))[0] for axis in (start_dim, end_dim))
    if start > end:
        raise ValueError(f"flatten: axis {start_dim} of {shape} comes after axis {end_dim}")
    return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@shaping(
    r"$x", np.copy, method="clone copy", says="Copies $x.", samples=[sample((4, 3)), sample(())],
    x=("1", lambda g: g),
)  # fmt: skip
def clone(x: Value) -> Value:
    """Copy: the result shares no memory with ``x``, and gradients pass as they are.

    Args:
        x: of any shape.

    Returns:
        A copy of x.

    >>> x = np.ones(2)
    >>> clone(x) is x
    False
    """
    return x.copy()


def spread_arguments(call: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method take its tuple spread out, as NumPy's do: ``t.reshape(2, 3)``."""

    @functools.wraps(call)
    def method(x: Value, *n: Any, **params: Any) -> Value:
        return call(x, *(n if len(n) == 1 else (n,) if n else ()), **params)

    return method


implements(np.reshape)(reshape)
implements(*filter(None, [getattr(np, "unstack", None)]))(unbind)  # from NumPy 2.1 on
implements(method="reshape")(spread_arguments(reshape))
implements(method="permute")(spread_arguments(transpose))
Tensor.T = property(transpose, doc="The tensor with its axes reversed.")  # type: ignore[assignment, method-assign]
