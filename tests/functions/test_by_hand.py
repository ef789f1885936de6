"""Batch norm by hand: on a batch that can be done in the head, and against the graph at every node."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import BETA, DBETA, DGAMMA, DX, GAMMA, MEAN, SIGMA, X_HAT, W, X, Y
from tests.cases import close
from tinygraph import Tensor, grad


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
