"""Normalizations and losses: against numbers worked out by hand, against their formulas, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import close, composites
from tinygraph import Tensor, functions, grad

# A batch on which batch norm, with ε = 0, can be done in the head.
X = np.array([[1.0, -1, 2], [1, 3, 10], [3, -1, 10], [3, 3, 2]])
GAMMA, BETA = np.array([1.0, 2, -1]), np.array([0.0, 1, -1])
W = np.array([[4.0, 0, 0], [0, 0, -8], [0, 4, 0], [0, 0, 8]])
MEAN, SIGMA = np.array([2.0, 1, 6]), np.array([1.0, 2, 4])
X_HAT = np.array([[-1.0, -1, -1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]])
Y = np.array([[-1.0, -1, 0], [-1, 3, -2], [1, -1, -2], [1, 3, 0]])
DX = np.array([[2.0, -2, 1], [-2, 0, 1], [0, 2, -1], [0, 0, -1]])
DGAMMA, DBETA = np.array([-4.0, -4, -16]), np.array([4.0, 4, 0])


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


def test_the_steps_done_by_hand():
    """Forward and backward, a line a node: the texts' order, and the numbers of this batch."""
    s = tg.batch_norm_stepwise(X, GAMMA, BETA, W, eps=0.0)
    for name, wanted in {
        "mu": MEAN[None], "sigma": SIGMA[None], "x_hat": X_HAT, "y": Y, "dx": DX, "dgamma": DGAMMA, "dbeta": DBETA,
        "dx_hat": W * GAMMA, "dv": [[2.0, 1.0, -0.5]], "dmu": [[-4.0, -4.0, 0.0]],
    }.items():  # fmt: skip
        np.testing.assert_allclose(s[name], wanted, atol=1e-14, err_msg=name)


def test_the_steps_keep_float32():
    steps = tg.batch_norm_stepwise(*(np.float32(a) for a in (X, GAMMA, BETA, W)))
    assert {name for name, a in steps.items() if a.dtype != np.float32} == set()


@pytest.mark.parametrize(("shape", "axis"), [((5, 3), 0), ((4, 3, 2, 5), (0, 2, 3)), ((3, 6), -1)])
def test_stepwise_meets_the_graph_at_every_node(rng, shape, axis):
    x, dy = rng.standard_normal((2, *shape)) + 1.5
    channels = tuple(n for a, n in enumerate(shape) if a not in np.atleast_1d(axis) % len(shape))
    gamma, beta = rng.standard_normal((2, *channels))
    s = tg.batch_norm_stepwise(x, gamma, beta, dy, axis=axis)
    leaves = [Tensor(x), Tensor(gamma), Tensor(beta)]
    y = tg.batch_norm(*leaves, axis=axis)
    close(y.data, s["y"], 1e-13)
    for found, name in zip(grad(y, leaves, dy), ("dx", "dgamma", "dbeta"), strict=True):
        close(found, s[name], 1e-12, name)
    nodes, stack = {}, [y.node]
    while stack:
        node = stack.pop()
        nodes[node.name] = node
        stack += [n for n in node.inputs if hasattr(n, "op")]
    assert {"μ", "x_c", "q", "v", "σ", "x̂", "s", "y"} <= nodes.keys()
    assert all(n.scope == ("batch_norm",) for name, n in nodes.items() if n.op)


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


def test_softmax_and_cross_entropy_do_not_overflow():
    x = np.array([[1e4, 0.0, -1e4], [-np.inf, 0.0, 0.0]])
    np.testing.assert_allclose(tg.softmax(x), [[1, 0, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(tg.log_softmax(x)[0], [0, -1e4, -2e4])
    leaf = Tensor(x[:1])
    loss = tg.cross_entropy(leaf, np.array([2]))
    assert loss.item() == 2e4
    np.testing.assert_allclose(grad(loss, leaf)[0], [[1, 0, -1]])


def test_cross_entropy_by_its_formula(rng):
    x, labels = rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    each = -np.log(p[np.arange(5), labels])
    one_hot = np.eye(3)[labels]
    np.testing.assert_allclose(tg.cross_entropy(x, labels, reduction="none"), each)
    np.testing.assert_allclose(tg.cross_entropy(x, labels, reduction="sum"), each.sum())
    np.testing.assert_allclose(tg.cross_entropy(x, labels), each.mean())
    np.testing.assert_allclose(tg.cross_entropy(x, one_hot), each.mean())
    smooth = -((0.9 * one_hot + 0.1 / 3) * np.log(p)).sum(1)
    np.testing.assert_allclose(tg.cross_entropy(x, labels, label_smoothing=0.1), smooth.mean())
    leaf = Tensor(x)
    np.testing.assert_allclose(grad(tg.cross_entropy(leaf, labels), leaf)[0], (p - one_hot) / 5, atol=1e-15)
    targets = Tensor(one_hot)
    np.testing.assert_allclose(grad(tg.cross_entropy(x, targets), targets)[0], -np.log(p) / 5)


def test_var_and_std_as_numpy(rng):
    x = rng.standard_normal((4, 5))
    np.testing.assert_allclose(tg.var(x), x.var())
    np.testing.assert_allclose(tg.var(x, 0, True, 1), x.var(0, ddof=1, keepdims=True))
    np.testing.assert_allclose(tg.std(x, (0, 1), correction=2), x.std(ddof=2))


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm"])
def test_an_axis_is_an_integer_and_stays_one(name):
    x = np.arange(12.0).reshape(4, 3)
    for function in (getattr(tg, name), getattr(tg.fused, name)):
        for wrong in (1.0, (1.0,)):
            with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
                function(x, axis=wrong)
        np.testing.assert_array_equal(function(x, axis=(1,)), function(x, axis=np.int64(1)))  # 1.0 == 1, in a cache


def test_arrays_may_have_more_axes_than_the_alphabet_letters():
    few, many = tg.Tensor(np.ones(3)), np.full((1,) * 28 + (2, 3), 2.0)
    np.testing.assert_array_equal(tg.grad((few * many).sum(), few)[0], [4.0, 4.0, 4.0])
    np.testing.assert_array_equal(tg.grad((few + many).sum(), few)[0], [2.0, 2.0, 2.0])
