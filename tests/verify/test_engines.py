"""The libraries behind a comparison: the bytes that they keep, and PyTorch's function for ours."""

import functools
import sys

import numpy as np
import pytest

import tinygraph as tg
from tests.certificates import by, of_digits, shifted_softmax
from tests.wrong_ops import BETA, GAMMA, RANDOM, X
from tinygraph import compare
from tinygraph.verify.engines import bytes_for_backward


def test_bytes_for_backward_are_those_of_unique_arrays():
    x = np.ones((10, 4), np.float32)
    assert bytes_for_backward(lambda x: tg.exp(x) * x, [x]) == (x.nbytes, x.nbytes)  # e^x is one array in two nodes
    assert bytes_for_backward(lambda x: x + x, [x]) == (0, 0)
    wide = np.ones((10, 8), np.float32)
    assert bytes_for_backward(tg.square, [wide[:, :4]]) == (0, x.nbytes)  # a view counts as what it shows
    kept = of_digits().kept
    n, d = 90, 64
    assert kept["composed"] == (2 * n * d * 4 + d * 4, d * 4)  # x_c, x̂ and σ; γ
    assert kept["fused"][0] <= 2 * d * 8  # the mean and 1/σ
    assert kept["fused"][1] >= n * d * 4  # x


def test_pytorch_stands_beside_them_and_is_wrong_at_third_order():
    pytest.importorskip("torch")
    certificate = compare(tg.batch_norm, tg.fused.batch_norm, X, GAMMA, BETA, against="torch", time=False)
    assert certificate.ok  # PyTorch is not judged
    double = by(certificate, function="torch", case="uniform", dtype="float64")
    assert all(row.ok for row in double if row.quantity != "d³x")
    (third,) = by(certificate, function="torch", case="uniform", dtype="float64", quantity="d³x")
    assert not third.ok and third.error > 0.01
    assert any(note.startswith("torch is wrong in the 3rd derivative: rounding ") for note in certificate.notes)
    assert "torch" in certificate.kept


@pytest.mark.parametrize(
    ("function", "shape", "affine", "keywords"),
    [
        (tg.batch_norm, (4, 3, 2, 2), (3,), {"axis": (0, 2, 3), "eps": 1e-3}),
        (tg.batch_norm, (4, 3, 2), (3, 2), {"axis": 0}),
        (tg.batch_norm, (2, 5, 3), (3,), {"axis": (0, 1)}),
        (tg.layer_norm, (4, 3), (3,), {}),
        (tg.layer_norm, (4, 2, 3), (2, 3), {"axis": (1, 2), "eps": 1e-3}),
    ],
)
def test_pytorchs_twin_takes_the_same_keywords(function, shape, affine, keywords):
    pytest.importorskip("torch")
    bound = functools.partial(function, **keywords)
    arrays = RANDOM.normal(size=shape), RANDOM.normal(size=affine), RANDOM.normal(size=affine)
    certificate = compare(bound, bound, *arrays, against="torch", sweep=False, time=False)
    found = by(certificate, function="torch", dtype="float64")
    assert found and all(row.error < 1e-12 for row in found if row.order < 3)


def test_against_takes_any_function_of_pytorch_tensors():
    torch = pytest.importorskip("torch")
    certificate = compare(tg.softmax, shifted_softmax, X, against=lambda x: torch.softmax(x, -1), time=False)
    assert all(row.error < 1e-11 for row in by(certificate, function="torch", dtype="float64"))
    wrong = compare(tg.softmax, shifted_softmax, X, against=lambda x: torch.softmax(x, 0), time=False)
    assert wrong.ok and not all(row.ok for row in by(wrong, function="torch"))
    with pytest.raises(ValueError, match="PyTorch's twin of softmax is not known, but those of batch_norm and l"):
        compare(tg.softmax, shifted_softmax, X, against="torch")


def test_without_pytorch_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match="pip install torch"):
        compare(tg.batch_norm, tg.batch_norm, X, GAMMA, BETA, against="torch")
