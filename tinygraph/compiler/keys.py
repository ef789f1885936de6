"""What a compiled function depends on: a program is made for each key, and a new key is explained.

Arrays count by shape, dtype and whether a gradient is wanted; all else by its value. So do the numbers, texts and modes
of modules that the function finds around it.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import inspect
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.compiler.standin import CompileError, StandIn, mapped
from tinygraph.engine.tensor import Parameter, Tensor, array_of
from tinygraph.kernels.arrays import backend_of

PLAIN = (int, float, str, bool, bytes, type(None))


def is_plain(x: Any) -> bool:
    """Whether a value has no arrays in it: a number, a text, or a tuple of them."""
    return type(x) in PLAIN or (type(x) is tuple and all(map(is_plain, x)))


class Slot(int):
    """The place of an array among those that a call was given."""

    __slots__ = ()


def flatten(x: Any, arrays: list[Any], whole: bool = False) -> Any:
    """Append the arrays in arguments to ``arrays``; return the arguments with a `Slot` in place of each.

    Of a ``whole`` step, numbers count as arrays, and parameters do not: they stay who they are.
    """

    def take(x: Any) -> Any:
        if whole and isinstance(x, Parameter):
            return x
        if (
            isinstance(x, Tensor | np.ndarray | StandIn)
            or (whole and type(x) is float)
            or (not isinstance(x, PLAIN) and hasattr(x, "__cuda_array_interface__"))
        ):
            arrays.append(x)
            return Slot(len(arrays) - 1)
        return x

    return mapped(x, take)


def fill(x: Any, arrays: Sequence[Any]) -> Any:
    """Put arrays into the slots of arguments."""
    return mapped(x, lambda item: arrays[item] if type(item) is Slot else item)


def named(function: Callable[..., Any], form: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the arguments are made of, by the names that the function gives them: ``x``, ``state[0]``."""
    args, kwargs = form
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    names = [names[i] if i < len(names) else f"argument {i + 1}" for i in range(len(args))]
    pending = [*zip(names, args, strict=True), *kwargs.items()][::-1]
    while pending:
        name, x = pending.pop()
        if type(x) in (tuple, list, dict):
            inside = x.items() if type(x) is dict else enumerate(x)
            pending += [(f"{name}[{key!r}]", item) for key, item in inside][::-1]
        else:
            yield name, x


def frozen(x: Any) -> Any:
    """Return arguments as a key: with the types of numbers, since 1 == 1.0 == True."""
    if type(x) is Slot:
        return ("array", int(x))
    if type(x) in (tuple, list):
        return (type(x).__name__, *map(frozen, x))
    if type(x) is dict:
        return ("dict", *((name, frozen(item)) for name, item in x.items()))
    if hasattr(type(x), "named_modules"):
        return (id(x), *state_of(x))
    try:
        hash(x)
    except TypeError:
        raise CompileError(
            f"compile: an argument of type {type(x).__name__} cannot be part of a key: pass arrays, numbers, texts, "
            "or tuples, lists and dicts of them"
        ) from None
    return (type(x).__name__, repr(x) if isinstance(x, float) else x)


class Surroundings:
    """The plain values and modules that a function finds around it: in its closure, its globals and as ``self``.

    What the functions find that it calls belongs to it, too, unless they are those of tinygraph.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @functools.cached_property
    def places(self) -> list[tuple[str, Callable[[], Any]]]:
        """The names of what is around, each with what reads it."""
        return list(around(self.function, set()))

    def found(self) -> Iterator[tuple[str, Any]]:
        """Yield what is around, with its name."""
        for name, read in self.places:
            try:
                x = read()
            except (KeyError, ValueError):  # not set yet
                continue
            yield name, x

    def key(self) -> tuple[Any, ...]:
        """Return the plain values that are around now, and the options and modes of modules."""
        key: list[Any] = []
        for name, x in self.found():
            if isinstance(x, PLAIN):
                key.append((name, type(x).__name__, repr(x)))
            elif hasattr(type(x), "named_modules"):
                key.append((name, *state_of(x)))
        return tuple(key)

    def objects(self, form: Any) -> list[Any]:
        """Return all that is around or among the arguments, the items of lists and dicts one by one."""
        pending, objects = [*form[0], *form[1].values(), *(x for _, x in self.found())], list[Any]()
        for x in pending:
            objects += x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else (x,)
        return objects


def state_of(module: Any) -> tuple[tuple[Any, ...], Any]:
    """Return the numbers and texts of a module and those below it, such as the ``p`` of a dropout, and their mode."""
    modes, options = list[bool](), list[Any]()
    for _, m in module.named_modules():
        modes.append(m.training)
        options += [x for x in vars(m).values() if type(x) in PLAIN]
    return tuple(options), "training" if all(modes) else tuple(modes) if any(modes) else "evaluation"


def around(function: Any, seen: set[Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the names that a function uses and does not set, each with what reads its value."""
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    bound = getattr(inner, "__self__", None)
    inner = getattr(inner, "__func__", inner)
    if not isinstance(inner, types.FunctionType):
        call = type(inner).__call__
        bound, inner = inner, call if isinstance(call, types.FunctionType) else None
    places = list[tuple[str, Callable[[], Any]]]()
    if bound is not None:
        places.append(("self", lambda: bound))
    if inner is not None and inner not in seen:
        seen.add(inner)
        cells = zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=False)
        places += [(name, functools.partial(getattr, cell, "cell_contents")) for name, cell in cells]
        names = list(dict.fromkeys(names_in(inner.__code__)))
        space = {} if is_own(inner) else inner.__globals__
        places += [
            (n, functools.partial(space.__getitem__, n)) for n in names if n in space and not hasattr(builtins, n)
        ]
        if bound is not None and not hasattr(type(bound), "named_modules"):
            own = getattr(bound, "__dict__", {})
            places += [(f"self.{n}", functools.partial(own.__getitem__, n)) for n in names if n in own]
    for name, read in places:
        yield name, read
        with contextlib.suppress(KeyError, ValueError):
            x = read()
            if isinstance(x, types.FunctionType) and not is_own(x):
                yield from around(x, seen)


def is_own(function: types.FunctionType) -> bool:
    """Whether a function is of a module of tinygraph, whose globals do not change; an example in its text is not."""
    name = function.__module__ or ""
    return name.startswith("tinygraph.") and getattr(sys.modules.get(name), "__dict__", None) is function.__globals__


def names_in(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function uses, and those that functions inside of it use."""
    yield from code.co_names
    for x in code.co_consts:
        if isinstance(x, types.CodeType):
            yield from names_in(x)


def describe(x: Any, arrays: Sequence[Any], recording: bool) -> str:
    """Say what an argument counts as in a key."""
    if type(x) is Slot:
        array = arrays[x]
        if type(array) is float:
            return "a number"
        wanted = isinstance(array, Tensor) and recording and array.requires_grad
        of_cupy = " of CuPy" * (backend_of(array_of(array)) == "cupy")
        return f"{array.dtype}[{','.join(map(str, array.shape))}]{of_cupy}" + " with gradient" * wanted
    if hasattr(x, "named_modules"):
        return f"{type(x).__name__} in {state_of(x)[-1]}"
    return x.name or "a parameter" if isinstance(x, Tensor) else type(x).__name__ if "\n" in repr(x) else repr(x)


def differences(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Say which parts of a key differ from those of an earlier one."""
    was, now = (defaultdict(lambda: "not given", facts) for facts in (old, new))
    return [f"{name}: {was[name]} -> {now[name]}" for name in dict.fromkeys([*new, *old]) if was[name] != now[name]]
