"""Norms of each example by itself, as layers: over its features, its channels or groups of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygraph import functions, fused
from tinygraph.engine.types import Value
from tinygraph.nn import functional, init
from tinygraph.nn.module import Module
from tinygraph.nn.norms import Norm
from tinygraph.ops.shape import expand_dims, moveaxis, squeeze

__all__ = [
    "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LayerNorm", "LocalResponseNorm", "RMSNorm",
]  # fmt: skip


def with_channels_second(normalize: Callable[[Value], Value], x: Value) -> Value:
    """Normalize (N, …, C) as (N, C, …), and put the channels back."""
    return moveaxis(normalize(moveaxis(x, -1, 1)), 1, -1)


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
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.

    Raises:
        ValueError: num_groups does not divide num_channels; in a call, γ is not as long as x has channels.

    Source: Wu and He 2018, equation 7.

    >>> GroupNorm(2, 4, eps=0.0)(np.arange(4.0).reshape(1, 4)).data
    array([[-1.,  1., -1.,  1.]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        channels_last: bool = False,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.channels_last = channels_last
        self._make_parameters((num_channels,), affine)

    def forward(self, x: Value) -> Value:
        """Return x normalized, scaled and shifted.

        Args:
            x: (N, C, …); with ``channels_last``, (N, …, C).

        Returns:
            y, of the shape of x.
        """

        def normalize(x: Value) -> Value:
            return functions.group_norm(x, self.weight, self.bias, groups=self.num_groups, eps=self.eps)

        return with_channels_second(normalize, x) if self.channels_last else normalize(x)

    def extra_repr(self) -> str:
        """Return the options."""
        options = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return options + ", channels_last=True" * self.channels_last


class InstanceNorm(Norm):
    """The instance norms but for the number of axes that x may have."""

    axes: ClassVar[int]  # how many x has, with that of the examples
    form: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        channels_last: bool = False,
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"{type(self).__name__}: momentum is {momentum}, outside of 0 … 1")
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats, self.channels_last = track_running_stats, channels_last
        self._make_parameters((num_features,), affine)
        for buffer in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(buffer, None)
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1 and the number of batches to 0."""
        if self.track_running_stats:
            old = getattr(self, "running_mean", None)
            like = np.empty(self.num_features, np.float32) if old is None else old
            self.running_mean, self.running_var = np.zeros_like(like), np.ones_like(like)
            self.num_batches_tracked = np.array(0)

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Set γ to 1 and β to 0, and reset the running statistics.

        Args:
            generator: not used: nothing is random.
        """
        super().reset_parameters(generator)
        self.reset_running_stats()

    def forward(self, x: Value) -> Value:
        """Return x normalized, scaled and shifted; in training, update the running statistics if there are any.

        Args:
            x: (N, C, L) for 1d, (N, C, H, W) for 2d, (N, C, D, H, W) for 3d; or one example, without N. With
                ``channels_last``, C is last.

        Returns:
            y, of the shape of x.
        """
        ndim, is_one = len(x.shape), len(x.shape) == self.axes - 1
        if ndim not in (self.axes, self.axes - 1) or x.shape[-1 if self.channels_last else 1 - is_one] != (
            self.num_features
        ):
            last = ", channels last," * self.channels_last
            raise ValueError(f"{self}: x must be {self.form}{last} with C = {self.num_features}, not {x.shape}")
        batch = expand_dims(x, 0) if is_one else x
        y = with_channels_second(self._normalize, batch) if self.channels_last else self._normalize(batch)
        return squeeze(y, 0) if is_one else y

    def _normalize(self, x: Value) -> Value:
        """Return (N, C, …) normalized; in training, update the running statistics if there are any."""
        mean: Any = self.running_mean if self.track_running_stats else None
        var: Any = self.running_var if self.track_running_stats else None
        counts = self.training and self.track_running_stats
        if counts:
            mean, var = mean.copy(), var.copy()  # a state that was given out does not change
        is_own = self.training or not self.track_running_stats
        y = functional.instance_norm(x, mean, var, self.weight, self.bias, is_own, self.momentum, self.eps)
        if counts:
            self.running_mean, self.running_var = mean, var
        return y

    def extra_repr(self) -> str:
        """Return the options."""
        options = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
        options += f"track_running_stats={self.track_running_stats}"
        return options + ", channels_last=True" * self.channels_last


class InstanceNorm1d(InstanceNorm):
    """Normalize each channel of each example (N, C, L) over its pixels, as `tinygraph.instance_norm`.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        affine: whether there are γ and β; by default there are not, as in PyTorch.
        track_running_stats: whether there are running statistics, which evaluation uses.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), of unbiased variances, or None.

    Raises:
        ValueError: in a call, x has another number of axes or channels, or an example has one pixel.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, equation 1.

    >>> InstanceNorm1d(3)(np.random.default_rng(0).random((2, 3, 4))).shape
    (2, 3, 4)
    """

    axes, form = 3, "(N, C, L)"


class InstanceNorm2d(InstanceNorm):
    """Normalize each channel of each example (N, C, H, W) over its pixels, as `tinygraph.instance_norm`.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        affine: whether there are γ and β; by default there are not, as in PyTorch.
        track_running_stats: whether there are running statistics, which evaluation uses.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), of unbiased variances, or None.

    Raises:
        ValueError: in a call, x has another number of axes or channels, or an example has one pixel.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, equation 1.

    >>> InstanceNorm2d(3)(np.random.default_rng(0).random((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    axes, form = 4, "(N, C, H, W)"


class InstanceNorm3d(InstanceNorm):
    """Normalize each channel of each example (N, C, D, H, W) over its pixels, as `tinygraph.instance_norm`.

    Args:
        num_features: C, number of channels.
        eps: ε ≥ 0, in units of x², added to the variance.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        affine: whether there are γ and β; by default there are not, as in PyTorch.
        track_running_stats: whether there are running statistics, which evaluation uses.
        channels_last: whether C is the last axis of x.

    Attributes:
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        running_mean: (C,), or None.
        running_var: (C,), of unbiased variances, or None.

    Raises:
        ValueError: in a call, x has another number of axes or channels, or an example has one pixel.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, equation 1.

    >>> InstanceNorm3d(3)(np.random.default_rng(0).random((2, 3, 2, 4, 4))).shape
    (2, 3, 2, 4, 4)
    """

    axes, form = 5, "(N, C, D, H, W)"


class RMSNorm(Norm):
    r"""Divide each example by the root of its mean square: :math:`y = γ\, x / \sqrt{\mathrm{mean}\, x^2 + ε}`.

    Args:
        normalized_shape: lengths of the last axes, or one length.
        eps: ε, in units of x²; the machine epsilon of x unless given.
        elementwise_affine: whether there is a γ.

    Attributes:
        weight: γ, of shape ``normalized_shape``, or None.

    Raises:
        ValueError: in a call, the last axes of x have other lengths.

    Source: Zhang and Sennrich 2019, equation 4.

    >>> RMSNorm(2)(np.array([[3.0, 4.0]])).data.round(4)
    array([[0.8485, 1.1314]])
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self._make_parameters(shape, elementwise_affine, bias=False)

    def forward(self, x: Value) -> Value:
        """Return x normalized and scaled.

        Args:
            x: (…, *normalized_shape).

        Returns:
            y, of the shape of x.
        """
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """Divide each channel by what its neighbours send, as `functional.local_response_norm`.

    Args:
        size: over how many channels the mean of squares is taken.
        alpha: weight of the mean.
        beta: exponent.
        k: what is added.

    Raises:
        ValueError: in a call, x has fewer than three axes, or size is less than 1.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.

    >>> LocalResponseNorm(2)(np.ones((1, 4, 3))).shape
    (1, 4, 3)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Value) -> Value:
        """Return x with its channels divided.

        Args:
            x: (N, C, …).

        Returns:
            y, of the shape of x.
        """
        return functional.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
