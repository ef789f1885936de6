"""The work that is timed: every library computes the same value and the same gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph import bench
from tinygraph.bench import Worker, workloads

PEERS = [
    *(("torch", work, shape) for work, shape in (
        ("chain", (8,)), ("chain", (4, 4)), ("composed", (32, 6)), ("composed", (4, 3, 5, 5)),
        ("batch_norm", (32, 6)), ("batch_norm", (4, 3, 5, 5)), ("layer_norm", (32, 6)),
        ("compiled batch_norm", (32, 6)), ("compiled layer_norm", (32, 6)), ("compiled softmax", (1200, 6)),
        ("compiled cross_entropy", (1200, 6)), ("compiled gelu", (1200, 6)), ("lenet step", (8, 1, 16, 16)),
    )),
    ("fused", "compiled batch_norm", (1200, 6)), ("fused", "compiled layer_norm", (1200, 6)),
    ("fused", "compiled batch_norm, relu", (1200, 6)),
    ("fused", "compiled batch_norm, sigmoid, residual", (1200, 6)),
    ("jax", "composed", (4, 3, 5, 5)), ("jax", "mlp step", (16, 12)),
    *((peer, work, shape) for peer in bench.SLOWER for work, shape in (("chain", (8,)), ("composed", (32, 6)))),
    ("micrograd", "composed", (16, 4)),
]  # fmt: skip


@pytest.fixture(scope="module")
def results():
    """The function that asks the worker process of a library for the value and the gradients of a work."""
    workers = {}

    def ask(library, work, shape):
        if library not in workers:
            workers[library] = Worker(library, 1, "numpy")
        try:
            return [np.asarray(x) for x in workers[library].ask(results=work, shape=shape)]
        except ModuleNotFoundError as error:
            pytest.skip(str(error))

    yield ask
    for worker in workers.values():
        worker.close()


@pytest.mark.parametrize(("library", "work", "shape"), PEERS, ids=lambda part: str(part))
def test_libraries_do_the_same_work(library, work, shape, results):
    """The value and all gradients of each library are ours, so that no library is measured on less."""
    ours, theirs = results("tinygraph", work, shape), results(library, work, shape)
    counts = {"chain": 5, "mlp step": 11, "lenet step": 19, **dict.fromkeys(workloads.ALONE, 2)}
    assert len(ours) == len(theirs) == counts.get(work, 4)
    largest = max(np.abs(a).max() for a in ours[1:])
    for a, b in zip(ours, theirs, strict=True):  # a bias before a norm has no gradient but rounding
        np.testing.assert_allclose(a, b.reshape(a.shape), rtol=0, atol=1e-4 * max(np.abs(a).max(), 0.1 * largest))


@pytest.mark.parametrize("work", ["batch_norm", "composed"])
def test_our_work_is_what_its_name_says(work, results):
    """Against the definition in NumPy: batch norm of x, and the gradient of β, which is the sum of w."""
    x, gamma, beta, w = workloads.arrays((32, 6))
    y, _, _, d_beta = results("tinygraph", work, (32, 6))
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gamma + beta, atol=1e-5)
    np.testing.assert_allclose(d_beta, w.sum(0), atol=1e-5)


def test_both_ways_of_training_compute_the_same(results):
    ours, theirs = (results("tinygraph", work, (32, 6)) for work in ("training", "training by grad"))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
