"""Experiment 5: the backward pass of batch norm four ways: line by line, in closed form, by the graph, by the fused op.

The texts' exercise: check the gradients against differences (relative error 1e-8 or less) and the two by hand
against each other (1e-12 or less), and see how much faster the closed form is. The batch is Fashion-MNIST behind a
random first layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from report import Report, images, main, table

import tinygraph as tg

EPS = 1e-5
Arrays = tuple[np.ndarray, ...]


def closed_form(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray) -> Arrays:
    """Simplify the steps on paper: dx = γ/σ (dy - mean dy - x̂ mean(dy x̂))."""
    sigma = np.sqrt(x.var(0) + EPS)
    x_hat = (x - x.mean(0)) / sigma
    dbeta, dgamma = dy.sum(0), (dy * x_hat).sum(0)
    return gamma / sigma * (dy - (dbeta + x_hat * dgamma) / len(x)), dgamma, dbeta


def stepwise(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray) -> Arrays:
    """Go a node a line, as the exercise asks at first."""
    steps = tg.batch_norm_stepwise(x, gamma, beta, dy, eps=EPS)
    return steps["dx"], steps["dgamma"], steps["dbeta"]


def graph(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray) -> Arrays:
    """Compose the forward pass from primitives; the graph has the backward pass."""
    inputs = [tg.Tensor(a) for a in (x, gamma, beta)]
    return tg.grad(tg.batch_norm(*inputs, eps=EPS), inputs, dy)


def fused(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray) -> Arrays:
    """Do the same by one kernel each way."""
    inputs = [tg.Tensor(a) for a in (x, gamma, beta)]
    return tg.grad(tg.fused.batch_norm(*inputs, eps=EPS), inputs, dy)


ROUTES: dict[str, Callable[..., Arrays]] = {
    "by hand, line by line": stepwise,
    "by hand, closed form": closed_form,
    "graph of primitives": graph,
    "fused op": fused,
}


def differences(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray, h: float = 1e-5) -> Arrays:
    """Return the gradients by central differences of the values."""
    inputs = [x.copy(), gamma.copy(), beta.copy()]
    grads = []
    for a in inputs:
        grads.append(np.empty_like(a))
        for i in np.ndindex(a.shape):
            old, sides = a[i], []
            for step in (h, -h):
                a[i] = old + step
                sides.append(tg.batch_norm(*inputs, eps=EPS))
            a[i] = old
            grads[-1][i] = ((sides[0] - sides[1]) * dy).sum() / (2 * h)
    return tuple(grads)


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the greatest relative error of any element, as the texts define it."""
    return float((abs(a - b) / np.maximum(1e-8, abs(a) + abs(b))).max())


def activations(data: Path | None, n: int, d: int) -> Arrays:
    """Return a batch behind a random layer, γ, β and an upstream gradient."""
    rng = np.random.default_rng(0)
    pixels = images(data, n)[0][0].reshape(n, -1) / 255
    x = pixels @ rng.standard_normal((pixels.shape[1], d)) / np.sqrt(pixels.shape[1])
    return x, rng.standard_normal(d), rng.standard_normal(d), rng.standard_normal((n, d))


def median_time(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def run(short: bool = False, data: Path | None = None) -> Report:
    """Compare all four with differences on a small batch, with each other on a large one, and time them."""
    small, large = activations(data, 4, 5), activations(data, 100, 500)
    numeric, first = differences(*small), stepwise(*large)
    repeats = 20 if short else 2000
    times = {name: median_time(lambda way=way: way(*large), repeats) for name, way in ROUTES.items()}
    rows, found = [], {}
    for name, way in ROUTES.items():
        against = [relative_error(a, b) for a, b in zip(way(*small), numeric, strict=True)]
        other = max(relative_error(a, b) for a, b in zip(way(*large), first, strict=True))
        faster = times["by hand, line by line"] / times[name]
        found[name] = {"numeric": max(against), "other": other, "faster": faster}
        rows.append(
            (name, *(f"{e:.1e}" for e in against), f"{other:.1e}", f"{times[name] * 1e6:.0f} µs", f"{faster:.2f}×")
        )
    head = ("forward and backward", "dx", "dγ", "dβ", "against line by line", "time (100 × 500)", "faster by")
    return Report(table(head, rows), None, found)


if __name__ == "__main__":
    main(5, run)
