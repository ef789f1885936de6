"""Experiment 3: batch norm against the scale of the first weights: eight linear layers (7 × 50), 20 scales, 1e-4 … 1.

As in CS231n: 1,000 examples, Adam at 1e-3, batches of 50, 10 epochs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from report import BLUE, ORANGE, Report, images, main, panels, table
from six_layers import split, train_net

from tinygraph import nn

HIDDEN = [50] * 7


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train two nets at each scale."""
    sets = split(images(data)[0], 500 if short else 1000)
    scales = np.logspace(-4, 0, 3 if short else 20)
    figures: dict[str, np.ndarray] = {}
    for name, norm in (("with", nn.BatchNorm1d), ("without", None)):
        runs = [train_net(sets, HIDDEN, norm, weight_scale=float(s), epochs=2 if short else 10) for s in scales]
        figures[name] = np.array([(max(r.validation), max(r.train), np.mean(r.loss[-100:])) for r in runs])
    figure, axes = panels(1, 3, (9, 3))
    for name, color, style in (("with", BLUE, "o-"), ("without", ORANGE, "s--")):
        for i, axis in enumerate(axes[0]):
            axis.semilogx(scales, figures[name][:, i], style, color=color, markersize=3, label=f"{name} batch norm")
    titles = "best validation accuracy", "best training accuracy", "final loss (mean of 100 steps)"
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set(title=title, xlabel="weight scale")
    axes[0, 2].set_ylim(0, 3.5)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    shown = range(len(scales)) if short else range(0, len(scales), 2)
    rows = []
    for k in (*shown, *([] if len(scales) - 1 in shown else [len(scales) - 1])):
        pairs = [f"{figures['with'][k, i]:.3f} / {write_number(figures['without'][k, i])}" for i in range(3)]
        rows.append((f"{scales[k]:.1e}", *pairs))
    head = (
        "weight scale",
        "best validation, with / without",
        "best training, with / without",
        "final loss, with / without",
    )
    return Report(table(head, rows), figure, {"scales": scales, **figures})


def write_number(x: float) -> str:
    """Write a figure that may be very large."""
    return f"{x:.3f}" if x < 100 else f"{x:.1e}"


if __name__ == "__main__":
    main(3, run)
