"""Forms equal what they were lifted from, whichever rules hold; views are nothing, and what is no sum is a call."""

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import check_each
from tests.sum_cases import CASES, array_of, gradients, worst
from tinygraph.sums.lift import lift
from tinygraph.sums.rules import ALL, RULES

LETTERS = [rule.letter for rule in RULES]


@pytest.mark.parametrize("name", CASES)
def test_each_rule_alone_and_all_together_leave_every_value(name):
    graph = tg.snapshot(*gradients(name), values=10**4)

    def check(rules):
        assert worst(graph, rules) < 1e-13
        assert not lift(graph, rules).calls

    check_each(check, ["", *LETTERS, ALL, ALL + "p"])


def stages(name, rules):
    return [form.stage for form in lift(tg.snapshot(*gradients(name)), rules).outputs]


def test_batch_norm_needs_three_sweeps_and_with_a_pivot_two():
    """An output of stage s is written in sweep s + 1: Σx; Σ(x-μ)² and the sums of dy; then dx."""
    assert stages("batch_norm", "") == [4, 3, 1]  # dx, dγ, dβ as recorded: five sweeps
    assert stages("batch_norm", ALL) == [2, 2, 1]
    assert stages("batch_norm", ALL + "p") == [1, 1, 1]


@pytest.mark.parametrize("name", ["batch_norm_images", "batch_norm_spatial"])
def test_the_layout_of_images_changes_nothing(name):
    assert stages(name, ALL + "p") == [1, 1, 1]


def test_equal_sums_are_one_object():
    dx, _, dbeta = lift(tg.snapshot(*gradients("batch_norm"))).outputs
    from tinygraph.sums.form import behind

    assert dbeta in behind([dx])


def test_a_square_plus_its_transpose_is_a_call():
    x = tg.Tensor(np.arange(9.0).reshape(3, 3), name="x")
    graph = tg.snapshot((x + x.T).sum(0), values=100)
    assert [graph.nodes[i].op for i in lift(graph).calls] == ["add"]
    assert worst(graph, ALL) == 0


def test_a_reshape_that_mixes_axes_is_a_call():
    x = tg.Tensor(np.arange(6.0), name="x")
    graph = tg.snapshot(x.reshape(2, 3).sum(0).sum() + x.reshape(3, 2).sum(0).sum(), values=100)
    assert [graph.nodes[i].op for i in lift(graph).calls] == ["reshape"]
    assert worst(graph, ALL) == 0


def test_products_of_matrices_are_calls():
    x = tg.Tensor(np.arange(6.0).reshape(3, 2), name="x")
    graph = tg.snapshot(tg.batch_norm(x @ tg.Parameter(np.ones((2, 4)), name="W")), values=100)
    assert [graph.nodes[i].op for i in lift(graph).calls] == ["matmul"]


@pytest.mark.parametrize("value", [1 / 3, 1e-5, 0.1, 1 / 3000001, 2 / 7, 0.7978845608028654, -2.5])
def test_a_number_is_the_fraction_that_it_is_nearest_to(value):
    (form,) = lift(tg.snapshot(tg.Tensor(1.0, name="x") * value)).outputs
    assert float(form.parts[0]) == value
    if 1 / value == round(1 / value):
        assert form.parts[0].numerator == 1


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_no_number_is_a_leaf(value):
    x = tg.Tensor([1.0, 2.0], name="x")
    graph = tg.snapshot(x * value, values=10)
    assert np.array_equal(np.isnan(array_of(graph, 2)), np.isnan([value] * 2))
    assert [f.kind for f in lift(graph).outputs[0].inputs] == ["leaf", "leaf"]


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 1), ()])
def test_axes_of_length_one_are_no_loops(shape):
    x = tg.Tensor(np.ones(shape), name="x")
    graph = tg.snapshot((x - x.mean() + x.reshape(-1).sum()), values=10)
    assert worst(graph, ALL) == 0


def test_no_elements_at_all():
    x = tg.Tensor(np.ones((0, 3)), name="x")
    assert lift(tg.snapshot(x.sum(0) * 2)).outputs[0].kind == "product"
