"""gradcheck, gradgradcheck and compare: they accept what is right, and every wrong op here must be caught by name."""

import dataclasses
import functools
import json
import sys

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import OPS, DegenerateCheck, Tensor, compare, gradcheck, gradgradcheck
from tinygraph.autodiff.fused_op import fused
from tinygraph.data import digits
from tinygraph.engine.op import op
from tinygraph.verify.comparison import kept_for_backward
from tinygraph.verify.gradients import GradcheckError

RANDOM = np.random.default_rng(5)
X, GAMMA, BETA, W = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=3), RANDOM.normal(size=3), RANDOM.normal(size=(5, 3))


@pytest.fixture(autouse=True)
def registry_as_it_was():
    """Take the wrong ops out of the registry again."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


# ---- batch norm as one op with the textbook's derivative line, and ways to get that wrong ----


def parts(x, eps):
    x_c = x - x.mean(0)
    sigma = tg.sqrt((x_c * x_c).mean(0) + eps)
    return x_c / sigma, sigma


def right(g, x, eps):
    x_hat, sigma = parts(x, eps)
    return (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) / sigma


def without_variance_term(g, x, eps):
    _, sigma = parts(x, eps)
    return (g - g.mean(0)) / sigma


def without_mean_term(g, x, eps):
    x_hat, sigma = parts(x, eps)
    return (g - x_hat * (g * x_hat).mean(0)) / sigma


def constant_sigma(g, x, eps):
    """Right as it stands; its own derivative takes 1/σ for a constant."""
    x_hat, sigma = parts(x, eps)
    return (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) / (sigma.data if isinstance(sigma, Tensor) else sigma)


LINES = {
    "right": right,
    "zero": lambda g, x, eps: 0 * right(g, x, eps),
    "seven": lambda g, x, eps: 7 * right(g, x, eps),
    "half": lambda g, x, eps: 0.5 * right(g, x, eps),
    "flipped": lambda g, x, eps: -right(g, x, eps),
    "not finite": lambda g, x, eps: right(g, x, eps) / 0.0,
    "without variance term": without_variance_term,
    "without mean term": without_mean_term,
    "constant sigma": constant_sigma,
}


def normalize(line):
    """Make an op of normalization without γ and β that has this derivative line."""

    @op("", family="linear", x=("", LINES[line]))
    def normalized(x, eps=1e-5):
        return parts(x, eps)[0]

    return normalized


# ---- gradcheck ----


def test_what_is_right_passes():
    assert gradcheck(normalize("right"), X) is True
    assert gradgradcheck(normalize("right"), X) is True
    assert gradcheck(tg.batch_norm, (X, GAMMA, BETA)) and gradgradcheck(tg.batch_norm, (X, GAMMA, BETA))
    assert gradcheck(tg.fused.batch_norm, (X, GAMMA, BETA)) and gradgradcheck(tg.fused.batch_norm, (X, GAMMA, BETA))
    assert gradcheck(lambda x, w: (x @ w, tg.tanh(x).sum(0)), (X, W.T))
    assert gradgradcheck(lambda x: [x * x, x.sum()], Tensor(X, name="x"))
    large = np.random.default_rng(0).normal(size=(20, 5))  # more elements than are checked row by row
    assert gradcheck(tg.softmax, large)


@pytest.mark.parametrize("reduce", [lambda y: y, lambda y: (y * W).sum()], ids=["y", "Σ w⊙y"])
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("zero", "is zero"),
        ("seven", "is 7 × too large"),
        ("half", "is 2 × too small"),
        ("flipped", "has its sign flipped"),
        ("not finite", "is not finite"),
        ("without variance term", "is wrong in 15 of 15 elements"),
        ("without mean term", "is wrong in 15 of 15 elements"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_wrong_gradients_are_rejected_and_described(line, words, check, reduce):
    wrong = normalize(line)
    with pytest.raises(GradcheckError, match=f"^{check.__name__}: the gradient of output 0 in input 0 \\(x\\) {words}"):
        check(lambda x: reduce(wrong(x)), X)
    assert check(lambda x: reduce(wrong(x)), X, raise_exception=False) is False


def test_the_worst_element_is_named_with_both_values():
    weights = np.ones((2, 3))
    weights[1, 2] = 3

    @op("", x=("", lambda g, x: g * 2 * x * weights))
    def squared(x):
        return x * x

    x = np.arange(1.0, 7.0).reshape(2, 3)
    message = r"wrong in 1 of 6 elements; worst in element \[1, 2\]: analytic 36, numeric 12$"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(lambda x: squared(x).sum(), x)
    with pytest.raises(GradcheckError, match=r"element \[1, 2\], of output element \[1, 2\]: analytic 36, num"):
        gradcheck(squared, x)
    big = np.ones((3, 50))
    weights = np.ones((3, 50))
    weights[2, 7] = 3
    with pytest.raises(GradcheckError, match=r"worst in element \[2, 7\] under a random upstream gradient: analytic "):
        gradcheck(squared, big)


def test_a_wrong_gradient_in_one_of_several_inputs_and_outputs_is_found_where_it_is():
    @op("", x=("", lambda g, y: g * y), y=("", lambda g, y: g * y))
    def product(x, y):
        return x * y

    with pytest.raises(GradcheckError, match=r"the gradient of output 1 in input 2 \(z\) is wrong in"):
        gradcheck(lambda x, y, z: (x * y, product(x, z)), (X, X + 1, X - 1))


def test_the_upstream_is_no_data_that_a_user_may_have_drawn():
    x = np.random.default_rng(0).normal(size=(40, 3))  # with w = x the gradient would be zero
    with pytest.raises(GradcheckError, match="is zero"):
        gradcheck(normalize("zero"), x, seed=0)


def test_a_second_derivative_wrong_by_a_constant_sigma_is_for_gradgradcheck_to_find():
    wrong = normalize("constant sigma")
    assert gradcheck(wrong, X)
    with pytest.raises(GradcheckError, match=r"^gradgradcheck: the derivative in input 0 \(x\) of the gradient in "):
        gradgradcheck(wrong, X)
    assert gradgradcheck(wrong, X, raise_exception=False) is False


def test_gradgradcheck_holds_a_kernel_against_its_definition():
    def kernel(g, operands, extras):
        return [g * 2 * operands[0]]

    def cubed(x):
        return x * x * x

    @fused("", definition=cubed, backward=kernel)
    def square(x):
        return (x * x,)

    assert gradcheck(square, X)
    with pytest.raises(GradcheckError, match="the kernel of a fused op computes something else"):
        gradgradcheck(square, X)


def test_gradgradcheck_takes_an_upstream_gradient():
    assert gradgradcheck(lambda x: x * x * x, X, W)
    assert gradgradcheck(lambda x: (x * x, x.sum()), X, (W, np.float64(2.0)))
    with pytest.raises(ValueError, match=r"v is float64\[2\], and must have the shape of the output"):
        gradgradcheck(lambda x: x * x * x, X, W[0, :2])


def test_integers_and_constants_are_passed_on_and_not_checked():
    choose = np.array([2, 0, 2])
    constant = Tensor(W, requires_grad=False)
    assert gradcheck(lambda x, key, w: (x * w)[key], (X, choose, constant))
    # PyTorch's meaning: a function that is not differentiable in what is not checked
    assert gradcheck(lambda x, w: x * w.data, (X, constant))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: gradcheck(tg.exp, X.astype(np.float32)),
            TypeError,
            r"gradcheck: input 0 is float32\[5,3\], too coarse .* \.astype\(numpy\.float64\); compare\(\) checks",
        ),
        (lambda: gradcheck(tg.exp, np.arange(3)), ValueError, "gradcheck: none of the inputs is to be differentiated"),
        (lambda: gradcheck(lambda x: x.data * 2, X), TypeError, "gradcheck: the function returned float64"),
        (
            lambda: gradcheck(lambda x: x * RANDOM.normal(), X),
            GradcheckError,
            "gradcheck: output 0 differs from call to call: fix the seed",
        ),
        (
            lambda: gradcheck(tg.log, np.array([1e-7, 1.0])),
            GradcheckError,
            "cannot be checked: the function is not finite near the input",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_errors_say_what_to_do(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


DEGENERATE = {
    "Σ y": lambda x, f: f(x).sum(),
    "Σ y²": lambda x, f: (f(x) * f(x)).sum(),
    "mean y": lambda x, f: f(x).mean(),
    "Σ y over the batch": lambda x, f: f(x).sum(0),
    "weighed by channel only": lambda x, f: (f(x) * GAMMA).sum() * 3.0,
}


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("name", DEGENERATE)
def test_a_check_that_proves_nothing_warns(name, check):
    reduce = DEGENERATE[name]
    message = f"^{check.__name__} passed, but a wrong .* output 0 in input 0 .* of what a random upstream"
    with pytest.warns(DegenerateCheck, match=message) as found:
        assert check(lambda x: reduce(x, tg.batch_norm), X)
    assert [w.filename for w in found] == [__file__]


@pytest.mark.parametrize("line", ["zero", "seven", "flipped", "without variance term"])
def test_it_warns_where_a_wrong_gradient_really_passes(line):
    wrong = normalize(line)
    with pytest.warns(DegenerateCheck):
        assert gradcheck(lambda x: wrong(x).sum(), X)


def test_a_softmax_that_is_summed_up_warns():
    with pytest.warns(DegenerateCheck):
        gradcheck(lambda x: tg.softmax(x).sum(), X)


LABELS = np.array([0, 2, 1, 0, 1])
ORDINARY = {
    "sum": lambda x: x.sum(),
    "mean of squares": lambda x: (x * x).mean(),
    "weighed batch norm": lambda x: (tg.batch_norm(x) * W).sum(),
    "batch norm itself": tg.batch_norm,
    "largest": lambda x: x.max(),
    "logsumexp": lambda x: tg.logsumexp(x),
    "cross entropy": lambda x: tg.cross_entropy(x, LABELS),
    "variance": lambda x: x.var(),
    "norm": lambda x: tg.sqrt((x * x).sum()),
    "relu": lambda x: tg.relu(x).sum(),
    "mean of one": lambda x: x[0, 0] * 1.0,
    "small": lambda x: (1e-9 * x).sum(),
    "bent": lambda x: (tg.tanh(x @ W.T) * 0.1).mean(0),
    "not used": lambda x: Tensor(W).sum(),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_functions_do_not_warn(name):
    assert gradcheck(ORDINARY[name], X)  # a warning is an error here
    assert gradgradcheck(ORDINARY[name], X)


def test_a_bias_before_batch_norm_does_not_warn():
    """Its gradient is zero whatever the upstream: no choice of weights would make a better check."""

    def net(x, w, b, gamma, beta):
        return tg.cross_entropy(tg.batch_norm(x @ w + b, gamma, beta), LABELS)

    assert gradcheck(net, (X, RANDOM.normal(size=(3, 4)), RANDOM.normal(size=4), RANDOM.normal(size=4), np.ones(4)))


def test_a_gradient_penalty_can_be_checked():
    def penalty(x):
        (g,) = tg.grad((tg.tanh(x) * W).sum(), x, create_graph=True)
        return (g * g).sum()

    with tg.scope("outside"):
        x = Tensor(X)
        value, slope = tg.vjp(penalty, x)
    assert value > 0 and slope.shape == X.shape


# ---- compare ----


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


def test_bytes_kept_for_backward_are_those_of_unique_arrays():
    x = np.ones((10, 4), np.float32)
    assert kept_for_backward(lambda x: tg.exp(x) * x, [x]) == (x.nbytes, x.nbytes)  # e^x is one array in two nodes
    assert kept_for_backward(lambda x: x + x, [x]) == (0, 0)
    wide = np.ones((10, 8), np.float32)
    assert kept_for_backward(tg.square, [wide[:, :4]]) == (0, x.nbytes)  # a view counts as what it shows
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


def test_arrays_of_a_device_stay_there(device_array, monkeypatch):
    put = lambda values, backend, dtype: device_array(values.astype(dtype))
    monkeypatch.setattr(sys.modules["tinygraph.verify.comparison"], "asarray", put)
    arrays = [device_array(a) for a in (X, GAMMA, BETA)]
    assert gradcheck(tg.batch_norm, tuple(arrays)) and gradgradcheck(tg.batch_norm, tuple(arrays))
    assert compare(tg.batch_norm, tg.batch_norm, *arrays).composed == "batch_norm"
