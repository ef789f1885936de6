"""Normalization layers: the functions of `tinygraph.functions` with parameters; batch norm also with a memory.

Momentum is the weight of the new batch. A batch is normalized with its biased variance; what is remembered
is the unbiased one. `get_extra_state` says both, so that a checkpoint does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygraph import functions, fused
from tinygraph.engine.tensor import Parameter, Tensor, array_of
from tinygraph.nn import init
from tinygraph.nn.module import Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm2d", "LayerNorm"]

MOMENTUM = 0.1  # PyTorch's; by identity it also tells whether momentum was given


class Norm(Module):
    """A normalization with a scale γ and a shift β, called ``weight`` and ``bias`` as PyTorch calls them."""

    weight: Parameter | None
    bias: Parameter | None

    def _empty(self, shape: tuple[int, ...], affine: bool, bias: bool = True) -> None:
        self.weight = Parameter(np.ones(shape, np.float32), name="γ") if affine else None
        self.bias = Parameter(np.zeros(shape, np.float32), name="β") if affine and bias else None

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Set γ to 1 and β to 0; nothing is random."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class BatchNorm(Norm):
    r"""Normalize each channel over the batch; in evaluation, with what training remembered.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta

    Args:
        num_features: C.
        eps: ε, in units of x².
        momentum: weight of the new batch in the running statistics, 0 … 1 (PyTorch's convention); None
            averages all batches alike.
        affine: whether there are γ and β.
        track_running_stats: whether to remember; without, evaluation uses the batch too.
        decay: weight of the *old* average (the convention of Keras, CS231n, Chainer), in place of momentum.
        fused: whether to use the fused op or the composition; they are the same function.

    Attributes:
        weight, bias: γ and β, (C,), or None.
        running_mean, running_var: (C,); the variance is the unbiased one. num_batches_tracked: a count.

    Raises:
        ValueError: momentum and decay are both given, or out of range; x has another number of axes or
            channels; in training, x has one value per channel.

    Source: Ioffe and Szegedy 2015, Algorithms 1 and 2.
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
        self._empty((num_features,), affine)
        for buffer in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(buffer, None)
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Forget all batches: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean = np.zeros(self.num_features, np.float32)
            self.running_var = np.ones(self.num_features, np.float32)
            self.num_batches_tracked = np.array(0)

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Set γ to 1 and β to 0, and forget all batches."""
        super().reset_parameters(generator)
        self.reset_running_stats()

    def forward(self, x: Any) -> Any:
        """Return y, of the shape of x: (N, C) or (N, C, L) for 1d, (N, C, H, W) for 2d."""
        if len(x.shape) not in self.axes or x.shape[1] != self.num_features:
            wanted = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)"}
            shapes = " or ".join(wanted[n] for n in self.axes)
            raise ValueError(f"{self}: x must be {shapes} with C = {self.num_features}, not {x.shape}")
        axis = (0, *range(2, len(x.shape)))
        if not self.training and self.track_running_stats:
            mean, var = self.running_mean, self.running_var  # type: Any, Any
            if isinstance(x, Tensor) or self.affine:  # what is drawn has names
                mean, var = Tensor(mean, name="μ", requires_grad=False), Tensor(var, name="v", requires_grad=False)
            return functions.batch_norm_inference(x, mean, var, self.weight, self.bias, axis=axis, eps=self.eps)
        normalize = fused.batch_norm if self.fused else functions.batch_norm
        y = normalize(x, self.weight, self.bias, axis=axis, eps=self.eps)
        if self.training and self.track_running_stats:
            self.remember(*self.statistics(x, y, axis), math.prod(x.shape) // self.num_features)
        return y

    def statistics(self, x: Any, y: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
        """Return the mean and the biased variance of a batch: those that the fused op kept, or computed again."""
        if self.fused and isinstance(y, Tensor) and y.requires_grad:
            _, ((mean, rstd), *_) = next(kept for kept in y.node.saved or () if kept is not None)
            return mean, rstd**-2.0 - self.eps
        x = array_of(x)
        return x.mean(axis=axis), functions.var(x, axis)

    def remember(self, mean: Any, var: Any, count: int) -> None:
        """Move the running statistics towards those of a batch of ``count`` values a channel."""
        self.num_batches_tracked = self.num_batches_tracked + 1
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = var * (count / (count - 1))
        self.running_mean = ((1 - weight) * self.running_mean + weight * mean).astype(self.running_mean.dtype)
        self.running_var = ((1 - weight) * self.running_var + weight * unbiased).astype(self.running_var.dtype)

    def get_extra_state(self) -> Any:
        """Say what the running statistics are."""
        if not self.track_running_stats:
            return None
        return {"momentum": self.momentum, "momentum_weighs": "new batch", "running_var": "unbiased"}

    def set_extra_state(self, state: Any) -> None:
        """Refuse running statistics of another kind."""
        if state.get("running_var") != "unbiased" or state.get("momentum_weighs") != "new batch":
            raise ValueError(f"{self}: running statistics of another kind, {state}: here the variance is unbiased")

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}" + ", fused=False" * (not self.fused)
        )


class BatchNorm1d(BatchNorm):
    """Normalize (N, C) or (N, C, L) over all axes but C; arguments, attributes and errors as `BatchNorm`.

    >>> y = BatchNorm1d(2, eps=0.0)(np.array([[1.0, 4.0], [3.0, 0.0]]))
    >>> y.data.round(6)
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """Normalize (N, C, H, W) over all axes but C; arguments, attributes and errors as `BatchNorm`.

    >>> BatchNorm2d(3)(np.random.default_rng(0).random((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    axes = (4,)


class LayerNorm(Norm):
    """Normalize each example over its last axes, as `tinygraph.layer_norm`.

    Args:
        normalized_shape: lengths of the last axes, or one length.
        eps: ε, in units of x².
        elementwise_affine: whether there is a γ. bias: whether there is a β too.
        fused: whether to use the fused op or the composition; they are the same function.

    Attributes:
        weight, bias: γ and β, ``normalized_shape``, or None.

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
        self._empty(shape, elementwise_affine, bias)

    def forward(self, x: Any) -> Any:
        """Return y, of the shape of x: (…, *normalized_shape)."""
        n = len(self.normalized_shape)
        if tuple(x.shape[-n:]) != self.normalized_shape:
            raise ValueError(f"{self}: the last axes of x must be {self.normalized_shape}, not those of {x.shape}")
        normalize = fused.layer_norm if self.fused else functions.layer_norm
        return normalize(x, self.weight, self.bias, axis=tuple(range(-n, 0)), eps=self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        options = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return options + ", fused=False" * (not self.fused)


class GroupNorm(Norm):
    """Normalize each example over groups of channels, as `tinygraph.group_norm`.

    Args:
        num_groups: divides ``num_channels``. num_channels: C.
        eps: ε, in units of x².
        affine: whether there are γ and β, (C,).

    Raises:
        ValueError: num_groups does not divide num_channels.

    >>> GroupNorm(2, 4, eps=0.0)(np.arange(4.0).reshape(1, 4)).data
    array([[-1.,  1., -1.,  1.]])
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._empty((num_channels,), affine)

    def forward(self, x: Any) -> Any:
        """Return y, of the shape of x: (N, C, …)."""
        return functions.group_norm(x, self.weight, self.bias, groups=self.num_groups, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class InstanceNorm2d(Norm):
    """Normalize each channel of each image over its pixels, as `tinygraph.instance_norm`.

    Args:
        num_features: C.
        eps: ε, in units of x².
        affine: whether there are γ and β, (C,); by default there are not, as in PyTorch.

    >>> InstanceNorm2d(3)(np.random.default_rng(0).random((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        self.num_features, self.eps, self.affine = num_features, eps, affine
        self._empty((num_features,), affine)

    def forward(self, x: Any) -> Any:
        """Return y, of the shape of x: (N, C, H, W)."""
        if len(x.shape) != 4 or x.shape[1] != self.num_features:
            raise ValueError(f"{self}: x must be (N, C, H, W) with C = {self.num_features}, not {x.shape}")
        return functions.instance_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}"
