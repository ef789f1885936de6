"""Who refers to a gradient decides whether it may be added into."""

import sys

import numpy as np
import pytest

from tinygraph.kernels.references import ALONE, count_references, is_alone


class Node:
    def __init__(self, shape):
        self.shape = shape


@pytest.mark.skipif(ALONE < 0, reason="this interpreter does not count references")
def test_a_gradient_is_alone_until_somebody_else_refers_to_it():
    x = Node((3,))
    grads = {x: np.ones(3)}
    assert is_alone(grads, x)
    held = grads[x]
    assert not is_alone(grads, x)
    del held
    view = grads[x][1:]
    assert not is_alone(grads, x)
    del view
    assert is_alone(grads, x)
    grads[x] = np.ones(4)[1:]
    assert not is_alone(grads, x)  # a view of what may be another's
    grads[x] = np.ones((1,))
    assert not is_alone(grads, x)  # one row in place of all


def test_the_count_is_calibrated_with_the_code_that_counts():
    if sys.implementation.name == "cpython":
        assert count_references({"a": np.empty(0)}, "a") == ALONE
