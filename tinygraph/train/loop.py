"""A run is a net, an optimizer, the order of batches, and how far it is; from its state it goes on to the same bits.

A loss or a gradient that is not finite stops the run before a parameter moves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tinygraph.engine.arrays import asarray
from tinygraph.engine.context import no_grad
from tinygraph.engine.tensor import array_of
from tinygraph.nn.losses import CrossEntropyLoss
from tinygraph.nn.module import Module
from tinygraph.optim.optimizers import Optimizer
from tinygraph.optim.schedules import LRScheduler
from tinygraph.train.datasets import DataLoader
from tinygraph.train.not_finite import NotFinite, first_not_finite

__all__ = ["Epoch", "Training", "evaluate"]


class Epoch(NamedTuple):
    """What an epoch came to: loss and accuracy on the way, those on the test set after it, and its speed."""

    loss: float
    accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    examples_per_second: float


class Training:
    """A run, a step at a time.

    Args:
        net: gives scores (N, classes) for a batch.
        optimizer: moves its parameters.
        loader: batches of examples and class labels.
        test: batches to evaluate on after every epoch.
        loss: of scores and labels; cross entropy unless given.
        schedule: changes the learning rate after every epoch.
        backend: where to compute, "numpy" or "cupy"; the net is there already.

    Raises:
        ValueError: the loader has no batches.

    Attributes:
        epoch, batch: how many epochs are over, and how many batches of this one.
        loss, accuracy: the means over this epoch's examples so far, or over the last epoch's when it is over.
        history: an `Epoch` for each that is over.

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
        loss: Callable[[Any, Any], Any] | None = None,
        schedule: LRScheduler | None = None,
        backend: str = "numpy",
    ) -> None:
        if not len(loader):
            raise ValueError("Training: the loader has no batches; with drop_last, the set is smaller than a batch")
        self.net, self.optimizer, self.loader, self.test, self.schedule = net, optimizer, loader, test, schedule
        self.criterion, self.backend = loss or CrossEntropyLoss(), backend
        self.epoch = self.batch = 0
        self.history: list[Epoch] = []
        self.totals = [0.0, 0.0, 0.0, 0.0]  # of this epoch: loss × examples, right answers, examples, seconds

    @property
    def loss(self) -> float:
        """The mean loss over this epoch's examples so far, or the last epoch's."""
        return (
            self.totals[0] / self.totals[2] if self.totals[2] else self.history[-1].loss if self.history else math.nan
        )

    @property
    def accuracy(self) -> float:
        """The share of right answers over this epoch's examples so far, or the last epoch's."""
        seen, last = self.totals[2], self.history[-1:]
        return self.totals[1] / seen if seen else last[0].accuracy if last else math.nan

    @property
    def examples_per_second(self) -> float:
        """How many examples a second of this epoch's steps, or of the last epoch's."""
        last = self.history[-1:]
        return self.totals[2] / self.totals[3] if self.totals[3] else last[0].examples_per_second if last else math.nan

    def steps(self, epochs: int) -> Iterator[float]:
        """Go on until so many epochs are over; yield the loss of each step, after it.

        The last step of an epoch is yielded when the epoch is over, so that `history` has it.

        Raises:
            NotFinite: a loss or a gradient is nan or infinite; no parameter has moved in that step.
        """
        while self.epoch < epochs:
            self.net.train()
            for batch in self.loader.batches(self.epoch, self.batch):
                loss = self.step(*batch)
                self.batch += 1
                if self.batch == len(self.loader):
                    self.close()
                yield loss

    def step(self, x: Any, labels: Any) -> float:
        """Take one step on a batch; return its loss."""
        started = time.perf_counter()
        x, labels = (asarray(a, self.backend) for a in (x, labels))
        scores = self.net(x)
        loss = self.criterion(scores, labels)
        value = float(loss.item())
        if not math.isfinite(value):
            raise NotFinite(f"{self.place}: the loss is {value}; {first_not_finite(loss)}")
        self.optimizer.zero_grad()
        loss.backward()
        for p in (p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None):
            if not math.isfinite(p.grad.sum()) and not math.isfinite(abs(p.grad).max()):
                raise NotFinite(
                    f"{self.place}: the loss is {value:.4g}, and a gradient is not: {first_not_finite(loss)}"
                )
        self.optimizer.step()
        right = (array_of(scores).argmax(1) == labels).sum()
        n = len(labels)
        for i, more in enumerate((value * n, int(right), n, time.perf_counter() - started)):
            self.totals[i] += more
        return value

    @property
    def place(self) -> str:
        """Where the run is, in words."""
        return f"epoch {self.epoch + 1}, batch {self.batch + 1}"

    def close(self) -> None:
        """Finish an epoch: evaluate, write it down, begin the next."""
        loss, accuracy = evaluate(self.net, self.test, self.criterion, self.backend) if self.test else (None, None)
        self.history.append(Epoch(self.loss, self.accuracy, loss, accuracy, self.examples_per_second))
        if self.schedule:
            self.schedule.step()
        self.epoch, self.batch, self.totals = self.epoch + 1, 0, [0.0, 0.0, 0.0, 0.0]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on: parameters, buffers, generators, the optimizer, the place."""
        return {
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "place": {"epoch": self.epoch, "batch": self.batch, "totals": self.totals, "seed": self.loader.seed},
            "history": [list(epoch) for epoch in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            RuntimeError, ValueError: it is the state of another net, optimizer or order of batches.
        """
        place = state["place"]
        if not 0 <= place["batch"] < len(self.loader):
            raise ValueError(f"Training: the state is at batch {place['batch']}; an epoch has {len(self.loader)}")
        self.net.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.batch, self.totals = place["epoch"], place["batch"], list(place["totals"])
        self.loader.seed, self.history = place["seed"], [Epoch(*epoch) for epoch in state["history"]]


def evaluate(
    net: Module, batches: Iterable[tuple[Any, Any]], loss: Callable[[Any, Any], Any], backend: str = "numpy"
) -> tuple[float, float]:
    """Return mean loss and accuracy over batches, in evaluation; the net is then in the mode that it was in.

    Args:
        net: gives scores (N, classes).
        batches: of examples and labels.
        loss: the mean over a batch of scores and labels.
        backend: where to compute.
    """
    training, total, right, seen = net.training, 0.0, 0, 0
    net.eval()
    try:
        with no_grad():
            for batch in batches:
                x, labels = (asarray(a, backend) for a in batch)
                scores = array_of(net(x))
                total += float(loss(scores, labels)) * len(labels)
                right += int((scores.argmax(1) == labels).sum())
                seen += len(labels)
    finally:
        net.train(training)
    return total / max(seen, 1), right / max(seen, 1)
