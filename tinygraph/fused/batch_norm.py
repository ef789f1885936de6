r"""Batch norm in one op: a sweep over x for the statistics, a sweep for the output, and likewise on the way back.

Every route keeps x, the mean m and r = 1/σ of each channel, nothing else, and computes

.. math:: y = (x - m) a + \beta, \quad dx = a (dy - s/n - (x - m) r p/n), \quad d\gamma = p, \quad d\beta = s,

with :math:`a = \gamma r`, :math:`s = \sum dy` and :math:`p = r \sum dy (x - m)`. Sums run in float32 over a tile
and in float64 over the tiles. Σx and Σx² lose what digits the mean has above σ; where that is many (|m| r > 4),
the mean is taken from x first, and the sweep is made again.

An array comes as (N, C, L): C channels, and the axes that are averaged over on either side of them.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from tinygraph import functions
from tinygraph.autodiff.fused_op import fused
from tinygraph.engine.registry import sample
from tinygraph.functions.checks import Axis, axes_of
from tinygraph.fused.normalization import LONG, Plan, backward, centring, is_far, moments
from tinygraph.kernels import cuda
from tinygraph.kernels.column_sums import column_sums, ones
from tinygraph.kernels.llvm import fetch
from tinygraph.kernels.route import RUN, TILE, Kernel
from tinygraph.kernels.threads import SHARED, cut, enter, finish, finished, leave, meet, pieces, share, ticket, together

FAR = 4  # standard deviations that a mean may be from 0, for sums in float32 to keep their digits
NARROW = 64  # up to this length, runs of a channel's values are laid side by side in rows
WIDE = 512  # elements that make a row worth a call, where columns are summed
DEPTH = 128  # rows that NumPy sums in their own precision
BLOCK = 1 << 20  # elements of a block of channels: its second sweep finds in the cache what the first one read
LARGE = 1 << 22  # elements that overflow the cache which cores share: then a block is to fit into that of one core,
SPAN = 3072  # with so many values of an image next to one another, for shorter runs of memory are slow
SHORT = 512  # runs of fewer values are fetched an image ahead in such blocks, which pay sooner then


@fused(
    r"\operatorname{batch\_norm}($x)",
    says="Normalizes each channel of $x over the batch, then scales by $gamma and shifts by $beta.",
    onnx="BatchNormalization",
    samples=[
        sample((5, 3), (3,), (3,)), sample((4, 3), (3,), (3,), axis=(0,), eps=0.0),
        sample((4, 3, 2, 2), (3,), (3,), axis=(0, 2, 3)), sample((3, 2, 5), (2,), (2,), axis=(0, 2)),
        sample((3, 6), (3,), (3,), axis=-1), sample((3, 2, 2, 3), (2, 3), (2, 3), axis=(0, 2)),
        sample((2, 3, 2), (), (), axis=(0, 1, 2)),
    ],
    definition=functions.batch_norm, backward=backward,
)  # fmt: skip
def batch_norm(x: Any, gamma: Any = None, beta: Any = None, *, axis: Axis = 0, eps: float = 1e-5) -> Any:
    r"""Normalize each channel over the batch, then scale and shift, in one op.

    The same function as `tinygraph.batch_norm`, which is its definition: derivatives that are recorded
    (``create_graph=True``) are those of the definition, so that they are right at every order.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta, \quad \mu = \mathrm{mean}\, x,
              \quad v = \mathrm{mean}\, (x - \mu)^2

    Args:
        x: (N, D), or (N, C, H, W) with ``axis=(0, 2, 3)``; floating point, more than one value per channel.
        gamma, beta: scale and shift, (D,) or (C,): the axes of x that are not averaged; None leaves out either.
        axis: the axes that are averaged over.
        eps: ε ≥ 0, in units of x², added to the (biased) variance; it may be 0 where no variance is.

    Returns:
        y, of the shape and dtype of x; dimensionless times the units of gamma. In float32 its error is near
        1e-6, relative to the largest y, also where means are 10⁴ standard deviations.

    Raises:
        TypeError: x is not of floating point.
        ValueError: x is empty or has one value per channel; gamma or beta has another shape; eps is
            negative, or 0 where a variance is 0.

    Source: Ioffe and Szegedy 2015, Algorithm 1.

    >>> batch_norm(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0]), eps=0.0)
    array([[-1.],
           [ 3.]])
    """
    axes = axes_of(axis, x, "batch_norm")
    return planned(x.shape, x.dtype, axes).forward(x, gamma, beta, eps)


@functools.lru_cache(1024)
def planned(shape: tuple[int, ...], dtype: Any, axes: tuple[int, ...]) -> Plan:
    """Return the plan for such an array, averaged over ``axes``."""
    every = tuple(range(len(shape)))
    kept = tuple(a for a in every if a not in axes)
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    merged = (every[:first], kept, every[last:]) if kept == every[first:last] else (axes, kept, ())
    return Plan.of("batch_norm", ROUTES, shape, dtype, axes, kept, *merged)


# On the CPU: what follows from the sums, in NumPy for all channels at once, in Numba for each.


def statistics(s: Any, q: Any, n: int, gamma: Any, beta: Any, eps: float) -> Any:
    """Return mean and 1/σ of n values from Σx and Σx²; then a and b of y = a x + b."""
    mean, rstd = moments(s, q, n, eps)
    a = gamma * rstd
    return mean, rstd, a, beta - mean * a


def coefficients(s: Any, p: Any, n: int, gamma: Any, mean: Any, rstd: Any) -> Any:
    """Return dγ from Σdy and Σdy x; then a, b and c of dx = a (dy + b x + c)."""
    p = (p - mean * s) * rstd
    b = -rstd * p / n
    return p, gamma * rstd, b, -s / n - b * mean


class Layout(NamedTuple):
    """How kernels see (N, C, L): as rows, in which each value has a column, or as runs of a channel's values.

    A row holds the C channels ``folds`` times, each with ``repeats`` values; runs are a third axis.
    """

    shape: tuple[int, ...]
    folds: int = 1
    repeats: int = 1

    @classmethod
    @functools.lru_cache(1024)
    def of(cls, n: int, c: int, run: int, wide: int = WIDE) -> Layout:
        """Return the layout of an array; its rows have ``wide`` values, if that many fit."""
        if run > NARROW:
            return cls((n, c, run))
        folds = next(f for f in range(max(1, min(wide // (c * run), n)), 0, -1) if n % f == 0)
        return cls((n // folds, folds * c * run), folds, run)

    def gathered(self, sums: np.ndarray) -> np.ndarray:
        """Add up what tiles found for the same channel."""
        if len(sums) * self.folds * self.repeats == 1:
            return sums[0]
        return sums.reshape(len(sums), 2, self.folds, -1, self.repeats).sum((0, 2, 4))

    def spread(self, p: np.ndarray) -> np.ndarray:
        """Lay out values of channels beside what they belong to."""
        if len(self.shape) == 3:
            return p[..., None]
        p = np.repeat(p, self.repeats, axis=1) if self.repeats > 1 else p
        return np.repeat(p[:, None], self.folds, axis=1).reshape(len(p), -1) if self.folds > 1 else p

    @functools.lru_cache(1024)  # noqa: B019
    def tiles(self) -> list[tuple[int, slice, slice]]:
        """Cut into tiles for NumPy: the number of the rows, the rows, the columns.

        Rows are long runs through memory; of them, few and large tiles are best.
        """
        rows, columns, run = (*self.shape, 1)[:3]
        width = min(columns, max(1, TILE // run))
        height = max(1, TILE // (width * run))
        if len(self.shape) == 2:
            width, height = columns, -(-rows // (pieces(rows * columns, 4 * TILE) if rows * columns > SHARED else 1))
        return [
            (i // height, slice(i, i + height), slice(j, j + width))
            for i in range(0, rows, height)
            for j in range(0, columns, width)
        ]


# NumPy.


@np.errstate(divide="ignore", invalid="ignore")
def numpy_normalize(x: Any, gamma: Any, beta: Any, eps: float, y: Any, found: Any) -> bool:
    """Write mean and 1/σ of each channel, and y; return whether x is far from 0."""
    n, c, run = x.shape
    s, q = numpy_sums(x, x)
    p = np.empty((2, c), x.dtype)
    found[0], found[1], p[0], p[1] = statistics(s, q, n * run, gamma, beta, eps)
    layout = Layout.of(n, c, run, LONG if x.size >= 4 * LONG else WIDE)
    x, y, p = x.reshape(layout.shape), y.reshape(layout.shape), layout.spread(p)

    def scale(tile: Any) -> None:
        out = y[tile[1:]]
        np.multiply(x[tile[1:]], p[0, tile[2]], out=out)
        out += p[1, tile[2]]

    share(scale, layout.tiles(), x.size)
    return is_far(*found, FAR)


@np.errstate(invalid="ignore")
def numpy_differentiate(x: Any, dy: Any, gamma: Any, found: Any, dx: Any, sums: Any) -> None:
    """Write dγ, dβ and dx."""
    n, c, run = x.shape
    sums[1], product = numpy_sums(x, dy)
    p = np.empty((3, c), x.dtype)
    sums[0], p[0], p[1], p[2] = coefficients(sums[1], product, n * run, gamma, *found)
    layout = Layout.of(n, c, run, LONG if x.size >= 4 * LONG else WIDE)
    x, dy, dx = x.reshape(layout.shape), dy.reshape(layout.shape), dx.reshape(layout.shape)
    p = layout.spread(p)

    def combine(tile: Any) -> None:
        out = dx[tile[1:]]
        np.multiply(x[tile[1:]], p[1, tile[2]], out=out)
        out += p[2, tile[2]]
        out += dy[tile[1:]]
        out *= p[0, tile[2]]

    share(combine, layout.tiles(), x.size)


def numpy_sums(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Return Σdy and Σdy x of each channel: over rows; or over runs, as dot products."""
    layout = Layout.of(*x.shape)
    x, dy, tiles = x.reshape(layout.shape), dy.reshape(layout.shape), layout.tiles()
    out = np.zeros((tiles[-1][0] + 1, 2, layout.shape[1]))

    def add(tile: Any) -> None:
        xs, dys, here = x[tile[1:]], dy[tile[1:]], out[tile[0], :, tile[2]]
        if x.ndim == 2:
            deep = len(xs) // DEPTH * DEPTH
            for some, depth in ((slice(deep), DEPTH), (slice(deep, None), len(xs) - deep)):
                if len(part := dys[some]):
                    shape = (-1, depth, xs.shape[1])
                    here[0] += column_sums(part)
                    products = np.einsum("kij,kij->kj", xs[some].reshape(shape), part.reshape(shape))
                    here[1] += np.add.reduce(products, 0, np.float64)
            return
        for j in range(0, x.shape[2], RUN):
            part = dys[..., j : j + RUN]
            here[0] += np.vecdot(part, ones(part.shape[2], x.dtype)).sum(0, np.float64)
            here[1] += np.vecdot(part, xs[..., j : j + RUN]).sum(0, np.float64)

    share(add, tiles, x.size)
    return layout.gathered(out)


# Numba. Rows are shared in parts: after the sums, one thread settles the coefficients, and the others wait for them.
# Runs are shared in blocks of channels, each of which is done with in one go.


def rows_sums(x: Any, dy: Any, scratch: Any, out: Any) -> None:
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


def add_rows(x: Any, dy: Any, i: int, count: int, s: Any, p: Any) -> None:
    """Add some rows to the sums, which so are loaded and stored once for all of them."""
    for j in range(s.size):
        a, b = s[j], p[j]
        for k in range(count):
            g = x[i + k, j] if dy is None else dy[i + k, j]
            a += g
            b += g * x[i + k, j]
        s[j], p[j] = a, b


def gathered(sums: Any, c: int, repeats: int) -> Any:
    """Add up what parts found for the same channel."""
    total = sums[0]
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


def spread(p: Any, repeats: int, out: Any) -> None:
    """Lay out values of channels beside what they belong to."""
    for k in range(p.shape[0]):
        if p.shape[1] == out.shape[1]:
            out[k] = p[k]
        else:
            for j in range(out.shape[1]):
                out[k, j] = p[k, j // repeats % p.shape[1]]


def settle(p: Any, sums: Any, n: int, gamma: Any, beta: Any, eps: float, found: Any) -> bool:
    """Write what follows from the sums of x: `statistics`; return whether x is far from 0."""
    for c in range(gamma.size):
        found[0, c], found[1, c], p[0, c], p[1, c] = statistics(sums[0, c], sums[1, c], n, gamma[c], beta[c], eps)
    return is_far(found[0], found[1], FAR)


def resolve(p: Any, sums: Any, n: int, gamma: Any, found: Any, out: Any) -> None:
    """Write what follows from the sums of dy: `coefficients`."""
    for c in range(gamma.size):
        s, product, mean, rstd = sums[0, c], sums[1, c], found[0, c], found[1, c]
        out[0, c], p[0, c], p[1, c], p[2, c] = coefficients(s, product, n, gamma[c], mean, rstd)
        out[1, c] = s


def rows_scale(x: Any, p: Any, y: Any) -> None:
    """Write y."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = p[0, j] * x[i, j] + p[1, j]


def rows_combine(x: Any, dy: Any, p: Any, dx: Any) -> None:
    """Write dx."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            dx[i, j] = p[0, j] * (dy[i, j] + (p[1, j] * x[i, j] + p[2, j]))


SUMS, SETTLED, OUTPUTS = 0, 1, 2  # steps over rows


@Kernel
def rows_normalize(
    x: Any, repeats: int, gamma: Any, beta: Any, eps: float, y: Any, found: Any, sums: Any, p: Any,
    desk: Any, bell: Any, leads: bool,
) -> bool:  # fmt: skip
    """Write mean and 1/σ of each channel, and y; return whether x is far from 0."""
    parts, height, far = len(sums), -(-len(x) // len(sums)), False
    scratch = np.empty((2, x.shape[1]), x.dtype)
    enter(desk, bell, leads)
    i = ticket(desk, SUMS)
    while i < parts:
        rows_sums(x[i * height : (i + 1) * height], None, scratch, sums[i])
        i = finish(desk, SUMS)
    if leads:
        meet(desk, SUMS, parts)
        settled = np.empty((2, gamma.size), x.dtype)
        total, n = gathered(sums, gamma.size, repeats), x.size // gamma.size
        far = settle(settled, total, n, gamma, beta, eps, found)
        spread(settled, repeats, p)
        finish(desk, SETTLED)
    meet(desk, SETTLED, 1)
    i = ticket(desk, OUTPUTS)
    while i < parts:
        some = slice((parts - 1 - i) * height, (parts - i) * height)  # the last rows are still in the cache
        rows_scale(x[some], p, y[some])
        i = finish(desk, OUTPUTS)
    leave(desk, OUTPUTS, parts, bell, leads)
    return far


@Kernel
def rows_differentiate(
    x: Any, dy: Any, repeats: int, gamma: Any, found: Any, dx: Any, out: Any, sums: Any, p: Any,
    desk: Any, bell: Any, leads: bool,
) -> None:  # fmt: skip
    """Write dγ, dβ and dx."""
    parts, height = len(sums), -(-len(x) // len(sums))
    scratch = np.empty((2, x.shape[1]), x.dtype)
    enter(desk, bell, leads)
    i = ticket(desk, SUMS)
    while i < parts:
        some = slice(i * height, (i + 1) * height)
        rows_sums(x[some], dy[some], scratch, sums[i])
        i = finish(desk, SUMS)
    if leads:
        meet(desk, SUMS, parts)
        settled = np.empty((3, gamma.size), x.dtype)
        total, n = gathered(sums, gamma.size, repeats), x.size // gamma.size
        resolve(settled, total, n, gamma, found, out)
        spread(settled, repeats, p)
        finish(desk, SETTLED)
    meet(desk, SETTLED, 1)
    i = ticket(desk, OUTPUTS)
    while i < parts:
        some = slice((parts - 1 - i) * height, (parts - i) * height)
        rows_combine(x[some], dy[some], p, dx[some])
        i = finish(desk, OUTPUTS)
    leave(desk, OUTPUTS, parts, bell, leads)


def runs_sums(x: Any, dy: Any, start: int, stop: int, out: Any) -> None:
    """Take Σdy and Σdy x of channels: over 4096 values in their own precision, over all in float64. dy None is x."""
    ahead = x.shape[2] < SHORT and (stop - start) * x.shape[2] < 2 * SPAN
    out[:] = 0
    for i in range(x.shape[0]):
        for c in range(start, stop):
            if ahead and i + 1 < x.shape[0]:
                fetch(x[i + 1, c])
                if dy is not None:
                    fetch(dy[i + 1, c])
            for first in range(0, x.shape[2], 4096):
                xs, s, p = x[i, c, first:], x.dtype.type(0), x.dtype.type(0)
                dys = None if dy is None else dy[i, c, first:]
                for j in range(min(xs.size, 4096)):
                    g = xs[j] if dy is None else dys[j]
                    s += g
                    p += g * xs[j]
                out[0, c - start] += s
                out[1, c - start] += p


DONE, AWAY = 0, 1  # steps over runs: blocks that are done, and those that are far from 0


@Kernel
def runs_normalize(
    x: Any, each: int, gamma: Any, beta: Any, eps: float, y: Any, found: Any,
    desk: Any, bell: Any, leads: bool,
) -> bool:  # fmt: skip
    """Write mean and 1/σ of each channel, and y; return whether x is far from 0."""
    n, channels, run = x.shape
    sums, p = np.empty((2, each)), np.empty((2, each), x.dtype)
    enter(desk, bell, leads)
    start = each * ticket(desk, DONE)
    while start < channels:
        stop = min(start + each, channels)
        runs_sums(x, None, start, stop, sums)
        if settle(p, sums, n * run, gamma[start:stop], beta[start:stop], eps, found[:, start:stop]):
            finish(desk, AWAY)
        for i in range(n - 1, -1, -1):  # the last images are still in the cache
            for c in range(start, stop):
                xs, ys, a, b = x[i, c], y[i, c], p[0, c - start], p[1, c - start]
                for j in range(run):
                    ys[j] = a * xs[j] + b
        start = each * finish(desk, DONE)
    leave(desk, DONE, -(-channels // each), bell, leads)
    return finished(desk, AWAY) > 0


@Kernel
def runs_differentiate(
    x: Any, dy: Any, each: int, gamma: Any, found: Any, dx: Any, out: Any, desk: Any, bell: Any, leads: bool
) -> None:
    """Write dγ, dβ and dx."""
    n, channels, run = x.shape
    sums, p = np.empty((2, each)), np.empty((3, each), x.dtype)
    enter(desk, bell, leads)
    start = each * ticket(desk, DONE)
    while start < channels:
        stop = min(start + each, channels)
        runs_sums(x, dy, start, stop, sums)
        resolve(p, sums, n * run, gamma[start:stop], found[:, start:stop], out[:, start:stop])
        for i in range(n - 1, -1, -1):
            for c in range(start, stop):
                xs, dys, dxs = x[i, c], dy[i, c], dx[i, c]
                f, g, h = p[0, c - start], p[1, c - start], p[2, c - start]
                for j in range(run):
                    dxs[j] = f * (dys[j] + (g * xs[j] + h))
        start = each * finish(desk, DONE)
    leave(desk, DONE, -(-channels // each), bell, leads)


def blocks_of(c: int, run: int, size: int) -> tuple[int, int]:
    """Return how many channels make a block, and how many blocks that makes."""
    small = size > (LARGE if run >= SHORT else LARGE // 2)
    return cut(c, -(-c // -(-SPAN // run)) if small else pieces(size, BLOCK))


def numba_normalize(x: Any, gamma: Any, beta: Any, eps: float, y: Any, found: Any) -> bool:
    """Write mean and 1/σ of each channel, and y; return whether x is far from 0."""
    n, c, run = x.shape
    shape = Layout.of(n, c, run).shape
    if len(shape) == 3:
        each, blocks = blocks_of(c, run, x.size)
        return together(runs_normalize, blocks, x, each, gamma, beta, eps, y, found)
    _, parts = cut(shape[0], pieces(x.size))
    sums, p = np.empty((parts, 2, shape[1])), np.empty((2, shape[1]), x.dtype)
    x, y = x.reshape(shape), y.reshape(shape)
    return together(rows_normalize, parts, x, run, gamma, beta, eps, y, found, sums, p)


def numba_differentiate(x: Any, dy: Any, gamma: Any, found: Any, dx: Any, out: Any) -> None:
    """Write dγ, dβ and dx."""
    n, c, run = x.shape
    shape = Layout.of(n, c, run).shape
    if len(shape) == 3:
        each, blocks = blocks_of(c, run, x.size)
        return together(runs_differentiate, blocks, x, dy, each, gamma, found, dx, out)
    _, parts = cut(shape[0], pieces(x.size))
    sums, p = np.empty((parts, 2, shape[1])), np.empty((3, shape[1]), x.dtype)
    x, dy, dx = x.reshape(shape), dy.reshape(shape), dx.reshape(shape)
    return together(rows_differentiate, parts, x, dy, run, gamma, found, dx, out, sums, p)


# CuPy: sums of parts of channels, in each about a value of its own; what follows from all parts; then the output.

CUDA = r"""
// Threads of block (c, s) share channel c of (n, channels, run), in the s-th of gridDim.y parts, and call f(offset).
template <typename F> __device__ inline void over_runs(Size n, Size channels, Size run, F f) {
    Size packs = run / W, total = n * packs, each = (total + gridDim.y - 1) / gridDim.y;
    Size start = blockIdx.y * each, stop = min(start + each, total), q = start + threadIdx.x;
    Size image = q / packs, i = q % packs, images = blockDim.x / packs, rest = blockDim.x % packs;
    #pragma unroll 4
    for (; q < stop; q += blockDim.x) {
        f((image * channels + blockIdx.x) * run + i * W);
        image += images;
        i += rest;
        if (i >= packs) { i -= packs; ++image; }
    }
}

template <bool BACK> __device__ inline void sum_runs(
    const T* x, const T* dy, const double* mean, Size n, Size channels, Size run, double* part) {
    Size c = blockIdx.x;
    bool begun = BACK;
    Moments sums(BACK ? A(mean[c]) : A(0));
    over_runs(n, channels, run, [&](Size at) {
        Values v = load(x + at), g;
        if (BACK) g = load(dy + at);
        if (!begun) { sums.shift = A(v.v[0]); begun = true; }
        #pragma unroll
        for (int j = 0; j < W; ++j)
            if (BACK) sums.add(A(v.v[j]), A(g.v[j])); else sums.add(A(v.v[j]));
    });
    double origin = BACK ? 0 : double(A(x[c * run]));
    double s = BACK ? sums.s : sums.first(origin), t = BACK ? sums.t : sums.second(origin);
    for (int o = 16; o; o >>= 1) {
        s += __shfl_down_sync(~0u, s, o);
        t += __shfl_down_sync(~0u, t, o);
    }
    __shared__ double warps[2][8];
    if (threadIdx.x % 32 == 0) { warps[0][threadIdx.x / 32] = s; warps[1][threadIdx.x / 32] = t; }
    __syncthreads();
    if (threadIdx.x < 2) {
        double all = 0;
        for (int w = 0; w < 8; ++w) all += warps[threadIdx.x][w];
        part[(blockIdx.y * 2 + threadIdx.x) * channels + c] = all;
    }
}

extern "C" __global__ void __launch_bounds__(256) runs_forward_sums(
    const T* __restrict__ x, Size n, Size channels, Size run, double* part) {
    sum_runs<false>(x, nullptr, nullptr, n, channels, run, part);
}

extern "C" __global__ void __launch_bounds__(256) runs_backward_sums(
    const T* __restrict__ x, const T* __restrict__ dy, const double* mean,
    Size n, Size channels, Size run, double* part) {
    sum_runs<true>(x, dy, mean, n, channels, run, part);
}

extern "C" __global__ void __launch_bounds__(256) runs_scale(
    const T* __restrict__ x, const A* __restrict__ p, T* __restrict__ y, Size n, Size channels, Size run) {
    Size c = blockIdx.x;
    A a = p[c], shift = p[channels + c], b = p[2 * channels + c];
    over_runs(n, channels, run, [&](Size at) {
        Values v = load(x + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a * (A(v.v[j]) - shift) + b);
        store(y + at, v);
    });
}

extern "C" __global__ void __launch_bounds__(256) runs_combine(
    const T* __restrict__ x, const T* __restrict__ dy, const A* __restrict__ p, T* __restrict__ dx,
    Size n, Size channels, Size run) {
    Size k = blockIdx.x;
    A a = p[k], shift = p[channels + k], b = p[2 * channels + k], c = p[3 * channels + k];
    over_runs(n, channels, run, [&](Size at) {
        Values v = load(x + at), g = load(dy + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a * (A(g.v[j]) + (b * (A(v.v[j]) - shift) + c)));
        store(dx + at, v);
    });
}

// Blocks of 32 × 8 threads: a thread keeps to W columns of (rows, columns); `each` rows to a block.
template <typename F> __device__ inline void over_rows(Size rows, Size columns, Size column, F f) {
    Size each = (rows + gridDim.y - 1) / gridDim.y, stop = min((blockIdx.y + 1) * each, rows);
    if (column < columns) {
        #pragma unroll 4
        for (Size i = blockIdx.y * each + threadIdx.y; i < stop; i += 8) f(i * columns + column);
    }
}

template <bool BACK> __device__ inline void sum_rows(
    const T* x, const T* dy, const double* mean, Size rows, Size columns, Size channels, Size repeats, double* part) {
    Size first = blockIdx.x * 32 * W, column = first + threadIdx.x * W;
    bool begun = BACK;
    A s[W], t[W], shift[W];
    Size count = 0;
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        s[j] = t[j] = 0;
        shift[j] = BACK && column < columns ? A(mean[(column + j) / repeats % channels]) : A(0);
    }
    over_rows(rows, columns, column, [&](Size at) {
        Values v = load(x + at), g;
        if (BACK) g = load(dy + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) {
            if (!begun) shift[j] = A(v.v[j]);
            A d = A(v.v[j]) - shift[j], e = BACK ? A(g.v[j]) : d;
            s[j] += e;
            t[j] += e * d;
        }
        begun = true;
        ++count;
    });
    __shared__ double found[2][8][32 * W];
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        int k = threadIdx.x * W + j;
        found[0][threadIdx.y][k] = s[j];
        found[1][threadIdx.y][k] = t[j];
        if (!BACK && column < columns) {
            double e = double(shift[j]) - double(A(x[(column + j) / repeats % channels * repeats]));
            found[0][threadIdx.y][k] = s[j] + count * e;
            found[1][threadIdx.y][k] = t[j] + e * (2.0 * s[j] + count * e);
        }
    }
    __syncthreads();
    for (int i = threadIdx.y * 32 + threadIdx.x; i < 2 * 32 * W; i += 256) {
        int which = i / (32 * W), k = i % (32 * W);
        double all = 0;
        for (int w = 0; w < 8; ++w) all += found[which][w][k];
        if (first + k < columns) part[(blockIdx.y * 2 + which) * columns + first + k] = all;
    }
}

extern "C" __global__ void __launch_bounds__(256) rows_forward_sums(
    const T* __restrict__ x, Size rows, Size columns, Size channels, Size repeats, double* part) {
    sum_rows<false>(x, nullptr, nullptr, rows, columns, channels, repeats, part);
}

extern "C" __global__ void __launch_bounds__(256) rows_backward_sums(
    const T* __restrict__ x, const T* __restrict__ dy, const double* mean,
    Size rows, Size columns, Size channels, Size repeats, double* part) {
    sum_rows<true>(x, dy, mean, rows, columns, channels, repeats, part);
}

extern "C" __global__ void __launch_bounds__(256) rows_scale(
    const T* __restrict__ x, const A* __restrict__ p, T* __restrict__ y,
    Size rows, Size columns, Size channels, Size repeats) {
    Size column = (blockIdx.x * 32 + threadIdx.x) * Size(W);
    A a[W], shift[W], b[W];
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        Size c = (column + j) / repeats % channels;
        a[j] = p[c]; shift[j] = p[channels + c]; b[j] = p[2 * channels + c];
    }
    over_rows(rows, columns, column, [&](Size at) {
        Values v = load(x + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a[j] * (A(v.v[j]) - shift[j]) + b[j]);
        store(y + at, v);
    });
}

extern "C" __global__ void __launch_bounds__(256) rows_combine(
    const T* __restrict__ x, const T* __restrict__ dy, const A* __restrict__ p, T* __restrict__ dx,
    Size rows, Size columns, Size channels, Size repeats) {
    Size column = (blockIdx.x * 32 + threadIdx.x) * Size(W);
    A a[W], shift[W], b[W], c[W];
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        Size k = (column + j) / repeats % channels;
        a[j] = p[k]; shift[j] = p[channels + k]; b[j] = p[2 * channels + k]; c[j] = p[3 * channels + k];
    }
    over_rows(rows, columns, column, [&](Size at) {
        Values v = load(x + at), g = load(dy + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a[j] * (A(g.v[j]) + (b[j] * (A(v.v[j]) - shift[j]) + c[j])));
        store(dx + at, v);
    });
}

// Blocks of 32 channels × 8: add up the parts of each channel, those of all its columns; thread row 0 gets the sums.
__device__ inline bool gather(
    const double* part, Size parts, Size folds, Size channels, Size repeats, double& s, double& t) {
    Size c = blockIdx.x * 32 + threadIdx.x, columns = folds * channels * repeats;
    s = t = 0;
    if (c < channels) {
        #pragma unroll 4
        for (Size e = threadIdx.y; e < parts * folds * repeats; e += 8) {
            Size column = (e / repeats % folds * channels + c) * repeats + e % repeats, at = e / (repeats * folds) * 2;
            s += part[at * columns + column];
            t += part[(at + 1) * columns + column];
        }
    }
    __shared__ double found[2][8][32];
    found[0][threadIdx.y][threadIdx.x] = s;
    found[1][threadIdx.y][threadIdx.x] = t;
    __syncthreads();
    s = t = 0;
    for (int w = 0; w < 8; ++w) { s += found[0][w][threadIdx.x]; t += found[1][w][threadIdx.x]; }
    return threadIdx.y == 0 && c < channels;
}

extern "C" __global__ void settle(
    const double* part, Size parts, Size folds, Size channels, Size repeats, const T* x, Size run, double n,
    const A* gamma, const A* beta, double eps, double* mean, double* rstd, A* p) {
    double s, t;
    Size c = blockIdx.x * 32 + threadIdx.x;
    if (!gather(part, parts, folds, channels, repeats, s, t)) return;
    double m, r;
    statistics(s, t, double(A(x[c * run])), n, eps, m, r);
    double a = (gamma ? double(gamma[c]) : 1.0) * r;
    A shift = A(m);
    mean[c] = m;
    rstd[c] = r;
    p[c] = A(a);
    p[channels + c] = shift;
    p[2 * channels + c] = A((beta ? double(beta[c]) : 0.0) - (m - shift) * a);
}

extern "C" __global__ void resolve(
    const double* part, Size parts, Size folds, Size channels, Size repeats, double n,
    const A* gamma, const double* mean, const double* rstd, A* dgamma, A* dbeta, A* p) {
    double s, t;
    Size c = blockIdx.x * 32 + threadIdx.x;
    if (!gather(part, parts, folds, channels, repeats, s, t)) return;
    double r = rstd[c];
    A shift = A(mean[c]);
    double rest = mean[c] - shift, product = (t - rest * s) * r, b = -r * product / n;
    dgamma[c] = A(product);
    dbeta[c] = A(s);
    p[c] = A((gamma ? double(gamma[c]) : 1.0) * r);
    p[channels + c] = shift;
    p[2 * channels + c] = A(b);
    p[3 * channels + c] = A(-s / n - b * rest);
}
"""


class Grid(NamedTuple):
    """How blocks of 256 threads share (N, C, L): as rows or as runs, in ``parts`` for sums and in more for outputs."""

    kind: str
    block: tuple[int, ...]
    sums: tuple[int, int]
    outputs: tuple[int, int]
    lengths: tuple[int, ...]  # as the kernels take them
    columns: int
    folds: int
    repeats: int

    @classmethod
    def of(cls, layout: Layout, channels: int, width: int, processors: int) -> Grid:
        """Return the grid that keeps a device busy."""
        if len(layout.shape) == 3:
            n, c, run = layout.shape
            packs = n * run // width
            parts = lambda waves: min(max(1, processors * 8 * waves // c), -(-packs // 1024), 65535)
            return cls("runs", (256,), (c, parts(2)), (c, parts(4)), layout.shape, c, 1, 1)
        rows, columns = layout.shape
        across = -(-columns // (32 * width))
        parts = lambda waves, least: min(max(1, processors * waves // across), -(-rows // least), 65535)
        lengths = (rows, columns, channels, layout.repeats)
        sums, outputs = (across, parts(4, 32)), (across, parts(16, 16))
        return cls("rows", (32, 8), sums, outputs, lengths, columns, layout.folds, layout.repeats)

    @property
    def gathered(self) -> tuple[int, ...]:
        """What `gather` is told of the parts."""
        channels = self.columns // (self.folds * self.repeats)
        return self.sums[1], self.folds, channels, self.repeats


def cupy_forward(x: Any, gamma: Any, beta: Any, eps: float, y: Any, dtype: Any) -> Any:
    """Write y, and return mean and 1/σ of each channel."""
    import cupy

    x, (n, c, run) = cupy.ascontiguousarray(x), x.shape
    layout = Layout.of(n, c, run)
    launch = cuda.Launch(CUDA, x, dtype, layout.shape[-1], y)
    grid = Grid.of(layout, c, launch.width, launch.processors)
    part, p = cupy.empty((grid.sums[1], 2, grid.columns)), cupy.empty((3, c), launch.compute)
    found = cupy.empty((2, c))
    launch(f"{grid.kind}_forward_sums", grid.sums, grid.block, x, *grid.lengths, part)
    parameters = launch.parameter(gamma), launch.parameter(beta)
    launch(
        "settle",
        (-(-c // 32),),
        (32, 8),
        part,
        *grid.gathered,
        x,
        run,
        float(n * run),
        *parameters,
        float(eps),
        *found,
        p,
    )
    launch(f"{grid.kind}_scale", grid.outputs, grid.block, x, p, y, *grid.lengths)
    return found, None


def cupy_backward(x: Any, dy: Any, gamma: Any, found: Any, rest: Any, dx: Any, dtype: Any) -> Any:
    """Write dx, and return dγ and dβ."""
    import cupy

    x, dy, (n, c, run) = cupy.ascontiguousarray(x), cupy.ascontiguousarray(dy, x.dtype), x.shape
    layout = Layout.of(n, c, run)
    launch = cuda.Launch(CUDA, x, dtype, layout.shape[-1], dy, dx)
    grid = Grid.of(layout, c, launch.width, launch.processors)
    part, p = cupy.empty((grid.sums[1], 2, grid.columns)), cupy.empty((4, c), launch.compute)
    dgamma, dbeta = cupy.empty(c, launch.compute), cupy.empty(c, launch.compute)
    launch(f"{grid.kind}_backward_sums", grid.sums, grid.block, x, dy, found[0], *grid.lengths, part)
    launch(
        "resolve",
        (-(-c // 32),),
        (32, 8),
        part,
        *grid.gathered,
        float(n * run),
        launch.parameter(gamma),
        *found,
        dgamma,
        dbeta,
        p,
    )
    launch(f"{grid.kind}_combine", grid.outputs, grid.block, x, dy, p, dx, *grid.lengths)
    return dgamma, dbeta


ROUTES = {
    "numpy": centring(numpy_normalize, numpy_differentiate, 1),
    "numba": centring(numba_normalize, numba_differentiate, 1),
    "cupy": (cupy_forward, cupy_backward),
}
