"""A gradient that will be summed over the copies of a broadcast need not be multiplied out before it is.

`Summand` stands for that gradient in a derivative line: it collects the factors of the product and hands
them to einsum, which sums without a temporary. The lines do not know; anything but a product multiplies out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

    def sum(self) -> Any:
        """Sum to the shape."""
        ndim = max(len(self.shape), *(x.ndim for x in self.factors))
        axes = LETTERS[:ndim]
        terms = [axes[ndim - x.ndim :] for x in self.factors]
        target = list(zip(axes[ndim - len(self.shape) :], self.shape))
        kept = "".join(c for c, n in target if n != 1 and any(c in term for term in terms))
        out = np.einsum(f"{','.join(terms)}->{kept}", *self.factors)
        lengths = iter(out.shape)
        return out.reshape([next(lengths) if c in kept else 1 for c, _ in target]) * self.scale

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
    lead = len(source) - len(shape)
    copied = [i for i, n in enumerate(source) if i < lead or shape[i - lead] == 1 != n]
    if isinstance(g, Summand):
        length = lambda x, back: x.shape[-back] if back <= x.ndim else 1
        sizes = [max(length(x, len(source) - i) for x in g.factors) for i in copied]
        g = g.sum()
    else:
        absent = len(source) - g.ndim
        sizes = [g.shape[i - absent] if i >= absent else 1 for i in copied]
        axes = tuple(i - absent for i in copied if i >= absent)
        g = g.sum(axis=axes, keepdims=True) if axes else g
        g = g.reshape(g.shape[max(g.ndim - len(shape), 0) :])
    times = 1
    for i, n in zip(copied, sizes, strict=True):
        times *= source[i] if n == 1 else 1
    return g * times if times != 1 else g
