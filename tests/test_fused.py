"""The fused ops on every route, against their composites in float64 and against PyTorch, at all orders."""

from __future__ import annotations

import ctypes
import importlib
import importlib.resources
import inspect
import pkgutil
import shutil
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tests import cuda_on_cpu
from tests.cases import close
from tests.conftest import why_no_gpu
from tests.decoy import Decoy
from tinygraph import Tensor, fused, grad
from tinygraph.fused import batch, layer
from tinygraph.kernels import cuda, jit, llvm, threads
from tinygraph.kernels import route as routes
from tinygraph.kernels.llvm import fetch_add
from tinygraph.kernels.threads import LINE, pieces_done, sweep, wait_for

FUSED = {"batch_norm": fused.batch_norm, "layer_norm": fused.layer_norm}
DEFINED = {"batch_norm": tg.batch_norm, "layer_norm": tg.layer_norm}
PACKAGES = {"batch_norm": batch, "layer_norm": layer}
CASES = [
    ("batch_norm", (90, 64), 0), ("batch_norm", (1100, 500), 0), ("batch_norm", (97, 3), 0), ("batch_norm", (2, 40), 0),
    ("batch_norm", (6, 5, 9, 10), (0, 2, 3)), ("batch_norm", (70, 3, 60, 60), (0, 2, 3)),
    ("batch_norm", (33, 6, 3, 3), (0, 2, 3)),
    ("batch_norm", (2, 3, 9000), (0, 2)), ("batch_norm", (7, 4, 6), (1,)), ("batch_norm", (7, 4, 6), (-1, 0)),
    ("batch_norm", (9, 4, 5, 6), (0, 2)), ("batch_norm", (7, 20), (0, 1)),
    ("layer_norm", (90, 64), -1), ("layer_norm", (1100, 500), -1), ("layer_norm", (5, 9000), -1),
    ("layer_norm", (40, 2), -1),
    ("layer_norm", (6, 5, 9, 10), (1, 2, 3)), ("layer_norm", (6, 5, 90), (-1,)), ("layer_norm", (70, 9), 0),
    ("layer_norm", (7, 4, 6), (0, 2)), ("layer_norm", (40,), -1),
]  # fmt: skip
EACH = pytest.mark.parametrize(("name", "shape", "axis"), CASES)
SMALL = pytest.mark.parametrize(("name", "shape", "axis"), [CASES[4], CASES[0], CASES[12], CASES[16]])


def numba_is_there() -> bool:
    return jit.load_numba() is not None


@pytest.fixture(params=["plain", "numpy", "numba"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send every array by one route."""
    if request.param == "numba" and not numba_is_there():
        pytest.skip("Numba is not installed")
    monkeypatch.setenv("TINYGRAPH_FUSED", request.param)
    return request.param


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget what is known of Numba, and what it made."""
    kernels = [k for m in PACKAGES.values() for k in every_kernel(m)]
    before, patience = [dict(k.compiled) for k in kernels], jit.Kernel.patience
    for kernel in kernels:
        kernel.compiled.clear()
    forget = lambda: (jit.load_numba.cache_clear(), routes.route_of.cache_clear())
    forget()
    yield
    forget()
    jit.Kernel.patience = patience
    for kernel, compiled in zip(kernels, before, strict=True):
        kernel.compiled.update(compiled)


def every_kernel(package: Any) -> list[jit.Kernel]:
    return [x for x in vars(package.numba).values() if isinstance(x, jit.Kernel)]


def parameters(name: str, shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """The shape of γ and β."""
    axes = {a % len(shape) for a in np.atleast_1d(axis)}
    return tuple(n for a, n in enumerate(shape) if (a in axes) == (name == "layer_norm"))


def make_batch(
    name: str, shape: tuple[int, ...], axis: Any, dtype: Any = np.float64, offset: float = 0.0
) -> list[np.ndarray]:
    """x, γ, β and an upstream gradient."""
    rng, kept = np.random.default_rng(0), parameters(name, shape, axis)
    draw = lambda n, m: (rng.standard_normal(n) + m).astype(dtype)
    return [draw(shape, offset), draw(kept, 0.3), draw(kept, 0.0), draw(shape, 0.1)]


def passes(function: Any, inputs: list[Any], **params: Any) -> list[np.ndarray]:
    """The output and the gradients in all operands that are given."""
    *operands, g = inputs
    leaves = [None if p is None else Tensor(p) for p in operands]
    y = function(*leaves, **params)
    return [y.data, *grad(y, [p for p in leaves if p is not None], g)]


def wanted(name: str, inputs: list[Any], **params: Any) -> list[np.ndarray]:
    """The same by the composite in float64."""
    return passes(DEFINED[name], [p if p is None else np.asarray(p, np.float64) for p in inputs], **params)


def check(name: str, inputs: list[Any], tolerance: float, **params: Any) -> None:
    found = passes(FUSED[name], inputs, **params)
    names = [what for what, p in zip(("y", "dx", "dγ", "dβ"), [1, *inputs[:3]], strict=True) if p is not None]
    for what, a, b in zip(names, found, wanted(name, inputs, **params), strict=True):
        assert a.dtype == inputs[0].dtype
        scale, error = np.abs(b).max(), np.abs(a.astype(np.float64) - b).max()
        assert a.shape == b.shape and error <= tolerance * scale, f"{name}: {what} is off by {error / scale:.2g}"


TOLERANCE = {np.float16: 1e-3, np.float32: 3e-6, np.float64: 1e-12}


@EACH
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_value_and_gradients(name, shape, axis, dtype, way):
    check(name, make_batch(name, shape, axis, dtype), TOLERANCE[dtype], axis=axis)


@EACH
def test_value_and_gradients_far_from_0(name, shape, axis, way):
    check(name, make_batch(name, shape, axis, np.float32, 1e4), 3e-6, axis=axis)


@EACH
@pytest.mark.parametrize("given", [(False, False), (True, False), (False, True)])
def test_without_parameters(name, shape, axis, given, way):
    x, gamma, beta, g = make_batch(name, shape, axis, np.float32)
    gamma, beta = (p if there else None for p, there in zip((gamma, beta), given, strict=True))
    check(name, [x, gamma, beta, g], TOLERANCE[np.float32], axis=axis)


@pytest.mark.parametrize(("name", "shape", "axis"), [CASES[0], CASES[4], CASES[12], CASES[16]])
def test_pytorch_agrees(name, shape, axis, way):
    torch = pytest.importorskip("torch")
    inputs = make_batch(name, shape, axis)
    x, gamma, beta, g = (torch.tensor(p, requires_grad=i < 3) for i, p in enumerate(inputs))
    F = torch.nn.functional
    if name == "batch_norm":
        y = F.batch_norm(x, None, None, gamma, beta, training=True)
    else:
        y = F.layer_norm(x, gamma.shape, gamma, beta)
    right = [y, *torch.autograd.grad(y, (x, gamma, beta), g)]
    for a, b in zip(passes(FUSED[name], inputs, axis=axis), right, strict=True):
        close(a, b.detach().numpy(), 1e-12)


@SMALL
def test_all_orders_are_the_composites(name, shape, axis, way):
    *inputs, g = make_batch(name, shape, axis)
    rng = np.random.default_rng(1)

    def orders(function: Any) -> list[np.ndarray]:
        leaves = [Tensor(p) for p in inputs]
        outputs, cotangents = [function(*leaves, axis=axis)], [g]
        found = []
        for _ in range(3):
            outputs = list(grad(outputs, leaves, cotangents, create_graph=True, materialize_grads=True))
            found += [t.data for t in outputs]
            outputs = [t for t in outputs if t.requires_grad]
            cotangents = [
                directions.setdefault((len(found), i), rng.standard_normal(t.shape)) for i, t in enumerate(outputs)
            ]
        return found

    directions: dict[Any, np.ndarray] = {}
    for a, b in zip(orders(FUSED[name]), orders(DEFINED[name]), strict=True):
        close(a, b, 1e-9)


def test_a_plain_array_may_stand_beside_tensors():
    """Order 2 with γ an array, and x and β Tensors: none of them is compared with the array by ==."""
    x, w = np.random.default_rng(0).standard_normal((2, 5, 3))
    found = []
    for f in (fused.batch_norm, tg.batch_norm):
        leaves = Tensor(x), Tensor(w[0])
        (first,) = grad(f(leaves[0], w[1], leaves[1]), leaves[0], w, create_graph=True)
        found.append(grad((first * first).sum(), leaves[0])[0])
    close(*found, 1e-9, "second derivative")


@SMALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_corners(name, shape, axis, dtype, way):
    x, gamma, beta, g = make_batch(name, shape, axis, dtype)
    tolerance = 3 * TOLERANCE[dtype]
    check(name, [x, gamma * 0, beta + 1, g], tolerance, axis=axis)
    check(name, [x, gamma, beta, g], tolerance, axis=axis, eps=0.0)
    check(name, [x * dtype(1e-6), gamma, beta, g], tolerance, axis=axis)
    check(name, [x, gamma, beta, g], tolerance, axis=axis, eps=10.0)
    constant = np.copy(x)
    where = (slice(None), 2) if name == "batch_norm" else 2
    constant[where] = 3.0
    check(name, [constant, gamma, beta, g], tolerance, axis=axis)
    with pytest.raises(ValueError, match="eps is 0 and the variance of a channel is 0"):
        FUSED[name](constant, gamma, beta, axis=axis, eps=0.0)
    outlier = np.copy(x)
    outlier[(0,) * x.ndim] = 1e4
    check(name, [outlier, gamma, beta, g], tolerance, axis=axis)


@SMALL
def test_a_nan_stays_in_its_channel(name, shape, axis, way):
    x, gamma, beta, g = make_batch(name, shape, axis, np.float32)
    x[(1,) * x.ndim] = np.nan
    y, dx, *_ = passes(FUSED[name], [x, gamma, beta, g], axis=axis)
    channel = (slice(None), 1) if name == "batch_norm" else 1
    for found in (y, dx):
        assert np.isnan(found[channel]).all()
        assert np.isnan(found).sum() == found[channel].size


@SMALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_value_at_the_greatest_of_the_dtype(name, shape, axis, dtype, way):
    """Its squares overflow: in float64 the composite takes the variance as infinite; in float32 we compute on."""
    x, gamma, beta, g = make_batch(name, shape, axis, dtype)
    x[(1,) * x.ndim] = np.finfo(dtype).max
    g *= 3
    with np.errstate(over="ignore"):
        check(name, [x, gamma, beta, g], 2 * TOLERANCE[dtype], axis=axis)


def test_statistics_of_a_batch():
    x = np.random.default_rng(0).standard_normal((9, 3, 4)) + 5
    for kind in (np.float32, np.float64):
        y = fused.batch_norm(Tensor(x.astype(kind)), axis=(0, 2), eps=0.5)
        mean, variance = fused.batch_norm_statistics(y)
        assert mean.dtype == variance.dtype == np.float64 and mean.shape == variance.shape == (3,)
        close(mean, x.mean((0, 2)), 1e-6)
        close(variance, x.var((0, 2)), 1e-5)
    for wrong in (x, Tensor(x), fused.layer_norm(Tensor(x)), y * 2):
        with pytest.raises(TypeError, match="y must be a Tensor that fused"):
            fused.batch_norm_statistics(wrong)
    y.backward(x, retain_graph=False)
    with pytest.raises(ValueError, match="the graph of y was freed"):
        fused.batch_norm_statistics(y)


def test_the_functions_are_not_hidden_by_modules():
    """An import of a submodule sets an attribute of its package."""
    for module in pkgutil.walk_packages(fused.__path__, "tinygraph.fused."):
        importlib.import_module(module.name)
    for name in fused.__all__:
        assert inspect.isfunction(getattr(fused, name)), f"tinygraph.fused.{name} is no function"


@SMALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_in_memory(name, shape, axis, dtype, way):
    x, gamma, beta, g = make_batch(name, shape, axis, dtype)
    twice = np.repeat(x, 2, axis=-1)[..., ::2]
    row = np.broadcast_to(g[..., :1], shape)  # stride 0
    for a in (x, np.asfortranarray(x), twice, x[::-1], x[..., ::-1]):
        for upstream in (g, np.asfortranarray(g), row):
            check(name, [a, gamma, beta, upstream], 4 * TOLERANCE[dtype], axis=axis)
    y = FUSED[name](np.asfortranarray(x), gamma, beta, axis=axis)
    assert y.shape == shape and y.base is not x
    foreign = x.astype(x.dtype.newbyteorder())
    close(FUSED[name](foreign, gamma, beta, axis=axis), DEFINED[name](x, gamma, beta, axis=axis), 2e-6)


@SMALL
def test_operands_are_left_alone(name, shape, axis, way):
    inputs = make_batch(name, shape, axis, np.float32)
    before = [p.copy() for p in inputs]
    passes(FUSED[name], before, axis=axis)
    for p in inputs:
        p.flags.writeable = False
    passes(FUSED[name], inputs, axis=axis)
    for p, q in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(p, q)
    compiled = [f for kernel in every_kernel(PACKAGES[name]) for f in kernel.compiled.values()]
    assert all(len(f.signatures) == 1 for f in compiled), "compiled once more for what is read-only"


@SMALL
def test_parameters_of_another_dtype_keep_it(name, shape, axis, way):
    x, gamma, beta, g = make_batch(name, shape, axis, np.float32)
    y, dx, dgamma, dbeta = passes(FUSED[name], [x, gamma.astype(np.float64), beta.astype(np.float16), g], axis=axis)
    assert [a.dtype for a in (y, dx, dgamma, dbeta)] == [np.float32, np.float32, np.float64, np.float16]


@SMALL
def test_what_is_kept_for_backward(name, shape, axis, way):
    x, gamma, beta, _ = make_batch(name, shape, axis, np.float32)
    y = FUSED[name](Tensor(x), Tensor(gamma), Tensor(beta), axis=axis)
    operands, ((mean, rstd), *rest) = next(filter(None, y.node.saved))
    assert operands[0] is x and not any(hasattr(thing, "nbytes") for thing in rest)
    channels = x.size // (x[:, 0].size if name == "batch_norm" else x[0].size)
    assert [(e.size, e.dtype) for e in (mean, rstd)] == 2 * [(channels, np.float64)]


WRONG = [
    (np.ones((4, 3), np.int64), {}), (np.ones((0, 3)), {}), (np.ones((1, 1)), {}), (np.ones((4, 3)), {"axis": 5}),
    (np.ones((4, 3)), {"axis": (0, 0)}), (np.ones((4, 3)), {"axis": ()}), (np.ones((4, 3)), {"eps": -1.0}),
    (np.ones((4, 3)), {"gamma": np.ones(7)}), (np.ones((4, 3)), {"beta": np.ones((3, 1))}),
    (np.ones((4, 3)), {"eps": 0.0}),
    (np.ones((4, 3)), {"eps": float("nan")}),
]  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize(("x", "params"), WRONG)
def test_errors_are_the_composites(name, x, params, way):
    with pytest.raises((ValueError, TypeError)) as right:
        DEFINED[name](x, **params)
    with pytest.raises(type(right.value)) as found:
        FUSED[name](x, **params)
    first = lambda error: str(error.value).partition(" | in ")[0]
    assert first(found) == first(right)


# Which route an array takes.


def test_the_route_follows_type_and_size(monkeypatch):
    monkeypatch.delenv("TINYGRAPH_FUSED", raising=False)
    large, small = np.ones(routes.COMPILED, np.float32), np.ones(routes.COMPILED - 1, np.float32)
    compiled = "numba" if numba_is_there() else "numpy"
    assert routes.route(large) == compiled and routes.route(small) == "numpy"
    assert routes.route(large.astype(np.float64)) == compiled
    assert routes.route(large.astype(np.float16)) == "numpy"
    assert routes.route(large.astype(">f4")) == "plain"
    assert routes.route(np.ones(9999, np.longdouble)) == "plain"
    assert routes.route(Decoy(large)) == "plain"
    assert routes.route(large.view(type("Mine", (np.ndarray,), {}))) == "plain"
    for wish in ("plain", "numpy"):
        monkeypatch.setenv("TINYGRAPH_FUSED", wish)
        assert routes.route(large) == routes.route(small) == wish
    monkeypatch.setenv("TINYGRAPH_FUSED", "cobol")
    with pytest.raises(ValueError, match="TINYGRAPH_FUSED is 'cobol'; there are plain, numpy, numba"):
        routes.route(large)


def test_without_numba_numpy_takes_over(monkeypatch, fresh):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("TINYGRAPH_FUSED", raising=False)
    assert routes.route(np.ones(routes.COMPILED)) == "numpy"
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    with pytest.raises(ModuleNotFoundError, match="pip install numba"):
        routes.route(np.ones(routes.COMPILED))


@SMALL
def test_arrays_of_a_device_stay_there(name, shape, axis, device_array):
    inputs = make_batch(name, shape, axis)
    *operands, g = map(device_array, inputs)
    leaves = [Tensor(p) for p in operands]
    y = FUSED[name](*leaves, axis=axis)
    found = [y.data, *grad(y, leaves, g)]
    for a, b in zip(found, wanted(name, inputs, axis=axis), strict=True):
        assert type(a) is type(operands[0])
        close(a.array if isinstance(a, Decoy) else a.get(), b, 1e-12)


# Threads, and Numba's compiler.


@pytest.fixture
def threads_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Have so many threads share all work."""
    caches = (threads.start_helpers, batch.layout.Layout.tiles)

    def start(count: int) -> None:
        for module in (threads, batch.layout, batch.numba):
            for name in {"SHARED", "PIECE", "LARGE"} & vars(module).keys():
                monkeypatch.setattr(module, name, 256)
        for cache in caches:
            cache.cache_clear()
        monkeypatch.setenv("OMP_NUM_THREADS", str(count))
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(8), raising=False)

    yield start
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("offset", [0.5, 1e4])
@pytest.mark.parametrize(("name", "shape", "axis"), [CASES[1], CASES[5], CASES[13]])
def test_threads_change_no_number(name, shape, axis, offset, way, threads_of):
    inputs = make_batch(name, shape, axis, np.float32, offset)
    found = []
    for count in (1, 4):
        threads_of(count)
        found += [passes(FUSED[name], inputs, axis=axis) for _ in range(20 if count > 1 else 1)]
    for again in found[1:]:
        for a, b in zip(found[0], again, strict=True):
            assert np.array_equal(a, b)


def test_a_helper_that_comes_late_touches_nothing(threads_of):
    if not numba_is_there():
        pytest.skip("Numba is not installed")
    threads_of(2)
    queue, count = threads.start_helpers()
    assert count == 1
    busy, kernel = threading.Event(), batch.numba.normalize_rows
    queue.put((busy.wait, ()))
    x = np.random.default_rng(0).standard_normal((64, 8), np.float32)
    y, parameters = np.empty_like(x), (np.ones(8, np.float32), np.zeros(8, np.float32), 1e-5)
    room = np.empty((2, 2, 8)), np.empty((2, 8), np.float32)
    far = threads.run_on_all(kernel, 2, x, y, np.empty((2, 8)), parameters, 1, room)
    close(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), 1e-5)
    y[:] = 7
    busy.set()
    done = threading.Event()
    queue.put((done.set, ()))
    assert done.wait(10) and not far and (y == 7).all()


@jit.Kernel
def slowly(out, team):
    """Write two numbers: the caller writes the first, and a helper the other, in its own time."""
    counters, _, is_caller = team
    for i in sweep(team, 2):
        while is_caller and fetch_add(counters, LINE, 0) < 2:  # until a helper has taken the other ticket
            pass
        for _ in range(0 if is_caller else 1_000_000):
            pieces_done(team, 0)
        out[i] = 1


def test_the_caller_waits_for_what_a_helper_has_begun(threads_of):
    if not numba_is_there():
        pytest.skip("Numba is not installed")
    threads_of(2)
    out = np.zeros(2)
    threads.run_on_all(slowly, 2, out)
    assert out.tolist() == [1, 1]


def wait(counters):
    wait_for((counters, counters, True), 0, 3)


def test_a_thread_that_waits_long_yields_its_core():
    """To a function of ours in place of the system's, which does what is waited for."""
    if not numba_is_there():
        pytest.skip("Numba is not installed")
    from llvmlite import binding

    counters, calls = np.zeros(threads.COUNTERS, np.int64), []
    alarm = threading.Timer(10, counters.fill, (3,))  # where it yields to nobody

    @ctypes.CFUNCTYPE(ctypes.c_int)
    def work() -> int:
        calls.append(1)
        counters[2 * LINE] += 1
        return 0

    binding.add_symbol(llvm.YIELD, ctypes.cast(work, ctypes.c_void_p).value)
    try:
        waiting = jit.compile_function(wait, (counters,), cache=False)
        alarm.start()
        waiting(counters)
    finally:
        alarm.cancel()
        binding.add_symbol(llvm.YIELD, ctypes.cast(llvm.system_yield(), ctypes.c_void_p).value)
    assert len(calls) == 3


def test_code_on_disk_is_not_taken_for_another_version(monkeypatch, tmp_path):
    """Numba looks at the file of a kernel alone, not at those of the functions that it calls."""
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    hits = lambda: sum(
        jit.compile_function(wait, (np.zeros(threads.COUNTERS, np.int64),), cache=True).stats.cache_hits.values()
    )
    assert [hits(), hits()] == [0, 1]
    monkeypatch.setattr(jit, "version", lambda: b"another")
    assert [hits(), hits()] == [0, 1]


def test_a_call_that_fails_keeps_nobody_waiting(threads_of):
    """A helper that has taken a ticket waits for the caller: also when that was interrupted."""
    if not numba_is_there():
        pytest.skip("Numba is not installed")
    threads_of(2)
    kernel, x = batch.numba.normalize_rows, np.ones((64, 8), np.float32)
    queue, _ = threads.start_helpers()

    def interrupted(*args: Any) -> bool:
        counters, _, is_caller = args[-1]
        if is_caller:
            while counters[LINE] < 2:  # until the helper has taken all tickets
                pass
            raise KeyboardInterrupt
        return compiled(*args)

    room = np.empty((2, 2, 8)), np.empty((2, 8), np.float32)
    args = x, np.empty_like(x), np.empty((2, 8)), (x[0], x[0], 1e-5), 1, room
    compiled = kernel.compiled_for((*args, (np.zeros(threads.COUNTERS, np.int64), threads.WAKEUPS, True)))
    with pytest.raises(KeyboardInterrupt):
        threads.run_on_all(types.SimpleNamespace(compiled_for=lambda args: interrupted), 2, *args)
    done = threading.Event()
    queue.put((done.set, ()))
    assert done.wait(10), "the helper waits for what will not come"


def test_work_does_not_pile_up_behind_a_helper(threads_of):
    if not numba_is_there():
        pytest.skip("Numba is not installed")
    threads_of(2)
    queue, _ = threads.start_helpers()
    busy = threading.Event()
    queue.put((busy.wait, ()))
    for _ in range(5):
        fused.batch_norm(np.random.default_rng(0).standard_normal((64, 80)))
        threads.share(abs, range(3), 1 << 30)
    assert queue.qsize() <= 2
    busy.set()


@pytest.mark.parametrize("shape", [(20_000, 100), (4096, 128), (262_139, 2), (8191, 64)])
@pytest.mark.parametrize("name", FUSED)
def test_a_mean_near_the_limit_costs_few_digits(name, shape, monkeypatch):
    """Three standard deviations from 0, and rows that cannot be laid end to end, since their number is prime."""
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    check(name, make_batch(name, shape, {"batch_norm": 0, "layer_norm": -1}[name], np.float32, 3.0), 1e-5,
          axis={"batch_norm": 0, "layer_norm": -1}[name])  # fmt: skip


def test_share_does_all_once_and_raises_what_a_piece_raises(threads_of):
    threads_of(4)
    done, lock = [], threading.Lock()

    def work(piece: int) -> None:
        with lock:
            done.append(piece)

    threads.share(work, range(50), threads.SHARED + 1)
    assert sorted(done) == list(range(50))
    with pytest.raises(ZeroDivisionError):
        threads.share(lambda piece: 1 / (piece - 7), range(50), threads.SHARED + 1)


@pytest.mark.parametrize("name", FUSED)
def test_a_cache_that_cannot_be_written_breaks_nothing(name, tmp_path, monkeypatch, fresh):
    numba = pytest.importorskip("numba")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    check(name, make_batch(name, (90, 64), {"batch_norm": 0, "layer_norm": -1}[name], np.float32), 1e-6,
          axis={"batch_norm": 0, "layer_norm": -1}[name])  # fmt: skip


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_long_compiling_is_announced_once(patience, monkeypatch, fresh, capfd):
    pytest.importorskip("numba")
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    slow = jit.compile_function
    monkeypatch.setattr(
        jit, "compile_function", lambda *args, **params: (threading.Event().wait(0.05), slow(*args, **params))[1]
    )
    jit.Kernel.patience = patience
    for dtype in (np.float32, np.float64):
        passes(fused.layer_norm, make_batch("layer_norm", (90, 64), -1, dtype))
    said = capfd.readouterr().err
    assert said.count("compiling fused kernels with Numba") == (patience == 0)


# Mutants: the check must reject kernels that are slightly wrong.


def test_a_coefficient_off_by_a_thousandth_is_caught(monkeypatch):
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    module = batch.numpy
    for name, count in (("statistics", 4), ("coefficients", 4)):
        right = getattr(module, name)
        for i in range(1 if name == "statistics" else 0, count):
            wrong = lambda *args, i=i, right=right: tuple(
                p * (1.001 if k == i else 1) for k, p in enumerate(right(*args))
            )
            with monkeypatch.context() as patch:
                patch.setattr(module, name, wrong)
                with pytest.raises(AssertionError, match="is off by"):
                    check("batch_norm", make_batch("batch_norm", (90, 64), 0, np.float32, 0.5), 1e-6, axis=0)


@pytest.mark.parametrize("name", FUSED)
def test_leaving_the_mean_in_is_caught(name, monkeypatch):
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    axis = {"batch_norm": 0, "layer_norm": -1}[name]
    monkeypatch.setattr(PACKAGES[name].numpy, {"batch_norm": "FAR", "layer_norm": "NEAR"}[name], np.inf)
    with pytest.raises(AssertionError, match="is off by"), np.errstate(all="ignore"):
        check(name, make_batch(name, (900, 9000), axis, np.float32, 1e4), 3e-6, axis=axis)


# On a GPU.


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("types", ["ff4", "fd4", "dd1", "ef8"])  # stored, computed in, at once
def test_cuda_sources_compile(name, types, tmp_path):
    if not (nvcc := shutil.which("nvcc")):
        pytest.skip("nvcc is not there")
    source = tmp_path / "kernels.cu"
    source.write_text(cuda.source_of(PACKAGES[name].__name__, types[0], types[1], int(types[2])))
    command = [nvcc, "-cubin", "-arch=sm_80", "-std=c++17", "-o", str(tmp_path / "kernels.cubin"), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("name", FUSED)
def test_cuda_files_compile_on_their_own(name, tmp_path):
    if not (nvcc := shutil.which("nvcc")):
        pytest.skip("nvcc is not there")
    source = importlib.resources.files(PACKAGES[name]).joinpath("kernels.cu")
    command = [nvcc, "-cubin", "-arch=sm_80", "-std=c++17", "-o", str(tmp_path / "kernels.cubin"), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.fixture
def cupy_on_cpu(tmp_path_factory, monkeypatch):
    """A CuPy that runs CUDA on the CPU."""
    if not shutil.which("g++"):
        pytest.skip("g++ is not there")
    folder = tmp_path_factory.getbasetemp() / "cuda"
    folder.mkdir(exist_ok=True)
    monkeypatch.setitem(sys.modules, "cupy", cuda_on_cpu.pretended(folder))
    monkeypatch.delenv("TINYGRAPH_FUSED", raising=False)
    cuda.processor_count.cache_clear()
    yield sys.modules["cupy"]
    cuda.load_module.cache_clear()
    cuda.processor_count.cache_clear()


CUDA_CASES = [
    ("batch_norm", (97, 3), 0), ("batch_norm", (40, 300), 0), ("batch_norm", (2, 40), 0),  # rows
    ("batch_norm", (6, 5, 9, 10), (0, 2, 3)), ("batch_norm", (3, 2, 5000), (0, 2)), ("batch_norm", (7, 20), (0, 1)),
    ("batch_norm", (33, 6, 3, 3), (0, 2, 3)),  # runs above, folded rows here
    ("layer_norm", (90, 64), -1), ("layer_norm", (3, 17000), -1),  # dγ in shared memory, and not
    ("layer_norm", (40, 2), -1), ("layer_norm", (7, 4, 6), (0, 2)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape", "axis", "dtype", "offset"),
    [(*case, np.float32, 1e4) for case in CUDA_CASES] + [(*case, np.float64, 0.5) for case in CUDA_CASES[1::6]],
)
def test_cuda_kernels_run_on_the_cpu(name, shape, axis, dtype, offset, cupy_on_cpu):
    x, gamma, beta, g = inputs = make_batch(name, shape, axis, dtype, offset)
    x, gamma, beta, g = map(cupy_on_cpu.asarray, inputs)
    assert routes.route(x) == "cupy"
    op = FUSED[name].op
    y, *extras = op.forward(x, gamma, beta, axis=axis, eps=1e-5)
    found = [y, *op.backward(g, (x, gamma, beta), extras, axis=axis, eps=1e-5)]
    for what, a, b in zip(("y", "dx", "dγ", "dβ"), found, wanted(name, inputs, axis=axis), strict=True):
        error = np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()
        assert a.dtype == dtype and a.shape == b.shape and error <= TOLERANCE[dtype], f"{what} is off by {error:.2g}"
    bare, *extras = op.forward(x, None, None, axis=axis, eps=0.1)
    dx, *none = op.backward(g, (x, None, None), extras, axis=axis, eps=0.1)
    for a, b in zip((bare, dx), wanted(name, [inputs[0], None, None, inputs[3]], axis=axis, eps=0.1), strict=True):
        assert np.abs(a.astype(np.float64) - b).max() <= TOLERANCE[dtype] * np.abs(b).max()
    assert none == [None, None]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 1])  # of the value: whether sums begin with it
@pytest.mark.parametrize(("name", "shape", "axis"), [CUDA_CASES[i] for i in (0, 3, 6, 7)])
def test_cuda_kernels_take_one_value_at_the_greatest_of_the_dtype(name, shape, axis, dtype, place, cupy_on_cpu):
    """They take its variance as infinite, as the composite does in the same dtype."""
    x, gamma, beta, g = inputs = make_batch(name, shape, axis, dtype)
    x[(place,) * x.ndim] = np.finfo(dtype).max
    with np.errstate(over="ignore"):
        right = passes(DEFINED[name], inputs, axis=axis)
    x, gamma, beta, g = map(cupy_on_cpu.asarray, inputs)
    op = FUSED[name].op
    y, *extras = op.forward(x, gamma, beta, axis=axis, eps=1e-5)
    found = [y, *op.backward(g, (x, gamma, beta), extras, axis=axis, eps=1e-5)]
    for what, a, b in zip(("y", "dx", "dγ", "dβ"), found, right, strict=True):
        assert np.abs(a - b).max() <= 10 * TOLERANCE[dtype] * np.abs(b).max(), what


@EACH
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_cuda_kernels(name, shape, axis, dtype, offset):
    if reason := why_no_gpu():
        pytest.skip(reason)
    cupy = pytest.importorskip("cupy")
    inputs = make_batch(name, shape, axis, dtype, offset if dtype is not np.float16 else 0.0)
    on_device = list(map(cupy.asarray, inputs))
    assert routes.route(on_device[0]) == "cupy"
    found = [a.get() for a in passes(FUSED[name], on_device, axis=axis)]
    tolerance = 1e-10 if dtype is np.float64 and offset else TOLERANCE[dtype]
    for what, a, b in zip(("y", "dx", "dγ", "dβ"), found, wanted(name, inputs, axis=axis), strict=True):
        error = np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()
        assert a.dtype == dtype and error <= tolerance, f"{name}: {what} is off by {error:.2g}"
