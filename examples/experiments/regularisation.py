"""Experiment 10: batch norm, dropout and an L2 penalty against overfitting, alone and together.

The six-layer net, Adam at 1e-3, batches of 50, 1,000 examples, 30 epochs: enough to learn the training set by heart.
Dropout leaves out half of each hidden layer; the L2 penalty is on weights alone.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from report import BLUE, GRAY, GREEN, ORANGE, Report, band, images, main, panels, table
from six_layers import HIDDEN, net_of, split, train_net

from tinygraph import nn, optim

L2 = 3e-3  # of the gradient of a weight that is 1
WAYS = {  # batch norm, dropout, L2
    "nothing": (False, 0.0, 0.0),
    "L2": (False, 0.0, L2),
    "dropout": (False, 0.5, 0.0),
    "batch norm": (True, 0.0, 0.0),
    "batch norm, L2": (True, 0.0, L2),
    "batch norm, dropout": (True, 0.5, 0.0),
    "batch norm, dropout, L2": (True, 0.5, L2),
}


def build(train: tuple, norm: bool, dropout: float, seed: int) -> nn.Sequential:
    """Return the net, with dropout after each hidden layer."""
    net = net_of(train, HIDDEN, nn.BatchNorm1d if norm else None, seed)
    for k in range(len(HIDDEN) if dropout else 0):
        getattr(net, f"block{k + 1}").drop = nn.Dropout(dropout)
    return nn.init.manual_seed(net, seed) if dropout else net


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train each way, from several seeds."""
    sets = split(images(data)[0], 300 if short else 1000)
    seeds, epochs = range(1 if short else 3), 3 if short else 30
    found = {}
    for name, (norm, dropout, penalty) in WAYS.items():
        nets = [build(sets[0], norm, dropout, seed) for seed in seeds]
        adams = [partial(decayed, net, penalty) for net in nets]
        found[name] = [
            train_net(sets, HIDDEN, None, net=net, optimizer=adam, seed=seed, epochs=epochs)
            for net, adam, seed in zip(nets, adams, seeds, strict=True)
        ]
    figure, axes = panels(1, 2, (9, 3), sharey=True)
    shown = (("nothing", ORANGE), ("dropout", GRAY), ("batch norm", BLUE), ("batch norm, dropout", GREEN))
    for axis, what in zip(axes[0], ("train", "validation"), strict=True):
        for name, color in shown:
            values = np.array([getattr(c, what) for c in found[name]])
            band(axis, np.arange(1, epochs + 1), values, color=color, label=name)
        axis.set(title=f"{'training' if what == 'train' else what} accuracy", xlabel="epoch")
    axes[0, 1].legend()
    rows = []
    for name, runs in found.items():
        train, held = (np.array([getattr(r, what)[-1] for r in runs]) for what in ("train", "validation"))
        spread = f"{held.mean():.3f} ({held.min():.3f}–{held.max():.3f})"
        rows.append((name, f"{train.mean():.3f}", spread, f"{(train - held).mean():.3f}"))
    return Report(table(("with", "training accuracy", "validation accuracy", "gap"), rows), figure, found)


def decayed(net: nn.Module, penalty: float, parameters: object, lr: float) -> optim.Optimizer:
    """Return Adam with an L2 penalty on the weights of a net."""
    return optim.Adam(optim.decay_weights_only(net.named_parameters(), penalty), lr)


if __name__ == "__main__":
    main(10, run)
