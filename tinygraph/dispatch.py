"""NumPy functions called with a Tensor, and methods of Tensor, find our functions here (NEP 13 and 18)."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinygraph.errors import caller
from tinygraph.tensor import Tensor

if TYPE_CHECKING:
    from tinygraph.op import Op

OPS: dict[str, Op] = {}  # the registry: every op by its name
NUMPY: dict[Any, Callable[..., Any]] = {}  # NumPy function -> ours


def implements(*functions: Any, method: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let NumPy functions called with a Tensor, and methods of Tensor, mean this function."""

    def install(function: Callable[..., Any]) -> Callable[..., Any]:
        NUMPY.update(dict.fromkeys(functions, function))
        for name in method.split():
            swapped = name.startswith("__r") and name != "__rshift__"
            setattr(Tensor, name, _swap(function) if swapped else _bindable(function))
        return function

    return install


def _swap(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda y, x: function(x, y)


def _bindable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function, which Python binds to an instance; a bound method it would not."""
    return (lambda self, *args, **kwargs: function(self, *args, **kwargs)) if inspect.ismethod(function) else function


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **params: Any) -> Any:
    """Answer ``np.add(t, u)`` and its like (NEP 13)."""
    if method == "__call__" and ufunc in NUMPY and not params:
        return NUMPY[ufunc](*inputs)
    raise unsupported(f"numpy.{ufunc.__name__}" + f".{method}" * (method != "__call__"), params, ufunc in NUMPY)


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Answer ``np.mean(t)`` and its like (NEP 18)."""
    if function in NUMPY:
        return NUMPY[function](*args, **kwargs)
    raise unsupported(f"{function.__module__}.{function.__name__}", kwargs, False)


def unsupported(name: str, params: dict[str, Any], known: bool) -> TypeError:
    """Say that a NumPy function has no derivative here, and which ops are near."""
    if known:
        return TypeError(f"{name} of a Tensor takes no {', '.join(params) or 'methods'}: a Tensor is never changed")
    names = sorted({f.__name__: 0 for f in NUMPY} | dict.fromkeys(OPS, 0))
    short = name.removeprefix("numpy.")
    near = difflib.get_close_matches(short, names, 3, 0.5) or [n for n in names if short[:3] in n][:3]
    hint = f"; near it: {', '.join(near)}" if near else ""
    return TypeError(f"{name} does not know Tensors{hint}. For the value alone, call it on .data{caller()}")


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
