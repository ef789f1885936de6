"""How windows lie over the last axes of arrays: 1 axis for signals, 2 for images, 3 for volumes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.types import Array, Shape

__all__ = ["Lengths", "Padding", "fill_in", "lengths", "plain", "resolve_padding", "spelled", "taps", "window"]

window = functools.partial(op, family="window")
Lengths = int | Sequence[int]  # one number for all axes, or one for each
Padding = int | Sequence[int] | str
Function = Callable[..., Any]


def lengths(n: Lengths, what: str, least: int, rank: int = 2) -> tuple[int, ...]:
    """Return one number for each of ``rank`` axes; a single number is for all of them."""
    each = tuple(n) if isinstance(n, Sequence) and not isinstance(n, str) else (n,)
    each = each * rank if len(each) == 1 else each
    if len(each) != rank or any(isinstance(a, str) or int(a) != a or a < least for a in each):
        many = {1: "", 2: ", or a pair of them"}.get(rank, f", or {rank} of them")
        raise ValueError(f"{what} must be an integer of at least {least}{many}, not {n}")
    return tuple(map(int, each))


def taps(kernel: int, stride: int, dilation: int, count: int) -> list[slice]:
    """Return, for each pixel of a window, its places in all ``count`` windows along an axis."""
    return [slice(i * dilation, i * dilation + stride * (count - 1) + 1, stride) for i in range(kernel)]


def resolve_padding(padding: Padding, kernel: Shape, stride: Shape, dilation: Shape) -> tuple[tuple[int, int], ...]:
    """Return the padding before and after each axis: "valid" is none, and "same" keeps the lengths of the axes.

    Where "same" asks for an odd number, the odd one comes after, as in PyTorch.
    """
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if set(stride) != {1}:
            raise ValueError(f"padding 'same' takes stride 1, not {stride}")
        wanted = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((n // 2, n - n // 2) for n in wanted)
    if isinstance(padding, str):
        raise ValueError(f"padding {padding!r} is neither 'same' nor 'valid' nor a number of pixels")
    return tuple((n, n) for n in lengths(padding, "padding", 0, len(kernel)))


def plain(x: Array) -> Array:
    """Return an array that lies in a file as a plain one, on the same memory: compiled loops take those alone."""
    return np.asarray(x) if isinstance(x, np.memmap) else x


class Words(NamedTuple):
    """How docstrings speak of windows over so many axes."""

    what: str  # the arrays
    axes: str
    results: str  # the axes of the result
    kernel: str
    each: str  # the numbers that an option may have


WORDS = {
    1: Words("signals", "L", "L'", "k", "one number"),
    2: Words("images", "H, W", "H', W'", "kh, kw", "one number, or one for rows and one for columns"),
    3: Words("volumes", "D, H, W", "D', H', W'", "kd, kh, kw", "one number, or one for each axis"),
}


def fill_in(text: str, rank: int) -> str:
    """Fill in a docstring of windows over ``rank`` axes what stands there in capitals.

    These are ARRAYS, AXES, RESULTS, KERNEL and EACH. RANK is ``2d``, and ONES are the lengths of all axes but the last.
    """
    for word, replacement in zip(("ARRAYS", "AXES", "RESULTS", "KERNEL", "EACH"), WORDS[rank], strict=True):
        text = text.replace(word, replacement)
    return text.replace("RANK", f"{rank}d").replace("ONES", "1, " * (rank - 1))


def spelled(rank: int) -> Callable[[Function], Function]:
    """Name a function for windows over ``rank`` axes: ``conv`` is ``conv2d``; fill in the words of its docstring."""

    def rename(function: Function) -> Function:
        base, _, rest = function.__name__.partition("_of")
        function.__name__ = function.__qualname__ = f"{base}{rank}d{rest}"
        function.__doc__ = fill_in(function.__doc__ or "", rank)
        return function

    return rename
