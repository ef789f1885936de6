"""What all losses share: the check of their operands, and mean, sum or nothing at the end."""

from __future__ import annotations

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.ops.reduce import mean

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(what: str, reduction: str) -> None:
    """Raise, in the name of ``what``, if there is no such reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{what}: reduction {reduction!r} is none of 'mean', 'sum', 'none'")


def reduce(what: str, loss: Value, reduction: str) -> Value:
    """Average the losses of all elements, add them up, or leave them."""
    check_reduction(what, reduction)
    if reduction == "none":
        return loss
    return mean(loss) if reduction == "mean" else loss.sum()


def check_target(what: str, x: Value, target: Value) -> Value:
    """Return the target, integers in the dtype of x, as PyTorch counts with them.

    Raise if it has another shape: it would broadcast, and the loss would mean something else.
    """
    shape = np.shape(array_of(target))
    if shape != x.shape:
        raise ValueError(f"{what}: the target has shape {shape}, the input {x.shape}")
    return in_dtype_of(x, target)


def in_dtype_of(x: Value, target: Value) -> Value:
    """Return integers and booleans in the dtype of x; anything else as it is."""
    array = array_of(target)
    is_whole = getattr(array, "dtype", np.dtype(object)).kind in "iub"
    return array.astype(x.dtype) if is_whole else target


def array_of_target(what: str, target: Value) -> Array:
    """Return the array of a target; raise if it has none."""
    labels: Array = array_of(target)
    if not hasattr(labels, "dtype"):
        raise TypeError(f"{what}: the target must be an array, not {type(labels).__name__}")
    return labels


def on_host(array: Value) -> Array:
    """Return integers that tell where to look as a NumPy array, wherever they are."""
    found: Array = asarray(array_of(array), "numpy")
    return found


def beside(x: Value, array: Array) -> Array:
    """Return an array that was made on the host on the backend of x."""
    found: Array = asarray(array, backend_of(array_of(x)))
    return found
