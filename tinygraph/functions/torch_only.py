"""Functions that PyTorch alone has, each a line of others; and its second names for functions that are here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Axis, Value
from tinygraph.functions.creation import linspace
from tinygraph.functions.methods import div_method, sub_method
from tinygraph.functions.statistics import var
from tinygraph.ops.elementwise import abs as size_of
from tinygraph.ops.elementwise import astype, clip, div, greater, mul, neg, power, sign, sqrt, where
from tinygraph.ops.joining import concatenate
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.linear import matmul
from tinygraph.ops.reduce import max as largest
from tinygraph.ops.reduce import mean, norm
from tinygraph.ops.reduce import min as smallest
from tinygraph.ops.scattering import index_copy
from tinygraph.ops.shape import expand_dims, flatten, sum_to, transpose
from tinygraph.ops.sorting import sort

__all__ = [
    "absolute", "addcdiv", "addcmul", "amax", "amin", "aminmax", "bmm", "clamp", "clamp_max", "clamp_min", "concat",
    "dist", "divide", "lerp", "logspace", "mm", "msort", "multiply", "negative", "permute", "pow", "ravel", "renorm",
    "select_scatter", "sgn", "slice_scatter", "std_mean", "subtract", "true_divide", "var_mean",
]  # fmt: skip

absolute, negative, multiply, subtract, divide, true_divide = size_of, neg, mul, sub_method, div_method, div
amax, amin, clamp, concat, mm, bmm = largest, smallest, clip, accept_dim(concatenate), matmul, matmul
permute, ravel, sgn, pow = transpose, flatten, sign, power  # noqa: A001 - PyTorch's name


@implements(method="addcmul")
@composite
def addcmul(x: Value, tensor1: Value, tensor2: Value, *, value: float = 1) -> Value:
    """Add a product of elements: ``x + value * tensor1 * tensor2``, as ``torch.addcmul``.

    Args:
        x: of any shape.
        tensor1: of a shape that broadcasts with that of x.
        tensor2: likewise.
        value: a number.

    Returns:
        Of the common shape.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> addcmul(np.array([1.0]), np.array([2.0]), np.array([3.0]), value=10)
    array([61.])
    """
    return x + value * tensor1 * tensor2


@implements(method="addcdiv")
@composite
def addcdiv(x: Value, tensor1: Value, tensor2: Value, *, value: float = 1) -> Value:
    """Add a quotient of elements: ``x + value * tensor1 / tensor2``, as ``torch.addcdiv``.

    Args:
        x: of any shape.
        tensor1: of a shape that broadcasts with that of x.
        tensor2: likewise.
        value: a number.

    Returns:
        Of the common shape.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> addcdiv(np.array([1.0]), np.array([6.0]), np.array([3.0]), value=10)
    array([21.])
    """
    return x + value * tensor1 / tensor2


@implements(method="lerp")
@composite
def lerp(x: Value, end: Value, weight: Value) -> Value:
    """Go from x towards ``end``: ``x + weight * (end - x)``, as ``torch.lerp``.

    Args:
        x: of any shape.
        end: of a shape that broadcasts with that of x.
        weight: how far, 0 … 1 for what lies between; a number, or an array that broadcasts, too.

    Returns:
        Of the common shape.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> lerp(np.array([1.0]), np.array([3.0]), 0.25)
    array([1.5])
    """
    return x + weight * (end - x)


@implements(method="dist")
@composite
def dist(x: Value, other: Value, p: float = 2) -> Value:
    """Take the p-norm of the difference of two arrays, each read as one vector, as ``torch.dist``.

    Args:
        x: of any shape.
        other: of a shape that broadcasts with that of x.
        p: which norm: a number, or infinity.

    Returns:
        The distance, 0-d. Where it is 0 its derivative is 0.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> dist(np.array([1.0, 1.0]), np.array([4.0, 5.0]))
    np.float64(5.0)
    """
    return norm(x - other, p)


@implements(method="clamp_min")
def clamp_min(x: Value, min: Value) -> Value:  # noqa: A002 - PyTorch's name
    """Raise what is below ``min`` to it, as `clip`. At the bound the gradient passes.

    Args:
        x: of any shape.
        min: a number, or an array or Tensor that broadcasts against x.

    Returns:
        Of the shape of x.

    >>> clamp_min(np.array([-1.0, 2.0]), 0.0)
    array([0., 2.])
    """
    return clip(x, min)


@implements(method="clamp_max")
def clamp_max(x: Value, max: Value) -> Value:  # noqa: A002 - PyTorch's name
    """Lower what is above ``max`` to it, as `clip`. At the bound the gradient passes.

    Args:
        x: of any shape.
        max: a number, or an array or Tensor that broadcasts against x.

    Returns:
        Of the shape of x.

    >>> clamp_max(np.array([-1.0, 2.0]), 0.0)
    array([-1.,  0.])
    """
    return clip(x, None, max)


class Bounds(NamedTuple):
    """What `aminmax` returns."""

    min: Value
    max: Value


@implements(method="aminmax")
@accept_dim
def aminmax(x: Value, *, axis: int | None = None, keepdims: bool = False) -> Bounds:
    """Take the smallest and the largest over ``axis``, as ``torch.aminmax``.

    Args:
        x: of any shape.
        axis: one axis, or None for all.
        keepdims: keep the axis, with length 1.

    Returns:
        A named tuple: ``min`` and ``max``. Of equal ones each has its share of the gradient.

    >>> aminmax(np.array([3.0, -1.0, 2.0]))
    Bounds(min=np.float64(-1.0), max=np.float64(3.0))
    """
    return Bounds(smallest(x, axis, keepdims), largest(x, axis, keepdims))


@accept_dim
def var_mean(
    x: Value, axis: Axis = None, *, correction: float | None = 1, keepdims: bool = False
) -> tuple[Value, Value]:
    """Take the variance and the mean over ``axis``, as ``torch.var_mean``: the unbiased estimate, unlike `var`.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all. A bool in its place is PyTorch's ``unbiased``.
        correction: the sum of squares is divided by n - correction, where n is the number of values; None is 1.
        keepdims: keep the axes, with length 1.

    Returns:
        A pair.

    Raises:
        ValueError: there are not more values than ``correction``.

    >>> var_mean(np.array([1.0, 3.0]))
    (np.float64(2.0), np.float64(2.0))
    """
    variance = var(x, axis, keepdims, 1 if correction is None else correction)
    return variance, mean(x, None if isinstance(axis, bool) else axis, keepdims)


@accept_dim
def std_mean(
    x: Value, axis: Axis = None, *, correction: float | None = 1, keepdims: bool = False
) -> tuple[Value, Value]:
    """Take the standard deviation and the mean over ``axis``, as ``torch.std_mean``: see `var_mean`.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all. A bool in its place is PyTorch's ``unbiased``.
        correction: the sum of squares is divided by n - correction, where n is the number of values; None is 1.
        keepdims: keep the axes, with length 1.

    Returns:
        A pair.

    Raises:
        ValueError: there are not more values than ``correction``.

    >>> std_mean(np.array([1.0, 3.0]), correction=0)
    (np.float64(1.0), np.float64(2.0))
    """
    variance, center = var_mean(x, axis, correction=correction, keepdims=keepdims)
    return sqrt(variance), center


@implements(method="msort")
def msort(x: Value) -> Value:
    """Sort along the first axis, as ``torch.msort``.

    Args:
        x: of at least one axis.

    Returns:
        Of the shape of x.

    >>> msort(np.array([3.0, 1.0, 2.0]))
    array([1., 2., 3.])
    """
    return sort(x, 0)


@implements(method="renorm")
@composite
def renorm(x: Value, p: float, dim: int, maxnorm: float) -> Value:
    """Shorten what is longer than ``maxnorm`` of the slices along an axis, as ``torch.renorm``.

    Args:
        x: of at least two axes.
        p: which norm, above 0.
        dim: the axis along which slices lie.
        maxnorm: the greatest norm that a slice may have.

    Returns:
        Of the shape of x.

    >>> renorm(np.array([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0).round(2)
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """
    lengths = norm(x, p, tuple(axis for axis in range(len(x.shape)) if axis != dim % len(x.shape)), True)
    return x * where(greater(lengths, maxnorm), maxnorm / (lengths + 1e-7), 1.0)


@implements(method="slice_scatter")
def slice_scatter(
    x: Value, src: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    """Put an array into a slice of a copy of x, as ``torch.slice_scatter``.

    Args:
        x: of at least one axis.
        src: what is put there, of the shape of the slice.
        dim: the axis that is sliced.
        start: first place; 0 unless given.
        end: where the slice ends; the length of the axis unless given.
        step: between places, above 0.

    Returns:
        x with ``src`` in it, through whose places no gradient passes to x.

    Raises:
        ValueError: the shapes do not fit.

    >>> slice_scatter(np.zeros(4), np.array([1.0, 2.0]), step=2)
    array([1., 0., 2., 0.])
    """
    return index_copy(x, dim, np.arange(x.shape[dim])[start:end:step], src)


@implements(method="select_scatter")
def select_scatter(x: Value, src: Value, dim: int, index: int) -> Value:
    """Put an array into a copy of x at one place of an axis, as ``torch.select_scatter``.

    Args:
        x: of at least one axis.
        src: what is put there, of the shape of x without the axis.
        dim: the axis.
        index: the place.

    Returns:
        x with ``src`` in it, through whose places no gradient passes to x.

    Raises:
        IndexError: there is no such place.
        ValueError: the shapes do not fit.

    >>> select_scatter(np.zeros((2, 2)), np.ones(2), 1, 0)
    array([[1., 0.],
           [1., 0.]])
    """
    return index_copy(x, dim, np.arange(x.shape[dim])[[index]], expand_dims(src, dim))


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: npt.DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Make a Tensor of powers of a base, from ``base ** start`` to ``base ** end``, in equal steps of the exponent.

    Args:
        start: the first exponent.
        end: the last exponent.
        steps: how many there are.
        base: what is raised.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of one axis.

    >>> logspace(0, 2, 3)
    Tensor([  1.,  10., 100.], requires_grad=False)
    """
    values = base ** linspace(start, end, steps).data
    return Tensor(values.astype(dtype or values.dtype), requires_grad=requires_grad)


@implements(method="sum_to_size")
def sum_to_size(x: Tensor, *size: int | Sequence[int]) -> Value:
    """Add up what `expand` would copy, as ``x.sum_to_size(1, 3)``.

    Args:
        x: of any shape.
        size: lengths of axes, one by one or as a tuple; a shape that broadcasts to that of x.

    Returns:
        Of this shape.

    Raises:
        ValueError: the shape does not broadcast to that of x.

    >>> Tensor(np.ones((2, 3))).sum_to_size(1, 3).data
    array([[2., 2., 2.]])
    """
    shape: Any = size[0] if len(size) == 1 and isinstance(size[0], Sequence) else size
    return sum_to(x, tuple(shape))


def to_dtype(name: str, dtype: str) -> None:
    """Make the method of Tensor that converts to a dtype."""

    def convert(x: Value, memory_format: Any = None) -> Value:
        return astype(x, dtype)

    convert.__name__ = name
    convert.__doc__ = f"Convert to {dtype}, as ``astype``; ``memory_format`` is taken, and without effect."
    implements(method=name)(convert)


for _name, _dtype in {
    "bool": "bool", "byte": "uint8", "char": "int8", "double": "float64", "float": "float32", "half": "float16",
    "int": "int32", "long": "int64", "short": "int16",
}.items():  # fmt: skip
    to_dtype(_name, _dtype)


@implements(method="type_as")
def type_as(x: Value, other: Value) -> Value:
    """Convert to the dtype of another array, as ``astype``."""
    return astype(x, other.dtype)
