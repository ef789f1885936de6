"""What the tests of the fused ops share: shapes, batches, the check against the composite, and fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, fused, grad
from tinygraph.fused import batch, layer
from tinygraph.kernels import jit, threads
from tinygraph.kernels import route as routes

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
TOLERANCE = {np.float16: 1e-3, np.float32: 3e-6, np.float64: 1e-12}


@pytest.fixture(params=["plain", "numpy", "numba"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send every array by one route."""
    if request.param == "numba" and not (jit.load_numba() is not None):
        pytest.skip("Numba is not installed")
    monkeypatch.setenv("TINYGRAPH_FUSED", request.param)
    return request.param


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget whether Numba is installed, and all compiled kernels."""
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


@pytest.fixture
def threads_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Return a function that sets the number of threads, which then share all work."""
    caches = (threads.start_helpers, batch.tiling.Tiling.tiles)

    def start(count: int) -> None:
        for module in (threads, batch.tiling, batch.numba):
            for name in {"SHARED", "PIECE", "LARGE"} & vars(module).keys():
                monkeypatch.setattr(module, name, 256)
        for cache in caches:
            cache.cache_clear()
        monkeypatch.setenv("OMP_NUM_THREADS", str(count))
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(8), raising=False)

    yield start
    for cache in caches:
        cache.cache_clear()


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
    rng, lengths = np.random.default_rng(0), parameters(name, shape, axis)
    draw = lambda n, m: (rng.standard_normal(n) + m).astype(dtype)
    return [draw(shape, offset), draw(lengths, 0.3), draw(lengths, 0.0), draw(shape, 0.1)]


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
