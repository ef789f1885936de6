"""What a compiled function depends on: a program is made for each key, and a new key is explained.

Arrays count by shape, dtype and whether a gradient is wanted; all else by its value. So do the numbers, texts and modes
of modules that the function finds around it.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.compiler.standin import CompileError, StandIn
from tinygraph.engine.tensor import Parameter, Tensor

PLAIN = (int, float, str, bool, bytes, type(None))


class Slot(int):
    """The place of an array among those that a call was given."""

    __slots__ = ()


def flatten(x: Any, arrays: list[Any], whole: bool = False) -> Any:
    """Append the arrays in arguments to ``arrays``; return the arguments with a `Slot` in place of each.

    Of a ``whole`` step, numbers count as arrays, and parameters do not: they stay who they are.
    """
    if whole and isinstance(x, Parameter):
        return x
    if (
        isinstance(x, Tensor | np.ndarray | StandIn)
        or (whole and type(x) is float)
        or (not isinstance(x, PLAIN) and hasattr(x, "__cuda_array_interface__"))
    ):
        arrays.append(x)
        return Slot(len(arrays) - 1)
    if type(x) in (tuple, list):
        return type(x)(flatten(item, arrays, whole) for item in x)
    if type(x) is dict:
        return {name: flatten(item, arrays, whole) for name, item in x.items()}
    return x


def fill(x: Any, arrays: Sequence[Any]) -> Any:
    """Put arrays into the slots of arguments."""
    if type(x) is Slot:
        return arrays[x]
    if type(x) in (tuple, list):
        return type(x)(fill(item, arrays) for item in x)
    if type(x) is dict:
        return {name: fill(item, arrays) for name, item in x.items()}
    return x


def named(function: Callable[..., Any], form: Any) -> list[tuple[str, Any]]:
    """Return the arguments with the names that the function gives them."""
    args, kwargs = form
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    names = [names[i] if i < len(names) else f"argument {i + 1}" for i in range(len(args))]
    return [*zip(names, args, strict=True), *kwargs.items()]


def names_of_slots(x: Any, name: str) -> Iterator[tuple[int, str]]:
    """Yield the number and a name of each array in an argument: ``state[0]``."""
    if type(x) is Slot:
        yield int(x), name
    elif type(x) in (tuple, list):
        for i, item in enumerate(x):
            yield from names_of_slots(item, f"{name}[{i}]")
    elif type(x) is dict:
        for key, item in x.items():
            yield from names_of_slots(item, f"{name}[{key!r}]")


def frozen(x: Any) -> Any:
    """Return arguments as a key: with the types of numbers, since 1 == 1.0 == True."""
    if type(x) is Slot:
        return ("array", int(x))
    if type(x) in (tuple, list):
        return (type(x).__name__, *map(frozen, x))
    if type(x) is dict:
        return ("dict", *((name, frozen(item)) for name, item in x.items()))
    if hasattr(type(x), "named_modules"):
        return (id(x), mode_of(x))
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
        """Return the plain values that are around now, and the modes of modules."""
        key: list[Any] = []
        for name, x in self.found():
            if isinstance(x, PLAIN):
                key.append((name, type(x).__name__, repr(x)))
            elif hasattr(type(x), "named_modules"):
                key.append((name, mode_of(x)))
        return tuple(key)

    def objects(self, form: Any) -> list[Any]:
        """Return all that is around or among the arguments, the items of lists and dicts one by one."""
        pending, objects = [*form[0], *form[1].values(), *(x for _, x in self.found())], list[Any]()
        for x in pending:
            objects += x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else (x,)
        return objects


def mode_of(module: Any) -> Any:
    """Return in which mode a module and those below it are."""
    modes = tuple(m.training for _, m in module.named_modules())
    return "training" if all(modes) else modes if any(modes) else "evaluation"


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
    """Whether a function is tinygraph's own: its globals do not change."""
    return (function.__module__ or "").startswith("tinygraph.")


def names_in(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function uses, and those that functions inside of it use."""
    yield from code.co_names
    for x in code.co_consts:
        if isinstance(x, types.CodeType):
            yield from names_in(x)


def differences(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Say which parts of a key differ from those of an earlier one."""
    names = dict.fromkeys([*new, *old])
    return [
        f"{name}: {old.get(name, 'not given')} -> {new.get(name, 'not given')}"
        for name in names
        if new.get(name) != old.get(name)
    ]
