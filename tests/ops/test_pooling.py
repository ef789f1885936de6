"""Pooling against PyTorch: values, gradients, gradients of gradients, ties and the errors."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import against_torch
from tinygraph import Tensor, grad, nn
from tinygraph.ops.adaptive import adaptive_avg_pool2d
from tinygraph.ops.pooling import avg_pool2d, max_pool2d

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


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_over_any_number_of_axes(rank, seed):
    """Random windows, also those that reach out of the array, spread out, or are counted in another way."""
    rng = np.random.default_rng(seed)
    draw = lambda low, high: tuple(map(int, rng.integers(low, high, rank)))
    x, kernel = rng.integers(0, 4, (2, 3, *draw(7, 11))).astype(float), draw(1, 5)
    options = {
        "kernel_size": kernel,
        "stride": draw(1, 4),
        "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
    }
    options["ceil_mode"] = bool(rng.random() < 0.7)
    counted = {
        "count_include_pad": bool(rng.random() < 0.5),
        **({"divisor_override": 3} if rank > 1 and seed == 3 else {}),
    }
    pairs = [("avg_pool", options | counted), ("max_pool", options | {"dilation": draw(1, 3)})]
    pairs += [(f"adaptive_{how}_pool", {"output_size": draw(1, 8)}) for how in ("avg", "max")]
    for name, given in pairs:
        ours, theirs = (getattr(library, f"{name}{rank}d") for library in (tg, F))
        against_torch(lambda x, f=ours, o=given: f(x, **o), lambda x, f=theirs, o=given: f(x, **o), [x])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_places_of_the_largest_are_those_of_pytorch(rng, rank):
    """Of a pooling, and of one into a given size; what is put back to its place is that of PyTorch, too."""
    x = rng.integers(0, 5, (2, 3, *(7,) * rank)).astype(float)
    for name, args in (("max_pool", (3, 2, 1, 1, True)), ("adaptive_max_pool", (4,))):
        y, places = getattr(nn.functional, f"{name}{rank}d")(Tensor(x), *args, return_indices=True)
        z, theirs = getattr(F, f"{name}{rank}d")(torch.tensor(x), *args, return_indices=True)
        assert type(places) is np.ndarray
        np.testing.assert_array_equal(places, theirs.numpy())
        np.testing.assert_array_equal(y.data, z.numpy())
    unpool = f"max_unpool{rank}d"
    y, places = getattr(nn.functional, f"max_pool{rank}d")(x, 3, 2, return_indices=True)  # windows overlap
    back = getattr(nn.functional, unpool)(y, places, 3, 2)
    np.testing.assert_array_equal(back, getattr(F, unpool)(torch.tensor(y), torch.tensor(places), 3, 2).numpy())
    with pytest.raises(ValueError, match="indices go from -1 to"):
        getattr(nn.functional, unpool)(y, places * 0 - 1, 3, 2)
    with pytest.raises(ValueError, match="is not within a stride"):
        getattr(nn.functional, unpool)(y, places, 3, 2, output_size=(20,) * rank)


@pytest.mark.parametrize("name", ["avg_pool2d", "max_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "unfold"])
def test_no_images_have_no_gradient(name):
    x, t = Tensor(np.zeros((0, 3, 6, 6))), torch.zeros(0, 3, 6, 6)
    y, z = getattr(nn.functional, name)(x, 2), getattr(F, name)(t, 2)
    assert y.shape == tuple(z.shape)
    assert grad(y, x, np.zeros(y.shape))[0].shape == x.shape


def test_what_is_no_number_is_the_largest(rng):
    """The gradient goes there, as in PyTorch, and not to the last pixel of the window."""
    x = rng.standard_normal((1, 1, 6, 6))
    x[0, 0, 2, 2] = np.nan
    t = torch.tensor(x, requires_grad=True)
    g = rng.standard_normal((1, 1, 3, 3))
    (wanted,) = torch.autograd.grad(F.max_pool2d(t, 3, 2, 1), t, torch.tensor(g))
    u = Tensor(x)
    np.testing.assert_allclose(grad(max_pool2d(u, 3, 2, 1), u, g)[0], wanted.numpy())


def test_integers_are_pooled(rng):
    x = rng.integers(-9, -1, (1, 5, 5))
    np.testing.assert_array_equal(max_pool2d(x, 3, 2, 1), F.max_pool2d(torch.tensor(x), 3, 2, 1).numpy())
    np.testing.assert_allclose(
        avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        F.avg_pool2d(torch.tensor(x.astype(float)), 3, 2, 1, count_include_pad=False).numpy(),
    )


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
