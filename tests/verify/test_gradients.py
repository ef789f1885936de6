"""gradcheck and gradgradcheck: they accept what is right, and every wrong op here must be caught by name."""

import sys

import numpy as np
import pytest

import tinygraph as tg
from tests.wrong_ops import BETA, GAMMA, LINES, RANDOM, W, X, normalize, registry_as_it_was
from tinygraph import DegenerateCheck, Tensor, compare, gradcheck, gradgradcheck
from tinygraph.engine.op import op
from tinygraph.fused.fused_op import fused
from tinygraph.verify.gradients import GradcheckError


@pytest.fixture(autouse=True)
def registry():
    with registry_as_it_was():
        yield


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
    where = rf"\(wrong_ops\.py:{LINES[line].__code__.co_firstlineno}\)"
    cause = rf"^{check.__name__}: the derivative line of normalized for x {where} {words}"
    with pytest.raises(GradcheckError, match=rf"{cause}.*\. So the gradient of output 0 in input 0 \(x\) {words}"):
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
    with pytest.raises(GradcheckError, match=r"\. So the derivative in input 0 \(x\) of the gradient in "):
        gradgradcheck(wrong, X)
    assert gradgradcheck(wrong, X, raise_exception=False) is False


def test_gradgradcheck_holds_a_kernel_against_its_definition():
    def kernel(g, operands, extras):
        return [g * 2 * operands[0]]

    def cubed(x):
        return x * x * x

    @fused("", definition=cubed, backward=kernel)
    def squared(x):
        return (x * x,)

    assert gradcheck(squared, X)
    with pytest.raises(GradcheckError, match=r"^gradgradcheck: the backward kernel of squared for x "):
        gradgradcheck(squared, X)


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


def test_arrays_of_a_device_stay_there(device_array, monkeypatch):
    put = lambda values, backend, dtype: device_array(values.astype(dtype))
    monkeypatch.setattr(sys.modules["tinygraph.verify.inputs"], "asarray", put)
    arrays = [device_array(a) for a in (X, GAMMA, BETA)]
    assert gradcheck(tg.batch_norm, tuple(arrays)) and gradgradcheck(tg.batch_norm, tuple(arrays))
    assert compare(tg.batch_norm, tg.batch_norm, *arrays).composed == "batch_norm"
