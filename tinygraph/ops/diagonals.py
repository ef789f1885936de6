"""Diagonals and triangles of matrices, composed of indexing and choosing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import index as index_of
from tinygraph.ops.indexing import scatter as add_at
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.reduce import sum as total
from tinygraph.ops.shape import flatten, moveaxis

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "trace", "tril", "triu"]


@implements(np.tril, method="tril")
@composite
def tril(x: Value, k: int = 0) -> Value:
    """Keep the elements on and below a diagonal of each matrix; the others become 0.

    Args:
        x: (…, n, m).
        k: which diagonal: 0 the main one, above it 1, below it -1. PyTorch calls it ``diagonal``.

    Returns:
        Of the shape of x.

    Raises:
        ValueError: x has less than two axes.

    >>> tril(Tensor([[1.0, 2.0], [3.0, 4.0]])).data
    array([[1., 0.],
           [3., 4.]])
    """
    return where(band(x, k, "tril"), x, 0)


@implements(np.triu, method="triu")
@composite
def triu(x: Value, k: int = 0) -> Value:
    """Keep the elements on and above a diagonal of each matrix; the others become 0.

    Args:
        x: (…, n, m).
        k: as in `tril`.

    Returns:
        Of the shape of x.

    Raises:
        ValueError: x has less than two axes.

    >>> triu(Tensor([[1.0, 2.0], [3.0, 4.0]])).data
    array([[1., 2.],
           [0., 4.]])
    """
    return where(~band(x, k - 1, "triu"), x, 0)


def band(x: Value, k: int, what: str) -> Any:
    """Return which elements of a matrix lie on or below a diagonal."""
    if len(x.shape) < 2:
        raise ValueError(f"{what}: x has shape {x.shape}, and must be a matrix, or several")
    return np.tril(np.ones_like(array_of(x), bool, shape=x.shape[-2:]), k)


def on_diagonal(n: int, m: int, offset: int) -> tuple[Any, Any]:
    """Return the rows and the columns of a diagonal of a matrix (n, m)."""
    length = max(min(n + min(offset, 0), m - max(offset, 0)), 0)
    return np.arange(length) + max(-offset, 0), np.arange(length) + max(offset, 0)


@implements(np.diagonal, method="diagonal")
@accept_dim
@composite
def diagonal(x: Value, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """Take a diagonal of each matrix that lies in two axes. It becomes the last axis.

    Args:
        x: of two axes or more.
        offset: which diagonal: 0 the main one, above it 1, below it -1.
        axis1: the axis of the rows.
        axis2: the axis of the columns.

    Returns:
        The diagonals.

    Raises:
        ValueError: x has less than two axes, or the two are one.

    >>> diagonal(Tensor([[1.0, 2.0], [3.0, 4.0]])).data
    array([1., 4.])
    """
    if len(x.shape) < 2:
        raise ValueError(f"diagonal: x has shape {x.shape}, and must be a matrix, or several")
    axes = normalize_axis_tuple((axis1, axis2), len(x.shape))
    x = moveaxis(x, axes, (-2, -1)) if axes != (len(x.shape) - 2, len(x.shape) - 1) else x
    return index_of(x, (Ellipsis, *on_diagonal(x.shape[-2], x.shape[-1], offset)))


@implements(np.trace, method="trace")
@accept_dim
@composite
def trace(x: Value, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """Add up a diagonal of each matrix that lies in two axes.

    Args:
        x: of two axes or more.
        offset: as in `diagonal`.
        axis1: the axis of the rows.
        axis2: the axis of the columns.

    Returns:
        The sums.

    Raises:
        ValueError: as in `diagonal`.

    >>> trace(Tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    return total(diagonal(x, offset, axis1, axis2), -1)


@implements(method="diag_embed")
@composite
def diag_embed(x: Value, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Value:
    """Put the last axis on a diagonal of matrices of zeros, as ``torch.diag_embed``.

    Args:
        x: (…, n).
        offset: which diagonal: 0 the main one, above it 1, below it -1.
        dim1: the axis of the rows in the result.
        dim2: the axis of the columns.

    Returns:
        (…, n, n), larger by the offset.

    Raises:
        ValueError: x has no axis.

    >>> diag_embed(Tensor([1.0, 2.0])).data
    array([[1., 0.],
           [0., 2.]])
    """
    if not x.shape:
        raise ValueError("diag_embed: x is a number, and must be a vector, or several")
    n = x.shape[-1] + abs(offset)
    out = add_at(x, (Ellipsis, *on_diagonal(n, n, offset)), (*x.shape[:-1], n, n))
    rank = len(out.shape)
    axes = normalize_axis_tuple((dim1, dim2), rank)
    return out if axes == (rank - 2, rank - 1) else moveaxis(out, (-2, -1), axes)


@implements(np.diag, method="diag")
def diag(x: Value, k: int = 0) -> Value:
    """Take a diagonal of a matrix, or put a vector on one of a matrix of zeros.

    Args:
        x: a matrix or a vector.
        k: which diagonal: 0 the main one, above it 1, below it -1. PyTorch calls it ``diagonal``.

    Returns:
        The diagonal, or the matrix.

    Raises:
        ValueError: x has other than one or two axes.

    >>> diag(Tensor([1.0, 2.0])).data
    array([[1., 0.],
           [0., 2.]])
    """
    if len(x.shape) not in (1, 2):
        raise ValueError(f"diag: x has shape {x.shape}, and must be a vector or a matrix")
    return diagonal(x, k) if len(x.shape) == 2 else diag_embed(x, k)


@implements(np.diagflat, method="diagflat")
def diagflat(x: Value, k: int = 0) -> Value:
    """Put all elements on a diagonal of a matrix of zeros.

    Args:
        x: of any shape.
        k: as in `diag`.

    Returns:
        A matrix.

    >>> diagflat(Tensor([[1.0, 2.0]])).shape
    (2, 2)
    """
    return diag_embed(flatten(x), k)


@implements(np.linalg.diagonal)
@accept_dim
def diagonal_of_matrices(x: Value, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Value:
    """Take a diagonal of the matrices in the last two axes: ``numpy.linalg.diagonal``.

    Args:
        x: (…, m, n).
        offset: as in `diagonal`.
        axis1: as in `diagonal`: ``torch.linalg.diagonal`` has it.
        axis2: as in `diagonal`.

    Returns:
        (…, k).

    Raises:
        ValueError: x has less than two axes.

    >>> diagonal_of_matrices(np.ones((2, 3, 4))).shape
    (2, 3)
    """
    return diagonal(x, offset, axis1, axis2)


@implements(np.linalg.trace)
def trace_of_matrices(x: Value, offset: int = 0) -> Value:
    """Add up a diagonal of the matrices in the last two axes: ``numpy.linalg.trace``.

    Args:
        x: (…, m, n).
        offset: as in `diagonal`.

    Returns:
        (…).

    Raises:
        ValueError: x has less than two axes.

    >>> trace_of_matrices(np.ones((2, 3, 4))).tolist()
    [3.0, 3.0]
    """
    return trace(x, offset, -2, -1)
