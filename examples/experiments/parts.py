"""Experiment 12: which part of batch norm does it: mean, variance, γ and β; in which layers; and the bias before it.

The six-layer net as in experiment 2: 1,000 examples, Adam at 1e-3, batches of 50, 10 epochs, several seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from report import BLUE, GRAY, GREEN, ORANGE, Report, band, images, main, panels, table
from six_layers import HIDDEN, net_of, split, train_net

import tinygraph as tg
from tinygraph import nn


class Lite(nn.Module):
    """Batch norm of which parts can be left out."""

    def __init__(self, features: int, mean: bool = True, variance: bool = True) -> None:
        super().__init__()
        self.mean, self.variance = mean, variance
        self.weight = nn.Parameter(np.ones(features, np.float32))
        self.bias = nn.Parameter(np.zeros(features, np.float32))
        self.register_buffer("running_mean", np.zeros(features, np.float32))
        self.register_buffer("running_var", np.ones(features, np.float32))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        """Take off the mean, divide by the standard deviation, or do one of them."""
        mu, var = self.running_mean, self.running_var
        if self.training:
            mu = tg.mean(x, axis=0)
            var = tg.mean(tg.square(x - mu), axis=0)
            self.running_mean = 0.9 * self.running_mean + 0.1 * mu.data
            self.running_var = 0.9 * self.running_var + 0.1 * var.data
        y = x - mu if self.mean else x
        y = y / tg.sqrt(var + 1e-5) if self.variance else y
        return y * self.weight + self.bias


def only_in(layers: set[int]) -> Callable[[tuple, int], nn.Sequential]:
    """Return a function that makes the net with batch norm in some layers."""

    def build(train: tuple, seed: int) -> nn.Sequential:
        net = net_of(train, HIDDEN, nn.BatchNorm1d, seed)
        for k in set(range(1, len(HIDDEN) + 1)) - layers:
            getattr(net, f"block{k}").norm = nn.Identity()
        return net

    return build


def without_bias(train: tuple, seed: int) -> nn.Sequential:
    """Return the net whose linear layers before a norm have no bias."""
    net = net_of(train, HIDDEN, nn.BatchNorm1d, seed)
    for k in range(1, len(HIDDEN) + 1):
        getattr(net, f"block{k}").linear.bias = None
    return net


def fixed(train: tuple, seed: int) -> nn.Sequential:
    """Return the net with γ = 1 and β = 0 for good."""
    return net_of(train, HIDDEN, lambda features: nn.BatchNorm1d(features, affine=False), seed)


WAYS: dict[str, Callable[[tuple, int], nn.Sequential]] = {
    "batch norm in all five": lambda train, seed: net_of(train, HIDDEN, nn.BatchNorm1d, seed),
    "in none": lambda train, seed: net_of(train, HIDDEN, None, seed),
    "in the first layer alone": only_in({1}),
    "in the last layer alone": only_in({5}),
    "in every other layer": only_in({1, 3, 5}),
    "mean alone": lambda train, seed: net_of(train, HIDDEN, lambda n: Lite(n, variance=False), seed),
    "variance alone": lambda train, seed: net_of(train, HIDDEN, lambda n: Lite(n, mean=False), seed),
    "γ = 1, β = 0": fixed,
    "no bias before it": without_bias,
}


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train each way, from several seeds."""
    sets = split(images(data)[0], 300 if short else 1000)
    seeds, epochs = range(1 if short else 5), 2 if short else 10
    found = {
        name: [train_net(sets, HIDDEN, None, net=build(sets[0], seed), seed=seed, epochs=epochs) for seed in seeds]
        for name, build in WAYS.items()
    }
    figure, axes = panels(1, 2, (9, 3), sharey=True)
    left = ("batch norm in all five", BLUE), ("in the first layer alone", GREEN), ("in none", ORANGE)
    right = ("batch norm in all five", BLUE), ("mean alone", GREEN), ("variance alone", GRAY), ("in none", ORANGE)
    for axis, names, title in zip(axes[0], (left, right), ("in which layers", "which part"), strict=True):
        for name, color in names:
            values = np.array([c.validation for c in found[name]])
            band(axis, np.arange(1, epochs + 1), values, color=color, label=name)
        axis.set(title=f"validation accuracy: {title}", xlabel="epoch")
        axis.legend()
    rows = []
    for name, runs in found.items():
        train, held = (np.array([getattr(r, what) for r in runs]) for what in ("train", "validation"))
        spread = f"{held[:, -1].mean():.3f} ({held[:, -1].min():.3f}–{held[:, -1].max():.3f})"
        rows.append((name, f"{held[:, 0].mean():.3f}", f"{train[:, -1].mean():.3f}", spread))
    head = "batch norm", "validation after 1 epoch", "training accuracy", "validation accuracy"
    return Report(table(head, rows), figure, found)


if __name__ == "__main__":
    main(12, run)
