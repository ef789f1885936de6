"""Time a training step of LeNet with batch norm (batch 256, SGD) against PyTorch's on two threads.

Each library works in a process of its own, and they take turns. The figure is the median over turns of our time
divided by PyTorch's in the same turn. With Numba, OpenBLAS has one thread: its second one spins between two products,
on the core that our own second thread would work on.

    python tests/bench/train.py [--rounds 15] [--profile]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

THREADS, BATCH = "2", 256
ROUTES = {"numpy": ("fused, NumPy", 1.8), "numba": ("fused, Numba", 1.3), "composed": ("from primitives", None)}


def layers(nn: Any, **options: Any) -> Any:
    """Return the net, in either library."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6, **options), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16, **options), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(256, 120), nn.BatchNorm1d(120, **options), nn.Sigmoid(),
        nn.Linear(120, 84), nn.BatchNorm1d(84, **options), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip


def stepper(library: str) -> Callable[[], Any]:
    """Return a training step."""
    import numpy as np

    rng = np.random.default_rng(0)
    x, labels = rng.random((BATCH, 1, 28, 28), np.float32), rng.integers(0, 10, BATCH)
    if library == "torch":
        import torch
        from torch import nn

        torch.set_num_threads(int(THREADS))
        net = layers(nn)
        optimizer: Any = torch.optim.SGD(net.parameters(), lr=1.0)
        x, labels = torch.tensor(x), torch.tensor(labels)
    else:
        from tinygraph import nn, optim

        net = layers(nn, fused=library != "composed")
        optimizer = optim.SGD(net.parameters(), lr=1.0)
    criterion = nn.CrossEntropyLoss()

    def step() -> float:
        loss = criterion(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def work(library: str) -> None:
    """Answer each number of seconds on stdin with the median time of a step over so long."""
    step = stepper(library)
    for _ in range(10):
        step()
    for line in sys.stdin:
        end, times = time.perf_counter() + float(line), []
        while len(times) < 3 or time.perf_counter() < end:
            started = time.perf_counter()
            step()
            times.append(time.perf_counter() - started)
        print(json.dumps(statistics.median(times)), flush=True)


class Worker:
    """A process that times one library."""

    def __init__(self, library: str) -> None:
        limits = {f"{name}_NUM_THREADS": THREADS for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        route = {"TINYGRAPH_FUSED": "numpy" if library == "composed" else library} if library in ROUTES else {}
        if library == "numba":
            limits["OPENBLAS_NUM_THREADS"] = "1"
        command = [sys.executable, __file__, "--worker", library]
        environment = {**os.environ, **limits, **route}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def time(self, seconds: float) -> float:
        """Return the median time of a step."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def profiled() -> None:
    """Print where the time of ten steps goes."""
    import tinygraph as tg

    step = stepper("fused")
    for _ in range(5):
        step()
    with tg.profile() as found:
        for _ in range(10):
            step()
    print(found)


def main() -> None:
    """Measure, and print a line for each route."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    parser.add_argument("--worker", choices=("torch", *ROUTES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker)
    if options.profile:
        return profiled()
    workers = {library: Worker(library) for library in ("torch", *ROUTES)}
    try:
        turns = [{k: w.time(options.seconds) for k, w in workers.items()} for _ in range(options.rounds)]
    finally:
        for worker in workers.values():
            worker.close()
    print(f"{'step of LeNet, batch 256':26}{'ours':>10}{'PyTorch':>10}{'ratio':>7}  quartiles     must")
    for route, (name, must) in ROUTES.items():
        low, ratio, high = statistics.quantiles([t[route] / t["torch"] for t in turns], n=4)
        ours, theirs = (statistics.median(t[k] for t in turns) * 1e3 for k in (route, "torch"))
        verdict = f"≤ {must}{'' if ratio <= must else ' ✗'}" if must else ""
        print(f"{name:26}{ours:7.1f} ms{theirs:7.1f} ms{ratio:7.2f}  {low:.2f} … {high:.2f}   {verdict}")
    return None


if __name__ == "__main__":
    main()
