"""Live records are searched, and nothing of them is changed."""

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tinygraph.graph.records import behind, differentiated_inputs, kept_arrays, pull_back


def test_inputs_come_first_and_each_record_once():
    x = tg.Tensor([1.0, 2.0], name="x")
    y = (x * x).named("y")
    z = (y + x).named("z")
    assert [record.name for record in behind([z.node, y.node])] == ["x", "y", "z"]


def test_a_search_follows_what_it_is_asked_to():
    x, c = tg.Tensor([1.0, 2.0], name="x"), tg.Tensor([3.0, 4.0], name="c", requires_grad=False)
    y = ((x * c).named("q") + 1).named("y")
    assert [record.name for record in behind([y.node])] == ["x", "c", "q", "y"]
    assert [record.name for record in behind([y.node], differentiated_inputs)] == ["x", "q", "y"]
    assert behind([y.node], lambda record: ()) == [y.node]


@pytest.mark.parametrize("follow", [None, differentiated_inputs])
def test_a_freed_graph_is_said(follow):
    _, loss = by_hand(backward=False)
    loss.backward(retain_graph=False)
    with pytest.raises(RuntimeError, match=r"was freed by backward\(retain_graph=False\)"):
        behind([loss.node], *filter(None, [follow]))


def test_a_long_chain_needs_no_recursion():
    y = tg.Tensor([1.0])
    for _ in range(20_000):
        y = -y
    assert len(behind([y.node])) == 20_001


def test_arrays_are_found_once_however_nested():
    a, b = np.ones(3), np.ones(2)
    found = kept_arrays([((a, 2.0), None), (b, (a, [a, "name"]))])
    assert sorted(map(id, found)) == sorted([id(a), id(b)])


def test_what_a_product_sends_back():
    x, c = tg.Tensor([1.0, 2.0]), tg.Tensor([3.0, 4.0], requires_grad=False)
    g = np.array([10.0, 100.0])
    to_x, to_c = pull_back((x * c).node, g)
    np.testing.assert_array_equal(to_x, [30, 400])
    assert to_c is None
    np.testing.assert_array_equal(pull_back((x * x).node, g), [[10, 200], [10, 200]])
