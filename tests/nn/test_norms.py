"""Normalization layers: fused or composed, their running statistics, and their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import close
from tests.layer_pairs import compare
from tinygraph import Tensor, grad, nn


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_batch_norm_fused_or_composed(torch, rng, fused, dtype, tolerance):
    for name, shape in (("BatchNorm1d", (7, 3)), ("BatchNorm2d", (4, 3, 5, 5))):
        ours, theirs = (
            getattr(nn, name)(3, fused=fused).to(np.dtype(dtype)),
            getattr(torch.nn, name)(3).to(getattr(torch, dtype)),
        )
        for _ in range(3):
            x = (rng.standard_normal(shape) * 3 - 2).astype(dtype)
            compare(torch, ours, theirs, [x], tolerance, rng)
        for key, value in theirs.state_dict().items():
            close(ours.state_dict()[key], value.numpy(), tolerance, key)


def test_layer_norm_fused_or_composed(rng):
    x, g = rng.standard_normal((2, 5, 6))
    layers = [nn.LayerNorm(6, fused=fused).to(np.float64) for fused in (True, False)]
    assert "fused=False" in repr(layers[1])
    found = []
    for layer in layers:
        layer.weight.data = np.arange(1.0, 7)
        xs = [Tensor(x), *layer.parameters()]
        y = layer(xs[0])
        found.append([y.data, *grad(y, xs, g)])
        assert (y.node.op.name == "layer_norm") is layer.fused
    for a, b in zip(*found, strict=True):
        close(a, b, 1e-12, "fused against composed")


@pytest.mark.parametrize("fused", [False, True])
def test_statistics_are_kept_also_where_nothing_is_recorded(rng, fused):
    x = rng.standard_normal((6, 3)).astype(np.float32) + 5
    for affine in (True, False):
        recorded, silent, plain = (nn.BatchNorm1d(3, affine=affine, fused=fused) for _ in range(3))
        recorded(Tensor(x))
        with tg.no_grad():
            silent(Tensor(x))
        plain(x)
        for layer in (recorded, silent, plain):
            np.testing.assert_allclose(layer.running_mean, 0.1 * x.mean(0), rtol=1e-6)
            np.testing.assert_allclose(layer.running_var, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-6)
            assert layer.num_batches_tracked == 1 and layer.running_var.dtype == np.float32


def test_decay_is_the_other_convention(rng):
    x = rng.standard_normal((6, 3))
    one, other = nn.BatchNorm1d(3, momentum=0.25), nn.BatchNorm1d(3, decay=0.75)
    for layer in (one, other):
        layer(x)
    np.testing.assert_array_equal(one.running_var, other.running_var)
    for momentum in (0.25, 0.1 + 0.0, None):
        with pytest.raises(ValueError, match=r"momentum=.* weighs the new batch, decay=0.75 the old ones; give one"):
            nn.BatchNorm1d(3, momentum=momentum, decay=0.75)
    for option in ({"momentum": 1.5}, {"decay": -0.1}, {"momentum": math.nan}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} is outside of 0 … 1"):
            nn.BatchNorm1d(3, **option)


@pytest.mark.parametrize("fused", [False, True])
def test_errors_of_batch_norm(fused):
    layer = nn.BatchNorm2d(3, fused=fused)
    with pytest.raises(ValueError, match=r"BatchNorm2d\(3, .*: x must be \(N, C, H, W\) with C = 3, not \(2, 3\)"):
        layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"with C = 3, not \(2, 4, 1, 1\)"):
        layer(np.ones((2, 4, 1, 1)))
    with pytest.raises(ValueError, match="one value per channel"):
        layer(np.ones((1, 3, 1, 1)))
    assert layer.num_batches_tracked == 0
    assert layer.eval()(np.ones((1, 3, 1, 1))).shape == (1, 3, 1, 1)


def test_the_fused_op_keeps_the_statistics(rng, monkeypatch):
    """They are taken from it, not computed twice."""
    monkeypatch.setattr(tg.functions, "var", lambda *args: pytest.fail("computed again"))
    layer = nn.BatchNorm1d(3)
    layer(Tensor(rng.standard_normal((4, 3))))
    assert layer.num_batches_tracked == 1
