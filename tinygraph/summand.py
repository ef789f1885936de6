"""A gradient that will be summed over the copies of a broadcast need not be multiplied out before it is.

`Summand` stands for that gradient in a derivative line: it collects the factors of the product and hands
them to einsum, which sums without a temporary. The lines do not know; anything but a product multiplies out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

SMALL = 1 << 14  # elements below which one temporary is cheaper than this
LETTERS = "abcdefghijklmnopqrstuvwxyz"


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
        return out if isinstance(self.scale, int) else out * self.scale

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
    how = sums(source, shape, tuple([x.shape for x in factors]))
    if how.axes == (0,) and len(factors) == 1:
        out = column_sums(factors[0])
    else:
        out = np.einsum(how.subscripts, *factors) if product else g.sum(axis=how.axes) if how.axes else g
    out = out.reshape(how.lengths)
    scale = g.scale * how.times if product else how.times
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
    letters = LETTERS[:ndim]
    terms = [letters[ndim - len(lengths) :] for lengths in factors]
    length = {c: max(n for f, t in zip(factors, terms) for n, d in zip(f, t) if d == c) for c in set("".join(terms))}
    copied = [c for i, c in enumerate(letters) if i < lead or shape[i - lead] == 1 != source[i]]
    kept = "".join(c for c in letters if c in length and c not in copied)
    axes = tuple(i for i, c in enumerate(terms[0]) if c in copied)
    times = math.prod(n for n, c in zip(source, letters) if c in copied and length.get(c, 1) == 1)
    lengths = tuple(length[c] if c in kept else 1 for c in letters[lead:])
    return Sums(f"{','.join(terms)}->{kept}", axes, lengths, times)


def column_sums(x: Any) -> Any:
    """Return ``x.sum(0)``; of a large matrix as a product with ones, for which BLAS takes half the time."""
    if x.size >= SMALL and type(x) is np.ndarray and x.ndim == 2 and x.dtype.char in "fd" and x.flags.c_contiguous:
        return ones(len(x), x.dtype).dot(x)
    return np.add.reduce(x, 0) if type(x) is np.ndarray else x.sum(0)


@functools.lru_cache(64)
def ones(length: int, dtype: Any) -> np.ndarray:
    """Return a vector whose dot product is a sum."""
    return np.ones(length, dtype)
