"""Experiment 6: the gradient check of a whole net with batch norm, with regularization 0 and 3.14.

As in CS231n: 15 inputs, hidden layers of 20 and 30, 10 classes, weights from N(0, 0.05²), float64, and reg/2 · Σ W²
over the weights alone. The inputs are 15 pixels of Fashion-MNIST. The text's batch has two examples; one of 50 is
beside it, since two values less their mean, over their deviation, are ±1 whatever they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from by_hand import relative_error
from report import Report, images, main, table

import tinygraph as tg
from tinygraph import nn
from tinygraph.nets import fully_connected

REGULARIZATIONS = (0.0, 3.14)


def pixels(data: Path | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the 15 pixels that vary most, of n images, with mean 0 and deviation 1 over the set; and the labels."""
    (x, labels), _ = images(data, 1000)
    x = x.reshape(len(x), -1).astype(np.float64)
    x = x[:, np.sort(np.argsort(x.std(0))[-15:])]
    return ((x - x.mean(0)) / x.std(0))[:n], labels[:n]


def loss_of(net: nn.Module, x: np.ndarray, labels: np.ndarray, reg: float) -> tg.Tensor:
    """Return cross entropy and, over the weights alone, the penalty."""
    weights = [p for p in net.parameters() if p.ndim == 2]
    penalty = sum(((w * w).sum() for w in weights[1:]), (weights[0] * weights[0]).sum())
    return nn.CrossEntropyLoss()(net(x), labels) + 0.5 * reg * penalty


def check_parameters(
    n: int, reg: float, widths: tuple[int, int], data: Path | None, h: float = 1e-6
) -> dict[str, tuple[float, float, float]]:
    """Return for each parameter the greatest relative and absolute error, and its largest gradient."""
    x, labels = pixels(data, n)
    net = fully_connected((15, *widths, 10), weight_scale=5e-2, seed=0).to(np.float64)
    names, parameters = zip(*net.named_parameters(), strict=True)
    grads = tg.grad(loss_of(net, x, labels, reg), parameters)
    found = {}
    with tg.no_grad():
        for name, p, g in zip(names, parameters, grads, strict=True):
            numeric = np.empty_like(g)
            for i in np.ndindex(p.shape):
                kept, sides = p.data, []
                for step in (h, -h):
                    p.data = kept.copy()
                    p.data[i] += step
                    sides.append(loss_of(net, x, labels, reg).item())
                p.data = kept
                numeric[i] = (sides[0] - sides[1]) / (2 * h)
            found[name] = relative_error(g, numeric), float(abs(g - numeric).max()), float(abs(g).max())
    return found


def run(short: bool = False, data: Path | None = None) -> Report:
    """Check each parameter of the net at both batch sizes, with both regularizations."""
    batches, widths = ((2,), (7, 8)) if short else ((2, 50), (20, 30))
    found = {(n, reg): check_parameters(n, reg, widths, data) for n in batches for reg in REGULARIZATIONS}
    rows = []
    for name in next(iter(found.values())):
        row = [f"`{name.replace('.norm.weight', ' γ').replace('.norm.bias', ' β').replace('.linear', '')}`"]
        for results in found.values():
            relative, absolute, size = results[name]
            row.append(f"{relative:.0e} of {size:.0e}" if size > 1e-9 else f"0 ± {absolute:.0e}")
        rows.append(row)
    head = ["parameter", *(f"batch {n}, reg {reg:g}" for n, reg in found)]
    return Report(table(head, rows), None, found)


if __name__ == "__main__":
    main(6, run)
