"""Layers that slide filters over arrays, or lay them down, over 1, 2 and 3 axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygraph.engine.types import Value
from tinygraph.nn import functional
from tinygraph.nn.layers import Weighted
from tinygraph.nn.windows import OverAxes
from tinygraph.ops.windows import Lengths, Padding, lengths, resolve_padding

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

MODES = ("zeros", "reflect", "replicate", "circular")


class Windows(Weighted, OverAxes):
    """What both kinds of layers have: filters, and how they lie over arrays."""

    padding_mode: str

    def _set_options(
        self, in_channels: int, out_channels: int, kernel_size: Lengths, stride: Lengths, dilation: Lengths, groups: int
    ) -> None:
        """Check and keep the options."""
        if groups < 1 or in_channels % groups or out_channels % groups:
            name = type(self).__name__
            raise ValueError(f"{name}: groups={groups} must divide both in_channels={in_channels} and {out_channels=}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = lengths(kernel_size, "kernel_size", 1, self.rank)
        self.stride, self.dilation = (
            lengths(n, what, 1, self.rank) for n, what in ((stride, "stride"), (dilation, "dilation"))
        )

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the usual ones."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        usual = {"padding": zeros, "dilation": ones, "output_padding": zeros, "groups": 1}
        for name, value in usual.items():
            found = getattr(self, name, value)
            if found != value:
                parts.append(f"{name}={found}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        if self.channels_last:
            parts.append("channels_last=True")
        return ", ".join(parts)


class Conv(Windows):
    """Slide filters over arrays.

    Sizes in pixels are EACH.

    Args:
        in_channels: C, channels of x.
        out_channels: channels of y.
        kernel_size: size of a filter in pixels, 1 or more.
        stride: how many pixels a filter moves at a time, 1 or more.
        padding: pixels on each side, 0 or more; or "valid" (none), or "same" (y has the lengths of x; takes stride 1).
        dilation: distance in pixels between the elements of a filter, 1 or more.
        groups: number of groups that the channels are divided into; a filter sees one group. It divides
            in_channels and out_channels.
        bias: whether each channel is shifted.
        padding_mode: what the padding holds: "zeros", "reflect", "replicate" or "circular".
        channels_last: whether x and y are (N, AXES, C).

    Attributes:
        weight: (out_channels, in_channels / groups, KERNEL).
        bias: (out_channels,), or None.

    Raises:
        ValueError: an option is out of range, or does not fit the others.

    >>> layer = ConvRANK(1, 6, kernel_size=5, padding=2)
    >>> layer(np.ones((4, 1, ONES28), np.float32)).shape
    (4, 6, ONES28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Padding = 0,
        dilation: Lengths = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        channels_last: bool = False,
    ) -> None:
        self._set_options(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = padding if isinstance(padding, str) else lengths(padding, "padding", 0, self.rank)
        if padding_mode not in MODES:
            raise ValueError(f"{type(self).__name__}: padding_mode {padding_mode!r} is none of {', '.join(MODES)}")
        self.padding_mode, self.channels_last = padding_mode, channels_last
        resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation)
        self._make_parameters((out_channels, in_channels // groups, *self.kernel_size), bias)

    def forward(self, x: Value) -> Value:
        """Return x convolved with the filters.

        Args:
            x: (N, in_channels, …), or (in_channels, …).

        Returns:
            y, (N, out_channels, …).
        """
        x = self.first(x)
        padding: Padding = self.padding
        if self.padding_mode != "zeros":
            around = resolve_padding(padding, self.kernel_size, self.stride, self.dilation)
            x, padding = functional.pad(x, [n for pair in around[::-1] for n in pair], self.padding_mode), 0
        slide: Any = getattr(functional, f"conv{self.rank}d")
        return self.last(slide(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups))


class Conv1d(Conv, rank=1):
    """Slide filters over signals, as `tinygraph.conv1d`, and shift each channel."""


class Conv2d(Conv, rank=2):
    """Slide filters over images, as `tinygraph.conv2d`, and shift each channel."""


class Conv3d(Conv, rank=3):
    """Slide filters over volumes, as `tinygraph.conv3d`, and shift each channel."""


class ConvTranspose(Windows):
    """Lay filters down at every pixel and add them up.

    Sizes in pixels are EACH. They are those of the convolution whose transpose this is.

    Args:
        in_channels: channels of x.
        out_channels: channels of y.
        kernel_size: size of a filter in pixels, 1 or more.
        stride: how many pixels of y lie between two filters, 1 or more.
        padding: pixels that y loses on each side, 0 or more.
        output_padding: pixels that y gains at the end of each axis, less than the stride.
        groups: number of groups that the channels are divided into. It divides in_channels and out_channels.
        bias: whether each channel is shifted.
        dilation: distance in pixels between the elements of a filter, 1 or more.
        padding_mode: "zeros", the only one.
        channels_last: whether x and y are (N, AXES, C).

    Attributes:
        weight: (in_channels, out_channels / groups, KERNEL).
        bias: (out_channels,), or None.

    Raises:
        ValueError: an option is out of range, or does not fit the others.

    >>> layer = ConvTransposeRANK(6, 1, kernel_size=[ONES2], stride=[ONES2])
    >>> layer(np.ones((4, 6, ONES14), np.float32)).shape
    (4, 1, ONES28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Lengths = 1,
        padding_mode: str = "zeros",
        *,
        channels_last: bool = False,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__}: padding_mode {padding_mode!r} is not 'zeros', the only one here")
        self._set_options(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = lengths(padding, "padding", 0, self.rank)
        self.output_padding = lengths(output_padding, "output_padding", 0, self.rank)
        self.padding_mode, self.channels_last = padding_mode, channels_last
        self._make_parameters((in_channels, out_channels // groups, *self.kernel_size), bias, out_channels)

    def forward(self, x: Value, output_size: Sequence[int] | None = None) -> Value:
        """Return the sum of the filters that lie at the pixels of x.

        Args:
            x: (N, in_channels, …), or (in_channels, …).
            output_size: the lengths of y, in place of what ``output_padding`` says; all axes of y may be named, too.

        Returns:
            y, (N, out_channels, …).

        Raises:
            ValueError: no ``output_padding`` gives that size.
        """
        x = self.first(x)
        extra = self.output_padding if output_size is None else self.extra_for(x, tuple(output_size)[-self.rank :])
        lay_down: Any = getattr(functional, f"conv_transpose{self.rank}d")
        options = (self.stride, self.padding, extra, self.groups, self.dilation)
        return self.last(lay_down(x, self.weight, self.bias, *options))

    def extra_for(self, x: Value, size: Sequence[int]) -> tuple[int, ...]:
        """Return the ``output_padding`` that gives lengths; raise if none does."""
        options = zip(x.shape[-self.rank :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in options]
        found = tuple(a - b for a, b in zip(size, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(found, self.stride, strict=True)):
            most = [a + s - 1 for a, s in zip(least, self.stride, strict=True)]
            raise ValueError(f"{self}: output_size {tuple(size)} is not between {tuple(least)} and {tuple(most)}")
        return found


class ConvTranspose1d(ConvTranspose, rank=1):
    """Lay filters down over signals, as `tinygraph.conv_transpose1d`, and shift each channel."""


class ConvTranspose2d(ConvTranspose, rank=2):
    """Lay filters down over images, as `tinygraph.conv_transpose2d`, and shift each channel."""


class ConvTranspose3d(ConvTranspose, rank=3):
    """Lay filters down over volumes, as `tinygraph.conv_transpose3d`, and shift each channel."""
