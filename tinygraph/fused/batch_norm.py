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
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph import functions
from tinygraph.dispatch import sample
from tinygraph.functions import Axis, axes_of, check_batch, check_shapes, check_variance
from tinygraph.fused import cuda, plain
from tinygraph.fused.backend import PIECE, RUN, SHARED, TILE, Kernel, route, share
from tinygraph.fused.plan import Plan, like, precision, vector
from tinygraph.fusion import fused

Function = Callable[..., Any]
FAR = 4  # standard deviations that a mean may be from 0, for the sums to keep their digits
NARROW = 64  # up to this length, runs of a channel's values are laid side by side in rows
WIDE = 512  # elements that make a row worth a call


def backward(g: Any, operands: Any, extras: Any, axis: Axis, eps: float) -> Any:
    """Return the gradients in x, γ and β; None for what is no array."""
    x, gamma, beta = operands
    kind, plan = route(x), planned(x.shape, tuple(axis) if isinstance(axis, Sequence) else axis)
    if kind == "plain":
        return plain.backward(g, x, gamma, beta, *extras, plan.axes, plan.axes)
    dx = plan.empty(x)
    dgamma, dbeta = ROUTES[kind][1](plan.arranged(x), plan.arranged(g), gamma, *extras, dx.reshape(plan.lengths))
    return plan.restored(dx), like(dgamma, gamma), like(dbeta, beta)


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
    plan = planned(x.shape, tuple(axis) if isinstance(axis, Sequence) else axis)
    check_shapes("batch_norm", x, plan.kept, gamma=gamma, beta=beta)
    check_batch("batch_norm", x, plan.axes, eps)
    kind = route(x)
    if kind == "plain":
        return plain.forward("batch_norm", x, gamma, beta, plan.axes, plan.axes, eps)
    y = plan.empty(x)
    mean, rstd = ROUTES[kind][0](plan.arranged(x), gamma, beta, eps, y.reshape(plan.lengths))
    if eps == 0:
        check_variance("batch_norm", 1 / rstd, eps)
    return plan.restored(y), mean, rstd


@functools.lru_cache(1024)
def planned(shape: tuple[int, ...], axis: Axis) -> Plan:
    """Return the plan for an array of this shape, averaged over ``axis``."""
    axes, every = axes_of(axis, len(shape), "batch_norm"), tuple(range(len(shape)))
    kept = tuple(a for a in every if a not in axes)
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    if kept == every[first:last]:
        return Plan.of(shape, axes, kept, every[:first], kept, every[last:])
    return Plan.of(shape, axes, kept, axes, kept, ())


# On the CPU: what follows from the sums, in NumPy for all channels at once, in Numba for each.


def statistics(s: Any, q: Any, n: int, gamma: Any, beta: Any, eps: float) -> Any:
    """Return mean and 1/σ of n values from Σx and Σx²; then a and b of y = a x + b."""
    mean = s / n
    rstd = 1 / np.sqrt(np.maximum(q / n - mean * mean, 0.0) + eps)
    return mean, rstd, gamma * rstd, beta - mean * rstd * gamma


def coefficients(s: Any, p: Any, n: int, gamma: Any, mean: Any, rstd: Any) -> Any:
    """Return dγ from Σdy and Σdy x; then a, b and c of dx = a (dy + b x + c)."""
    p = (p - mean * s) * rstd
    b = -rstd * p / n
    return p, gamma * rstd, b, -s / n - b * mean


def is_far(mean: np.ndarray, rstd: np.ndarray) -> bool:
    """Whether x must be centred before it is summed: a mean is many σ from 0, or a square was too large."""
    return not ((np.abs(mean) * rstd <= FAR) & (rstd > 0)).all()


def forward_on_cpu(x: Any, gamma: Any, beta: Any, eps: float, y: Any, sweep: Function, far: Function) -> Any:
    """Write y, and return mean and 1/σ; ``sweep`` does it where x is not far from 0."""
    c, dtype = x.shape[1], precision(x.dtype, x.shape[0] * x.shape[2])
    wide, out = x.astype(dtype, copy=False), y if y.dtype == dtype else np.empty(y.shape, dtype)
    gamma, beta = vector(gamma, c, 1.0), vector(beta, c, 0.0)
    mean, rstd = sweep(wide, gamma, beta, eps, out)
    if far(mean, rstd):
        shift = mean.astype(dtype)
        rest, rstd = sweep(wide - shift[:, None], gamma, beta, eps, out)
        mean = shift + rest
    if out is not y:
        y[...] = out
    return mean, rstd


def backward_on_cpu(x: Any, dy: Any, gamma: Any, mean: Any, rstd: Any, dx: Any, sweep: Function, far: Function) -> Any:
    """Write dx, and return dγ and dβ; ``sweep`` does it where x is not far from 0."""
    dtype = precision(x.dtype, x.shape[0] * x.shape[2])
    wide, out = x.astype(dtype, copy=False), dx if dx.dtype == dtype else np.empty(dx.shape, dtype)
    if far(mean, rstd):
        shift = mean.astype(dtype)
        wide, mean = wide - shift[:, None], mean - shift
    dgamma, dbeta = sweep(wide, dy.astype(dtype, copy=False), vector(gamma, x.shape[1], 1.0), mean, rstd, out)
    if out is not dx:
        dx[...] = out
    return dgamma, dbeta


class Layout(NamedTuple):
    """How tiles see (N, C, L): as rows, in which each value has a column, or as runs of a channel's values.

    A row holds the C channels ``folds`` times, each with ``repeats`` values; runs are a third axis.
    """

    shape: tuple[int, ...]
    folds: int = 1
    repeats: int = 1

    @classmethod
    @functools.lru_cache(1024)
    def of(cls, n: int, c: int, run: int) -> Layout:
        """Return the layout of an array."""
        if run > NARROW:
            return cls((n, c, run))
        folds = next(f for f in range(max(1, WIDE // (c * run)), 0, -1) if n % f == 0)
        return cls((n // folds, folds * c * run), folds, run)

    @functools.lru_cache(1024)  # noqa: B019
    def tiles(self, compiled: bool) -> list[tuple[int, slice, slice]]:
        """Cut into tiles: the number of the rows, the rows, the columns (all of them for compiled kernels)."""
        rows, columns, run = (*self.shape, 1)[:3]
        width = columns if compiled else min(columns, max(1, TILE // run))
        most = TILE if not compiled else PIECE if rows * columns > SHARED else rows * columns
        height = max(1, most // (width * run))
        return [
            (i // height, slice(i, i + height), slice(j, j + width))
            for i in range(0, rows, height)
            for j in range(0, columns, width)
        ]

    def gathered(self, sums: np.ndarray) -> np.ndarray:
        """Add up what tiles found for the same channel."""
        if len(sums) * self.folds * self.repeats == 1:
            return sums[0]
        return sums.reshape(len(sums), 2, self.folds, -1, self.repeats).sum((0, 2, 4))

    def spread(self, p: np.ndarray) -> np.ndarray:
        """Lay out values of channels beside what they belong to."""
        if len(self.shape) == 3:
            return p[..., None]
        return np.tile(np.repeat(p, self.repeats, axis=1), self.folds) if self.folds * self.repeats > 1 else p


class Tiles(NamedTuple):
    """The kernels that both sweeps are made of, where they go tile by tile."""

    sums: Function  # (x, dy, out): Σdy and Σdy x of each column or channel of a tile
    settle: Function  # (p, sums, n, gamma, beta, eps, mean, rstd): p = a, b
    scale: Function  # (x, p, y): y = a x + b
    resolve: Function  # (p, sums, n, gamma, mean, rstd, dgamma, dbeta): p = a, b, c
    combine: Function  # (x, dy, p, dx): dx = a (dy + b x + c)
    compiled: bool

    def forward(self, x: Any, gamma: Any, beta: Any, eps: float, y: Any) -> Any:
        """Write y, and return mean and 1/σ of each channel."""
        n, c, run = x.shape
        layout, mean, rstd, p = Layout.of(n, c, run), np.empty(c), np.empty(c), np.empty((2, c), x.dtype)
        x, y = x.reshape(layout.shape), y.reshape(layout.shape)
        self.settle(p, self.summed(x, x, layout), n * run, gamma, beta, eps, mean, rstd)
        p = layout.spread(p)
        share(lambda t: self.scale(x[t[1:]], p[:, t[2]], y[t[1:]]), layout.tiles(self.compiled), x.size)
        return mean, rstd

    def backward(self, x: Any, dy: Any, gamma: Any, mean: Any, rstd: Any, dx: Any) -> Any:
        """Write dx, and return dγ and dβ."""
        n, c, run = x.shape
        layout, dgamma, dbeta, p = Layout.of(n, c, run), np.empty(c), np.empty(c), np.empty((3, c), x.dtype)
        x, dy, dx = x.reshape(layout.shape), dy.reshape(layout.shape), dx.reshape(layout.shape)
        self.resolve(p, self.summed(x, dy, layout), n * run, gamma, mean, rstd, dgamma, dbeta)
        p = layout.spread(p)
        share(lambda t: self.combine(x[t[1:]], dy[t[1:]], p[:, t[2]], dx[t[1:]]), layout.tiles(self.compiled), x.size)
        return dgamma, dbeta

    def summed(self, x: Any, dy: Any, layout: Layout) -> np.ndarray:
        """Return the sums of each channel."""
        tiles = layout.tiles(self.compiled)
        out = np.empty((tiles[-1][0] + 1, 2, layout.shape[1]))
        share(lambda t: self.sums(x[t[1:]], dy[t[1:]], out[t[0], :, t[2]]), tiles, x.size)
        return layout.gathered(out)


# NumPy.


def numpy_sums(x: np.ndarray, dy: np.ndarray, out: np.ndarray) -> None:
    """Take sums over rows; or over runs, as dot products."""
    if x.ndim == 2:
        out[0], out[1] = np.add.reduce(dy, 0), np.einsum("ij,ij->j", x, dy)
        return
    out[:] = 0
    for j in range(0, x.shape[2], RUN):
        part = dy[..., j : j + RUN]
        out[0] += np.vecdot(part, ones(part.shape[2], x.dtype)).sum(0, np.float64)
        out[1] += np.vecdot(part, x[..., j : j + RUN]).sum(0, np.float64)


@functools.lru_cache(64)
def ones(length: int, dtype: Any) -> np.ndarray:
    """Return what makes a dot product a sum."""
    return np.ones(length, dtype)


@np.errstate(divide="ignore", invalid="ignore")
def numpy_settle(p: Any, sums: Any, n: int, gamma: Any, beta: Any, eps: float, mean: Any, rstd: Any) -> None:
    """Write what follows from the sums of x: `statistics`."""
    mean[:], rstd[:], p[0], p[1] = statistics(sums[0], sums[1], n, gamma, beta, eps)


@np.errstate(invalid="ignore")
def numpy_scale(x: Any, p: Any, y: Any) -> None:
    """Write y."""
    np.multiply(x, p[0], out=y)
    y += p[1]


def numpy_resolve(p: Any, sums: Any, n: int, gamma: Any, mean: Any, rstd: Any, dgamma: Any, dbeta: Any) -> None:
    """Write what follows from the sums of dy: `coefficients`."""
    dbeta[:] = sums[0]
    dgamma[:], p[0], p[1], p[2] = coefficients(sums[0], sums[1], n, gamma, mean, rstd)


def numpy_combine(x: Any, dy: Any, p: Any, dx: Any) -> None:
    """Write dx."""
    np.multiply(x, p[1], out=dx)
    dx += p[2]
    dx += dy
    dx *= p[0]


NUMPY = Tiles(numpy_sums, numpy_settle, numpy_scale, numpy_resolve, numpy_combine, compiled=False)


# Numba: rows tile by tile, or in one call where they are few; runs channel by channel.


def rows_sums(x: Any, dy: Any, out: Any) -> None:
    """Take sums over rows: over 64 of them in their own precision, over all in float64."""
    rows, width = x.shape
    s, p = np.empty(width, x.dtype), np.empty(width, x.dtype)
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
            a += dy[i + k, j]
            b += dy[i + k, j] * x[i + k, j]
        s[j], p[j] = a, b


def settle(p: Any, sums: Any, n: int, gamma: Any, beta: Any, eps: float, mean: Any, rstd: Any) -> None:
    """Write what follows from the sums of x: `statistics`."""
    for c in range(gamma.size):
        mean[c], rstd[c], p[0, c], p[1, c] = statistics(sums[0, c], sums[1, c], n, gamma[c], beta[c], eps)


def rows_scale(x: Any, p: Any, y: Any) -> None:
    """Write y."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = p[0, j] * x[i, j] + p[1, j]


def resolve(p: Any, sums: Any, n: int, gamma: Any, mean: Any, rstd: Any, dgamma: Any, dbeta: Any) -> None:
    """Write what follows from the sums of dy: `coefficients`."""
    for c in range(gamma.size):
        dbeta[c] = sums[0, c]
        dgamma[c], p[0, c], p[1, c], p[2, c] = coefficients(sums[0, c], sums[1, c], n, gamma[c], mean[c], rstd[c])


def rows_combine(x: Any, dy: Any, p: Any, dx: Any) -> None:
    """Write dx."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            dx[i, j] = p[0, j] * (dy[i, j] + (p[1, j] * x[i, j] + p[2, j]))


NUMBA = Tiles(*map(Kernel, (rows_sums, settle, rows_scale, resolve, rows_combine)), compiled=True)


@Kernel
def rows_forward(x: Any, gamma: Any, beta: Any, eps: float, y: Any, mean: Any, rstd: Any) -> None:
    """Do both sweeps over few rows."""
    sums, p = np.empty((2, gamma.size)), np.empty((2, gamma.size), x.dtype)
    rows_sums(x, x, sums)
    settle(p, sums, len(x), gamma, beta, eps, mean, rstd)
    rows_scale(x, p, y)


@Kernel
def rows_backward(x: Any, dy: Any, gamma: Any, mean: Any, rstd: Any, dx: Any, dgamma: Any, dbeta: Any) -> None:
    """Do both sweeps over few rows."""
    sums, p = np.empty((2, gamma.size)), np.empty((3, gamma.size), x.dtype)
    rows_sums(x, dy, sums)
    resolve(p, sums, len(x), gamma, mean, rstd, dgamma, dbeta)
    rows_combine(x, dy, p, dx)


def runs_sums(x: Any, dy: Any, start: int, stop: int, out: Any) -> None:
    """Take sums over channels: over 4096 values in their own precision, over all in float64."""
    for i in range(x.shape[0]):
        for c in range(start, stop):
            for first in range(0, x.shape[2], 4096):
                xs, dys, s, p = x[i, c, first:], dy[i, c, first:], x.dtype.type(0), x.dtype.type(0)
                for j in range(min(xs.size, 4096)):
                    s += dys[j]
                    p += dys[j] * xs[j]
                out[0, c - start] += s
                out[1, c - start] += p


@Kernel
def runs_forward(
    x: Any, gamma: Any, beta: Any, eps: float, y: Any, mean: Any, rstd: Any, start: int, stop: int
) -> None:
    """Do both sweeps over few channels: the second one finds in the cache what the first one read."""
    count, few = stop - start, slice(start, stop)
    sums, p = np.zeros((2, count)), np.empty((2, count), x.dtype)
    runs_sums(x, x, start, stop, sums)
    settle(p, sums, x.shape[0] * x.shape[2], gamma[few], beta[few], eps, mean[few], rstd[few])
    for i in range(x.shape[0]):
        for k in range(count):
            xs, ys, a, b = x[i, start + k], y[i, start + k], p[0, k], p[1, k]
            for j in range(xs.size):
                ys[j] = a * xs[j] + b


@Kernel
def runs_backward(
    x: Any, dy: Any, gamma: Any, mean: Any, rstd: Any, dx: Any, dgamma: Any, dbeta: Any, start: int, stop: int
) -> None:
    """Do both sweeps over few channels."""
    count, few = stop - start, slice(start, stop)
    sums, p = np.zeros((2, count)), np.empty((3, count), x.dtype)
    runs_sums(x, dy, start, stop, sums)
    resolve(p, sums, x.shape[0] * x.shape[2], gamma[few], mean[few], rstd[few], dgamma[few], dbeta[few])
    for i in range(x.shape[0]):
        for k in range(count):
            xs, dys, dxs, a, b, c = x[i, start + k], dy[i, start + k], dx[i, start + k], p[0, k], p[1, k], p[2, k]
            for j in range(xs.size):
                dxs[j] = a * (dys[j] + (b * xs[j] + c))


def numba_forward(x: Any, gamma: Any, beta: Any, eps: float, y: Any) -> Any:
    """Write y, and return mean and 1/σ of each channel."""
    x, (n, c, run), mean, rstd = np.ascontiguousarray(x), x.shape, np.empty(x.shape[1]), np.empty(x.shape[1])
    if run > NARROW:
        share(lambda few: runs_forward(x, gamma, beta, eps, y, mean, rstd, *few), parts(n, c, run), x.size)
    elif run == 1 and x.size <= SHARED:
        rows_forward(x.reshape(n, c), gamma, beta, eps, y.reshape(n, c), mean, rstd)
    else:
        return NUMBA.forward(x, gamma, beta, eps, y)
    return mean, rstd


def numba_backward(x: Any, dy: Any, gamma: Any, mean: Any, rstd: Any, dx: Any) -> Any:
    """Write dx, and return dγ and dβ."""
    x, dy, (n, c, run) = np.ascontiguousarray(x), np.ascontiguousarray(dy), x.shape
    dgamma, dbeta = np.empty(c), np.empty(c)
    if run > NARROW:
        share(lambda few: runs_backward(x, dy, gamma, mean, rstd, dx, dgamma, dbeta, *few), parts(n, c, run), x.size)
    elif run == 1 and x.size <= SHARED:
        rows = [a.reshape(n, c) for a in (x, dy, dx)]
        rows_backward(rows[0], rows[1], gamma, mean, rstd, rows[2], dgamma, dbeta)
    else:
        return NUMBA.backward(x, dy, gamma, mean, rstd, dx)
    return dgamma, dbeta


def parts(n: int, c: int, run: int) -> list[tuple[int, int]]:
    """Return ranges of channels that are a tile together."""
    each = max(1, min(PIECE // (n * run), c // 4))
    return [(i, min(i + each, c)) for i in range(0, c, each)]


def on_cpu(forward: Function, backward: Function, far: Function) -> tuple[Function, Function]:
    """Return the two passes of a route."""
    return functools.partial(forward_on_cpu, sweep=forward, far=far), functools.partial(
        backward_on_cpu, sweep=backward, far=far
    )


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


def cupy_forward(x: Any, gamma: Any, beta: Any, eps: float, y: Any) -> Any:
    """Write y, and return mean and 1/σ of each channel."""
    import cupy

    x, (n, c, run) = cupy.ascontiguousarray(x), x.shape
    layout = Layout.of(n, c, run)
    launch = cuda.Launch(CUDA, x, n * run, layout.shape[-1], y)
    grid = Grid.of(layout, c, launch.width, launch.processors)
    part, p = cupy.empty((grid.sums[1], 2, grid.columns)), cupy.empty((3, c), launch.compute)
    mean, rstd = cupy.empty(c), cupy.empty(c)
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
        mean,
        rstd,
        p,
    )
    launch(f"{grid.kind}_scale", grid.outputs, grid.block, x, p, y, *grid.lengths)
    return mean, rstd


def cupy_backward(x: Any, dy: Any, gamma: Any, mean: Any, rstd: Any, dx: Any) -> Any:
    """Write dx, and return dγ and dβ."""
    import cupy

    x, dy, (n, c, run) = cupy.ascontiguousarray(x), cupy.ascontiguousarray(dy, x.dtype), x.shape
    layout = Layout.of(n, c, run)
    launch = cuda.Launch(CUDA, x, n * run, layout.shape[-1], dy, dx)
    grid = Grid.of(layout, c, launch.width, launch.processors)
    part, p = cupy.empty((grid.sums[1], 2, grid.columns)), cupy.empty((4, c), launch.compute)
    dgamma, dbeta = cupy.empty(c, launch.compute), cupy.empty(c, launch.compute)
    launch(f"{grid.kind}_backward_sums", grid.sums, grid.block, x, dy, mean, *grid.lengths, part)
    launch(
        "resolve",
        (-(-c // 32),),
        (32, 8),
        part,
        *grid.gathered,
        float(n * run),
        launch.parameter(gamma),
        mean,
        rstd,
        dgamma,
        dbeta,
        p,
    )
    launch(f"{grid.kind}_combine", grid.outputs, grid.block, x, dy, p, dx, *grid.lengths)
    return dgamma, dbeta


ROUTES = {
    "numpy": on_cpu(NUMPY.forward, NUMPY.backward, is_far),
    "numba": on_cpu(numba_forward, numba_backward, Kernel(is_far)),
    "cupy": (cupy_forward, cupy_backward),
}
