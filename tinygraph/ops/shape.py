"""Shape ops: they move, copy or drop elements and compute nothing; what one copies, its derivative adds up.

`broadcast_to` and `sum_to` are each other's derivative, and so are indexing and `scatter`. The gradient of one element
is an array of zeros around one number. Where an array is taken apart, by iteration, `unbind` or `split`, its `parts`
therefore put their gradients together once, not one by one: that takes time in proportion to the array.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.arrays import scatter_add
from tinygraph.engine.op import Op, op
from tinygraph.engine.registry import OPS, implements, sample
from tinygraph.engine.tensor import Record, Tensor, array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.engine.variadic import Variadic
from tinygraph.ops.keywords import accept_dim

shaping = functools.partial(op, family="shape")


@shaping(
    r"$x\uparrow",
    np.broadcast_to,
    method="broadcast_to",
    onnx="Expand",
    says="Copies $x to shape $shape.",
    samples=[sample((4, 1), shape=(5, 4, 3)), sample((), shape=(2, 3)), sample((3,), shape=(3,))],
    x=("1", lambda g, x_shape: sum_to(g, x_shape)),
)
def broadcast_to(x: Any, shape: Shape = ()) -> Any:
    """Copy along new axes and along axes of length 1, as NumPy broadcasts. The derivative sums the copies.

    >>> broadcast_to(Tensor([1.0, 2.0]), (2, 2))
    Tensor([[1., 2.],
            [1., 2.]], op=broadcast_to)
    """
    return np.broadcast_to(x, shape)


@shaping(
    r"$x\downarrow",
    onnx=None,
    says="Adds up the copies in $x, down to shape $shape.",
    samples=[sample((5, 4, 3), shape=(4, 1)), sample((2, 3), shape=()), sample((3,), shape=(3,))],
    x=("1", lambda g, x_shape: broadcast_to(g, x_shape)),
)
def sum_to(x: Any, shape: Shape = ()) -> Any:
    """Undo a broadcast from ``shape``: sum the axes along which it copied.

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
    r"$x",
    onnx="Reshape",
    says="Lays $x out in shape $shape.",
    samples=[sample((4, 3), shape=(2, -1)), sample((4,), shape=4), sample((1,), shape=())],
    x=("1", lambda g, x_shape: reshape(g, x_shape)),
)
def reshape(x: Any, shape: Any = (-1,)) -> Any:
    """Lay the elements out in another shape, in C order; one length may be -1.

    >>> reshape(Tensor([1.0, 2.0]), (2, 1)).shape
    (2, 1)
    """
    return x.reshape(shape)


@shaping(
    r"$x^{\mathsf T}",
    np.transpose,
    onnx="Transpose",
    says="Reorders the axes of $x.",
    samples=[sample((2, 3, 4)), sample((2, 3, 4), axes=(1, 2, 0)), sample((2, 3, 4), axes=(-1, 0, 1)), sample((3,))],
    x=("1", lambda g, axes: transpose(g, inverse(axes))),
)
def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Reorder the axes; reverse them if ``axes`` is None.

    >>> transpose(Tensor(np.ones((2, 3)))).shape
    (3, 2)
    """
    return np.transpose(x, axes)


def inverse(axes: Sequence[int] | None) -> Sequence[int] | None:
    """Return the permutation that undoes ``axes``."""
    return None if axes is None else [int(i) for i in np.argsort([a % len(axes) for a in axes])]


class Index(Op):
    """Indexing. Of a `whole` that is taken apart, the gradient of a part stays a part until all of them are there."""

    def lines_for(self, node: Record, g: Value) -> Iterable[Any]:
        """Return the derivative line."""
        return PART_OF_WHOLE if getattr(node.inputs[0], "op", None) is OPS["whole"] else self.lines


@shaping(
    r"$x[$key]",
    method="__getitem__",
    says="Takes the elements $key of $x.",
    samples=[
        sample((4, 3), key=1),
        sample((4, 3), key=(slice(1, None, 2), None, -1)),
        sample((4, 3), key=[0, 2, 2, -4]),
        sample((4, 3, 2), key=(Ellipsis, [1, 0, 1], slice(None))),
        sample((4, 3), key=([[0], [3]], [1, 1])),
    ],
    kind=Index,
    x=("1", lambda g, x_shape, key: scatter(g, key, x_shape)),
)
def index(x: Any, key: Any = ()) -> Any:
    """Take elements by NumPy's rules: integers, slices, None, ``...``, integer and boolean arrays.

    The gradient of an element is the sum over all the places that it was taken to.

    >>> x = Tensor([1.0, 2.0, 3.0])
    >>> x[[0, 0, 2]].sum().backward(); x.grad
    array([2., 0., 1.])
    """
    return x[plain(key)]


def plain(key: Any) -> Any:
    """Return an index without Tensors in it."""
    return tuple(map(array_of, key)) if isinstance(key, tuple) else array_of(key)


@shaping(
    r"$x\to[$key]",
    says="Adds $x into zeros of shape $shape at $key.",
    samples=[sample((3, 3), key=[0, 2, 2], shape=(4, 3)), sample((3,), key=1, shape=(4, 3))],
    x=("1", lambda g, key: index(g, key)),
)
def scatter(x: Any, key: Any = (), shape: Shape = ()) -> Any:
    """Add into zeros of ``shape`` at the places ``key``: the derivative of indexing. Repeats add up.

    >>> scatter(Tensor([1.0, 2.0]), [0, 0], (2,))
    Tensor([3., 0.], op=scatter)
    """
    out = np.zeros_like(x, shape=shape)
    scatter_add(out, plain(key), x) if is_fancy(key) else out.__setitem__(plain(key), x)
    return out


def is_fancy(key: Any) -> bool:
    """Whether an index may take one element twice: whether an array of integers is in it."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(not isinstance(k, int | slice | type(Ellipsis) | None) for k in parts)


class Part:
    """The gradient of the part ``key`` of an array of ``shape``, and those of other parts that were added to it."""

    size, base = 0, None  # for the walk: too small to be added in place

    def __init__(self, g: Value, shape: Shape, key: Any, others: Part | None = None) -> None:
        self.g, self.shape, self.key, self.others = g, shape, key, others

    def __add__(self, part: Part) -> Part:
        return Part(part.g, part.shape, part.key, self)

    def __array_function__(self, function: Any, types: Any, args: Any, params: Any) -> Any:
        return function(*(put_together(x) for x in args), **params)


PART_OF_WHOLE = (Part,)  # the derivative lines of `index` there


def put_together(g: Value) -> Value:
    """Return the gradient of an array from those of its parts; a gradient that is no `Part` as it is."""
    if not isinstance(g, Part):
        return g
    found, part = [], cast("Part | None", g)
    while part is not None:
        found.append((part.g, part.key))
        part = part.others
    gs, keys = zip(*found)
    return assemble(*gs, keys=keys, shape=g.shape)


@shaping(
    r"$x",
    says="Is $x, which is taken apart: here the gradients of its parts are put together.",
    samples=[sample((4, 3))],
    x=("1", lambda g: put_together(g)),
)
def whole(x: Value) -> Value:
    """Return x itself. The gradients of what is indexed from the result are put together once.

    >>> x = Tensor([1.0, 2.0])
    >>> whole(x).data is x.data
    True
    """
    return x


MANY = 8  # fewer parts are taken from x itself: a drawing has one card less


def parts(x: Value, keys: Sequence[Any]) -> Iterator[Value]:
    """Return the elements of x at each of ``keys``, which are slices and integers."""
    x = whole(x) if len(keys) > MANY else x
    return (index(x, key) for key in keys)


class SideBySide(Variadic):
    """An op that puts its operands side by side. The line of an operand gets the part of g that lies in its place."""

    def lines_for(self, node: Record, g: Value) -> Iterable[Any]:
        """Return a line for each operand, which finds its part."""
        keys = places(node)
        g = whole(g) if len(keys) > MANY else g
        return (lambda _, key=key: self.lines[0](index(g, key)) for key in keys)


def places(node: Record) -> Sequence[Any]:
    """Return where each operand of `assemble` or `join` lies in the result."""
    if "keys" in node.params:
        return cast("Sequence[Any]", node.params["keys"])
    axis = node.params["axis"] % len(node.shape)
    stops = list(itertools.accumulate(np.shape(x)[axis] for x in node.inputs))
    return [(slice(None),) * axis + (slice(start, stop),) for start, stop in zip([0, *stops], stops)]


@shaping(
    r"\operatorname{assemble}($xs)",
    kind=SideBySide,
    says="Adds $xs into zeros of shape $shape, each in its place.",
    samples=[
        sample((2, 3), (3,), keys=(slice(1, 3), 0), shape=(4, 3)),
        sample((2,), keys=((1, slice(2)),), shape=(2, 2)),
    ],
    xs=("1", lambda g: g),
)
def assemble(*xs: Value, keys: Sequence[Any] = (), shape: Shape = ()) -> Value:
    """Add each of several arrays into zeros at a place of its own: what taking an array apart undoes.

    >>> assemble(Tensor([1.0, 2.0]), Tensor(3.0), keys=(slice(2), 3), shape=(4,))
    Tensor([1., 2., 0., 3.], op=assemble)
    """
    out = np.zeros_like(xs[0], shape=shape, dtype=np.result_type(*{x.dtype for x in xs}))
    for x, key in zip(xs, keys):
        out[key] += x
    return out


@shaping(
    r"\operatorname{cat}($xs)",
    kind=SideBySide,
    onnx="Concat",
    says="Joins $xs along axis $axis.",
    samples=[sample((2, 3), (1, 3), (4, 3), axis=0), sample((2, 3), (2, 1), axis=-1)],
    xs=("1", lambda g: g),
)
def join(*xs: Any, axis: int = 0) -> Any:
    """Join arrays along an axis that they have; `concatenate` takes them as a sequence.

    >>> join(Tensor([1.0]), Tensor([2.0]))
    Tensor([1., 2.], op=join)
    """
    return np.concatenate(xs, axis=axis)


@implements(np.concatenate)
@accept_dim
def concatenate(tensors: Sequence[Any], axis: int | None = 0) -> Any:
    """Join a sequence of arrays along an axis that they have; None lays each out in one axis first.

    >>> concatenate([Tensor([1.0]), np.array([2.0])])
    Tensor([1., 2.], op=join)
    """
    return join(*map(flatten, tensors)) if axis is None else join(*tensors, axis=axis)


@implements(np.stack)
@accept_dim
def stack(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis.

    >>> stack([Tensor([1.0]), Tensor([2.0])]).shape
    (2, 1)
    """
    return join(*(expand_dims(x, axis) for x in tensors), axis=axis)


@implements(np.split)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut along an axis, into equal sections or before each index, as ``numpy.split``.

    Raises:
        ValueError: there is no such axis, or its length is no multiple of the number of sections.

    >>> [piece.shape for piece in split(Tensor(np.ones((4, 2))), 2)]
    [(2, 2), (2, 2)]
    """
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    length = x.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        if indices_or_sections < 1 or length % indices_or_sections:
            raise ValueError(f"split: axis {axis} of length {length} has no {indices_or_sections} equal sections")
        section = length // indices_or_sections
        indices_or_sections = [section * i for i in range(1, indices_or_sections)]
    edges = [0, *indices_or_sections, length]
    return list(parts(x, [(slice(None),) * axis + (slice(a, b),) for a, b in itertools.pairwise(edges)]))


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
    return list(parts(x, [(slice(None),) * axis + (i,) for i in range(x.shape[axis])]))


@implements(method="__iter__")
def iterate(x: Tensor) -> Iterator[Tensor]:
    """Return an iterator over the rows, as `unbind` takes them."""
    return parts(x, range(len(x)))


@shaping(
    r"\operatorname{pad} $x",
    np.pad,
    onnx="Pad",
    says="Surrounds $x with $constant_values.",
    samples=[sample((2, 3), pad_width=((1, 0), (2, 1))), sample((3,), pad_width=2), sample((2, 2), pad_width=(1, 2))],
    x=("1", lambda g, x_shape, pad_width: index(g, inner(pad_width, x_shape))),
)
def pad(x: Any, pad_width: Any = 0, mode: str = "constant", constant_values: float = 0.0) -> Any:
    """Surround with a constant; ``pad_width`` as in ``numpy.pad``. Other modes are not differentiable here.

    >>> pad(Tensor([1.0]), 1)
    Tensor([0., 1., 0.], op=pad)
    """
    if mode != "constant":
        raise ValueError(f"pad: mode {mode!r} is not known; there is 'constant'")
    return np.pad(x, pad_width, constant_values=constant_values)


def inner(pad_width: Any, shape: Shape) -> tuple[slice, ...]:
    """Return where the operand of a pad lies in the result."""
    before = np.broadcast_to(np.asarray(pad_width), (len(shape), 2))[:, 0].tolist()
    return tuple(slice(start, start + n) for start, n in zip(before, shape, strict=True))


@implements(np.swapaxes, method="swapaxes")
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Swap two axes.

    >>> swapaxes(Tensor(np.ones((2, 3))), 0, 1).shape
    (3, 2)
    """
    order = list(range(len(x.shape)))
    a, b = (normalize_axis_tuple(axis, len(order))[0] for axis in (axis1, axis2))
    order[a], order[b] = b, a
    return transpose(x, order)


@implements(np.moveaxis)
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Move axes to new places; the others keep their order.

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
def expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    """Insert axes of length 1, at the places ``axis`` of the result.

    >>> expand_dims(Tensor([1.0]), (0, 2)).shape
    (1, 1, 1)
    """
    return reshape(x, np.expand_dims(np.broadcast_to(0, x.shape), axis).shape)


@implements(np.squeeze, method="squeeze")
@accept_dim
def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Drop axes of length 1: all, or those named.

    >>> squeeze(Tensor([[1.0]])).shape
    ()
    """
    return reshape(x, np.squeeze(np.broadcast_to(0, x.shape), axis).shape)


@implements(np.ravel, method="flatten ravel")
def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
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
    r"$x",
    np.copy,
    method="clone copy",
    says="Copies $x.",
    samples=[sample((4, 3)), sample(())],
    x=("1", lambda g: g),
)
def clone(x: Any) -> Any:
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
implements(method="transpose permute")(spread_arguments(transpose))
Tensor.T = property(transpose, doc="The tensor with its axes reversed.")  # type: ignore[attr-defined]
