"""``tinygraph train``: train a net of the texts on real data, so that it can be stopped at any moment and go on."""

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

HELP = "train a net of the texts, with batch norm from primitives or fused"
DESCRIPTION = (
    "Train a net on Fashion-MNIST or other images. Prints a line an epoch, and writes into a folder the checkpoint, "
    "the figures of each epoch, and their curves. Ctrl-C saves; --resume goes on to the same numbers. Exit 1 if the "
    "loss is no number any more, and then says where it began; 130 if it was interrupted."
)
NAMES = ("lenet", "mlp", "deep")
CHECKPOINT = "checkpoint.npz"
CLASSES = 10  # each of the sets has as many
FIXED = ("batch", "lr", "seed", "data", "examples", "norm", "primitives")  # what a run that is resumed keeps


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("name", metavar="NAME", choices=NAMES, help="lenet; mlp: 5 hidden layers of 100; deep: 7 hidden layers of 50")
    add("--epochs", type=int, metavar="N", help="until so many are over (default 10)")
    add("--batch", type=int, metavar="N", help="examples a batch (default: the text's)")
    add("--lr", type=float, metavar="RATE", help="learning rate (default: the text's)")
    add("--seed", type=int, help="seed of the weights and of the order (default 0)")
    add(
        "--data",
        metavar="WHERE",
        help="digits, or a folder with Fashion-MNIST's or (binary) CIFAR-10's files (default: Debian's Fashion-MNIST)",
    )
    add("--examples", type=int, metavar="N", help="train on the first N (default: the text's)")
    add("--norm", choices=("batch", "layer", "none"), help="what normalizes (default batch)")
    add("--primitives", action="store_true", default=None, help="batch norm from primitives, not fused")
    add("--backend", choices=("numpy", "cupy"), default="numpy", help="where to compute (default numpy)")
    add("--out", type=Path, metavar="DIR", help="folder for the files (default runs/NAME)")
    add("--resume", action="store_true", help="go on with the run in DIR; options not given are as they were")


def run(options: argparse.Namespace) -> int:
    """Train."""
    from tinygraph.train.interrupts import interruptible
    from tinygraph.train.not_finite import NotFinite

    folder = options.out or Path("runs") / options.name
    state = resumed(options, folder / CHECKPOINT)
    try:
        with interruptible() as interrupted, np.errstate(all="ignore"):  # what overflows is told by `NotFinite`
            training, epochs = prepared(options)
            if state:
                training.load_state_dict(state["training"])
            folder.mkdir(parents=True, exist_ok=True)
            bar = Bar(training, epochs)
            for _ in training.steps(epochs):
                bar.show()
                if training.batch == 0:
                    bar.clear()
                    print(line(training, epochs), flush=True)
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
    for path in written(training, folder, options.name):
        print(f"wrote {path}")
    return 0


def resumed(options: argparse.Namespace, path: Path) -> dict[str, Any] | None:
    """Return the state to go on from, and fill in the options that it was made with; None begins anew."""
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
    """Write all that going on takes."""
    from tinygraph.train import checkpoint

    asked = {key: getattr(options, key) for key in ("name", "epochs", *FIXED)}
    checkpoint.save({"options": asked, "training": training.state_dict()}, path)


def prepared(options: argparse.Namespace) -> tuple[Training, int]:
    """Return the run that is asked for, at its beginning, and the epoch at which it ends."""
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
    held = DataLoader(test, 1000, transform=transform)
    optimizer = recipe.optimizer(net.parameters(), options.lr)
    return Training(net, optimizer, loader, test=held, backend=options.backend), options.epochs


def line(training: Training, epochs: int) -> str:
    """Write what the last epoch came to."""
    last = training.history[-1]
    tested = "" if last.test_accuracy is None else f"  test accuracy {last.test_accuracy:.4f}"
    speed = f"{last.examples_per_second:,.0f} examples/s"
    return f"epoch {training.epoch}/{epochs}  loss {last.loss:.4f}  accuracy {last.accuracy:.4f}{tested}  {speed}"


def written(training: Training, folder: Path, name: str) -> Iterator[Path]:
    """Write the figures of all epochs, and their curves where there is Matplotlib; yield the paths."""
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
    """How far the epoch is: one line on a terminal, rewritten ten times a second; elsewhere nothing."""

    width = 24

    def __init__(self, training: Training, epochs: int) -> None:
        self.training, self.epochs, self.shown, self.next = training, epochs, sys.stderr.isatty(), 0.0

    def show(self) -> None:
        """Write the line anew, if it is time."""
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
        """Take the line away."""
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
