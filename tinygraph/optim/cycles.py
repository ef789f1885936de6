"""Schedules that let the rate rise and fall again, and the momentum with it, against it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygraph.optim.optimizer import Group, Optimizer
from tinygraph.optim.schedules import LRScheduler, for_each_group

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]

Several = float | Sequence[float]  # for all groups, or for each


def cosine(start: float, end: float, share: float) -> float:
    """Return a value between two, along half a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def straight(start: float, end: float, share: float) -> float:
    """Return a value between two, along a line."""
    return start + (end - start) * share


ANNEAL = {"cos": cosine, "linear": straight}


class WithMomentum(LRScheduler):
    """A schedule that also moves the momentum, or β₁ where there are betas."""

    cycle_momentum: bool
    use_beta1: bool

    def _set_momenta(
        self, base_momentum: Several, max_momentum: Several, anew: bool
    ) -> tuple[list[float], list[float]]:
        """Put the largest momentum into each group at the beginning; return the smallest and the largest."""
        optimizer, name = self.optimizer, type(self).__name__
        if not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(f"{name}: {type(optimizer).__name__} has no momentum to cycle; say cycle_momentum=False")
        self.use_beta1 = "betas" in optimizer.defaults
        smallest = for_each_group(f"{name}: base_momentum", base_momentum, optimizer)
        largest = for_each_group(f"{name}: max_momentum", max_momentum, optimizer)
        if anew:
            for group, least, most in zip(optimizer.param_groups, smallest, largest, strict=True):
                self._set_momentum(group, most)
                group["max_momentum"], group["base_momentum"] = most, least
        return smallest, largest

    def _set_momentum(self, group: Group, momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(WithMomentum):
    """Let the rate go up and down between two rates, and the momentum down and up.

    Args:
        optimizer: its groups' rates are changed.
        base_lr: the lowest rate, or one a group.
        max_lr: the highest rate, or one a group.
        step_size_up: number of steps on the way up, above 0.
        step_size_down: number of steps on the way down; that of the way up unless given.
        mode: "triangular"; "triangular2", whose height halves with each cycle; or "exp_range", whose height shrinks by
            ``gamma`` with each step.
        gamma: the factor of "exp_range".
        scale_fn: what the height is multiplied by, in place of a mode. A state does not have it: give it again.
        scale_mode: what scale_fn is called with: the number of the "cycle", from 1, or that of "iterations", from 0.
        cycle_momentum: whether to move the momentum too.
        base_momentum: the lowest momentum, or one a group.
        max_momentum: the highest momentum, or one a group.
        last_epoch: number of steps that are over, less one; -1 starts anew.

    Raises:
        TypeError: there is something else than an optimizer.
        ValueError: there is no such mode, a list is not as long as there are groups, or there is no momentum.

    Source: Smith 2017, "Cyclical learning rates for training neural networks".

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], momentum=0.9)
    >>> schedule = CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Several,
        max_lr: Several,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Several = 0.8,
        max_momentum: Several = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"CyclicLR takes an optimizer, not {type(optimizer).__name__}")
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: mode is {mode!r}; there are triangular, triangular2 and exp_range")
        down = step_size_up if step_size_down is None else step_size_down
        if not step_size_up > 0 or not down > 0:
            raise ValueError(f"CyclicLR: step_size_up is {step_size_up} and step_size_down {down}: both are above 0")
        self.optimizer, rates = optimizer, for_each_group("CyclicLR: base_lr", base_lr, optimizer)
        self.max_lrs = for_each_group("CyclicLR: max_lr", max_lr, optimizer)
        self.total_size, self.step_ratio = float(step_size_up + down), step_size_up / (step_size_up + down)
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        by_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode if scale_fn else by_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._set_momenta(base_momentum, max_momentum, last_epoch < 0)
        if last_epoch < 0:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        self._base_lrs = rates
        super().__init__(optimizer, last_epoch)
        self.base_lrs = rates

    def scale_fn(self, x: float) -> float:
        """Return what the height is multiplied by.

        Args:
            x: number of the cycle or of the step, as ``scale_mode`` says.
        """
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        heights: dict[str, float] = {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}
        return heights[self.mode]

    def _move(self, i: int, group: Group) -> None:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        share = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = share * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        group["lr"] = self._base_lrs[i] + (self.max_lrs[i] - self._base_lrs[i]) * scale
        if self.cycle_momentum:
            most = self.max_momentums[i]
            self._set_momentum(group, most - (most - self.base_momentums[i]) * scale)

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and the function."""
        return {**super().state_dict(), "_scale_fn_custom": None}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned; a function stays.

        Args:
            state_dict: that of a schedule of the same kind.

        Raises:
            ValueError: it is the state of another kind of schedule, or a value is of another type.
        """
        function = self._scale_fn_custom
        super().load_state_dict(state_dict)
        self._scale_fn_custom, self._base_lrs = function, list(self.base_lrs)


class OneCycleLR(WithMomentum):
    """Let the rate rise from a small one to ``max_lr``, and fall to a tiny one; the momentum falls and rises.

    Call ``step()`` after every batch.

    Args:
        optimizer: its groups' rates are changed.
        max_lr: the highest rate, or one a group.
        total_steps: number of steps, 1 or more; or give the next two.
        epochs: number of epochs.
        steps_per_epoch: number of steps in each.
        pct_start: share of the steps on the way up, 0 … 1.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether to move the momentum too.
        base_momentum: the lowest momentum, or one a group.
        max_momentum: the highest momentum, or one a group.
        div_factor: ``max_lr`` over the first rate.
        final_div_factor: the first rate over the last.
        three_phase: whether to come down to the first rate in as many steps as up, and only then to the last.
        last_epoch: number of steps that are over, less one; -1 starts anew.

    Raises:
        TypeError: there is something else than an optimizer.
        ValueError: an option is out of range, the number of steps is not given, a list is not as long as there are
            groups, or there is no momentum; in ``step``, all steps are over.

    Source: Smith and Topin 2019, "Super-convergence".

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.4, div_factor=2.0)
    >>> [round((optimizer.param_groups[0]["lr"], schedule.step())[0], 3) for _ in range(4)]
    [0.5, 1.0, 0.75, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Several,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Several = 0.85,
        max_momentum: Several = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"OneCycleLR takes an optimizer, not {type(optimizer).__name__}")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if not total_steps > 0 or total_steps != int(total_steps):
            raise ValueError(f"OneCycleLR: total_steps is {total_steps}, and must be a whole number, 1 or more")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start is {pct_start}, and must be in 0 … 1")
        if anneal_strategy not in ANNEAL:
            raise ValueError(f"OneCycleLR: anneal_strategy is {anneal_strategy!r}; there are {', '.join(ANNEAL)}")
        self.optimizer, self.total_steps, self._anneal = optimizer, int(total_steps), anneal_strategy
        top = pct_start * total_steps
        last = float(total_steps - 1)
        # Each phase: its last step, what rate it goes to from the one before, what momentum.
        self._phases = [(top - 1, "max_lr", "base_momentum"), (last, "min_lr", "max_momentum")]
        if three_phase:
            self._phases.insert(1, (2 * top - 2, "initial_lr", "max_momentum"))
        if last_epoch < 0:
            for group, most in zip(
                optimizer.param_groups, for_each_group("OneCycleLR: max_lr", max_lr, optimizer), strict=True
            ):
                group["initial_lr"], group["max_lr"] = most / div_factor, most
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._set_momenta(base_momentum, max_momentum, last_epoch < 0)
        super().__init__(optimizer, last_epoch)

    def _move(self, i: int, group: Group) -> None:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {self.last_epoch} of {self.total_steps}: the cycle is over")
        begin, rate, momentum = 0.0, "initial_lr", "max_momentum"
        for end, next_rate, next_momentum in self._phases:
            if self.last_epoch <= end or end == self._phases[-1][0]:
                break
            begin, rate, momentum = end, next_rate, next_momentum
        anneal, share = ANNEAL[self._anneal], (self.last_epoch - begin) / (end - begin) if end != begin else 1.0
        group["lr"] = anneal(group[rate], group[next_rate], share)
        if self.cycle_momentum:
            self._set_momentum(group, anneal(group[momentum], group[next_momentum], share))


class CosineAnnealingWarmRestarts(LRScheduler):
    r"""Move the rate along half a cosine, again and again, each time in more epochs.

    .. math:: \eta_t = \eta_{min} + (\eta_0 - \eta_{min}) \frac{1 + \cos(\pi T_{cur} / T_i)}{2}

    Args:
        optimizer: its groups' rates are changed.
        T_0: number of epochs of the first fall, 1 or more.
        T_mult: how many times longer each fall is than the one before; a whole number, 1 or more.
        eta_min: the lowest rate; 0 or more.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: T_0 or T_mult is no whole number of 1 or more, or a group has no initial_lr to continue from.

    Source: Loshchilov and Hutter 2017, equation 5.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> [round((optimizer.param_groups[0]["lr"], schedule.step())[0], 6) for _ in range(4)]
    [1.0, 0.5, 1.0, 0.5]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"CosineAnnealingWarmRestarts: {name} is {value}, and must be a whole number, 1 or more"
                )
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch.

        Args:
            epoch: a place to go to, such as 3.5, the middle of epoch 3; the next epoch unless given.
        """
        self._step_count += 1
        if epoch is None:
            self.last_epoch, self.T_cur = self.last_epoch + 1, self.T_cur + 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            if epoch < 0:
                raise ValueError(f"CosineAnnealingWarmRestarts: epoch is {epoch}, and must not be negative")
            self.last_epoch, self.T_cur, self.T_i = math.floor(epoch), epoch, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self._set_rates()

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        return cosine(base, self.eta_min, self.T_cur / self.T_i)
