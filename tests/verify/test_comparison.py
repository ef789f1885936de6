"""compare: it accepts what is right, and every wrong function here must be caught by name."""

import functools

import numpy as np
import pytest

import tinygraph as tg
from tests.certificates import by, of_digits, shifted_softmax
from tests.wrong_ops import BETA, GAMMA, LINES, RANDOM, X, normalize, registry_as_it_was
from tinygraph import Tensor, compare
from tinygraph.engine.op import op


@pytest.fixture(autouse=True)
def registry():
    with registry_as_it_was():
        yield


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
