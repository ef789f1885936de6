"""Second names of arguments: PyTorch's ``dim`` is ``axis``, ``keepdim`` ``keepdims``; ``ddof`` ``correction``.

A second name holds where a function has the first one, and no argument of that second name. Several axes may be a list,
as PyTorch takes them, where NumPy wants a tuple.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from tinygraph.engine.registry import numpy_names
from tinygraph.engine.types import Axis

__all__ = ["accept_dim", "explain_keywords"]

F = TypeVar("F", bound=Callable[..., Any])
# Another name of PyTorch's or NumPy's -> ours
SYNONYMS = {
    "dim": "axis", "dim1": "axis1", "dim2": "axis2", "keepdim": "keepdims", "unbiased": "correction",
    "ddof": "correction", "p": "ord", "sections": "indices_or_sections", "indices": "indices_or_sections",
}  # fmt: skip


def accept_dim(function: F) -> F:
    """Let a function take ``dim=`` for its ``axis=``, and likewise the other `SYNONYMS` of its arguments.

    Args:
        function: any function with arguments of our names.

    Returns:
        A function that takes both names; an argument under two names is a TypeError.

    >>> @accept_dim
    ... def total(x, axis=None):
    ...     return x.sum(axis)
    >>> total(np.ones((2, 3)), dim=0)
    array([2., 2., 2.])
    """
    names = inspect.signature(function).parameters
    theirs = {second: first for second, first in SYNONYMS.items() if first in names and second not in names}
    place = [*names].index("axis") if "axis" in names else math.inf

    @functools.wraps(function)
    def call(*args: Any, **params: Any) -> Any:
        if params and not theirs.keys().isdisjoint(params):
            params = translated(function.__name__, theirs, params)
        try:
            return function(*args, **params)
        except TypeError:
            refuse_keywords(function, params)
            axis = args[int(place)] if len(args) > place else params.get("axis")
            if axis is None or isinstance(axis, numbers.Integral):
                raise
            axes = (tuple(axes_in(function.__name__, axis)),)
        if len(args) > place:
            return function(*args[: int(place)], *axes, *args[int(place) + 1 :], **params)
        return function(*args, **params | {"axis": axes[0]})

    return cast(F, call)


def axes_in(name: str, axis: Axis) -> list[int]:
    """Return the axes of a list or an array; raise, in the name of a function, if these are none."""
    axes = axis.tolist() if isinstance(axis, np.ndarray) else axis
    if isinstance(axes, list) and not axes:
        raise TypeError(f"{name}: axis=[] is all axes in PyTorch and none in NumPy: write axis=None, or axis=()")
    if not isinstance(axes, list) or not all(isinstance(a, numbers.Integral) for a in axes):
        raise TypeError(f"{name}: axis is {axis!r}; it must be the number of an axis, or several where it takes them")
    return axes


def explain_keywords(function: F) -> F:
    """Let a function say what to write for a keyword of NumPy's or PyTorch's that it does not have.

    Args:
        function: any function of `tinygraph`.

    Returns:
        A function that does the same; the TypeError of a call with a wrong keyword has the advice.

    >>> @explain_keywords
    ... def total(x, axis=None):
    ...     return x.sum(axis)
    >>> total(np.ones((2, 3)), axis=0)
    array([2., 2., 2.])
    """

    @functools.wraps(function)
    def call(*args: Any, **params: Any) -> Any:
        try:
            return function(*args, **params)
        except TypeError:
            refuse_keywords(function, params)
            raise

    return cast(F, call)


def refuse_keywords(function: Callable[..., Any], params: dict[str, Any]) -> None:
    """Raise for a keyword that the function does not have; where all are known, the error was another."""
    if params:
        name = function.__name__ if function.__name__ != "__init__" else function.__qualname__.partition(".")[0]
        numpy_names().refuse_keywords(name, function, params, "tinygraph")


def translated(name: str, theirs: dict[str, str], params: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments under our names."""
    for second in params:
        if (first := theirs.get(second)) in params:
            raise TypeError(f"{name}: give {first}= or {second}=, which mean the same, and not both")
    return {theirs.get(key, key): int(value) if key == "unbiased" else value for key, value in params.items()}
