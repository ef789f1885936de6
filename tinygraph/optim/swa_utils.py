"""Averages of a net over training: of its weights (SWA, EMA), and of what batch norm measures with them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.functions.recording import no_grad
from tinygraph.kernels.arrays import asarray
from tinygraph.nn.module import Module, in_mode
from tinygraph.nn.norms import BatchNorm
from tinygraph.optim.optimizer import Group, Optimizer
from tinygraph.optim.schedules import LRScheduler, for_each_group

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

Average = Callable[[Array, Array, int], Array]  # of the average so far, the new array, and how many are in it
MultiAverage = Callable[[Sequence[Array], Sequence[Array], int], Sequence[Array]]  # the same of several arrays


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return a function that averages exponentially: the newest net weighs most.

    Args:
        decay: weight of the old average, 0 … 1.

    Returns:
        A function of the average, the new array and how many are in the average.

    Raises:
        ValueError: decay is out of range.

    >>> get_ema_avg_fn(0.75)(np.array(0.0), np.array(1.0), 5)
    np.float64(0.25)
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"get_ema_avg_fn: decay is {decay}, and must be in 0 … 1")
    return lambda average, new, count: decay * average + (1 - decay) * new


def get_swa_avg_fn() -> Average:
    """Return a function that averages all alike.

    Returns:
        A function of the average, the new array and how many are in the average.

    >>> get_swa_avg_fn()(np.array(0.0), np.array(1.0), 3)
    np.float64(0.25)
    """
    return lambda average, new, count: average + (new - average) / (count + 1)


def each(average: Average) -> MultiAverage:
    """Return a function that averages several arrays."""
    return lambda averages, news, count: [average(a, b, count) for a, b in zip(averages, news, strict=True)]


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """Return the function of `get_ema_avg_fn` for several arrays at once.

    Args:
        decay: weight of the old average, 0 … 1.

    Returns:
        A function of the averages, the new arrays and how many are in the averages; it returns the new averages.

    Raises:
        ValueError: decay is out of range.

    >>> get_ema_multi_avg_fn(0.75)([np.array(0.0)], [np.array(1.0)], 5)
    [np.float64(0.25)]
    """
    return each(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> MultiAverage:
    """Return the function of `get_swa_avg_fn` for several arrays at once.

    Returns:
        A function of the averages, the new arrays and how many are in the averages; it returns the new averages.

    >>> get_swa_multi_avg_fn()([np.array(0.0)], [np.array(1.0)], 3)
    [np.float64(0.25)]
    """
    return each(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a net whose parameters are averages over training: call `update_parameters` after steps.

    Batch norm measures with other weights than the average: call `update_bn` before evaluating it.

    Args:
        model: the net; it is copied.
        device: accepted because PyTorch has it; None, for arrays stay where the net's are.
        avg_fn: called with an average, a new array and how many are in the average; returns the next average. All are
            averaged alike unless given. See `get_ema_avg_fn`.
        multi_avg_fn: the same for lists of all arrays at once.
        use_buffers: whether to average buffers too; if not, they are those of the net.

    Attributes:
        module: the copy.
        n_averaged: how many nets are in the average.

    Raises:
        ValueError: both functions are given, or a device.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima".

    >>> from tinygraph import nn
    >>> net = nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(net)
    >>> for value in (1.0, 2.0, 6.0):
    ...     net.weight.data = np.array([[value]], np.float32)
    ...     average.update_parameters(net)
    >>> average.module.weight.item()
    3.0
    """

    n_averaged: Array

    def __init__(
        self,
        model: Module,
        device: None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        if device is not None:
            raise ValueError(f"AveragedModel: device is {device!r}; move the net with net.to(backend=…) before")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", np.array(0))
        self.average, self.use_buffers = multi_avg_fn or each(avg_fn or get_swa_avg_fn()), use_buffers

    def forward(self, *args: Any, **options: Any) -> Any:
        """Return what the averaged net returns.

        Args:
            args: those of the net.
            options: the same, by name.
        """
        return self.module(*args, **options)

    def update_parameters(self, model: Module) -> None:
        """Take a net into the average.

        Args:
            model: the net that was copied, further on in its training.
        """
        state, new, count = self.module.state_dict(), model.state_dict(), int(self.n_averaged)
        names = {name for name, _ in self.module.named_parameters()}
        averaged = [key for key in state if key in names or self.use_buffers]
        state.update(new)
        if count:
            old = self.module.state_dict()
            found = self.average([old[key] for key in averaged], [new[key] for key in averaged], count)
            state.update({key: asarray(a).astype(old[key].dtype) for key, a in zip(averaged, found, strict=True)})
        self.module.load_state_dict(state)
        self.n_averaged = self.n_averaged + 1


def update_bn(loader: Iterable[Any], model: Module, device: None = None) -> None:
    """Measure batch norm's running statistics anew, as plain averages over a loader: for averaged or changed weights.

    Args:
        loader: batches; of a tuple or list, the first part is given to the net.
        model: the net. Its mode and each momentum are afterwards what they were.
        device: accepted because PyTorch has it, and without effect.

    >>> from tinygraph import nn
    >>> net = nn.BatchNorm1d(1)
    >>> update_bn([np.array([[1.0], [3.0]]), np.array([[3.0], [5.0]])], net)
    >>> net.running_mean
    array([3.], dtype=float32)
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        with in_mode(model, training=True), no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, list | tuple) else batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


class SWALR(LRScheduler):
    """Move the rate to a constant one in ``anneal_epochs`` epochs: that at which weights are averaged.

    Args:
        optimizer: its groups' rates are changed.
        swa_lr: the rate to go to, or one a group.
        anneal_epochs: number of epochs on the way, 0 or more.
        anneal_strategy: "cos" or "linear".
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: an option is out of range, or a list is not as long as there are groups.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(4)]
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy is {anneal_strategy!r}; there are cos and linear")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs is {anneal_epochs}, and must be a whole number, 0 or more")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        for rate, group in zip(for_each_group("SWALR: swa_lr", swa_lr, optimizer), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """Return how much of the way is behind after a number of steps, 0 … 1."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def _move(self, i: int, group: Group) -> None:
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        before, share, goal = self._share(step - 1), self._share(step), group["swa_lr"]
        start = goal if before == 1 else (group["lr"] - before * goal) / (1 - before)
        group["lr"] = goal * share + start * (1 - share)

    def _restart(self) -> None:
        """Go on from the rate of the schedule before, as in PyTorch."""
        self.last_epoch = 0
        self._set_rates()
