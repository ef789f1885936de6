"""A check that fails names the op, the operand and the line of its derivative; or says that none is wrong, and why."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import check_each
from tests.wrong_ops import W, X, registry_as_it_was
from tinygraph import Tensor, gradcheck, gradgradcheck
from tinygraph.engine.op import op
from tinygraph.engine.variadic import Variadic
from tinygraph.fused.fused_op import fused
from tinygraph.verify.differences import Check
from tinygraph.verify.gradients import GradcheckError
from tinygraph.verify.inputs import random_numbers
from tinygraph.verify.localization import cut_gradients, first_faults, node_checks

A = W[:3]  # 3 × 3
KINKED = np.array([[0.0, 1.0, 2.0], [1.0, -1.0, -2.0]])
ALL = "worst in element […]: analytic N, numeric N"
GRADIENT = "the gradient of output 0 in input 0 (x)"
SECOND = "the derivative in input 0 (x) of the gradient in input 0 (x)"
CUT = ".detach(), .data or no_grad() cuts its gradient off. The differences see what was cut, and the gradient does not"


@pytest.fixture(autouse=True)
def registry():
    with registry_as_it_was():
        yield


def place(marker):
    """Where ``# marker`` stands in this file, as an error writes it."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [i for i, line in enumerate(lines, 1) if line.endswith(f"# {marker}")]
    return f"({Path(__file__).name}:{number})"


def message(check, *args, **options):
    """What a check says when it fails, without the figures that depend on random numbers."""
    with pytest.raises(GradcheckError) as caught:
        check(*args, **options)
    text = re.sub(r"(, of output element \[[\d, ]*\]| under a random upstream gradient):", ":", str(caught.value))
    text = re.sub(r"worst in element \[[\d, ]*\]", "worst in element […]", text)
    return re.sub(r"(analytic|numeric) -?[\d.e+-]*[\de]", r"\1 N", text)


def double_slope():
    @op(
        "$x²",
        x=("", lambda g, x: g * 4 * x),  # line of swish
    )
    def swish(x):
        return x * x

    return swish


# ---- an op whose derivative is wrong ----


def test_a_wrong_line_in_a_layer_is_named():
    swish = double_slope()

    def layer(x, w):
        with tg.scope("mlp", "block1"):
            return tg.tanh(swish(x @ w))

    found = f"the derivative line of swish in mlp/block1 for x {place('line of swish')} is 2 × too large; {ALL}. "
    for check in (gradcheck, gradgradcheck):
        assert message(check, layer, (A, A)) in {
            f"{check.__name__}: {found}So the gradient of output 0 in input {i} is 2 × too large; {ALL}"
            for i in ("0 (x)", "1 (w)")
        }
    assert gradcheck(layer, (A, A), raise_exception=False) is False


def test_the_figures_are_those_of_the_op_alone():
    """And an op that is used twice is named once."""
    swish = double_slope()
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: 5.0 * swish(x[1]) + swish(x[1] * 1.0), np.array([1.0, 3.0]))
    assert str(caught.value) == (
        f"gradcheck: the derivative line of swish for x {place('line of swish')} is 2 × too large; worst in element "
        f"[]: analytic 12, numeric 6. So {GRADIENT} is 2 × too large; worst in element [1]: analytic 72, numeric 36"
    )


def test_a_composite_is_where_the_op_stands():
    swish = double_slope()

    @tg.composite
    def energy(x):
        return (swish(x) * W).sum()

    assert f"line of swish in energy for x {place('line of swish')} is 2 × too large" in message(gradcheck, energy, X)


def test_each_wrong_operand_is_named_and_right_ones_are_not():
    @op(
        "$x$y$z",
        x=("", lambda g, y, z: g * y * z),
        y=("", lambda g, x, y, z: -g * x * z),  # line of y
        z=("", lambda g, x, y: 0 * g * x * y),  # line of z
    )
    def product(x, y, z):
        return x * y * z

    text = message(gradcheck, lambda x: product(tg.tanh(x), tg.exp(x), tg.sigmoid(x)), X)
    assert text.startswith(
        f"gradcheck: the derivative line of product for y {place('line of y')} has its sign flipped; {ALL}; "
        f"the derivative line of product for z {place('line of z')} is zero; {ALL}. So {GRADIENT} is wrong in 15 of 15"
    )


def test_a_wrong_kernel_of_a_fused_op_is_named():
    def kernel(g, operands, extras):  # kernel of square
        return [g * operands[0]]

    @fused("", definition=lambda x: x * x, backward=kernel)
    def squared(x):
        return (x * x,)

    found = f"the backward kernel of squared for x {place('kernel of square')} is 2 × too small; {ALL}"
    assert message(gradcheck, lambda x: tg.tanh(squared(x)), X).startswith(f"gradcheck: {found}. So {GRADIENT} is")


def test_a_kernel_that_is_not_that_of_its_definition_is_named():
    def kernel(g, operands, extras):  # kernel of the square
        return [g * 2 * operands[0]]

    def cubed(x):  # definition of the square
        return x * x * x

    @fused("", definition=cubed, backward=kernel)
    def squared(x):
        return (x * x,)

    assert message(gradgradcheck, lambda x: tg.tanh(squared(x)), X) == (
        f"gradgradcheck: the backward kernel of squared for x {place('kernel of the square')} does not compute the "
        f"gradient of its definition cubed {place('definition of the square')}. So the gradient in input 0 (x) is not "
        "the same with create_graph=True"
    )


def test_a_line_that_differs_between_arrays_and_tensors_is_named():
    @op(
        "$x²",
        x=("", lambda g, x: g * (3 * x if isinstance(x, Tensor) else 2 * x)),  # two-faced line
    )
    def squared(x):
        return x * x

    assert message(gradgradcheck, squared, X).startswith(
        f"gradgradcheck: the derivative line of squared for x {place('two-faced line')} gives one value on arrays and "
        "another on Tensors (create_graph=True). So the gradient in input 0 (x) is not the same"
    )


def test_the_operand_of_a_variadic_op_is_named_by_its_place():
    @op(
        "",
        family="linear",
        kind=Variadic,
        xs=("", lambda g, i: g if i else 3 * g),  # line of total
    )
    def total(*xs):
        return sum(xs[1:], xs[0])

    found = f"the derivative line of total for xs[0] {place('line of total')} is 3 × too large; {ALL}"
    assert message(gradcheck, lambda x: total(x * x, tg.tanh(x), x), X).startswith(f"gradcheck: {found}. So {GRADIENT}")


def test_a_missing_line_is_said():
    @op("2$x")
    def twice(x):  # twice
        return 2 * x

    marker = re.sub(r":(\d+)", lambda m: f":{int(m[1]) - 1}", place("twice"))  # a function begins with its decorator
    assert message(gradcheck, lambda x: twice(x) + x, X) == (
        f"gradcheck: twice has no derivative line for x, and its value depends on x {marker}. "
        f"So {GRADIENT} is 3 × too small; {ALL}"
    )


def test_an_operand_that_was_given_no_line_is_said():
    @op("$x$y", x=("", lambda g, y: g * y), y=None)
    def product(x, y):
        return x * y

    text = message(gradcheck, lambda x: product(x, x * 1.0), X)
    assert text.startswith("gradcheck: product has no derivative line for y, and its value depends on y (test_local")
    assert text.endswith(f"So {GRADIENT} is 2 × too small; {ALL}")


def test_a_line_that_adds_up_the_copies_itself():
    """Of a broadcast operand the line may give either shape, that of the operand or that of the result."""

    @op("$x + $b", x=("", lambda g: g), b=("", lambda g: g.sum(0)))
    def plus(x, b):
        return x + b

    @op(
        "$x + $b",
        x=("", lambda g: g),
        b=("", lambda g: 2 * g.sum(0)),  # line of plus twice
    )
    def plus_twice(x, b):
        return x + b

    assert gradcheck(plus, (X, W[0])) and gradgradcheck(plus, (X, W[0]))
    found = f"the derivative line of plus_twice for b {place('line of plus twice')} is 2 × too large; {ALL}"
    assert message(gradcheck, plus_twice, (X, W[0])).startswith(f"gradcheck: {found}. So")


def test_arrays_of_a_device_are_checked_there(device_array, monkeypatch):
    put = lambda values, backend, dtype: device_array(values.astype(dtype))
    monkeypatch.setattr(sys.modules["tinygraph.verify.inputs"], "asarray", put)
    swish = double_slope()
    found = f"the derivative line of swish for x {place('line of swish')} is 2 × too large; {ALL}"
    for check in (gradcheck, gradgradcheck):
        text = message(check, lambda x: swish(x * 1.0), device_array(X))
        assert text.startswith(f"{check.__name__}: {found}. So")
    assert "relu has a kink in x at element [0, 0], where x is 0: the" in message(
        gradcheck, lambda x: tg.relu(x) * 1.0, device_array(KINKED)
    )
    assert CUT in message(gradcheck, by_detach, device_array(X))


# ---- no derivative is wrong, and the check fails all the same ----


def test_a_kink_is_told_from_an_error():
    assert message(gradcheck, lambda x: (tg.relu(x) * 2.0).sum(1), KINKED) == (
        "gradcheck: relu has a kink in x at element [0, 0], where x is 0: the slope is 0 on the left and 1 on the "
        f"right, and the gradient says 0. There is no derivative: check at another point. So {GRADIENT} is wrong in "
        f"1 of 6 elements; {ALL}"
    )


def test_a_wrong_line_is_not_taken_for_a_kink():
    @op(
        "",
        x=("", lambda g, x: g * 2 * (x > 0)),  # line of a ramp
    )
    def ramp(x):
        return np.maximum(x, 0)

    found = f"the derivative line of ramp for x {place('line of a ramp')} is 2 × too large; {ALL}. So"
    assert message(gradcheck, lambda x: ramp(x) * 1.0, KINKED).startswith(f"gradcheck: {found}")


def test_a_jump_has_no_derivative_either():
    @op("", x=("", lambda g: 0 * g))
    def step_down(x):
        return np.floor(x)

    text = message(gradcheck, lambda x: step_down(x).sum(), np.array([1.5, 2.0]))
    assert re.match(
        r"gradcheck: step_down has a kink in x at element \[1\], where x is 2: the slope is \d+ on the left and 0 on "
        r"the right, and the gradient says 0\. There is no derivative",
        text,
    )


def test_a_kink_of_the_function_is_seen_where_no_op_has_one():
    bent = lambda x: tg.where(x.data == 0, x, tg.where(x.data > 0, 3.0 * x, x))[0]  # a constant that changes there
    text = message(gradcheck, bent, KINKED)
    assert text.startswith(
        "gradcheck: input 0 (x) is at a kink of the function, in element [0, 0]: the slope is 1 on the left and 3 on "
        f"the right. So {GRADIENT} is wrong in 1 of 6 elements"
    )


def test_a_function_that_takes_another_way_there_has_a_kink():
    text = message(gradcheck, lambda x: x + x + x if x.data[0] > 0 else x * 1.0, np.array([0.0]))
    assert text.startswith("gradcheck: input 0 (x) is at a kink of the function, in element [0]: the slope is 1 on the")


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_derivative_that_is_infinite_is_told_from_an_error():
    """The known trap: what `where` does not choose has a gradient of 0, and 0 times infinity is no number."""
    text = message(gradcheck, lambda x: tg.where(x.data > 0, tg.sqrt(x), 0.0 * x), np.array([0.0, 1.0]))
    assert text == (
        "gradcheck: sqrt has no finite derivative in x at element [0], where x is 0. "
        f"So {GRADIENT} is not finite; {ALL.replace('c N', 'c nan', 1)}"
    )


def by_detach(x):
    return x * (x * x).detach()


def by_data(x):
    return x * (x.data * x.data)


def by_no_grad(x):
    with tg.no_grad():
        square = x * x
    return x * square


@pytest.mark.parametrize("function", [by_detach, by_data, by_no_grad])
def test_a_gradient_that_was_cut_off_is_said(function):
    with tg.scope("renorm"):
        text = message(gradcheck, function, X)
    operand = "operand y of mul in renorm is a constant that changes with input 0 (x)"
    assert text == f"gradcheck: {operand}: {CUT}. So {GRADIENT} is 3 × too small; {ALL}"


def test_an_output_that_was_cut_off_is_said():
    text = message(gradcheck, lambda x: (x * x).detach(), X)
    assert text.startswith(f"gradcheck: the output of the function is a constant that changes with input 0 (x): {CUT}.")


def test_constants_that_do_not_change_and_cuts_that_do_not_matter_are_not_blamed():
    swish = double_slope()
    shifted = lambda x: tg.exp(x - x.data.max())
    assert gradcheck(lambda x: shifted(x) / shifted(x).sum(), X)  # softmax: what is cut off cancels
    assert "constant" not in message(gradcheck, lambda x: swish(x * W) * Tensor(W, requires_grad=False), X)


def test_too_coarse_a_step_is_asked_about():
    end = f"{ALL}. Each op of the graph, checked alone, is right: is eps too large or too small here?"
    assert message(gradcheck, lambda x: tg.exp(3.0 * x), X, eps=0.3).endswith(end)
    assert message(gradcheck, lambda x: 1e9 + tg.exp(x), X).endswith(end)


# ---- second derivatives ----


def test_a_line_whose_own_derivative_is_wrong_is_named_and_why():
    @op(
        "log $x",
        x=("", lambda g, x: g / (x.data if isinstance(x, Tensor) else x)),  # line of logarithm
    )
    def logarithm(x):
        return np.log(x)

    square = lambda x: logarithm(x * x + 1.0)
    assert gradcheck(square, X)
    assert message(gradgradcheck, square, X).startswith(
        f"gradgradcheck: the derivative line of logarithm for x {place('line of logarithm')} is right, but its own "
        f"derivative in x is zero; {ALL}; operand y of div in grad is a constant that changes with x: {CUT}. "
        f"So {SECOND}"
    )


def test_a_wrong_op_in_a_derivative_line_is_named():
    swish = double_slope()

    @op("$x³", x=("", lambda g, x: g * 3 * swish(x)))
    def cube(x):
        return x * x * x

    assert gradcheck(cube, X)
    assert message(gradgradcheck, cube, X).startswith(
        f"gradgradcheck: the derivative line of swish in grad for x {place('line of swish')} is 2 × too large; {ALL}. "
        f"So {SECOND} is 2 × too large"
    )


def test_a_kink_of_the_gradient_is_told_from_an_error():
    @op("", x=("", lambda g, x: g * 2 * tg.relu(x)))
    def half_square(x):
        return np.maximum(x, 0) ** 2

    assert gradcheck(half_square, KINKED)
    assert message(gradgradcheck, half_square, KINKED).startswith(
        "gradgradcheck: relu in grad has a kink in x at element [0, 0], where x is 0: the slope is 0 on the left and 1"
    )


# ---- what is right is not blamed ----


def faults(function, x):
    check = Check("gradcheck", function, [x], ["x"])
    return [f for alone in node_checks(check) for f in first_faults(alone, 1e-3, random_numbers(0))]


def test_no_op_is_blamed_where_one_step_is_too_long():
    @op("", x=("", lambda g, x: g * 3e5 * np.cos(3e5 * x)))
    def steep(x):
        return np.sin(3e5 * x)

    assert not faults(steep, np.array([1.0, -1.0]))


def test_no_op_is_blamed_for_a_step_out_of_its_domain():
    @op("", x=("", lambda g: g))
    def positive(x):
        if (x < 0).any():
            raise ValueError("not below 0")
        return x * 1.0

    edge = np.array([1e-7, 1.0])
    assert not faults(tg.log, edge)
    assert not faults(positive, edge)


def test_no_right_op_is_blamed(composites):
    check_each(check_none_is_blamed, composites)


def check_none_is_blamed(case):
    arrays = case.arrays()
    check = Check("gradcheck", case, arrays, [f"x{i}" for i in range(len(arrays))])
    rng = random_numbers(0)
    assert not [fault for alone in node_checks(check) for fault in first_faults(alone, 1e-3, rng)]
    assert not cut_gradients(check, rng)


def test_the_page_on_checks_shows_what_is_said():
    """Its code fails as it shows, at the line that it shows, and its table quotes real messages."""
    page = (Path(tg.__file__).parents[1] / "docs" / "compare.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"__name__": "layers"}
    with pytest.raises(GradcheckError) as caught:
        exec(compile(first, "layers.py", "exec"), names)
    shown = re.search(r"```text\n(.*?)```", page, re.DOTALL)[1]
    pieces = [piece.strip() for piece in shown.replace("\n", " ").split("…")]
    assert re.match(".*".join(map(re.escape, pieces)), str(caught.value))
    exec(compile(second, "layers.py", "exec"), names)
    assert names["certificate"].ok
