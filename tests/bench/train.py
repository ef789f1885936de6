"""Time training steps of nets and of single convolutions against PyTorch's on two threads.

Each library works in a process of its own, and they take turns. The figure is the median over turns of our time
divided by PyTorch's in the same turn.

    PYTHONPATH=. python tests/bench/train.py [--work lenet resnet18 …] [--rounds 15] [--profile]
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
from typing import Any, NamedTuple

THREADS = "2"
ROUTES = {"numpy": "fused, NumPy", "numba": "fused, Numba", "composed": "from primitives"}


class Work(NamedTuple):
    """What is timed: the shape of x, the net, and the ratios that the routes must not exceed."""

    title: str
    shape: tuple[int, ...]
    net: Callable[..., Any]  # of a library's nn, the library, and the options of its batch norms
    must: dict[str, float | None]


def of_one(layer: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a net of one layer that has no batch norm."""
    return lambda nn, library, **options: layer(nn)


def lenet(nn: Any, library: Any, **options: Any) -> Any:
    """Return LeNet with batch norm, in either library."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6, **options), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16, **options), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(256, 120), nn.BatchNorm1d(120, **options), nn.Sigmoid(),
        nn.Linear(120, 84), nn.BatchNorm1d(84, **options), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip


def resnet18(nn: Any, library: Any, **options: Any) -> Any:
    """Return ResNet-18 for ten classes, in either library."""
    from tests.nn.residual import residual_net

    return residual_net(nn, library, width=64)


CONVOLUTION = {"numpy": 2.0, "numba": 2.0}
WORKS = {
    "lenet": Work("LeNet, 256", (256, 1, 28, 28), lenet, {"numpy": 1.8, "numba": 1.3, "composed": None}),
    "resnet18": Work("ResNet-18, 8×3×64×64", (8, 3, 64, 64), resnet18, {"numpy": 1.8, "numba": 1.6}),
    "k3_64": Work("64→64 k3, 8×16²", (8, 64, 16, 16), of_one(lambda nn: nn.Conv2d(64, 64, 3, 1, 1)), CONVOLUTION),
    "k3_256": Work("256→256 k3, 8×4²", (8, 256, 4, 4), of_one(lambda nn: nn.Conv2d(256, 256, 3, 1, 1)), CONVOLUTION),
    "k1_256": Work("64→256 k1, 8×16²", (8, 64, 16, 16), of_one(lambda nn: nn.Conv2d(64, 256, 1)), CONVOLUTION),
}


def stepper(library: str, work: Work) -> Callable[[], Any]:
    """Return a training step; of a single layer both its passes, with the gradient in x."""
    import numpy as np

    rng = np.random.default_rng(0)
    x, labels = rng.random(work.shape, np.float32), rng.integers(0, 10, work.shape[0])
    if library == "torch":
        import torch
        from torch import nn

        torch.set_num_threads(int(THREADS))
        net = work.net(nn, torch)
        optimizer: Any = torch.optim.SGD(net.parameters(), lr=0.01)
        tensor, labels = torch.tensor, torch.tensor(labels)
    else:
        import tinygraph
        from tinygraph import nn, optim

        net = work.net(nn, tinygraph, fused=library != "composed")
        optimizer = optim.SGD(net.parameters(), lr=0.01)
        tensor = tinygraph.tensor
    criterion = nn.CrossEntropyLoss()
    is_layer = net(tensor(x)).ndim > 2
    x = tensor(x, requires_grad=is_layer)
    g = rng.random(tuple(net(x).shape), np.float32)
    g = tensor(g) if library == "torch" else g

    def step_layer() -> None:
        x.grad = None
        optimizer.zero_grad()
        net(x).backward(g)

    def step() -> None:
        loss = criterion(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step_layer if is_layer else step


def serve(library: str, work: Work) -> None:
    """Answer each number of seconds on stdin with the median time of a step over so long."""
    step = stepper(library, work)
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

    def __init__(self, library: str, work: str) -> None:
        limits = {f"{name}_NUM_THREADS": THREADS for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        route = {"TINYGRAPH_FUSED": "numpy" if library == "composed" else library} if library in ROUTES else {}
        command = [sys.executable, __file__, "--worker", library, "--work", work]
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


def profiled(work: Work) -> None:
    """Print where the time of ten steps goes."""
    import tinygraph as tg

    step = stepper("fused", work)
    for _ in range(5):
        step()
    with tg.profile() as found:
        for _ in range(10):
            step()
    print(found)


def measure(name: str, rounds: int, seconds: float) -> None:
    """Print a line for each route of a work."""
    work = WORKS[name]
    workers = {library: Worker(library, name) for library in ("torch", *work.must)}
    try:
        turns = [{k: w.time(seconds) for k, w in workers.items()} for _ in range(rounds)]
    finally:
        for worker in workers.values():
            worker.close()
    for route, must in work.must.items():
        low, ratio, high = statistics.quantiles([t[route] / t["torch"] for t in turns], n=4)
        ours, theirs = (statistics.median(t[k] for t in turns) * 1e3 for k in (route, "torch"))
        verdict = f"≤ {must}{'' if ratio <= must else ' ✗'}" if must else ""
        spread = f"{low:.2f} … {high:.2f}"
        times = f"{ours:7.1f} ms{theirs:7.1f} ms{ratio:7.2f}"
        print(f"{work.title:22}{ROUTES[route]:16}{times}  {spread:13} {verdict}", flush=True)


def main() -> None:
    """Measure, and print a line for each work and route."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=WORKS, default=["lenet"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    parser.add_argument("--worker", choices=("torch", *ROUTES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return serve(options.worker, WORKS[options.work[0]])
    if options.profile:
        return profiled(WORKS[options.work[0]])
    print(f"{'step':22}{'route':16}{'ours':>10}{'PyTorch':>10}{'ratio':>7}  quartiles     must")
    for name in options.work:
        measure(name, options.rounds, options.seconds)
    return None


if __name__ == "__main__":
    main()
