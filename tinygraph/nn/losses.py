"""Losses as modules: each keeps the options of its function in `nn.functional`, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.nn import functional
from tinygraph.nn.functional.reduction import check_reduction
from tinygraph.nn.module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CrossEntropyLoss", "GaussianNLLLoss", "HuberLoss", "KLDivLoss",
    "L1Loss", "MSELoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss",
]  # fmt: skip


class Loss(Module):
    """A function of an output and a target, and the options it is called with."""

    function: ClassVar[Callable[..., Value]]

    def __init__(self, reduction: str = "mean") -> None:
        self._keep(reduction=reduction)

    def _keep(self, **options: Any) -> None:
        """Keep the options as attributes; weights are buffers, so that they are saved and moved."""
        if options["reduction"] != "batchmean" or type(self).function is not functional.kl_div:
            check_reduction(type(self).__name__, options["reduction"])
        for name, value in options.items():
            if name in ("weight", "pos_weight"):
                self.register_buffer(name, array_of(value))
            else:
                setattr(self, name, value)
        self._options = tuple(options)

    def _loss(self, *values: Value) -> Value:
        """Call the function with the options."""
        return type(self).function(*values, **{name: getattr(self, name) for name in self._options})

    def forward(self, x: Value, target: Value) -> Value:
        """Return the loss, as the function of the same name does."""
        return self._loss(x, target)


class MSELoss(Loss):
    """Average the squared difference, as `functional.mse_loss`.

    Args:
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """

    function = staticmethod(functional.mse_loss)


class L1Loss(Loss):
    """Average the absolute difference, as `functional.l1_loss`.

    Args:
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> L1Loss()(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(1.0)
    """

    function = staticmethod(functional.l1_loss)


class SmoothL1Loss(Loss):
    """Average the absolute difference, rounded off below ``beta``, as `functional.smooth_l1_loss`.

    Args:
        reduction: "mean", "sum" or "none".
        beta: where the square turns into the absolute value.

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> SmoothL1Loss("none")(np.array([0.5, 3.0]), np.zeros(2))
    array([0.125, 2.5  ])
    """

    function = staticmethod(functional.smooth_l1_loss)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        self._keep(reduction=reduction, beta=beta)


class HuberLoss(Loss):
    """Average the square up to ``delta``, and a line beyond, as `functional.huber_loss`.

    Args:
        reduction: "mean", "sum" or "none".
        delta: where the square turns into a line, above 0.

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> HuberLoss("none", 2.0)(np.array([0.5, 3.0]), np.zeros(2))
    array([0.125, 4.   ])
    """

    function = staticmethod(functional.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self._keep(reduction=reduction, delta=delta)


class KLDivLoss(Loss):
    """Add up the Kullback-Leibler divergence of a target from a model, as `functional.kl_div`.

    Args:
        reduction: "batchmean" for the divergence as it is defined; "mean", "sum" or "none".
        log_target: whether the target is in logarithms.

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> KLDivLoss("batchmean")(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]]))
    np.float64(0.6931471805599453)
    """

    function = staticmethod(functional.kl_div)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        self._keep(reduction=reduction, log_target=log_target)


class PoissonNLLLoss(Loss):
    """Average minus the log-likelihood of counts, as `functional.poisson_nll_loss`.

    Args:
        log_input: whether the input is the logarithm of the rate.
        full: whether to add the logarithm of the factorial.
        eps: added to the rate before its logarithm is taken, if the input is the rate.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> PoissonNLLLoss()(np.array([0.0]), np.array([2.0]))
    np.float64(1.0)
    """

    function = staticmethod(functional.poisson_nll_loss)

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        self._keep(log_input=log_input, full=full, eps=eps, reduction=reduction)


class GaussianNLLLoss(Loss):
    """Average minus the log-likelihood under normal errors, as `functional.gaussian_nll_loss`.

    Args:
        full: whether to add the constant ``ln(2π) / 2``.
        eps: the least variance.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the reduction is another; in a call, shapes do not fit.

    >>> GaussianNLLLoss()(np.array([1.0]), np.array([3.0]), np.array([4.0]))
    np.float64(1.1931471805599454)
    """

    function = staticmethod(functional.gaussian_nll_loss)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        self._keep(full=full, eps=eps, reduction=reduction)

    def forward(self, x: Value, target: Value, var: Value) -> Value:  # type: ignore[override]
        """Return the loss.

        Args:
            x: expected values, of any shape.
            target: of the shape of x.
            var: variances, of the shape of x, or with its last axis of length 1 or left out.

        Returns:
            The loss, 0-d; with reduction "none", of the shape of x.
        """
        return self._loss(x, target, var)


class CTCLoss(Loss):
    """Average minus the log-probability of a sequence whose letters have no times, as `functional.ctc_loss`.

    Args:
        blank: the class of the blank.
        reduction: "mean", "sum" or "none".
        zero_infinity: whether a sequence that is too long for its time costs 0, rather than infinity.

    Raises:
        ValueError: the reduction is another; in a call, shapes or lengths do not fit.

    >>> loss = CTCLoss()
    >>> loss(np.log(np.full((2, 1, 2), 0.5)), np.array([[1]]), np.array([2]), np.array([1])).round(4)
    np.float64(0.2877)
    """

    function = staticmethod(functional.ctc_loss)

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        self._keep(blank=blank, reduction=reduction, zero_infinity=zero_infinity)

    def forward(  # type: ignore[override]
        self, log_probs: Value, targets: Any, input_lengths: Any, target_lengths: Any
    ) -> Value:
        """Return the loss.

        Args:
            log_probs: logarithms of probabilities at each time, (T, N, C) or (T, C).
            targets: letters, (N, S), or those of all sequences after one another.
            input_lengths: how many times count, (N,).
            target_lengths: how many letters each sequence has, (N,).

        Returns:
            The loss in nats, 0-d; with reduction "none", (N,).
        """
        return self._loss(log_probs, targets, input_lengths, target_lengths)


class BCELoss(Loss):
    """Average the cross entropy of yes-or-no probabilities, as `functional.binary_cross_entropy`.

    Args:
        weight: how much each element counts, of a shape that broadcasts; all alike unless given.
        reduction: "mean", "sum" or "none".

    Attributes:
        weight: as given, a buffer; or None.

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> BCELoss()(np.array([0.5]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """

    function = staticmethod(functional.binary_cross_entropy)

    def __init__(self, weight: Array | None = None, reduction: str = "mean") -> None:
        self._keep(weight=weight, reduction=reduction)


class BCEWithLogitsLoss(Loss):
    """Average the cross entropy of yes-or-no scores, as `functional.binary_cross_entropy_with_logits`.

    Args:
        weight: how much each element counts, of a shape that broadcasts; all alike unless given.
        reduction: "mean", "sum" or "none".
        pos_weight: how much a yes counts, likewise.

    Attributes:
        weight: as given, a buffer; or None.
        pos_weight: likewise.

    Raises:
        ValueError: the reduction is another; in a call, the target has another shape.

    >>> BCEWithLogitsLoss()(np.array([0.0]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """

    function = staticmethod(functional.binary_cross_entropy_with_logits)

    def __init__(self, weight: Array | None = None, reduction: str = "mean", pos_weight: Array | None = None) -> None:
        self._keep(weight=weight, reduction=reduction, pos_weight=pos_weight)


class NLLLoss(Loss):
    """Average minus the log-probability of the right class, as `functional.nll_loss`.

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

    function = staticmethod(functional.nll_loss)

    def __init__(self, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        self._keep(weight=weight, ignore_index=ignore_index, reduction=reduction)


class CrossEntropyLoss(Loss):
    """Average the cross entropy between scores and targets, as `functional.cross_entropy`.

    Args:
        weight: (C,), how much each class counts; 1 unless given.
        ignore_index: targets of this value do not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of each target that is spread evenly over all classes, 0 … 1.

    Attributes:
        weight: as given, a buffer; or None.

    Raises:
        ValueError: an option is out of range; in a call, shapes do not fit, or a target is no class.
        TypeError: in a call, the target is no array.

    >>> CrossEntropyLoss()(np.array([[0.0, 0.0]]), np.array([1]))
    np.float64(0.6931471805599453)
    """

    function = staticmethod(functional.cross_entropy)

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing is {label_smoothing}, outside of 0 … 1")
        self._keep(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
