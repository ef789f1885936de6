"""Learning rates by epoch, with PyTorch's names and arguments. A schedule multiplies the rate that it finds.

So several may work on one optimizer, such as a warm-up and a decay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tinygraph.optim.optimizers import Optimizer

__all__ = ["CosineAnnealingLR", "LRScheduler", "LinearLR", "MultiStepLR", "StepLR"]


class LRScheduler:
    """Change the learning rate of each group after each epoch: the part that all schedules share.

    Call ``step()`` at the end of each epoch. A subclass has `next_lr`.

    Args:
        optimizer: its groups' rates are changed.
        last_epoch: number of epochs that are over, less one; -1 starts anew.

    Raises:
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
        for option in ("step_size", "T_max", "total_iters"):
            if not getattr(self, option, 1) >= 1:
                raise ValueError(f"{type(self).__name__}: {option} is {getattr(self, option)}, and must be 1 or more")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for group in optimizer.param_groups:
            if last_epoch < 0:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(f"{type(self).__name__}: last_epoch={last_epoch} takes groups with an initial_lr")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

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
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.next_lr(group["lr"], base)

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer, whose own state has the rates."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned; load the optimizer's state too.

        Args:
            state_dict: that of a schedule of the same kind.
        """
        vars(self).update(state_dict)


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
        if self.last_epoch > self.total_iters:
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
        if t == 0:
            return lr
        if (t - 1 - half) % (2 * half) == 0:  # the lowest point: nothing to multiply
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / half)) / 2
        ratio = (1 + math.cos(math.pi * t / half)) / (1 + math.cos(math.pi * (t - 1) / half))
        return ratio * (lr - self.eta_min) + self.eta_min
