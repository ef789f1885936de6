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


def test_running_statistics_as_the_notebook_of_cs231n_has_them():
    """Biased variance, from 0, weight 0.9 of the old: its test-time figures come out to the digits it prints."""
    random = np.random.RandomState(231)
    count, first, second, third = 200, 50, 60, 3
    w1, w2 = random.randn(first, second), random.randn(second, third)
    layer = nn.BatchNorm1d(third, decay=0.9, unbiased=False, initial_var=0.0).double()
    for _ in range(50):
        layer(np.maximum(0, random.randn(count, first) @ w1) @ w2)
    a = layer.eval()(np.maximum(0, random.randn(count, first) @ w1) @ w2).data
    np.testing.assert_allclose(a.mean(0), [-0.03927354, -0.04349152, -0.10452688], atol=5e-9)
    np.testing.assert_allclose(a.std(0), [1.01531428, 1.01238373, 0.97819988], atol=5e-9)
    assert "unbiased=False, initial_var=0.0" in repr(layer)
    with pytest.raises(ValueError, match="here the variance is unbiased"):
        nn.BatchNorm1d(third).load_state_dict(layer.state_dict())
    twin = nn.BatchNorm1d(third, decay=0.9, unbiased=False, initial_var=0.0).double()
    twin.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(twin.running_var, layer.running_var)
    names = {n.name for n in tg.snapshot(layer(Tensor(np.ones((2, third))))).nodes}
    assert "v, biased" in names


LAST = [
    (nn.BatchNorm1d, (3,), (4, 5, 3)),
    (nn.BatchNorm2d, (3,), (4, 5, 2, 3)),
    (nn.BatchNorm3d, (3,), (4, 5, 2, 2, 3)),
    (nn.BatchRenorm2d, (3,), (4, 5, 2, 3)),
    (nn.GroupNorm, (2, 4), (3, 5, 2, 4)),
    (nn.InstanceNorm1d, (3,), (4, 5, 3)),
    (nn.InstanceNorm2d, (3,), (5, 2, 3)),
]


@pytest.mark.parametrize(("layer", "args", "shape"), LAST)
def test_channels_may_be_last(rng, layer, args, shape):
    x, g = rng.standard_normal((2, *shape))
    last, second = layer(*args, channels_last=True).double(), layer(*args).double()
    assert "channels_last=True" in repr(last)
    place = 1 if len(shape) > 3 or layer is nn.InstanceNorm1d or layer is nn.BatchNorm1d else 0
    for mode in (True, False):
        xs = Tensor(x), Tensor(np.moveaxis(x, -1, place))
        y, z = last.train(mode)(xs[0]), second.train(mode)(xs[1])
        close(y.data, np.moveaxis(z.data, place, -1), 1e-12)
        ours, theirs = grad(y, xs[0], g)[0], grad(z, xs[1], np.moveaxis(g, -1, place))[0]
        close(ours, np.moveaxis(theirs, place, -1), 1e-12)
    for key, value in second.state_dict().items():
        close(last.state_dict()[key], value, 1e-12)
    with pytest.raises(ValueError, match="x must be" if layer is not nn.GroupNorm else "do not divide"):
        last(np.ones((2, 3, 3, 7)))


def test_batch_renormalization_is_the_paper_s(rng):
    """Algorithm 1 by hand; with r = 1 and d = 0 it is batch norm; within the bounds training equals evaluation."""
    x = rng.standard_normal((8, 3)) * 2 + 1
    layer = nn.BatchRenorm1d(3, momentum=0.1, r_max=1.5, d_max=0.5).double()
    layer.running_mean, layer.running_std = rng.standard_normal(3), rng.uniform(0.5, 2, 3)
    mean, std = layer.running_mean, layer.running_std
    mu, sigma = x.mean(0), np.sqrt(x.var(0) + 1e-5)
    r, d = np.clip(sigma / std, 1 / 1.5, 1.5), np.clip((mu - mean) / std, -0.5, 0.5)
    xs, g = Tensor(x), rng.standard_normal(x.shape)
    y = layer(xs)
    close(y.data, (x - mu) / sigma * r + d, 1e-12)
    plain = tg.batch_norm(xs, Tensor(r, requires_grad=False))
    close(grad(y, xs, g)[0], grad(plain, xs, g)[0], 1e-11)  # no gradient goes through r and d
    close(layer.running_mean, mean + 0.1 * (mu - mean), 1e-12)
    close(layer.running_std, std + 0.1 * (sigma - std), 1e-12)
    close(layer.eval()(x).data, (x - layer.running_mean) / layer.running_std, 1e-12)
    same = nn.BatchRenorm1d(3, r_max=1.0, d_max=0.0).double()
    close(same(x).data, nn.BatchNorm1d(3).double()(x).data, 1e-12)
    loose = nn.BatchRenorm1d(3, momentum=0.0, r_max=1e9, d_max=1e9).double()
    close(loose(x).data, loose.eval()(x).data, 1e-11)
    assert loose.load_state_dict(same.state_dict()) == ([], [])
    for options in ({"r_max": 0.5}, {"d_max": -1.0}, {"momentum": 2.0}):
        with pytest.raises(ValueError, match="BatchRenorm1d: "):
            nn.BatchRenorm1d(3, **options)


def test_groups_of_one_value_give_their_shift():
    layer = nn.GroupNorm(3, 3)
    layer.bias.data = np.arange(3, dtype=np.float32)
    x = Tensor(np.random.default_rng(0).random((2, 3, 1), np.float32))
    y = layer(x)
    np.testing.assert_array_equal(y.data, np.broadcast_to(np.arange(3.0).reshape(3, 1), (2, 3, 1)))
    np.testing.assert_array_equal(grad(y.sum(), x)[0], np.zeros((2, 3, 1)))
    with pytest.raises(ValueError, match="one value per channel"):
        layer(x[:1])
