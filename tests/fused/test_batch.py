"""What fused batch norm has alone: the statistics of its batch, and a check that rejects wrong coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import close
from tests.fused_cases import check, make_batch
from tinygraph import Tensor, fused
from tinygraph.fused import batch


def test_statistics_of_a_batch():
    x = np.random.default_rng(0).standard_normal((9, 3, 4)) + 5
    for kind in (np.float32, np.float64):
        y = fused.batch_norm(Tensor(x.astype(kind)), axis=(0, 2), eps=0.5)
        mean, variance = fused.batch_norm_statistics(y)
        assert mean.dtype == variance.dtype == np.float64 and mean.shape == variance.shape == (3,)
        close(mean, x.mean((0, 2)), 1e-6)
        close(variance, x.var((0, 2)), 1e-5)
    for wrong in (x, Tensor(x), fused.layer_norm(Tensor(x)), y * 2):
        with pytest.raises(TypeError, match="y must be a Tensor that fused"):
            fused.batch_norm_statistics(wrong)
    y.backward(x, retain_graph=False)
    with pytest.raises(ValueError, match="the graph of y was freed"):
        fused.batch_norm_statistics(y)


def test_a_coefficient_off_by_a_thousandth_is_caught(monkeypatch):
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    module = batch.numpy
    for name, count in (("statistics", 4), ("coefficients", 4)):
        right = getattr(module, name)
        for i in range(1 if name == "statistics" else 0, count):
            wrong = lambda *args, i=i, right=right: tuple(
                p * (1.001 if k == i else 1) for k, p in enumerate(right(*args))
            )
            with monkeypatch.context() as patch:
                patch.setattr(module, name, wrong)
                with pytest.raises(AssertionError, match="is off by"):
                    check("batch_norm", make_batch("batch_norm", (90, 64), 0, np.float32, 0.5), 1e-6, axis=0)
