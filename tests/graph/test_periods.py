"""Ops that repeat are found, whatever stands around them."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph import Parameter, Tensor
from tinygraph.graph.periods import Period, periods
from tinygraph.graph.snapshot import snapshot


def test_the_step_of_a_loop_is_found_between_other_ops() -> None:
    h = np.exp(-Tensor([0.1, 0.2], name="x"))
    for _ in range(10):
        h = np.tanh(h * 1.1 + Parameter([1.0, 1.0], name="b"))
    (found,) = periods(snapshot(np.exp(-h).sum()))
    assert found == Period(start=2, length=3, times=10, follows=False)
    assert found.saved == 3 * 9 - 1


def test_a_step_that_takes_a_leaf_of_its_own_twice_repeats() -> None:
    xs = [Tensor([0.1 * k, 0.2], name=f"x{k}") for k in range(5)]
    h, w = Tensor([1.0, 1.0], name="h"), Parameter([1.0, 2.0], name="w")
    for x in xs:
        h = np.tanh(h * x + w) * x
    (found,) = periods(snapshot(h))
    assert (found.length, found.times + found.follows) == (4, 5)


def test_a_loop_in_a_loop_is_one_period() -> None:
    h = Tensor([0.1, 0.2], name="x")
    for _ in range(6):
        for _ in range(4):
            h = np.tanh(h)
        h = np.exp(-h)
    (found,) = periods(snapshot(h))
    assert (found.length, found.times + found.follows) == (6, 6)


@pytest.mark.parametrize("change", ["shape", "op", "operand", "parameter of the op", "weight used elsewhere"])
def test_what_differs_does_not_repeat(change: str) -> None:
    rng = np.random.default_rng(0)
    weights = [Parameter(np.ones(4), name=f"w{k}") for k in range(12)]
    h: Tensor = Tensor(np.ones((4, 4)), name="x")
    past = [h]
    for k in range(12):
        if change == "shape":
            h = h.reshape([(2, 8), (16, 1), (4, 4), (8, 2)][rng.integers(4)]) * float(k)
        elif change == "op":
            h = [np.tanh, np.exp, np.negative][rng.integers(3)](h)
        elif change == "operand":
            h = h + past[rng.integers(len(past))]
        elif change == "parameter of the op":
            h = h.sum(axis=int(rng.integers(2)), keepdims=True) + past[0]
        else:
            h = h * weights[rng.integers(3)]
        past.append(h)
    assert all(p.saved < 12 for p in periods(snapshot(h)))


def test_steps_that_read_from_one_value_repeat() -> None:
    x = Tensor(np.ones((8, 2, 3)), name="x")
    y = np.exp(x)
    total = y[0].sum()
    for t in range(1, 8):
        total = total + y[t].sum()
    (found,) = periods(snapshot(total))
    assert (found.length, found.times + found.follows) == (3, 7)
