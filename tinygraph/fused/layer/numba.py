"""Layer norm in compiled loops: pieces of rows are shared among threads, and their parts of dγ and dβ added up."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.fused.normalization import adapt_to_cpu, has_overflow
from tinygraph.kernels.jit import Kernel
from tinygraph.kernels.threads import Team, mark_done, piece_count, pieces_done, run_on_all, split_evenly, sweep

FAR = 4  # standard deviations that a value may be from the mean, to be subtracted before sums are made
SPAN = 4096  # values that are summed in their own precision; the sums of spans are in float64
ROWS, OVERFLOWS = 0, 1  # steps: pieces that are done, and those in which a variance is no finite number

Parameters: TypeAlias = tuple[Array, Array, float]  # γ, β, ε


def sum_powers(x: Array, shift: float) -> tuple[float, float]:
    """Return Σd and Σd² of d = x - shift."""
    s, q = 0.0, 0.0
    for first in range(0, x.size, SPAN):
        xs, part, squares = x[first:], x.dtype.type(0), x.dtype.type(0)
        for j in range(min(xs.size, SPAN)):
            d = xs[j] - shift
            part += d
            squares += d * d
        s += part
        q += squares
    return s, q


@Kernel
def normalize_rows(x: Array, y: Array, found: Array, parameters: Parameters, height: int, team: Team) -> bool:
    """Write y, and mean and 1/σ of each row; return whether a variance is no finite number."""
    (m, n), cast, (gamma, beta, eps) = x.shape, x.dtype.type, parameters
    pieces = -(-m // height)
    for piece in sweep(team, pieces):
        overflows = False
        for i in range(piece * height, min((piece + 1) * height, m)):
            xs, ys, shift = x[i], y[i], x[i, 0]
            s, q = sum_powers(xs, shift)
            if not (s * s <= FAR * FAR * (q * n - s * s)):  # the first value is far from the mean, or all are the same
                shift += cast(s / n)
                s, q = sum_powers(xs, shift)
            rest = s / n
            r = 1 / np.sqrt(max(q / n - rest * rest, 0.0) + eps)
            overflows |= not (r > 0)
            found[0, i], found[1, i], a, b = shift + rest, r, cast(r), cast(-rest * r)
            for j in range(n):
                ys[j] = ((xs[j] - shift) * a + b) * gamma[j] + beta[j]
        if overflows:
            mark_done(team, OVERFLOWS)
    return pieces_done(team, OVERFLOWS) > 0


def sum_products(x: Array, shift: float, dy: Array, gamma: Array) -> tuple[float, float]:
    """Return Σg and Σg d of g = γ dy and d = x - shift."""
    s, t = 0.0, 0.0
    for first in range(0, x.size, SPAN):
        xs, dys, gammas, part, product = x[first:], dy[first:], gamma[first:], x.dtype.type(0), x.dtype.type(0)
        for j in range(min(xs.size, SPAN)):
            g = dys[j] * gammas[j]
            part += g
            product += g * (xs[j] - shift)
        s += part
        t += product
    return s, t


@Kernel
def differentiate_rows(
    x: Array, dy: Array, dx: Array, gamma: Array, found: Array, sums: Array, height: int, team: Team
) -> None:
    """Write dx, and in sums[0] dγ and dβ: over 64 rows in their own precision, else in float64."""
    (m, n), cast = x.shape, x.dtype.type
    dgamma, dbeta = np.empty(n, x.dtype), np.empty(n, x.dtype)
    for piece in sweep(team, len(sums)):
        sums[piece] = 0
        stop = min((piece + 1) * height, m)
        for first in range(piece * height, stop, 64):
            dgamma[:] = 0
            dbeta[:] = 0
            for i in range(first, min(first + 64, stop)):
                xs, dys, dxs, r, shift = x[i], dy[i], dx[i], found[1, i], cast(found[0, i])
                s, t = sum_products(xs, shift, dys, gamma)
                rest = found[0, i] - shift
                along = -r * r * r * (t - rest * s) / n
                a, b, c, d = cast(r), cast(along), cast(-r * s / n - along * rest), cast(-rest * r)
                for j in range(n):
                    h, g = xs[j] - shift, dys[j]
                    dgamma[j] += g * (h * a + d)
                    dbeta[j] += g
                    dxs[j] = g * gamma[j] * a + (h * b + c)
            for j in range(n):
                sums[piece, 0, j] += dgamma[j]
                sums[piece, 1, j] += dbeta[j]
    if team[2]:  # the caller, which left the sweep when all pieces were done
        for piece in range(1, len(sums)):
            for j in range(n):
                sums[0, 0, j] += sums[piece, 0, j]
                sums[0, 1, j] += sums[piece, 1, j]


def forward(x: Array, gamma: Array, beta: Array, eps: float, y: Array) -> tuple[Array | None, bool]:
    """Write y, and return mean and 1/σ of each row; None where a variance overflowed."""
    height, count = split_evenly(len(x), piece_count(x.size))
    found = np.empty((2, len(x)))
    overflows = run_on_all(normalize_rows, count, x, y, found, (gamma, beta, eps), height)
    return (None if overflows and has_overflow(found) else found), False


def backward(x: Array, dy: Array, gamma: Array, statistics: Array, far: bool, dx: Array) -> Array:
    """Write dx, and return dγ and dβ."""
    height, count = split_evenly(len(x), piece_count(x.size))
    sums = np.empty((count, 2, x.shape[1]))
    run_on_all(differentiate_rows, count, x, dy, dx, gamma, statistics, sums, height)
    found: Array = sums[0]
    return found


ROUTE = adapt_to_cpu(forward, backward)
