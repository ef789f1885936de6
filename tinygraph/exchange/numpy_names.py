"""NumPy's functions and arguments: how a call of one is read, and what to write for those that have no derivative here.

Loaded when a NumPy function is first called with a Tensor and an argument beside it, or when a call is refused.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygraph.engine.errors import caller
from tinygraph.engine.registry import NUMPY
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.exchange import torch_names
from tinygraph.ops.keywords import SYNONYMS as TORCH
from tinygraph.ops.later import load_all

__all__ = [
    "ARGUMENTS",
    "FUNCTIONS",
    "call_function",
    "call_ufunc",
    "refuse",
    "refuse_arguments",
    "refuse_keywords",
    "translate",
]

Function = Callable[..., Any]
SYNONYMS = {
    "a_min": "min",
    "a_max": "max",
    "newshape": "shape",
    "ddof": "correction",
}  # NumPy's second name of an argument -> ours

# What to write in place of an argument; {value} is what was given, {function} the function's name. A key is an
# argument, or function.argument where that has an answer of its own.
MEMORY = "an array may lie in memory in any order here: leave it out"
COPY = "a Tensor is never changed, so that it does not matter what is copied: leave it out"
ARGUMENTS = {
    "out": "a Tensor is never changed",
    "dtype": "write .astype(dtype) on the operand or the result",
    "casting": "write .astype(dtype) on the operands",
    "initial": "write it as one more operand: {function}(x) + {value}",
    "corrcoef.bias": "leave it out: it has no effect",
    "corrcoef.ddof": "leave it out: it has no effect",
    "interpolation": "write method={value}",
    "cov.fweights": "repeat each row so many times: x.repeat_interleave(weights, 0)",
    "cov.aweights": "write the weighted sums: (w * (x - mean)) @ (x - mean).mT / w.sum()",
    "real_if_close.tol": "leave it out: a Tensor has real numbers alone",
    "trim_zeros.axis": "index the Tensor: trim_zeros takes one axis",
    "max.initial": "write maximum({function}(x), {value})",
    "min.initial": "write minimum({function}(x), {value})",
    "amax.initial": "write maximum({function}(x), {value})",
    "amin.initial": "write minimum({function}(x), {value})",
    "where": "write where(condition, result, other)",
    "sum.where": "write sum(where(condition, x, 0))",
    "mean.where": "write sum(where(condition, x, 0)) / condition.sum()",
    "max.where": "write max(where(condition, x, -inf))",
    "min.where": "write min(where(condition, x, inf))",
    "amax.where": "write max(where(condition, x, -inf))",
    "amin.where": "write min(where(condition, x, inf))",
    "var.where": "write var(x[condition])",
    "std.where": "write std(x[condition])",
    "a_min": "write min={value}",
    "a_max": "write max={value}",
    "newshape": "write shape={value}",
    "writeable": "a Tensor is never changed: leave it out",
    "overwrite_input": "a Tensor is never changed: leave it out",
    **dict.fromkeys(
        ("quantile.weights", "percentile.weights", "nanquantile.weights", "nanpercentile.weights"),
        "write interp(q, cumsum of the sorted weights, sorted values)",
    ),
    "kind": "sorting is always stable: leave it out",
    "order": MEMORY,
    **dict.fromkeys(("sort.order", "argsort.order", "partition.order", "argpartition.order"), "leave it out"),
    "reshape.order": "elements are read in C order: transpose before and after",
    "flatten.order": "elements are read in C order: transpose first",
    "ravel.order": "elements are read in C order: transpose first",
    "copy": COPY,
    "subok": "the result is a Tensor: leave it out",
    "svd.hermitian": "it only saves time: leave it out",
    "like": "the result is a Tensor: leave it out",
    "device": "an array is moved with tinygraph.asarray(array, backend)",
    "signature": "write .astype(dtype) on the operands",
}

# What to write in place of a function: code, with x and y for the arguments. A test runs all of it.
FUNCTIONS = {
    "add.reduce": "sum(x)",
    "logaddexp.reduce": "logsumexp(x)",
    "maximum.reduce": "max(x)",
    "minimum.reduce": "min(x)",
}

COMPLEX = ("linalg.eig", "linalg.eigvals", "roots")

# What these give does not move with x, or in steps.
STEPS = """argwhere count_nonzero digitize flatnonzero histogram histogram2d histogramdd histogram_bin_edges nextafter
nonzero searchsorted"""
SETS = """setdiff1d setxor1d union1d intersect1d unique unique_all unique_counts unique_inverse unique_values isin"""
IN_PLACE = """copyto fill_diagonal place put put_along_axis putmask"""


# What these say of a Tensor is a plain value, as the comparison operators give.
TESTS = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.isfinite, np.isinf, np.isnan,
    np.shape, np.ndim, np.size, np.any, np.all, np.isclose, np.allclose, np.array_equal,
}  # fmt: skip


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], params: Mapping[str, Any]) -> Value:
    """Call a ufunc with Tensors, if it is one of `TESTS`; raise if not.

    Args:
        ufunc: NumPy's function.
        method: of the ufunc: "__call__", "reduce", ….
        inputs: the operands.
        params: other arguments, by name.

    Returns:
        A plain array.

    Raises:
        TypeError: the ufunc, its method or an argument is not here; the message says what to write.

    >>> np.isnan(Tensor([1.0, np.nan]))
    array([False,  True])
    """
    name = f"numpy.{ufunc.__name__}"
    if method != "__call__":
        raise refuse(f"{name}.{method}")
    if ufunc in TESTS:
        return ufunc(*map(array_of, inputs), **params)
    if ufunc not in NUMPY:
        load_all()
        if ufunc not in NUMPY:
            raise refuse(name)
        if not params:
            return NUMPY[ufunc](*inputs)
    raise refuse_arguments(f"{name} of a Tensor", ufunc.__name__, params)


def call_function(function: Function, args: tuple[Any, ...], params: Mapping[str, Any]) -> Value:
    """Call a NumPy function with Tensors.

    Args:
        function: NumPy's function.
        args: the arguments that the caller gave by place.
        params: those that the caller gave by name.

    Returns:
        What our function returns that stands for it; a plain value from one of `TESTS`.

    Raises:
        TypeError: the function or an argument is not here; the message says what to write.

    >>> np.max(Tensor([1.0, 2.0]), 0, None, True)
    Tensor([2.], op=max)
    """
    if function in TESTS:
        return function(*map(array_of, args), **params)
    if function not in NUMPY:
        load_all()
    if function not in NUMPY:
        raise refuse(f"{function.__module__}.{function.__name__}")
    args, params = translate(function, NUMPY[function], args, params)
    return NUMPY[function](*args, **params)


def translate(
    function: Function, ours: Function, args: tuple[Any, ...], params: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return the arguments of a NumPy function as those of ours that stands for it.

    An argument that is given by its place is what NumPy has in that place. NumPy's defaults are left out.

    Args:
        function: NumPy's function.
        ours: the function that it means when it is called with a Tensor.
        args: the arguments that the caller gave by place.
        params: those that the caller gave by name.

    Returns:
        Arguments by place and by name, with which ``ours`` can be called.

    Raises:
        TypeError: ``ours`` has no such argument; the message says what to write.

    >>> from tinygraph.ops.reduce import max
    >>> translate(np.max, max, ([1.0, 2.0], 0, None, True), {})
    (([1.0, 2.0], 0), {'keepdims': True})
    """
    theirs, names, places = compare(function, ours)
    if len(args) <= len(places) and params.keys() <= set(names):
        return args, params
    given = inspect.Signature(list(theirs.values())).bind(*args, **params).arguments
    taken: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for name, value in list(given.items())[min(len(args), len(places)) :]:
        parameter = theirs[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        for key, one in (value if parameter.kind is parameter.VAR_KEYWORD else {name: value}).items():
            ours_name = places.get(key) or SYNONYMS.get(key, key)
            if one is np._NoValue or is_default(one, parameter.default):
                continue
            (taken if ours_name in names else refused)[ours_name if ours_name in names else key] = one
    if refused:
        raise refuse_arguments(f"numpy.{function.__name__} of a Tensor", function.__name__, refused, names)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in theirs.values())
    return args if variadic else args[: len(places)], taken


# What the functions in C take: older releases of NumPy do not say it themselves.
SIGNATURES: dict[str, Function] = {
    "concatenate": lambda arrays, /, axis=0, out=None, *, dtype=None, casting="same_kind": None,
    "where": lambda condition, x=None, y=None, /: None,
}


def parameters_of(function: Function, ours: Function) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a NumPy function; of one that does not say them those in `SIGNATURES`, or else ours."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return inspect.signature(SIGNATURES.get(function.__name__, ours)).parameters


@functools.cache
def compare(function: Function, ours: Function) -> tuple[Mapping[str, inspect.Parameter], list[str], dict[str, str]]:
    """Return NumPy's parameters, the names of ours, and what ours are called in the first places that mean the same."""
    our = inspect.signature(ours).parameters
    theirs = parameters_of(function, ours)
    places: dict[str, str] = {}
    for a, b in zip(theirs.values(), our.values(), strict=False):
        is_operand = b.default is b.empty or not places
        if a.kind is a.VAR_POSITIONAL or not (is_operand or SYNONYMS.get(a.name, a.name) == b.name):
            break
        places[a.name] = b.name
    return theirs, list(our), places


def is_default(value: Any, default: Any) -> bool:
    """Whether an argument says nothing new."""
    return value is default or (type(value) is type(default) and isinstance(value, str | int) and value == default)


def refuse_arguments(who: str, function: str, refused: Mapping[str, Any], names: list[str] | None = None) -> TypeError:
    """Return the error which says that a function has no such arguments, and what to write instead.

    Args:
        who: what the message calls the function.
        function: its name in `ARGUMENTS`.
        refused: the arguments that it has not, with their values.
        names: those that it has.

    Returns:
        A TypeError that names function, arguments and the caller's line.

    >>> refuse_arguments("numpy.var of a Tensor", "var", {"where": 1}).args[0].partition(" at ")[0]
    'numpy.var of a Tensor takes no where=: write var(x[condition])'
    """
    parts = []
    for name, value in refused.items():
        tables = (torch_names.ARGUMENTS, ARGUMENTS) if "numpy" not in who else (ARGUMENTS,)
        found = [table.get(key) for key in (f"{function}.{name}", name) for table in tables]
        advice = next(filter(None, found), "")
        if not advice:
            advice = f"it takes {', '.join(names[1:])}" if names and names[1:] else "leave it out"
        shown = repr(value) if isinstance(value, str | int | float) or value is None else name
        parts.append(f"no {name}=: {advice.format(value=shown, function=function)}")
    return TypeError(f"{who} takes {'; '.join(parts)}{caller()}")


def refuse_keywords(method: str, function: Function, params: Mapping[str, Any], owner: str = "Tensor") -> None:
    """Raise if a method of Tensor, or a function, was called with a keyword that it does not have.

    Args:
        method: name of the method.
        function: the function that it calls.
        params: the keywords of the call.
        owner: "Tensor", or "tinygraph" for a function.

    Raises:
        TypeError: there is such a keyword; the message says what to write instead.

    >>> refuse_keywords("astype", Tensor.astype, {"dtype": np.float32})
    """
    names = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in names.values()):
        return
    refused = {name: value for name, value in params.items() if name not in names and TORCH.get(name) not in names}
    if refused:
        raise refuse_arguments(f"{owner}.{method}", method, refused, list(names)) from None


def refuse(name: str) -> TypeError:
    """Return the error which says that a NumPy function has no derivative here, and what to write instead.

    Args:
        name: of the function, with its module: ``numpy.linalg.norm``.

    Returns:
        A TypeError that names function, substitute and the caller's line.

    >>> refuse("numpy.log1p").args[0].partition(".")[0]
    'numpy'
    """
    short = name.removeprefix("numpy.")
    hint = "to differentiate it, write it as an op: help(tinygraph.op)"
    if short in FUNCTIONS:
        hint = f"write {FUNCTIONS[short]}"
    elif short in ("fft.hfft", "fft.ihfft"):
        hint = "write tinygraph.fft.irfft or rfft, with the imaginary part turned round"
    elif short.startswith("fft."):
        hint = (
            f"write tinygraph.{short}, where a complex number is a pair (real, imaginary) along a last axis of length 2"
        )
    elif short in COMPLEX:
        hint = "its result is complex, and complex numbers are refused"
    elif short in SETS.split():
        hint = "a set says what there is, and not where it came from: sort(x), or take elements by places"
    elif short in IN_PLACE.split():
        hint = "it changes its array, and a Tensor is never changed: write where(mask, values, x), or x.scatter(…)"
    elif short in STEPS.split():
        hint = "it moves in steps and has no derivative to use"
    return TypeError(f"{name} does not know Tensors: {hint}. For the value alone, call it on .data{caller()}")
