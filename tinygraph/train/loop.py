"""A training run can be stopped after any step and resumed from its state, to the same bits.

The state has the net, the optimizer, the order of batches and how many are over. A loss or a gradient that is not
finite stops the run before a parameter moves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.recording import no_grad
from tinygraph.kernels.arrays import asarray
from tinygraph.nn.losses import CrossEntropyLoss
from tinygraph.nn.module import Module, in_mode
from tinygraph.optim.combined import ReduceLROnPlateau
from tinygraph.optim.optimizer import Optimizer, is_number, is_whole
from tinygraph.optim.schedules import LRScheduler
from tinygraph.train.datasets import DataLoader
from tinygraph.train.not_finite import NotFinite, RunsAway, first_not_finite

__all__ = ["Epoch", "Training", "evaluate"]

MOST = float(np.finfo(np.float32).max)  # of a loss: beyond it, float32 has infinity
NOTHING = (0.0,) * 5  # of an epoch: loss × examples, right answers, examples; examples and seconds that were timed

Loss = Callable[[Value, Array], Value]  # of scores (N, classes) and labels (N,): their mean loss, a scalar


class Stopped(Exception):
    """A loss or a gradient is not what a step may go on with: nothing has moved. Has the loss and the scores."""


class Epoch(NamedTuple):
    """The figures of an epoch.

    Attributes:
        loss: mean over the training examples, each measured before the step that used it.
        accuracy: share of right answers, 0 … 1, measured likewise.
        test_loss: mean over the test set after the epoch; None where there is no test set.
        test_accuracy: share of right answers on the test set; None where there is none.
        examples_per_second: speed of the steps.

    >>> Epoch(0.5, 0.8, None, None, 1000.0).accuracy
    0.8
    """

    loss: float
    accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    examples_per_second: float


class Training:
    """A training run, one step at a time.

    Args:
        net: computes scores (N, classes) for a batch of N examples.
        optimizer: moves the net's parameters.
        loader: batches of examples (N, …) and class labels (N,).
        test: batches to evaluate on after every epoch.
        loss: computes the loss from scores (N, classes) and labels (N,); cross entropy unless given.
        schedule: changes the learning rate after every epoch; `ReduceLROnPlateau` sees the loss on the test set, or
            that of the epoch where there is none.
        backend: where to compute, "numpy" or "cupy"; the net's arrays are there already.
        runaway: stop when a loss is so many times the first one; never unless given.
        compile: whether to compile the steps whole, as `tinygraph.compile` does.

    Raises:
        CompileError: at the first step, if the net, the loss or the optimizer does what cannot be compiled.
        ValueError: the loader has no batches, or runaway is not above 1.

    Attributes:
        epoch: how many epochs are over.
        batch: how many batches of this epoch are over.
        history: an `Epoch` for each that is over.
        losses: the loss of each step, before it.

    >>> from tinygraph import nn, optim
    >>> from tinygraph.data import digits
    >>> net = nn.init.manual_seed(nn.Linear(64, 10), 0)
    >>> run = Training(net, optim.Adam(net.parameters(), 0.01), DataLoader(digits(), 100, shuffle=True, seed=0))
    >>> for _ in run.steps(epochs=5):
    ...     pass
    >>> run.epoch, run.accuracy > 0.9
    (5, True)
    """

    def __init__(
        self,
        net: Module,
        optimizer: Optimizer,
        loader: DataLoader,
        *,
        test: DataLoader | None = None,
        loss: Loss | None = None,
        schedule: LRScheduler | None = None,
        backend: str = "numpy",
        runaway: float | None = None,
        compile: bool = False,  # noqa: A002 - as the function is called
    ) -> None:
        if not len(loader):
            raise ValueError("Training: the loader has no batches; with drop_last, the set is smaller than a batch")
        if runaway is not None and not runaway > 1:
            raise ValueError(f"Training: runaway is {runaway}; a loss so many times the first stops, so it is above 1")
        self.net, self.optimizer, self.loader, self.test, self.schedule = net, optimizer, loader, test, schedule
        self.criterion, self.backend, self.runaway = loss or CrossEntropyLoss(), backend, runaway
        self.epoch = self.batch = 0
        self.history: list[Epoch] = []
        self.losses: list[float] = []
        self.totals = list(NOTHING)
        if compile:
            from tinygraph.compiler.compiled import compile as make_program  # takes as long to load as the nets

            self.move = make_program(self.move, whole=True)  # type: ignore[method-assign]
        self.untimed = 1 + compile  # steps that may compile kernels tell nothing about the others

    @property
    def loss(self) -> float:
        """The mean loss over this epoch's examples so far, or the last epoch's."""
        seen, last = self.totals[2], self.history[-1:]
        return self.totals[0] / seen if seen else last[0].loss if last else math.nan

    @property
    def accuracy(self) -> float:
        """The share of right answers over this epoch's examples so far, or the last epoch's."""
        seen, last = self.totals[2], self.history[-1:]
        return self.totals[1] / seen if seen else last[0].accuracy if last else math.nan

    @property
    def examples_per_second(self) -> float:
        """How many examples a second of this epoch's steps, without the first of all, or of the last epoch's."""
        timed, seconds = self.totals[3:]
        last = self.history[-1:]
        return timed / seconds if seconds else last[0].examples_per_second if last else math.nan

    @property
    def is_best(self) -> bool:
        """Whether the last epoch has the best test accuracy so far; without a test set, the least loss."""
        scores = [-e.loss if e.test_accuracy is None else e.test_accuracy for e in self.history]
        return bool(scores) and scores[-1] > max(scores[:-1], default=-math.inf)

    def steps(self, epochs: int) -> Iterator[float]:
        """Train, and yield the loss of each step after it.

        The last step of an epoch is yielded when the epoch is over, so that `history` has it.

        Args:
            epochs: stop when so many are over, those before a resumption included.

        Raises:
            NotFinite: a loss or a gradient is nan or infinite; no parameter has moved in that step.
            RunsAway: the loss is ``runaway`` times the first one; no parameter has moved in that step.
        """
        while self.epoch < epochs:
            self.net.train()
            for batch in self.loader.batches(self.epoch, self.batch):
                loss = self.step(*batch)
                self.batch += 1
                if self.batch == len(self.loader):
                    self.close()
                yield loss

    def step(self, x: Array, labels: Array) -> float:
        """Take one step on a batch.

        Args:
            x: examples (N, …).
            labels: their classes (N,), integers.

        Returns:
            The mean loss over the batch, before the step.

        Raises:
            NotFinite: the loss or a gradient is nan or infinite; no parameter has moved.
            RunsAway: the loss is ``runaway`` times the first one; no parameter has moved.
        """
        started = time.perf_counter()
        x, labels = (asarray(a, self.backend) for a in (x, labels))
        first = self.losses[0] if self.losses else math.inf
        most = min(self.runaway * max(first, 1e-3), MOST) if self.runaway else MOST
        try:
            loss, scores = self.move(x, labels, float(most))
        except Stopped as stopped:
            loss, scores = stopped.args
            self.explain(loss, most)
            self.optimizer.step()
        value = float(loss.item())
        right = (array_of(scores).argmax(1) == labels).sum()
        n, seconds = len(labels), time.perf_counter() - started
        counts = not self.untimed
        for i, more in enumerate((value * n, int(right), n, n * counts, seconds * counts)):
            self.totals[i] += more
        self.losses.append(value)
        self.untimed = max(self.untimed - 1, 0)
        return value

    def move(self, x: Array, labels: Array, most: float) -> tuple[Value, Value]:
        """Move the parameters by one batch; return the loss and the scores. This is what ``compile`` compiles.

        Args:
            x: examples (N, …).
            labels: their classes (N,), integers.
            most: the greatest loss that is good enough to go on.
        """
        scores = self.net(x)
        loss = self.criterion(scores, labels)
        if not array_of(loss) <= most:
            raise Stopped(loss, scores)
        self.optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not np.isfinite(sum(g.sum() for g in gradients)):
            raise Stopped(loss, scores)
        self.optimizer.step()
        return loss, scores

    def explain(self, loss: Tensor, most: float) -> None:
        """Raise the error that says why a step stopped; none, where only a sum of gradients is too large a number."""
        value = float(loss.item())
        if not math.isfinite(value):
            raise NotFinite(f"{self.place}: the loss is {value}; {first_not_finite(loss)}")
        if value > most:
            raise RunsAway(
                f"{self.place}: the loss runs away: {(self.losses or [value])[0]:.4g} at first, {value:.4g} now"
            )
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not all(math.isfinite(abs(g).max()) for g in gradients):
            raise NotFinite(f"{self.place}: the loss is {value:.4g}, and a gradient is not: {first_not_finite(loss)}")

    @property
    def place(self) -> str:
        """The epoch and batch at which the run is, as text."""
        return f"epoch {self.epoch + 1}, batch {self.batch + 1}"

    def close(self) -> None:
        """Finish an epoch: evaluate, add its figures to the history, start the next."""
        loss, accuracy = evaluate(self.net, self.test, self.criterion, self.backend) if self.test else (None, None)
        self.history.append(Epoch(self.loss, self.accuracy, loss, accuracy, self.examples_per_second))
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(self.history[-1].loss if loss is None else loss)
        elif self.schedule:
            self.schedule.step()
        self.epoch, self.batch, self.totals = self.epoch + 1, 0, list(NOTHING)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on: that of net, optimizer and schedule, and how far the run is."""
        return {
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "place": {"epoch": self.epoch, "batch": self.batch, "totals": self.totals, "seed": self.loader.seed},
            "history": [list(epoch) for epoch in self.history],
            "losses": np.array(self.losses),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Args:
            state: that of a run with the same kinds of net, optimizer, schedule and loader.

        Raises:
            RuntimeError: it is the state of another net.
            ValueError: it is the state of another optimizer, or of a loader with fewer batches, or no state of a run;
                the run is as it was.
        """
        place, history, losses = check_state(state, len(self.loader))
        before = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        try:
            self.net.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.schedule:
                self.schedule.load_state_dict(state["schedule"])
            elif state["schedule"]:
                raise ValueError("Training: the state has a schedule of learning rates, and this run has none")
        except Exception as error:
            self.net.load_state_dict(before["net"])
            self.optimizer.load_state_dict(before["optimizer"])
            if isinstance(error, ValueError | RuntimeError):
                raise
            raise ValueError(f"Training: the state is not that of such a run: {error!r}") from error
        self.epoch, self.batch, self.totals = place["epoch"], place["batch"], list(place["totals"])
        self.loader.seed, self.history, self.losses = place["seed"], history, losses


def check_state(state: Mapping[str, Any], batches: int) -> tuple[dict[str, Any], list[Epoch], list[float]]:
    """Return place, history and losses of a run's state, checked; raise ValueError if something cannot be.

    Args:
        state: what `Training.state_dict` returned, or what a file has in its place.
        batches: of an epoch.
    """
    problem = next(problems_of(state, batches), "")
    if problem:
        raise ValueError(f"Training: {problem}")
    place = dict(state["place"])
    if len(place["totals"]) == len(NOTHING) - 1:  # as it was written before the first step went untimed
        *rest, seconds = place["totals"]
        place["totals"] = [*rest, rest[2], seconds]
    return place, [Epoch(*row) for row in state["history"]], [float(v) for v in state.get("losses", ())]


def problems_of(state: Mapping[str, Any], batches: int) -> Iterator[str]:
    """Say what is wrong in the state of a run; each check relies on those before it."""
    for key in ("model", "optimizer", "schedule", "place"):
        if not isinstance(state.get(key), Mapping):
            yield f"the state has no {key}"
    place, history = state["place"], state.get("history")
    for key in ("epoch", "batch", "seed"):
        if not is_whole(place.get(key), 0):
            yield f"the state is at {key} {place.get(key)!r}, which is no number of one"
    if place["batch"] >= batches:
        yield f"the state is at batch {place['batch']}; an epoch has {batches}"
    totals = place.get("totals")
    if not (isinstance(totals, list) and len(totals) in (4, 5) and all(map(is_number, totals))):
        yield f"the totals of the state's epoch are {totals!r}; they are five numbers"
    if not (isinstance(history, list) and all(map(is_row, history))):
        yield "the state's history is no list of epochs"
    if len(history or ()) != place["epoch"]:
        yield f"the state is at epoch {place['epoch']}, and its history has {len(history or ())}"
    losses = np.asarray(state.get("losses", []))
    if losses.dtype.kind != "f" or losses.ndim != 1:
        yield "the state's losses are no list of numbers"


def is_row(row: Any) -> bool:
    """Whether a value of a file is an `Epoch`: five numbers, of which those of a test may be None."""
    return (
        isinstance(row, list)
        and len(row) == len(Epoch._fields)
        and all(is_number(x) or (x is None and i in (2, 3)) for i, x in enumerate(row))
    )


def evaluate(
    net: Module, batches: Iterable[tuple[Array, Array]], loss: Loss, backend: str = "numpy"
) -> tuple[float, float]:
    """Evaluate a net: in evaluation mode, without recording. Afterwards each module is in the mode that it was in.

    Args:
        net: computes scores (N, classes) for a batch of N examples.
        batches: pairs of examples (N, …) and labels (N,).
        loss: computes the mean loss of a batch from scores and labels.
        backend: where to compute, "numpy" or "cupy".

    Returns:
        Mean loss and share of right answers (0 … 1) over all examples; 0 for both where there are none.

    >>> from tinygraph import nn
    >>> net = nn.Linear(2, 2, bias=False)
    >>> net.weight.data = np.eye(2)
    >>> loss, accuracy = evaluate(net, [(np.eye(2), np.array([0, 1]))], nn.CrossEntropyLoss())
    >>> round(loss, 4), accuracy
    (0.3133, 1.0)
    """
    total, right, seen = 0.0, 0, 0
    with in_mode(net, training=False), no_grad():
        for batch in batches:
            x, labels = (asarray(a, backend) for a in batch)
            scores = array_of(net(x))
            total += float(loss(scores, labels)) * len(labels)
            right += int((scores.argmax(1) == labels).sum())
            seen += len(labels)
    return total / max(seen, 1), right / max(seen, 1)
