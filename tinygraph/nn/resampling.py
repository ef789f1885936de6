"""Layers that resize and rearrange."""

from __future__ import annotations

from collections.abc import Sequence

from tinygraph.engine.types import Value
from tinygraph.nn import functional
from tinygraph.nn.module import Module
from tinygraph.ops.windows import Lengths

__all__ = [
    "ChannelShuffle", "Fold", "PixelShuffle", "PixelUnshuffle", "Unfold", "Upsample", "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]  # fmt: skip

Size = int | Sequence[int] | None
Scale = float | Sequence[float] | None


class Upsample(Module):
    """Make signals, images or volumes larger, as `tinygraph.nn.functional.interpolate`.

    Args:
        size: lengths of the axes of y: one number, or one for each.
        scale_factor: how many times as long they become, in place of ``size``.
        mode: "nearest", "linear", "bilinear", "bicubic" or "trilinear".
        align_corners: whether the first and last elements of y are those of x.
        recompute_scale_factor: whether the lengths of y say how far its elements lie apart.

    Raises:
        ValueError: in a call, an option does not fit x.

    >>> Upsample(scale_factor=2)(np.array([[[1.0, 3.0]]]))
    array([[[1., 1., 3., 3.]]])
    """

    def __init__(
        self,
        size: Size = None,
        scale_factor: Scale = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.size, self.mode, self.align_corners = size, mode, align_corners
        if isinstance(scale_factor, Sequence):
            self.scale_factor: Scale = tuple(map(float, scale_factor))
        else:
            self.scale_factor = None if scale_factor is None else float(scale_factor)
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Value) -> Value:
        """Return x of other lengths.

        Args:
            x: (N, C, …).

        Returns:
            y, (N, C, …).
        """
        options = (self.mode, self.align_corners, self.recompute_scale_factor)
        return functional.interpolate(x, self.size, self.scale_factor, *options)

    def extra_repr(self) -> str:
        """Return the size or the scale, and the mode."""
        how = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{how}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Make images larger by repeating their pixels.

    Args:
        size: (H', W'), or one number for both.
        scale_factor: how many times as large, in place of ``size``.

    >>> UpsamplingNearest2d(scale_factor=2)(np.ones((1, 1, 2, 3))).shape
    (1, 1, 4, 6)
    """

    def __init__(self, size: Size = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Make images larger by reading between their pixels; the corners stay corners.

    Args:
        size: (H', W'), or one number for both.
        scale_factor: how many times as large, in place of ``size``.

    >>> UpsamplingBilinear2d(size=(1, 3))(np.array([[[[1.0, 3.0]]]]))
    array([[[[1., 2., 3.]]]])
    """

    def __init__(self, size: Size = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(Module):
    """Make r² channels the pixels of one, as `tinygraph.pixel_shuffle`.

    Args:
        upscale_factor: r.

    >>> PixelShuffle(2)(np.ones((1, 8, 3, 3))).shape
    (1, 2, 6, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, x: Value) -> Value:
        """Return x with fewer channels and more pixels.

        Args:
            x: (…, C·r², H, W).

        Returns:
            (…, C, H·r, W·r).
        """
        return functional.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        """Return the factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Make r × r pixels channels of one, as `tinygraph.pixel_unshuffle`.

    Args:
        downscale_factor: r.

    >>> PixelUnshuffle(2)(np.ones((1, 2, 6, 6))).shape
    (1, 8, 3, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, x: Value) -> Value:
        """Return x with more channels and fewer pixels.

        Args:
            x: (…, C, H·r, W·r).

        Returns:
            (…, C·r², H, W).
        """
        return functional.pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        """Return the factor."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Deal channels out in turn, as `tinygraph.channel_shuffle`.

    Args:
        groups: of how many groups the channels are; it divides them.

    >>> ChannelShuffle(2)(np.arange(4).reshape(1, 4, 1)).ravel()
    array([0, 2, 1, 3])
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def forward(self, x: Value) -> Value:
        """Return x with its channels in another order.

        Args:
            x: (N, C, …).

        Returns:
            Of the shape of x.
        """
        return functional.channel_shuffle(x, self.groups)

    def extra_repr(self) -> str:
        """Return the number of groups."""
        return f"groups={self.groups}"


class Unfold(Module):
    """Lay the windows of images out as columns, as `tinygraph.nn.functional.unfold`.

    Args:
        kernel_size: size of a window, in pixels: one number, or one for rows and one for columns.
        dilation: step between the pixels of a window, likewise.
        padding: zeros on either side, likewise.
        stride: step between windows, likewise.

    >>> Unfold(2)(np.ones((1, 3, 4, 4))).shape
    (1, 12, 9)
    """

    def __init__(self, kernel_size: Lengths, dilation: Lengths = 1, padding: Lengths = 0, stride: Lengths = 1) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Value) -> Value:
        """Return the windows of x.

        Args:
            x: (N, C, H, W), or (C, H, W).

        Returns:
            (N, C·kh·kw, number of windows), or without N.
        """
        return functional.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Return the window."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Add windows up into images, as `tinygraph.nn.functional.fold`.

    Args:
        output_size: (H, W), or one number for both.
        kernel_size: as in `Unfold`.
        dilation: as in `Unfold`.
        padding: as in `Unfold`.
        stride: as in `Unfold`.

    >>> Fold((4, 4), 2)(np.ones((1, 12, 9))).shape
    (1, 3, 4, 4)
    """

    def __init__(
        self, output_size: Lengths, kernel_size: Lengths, dilation: Lengths = 1, padding: Lengths = 0,
        stride: Lengths = 1,
    ) -> None:  # fmt: skip
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, x: Value) -> Value:
        """Return the sum of the windows.

        Args:
            x: (N, C·kh·kw, number of windows), or without N.

        Returns:
            (N, C, H, W), or without N.
        """
        options = (self.kernel_size, self.dilation, self.padding, self.stride)
        return functional.fold(x, self.output_size, *options)

    def extra_repr(self) -> str:
        """Return the size and the window."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
