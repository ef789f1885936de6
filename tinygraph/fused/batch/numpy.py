"""Batch norm in few passes of NumPy over tiles that stay in the cache, and dot products of BLAS."""

from __future__ import annotations

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.fused.batch.formulas import FAR, coefficients, statistics
from tinygraph.fused.batch.tiling import LONG, WIDE, Tile, Tiling
from tinygraph.fused.normalization import centre_where_far, is_far
from tinygraph.kernels.column_sums import DOT_LENGTH, column_sums, ones
from tinygraph.kernels.threads import share

DEPTH = 128  # rows that are summed in their own precision


@np.errstate(divide="ignore", invalid="ignore")
def normalize(x: Array, gamma: Array, beta: Array, eps: float, y: Array, found: Array) -> bool:
    """Write mean and 1/σ of each channel, and y; return whether x is far from 0."""
    n, c, run = x.shape
    s, q = sum_products(x, x)
    p = np.empty((2, c), x.dtype)
    found[0], found[1], p[0], p[1] = statistics(s, q, n * run, gamma, beta, eps)
    tiling = Tiling.of(n, c, run, LONG if x.size >= 4 * LONG else WIDE)
    x, y, p = x.reshape(tiling.shape), y.reshape(tiling.shape), tiling.spread(p)

    def scale(tile: Tile) -> None:
        out = y[tile[1:]]
        np.multiply(x[tile[1:]], p[0, tile.columns], out=out)
        out += p[1, tile.columns]

    share(scale, tiling.tiles(), x.size)
    return is_far(found[0], found[1], FAR)


@np.errstate(invalid="ignore")
def differentiate(x: Array, dy: Array, gamma: Array, found: Array, dx: Array, sums: Array) -> None:
    """Write dγ and dβ into ``sums``, and dx."""
    n, c, run = x.shape
    sums[1], product = sum_products(x, dy)
    p = np.empty((3, c), x.dtype)
    sums[0], p[0], p[1], p[2] = coefficients(sums[1], product, n * run, gamma, found[0], found[1])
    tiling = Tiling.of(n, c, run, LONG if x.size >= 4 * LONG else WIDE)
    x, dy, dx = x.reshape(tiling.shape), dy.reshape(tiling.shape), dx.reshape(tiling.shape)
    p = tiling.spread(p)

    def combine(tile: Tile) -> None:
        out = dx[tile[1:]]
        np.multiply(x[tile[1:]], p[1, tile.columns], out=out)
        out += p[2, tile.columns]
        out += dy[tile[1:]]
        out *= p[0, tile.columns]

    share(combine, tiling.tiles(), x.size)


def sum_products(x: Array, dy: Array) -> Array:
    """Return Σdy and Σdy x of each channel, (2, C): over rows; or over runs, as dot products."""
    tiling = Tiling.of(*x.shape)
    x, dy, tiles = x.reshape(tiling.shape), dy.reshape(tiling.shape), tiling.tiles()
    out = np.zeros((tiles[-1].number + 1, 2, tiling.shape[1]))

    def add(tile: Tile) -> None:
        xs, dys, sums = x[tile[1:]], dy[tile[1:]], out[tile.number, :, tile.columns]
        if x.ndim == 2:
            deep = len(xs) // DEPTH * DEPTH
            for rows, depth in ((slice(deep), DEPTH), (slice(deep, None), len(xs) - deep)):
                if len(part := dys[rows]):
                    shape = (-1, depth, xs.shape[1])
                    sums[0] += column_sums(part)
                    products = np.einsum("kij,kij->kj", xs[rows].reshape(shape), part.reshape(shape))
                    sums[1] += np.add.reduce(products, 0, np.float64)
            return
        for j in range(0, x.shape[2], DOT_LENGTH):
            part = dys[..., j : j + DOT_LENGTH]
            sums[0] += np.vecdot(part, ones(part.shape[2], x.dtype)).sum(0, np.float64)
            sums[1] += np.vecdot(part, xs[..., j : j + DOT_LENGTH]).sum(0, np.float64)

    share(add, tiles, x.size)
    return tiling.sum_channels(out)


ROUTE = centre_where_far(normalize, differentiate, axis=1)
