"""PyTorch's own samples of some operators; ``python tests/opinfo.py`` runs all of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests import opinfo
from tinygraph.ops import activations, trigonometry

pytest.importorskip("torch")
ONLY = (
    "sin,atan2,hypot,special.xlog1py,remainder,clamp,fmax,nn.functional.softplus,nn.functional.elu,nn.functional.glu,"
    "index_copy,index_fill,index_put,masked_scatter,scatter_reduce,mode,matrix_exp,nn.functional.grid_sample"
)


@pytest.fixture(scope="module")
def operators():
    return list(opinfo.operators(ONLY))


def test_samples_of_some_operators_agree(operators):
    assert {op.name for op in operators} == set(ONLY.split(","))
    report = opinfo.run(ONLY)
    assert not report.wrong and not report.refused, report.text()
    assert report.agree.total() > 80


def test_a_wrong_derivative_disagrees_and_an_error_is_a_refusal(operators, monkeypatch):
    (sine,) = (op for op in operators if op.name == "sin")
    sample = next(sine.sample_inputs("cpu", opinfo.torch.float64, requires_grad=True))
    assert opinfo.compare(sine, sample) == ""
    monkeypatch.setattr(trigonometry.sin.op, "lines", (lambda g, x: 1.0001 * g * trigonometry.cos(x),))
    assert opinfo.compare(sine, sample).startswith("gradient 0 differs")
    sample.kwargs["foo"] = 1
    with pytest.raises(opinfo.RefusedError, match="takes no foo="):
        opinfo.call_ours(sine, sample)


def test_where_pytorch_is_the_inexact_one_differences_say_so(monkeypatch):
    (op,) = opinfo.operators("nn.functional.hardsigmoid")
    report = opinfo.Report()
    report.run(op)
    assert not report.wrong
    assert report.left.total() == 1
    right = activations.hardsigmoid
    monkeypatch.setattr(
        opinfo.tg.nn.functional, "hardsigmoid", lambda x, **params: right(x * 1.0) + 1e-6 * (x - x.data)
    )
    report.run(op)
    assert report.wrong, "our gradient was wrong, and counted as PyTorch's fault"


def test_what_differs_by_more_than_rounding():
    x = np.array([1.0, np.nan, np.inf])
    assert opinfo.gap(x, x) == 0
    assert opinfo.gap(x[:1], x) == opinfo.gap(x, np.nan_to_num(x)) == np.inf
    assert 0 < opinfo.gap(np.array([1e6 + 1]), np.array([1e6])) < 2e-6
