"""Experiment 2: a net of six linear layers (5 × 100) with and without batch norm, on 1,000 examples.

As in CS231n: weights from N(0, 0.02²), Adam at 1e-3, batches of 50, 10 epochs, pixels 0 … 255 less the mean image.
The validation set is the last 1,000 training images. Full form: five seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from report import BLUE, ORANGE, Report, band, images, main, panels, table

from tinygraph import nn, optim
from tinygraph.data import DataLoader
from tinygraph.nets import centred, fully_connected
from tinygraph.training import Training, evaluate

HIDDEN = [100] * 5


class Curves(NamedTuple):
    """What a run came to: the loss of each step; the accuracies after each epoch, in evaluation."""

    loss: list[float]
    train: list[float]
    validation: list[float]


def split(train: tuple, examples: int) -> tuple[tuple, tuple]:
    """Return the first examples to train on, and the last 1,000 to validate."""
    return tuple(array[:examples] for array in train), tuple(array[-1000:] for array in train)


def net_of(train: tuple, hidden: list[int], norm: Callable[[int], nn.Module] | None, seed: int = 0) -> nn.Sequential:
    """Return a fully connected net for these images."""
    return fully_connected((int(np.prod(train[0].shape[1:])), *hidden, 10), norm, 2e-2, seed)


def train_net(
    sets: tuple[tuple, tuple], hidden: list[int], norm: Callable[[int], nn.Module] | None, *, seed: int = 0,
    weight_scale: float = 2e-2, lr: float = 1e-3, batch: int = 50, epochs: int = 10, net: nn.Module | None = None,
    optimizer: Callable[..., optim.Optimizer] = optim.Adam, transform: Callable | None = None,
) -> Curves:  # fmt: skip
    """Train a fully connected net, or the one that is given, on the first of two sets, and validate on the second."""
    train, held = sets
    net = net or fully_connected((int(np.prod(train[0].shape[1:])), *hidden, 10), norm, weight_scale, seed)
    transform = transform or centred(train[0])
    training = Training(
        net, optimizer(net.parameters(), lr), DataLoader(train, batch, shuffle=True, seed=seed, transform=transform)
    )
    loss: list[float] = []
    accuracies: list[tuple[float, ...]] = []
    loaders = [DataLoader(part, 1000, transform=transform) for part in (train, held)]
    for value in training.steps(epochs):
        loss.append(value)
        if training.batch == 0:
            accuracies.append(tuple(evaluate(net, loader, training.criterion)[1] for loader in loaders))
    return Curves(loss, *(list(column) for column in zip(*accuracies, strict=True)))


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train both from several seeds."""
    sets = split(images(data)[0], 500 if short else 1000)
    seeds, epochs = range(1 if short else 5), 3 if short else 10
    runs = {
        name: [train_net(sets, HIDDEN, norm, seed=seed, epochs=epochs) for seed in seeds]
        for name, norm in (("with batch norm", nn.BatchNorm1d), ("without", None))
    }
    figure, axes = panels(1, 3, (9, 3))
    for (name, curves), color, style in zip(runs.items(), (BLUE, ORANGE), ("-", "--"), strict=True):
        for axis, what in zip(axes[0], Curves._fields, strict=True):
            values = np.array([getattr(c, what) for c in curves])
            band(axis, np.arange(1, values.shape[1] + 1), values, color=color, linestyle=style, label=name)
    for axis, title in zip(axes[0], ("loss of each step", "training accuracy", "validation accuracy"), strict=True):
        axis.set(title=title, xlabel="step" if axis is axes[0, 0] else "epoch")
    axes[0, 0].legend()
    rows = []
    for name, curves in runs.items():
        of = {what: np.array([getattr(c, what) for c in curves]) for what in Curves._fields}
        spread = [
            f"{of[w][:, -1].mean():.3f} ({of[w][:, -1].min():.3f}–{of[w][:, -1].max():.3f})"
            for w in ("train", "validation")
        ]
        first = [f"{of['validation'][:, 0].mean():.3f}", f"{of['loss'][:, -20:].mean():.3f}"]
        rows.append((name, *first, *spread))
    head = "net", "validation after 1 epoch", "loss, last 20 steps", "training accuracy", "validation accuracy"
    return Report(table(head, rows), figure, runs)


if __name__ == "__main__":
    main(2, run)
