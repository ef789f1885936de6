"""Draw the course of a training: loss and accuracy by epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tinygraph.drawing.style.palette import LIGHT
from tinygraph.engine.lazy_import import install_hint
from tinygraph.graph.files import whole_file
from tinygraph.train.loop import Epoch

__all__ = ["curves"]


def curves(history: Sequence[Epoch], path: str | os.PathLike[str], title: str = "") -> None:
    """Draw loss and accuracy over epochs.

    Args:
        history: one `Epoch` each, as `Training.history` has them.
        path: the file to write; its ending picks the format, such as ``.svg`` or ``.png``.
        title: stands above the picture.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed; the message says how to install it.

    >>> curves(run.history, "curves.svg", "LeNet")  # doctest: +SKIP
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"curves need Matplotlib: {install_hint('plot')}") from None
    figure = Figure(figsize=(8, 3), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [getattr(e, what) for e in history], "o-", color=LIGHT["value"], label="training")
        if history and history[0].test_loss is not None:
            tested = [getattr(e, f"test_{what}") for e in history]
            axes.plot(epochs, tested, "s--", color=LIGHT["grad"], label="test")
        axes.set(xlabel="epoch", title=what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.suptitle(title)
    with whole_file(path) as file:
        figure.savefig(file, format=os.path.splitext(path)[1].lstrip(".") or None)
