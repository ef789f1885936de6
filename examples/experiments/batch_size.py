"""Experiment 4: batch norm and layer norm against the batch size: 5, 10 and 50.

As in CS231n: six linear layers (5 × 100), 1,000 examples, Adam at 10^-3.5, 10 epochs; the net without a
normalization has batches of 5. Full form: three seeds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from report import BLUE, GRAY, GREEN, ORANGE, Report, band, images, main, panels, table
from six_layers import HIDDEN, split, train_net

from tinygraph import nn

SIZES = {5: (BLUE, "-"), 10: (GREEN, "-."), 50: (ORANGE, "--")}
NORMS = {"batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm}


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train a net of each kind at each size."""
    sets = split(images(data)[0], 200 if short else 1000)
    seeds, epochs = range(1 if short else 3), 2 if short else 10
    train = lambda norm, size: [
        train_net(sets, HIDDEN, norm, seed=seed, lr=10**-3.5, batch=size, epochs=epochs) for seed in seeds
    ]
    runs = {("none", 5): train(None, 5)}
    runs |= {(name, size): train(norm, size) for name, norm in NORMS.items() for size in SIZES}
    figure, axes = panels(2, 2, (8, 5.5), sharex=True, sharey="row")
    epoch = np.arange(1, epochs + 1)
    for column, name in enumerate(NORMS):
        for row, what in enumerate(("train", "validation")):
            axis = axes[row, column]
            values = [getattr(r, what) for r in runs["none", 5]]
            band(axis, epoch, values, color=GRAY, linestyle=":", label="no norm, batch 5")
            for size, (color, style) in SIZES.items():
                values = [getattr(r, what) for r in runs[name, size]]
                band(axis, epoch, values, color=color, linestyle=style, label=f"batch {size}")
            axis.set(title=f"{name}: {'training' if row == 0 else 'validation'} accuracy")
            if row:
                axis.set_xlabel("epoch")
    axes[0, 0].legend()
    last = lambda key, what: f"{np.mean([getattr(r, what)[-1] for r in runs[key]]):.3f}"
    rows = [(*key, last(key, "train"), last(key, "validation")) for key in runs]
    return Report(table(("norm", "batch", "training accuracy", "validation accuracy"), rows), figure, runs)


if __name__ == "__main__":
    main(4, run)
