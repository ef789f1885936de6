"""Padding surrounds an array. The gradient is the part of the gradient where the array lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.types import Shape, Value
from tinygraph.ops.indexing import index
from tinygraph.ops.shape import shaping


@shaping(
    r"\operatorname{pad} $x", np.pad, onnx="Pad", says="Surrounds $x with $constant_values.",
    samples=[sample((2, 3), pad_width=((1, 0), (2, 1))), sample((3,), pad_width=2), sample((2, 2), pad_width=(1, 2))],
    x=("1", lambda g, x_shape, pad_width: index(g, place_in_pad(pad_width, x_shape))),
)  # fmt: skip
def pad(x: Value, pad_width: int | Sequence[Any] = 0, mode: str = "constant", constant_values: float = 0.0) -> Value:
    """Surround with a constant; ``pad_width`` as in ``numpy.pad``. Other modes are not differentiable here.

    Args:
        x: of any shape.
        pad_width: how many elements to add: one number for all sides, a pair (before, after) for all axes, or a
            pair for each axis.
        mode: "constant", the only one.
        constant_values: the number to surround x with.

    Returns:
        x within a border of that number.

    Raises:
        ValueError: ``mode`` is another one, or ``pad_width`` does not fit the axes of x.

    >>> pad(Tensor([1.0]), 1)
    Tensor([0., 1., 0.], op=pad)
    """
    if mode != "constant":
        raise ValueError(f"pad: mode {mode!r} is not known; there is 'constant'")
    return np.pad(x, pad_width, constant_values=constant_values)


def place_in_pad(pad_width: int | Sequence[Any], shape: Shape) -> tuple[slice, ...]:
    """Return where the operand of `pad` lies in the result."""
    before = np.broadcast_to(np.asarray(pad_width), (len(shape), 2))[:, 0].tolist()
    return tuple(slice(start, start + n) for start, n in zip(before, shape, strict=True))
