"""The first value or gradient that is not finite is named."""

from __future__ import annotations

import numpy as np

import tinygraph as tg
from tinygraph.training import first_not_finite


def test_the_first_bad_value_is_named():
    x = tg.Tensor([4.0, -1.0], name="x")
    with np.errstate(invalid="ignore"), tg.scope("net", "bn"):
        loss = (tg.exp(tg.sqrt(x).named("σ")) + 1).sum()
    assert first_not_finite(loss).endswith("is σ = sqrt(x) in net/bn: 1 nan of 2, made of x up to 4")


def test_the_first_bad_gradient_is_named():
    x = tg.Tensor([4.0, 0.0], name="x")
    loss = (tg.sqrt((x * 2).named("double")) * 3).sum()
    with np.errstate(divide="ignore"):
        loss.backward()
    assert (
        "the first gradient that is not finite is that of double = mul(x, constant): 1 infinite of 2"
        in first_not_finite(loss)
    )


def test_all_finite_is_said():
    assert first_not_finite(tg.Tensor([1.0]).sum()) == "every value of its graph is finite"
