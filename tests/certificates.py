"""A certificate that several tests read, and the figures of one."""

import functools

import numpy as np

import tinygraph as tg
from tinygraph import Tensor, compare
from tinygraph.data import digits


def by(certificate, **facts):
    return [row for row in certificate.rows if all(getattr(row, name) == value for name, value in facts.items())]


@functools.cache
def of_digits():
    """The main job: the handwritten digits as they come, 29 of whose features are constant or nearly so."""
    x = np.asarray(digits()[0][:90], np.float32).reshape(90, 64)
    rng = np.random.default_rng(0)
    gamma, beta = rng.normal(size=(2, 64)).astype(np.float32)
    return compare(tg.batch_norm, tg.fused.batch_norm, x, gamma, beta, time=False)


def shifted_softmax(x):
    e = tg.exp(x - Tensor(x.data.max(-1, keepdims=True), requires_grad=False))
    return e / e.sum(-1, True)
