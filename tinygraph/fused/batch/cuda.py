"""Batch norm on a GPU: sums of parts of channels, what follows from all parts, and then the output."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.types import Array, Shape
from tinygraph.fused.batch.tiling import Tiling
from tinygraph.fused.normalization import Pair, Passes
from tinygraph.kernels.cuda import Launch


class LaunchGrid(NamedTuple):
    """How blocks of 256 threads share (N, C, L): as rows or as runs, in parts for sums and in more for outputs."""

    kind: str  # "rows" or "runs", as the names of the kernels begin
    block: Shape
    sums: tuple[int, int]
    outputs: tuple[int, int]
    lengths: Shape  # as the kernels take them
    columns: int
    folds: int
    repeats: int

    @classmethod
    def of(cls, tiling: Tiling, channels: int, width: int, processors: int) -> LaunchGrid:
        """Return the grid that keeps a device busy."""
        if len(tiling.shape) == 3:
            n, c, run = tiling.shape
            packs = n * run // width
            sums, outputs = (part_count(processors * 8 * waves // c, packs, 1024) for waves in (2, 4))
            return cls("runs", (256,), (c, sums), (c, outputs), tiling.shape, c, 1, 1)
        rows, columns = tiling.shape
        across = -(-columns // (32 * width))
        sums = part_count(processors * 4 // across, rows, 32)
        outputs = part_count(processors * 16 // across, rows, 16)
        lengths = (rows, columns, channels, tiling.repeats)
        return cls(
            "rows", (32, 8), (across, sums), (across, outputs), lengths, columns, tiling.folds, tiling.repeats
        )  # fmt: skip

    @property
    def parts(self) -> Shape:
        """How the sums of parts lie in memory, as `gather` takes it."""
        channels = self.columns // (self.folds * self.repeats)
        return self.sums[1], self.folds, channels, self.repeats


def part_count(wanted: int, length: int, least: int) -> int:
    """Return how many parts to make of a length: at most ``wanted``, each at least ``least`` long."""
    return min(max(1, wanted), -(-length // least), 65535)


def prepare(x: Array, dtype: np.dtype[Any], *others: Array) -> tuple[Launch, LaunchGrid, Array]:
    """Return what launches kernels on (N, C, L), its grid, and memory for the sums of parts."""
    import cupy

    n, c, run = x.shape
    tiling = Tiling.of(n, c, run)
    launch = Launch(__package__, x, dtype, tiling.shape[-1], *others)
    grid = LaunchGrid.of(tiling, c, launch.width, launch.processors)
    return launch, grid, cupy.empty((grid.sums[1], 2, grid.columns))


def forward(
    x: Array, gamma: Array | None, beta: Array | None, eps: float, y: Array, dtype: np.dtype[Any]
) -> tuple[Array, bool]:
    """Write y, and return mean and 1/σ of each channel."""
    import cupy

    x, (n, c, run) = cupy.ascontiguousarray(x), x.shape
    launch, grid, parts = prepare(x, dtype, y)
    coefficients, (mean, rstd) = cupy.empty((3, c), dtype), (found := cupy.empty((2, c)))
    gamma, beta = launch.parameter(gamma), launch.parameter(beta)
    settle = x, run, float(n * run), gamma, beta, float(eps), mean, rstd, coefficients
    launch(f"{grid.kind}_forward_sums", grid.sums, grid.block, x, *grid.lengths, parts)
    launch("settle", (-(-c // 32),), (32, 8), parts, *grid.parts, *settle)
    launch(f"{grid.kind}_scale", grid.outputs, grid.block, x, coefficients, y, *grid.lengths)
    return found, False


def backward(
    x: Array, dy: Array, gamma: Array | None, statistics: Pair, far: bool, dx: Array, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Write dx, and return dγ and dβ."""
    import cupy

    x, dy, (n, c, run) = cupy.ascontiguousarray(x), cupy.ascontiguousarray(dy, x.dtype), x.shape
    launch, grid, parts = prepare(x, dtype, dy, dx)
    coefficients, (mean, rstd) = cupy.empty((4, c), dtype), statistics
    dgamma, dbeta = cupy.empty(c, dtype), cupy.empty(c, dtype)
    resolve = float(n * run), launch.parameter(gamma), mean, rstd, dgamma, dbeta, coefficients
    launch(f"{grid.kind}_backward_sums", grid.sums, grid.block, x, dy, mean, *grid.lengths, parts)
    launch("resolve", (-(-c // 32),), (32, 8), parts, *grid.parts, *resolve)
    launch(f"{grid.kind}_combine", grid.outputs, grid.block, x, dy, coefficients, dx, *grid.lengths)
    return dgamma, dbeta


ROUTE = Passes(forward, backward)
