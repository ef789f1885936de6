"""How kernels see (N, C, L): as rows, in which each value has a column, or as runs of a channel's values."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from tinygraph.engine.types import Array, Shape
from tinygraph.kernels.threads import SHARED, piece_count

NARROW = 64  # up to this length, runs of a channel's values are laid side by side in rows
WIDE = 512  # elements that make a row worth a call, where columns are summed
LONG = 8192  # elements that make a row worth a call of NumPy's, where it broadcasts along rows
TILE = 100_000  # elements of a tile for NumPy, 400 KB in float32: each operation finds in the cache what the last wrote


class Tile(NamedTuple):
    """A part of the rows and columns."""

    number: int  # of its rows: tiles with one number have sums of different columns
    rows: slice
    columns: slice


class Tiling(NamedTuple):
    """Rows or runs. A row has the C channels ``folds`` times, each with ``repeats`` values; runs are a third axis."""

    shape: Shape
    folds: int = 1
    repeats: int = 1

    @classmethod
    @functools.lru_cache(1024)
    def of(cls, n: int, c: int, run: int, wide: int = WIDE) -> Tiling:
        """Return how an array is cut; its rows have ``wide`` values, if that many fit."""
        if run > NARROW:
            return cls((n, c, run))
        folds = next(f for f in range(max(1, min(wide // (c * run), n)), 0, -1) if n % f == 0)
        return cls((n // folds, folds * c * run), folds, run)

    def sum_channels(self, sums: Array) -> Array:
        """Add up, for each channel, the sums of tiles (tiles, 2, columns)."""
        if len(sums) * self.folds * self.repeats == 1:
            return sums.reshape(2, -1)
        total: Array = sums.reshape(len(sums), 2, self.folds, -1, self.repeats).sum((0, 2, 4))
        return total

    def spread(self, p: Array) -> Array:
        """Repeat values of channels (k, C) so that they broadcast against an array cut so."""
        if len(self.shape) == 3:
            return p[..., None]
        p = np.repeat(p, self.repeats, axis=1) if self.repeats > 1 else p
        return np.repeat(p[:, None], self.folds, axis=1).reshape(len(p), -1) if self.folds > 1 else p

    @functools.lru_cache(1024)  # noqa: B019 - a tiling is a small value, and there are few
    def tiles(self) -> list[Tile]:
        """Cut an array into tiles for NumPy.

        Rows lie one after another in memory; few and large tiles of them are best.
        """
        rows, columns, run = (*self.shape, 1)[:3]
        width = min(columns, max(1, TILE // run))
        height = max(1, TILE // (width * run))
        if len(self.shape) == 2:
            size = rows * columns
            width, height = columns, -(-rows // (piece_count(size, 4 * TILE) if size > SHARED else 1))
        return [
            Tile(i // height, slice(i, i + height), slice(j, j + width))
            for i in range(0, rows, height)
            for j in range(0, columns, width)
        ]
