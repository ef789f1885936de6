"""Kernels as CUDA C, for CuPy: nvcc takes them, and they are right, thread by thread on the CPU or on a GPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tests import random_sums
from tests.compiler.test_compiled import (
    CASES,
    CHANNELS,
    IMAGES,
    LABELS,
    MATRIX,
    PARAMETERS,
    bn_relu,
    error,
    gelu,
    images,
    normal,
    rms_norm,
)
from tests.conftest import why_no_gpu
from tests.cuda_on_cpu import nvcc_takes
from tinygraph.compiler import compiled as module
from tinygraph.compiler import in_cuda, launch
from tinygraph.compiler.standin import CompileError
from tinygraph.kernels.arrays import to_numpy


@pytest.fixture
def cupy(cupy_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A CuPy without a GPU; small arrays are compiled for, too, and share several blocks of two warps."""
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(launch, "THREADS", 64)
    monkeypatch.setattr(launch, "BLOCKS", 5)
    monkeypatch.setattr(launch, "WORK", 1)
    return cupy_on_cpu


def cast(x: Any, dtype: Any) -> Any:
    """An array of CuPy; whole numbers and conditions keep their type."""
    return tg.asarray(x.astype(dtype) if x.dtype.kind == "f" else x, "cupy")


def results(function: Callable[..., Any], arrays: Any, dtype: Any) -> list[np.ndarray]:
    """The value, and all gradients for an upstream gradient without structure; computed on the device."""
    leaves = [tg.Tensor(cast(x, dtype)) if x.dtype.kind == "f" else cast(x, dtype) for x in arrays]
    y = function(*leaves)
    seed = np.random.default_rng(7).standard_normal(y.shape)
    tensors = [x for x in leaves if isinstance(x, tg.Tensor)]
    return [a.get() for a in (y.data, *tg.grad(y, tensors, cast(seed, dtype)))]


def compiled(function: Callable[..., Any]) -> Any:
    return tg.compile(function, backend="numpy")


def dropped(x, mask, scale):
    return tg.where(mask, x * scale, 0.0) + tg.tanh(x) * 0.5


def columns_and_rows(x):
    """Reductions over all axes, and a value of one that another waits for."""
    top = x.max(1, keepdims=True)
    return (tg.exp(x - top).sum(0) * x.min((0, 2), keepdims=True)).mean(1) + x.sum((1, 2), keepdims=True) / (
        x * x
    ).sum()


def two_directions(x):
    """A softmax along one axis of one along another, and what varies along the one in the middle."""
    return tg.softmax(tg.softmax(x, axis=1), axis=0) * x.mean((0, 2), keepdims=True)


def weighted_total(x, w):
    """One number of what several blocks found side by side."""
    return tg.tanh(x * w).sum()


def gated(x, gate):
    """More places beside a reduction than a block has columns, each with a value that is known from the start."""
    return tg.softmax(x, axis=1) * tg.exp(gate)


def labelled(x, labels):
    return tg.cross_entropy(x, labels)


CUBE = normal(5, 6, 7)
OWN: list[tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = [
    *CASES,
    (dropped, (MATRIX, normal(40, 24, seed=5) > 0, np.array(1.5))),
    (columns_and_rows, (CUBE,)),
    (two_directions, (CUBE,)),
    (gated, (normal(11, 3, 40), normal(11, 1, 40, seed=1))),
    (weighted_total, (normal(9, 70), normal(70, seed=1))),
    (labelled, (MATRIX, LABELS)),
    (lambda x: tg.tanh(x).sum(), (MATRIX,)),
    (lambda x: x.T * 2.0 + x.T, (MATRIX,)),
]
EACH = pytest.mark.parametrize(("function", "arrays"), OWN, ids=[f.__name__.strip("<>") for f, _ in OWN])


def exact(function: Callable[..., Any], arrays: Any) -> list[np.ndarray]:
    """What NumPy makes of the function itself, in float64."""
    leaves = [tg.Tensor(x) if x.dtype.kind == "f" else x for x in arrays]
    y = function(*leaves)
    seed = np.random.default_rng(7).standard_normal(y.shape)
    return [y.data, *tg.grad(y, [x for x in leaves if isinstance(x, tg.Tensor)], seed)]


@EACH
def test_values_and_gradients(function, arrays, cupy):
    made = compiled(function)
    arrays = [x.astype(np.float32).astype(x.dtype) for x in arrays]
    found = results(made, arrays, np.float32)
    assert all(x.dtype == np.float32 for x in found)
    assert error(found, exact(function, arrays)) < 1e-6
    assert "__global__" in made.source


@pytest.mark.parametrize(("function", "arrays"), [*OWN[:4:3], OWN[9], *OWN[11:13], *OWN[18:20]])
def test_double_precision(function, arrays, cupy):
    assert error(results(compiled(function), arrays, np.float64), exact(function, arrays)) < 1e-12


@pytest.mark.parametrize("offset", [1e4, 1e6])
@pytest.mark.parametrize(
    ("function", "arrays"), [(tg.batch_norm, (MATRIX, *PARAMETERS)), (images, (IMAGES, *CHANNELS)), CASES[3]]
)
def test_far_from_zero(function, arrays, offset, cupy):
    """Within 1e-6 of float64 where E[x²] - E[x]² has no digit left; also after an outlier."""
    x = arrays[0] + offset
    x[0] += 1000
    arrays = [a.astype(np.float32).astype(float) for a in (x, *arrays[1:])]
    assert error(results(compiled(function), arrays, np.float32), exact(function, arrays)) < 1e-6


def test_long_sums_keep_their_digits(cupy, monkeypatch):
    """A thread that adds up 4000 values is as exact as one that adds up 64: more go into float64."""
    monkeypatch.setattr(launch, "BLOCKS", 1)
    x = np.full(4000 * 64, 0.3).astype(np.float32)
    found = compiled(lambda x: (x * x).sum())(cast(x, np.float32)).get()
    assert abs(found / (x.astype(float) ** 2).sum() - 1) < 1e-6


@pytest.mark.parametrize(("function", "arrays"), [CASES[0], CASES[3], (bn_relu, CASES[0][1]), CASES[9]])
def test_half_precision(function, arrays, cupy):
    """float16 in, float32 inside, float16 out: within a rounding of what float64 gives for the same inputs."""
    arrays = [x.astype(np.float16).astype(float) for x in arrays]
    made = compiled(function)
    found = results(made, arrays, np.float16)
    assert [x.dtype for x in found] == [np.float16] * len(found)
    assert error(found, exact_for_half(function, arrays)) < 1e-3
    assert "__half" in made.source


def exact_for_half(function: Callable[..., Any], arrays: Any) -> list[np.ndarray]:
    leaves = [tg.Tensor(x) for x in arrays]
    y = function(*leaves)
    seed = np.random.default_rng(7).standard_normal(y.shape).astype(np.float16).astype(float)
    return [y.data, *tg.grad(y, leaves, seed)]


def test_shapes_of_all_kinds(cupy, monkeypatch):
    """One row, one column, more columns than a warp has threads, more rows than blocks; one block, and many."""
    for shape in ((1, 70), (70, 1), (2, 1, 3, 1), (9, 33, 2)):
        for axes in {(0,), tuple(range(1, len(shape)))}:
            f = lambda x, a=axes: (x - x.mean(a, keepdims=True)) * x.max(a, keepdims=True)
            for blocks in (1, 64):  # of the same source
                monkeypatch.setattr(launch, "BLOCKS", blocks)
                x = normal(*shape)
                assert error(results(compiled(f), [x], np.float64), exact(f, [x])) < 1e-12


def test_any_strides(cupy):
    x = normal(12, 10, 6)
    views = [x.transpose(2, 0, 1), x[::2, ::-1], x[:, 1:9, ::3], np.broadcast_to(x[:1], x.shape), x[..., 0]]
    f = lambda t: tg.softmax(t * 2.0, axis=0) + t.mean(-1, keepdims=True)
    made = compiled(f)
    for view in views:
        y = made(tg.Tensor(cupy.ndarray(view)))
        assert np.allclose(y.data.get(), f(view), rtol=1e-12)


def test_equal_inputs_give_equal_bits(cupy):
    """Sums are joined in one order: no atomics."""
    arrays = normal(70, 40), normal(40), normal(40)
    made = compiled(tg.layer_norm)
    first, second = (results(made, arrays, np.float32) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert "atomic" not in made.source + in_cuda.HEAD


def test_two_outputs_and_second_derivatives(cupy):
    def both(x, y):
        return {"product": x * y, "sums": [(x + y).sum(0)]}

    arrays = [normal(20, 8, seed=s) for s in (1, 2)]
    found = []
    for f, place in ((compiled(both), lambda x: cast(x, float)), (both, lambda x: x)):
        x, y = (tg.Tensor(place(a)) for a in arrays)
        out = f(x, y)
        first = tg.grad((out["product"] ** 2).sum() + (out["sums"][0] ** 3).sum(), [x, y], create_graph=True)
        every = out["product"].data, *[g.data for g in first], *tg.grad((first[0] * first[1]).sum(), [x, y])
        found.append([to_numpy(a) for a in every])
    assert error(found[0], found[1]) < 1e-12


def test_products_stay_calls_of_cupy(cupy):
    w, v = normal(24, 7, seed=5), normal(7, 3, seed=6)
    f = lambda x, w, v: tg.softmax(tg.relu(tg.batch_norm(x @ w)) @ v)
    made = compiled(f)
    assert error(results(made, [MATRIX, w, v], np.float64), exact(f, [MATRIX, w, v])) < 1e-11
    assert [s.what for s in made.plan()[0].steps if s.what != "kernel"].count("matmul") == 6


def test_the_plan_is_that_of_numba(cupy):
    made = compiled(tg.batch_norm)
    results(made, CASES[0][1], np.float32)
    forward, backward = made.plan()[0].steps
    assert (forward.sweeps, backward.sweeps) == (2, 2)


def test_parameters_and_constants_around_the_function(cupy):
    """Parameters are read anew, and an array of NumPy that the function makes goes to the device."""
    w = tg.Parameter(cast(normal(24), float))
    made = compiled(lambda x: tg.tanh(x * w) * np.linspace(0, 1, 24) + np.float64(2))
    for scale in (1.0, 3.0):
        w.data = cast(normal(24) * scale, float)
        w.grad = None
        y = made(cast(MATRIX, float))
        y.sum().backward()
        slope = (1 - np.tanh(MATRIX * w.data.get()) ** 2) * MATRIX * np.linspace(0, 1, 24)
        assert np.allclose(y.data.get(), np.tanh(MATRIX * w.data.get()) * np.linspace(0, 1, 24) + 2)
        assert np.allclose(w.grad.get(), slope.sum(0))
    assert len(made.versions) == 1


def test_dropout_is_drawn_anew(cupy):
    made = compiled(lambda x: tg.nn.functional.dropout(x, 0.5))
    x = tg.Tensor(cast(np.ones((40, 24)), np.float32))
    first, second = made(x), made(x)
    first.sum().backward()
    assert set(np.unique(first.data.get())) == {0, 2}
    assert np.array_equal(x.grad.get(), first.data.get())
    assert not np.array_equal(first.data.get(), second.data.get())


def test_checks_and_labels(cupy):
    made = compiled(tg.cross_entropy)
    made(cast(MATRIX, float), cast(LABELS, int))
    with pytest.raises(ValueError, match="indices go from"):
        made(cast(MATRIX, float), cast(LABELS + 24, int))


def test_whole_numbers_keep_their_digits(cupy):
    """Labels, and numbers that float32 has not, are compared as whole numbers."""
    n = np.array([2**24, 2**24 + 1, -(2**40), 2**40 + 1] * 12).reshape(8, 6)
    made = compiled(lambda x, n, m: tg.where(tg.equal(n, m), x, 0.0))
    x = np.ones((8, 6), np.float32)
    m = n.copy()
    m[::2] += 1
    y = made(*(tg.asarray(a, "cupy") for a in (x, n, m)))
    assert np.array_equal(y.get(), n == m)
    many = tg.asarray(n, "cupy")
    assert np.allclose(compiled(lambda x, n: x + n.astype(np.float64))(cast(x, float), many).get(), x + n, rtol=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_and_infinity_go_where_they_go_in_eager(cupy):
    x = MATRIX.copy()
    x[3, 4], x[5, 6], x[7, 8] = np.nan, np.inf, -np.inf
    for f in (tg.batch_norm, tg.softmax, lambda t: tg.maximum(tg.relu(t), 0.5) + t.max(0) + t.min(1, keepdims=True)):
        found = compiled(f)(cast(x, np.float32)).get()
        assert np.allclose(found, f(x.astype(np.float32)), equal_nan=True, rtol=1e-5, atol=1e-5)


def test_a_whole_step(cupy):
    """Adam and the parameters stay on the device, and come to what they come to with NumPy."""

    def trained(library: str) -> list[np.ndarray]:
        w = tg.Parameter(tg.asarray(normal(24, 5), library), name="w")
        optimizer = tg.optim.Adam([w], lr=0.1)

        @tg.compile(backend="numpy", whole=True)
        def step(x, target):
            optimizer.zero_grad()
            loss = ((tg.tanh(x @ w) - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        x, target = (tg.asarray(a, library) for a in (MATRIX, normal(40, 5)))
        losses = [to_numpy(step(x, target).data) for _ in range(3)]
        assert ("__global__" in step.source) == (library == "cupy")
        return [np.array(losses), to_numpy(w.data)]

    assert error(trained("cupy"), trained("numpy")) < 1e-12


def test_a_whole_step_whose_arrays_are_all_around_it(cupy):
    def trained(library: str) -> np.ndarray:
        w = tg.Parameter(tg.asarray(normal(24, 5), library), name="w")
        optimizer = tg.optim.SGD([w], lr=0.1)

        @tg.compile(backend="numpy", whole=True)
        def step():
            optimizer.zero_grad()
            (w**2).sum().backward()
            optimizer.step()

        step()
        assert ("__global__" in step.source) == (library == "cupy")
        return to_numpy(w.data)

    assert error([trained("cupy")], [0.8 * normal(24, 5)]) < 1e-12


def test_libraries_have_versions_of_their_own(cupy):
    made = compiled(tg.softmax)
    on_device = tg.asarray(MATRIX, "cupy")
    assert np.allclose(made(on_device).get(), made(MATRIX))
    assert type(made(on_device)) is cupy.ndarray
    assert made.explain().splitlines()[1] == "2. x: float64[40,24] of CuPy -> float64[40,24]"
    cuda, numpy = made.source.split("# 2. ")
    assert "__global__" in cuda
    assert "def kernel(" in numpy
    with pytest.raises(TypeError, match="cupy and numpy do not mix"):
        compiled(lambda x, y: x + y)(tg.Tensor(on_device), MATRIX)
    w = tg.Parameter(normal(24))
    with pytest.raises(TypeError, match="cupy and numpy do not mix"):
        compiled(lambda x: x * w)(on_device)


def test_what_has_no_cuda_c_runs_as_it_is(cupy):
    x = tg.asarray(MATRIX, "cupy")
    mask = tg.asarray(MATRIX > 0, "cupy")
    made = compiled(lambda t: np.multiply(t, mask) + 1.0)
    assert np.allclose(made(x).get(), np.maximum(MATRIX, 0) + 1)
    assert made.versions

    def own_function_of_cupy(t):
        if not isinstance(t, cupy.ndarray):
            raise TypeError("Unsupported type")  # a stand-in, while tracing
        return t * 2

    made = compiled(own_function_of_cupy)
    for _ in range(2):
        assert np.allclose(made(x).get(), 2 * MATRIX)
    assert not made.versions
    with pytest.raises(CompileError, match="looks at a value"):
        compiled(lambda x: x * float(x.sum()))(x)


@pytest.mark.parametrize("seed", [0, 26, 183, 420])
def test_random_graphs(seed, cupy):
    assert not random_sums.check(seed, "cuda")


def sources() -> Iterator[str]:
    """The kernels of all cases; of some, for all types."""
    for i, (function, arrays) in enumerate(OWN):
        for dtype in (np.float32, np.float64, np.float16)[: 3 if i < 4 else 1]:
            made = compiled(function)
            results(made, arrays, dtype)
            yield from (s.do.source for vs in made.versions.values() for v in vs for s in v.program.steps if s.kernel)


def test_the_source_is_the_same_each_time_and_has_names(cupy):
    first, second = [], []
    for found in (first, second):
        made = compiled(tg.batch_norm)
        results(made, CASES[0][1], np.float32)
        found.append(made.source)
    assert first == second
    assert re.search(r"\bw\d+_mu = ", first[0])
    assert re.search(r"\bw\d+_sigma = ", first[0])


def test_nvcc_takes_all_sources(cupy, monkeypatch, tmp_path):
    """All in one file: functions get names of their own."""
    monkeypatch.setattr(launch.CudaLaunch, "run", lambda self, given: None)
    text = ["#include <cuda_fp16.h>\n", in_cuda.HEAD]
    for i, source in enumerate(dict.fromkeys(sources())):
        text.append(re.sub(r"void (\w+)\(", rf"void kernel{i}_\1(", source))
    path = tmp_path / "kernels.cu"
    path.write_text("\n".join(text))
    nvcc_takes(path, "-fmad=false")


@pytest.mark.gpu
@EACH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_a_gpu(function, arrays, dtype, monkeypatch):
    if reason := why_no_gpu():
        pytest.skip(reason)
    monkeypatch.setattr(module, "SMALL", 0)
    arrays = [x.astype(dtype).astype(x.dtype) for x in arrays]
    made = compiled(function)
    found = results(made, arrays, dtype)
    assert all(x.dtype == dtype for x in found)
    assert error(found, exact(function, arrays)) < (1e-6 if dtype is np.float32 else 1e-12)
    assert "__global__" in made.source


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(4096, 1000), (300, 5000), (64, 32, 28, 28)])
def test_large_arrays_on_a_gpu(shape):
    """Many blocks, stretches of many values, and equal bits each time."""
    if reason := why_no_gpu():
        pytest.skip(reason)
    channels = shape[1]
    arrays = [(normal(*shape) + 1e4).astype(np.float32).astype(float), normal(channels), normal(channels)]
    functions = [images] if len(shape) == 4 else [tg.batch_norm, tg.layer_norm, rms_norm_of_three, gelu_of_three]
    for f in functions:
        made = compiled(f)
        found, again = (results(made, arrays, np.float32) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
        arrays32 = [a.astype(np.float32).astype(float) for a in arrays]
        assert error(found, exact(f, arrays32)) < 2e-6


def rms_norm_of_three(x, gamma, beta):
    return rms_norm(x, gamma) + beta


def gelu_of_three(x, gamma, beta):
    return gelu((x - 1e4) * gamma + beta)
