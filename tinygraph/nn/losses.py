"""Losses: one number of an output and a target, in ops; options and their meanings are PyTorch's."""

from __future__ import annotations

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.softmax import cross_entropy, log_softmax, pick_classes, smooth
from tinygraph.nn.module import Module
from tinygraph.ops.elementwise import logaddexp, square
from tinygraph.ops.reduce import mean

__all__ = ["BCEWithLogitsLoss", "CrossEntropyLoss", "MSELoss", "NLLLoss"]


class Loss(Module):
    """A loss that is averaged ("mean"), added up ("sum") or left as it is ("none")."""

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{type(self).__name__}: reduction {reduction!r} is none of 'mean', 'sum', 'none'")
        self.reduction = reduction

    def reduce(self, loss: Value) -> Value:
        """Average the losses of all elements, add them up, or leave them."""
        if self.reduction == "none":
            return loss
        return mean(loss) if self.reduction == "mean" else loss.sum()

    def check_shape(self, x: Value, target: Value) -> None:
        """Raise if the target has another shape: it would broadcast, and the loss would mean something else."""
        shape = np.shape(array_of(target))
        if shape != x.shape:
            raise ValueError(f"{type(self).__name__}: the target has shape {shape}, the input {x.shape}")

    def array_of_target(self, target: Value) -> Array:
        """Return the array of a target; raise if it has none."""
        labels: Array = array_of(target)
        if not hasattr(labels, "dtype"):
            raise TypeError(f"{type(self).__name__}: the target must be an array, not {type(labels).__name__}")
        return labels


class MSELoss(Loss):
    """Average the squared difference.

    Args:
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """

    def forward(self, x: Value, target: Value) -> Value:
        """Return the mean of (x - target)².

        Args:
            x: of any shape.
            target: of the shape of x.

        Returns:
            The loss, 0-d; with reduction "none", of the shape of x.
        """
        self.check_shape(x, target)
        return self.reduce(square(x - target))


class BCEWithLogitsLoss(Loss):
    """Average the cross entropy of yes-or-no scores: ``ln(1 + exp(x)) - x · target``, without overflow.

    Args:
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> BCEWithLogitsLoss()(np.array([0.0]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """

    def forward(self, x: Value, target: Value) -> Value:
        """Return the cross entropy of scores and probabilities.

        Args:
            x: scores (logits), of any shape.
            target: probabilities of yes, 0 … 1, of the shape of x.

        Returns:
            The loss in nats, 0-d; with reduction "none", of the shape of x.
        """
        self.check_shape(x, target)
        return self.reduce(logaddexp(0.0, x) - x * target)


class NLLLoss(Loss):
    """Average minus the log-probability of the right class.

    Args:
        weight: (C,), how much each class counts; 1 unless given. The mean divides by the sum of the weights of
            all targets.
        ignore_index: targets of this value do not count.
        reduction: "mean", "sum" or "none".

    Attributes:
        weight: as given, a buffer; or None.

    Raises:
        ValueError: the reduction is another; in a call, shapes do not fit, or a target is no class.
        TypeError: in a call, the target is no array.

    >>> NLLLoss()(np.log([[0.25, 0.75]]), np.array([0]))
    np.float64(1.3862943611198906)
    """

    weight: Array | None

    def __init__(self, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.ignore_index = ignore_index
        self.register_buffer("weight", array_of(weight))

    def forward(self, log_p: Value, target: Value) -> Value:
        """Return minus the log-probability of each target's class.

        Args:
            log_p: logarithms of probabilities, (C,), (N, C) or (N, C, …).
            target: classes 0 … C-1, integers, of the shape of ``log_p`` without the axis of classes.

        Returns:
            The loss in nats, 0-d; with reduction "none", of the shape of the target.
        """
        return self.weigh(log_p, target)

    def weigh(self, log_p: Value, target: Value, smoothing: float = 0.0) -> Value:
        """Return the loss, in which each class and each target counts as the options say.

        Args:
            log_p: logarithms of probabilities, (C,), (N, C) or (N, C, …).
            target: classes, as in ``forward``.
            smoothing: share of each target that is spread evenly over all classes, 0 … 1.

        Returns:
            The loss in nats, 0-d; with reduction "none", of the shape of the target.
        """
        name, labels = type(self).__name__, self.array_of_target(target)
        if labels.dtype.kind not in "iu":
            raise ValueError(f"{name}: the target must be classes, which are integers, not {labels.dtype}")
        axis = min(1, len(log_p.shape) - 1)
        counts = labels != self.ignore_index
        labels, weights = labels * counts, counts.astype(log_p.dtype)
        loss = -pick_classes(name, log_p, labels, axis)
        if self.weight is not None:
            each = self.weight.astype(log_p.dtype)
            loss, weights = loss * each[labels], weights * each[labels]
            log_p = log_p * each.reshape([-1 if a == axis else 1 for a in range(len(log_p.shape))])
        if smoothing:
            loss = smooth(loss, log_p, axis, smoothing)
        loss = loss * counts.astype(log_p.dtype)
        return loss.sum() / weights.sum() if self.reduction == "mean" else self.reduce(loss)


class CrossEntropyLoss(NLLLoss):
    """Average the cross entropy between scores and targets.

    Args:
        weight: (C,), how much each class counts; 1 unless given. It takes classes as targets.
        ignore_index: targets of this value do not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of each target that is spread evenly over all classes, 0 … 1.

    Raises:
        ValueError: an option is out of range; in a call, shapes do not fit, a target is no class, or weight
            meets probabilities.
        TypeError: in a call, the target is no array.

    >>> CrossEntropyLoss()(np.array([[0.0, 0.0]]), np.array([1]))
    np.float64(0.6931471805599453)
    """

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing is {label_smoothing}, outside of 0 … 1")
        self.label_smoothing = label_smoothing

    def forward(self, x: Value, target: Value) -> Value:
        """Return the cross entropy of scores and targets.

        Args:
            x: scores (logits), (C,), (N, C) or (N, C, …).
            target: classes 0 … C-1, integers, of the shape of x without the axis of classes; or probabilities,
                of the shape of x.

        Returns:
            The loss in nats, 0-d; with reduction "none", one for each target.
        """
        labels = self.array_of_target(target)
        are_classes = labels.dtype.kind in "iu"
        if self.weight is None and not (are_classes and (labels == self.ignore_index).any()):
            return cross_entropy(x, target, label_smoothing=self.label_smoothing, reduction=self.reduction)
        if not are_classes:
            raise ValueError("CrossEntropyLoss: weight takes class indices as targets; weigh probabilities yourself")
        return self.weigh(log_softmax(x, min(1, len(x.shape) - 1)), target, self.label_smoothing)
