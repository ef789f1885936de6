"""Experiment 9: which learning rates a net bears, with and without batch norm.

The six-layer net, SGD, batches of 50, 1,000 examples, 10 epochs, rates from 1e-4 to 10. A run whose loss is no number
any more, or a thousand times the first, is over: its accuracy is that of chance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from report import BLUE, ORANGE, Report, images, main, panels, table
from six_layers import HIDDEN, split

from tinygraph import nn, optim
from tinygraph.data import DataLoader
from tinygraph.nets import centred, fully_connected
from tinygraph.training import NotFinite, RunsAway, Training, evaluate


def accuracy_at(sets: tuple[tuple, tuple], norm: type[nn.Module] | None, lr: float, epochs: int, seed: int) -> float:
    """Train a net at a learning rate; return the validation accuracy, or chance if the run broke off."""
    train, held = sets
    net = fully_connected((int(np.prod(train[0].shape[1:])), *HIDDEN, 10), norm, None, seed)
    transform = centred(train[0])
    scaled = lambda x, labels, generator=None: (transform(x, labels)[0] * np.float32(1 / 64), labels)
    loader = DataLoader(train, 50, shuffle=True, seed=seed, transform=scaled)
    training = Training(net, optim.SGD(net.parameters(), lr), loader, runaway=1000)
    try:
        with np.errstate(all="ignore"):
            for _ in training.steps(epochs):
                pass
            accuracy = evaluate(net, DataLoader(held, 1000, transform=scaled), training.criterion)[1]
    except (NotFinite, RunsAway):
        return 0.1
    return accuracy


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train at each rate, from several seeds."""
    sets = split(images(data)[0], 500 if short else 1000)
    rates = np.array([1e-3, 0.1, 10.0]) if short else np.logspace(-4, 1, 16)
    seeds, epochs = range(1 if short else 3), 2 if short else 10
    found = {
        name: np.array([[accuracy_at(sets, norm, float(lr), epochs, seed) for lr in rates] for seed in seeds])
        for name, norm in (("with batch norm", nn.BatchNorm1d), ("without", None))
    }
    figure, axes = panels(1, 1, (5, 3))
    for (name, values), color, style in zip(found.items(), (BLUE, ORANGE), ("o-", "s--"), strict=True):
        axes[0, 0].semilogx(rates, values.mean(0), style, color=color, markersize=3, label=name)
        axes[0, 0].fill_between(rates, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)
    axes[0, 0].set(xlabel="learning rate", title="validation accuracy after ten epochs", ylim=(0, 1))
    axes[0, 0].legend(loc="lower center")
    shown = range(len(rates)) if short else range(0, len(rates), 3)
    means = {name: values.mean(0) for name, values in found.items()}
    rows = [(f"{rates[k]:.1e}", *(f"{means[name][k]:.3f}" for name in found)) for k in shown]
    return Report(table(("learning rate", *found), rows), figure, {"rates": rates, **found})


if __name__ == "__main__":
    main(9, run)
