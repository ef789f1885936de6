"""Learning rates by epoch, with PyTorch's names and arguments. Most schedules multiply the rate that they find.

So several may work on one optimizer, such as a warm-up and a decay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

from tinygraph.engine.errors import clean
from tinygraph.optim.optimizer import Group, Optimizer

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR",
    "MultiplicativeLR", "PolynomialLR", "StepLR",
]  # fmt: skip

T = TypeVar("T")
Factor = Callable[[int], float]  # of an epoch


def for_each_group(name: str, value: T | Sequence[T], optimizer: Optimizer) -> list[T]:
    """Return one value for each group of an optimizer: those given, or the one given."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count  # type: ignore[list-item]  # it is no sequence
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} values, and the optimizer {count} groups")
    return list(value)


class LRScheduler:
    """Change the learning rate of each group after each epoch: the part that all schedules share.

    Call ``step()`` at the end of each epoch. A subclass has `next_lr`.

    Args:
        optimizer: its groups' rates are changed.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        TypeError: there is something else than an optimizer.
        ValueError: a number of epochs is less than 1, or a group has no initial_lr to continue from.

    >>> class Halving(LRScheduler):
    ...     def next_lr(self, lr, base):
    ...         return lr / 2 if self.last_epoch else lr
    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = Halving(optimizer)
    >>> schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{name} takes an optimizer, not {type(optimizer).__name__}")
        for option in ("step_size", "T_max", "total_iters"):
            if not getattr(self, option, 1) >= 1:
                raise ValueError(f"{name}: {option} is {getattr(self, option)}, and must be 1 or more")
        self.optimizer, self.last_epoch, self._step_count = optimizer, last_epoch, 0
        for group in optimizer.param_groups:
            if last_epoch < 0:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(f"{name}: last_epoch={last_epoch} takes groups with an initial_lr")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._begin()

    def _begin(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count, self._is_initial = 0, True
        self.step()
        self._is_initial = False

    def _restart(self) -> None:
        """Set the rates of epoch 0 again, as if nothing had been before: a `SequentialLR` comes to this schedule."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.last_epoch, self._is_initial = 0, True
        self._set_rates()
        self._is_initial = False

    def _undo(self) -> None:
        """Forget the first step, as a `SequentialLR` asks: it begins schedules one by one."""
        self.last_epoch -= 1

    def _set_rates(self) -> None:
        """Set the rates of epoch ``last_epoch``."""
        for i, group in enumerate(self.optimizer.param_groups):
            self._move(i, group)
        self._last_lr = self.get_last_lr()

    def _move(self, i: int, group: Group) -> None:
        """Set the rate of one group."""
        group["lr"] = self.next_lr(group["lr"], self.base_lrs[i])

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of epoch ``last_epoch``; every schedule has its own.

        Args:
            lr: the rate of the epoch before.
            base: the first rate of the group.
        """
        raise NotImplementedError(f"{type(self).__name__} has no next_lr")

    def step(self) -> None:
        """Set the rates of the next epoch."""
        self.last_epoch += 1
        self._step_count += 1
        self._set_rates()

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer, whose own state has the rates, and functions."""
        return {key: value for key, value in vars(self).items() if key != "optimizer" and not callable(value)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, here or in PyTorch; load the optimizer's state too.

        Args:
            state_dict: that of a schedule of the same kind.

        Raises:
            ValueError: it is the state of another kind of schedule, or a value is of another type.
        """
        name, own = type(self).__name__, self.state_dict()
        if not isinstance(state_dict, Mapping):
            raise ValueError(f"{name}: a state is a dict, as state_dict() returns it")
        if wrong := {key for key in own.keys() ^ state_dict.keys() if not str(key).startswith("_")}:
            raise ValueError(f"{name}: the state is of another kind of schedule: {clean(', '.join(sorted(wrong)))}")
        new = {key: value for key, value in state_dict.items() if key in own}
        for key, value in new.items():
            if not alike(value, own[key]):
                raise ValueError(f"{name}: {key} is {clean(repr(value))}, which does not fit {own[key]!r}")
        vars(self).update(new)


def alike(value: Any, own: Any) -> bool:
    """Return whether a value of a state is of the type of the schedule's own."""
    if isinstance(own, list | tuple):
        if not isinstance(value, list | tuple):
            return False
        pairs = zip(value, own if len(own) == len(value) else own[:1] * len(value), strict=False)
        return all(alike(a, b) for a, b in pairs)
    if isinstance(own, bool) or not isinstance(own, Real):
        return own is None or value is None or isinstance(value, type(own))
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


class StepLR(LRScheduler):
    """Multiply the rate by ``gamma`` every ``step_size`` epochs.

    Args:
        optimizer: its groups' rates are changed.
        step_size: number of epochs, 1 or more.
        gamma: the factor; 0.1 is a tenth.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: step_size is less than 1, or a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        return lr * self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else lr


class MultiStepLR(LRScheduler):
    """Multiply the rate by ``gamma`` at each of ``milestones``.

    Args:
        optimizer: its groups' rates are changed.
        milestones: numbers of epochs, in any order; one that is there twice counts twice.
        gamma: the factor; 0.1 is a tenth.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(5)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        return lr * self.gamma ** self.milestones.count(self.last_epoch)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, here or in PyTorch, which counts each milestone.

        Args:
            state_dict: that of a schedule of the same kind.

        Raises:
            ValueError: it is the state of another kind of schedule, or a value is of another type.
        """
        counts = state_dict.get("milestones") if isinstance(state_dict, Mapping) else None
        if isinstance(counts, Mapping):
            state_dict = {**state_dict, "milestones": sorted(int(m) for m in counts for _ in range(counts[m]))}
        super().load_state_dict(state_dict)


class LinearLR(LRScheduler):
    """Move a factor of the rate evenly from ``start_factor`` to ``end_factor`` in ``total_iters`` epochs: a warm-up.

    Args:
        optimizer: its groups' rates are changed.
        start_factor: the factor in the first epoch; above 0, up to 1.
        end_factor: the factor from epoch ``total_iters`` on, 0 … 1.
        total_iters: number of epochs, 1 or more.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: a factor is out of range, total_iters is less than 1, or a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(4)]
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: factors are {start_factor} and {end_factor}; they go from above 0 to 1")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        return lr * (1 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))


class CosineAnnealingLR(LRScheduler):
    r"""Move the rate along half a cosine, from its first value to ``eta_min`` in ``T_max`` epochs.

    .. math:: \eta_t = \eta_{min} + (\eta_0 - \eta_{min}) \frac{1 + \cos(\pi t / T_{max})}{2}

    Args:
        optimizer: its groups' rates are changed.
        T_max: number of epochs, 1 or more; afterwards the rate rises again.
        eta_min: the lowest rate; 0 or more.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: T_max is less than 1, or a group has no initial_lr to continue from.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
    >>> [round((optimizer.param_groups[0]["lr"], schedule.step())[0], 6) for _ in range(3)]
    [1.0, 0.5, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        t, half = self.last_epoch, self.T_max
        if self._is_initial:
            return lr
        if (t - 1 - half) % (2 * half) == 0:  # the lowest point: nothing to multiply
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / half)) / 2
        ratio = (1 + math.cos(math.pi * t / half)) / (1 + math.cos(math.pi * (t - 1) / half))
        return ratio * (lr - self.eta_min) + self.eta_min


class ConstantLR(LRScheduler):
    """Multiply the rate by ``factor`` for the first ``total_iters`` epochs.

    Args:
        optimizer: its groups' rates are changed.
        factor: above 0, up to 1.
        total_iters: number of epochs, 1 or more.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: factor is out of range, total_iters is less than 1, or a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(4)]
    [0.5, 0.5, 1.0, 1.0]
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 < factor <= 1:
            raise ValueError(f"ConstantLR: factor is {factor}; it goes from above 0 to 1")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        if self.last_epoch == 0:
            return lr * self.factor
        return lr / self.factor if self.last_epoch == self.total_iters else lr


class ExponentialLR(LRScheduler):
    """Multiply the rate by ``gamma`` after every epoch.

    Args:
        optimizer: its groups' rates are changed.
        gamma: the factor; 0.9 takes a tenth away.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = ExponentialLR(optimizer, gamma=0.5)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(3)]
    [1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        return lr if self._is_initial else lr * self.gamma


class PolynomialLR(LRScheduler):
    r"""Let the rate fall to 0 in ``total_iters`` epochs, along a power.

    .. math:: \eta_t = \eta_0 (1 - t / T)^p

    Args:
        optimizer: its groups' rates are changed.
        total_iters: T, number of epochs, 1 or more; afterwards the rate stays.
        power: p; 1 is a straight line.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        ValueError: total_iters is less than 1, or a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = PolynomialLR(optimizer, total_iters=4)
    >>> [round((optimizer.param_groups[0]["lr"], schedule.step())[0], 6) for _ in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        """Return the rate of this epoch."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        left, before = (1 - t / self.total_iters for t in (self.last_epoch, self.last_epoch - 1))
        return lr * float((left / before) ** self.power)


class LambdaLR(LRScheduler):
    """Multiply the first rate by what a function of the epoch returns.

    Args:
        optimizer: its groups' rates are changed.
        lr_lambda: called with the number of the epoch, returns a factor; or a list of such functions, one a group. A
            state does not have them: give them again.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        TypeError: lr_lambda is no function.
        ValueError: there are not as many functions as groups, or a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(3)]
    [1.0, 0.5, 0.3333333333333333]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1) -> None:
        self.lr_lambdas = for_each_group(f"{type(self).__name__}: lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"{type(self).__name__}: lr_lambda is {type(function).__name__}, no function")
        super().__init__(optimizer, last_epoch)

    def _move(self, i: int, group: Group) -> None:
        group["lr"] = self.base_lrs[i] * self.lr_lambdas[i](self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and the functions, in whose place stands None."""
        return {**super().state_dict(), "lr_lambdas": [None] * len(self.lr_lambdas)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned; the functions stay.

        Args:
            state_dict: that of a schedule of the same kind.

        Raises:
            ValueError: it is the state of another kind of schedule, or a value is of another type.
        """
        functions = self.lr_lambdas
        super().load_state_dict(state_dict)
        self.lr_lambdas = functions


class MultiplicativeLR(LambdaLR):
    """Multiply the rate after every epoch by what a function of the epoch returns.

    Args:
        optimizer: its groups' rates are changed.
        lr_lambda: called with the number of the epoch, returns a factor; or a list of such functions, one a group. A
            state does not have them: give them again.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
        TypeError: lr_lambda is no function.
        ValueError: there are not as many functions as groups, or a group has no initial_lr to continue from.

    >>> optimizer = tg.optim.SGD([Tensor([1.0])], lr=1.0)
    >>> schedule = MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(3)]
    [1.0, 0.5, 0.25]
    """

    def _move(self, i: int, group: Group) -> None:
        if not self._is_initial:
            group["lr"] = group["lr"] * self.lr_lambdas[i](self.last_epoch)

    def _restart(self) -> None:
        """Go on from the rate of the schedule before, as in PyTorch."""
        self.last_epoch = 0
        self._set_rates()
