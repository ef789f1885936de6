"""Products of vectors, matrices and arrays of more axes, made of multiplications and matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.types import Value
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.linear import cross as cross_of
from tinygraph.ops.linear import matmul
from tinygraph.ops.reduce import norm, sum  # noqa: A004 - NumPy's name
from tinygraph.ops.shape import expand_dims, flatten, moveaxis, reshape, squeeze, swapaxes, transpose
from tinygraph.ops.signals import convolve as convolve_of

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "cdist", "convolve", "correlate", "cross", "dot", "ger", "inner",
    "kron", "matvec", "mv", "outer", "tensordot", "vdot", "vecdot", "vecmat",
]  # fmt: skip


def as_array(x: Value) -> Value:
    """Return a Tensor or an array as it is, and anything else as an array."""
    return x if hasattr(x, "shape") else np.asarray(x)


# ----------------------------------------------------------------------------------------------------------- vectors


@implements(np.outer, np.linalg.outer, method="outer ger")
@composite
def outer(x: Value, y: Value) -> Value:
    """Multiply each element of x with each of y: x ⊗ y = x yᵀ.

    Args:
        x: a vector; an array of more axes is read as one, in C order.
        y: likewise.

    Returns:
        A matrix with a row for each element of x and a column for each of y.

    >>> outer(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array([[3., 4.],
           [6., 8.]])
    """
    return matmul(reshape(as_array(x), (-1, 1)), reshape(as_array(y), (1, -1)))


ger = outer


@implements(np.vdot, method="vdot")
@composite
def vdot(x: Value, y: Value) -> Value:
    """Multiply two vectors, xᵀ y; arrays of more axes are read as vectors.

    Args:
        x: of any shape.
        y: of as many elements.

    Returns:
        One number.

    Raises:
        ValueError: the numbers of elements differ.

    >>> vdot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    np.float64(11.0)
    """
    return matmul(flatten(as_array(x)), flatten(as_array(y)))


@implements(np.vecdot, np.linalg.vecdot)
@accept_dim
@composite
def vecdot(x: Value, y: Value, axis: int = -1) -> Value:
    """Multiply vectors along an axis, xᵀ y, for each pair of a batch.

    Args:
        x: (…, n), the vectors along ``axis``.
        y: of a shape that broadcasts with that of x.
        axis: the axis of the vectors.

    Returns:
        Numbers, of the common shape without ``axis``.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> vecdot(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([3.0, 4.0]))
    array([11.,  4.])
    """
    return sum(as_array(x) * y, axis)


@implements(*filter(None, [getattr(np.linalg, "cross", None), np.cross]), method="cross")
@accept_dim
@composite
def cross(x: Value, y: Value, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Value:
    """Take the cross product of vectors in space, x × y.

    Args:
        x: vectors of length 3.
        y: vectors of length 3; the other axes broadcast against those of x.
        axisa: the axis of the vectors of x.
        axisb: that of y.
        axisc: that of the result.
        axis: all three at once.

    Returns:
        Vectors that are orthogonal to both.

    Raises:
        ValueError: the vectors are not of length 3.

    >>> cross(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    array([0., 0., 1.])
    """
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    x, y = (moved(as_array(v), a, -1) for v, a in ((x, axisa), (y, axisb)))
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ValueError(f"cross: the vectors have lengths {x.shape[-1]} and {y.shape[-1]}, and must have 3")
    return moved(cross_of(x, y), -1, axisc)


def moved(x: Value, axis: int, to: int) -> Value:
    """Return x with an axis moved; x itself where it is in its place."""
    return x if axis % len(x.shape) == to % len(x.shape) else moveaxis(x, axis, to)


# ---------------------------------------------------------------------------------------------------------- matrices


@implements(np.dot, method="dot")
@composite
def dot(x: Value, y: Value) -> Value:
    """Multiply as ``numpy.dot``: vectors to a number, matrices to a matrix, a number with an array.

    Of more axes, it sums over the last one of x and the last but one of y.

    Args:
        x: of any shape.
        y: of any shape; a vector, or an array whose last axis but one is as long as the last one of x.

    Returns:
        The product.

    Raises:
        ValueError: the lengths differ.

    >>> dot(Tensor([1.0, 2.0]), np.array([3.0, 4.0]))
    Tensor(11., op=matmul)
    """
    x, y = as_array(x), as_array(y)
    if not x.shape or not y.shape:
        return x * y
    return matmul(x, y) if len(y.shape) <= 2 else tensordot(x, y, (-1, -2))


@implements(np.inner, method="inner")
@composite
def inner(x: Value, y: Value) -> Value:
    """Multiply and sum over the last axes of both, as ``numpy.inner``: of vectors, xᵀ y.

    Args:
        x: (…, n), or a number.
        y: (…, n), or a number.

    Returns:
        An array with the other axes of x, and then those of y.

    Raises:
        ValueError: the lengths n differ.

    >>> inner(Tensor([1.0, 2.0]), np.array([3.0, 4.0]))
    Tensor(11., op=matmul)
    """
    x, y = as_array(x), as_array(y)
    if not x.shape or not y.shape:
        return x * y
    if len(y.shape) == 1:
        return matmul(x, y)
    return matmul(x, swapaxes(y, 0, 1)) if len(y.shape) == 2 else tensordot(x, y, (-1, -1))


@implements(np.tensordot, np.linalg.tensordot)
@composite
def tensordot(x: Value, y: Value, axes: int | Sequence[int | Sequence[int]] = 2, *, dims: Any = None) -> Value:
    """Multiply and sum over several axes, as ``numpy.tensordot`` and ``torch.tensordot``.

    Args:
        x: of any shape.
        y: of any shape.
        axes: how many: the last of x and the first of y; or a pair: the axes of x and those of y.
        dims: PyTorch's name of ``axes``.

    Returns:
        An array with the other axes of x, and then those of y.

    Raises:
        ValueError: the axes do not fit.

    >>> tensordot(np.ones((2, 3, 4)), np.ones((3, 4, 5))).shape
    (2, 5)
    """
    x, y = as_array(x), as_array(y)
    axes, ranks = axes if dims is None else dims, (len(x.shape), len(y.shape))
    if isinstance(axes, int | np.integer):
        axes = range(ranks[0] - int(axes), ranks[0]), range(int(axes))
    summed = [normalize_axis_tuple(a, rank) for a, rank in zip(axes, ranks, strict=True)]
    lengths = [tuple(v.shape[a] for a in over) for v, over in zip((x, y), summed, strict=True)]
    if lengths[0] != lengths[1]:
        raise ValueError(f"tensordot: axes {summed[0]} of {x.shape} and {summed[1]} of {y.shape} differ in length")
    kept = [[a for a in range(rank) if a not in over] for rank, over in zip(ranks, summed, strict=True)]
    shape = [[v.shape[a] for a in axes] for v, axes in zip((x, y), kept, strict=True)]
    n = math.prod(lengths[0])
    rows = reshape(ordered(x, [*kept[0], *summed[0]]), (math.prod(shape[0]), n))
    columns = reshape(ordered(y, [*summed[1], *kept[1]]), (n, math.prod(shape[1])))
    return reshape(matmul(rows, columns), (*shape[0], *shape[1]))


def ordered(x: Value, axes: list[int]) -> Value:
    """Return x with its axes in an order; x itself where that is the one that it has."""
    return x if axes == sorted(axes) else transpose(x, axes)


@implements(np.kron, method="kron")
@composite
def kron(x: Value, y: Value) -> Value:
    """Take the Kronecker product x ⊗ y: x with each element replaced by its product with y.

    Args:
        x: of any shape.
        y: of any shape; the one of fewer axes gets axes of length 1 in front.

    Returns:
        An array whose lengths are the products of those of x and y.

    >>> kron(np.array([1.0, 10.0]), np.array([1.0, 2.0]))
    array([ 1.,  2., 10., 20.])
    """
    x, y = as_array(x), as_array(y)
    rank = max(len(x.shape), len(y.shape))
    a, b = ((1,) * (rank - len(v.shape)) + tuple(v.shape) for v in (x, y))
    left = reshape(x, tuple(n for length in a for n in (length, 1)))
    right = reshape(y, tuple(n for length in b for n in (1, length)))
    return reshape(left * right, tuple(n * m for n, m in zip(a, b, strict=True)))


@implements(*filter(None, [getattr(np, "matvec", None)]))
@composite
def matvec(x: Value, y: Value) -> Value:
    """Multiply matrices with vectors, A v, for each pair of a batch.

    Args:
        x: (…, n, m).
        y: (…, m); leading axes broadcast.

    Returns:
        (…, n).

    Raises:
        ValueError: the shapes do not fit.

    >>> matvec(np.ones((2, 3, 4)), np.ones((2, 4))).shape
    (2, 3)
    """
    return squeeze(matmul(as_array(x), expand_dims(as_array(y), -1)), -1)


@implements(*filter(None, [getattr(np, "vecmat", None)]))
@composite
def vecmat(x: Value, y: Value) -> Value:
    """Multiply vectors with matrices, vᵀ A, for each pair of a batch.

    Args:
        x: (…, n).
        y: (…, n, m); leading axes broadcast.

    Returns:
        (…, m).

    Raises:
        ValueError: the shapes do not fit.

    >>> vecmat(np.ones((2, 3)), np.ones((2, 3, 4))).shape
    (2, 4)
    """
    return squeeze(matmul(expand_dims(as_array(x), -2), as_array(y)), -2)


@implements(method="mv")
def mv(x: Value, y: Value) -> Value:
    """Multiply a matrix with a vector, as ``torch.mv``.

    Args:
        x: (n, m).
        y: (m,).

    Returns:
        (n,).

    Raises:
        ValueError: the lengths m differ.

    >>> mv(np.ones((2, 3)), np.ones(3))
    array([3., 3.])
    """
    return matmul(x, y)


@implements(method="addmm")
@composite
def addmm(x: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """Add a matrix product: β x + α a b, as ``torch.addmm``.

    Args:
        x: of a shape that broadcasts to that of the product.
        a: (n, k).
        b: (k, m).
        beta: β.
        alpha: α.

    Returns:
        (n, m).

    Raises:
        ValueError: the shapes do not fit.

    >>> addmm(np.ones(2), np.eye(2), np.eye(2), alpha=3)
    array([[4., 1.],
           [1., 4.]])
    """
    return scaled(x, beta) + scaled(matmul(a, b), alpha)


def scaled(x: Value, factor: float) -> Value:
    """Multiply by a number that is 1 as a rule."""
    return x if isinstance(factor, int | float) and factor == 1 else x * factor


@implements(method="addmv")
@composite
def addmv(x: Value, a: Value, v: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """Add a product of a matrix and a vector: β x + α a v, as ``torch.addmv``.

    Args:
        x: of a shape that broadcasts to (n,).
        a: (n, m).
        v: (m,).
        beta: β.
        alpha: α.

    Returns:
        (n,).

    Raises:
        ValueError: the shapes do not fit.

    >>> addmv(np.ones(2), np.eye(2), np.ones(2))
    array([2., 2.])
    """
    return scaled(x, beta) + scaled(matmul(a, v), alpha)


@implements(method="addr")
@composite
def addr(x: Value, v: Value, w: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """Add an outer product: β x + α v wᵀ, as ``torch.addr``.

    Args:
        x: of a shape that broadcasts to (n, m).
        v: (n,).
        w: (m,).
        beta: β.
        alpha: α.

    Returns:
        (n, m).

    Raises:
        ValueError: the shapes do not fit.

    >>> addr(np.zeros((2, 1)), np.array([1.0, 2.0]), np.ones(1))
    array([[1.],
           [2.]])
    """
    return scaled(x, beta) + scaled(outer(v, w), alpha)


@implements(method="baddbmm")
@composite
def baddbmm(x: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """Add a product to each matrix of a batch: β x + α a b, as ``torch.baddbmm``.

    Args:
        x: of a shape that broadcasts to (N, n, m).
        a: (N, n, k).
        b: (N, k, m).
        beta: β.
        alpha: α.

    Returns:
        (N, n, m).

    Raises:
        ValueError: the shapes do not fit.

    >>> baddbmm(np.ones((1, 1, 1)), np.ones((1, 1, 2)), np.ones((1, 2, 1)))
    array([[[3.]]])
    """
    return scaled(x, beta) + scaled(matmul(a, b), alpha)


@implements(method="addbmm")
@composite
def addbmm(x: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """Add up the products of a batch: β x + α Σ aᵢ bᵢ, as ``torch.addbmm``.

    Args:
        x: of a shape that broadcasts to (n, m).
        a: (N, n, k).
        b: (N, k, m).
        beta: β.
        alpha: α.

    Returns:
        (n, m).

    Raises:
        ValueError: the shapes do not fit.

    >>> addbmm(np.zeros((1, 1)), np.ones((3, 1, 2)), np.ones((3, 2, 1)))
    array([[6.]])
    """
    return scaled(x, beta) + scaled(sum(matmul(a, b), 0), alpha)


# --------------------------------------------------------------------------------------------- sequences and distances


@implements(np.convolve)
def convolve(x: Value, y: Value, mode: str = "full") -> Value:
    """Convolve two sequences, as ``numpy.convolve``: element k of the result is Σ x_i y_(k-i).

    Args:
        x: (n,).
        y: (m,).
        mode: "full" for all n + m - 1 elements, "same" for the max(n, m) in the middle, "valid" for those where the
            sequences overlap in full.

    Returns:
        The convolution.

    Raises:
        ValueError: the mode is not known, a sequence is empty, or it has more than one axis.

    >>> convolve(Tensor([1.0, 2.0, 3.0]), np.array([1.0, 1.0]), "valid")
    Tensor([3., 5.], op=convolve)
    """
    x, y = as_array(x), as_array(y)
    short, long = sorted((x.size, y.size))
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolve: mode {mode!r} is not known; there are 'full', 'same' and 'valid'")
    if mode != "same":
        return convolve_of(x, y, valid=mode == "valid")
    return convolve_of(x, y)[(short - 1) // 2 :][:long]


@implements(np.correlate)
def correlate(x: Value, y: Value, mode: str = "valid") -> Value:
    """Correlate two sequences, as ``numpy.correlate``: element k of the result is Σ x_(i+k) y_i.

    Args:
        x: (n,).
        y: (m,).
        mode: as for `convolve`.

    Returns:
        The correlation.

    Raises:
        ValueError: the mode is not known, a sequence is empty, or it has more than one axis.

    >>> correlate(Tensor([1.0, 2.0, 3.0]), np.array([1.0, 0.0]))
    Tensor([1., 2.], op=convolve)
    """
    x, y = as_array(x), as_array(y)
    if y.size > x.size:  # NumPy swaps them, which moves the middle of "same"
        return convolve(y, x[::-1], mode)[::-1]
    return convolve(x, y[::-1], mode)


@composite
def cdist(x1: Value, x2: Value, p: float = 2.0, compute_mode: Any = None) -> Value:
    """Take the distance of each row of x1 to each of x2, as ``torch.cdist``.

    Args:
        x1: (…, n, d).
        x2: (…, m, d); leading axes broadcast.
        p: which norm the distance is: 2 adds squares, 1 absolute values; inf takes the largest.
        compute_mode: taken, as PyTorch takes it, and without effect: differences are always taken first.

    Returns:
        (…, n, m). The derivative at distance 0 is 0.

    Raises:
        ValueError: the lengths d differ.

    >>> cdist(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]))
    array([[5., 1.]])
    """
    return norm(expand_dims(x1, -2) - expand_dims(x2, -3), p, -1)
