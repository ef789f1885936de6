"""Activations as modules beyond values, which random configurations compare with PyTorch."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import nn
from tinygraph.nn import activations, softmaxes


def test_softmax_takes_one_axis():
    x = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_allclose(nn.Softmax()(x).sum(-1), 1)
    with pytest.raises(TypeError, match="LogSoftmax: dim is None; it must be the number of an axis"):
        nn.LogSoftmax(None)


ARGUMENTS = {"Threshold": (0.1, 20)}
TAKE_INPLACE = [name for name in activations.__all__ if "inplace" in inspect.signature(getattr(nn, name)).parameters]


@pytest.mark.parametrize("name", TAKE_INPLACE)
def test_inplace_is_taken_and_changes_nothing(name):
    assert len(TAKE_INPLACE) >= 13
    x = np.array([-2.0, 0.5, 8.0])
    args = ARGUMENTS.get(name, ())
    plain, placed = getattr(nn, name)(*args).eval()(x), getattr(nn, name)(*args, inplace=True).eval()(x)
    np.testing.assert_array_equal(plain, placed)
    np.testing.assert_array_equal(x, [-2.0, 0.5, 8.0])


@pytest.mark.parametrize("name", activations.__all__ + softmaxes.__all__)
def test_a_repr_is_that_of_pytorch(torch, name):
    args = ARGUMENTS.get(name, (1,) if name in ("Softmax", "LogSoftmax", "Softmin") else ())
    theirs = repr(getattr(torch.nn, name)(*args))
    assert repr(getattr(nn, name)(*args)) == theirs


def test_random_slopes_are_drawn_in_training_alone():
    layer, x = nn.RReLU(0.1, 0.3), -np.ones(1000)
    tg.manual_seed(0)
    drawn = -layer(x)
    assert drawn.min() >= 0.1 and drawn.max() <= 0.3 and abs(drawn.mean() - 0.2) < 0.01 and drawn.std() > 0.05
    np.testing.assert_allclose(layer.eval()(x), -0.2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.Hardtanh(1.0, -1.0), "min_val=1.0 is above max_val=-1.0"),
        (lambda: nn.Softshrink(-1.0), "lambd=-1.0 is negative"),
        (lambda: nn.RReLU(0.5, 0.1), "lower=0.5 is above upper=0.1"),
        (lambda: nn.GELU("erf"), "approximate 'erf' is neither"),
        (lambda: nn.Softmax2d()(np.ones(3)), r"x must be \(N, C, H, W\)"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
