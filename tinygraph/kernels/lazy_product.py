"""A gradient that is summed over the copies of a broadcast need not be multiplied out before the sum.

`Summand` stands for that gradient in a derivative line: it collects the factors of the product and hands them to
einsum, which sums without a temporary array. The lines do not know. A factor that does not vary along the summed axes
(γ, σ) waits until the sum is made; anything but a product multiplies out.
"""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinygraph.engine.types import Array, Shape
from tinygraph.kernels.column_sums import DEPTH, column_sums

__all__ = ["SMALL", "Summand", "undo_broadcast"]

SMALL = 1 << 14  # elements below which one temporary is cheaper than a Summand
LETTERS = string.ascii_letters
Step = tuple[Callable[..., Any], Any]  # a ufunc and its second operand, which does not vary along the summed axes


class Summand(NDArrayOperatorsMixin):
    """A product of arrays, to be summed to ``shape``, and then multiplied or divided by what is in ``steps``."""

    __slots__ = ("factors", "shape", "steps")

    def __init__(self, factors: tuple[Array, ...], shape: Shape, steps: tuple[Step, ...] = ()) -> None:
        self.factors, self.shape, self.steps = factors, shape, steps

    def __mul__(self, y: Any) -> Summand:
        y = multiply_out(y)
        return self.after_sum(np.multiply, y) or Summand((*self.factors, y), self.shape, self.steps)

    __rmul__ = __mul__

    def __truediv__(self, y: Any) -> Summand | Array:
        return self.after_sum(np.divide, y) or self.product() / y

    def __neg__(self) -> Summand:
        return Summand(self.factors, self.shape, (*self.steps, (np.multiply, -1.0)))

    def after_sum(self, ufunc: Callable[..., Any], y: Any) -> Summand | None:
        """Put off an operation with ``y`` until the sum is made; None if ``y`` varies along the summed axes."""
        shape = getattr(y, "shape", ())
        if shape and shape != self.shape:
            if without_front(shape) != without_front(self.shape):
                return None
            y = y.reshape(self.shape)
        return Summand(self.factors, self.shape, (*self.steps, (ufunc, y)))

    def product(self) -> Array:
        """Multiply out."""
        out = functools.reduce(np.multiply, self.factors)
        for ufunc, y in self.steps:
            out = ufunc(out, y)
        return out

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **params: Any) -> Any:
        if method == "__call__" and not params and ufunc is np.multiply:
            return inputs[1] * self if inputs[0] is self else inputs[1] * inputs[0]
        return getattr(ufunc, method)(*map(multiply_out, inputs), **params)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return function(*map(multiply_out, args), **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.product(), name)


def without_front(shape: Shape) -> Shape:
    """Return a shape without the axes of length 1 that broadcasting would put in front."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def multiply_out(x: Any) -> Any:
    """Return a Summand as an array; anything else as it is."""
    return x.product() if isinstance(x, Summand) else x


def undo_broadcast(g: Array | Summand, source: Shape, shape: Shape) -> Any:
    """Sum ``g`` over the axes along which an operand of ``shape`` was copied to ``source``.

    ``g`` may be smaller than ``source`` where all its rows are equal: those are counted, not summed.
    """
    if not shape and type(g) is np.ndarray and g.shape == source:
        return np.add.reduce(g, None)
    factors: tuple[Array, ...] = g.factors if isinstance(g, Summand) else (g,)
    steps: tuple[Step, ...] = g.steps if isinstance(g, Summand) else ()
    subscripts, axes, lengths, times = plan_sum(source, shape, tuple([x.shape for x in factors]))
    if len(factors) > 1:
        out = sum_products(subscripts, factors)
    else:
        out = column_sums(factors[0]) if axes == (0,) else factors[0].sum(axis=axes) if axes else factors[0]
    out = out if out.shape == lengths else out.reshape(lengths)
    if times != 1.0:
        steps = (*steps, (np.multiply, times))
    for ufunc, y in steps:
        out = ufunc(out, y)
    return out


def sum_products(subscripts: str, factors: tuple[Array, ...]) -> Any:
    """Sum products by einsum. Where it adds up many rows it does so in blocks, whose sums are added in float64."""
    n = len(factors[0]) if factors[0].ndim else 0
    if n <= 4 * DEPTH or not all(type(x) is np.ndarray and x.dtype.char in "efd" for x in factors):
        return np.einsum(subscripts, *factors)
    terms, _, left = subscripts.partition("->")
    rows = subscripts[:1] not in left and all(term[:1] == subscripts[:1] for term in terms.split(","))
    if not rows or any(len(x) != n for x in factors):
        return np.einsum(subscripts, *factors)
    parts = [np.einsum(subscripts, *[x[i : i + DEPTH] for x in factors]) for i in range(0, n, DEPTH)]
    return np.add.reduce(parts, 0, np.float64).astype(parts[0].dtype)


class Sum(NamedTuple):
    """How a product becomes the sum over what a broadcast copied."""

    subscripts: str  # for einsum
    axes: tuple[int, ...]  # of the first factor, that are added up
    lengths: Shape  # of the result
    times: float  # how often each element counts


@functools.lru_cache(4096)
def plan_sum(source: Shape, shape: Shape, factors: tuple[Shape, ...]) -> Sum:
    """Return how to sum the product of factors, which broadcast to ``source``, to ``shape``."""
    ndim, lead = len(source), len(source) - len(shape)
    axes_of = [range(ndim - len(lengths), ndim) for lengths in factors]  # as axes of ``source``
    length = [1] * ndim
    for lengths, axes in zip(factors, axes_of, strict=True):
        for i, n in zip(axes, lengths, strict=True):
            length[i] = n if n != 1 else length[i]
    copied = [i for i, n in enumerate(source) if i < lead or shape[i - lead] == 1 != n]
    present = {i for axes in axes_of for i in axes}
    left = [i for i in range(lead, ndim) if i in present and i not in copied]
    terms = ["".join(LETTERS[i] for i in axes) for axes in axes_of] if ndim <= len(LETTERS) else []
    return Sum(
        f"{','.join(terms)}->{''.join(LETTERS[i] for i in left)}" if terms else "",
        tuple(i - axes_of[0].start for i in copied if i in axes_of[0]),
        tuple(length[i] if i in left else 1 for i in range(lead, ndim)),
        float(math.prod(source[i] for i in copied if length[i] == 1)),
    )
