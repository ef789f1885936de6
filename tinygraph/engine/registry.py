"""NumPy functions called with a Tensor, and methods of Tensor, find our functions here (NEP 13 and 18)."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygraph.engine.errors import caller
from tinygraph.engine.tensor import Tensor, array_of

if TYPE_CHECKING:
    from tinygraph.engine.op import Op

OPS: dict[str, Op] = {}  # the registry: every op by its name
NUMPY: dict[Any, Callable[..., Any]] = {}  # NumPy function -> ours
TESTS = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.isfinite, np.isinf, np.isnan,
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
            swapped = name.startswith("__r") and name != "__rshift__"
            setattr(Tensor, name, _swap(function) if swapped else function)
        return function

    return install


def _swap(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda y, x: function(x, y)


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **params: Any) -> Any:
    """Answer ``np.add(t, u)`` and its like (NEP 13). A test gives a plain array, as a comparison operator does."""
    known = method == "__call__" and ufunc in NUMPY
    if method == "__call__" and ufunc in TESTS:
        return ufunc(*map(array_of, inputs), **params)
    if known and not params:
        return NUMPY[ufunc](*inputs)
    raise unsupported(f"numpy.{ufunc.__name__}" + f".{method}" * (method != "__call__"), params, known)


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Answer ``np.mean(t)`` and its like (NEP 18)."""
    if function in NUMPY:
        return NUMPY[function](*args, **kwargs)
    raise unsupported(f"{function.__module__}.{function.__name__}", kwargs, False)


def unsupported(name: str, params: dict[str, Any], known: bool) -> TypeError:
    """Say that a NumPy function has no derivative here, and which ops are near."""
    if known:
        reason = ": a Tensor is never changed" * ("out" in params)
        return TypeError(f"{name} of a Tensor takes no {', '.join(f'{k}=' for k in params)}{reason}{caller()}")
    names = sorted({f.__name__ for f in NUMPY} | {op.name for op in OPS.values() if op.family != "fused"})
    short = name.removeprefix("numpy.")
    near = difflib.get_close_matches(short, names, 3, 0.5) or [n for n in names if short[:3] in n][:3]
    hint = f"; near it: {', '.join(near)}" if near else ""
    return TypeError(f"{name} does not know Tensors{hint}. For the value alone, call it on .data{caller()}")


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
