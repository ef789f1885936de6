"""An array on a pretended device: it behaves as CuPy's do and holds NumPy's values, for machines without a GPU.

What CuPy refuses, it refuses: to become a NumPy array unasked, to be mixed with one, a ufunc method or a
keyword that CuPy has not. What CuPy gives as a 0-d array (a total, an element) is a 0-d array here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import numpy as np

# CuPy has these under NumPy's names, with NumPy's arguments; what tinygraph comes to call must be looked up and added.
FUNCTIONS = {
    np.all, np.amax, np.amin, np.any, np.argmax, np.argsort, np.array2string, np.broadcast_to, np.clip, np.concatenate,
    np.copyto, np.cumprod,
    np.cumsum, np.dot, np.einsum, np.empty_like, np.expand_dims, np.full_like, np.max, np.mean, np.min, np.moveaxis,
    np.ndim, np.ones_like, np.pad, np.ravel, np.reshape, np.shape, np.size, np.split, np.squeeze, np.stack, np.std,
    np.sum, np.swapaxes, np.take_along_axis, np.tensordot, np.transpose, np.tril, np.var, np.vdot, np.where,
    np.zeros_like, np.repeat, np.round, np.lib.stride_tricks.sliding_window_view,
    np.triu, np.convolve,
    np.linalg.cholesky, np.linalg.det, np.linalg.eigh, np.linalg.inv, np.linalg.pinv, np.linalg.qr, np.linalg.slogdet,
    np.linalg.solve, np.linalg.svd, np.fft.fftn, np.fft.ifftn, np.fft.irfft, np.fft.rfft,
}  # fmt: skip
METHODS = {  # of ufuncs; CuPy has them for these ufuncs only
    "reduce": {np.add, np.multiply}, "accumulate": {np.add, np.multiply}, "reduceat": {np.add},
    "at": {np.add, np.subtract, np.maximum, np.minimum, np.bitwise_and, np.bitwise_or, np.bitwise_xor},
}  # fmt: skip
SCALARS = bool | int | float | complex | np.generic


class Decoy:
    """A stand-in for ``cupy.ndarray``."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **params: Any) -> Any:
        known = method in ("__call__", "outer") or ufunc in METHODS[method]
        key = inputs[1:2] if method == "at" else ()  # an index may be anything
        arrays = [*(x for x in inputs if not any(x is k for k in key)), *params.get("out", ())]
        if not known or any(not isinstance(x, Decoy | np.ndarray | SCALARS) for x in arrays):
            return NotImplemented
        return on_device(getattr(ufunc, method), inputs, params, key)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, params: Any) -> Any:
        if function not in FUNCTIONS or any(not issubclass(t, Decoy | np.ndarray) for t in types):
            return NotImplemented
        return on_device(function, args, params)

    def __getitem__(self, key: Any) -> Decoy:
        return Decoy(self.array[held(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.array[held(key)] = taken(value)

    def __iter__(self) -> Iterator[Decoy]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Decoy({self.array})"

    def get(self) -> np.ndarray:
        return self.array.copy()

    @property
    def base(self) -> Any:
        return None if self.array.base is None else Decoy(self.array.base)

    @property
    def T(self) -> Decoy:
        return Decoy(self.array.T)

    @property
    def real(self) -> Decoy:
        return Decoy(self.array.real)

    @property
    def imag(self) -> Decoy:
        return Decoy(self.array.imag)

    # What the signatures below leave out (where=, initial=, subok=), CuPy has not.
    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.ndarray.sum, (self, axis, dtype, out, keepdims))

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.ndarray.mean, (self, axis, dtype, out, keepdims))

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.ndarray.max, (self, axis, out, keepdims))

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.ndarray.min, (self, axis, out, keepdims))

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.ndarray.prod, (self, axis, dtype, out, keepdims))

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.all, (self, axis, out, keepdims))

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.any, (self, axis, out, keepdims))

    def argmax(self, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.ndarray.argmax, (self, axis, out), {"keepdims": keepdims})

    def argmin(self, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False) -> Decoy:
        return on_device(np.ndarray.argmin, (self, axis, out), {"keepdims": keepdims})

    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> Decoy:
        return on_device(np.ndarray.astype, (self, dtype, order, casting or "unsafe", subok or True, copy))


def held(x: Any) -> Any:
    """The NumPy arrays of all Decoys in ``x``."""
    if isinstance(x, tuple | list):
        return type(x)(map(held, x))
    return x.array if isinstance(x, Decoy) else x


def taken(x: Any) -> Any:
    """As `held`; a NumPy array beside them is refused, as CuPy refuses it."""
    if isinstance(x, tuple | list):
        return type(x)(map(taken, x))
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return x.array if isinstance(x, Decoy) else x


def on_device(function: Callable[..., Any], args: Any, params: Any = MappingProxyType({}), keys: Any = ()) -> Any:
    """Call a function of NumPy with Decoys, and give Decoys back: the same one where NumPy gives the same array."""
    arrays = [held(x) if any(x is k for k in keys) else taken(x) for x in args]
    out = function(*arrays, **{name: taken(x) for name, x in params.items()})
    if isinstance(out, list | tuple):
        return type(out)(map(Decoy, out)) if type(out) in (list, tuple) else type(out)(*map(Decoy, out))
    same = [x for x in [*args, *params.get("out", ())] if isinstance(x, Decoy) and x.array is out]
    return same[0] if same else Decoy(out) if isinstance(out, np.ndarray | np.generic) else out


def install(name: str) -> None:
    """Give Decoy a method or an attribute as NumPy has it."""
    thing = getattr(np.ndarray, name)
    if callable(thing):
        setattr(Decoy, name, lambda self, *args, **params: on_device(thing, (self, *args), params))
    else:
        setattr(Decoy, name, property(lambda self: getattr(self.array, name)))


def install_operator(name: str) -> None:
    """Give Decoy an operator, which defers to ``__array_ufunc__`` as CuPy's do."""
    ufunc = getattr(np, {"truediv": "divide", "pow": "power", "mod": "remainder", "eq": "equal", "ne": "not_equal",
                         "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "sub": "subtract",
                         "mul": "multiply", "floordiv": "floor_divide", "and": "bitwise_and", "or": "bitwise_or",
                         "neg": "negative", "abs": "absolute", "invert": "invert"}.get(name, name))  # fmt: skip
    defers = lambda y: getattr(y, "__array_ufunc__", 0) is None
    setattr(Decoy, f"__{name}__", lambda self, *y: NotImplemented if y and defers(y[0]) else ufunc(self, *y))
    setattr(Decoy, f"__r{name}__", lambda self, x: ufunc(x, self))
    setattr(Decoy, f"__i{name}__", lambda self, y: ufunc(self, y, out=(self,)))


ATTRIBUTES = "shape dtype ndim size nbytes itemsize strides flags"
NDARRAY = "reshape transpose swapaxes squeeze ravel flatten copy fill take item tolist dot"
SPECIAL = "__len__ __bool__ __float__ __int__"
OPERATORS = "add sub mul truediv floordiv mod pow matmul and or eq ne lt le gt ge neg abs invert"
for name in (*ATTRIBUTES.split(), *NDARRAY.split(), *SPECIAL.split()):
    install(name)
for name in OPERATORS.split():
    install_operator(name)
