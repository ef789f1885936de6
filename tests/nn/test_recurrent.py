"""Recurrent layers beyond values: random configurations compare those with PyTorch."""

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad, nn


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_nodes_are_in_proportion_to_the_length_and_rows_are_put_together_once(layer):
    counts = []
    for length in (16, 20, 24):
        x = Tensor(np.ones((length, 2, 3), np.float32), name="x")
        graph = tg.snapshot(layer(3, 4)(x)[0].sum())
        counts.append(len(graph.nodes))
        source = graph.find("x").id
        users = [n for n in graph.nodes if any(e.source == source for e in n.inputs)]
        assert len(users) == 1  # not one gradient of the size of x for each row
    assert counts[2] - counts[1] == counts[1] - counts[0]


def test_an_lstm_is_drawn_with_the_names_of_its_paper():
    h, _ = nn.LSTMCell(3, 2)(Tensor(np.ones((4, 3), np.float32), name="x"))
    assert {"i", "f", "g", "o", "c", "h", "x"} <= {n.name for n in tg.snapshot(h).nodes}
    net = nn.Sequential(nn.GRU(3, 2))
    out, _ = net[0](np.ones((2, 4, 3), np.float32))
    assert {("GRU 0", "layer0", "step1")} <= {n.scope for n in tg.snapshot(out).nodes}


def test_second_derivatives(rng):
    layer = nn.LSTM(2, 3).double()
    x = rng.standard_normal((3, 2, 2))
    assert tg.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_dropout_stands_between_layers_and_follows_the_seed(rng):
    net = nn.GRU(2, 3, num_layers=2, dropout=0.5)
    x = rng.standard_normal((4, 5, 2)).astype(np.float32)
    first, again = (nn.init.manual_seed(net, 0)(x)[0].data for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (net(x)[0].data != first).any()
    np.testing.assert_array_equal(net.eval()(x)[0].data, net(x)[0].data)
    assert [*net.state_dict()] == [*nn.GRU(2, 3, num_layers=2).state_dict()]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nn.RNN(2, 3, nonlinearity="sin"), ValueError, "neither 'tanh' nor 'relu'"),
        (lambda: nn.LSTM(2, 3, proj_size=3), ValueError, "below hidden_size=3"),
        (lambda: nn.GRU(2, 3, 0), ValueError, "num_layers=0 must be 1 or more"),
        (lambda: nn.LSTM(2, 3)(np.ones((4, 3))), ValueError, "with D = 2"),
        (lambda: nn.LSTM(2, 3)(np.ones((0, 4, 2))), ValueError, "the sequence is empty"),
        (lambda: nn.LSTM(2, 3)([1.0]), TypeError, "must be an array or a Tensor, not list"),
        (lambda: nn.GRU(2, 3)(np.ones((4, 1, 2)), np.ones((1, 2, 3))), ValueError, r"needs \[\(1, 1, 3\)\]"),
        (lambda: nn.LSTMCell(2, 3)(np.ones((4, 2)), np.ones((4, 3))), ValueError, "the state has shapes"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_arrays_and_tensors_give_the_same_bits(rng):
    x = rng.standard_normal((4, 5, 2)).astype(np.float32)
    for net in (nn.LSTM(2, 3), nn.GRU(2, 3), nn.RNN(2, 3)):
        np.testing.assert_array_equal(net(x)[0].data, net(Tensor(x))[0].data)
        assert net(x)[0].dtype == np.float32
        assert grad(net(Tensor(x))[0].sum(), net.weight_hh_l0)[0].dtype == np.float32
