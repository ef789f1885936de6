"""Rows of a large matrix are added up by BLAS, as a product with ones: it takes half the time of NumPy's sum.

No sum in the precision of the array is deeper than `DEPTH` rows.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygraph.engine.types import Array

__all__ = ["DEPTH", "DOT_LENGTH", "column_sums", "ones"]

LARGE = 1 << 14  # elements; smaller matrices are summed in NumPy's order, so that small examples are exact
DEPTH = 1024  # rows
DOT_LENGTH = 8192  # elements of a dot product; for longer ones OpenBLAS wakes its threads


def column_sums(x: Any) -> Any:
    """Return ``x.sum(0)``, for an array of any library."""
    if type(x) is not np.ndarray:
        return x.sum(0)
    if x.dtype.char == "e":  # a total of ones in float16 stops at 2048
        return np.add.reduce(x, 0, np.float32).astype(x.dtype)
    if x.size < LARGE or x.ndim != 2 or x.dtype.char not in "fd" or not x.flags.c_contiguous:
        return np.add.reduce(x, 0)
    if len(x) <= DEPTH:
        return ones(len(x), x.dtype).dot(x)
    parts = [x[i : i + DEPTH] for i in range(0, len(x), DEPTH)]
    sums = [ones(len(part), x.dtype).dot(part) for part in parts]
    return np.add.reduce(sums, 0, np.float64).astype(x.dtype)


def ones(length: int, dtype: np.dtype[Any]) -> Array:
    """Return a read-only vector of ones: a dot product with it is a sum."""
    return cached_ones(dtype)[:length] if length <= DOT_LENGTH else np.ones(length, dtype)


@functools.cache
def cached_ones(dtype: np.dtype[Any]) -> Array:
    """Return `DOT_LENGTH` ones, made once for each dtype."""
    vector = np.ones(DOT_LENGTH, dtype)
    vector.flags.writeable = False
    return vector
