"""Random configurations of layers that slide windows over axes, pad axes or move pixels: any stride, padding or size.

Some fit no window into the input: PyTorch refuses them, and then so must we.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.nn.setups import Draw, Setup

Drawn = Callable[[Draw], Setup]


def numbers(r: Draw, rank: int, low: int, high: int) -> Any:
    """Draw one number for all axes, or one for each."""
    return r.any(r.size(low, high), each(r, rank, low, high))


def each(r: Draw, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(r.size(low, high) for _ in range(rank))


def spread(n: Any, rank: int) -> tuple[int, ...]:
    return n if isinstance(n, tuple) else (n,) * rank


def images(r: Draw, rank: int, channels: int, low: int, high: int) -> Any:
    """Draw (N, C, …), or one of them without N."""
    return r.normal(*r.any((), (1,), (2,), (3,)), channels, *each(r, rank, low, high))


def convolutions(rank: int, transposed: bool = False) -> Drawn:
    def setup(r: Draw) -> Setup:
        groups = r.size(1, 3)
        channels, out = groups * r.size(1, 2), groups * r.size(1, 2)
        options: dict[str, Any] = {"groups": groups, "bias": r.flag(), "dilation": numbers(r, rank, 1, 2)}
        if transposed:
            stride = numbers(r, rank, 1, 3)
            extra = tuple(r.size(0, s - 1) for s in spread(stride, rank))
            options |= {"stride": stride, "padding": numbers(r, rank, 0, 1), "output_padding": extra}
            return Setup((channels, out, each(r, rank, 2, 3)), options, (images(r, rank, channels, 3, 5),))
        options["padding_mode"] = r.any("zeros", "zeros", "reflect", "replicate", "circular")
        if r.size(1, 10) <= 3:
            options["padding"] = r.any("same", "valid")
        else:
            options |= {"stride": numbers(r, rank, 1, 3), "padding": numbers(r, rank, 0, 2)}
        return Setup((channels, out, numbers(r, rank, 1, 3)), options, (images(r, rank, channels, 3, 8),))

    return setup


def windows(r: Draw, rank: int) -> tuple[Any, dict[str, Any]]:
    """Draw the windows of a pooling: their lengths, and options."""
    kernel = numbers(r, rank, 1, 4)
    padding = tuple(r.size(0, k // 2) for k in spread(kernel, rank))
    options: dict[str, Any] = {"padding": padding, "ceil_mode": r.flag()}
    if r.size(1, 10) <= 7:
        options["stride"] = numbers(r, rank, 1, 3)
    return kernel, options


def averages(rank: int) -> Drawn:
    def setup(r: Draw) -> Setup:
        kernel, options = windows(r, rank)
        options["count_include_pad"] = r.flag()
        if rank > 1 and r.size(1, 10) <= 3:
            options["divisor_override"] = r.size(1, 4)
        return Setup((kernel,), options, (images(r, rank, 2, 5, 8),))

    return setup


def largest(rank: int) -> Drawn:
    def setup(r: Draw) -> Setup:
        kernel, options = windows(r, rank)
        options["dilation"] = numbers(r, rank, 1, 2)
        return Setup((kernel,), options, (images(r, rank, 2, 4, 10),))

    return setup


def powers(rank: int) -> Drawn:
    def setup(r: Draw) -> Setup:
        kernel = numbers(r, rank, 1, 3)
        options = {"ceil_mode": r.flag(), "stride": numbers(r, rank, 1, 3)}
        power, x = r.any(2, 3), images(r, rank, 2, 5, 7)
        args = power, kernel if rank > 1 else spread(kernel, 1)[0]
        return Setup(args, options, (x if power == 2 else abs(x) + 0.1,))

    return setup


def adaptive(rank: int) -> Drawn:
    def setup(r: Draw) -> Setup:
        size = numbers(r, rank, 1, 7)
        if isinstance(size, tuple) and rank > 1 and r.size(1, 10) <= 3:
            size = (None, *size[1:])
        return Setup((size,), {}, (images(r, rank, 2, 4, 7),))

    return setup


def fractional(rank: int) -> Drawn:
    def setup(r: Draw) -> Setup:
        x = images(r, rank, 2, 7, 9)
        options: dict[str, Any] = {"_random_samples": r.unit(*(x.shape[: -rank - 1] or (1,)), 2, rank)}
        if r.flag():
            options["output_size"] = numbers(r, rank, 1, 4)
        else:
            options["output_ratio"] = tuple(r.real(0.2, 0.6) for _ in range(rank))
        return Setup((numbers(r, rank, 1, 3),), options, (x,))

    return setup


def borders(rank: int, constant: bool = False) -> Drawn:
    def setup(r: Draw) -> Setup:
        around = r.any(r.size(0, 2), each(r, 2 * rank, 0, 2))
        return Setup((around, r.real(-2.0)) if constant else (around,), {}, (images(r, rank, 2, 3, 5),))

    return setup


def resized(r: Draw) -> Setup:
    rank = r.size(1, 3)
    modes = ["nearest", "nearest-exact", ("linear", "bilinear", "trilinear")[rank - 1], *["bicubic"] * (rank == 2)]
    options: dict[str, Any] = {"mode": r.any(*modes)}
    near = "near" in options["mode"]
    if not near and r.flag():
        options["align_corners"] = True
    if near or options["mode"] == "bicubic" or r.flag():  # by scales of these PyTorch's gradient is not of its value
        options["size"] = each(r, rank, 1, 8)
    else:
        options["scale_factor"] = tuple(r.real(0.6, 2.6) for _ in range(rank))
    return Setup((), options, (r.normal(2, 2, *each(r, rank, 2, 5)),))


def unfolded(r: Draw) -> Setup:
    options = {"dilation": numbers(r, 2, 1, 2), "padding": numbers(r, 2, 0, 2), "stride": numbers(r, 2, 1, 3)}
    return Setup((numbers(r, 2, 1, 3),), options, (images(r, 2, 2, 3, 8),))


def shuffled(r: Draw) -> Setup:
    by = r.size(1, 3)
    return Setup((by,), {}, (r.normal(2, 2 * by * by, by * r.size(1, 3), by * r.size(1, 3)),))


WINDOWS: dict[str, Drawn] = {
    **{f"{name}{rank}d": make(rank) for rank in (1, 2, 3) for name, make in {
        "Conv": convolutions, "ConvTranspose": lambda rank: convolutions(rank, transposed=True),
        "AvgPool": averages, "MaxPool": largest, "LPPool": powers,
        "AdaptiveAvgPool": adaptive, "AdaptiveMaxPool": adaptive,
        "ZeroPad": borders, "ReflectionPad": borders, "ReplicationPad": borders, "CircularPad": borders,
        "ConstantPad": lambda rank: borders(rank, constant=True),
    }.items()},
    "FractionalMaxPool2d": fractional(2), "FractionalMaxPool3d": fractional(3),
    "Upsample": resized, "Unfold": unfolded,
    "PixelShuffle": shuffled, "PixelUnshuffle": shuffled, "ChannelShuffle": shuffled,
}  # fmt: skip
