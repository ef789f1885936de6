"""Kernels of NumPy's calls: values that wait in the array of a result, and pivots."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.compiler.test_compiled import error, results
from tinygraph.compiler import in_numpy, launch


def compiled(function):
    return tg.compile(function, backend="numpy")


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_what_two_passes_want_is_computed_once():
    """The exponentials of softmax wait in the array of y; in the backward of batch norm, x - μ in that of dx."""
    made = compiled(tg.softmax)
    made(normal(64, 100))
    assert made.source.count("np.exp(") == 1
    made = compiled(tg.batch_norm)
    made(*(tg.Tensor(x) for x in (normal(300, 50), normal(50), normal(50))))
    forward, backward = made.source.split("def kernel")[1:]
    assert [way.count("np.subtract(x") for way in (forward, backward)] == [2, 1]


TWICE = {  # functions with values that several passes want, or a pass and a result
    "a result in between": lambda x: tg.exp(x - x.max(0)) + tg.exp(x - x.max(0)) / tg.exp(x - x.max(0)).sum(0),
    "three passes": lambda x: tg.softmax(tg.tanh(x - x.mean(1, keepdims=True)), 1),
    "rows after columns": lambda x: tg.layer_norm(tg.tanh(x) - tg.tanh(x).mean(0)),
    "columns after rows": lambda x: tg.batch_norm(tg.layer_norm(x) * tg.sigmoid(x)),
    "a sum of what waits": lambda x: (tg.tanh(x) / tg.exp(x).sum(0)).sum(1) + tg.tanh(x).sum(1),
    "half of it": lambda x: tg.relu(tg.tanh(x) - tg.tanh(x).mean(0)) * tg.where(tg.greater(x, 0), tg.tanh(x), x),
}


@pytest.mark.parametrize("name", TWICE)
def test_values_wait_till_they_are_wanted(name, monkeypatch):
    monkeypatch.setattr(launch, "BLOCK", 1000)  # several blocks
    x = [normal(90, 60)]
    assert error(results(compiled(TWICE[name]), x, np.float32), results(TWICE[name], x, np.float64)) < 3e-6


def test_two_results_have_arrays_of_their_own():
    x = normal(90, 60)
    made = compiled(lambda x: (x - x.mean(0), (x - x.mean(0)) / x.std(0), tg.tanh(x) - tg.tanh(x).mean(0)))
    t, d = np.tanh(x.astype(float)), x.astype(float) - x.mean(0, dtype=float)
    for found, wanted in zip(made(x), (d, d / x.std(0, dtype=float), t - t.mean(0)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_pivots_lie_among_the_values():
    x = normal(100, 30) + np.float32(1e6)
    near = in_numpy.pivot(x, (0,))
    assert near.shape == (1, 30)
    assert np.array_equal(near, near.astype(np.float32))
    assert np.all(abs(near - 1e6) < 2)
    x[0] = 1e20
    assert np.all(abs(in_numpy.pivot(x, (0,)) - 1e6) < 2)  # the first is passed over
    for value in (np.nan, np.inf, -np.inf):
        assert in_numpy.pivot(np.full((20, 1), value, np.float32), (0,)).item() == 0
    images = normal(5, 3, 49) + np.float32(7)
    assert np.all(abs(in_numpy.pivot(images, (0, 2)) - 7) < 1)
