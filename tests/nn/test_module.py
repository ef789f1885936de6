"""What a Module promises: names, state, modes, hooks, containers."""

from __future__ import annotations

import copy
import pickle
import weakref

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
        (("block1",), "block1.scale"),
        (("block1", "linear"), "block1.linear.weight"),
        (("block1", "bn1"), "block1.bn1.weight"),
        (("rest", "Block 0", "bn1"), "rest.0.bn1.bias"),
    } <= leaves
    with tg.scope("twin"):
        assert net(np.ones((2, 4), np.float32)).node.scope[:2] == ("twin", "rest")


def test_an_error_says_in_which_module():
    net = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(ValueError, match=r"in Conv2d 0/conv2d\(float64\[1,2,5,5\], 0\.weight .* at test_module.py"):
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
            elif name.startswith("running") and value is not None:
                setattr(module, name, Decoy(value))
    y = net(Tensor(Decoy(x)))
    for found, a in zip(grad(y, list(net.parameters()), Decoy(g)), wanted, strict=True):
        np.testing.assert_allclose(found.get(), a, rtol=1e-9, atol=1e-9)
    assert isinstance(net.eval()(Tensor(Decoy(x))).data, Decoy)


class Pair(nn.Module):
    """Two layers with one weight, and a parameter that the user has named."""

    def __init__(self):
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.shift = Parameter(np.zeros(3, np.float32), name="s")

    def forward(self, x, y=None):
        return self.second(self.first(x)) + self.shift + (0 if y is None else y)


def parameter_names(net):
    return [p.name for p in net.parameters()]


def test_parameters_are_called_as_the_state_dict_calls_them():
    net = Net()
    assert parameter_names(net) == [name for name, _ in net.named_parameters()]
    outer = nn.Sequential(nn.Linear(3, 4), nn.ModuleList([net]))
    assert parameter_names(outer) == [name for name, _ in outer.named_parameters()]
    assert outer[0].weight.name == "0.weight" and net.block1.bn1.weight.name == "1.0.block1.bn1.weight"


def test_a_layer_alone_and_names_of_the_user_s():
    assert parameter_names(nn.Linear(2, 2)) == ["weight", "bias"]
    assert parameter_names(nn.BatchNorm1d(2)) == ["γ", "β"]
    norm = nn.LayerNorm(2)
    net = nn.Sequential(norm)
    assert parameter_names(net) == ["0.weight", "0.bias"] and norm.weight.name == "0.weight"
    assert parameter_names(nn.Sequential(Pair())) == ["s", "0.first.weight"]


def test_copies_keep_names_and_get_new_ones_where_they_go():
    block = nn.Sequential(nn.Linear(2, 2))
    blocks = nn.ModuleList([copy.deepcopy(block) for _ in range(2)])
    assert parameter_names(blocks) == ["0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"]
    assert parameter_names(pickle.loads(pickle.dumps(blocks))) == parameter_names(blocks)
    assert [*copy.deepcopy(blocks).state_dict()] == [*blocks.state_dict()]


def inputs_of(tensor):
    return {n.name: n.shape for n in tg.snapshot(tensor).nodes if n.kind == "input"}


def test_plain_arrays_are_inputs_by_the_names_of_the_arguments(rng):
    x, y = rng.random((2, 3), np.float32), rng.random((2, 3), np.float32)
    assert inputs_of(Pair()(x)) == {"x": (2, 3)}
    assert inputs_of(Pair()(x, y)) == inputs_of(Pair()(x, y=y)) == {"x": (2, 3), "y": (2, 3)}
    assert inputs_of(nn.MSELoss()(Pair()(x), y)) == {"x": (2, 3), "target": (2, 3)}
    graph = tg.snapshot(Pair()(x))
    assert graph.find("x").scope == () and not graph.find("x").requires_grad
    assert np.allclose(tg.run(graph, x=np.zeros((5, 3), np.float32)), 0)


def test_an_input_is_the_array_that_the_net_was_given_and_no_other(rng):
    class Flat(nn.Module):
        def forward(self, *xs):
            shifted = nn.Linear(3, 3)(xs[0]) + nn.Linear(3, 3)(xs[0] + 1)  # x + 1 is made here: no input
            return shifted + nn.Linear(2, 3)(xs[1].reshape(2, -1))

    net = Flat()
    x, image = rng.random((2, 3), np.float32), rng.random((2, 1, 2), np.float32)
    assert inputs_of(net(x, image)) == {"xs0": (2, 3), "xs1": (2, 2)}
    square = rng.random((3, 3), np.float32)
    turned = nn.Linear(3, 3, bias=False)
    turned.forward = lambda a: a.T @ turned.weight  # not the numbers of `a` in their order
    assert inputs_of(turned(square)) == {}


def test_results_of_several_calls_and_of_nested_ones(rng):
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return {"a": self.a(x), "b": self.b(x)}

    net, x = Two(), rng.random((4, 3), np.float32)
    first = net(x)
    second = net(x + 1)
    graph = tg.snapshot(first["a"], first["b"], second["b"])
    assert [n.shape for n in graph.nodes if n.name == "x"] == [(4, 3), (4, 3)]
    assert inputs_of(net(Tensor(x, name="t"))["a"]) == {"t": (4, 3)}


def test_a_call_keeps_no_array(rng):
    class Half(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(3, 3)

        def forward(self, x, mask):
            return self.fc(x)

    mask = rng.random((2, 3), np.float32)
    gone = weakref.ref(mask)
    y = Half()(rng.random((2, 3), np.float32), mask)
    del mask
    assert gone() is None and y.shape == (2, 3)


def test_parts_are_set_and_found_by_their_paths(torch):
    net = Net()
    assert net.get_submodule("rest.1.0.linear") is net.rest[1][0].linear and net.get_submodule("") is net
    assert net.get_parameter("block1.bn1.weight") is net.block1.bn1.weight
    assert net.get_buffer("block1.bn1.running_mean") is net.block1.bn1.running_mean
    net.set_submodule("block1.linear", nn.Identity())
    assert isinstance(net.block1.linear, nn.Identity)
    net.add_module("head", nn.Linear(4, 2))
    net.register_module("tail", None)
    net.register_parameter("shift", Parameter(np.zeros(2, np.float32)))
    assert net.head.weight.name == "head.weight" and net.tail is None
    assert next(iter(net.state_dict())) == "shift"
    for call, error, text in [
        (lambda: net.get_submodule("rest.7"), AttributeError, "ModuleList has no module '7', of 'rest.7'"),
        (lambda: net.get_parameter("head.scale"), AttributeError, "Linear has no parameter 'scale'"),
        (lambda: net.get_buffer("head.weight"), AttributeError, "Linear has no buffer 'weight'"),
        (lambda: net.add_module("a.b", nn.ReLU()), KeyError, "has a dot"),
        (lambda: net.add_module("forward", nn.ReLU()), KeyError, "is that of another attribute"),
        (lambda: net.add_module("f", np.tanh), TypeError, "must be a Module, not ufunc"),
        (lambda: net.register_parameter("f", np.ones(2)), TypeError, "must be a Parameter, not ndarray"),
    ]:
        with pytest.raises(error, match=text):
            call()


def numbers(net):
    return [getattr(m, "out_features", None) for m in net]


@pytest.mark.parametrize("library", ["ours", "theirs"])
def test_containers_change_as_those_of_pytorch(torch, library):
    lib = nn if library == "ours" else torch.nn

    def linear(n):
        return lib.Linear(2, n)

    for net in (lib.Sequential(linear(1), linear(2), linear(3)), lib.ModuleList(map(linear, (1, 2, 3)))):
        net[1] = linear(5)
        net[-1] = linear(6)
        assert numbers(net) == [1, 5, 6]
        net.insert(1, linear(7))
        net.extend([linear(8), linear(9)])
        assert numbers(net) == [1, 7, 5, 6, 8, 9]
        assert net.pop(1).out_features == 7
        del net[0]
        del net[-2:]
        assert numbers(net) == [5, 6] and [*net.state_dict()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
        assert numbers(net + type(net)(*[[linear(1)]] if isinstance(net, lib.ModuleList) else [linear(1)])) == [5, 6, 1]
        net += [linear(4)] if isinstance(net, lib.ModuleList) else lib.Sequential(linear(4))
        assert numbers(net) == [5, 6, 4]
        with pytest.raises(IndexError):
            net[3] = linear(1)
    heads = lib.ModuleDict({"a": linear(1), "b": linear(2)})
    heads["c"] = linear(3)
    heads.update({"a": linear(4)})
    assert [*heads] == ["a", "b", "c"] and numbers(heads.values()) == [4, 2, 3] and "b" in heads and len(heads) == 3
    assert heads.pop("b").out_features == 2 and next(iter(heads.state_dict())) == "a.weight"
    with pytest.raises(KeyError):
        heads["update"] = linear(1)
    with pytest.raises(KeyError):
        heads["z"]
    heads.clear()
    assert not len(heads)


def test_parameters_are_held_in_lists_and_by_name():
    class Scales(nn.Module):
        def __init__(self):
            self.scales = nn.ParameterList([np.ones(2, np.float32), Parameter(np.ones(3, np.float32))])
            self.table = nn.ParameterDict({"left": np.zeros(2)})

        def forward(self, x):
            return x * self.scales[0] + self.table["left"]

    net = Scales()
    net.scales.append(np.ones(1))
    net.scales[0] = np.full(2, 3.0)
    net.table["right"] = Parameter(np.ones(1))
    assert [*net.state_dict()] == ["scales.0", "scales.1", "scales.2", "table.left", "table.right"]
    assert (net(np.ones(2)).data == 3).all() and net.scales[0].name == "scales.0"
    assert "(1): Parameter(float32, (3,))" in repr(net)
    with pytest.raises(TypeError, match="ParameterList holds parameters; number 3 is str"):
        net.scales.append("x")


def test_names_follow_where_a_module_stands():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    outer = nn.ModuleDict({"body": net})
    net.insert(0, nn.ReLU())
    assert parameter_names(outer) == [name for name, _ in outer.named_parameters()]
    assert net(np.ones((1, 2), np.float32)).node.scope == ("body", "Linear 2")


def test_a_buffer_that_is_not_saved_still_moves():
    net = nn.Linear(2, 2)
    net.register_buffer("mask", np.ones(2, np.float32), persistent=False)
    assert [*net.state_dict()] == ["weight", "bias"] and [n for n, _ in net.named_buffers()] == ["mask"]
    assert net.double().mask.dtype == np.float64 and net.half().weight.dtype == np.float16
    assert net.float().weight.dtype == np.float32
    net.register_buffer("mask", np.zeros(2))
    assert [*net.state_dict()] == ["weight", "bias", "mask"]


def test_a_hook_before_the_call_changes_the_arguments():
    net = nn.Sequential(nn.ReLU())
    with net.register_forward_pre_hook(lambda module, args: -args[0]):
        np.testing.assert_array_equal(net(np.array([-1.0, 2.0])), [1.0, 0.0])
    with net.register_forward_pre_hook(lambda module, args: (args[0] * 2,)):
        np.testing.assert_array_equal(net(np.array([1.0])), [2.0])
    np.testing.assert_array_equal(net(np.array([1.0])), [1.0])
