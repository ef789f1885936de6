"""What the checks of functions share: the names of arguments, random numbers, arrays of a backend."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Array, ArrayLike, Shape, Value
from tinygraph.kernels.arrays import asarray, backend_of

__all__ = ["Function", "Inputs", "argument_names", "array_like", "as_tuple", "draw_normal", "random_numbers"]

Function: TypeAlias = Callable[..., Any]  # takes Tensors, or tensors of another library
Inputs: TypeAlias = ArrayLike | Tensor | tuple[ArrayLike | Tensor, ...]


def argument_names(func: Function, count: int) -> list[str]:
    """Return the names of the first ``count`` arguments of ``func``; x0, x1, … where it does not tell."""
    try:
        parameters = list(inspect.signature(func).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return [{"gamma": "γ", "beta": "β"}.get(n, n) for n in known] + [f"x{i}" for i in range(len(known), count)]


def array_like(values: Array, model: Array) -> Array:
    """Return NumPy values as an array of the backend and dtype of ``model``."""
    array: Array = asarray(values, backend_of(model), model.dtype)
    return array


def as_tuple(out: Value) -> tuple[Value, ...]:
    """Return the result of a function as a tuple, whether it has returned one value or several."""
    return tuple(out) if isinstance(out, tuple | list) else (out,)


def random_numbers(seed: int) -> np.random.Generator:
    """Return a generator that a user's ``default_rng(seed)`` does not repeat.

    An upstream gradient w equal to the input x would prove nothing: there the gradient of a normalization is zero.
    """
    return np.random.default_rng([seed, 0x67726164])


def draw_normal(rng: np.random.Generator, model: Array, shape: Shape | None = None) -> Array:
    """Draw normal numbers on the backend and in the dtype of ``model``, and in its shape or another one."""
    return array_like(rng.normal(size=model.shape if shape is None else shape), model)
