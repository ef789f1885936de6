"""Losses that ask for a margin, as modules: each keeps the options of its function in `nn.functional`."""

from __future__ import annotations

from collections.abc import Callable

from tinygraph.engine.types import Array, Value
from tinygraph.nn import functional
from tinygraph.nn.losses import Loss

__all__ = [
    "CosineEmbeddingLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "SoftMarginLoss", "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]  # fmt: skip


class HingeEmbeddingLoss(Loss):
    """Average distances of what is alike and margins of what is not, as `functional.hinge_embedding_loss`.

    Args:
        margin: how far apart unlike things shall be.
        reduction: "mean", "sum" or "none".

    >>> HingeEmbeddingLoss(reduction="none")(np.array([0.25, 0.25]), np.array([1, -1]))
    array([0.25, 0.75])
    """

    function = staticmethod(functional.hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        self._keep(margin=margin, reduction=reduction)


class SoftMarginLoss(Loss):
    """Average ``ln(1 + exp(-target · x))``, as `functional.soft_margin_loss`.

    Args:
        reduction: "mean", "sum" or "none".

    >>> SoftMarginLoss()(np.array([0.0]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """

    function = staticmethod(functional.soft_margin_loss)


class MultiMarginLoss(Loss):
    """Average how much each other class is too near the right one, as `functional.multi_margin_loss`.

    Args:
        p: 1 or 2.
        margin: by how much the right score shall be larger.
        weight: (C,), how much each right class counts; 1 unless given.
        reduction: "mean", "sum" or "none".

    Attributes:
        weight: as given, a buffer; or None.

    >>> MultiMarginLoss()(np.array([[1.0, 0.5]]), np.array([0]))
    np.float64(0.25)
    """

    function = staticmethod(functional.multi_margin_loss)

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Array | None = None, *, reduction: str = "mean"
    ) -> None:
        self._keep(p=p, margin=margin, weight=weight, reduction=reduction)


class MultiLabelMarginLoss(Loss):
    """Add up how much each other class is too near each right one, as `functional.multilabel_margin_loss`.

    Args:
        reduction: "mean", "sum" or "none".

    >>> MultiLabelMarginLoss()(np.array([0.1, 0.2, 0.4, 0.8]), np.array([3, 0, -1, 1])).round(6)
    np.float64(0.85)
    """

    function = staticmethod(functional.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(Loss):
    """Average the cross entropy of one score for each class, as `functional.multilabel_soft_margin_loss`.

    Args:
        weight: (C,), how much each class counts; 1 unless given.
        reduction: "mean", "sum" or "none".

    Attributes:
        weight: as given, a buffer; or None.

    >>> MultiLabelSoftMarginLoss()(np.zeros((1, 2)), np.array([[1.0, 0.0]]))
    np.float64(0.6931471805599453)
    """

    function = staticmethod(functional.multilabel_soft_margin_loss)

    def __init__(self, weight: Array | None = None, *, reduction: str = "mean") -> None:
        self._keep(weight=weight, reduction=reduction)


class PairLoss(Loss):
    """A loss of two inputs and a target."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        self._keep(margin=margin, reduction=reduction)

    def forward(self, x1: Value, x2: Value, target: Value) -> Value:  # type: ignore[override]
        """Return the loss, as the function of the same name does."""
        return self._loss(x1, x2, target)


class MarginRankingLoss(PairLoss):
    """Average by how much two scores stand in the wrong order, as `functional.margin_ranking_loss`.

    Args:
        margin: by how much one shall be larger.
        reduction: "mean", "sum" or "none".

    >>> MarginRankingLoss()(np.array([1.0]), np.array([3.0]), np.array([1]))
    np.float64(2.0)
    """

    function = staticmethod(functional.margin_ranking_loss)


class CosineEmbeddingLoss(PairLoss):
    """Average how far like rows point apart, and unlike ones together, as `functional.cosine_embedding_loss`.

    Args:
        margin: how large the cosine of unlike rows may be, -1 … 1.
        reduction: "mean", "sum" or "none".

    >>> CosineEmbeddingLoss()(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([1]))
    np.float64(1.0)
    """

    function = staticmethod(functional.cosine_embedding_loss)


class TripletLoss(Loss):
    """A loss of an anchor, something that shall be near it, and something that shall not."""

    def forward(self, anchor: Value, positive: Value, negative: Value) -> Value:  # type: ignore[override]
        """Return the loss, as the function of the same name does."""
        return self._loss(anchor, positive, negative)


class TripletMarginLoss(TripletLoss):
    """Average by how much the negative is too near the anchor, as `functional.triplet_margin_loss`.

    Args:
        margin: by how much it shall be farther away than the positive, above 0.
        p: which norm.
        eps: added to every difference.
        swap: whether the distance of the negative to the positive counts if it is the smaller one.
        reduction: "mean", "sum" or "none".

    >>> TripletMarginLoss()(np.array([[0.0]]), np.array([[1.0]]), np.array([[1.5]])).round(6)
    np.float64(0.5)
    """

    function = staticmethod(functional.triplet_margin_loss)

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: str = "mean",
    ) -> None:
        self._keep(margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)


class TripletMarginWithDistanceLoss(TripletLoss):
    """The same with a distance of your own, as `functional.triplet_margin_with_distance_loss`.

    Args:
        distance_function: takes two inputs; `functional.pairwise_distance` unless given.
        margin: by how much the negative shall be farther away than the positive, above 0.
        swap: whether the distance of the negative to the positive counts if it is the smaller one.
        reduction: "mean", "sum" or "none".

    >>> TripletMarginWithDistanceLoss()(np.array([[0.0]]), np.array([[1.0]]), np.array([[1.5]])).round(6)
    np.float64(0.5)
    """

    function = staticmethod(functional.triplet_margin_with_distance_loss)

    def __init__(
        self,
        *,
        distance_function: Callable[[Value, Value], Value] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        self._keep(distance_function=distance_function, margin=margin, swap=swap, reduction=reduction)
