"""Counts of operations, against those that one counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.graph.costs import flops


@pytest.mark.parametrize(
    ("y", "count"),
    [
        (lambda: tg.Tensor(np.ones((4, 3))) + 1.0, 12),
        (lambda: tg.Tensor(np.ones((4, 1))) * np.ones(3), 12),  # of the result, after the broadcast
        (lambda: tg.Tensor(np.ones((4, 3))).sum(0), 12),  # of the operand
        (lambda: tg.Tensor(np.ones((4, 3))) @ np.ones((3, 5)), 2 * 4 * 5 * 3),
        (lambda: tg.Tensor(np.ones((2, 4, 3))) @ np.ones((3, 5)), 2 * 2 * 4 * 5 * 3),
        (lambda: tg.Tensor(np.ones(3)) @ np.ones(3), 6),
        (lambda: tg.einsum("bij,bjk->bik", tg.Tensor(np.ones((2, 4, 3))), np.ones((2, 3, 5))), 2 * 2 * 4 * 3 * 5),
        (lambda: tg.einsum("...ij,...jk->...ik", tg.Tensor(np.ones((2, 4, 3))), np.ones((2, 3, 5))), 240),
        (lambda: tg.conv2d(tg.Tensor(np.ones((2, 3, 8, 8))), np.ones((4, 3, 3, 3))), 2 * (2 * 4 * 6 * 6) * 27),
        (lambda: tg.conv2d(tg.Tensor(np.ones((1, 4, 5, 5))), np.ones((4, 2, 3, 3)), groups=2), 2 * (4 * 3 * 3) * 18),
        (lambda: tg.conv_transpose2d(tg.Tensor(np.ones((1, 2, 3, 3))), np.ones((2, 4, 2, 2))), 2 * 18 * 16),
        (lambda: tg.max_pool2d(tg.Tensor(np.ones((1, 1, 4, 4))), 2), 4 * 4),
        (lambda: tg.Tensor(np.ones((4, 3))).T, 0),
        (lambda: tg.Tensor(np.ones((4, 3))).reshape(12), 0),
    ],
)
def test_operations_are_counted_as_by_hand(y: object, count: int) -> None:
    graph = tg.snapshot(y())  # type: ignore[operator]
    assert flops(graph, graph.outputs[0]) == count


def test_what_is_not_known_is_none_and_a_leaf_costs_nothing() -> None:
    graph = tg.snapshot(tg.fused.batch_norm(tg.Tensor(np.eye(3), name="x"), np.ones(3), np.zeros(3)))
    assert flops(graph, graph.outputs[0]) is None
    assert flops(graph, graph.find("x").id) == 0
