"""Normalizations: against numbers worked out by hand, against their formulas, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import BETA, DBETA, DGAMMA, DX, GAMMA, W, X, Y
from tests.cases import close, composites
from tinygraph import Tensor, functions, grad


def test_every_function_has_a_case():
    covered = {case.name.partition("-")[0] for case in composites()}
    assert covered >= set(functions.__all__) - {"batch_norm_stepwise"}


def images(x):
    """The same batch as two images of 1×2 pixels, (N, C, H, W)."""
    return x.reshape(2, 1, 2, 3).transpose(0, 3, 1, 2)


def flat(x):
    return x.transpose(0, 2, 3, 1).reshape(4, 3)


@pytest.mark.parametrize(
    "normalize",
    [
        lambda x, gamma, beta: tg.batch_norm(x, gamma, beta, eps=0.0),
        lambda x, gamma, beta: tg.batch_norm(x.T, gamma, beta, axis=1, eps=0.0).T,
        lambda x, gamma, beta: tg.batch_norm(x.T.reshape(3, 2, 2), gamma, beta, axis=(1, 2), eps=0.0).reshape(3, 4).T,
        lambda x, gamma, beta: flat(tg.batch_norm_spatial(images(x), gamma, beta, eps=0.0)),
        lambda x, gamma, beta: tg.layer_norm(x.T, eps=0.0).T * gamma + beta,
        lambda x, gamma, beta: tg.instance_norm(x.T.reshape(1, 3, 4), gamma, beta, eps=0.0).reshape(3, 4).T,
        lambda x, gamma, beta: tg.group_norm(x.T.reshape(1, 3, 4), gamma, beta, groups=3, eps=0.0).reshape(3, 4).T,
    ],
)
def test_the_batch_done_by_hand(normalize):
    leaves = [Tensor(X), Tensor(GAMMA), Tensor(BETA)]
    y = normalize(*leaves)
    np.testing.assert_array_equal(y.data, Y)
    loss = (y * W).sum()
    assert loss.item() == 8
    for found, wanted in zip(grad(loss, leaves), (DX, DGAMMA, DBETA), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-14)


def test_normalizations_agree_where_they_coincide(rng):
    x = rng.standard_normal((4, 6, 2, 3))
    gamma, beta = rng.standard_normal((2, 6))
    close(tg.batch_norm_spatial(x, gamma, beta), tg.batch_norm(x, gamma, beta, axis=(0, 2, 3)), 1e-13)
    close(tg.group_norm(x, gamma, beta, groups=6), tg.instance_norm(x, gamma, beta), 1e-13)
    close(tg.group_norm(x, groups=1), tg.layer_norm(x, axis=(1, 2, 3)), 1e-13)
    statistics = x.mean((0, 2, 3)), x.var((0, 2, 3))
    y = tg.batch_norm(x, gamma, beta, axis=(0, 2, 3))
    close(tg.batch_norm_inference(x, *statistics, gamma, beta, axis=(0, 2, 3)), y, 1e-13)
    column = lambda p: p[:, None, None]
    formula = (x - column(statistics[0])) / np.sqrt(column(statistics[1]) + 0.5) * column(gamma) + column(beta)
    close(tg.batch_norm(x, gamma, beta, axis=(0, 2, 3), eps=0.5), formula, 1e-13)


def test_a_channel_without_variance_gives_beta(rng):
    """That is what ε is for: features that are constant break nothing."""
    x = rng.standard_normal((5, 3))
    x[:, 1] = 7.0
    leaf, gamma, beta = Tensor(x), Tensor(GAMMA), Tensor(BETA)
    y = tg.batch_norm(leaf, gamma, beta)
    np.testing.assert_array_equal(y.data[:, 1], np.full(5, BETA[1]))
    assert all(np.isfinite(g).all() for g in grad(y, [leaf, gamma, beta], rng.standard_normal((5, 3))))


def test_a_nan_spoils_its_own_channel_and_no_other(rng):
    x = rng.standard_normal((5, 3))
    x[2, 1] = np.nan
    leaf = Tensor(x)
    y = tg.batch_norm(leaf, eps=0.0)
    (dx,) = grad(y, leaf, rng.standard_normal((5, 3)))
    for found in (y.data, dx):
        np.testing.assert_array_equal(np.isnan(found), np.broadcast_to([False, True, False], (5, 3)))


def test_gradients_of_a_normalization_are_orthogonal_to_what_it_removes(rng):
    """A shift of x changes nothing, and (but for ε) neither does a stretch: dx sums to 0, alone and against x̂."""
    x, w = rng.standard_normal((2, 6, 3))
    leaf = Tensor(x)
    y = tg.batch_norm(leaf, eps=0.0)
    (dx,) = grad(y, leaf, w)
    np.testing.assert_allclose(dx.sum(0), 0, atol=1e-13)
    np.testing.assert_allclose((dx * y.data).sum(0), 0, atol=1e-13)


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm"])
def test_an_axis_is_an_integer_and_stays_one(name):
    x = np.arange(12.0).reshape(4, 3)
    for function in (getattr(tg, name), getattr(tg.fused, name)):
        for wrong in (1.0, (1.0,)):
            with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
                function(x, axis=wrong)
        np.testing.assert_array_equal(function(x, axis=(1,)), function(x, axis=np.int64(1)))  # 1.0 == 1, in a cache
