"""Clipped gradients and vectors of parameters, as PyTorch has them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygraph import Parameter, Tensor, grad, nn, optim

SHAPES = [(4, 3), (3,), ()]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, 0.5, math.inf, -math.inf, 0.0])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping_is_that_of_pytorch(rng, norm_type, max_norm):
    torch = pytest.importorskip("torch")
    gradients = [rng.standard_normal(shape) for shape in SHAPES]
    ours = [Parameter(np.ones(shape)) for shape in SHAPES] + [Parameter(np.ones(2))]
    theirs = [torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES]
    for p, q, g in zip(ours, theirs, gradients, strict=False):
        p.grad, q.grad = g, torch.tensor(g)
    total = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert nn.utils.clip_grad_norm_(ours, max_norm, norm_type) == pytest.approx(float(total), rel=1e-12)
    for p, q in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)
    assert ours[-1].grad is None


def test_clipping_nan():
    p = Tensor([0.0, 0.0])
    p.grad = np.array([1.0, np.nan])
    with pytest.raises(RuntimeError, match="the norm of the gradients is nan"):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert math.isnan(nn.utils.clip_grad_norm_([p], 1.0)) and np.isnan(p.grad).all()


def test_clipping_without_gradients_or_elements():
    assert nn.utils.clip_grad_norm_([], 1.0) == 0 == nn.utils.clip_grad_norm_([Parameter(np.ones(2))], 1.0)
    p = Parameter(np.ones((0, 2)))
    p.grad = np.zeros((0, 2))
    assert nn.utils.clip_grad_norm_(p, 1.0, math.inf) == 0
    assert optim.clip_grad_norm_ is nn.utils.clip_grad_norm_


def test_values_are_clipped_as_in_pytorch(rng):
    torch = pytest.importorskip("torch")
    g = rng.standard_normal((4, 3))
    p, q = Parameter(np.ones((4, 3))), torch.ones((4, 3), dtype=torch.float64, requires_grad=True)
    p.grad, q.grad = g.copy(), torch.tensor(g)
    optim.clip_grad_value_(p, 0.4)
    torch.nn.utils.clip_grad_value_(q, 0.4)
    np.testing.assert_array_equal(p.grad, q.grad.numpy())
    assert nn.utils.get_total_norm([p.grad]) == pytest.approx(np.linalg.norm(p.grad), rel=1e-14)


def test_a_vector_of_parameters_and_back(rng):
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to(np.float64)
    vector = nn.utils.parameters_to_vector(net.parameters())
    np.testing.assert_array_equal(vector.data, np.concatenate([p.data.ravel() for p in net.parameters()]))
    for p, g in zip(net.parameters(), grad((vector * vector).sum(), [*net.parameters()]), strict=True):
        np.testing.assert_array_equal(g, 2 * p.data)
    new = rng.standard_normal(vector.shape)
    nn.utils.vector_to_parameters(Tensor(new), net.parameters())
    np.testing.assert_array_equal(nn.utils.parameters_to_vector(net.parameters()).data, new)
    with pytest.raises(ValueError, match=r"a vector of 12 elements is needed, not \(11,\)"):
        nn.utils.vector_to_parameters(new[1:], net.parameters())
