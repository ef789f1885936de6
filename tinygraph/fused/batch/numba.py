"""Batch norm in compiled loops, which several threads run at once.

Rows are shared in parts: after the sums, one thread computes the coefficients, and the others wait for them. Runs are
shared in blocks of channels, and each block is finished in one go.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.fused.batch.formulas import FAR, coefficients, statistics
from tinygraph.fused.batch.tiling import Tiling
from tinygraph.fused.normalization import centre_where_far
from tinygraph.kernels.jit import Kernel
from tinygraph.kernels.llvm import prefetch
from tinygraph.kernels.threads import (
    Team,
    enter,
    leave,
    mark_done,
    piece_count,
    pieces_done,
    run_on_all,
    split_evenly,
    tickets,
    wait_for,
)

BLOCK = 1 << 20  # elements of a block of channels: its second sweep finds in the cache what the first one read
LARGE = 1 << 22  # elements that overflow the cache which cores share: above, a block fits into the cache of one core
SPAN = 3072  # values of an image that lie one after another in such a small block: shorter stretches of memory are slow
SHORT = 512  # a run of fewer values is prefetched an image ahead in small blocks; then they are worthwhile sooner

Parameters: TypeAlias = tuple[Array, Array, float]  # γ, β, ε


def sum_rows(x: Array, dy: Array | None, scratch: Array, out: Array) -> None:
    """Take Σdy and Σdy x over rows: over 64 of them in their own precision, over all in float64. dy None is x."""
    (rows, width), s, p = x.shape, scratch[0], scratch[1]
    out[:] = 0
    for first in range(0, rows, 64):
        s[:] = 0
        p[:] = 0
        stop = min(first + 64, rows)
        single = stop - (stop - first) % 4
        for i in range(first, single, 4):
            add_rows(x, dy, i, 4, s, p)
        for i in range(single, stop):
            add_rows(x, dy, i, 1, s, p)
        for j in range(width):
            out[0, j] += s[j]
            out[1, j] += p[j]


def add_rows(x: Array, dy: Array | None, i: int, count: int, s: Array, p: Array) -> None:
    """Add ``count`` rows to the sums, which are loaded and stored once for all of them."""
    for j in range(s.size):
        a, b = s[j], p[j]
        for k in range(count):
            g = x[i + k, j] if dy is None else dy[i + k, j]
            a += g
            b += g * x[i + k, j]
        s[j], p[j] = a, b


def sum_channels(sums: Array, c: int, repeats: int) -> Array:
    """Add up, for each channel, the sums of parts (parts, 2, columns)."""
    total: Array = sums[0]
    for part in sums[1:]:
        for j in range(total.shape[1]):
            total[0, j] += part[0, j]
            total[1, j] += part[1, j]
    if total.shape[1] == c:
        return total
    channels = np.zeros((2, c))
    for j in range(total.shape[1]):
        channels[0, j // repeats % c] += total[0, j]
        channels[1, j // repeats % c] += total[1, j]
    return channels


def spread(p: Array, repeats: int, out: Array) -> None:
    """Repeat values of channels (k, C) for each column of a row."""
    for k in range(p.shape[0]):
        for j in range(out.shape[1]):
            out[k, j] = p[k, j if p.shape[1] == out.shape[1] else j // repeats % p.shape[1]]


def settle(p: Array, sums: Array, n: int, parameters: Parameters, start: int, found: Array) -> bool:
    """Write what follows from the sums of x, of channels from ``start`` on; return whether x is far from 0."""
    gamma, beta, eps = parameters
    far = False  # as `is_far`, whose whole arrays take Numba half a second to compile
    for c in range(found.shape[1]):
        found[0, c], found[1, c], p[0, c], p[1, c] = statistics(
            sums[0, c], sums[1, c], n, gamma[start + c], beta[start + c], eps
        )
        far |= not (abs(found[0, c] * found[1, c]) <= FAR and found[1, c] != 0)
    return far


def resolve(p: Array, sums: Array, n: int, gamma: Array, found: Array, out: Array) -> None:
    """Write what follows from the sums of dy: dγ and dβ into ``out``, coefficients into p."""
    for c in range(gamma.size):
        s, product, mean, rstd = sums[0, c], sums[1, c], found[0, c], found[1, c]
        out[0, c], p[0, c], p[1, c], p[2, c] = coefficients(s, product, n, gamma[c], mean, rstd)
        out[1, c] = s


def scale_rows(x: Array, p: Array, y: Array) -> None:
    """Write y."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = p[0, j] * x[i, j] + p[1, j]


def combine_rows(x: Array, dy: Array, p: Array, dx: Array) -> None:
    """Write dx."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            dx[i, j] = p[0, j] * (dy[i, j] + (p[1, j] * x[i, j] + p[2, j]))


SUMS, SETTLED, OUTPUTS = 0, 1, 2  # steps over rows


@Kernel
def normalize_rows(
    x: Array, y: Array, found: Array, parameters: Parameters, repeats: int, room: tuple[Array, Array], team: Team
) -> bool:
    """Write mean and 1/σ of each channel, and y; return whether x is far from 0."""
    (sums, p), c = room, found.shape[1]
    parts, height, far = len(sums), -(-len(x) // len(sums)), False
    scratch = np.empty((2, x.shape[1]), x.dtype)
    enter(team)
    for i in tickets(team, SUMS, parts):
        sum_rows(x[i * height : (i + 1) * height], None, scratch, sums[i])
    if team[2]:
        wait_for(team, SUMS, parts)
        settled = np.empty((2, c), x.dtype)
        far = settle(settled, sum_channels(sums, c, repeats), x.size // c, parameters, 0, found)
        spread(settled, repeats, p)
        mark_done(team, SETTLED)
    wait_for(team, SETTLED, 1)
    for i in tickets(team, OUTPUTS, parts):
        rows = slice((parts - 1 - i) * height, (parts - i) * height)  # the last rows are still in the cache
        scale_rows(x[rows], p, y[rows])
    leave(team, OUTPUTS, parts)
    return far


@Kernel
def differentiate_rows(
    x: Array, dy: Array, dx: Array, gamma: Array, found: Array, out: Array, repeats: int, room: tuple[Array, Array],
    team: Team,
) -> None:  # fmt: skip
    """Write dγ and dβ into ``out``, and dx."""
    (sums, p), c = room, gamma.size
    parts, height = len(sums), -(-len(x) // len(sums))
    scratch = np.empty((2, x.shape[1]), x.dtype)
    enter(team)
    for i in tickets(team, SUMS, parts):
        rows = slice(i * height, (i + 1) * height)
        sum_rows(x[rows], dy[rows], scratch, sums[i])
    if team[2]:
        wait_for(team, SUMS, parts)
        settled = np.empty((3, c), x.dtype)
        resolve(settled, sum_channels(sums, c, repeats), x.size // c, gamma, found, out)
        spread(settled, repeats, p)
        mark_done(team, SETTLED)
    wait_for(team, SETTLED, 1)
    for i in tickets(team, OUTPUTS, parts):
        rows = slice((parts - 1 - i) * height, (parts - i) * height)
        combine_rows(x[rows], dy[rows], p, dx[rows])
    leave(team, OUTPUTS, parts)


def sum_runs(x: Array, dy: Array | None, start: int, stop: int, out: Array) -> None:
    """Take Σdy and Σdy x of channels: over 4096 values in their own precision, over all in float64. dy None is x."""
    ahead = x.shape[2] < SHORT and (stop - start) * x.shape[2] < 2 * SPAN
    out[:] = 0
    for i in range(x.shape[0]):
        for c in range(start, stop):
            if ahead and i + 1 < x.shape[0]:
                prefetch(x[i + 1, c])
                if dy is not None:
                    prefetch(dy[i + 1, c])
            run = x[i, c]
            for first in range(0, run.size, 4096):
                xs, s, p = run[first : first + 4096], x.dtype.type(0), x.dtype.type(0)
                dys: Any = None if dy is None else dy[i, c, first:]
                for j in range(xs.size):
                    g = xs[j] if dy is None else dys[j]
                    s += g
                    p += g * xs[j]
                out[0, c - start] += s
                out[1, c - start] += p


BLOCKS, FAR_BLOCKS = 0, 1  # steps over runs: blocks that are done, and those that are far from 0


@Kernel
def normalize_runs(x: Array, y: Array, found: Array, parameters: Parameters, each: int, team: Team) -> bool:
    """Write mean and 1/σ of each channel, and y, in blocks of ``each`` channels; return whether x is far from 0."""
    n, channels, run = x.shape
    blocks = -(-channels // each)
    sums, p = np.empty((2, each)), np.empty((2, each), x.dtype)
    enter(team)
    for block in tickets(team, BLOCKS, blocks):
        start, stop = block * each, min((block + 1) * each, channels)
        sum_runs(x, None, start, stop, sums)
        if settle(p, sums, n * run, parameters, start, found[:, start:stop]):
            mark_done(team, FAR_BLOCKS)
        for i in range(n - 1, -1, -1):  # the last images are still in the cache
            for c in range(start, stop):
                xs, ys, a, b = x[i, c], y[i, c], p[0, c - start], p[1, c - start]
                for j in range(run):
                    ys[j] = a * xs[j] + b
    leave(team, BLOCKS, blocks)
    return pieces_done(team, FAR_BLOCKS) > 0


@Kernel
def differentiate_runs(
    x: Array, dy: Array, dx: Array, gamma: Array, found: Array, out: Array, each: int, team: Team
) -> None:
    """Write dγ and dβ into ``out``, and dx, in blocks of ``each`` channels."""
    n, channels, run = x.shape
    blocks = -(-channels // each)
    sums, p = np.empty((2, each)), np.empty((3, each), x.dtype)
    enter(team)
    for block in tickets(team, BLOCKS, blocks):
        start, stop = block * each, min((block + 1) * each, channels)
        sum_runs(x, dy, start, stop, sums)
        resolve(p, sums, n * run, gamma[start:stop], found[:, start:stop], out[:, start:stop])
        for i in range(n - 1, -1, -1):
            for c in range(start, stop):
                xs, dys, dxs = x[i, c], dy[i, c], dx[i, c]
                f, g, h = p[0, c - start], p[1, c - start], p[2, c - start]
                for j in range(run):
                    dxs[j] = f * (dys[j] + (g * xs[j] + h))
    leave(team, BLOCKS, blocks)


def split_channels(c: int, run: int, size: int) -> tuple[int, int]:
    """Return how many channels make a block, and how many blocks that makes."""
    is_large = size > (LARGE if run >= SHORT else LARGE // 2)
    return split_evenly(c, -(-c // -(-SPAN // run)) if is_large else piece_count(size, BLOCK))


def run_kernel(rows: Kernel, runs: Kernel, count: int, arrays: tuple[Array, ...], *rest: Any) -> Any:
    """Call the kernel for rows, with room for ``count`` coefficients of each column, or the one for runs."""
    x = arrays[0]
    n, c, run = x.shape
    shape = Tiling.of(n, c, run).shape
    if len(shape) == 3:
        each, blocks = split_channels(c, run, x.size)
        return run_on_all(runs, blocks, *arrays, *rest, each)
    _, parts = split_evenly(shape[0], piece_count(x.size))
    room = np.empty((parts, 2, shape[1])), np.empty((count, shape[1]), x.dtype)
    return run_on_all(rows, parts, *[a.reshape(shape) for a in arrays], *rest, run, room)


def normalize(x: Array, gamma: Array, beta: Array, eps: float, y: Array, found: Array) -> Any:
    """Write mean and 1/σ of each channel, and y; return whether x is far from 0."""
    return run_kernel(normalize_rows, normalize_runs, 2, (x, y), found, (gamma, beta, eps))


def differentiate(x: Array, dy: Array, gamma: Array, found: Array, dx: Array, sums: Array) -> None:
    """Write dγ and dβ into ``sums``, and dx."""
    run_kernel(differentiate_rows, differentiate_runs, 3, (x, dy, dx), gamma, found, sums)


ROUTE = centre_where_far(normalize, differentiate, axis=1)
