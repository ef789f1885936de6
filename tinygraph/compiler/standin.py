"""A stand-in is an array without elements: it has a shape and a dtype, and knows how it was made.

A function that is traced sees stand-ins where it expects arrays. Ops compute shapes and dtypes with them, so that a
trace costs no time at the size of the data. What would look at an element raises `CompileError`, with one exception:
a condition asks the trace for its answer (`Trace.decide`), because it may be a check that ends in an error.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinygraph.engine.errors import caller, clean, library_of
from tinygraph.engine.tensor import array_of, serial
from tinygraph.engine.types import Shape

if TYPE_CHECKING:
    from tinygraph.compiler.trace import Trace

REDUCE = {np.sum, np.mean, np.max, np.min, np.amax, np.amin, np.any, np.all, np.argmax, np.argmin, np.prod}
SAME_SHAPE = {np.where, np.clip}  # functions that broadcast, and are no ufuncs
SHAPED_BY_VALUES = {
    np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.extract, np.compress, np.bincount, np.trim_zeros,
    np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d,
}  # fmt: skip
TO_WRITE = "use tg.where, or leave this part outside of the compiled function"


class CompileError(RuntimeError):
    """A function does what a compiled one cannot repeat: it says where, and what to write instead.

    >>> from tinygraph.compiler.compiled import compile
    >>> compile(lambda x: x if x.sum() > 0 else -x)(np.ones((64, 64)))
    Traceback (most recent call last):
    ...
    tinygraph.compiler.standin.CompileError: compile: bool(greater(sum(x), 0)) at ...
    """


def looking(how: str) -> Callable[..., NoReturn]:
    """Return a method that would look at a value."""
    return lambda self, *args, **kwargs: self.look(how)


class StandIn(NDArrayOperatorsMixin):
    """An array of a shape and dtype, without elements.

    Args:
        trace: whose stand-in it is.
        shape: of the array.
        dtype: of an element.
        made: (function, arguments, keyword arguments) that make it, or None for what the program is given.
        name: what errors call it.
    """

    __module__ = "numpy"  # errors name the library of an array
    has_no_elements = True
    base = None  # its memory is nobody else's

    def __init__(self, trace: Trace, shape: Sequence[int], dtype: Any, made: Any = None, name: str = "") -> None:
        self.trace, self.shape, self.dtype, self.made, self.name = trace, tuple(shape), np.dtype(dtype), made, name
        self.id, self.ndim, self.size = serial(), len(self.shape), math.prod(self.shape)
        self.itemsize, self.nbytes = self.dtype.itemsize, self.dtype.itemsize * self.size

    __hash__ = object.__hash__
    __iadd__ = lambda self, y: self + y  # in place of the sum that an array takes in

    # What arrays do.

    T = property(lambda self: apply(np.transpose, self))

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """As ``ndarray.reshape``."""
        return apply(np.reshape, self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """As ``ndarray.transpose``."""
        return apply(np.transpose, self, (axes[0] if len(axes) == 1 else axes) or None)

    def astype(self, dtype: Any, order: str = "K", casting: str = "unsafe", copy: bool = True) -> Any:
        """As ``ndarray.astype``."""
        return self if np.dtype(dtype) == self.dtype else apply(astype, self, dtype=np.dtype(dtype))

    def copy(self, order: str = "C") -> StandIn:
        """Return itself: nobody can write into it."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        function = getattr(np, name, None)
        if not callable(function):
            raise CompileError(f"compile: .{name} of {self.text()}{caller()} is not known while tracing")
        return lambda *args, **kwargs: apply(function, self, *args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return apply(take, self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise CompileError(
            f"compile: {self.text()} is written into{caller()}: a compiled function makes new arrays; use "
            "tg.where, or tg.scatter"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if not all(isinstance(x, KNOWN) or library_of(x) == "cupy" for x in inputs):
            return NotImplemented  # a Tensor, or a product that waits to be summed, has the word
        if "out" in kwargs:
            raise CompileError(f"compile: out={caller()}: a compiled function makes new arrays")
        return apply(getattr(ufunc, method) if method != "__call__" else ufunc, *inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        known = all(issubclass(t, KNOWN) or t.__module__.startswith("cupy") for t in types)
        return apply(function, *args, **kwargs) if known else NotImplemented

    # What looks at elements.

    def __bool__(self) -> bool:
        return self.trace.decide(self)

    def seldom(self) -> bool:
        """As a condition that rarely holds: `tinygraph.functions.checks.seldom` asks."""
        return self.trace.assume(self, False)

    item, tolist, __array__ = map(looking, ("item", "tolist", "numpy"))
    __float__, __int__, __index__ = map(looking, ("float", "int", "int"))

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"<{self.text()}: {self.dtype}[{','.join(map(str, self.shape))}]>"

    __str__ = __repr__

    def look(self, how: str) -> NoReturn:
        """Raise: a value was to be looked at."""
        spelled = f"{how}({self.text()})" if how in ("float", "int", "bool") else f"{self.text()}.{how}()"
        raise CompileError(
            f"compile: {spelled}{caller()} looks at a value, and there is none while tracing; the compiled "
            f"function would keep it for good: {TO_WRITE}"
        )

    def text(self, depth: int = 3) -> str:
        """Say how it was made: ``greater(sum(x), 0)``."""
        if self.made is None or self.name:
            return clean(self.name or "an array")
        function, args, _ = self.made
        name = getattr(function, "__name__", "") or function.name
        if not depth:
            return f"{name}(…)"
        parts = [a.text(depth - 1) if isinstance(a, StandIn) else repr(a) if np.isscalar(a) else "…" for a in args]
        return "{}[{}]".format(*parts) if function is take else f"{name}({', '.join(parts)})"


class Number(StandIn):
    """A Python number that may be another at each call, such as a learning rate.

    What is made of numbers alone is one too, and is computed in Python. A condition on it is answered by its present
    ``value``, and tested again at each call.
    """

    __module__ = "numpy"

    def __init__(self, trace: Trace, value: Any, made: Any = None, name: str = "") -> None:
        super().__init__(trace, (), type(value), made, name)
        self.value = value
        trace.numbers.append(self)

    def __bool__(self) -> bool:
        return self.trace.guards.setdefault(self, bool(self.value))


def astype(x: Any, dtype: Any) -> Any:
    """Convert an array."""
    return x.astype(dtype, copy=False)


def take(x: Any, key: Any) -> Any:
    """Return ``x[key]``."""
    return x[key]


PYTHON: dict[Any, Callable[..., Any]] = {  # what NumPy's functions are for numbers
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.divide: operator.truediv,
    np.power: operator.pow, np.negative: operator.neg, np.absolute: abs, np.greater: operator.gt,
    np.less: operator.lt, np.greater_equal: operator.ge, np.less_equal: operator.le, np.equal: operator.eq,
    np.not_equal: operator.ne, np.remainder: operator.mod, np.floor_divide: operator.floordiv,
}  # fmt: skip


def zeros(x: StandIn) -> np.ndarray:
    """Return zeros of a shape and dtype, all of them one element in memory."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape)


def find(x: Any) -> list[StandIn]:
    """Return the stand-ins in arguments, each once, in order."""
    found: dict[StandIn, Any] = {}
    swap(x, found.setdefault)
    return list(found)


def swap(x: Any, make: Callable[[StandIn], Any]) -> Any:
    """Return arguments with an array in place of each stand-in, and of each Tensor."""

    def change(item: Any) -> Any:
        item = array_of(item)
        return make(item) if isinstance(item, StandIn) else item

    return mapped(x, change)


def mapped(x: Any, change: Callable[[Any], Any]) -> Any:
    """Return tuples, lists and dicts, in one another, with what is in them changed."""
    kind = type(x)
    if kind is tuple or kind is list:
        return kind([mapped(item, change) for item in x])
    if kind is dict:
        return {name: mapped(item, change) for name, item in x.items()}
    return change(x)


def is_shaped_by_values(function: Any, args: Sequence[Any]) -> bool:
    """Whether the shape of a result depends on elements, as that of ``x[x > 0]`` does."""
    if function is take:
        return any(mask.dtype.kind == "b" for mask in find(args[1]))
    return function in SHAPED_BY_VALUES or (function is np.where and len(args) == 1)


def apply(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the stand-in for what a function of NumPy makes of stand-ins."""
    trace, made = find((args, kwargs))[0].trace, (function, args, kwargs)
    if is_shaped_by_values(function, args):
        text = StandIn(trace, (), bool, made).text()
        raise CompileError(f"compile: {text}{caller()} has a shape that depends on values: {TO_WRITE}")
    if function in PYTHON and all(isinstance(x, Number | int | float) for x in args):
        number = PYTHON[function]
        return Number(trace, number(*swap(args, one_of)), (number, args, {}))
    if function is np.matmul:
        shape, dtype = shape_of_product(*(np.shape(a) for a in args)), np.result_type(*(a.dtype for a in args))
    elif function in REDUCE and "where" not in kwargs:
        shape, dtype = reduced(function, args[0], args[1:], kwargs)
    elif function in SAME_SHAPE or (isinstance(function, np.ufunc) and function.nout == 1):
        shape, dtype = broadcast(function, args, kwargs)
    else:
        return wrapped(trace, result_for(zeros, function, args, kwargs), made)
    return StandIn(trace, shape, dtype, made)


def broadcast(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Shape, Any]:
    """Return the shape and the dtype of what an elementwise function makes of stand-ins, from one element."""
    arrays = [a for a in (*args, *kwargs.values()) if hasattr(a, "shape") and not isinstance(a, type)]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    with np.errstate(all="ignore"):
        return shape, np.asarray(function(*map(one_of, args), **{k: one_of(a) for k, a in kwargs.items()})).dtype


def result_for(make: Callable[[StandIn], Any], function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return what a function makes of arrays in place of the stand-ins."""
    with np.errstate(all="ignore"):
        return function(*swap(tuple(args), make), **swap(kwargs, make))


def one_of(x: Any) -> Any:
    """Return an array of one element for an array, and anything else as it is."""
    if isinstance(x, StandIn):
        return x.value if isinstance(x, Number) else np.ones((1,) * min(x.ndim, 1), x.dtype)
    if library_of(x) == "cupy":
        return np.ones((1,) * min(x.ndim, 1), x.dtype)
    return x.reshape(-1)[:1] if isinstance(x, np.ndarray) and x.ndim else x


def wrapped(trace: Trace, found: Any, made: Any) -> Any:
    """Return stand-ins for what a function returned for zeros; of several results each is taken by its place."""
    if isinstance(found, tuple | list):
        whole = StandIn(trace, (), np.float64, made)
        return type(found)(wrapped(trace, x, (take, (whole, i), {})) for i, x in enumerate(found))
    return StandIn(trace, found.shape, found.dtype, made) if hasattr(found, "dtype") else found


def reduced(function: Any, x: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Shape, Any]:
    """Return the shape and the dtype after a reduction, from a small array whose axes have different lengths."""
    found = function(np.ones(range(2, x.ndim + 2), x.dtype), *args, **kwargs)
    return tuple(x.shape[n - 2] if n > 1 else 1 for n in found.shape), found.dtype


def shape_of_product(a: Shape, b: Shape) -> Shape:
    """Return the shape of a matrix product; raise as NumPy does where there is none."""
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else 0]:
        np.matmul(*(np.broadcast_to(np.zeros(()), s[-2:]) for s in (a, b)))  # NumPy's own message
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    return (*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


KNOWN = (StandIn, np.ndarray, np.generic, int, float, bool)
