"""A gradient that will be summed over the copies of a broadcast need not be multiplied out before it is.

`Summand` stands for that gradient in a derivative line: it collects the factors of the product and hands
them to einsum, which sums without a temporary. The lines do not know; anything but a product multiplies out.
"""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygraph.rows import column_sums

SMALL = 1 << 14  # elements below which one temporary is cheaper than this
LETTERS = string.ascii_letters


class Summand:
    """A product of arrays, to be summed to ``shape``; ``scale`` has that shape already, or is a number."""

    __slots__ = ("factors", "scale", "shape")

    def __init__(self, factors: tuple[Any, ...], shape: tuple[int, ...], scale: Any = 1) -> None:
        self.factors, self.shape, self.scale = factors, shape, scale

    def __mul__(self, y: Any) -> Summand:
        if self.fits(y):
            return Summand(self.factors, self.shape, self.scale * y)
        return Summand((*self.factors, y), self.shape, self.scale)

    __rmul__ = __mul__

    def __truediv__(self, y: Any) -> Any:
        return Summand(self.factors, self.shape, self.scale / y) if self.fits(y) else self.product() / y

    def __neg__(self) -> Summand:
        return Summand(self.factors, self.shape, -self.scale)

    def fits(self, y: Any) -> bool:
        """Whether ``y`` is the same for all that is summed, so that it may wait until after the sum."""
        return np.shape(y) in ((), self.shape)

    def product(self) -> Any:
        """Multiply out."""
        out = self.factors[0]
        for factor in self.factors[1:]:
            out = out * factor
        return scaled(out, self.scale)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **params: Any) -> Any:
        if method == "__call__" and not params and ufunc is np.multiply:
            return inputs[1] * self if inputs[0] is self else inputs[1] * inputs[0]
        return getattr(ufunc, method)(*map(multiplied_out, inputs), **params)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return function(*map(multiplied_out, args), **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.product(), name)


def multiplied_out(x: Any) -> Any:
    """Return a Summand as an array; anything else as it is."""
    return x.product() if isinstance(x, Summand) else x


def undo_broadcast(g: Any, source: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Sum ``g`` over the axes along which ``shape`` was copied to ``source``.

    ``g`` may itself be smaller than ``source`` where all its rows are equal: those are counted, not summed.
    """
    if not shape and type(g) is np.ndarray and g.shape == source:
        return np.add.reduce(g, None)
    product = isinstance(g, Summand)
    factors = g.factors if product else (g,)
    subscripts, axes, lengths, times = sums(source, shape, tuple([x.shape for x in factors]))
    if axes == (0,) and len(factors) == 1:
        out = column_sums(factors[0])
    else:
        out = np.einsum(subscripts, *factors) if product else g.sum(axis=axes) if axes else g
    if out.shape != lengths:
        out = out.reshape(lengths)
    return scaled(out, g.scale * times if product else times)


def scaled(out: Any, scale: Any) -> Any:
    """Multiply by a scale; by 1, not at all."""
    return out if isinstance(scale, int) and scale == 1 else out * scale


class Sums(NamedTuple):
    """How a product becomes the sum of a broadcast."""

    subscripts: str  # for einsum
    axes: tuple[int, ...]  # of the first factor, that are added up
    lengths: tuple[int, ...]  # of the result
    times: int  # how often each element counts


@functools.lru_cache(4096)
def sums(source: tuple[int, ...], shape: tuple[int, ...], factors: tuple[tuple[int, ...], ...]) -> Sums:
    """Return how to sum the product of factors, which broadcast to ``source``, to ``shape``."""
    ndim, lead = len(source), len(source) - len(shape)
    axes_of = [range(ndim - len(lengths), ndim) for lengths in factors]  # as axes of ``source``
    length = [1] * ndim
    for lengths, axes in zip(factors, axes_of):
        for i, n in zip(axes, lengths):
            length[i] = n if n != 1 else length[i]
    copied = [i for i, n in enumerate(source) if i < lead or shape[i - lead] == 1 != n]
    present = {i for axes in axes_of for i in axes}
    kept = [i for i in range(lead, ndim) if i in present and i not in copied]
    terms = ["".join(LETTERS[i] for i in axes) for axes in axes_of] if ndim <= len(LETTERS) else []
    return Sums(
        f"{','.join(terms)}->{''.join(LETTERS[i] for i in kept)}" if terms else "",
        tuple(i - axes_of[0].start for i in copied if i in axes_of[0]),
        tuple(length[i] if i in kept else 1 for i in range(lead, ndim)),
        math.prod(source[i] for i in copied if length[i] == 1),
    )
