"""Softmax and its logarithm, computed without overflow, and the cross-entropy made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.functions.checks import named, shape_of
from tinygraph.ops.elementwise import exp
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.reduce import logsumexp, mean, sum  # noqa: A004 - NumPy's name

__all__ = ["cross_entropy", "log_softmax", "softmax"]


@implements(method="softmax")
@accept_dim
@composite
def softmax(x: Any, axis: int = -1) -> Any:
    """Turn scores into probabilities along ``axis``: ``exp(x - logsumexp(x))``, which cannot overflow.

    Args:
        x: scores, of any shape; -inf gives 0, inf gives NaN, and a NaN makes NaN all beside it along ``axis``.
        axis: the axis of the classes.

    Returns:
        Probabilities of the shape of x, which add up to 1 along ``axis``.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    shape_of("softmax", x)
    return exp(log_softmax(x, axis))


@implements(method="log_softmax")
@accept_dim
@composite
def log_softmax(x: Any, axis: int = -1) -> Any:
    """Take the logarithm of `softmax` along ``axis``: ``x - logsumexp(x)``.

    Args:
        x, axis: as in `softmax`.

    Returns:
        Logarithms of probabilities, of the shape of x, in nats.

    >>> log_softmax(np.array([0.0, 0.0]))
    array([-0.69314718, -0.69314718])
    """
    shape_of("log_softmax", x)
    return x - logsumexp(x, axis, True)


@composite
def cross_entropy(x: Any, target: Any, *, label_smoothing: float = 0.0, reduction: str = "mean") -> Any:
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
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    if not x.shape:
        raise ValueError("cross_entropy: x is one number; it must have an axis of classes")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}, outside of 0 … 1")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction {reduction!r} is none of 'mean', 'sum', 'none'")
    if not hasattr(labels, "dtype"):
        found = type(labels).__name__
        raise TypeError(f"cross_entropy: target must be an array of indices or probabilities, not {found}")
    if reduction == "mean" and 0 in rest:
        raise ValueError(f"cross_entropy: the mean over no targets is undefined: x has shape {x.shape}")
    log_p = named(log_softmax(x, axis), "log p")
    if labels.dtype.kind in "iu":
        if labels.shape != rest:
            raise ValueError(f"cross_entropy: indices have shape {labels.shape}; x of shape {x.shape} needs {rest}")
        if labels.size and not (labels.min() >= 0 and labels.max() < x.shape[axis]):
            raise ValueError(
                f"cross_entropy: indices go from {labels.min()} to {labels.max()}; "
                f"x has classes 0 … {x.shape[axis] - 1}"
            )
        places = [np.arange(n).reshape([-1 if a == i else 1 for a in range(len(rest))]) for i, n in enumerate(rest)]
        places.insert(axis, labels)
        loss = -log_p[tuple(places)]
    else:
        if labels.shape != x.shape:
            raise ValueError(f"cross_entropy: probabilities have shape {labels.shape}; x has {x.shape}")
        loss = -sum(target * log_p, axis)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * mean(log_p, axis)
    count = int(np.prod(rest, dtype=int))
    return loss if reduction == "none" else sum(loss) * (1 / count if reduction == "mean" else 1)
