"""The batch axis is followed through every op."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Parameter, Tensor
from tinygraph.graph.batch import batch_axes
from tinygraph.graph.snapshot import snapshot
from tinygraph.ops.linear import einsum, matmul


def carried(t: Tensor) -> set[int]:
    graph = snapshot(t)
    return set(batch_axes(graph, "x")[graph.outputs[0]])


@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (lambda x, w: x * 2, {0}),
        (lambda x, w: x.T, {1}),
        (lambda x, w: matmul(x, w), {0}),
        (lambda x, w: matmul(x, x.T), {0, 1}),
        (lambda x, w: matmul(w.T, x.T), {1}),
        (lambda x, w: x.mean(axis=0), set()),
        (lambda x, w: x.mean(axis=1), {0}),
        (lambda x, w: x.mean(axis=1, keepdims=True), {0}),
        (lambda x, w: x.T.mean(axis=0), {0}),
        (lambda x, w: x.reshape(3, 2, 5), {0}),
        (lambda x, w: x.reshape(30), {0}),
        (lambda x, w: x.T.reshape(5, 2, 3), {1}),
        (lambda x, w: x[None, :, 1], {1}),
        (lambda x, w: x[2], set()),
        (lambda x, w: x[[0, 1, 1], [0, 1, 2]], {0}),
        (lambda x, w: einsum("nd,dk->kn", x, w), {1}),
        (lambda x, w: np.broadcast_to(x, (2, 6, 5)), {1}),
        (lambda x, w: x.reshape(6, 5, 1)[:, [[0, 1], [2, 3]]], {0}),
        (lambda x, w: x[[5, 3, 1]], {0}),
        (lambda x, w: x[x.data[:, 0] > 0], {0}),
        (lambda x, w: np.concatenate([x, x * 2]), {0}),
        (lambda x, w: np.concatenate([x, x], axis=1), {0}),
        (lambda x, w: np.stack([x, x]), {1}),
        (lambda x, w: np.stack([x, x], axis=-1), {0}),
        (lambda x, w: np.split(x, 5, axis=1)[2], {0}),
        (lambda x, w: np.split(x, 2)[1], {0}),
        (lambda x, w: np.pad(x, ((0, 0), (1, 2))), {0}),
        (lambda x, w: tg.grad(np.split(x * 2, 5, axis=1)[2].sum(), x, create_graph=True)[0] + x * 0, {0}),
        (lambda x, w: einsum("...d,dk", x, w), {0}),
        (lambda x, w: np.argmax(x, axis=1, keepdims=True) * 1.0 * x, {0}),
        (lambda x, w: x.reshape(6, 1, 5).transpose(2, 0, 1), {1}),
        (lambda x, w: tg.grad((x @ w).sum(), w, create_graph=True)[0] * 1.0, set()),
        (lambda x, w: tg.grad((x @ w).sum(), x, create_graph=True)[0] * x, {0}),
        (lambda x, w: x.sum() * w, set()),
    ],
)
def test_the_batch_axis_is_followed(make, axes: set[int]) -> None:
    x, w = Tensor(np.ones((6, 5)), name="x"), Parameter(np.ones((5, 4)), name="w")
    assert carried(make(x, w)) == axes


def test_the_batch_goes_through_windows_and_back_from_pixels() -> None:
    from tinygraph.ops.convolution import conv2d
    from tinygraph.ops.pooling import avg_pool2d

    x = Tensor(np.ones((3, 2, 8, 8)), name="x")
    c = conv2d(x, Parameter(np.ones((3, 2, 3, 3)), name="k"))
    assert carried(c) == {0}
    assert carried(avg_pool2d(c, 2)) == {0}
    assert carried(tg.batch_norm_spatial(x)) == {0}
