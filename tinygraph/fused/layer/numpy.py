"""Layer norm in few passes of NumPy over tiles of rows, and products of BLAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.fused.normalization import centre_where_far, is_far, mean_and_rstd
from tinygraph.kernels.column_sums import DEPTH, DOT_LENGTH, column_sums, ones
from tinygraph.kernels.threads import share

TILE = 1 << 18  # elements of a tile
ONE_THREAD = 1 << 17  # elements of a product of two thin matrices, up to which BLAS does not wake its threads
NEAR = 1  # standard deviations that a mean may be from 0: sums are BLAS's, in float32


@np.errstate(divide="ignore", invalid="ignore")
def normalize(x: Array, gamma: Array, beta: Array, eps: float, y: Array, found: Array) -> bool:
    """Write mean and 1/σ of each row, and y; return whether x is far from 0."""
    d, tiles = x.shape[1], cut_rows(*x.shape)
    sums = np.empty((2, len(x)))

    def add(rows: slice) -> None:
        sums[0, rows], sums[1, rows] = row_dots(x[rows], ones(d, x.dtype)), row_dots(x[rows], x[rows])

    share(add, tiles, x.size)
    found[:] = mean, rstd = mean_and_rstd(sums[0], sums[1], d, eps)
    write_scale, write_offset = plane(rstd, gamma), plane(-mean * rstd, gamma, beta)

    def scale(rows: slice) -> None:
        slope = write_scale(rows, np.empty_like(x[rows]))
        slope *= x[rows]
        out = write_offset(rows, y[rows])
        out += slope

    share(scale, tiles, x.size)
    return is_far(mean, rstd, NEAR)


@np.errstate(invalid="ignore")
def differentiate(x: Array, dy: Array, gamma: Array, found: Array, dx: Array, sums: Array) -> None:
    """Write dγ and dβ into ``sums``, and dx."""
    d, tiles, (mean, rstd) = x.shape[1], cut_rows(*x.shape), found
    inner, parts = np.empty((2, len(x))), np.empty((len(tiles), 2, d))
    p = np.array([rstd, mean * rstd], x.dtype)

    def add(i: int) -> None:
        rows = tiles[i]
        product = np.multiply(x[rows], dy[rows], out=dx[rows])
        inner[0, rows], inner[1, rows] = row_dots(dy[rows], gamma), row_dots(product, gamma)
        parts[i, 0], parts[i, 1] = p[0, rows] @ product - p[1, rows] @ dy[rows], column_sums(dy[rows])

    share(add, range(len(tiles)), x.size)
    sums[:] = parts.sum(0)
    s, t = inner
    along = -(rstd**3) * (t - mean * s) / d
    slope, offset = np.array([along, -rstd * s / d - along * mean], x.dtype)[..., None]
    write_scale = plane(rstd, gamma)

    def combine(rows: slice) -> None:
        out, scale = dx[rows], write_scale(rows, np.empty_like(x[rows]))
        scale *= dy[rows]
        np.multiply(x[rows], slope[rows], out=out)
        out += offset[rows]
        out += scale

    share(combine, tiles, x.size)


def cut_rows(count: int, length: int) -> list[slice]:
    """Cut rows into tiles."""
    height = max(1, min(TILE // length, DEPTH))
    return [slice(i, i + height) for i in range(0, count, height)]


def plane(p: Array, row: Array, other: Array | int = 0) -> Callable[[slice, Array], Array]:
    """Return what writes rows of p ⊗ row + other: a matrix product takes less time than a product that broadcasts."""
    left, right = np.ones((len(p), 2), row.dtype), np.empty((2, len(row)), row.dtype)
    left[:, 0], right[0], right[1] = p, row, other
    few = max(1, ONE_THREAD // len(row))

    def write(rows: slice, out: Array) -> Array:
        for i in range(0, len(out), few):
            np.matmul(left[rows][i : i + few], right, out=out[i : i + few])
        return out

    return write


def row_dots(x: Array, y: Array) -> Any:
    """Return the dot products of rows with a vector, or with other rows; long ones are added up in float64."""
    if x.shape[1] <= DOT_LENGTH:
        return np.vecdot(x, y)
    starts = range(0, x.shape[1], DOT_LENGTH)
    return sum(np.vecdot(x[:, j : j + DOT_LENGTH], y[..., j : j + DOT_LENGTH]).astype(np.float64) for j in starts)


ROUTE = centre_where_far(normalize, differentiate, axis=0)
