"""Lazy layers become layers, with the same parameters, in their first call or when a state is loaded."""

import copy
import pickle

import numpy as np
import pytest

from tinygraph import nn, optim


def lenet(nn):
    return nn.Sequential(
        nn.LazyConv2d(4, kernel_size=3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(6, bias=False), nn.LazyBatchNorm1d(eps=0.1), nn.LazyLinear(3),
    )  # fmt: skip


def test_a_lazy_net_becomes_one_and_is_that_of_pytorch(torch, rng):
    ours, theirs = lenet(nn).double(), lenet(torch.nn).double()
    x = rng.standard_normal((5, 2, 4, 4))
    assert "in_features=0" in repr(ours[4])
    with pytest.raises(RuntimeError, match=r"0\.weight has no shape yet"):
        sum(p.size for p in ours.parameters())
    assert not ours.state_dict()
    parameters = [*ours.parameters()]
    optimizer = optim.SGD(parameters, lr=0.1)
    ours(x), theirs(torch.tensor(x))
    assert [type(a).__name__ for a in ours] == [type(b).__name__ for b in theirs]
    assert [*ours.parameters()] == parameters and all(type(p) is nn.Parameter for p in parameters)
    assert {p.dtype for p in parameters} == {np.dtype(np.float64)}
    assert [p.name for p in parameters] == [name for name, _ in ours.named_parameters()]
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    ours.load_state_dict(theirs.state_dict())
    y, z = ours(x), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.data, z.detach().numpy(), atol=1e-12)
    assert y.node.scope[-1] == "Linear 6"
    (y * y).sum().backward()
    before = ours[4].weight.data
    optimizer.step()
    assert (ours[4].weight.data != before).any()


def test_a_state_gives_the_sizes():
    whole, waiting = lenet(nn), lenet(nn)
    whole(np.ones((2, 2, 4, 4), np.float32) * np.arange(2, dtype=np.float32).reshape(2, 1, 1, 1))
    waiting.load_state_dict(whole.state_dict())
    assert repr(waiting) == repr(whole)
    for key, value in whole.state_dict().items():
        np.testing.assert_array_equal(waiting.state_dict()[key], value)


def test_groups_are_counted_when_a_state_is_loaded():
    whole, waiting = nn.Conv2d(4, 6, 3, groups=2), nn.LazyConv2d(6, 3, groups=2)
    waiting.load_state_dict(whole.state_dict())
    assert waiting.in_channels == 4 and type(waiting) is nn.Conv2d


def test_what_was_set_before_is_kept():
    net = nn.Sequential(nn.LazyLinear(2), nn.LazyBatchNorm1d()).eval()
    net[0].weight.requires_grad = False
    seen = []
    net[0].register_forward_hook(lambda module, args, out: seen.append(out.shape))
    net[0].tag = "mine"
    net(np.ones((3, 4), np.float32))
    assert seen == [(3, 2)] and net[0].tag == "mine" and not net[1].training
    assert not net[0].weight.requires_grad and net[0].bias.requires_grad


def test_a_seed_given_before_holds():
    first, second = (nn.init.manual_seed(nn.Sequential(nn.LazyLinear(2), nn.LazyLinear(3)), 0) for _ in range(2))
    x = np.ones((2, 5), np.float32)
    np.testing.assert_array_equal(first(x).data, second(x).data)


@pytest.mark.parametrize("make", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_waits_too(make):
    twin = make(nn.Sequential(nn.LazyLinear(2)))
    assert isinstance(twin[0].weight, nn.UninitializedParameter) and twin[0].weight.name == "0.weight"
    assert twin(np.ones((1, 3), np.float32)).shape == (1, 2)


def test_an_input_without_the_axis_is_refused_and_nothing_is_lost():
    layer = nn.LazyConv2d(2, 3)
    with pytest.raises(ValueError, match="does not tell in_channels"):
        layer(np.ones(3))
    assert layer(np.ones((1, 1, 4, 4), np.float32)).shape == (1, 2, 2, 2)
