"""``tinygraph train``: train a net on real data; it can be stopped at any moment, and go on later."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.cli.errors import UsageError

if TYPE_CHECKING:
    from tinygraph.train.loop import Training

HELP = "train a net with batch norm on images"
DESCRIPTION = """\
Train a net with batch norm on Fashion-MNIST or other images. Prints one line for each epoch, and writes a checkpoint,
the figures of each epoch and their curves into a folder. Ctrl-C saves and stops; --resume goes on from there and comes
to the same numbers. Exit status 1: the loss is no number any more, and the message says which op it began in. Exit
status 130: it was interrupted."""
EXAMPLES = """\
  tinygraph train mlp --data digits             small digits: seconds an epoch
  tinygraph train lenet --epochs 3              LeNet on Fashion-MNIST
  tinygraph train lenet --epochs 6 --resume     go on, up to epoch 6
  tinygraph train mlp --norm none --out runs/x  the same net, no batch norm
"""
NAMES = ("lenet", "mlp", "deep")
CHECKPOINT = "checkpoint.npz"
CLASSES = 10  # in each of the data sets
FIXED = ("batch", "lr", "seed", "data", "examples", "norm", "primitives")  # options that a resumed run keeps


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("name", metavar="NAME", choices=NAMES, help="lenet; mlp: 5 hidden layers of 100; deep: 7 hidden layers of 50")
    add("--epochs", type=int, metavar="N", help="stop after epoch N (default 10)")
    add("--batch", type=int, metavar="N", help="examples in a batch (default: what the net was published with)")
    add("--lr", type=float, metavar="RATE", help="learning rate (default: what the net was published with)")
    add("--seed", type=int, help="seed of the first weights and of the order of the examples (default 0)")
    add(
        "--data",
        metavar="WHERE",
        help="digits, or a folder with Fashion-MNIST's or (binary) CIFAR-10's files (default: Debian's Fashion-MNIST)",
    )
    add(
        "--examples",
        type=int,
        metavar="N",
        help="train on the first N examples alone (default: what the net was published with)",
    )
    add("--norm", choices=("batch", "layer", "none"), help="kind of normalization (default batch)")
    add(
        "--primitives",
        action="store_true",
        default=None,
        help="compose batch norm from primitives; slower than the fused op",
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
    from tinygraph.train.not_finite import NotFinite

    folder = options.out or Path("runs") / options.name
    state = read_checkpoint(options, folder / CHECKPOINT)
    try:
        with interruptible() as interrupted, np.errstate(all="ignore"):  # `NotFinite` says what overflowed
            training, epochs = prepare(options)
            if state:
                training.load_state_dict(state["training"])
            folder.mkdir(parents=True, exist_ok=True)
            bar = Bar(training, epochs)
            for _ in training.steps(epochs):
                bar.show()
                if training.batch == 0:
                    bar.clear()
                    print(epoch_line(training, epochs), flush=True)
                    save(training, options, folder / CHECKPOINT)
                if interrupted():
                    bar.clear()
                    save(training, options, folder / CHECKPOINT)
                    again = f"tinygraph train {options.name} --out {folder} --resume"
                    print(f"interrupted before {training.place}, and saved; to go on: {again}", file=sys.stderr)
                    return 130
    except NotFinite as error:
        print(f"\ntinygraph train: {error}", file=sys.stderr)
        return 1
    except (ValueError, ModuleNotFoundError, RuntimeError) as error:
        raise UsageError(" ".join(str(error).split())) from error
    for path in write_results(training, folder, options.name):
        print(f"wrote {path}")
    return 0


def read_checkpoint(options: argparse.Namespace, path: Path) -> dict[str, Any] | None:
    """Return the state that a run goes on from, and fill in its options; None for a new run."""
    from tinygraph.train import checkpoint

    if not options.resume:
        if path.exists():
            raise UsageError(f"{path.parent} holds a run; --resume goes on with it, --out begins elsewhere")
        return None
    try:
        state = checkpoint.load(path)
        before = state["options"]
        if before["name"] != options.name:
            raise UsageError(f"--resume: {path} is of {before['name']}, not of {options.name}")
        for key in FIXED:
            given = getattr(options, key)
            if given is not None and given != before[key]:
                raise UsageError(f"--resume: {path} was made with --{key} {before[key]}, not {given}")
            setattr(options, key, before[key])
        options.epochs = before["epochs"] if options.epochs is None else options.epochs
    except FileNotFoundError:
        raise UsageError(f"--resume: there is no {path}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--resume: {path} is no checkpoint of this command: {error}") from None
    return state


def save(training: Training, options: argparse.Namespace, path: Path) -> None:
    """Write a checkpoint: all that is needed to go on."""
    from tinygraph.train import checkpoint

    asked = {key: getattr(options, key) for key in ("name", "epochs", *FIXED)}
    checkpoint.save({"options": asked, "training": training.state_dict()}, path)


def prepare(options: argparse.Namespace) -> tuple[Training, int]:
    """Return a new run of the net that the options name, and the number of its last epoch."""
    from tinygraph.train.datasets import DataLoader, dataset
    from tinygraph.train.loop import Training
    from tinygraph.train.recipes import RECIPES

    recipe = RECIPES[options.name]
    defaults = {"epochs": recipe.epochs, "batch": recipe.batch, "lr": recipe.lr, "seed": 0, "norm": "batch"}
    for key, value in {**defaults, "examples": recipe.examples, "primitives": False}.items():
        setattr(options, key, value if getattr(options, key) is None else getattr(options, key))
    for key in ("epochs", "batch", "examples"):
        if getattr(options, key) is not None and getattr(options, key) < 1:
            raise UsageError(f"--{key} {getattr(options, key)}: must be 1 or more")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: must be 0 or more")
    train, test = dataset(options.data)
    train = train[0][: options.examples], train[1][: options.examples]
    net = recipe.build(train[0].shape[1:], CLASSES, options.norm, not options.primitives, options.seed).to(
        backend=options.backend
    )
    transform = recipe.prepare(train[0])
    loader = DataLoader(train, options.batch, shuffle=True, seed=options.seed, transform=transform)
    test_loader = DataLoader(test, 1000, transform=transform)
    optimizer = recipe.optimizer(net.parameters(), options.lr)
    return Training(net, optimizer, loader, test=test_loader, backend=options.backend), options.epochs


def epoch_line(training: Training, epochs: int) -> str:
    """Return a line about the last epoch."""
    last = training.history[-1]
    tested = "" if last.test_accuracy is None else f"  test accuracy {last.test_accuracy:.4f}"
    speed = f"{last.examples_per_second:,.0f} examples/s"
    return f"epoch {training.epoch}/{epochs}  loss {last.loss:.4f}  accuracy {last.accuracy:.4f}{tested}  {speed}"


def write_results(training: Training, folder: Path, name: str) -> Iterator[Path]:
    """Write the figures of all epochs, and their curves if Matplotlib is there; yield the paths."""
    from tinygraph.train.curves import curves

    path = folder / "history.json"
    path.write_text(json.dumps([epoch._asdict() for epoch in training.history], indent=1) + "\n")
    yield path
    try:
        curves(training.history, folder / "curves.svg", name)
        yield folder / "curves.svg"
    except ModuleNotFoundError as error:
        print(f"no picture: {error}", file=sys.stderr)
    yield folder / CHECKPOINT


class Bar:
    """Progress of the epoch: on a terminal one line, rewritten ten times a second; elsewhere nothing."""

    width = 24

    def __init__(self, training: Training, epochs: int) -> None:
        self.training, self.epochs, self.shown, self.next = training, epochs, sys.stderr.isatty(), 0.0

    def show(self) -> None:
        """Write the line again, if a tenth of a second has passed."""
        if not self.shown or time.monotonic() < self.next:
            return
        self.next, run = time.monotonic() + 0.1, self.training
        done = round(self.width * run.batch / len(run.loader))
        bar = "━" * done + "╌" * (self.width - done)
        figures = f"loss {run.loss:.4f}  accuracy {run.accuracy:.4f}  {run.examples_per_second:,.0f} examples/s"
        place = f"epoch {run.epoch + 1}/{self.epochs} {bar} {run.batch}/{len(run.loader)}"
        sys.stderr.write(f"\r\x1b[K{place}  {figures}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Erase the line."""
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
