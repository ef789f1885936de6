"""Experiment 13: the swinging test accuracy of experiment 1, and what steadies it: statistics that are measured anew.

LeNet as in experiment 1 (SGD at 1.0, batches of 256). After each epoch the test accuracy is taken with the running
statistics, and with those that `update_bn` measures with the weights as they are now, on 5,000 of the training images.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
from report import BLUE, ORANGE, Report, images, main, panels, table

from tinygraph.data import DataLoader
from tinygraph.nets import RECIPES
from tinygraph.optim.swa_utils import update_bn
from tinygraph.training import Training, evaluate


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train, and evaluate both ways after each epoch."""
    train, test = images(data, 2048 if short else None)
    test = tuple(array[: 1000 if short else None] for array in test)
    recipe = RECIPES["lenet"]
    net = recipe.build(train[0].shape[1:], 10, "batch", True, seed=0)
    transform = recipe.prepare(train[0])
    loader = DataLoader(train, recipe.batch, shuffle=True, seed=0, transform=transform)
    held = DataLoader(test, 1000, transform=transform)
    some = tuple(array[: 1000 if short else 5000] for array in train)
    training = Training(net, recipe.optimizer(net.parameters(), recipe.lr), loader)
    running, anew = [], []
    for _ in training.steps(2 if short else 10):
        if training.batch == 0:
            running.append(evaluate(net, held, training.criterion)[1])
            measured = copy.deepcopy(net)
            update_bn(DataLoader(some, 500, transform=transform), measured)
            anew.append(evaluate(measured, held, training.criterion)[1])
    found = {"running statistics": np.array(running), "measured anew": np.array(anew)}
    figure, axes = panels(1, 1, (5, 3))
    epochs = np.arange(1, len(running) + 1)
    for (name, values), color, style in zip(found.items(), (ORANGE, BLUE), ("s--", "o-"), strict=True):
        axes[0, 0].plot(epochs, values, style, color=color, markersize=3, label=name)
    axes[0, 0].set(xlabel="epoch", title="test accuracy of LeNet")
    axes[0, 0].legend(loc="lower right")
    rows = []
    for name, values in found.items():
        falls = np.maximum(values[:-1] - values[1:], 0)
        rows.append((name, f"{values[-1]:.4f}", f"{values.min():.4f}", f"{falls.max():.4f}", f"{falls.sum():.4f}"))
    head = "statistics", "test accuracy at the end", "lowest", "greatest fall", "all falls"
    return Report(table(head, rows), figure, found)


if __name__ == "__main__":
    main(13, run)
