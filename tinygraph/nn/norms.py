"""Batch norm and batch renormalization as layers: functions of `tinygraph.functions` with parameters and statistics.

Momentum is the weight of the new batch. A batch is normalized with its biased variance; the running variance is
an average of unbiased ones, unless asked otherwise. `get_extra_state` says both, so that a checkpoint says it too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tinygraph import functions, fused
from tinygraph.engine.errors import clean
from tinygraph.engine.registry import OPS
from tinygraph.engine.tensor import Parameter, Tensor, array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.functions import scaling
from tinygraph.nn import init
from tinygraph.nn.module import Module

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "BatchRenorm1d", "BatchRenorm2d", "BatchRenorm3d",
]  # fmt: skip

MOMENTUM = 0.1  # PyTorch's; by identity it also tells whether momentum was given


class Norm(Module):
    """A normalization with a scale γ and a shift β, called ``weight`` and ``bias`` as PyTorch calls them."""

    weight: Parameter | None
    bias: Parameter | None
    _symbols: ClassVar[Mapping[str, str]] = {"weight": "γ", "bias": "β"}
    _optional = ("num_batches_tracked",)

    def _make_parameters(self, shape: Shape, affine: bool, bias: bool = True) -> None:
        """Make γ of ones and β of zeros, or None in their place."""
        self.weight = Parameter(np.ones(shape, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(shape, np.float32)) if affine and bias else None

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Set γ to 1 and β to 0.

        Args:
            generator: not used: nothing is random.
        """
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_array(self, name: str, array: Array) -> None:
        if name.startswith("running") and np.isnan(array).any():
            raise ValueError("holds nan")
        if name in ("running_var", "running_std", "num_batches_tracked") and (array < 0).any():
            raise ValueError("is negative")


def axes_but_channels(
    layer: Module, x: Value, counts: tuple[int, ...], channels: int, channels_last: bool
) -> tuple[int, ...]:
    """Return all axes of x but that of its channels; raise if x has another number of axes or channels."""
    ndim = len(x.shape)
    if ndim not in counts or x.shape[-1 if channels_last else 1] != channels:
        wanted = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}
        shapes = " or ".join(wanted[n] for n in counts)
        shapes = shapes.replace("N, C,", "N,").replace(")", ", C)").replace("C, C", "C") if channels_last else shapes
        raise ValueError(f"{layer}: x must be {shapes} with C = {channels}, not {x.shape}")
    return tuple(range(ndim - 1)) if channels_last else (0, *range(2, ndim))


class BatchNorm(Norm):
    r"""The two batch norm layers but for the number of axes that x may have.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta

    In training μ and v are those of the batch, in evaluation the running statistics.
    """

    axes: ClassVar[tuple[int, ...]]  # how many axes x may have
    _statistics: ClassVar[tuple[str, ...]] = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = MOMENTUM,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        decay: float | None = None,
        fused: bool = True,
        unbiased: bool = True,
        initial_var: float = 1.0,
        channels_last: bool = False,
    ) -> None:
        name = type(self).__name__
        if decay is not None and momentum is not MOMENTUM:
            raise ValueError(f"{name}: momentum={momentum} weighs the new batch, decay={decay} the old ones; give one")
        momentum = momentum if decay is None else 1 - decay
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"{name}: {'momentum' if decay is None else 'decay'} is outside of 0 … 1")
        self.num_features, self.eps, self.momentum, self.fused = num_features, eps, momentum, fused
        self.affine, self.track_running_stats = affine, track_running_stats
        self.unbiased, self.initial_var, self.channels_last = unbiased, initial_var, channels_last
        self._make_parameters((num_features,), affine)
        for buffer in self._statistics:
            self.register_buffer(buffer, None)
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to its first value and the number of batches to 0."""
        if self.track_running_stats:
            old = getattr(self, "running_mean", None)
            like = np.empty(self.num_features, np.float32) if old is None else old  # its dtype and backend stay
            self.running_mean, self.running_var = np.zeros_like(like), np.full_like(like, self.initial_var)
            self.num_batches_tracked = np.array(0)

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Set γ to 1 and β to 0, and reset the running statistics.

        Args:
            generator: not used: nothing is random.
        """
        super().reset_parameters(generator)
        self.reset_running_stats()

    def forward(self, x: Value) -> Value:
        """Return x normalized, scaled and shifted; in training, update the running statistics.

        Args:
            x: (N, C) or (N, C, L) for 1d, (N, C, H, W) for 2d, (N, C, D, H, W) for 3d; or with C last, as asked.

        Returns:
            y, of the shape of x.
        """
        axis = axes_but_channels(self, x, self.axes, self.num_features, self.channels_last)
        if not self.training and self.track_running_stats:
            mean, var = self.running_mean, self.running_var  # type: Value, Value
            if isinstance(x, Tensor) or self.affine:  # a drawing shows their names
                name = "v" if self.unbiased else "v, biased"
                mean, var = Tensor(mean, name="μ", requires_grad=False), Tensor(var, name=name, requires_grad=False)
            return functions.batch_norm_inference(x, mean, var, self.weight, self.bias, axis=axis, eps=self.eps)
        normalize = fused.batch_norm if self.fused else functions.batch_norm
        y = normalize(x, self.weight, self.bias, axis=axis, eps=self.eps)
        if self.training and self.track_running_stats:
            self.update_running_stats(*self.statistics(x, y, axis), math.prod(x.shape) // self.num_features)
        return y

    def statistics(self, x: Value, y: Value, axis: tuple[int, ...]) -> tuple[Array, Array]:
        """Return the mean and the biased variance of a batch: those that the fused op saved, or computed again."""
        if self.fused and isinstance(y, Tensor) and y.requires_grad and y.node.op is OPS["batch_norm"]:
            return fused.batch_norm_statistics(y)
        x = array_of(x)
        return x.mean(axis=axis), functions.var(x, axis)

    def _count_batch(self) -> float:
        """Count a batch, and return its weight in the running statistics."""
        self.num_batches_tracked = self.num_batches_tracked + 1
        return 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum

    def update_running_stats(self, mean: Array, var: Array, count: int) -> None:
        """Move the running statistics towards those of a batch.

        Args:
            mean: (C,), of the batch.
            var: (C,), biased.
            count: number of values of a channel, 2 or more.
        """
        weight = self._count_batch()
        new = var * (count / (count - 1)) if self.unbiased else var
        self.running_mean = ((1 - weight) * self.running_mean + weight * mean).astype(self.running_mean.dtype)
        self.running_var = ((1 - weight) * self.running_var + weight * new).astype(self.running_var.dtype)

    def _kind(self) -> str:
        """Return which variance the running one is of."""
        return "unbiased" if self.unbiased else "biased"

    def get_extra_state(self) -> Any:
        """Return what the running statistics mean, for a checkpoint; None if there are none."""
        if not self.track_running_stats:
            return None
        return {"momentum": self.momentum, "momentum_weighs": "new batch", "running_var": self._kind()}

    def set_extra_state(self, state: Any) -> None:
        """Check that saved running statistics mean the same as here.

        Args:
            state: from `get_extra_state`.

        Raises:
            ValueError: they are of another kind.
        """
        known = isinstance(state, Mapping) and state.get("momentum_weighs") == "new batch"
        if not known or state.get("running_var") != self._kind():
            said = clean(str(state))[:200]
            raise ValueError(f"{self}: running statistics of another kind, {said}: here the variance is {self._kind()}")

    def extra_repr(self) -> str:
        """Return the options."""
        options = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
        options += f"track_running_stats={self.track_running_stats}"
        usual = {"fused": True, "unbiased": True, "initial_var": 1.0, "channels_last": False}
        return options + "".join(f", {n}={getattr(self, n)}" for n, v in usual.items() if getattr(self, n) != v)


class BatchNorm1d(BatchNorm):
    """Normalize (N, C) or (N, C, L) over all axes but C; in evaluation, with running statistics.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1 (PyTorch's convention); None
            averages all batches alike.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics; without them evaluation uses the batch's own.
        decay: weight of the *old* average (the convention of Keras, CS231n, Chainer), in place of momentum.
        fused: whether to use the fused op or the composition; they are the same function.
        unbiased: whether the running variance is of unbiased variances, as in PyTorch, or of those that normalize.
        initial_var: the running variance before the first batch; with 0, ``decay=0.9`` and ``unbiased=False`` running
            statistics are CS231n's.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), or None.
        num_batches_tracked: number of batches in the running statistics, or None.

    Raises:
        ValueError: momentum and decay are both given, or out of range; in a call, x has another number of axes
            or channels, or in training one value per channel.

    Source: Ioffe and Szegedy 2015, Algorithms 1 and 2.

    >>> y = BatchNorm1d(2, eps=0.0)(np.array([[1.0, 4.0], [3.0, 0.0]]))
    >>> y.data.round(6)
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """Normalize (N, C, H, W) over all axes but C; in evaluation, with running statistics.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1 (PyTorch's convention); None
            averages all batches alike.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics; without them evaluation uses the batch's own.
        decay: weight of the *old* average (the convention of Keras, CS231n, Chainer), in place of momentum.
        fused: whether to use the fused op or the composition; they are the same function.
        unbiased: whether the running variance is of unbiased variances, as in PyTorch, or of those that normalize.
        initial_var: the running variance before the first batch; with 0, ``decay=0.9`` and ``unbiased=False`` running
            statistics are CS231n's.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), or None.
        num_batches_tracked: number of batches in the running statistics, or None.

    Raises:
        ValueError: momentum and decay are both given, or out of range; in a call, x has another number of axes
            or channels, or in training one value per channel.

    Source: Ioffe and Szegedy 2015, Algorithms 1 and 2.

    >>> BatchNorm2d(3)(np.random.default_rng(0).random((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    axes = (4,)


class BatchNorm3d(BatchNorm):
    """Normalize (N, C, D, H, W) over all axes but C; in evaluation, with running statistics.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1 (PyTorch's convention); None
            averages all batches alike.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics; without them evaluation uses the batch's own.
        decay: weight of the *old* average (the convention of Keras, CS231n, Chainer), in place of momentum.
        fused: whether to use the fused op or the composition; they are the same function.
        unbiased: whether the running variance is of unbiased variances, as in PyTorch, or of those that normalize.
        initial_var: the running variance before the first batch; with 0, ``decay=0.9`` and ``unbiased=False`` running
            statistics are CS231n's.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), or None.
        num_batches_tracked: number of batches in the running statistics, or None.

    Raises:
        ValueError: momentum and decay are both given, or out of range; in a call, x has another number of axes
            or channels, or in training one value per channel.

    Source: Ioffe and Szegedy 2015, Algorithms 1 and 2.

    >>> BatchNorm3d(3)(np.random.default_rng(0).random((2, 3, 4, 4, 2))).shape
    (2, 3, 4, 4, 2)
    """

    axes = (5,)


class BatchRenorm(BatchNorm):
    """The batch renormalizations but for the number of axes that x may have."""

    _statistics = ("running_mean", "running_std", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.01,
        affine: bool = True,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        channels_last: bool = False,
    ) -> None:
        if r_max < 1 or d_max < 0 or not 0 <= momentum <= 1:
            raise ValueError(f"{type(self).__name__}: {r_max=} is below 1, {d_max=} below 0, or {momentum=} no weight")
        self.r_max, self.d_max = r_max, d_max
        super().__init__(num_features, eps, momentum, affine, channels_last=channels_last)

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running deviation to 1 and the number of batches to 0."""
        old = getattr(self, "running_mean", None)
        like = np.empty(self.num_features, np.float32) if old is None else old
        self.running_mean, self.running_std = np.zeros_like(like), np.ones_like(like)
        self.num_batches_tracked = np.array(0)

    def forward(self, x: Value) -> Value:
        """Return x normalized, corrected, scaled and shifted; in training, update the running statistics.

        Args:
            x: (N, C) or (N, C, L) for 1d, (N, C, H, W) for 2d, (N, C, D, H, W) for 3d; or with C last, as asked.

        Returns:
            y, of the shape of x.
        """
        axis = axes_but_channels(self, x, self.axes, self.num_features, self.channels_last)
        if not self.training:
            var = self.running_std**2 - self.eps  # ε is in the running deviation already
            return functions.batch_norm_inference(
                x, self.running_mean, var, self.weight, self.bias, axis=axis, eps=self.eps
            )
        y = scaling.batch_renorm(
            x, self.running_mean, self.running_std, self.weight, self.bias, r_max=self.r_max, d_max=self.d_max,
            axis=axis, eps=self.eps,
        )  # fmt: skip
        values, weight = array_of(x), self._count_batch()
        std = np.sqrt(functions.var(values, axis) + self.eps)
        for name, new in (("running_mean", values.mean(axis=axis)), ("running_std", std)):
            old = getattr(self, name)
            setattr(self, name, (old + weight * (new - old)).astype(old.dtype))
        return y

    def get_extra_state(self) -> Any:
        """Return what the running statistics mean, for a checkpoint."""
        return {"momentum": self.momentum, "momentum_weighs": "new batch", "running_std": "with eps"}

    def set_extra_state(self, state: Any) -> None:
        """Check that saved running statistics mean the same as here.

        Args:
            state: from `get_extra_state`.

        Raises:
            ValueError: they are of another kind.
        """
        if not isinstance(state, Mapping) or state.get("running_std") != "with eps":
            raise ValueError(f"{self}: running statistics of another kind, {clean(str(state))[:200]}")

    def extra_repr(self) -> str:
        """Return the options."""
        options = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{options}, r_max={self.r_max}, d_max={self.d_max}" + ", channels_last=True" * self.channels_last


class BatchRenorm1d(BatchRenorm):
    """Normalize (N, C) or (N, C, L) with the batch, corrected towards running statistics.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        affine: whether there are γ and β.
        r_max: bound of the ratio of deviations, 1 or more; 1 and ``d_max=0`` are batch norm. It may be set as training
            goes on: the paper lets it grow from 1 to 3.
        d_max: bound of the difference of means, in running deviations; the paper lets it grow from 0 to 5.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,).
        running_std: (C,), of standard deviations with ε.
        num_batches_tracked: number of batches in the running statistics.

    Raises:
        ValueError: an option is out of range; in a call, x has another number of axes or channels, or in training one
            value per channel.

    Source: Ioffe 2017, Algorithm 1.

    >>> BatchRenorm1d(3)(np.random.default_rng(0).random((4, 3))).shape
    (4, 3)
    """

    axes = (2, 3)


class BatchRenorm2d(BatchRenorm):
    """Normalize (N, C, H, W) with the batch, corrected towards running statistics.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        affine: whether there are γ and β.
        r_max: bound of the ratio of deviations, 1 or more; 1 and ``d_max=0`` are batch norm. It may be set as training
            goes on: the paper lets it grow from 1 to 3.
        d_max: bound of the difference of means, in running deviations; the paper lets it grow from 0 to 5.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,).
        running_std: (C,), of standard deviations with ε.
        num_batches_tracked: number of batches in the running statistics.

    Raises:
        ValueError: an option is out of range; in a call, x has another number of axes or channels, or in training one
            value per channel.

    Source: Ioffe 2017, Algorithm 1.

    >>> BatchRenorm2d(3)(np.random.default_rng(0).random((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    axes = (4,)


class BatchRenorm3d(BatchRenorm):
    """Normalize (N, C, D, H, W) with the batch, corrected towards running statistics.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        affine: whether there are γ and β.
        r_max: bound of the ratio of deviations, 1 or more; 1 and ``d_max=0`` are batch norm. It may be set as training
            goes on: the paper lets it grow from 1 to 3.
        d_max: bound of the difference of means, in running deviations; the paper lets it grow from 0 to 5.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,).
        running_std: (C,), of standard deviations with ε.
        num_batches_tracked: number of batches in the running statistics.

    Raises:
        ValueError: an option is out of range; in a call, x has another number of axes or channels, or in training one
            value per channel.

    Source: Ioffe 2017, Algorithm 1.

    >>> BatchRenorm3d(3)(np.random.default_rng(0).random((2, 3, 2, 4, 4))).shape
    (2, 3, 2, 4, 4)
    """

    axes = (5,)
