"""Layers that average windows, take their largest or their norm, and undo that, over 1, 2 and 3 axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.nn import functional
from tinygraph.nn.functional.fractional import Ratio, check_size
from tinygraph.nn.windows import OverAxes
from tinygraph.ops.adaptive import Size
from tinygraph.ops.shape import moveaxis
from tinygraph.ops.windows import Lengths, lengths

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d",
    "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d",
    "MaxUnpool3d",
]  # fmt: skip


class Pooling(OverAxes):
    """A layer of windows without parameters."""

    def function(self, name: str) -> Any:
        """Return a function of `tinygraph.nn.functional` over the axes of this layer."""
        return getattr(functional, f"{name}{self.rank}d")


class AvgPool(Pooling):
    """Average windows.

    Args:
        kernel_size: size of the window in pixels: EACH.
        stride: how many pixels the window moves at a time; ``kernel_size`` unless given.
        padding: zeros around the ARRAYS, at most half the window.
        ceil_mode: whether a last window may reach out, so that no pixel is left out.
        count_include_pad: whether the padding counts as pixels of a window.
        divisor_override: what sums are divided by, in place of the number of pixels.
        channels_last: whether x and y are (…, AXES, C).

    Raises:
        ValueError: in a call, an option is out of range.

    >>> AvgPoolRANK([ONES2])(np.array([1.0, 2.0]).reshape(ONES2)).ravel()
    array([1.5])
    """

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override
        self.channels_last = channels_last

    def forward(self, x: Value) -> Value:
        """Return the average of each window.

        Args:
            x: images, (…, H, W), or with another number of last axes.

        Returns:
            Averages, (…, H', W').
        """
        options = (self.ceil_mode, self.count_include_pad, self.divisor_override)
        average = self.function("avg_pool")
        return self.last(average(self.first(x), self.kernel_size, self.stride, self.padding, *options))

    def extra_repr(self) -> str:
        """Return the window."""
        sizes = (self.kernel_size, self.stride, self.padding)
        if self.rank == 1:
            sizes = tuple(lengths(n, "", 0, 1) for n in sizes)  # type: ignore[assignment]
        return "kernel_size={}, stride={}, padding={}".format(*sizes)


class AvgPool1d(AvgPool, rank=1):
    """Average windows of signals, as `tinygraph.avg_pool1d`."""


class AvgPool2d(AvgPool, rank=2):
    """Average windows of images, as `tinygraph.avg_pool2d`."""


class AvgPool3d(AvgPool, rank=3):
    """Average windows of volumes, as `tinygraph.avg_pool3d`."""


class MaxPool(Pooling):
    """Take the largest element of each window.

    Args:
        kernel_size: size of the window in pixels: EACH.
        stride: how many pixels the window moves at a time; ``kernel_size`` unless given.
        padding: pixels around the ARRAYS that are never the largest, at most half the window.
        dilation: distance in pixels between the elements of a window.
        return_indices: whether to return the places of the largest elements, too.
        ceil_mode: whether a last window may reach out, so that no pixel is left out.
        channels_last: whether x and y are (…, AXES, C).

    Raises:
        ValueError: in a call, an option is out of range.

    >>> MaxPoolRANK([ONES2])(np.array([1.0, 2.0]).reshape(ONES2)).ravel()
    array([2.])
    """

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        dilation: Lengths = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        channels_last: bool = False,
    ) -> None:
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride
        self.return_indices, self.ceil_mode, self.channels_last = return_indices, ceil_mode, channels_last

    def forward(self, x: Value) -> Any:
        """Return the largest element of each window.

        Args:
            x: images, (…, H, W), or with another number of last axes.

        Returns:
            Maxima, (…, H', W'); with ``return_indices`` a pair of that and an array of integers.
        """
        options = (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)
        found = self.function("max_pool")(self.first(x), *options)
        if not self.return_indices:
            return self.last(found)
        return self.last(found[0]), moveaxis(found[1], -1 - self.rank, -1) if self.channels_last else found[1]

    def extra_repr(self) -> str:
        """Return the window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(MaxPool, rank=1):
    """Take the largest element of each window of signals, as `tinygraph.max_pool1d`."""


class MaxPool2d(MaxPool, rank=2):
    """Take the largest element of each window of images, as `tinygraph.max_pool2d`."""


class MaxPool3d(MaxPool, rank=3):
    """Take the largest element of each window of volumes, as `tinygraph.max_pool3d`."""


class MaxUnpool(Pooling):
    """Put what a maximum pooling took back to where it was, among zeros.

    Args:
        kernel_size: of that pooling: EACH.
        stride: of that pooling.
        padding: of that pooling.

    Raises:
        ValueError: in a call, an index has no place.

    >>> MaxUnpoolRANK([ONES2])(np.array([2.0]).reshape(ONES1), np.array([1]).reshape(ONES1)).ravel()
    array([0., 2.])
    """

    def __init__(self, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0) -> None:
        self.kernel_size = lengths(kernel_size, "kernel_size", 1, self.rank)
        self.stride = self.kernel_size if stride is None else lengths(stride, "stride", 1, self.rank)
        self.padding = lengths(padding, "padding", 0, self.rank)

    def forward(self, x: Value, indices: Value, output_size: Sequence[int] | None = None) -> Value:
        """Return the elements of x at their places, and zeros elsewhere.

        Args:
            x: one number for each window.
            indices: integers of that shape, from a pooling with ``return_indices=True``.
            output_size: the lengths of the axes before that pooling.

        Returns:
            An array of those lengths.
        """
        unpool = self.function("max_unpool")
        return unpool(x, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """Return the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(MaxUnpool, rank=1):
    """Put what `MaxPool1d` took back to where it was, among zeros."""


class MaxUnpool2d(MaxUnpool, rank=2):
    """Put what `MaxPool2d` took back to where it was, among zeros."""


class MaxUnpool3d(MaxUnpool, rank=3):
    """Put what `MaxPool3d` took back to where it was, among zeros."""


class LPPool(Pooling):
    r"""Take the p-norm of each window.

    It is :math:`(\sum x^p)^{1/p}`.

    Args:
        norm_type: p, above 0.
        kernel_size: size of the window in pixels: EACH.
        stride: how many pixels the window moves at a time; ``kernel_size`` unless given.
        ceil_mode: whether a last window may reach out, so that no pixel is left out.

    Raises:
        ValueError: in a call, an option is out of range.

    >>> LPPoolRANK(2, [ONES2])(np.array([3.0, 4.0]).reshape(ONES2)).ravel()
    array([5.])
    """

    def __init__(
        self, norm_type: float, kernel_size: Lengths, stride: Lengths | None = None, ceil_mode: bool = False
    ) -> None:
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, x: Value) -> Value:
        """Return the norm of each window.

        Args:
            x: images, (…, H, W), or with another number of last axes.

        Returns:
            Norms, (…, H', W').
        """
        return self.function("lp_pool")(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """Return the norm and the window."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(LPPool, rank=1):
    """Take the p-norm of each window of signals."""


class LPPool2d(LPPool, rank=2):
    """Take the p-norm of each window of images."""


class LPPool3d(LPPool, rank=3):
    """Take the p-norm of each window of volumes."""


class AdaptiveAvgPool(Pooling):
    """Average as many windows as the result shall have pixels.

    One window averages each channel.

    Args:
        output_size: pixels of the result: EACH; None leaves an axis as it is.
        channels_last: whether x and y are (…, AXES, C).

    Raises:
        ValueError: in a call, ``output_size`` is out of range.

    >>> AdaptiveAvgPoolRANK(1)(np.array([1.0, 2.0]).reshape(ONES2)).ravel()
    array([1.5])
    """

    def __init__(self, output_size: Size, *, channels_last: bool = False) -> None:
        self.output_size, self.channels_last = output_size, channels_last

    def forward(self, x: Value) -> Value:
        """Return the average of each window.

        Args:
            x: images, (…, H, W), or with another number of last axes.

        Returns:
            Averages, (…, *output_size).
        """
        return self.last(self.function("adaptive_avg_pool")(self.first(x), self.output_size))

    def extra_repr(self) -> str:
        """Return the size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptiveAvgPool, rank=1):
    """Average as many windows of signals as the result shall have elements, as `tinygraph.adaptive_avg_pool1d`."""


class AdaptiveAvgPool2d(AdaptiveAvgPool, rank=2):
    """Average as many windows of images as the result shall have pixels, as `tinygraph.adaptive_avg_pool2d`."""


class AdaptiveAvgPool3d(AdaptiveAvgPool, rank=3):
    """Average as many windows of volumes as the result shall have pixels, as `tinygraph.adaptive_avg_pool3d`."""


class AdaptiveMaxPool(Pooling):
    """Take the largest of as many windows as the result shall have pixels.

    Args:
        output_size: pixels of the result: EACH; None leaves an axis as it is.
        return_indices: whether to return the places of the largest elements, too.

    Raises:
        ValueError: in a call, ``output_size`` is out of range.

    >>> AdaptiveMaxPoolRANK(1)(np.array([1.0, 2.0]).reshape(ONES2)).ravel()
    array([2.])
    """

    def __init__(self, output_size: Size, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Value) -> Any:
        """Return the largest element of each window.

        Args:
            x: images, (…, H, W), or with another number of last axes.

        Returns:
            Maxima, (…, *output_size); with ``return_indices`` a pair of that and an array of integers.
        """
        return self.function("adaptive_max_pool")(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """Return the size."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(AdaptiveMaxPool, rank=1):
    """Take the largest of as many windows of signals as the result shall have elements."""


class AdaptiveMaxPool2d(AdaptiveMaxPool, rank=2):
    """Take the largest of as many windows of images as the result shall have pixels."""


class AdaptiveMaxPool3d(AdaptiveMaxPool, rank=3):
    """Take the largest of as many windows of volumes as the result shall have pixels."""


class FractionalMaxPool(Pooling):
    """Take the largest of windows at random places, which lie about evenly from one end to the other.

    Args:
        kernel_size: size of the window in pixels: EACH.
        output_size: pixels of the result, likewise.
        output_ratio: how long the axes of the result are beside those of x, 0 … 1, in place of ``output_size``.
        return_indices: whether to return the places of the largest elements, too.
        _random_samples: numbers 0 … 1 that say where windows begin, in place of drawn ones.

    Raises:
        ValueError: not one of ``output_size`` and ``output_ratio`` is given, or a ratio is not between 0 and 1; in a
            call, the windows do not fit.

    Source: Graham 2014, section 2.

    >>> FractionalMaxPoolRANK([ONES2], [ONES2])(np.arange(3.0).reshape(1, ONES3)).ravel()
    array([1., 2.])
    """

    _random_samples: Array | None

    def __init__(
        self,
        kernel_size: Lengths,
        output_size: Lengths | None = None,
        output_ratio: Ratio = None,
        return_indices: bool = False,
        _random_samples: Array | None = None,
    ) -> None:
        check_size(output_size, output_ratio, self.rank)
        self.kernel_size = lengths(kernel_size, "kernel_size", 1, self.rank)
        self.output_size, self.output_ratio, self.return_indices = output_size, output_ratio, return_indices
        self.register_buffer("_random_samples", array_of(_random_samples))

    def forward(self, x: Value) -> Any:
        """Return the largest element of each window.

        Args:
            x: (N, C, H, W) or (C, H, W), or with one axis more.

        Returns:
            Maxima, (N, C, *output_size); with ``return_indices`` a pair of that and an array of integers.
        """
        options = (self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples)
        return self.function("fractional_max_pool")(x, *options)

    def extra_repr(self) -> str:
        """Return the window and the size."""
        return f"kernel_size={self.kernel_size}, output_size={self.output_size}, output_ratio={self.output_ratio}"


class FractionalMaxPool2d(FractionalMaxPool, rank=2):
    """Take the largest of windows of images at random places."""


class FractionalMaxPool3d(FractionalMaxPool, rank=3):
    """Take the largest of windows of volumes at random places."""
