"""A gradient that will be summed over the copies of a broadcast need not be multiplied out before it is.

`Summand` stands for that gradient in a derivative line: it collects the factors of the product and hands
them to einsum, which sums without a temporary. The lines do not know; anything but a product multiplies out.
Factors that are the same for all that is summed, as γ and 1/σ are, wait in its scale; an array and a scale may
so go on to the next node, that both are multiplied out once.
"""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinygraph.kernels.column_sums import column_sums

SMALL = 1 << 14  # elements below which one temporary is cheaper than this
LARGE = 1 << 16  # elements from which a pass less is worth the trouble of a product that goes on to the next node
LETTERS = string.ascii_letters


class Summand(NDArrayOperatorsMixin):
    """A product of arrays, to be summed to ``shape``; ``scale`` has that shape already, or is a number."""

    __slots__ = ("factors", "scale", "shape")
    size = math.inf  # what waits is large

    def __init__(self, factors: tuple[Any, ...], shape: tuple[int, ...], scale: Any = 1.0) -> None:
        self.factors, self.shape, self.scale = factors, shape, scale

    def __mul__(self, y: Any) -> Summand:
        if (p := self.fitted(y)) is not None:
            return Summand(self.factors, self.shape, scaled(p, self.scale))
        return Summand((*self.factors, y), self.shape, self.scale)

    __rmul__ = __mul__

    def __truediv__(self, y: Any) -> Any:
        if (p := self.fitted(y)) is not None and is_finite(scale := self.scale / p):
            return Summand(self.factors, self.shape, scale)
        return self.product() / y

    def __neg__(self) -> Summand:
        return Summand(self.factors, self.shape, -self.scale)

    def fitted(self, y: Any) -> Any:
        """Return ``y`` in the shape of the sum, if it is the same for all that is summed; None if it is not."""
        shape = getattr(y, "shape", ())
        if not shape or shape == self.shape:
            return y
        return y.reshape(self.shape) if core(shape) == core(self.shape) else None

    def is_scaled(self) -> bool:
        """Whether this is one array and its scale."""
        return len(self.factors) == 1 and type(self.scale) is np.ndarray

    def toward(self, shape: tuple[int, ...]) -> Summand:
        """Return the product, to be summed to another shape."""
        if shape == self.shape:
            return self
        if core(shape) != core(self.shape):
            return Summand((self.product(),), shape)
        return Summand(self.factors, shape, self.scale.reshape(shape) if np.shape(self.scale) else self.scale)

    def product(self, in_place: bool = False) -> Any:
        """Multiply out, where it is allowed and possible into the one factor."""
        out = self.factors[0]
        for factor in self.factors[1:]:
            out = out * factor
        if in_place and out.dtype == self.scale.dtype:
            return np.multiply(out, self.scale, out=out)
        return scaled(out, self.scale)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **params: Any) -> Any:
        if method == "__call__" and not params and ufunc is np.multiply:
            return inputs[1] * self if inputs[0] is self else inputs[1] * inputs[0]
        return getattr(ufunc, method)(*map(multiplied_out, inputs), **params)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return function(*map(multiplied_out, args), **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.product(), name)


def summand(g: Any, shape: tuple[int, ...]) -> Summand:
    """Return a gradient, to be summed to ``shape``."""
    return g.toward(shape) if type(g) is Summand else Summand((g,), shape)


def basis(g: Any) -> Any:
    """Return the array that a gradient is, or scales."""
    return g.factors[0] if type(g) is Summand else g


def core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without the axes of length 1 that broadcasting would put in front."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def is_finite(scale: Any) -> bool:
    """Whether a quotient did not overflow, as it does for a divisor below 1e-38: what it scales may be as small."""
    return type(scale) is not np.ndarray or math.isfinite(np.vdot(scale, scale))


def multiplied_out(x: Any) -> Any:
    """Return a Summand as an array; anything else as it is."""
    return x.product() if isinstance(x, Summand) else x


def undo_broadcast(g: Any, source: tuple[int, ...], shape: tuple[int, ...], recent: list[Any] | None = None) -> Any:
    """Sum ``g`` over the axes along which ``shape`` was copied to ``source``.

    ``g`` may itself be smaller than ``source`` where all its rows are equal: those are counted, not summed.
    ``recent`` keeps the last sum of two factors, for the next line may ask for it, as dσ of batch norm does after dγ.
    """
    if not shape and type(g) is np.ndarray and g.shape == source:
        return np.add.reduce(g, None)
    product = isinstance(g, Summand)
    factors: tuple[Any, ...] = g.factors if product else (g,)
    subscripts, axes, lengths, times = sums(source, shape, tuple([x.shape for x in factors]))
    scale = g.scale * times if product else times
    if recent is not None and len(factors) == 2:
        if recent and recent[0] is factors[0] and recent[1] is factors[1] and recent[2] == subscripts:
            return recent[3].reshape(lengths) * scale  # an array of its own, for it may be added into
        out = np.einsum(subscripts, *factors)
        recent[:] = *factors, subscripts, out
    elif axes == (0,) and len(factors) == 1:
        out = column_sums(factors[0])
    else:
        out = np.einsum(subscripts, *factors) if product else g.sum(axis=axes) if axes else g
    return scaled(out if out.shape == lengths else out.reshape(lengths), scale)


def scaled(out: Any, scale: Any) -> Any:
    """Multiply by a scale; by 1, not at all."""
    return out if type(scale) is float and scale == 1.0 else out * scale


class Sums(NamedTuple):
    """How a product becomes the sum of a broadcast."""

    subscripts: str  # for einsum
    axes: tuple[int, ...]  # of the first factor, that are added up
    lengths: tuple[int, ...]  # of the result
    times: float  # how often each element counts


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
        float(math.prod(source[i] for i in copied if length[i] == 1)),
    )
