"""Layers: parameters, and the function made of ops that uses them; names, defaults and shapes are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Parameter, array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.functions.creation import random_generator
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.nn import init
from tinygraph.nn.module import Module
from tinygraph.ops.convolution import Pair, conv2d, pair
from tinygraph.ops.pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from tinygraph.ops.shape import reshape

__all__ = [
    "AdaptiveAvgPool2d", "AvgPool2d", "Conv2d", "Dropout", "Embedding", "Flatten", "Identity", "Linear", "MaxPool2d",
]  # fmt: skip


class Weighted(Module):
    """A layer with ``weight`` and ``bias``, drawn from U(-1/√fan_in, 1/√fan_in) as PyTorch draws them."""

    weight: Parameter
    bias: Parameter | None

    def _make_parameters(self, shape: Shape, bias: bool) -> None:
        """Make the weight, and a bias of the length of its first axis, and draw their values."""
        self.weight = Parameter(np.empty(shape, np.float32))
        self.bias = Parameter(np.empty(shape[0], np.float32)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the parameters anew.

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(max(init.fans(self.weight)[0], 1))
            init.uniform_(self.bias, -bound, bound, generator)


class Linear(Weighted):
    r"""Multiply by a matrix and shift: :math:`y = x W^{\mathsf T} + b`.

    Args:
        in_features: length of the last axis of x.
        out_features: length of the last axis of y.
        bias: whether there is a shift b.

    Attributes:
        weight: W, (out_features, in_features).
        bias: b, (out_features,), or None.

    Raises:
        ValueError: in a call, the last axis of x has another length.

    >>> layer = Linear(3, 2)
    >>> layer(np.ones((4, 3), np.float32)).shape
    (4, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features, self.out_features = in_features, out_features
        self._make_parameters((out_features, in_features), bias)

    def forward(self, x: Value) -> Value:
        """Return x Wᵀ + b.

        Args:
            x: (…, in_features).

        Returns:
            y, (…, out_features).
        """
        if not x.shape or x.shape[-1] != self.in_features:
            raise ValueError(f"{self}: x must be (…, {self.in_features}), not {x.shape}")
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def padding_in_pixels(padding: Pair | str, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[int, int]:
    """Return the padding of a convolution in pixels: "valid" means none, and "same" keeps the size of the images."""
    if not isinstance(padding, str):
        return pair(padding, "padding", 0)
    if padding == "valid":
        return 0, 0
    if padding != "same":
        raise ValueError(f"Conv2d: padding {padding!r} is neither 'same' nor 'valid' nor a number of pixels")
    kernels, dilations = pair(kernel, "kernel_size", 1), pair(dilation, "dilation", 1)
    rows, columns = (d * (k - 1) for d, k in zip(dilations, kernels, strict=True))
    if pair(stride, "stride", 1) != (1, 1) or rows % 2 or columns % 2:
        raise ValueError("Conv2d: padding 'same' takes stride 1 and as many pixels on either side: an odd kernel")
    return rows // 2, columns // 2


class Conv2d(Weighted):
    """Slide filters over images, as `tinygraph.conv2d`, and shift each channel.

    Sizes in pixels are one number, or a pair of one for rows and one for columns.

    Args:
        in_channels: C, channels of x.
        out_channels: channels of y.
        kernel_size: size of a filter in pixels, 1 or more.
        stride: how many pixels a filter moves at a time, 1 or more.
        padding: pixels of zeros on each side, 0 or more; or "valid" (none), or "same" (y has the size of x:
            it takes stride 1 and an odd kernel).
        dilation: distance in pixels between the elements of a filter, 1 or more.
        groups: number of groups that the channels are divided into; a filter sees one group. It divides
            in_channels and out_channels.
        bias: whether each channel is shifted.

    Attributes:
        weight: (out_channels, in_channels / groups, kh, kw).
        bias: (out_channels,), or None.

    Raises:
        ValueError: an option is out of range, or does not fit the others.

    >>> layer = Conv2d(1, 6, kernel_size=5, padding=2)
    >>> layer(np.ones((4, 1, 28, 28), np.float32)).shape
    (4, 6, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide both in_channels={in_channels} and {out_channels=}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = pair(kernel_size, "kernel_size", 1), pair(stride, "stride", 1)
        self.dilation = pair(dilation, "dilation", 1)
        self.padding = padding_in_pixels(padding, self.kernel_size, self.stride, self.dilation)
        self._make_parameters((out_channels, in_channels // groups, *self.kernel_size), bias)

    def forward(self, x: Value) -> Value:
        """Return x convolved with the filters.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            y, (N, out_channels, H', W').
        """
        y = conv2d(x, self.weight, self.stride, self.padding, self.dilation, self.groups)
        return y if self.bias is None else y + reshape(self.bias, (-1, 1, 1))

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the usual ones."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                parts.append(f"{name}={getattr(self, name)}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


def rows_of(weight: Value, indices: Value, what: str) -> Value:
    """Return the rows of a matrix that indices name; raise, in the name of ``what``, if there is no such row."""
    indices = array_of(indices)
    found = getattr(indices, "dtype", np.dtype(object))
    if found.kind not in "iu":
        raise TypeError(f"{what}: indices must be an array of integers, not {found}")
    if indices.size and (indices.min() < 0 or indices.max() >= weight.shape[0]):
        raise IndexError(f"{what}: indices go from {indices.min()} to {indices.max()}")
    return weight[indices]


class Embedding(Module):
    """Look up a row for each index.

    Args:
        num_embeddings: number of rows.
        embedding_dim: length of a row.

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1).

    Raises:
        TypeError: in a call, the indices are no integers.
        IndexError: in a call, there is no such row.

    >>> Embedding(10, 4)(np.array([[1, 2], [3, 1]])).shape
    (2, 2, 4)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), np.float32))
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the rows anew.

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        init.normal_(self.weight, generator=generator)

    def forward(self, indices: Value) -> Value:
        """Return the row of each index.

        Args:
            indices: integers in 0 … num_embeddings - 1, of any shape (…).

        Returns:
            Rows, (…, embedding_dim).
        """
        return rows_of(self.weight, indices, str(self))

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"


def thin_out(x: Value, p: float, generator: np.random.Generator) -> Value:
    """Set each element to 0 with probability p, and scale the others by 1 / (1 - p)."""
    stays = generator.random(x.shape, np.float32) >= p
    mask = stays.astype(x.dtype) * (1 / (1 - p) if p < 1 else 0.0)
    return x * asarray(mask, backend_of(array_of(x)), x.dtype)


class Dropout(Module):
    """In training, set each element to 0 with probability p, and scale the others by 1 / (1 - p).

    Each Dropout has a generator of random numbers. `nn.init.manual_seed` seeds it, and a checkpoint stores its
    state, so that a run that is resumed drops the same elements as a run that was never stopped.

    Args:
        p: probability that an element is set to 0, 0 … 1.
        inplace: accepted because PyTorch has it, and without effect: a Tensor is never changed in place.

    Raises:
        ValueError: p is outside of 0 … 1.

    Source: Srivastava et al. 2014, section 10 ("inverted" as all libraries have it).

    >>> x = np.ones(5)
    >>> Dropout(0.5).eval()(x) is x
    True
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is {p}, no probability")
        self.p = p
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Begin a new sequence of random numbers.

        Args:
            generator: the generator to derive it from; None takes that of `tinygraph.manual_seed`.
        """
        self.generator = (generator or random_generator()).spawn(1)[0]

    def forward(self, x: Value) -> Value:
        """Return x, in training with some elements set to 0.

        Args:
            x: of any shape.

        Returns:
            Of the shape of x; in evaluation x itself.
        """
        if not self.training or self.p == 0:
            return x
        return thin_out(x, self.p, self.generator)

    def get_extra_state(self) -> Any:
        """Return the state of the generator."""
        return {"generator": self.generator.bit_generator.state}

    def set_extra_state(self, state: Any) -> None:
        """Continue from a state of the generator.

        Args:
            state: from `get_extra_state`.
        """
        bits = getattr(np.random, state["generator"]["bit_generator"])()
        bits.state = state["generator"]
        self.generator = np.random.Generator(bits)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}"


class Identity(Module):
    """Return the argument: a layer that does nothing, for a place in a net that stays empty.

    >>> x = np.ones(2)
    >>> Identity()(x) is x
    True
    """

    def forward(self, x: Value) -> Value:
        """Return x.

        Args:
            x: anything.

        Returns:
            x itself.
        """
        return x


class Flatten(Module):
    """Join the axes ``start_dim`` … ``end_dim`` into one axis.

    Args:
        start_dim: the first axis to join.
        end_dim: the last axis to join; negative numbers count from the end.

    Raises:
        ValueError: in a call, the first axis comes after the last one.

    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Value) -> Value:
        """Return x with fewer axes.

        Args:
            x: (N, …).

        Returns:
            The elements of x, by default (N, number of elements of an example).
        """
        start, end = self.start_dim % x.ndim, self.end_dim % x.ndim
        if start > end:
            raise ValueError(f"{self}: axis {self.start_dim} of {x.shape} comes after axis {self.end_dim}")
        return reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))

    def extra_repr(self) -> str:
        """Return the axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Pooling(Module):
    """A window that moves over images (…, H, W).

    Args:
        kernel_size: size of the window in pixels: one number, or a pair of one for rows and one for columns.
        stride: how many pixels the window moves at a time; ``kernel_size`` unless given.
        padding: pixels around the images, at most half the window.
    """

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride

    def extra_repr(self) -> str:
        """Return the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Pooling):
    """Average windows of images, as `tinygraph.avg_pool2d`.

    Args:
        kernel_size: size of the window in pixels: one number, or a pair of one for rows and one for columns.
        stride: how many pixels the window moves at a time; ``kernel_size`` unless given.
        padding: pixels of zeros around the images, at most half the window.

    Raises:
        ValueError: in a call, an option is out of range.

    >>> AvgPool2d(2)(np.arange(4.0).reshape(2, 2))
    array([[1.5]])
    """

    def forward(self, x: Value) -> Value:
        """Return the average of each window.

        Args:
            x: images, (…, H, W).

        Returns:
            Averages, (…, H', W').
        """
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class MaxPool2d(Pooling):
    """Take the largest element of each window of images, as `tinygraph.max_pool2d`.

    Args:
        kernel_size: size of the window in pixels: one number, or a pair of one for rows and one for columns.
        stride: how many pixels the window moves at a time; ``kernel_size`` unless given.
        padding: pixels around the images that are never the largest, at most half the window.

    Raises:
        ValueError: in a call, an option is out of range.

    >>> MaxPool2d(2)(np.arange(4.0).reshape(2, 2))
    array([[3.]])
    """

    def forward(self, x: Value) -> Value:
        """Return the largest element of each window.

        Args:
            x: images, (…, H, W).

        Returns:
            Maxima, (…, H', W').
        """
        return max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AdaptiveAvgPool2d(Module):
    """Average as many windows as the result shall have pixels: 1 averages each channel.

    Args:
        output_size: pixels of the result: one number, or a pair of one for rows and one for columns; None
            leaves an axis as it is.

    Raises:
        ValueError: in a call, ``output_size`` is out of range.

    >>> AdaptiveAvgPool2d(1)(np.arange(4.0).reshape(2, 2))
    array([[1.5]])
    """

    def __init__(self, output_size: int | Sequence[int | None]) -> None:
        self.output_size = output_size

    def forward(self, x: Value) -> Value:
        """Return the average of each window.

        Args:
            x: images, (…, H, W).

        Returns:
            Averages, (…, *output_size).
        """
        return adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """Return the size."""
        return f"output_size={self.output_size}"
