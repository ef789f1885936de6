"""CUDA sources compile with nvcc, and compute the right numbers: on the CPU, thread by thread, or on a GPU."""

from __future__ import annotations

import importlib.resources

import numpy as np
import pytest

from tests.conftest import why_no_gpu
from tests.cuda_on_cpu import nvcc_takes
from tests.fused_cases import DEFINED, EACH, FUSED, PACKAGES, TOLERANCE, make_batch, passes, wanted
from tinygraph.kernels import cuda
from tinygraph.kernels import route as routes


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("types", ["ff4", "fd4", "dd1", "ef8"])  # stored, computed in, at once
def test_cuda_sources_compile(name, types, tmp_path):
    source = tmp_path / "kernels.cu"
    source.write_text(cuda.source_of(PACKAGES[name].__name__, types[0], types[1], int(types[2])))
    nvcc_takes(source)


@pytest.mark.parametrize("name", FUSED)
def test_cuda_files_compile_on_their_own(name):
    with importlib.resources.as_file(importlib.resources.files(PACKAGES[name]).joinpath("kernels.cu")) as source:
        nvcc_takes(source)


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
    assert routes.choose_route(x) == "cupy"
    op = FUSED[name].op
    y, *extras = op.forward(x, gamma, beta, axis=axis, eps=1e-5)
    found = [a.get() for a in (y, *op.backward(g, (x, gamma, beta), extras, axis=axis, eps=1e-5))]
    for what, a, b in zip(("y", "dx", "dγ", "dβ"), found, wanted(name, inputs, axis=axis), strict=True):
        error = np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()
        assert a.dtype == dtype and a.shape == b.shape and error <= TOLERANCE[dtype], f"{what} is off by {error:.2g}"
    bare, *extras = op.forward(x, None, None, axis=axis, eps=0.1)
    dx, *none = op.backward(g, (x, None, None), extras, axis=axis, eps=0.1)
    for a, b in zip((bare, dx), wanted(name, [inputs[0], None, None, inputs[3]], axis=axis, eps=0.1), strict=True):
        assert np.abs(a.get().astype(np.float64) - b).max() <= TOLERANCE[dtype] * np.abs(b).max()
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
    found = [a.get() for a in (y, *op.backward(g, (x, gamma, beta), extras, axis=axis, eps=1e-5))]
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
    assert routes.choose_route(on_device[0]) == "cupy"
    found = [a.get() for a in passes(FUSED[name], on_device, axis=axis)]
    tolerance = 1e-10 if dtype is np.float64 and offset else TOLERANCE[dtype]
    for what, a, b in zip(("y", "dx", "dγ", "dβ"), found, wanted(name, inputs, axis=axis), strict=True):
        error = np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()
        assert a.dtype == dtype and error <= tolerance, f"{name}: {what} is off by {error:.2g}"
