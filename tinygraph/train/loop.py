"""A training run can be stopped after any step and resumed from its state, to the same bits.

The state has the net, the optimizer, the order of batches and how many are over. A loss or a gradient that is not
finite stops the run before a parameter moves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tinygraph.engine.context import no_grad
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.kernels.arrays import asarray
from tinygraph.nn.losses import CrossEntropyLoss
from tinygraph.nn.module import Module
from tinygraph.optim.optimizers import Optimizer
from tinygraph.optim.schedules import LRScheduler
from tinygraph.train.datasets import DataLoader
from tinygraph.train.not_finite import NotFinite, first_not_finite

__all__ = ["Epoch", "Training", "evaluate"]


Loss = Callable[[Value, Array], Value]  # of scores (N, classes) and labels (N,): their mean loss, a scalar


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
        schedule: changes the learning rate after every epoch.
        backend: where to compute, "numpy" or "cupy"; the net's arrays are there already.

    Raises:
        ValueError: the loader has no batches.

    Attributes:
        epoch: how many epochs are over.
        batch: how many batches of this epoch are over.
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
        loss: Loss | None = None,
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
        seen, last = self.totals[2], self.history[-1:]
        return self.totals[0] / seen if seen else last[0].loss if last else math.nan

    @property
    def accuracy(self) -> float:
        """The share of right answers over this epoch's examples so far, or the last epoch's."""
        seen, last = self.totals[2], self.history[-1:]
        return self.totals[1] / seen if seen else last[0].accuracy if last else math.nan

    @property
    def examples_per_second(self) -> float:
        """How many examples a second of this epoch's steps, or of the last epoch's."""
        seconds, last = self.totals[3], self.history[-1:]
        return self.totals[2] / seconds if seconds else last[0].examples_per_second if last else math.nan

    def steps(self, epochs: int) -> Iterator[float]:
        """Train, and yield the loss of each step after it.

        The last step of an epoch is yielded when the epoch is over, so that `history` has it.

        Args:
            epochs: stop when so many are over, those before a resumption included.

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

    def step(self, x: Array, labels: Array) -> float:
        """Take one step on a batch.

        Args:
            x: examples (N, …).
            labels: their classes (N,), integers.

        Returns:
            The mean loss over the batch, before the step.

        Raises:
            NotFinite: the loss or a gradient is nan or infinite; no parameter has moved.
        """
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
        """The epoch and batch at which the run is, as text."""
        return f"epoch {self.epoch + 1}, batch {self.batch + 1}"

    def close(self) -> None:
        """Finish an epoch: evaluate, add its figures to the history, start the next."""
        loss, accuracy = evaluate(self.net, self.test, self.criterion, self.backend) if self.test else (None, None)
        self.history.append(Epoch(self.loss, self.accuracy, loss, accuracy, self.examples_per_second))
        if self.schedule:
            self.schedule.step()
        self.epoch, self.batch, self.totals = self.epoch + 1, 0, [0.0, 0.0, 0.0, 0.0]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on: that of net, optimizer and schedule, and how far the run is."""
        return {
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "place": {"epoch": self.epoch, "batch": self.batch, "totals": self.totals, "seed": self.loader.seed},
            "history": [list(epoch) for epoch in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Args:
            state: that of a run with the same kinds of net, optimizer, schedule and loader.

        Raises:
            RuntimeError: it is the state of another net.
            ValueError: it is the state of another optimizer, or of a loader with fewer batches.
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
    net: Module, batches: Iterable[tuple[Array, Array]], loss: Loss, backend: str = "numpy"
) -> tuple[float, float]:
    """Evaluate a net: in evaluation mode, without recording. Afterwards it is in the mode that it was in.

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
