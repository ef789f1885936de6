"""Arrays and parameters as data: what JSON has no word for becomes a summary or a tagged dict, and can be read back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Array, ArrayLike
from tinygraph.graph.data import Node, Summary
from tinygraph.kernels.arrays import to_numpy

__all__ = ["WEAK", "decode", "encode", "parameters_of", "summarize"]

MASKED = -1e8  # what is added to a score that a softmax is to leave out is this or less
BINS = 16  # of a histogram
WEAK = {"bool": bool, "int": int, "float": float, "none": type(None)}  # operands that have no dtype of their own


def summarize(array: ArrayLike | None, values: int = 64, masks: bool = False) -> Summary:
    """Return the statistics of an array, and of a small one all elements.

    Args:
        array: of any shape, on any backend; or a Python number, or None for an operand that was left out.
        values: the most elements that are listed; 0 or more.
        masks: leave elements that a mask has put far below all others out of the statistics, and count them.

    Returns:
        A `Summary`. Of an array that holds no numbers, it has shape and dtype alone.

    >>> found = summarize(np.array([1.0, 3.0, np.nan]))
    >>> found.mean, found.std, found.nans, found.values
    (2.0, 1.0, 1, (1.0, 3.0, nan))
    """
    weak = next((name for name, kind in WEAK.items() if type(array) is kind), None)
    array = to_numpy(array)
    flat = array.ravel().astype("float64" if array.dtype.char == "g" else array.dtype, copy=False)  # JSON has no longer
    listed = tuple(flat.tolist()) if array.size <= values else None
    common: dict[str, Any] = {"shape": array.shape, "dtype": weak or str(array.dtype)}
    common |= {"nbytes": array.nbytes, "values": listed}
    if array.dtype.kind not in "fiub":  # of other elements, such as complex numbers, JSON has the text
        common["values"] = listed and tuple(x if x is None else str(x) for x in listed)
        return Summary(mean=None, std=None, min=None, max=None, zeros=0, nans=0, infs=0, **common)
    wide = flat.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    nans = int(np.count_nonzero(np.isnan(wide))) if finite.size < wide.size else 0
    common |= {"zeros": wide.size - int(np.count_nonzero(wide))}
    common |= {"nans": nans, "infs": wide.size - finite.size - nans}
    shown = without_masked(finite) if masks else finite
    common |= {"masked": finite.size - shown.size}
    if not shown.size:
        return Summary(mean=None, std=None, min=None, max=None, **common)
    low, high = float(shown.min()), float(shown.max())
    histogram: tuple[int, ...] = ()
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.add.reduce(shown) / shown.size)  # as NumPy's mean and std, whose calls take as long again
        off = shown - mean
        std, norm = math.sqrt(np.add.reduce(off * off) / shown.size), math.sqrt(shown @ shown)
        if listed is None:
            spread = high - low
            place = (shown - low) / spread * BINS if 0 < spread < np.inf else np.zeros(shown.size)
            histogram = tuple(np.bincount(np.minimum(place.astype(int), BINS - 1), minlength=BINS).tolist())
    return Summary(mean=mean, std=std, min=low, max=high, norm=norm, histogram=histogram, **common)


def without_masked(finite: Array) -> Array:
    """Return the elements but for those that a mask has put below -1e8: several of about one size, far off the rest."""
    low = finite <= MASKED
    rest = finite[~low]
    if np.count_nonzero(low) < 2 or not rest.size or np.abs(rest).max() > -MASKED / 100:
        return finite
    least, most = float(finite[low].min()), float(finite[low].max())
    return rest if most - least <= 1e-3 * -least else finite


def encode(value: Any) -> Any:
    """Return a parameter of an op in what JSON has; anything else becomes a dict whose key says what it is."""
    if isinstance(value, slice):
        return {"slice": [encode(v) for v in (value.start, value.stop, value.step)]}
    if isinstance(value, tuple):
        return {"tuple": [encode(v) for v in value]}
    if isinstance(value, list):
        return [encode(v) for v in value]
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, type | np.dtype):
        return {"dtype": str(np.dtype(value))}
    if isinstance(value, np.generic):
        value = float(value) if isinstance(value, np.floating) else value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    value = value.data if isinstance(value, Tensor) else value
    if hasattr(value, "dtype"):
        array = to_numpy(value)
        return {"array": encode(array.ravel().tolist()), "shape": list(array.shape), "dtype": str(array.dtype)}
    return value


def decode(value: Any) -> Any:
    """Return the parameter that `encode` was given."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "slice" in value:
        return slice(*map(decode, value["slice"]))
    if "tuple" in value:
        return tuple(map(decode, value["tuple"]))
    if "float" in value:
        return float(value["float"])
    if "array" in value:
        return np.array(decode(value["array"]), value["dtype"]).reshape(value["shape"])
    return Ellipsis if "ellipsis" in value else np.dtype(value["dtype"])


def parameters_of(node: Node) -> dict[str, Any]:
    """Return the parameters of a node as its op takes them.

    Args:
        node: of any graph.
    """
    return {name: decode(value) for name, value in node.params}
