"""Softmax and its logarithm, computed without overflow, and the cross-entropy made of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.functions.checks import label, shape_of
from tinygraph.ops.elementwise import astype, exp
from tinygraph.ops.indexing import index
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.reduce import logsumexp, mean, sum  # noqa: A004 - NumPy's name

__all__ = ["cross_entropy", "log_softmax", "softmax"]


@implements(method="softmax")
@accept_dim
@composite
def softmax(x: Value, axis: int = -1, *, dtype: npt.DTypeLike | None = None) -> Value:
    """Turn scores into probabilities along ``axis``: ``exp(x - logsumexp(x))``, which cannot overflow.

    Args:
        x: scores, of any shape; -inf gives 0, inf gives NaN, and a NaN makes all along ``axis`` NaN.
        axis: the axis of the classes.
        dtype: what the scores are converted to first; their own unless given.

    Returns:
        Probabilities of the shape of x, which add up to 1 along ``axis``.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    shape_of("softmax", x)
    return exp(log_softmax(x, axis, dtype=dtype))


@implements(method="log_softmax")
@accept_dim
@composite
def log_softmax(x: Value, axis: int = -1, *, dtype: npt.DTypeLike | None = None) -> Value:
    """Take the logarithm of `softmax` along ``axis``: ``x - logsumexp(x)``.

    Args:
        x: scores, of any shape.
        axis: the axis of the classes.
        dtype: as for `softmax`.

    Returns:
        Logarithms of probabilities, of the shape of x, in nats.

    >>> log_softmax(np.array([0.0, 0.0]))
    array([-0.69314718, -0.69314718])
    """
    shape_of("log_softmax", x)
    x = x if dtype is None else astype(x, dtype)
    return x - logsumexp(x, axis, True)


@composite
def cross_entropy(x: Value, target: Value, *, label_smoothing: float = 0.0, reduction: str = "mean") -> Value:
    """Take the cross entropy between scores and targets, as ``torch.nn.functional.cross_entropy``.

    Args:
        x: scores (logits), (C,), (N, C) or (N, C, d1, …).
        target: class indices in 0 … C-1, the shape of x without the class axis; or probabilities, of the
            shape of x. Not differentiated where they are indices.
        label_smoothing: share of the target spread evenly over all classes, 0 … 1.
        reduction: "mean" (over all targets), "sum" or "none".

    Returns:
        The loss in nats, 0-d; with "none", one for each target.

    Raises:
        TypeError: target is no array.
        ValueError: shapes do not fit, an index is out of range, there is no target to average over, or an
            option is not known.

    >>> cross_entropy(np.array([[0.0, 0.0]]), np.array([1]))
    np.float64(0.6931471805599453)
    """
    axis = min(1, len(shape_of("cross_entropy", x)) - 1)
    labels = array_of(target)
    check_options(x.shape, label_smoothing, reduction)
    if not hasattr(labels, "dtype"):
        found = type(labels).__name__
        raise TypeError(f"cross_entropy: target must be an array of indices or probabilities, not {found}")
    count = math.prod(x.shape[:axis] + x.shape[axis + 1 :])
    if reduction == "mean" and not count:
        raise ValueError(f"cross_entropy: the mean over no targets is undefined: x has shape {x.shape}")
    log_p = label(log_softmax(x, axis), "log p")
    if labels.dtype.kind in "iu":
        loss = -pick_classes("cross_entropy", log_p, labels, axis)
    elif labels.shape == x.shape:
        loss = -sum(target * log_p, axis)
    else:
        raise ValueError(f"cross_entropy: probabilities have shape {labels.shape}; x has {x.shape}")
    if label_smoothing:
        loss = smooth(loss, log_p, axis, label_smoothing)
    return loss if reduction == "none" else sum(loss) * (1 / count if reduction == "mean" else 1)


def check_options(shape: Shape, label_smoothing: float, reduction: str) -> None:
    """Raise if an option of `cross_entropy` is not known, or x has no axis of classes."""
    if not shape:
        raise ValueError("cross_entropy: x is one number; it must have an axis of classes")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}, outside of 0 … 1")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction {reduction!r} is none of 'mean', 'sum', 'none'")


def pick_classes(what: str, log_p: Value, labels: Array, axis: int) -> Value:
    """Return the log-probability of the class of each target; raise, in the name of ``what``, if there is none.

    Args:
        what: the function or layer that an error names.
        log_p: logarithms of probabilities, (C,), (N, C) or (N, C, …).
        labels: classes 0 … C-1, integers, of the shape of ``log_p`` without the axis of classes.
        axis: the axis of classes, not negative.
    """
    shape: Shape = log_p.shape
    others, classes = shape[:axis] + shape[axis + 1 :], shape[axis]
    if labels.shape != others:
        raise ValueError(f"{what}: indices have shape {labels.shape}; x of shape {shape} needs {others}")
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"{what}: indices go from {labels.min()} to {labels.max()}; x has classes 0 … {classes - 1}")
    places = np.indices(others, sparse=True)
    return index(log_p, (*places[:axis], labels, *places[axis:]))


def smooth(loss: Value, log_p: Value, axis: int, share: float) -> Value:
    """Return the loss of targets of which a share is spread evenly over all classes."""
    return (1 - share) * loss - share * mean(log_p, axis)
