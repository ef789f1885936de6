"""Dropout of whole channels, and dropout that keeps the mean and the variance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.functions.creation import random_generator
from tinygraph.functions.draws import drawn
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.nn.functional.layers import thin_out
from tinygraph.ops.elementwise import where
from tinygraph.ops.windows import spelled

__all__ = ["alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

SATURATED = -1.7580993408473766  # what selu gives for the least x: -λα of Klambauer et al. 2017


def one_each(shape: Shape, rank: int) -> Shape:
    """Return the shape of a mask with one element for each channel of arrays (N, C, …), or (C, …) of ``rank`` axes."""
    lead = 1 if rank in (1, 3) and len(shape) == rank + 1 else 2
    return *shape[:lead], *(1,) * (len(shape) - lead)


def check_probability(p: float, what: str) -> None:
    """Raise if p is no probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"{what}: p is {p}, no probability")


def saturate(x: Value, p: float, generator: np.random.Generator, shape: Shape) -> Value:
    """Set elements, for each of ``shape`` one or none, to -λα, and shift and scale all."""
    if p == 1:
        return x * 0.0
    backend = backend_of(array_of(x))
    stays = drawn(shape, np.bool_, lambda: asarray(generator.random(shape, np.float32) >= p, backend))
    a = 1 / math.sqrt((1 - p) * (1 + p * SATURATED**2))
    shift = where(stays, -a * SATURATED * p, a * SATURATED - a * SATURATED * p)
    return x * (stays * a).astype(x.dtype) + shift.astype(x.dtype)


def define(rank: int) -> Any:
    """Make dropout of channels over ``rank`` axes."""

    @spelled(rank)
    def dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
        """Set whole channels of ARRAYS to 0 with probability p, and scale the others by 1 / (1 - p).

        Args:
            x: ARRAYS (N, C, AXES).
            p: probability, 0 … 1.
            training: whether to do so; without, x is returned.
            inplace: taken, and without effect.

        Returns:
            Of the shape of x. The numbers come from the generator of `tinygraph.manual_seed`.

        Raises:
            ValueError: p is outside of 0 … 1.

        Source: Tompson et al. 2015, section 3.2.

        >>> dropoutRANK(np.ones((1, 2, ONES1)), 1.0).ravel()
        array([0., 0.])
        """
        check_probability(p, f"dropout{rank}d")
        return thin_out(x, p, random_generator(), one_each(x.shape, rank)) if training and p else x

    return dropout


dropout1d, dropout2d, dropout3d = map(define, (1, 2, 3))


def alpha_dropout(x: Value, p: float = 0.5, training: bool = False, inplace: bool = False) -> Value:
    """Drop elements so that a mean of 0 and a variance of 1 stay: the dropout for `selu`.

    What is dropped becomes the value that selu gives for the least x; then all are shifted and scaled.

    Args:
        x: of any shape.
        p: probability, 0 … 1.
        training: whether to do so; without, x is returned.
        inplace: taken, and without effect.

    Returns:
        Of the shape of x. The numbers come from the generator of `tinygraph.manual_seed`.

    Raises:
        ValueError: p is outside of 0 … 1.

    Source: Klambauer et al. 2017, section "New Dropout Technique".

    >>> x = np.ones(2)
    >>> alpha_dropout(x) is x
    True
    """
    check_probability(p, "alpha_dropout")
    return saturate(x, p, random_generator(), x.shape) if training and p else x


def feature_alpha_dropout(x: Value, p: float = 0.5, training: bool = False, inplace: bool = False) -> Value:
    """Drop whole channels, as `alpha_dropout` drops elements.

    Args:
        x: (N, C, …).
        p: probability, 0 … 1.
        training: whether to do so; without, x is returned.
        inplace: taken, and without effect.

    Returns:
        Of the shape of x. The numbers come from the generator of `tinygraph.manual_seed`.

    Raises:
        ValueError: p is outside of 0 … 1.

    >>> x = np.ones((1, 2))
    >>> feature_alpha_dropout(x) is x
    True
    """
    check_probability(p, "feature_alpha_dropout")
    return saturate(x, p, random_generator(), one_each(x.shape, 2)) if training and p else x
