"""What a Module promises: names, state, modes, hooks, containers."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygraph as tg
from tests.decoy import Decoy
from tests.layer_pairs import without_bias
from tinygraph import Parameter, Tensor, grad, nn, optim


class Block(nn.Module):
    def __init__(self, n):
        self.linear = nn.Linear(n, n)
        self.bn1 = nn.BatchNorm1d(n)
        self.scale = Parameter(np.ones(n, np.float32))

    def forward(self, x):
        return x + self.bn1(self.linear(x)).relu() * self.scale


class Net(nn.Module):
    def __init__(self, n=4):
        self.block1 = Block(n)
        self.rest = nn.ModuleList([Block(n), nn.Sequential(Block(n), nn.Tanh())])
        self.register_buffer("steps", np.array(3))
        self.register_buffer("nothing", None)

    def forward(self, x):
        x = self.block1(x)
        for module in self.rest:
            x = module(x)
        return x


def test_attributes_are_the_registry(torch):
    class TorchBlock(torch.nn.Module):
        def __init__(self, n):
            super().__init__()
            self.linear, self.bn1 = torch.nn.Linear(n, n), torch.nn.BatchNorm1d(n)
            self.scale = torch.nn.Parameter(torch.ones(n))

    class TorchNet(torch.nn.Module):
        def __init__(self, n=4):
            super().__init__()
            self.block1 = TorchBlock(n)
            self.rest = torch.nn.ModuleList([TorchBlock(n), torch.nn.Sequential(TorchBlock(n), torch.nn.Tanh())])
            self.register_buffer("steps", torch.tensor(3))
            self.register_buffer("nothing", None)

    ours, theirs = Net(), TorchNet()
    for method in ("named_parameters", "named_modules", "named_buffers", "named_children"):
        assert [name for name, _ in getattr(ours, method)()] == [name for name, _ in getattr(theirs, method)()], method
    for method in ("parameters", "modules", "buffers", "children"):
        assert len(list(getattr(ours, method)())) == len(list(getattr(theirs, method)())), method
    for method in ("named_parameters", "named_buffers"):
        assert [name for name, _ in getattr(ours.block1, method)("p", recurse=False)] == [
            name for name, _ in getattr(theirs.block1, method)("p", recurse=False)
        ]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == without_bias(repr(theirs)).replace("TorchNet", "Net").replace("TorchBlock", "Block")


def test_a_parameter_that_is_shared_is_one():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    net.load_state_dict(net.state_dict())
    assert net[1].weight is net[0].weight
    twice = nn.Sequential(net[0], net[0])
    assert len(list(twice.modules())) == 2 and len(list(twice.parameters())) == 2


def test_scopes_and_names_need_nothing_further(rng):
    net = Net()
    y = net(Tensor(rng.standard_normal((5, 4)).astype(np.float32), name="x"))
    graph = tg.snapshot(y.sum())
    scopes = {node.scope for node in graph.nodes}
    inner = ("rest", "Sequential 1")  # a mere number says what it counts
    wanted = {("block1", "linear"), ("rest", "Block 0", "linear"), (*inner, "Block 0", "linear"), (*inner, "Tanh 1")}
    assert wanted <= {s[:4] for s in scopes}
    assert any(s[:2] == ("block1", "bn1") for s in scopes)
    leaves = {(node.scope, node.name) for node in graph.nodes if node.kind == "parameter"}
    assert {
        (("block1",), "scale"),
        (("block1", "linear"), "weight"),
        (("block1", "bn1"), "γ"),
        (("rest", "Block 0", "bn1"), "β"),
    } <= leaves
    with tg.scope("twin"):
        assert net(np.ones((2, 4), np.float32)).node.scope[:2] == ("twin", "rest")


def test_an_error_says_in_which_module():
    net = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(ValueError, match=r"in Conv2d 0/conv2d\(float64\[1,2,5,5\], weight .* at test_module.py"):
        net(np.ones((1, 2, 5, 5)))


def test_modes_apply_and_gradients(rng):
    net = Net()
    assert all(m.training for m in net.modules())
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert (
        seen[-1] == "Net" and seen[:3] == ["Linear", "BatchNorm1d", "Block"] and len(seen) == len(list(net.modules()))
    )
    net(rng.standard_normal((5, 4)).astype(np.float32)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not net.requires_grad_(False)(np.ones((5, 4), np.float32)).requires_grad
    assert net.requires_grad_()(np.ones((5, 4), np.float32)).requires_grad


def test_to_converts_what_floats():
    net = Net().to(np.float64)
    kinds = {key: value.dtype for key, value in net.state_dict().items()}
    assert kinds.pop("steps") == np.int64 and kinds.pop("block1.bn1.num_batches_tracked") == np.int64
    assert {k for key, k in kinds.items() if not key.endswith("tracked")} == {np.dtype(np.float64)}
    assert net(np.ones((5, 4))).dtype == np.float64
    assert net.to(np.float32, backend="numpy")(np.ones((5, 4), np.float32)).dtype == np.float32


def test_hooks_see_and_replace_and_go():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    seen = []
    handle = net[0].register_forward_hook(lambda module, args, out: seen.append((module, args[0].shape, out.shape)))
    other = net.register_forward_hook(lambda module, args, out: out * 0 + 7)
    x = np.ones((3, 2), np.float32)
    assert (net(x).data == 7).all() and seen == [(net[0], (3, 2), (3, 2))]
    handle.remove()
    handle.remove()
    other.remove()
    assert (net(x).data != 7).all() and len(seen) == 1
    with net.register_forward_hook(lambda module, args, out: 1):
        assert net(x) == 1
    assert net(x).shape == (3, 2)


def test_state_dicts_are_loaded_whole_or_not_at_all(rng):
    net, other = Net(), nn.init.manual_seed(Net(), 1)
    net(rng.standard_normal((5, 4)).astype(np.float32))
    state = net.state_dict()
    assert other.load_state_dict(state) == ([], [])
    for key, value in other.state_dict().items():
        np.testing.assert_array_equal(value, state[key])
        assert value is not state[key]
    before = other.state_dict()
    broken = {key: value for key, value in state.items() if key != "rest.0.linear.bias"}
    broken.update({"block1.scale": np.ones(3), "extra": np.ones(1), "more": np.ones(1)})
    message = (
        r"Net.load_state_dict: block1.scale has shape \(3,\); the module's has \(4,\); "
        r"missing: rest.0.linear.bias; unexpected: extra, more; strict=False"
    )
    with pytest.raises(RuntimeError, match=message):
        other.load_state_dict(broken)
    assert all(other.state_dict()[key] is before[key] for key in before)
    with pytest.raises(RuntimeError, match=r"block1.scale has shape \(3,\); the module's has \(4,\)$"):
        other.load_state_dict(broken, strict=False)
    broken["block1.scale"] = np.full(4, 2.0)
    keys = other.load_state_dict(broken, strict=False)
    assert keys.missing_keys == ["rest.0.linear.bias"] and keys.unexpected_keys == ["extra", "more"]
    assert (other.block1.scale.data == 2).all() and other.block1.scale.dtype == np.float32


def test_a_state_dict_does_not_change_when_training_goes_on(rng):
    net = Net()
    state = net.state_dict()
    copies = {key: value.copy() for key, value in state.items()}
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        net(rng.standard_normal((5, 4)).astype(np.float32)).sum().backward()
        optimizer.step()
    assert (net.state_dict()["block1.linear.weight"] != copies["block1.linear.weight"]).any()
    for key, value in copies.items():
        np.testing.assert_array_equal(state[key], value)


def test_torch_tensors_are_copied(torch):
    net, theirs = nn.Linear(2, 2), torch.nn.Linear(2, 2)
    net.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        theirs.weight += 1
    assert abs(net.weight.data + 1 - theirs.weight.detach().numpy()).max() < 1e-6


def test_containers():
    net = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.ReLU()})
    assert [*net.state_dict()] == ["first.weight", "first.bias"] and net[1] is net.second and len(net) == 2
    assert [*net[:1].state_dict()] == ["first.weight", "first.bias"] and isinstance(net[1:], nn.Sequential)
    net.append(nn.Linear(3, 1))
    assert len(net) == 3 and net[-1].out_features == 1 and next(iter(net)) is net.first
    modules = nn.ModuleList(nn.Linear(2, 2) for _ in range(2)).append(nn.Linear(2, 2))
    assert [name for name, _ in modules.named_children()] == ["0", "1", "2"]
    outer = nn.Module()
    outer.layers = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)])])
    assert outer.layers[0][0](np.ones((1, 2), np.float32)).node.scope == ("layers", "ModuleList 0", "Linear 0")
    with pytest.raises(TypeError, match="Sequential holds modules; number 0 is function"):
        nn.Sequential(lambda x: x)
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        modules(1)


def test_a_module_copies_deeply(rng):
    net = Net()
    twin = copy.deepcopy(net)
    x = rng.standard_normal((5, 4)).astype(np.float32)
    np.testing.assert_array_equal(net(x).data, twin(x).data)
    twin.block1.scale.data = twin.block1.scale.data * 2
    assert (net.block1.scale.data == 1).all()


def test_nets_run_on_another_array_type(rng):
    """What CuPy would refuse, the Decoy refuses: no layer turns device arrays into NumPy's."""
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2), nn.InstanceNorm2d(4, affine=True),
        nn.LeakyReLU(), nn.AvgPool2d(2), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
        nn.BatchNorm1d(3, fused=False), nn.Tanh(), nn.LayerNorm(3), nn.Sigmoid(), nn.Softmax(),
    ).to(np.float64)  # fmt: skip
    x = rng.standard_normal((5, 2, 8, 8))
    g = rng.standard_normal((5, 3))
    wanted = grad(net(x), list(net.parameters()), g)
    for module in net.modules():
        for name, value in vars(module).items():
            if isinstance(value, Parameter):
                value.data = Decoy(value.data)
            elif name.startswith("running"):
                setattr(module, name, Decoy(value))
    y = net(Tensor(Decoy(x)))
    for found, a in zip(grad(y, list(net.parameters()), Decoy(g)), wanted, strict=True):
        np.testing.assert_allclose(found.get(), a, rtol=1e-9, atol=1e-9)
    assert isinstance(net.eval()(Tensor(Decoy(x))).data, Decoy)
