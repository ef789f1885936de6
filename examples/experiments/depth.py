"""Experiment 8: how large gradients are, layer by layer, in a net of ten layers, with and without batch norm.

Ten hidden layers of 100 with a sigmoid each, Xavier's weights, as LeNet has them; a batch of 256. Sizes are root mean
squares of the gradient of the summed loss in the output of each linear layer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from report import BLUE, ORANGE, Report, images, main, panels, table

from tinygraph import nn, optim
from tinygraph.data import DataLoader
from tinygraph.nets import scaled
from tinygraph.training import Training, layer_sizes

DEPTH = 10


def build(pixels: int, norm: bool, sigmoid: bool, seed: int = 0) -> nn.Sequential:
    """Return a deep net."""
    layers: list[nn.Module] = [nn.Flatten()]
    for k in range(DEPTH):
        layers += [nn.Linear(pixels if k == 0 else 100, 100)]
        layers += [nn.BatchNorm1d(100)] * norm + [nn.Sigmoid() if sigmoid else nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(100, 10))
    generator = np.random.default_rng(seed)
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)
    return net


def sizes(run: Training) -> np.ndarray:
    """Return the size of the gradient in the output of each linear layer."""
    names = {name for name, module in run.net.named_modules() if isinstance(module, nn.Linear)}
    return np.array([size.gradient for size in layer_sizes(run) if size.layer in names])


def run(short: bool = False, data: Path | None = None) -> Report:
    """Measure at the start, and after an epoch."""
    train, _ = images(data, 1024 if short else 10_000)
    figure, axes = panels(1, 2, (9, 3), sharey=True)
    rows, found = [], {}
    for axis, sigmoid in zip(axes[0], (True, False), strict=True):
        for norm, color in ((True, BLUE), (False, ORANGE)):
            net = build(int(np.prod(train[0].shape[1:])), norm, sigmoid)
            loader = DataLoader(train, 256, shuffle=True, seed=0, transform=scaled(None))
            training = Training(net, optim.SGD(net.parameters(), 0.1), loader)
            name = f"{'sigmoid' if sigmoid else 'ReLU'}, {'with batch norm' if norm else 'without'}"
            before = sizes(training)
            for _ in training.steps(1):
                pass
            after = sizes(training)
            layers = np.arange(1, len(before) + 1)
            label = "with batch norm" if norm else "without"
            axis.semilogy(layers, before, "o-", color=color, markersize=3, label=f"{label}, at the start")
            axis.semilogy(layers, after, "s:", color=color, markersize=3, label=f"{label}, after an epoch")
            ratio = before[0] / before[-1]
            rows.append((name, f"{before[0]:.1e}", f"{before[-1]:.1e}", f"{ratio:.1e}", f"{training.accuracy:.3f}"))
            found[name] = {"before": before, "after": after, "accuracy": training.accuracy}
        axis.set(title="sigmoid" if sigmoid else "ReLU", xlabel="layer (the last is the output)")
    axes[0, 0].set_ylabel("size of the gradient")
    axes[0, 1].legend()
    head = "net of eleven layers", "gradient in the first", "in the last", "first ÷ last", "accuracy of the first epoch"
    return Report(table(head, rows), figure, found)


if __name__ == "__main__":
    main(8, run)
