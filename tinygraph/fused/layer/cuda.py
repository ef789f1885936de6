"""Layer norm on a GPU: some threads to a row, some rows to a block; a row that is read again is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.fused.normalization import Pair, Passes
from tinygraph.kernels.cuda import Launch

SHARED_MEMORY = 96 << 10  # bytes that a block may take of a multiprocessor's


def block_of(length: int, width: int) -> tuple[int, int]:
    """Return the threads of a row, a power of two that leaves each about four loads, and the rows of a block."""
    threads = min(max(4, 1 << (-(-length // (4 * width)) - 1).bit_length()), 512)
    return threads, max(1, 256 // threads)


def forward(
    x: Array, gamma: Array | None, beta: Array | None, eps: float, y: Array, dtype: np.dtype[Any]
) -> tuple[Array, bool]:
    """Write y, and return mean and 1/σ of each row."""
    import cupy

    x, (m, d) = cupy.ascontiguousarray(x), x.shape
    launch = Launch(__package__, x, dtype, d, y)
    block, (mean, rstd) = block_of(d, launch.width), (found := cupy.empty((2, m)))
    grid = (min(-(-m // block[1]), launch.processors * 32),)
    gamma, beta = launch.parameter(gamma), launch.parameter(beta)
    launch("forward", grid, block, x, gamma, beta, float(eps), y, mean, rstd, m, d)
    return found, False


def backward(
    x: Array, dy: Array, gamma: Array | None, statistics: Pair, far: bool, dx: Array, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Write dx, and return dγ and dβ."""
    import cupy

    x, dy, (m, d) = cupy.ascontiguousarray(x), cupy.ascontiguousarray(dy, x.dtype), x.shape
    launch = Launch(__package__, x, dtype, d, dy, dx)
    block, (mean, rstd) = block_of(d, launch.width), statistics
    grid = (min(-(-m // block[1]), launch.processors * 4),)
    parts, sums = cupy.empty((grid[0] * block[1], 2, d), dtype), cupy.empty((2, d), dtype)
    room = 2 * d * block[1] * dtype.itemsize
    room = room if room <= SHARED_MEMORY else 0
    operands = x, dy, launch.parameter(gamma), mean, rstd, dx
    launch("backward", grid, block, *operands, parts, m, d, int(room > 0), shared=room)
    launch("gather", (-(-2 * d // 32),), (32, 8), parts, len(parts), 2 * d, sums)
    return sums[0], sums[1]


ROUTE = Passes(forward, backward)
