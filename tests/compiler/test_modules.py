"""A compiled net is the net: running statistics, dropout, parameters that move, training and evaluation."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygraph as tg
import tinygraph.nn.functional as F
from tests.compiler.test_compiled import backend  # noqa: F401 - a fixture
from tinygraph import nn

X = np.random.default_rng(0).standard_normal((48, 12))


def make() -> nn.Module:
    layers = nn.Linear(12, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 4)
    return nn.init.manual_seed(nn.Sequential(*layers), 0)


def images() -> nn.Module:
    layers = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 4)
    return nn.init.manual_seed(nn.Sequential(*layers), 0)


@pytest.mark.parametrize("net", [make, images])
def test_training(net, backend):  # noqa: F811 - the fixture
    """Three steps come to the same numbers: with statistics, with what is left out, and with parameters that move."""
    nets = net(), net().compile(backend=backend)
    x = X if net is make else X.reshape(16, 1, 6, 6)
    labels = np.arange(len(x)) % 4
    for _ in range(3):
        found = []
        for n in nets:
            n.zero_grad()
            y = n(x.astype(np.float32))
            tg.cross_entropy(y, labels).backward()
            found.append([y.data, *[p.grad for p in n.parameters()], *[b for _, b in n.named_buffers()]])
            for p in n.parameters():
                p.data = p.data - 0.1 * p.grad
        for a, b in zip(*found, strict=True):
            assert np.allclose(a, b, rtol=1e-4, atol=1e-5)
    ours = nets[1].eval()(x.astype(np.float32)).data
    assert np.allclose(ours, nets[0].eval()(x.astype(np.float32)).data, atol=1e-5)
    lines = nets[1]._compiled.explain().splitlines()
    assert lines[1:] == ["2. self: training -> evaluation"]


def test_second_derivatives_see_the_same_dropout_and_leave_the_statistics_alone(backend):  # noqa: F811 - the fixture
    found = []
    for n in (make(), make().compile(backend=backend)):
        x = tg.Tensor(X.astype(np.float32))
        (first,) = tg.grad((n(x) ** 2).sum(), x, create_graph=True)
        found.append([first.data, tg.grad((first * first).sum(), x)[0], n.get_parameter("1.weight").data])
        found[-1] += [b for _, b in n.named_buffers()]
    for a, b in zip(*found, strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-4)


def test_masks_are_drawn_at_each_call(backend):  # noqa: F811 - the fixture
    net = nn.Dropout(0.5).compile(backend=backend)
    x = np.ones((40, 40))
    first, second = net(x), net(x)
    assert not np.array_equal(first, second)
    assert set(np.unique(first)) == {0, 2}


def test_an_option_of_a_layer_counts(backend):  # noqa: F811 - the fixture
    """Also in a net that the function closes over; and what it was before has its kernels still."""
    net = make()
    made, x = tg.compile(lambda x: net(x), backend=backend), np.ones((40, 12))
    net.compile(backend=backend)
    for p in (0.0, 1.0, 0.0):
        net[3].p = p
        for y in (made(x), net(x)):
            expected = net[2](net[1](net[0](x))).data / (1 - p) if p < 1 else np.zeros((40, 9))
            assert np.allclose(y.data, net[4](expected).data, atol=1e-5)
    assert "an option of a module" in made.explain()
    assert len(made.every) == 2


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout", "rrelu", "gumbel_softmax"])
def test_what_draws_gives_what_it_gives_in_eager(name, backend):  # noqa: F811 - the fixture
    """From the same generator the same numbers, others at the next call, and the gradient of those."""
    f = getattr(F, name)
    options = {} if name == "gumbel_softmax" else {"training": True}
    made = tg.compile(lambda x: f(x, **options), backend=backend)
    found = []
    for g in (made, lambda x: f(x, **options)):
        tg.manual_seed(0)
        x = tg.Tensor(X)
        first, second = g(x), g(x)
        assert not np.array_equal(first.data, second.data)
        found.append([first.data, second.data, *tg.grad((second**2).sum(), x)])
    assert all(np.allclose(a, b) for a, b in zip(*found, strict=True))
    assert len(made.explain().splitlines()) == 1


def test_labels_that_do_not_count(backend):  # noqa: F811 - the fixture
    """Where there are some, which is seldom, the function itself is called; no other kernels are made."""
    made, labels = tg.compile(nn.CrossEntropyLoss(), backend=backend), np.arange(48) % 12
    for t in (labels, np.where(labels == 3, -100, labels), labels):
        scores = [tg.Tensor(X), tg.Tensor(X)]
        for loss, x in zip((made, nn.CrossEntropyLoss()), scores, strict=True):
            loss(x, t).backward()
        assert np.allclose(scores[0].grad, scores[1].grad)
    assert len(made.explain().splitlines()) == 1


def test_a_copy_has_kernels_of_its_own(backend):  # noqa: F811 - the fixture
    net = make().compile(backend=backend)
    other = copy.deepcopy(net)
    for p in other.parameters():
        p.data = p.data * 0
    assert np.allclose(other(X).data, 0)
    assert not np.allclose(net(X).data, 0)


def test_a_function_that_closes_over_a_net(backend):  # noqa: F811 - the fixture
    net = make().eval()
    loss = tg.compile(lambda x: (net(x) ** 2).mean(), backend=backend)
    loss(X).backward()
    got = net.get_parameter("0.weight").grad
    net.zero_grad()
    (net(X) ** 2).mean().backward()
    assert np.allclose(got, net.get_parameter("0.weight").grad)
