"""The folder of a run: its checkpoint, which is checked before it is believed, and the tables beside it."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygraph.cli.errors import UsageError
from tinygraph.engine.errors import clean
from tinygraph.engine.types import Array

if TYPE_CHECKING:
    from tinygraph.train.loop import Training
    from tinygraph.train.records import Outcome

NAMES = ("lenet", "mlp", "deep")
NORMS = ("batch", "layer", "none")
CHECKPOINT = "checkpoint.npz"
CLASSES = 10  # in each of the data sets
BEST = "best.npz"
RUNAWAY = 1000.0  # a loss so many times the first one stops the run
WORST = 20  # examples in the table of the worst
DEFAULTS = {
    "seed": 0, "norm": "batch", "primitives": False, "compile": False, "weight_decay": 0.0, "lr_decay": 1.0,
    "drop_last": False,
}  # fmt: skip
FIXED = ("batch", "lr", "data", "examples", *DEFAULTS)  # options that a resumed run keeps


def prepare(options: argparse.Namespace) -> Training:
    """Return a new run of the net that the options name; fill in the options that were not given."""
    from tinygraph.optim import StepLR, decay_weights_only
    from tinygraph.train.datasets import DataLoader, dataset
    from tinygraph.train.loop import Training
    from tinygraph.train.recipes import RECIPES

    recipe = RECIPES[options.name]
    published = {"epochs": recipe.epochs, "batch": recipe.batch, "lr": recipe.lr, "examples": recipe.examples}
    for key, value in {**published, **DEFAULTS}.items():
        setattr(options, key, value if getattr(options, key) is None else getattr(options, key))
    for key in ("epochs", "batch", "examples"):
        if getattr(options, key) is not None and getattr(options, key) < 1:
            raise UsageError(f"--{key} {getattr(options, key)}: must be 1 or more")
    for key in ("seed", "weight_decay", "lr_decay"):
        if not 0 <= getattr(options, key) < math.inf:
            raise UsageError(f"--{key.replace('_', '-')} {getattr(options, key)}: must be 0 or more")
    if options.compile and options.backend != "numpy":
        raise UsageError(f"--compile: there are no kernels for --backend {options.backend}, whose arrays are on a GPU")
    train, test = dataset(options.data)
    train = train[0][: options.examples], train[1][: options.examples]
    net = recipe.build(train[0].shape[1:], CLASSES, options.norm, not options.primitives, options.seed).to(
        backend=options.backend
    )
    transform = recipe.prepare(train[0])
    loader = DataLoader(
        train, options.batch, shuffle=True, seed=options.seed, transform=transform, drop_last=options.drop_last
    )
    left = len(train[0]) % options.batch
    if left == 1 and options.norm == "batch" and not options.drop_last:
        raise UsageError(
            "the last batch would be of one example, which has no variance: --drop-last, or another --batch"
        )
    if options.weight_decay:
        optimizer = recipe.optimizer(decay_weights_only(net.named_parameters(), options.weight_decay), options.lr)
    else:
        optimizer = recipe.optimizer(net.parameters(), options.lr)
    schedule = StepLR(optimizer, 1, options.lr_decay) if options.lr_decay != 1 else None
    return Training(
        net, optimizer, loader, test=DataLoader(test, 1000, transform=transform), schedule=schedule,
        backend=options.backend, runaway=RUNAWAY, compile=options.compile,
    )  # fmt: skip


def read_checkpoint(options: argparse.Namespace, path: Path) -> dict[str, Any] | None:
    """Return the state that a run goes on from, and fill in its options; None for a new run."""
    from tinygraph.train import checkpoint

    if not options.resume:
        if path.exists():
            raise UsageError(f"{path.parent} holds a run; --resume goes on with it, --out begins elsewhere")
        return None
    try:
        state = checkpoint.load(path)
        before = check_options(state.get("options"))
    except FileNotFoundError:
        raise UsageError(f"--resume: there is no {path}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--resume: {path} is no checkpoint of this command: {error}") from None
    if before["name"] != options.name:
        raise UsageError(f"--resume: {path} is of {before['name']}, not of {options.name}")
    for key in FIXED:
        given = getattr(options, key)
        if given is not None and given != before[key]:
            raise UsageError(f"--resume: {path} was made with --{key.replace('_', '-')} {before[key]}, not {given}")
        setattr(options, key, before[key])
    options.epochs = before["epochs"] if options.epochs is None else options.epochs
    if not isinstance(state.get("training"), dict):
        raise UsageError(f"--resume: {path} is no checkpoint of this command: it has no training")
    return dict(state)


def check_options(found: Any) -> dict[str, Any]:
    """Return the options in a checkpoint, with those that older ones lack; raise ValueError where one cannot be."""
    if not isinstance(found, dict):
        raise ValueError("it has no options")
    options: dict[str, Any] = {**DEFAULTS, "data": None, "examples": None, **found}
    for key, is_right in checks().items():
        if not is_right(options.get(key)):
            raise ValueError(f"its {key} is {options.get(key)!r}")
    return options


def checks() -> dict[str, Callable[[Any], bool]]:
    """Return, for each option in a file, the function that says whether it may have a value."""
    from tinygraph.optim.optimizer import is_number, is_whole

    def is_rate(x: Any) -> bool:
        return bool(is_number(x) and 0 <= x < math.inf)

    return {
        "name": lambda x: x in NAMES,
        "epochs": lambda x: is_whole(x, 1),
        "batch": lambda x: is_whole(x, 1),
        "lr": is_rate,
        "seed": lambda x: is_whole(x, 0),
        "data": lambda x: x is None or isinstance(x, str),
        "examples": lambda x: x is None or is_whole(x, 1),
        "norm": lambda x: x in NORMS,
        "primitives": lambda x: isinstance(x, bool),
        "compile": lambda x: isinstance(x, bool),
        "weight_decay": is_rate,
        "lr_decay": is_rate,
        "drop_last": lambda x: isinstance(x, bool),
    }


class Found(NamedTuple):
    """A trained net, with its data as (images, labels), and what makes a batch of them what the net takes."""

    net: Any
    train: tuple[Array, Array]
    test: tuple[Array, Array]
    transform: Callable[..., Any]


def load_run(path: Path, data: str | None) -> Found:
    """Return the net of a run.

    Args:
        path: a checkpoint, or the folder of a run.
        data: where the data are now; None is where they were.

    Raises:
        UsageError: there is no such checkpoint, it is of something else, or the data are not there.
    """
    from tinygraph.train import checkpoint
    from tinygraph.train.datasets import dataset
    from tinygraph.train.recipes import RECIPES

    path = path / CHECKPOINT if path.is_dir() else path
    if not path.exists():
        raise UsageError(f"{path}: there is no such checkpoint")
    try:
        state = checkpoint.load(path)
        options = check_options(state.get("options"))
        train, test = dataset(data or options["data"])
        train = train[0][: options["examples"]], train[1][: options["examples"]]
        recipe = RECIPES[options["name"]]
        net = recipe.build(train[0].shape[1:], CLASSES, options["norm"], not options["primitives"], options["seed"])
        net.load_state_dict(state["training"]["model"])
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is no checkpoint of `tinygraph train` on these data: {reason}") from None
    return Found(net, train, test, recipe.prepare(train[0]))


def save(training: Training, options: argparse.Namespace, path: Path) -> None:
    """Write a checkpoint: all that is needed to go on."""
    from tinygraph.train import checkpoint

    asked = {key: getattr(options, key) for key in ("name", "epochs", *FIXED)}
    checkpoint.save({"options": asked, "training": training.state_dict()}, path)


def write_tables(run: Training, folder: Path) -> None:
    """Write the figures of all epochs and steps so far."""
    from tinygraph.train import records

    records.write_history(run.history, folder / "history.json")
    names = ("epoch", *run.history[0]._fields) if run.history else ("epoch",)
    records.write_table(names, ((i + 1, *epoch) for i, epoch in enumerate(run.history)), folder / "epochs.csv")
    records.write_table(("step", "epoch", "batch", "loss"), records.step_rows(run), folder / "steps.csv")


def write_results(run: Training, folder: Path, options: argparse.Namespace, finished: bool) -> Iterator[Path]:
    """Write tables and curves, and of a finished run what it gets wrong; yield the paths."""
    from tinygraph.train import records
    from tinygraph.train.curves import curves

    write_tables(run, folder)
    written = ("history.json", "epochs.csv", "steps.csv", "layers.csv")
    yield from (folder / name for name in written if (folder / name).exists())
    if finished and run.test:
        yield from write_outcomes(records.outcomes(run.net, run.test, run.backend), folder)
    try:
        if run.history:
            curves(run.history, folder / "curves.svg", options.name)
            yield folder / "curves.svg"
    except ModuleNotFoundError as error:
        print(clean(f"no picture: {error}"), file=sys.stderr)
    yield from (folder / name for name in (BEST, CHECKPOINT) if (folder / name).exists())


def write_outcomes(found: Sequence[Outcome], folder: Path) -> Iterator[Path]:
    """Write which class was taken for which, and the examples with the greatest loss; yield the paths."""
    from tinygraph.train import records

    table = records.confusion_of(found, CLASSES)
    rows = ((label, *row) for label, row in enumerate(table.tolist()))
    records.write_table(("label", *(f"taken_for_{c}" for c in range(CLASSES))), rows, folder / "confusion.csv")
    yield folder / "confusion.csv"
    worst = sorted(found, key=lambda o: -o.loss)[:WORST]
    records.write_table(records.Outcome._fields, worst, folder / "worst.csv")
    yield folder / "worst.csv"
