"""What a graph keeps, and when it is freed."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygraph as tg
from tests.tensors import X, tensor
from tinygraph import Tensor, grad
from tinygraph.ops.elementwise import exp, log, relu, sigmoid, sqrt, square, tanh
from tinygraph.ops.joining import concatenate


@pytest.mark.parametrize(
    ("f", "keeps"),
    [
        (lambda h, c: h + c, ""),
        (lambda h, c: h - c, ""),
        (lambda h, c: -h, ""),
        (lambda h, c: h * c, "c"),
        (lambda h, c: h / c, "c"),
        (lambda h, c: c / h, "h out"),
        (lambda h, c: h * h, "h"),
        (lambda h, c: square(h), "h"),
        (lambda h, c: exp(h), "out"),
        (lambda h, c: sqrt(h), "out"),
        (lambda h, c: tanh(h), "out"),
        (lambda h, c: sigmoid(h), "out"),
        (lambda h, c: relu(h), "out"),
        (lambda h, c: log(h), "h"),
        (lambda h, c: h.sum(0), ""),
        (lambda h, c: h.mean(), ""),
        (lambda h, c: h.reshape(3, 2), ""),
        (lambda h, c: h.T, ""),
        (lambda h, c: h[0], ""),
        (lambda h, c: concatenate([h, c]), ""),
        (lambda h, c: h @ c.T, "c"),
    ],
)
def test_a_node_keeps_what_its_lines_name(f, keeps):
    x, c = tensor(np.abs(X)), np.abs(X) + 1
    h = x + 1
    y = f(h, c)
    arrays = [a for args in y.node.saved if args for a in args if isinstance(a, np.ndarray)]
    owners = {"h": h.data, "c": c, "out": y.data}
    kept = {name for name, owner in owners.items() if any(np.shares_memory(a, owner) for a in arrays)}
    assert kept == set(keeps.split())
    gone = weakref.ref(h.data)
    del h, owners, arrays, y.node.inputs  # of the graph, only what the node itself keeps is left
    shares_memory_by_nature = y.data.base is not None
    assert (gone() is not None) == ("h" in kept or shares_memory_by_nature)


def network():
    """A small net with batch norm, its parameters, and weak references to everything in its graph."""
    rng = np.random.default_rng(0)
    x, w, gamma, beta = (Tensor(rng.standard_normal(n)) for n in [(8, 3), (3, 4), (4,), (4,)])
    h = relu(tg.batch_norm(x @ w, gamma, beta))
    loss = tg.cross_entropy(h, np.arange(8) % 4)
    return loss, [x, w, gamma, beta], [weakref.ref(h.data), weakref.ref(h), weakref.ref(loss)]


def test_dropping_the_output_frees_the_graph_without_the_garbage_collector():
    loss, leaves, _ = network()  # what is made once makes cycles: calls of ops, modules
    grad([f.sum() for f in grad(loss, leaves, create_graph=True)], leaves)
    loss.backward()
    del loss, leaves, _
    gc.collect()
    gc.disable()
    try:
        loss, leaves, alive = network()
        loss.backward()
        loss.backward()
        firsts = grad(loss, leaves, create_graph=True)
        seconds = grad([f.sum() for f in firsts], leaves)
        alive += [weakref.ref(f) for f in firsts]
        assert alive[0]() is not None  # the graph holds the array, though the tensor is gone
        del loss, firsts, seconds
        assert [r() for r in alive] == [None] * len(alive)
        loss, leaves, alive = network()
        loss.backward(retain_graph=False)
        assert alive[0]() is None
        del loss, leaves
        assert gc.collect() == 0  # no cycle was made
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "differentiate",
    [lambda loss, leaves: loss.backward(), lambda loss, leaves: tg.grad(loss, leaves)],
    ids=["backward", "grad"],
)
def test_a_training_step_of_batch_norm_fits_in_four_and_a_half_inputs(differentiate):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((1024, 1024), np.float32) for _ in range(2))
    leaves = [Tensor(x), Tensor(np.ones(1024, np.float32)), Tensor(np.zeros(1024, np.float32))]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        differentiate((tg.batch_norm(*leaves) * w).sum(), leaves)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (peak - before) / x.nbytes <= 4.5


def test_a_recorded_gradient_and_what_it_derives_are_freed_with_it():
    x = Tensor(np.ones(3))
    loss = square(exp(x)).sum()
    (dx,) = grad(loss, x, create_graph=True)
    (ddx,) = grad(dx.sum(), x, create_graph=True)
    gone = [weakref.ref(t.data) for t in (loss, dx, ddx)]
    gc.disable()
    try:
        del loss, dx, ddx
        assert [ref() for ref in gone] == [None] * 3
    finally:
        gc.enable()
