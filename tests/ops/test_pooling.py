"""Pooling against PyTorch: values, gradients, gradients of gradients, ties and the errors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import against_torch
from tinygraph.ops.pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d

torch = pytest.importorskip("torch")
F = torch.nn.functional


POOLS = [
    {"kernel_size": 2},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 1},
    {"kernel_size": (4, 3), "stride": 2, "padding": (2, 1)},
]


@pytest.mark.parametrize("options", POOLS)
@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (3, 6, 5)])
def test_pooling(rng, options, shape):
    x = rng.standard_normal(shape)
    against_torch(lambda x: avg_pool2d(x, **options), lambda x: F.avg_pool2d(x, **options), [x])
    against_torch(lambda x: max_pool2d(x, **options), lambda x: F.max_pool2d(x, **options), [x])


@pytest.mark.parametrize("options", POOLS)
def test_of_equal_pixels_the_first_has_the_gradient(rng, options):
    """As in PyTorch, also where windows overlap; small whole numbers tie everywhere."""
    x = rng.integers(0, 2, (2, 2, 8, 7)).astype(float)
    against_torch(lambda x: max_pool2d(x, **options), lambda x: F.max_pool2d(x, **options), [x])
    against_torch(lambda x: max_pool2d(x, **options), lambda x: F.max_pool2d(x, **options), [x * 0 - 3])


def test_float32_is_kept(rng):
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    against_torch(lambda x: max_pool2d(x, 2), lambda x: F.max_pool2d(x, 2), [x], 1e-5)
    against_torch(lambda x: avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2), [x], 1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, (4, 3), (7, 6), (2, 6), (9, 8)])
def test_adaptive_pooling(rng, size):
    x = rng.standard_normal((2, 3, 7, 6))
    against_torch(lambda x: adaptive_avg_pool2d(x, size), lambda x: F.adaptive_avg_pool2d(x, size), [x])


def test_a_window_keeps_its_nan_to_itself():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 0, 0] = np.nan
    for pooled in (max_pool2d(x), avg_pool2d(x)):
        assert np.isnan(pooled).sum() == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: avg_pool2d(x, 6), r"no window fits: kernel \(6, 6\), images of \(5, 5\)"),
        (lambda x: max_pool2d(x, 2, padding=2), "more than half of the kernel"),
        (lambda x: max_pool2d(np.ones(3)), r"images are \(…, H, W\), not \(3,\)"),
        (lambda x: adaptive_avg_pool2d(x, 0), "output_size must be an integer of at least 1"),
    ],
)
def test_errors_say_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((2, 3, 5, 5)))
