"""Convolution by compiled loops is the convolution that `tests.ops.test_convolution` holds against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.decoy import Decoy
from tinygraph import Tensor, grad
from tinygraph.ops.convolution import conv2d

COMPILED = [
    ((3, 2, 9, 8), (4, 2, 3, 2), {}),
    ((130, 1, 6, 7), (3, 1, 3, 3), {"padding": (1, 2), "stride": (2, 1)}),  # three tiles, the last one short
    ((5, 4, 9, 9), (6, 2, 3, 2), {"groups": 2, "dilation": (2, 1)}),
    ((2, 6, 8, 8), (6, 1, 2, 2), {"groups": 6, "stride": 3, "padding": 1}),
    ((1, 5, 4, 4), (9, 5, 1, 1), {}),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
@pytest.mark.parametrize(("x", "w", "options"), COMPILED)
@pytest.mark.parametrize("shared", [False, True])
def test_compiled_loops_are_the_same_function(monkeypatch, rng, x, w, options, dtype, tolerance, shared):
    """Values and both gradients, also where threads share the tiles."""
    pytest.importorskip("numba")
    from tinygraph.kernels import convolution, threads

    monkeypatch.setattr(convolution, "few_outputs", lambda *sizes: True)
    monkeypatch.setattr(convolution, "LEAST", 0)
    monkeypatch.setattr(threads, "SHARED", 0 if shared else 1 << 60)
    x, w = (Tensor(rng.standard_normal(shape).astype(dtype)) for shape in (x, w))
    found = {}
    for route in ("numpy", "numba"):
        monkeypatch.setenv("TINYGRAPH_FUSED", route)
        y = conv2d(x, w, **options)
        g = np.sin(np.arange(y.size)).reshape(y.shape).astype(dtype)
        found[route] = [y.data, *grad(y, [x, w], g)]
    for a, b in zip(found["numba"], found["numpy"], strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * abs(b).max())


def test_compiled_loops_take_what_they_can(monkeypatch, rng):
    """Large arrays of NumPy's, of one floating type; read-only and strided ones too."""
    pytest.importorskip("numba")
    from tinygraph.kernels import convolution

    monkeypatch.delenv("TINYGRAPH_FUSED", raising=False)
    x, w = rng.standard_normal((8, 10, 10, 16)).transpose(0, 3, 1, 2), rng.standard_normal((16, 16, 3, 3))[..., ::-1]
    w.flags.writeable = False
    monkeypatch.setattr(convolution, "few_outputs", lambda *sizes: True)
    assert convolution.can_compile(1 << 20, 16, 9, x, w)
    assert not convolution.can_compile(1 << 10, 16, 9, x, w)
    assert not convolution.can_compile(1 << 20, 16, 9, x, w.astype(np.float32))
    assert not convolution.can_compile(1 << 20, 16, 9, Decoy(x), w)
    y = conv2d(x, w)
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    np.testing.assert_allclose(y, conv2d(x, w), rtol=0, atol=1e-12)
    assert conv2d(x.astype(np.float32), w).dtype == np.float64


@pytest.mark.parametrize(
    ("images", "outputs", "kernel", "compiled"),
    [
        (256, 6, 25, True),
        (256, 16, 25, True),
        (256, 32, 9, False),
        (8, 64, 9, False),
        (8, 1, 9, True),
        (2, 1, 9, False),
    ],
)
def test_matrix_products_take_many_channels(images, outputs, kernel, compiled):
    """Both convolutions of LeNet and depthwise ones are compiled; those of a ResNet are not."""
    from tinygraph.kernels.convolution import few_outputs

    assert few_outputs(images, outputs, kernel) == compiled


def test_threads_share_matrix_products(monkeypatch, rng):
    """Values and gradients are the same bits, shared or not, and BLAS has its threads back."""
    from tinygraph.kernels import blas, threads

    before = [library.get() for library in blas.libraries()]
    x, w = (Tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((9, 4, 12, 12), (6, 4, 3, 3)))
    found = []
    for most in (1 << 60, 0):
        monkeypatch.setattr(threads, "MANY", most)
        y = conv2d(x, w)
        found.append([y.data, *grad(y, [x, w], np.sin(y.data))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [library.get() for library in blas.libraries()] == before


def test_blas_uses_one_thread_until_the_last_caller_leaves():
    from tinygraph.kernels import blas

    if not blas.libraries():
        pytest.skip("this BLAS cannot be told")
    (library, *_), before = blas.libraries(), blas.libraries()[0].get()
    library.set(2)
    with blas.one_thread() as outer, blas.one_thread() as inner:
        assert outer and inner and library.get() == 1
    assert library.get() == 2
    library.set(before)


def test_a_nan_stays_in_its_window_when_compiled(monkeypatch, rng):
    pytest.importorskip("numba")
    from tinygraph.kernels import convolution

    monkeypatch.setattr(convolution, "few_outputs", lambda *sizes: True)
    monkeypatch.setattr(convolution, "LEAST", 0)
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    x = rng.standard_normal((3, 1, 6, 6))
    x[1, 0, 0, 0] = np.nan
    y = conv2d(x, rng.standard_normal((2, 1, 3, 3)))
    assert np.isnan(y).sum() == 2
    assert np.isnan(y[1, :, 0, 0]).all()
