"""Distances and similarities of vectors, as functions, and what is made of them."""

from __future__ import annotations

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.ops.elementwise import abs, equal, maximum, power, sqrt, square, where  # noqa: A004 - NumPy's names
from tinygraph.ops.reduce import max, sum  # noqa: A004 - NumPy's names
from tinygraph.ops.shape import broadcast_to, common_shape

__all__ = ["cosine_similarity", "normalize", "one_hot", "pairwise_distance", "pdist"]


def length(d: Value, p: float, axis: int = -1, keepdims: bool = False) -> Value:
    """Return the p-norm along an axis; where it is 0, so is its slope."""
    if p == 1:
        return sum(abs(d), axis, keepdims)
    if p == float("inf"):
        return max(abs(d), axis, keepdims)
    if p == 0:
        return sum((array_of(d) != 0).astype(d.dtype), axis, keepdims)
    total = sum(square(d) if p == 2 else power(abs(d), p), axis, keepdims)
    is_none = equal(total, 0)
    safe = where(is_none, 1, total)
    return where(is_none, 0, sqrt(safe) if p == 2 else power(safe, 1 / p))


@composite
def cosine_similarity(x1: Value, x2: Value, dim: int = 1, eps: float = 1e-8) -> Value:
    r"""Take the cosine of the angle between vectors: :math:`x_1 · x_2 / (‖x_1‖ ‖x_2‖)`.

    Args:
        x1: vectors along the axis ``dim``.
        x2: of a shape that broadcasts with that of x1.
        dim: the axis of the vectors.
        eps: the least length; a shorter vector counts as one of this length.

    Returns:
        Cosines -1 … 1, of the common shape without ``dim``.

    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])).round(4)
    array([0.7071])
    """
    x1, x2 = (x if x.shape else x.reshape(1) for x in (x1, x2))
    shape = common_shape(x1, x2)
    dim = dim if dim < 0 else dim - len(shape)  # from the end, where the shapes meet
    # An axis that is copied counts as often in the length.
    x1, x2 = (x if len(x.shape) >= -dim and x.shape[dim] == shape[dim] else broadcast_to(x, shape) for x in (x1, x2))
    lengths = [sqrt(maximum(sum(square(x), dim, True), eps**2)) for x in (x1, x2)]
    return sum(x1 / lengths[0] * (x2 / lengths[1]), dim)


@composite
def pairwise_distance(x1: Value, x2: Value, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Value:
    r"""Take the distance of vectors, row by row: :math:`‖x_1 - x_2 + ε‖_p`.

    Args:
        x1: (N, D) or (D,).
        x2: of a shape that broadcasts with that of x1.
        p: which norm: 2 adds squares, 1 absolute values; ``inf`` takes the largest.
        eps: ε, added to every difference, so that no distance is 0.
        keepdim: keep the last axis, with length 1.

    Returns:
        Distances (N,), in units of x1.

    >>> pairwise_distance(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), eps=0.0)
    array([5.])
    """
    return length(x1 - x2 + eps, p, -1, keepdim)


@composite
def pdist(x: Value, p: float = 2.0) -> Value:
    """Take the distance of each row to each later one.

    Args:
        x: (N, D).
        p: which norm, as in `pairwise_distance`.

    Returns:
        Distances (N (N-1) / 2,): of rows 0 and 1, 0 and 2, …, 1 and 2, and so on.

    Raises:
        ValueError: x has not two axes.

    >>> pdist(np.array([[0.0], [1.0], [3.0]]))
    array([1., 3., 2.])
    """
    if len(x.shape) != 2:
        raise ValueError(f"pdist: x must be (N, D), not {x.shape}")
    first, second = np.triu_indices(x.shape[0], 1)
    return length(x[first] - x[second], p)


@composite
def normalize(x: Value, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Value:
    """Divide vectors by their lengths.

    Args:
        x: vectors along the axis ``dim``.
        p: which norm, as in `pairwise_distance`.
        dim: the axis of the vectors.
        eps: the least length to divide by.

    Returns:
        Of the shape of x.

    >>> normalize(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    return x / maximum(length(x, p, dim, True), eps)


def one_hot(indices: Value, num_classes: int = -1) -> Array:
    """Write each class as a row of zeros with a one in its place. Integers have no gradient, so it is an array.

    Args:
        indices: classes 0 … num_classes - 1, integers of any shape (…).
        num_classes: length of a row; the largest class and one more unless given.

    Returns:
        Zeros and ones, int64, (…, num_classes).

    Raises:
        TypeError: the indices are no integers.
        ValueError: an index is out of range; there is none, and ``num_classes`` is not given.

    >>> one_hot(np.array([1, 0]), 3)
    array([[0, 1, 0],
           [1, 0, 0]])
    """
    labels = np.asarray(array_of(indices))
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: classes must be integers, not {labels.dtype}")
    if num_classes < 0 and not labels.size:
        raise ValueError("one_hot: there is no index to tell the number of classes: give num_classes")
    count = int(labels.max()) + 1 if num_classes < 0 else num_classes
    if labels.size and (labels.min() < 0 or labels.max() >= count):
        raise ValueError(f"one_hot: classes go from {labels.min()} to {labels.max()}; there are 0 … {count - 1}")
    rows: Array = np.eye(count, dtype=np.int64)[labels]
    return rows
