"""Time what takes an array apart or puts one together of n parts, forward and backward, beside PyTorch.

Each must take time in proportion to n: the last column is the time at the greatest n over that at a quarter of it, and
4 is proportional. With ``--ops``, time instead the ops of running sums, sorting, padding and the like on (64, 64).

    python tests/bench/parts.py [--rounds 3] [--ops]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import tinygraph as tg

SIZES = (1000, 4000, 16000)
PARTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "for v in x": (
        lambda x: sum((v * v).sum() for v in x),
        lambda x: sum((v * v).sum() for v in x),
    ),
    "rows of a loop, stacked": (
        lambda x: (tg.stack([v * 2.0 for v in tg.unbind(x)]) ** 2).sum(),
        lambda x: (torch.stack([v * 2.0 for v in torch.unbind(x)]) ** 2).sum(),
    ),
    "split": (
        lambda x: sum((v * v).sum() for v in np.split(x, len(x))),
        lambda x: sum((v * v).sum() for v in torch.tensor_split(x, len(x))),
    ),
    "x.split, concatenated": (
        lambda x: (tg.concatenate(x.split(1)[::-1]) ** 2).sum(),
        lambda x: (torch.cat(x.split(1)[::-1]) ** 2).sum(),
    ),
    "chunk, vstacked": (
        lambda x: (tg.vstack(tg.chunk(x, len(x))) ** 2).sum(),
        lambda x: (torch.vstack(torch.chunk(x, len(x))) ** 2).sum(),
    ),
}
SQUARE = np.random.default_rng(0).standard_normal((64, 64))
PLACES = np.random.default_rng(1).integers(0, 64, (64, 64))
TORCH_PLACES = torch.from_numpy(PLACES)
OPS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "cumsum": (lambda x: tg.cumsum(x, 1), lambda x: torch.cumsum(x, 1)),
    "cumprod": (lambda x: tg.cumprod(x, 1), lambda x: torch.cumprod(x, 1)),
    "logcumsumexp": (lambda x: tg.logcumsumexp(x, 1), lambda x: torch.logcumsumexp(x, 1)),
    "cummax": (lambda x: tg.cummax(x, 1).values, lambda x: torch.cummax(x, 1).values),
    "prod": (lambda x: tg.prod(x, 1), lambda x: torch.prod(x, 1)),
    "norm": (lambda x: tg.norm(x, 2, 1), lambda x: torch.linalg.vector_norm(x, 2, 1)),
    "sort": (lambda x: tg.sort(x, 1), lambda x: torch.sort(x, dim=1, stable=True).values),
    "topk": (lambda x: tg.topk(x, 8).values, lambda x: torch.topk(x, 8).values),
    "median": (lambda x: tg.median(x, 1), lambda x: torch.quantile(x, 0.5, 1, interpolation="midpoint")),
    "quantile": (lambda x: tg.quantile(x, 0.3, 1), lambda x: torch.quantile(x, 0.3, 1)),
    "take_along_axis": (
        lambda x: tg.take_along_axis(x, PLACES, 1), lambda x: torch.take_along_dim(x, TORCH_PLACES, 1)),
    "tril": (tg.tril, torch.tril),
    "diagonal": (tg.diagonal, torch.diagonal),
    "flip": (lambda x: tg.flip(x, 1), lambda x: torch.flip(x, (1,))),
    "roll": (lambda x: tg.roll(x, 3, 1), lambda x: torch.roll(x, 3, 1)),
    "tile": (lambda x: tg.tile(x, 2), lambda x: torch.tile(x, (2,))),
    "repeat": (lambda x: tg.repeat(x, 2, 1), lambda x: torch.repeat_interleave(x, 2, 1)),
    "pad, reflect": (
        lambda x: tg.pad(x, ((0, 0), (3, 3)), "reflect"), lambda x: torch.nn.functional.pad(x, (3, 3), "reflect")),
    "diff": (lambda x: np.diff(x), torch.diff),
    "var": (lambda x: tg.var(x, 1), lambda x: torch.var(x, 1, correction=0)),
}  # fmt: skip


def seconds(function: Callable[[Any], Any], leaf: Any, rounds: int) -> float:
    """Return the least time of a forward and a backward pass."""
    best = float("inf")
    for _ in range(rounds):
        leaf.grad = None
        start = time.perf_counter()
        function(leaf).sum().backward()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ops", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.ops:
        for name, (ours, theirs) in OPS.items():
            a = 1e6 * seconds(ours, tg.Tensor(SQUARE), 40 * options.rounds)
            b = 1e6 * seconds(theirs, torch.tensor(SQUARE, requires_grad=True), 40 * options.rounds)
            print(f"{name:18}{a:8.0f} µs, PyTorch {b:6.0f} µs: {a / b:5.2f}", flush=True)
        return
    for name, functions in PARTS.items():
        for library, function in zip(("tinygraph", "PyTorch"), functions, strict=True):
            times = []
            for n in SIZES:
                a = np.random.default_rng(0).standard_normal((n, 32))
                leaf: Any = tg.Tensor(a) if library == "tinygraph" else torch.tensor(a, requires_grad=True)
                times.append(1e3 * seconds(function, leaf, options.rounds))
            columns = "".join(f"{t:9.1f}" for t in times)
            print(f"{name:26}{library:10}{columns} ms{times[-1] / times[-2]:7.1f}", flush=True)


if __name__ == "__main__":
    main()
