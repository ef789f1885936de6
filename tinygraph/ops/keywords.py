"""PyTorch's names of arguments beside NumPy's: ``dim`` is ``axis``, and ``keepdim`` is ``keepdims``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["accept_dim"]

F = TypeVar("F", bound=Callable[..., Any])
SYNONYMS = {"dim": "axis", "keepdim": "keepdims", "unbiased": "correction"}  # PyTorch's name -> ours


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

    @functools.wraps(function)
    def call(*args: Any, **params: Any) -> Any:
        if params and not SYNONYMS.keys().isdisjoint(params):
            params = translated(function.__name__, params)
        return function(*args, **params)

    return cast(F, call)


def translated(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments under our names."""
    for theirs in params:
        if (ours := SYNONYMS.get(theirs)) in params:
            raise TypeError(f"{name}: give {ours}= or {theirs}=, which mean the same, and not both")
    return {SYNONYMS.get(key, key): int(value) if key == "unbiased" else value for key, value in params.items()}
