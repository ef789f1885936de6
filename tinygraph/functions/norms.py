"""Norms of vectors and matrices, and what tells how near to singular a matrix is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Axis, Shape, Value
from tinygraph.functions.factors import least_value, plain_values, svdvals
from tinygraph.functions.products import as_array
from tinygraph.ops.elementwise import abs  # noqa: A004 - NumPy's name
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.matrices import inv
from tinygraph.ops.reduce import max, min, sum  # noqa: A004 - NumPy's names
from tinygraph.ops.reduce import norm as vector_norm_of
from tinygraph.ops.shape import expand_dims, moveaxis, reshape

__all__ = ["cond", "matrix_norm", "matrix_rank", "norm", "vector_norm"]


def size_of_axes(axis: Axis, rank: int) -> int:
    """Return how many axes are named; all, if none is."""
    return rank if axis is None else len(axis) if isinstance(axis, Sequence) else 1


@implements(np.linalg.norm)
@accept_dim
def norm(x: Value, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Value:  # noqa: A002 - NumPy's name
    """Take the norm of vectors or of matrices, as ``numpy.linalg.norm``.

    Args:
        x: of any shape.
        ord: of a vector: p, for (Σ |x|ᵖ)^(1/p), inf or -inf. Of a matrix: "fro", "nuc" (the sum of the singular
            values), 2 and -2 (the largest and the smallest one), 1 and -1 (the largest and smallest sum of a column),
            inf and -inf (those of a row). None for the root of all squares.
        axis: one axis for vectors, two for matrices; None for all of x.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        Norms, of the shape of x without the axes that are reduced.

    Raises:
        ValueError: there is no such norm, or ``axis`` names more than two.

    >>> norm(Tensor([[3.0, 0.0], [4.0, 0.0]])), float(norm(np.array([[3.0, 0.0], [4.0, 0.0]]), 1))
    (Tensor(5., op=l2_norm), 7.0)
    """
    x = as_array(x)
    count = size_of_axes(axis, len(x.shape))
    if ord is None or (count == 1 and not isinstance(ord, str)):
        return vector_norm_of(x, ord, axis, keepdims)
    if count == 2:
        return matrix_norm(x, ord, (-2, -1) if axis is None else axis, keepdims)
    what = f"ord={ord!r} over {count} axes of an array of shape {tuple(x.shape)}"
    raise ValueError(f"norm: {what}: name one axis for vectors, or two for matrices, as axis=")


@implements(np.linalg.vector_norm)
@accept_dim
def vector_norm(x: Value, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Value:  # noqa: A002 - as NumPy
    """Take the norm (Σ |x|ᵖ)^(1/p) of vectors.

    Args:
        x: of any shape.
        ord: p, or inf for the largest |x|, -inf for the smallest, 0 for how many are not 0.
        axis: one axis, several that are read as one vector, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        Norms, of the shape of x without the axes that are reduced. Where one is 0 its derivative is 0.

    Raises:
        ValueError: ``ord`` is the name of a norm of matrices.

    >>> vector_norm(Tensor([3.0, 4.0]))
    Tensor(5., op=l2_norm)
    """
    return vector_norm_of(as_array(x), ord, axis, keepdims)


@implements(np.linalg.matrix_norm)
@accept_dim
@composite
def matrix_norm(x: Value, ord: Any = "fro", axis: Sequence[int] = (-2, -1), keepdims: bool = False) -> Value:  # noqa: A002 - as NumPy
    """Take the norm of matrices.

    Args:
        x: (…, m, n).
        ord: "fro", "nuc", 1, -1, 2, -2, inf or -inf, as for `norm`.
        axis: the two axes of the matrices.
        keepdims: keep them, with length 1.

    Returns:
        Norms, of the shape of x without these axes.

    Raises:
        ValueError: there is no such norm.

    >>> matrix_norm(np.eye(3), "nuc")
    np.float64(3.0)
    """
    rows, columns = places = normalize_axis_tuple(axis, len(x.shape))
    if ord == "fro":
        return vector_norm_of(x, 2, places, keepdims)
    if ord in (1, -1, math.inf, -math.inf):
        summed, other = (rows, columns) if ord in (1, -1) else (columns, rows)
        out = (max if ord > 0 else min)(sum(abs(x), summed, True), other, True)
    elif ord in ("nuc", 2, -2):
        last = (len(x.shape) - 2, len(x.shape) - 1)
        values = svdvals(x if places == last else moveaxis(x, places, last))
        out = sum(values, -1) if ord == "nuc" else (max if ord == 2 else min)(values, -1)
        return expand_dims(out, places) if keepdims else out
    else:
        raise ValueError(f"matrix_norm: there is no norm {ord!r}: there are 'fro', 'nuc', 1, -1, 2, -2, inf and -inf")
    return out if keepdims else reshape(out, without(tuple(out.shape), places))


def without(shape: Shape, axes: Sequence[int]) -> Shape:
    """Return a shape without some of its axes."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)


@implements(np.linalg.cond)
@composite
def cond(x: Value, p: Any = None) -> Value:
    """Take the condition of matrices: ∥x∥ ∥x⁻¹∥.

    Args:
        x: (…, m, n); square unless p is None, 2 or -2.
        p: which norm, as for `norm`; None is 2, the largest singular value over the smallest.

    Returns:
        Numbers, of shape (…).

    Raises:
        LinAlgError: p is another norm, and x is singular or not square.

    >>> cond(np.diag([4.0, 2.0]))
    np.float64(2.0)
    """
    x = as_array(x)
    if p in (None, 2, -2):
        values = svdvals(x)
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    return matrix_norm(x, p) * matrix_norm(inv(x), p)


@implements(np.linalg.matrix_rank)
def matrix_rank(a: Value, tol: Any = None, hermitian: bool = False, *, rtol: Any = None, atol: Any = None) -> Any:
    """Count the singular values that are not 0. It moves in steps, so that it has no gradient.

    Args:
        a: (…, m, n).
        tol: what counts as 0: values up to this one.
        hermitian: whether a is symmetric, which only saves time.
        rtol: in place of ``tol``, this part of the largest value; ε max(m, n) unless one of the three is given.
        atol: PyTorch's name of ``tol``.

    Returns:
        Whole numbers, of shape (…): plain ones, no Tensor.

    Raises:
        LinAlgError: the singular values do not converge.

    >>> int(matrix_rank(Tensor([[1.0, 1.0], [1.0, 1.0]])))
    1
    """
    a = as_array(a)
    if len(a.shape) < 2:  # a vector, as NumPy has it
        return int(bool((array_of(a) != 0).any()))
    values = plain_values(a, hermitian)
    return (values > least_value(values, a, rtol, atol if tol is None else tol)).sum(axis=-1)
