"""Rows of a matrix by their numbers, as functions: one for each index, or one for each bag of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.checks import label
from tinygraph.nn.functional.reduction import beside, on_host
from tinygraph.ops.elementwise import where
from tinygraph.ops.reduce import max, sum  # noqa: A004 - NumPy's names

__all__ = ["embedding", "embedding_bag"]

REFUSED = {
    "max_norm": "a call would change the weights: bound them yourself after a step of the optimizer",
    "scale_grad_by_freq": "divide the gradient yourself: weight.grad / counts",
    "sparse": "there are no sparse arrays here",
}


def refuse(what: str, **options: Any) -> None:
    """Raise if an option is given that is not here, and say what to do."""
    for name, value in options.items():
        if value not in (None, False):
            raise ValueError(f"{what}: {name}={value} is not here: {REFUSED[name]}")


def checked_rows(weight: Value, indices: Value, what: str) -> Array:
    """Return the indices as an array; raise, in the name of ``what``, if there is no such row."""
    found = array_of(indices)
    kind = getattr(found, "dtype", np.dtype(object))
    if kind.kind not in "iu":
        raise TypeError(f"{what}: indices must be an array of integers, not {kind}")
    if found.size and (found.min() < 0 or found.max() >= weight.shape[0]):
        raise IndexError(f"{what}: indices go from {found.min()} to {found.max()}; there are {weight.shape[0]} rows")
    rows: Array = found
    return rows


def place_of(padding_idx: int | None, count: int, what: str) -> int | None:
    """Return the number of the row that gets no gradient, counted from the front."""
    if padding_idx is None or -count <= padding_idx < count:
        return padding_idx if padding_idx is None else padding_idx % count
    raise ValueError(f"{what}: padding_idx={padding_idx} is none of the {count} rows")


@composite
def embedding(
    indices: Value,
    weight: Value,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Value:
    """Look up a row for each index.

    Args:
        indices: integers (…) in 0 … number of rows - 1.
        weight: (number of rows, length of a row).
        padding_idx: a row that gets no gradient, or None.
        max_norm: None: weights are not changed in a call.
        norm_type: taken, and without effect.
        scale_grad_by_freq: False, likewise.
        sparse: False, likewise.

    Returns:
        Rows (…, length of a row).

    Raises:
        TypeError: the indices are no integers.
        IndexError: there is no such row.
        ValueError: an option is not here, or ``padding_idx`` is no row.

    >>> embedding(np.array([1, 0]), np.array([[1.0], [2.0]]))
    array([[2.],
           [1.]])
    """
    refuse("embedding", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    rows = beside(weight, checked_rows(weight, indices, "embedding"))
    found = weight[rows]
    padding = place_of(padding_idx, weight.shape[0], "embedding")
    if padding is None:
        return found
    is_padding = (rows == padding)[..., None]
    return where(is_padding, array_of(found), found) if is_padding.any() else found


@composite
def embedding_bag(
    indices: Value,
    weight: Value,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Value = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Value:
    """Average the rows of each bag of indices, add them up, or take the largest.

    Args:
        indices: integers (B, n), n in each of B bags; or all after one another, with ``offsets``.
        weight: (number of rows, length of a row).
        offsets: where each bag begins, (B,), beginning with 0; only if ``indices`` has one axis.
        max_norm: None: weights are not changed in a call.
        norm_type: taken, and without effect.
        scale_grad_by_freq: False, likewise.
        mode: "sum", "mean" or "max".
        sparse: False.
        per_sample_weights: what each row is multiplied by, of the shape of ``indices``; with "sum" alone.
        include_last_offset: whether ``offsets`` ends with the number of indices.
        padding_idx: a row that does not count, or None.

    Returns:
        (B, length of a row). An empty bag gives zeros.

    Raises:
        TypeError: the indices are no integers.
        IndexError: there is no such row.
        ValueError: shapes or options do not fit.

    >>> embedding_bag(np.array([[0, 1], [1, 1]]), np.array([[1.0], [2.0]]))
    array([[1.5],
           [2. ]])
    """
    refuse("embedding_bag", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    rows = on_host(checked_rows(weight, indices, "embedding_bag"))
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode {mode!r} is none of 'sum', 'mean', 'max'")
    if per_sample_weights is not None and (mode != "sum" or tuple(per_sample_weights.shape) != rows.shape):
        raise ValueError("embedding_bag: per_sample_weights go with mode='sum', and have the shape of the indices")
    places, counts = bags(rows, offsets, include_last_offset)
    flat = rows.reshape(-1)
    padding = place_of(padding_idx, weight.shape[0], "embedding_bag")
    if padding is not None and flat.size:
        counts = counts & (flat[places] != padding)
    found = weight[beside(weight, flat[places] if flat.size else places)]  # (B, n, length of a row)
    if per_sample_weights is not None:
        found = found * per_sample_weights.reshape((-1,))[beside(weight, places)].reshape((*places.shape, 1))
    seen = beside(weight, counts[..., None])
    if mode == "max":
        largest = max(where(seen, found, -math.inf), 1) if places.shape[1] else sum(found, 1)
        return where(seen.any(1), largest, 0)
    total = label(sum(where(seen, found, 0), 1), "sum")
    return total if mode == "sum" else total / seen.sum(1).clip(1).astype(weight.dtype)


def bags(rows: Array, offsets: Any, has_end: bool) -> tuple[Array, Array]:
    """Return the places of each bag's indices, (B, n), and which of them are there, since bags differ in length."""
    if len(rows.shape) == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: offsets go with indices of one axis; these have two, and a bag is a row")
        return np.arange(rows.size).reshape(rows.shape), np.ones(rows.shape, bool)
    starts = None if offsets is None else on_host(offsets)
    if len(rows.shape) != 1 or starts is None or starts.ndim != 1 or not starts.size or starts[0] != 0:
        raise ValueError("embedding_bag: indices are (B, n), or (n,) with offsets (B,) that begin with 0")
    ends = starts[1:] if has_end else np.append(starts[1:], len(rows))
    starts = starts[: len(ends)]
    if (ends < starts).any() or (ends > len(rows)).any():
        raise ValueError(f"embedding_bag: offsets {starts.tolist()} do not rise, or go beyond {len(rows)} indices")
    steps = np.arange((ends - starts).max(initial=0))
    places = starts[:, None] + steps
    is_there = places < ends[:, None]
    return np.where(is_there, places, 0), is_there
