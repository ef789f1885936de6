"""Convolutions with a bias, over 1, 2 and 3 axes."""

from __future__ import annotations

from typing import Any

from tinygraph.engine.types import Value
from tinygraph.ops import convolution as ops
from tinygraph.ops.shape import reshape, transpose
from tinygraph.ops.windows import Lengths, Padding, spelled

__all__ = ["conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def shifted(y: Value, bias: Value, rank: int) -> Value:
    """Add a bias (C,) to images (N, C, …) of ``rank`` axes."""
    return y if bias is None else y + reshape(bias, (-1, *(1,) * rank))


def define(rank: int) -> tuple[Any, Any]:
    """Make the two functions for windows over ``rank`` axes."""
    slide, lay_down = getattr(ops, f"conv{rank}d"), getattr(ops, f"conv_transpose{rank}d")

    @spelled(rank)
    def conv(
        x: Value,
        weight: Value,
        bias: Value = None,
        stride: Lengths = 1,
        padding: Padding = 0,
        dilation: Lengths = 1,
        groups: int = 1,
    ) -> Value:
        """Slide filters over ARRAYS, and shift each channel.

        Args:
            x: ARRAYS (N, C, AXES), or one of them (C, AXES).
            weight: filters (O, C / groups, KERNEL).
            bias: (O,), or None.
            stride: steps between windows, in pixels: EACH.
            padding: zeros on either side, in pixels, likewise; or "valid", or "same".
            dilation: steps within a window, in pixels, likewise.
            groups: cuts the channels of both into as many parts that do not meet.

        Returns:
            (N, O, RESULTS); without N, none.

        Raises:
            ValueError: shapes do not fit, or no window does.

        >>> convRANK(np.ones((1, 1, ONES3)), np.ones((1, 1, ONES2)), np.ones(1)).ravel()
        array([3., 3.])
        """
        return shifted(slide(x, weight, stride, padding, dilation, groups), bias, rank)

    @spelled(rank)
    def conv_transpose(
        x: Value,
        weight: Value,
        bias: Value = None,
        stride: Lengths = 1,
        padding: Lengths = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        dilation: Lengths = 1,
    ) -> Value:
        """Lay filters down at every pixel, add them up, and shift each channel.

        Args:
            x: (N, O, RESULTS), or (O, RESULTS).
            weight: (O, C / groups, KERNEL): the filters of the convolution whose transpose this is.
            bias: (C,), or None.
            stride: of that convolution, in pixels: EACH.
            padding: of that convolution, in pixels, likewise.
            output_padding: pixels more at the end of each axis, less than the stride.
            groups: of that convolution.
            dilation: of that convolution, in pixels.

        Returns:
            (N, C, AXES); without N, none.

        Raises:
            ValueError: shapes do not fit, or ``output_padding`` is not less than ``stride``.

        >>> conv_transposeRANK(np.ones((1, 1, ONES2)), np.ones((1, 1, ONES2))).ravel()
        array([1., 2., 1.])
        """
        return shifted(lay_down(x, weight, stride, padding, output_padding, groups, dilation), bias, rank)

    return conv, conv_transpose


conv1d, conv_transpose1d = define(1)
conv2d, conv_transpose2d = define(2)
conv3d, conv_transpose3d = define(3)


def conv_tbc(x: Value, weight: Value, bias: Value, pad: int = 0) -> Value:
    """Slide filters over sequences whose axis of time comes first: `conv1d` of (time, batch, channels).

    Args:
        x: (L, N, C).
        weight: filters (k, C, O).
        bias: (O,).
        pad: zeros on either side.

    Returns:
        (L + 2 pad - k + 1, N, O).

    Raises:
        ValueError: shapes do not fit, or no window does.

    >>> conv_tbc(np.ones((3, 1, 1)), np.ones((2, 1, 1)), np.ones(1)).ravel()
    array([3., 3.])
    """
    if len(x.shape) != 3 or len(weight.shape) != 3:
        shapes = f"{tuple(x.shape)} and {tuple(weight.shape)}"
        raise ValueError(f"conv_tbc: x and weight have shapes {shapes}, not (time, batch, C) and (k, C, O)")
    y = conv1d(transpose(x, (1, 2, 0)), transpose(weight, (2, 1, 0)), bias, padding=pad)
    return transpose(y, (2, 0, 1))
