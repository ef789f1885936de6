"""NumPy's names: a call is read as NumPy reads it, and what is not here says what to write, in code that runs."""
# ruff: noqa: E501 - a text stands on one line

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import check_each
from tinygraph import Tensor, nn
from tinygraph.engine.registry import NUMPY
from tinygraph.exchange.numpy_names import ARGUMENTS, FUNCTIONS, IN_PLACE, SETS, STEPS, SYNONYMS, compare, parameters_of
from tinygraph.ops.later import load_all

load_all()  # what is tested shall not depend on what ran before
A = np.arange(1.0, 7).reshape(2, 3)
MASK = A > 2
x = Tensor(A, name="x")

READ = [
    lambda x: np.sum(x, 0, None),
    lambda x: np.sum(x, 0, None, None, True),
    lambda x: np.sum(a=x, axis=1, out=None),
    lambda x: np.max(x, 0, None),
    lambda x: np.max(x, 0, None, True),
    lambda x: np.mean(x, 1, None, None, True),
    lambda x: np.std(x, 0, None, None, 0, True),
    lambda x: np.var(x, ddof=1),
    lambda x: np.var(x, 1, mean=np.mean(x, 1, keepdims=True), ddof=1),
    lambda x: np.std(x, 0, None, None, 1),
    lambda x: np.linalg.vector_norm(x, axis=1, ord=3),
    lambda x: np.var(x, axis=0, dtype=None, ddof=0, correction=0),
    lambda x: np.var(x, 0, correction=1),
    lambda x: np.clip(x, 2, 4),
    lambda x: np.clip(x, a_min=2, a_max=None),
    lambda x: np.clip(x, 2, None, out=None),
    lambda x: np.clip(x, max=4),
    lambda x: np.reshape(x, (3, 2), "C"),
    lambda x: np.reshape(x, (3, 2), order="C", copy=None),
    lambda x: np.ravel(x, "C"),
    lambda x: np.transpose(x, axes=(1, 0)),
    lambda x: np.concatenate([x, x], 1, None),
    lambda x: np.concatenate([x, x], axis=None),
    lambda x: np.stack([x, x], 1, out=None),
    lambda x: np.einsum("ij->i", x, optimize=False),
    lambda x: np.einsum("ij,kj->ik", x, x, optimize="greedy"),
    lambda x: np.einsum(x, [0, 1], [1, 0]),
    lambda x: np.pad(x, 1, "constant", constant_values=2),
    lambda x: np.broadcast_to(x, (2, 2, 3), False),
    lambda x: np.expand_dims(x, axis=0),
    lambda x: np.split(x, [1], axis=1)[1],
    lambda x: np.where(MASK, x, 0),
    lambda x: np.argmax(x, 0, None),
    lambda x: np.copy(x, "K"),
]


@pytest.mark.parametrize("call", READ)
def test_arguments_are_read_as_numpy_reads_them(call):
    try:
        expected = call(A)
    except TypeError:
        pytest.skip("this NumPy has no such argument yet")
    np.testing.assert_allclose(call(x).data, expected, rtol=1e-15)


def test_what_has_no_derivative_to_record_gives_a_plain_value():
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)
    assert np.allclose(x, A) and np.array_equal(A, x) and np.all(x) and not np.any(x > 9)
    np.testing.assert_array_equal(np.isclose(x, 3.0), np.isclose(A, 3.0))


REFUSED = [
    (lambda: x.clip(a_min=0), "Tensor.clip takes no a_min=: write min=0"),
    (lambda: x.clip(a_max=2.5), "Tensor.clip takes no a_max=: write max=2.5"),
    (lambda: np.sum(x, dtype=float), "numpy.sum of a Tensor takes no dtype=: write .astype(dtype)"),
    (lambda: np.sum(x, 0, float), "numpy.sum of a Tensor takes no dtype=: write .astype(dtype)"),
    (lambda: x.sum(dtype=float), "Tensor.sum takes no dtype=: write .astype(dtype)"),
    (lambda: x.mean(dtype=float), "Tensor.mean takes no dtype=: write .astype(dtype)"),
    (lambda: np.sum(x, initial=1.5), "numpy.sum of a Tensor takes no initial=: write it as one more operand: sum(x) + 1.5"),
    (lambda: np.max(x, initial=3), "numpy.max of a Tensor takes no initial=: write maximum(max(x), 3)"),
    (lambda: x.min(initial=A[0]), "Tensor.min takes no initial=: write minimum(min(x), initial)"),
    (lambda: np.sum(x, where=MASK), "numpy.sum of a Tensor takes no where=: write sum(where(condition, x, 0))"),
    (lambda: x.max(where=MASK), "Tensor.max takes no where=: write max(where(condition, x, -inf))"),
    (lambda: np.max(x, 0, A[0]), "numpy.max of a Tensor takes no out=: a Tensor is never changed"),
    (lambda: np.sum(x, out=A), "numpy.sum of a Tensor takes no out=: a Tensor is never changed"),
    (lambda: np.argmax(x, 0, A), "numpy.argmax of a Tensor takes no out=: a Tensor is never changed"),
    (lambda: np.reshape(x, (3, 2), order="F"), "numpy.reshape of a Tensor takes no order=: elements are read in C order"),
    (lambda: x.reshape(3, 2, order="F"), "Tensor.reshape takes no order=: elements are read in C order"),
    (lambda: np.ravel(x, "F"), "numpy.ravel of a Tensor takes no order=: elements are read in C order"),
    (lambda: x.flatten(order="F"), "Tensor.flatten takes no order=: elements are read in C order"),
    (lambda: np.concatenate([x, x], dtype="f4"), "numpy.concatenate of a Tensor takes no dtype=: write .astype(dtype)"),
    (lambda: np.concatenate([x], casting="no"), "numpy.concatenate of a Tensor takes no casting=: write .astype(dtype)"),
    (lambda: np.einsum("ij->i", x, out=A), "numpy.einsum of a Tensor takes no out=: a Tensor is never changed"),
    (lambda: x.astype("f4", copy=False), "Tensor.astype takes no copy=: a Tensor is never changed"),
    (lambda: x.astype("f4", order="C"), "Tensor.astype takes no order=: an array may lie in memory in any order"),
    (lambda: np.broadcast_to(x, (2, 3), True), "numpy.broadcast_to of a Tensor takes no subok=: the result is a Tensor"),
    (lambda: np.pad(x, 1, foo=2), "numpy.pad of a Tensor takes no foo=: it takes pad_width, mode, con"),
    (lambda: x.sum(foo=1), "Tensor.sum takes no foo=: it takes axis, keepdims"),
    (lambda: np.exp(x, where=MASK, out=A), "numpy.exp of a Tensor takes no where=: write where(condition, result, other)"),
    (lambda: np.matmul(x, A.T, dtype=float), "numpy.matmul of a Tensor takes no dtype=: write .astype(dtype)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_an_argument_that_is_not_here_says_what_to_write_and_where(call, text):
    with pytest.raises(TypeError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(text)
    assert message.endswith(f" at test_numpy_names.py:{call.__code__.co_firstlineno}")
    assert caught.value.__cause__ is None and caught.value.__suppress_context__ == message.startswith("Tensor.")


def test_other_errors_of_a_method_stay_as_they_are():
    with pytest.raises(TypeError, match="takes from 1 to 3 positional arguments"):
        x.sum(0, True, None)
    with pytest.raises(IndexError, match="axis 5 is out of bounds"):
        x.sum(5)


def test_each_argument_of_numpy_is_here_or_has_an_answer():
    check_each(check_arguments, [f for f in NUMPY if not isinstance(f, np.ufunc)])


def check_arguments(function):
    ours = [*inspect.signature(NUMPY[function]).parameters, *compare(function, NUMPY[function])[2]]
    first = 1 if function is not np.where else 3
    for name, parameter in list(parameters_of(function, NUMPY[function]).items())[first:]:
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and not {
            name,
            SYNONYMS.get(name, name),
        } & set(ours):
            known = ARGUMENTS.keys() & {name, f"{function.__name__}.{name}"}
            assert known or (function.__name__.endswith("_like") and name == "shape"), name


# The arguments with which a substitute is compared with NumPy's function, where they are not (x,) or (x, y).
V, W, M = np.array([3.0, 1.5, 2.5, 4.0]), np.array([2.0, 0.5, 3.0, 1.5]), np.array([[1.5, 2.0], [3.0, 0.5]])
CALLS = {
    "arctanh": (W / 4,),
    "array_split": (V, [2, 3]),
    "average": (V, None, W),
    "diag": (M,), "diagonal": (M,), "trace": (M,), "linalg.trace": (M,), "linalg.diagonal": (M,), "matrix_transpose": (M,),
    "linalg.matrix_transpose": (M,), "tril": (M,), "triu": (M,), "rot90": (M,), "fliplr": (M,), "flipud": (M,),
    "hsplit": (M, 2), "vsplit": (M, 2),
    "column_stack": ([V, W],), "hstack": ([V, W],), "vstack": ([V, W],), "dstack": ([M, M],),
    "linalg.matmul": (M, M), "tensordot": (M, M, 1),
    "repeat": (V, 2), "roll": (V, 1), "tile": (V, 2), "take": (V, np.array([2, 0])),
    "nan_to_num": (np.array([np.nan, 1.0]),), "nansum": (np.array([np.nan, 1.0]),),
    "nanmax": (np.array([np.nan, 1.0]),), "nanmin": (np.array([np.nan, 1.0]),),
    "add.reduce": (V,), "maximum.reduce": (V,), "minimum.reduce": (V,), "logaddexp.reduce": (V,),
}  # fmt: skip
TWO = {"append", "dot", "float_power", "fmax", "fmin", "hypot", "inner", "linalg.outer", "linalg.vecdot", "outer", "vdot", "vecdot"}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_substitute_gives_what_numpy_gives(name):
    """The code of the message, run on Tensors; and the message says it."""
    function = np
    for part in name.split("."):
        if not hasattr(function, part):
            pytest.skip(f"this NumPy has no {name}")
        function = getattr(function, part)
    args = CALLS.get(name, (V, W) if name in TWO else (V,))
    wanted = function(*args)
    arrays = args[0] if isinstance(args[0], list) else args
    lift = lambda a: Tensor(a) if getattr(a, "dtype", None) == np.float64 else a
    names = dict(zip(("x", "y"), map(lift, arrays), strict=False))
    names |= {"n": args[1] if len(args) > 1 else None, "indices": args[-1], "weights": args[-1], "np": np}
    if name == "dstack":
        names["y"] = names["x"]
    found = eval(FUNCTIONS[name], {f: getattr(tg, f) for f in dir(tg)} | names)
    for a, b in zip(found, wanted, strict=True) if isinstance(found, list) else [(found, wanted)]:
        assert isinstance(a, Tensor)
        np.testing.assert_allclose(a.data, b, rtol=1e-12)
    with pytest.raises(TypeError, match=re.escape(f"does not know Tensors: write {FUNCTIONS[name]}. For the value")):
        function(list(map(lift, args[0])) if isinstance(args[0], list) else lift(args[0]), *args[1:])


@pytest.mark.parametrize("name", STEPS.split())
def test_a_function_that_moves_in_steps_says_so(name):
    args = {"digitize": (x, [1, 2]), "searchsorted": (x, 1), "nextafter": (x, 1), "histogram2d": (x[0], x[0])}.get(
        name, (x,)
    )
    args = {"heaviside": (x, 1), "floor_divide": (x, 2)}.get(name, args)
    with pytest.raises(TypeError, match=r"does not know Tensors: it moves in steps.*call it on \.data"):
        getattr(np, name)(*args)


def test_the_substitutes_are_no_functions_that_are_here():
    here = {f.__name__ for f in NUMPY}
    assert not here & FUNCTIONS.keys()
    assert not here & {*STEPS.split(), *SETS.split(), *IN_PLACE.split()}


def test_they_are_loaded_only_when_they_are_needed():
    import subprocess
    import sys

    code = "import sys, tinygraph as tg, numpy as np; np.sum(tg.Tensor(np.ones(3))); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tinygraph.exchange" not in done.stdout


def test_modules_are_called_as_before():
    """A TypeError inside of a method is not taken for one of its arguments."""

    @tg.op("$x", method="halved", x=("1/2", lambda g: g / 2))
    def halved(x):
        raise TypeError("inside")

    try:
        with pytest.raises(TypeError, match="inside"):
            x.halved()
        assert nn.Linear(3, 2)(x).shape == (2, 2)
    finally:
        del tg.OPS["halved"], Tensor.halved


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.2.0", reason="counted in NumPy's newer names")
def test_of_numpys_differentiable_functions_at_most_40_refuse():
    """Value and gradient of all others are right; those that refuse stand in docs/ops.md with a reason."""
    from tests.numpy_names import survey

    found = survey()
    refused = {name: text for name, (verdict, text) in found.items() if verdict == "refuses"}
    text = (Path(__file__).parents[2] / "docs" / "ops.md").read_text(encoding="utf-8").partition("What stays out")[2]
    assert len(found) - len(refused) > 250
    assert len(refused) <= 40, refused
    assert not {name for name in refused if f"`{name}`" not in text}
    assert not {name: text for name, (verdict, text) in found.items() if verdict == "differs"}


def test_a_transform_that_is_not_here_either_names_one_that_is():
    for name, part in (("hfft", "write tinygraph.fft.irfft or rfft"), ("irfft", "write tinygraph.fft.irfft, where")):
        with pytest.raises(TypeError, match=part):
            getattr(np.fft, name)(tg.Tensor([1.0, 2.0]))
