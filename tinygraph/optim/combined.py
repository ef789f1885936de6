"""Schedules one after another, or at once; and one that waits until nothing gets better."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tinygraph.optim.optimizer import Optimizer
from tinygraph.optim.schedules import LRScheduler, for_each_group

__all__ = ["ChainedScheduler", "ReduceLROnPlateau", "SequentialLR"]


class Combination(LRScheduler):
    """Several schedules of one optimizer."""

    def _gather(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        """Keep the schedules; raise if they do not go together."""
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name}: there are no schedules")
        for schedule in schedulers:
            if not isinstance(schedule, LRScheduler):
                raise TypeError(f"{name} takes schedules, not {type(schedule).__name__}")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError(f"{name}: ReduceLROnPlateau needs a measure at each step; step it beside the others")
        self.optimizer = optimizer or schedulers[0].optimizer
        if any(schedule.optimizer is not self.optimizer for schedule in schedulers):
            raise ValueError(f"{name}: the schedules are of several optimizers")
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the schedules, and which one is working."""
        return {**super().state_dict(), "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned; load the optimizer's state too.

        Args:
            state_dict: that of the same schedules.

        Raises:
            ValueError: it is the state of other schedules.
        """
        states, schedules = state_dict.get("_schedulers", ()), self._schedulers
        if len(states) != len(schedules):
            raise ValueError(f"{type(self).__name__}: the state has {len(states)} schedules; here are {len(schedules)}")
        before = [schedule.state_dict() for schedule in schedules]
        try:
            for schedule, state in zip(schedules, states, strict=True):
                schedule.load_state_dict(state)
            super().load_state_dict({**state_dict, "_schedulers": before})
        except ValueError:
            for schedule, state in zip(schedules, before, strict=True):
                schedule.load_state_dict(state)
            raise
        finally:
            self._schedulers = schedules


class SequentialLR(Combination):
    """Follow one schedule after another, each from an epoch on.

    Args:
        optimizer: its groups' rates are changed.
        schedulers: schedules of that optimizer, one or more.
        milestones: the epochs at which the second, the third, … begins.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        TypeError: one of them is no schedule.
        ValueError: there are not as many milestones as there are changes, or the schedules do not go together.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> warm = tg.optim.ConstantLR(optimizer, factor=0.1, total_iters=9)
    >>> schedule = SequentialLR(optimizer, [warm, tg.optim.ExponentialLR(optimizer, gamma=0.5)], milestones=[2])
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(4)]
    [0.1, 0.1, 1.0, 0.5]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._gather(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedules have {len(schedulers) - 1} changes, and there are "
                f"{len(milestones)} milestones"
            )
        self._milestones, self.last_epoch = list(milestones), last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for schedule in self._schedulers:
            schedule._undo()
        self._schedulers[bisect_right(self._milestones, 0)]._begin()
        self._last_lr = self.get_last_lr()

    def step(self) -> None:
        """Set the rates of the next epoch."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        if i and self._milestones[i - 1] == self.last_epoch:
            self._schedulers[i]._restart()
        else:
            self._schedulers[i].step()
        self._last_lr = self.get_last_lr()

    def _undo(self) -> None:
        for schedule in self._schedulers:
            schedule._undo()


class ChainedScheduler(Combination):
    """Step several schedules at once; each multiplies what the one before it left.

    Args:
        schedulers: schedules of one optimizer, one or more.
        optimizer: that optimizer; the first schedule's unless given.

    Raises:
        TypeError: one of them is no schedule.
        ValueError: there are none, or they do not go together.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedules = [tg.optim.ConstantLR(optimizer, 0.5, total_iters=2), tg.optim.ExponentialLR(optimizer, 0.5)]
    >>> schedule = ChainedScheduler(schedules)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(3)]
    [0.5, 0.25, 0.25]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._gather(schedulers, optimizer)
        self._last_lr = self.get_last_lr()

    def step(self) -> None:
        """Set the rates of the next epoch."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self.get_last_lr()

    def _undo(self) -> None:
        for schedule in self._schedulers:
            schedule._undo()


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a measure has not got better for ``patience`` epochs.

    Args:
        optimizer: its groups' rates are changed.
        mode: "min" for a measure that shall fall, such as a loss; "max" for one that shall rise.
        factor: less than 1.
        patience: number of epochs without progress that are put up with.
        threshold: the least progress that counts.
        threshold_mode: "rel" for a share of the best value, "abs" for the measure's own units.
        cooldown: number of epochs after a change in which nothing is counted.
        min_lr: the lowest rate, or one a group.
        eps: a change of the rate that is smaller is left out.

    Raises:
        TypeError: there is something else than an optimizer.
        ValueError: factor is not less than 1, there is no such mode, or a list is not as long as there are groups.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, patience=1)
    >>> [(schedule.step(loss), optimizer.param_groups[0]["lr"])[1] for loss in (3.0, 2.0, 2.0, 2.0)]
    [1.0, 1.0, 1.0, 0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"ReduceLROnPlateau takes an optimizer, not {type(optimizer).__name__}")
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor is {factor}, and must be less than 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: mode is {mode!r} and threshold_mode {threshold_mode!r}; there are min and max, "
                "rel and abs"
            )
        self.optimizer, self.factor, self.patience, self.cooldown, self.eps = optimizer, factor, patience, cooldown, eps
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs = for_each_group("ReduceLROnPlateau: min_lr", min_lr, optimizer)
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.best = self.mode_worse = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = self.get_last_lr()

    @property
    def in_cooldown(self) -> bool:
        """Whether nothing is counted after a change."""
        return self.cooldown_counter > 0

    def step(self, metrics: Any) -> None:  # type: ignore[override]  # as PyTorch has it: this one needs a measure
        """Set the rates of the next epoch.

        Args:
            metrics: the measure after this epoch, a number.
        """
        value = float(metrics)
        self.last_epoch += 1
        if self.is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, least)
                group["lr"] = lr if group["lr"] - lr > self.eps else group["lr"]
        self._last_lr = self.get_last_lr()

    def is_better(self, value: float) -> bool:
        """Return whether a measure is better than the best so far, by the threshold.

        Args:
            value: the measure.
        """
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold

    def _undo(self) -> None:
        raise ValueError("ReduceLROnPlateau needs a measure at each step; step it beside the others")
