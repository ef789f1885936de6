"""Normalization layers: the functions of `tinygraph.functions` with parameters; batch norm also has running statistics.

Momentum is the weight of the new batch. A batch is normalized with its biased variance; the running variance is
an average of unbiased ones. `get_extra_state` says both, so that a checkpoint says it too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygraph import functions, fused
from tinygraph.engine.tensor import Parameter, Tensor, array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.nn import init
from tinygraph.nn.module import Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm2d", "LayerNorm"]

MOMENTUM = 0.1  # PyTorch's; by identity it also tells whether momentum was given


class Norm(Module):
    """A normalization with a scale γ and a shift β, called ``weight`` and ``bias`` as PyTorch calls them."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_parameters(self, shape: Shape, affine: bool, bias: bool = True) -> None:
        """Make γ of ones and β of zeros, or None in their place."""
        self.weight = Parameter(np.ones(shape, np.float32), name="γ") if affine else None
        self.bias = Parameter(np.zeros(shape, np.float32), name="β") if affine and bias else None

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Set γ to 1 and β to 0.

        Args:
            generator: not used: nothing is random.
        """
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class BatchNorm(Norm):
    r"""The two batch norm layers but for the number of axes that x may have.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta

    In training μ and v are those of the batch, in evaluation the running statistics.
    """

    axes: ClassVar[tuple[int, ...]]  # how many axes x may have

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
    ) -> None:
        name = type(self).__name__
        if decay is not None and momentum is not MOMENTUM:
            raise ValueError(f"{name}: momentum={momentum} weighs the new batch, decay={decay} the old ones; give one")
        momentum = momentum if decay is None else 1 - decay
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"{name}: {'momentum' if decay is None else 'decay'} is outside of 0 … 1")
        self.num_features, self.eps, self.momentum, self.fused = num_features, eps, momentum, fused
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make_parameters((num_features,), affine)
        for buffer in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(buffer, None)
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1 and the number of batches to 0."""
        if self.track_running_stats:
            self.running_mean = np.zeros(self.num_features, np.float32)
            self.running_var = np.ones(self.num_features, np.float32)
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
            x: (N, C) or (N, C, L) for 1d, (N, C, H, W) for 2d.

        Returns:
            y, of the shape of x.
        """
        if len(x.shape) not in self.axes or x.shape[1] != self.num_features:
            wanted = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)"}
            shapes = " or ".join(wanted[n] for n in self.axes)
            raise ValueError(f"{self}: x must be {shapes} with C = {self.num_features}, not {x.shape}")
        axis = (0, *range(2, len(x.shape)))
        if not self.training and self.track_running_stats:
            mean, var = self.running_mean, self.running_var  # type: Value, Value
            if isinstance(x, Tensor) or self.affine:  # a drawing shows their names
                mean, var = Tensor(mean, name="μ", requires_grad=False), Tensor(var, name="v", requires_grad=False)
            return functions.batch_norm_inference(x, mean, var, self.weight, self.bias, axis=axis, eps=self.eps)
        normalize = fused.batch_norm if self.fused else functions.batch_norm
        y = normalize(x, self.weight, self.bias, axis=axis, eps=self.eps)
        if self.training and self.track_running_stats:
            self.update_running_stats(*self.statistics(x, y, axis), math.prod(x.shape) // self.num_features)
        return y

    def statistics(self, x: Value, y: Value, axis: tuple[int, ...]) -> tuple[Array, Array]:
        """Return the mean and the biased variance of a batch: those that the fused op saved, or computed again."""
        if self.fused and isinstance(y, Tensor) and y.requires_grad:
            return fused.batch_norm_statistics(y)
        x = array_of(x)
        return x.mean(axis=axis), functions.var(x, axis)

    def update_running_stats(self, mean: Array, var: Array, count: int) -> None:
        """Move the running statistics towards those of a batch.

        Args:
            mean: (C,), of the batch.
            var: (C,), biased.
            count: number of values of a channel, 2 or more.
        """
        self.num_batches_tracked = self.num_batches_tracked + 1
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = var * (count / (count - 1))
        self.running_mean = ((1 - weight) * self.running_mean + weight * mean).astype(self.running_mean.dtype)
        self.running_var = ((1 - weight) * self.running_var + weight * unbiased).astype(self.running_var.dtype)

    def get_extra_state(self) -> Any:
        """Return what the running statistics mean, for a checkpoint; None if there are none."""
        if not self.track_running_stats:
            return None
        return {"momentum": self.momentum, "momentum_weighs": "new batch", "running_var": "unbiased"}

    def set_extra_state(self, state: Any) -> None:
        """Check that saved running statistics mean the same as here.

        Args:
            state: from `get_extra_state`.

        Raises:
            ValueError: they are of another kind.
        """
        if state.get("running_var") != "unbiased" or state.get("momentum_weighs") != "new batch":
            raise ValueError(f"{self}: running statistics of another kind, {state}: here the variance is unbiased")

    def extra_repr(self) -> str:
        """Return the options."""
        options = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
        options += f"track_running_stats={self.track_running_stats}"
        return options if self.fused else f"{options}, fused=False"


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

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), of unbiased variances, or None.
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

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), of unbiased variances, or None.
        num_batches_tracked: number of batches in the running statistics, or None.

    Raises:
        ValueError: momentum and decay are both given, or out of range; in a call, x has another number of axes
            or channels, or in training one value per channel.

    Source: Ioffe and Szegedy 2015, Algorithms 1 and 2.

    >>> BatchNorm2d(3)(np.random.default_rng(0).random((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    axes = (4,)


class LayerNorm(Norm):
    """Normalize each example over its last axes, as `tinygraph.layer_norm`.

    Args:
        normalized_shape: lengths of the last axes, or one length.
        eps: ε ≥ 0, in units of x², added to the variance.
        elementwise_affine: whether there is a γ.
        bias: whether there is a β beside γ.
        fused: whether to use the fused op or the composition; they are the same function.

    Attributes:
        weight: γ, of shape ``normalized_shape``, or None.
        bias: β, of shape ``normalized_shape``, or None.

    Raises:
        ValueError: in a call, the last axes of x have other lengths.

    Source: Ba, Kiros and Hinton 2016, equation 4.

    >>> LayerNorm(2, eps=0.0)(np.array([[1.0, 3.0]])).data
    array([[-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        fused: bool = True,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.fused = fused
        self._make_parameters(shape, elementwise_affine, bias)

    def forward(self, x: Value) -> Value:
        """Return x normalized, scaled and shifted.

        Args:
            x: (…, *normalized_shape).

        Returns:
            y, of the shape of x.
        """
        n = len(self.normalized_shape)
        if tuple(x.shape[-n:]) != self.normalized_shape:
            raise ValueError(f"{self}: the last axes of x must be {self.normalized_shape}, not those of {x.shape}")
        normalize = fused.layer_norm if self.fused else functions.layer_norm
        return normalize(x, self.weight, self.bias, axis=tuple(range(-n, 0)), eps=self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        options = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return options if self.fused else f"{options}, fused=False"


class GroupNorm(Norm):
    """Normalize each example over groups of channels, as `tinygraph.group_norm`.

    Args:
        num_groups: number of groups; it divides ``num_channels``.
        num_channels: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        affine: whether there are γ and β.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.

    Raises:
        ValueError: num_groups does not divide num_channels; in a call, γ is not as long as x has channels.

    Source: Wu and He 2018, equation 7.

    >>> GroupNorm(2, 4, eps=0.0)(np.arange(4.0).reshape(1, 4)).data
    array([[-1.,  1., -1.,  1.]])
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_parameters((num_channels,), affine)

    def forward(self, x: Value) -> Value:
        """Return x normalized, scaled and shifted.

        Args:
            x: (N, C, …).

        Returns:
            y, of the shape of x.
        """
        return functions.group_norm(x, self.weight, self.bias, groups=self.num_groups, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class InstanceNorm2d(Norm):
    """Normalize each channel of each image over its pixels, as `tinygraph.instance_norm`.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        affine: whether there are γ and β; by default there are not, as in PyTorch.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.

    Raises:
        ValueError: in a call, x has another number of axes or channels.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, equation 1.

    >>> InstanceNorm2d(3)(np.random.default_rng(0).random((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        self.num_features, self.eps, self.affine = num_features, eps, affine
        self._make_parameters((num_features,), affine)

    def forward(self, x: Value) -> Value:
        """Return x normalized, scaled and shifted.

        Args:
            x: (N, C, H, W).

        Returns:
            y, of the shape of x.
        """
        if len(x.shape) != 4 or x.shape[1] != self.num_features:
            raise ValueError(f"{self}: x must be (N, C, H, W) with C = {self.num_features}, not {x.shape}")
        return functions.instance_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}"
