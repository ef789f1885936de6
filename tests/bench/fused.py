"""Time the fused normalizations, forward and backward, against PyTorch's on the CPU.

Each library runs in a process of its own, because in one process their threads slow each other down. The processes
take turns, so that other work on the machine slows all of them; the figure is a ratio of medians.

    python tests/bench/fused.py [--rounds 7] [--only "layer_norm 1024"]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

THREADS = 2
SHAPES = {
    "batch_norm": [(128, 512), (1024, 1024), (8192, 256), (32, 64, 56, 56), (128, 16, 28, 28), (64, 256, 14, 14)],
    "layer_norm": [(128, 512), (1024, 1024), (8192, 256), (32, 128, 768)],
}
BARS = {
    "numpy": {"batch_norm": (2.6, 2.6), "layer_norm": (2.6, 2.6)},
    "numba": {"batch_norm": (0.85, 0.45), "layer_norm": (0.9, 0.9)},
}


class Row(NamedTuple):
    """A time as a share of PyTorch's, the smallest and the largest share of any round, and the share to stay under."""

    name: str
    route: str
    ratio: float
    low: float
    high: float
    seconds: float
    peer_seconds: float
    bar: float


def make_our_call(family: str, shape: Sequence[int]) -> Callable[[], Any]:
    """Return a function that runs our fused op both ways."""
    import numpy as np

    from tinygraph import Tensor, fused, grad

    rng = np.random.default_rng(0)
    draw = lambda n: rng.standard_normal(n).astype(np.float32)
    channels = shape[1] if family == "batch_norm" else shape[-1]
    inputs, dy = [Tensor(draw(n)) for n in (shape, channels, channels)], draw(shape)
    axis = tuple(a for a in range(len(shape)) if a != 1) if family == "batch_norm" else -1
    return lambda: grad(getattr(fused, family)(*inputs, axis=axis), inputs, dy)


def make_torch_call(family: str, shape: Sequence[int]) -> Callable[[], Any]:
    """Return a function that runs PyTorch's op both ways."""
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    channels = shape[1] if family == "batch_norm" else shape[-1]
    x, gamma, beta = (torch.randn(n, requires_grad=True) for n in (shape, channels, channels))
    dy = torch.randn(shape)
    if family == "batch_norm":
        forward = lambda: torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True)
    else:
        forward = lambda: torch.nn.functional.layer_norm(x, (channels,), gamma, beta)
    return lambda: torch.autograd.grad(forward(), (x, gamma, beta), dy)


def answer_requests(library: str) -> None:
    """Answer each ``[family, shape, seconds]`` on stdin with the median time of a call."""
    make_call = make_torch_call if library == "torch" else make_our_call
    for line in sys.stdin:
        family, shape, seconds = json.loads(line)
        call, times = make_call(family, shape), []
        for _ in range(5):
            call()
        end = time.perf_counter() + seconds
        while len(times) < 5 or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        print(json.dumps(statistics.median(times)), flush=True)


class Worker:
    """A process that times one library."""

    def __init__(self, library: str) -> None:
        environment = {**os.environ, "TINYGRAPH_FUSED": library} if library != "torch" else dict(os.environ)
        command = [sys.executable, __file__, "--worker", library]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def time(self, *call: Any) -> float:
        """Return the median seconds of a call: of a family, a shape, for some seconds."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended with status {self.process.wait()}: {self.process.args}")
        return float(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def measure_rows(
    routes: Sequence[str] = ("numpy", "numba"), rounds: int = 7, seconds: float = 0.2, only: str = ""
) -> Iterator[Row]:
    """Yield a row for each function, shape and route, as it is measured."""
    workers = {library: Worker(library) for library in ("torch", *routes)}
    try:
        for family, shapes in SHAPES.items():
            for shape in shapes:
                name = f"{family} {'×'.join(map(str, shape))}"
                if only not in name:
                    continue
                turns = [{k: w.time(family, shape, seconds) for k, w in workers.items()} for _ in range(rounds)]
                peer = statistics.median(t["torch"] for t in turns)
                for route in routes:
                    mine, shares = statistics.median(t[route] for t in turns), [t[route] / t["torch"] for t in turns]
                    bar = BARS[route][family][len(shape) > 3]
                    yield Row(name, route, mine / peer, min(shares), max(shares), mine, peer, bar)
    finally:
        for worker in workers.values():
            worker.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a turn")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--worker", choices=("torch", "numpy", "numba"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        answer_requests(options.worker)
        return
    print(f"{'':30}{'route':8}{'ratio':>6} {'rounds':>13}{'ours':>11}{'PyTorch':>11}{'bar':>6}")
    for row in measure_rows(rounds=options.rounds, seconds=options.seconds, only=options.only):
        spread = f"{row.low:.2f} … {row.high:.2f}"
        times = f"{row.seconds * 1e6:8.0f} µs{row.peer_seconds * 1e6:8.0f} µs"
        print(
            f"{row.name:30}{row.route:8}{row.ratio:6.2f} {spread:>13}{times}{row.bar:6.2f}"
            + " ✗" * (row.ratio > row.bar),
            flush=True,
        )


if __name__ == "__main__":
    main()
