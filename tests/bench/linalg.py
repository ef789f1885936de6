"""Time products, linear algebra and transforms against PyTorch: forward and backward, float64, on one thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python tests/bench/linalg.py [--size 64] [--only solve,qr]

A row says microseconds here and in PyTorch, and their quotient; above 2 it is marked.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

import tinygraph as tg

Call = Callable[..., Any]


def cases(n: int) -> Iterator[tuple[str, Call, Call, Sequence[np.ndarray]]]:
    """Yield a name, the function here, that of PyTorch, and the arrays."""
    rng = np.random.default_rng(0)
    a, b, v = rng.standard_normal((n, n)), rng.standard_normal((n, n)), rng.standard_normal(n)
    regular, spd = a + n / 4 * np.eye(n), a @ a.T / n + np.eye(n)
    pairs, space = rng.standard_normal((n, n, 2)), rng.standard_normal((n, n, 3))
    lower, small = np.tril(regular), a[:8, :8].copy()
    theirs, ours = torch.linalg, tg.linalg
    for name, arrays in {
        "solve": [regular, b], "inv": [regular], "det": [a / n**0.5], "pinv": [a], "cholesky": [spd],
        "eigvalsh": [spd], "svdvals": [a], "cond": [a], "norm": [a], "cross": [space, space], "vecdot": [a, b],
    }.items():  # fmt: skip
        yield name, getattr(ours, name), getattr(theirs, name), arrays
    for name, arrays in {
        "outer": [v, v], "inner": [a, b], "dot": [v, v], "vdot": [v, v], "kron": [small, small], "addmm": [a, a, b],
        "cdist": [a, b],
    }.items():  # fmt: skip
        yield name, getattr(tg, name), getattr(torch, name), arrays
    yield "slogdet", lambda x: ours.slogdet(x)[1], lambda x: theirs.slogdet(x)[1], [regular]
    yield "eigh", lambda x: ours.eigh(x)[1], lambda x: theirs.eigh(x)[1], [spd]
    yield "svd", lambda x: ours.svd(x)[0], lambda x: theirs.svd(x)[0], [a]
    yield "qr", lambda x: ours.qr(x)[0], lambda x: theirs.qr(x)[0], [a]
    yield "lstsq", lambda x, y: ours.lstsq(x, y)[0], lambda x, y: theirs.lstsq(x, y)[0], [a, b]
    yield "norm 1", lambda x: ours.norm(x, 1), lambda x: theirs.norm(x, 1), [a]
    yield "norm nuc", lambda x: ours.norm(x, "nuc"), lambda x: theirs.norm(x, "nuc"), [a]
    yield "matrix_power 5", lambda x: ours.matrix_power(x, 5), lambda x: theirs.matrix_power(x, 5), [a]
    yield "multi_dot", lambda *xs: ours.multi_dot(xs), lambda *xs: theirs.multi_dot(xs), [a, b, a]
    yield (
        "solve_triangular",
        *(lambda x, y, of=of: of.solve_triangular(x, y, upper=False) for of in (ours, theirs)),
        [lower, b],
    )
    yield "cholesky_solve", ours.cholesky_solve, torch.cholesky_solve, [b, lower]
    yield "tensordot", lambda x, y: tg.tensordot(x, y, 1), lambda x, y: torch.tensordot(x, y, 1), [a, b]
    for name in ("fft", "fft2", "fftshift"):
        yield name, getattr(tg.fft, name), through_complex(getattr(torch.fft, name)), [pairs]
    yield "rfft", tg.fft.rfft, lambda x: torch.view_as_real(torch.fft.rfft(x)), [a]
    yield "irfft", tg.fft.irfft, lambda x: torch.fft.irfft(torch.view_as_complex(x)), [pairs]
    for subscripts, arrays in {
        "ij,jk->ik": [a, b],
        "ij,jk,kl->il": [a, b, a],
        "ii->i": [a],
        "ij,ij->i": [a, b],
    }.items():
        yield (
            f"einsum {subscripts}",
            *(lambda *xs, of=of, s=subscripts: of.einsum(s, *xs) for of in (tg, torch)),
            arrays,
        )
    yield (
        "convolve",
        tg.convolve,
        lambda x, y: torch.nn.functional.conv1d(x[None, None], y.flip(0)[None, None], padding=len(y) - 1)[0, 0],
        [a.ravel(), v],
    )


def through_complex(function: Call) -> Call:
    """Return a transform of complex numbers as one of pairs."""
    return lambda x: torch.view_as_real(function(torch.view_as_complex(x)))


def microseconds(run: Callable[[], Any], rounds: int = 15) -> float:
    """Return how long a call takes: the least of several rounds of 20 ms."""
    run()
    number = max(1, int(0.02 / (timeit.timeit(run, number=1) + 1e-9)))
    return min(timeit.repeat(run, number=number, repeat=rounds)) / number * 1e6


def step(function: Call, leaves: Sequence[Any], upstream: Any) -> Callable[[], None]:
    """Return what is timed: forward and backward."""

    def run() -> None:
        for x in leaves:
            x.grad = None
        function(*leaves).backward(upstream)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [name for name in options.only.split(",") if name]
    for name, ours, theirs, arrays in cases(options.size):
        if wanted and not any(part in name for part in wanted):
            continue
        xs, ts = [tg.Tensor(x) for x in arrays], [torch.tensor(x, requires_grad=True) for x in arrays]
        g = np.ones(ours(*xs).shape)
        here, there = microseconds(step(ours, xs, g)), microseconds(step(theirs, ts, torch.tensor(g)))
        print(f"{name:22} {here:8.0f} {there:8.0f} {here / there:6.2f}{'  *' if here > 2 * there else ''}")


if __name__ == "__main__":
    main()
