"""NumPy functions called with a Tensor, and methods of Tensor, find our functions here (NEP 13 and 18)."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygraph.engine.tensor import Tensor

if TYPE_CHECKING:
    from tinygraph.engine.op import Op

OPS: dict[str, Op] = {}  # the registry: every op by its name
NUMPY: dict[Any, Callable[..., Any]] = {}  # NumPy function -> ours


class Sample(NamedTuple):
    """An example call for the tests: operand shapes, the range they are drawn from, and the parameters."""

    shapes: tuple[tuple[int, ...], ...]
    low: float
    high: float
    params: dict[str, Any]


def sample(*shapes: tuple[int, ...], low: float = -2.0, high: float = 2.0, **params: Any) -> Sample:
    """Describe a call of an op, for the tests that check its value and its derivatives.

    Args:
        shapes: one for each operand.
        low: the least value that an element may take.
        high: the greatest one.
        params: the parameters of the call.

    Returns:
        The description, for ``samples=`` of `op`.

    >>> sample((4, 3), low=0.5, axis=0)
    Sample(shapes=((4, 3),), low=0.5, high=2.0, params={'axis': 0})
    """
    return Sample(shapes, low, high, params)


def implements(*functions: Any, method: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let NumPy functions called with a Tensor, and methods of Tensor, mean this function."""

    def install(function: Callable[..., Any]) -> Callable[..., Any]:
        NUMPY.update(dict.fromkeys(functions, function))
        for name in method.split():
            setattr(Tensor, name, as_method(name, function))
        return function

    return install


def as_method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that calls the function; if it has no such argument, an error says what to write instead."""
    if name.startswith("__"):
        reflected = name.startswith("__r") and name not in ("__rshift__", "__round__")
        return (lambda y, x: function(x, y)) if reflected else function  # 2 - x calls x.__rsub__(2)

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
    """Answer ``np.add(t, u)`` and its like (NEP 13)."""
    if ufunc in NUMPY and method == "__call__" and not params:
        return NUMPY[ufunc](*inputs)
    return numpy_names().call_ufunc(ufunc, method, inputs, params)


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Answer ``np.mean(t)`` and its like (NEP 18)."""
    if function in NUMPY and len(args) == 1 and not kwargs:
        return NUMPY[function](*args)
    return numpy_names().call_function(function, args, kwargs)


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
