"""What layers with weights compute, dropout, and padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.functions.creation import random_generator
from tinygraph.functions.draws import drawn
from tinygraph.functions.padding import pad as ops_pad
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.ops.elementwise import dropout as ops_dropout
from tinygraph.ops.linear import einsum

__all__ = ["bilinear", "dropout", "linear", "pad"]


def linear(x: Value, weight: Value, bias: Value = None) -> Value:
    r"""Multiply by a matrix and shift: :math:`y = x W^{\mathsf T} + b`.

    Args:
        x: (…, in_features).
        weight: W, (out_features, in_features).
        bias: b, (out_features,), or None.

    Returns:
        y, (…, out_features).

    Raises:
        ValueError: the shapes do not fit.

    >>> linear(np.ones((4, 3)), np.ones((2, 3)), np.ones(2))[0]
    array([4., 4.])
    """
    y = x @ weight.T
    return y if bias is None else y + bias


def bilinear(x1: Value, x2: Value, weight: Value, bias: Value = None) -> Value:
    r"""Multiply two rows by a matrix for each output, and shift: :math:`y_o = x_1^{\mathsf T} W_o\, x_2 + b_o`.

    Args:
        x1: (…, D).
        x2: (…, E), with the same axes before.
        weight: W, (out_features, D, E).
        bias: b, (out_features,), or None.

    Returns:
        y, (…, out_features).

    Raises:
        ValueError: the shapes do not fit.

    >>> bilinear(np.ones((1, 2)), np.ones((1, 3)), np.ones((1, 2, 3)))
    array([[6.]])
    """
    if tuple(x1.shape[:-1]) != tuple(x2.shape[:-1]) or tuple(weight.shape[1:]) != (x1.shape[-1], x2.shape[-1]):
        shapes = f"x1 {tuple(x1.shape)}, x2 {tuple(x2.shape)} and weight {tuple(weight.shape)}"
        raise ValueError(f"bilinear: {shapes} are not (…, D), (…, E) and (O, D, E)")
    y = einsum("...d,ode,...e->...o", x1, weight, x2)
    return y if bias is None else y + bias


def dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    """Set each element to 0 with probability p, and scale the others by 1 / (1 - p).

    Args:
        x: of any shape.
        p: probability, 0 … 1.
        training: whether to do so; without, x is returned.
        inplace: taken, and without effect.

    Returns:
        Of the shape of x. The numbers come from the generator of `tinygraph.manual_seed`.

    Raises:
        ValueError: p is outside of 0 … 1.

    Source: Srivastava et al. 2014, section 10.

    >>> dropout(np.ones(2), 1.0)
    array([0., 0.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is {p}, no probability")
    return thin_out(x, p, random_generator()) if training and p else x


PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # as NumPy has them
LENGTHS_TO_SPARE = {"reflect": 1, "circular": 0}  # an axis is longer by so much than what is taken of it


def pad(x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    """Surround an array, from the last axis on: ``pad(x, (left, right, top, bottom))``; below 0 a length cuts off.

    Args:
        x: of any shape.
        pad: how many elements to put before and after the last axis, then the one before it, and so on.
        mode: "constant", "reflect", "replicate" or "circular".
        value: the constant; 0 unless given.

    Returns:
        x with its surroundings.

    Raises:
        ValueError: ``pad`` has an odd number of lengths, or more pairs than x has axes; the mode is another; or an axis
            has not as many elements as are mirrored or taken from its other end.

    >>> pad(np.ones((1, 1)), (1, 2))
    array([[0., 1., 0., 0.]])
    """
    pairs = list(zip(pad[::2], pad[1::2], strict=False))
    if len(pad) % 2 or len(pairs) > len(x.shape):
        raise ValueError(f"pad: {tuple(pad)} is not two lengths for each of the last axes of {x.shape}")
    if mode not in PAD_MODES:
        raise ValueError(f"pad: mode {mode!r} is none of {', '.join(map(repr, PAD_MODES))}")
    for (before, after), length in zip(pairs, x.shape[::-1], strict=False):
        if mode in LENGTHS_TO_SPARE and max(before, after) > length - LENGTHS_TO_SPARE[mode]:
            raise ValueError(f"pad: mode {mode!r} takes {max(before, after)} elements of an axis of length {length}")
    around = [(0, 0)] * (len(x.shape) - len(pairs)) + pairs[::-1]
    if mode == "constant":
        return ops_pad(x, around, mode, 0.0 if value is None else value)
    inside = tuple(
        slice(max(-before, 0), n - max(-after, 0)) for (before, after), n in zip(around, x.shape, strict=True)
    )
    grown = [(max(before, 0), max(after, 0)) for before, after in around]
    return ops_pad(x if inside == tuple(slice(0, n) for n in x.shape) else x[inside], grown, PAD_MODES[mode])


# What a function and its layer share -------------------------------------------------------------------------------


def thin_out(x: Value, p: float, generator: np.random.Generator, shape: Shape | None = None) -> Value:
    """Set each element, or each of a mask of ``shape``, to 0 with probability p; scale the others by 1 / (1 - p)."""
    size = x.shape if shape is None else shape
    return ops_dropout(x, drawn(size, x.dtype, lambda: draw_mask(array_of(x), p, generator, size)), p)


def draw_mask(x: Array, p: float, generator: np.random.Generator, shape: Shape) -> Array:
    """Draw what dropout multiplies by, in the dtype of x: 0 with probability p, else 1 / (1 - p)."""
    stays = generator.random(shape, np.float32) >= p
    made: Array = asarray(stays.astype(x.dtype) * (1 / (1 - p) if p < 1 else 0.0), backend_of(x), x.dtype)
    return made
