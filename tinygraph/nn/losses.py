"""Losses: one number of an output and a target, in ops; options and their meanings are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.functions.softmax import cross_entropy, log_softmax
from tinygraph.nn.module import Module
from tinygraph.ops.elementwise import logaddexp, square
from tinygraph.ops.shape import index

__all__ = ["BCEWithLogitsLoss", "CrossEntropyLoss", "MSELoss", "NLLLoss"]


class Loss(Module):
    """A loss that is averaged ("mean"), added up ("sum") or left as it is ("none")."""

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{type(self).__name__}: reduction {reduction!r} is none of 'mean', 'sum', 'none'")
        self.reduction = reduction

    def reduced(self, loss: Any) -> Any:
        """Reduce a loss for each element."""
        return loss if self.reduction == "none" else loss.mean() if self.reduction == "mean" else loss.sum()

    def check(self, x: Any, target: Any) -> None:
        """Raise where the target has another shape: it would broadcast, and the loss would mean something else."""
        shape = np.shape(array_of(target))
        if shape != x.shape:
            raise ValueError(f"{type(self).__name__}: the target has shape {shape}, the input {x.shape}")

    def array(self, target: Any) -> Any:
        """Return the array of a target; raise where it is none."""
        labels = array_of(target)
        if not hasattr(labels, "dtype"):
            raise TypeError(f"{type(self).__name__}: the target must be an array, not {type(labels).__name__}")
        return labels


class MSELoss(Loss):
    """Average the squared difference.

    >>> MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """

    def forward(self, x: Any, target: Any) -> Any:
        """Return the mean of (x - target)²."""
        self.check(x, target)
        return self.reduced(square(x - target))


class BCEWithLogitsLoss(Loss):
    """Average the cross entropy of yes-or-no scores: ``ln(1 + exp(x)) - x · target``, without overflow.

    >>> BCEWithLogitsLoss()(np.array([0.0]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """

    def forward(self, x: Any, target: Any) -> Any:
        """Return the loss of scores x and targets 0 … 1 of the same shape."""
        self.check(x, target)
        return self.reduced(logaddexp(0.0, x) - x * target)


class NLLLoss(Loss):
    """Average minus the log-probability of the right class.

    Args:
        weight: (C,), how much each class counts; 1 unless given. The mean divides by the sum of those counted.
        ignore_index: a target that does not count.
        reduction: "mean", "sum" or "none".

    Attributes:
        weight: as given, a buffer; or None.

    >>> NLLLoss()(np.log([[0.25, 0.75]]), np.array([0]))
    np.float64(1.3862943611198906)
    """

    weight: Any

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.ignore_index = ignore_index
        self.register_buffer("weight", array_of(weight))

    def forward(self, log_p: Any, target: Any) -> Any:
        """Return the loss of log-probabilities (C,), (N, C) or (N, C, …) and targets (), (N,) or (N, …)."""
        return self.weighted(log_p, target)

    def weighted(self, log_p: Any, target: Any, smoothing: float = 0.0) -> Any:
        """Return the loss; ``smoothing`` is the share of the target that is spread evenly over all classes."""
        axis, labels = min(1, len(log_p.shape) - 1), self.array(target)
        classes, rest = log_p.shape[axis], log_p.shape[:axis] + log_p.shape[axis + 1 :]
        if labels.dtype.kind not in "iu" or labels.shape != rest:
            raise ValueError(
                f"{type(self).__name__}: the target is {labels.dtype}{list(labels.shape)}; an input of shape "
                f"{log_p.shape} takes integers of shape {rest}"
            )
        counted = labels != self.ignore_index
        labels = labels * counted
        if labels.size and (labels.min() < 0 or labels.max() >= classes):
            raise ValueError(
                f"{type(self).__name__}: targets go from {labels.min()} to {labels.max()}; classes, 0 to {classes - 1}"
            )
        weights = counted.astype(log_p.dtype)
        if self.weight is not None:
            weights = weights * self.weight.astype(log_p.dtype)[labels]
        # One class of each: its index, among those of a grid over the other axes.
        grid = [np.arange(n).reshape([-1 if a == i else 1 for a in range(len(rest))]) for i, n in enumerate(rest)]
        loss = -index(log_p, (*grid[:axis], labels, *grid[axis:])) * weights
        if smoothing:
            spread = log_p if self.weight is None else log_p * self.weight.astype(log_p.dtype).reshape(
                [-1 if a == axis else 1 for a in range(len(log_p.shape))])  # fmt: skip
            loss = (1 - smoothing) * loss - smoothing / classes * (spread.sum(axis) * counted.astype(log_p.dtype))
        return loss.sum() / weights.sum() if self.reduction == "mean" else self.reduced(loss)


class CrossEntropyLoss(NLLLoss):
    """Average the cross entropy between scores and targets.

    Args:
        weight, ignore_index, reduction: as in `NLLLoss`, for targets that are class indices.
        label_smoothing: share of the target spread evenly over all classes, 0 … 1.

    >>> CrossEntropyLoss()(np.array([[0.0, 0.0]]), np.array([1]))
    np.float64(0.6931471805599453)
    """

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing is {label_smoothing}, outside of 0 … 1")
        self.label_smoothing = label_smoothing

    def forward(self, x: Any, target: Any) -> Any:
        """Return the loss of scores (C,), (N, C) or (N, C, …); targets are class indices or probabilities."""
        labels = self.array(target)
        indices = labels.dtype.kind in "iu"
        if self.weight is None and not (indices and (labels == self.ignore_index).any()):
            return cross_entropy(x, target, label_smoothing=self.label_smoothing, reduction=self.reduction)
        if not indices:
            raise ValueError("CrossEntropyLoss: weight takes class indices as targets; weigh probabilities yourself")
        return self.weighted(log_softmax(x, min(1, len(x.shape) - 1)), target, self.label_smoothing)
