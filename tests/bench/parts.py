"""Time what takes an array apart or puts one together of n parts, forward and backward, beside PyTorch.

Each must take time in proportion to n: the last column is the time at the greatest n over that at a quarter of it, and
4 is proportional.

    python tests/bench/parts.py [--rounds 3]
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
    options = parser.parse_args()
    torch.set_num_threads(1)
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
