"""``tinygraph eval``: what a trained net gets right and wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinygraph.cli.run_files import CLASSES, load_run, write_outcomes
from tinygraph.engine.errors import clean

if TYPE_CHECKING:
    from tinygraph.engine.types import Array
    from tinygraph.train.records import Outcome

HELP = "evaluate a trained net: accuracy, confusion matrix, worst examples"
DESCRIPTION = """\
Evaluate the net of a run of `tinygraph train` on the test set of its data: mean loss, accuracy, how often each class
was taken for each, and the examples with the greatest loss."""
EXAMPLES = """\
  tinygraph eval runs/mlp                the last state of a run
  tinygraph eval runs/mlp/best.npz       the epoch with the best test accuracy
  tinygraph eval runs/lenet --set train  the examples that it was trained on
  tinygraph eval runs/mlp -o wrong       confusion.csv, worst.csv in a folder
"""
SHOWN = 5  # of the worst examples


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", type=Path, help="a checkpoint of `tinygraph train`, or its folder")
    add("--data", metavar="WHERE", help="digits, or a folder with images (default: what the net was trained on)")
    add("--set", choices=("test", "train"), default="test", help="which examples (default test)")
    add("-o", "--out", type=Path, metavar="DIR", help="folder for confusion.csv and worst.csv")


def run(options: argparse.Namespace) -> int:
    """Evaluate a net; return the exit status.

    Raises:
        UsageError: there is no such checkpoint, or its data are not there.
    """
    from tinygraph.train.datasets import DataLoader
    from tinygraph.train.records import confusion_of, outcomes

    found = load_run(options.checkpoint, options.data)
    images, labels = found.test if options.set == "test" else found.train
    batches = DataLoader((images, labels), 1000, transform=found.transform)
    rows = outcomes(found.net, batches)
    right = np.mean([o.label == o.predicted for o in rows])
    print(f"{len(rows):,} examples  loss {np.mean([o.loss for o in rows]):.4f}  accuracy {right:.4f}\n")
    print(confusion_text(confusion_of(rows, CLASSES)))
    print(worst_text(rows))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        for path in write_outcomes(rows, options.out):
            print(clean(f"wrote {path}"))
    return 0


def confusion_text(table: Array) -> str:
    """Write a confusion matrix: a row a class, a column what it was taken for."""
    width = max(len(str(table.max())), 2)
    head = "  ".join(f"{c:>{width}}" for c in range(len(table)))
    lines = ["label  taken for", f"       {head}"]
    for label, row in enumerate(table.tolist()):
        lines.append(f"{label:>5}  " + "  ".join(f"{n or '.':>{width}}" for n in row))
    return "\n".join(lines) + "\n"


def worst_text(rows: Sequence[Outcome]) -> str:
    """Write the examples with the greatest loss."""
    worst = sorted(rows, key=lambda o: -o.loss)[:SHOWN]
    says = [f"  example {o.example}: {o.label} taken for {o.predicted}, loss {o.loss:.2f}" for o in worst]
    return "\n".join(["the worst:", *says])
