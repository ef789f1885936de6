"""NumPy functions called with a Tensor, and methods of Tensor, find our functions here (NEP 13 and 18)."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of

if TYPE_CHECKING:
    from tinygraph.engine.op import Op

OPS: dict[str, Op] = {}  # the registry: every op by its name
NUMPY: dict[Any, Callable[..., Any]] = {}  # NumPy function -> ours
TESTS = {  # what these say of a Tensor has no derivative to record
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.isfinite, np.isinf, np.isnan,
    np.shape, np.ndim, np.size, np.any, np.all, np.isclose, np.allclose, np.array_equal,
}  # fmt: skip


class Sample(NamedTuple):
    """An example call for the tests: operand shapes, the range they are drawn from, and the parameters."""

    shapes: tuple[tuple[int, ...], ...]
    low: float
    high: float
    params: dict[str, Any]


def sample(*shapes: tuple[int, ...], low: float = -2.0, high: float = 2.0, **params: Any) -> Sample:
    """Describe an example call: ``sample((4, 3), low=0.5, axis=0)``."""
    return Sample(shapes, low, high, params)


def implements(*functions: Any, method: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let NumPy functions called with a Tensor, and methods of Tensor, mean this function."""

    def install(function: Callable[..., Any]) -> Callable[..., Any]:
        NUMPY.update(dict.fromkeys(functions, function))
        for name in method.split():
            if name.startswith("__"):
                swapped = name.startswith("__r") and name != "__rshift__"
                setattr(Tensor, name, swap_operands(function) if swapped else function)
            else:
                setattr(Tensor, name, as_method(name, function))
        return function

    return install


def swap_operands(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function for a reflected operator: ``2 - x`` calls ``x.__rsub__(2)``."""
    return lambda y, x: function(x, y)


def as_method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that calls the function. Of an argument that it does not have, an error says what to write."""

    @functools.wraps(function)
    def method(*args: Any, **params: Any) -> Any:
        try:
            return function(*args, **params)
        except TypeError:
            numpy_names().refuse_keywords(name, function, params)
            raise

    return method


@functools.cache
def numpy_names() -> Any:
    """Load what is known of NumPy's names when a call needs it: it stands above the engine."""
    return importlib.import_module("tinygraph.exchange.numpy_names")


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **params: Any) -> Any:
    """Answer ``np.add(t, u)`` and its like (NEP 13). A test gives a plain array, as a comparison operator does."""
    name = f"numpy.{ufunc.__name__}"
    if method != "__call__":
        raise numpy_names().refuse(f"{name}.{method}")
    if ufunc in TESTS:
        return ufunc(*map(array_of, inputs), **params)
    if ufunc not in NUMPY:
        raise numpy_names().refuse(name)
    if params:
        raise numpy_names().refuse_arguments(f"{name} of a Tensor", ufunc.__name__, params)
    return NUMPY[ufunc](*inputs)


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Answer ``np.mean(t)`` and its like (NEP 18)."""
    if function in TESTS:
        return function(*map(array_of, args), **kwargs)
    if function not in NUMPY:
        raise numpy_names().refuse(f"{function.__module__}.{function.__name__}")
    if len(args) > 1 or kwargs:
        args, kwargs = numpy_names().translate(function, NUMPY[function], args, kwargs)
    return NUMPY[function](*args, **kwargs)


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
