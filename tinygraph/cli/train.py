"""``tinygraph train``: train a net on real data; it can be stopped at any moment, and go on later."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinygraph.cli.errors import UsageError
from tinygraph.cli.progress import Bar, epoch_line, header
from tinygraph.cli.run_files import (
    BEST,
    CHECKPOINT,
    NAMES,
    NORMS,
    prepare,
    read_checkpoint,
    save,
    write_results,
    write_tables,
)
from tinygraph.engine.errors import clean

if TYPE_CHECKING:
    from tinygraph.train.loop import Training

HELP = "train a net with batch norm on images"
DESCRIPTION = """\
Train a net with batch norm on Fashion-MNIST or other images. Prints one line for each epoch, and writes into a folder:
a checkpoint, the best one, and tables and curves of epochs, steps and layers, with the confusion matrix and the worst
examples at the end. Ctrl-C saves and stops; --resume goes on from there and comes to the same numbers. Exit status 1:
the loss is no number any more, and the message says which op it began in, or it runs away. Exit status 130: Ctrl-C,
143: SIGTERM. `tinygraph eval` and `predict` use the trained net."""
EXAMPLES = """\
  tinygraph train mlp --data digits             small digits: seconds an epoch
  tinygraph train lenet --epochs 3              LeNet on Fashion-MNIST
  tinygraph train lenet --epochs 6 --resume     go on, up to epoch 6
  tinygraph train mlp --norm none --out runs/x  the same net, no batch norm
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("name", metavar="NAME", choices=NAMES, help="lenet; mlp: 5 hidden layers of 100; deep: 7 hidden layers of 50")
    add("--epochs", type=int, metavar="N", help="stop after epoch N (default 10)")
    add("--batch", type=int, metavar="N", help="examples in a batch (default: what the net was published with)")
    add("--lr", type=float, metavar="RATE", help="learning rate (default: what the net was published with)")
    add(
        "--lr-decay", type=float, metavar="FACTOR", help="multiply the learning rate by it after each epoch (default 1)"
    )
    add(
        "--weight-decay",
        type=float,
        metavar="RATE",
        help="L2 penalty on weights alone, not on γ, β or biases (default 0)",
    )
    add("--drop-last", action="store_true", default=None, help="leave out a last batch that is smaller than the others")
    add("--seed", type=int, help="seed of the first weights and of the order of the examples (default 0)")
    add(
        "--data",
        metavar="WHERE",
        help="digits, or a folder with Fashion-MNIST's or CIFAR-10's files (default: Debian's Fashion-MNIST)",
    )
    add(
        "--examples",
        type=int,
        metavar="N",
        help="train on the first N examples alone (default: what the net was published with)",
    )
    add("--norm", choices=NORMS, help="kind of normalization (default batch)")
    add(
        "--primitives",
        action="store_true",
        default=None,
        help="compose batch norm from primitives; slower than the fused op",
    )
    add(
        "--compile",
        action="store_true",
        default=None,
        help="compile the steps whole, optimizer included; the first epoch begins later",
    )
    add("--backend", choices=("numpy", "cupy"), default="numpy", help="where to compute (default numpy)")
    add("--out", type=Path, metavar="DIR", help="folder for the files (default runs/NAME)")
    add(
        "--resume",
        action="store_true",
        help="go on with the run in the folder; options that you leave out are as they were",
    )


def run(options: argparse.Namespace) -> int:
    """Train a net; return the exit status.

    Raises:
        UsageError: an option is out of range, the data are not there, or there is no run to resume.
    """
    from tinygraph.train.interrupts import interruptible

    folder = options.out or Path("runs") / options.name
    state = read_checkpoint(options, folder / CHECKPOINT)
    try:
        with interruptible() as interrupted, np.errstate(all="ignore"):  # `NotFinite` says what overflowed
            training = prepare(options)
            if state:
                training.load_state_dict(state["training"])
            folder.mkdir(parents=True, exist_ok=True)
            return follow(training, options, folder, interrupted)
    except KeyboardInterrupt as stop:  # a second signal, or the first one while nothing was to be saved
        kept = (
            f"{folder / CHECKPOINT} is as it was last saved" if (folder / CHECKPOINT).exists() else "nothing was kept"
        )
        raise type(stop)(kept) from None
    except (ValueError, ModuleNotFoundError, RuntimeError) as error:
        raise UsageError(" ".join(str(error).split())) from error


def follow(run: Training, options: argparse.Namespace, folder: Path, interrupted: Callable[[], int]) -> int:
    """Train to the last epoch; print and write what comes of it; return the exit status."""
    from tinygraph.train.not_finite import NotFinite, RunsAway
    from tinygraph.train.records import add_layers

    bar, failed = Bar(run, options.epochs), ""
    print(header(run, options))
    try:
        for _ in () if interrupted() else run.steps(options.epochs):
            bar.show()
            if run.batch == 0:
                bar.clear()
                print(epoch_line(run, options.epochs), flush=True)
                save(run, options, folder / CHECKPOINT)
                write_tables(run, folder)
                add_layers(run, folder / "layers.csv")
                if run.is_best:
                    save(run, options, folder / BEST)
            if interrupted():
                break
    except (NotFinite, RunsAway) as error:
        failed = f"tinygraph train: {error}; a smaller --lr may help"
    bar.clear()
    stopped = interrupted()
    if stopped or not (folder / CHECKPOINT).exists():  # of a run that failed later, the last epoch's stays
        save(run, options, folder / CHECKPOINT)
    written = list(write_results(run, folder, options, finished=not (failed or stopped)))
    if stopped:
        again = f"tinygraph train {options.name} --out {folder} --resume"
        print(clean(f"interrupted before {run.place}, and saved; to go on: {again}"), file=sys.stderr)
    elif failed:
        kept = ", ".join(path.name for path in written)
        print(clean(f"{failed}; kept in {folder}: {kept}"), file=sys.stderr)
    else:
        print("\n".join(clean(f"wrote {path}") for path in written))
    return 128 + stopped if stopped else int(bool(failed))
