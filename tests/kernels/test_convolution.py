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
    assert convolution.can_compile(1 << 20, x, w)
    assert not convolution.can_compile(1 << 10, x, w)
    assert not convolution.can_compile(1 << 20, x, w.astype(np.float32))
    assert not convolution.can_compile(1 << 20, Decoy(x), w)
    y = conv2d(x, w)
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    np.testing.assert_allclose(y, conv2d(x, w), rtol=0, atol=1e-12)
    assert conv2d(x.astype(np.float32), w).dtype == np.float64


def test_a_nan_stays_in_its_window_when_compiled(monkeypatch, rng):
    pytest.importorskip("numba")
    from tinygraph.kernels import convolution

    monkeypatch.setattr(convolution, "LEAST", 0)
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    x = rng.standard_normal((3, 1, 6, 6))
    x[1, 0, 0, 0] = np.nan
    y = conv2d(x, rng.standard_normal((2, 1, 3, 3)))
    assert np.isnan(y).sum() == 2
    assert np.isnan(y[1, :, 0, 0]).all()
