"""Losses of classes and of numbers, as functions: one number of an output and a target."""

from __future__ import annotations

import math
from typing import Any

from tinygraph import functions
from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.checks import seldom
from tinygraph.functions.softmax import pick_classes, smooth
from tinygraph.nn.functional.layers import linear
from tinygraph.nn.functional.reduction import array_of_target, check_reduction, check_target, reduce
from tinygraph.ops.elementwise import log, logaddexp, where
from tinygraph.ops.reduce import sum  # noqa: A004 - NumPy's name
from tinygraph.ops.shape import reshape

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "linear_cross_entropy", "nll_loss",
]  # fmt: skip


@composite
def binary_cross_entropy(x: Value, target: Value, weight: Value = None, *, reduction: str = "mean") -> Value:
    r"""Average the cross entropy of yes-or-no probabilities: :math:`-t \ln x - (1 - t) \ln(1 - x)`.

    Args:
        x: probabilities of yes, 0 … 1, of any shape.
        target: t, 0 … 1, of the shape of x.
        weight: how much each element counts, of a shape that broadcasts to that of x; all alike unless given.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of x. A logarithm counts as at least -100, as in PyTorch.

    Raises:
        ValueError: the shapes differ, x is outside of 0 … 1, or the reduction is another.

    >>> binary_cross_entropy(np.array([0.5]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """
    target = check_target("binary_cross_entropy", x, target)
    values = array_of(x)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("binary_cross_entropy: x must be probabilities 0 … 1; scores go to …_with_logits")
    loss = -(target * log_of(x) + (1 - target) * log_of(1 - x))
    return reduce("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


def log_of(p: Value) -> Value:
    """Return ln p where that is above -100, else -100, without slope."""
    is_there = array_of(p) > math.exp(-100)
    return where(is_there, log(where(is_there, p, 1)), -100)


@composite
def binary_cross_entropy_with_logits(
    x: Value, target: Value, weight: Value = None, *, reduction: str = "mean", pos_weight: Value = None
) -> Value:
    """Average the cross entropy of yes-or-no scores: ``ln(1 + exp(x)) - x · target``, without overflow.

    Args:
        x: scores (logits), of any shape.
        target: 0 … 1, of the shape of x.
        weight: how much each element counts, of a shape that broadcasts to that of x; all alike unless given.
        reduction: "mean", "sum" or "none".
        pos_weight: how much a yes counts, likewise.

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> binary_cross_entropy_with_logits(np.array([0.0]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """
    target = check_target("binary_cross_entropy_with_logits", x, target)
    if pos_weight is None:
        loss = logaddexp(0.0, x) - x * target
    else:
        loss = (1 - target) * x + ((pos_weight - 1) * target + 1) * logaddexp(0.0, -x)
    return reduce("binary_cross_entropy_with_logits", loss if weight is None else loss * weight, reduction)


@composite
def nll_loss(
    x: Value, target: Value, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Value:
    """Average minus the log-probability of the right class.

    Args:
        x: log-probabilities (C,), (N, C) or (N, C, …).
        target: class indices (), (N,) or (N, …).
        weight: (C,), how much each class counts; 1 unless given.
        ignore_index: a target that does not count.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", one for each target.

    Raises:
        ValueError: shapes do not fit, an index is out of range, or the reduction is another.

    >>> nll_loss(np.log([[0.25, 0.75]]), np.array([0]))
    np.float64(1.3862943611198906)
    """
    return weigh("nll_loss", x, array_of_target("nll_loss", target), weight, ignore_index, reduction)


def cross_entropy(
    x: Value,
    target: Value,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Value:
    """Average the cross entropy between scores and targets.

    Args:
        x: scores (logits) (C,), (N, C) or (N, C, …).
        target: class indices (), (N,) or (N, …); or probabilities, of the shape of x.
        weight: (C,), how much each class counts; 1 unless given.
        ignore_index: a target that does not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of the target spread evenly over all classes, 0 … 1.

    Returns:
        The loss in nats, 0-d; with "none", one for each target.

    Raises:
        ValueError: shapes do not fit, an index is out of range, or an option is not known.

    >>> cross_entropy(np.array([[0.0, 0.0]]), np.array([1]))
    np.float64(0.6931471805599453)
    """
    labels = array_of_target("cross_entropy", target)
    are_classes = labels.dtype.kind in "iu"
    if weight is None and not (are_classes and seldom((labels == ignore_index).any())):
        return functions.cross_entropy(x, target, label_smoothing=label_smoothing, reduction=reduction)
    axis = min(1, len(x.shape) - 1)
    log_p = functions.log_softmax(x, axis)
    if not are_classes:
        check_target("cross_entropy", x, target)
        each = array_of(weight).astype(x.dtype).reshape([-1 if a == axis else 1 for a in range(len(x.shape))])
        spread = target * (1 - label_smoothing) + label_smoothing / x.shape[axis]
        loss = -sum(spread * log_p * each, axis)
        return reduce("cross_entropy", loss, reduction)
    return weigh("cross_entropy", log_p, labels, weight, ignore_index, reduction, label_smoothing)


def linear_cross_entropy(
    x: Value,
    linear_weight: Value,
    target: Value,
    *,
    linear_bias: Value = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Value:
    """Multiply by a matrix, and average the cross entropy of these scores: `linear`, then `cross_entropy`.

    Args:
        x: (D,) or (N, D).
        linear_weight: a matrix (C, D); or (C, …, D), for a score of each class at each of (…) places.
        target: class indices (), (N,) or (N, …); or probabilities, (C,) or (N, C, …).
        linear_bias: (C,) or (C, …), or None.
        weight: (C,), how much each class counts; 1 unless given.
        reduction: "mean", "sum" or "none".
        ignore_index: a target that does not count; None is -100.
        label_smoothing: share of the target spread evenly over all classes, 0 … 1.
        options: how PyTorch saves memory; taken, and without effect.

    Returns:
        The loss in nats, 0-d; with "none", one for each target.

    Raises:
        ValueError: shapes do not fit, an index is out of range, or an option is not known.

    >>> linear_cross_entropy(np.ones((1, 3)), np.zeros((2, 3)), np.array([1]))
    np.float64(0.6931471805599453)
    """
    classes, features = tuple(linear_weight.shape[:-1]), linear_weight.shape[-1]
    if len(x.shape) not in (1, 2) or not classes or x.shape[-1] != features:
        shapes = f"x {tuple(x.shape)} and linear_weight {tuple(linear_weight.shape)}"
        raise ValueError(f"linear_cross_entropy: {shapes} are not (N, D) and (C, …, D)")
    shift = None if linear_bias is None else reshape(linear_bias, (-1,))
    scores = reshape(linear(x, reshape(linear_weight, (-1, features)), shift), (*x.shape[:-1], *classes))
    return cross_entropy(
        scores, target, weight, ignore_index=-100 if ignore_index is None else ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip


def weigh(
    what: str,
    log_p: Value,
    labels: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    smoothing: float = 0.0,
) -> Value:
    """Return minus the log-probability of each class, in which each class and each target counts as options say.

    Args:
        what: the function that an error names.
        log_p: logarithms of probabilities, (C,), (N, C) or (N, C, …).
        labels: classes 0 … C-1, integers, of the shape of ``log_p`` without the axis of classes.
        weight: (C,), how much each class counts, or None.
        ignore_index: a target that does not count.
        reduction: "mean", by the sum of the weights of all targets; "sum" or "none".
        smoothing: share of each target that is spread evenly over all classes, 0 … 1.

    Returns:
        The loss in nats, 0-d; with "none", one for each target.
    """
    check_reduction(what, reduction)
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{what}: the target must be classes, which are integers, not {labels.dtype}")
    axis = min(1, len(log_p.shape) - 1)
    counts = labels != ignore_index
    labels, weights = labels * counts, counts.astype(log_p.dtype)
    loss = -pick_classes(what, log_p, labels, axis)
    if weight is not None:
        each = array_of(weight).astype(log_p.dtype)
        loss, weights = loss * each[labels], weights * each[labels]
        log_p = log_p * each.reshape([-1 if a == axis else 1 for a in range(len(log_p.shape))])
    if smoothing:
        loss = smooth(loss, log_p, axis, smoothing)
    loss = loss * counts.astype(log_p.dtype)
    if reduction != "mean":
        return reduce(what, loss, reduction)
    total = weights.sum()
    return loss.sum() / total if total else loss.sum() + math.nan  # of no targets: 0 / 0, and no gradient, as PyTorch
