"""The files of a run beside its checkpoint: the figures of epochs, steps and layers as tables, whole at any moment."""

from __future__ import annotations

import contextlib
import copy
import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.autodiff.grad import grad
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array
from tinygraph.functions.recording import no_grad
from tinygraph.graph.files import whole_file
from tinygraph.kernels.arrays import asarray, to_numpy
from tinygraph.nn.module import Module, in_mode
from tinygraph.train.loop import Epoch, Training

__all__ = [
    "LayerSize",
    "Outcome",
    "confusion_of",
    "layer_sizes",
    "outcomes",
    "step_rows",
    "write_history",
    "write_table",
]

PROBE = 256  # examples that the sizes of layers are measured on


class LayerSize(NamedTuple):
    """How large the values and gradients of a layer are, in the units of its output.

    Attributes:
        layer: its path in the net, such as ``block1.linear``.
        mean: of its output.
        std: of its output.
        gradient: root of the mean square of the loss's gradient in its output, times the number of examples.
        weight_gradient: root of the mean square of the gradient in its parameters; None where it has none.

    >>> LayerSize("out", 0.0, 1.0, 0.1, None).std
    1.0
    """

    layer: str
    mean: float
    std: float
    gradient: float
    weight_gradient: float | None


class Outcome(NamedTuple):
    """What a net says of one example.

    Attributes:
        example: its place in the set.
        label: its class.
        predicted: the class with the highest score.
        confidence: the probability that the net gives to it, 0 … 1.
        loss: −log of the probability that it gives to the label.

    >>> Outcome(0, 3, 3, 1.0, 0.0).predicted
    3
    """

    example: int
    label: int
    predicted: int
    confidence: float
    loss: float


def outcomes(net: Module, batches: Iterable[tuple[Array, Array]], backend: str = "numpy") -> list[Outcome]:
    """Ask a net about each example, in evaluation mode and without recording.

    Args:
        net: computes scores (N, classes) for a batch of N examples.
        batches: pairs of examples (N, …) and labels (N,), in the order of the set.
        backend: where to compute, "numpy" or "cupy".

    Returns:
        One `Outcome` an example.

    >>> from tinygraph import nn
    >>> net = nn.Linear(2, 2, bias=False)
    >>> net.weight.data = np.eye(2) * 9
    >>> [(o.label, o.predicted) for o in outcomes(net, [(np.eye(2), np.array([0, 0]))])]
    [(0, 0), (0, 1)]
    """
    found: list[Outcome] = []
    with in_mode(net, training=False), no_grad():
        for examples, labels in batches:
            scores = to_numpy(array_of(net(asarray(examples, backend)))).astype(np.float64)
            greatest = scores.max(1, keepdims=True)
            log_p = scores - greatest - np.log(np.exp(scores - greatest).sum(1, keepdims=True))
            for label, row in zip(np.asarray(labels).tolist(), log_p, strict=True):
                best = int(row.argmax())
                found.append(Outcome(len(found), label, best, math.exp(row[best]), -float(row[label])))
    return found


def confusion_of(found: Sequence[Outcome], classes: int) -> Array:
    """Count how often each class (row) was taken for each class (column).

    Args:
        found: what `outcomes` returned.
        classes: how many there are.

    Returns:
        Counts, (classes, classes) int64; the diagonal is what was right.

    >>> confusion_of([Outcome(0, 1, 0, 0.1, 2.3), Outcome(1, 1, 1, 0.9, 0.1)], 2)
    array([[0, 0],
           [1, 1]])
    """
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, ([o.label for o in found], [o.predicted for o in found]), 1)
    return table


def layer_sizes(run: Training) -> list[LayerSize]:
    """Measure how large activations and gradients are, layer by layer, on the first examples of the run's loader.

    A copy of the net computes them in training mode, so that the run itself is as it was.

    Args:
        run: at any place.

    Returns:
        One `LayerSize` for each layer that computes and has no layers inside, in the order of the net.

    >>> from tinygraph import nn, optim
    >>> from tinygraph.data import DataLoader, digits
    >>> net = nn.init.manual_seed(nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)), 0)
    >>> run = Training(net, optim.SGD(net.parameters(), 0.1), DataLoader(digits(), 100, seed=0))
    >>> [size.layer for size in layer_sizes(run)]
    ['0', '1', '2']
    """
    net = copy.deepcopy(run.net).train()
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda module, args, out: outputs.update({name: out} if isinstance(out, Tensor) else {})

    layers = {name: module for name, module in net.named_modules() if name and not list(module.children())}
    with contextlib.ExitStack() as hooks:
        for name, module in layers.items():
            hooks.enter_context(module.register_forward_hook(keep(name)))
        examples, labels = first_examples(run)
        loss = run.criterion(net(examples), labels)
    weights = [p for layer in layers.values() for p in layer.parameters()]
    found = iter(grad(loss, [*outputs.values(), *weights], materialize_grads=True))
    into = {name: rms(next(found)) * len(labels) for name in outputs}
    of = {name: [next(found) for _ in layer.parameters()] for name, layer in layers.items()}
    return [size_of(name, outputs[name], into[name], of[name]) for name in outputs]


def first_examples(run: Training) -> tuple[Array, Array]:
    """Return the first examples of a run's first batch, on its backend."""
    examples, labels = next(iter(run.loader.batches(0, 0)))
    return asarray(examples[:PROBE], run.backend), asarray(labels[:PROBE], run.backend)


def size_of(name: str, out: Tensor, into: float, gradients: Sequence[Array]) -> LayerSize:
    """Return the sizes of one layer."""
    value = to_numpy(out.data).astype(np.float64)
    of = rms(np.concatenate([to_numpy(g).ravel() for g in gradients])) if gradients else None
    return LayerSize(name, float(value.mean()), float(value.std()), into, of)


def rms(x: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(to_numpy(x).astype(np.float64)))))


def write_history(history: Sequence[Epoch], path: str | os.PathLike[str]) -> None:
    """Write the figures of all epochs as JSON, whole or not at all.

    Args:
        history: one `Epoch` each.
        path: the file.

    Raises:
        OSError: the folder is missing, or the disk is full.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "history.json"
    >>> write_history([Epoch(0.5, 0.8, None, None, 100.0)], path)
    >>> json.loads(path.read_text())[0]["accuracy"]
    0.8
    """
    rows = [{key: finite(value) for key, value in epoch._asdict().items()} for epoch in history]
    with whole_file(path) as file:
        file.write((json.dumps(rows, indent=1) + "\n").encode())


def finite(x: Any) -> Any:
    """Return a number; None in place of one that JSON lacks."""
    return None if isinstance(x, float) and not math.isfinite(x) else x


def write_table(names: Sequence[str], rows: Iterable[Sequence[Any]], path: str | os.PathLike[str]) -> None:
    """Write a table as CSV, whole or not at all.

    Args:
        names: of the columns.
        rows: of as many values each; None is an empty cell.
        path: the file.

    Raises:
        OSError: the folder is missing, or the disk is full.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "steps.csv"
    >>> write_table(["step", "loss"], [(1, 2.5), (2, None)], path)
    >>> path.read_text().split()
    ['step,loss', '1,2.5', '2,']
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode())


def step_rows(run: Training) -> Iterator[tuple[int, int, int, float]]:
    """Yield a row a step: its number, epoch and batch, and its loss."""
    for i, loss in enumerate(run.losses):
        yield i + 1, i // len(run.loader) + 1, i % len(run.loader) + 1, loss


def add_layers(run: Training, path: str | os.PathLike[str]) -> None:
    """Write how large the layers are now below what the file has of earlier epochs; rows of later ones go.

    Args:
        run: at any place.
        path: the file, ``layers.csv``.

    Raises:
        OSError: the folder is missing, or the disk is full.

    >>> add_layers(run, "runs/mlp/layers.csv")  # doctest: +SKIP
    """
    before: list[Sequence[Any]] = []
    with contextlib.suppress(FileNotFoundError), open(path, newline="", encoding="utf-8") as file:
        for row in list(csv.reader(file))[1:]:
            if row and row[0].isdecimal() and int(row[0]) < run.epoch:
                before.append(row)
    now = ((run.epoch, *size) for size in layer_sizes(run))
    write_table(("epoch", *LayerSize._fields), (*before, *now), path)
