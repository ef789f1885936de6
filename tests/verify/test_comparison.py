"""compare: it accepts what is right, and every wrong function here must be caught by name."""

import dataclasses
import functools
import json
import sys

import numpy as np
import pytest

import tinygraph as tg
from tests.wrong_ops import BETA, GAMMA, LINES, RANDOM, X, normalize, registry_as_it_was
from tinygraph import Tensor, compare
from tinygraph.data import digits
from tinygraph.engine.op import op
from tinygraph.verify.engines import bytes_for_backward


@pytest.fixture(autouse=True)
def registry():
    with registry_as_it_was():
        yield


def by(certificate, **facts):
    return [row for row in certificate.rows if all(getattr(row, name) == value for name, value in facts.items())]


@functools.cache
def of_digits():
    """The main job: the handwritten digits as they come, 29 of whose features are constant or nearly so."""
    x = np.asarray(digits()[0][:90], np.float32).reshape(90, 64)
    rng = np.random.default_rng(0)
    gamma, beta = rng.normal(size=(2, 64)).astype(np.float32)
    return compare(tg.batch_norm, tg.fused.batch_norm, x, gamma, beta, time=False)


def test_batch_norm_and_its_fused_twin_agree_on_real_digits():
    certificate = of_digits()
    assert certificate.ok and certificate.failures == ()
    assert certificate.verdict.startswith("✓ fused.batch_norm computes batch_norm: all 176 figures agree")
    assert all(np.isfinite([row.error, row.apart, row.tolerance]).all() for row in certificate.rows)
    assert all(row.error <= 1e-9 for row in by(certificate, function="fused", case="uniform", dtype="float64"))
    assert max(certificate.reference.values()) < 1e-4
    for quantity in ("y", "dx", "dγ", "dβ"):
        for case in ("as given + 10⁴", "uniform + 10⁴"):
            (row,) = by(certificate, function="fused", case=case, dtype="float32", quantity=quantity)
            assert row.error <= 1e-6
            assert row.tolerance < 2e-5  # an offset is no excuse
    (row,) = by(certificate, function="composed", case="uniform + 10⁴", dtype="float32", quantity="y")
    assert row.error > 1e-5 and not row.ok  # shown, explained, and not judged
    assert any(note.startswith("composed loses digits in float32") for note in certificate.notes)
    assert not by(certificate, function="composed", dtype="float64")  # it is the reference there


def test_the_sweep_is_complete():
    certificate = of_digits()
    cases = ["as given", "as given + 10⁴", "uniform", "uniform + 100", "uniform + 10⁴"]
    cases += ["γ = 0", "N = 2", "spread ÷ 10⁶"]
    assert list(dict.fromkeys(row.case for row in certificate.rows)) == cases
    quantities = ["y", "dx", "dγ", "dβ", "jvp", "d²x", "d²γ", "d²β", "d³x", "d³γ", "d³β"]
    for case in cases:
        assert [row.quantity for row in by(certificate, function="fused", case=case, dtype="float64")] == quantities
    short = compare(tg.batch_norm, tg.fused.batch_norm, X, GAMMA, BETA, sweep=False)
    assert {row.case for row in short.rows} == {"as given"} and short.ok
    assert short.seconds["fused"] > 0 and short.runs >= 3


def test_the_axes_are_bound_with_partial():
    bind = lambda function, **keywords: functools.partial(function, **keywords)
    x = RANDOM.normal(size=(4, 3, 2, 2))
    images = compare(
        bind(tg.batch_norm, axis=(0, 2, 3)), bind(tg.fused.batch_norm, axis=(0, 2, 3)), x, GAMMA, BETA, time=False
    )  # fmt: skip
    assert images.ok and images.fused == "fused.batch_norm"
    other = compare(bind(tg.batch_norm, eps=1e-5), bind(tg.batch_norm, eps=1e-3), X, GAMMA, BETA, time=False)
    assert not other.ok and other.failures[0].quantity == "y"


@pytest.mark.parametrize("line", [name for name in LINES if name not in ("right", "not finite", "constant sigma")])
def test_a_wrong_first_derivative_is_found(line):
    certificate = compare(normalize("right"), normalize(line), X, time=False)
    assert not certificate.ok
    assert "rounding cannot explain that" in certificate.verdict and "dx (as given, float64)" in certificate.verdict
    assert not [row for row in certificate.failures if row.quantity == "y"]


def test_a_derivative_wrong_at_second_order_only_is_found_there():
    certificate = compare(normalize("right"), normalize("constant sigma"), X, time=False)
    assert {row.order for row in certificate.failures} == {2, 3}
    assert "d²x (as given, float64)" in certificate.verdict


def test_a_derivative_wrong_at_third_order_only_is_found_there():
    @op("", x=("", lambda g, x: g * (2 * x.data if isinstance(x, Tensor) else 2 * x)))
    def square_of_a_constant_slope(x):
        return x * x

    @op("", x=("", lambda g, x: g * 3 * square_of_a_constant_slope(x)))
    def cube(x):
        return x * x * x

    certificate = compare(lambda x: x * x * x, cube, X, time=False)
    assert {row.order for row in certificate.failures} == {3}


def test_a_wrong_reference_is_said_to_be_wrong_itself():
    certificate = compare(normalize("seven"), normalize("right"), X, time=False)
    assert not certificate.ok
    assert certificate.verdict.startswith("✗ normalized, the reference, is itself wrong: its 1st derivative is off by ")
    certificate = compare(normalize("constant sigma"), normalize("constant sigma"), X, time=False)
    assert not certificate.ok and "its 2nd derivative is off by" in certificate.verdict


def test_wrong_features_do_not_hide_behind_constant_ones():
    """The derivatives of a constant feature are 1/√ε times those of the others; the sweep redraws the data."""
    x = X.copy()
    x[:, 0] = 4
    certificate = compare(normalize("right"), normalize("constant sigma"), x, time=False)
    assert by(certificate, function="fused", case="uniform", dtype="float64", quantity="d³x", ok=False)


def shifted_softmax(x):
    e = tg.exp(x - Tensor(x.data.max(-1, keepdims=True), requires_grad=False))
    return e / e.sum(-1, True)


def naive_logsumexp(x):
    return tg.log(tg.exp(x).sum(-1))


def test_functions_of_any_signature_are_compared():
    x, w = RANDOM.normal(size=(6, 4)), RANDOM.normal(size=(4, 3))
    assert compare(tg.softmax, shifted_softmax, x, time=False).ok
    einsum = lambda x, w: (tg.einsum("ij,jk->ik", x, w), x.mean() * x.size)
    two = compare(lambda x, w: (x @ w, x.sum()), einsum, x, w, time=False)
    assert two.ok and {"y0", "y1", "dx", "dw", "jvp0", "jvp1", "d²w"} <= {row.quantity for row in two.rows}
    assert compare(lambda x: x * 2, lambda x: x + x, np.float64(3.0)).ok
    assert compare(tg.log, lambda x: 2 * tg.log(tg.sqrt(x)), np.array([1.0, 2.0, 3.0]), time=False).ok
    assert compare(tg.exp, tg.exp, [1.0, 2.0]).ok


def test_a_function_that_overflows_is_found_at_an_offset():
    certificate = compare(lambda x: tg.logsumexp(x, -1), naive_logsumexp, RANDOM.normal(size=(6, 4)), time=False)
    assert not certificate.ok and "it has no finite value, and the reference has one" in certificate.verdict
    assert {row.case for row in certificate.failures} == {"as given + 10⁴", "uniform + 100", "uniform + 10⁴"}


def test_a_case_that_the_reference_does_not_take_is_left_out_and_noted():
    overflows = compare(naive_logsumexp, lambda x: tg.logsumexp(x, -1), RANDOM.normal(size=(6, 4)), time=False)
    assert overflows.ok
    assert "left out, since the values are not finite (as given + 10⁴, uniform + 10⁴)" in overflows.notes

    def of_three(x):
        if x.shape[0] != 3:
            raise ValueError("three rows, please")
        return x * x

    certificate = compare(of_three, of_three, X[:3], time=False)
    assert certificate.ok and not by(certificate, case="N = 2")
    assert any("three rows, please (N = 2)" in note for note in certificate.notes)


def test_a_fused_function_that_fails_or_changes_the_dtype_is_found():
    def moody(x):
        if x.dtype == np.float32:
            raise NotImplementedError("float64 only")
        return x * x

    certificate = compare(lambda x: x * x, moody, X, time=False)
    assert not certificate.ok and {row.dtype for row in certificate.failures} == {"float32"}
    assert any("fused fails in float32: NotImplementedError: float64 only (as given, " in n for n in certificate.notes)
    certificate = compare(lambda x: x * x, lambda x: x * Tensor(x.data.astype(np.float64)) * np.ones(3), X, time=False)
    assert any("y is float64[5,3], and composed's is float32[5,3]" in note for note in certificate.notes)
    certificate = compare(lambda x: x * x, lambda x: (x * x).sum(), X, time=False)
    assert not certificate.ok and "it has no finite value" in certificate.verdict
    assert all(row.error == np.inf for row in by(certificate, function="fused"))
    fails = compare(lambda x: x * x, lambda x: 1 / 0, X)
    assert not fails.ok and "fused" not in fails.kept and not fails.seconds
    assert "✗" in str(fails) and "fused fails: ZeroDivisionError: division by zero (float64)" in fails.notes


def test_bytes_bytes_for_backward_are_those_of_unique_arrays():
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


def test_the_certificate_is_frozen_data():
    certificate = of_digits()
    with pytest.raises(dataclasses.FrozenInstanceError):
        certificate.seed = 1
    facts = json.loads(certificate.to_json())
    assert facts["ok"] is True and facts["verdict"] == certificate.verdict
    assert facts["inputs"] == ["x float32[90,64]", "γ float32[64]", "β float32[64]"]
    assert len(facts["rows"]) == len(certificate.rows)
    assert facts["rows"][0] == dataclasses.asdict(certificate.rows[0])
    broken = compare(lambda x: x, lambda x: x.sum(), X, time=False, sweep=False)
    assert json.loads(broken.to_json())["rows"][0]["error"] is None


def test_the_table_reads_in_a_terminal():
    lines = str(of_digits()).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("✓ ")
    (head,) = [line for line in lines if line.startswith("data            precision function")]
    assert head.split()[3:] == ["y", "dx", "dγ", "dβ", "jvp", "2nd", "3rd"]
    fused = [line for line in lines if " fused " in line and line.endswith("✓")]
    assert len(fused) == 16
    composed = [line for line in lines if "float32   composed" in line]
    assert len(composed) == 8 and any("✗" in line for line in composed)
    product = lambda a, b, c, d, e: a * b * c * d * e
    many = compare(product, lambda *xs: product(*reversed(xs)), *5 * [X], time=False)
    assert many.ok and max(map(len, str(many).splitlines())) <= 100
    failed = str(compare(normalize("right"), normalize("constant sigma"), X, time=False))
    (line,) = [line for line in failed.splitlines() if line.startswith("as given  ")]
    assert line.count("✗") == 3 and line.endswith("✗")  # 2nd, 3rd and the verdict


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


@pytest.mark.parametrize(
    ("inputs", "kind", "message"),
    [
        ((), ValueError, "compare: it needs at least one input"),
        ((np.arange(3),), TypeError, r"compare: x is int64\[3\]: convert it with \.astype"),
        ((np.array([1.0, np.nan]),), ValueError, "compare: x has values that are not finite"),
        ((np.ones((3, 2)), np.ones(3)), ValueError, "have no reference: batch_norm fails, .* gamma has shape"),
    ],
)
def test_inputs_that_cannot_be_compared_are_refused(inputs, kind, message):
    with pytest.raises(kind, match=message):
        compare(tg.batch_norm, tg.batch_norm, *inputs)
