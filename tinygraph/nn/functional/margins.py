"""Losses that ask for a margin, as functions: what is right by more than the margin costs nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.softmax import pick_classes
from tinygraph.nn.functional.distances import pairwise_distance
from tinygraph.nn.functional.reduction import (
    array_of_target,
    beside,
    check_target,
    in_dtype_of,
    on_host,
    reduce,
)
from tinygraph.ops.elementwise import clip, logaddexp, minimum, sqrt, square, where
from tinygraph.ops.reduce import mean, sum  # noqa: A004 - NumPy's names

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip


@composite
def hinge_embedding_loss(x: Value, target: Value, margin: float = 1.0, *, reduction: str = "mean") -> Value:
    """Average distances of what is alike, and ``max(0, margin - x)`` of what is not.

    Args:
        x: distances, of any shape.
        target: 1 where things are alike and -1 where they are not, of a shape that broadcasts to that of x.
        margin: how far apart unlike things shall be, in units of x.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the reduction is another.

    >>> hinge_embedding_loss(np.array([0.25, 0.25]), np.array([1, -1]), reduction="none")
    array([0.25, 0.75])
    """
    labels = array_of_target("hinge_embedding_loss", target)
    loss = where(labels != 1, clip(margin - x, 0), 0) + where(labels != -1, x, 0)
    return reduce("hinge_embedding_loss", loss, reduction)


@composite
def margin_ranking_loss(x1: Value, x2: Value, target: Value, margin: float = 0, *, reduction: str = "mean") -> Value:
    """Average ``max(0, -t (x1 - x2) + margin)``: x1 shall be above x2 where the target t is 1, below where it is -1.

    Args:
        x1: of any shape.
        x2: of the shape of x1.
        target: t, 1 or -1, likewise.
        margin: by how much, in units of x1.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of x1.

    Raises:
        ValueError: the numbers of axes differ, or the reduction is another.

    >>> margin_ranking_loss(np.array([1.0]), np.array([3.0]), np.array([1]))
    np.float64(2.0)
    """
    shapes = [np.shape(array_of(a)) for a in (x1, x2, target)]
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"margin_ranking_loss: x1, x2 and target must have as many axes: {shapes}")
    target = in_dtype_of(x1, target)
    return reduce("margin_ranking_loss", clip(-target * (x1 - x2) + margin, 0), reduction)


@composite
def cosine_embedding_loss(x1: Value, x2: Value, target: Value, margin: float = 0, *, reduction: str = "mean") -> Value:
    """Average ``1 - cos`` of what is alike, and ``max(0, cos - margin)`` of what is not.

    Args:
        x1: (N, D) or (D,).
        x2: likewise.
        target: 1 where rows are alike and -1 where they are not, (N,) or 0-d.
        margin: how large the cosine of unlike rows may be, -1 … 1.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of the target.

    Raises:
        ValueError: the shapes do not fit, or the reduction is another.

    >>> cosine_embedding_loss(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([1]))
    np.float64(1.0)
    """
    labels = array_of_target("cosine_embedding_loss", target)
    if len(x1.shape) != len(labels.shape) + 1 or len(x2.shape) != len(x1.shape):
        raise ValueError(
            f"cosine_embedding_loss: x1 {x1.shape}, x2 {x2.shape} and target {labels.shape} must be (N, D), (N, D) "
            "and (N,), or (D,), (D,) and ()"
        )
    lengths = (sum(square(x1), -1) + 1e-12) * (sum(square(x2), -1) + 1e-12)
    cosine = sum(x1 * x2, -1) / sqrt(lengths)
    loss = where(labels == 1, 1 - cosine, 0) + where(labels == -1, clip(cosine - margin, 0), 0)
    return reduce("cosine_embedding_loss", loss, reduction)


@composite
def triplet_margin_loss(
    anchor: Value,
    positive: Value,
    negative: Value,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Value:
    """Average ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    Args:
        anchor: (N, D) or (D,).
        positive: what shall be near the anchor, likewise.
        negative: what shall be farther away by the margin, likewise.
        margin: above 0, in units of the distance.
        p: which norm, as in `pairwise_distance`.
        eps: added to every difference, as there.
        swap: whether the distance of the negative to the positive counts if it is the smaller one.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", (N,).

    Raises:
        ValueError: the margin is not positive, the numbers of axes differ, or the reduction is another.

    Source: Schroff, Kalenichenko and Philbin 2015; with swap, Balntas et al. 2016.

    >>> triplet_margin_loss(np.array([[0.0]]), np.array([[1.0]]), np.array([[1.5]])).round(6)
    np.float64(0.5)
    """

    def distance(a: Value, b: Value) -> Value:
        return pairwise_distance(a, b, p, eps)

    loss = triplet("triplet_margin_loss", distance, anchor, positive, negative, margin, swap)
    return reduce("triplet_margin_loss", loss, reduction)


@composite
def triplet_margin_with_distance_loss(
    anchor: Value,
    positive: Value,
    negative: Value,
    *,
    distance_function: Callable[[Value, Value], Value] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Value:
    """Average ``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with a distance of your own.

    Args:
        anchor: of a shape that the distance takes.
        positive: what shall be near the anchor, likewise.
        negative: what shall be farther away by the margin, likewise.
        distance_function: d, which takes two of them; `pairwise_distance` unless given.
        margin: above 0, in units of the distance.
        swap: whether the distance of the negative to the positive counts if it is the smaller one.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of a distance.

    Raises:
        ValueError: the margin is not positive, the numbers of axes differ, or the reduction is another.

    >>> triplet_margin_with_distance_loss(np.array([[0.0]]), np.array([[1.0]]), np.array([[1.5]])).round(6)
    np.float64(0.5)
    """
    distance = distance_function or pairwise_distance
    loss = triplet("triplet_margin_with_distance_loss", distance, anchor, positive, negative, margin, swap)
    return reduce("triplet_margin_with_distance_loss", loss, reduction)


def triplet(
    what: str,
    distance: Callable[[Value, Value], Value],
    anchor: Value,
    positive: Value,
    negative: Value,
    margin: float,
    swap: bool,
) -> Value:
    """Return the loss of each triplet."""
    if margin <= 0:
        raise ValueError(f"{what}: margin is {margin}, and must be positive")
    if not len(anchor.shape) == len(positive.shape) == len(negative.shape):
        raise ValueError(f"{what}: the three have {anchor.shape}, {positive.shape} and {negative.shape}")
    away = distance(anchor, negative)
    if swap:
        away = minimum(away, distance(positive, negative))
    return clip(margin + distance(anchor, positive) - away, 0)


@composite
def multi_margin_loss(
    x: Value, target: Value, p: int = 1, margin: float = 1.0, weight: Array | None = None, *, reduction: str = "mean"
) -> Value:
    """Average ``max(0, margin - x[right] + x[other])ᵖ`` over the other classes: the hinge loss of several classes.

    Args:
        x: scores, (N, C) or (C,).
        target: classes 0 … C-1, integers, (N,) or 0-d.
        p: 1 or 2.
        margin: by how much the right score shall be larger, in units of x.
        weight: (C,), how much each right class counts; 1 unless given.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of the target. The sum over classes is divided by C.

    Raises:
        ValueError: shapes do not fit, an index is out of range, p is another, or the reduction is.

    Source: Crammer and Singer 2001.

    >>> multi_margin_loss(np.array([[1.0, 0.5]]), np.array([0]))
    np.float64(0.25)
    """
    labels = on_host(array_of_target("multi_margin_loss", target))
    x = x if x.shape else x.reshape(1)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p is {p}, and must be 1 or 2")
    axis = len(x.shape) - 1
    labels = labels.reshape(()) if not axis and labels.size == 1 else labels
    right = pick_classes("multi_margin_loss", x, beside(x, labels), axis)
    short = clip(margin - right.reshape((*right.shape, 1)) + x, 0)
    others = (np.arange(x.shape[-1]) != labels[..., None]).astype(x.dtype)
    loss = mean((short if p == 1 else square(short)) * beside(x, others), -1)
    loss = loss if weight is None else loss * array_of(weight)[beside(x, labels)]
    return reduce("multi_margin_loss", loss, reduction)


@composite
def multilabel_margin_loss(x: Value, target: Value, *, reduction: str = "mean") -> Value:
    """Add ``max(0, 1 - (x[right] - x[other]))`` for each right class and each other one, and divide by C.

    Args:
        x: scores, (N, C) or (C,).
        target: the right classes of each example first, and then -1; integers of the shape of x.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", (N,).

    Raises:
        ValueError: the shapes differ, an index is out of range, or the reduction is another.

    >>> multilabel_margin_loss(np.array([0.1, 0.2, 0.4, 0.8]), np.array([3, 0, -1, 1])).round(6)
    np.float64(0.85)
    """
    check_target("multilabel_margin_loss", x, target)
    x = x if x.shape else x.reshape(1)
    labels, classes = on_host(array_of_target("multilabel_margin_loss", target)).reshape(x.shape), x.shape[-1]
    if labels.size and (labels.min() < -1 or labels.max() >= classes):
        raise ValueError(f"multilabel_margin_loss: classes go from {labels.min()} to {labels.max()}; x has {classes}")
    counts = np.minimum.accumulate(labels >= 0, axis=-1)  # what stands after the first -1 does not count
    places = np.where(counts, labels, 0)
    is_right = ((places[..., :, None] == np.arange(classes)) & counts[..., :, None]).any(-2)
    key = (places,) if len(x.shape) == 1 else (np.arange(x.shape[0])[:, None], places)
    right = x[tuple(beside(x, part) for part in key)]
    short = clip(1 - right.reshape((*x.shape, 1)) + x.reshape((*x.shape[:-1], 1, classes)), 0)
    pairs = (counts[..., :, None] & ~is_right[..., None, :]).astype(x.dtype)
    return reduce("multilabel_margin_loss", sum(short * beside(x, pairs), (-2, -1)) / classes, reduction)


@composite
def soft_margin_loss(x: Value, target: Value, *, reduction: str = "mean") -> Value:
    """Average ``ln(1 + exp(-t x))``, without overflow.

    Args:
        x: scores, of any shape.
        target: t, 1 or -1, of the shape of x.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in nats, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> soft_margin_loss(np.array([0.0]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """
    target = check_target("soft_margin_loss", x, target)
    return reduce("soft_margin_loss", logaddexp(0.0, -target * x), reduction)


@composite
def multilabel_soft_margin_loss(
    x: Value, target: Value, weight: Array | None = None, *, reduction: str = "mean"
) -> Value:
    """Average the cross entropy of one yes-or-no score for each class.

    Args:
        x: scores (logits), (N, C).
        target: 1 for the classes that are right, 0 for the others, of the shape of x.
        weight: (C,), how much each class counts; 1 unless given.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in nats, 0-d; with "none", (N,). It is a mean over classes.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> multilabel_soft_margin_loss(np.zeros((1, 2)), np.array([[1.0, 0.0]]))
    np.float64(0.6931471805599453)
    """
    target = check_target("multilabel_soft_margin_loss", x, target)
    loss = logaddexp(0.0, x) - x * target
    loss = loss if weight is None else loss * array_of(weight)
    return reduce("multilabel_soft_margin_loss", mean(loss, -1), reduction)
