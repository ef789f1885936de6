"""Layers against PyTorch with the same weights, and what a Module promises: names, state, modes, hooks."""

from __future__ import annotations

import copy
import math
import re

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import close
from tests.decoy import Decoy
from tinygraph import Parameter, Tensor, grad, nn, optim

IMAGES = (5, 4, 6, 6)

# name, arguments, shape of x: the same call makes ours and theirs
LAYERS = [
    ("Linear", (4, 3), {}, (5, 4)),
    ("Linear", (4, 3), {"bias": False}, (2, 5, 4)),
    ("Conv2d", (4, 6, 3), {}, IMAGES),
    (
        "Conv2d",
        (4, 6, (3, 2)),
        {"stride": 2, "padding": (1, 2), "dilation": (2, 1), "groups": 2, "bias": False},
        IMAGES,
    ),
    ("Conv2d", (4, 4, 3), {"padding": "same", "groups": 4}, IMAGES),
    ("Conv2d", (4, 2, 3), {"padding": "valid"}, IMAGES),
    ("BatchNorm1d", (4,), {}, (5, 4)),
    ("BatchNorm1d", (4,), {"eps": 0.1, "momentum": 0.4}, (5, 4, 3)),
    ("BatchNorm2d", (4,), {}, IMAGES),
    ("BatchNorm2d", (4,), {"affine": False, "momentum": None}, IMAGES),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGES),
    ("LayerNorm", (4,), {}, (5, 3, 4)),
    ("LayerNorm", ((6, 6),), {"eps": 0.1}, IMAGES),
    ("LayerNorm", (4,), {"elementwise_affine": False}, (5, 4)),
    ("LayerNorm", (4,), {"bias": False}, (5, 4)),
    ("GroupNorm", (2, 4), {}, IMAGES),
    ("GroupNorm", (2, 4), {"affine": False, "eps": 0.1}, (5, 4)),
    ("InstanceNorm2d", (4,), {}, IMAGES),
    ("InstanceNorm2d", (4,), {"affine": True}, IMAGES),
    ("Dropout", (0.0,), {}, (5, 4)),
    ("Flatten", (), {}, IMAGES),
    ("Flatten", (0, 2), {}, IMAGES),
    ("Identity", (), {}, (5, 4)),
    ("ReLU", (), {}, (5, 4)),
    ("LeakyReLU", (0.2,), {}, (5, 4)),
    ("LeakyReLU", (), {}, (5, 4)),
    ("Sigmoid", (), {}, (5, 4)),
    ("Tanh", (), {}, (5, 4)),
    ("GELU", (), {}, (5, 4)),
    ("GELU", (), {"approximate": "tanh"}, (5, 4)),
    ("Softmax", (), {"dim": 1}, IMAGES),
    ("LogSoftmax", (), {"dim": -1}, (5, 4)),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", ((3, 2),), {"stride": (2, 1), "padding": 1}, IMAGES),
    ("MaxPool2d", (3,), {"stride": 1, "padding": 1}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((4, 5),), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((None, 3),), {}, IMAGES),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(LAYERS)]


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two libraries that each take all cores wait for one another
    yield torch
    torch.set_num_threads(threads)


def random_state(module, rng):
    """Random parameters and buffers, also where they begin as ones and zeros; variances above 0."""
    state = module.state_dict()
    for key, value in state.items():
        if value.dtype.kind == "f":
            state[key] = (
                rng.uniform(0.5, 2, value.shape) if key.endswith("var") else rng.standard_normal(value.shape)
            ).astype(value.dtype)
    module.load_state_dict(state)


def pair(torch, name, args, options, dtype, rng):
    """Our layer and theirs with the same state."""
    ours = getattr(nn, name)(*args, **options).to(np.dtype(dtype))
    theirs = getattr(torch.nn, name)(*args, **options).to(getattr(torch, dtype))
    random_state(ours, rng)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    return ours, theirs


def compare(torch, ours, theirs, arrays, tolerance, rng):
    """Value and gradients in inputs and parameters, under a random cotangent."""
    xs, ts = [Tensor(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*xs), theirs(*ts)
    assert y.dtype == arrays[0].dtype
    close(y.data, z.detach().numpy(), tolerance, "value")
    g = rng.standard_normal(y.shape).astype(y.dtype)
    ps, qs = list(ours.parameters()), list(theirs.parameters())
    assert len(ps) == len(qs)
    wanted = torch.autograd.grad(z, [*ts, *qs], torch.tensor(g))
    for p, a, b in zip([*xs, *ps], grad(y, [*xs, *ps], g), wanted, strict=True):
        assert a.dtype == p.dtype
        close(a, b.numpy(), tolerance, f"gradient in {p.name}")


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS, ids=IDS)
def test_a_layer_is_that_of_pytorch(torch, rng, name, args, options, shape, dtype, tolerance):
    """In training, then in evaluation; the repr and the state too."""
    ours, theirs = pair(torch, name, args, options, dtype, rng)
    for mode in (True, True, False):
        x = (rng.standard_normal(shape) * 2 + 1).astype(dtype)
        compare(torch, ours.train(mode), theirs.train(mode), [x], tolerance, rng)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for key, value in theirs.state_dict().items():
            assert ours.state_dict()[key].dtype == value.numpy().dtype, key
            close(ours.state_dict()[key], value.numpy(), tolerance, key)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(
    ("name", "args", "options", "shape"),
    [layer for layer in LAYERS if layer[0].endswith(("Linear", "Conv2d", "Norm", "Norm1d", "Norm2d"))],
)
def test_a_layer_trained_alone_over_a_hundred_steps(torch, rng, name, args, options, shape, dtype, tolerance):
    """The loss is 1/2 Σ (y - target)² for a new batch each step, so that errors would add up."""
    ours, theirs = pair(torch, name, args, options, dtype, rng)
    steps = (
        [optim.SGD([*ours.parameters()], 1e-3), torch.optim.SGD([*theirs.parameters()], 1e-3)]
        if [*ours.parameters()]
        else []
    )
    for _ in range(100):
        x = rng.standard_normal(shape).astype(dtype)
        y, z = ours(Tensor(x)), theirs(torch.tensor(x))
        target = rng.standard_normal(y.shape).astype(dtype)
        losses = 0.5 * ((y - target) ** 2).sum(), 0.5 * ((z - torch.tensor(target)) ** 2).sum()
        for step, loss in zip(steps, losses, strict=False):  # a layer without parameters takes no steps
            step.zero_grad()
            loss.backward()
            step.step()
        assert abs(losses[0].item() - losses[1].item()) < tolerance * abs(losses[1].item())
    state = ours.state_dict()
    for key, value in theirs.state_dict().items():
        assert abs(state[key] - value.numpy()).max() < tolerance * max(1, abs(value.numpy()).max()), key


@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS, ids=IDS)
def test_a_repr_is_that_of_pytorch(torch, name, args, options, shape):
    """All but the options that ours do not have; ours gives a padding in pixels, never as 'same'."""
    ours, theirs = (repr(getattr(library, name)(*args, **options)) for library in (nn, torch.nn))
    absent = {
        "Dropout": ["inplace=False"],
        "MaxPool2d": ["dilation=1", "ceil_mode=False"],
        "InstanceNorm2d": ["momentum=0.1", "track_running_stats=False"],
    }
    for option in absent.get(name, []):
        assert f", {option}" in theirs
        theirs = theirs.replace(f", {option}", "")
    theirs = theirs.replace("padding=same", "padding=(1, 1)").replace(", padding=valid", "")
    assert ours == without_bias(theirs)


def without_bias(text):
    """A repr without the option of norms that newer releases have."""
    return re.sub(r"(Norm.*), bias=\w+", r"\1", text)


# Batch norm ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_batch_norm_fused_or_composed(torch, rng, fused, dtype, tolerance):
    for name, shape in (("BatchNorm1d", (7, 3)), ("BatchNorm2d", (4, 3, 5, 5))):
        ours, theirs = (
            getattr(nn, name)(3, fused=fused).to(np.dtype(dtype)),
            getattr(torch.nn, name)(3).to(getattr(torch, dtype)),
        )
        for _ in range(3):
            x = (rng.standard_normal(shape) * 3 - 2).astype(dtype)
            compare(torch, ours, theirs, [x], tolerance, rng)
        for key, value in theirs.state_dict().items():
            close(ours.state_dict()[key], value.numpy(), tolerance, key)


def test_layer_norm_fused_or_composed(rng):
    x, g = rng.standard_normal((2, 5, 6))
    layers = [nn.LayerNorm(6, fused=fused).to(np.float64) for fused in (True, False)]
    assert "fused=False" in repr(layers[1])
    found = []
    for layer in layers:
        layer.weight.data = np.arange(1.0, 7)
        xs = [Tensor(x), *layer.parameters()]
        y = layer(xs[0])
        found.append([y.data, *grad(y, xs, g)])
        assert (y.node.op.name == "layer_norm") is layer.fused
    for a, b in zip(*found, strict=True):
        close(a, b, 1e-12, "fused against composed")


@pytest.mark.parametrize("fused", [False, True])
def test_statistics_are_kept_also_where_nothing_is_recorded(rng, fused):
    x = rng.standard_normal((6, 3)).astype(np.float32) + 5
    for affine in (True, False):
        recorded, silent, plain = (nn.BatchNorm1d(3, affine=affine, fused=fused) for _ in range(3))
        recorded(Tensor(x))
        with tg.no_grad():
            silent(Tensor(x))
        plain(x)
        for layer in (recorded, silent, plain):
            np.testing.assert_allclose(layer.running_mean, 0.1 * x.mean(0), rtol=1e-6)
            np.testing.assert_allclose(layer.running_var, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-6)
            assert layer.num_batches_tracked == 1 and layer.running_var.dtype == np.float32


def test_decay_is_the_other_convention(rng):
    x = rng.standard_normal((6, 3))
    one, other = nn.BatchNorm1d(3, momentum=0.25), nn.BatchNorm1d(3, decay=0.75)
    for layer in (one, other):
        layer(x)
    np.testing.assert_array_equal(one.running_var, other.running_var)
    for momentum in (0.25, 0.1 + 0.0, None):
        with pytest.raises(ValueError, match=r"momentum=.* weighs the new batch, decay=0.75 the old ones; give one"):
            nn.BatchNorm1d(3, momentum=momentum, decay=0.75)
    for option in ({"momentum": 1.5}, {"decay": -0.1}, {"momentum": math.nan}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} is outside of 0 … 1"):
            nn.BatchNorm1d(3, **option)


@pytest.mark.parametrize("fused", [False, True])
def test_errors_of_batch_norm(fused):
    layer = nn.BatchNorm2d(3, fused=fused)
    with pytest.raises(ValueError, match=r"BatchNorm2d\(3, .*: x must be \(N, C, H, W\) with C = 3, not \(2, 3\)"):
        layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"with C = 3, not \(2, 4, 1, 1\)"):
        layer(np.ones((2, 4, 1, 1)))
    with pytest.raises(ValueError, match="one value per channel"):
        layer(np.ones((1, 3, 1, 1)))
    assert layer.num_batches_tracked == 0
    assert layer.eval()(np.ones((1, 3, 1, 1))).shape == (1, 3, 1, 1)


def test_the_fused_op_keeps_the_statistics(rng, monkeypatch):
    """They are taken from it, not computed twice."""
    monkeypatch.setattr(tg.functions, "var", lambda *args: pytest.fail("computed again"))
    layer = nn.BatchNorm1d(3)
    layer(Tensor(rng.standard_normal((4, 3))))
    assert layer.num_batches_tracked == 1


# Losses -------------------------------------------------------------------------------------------------------------


def both(torch, name, options, x, target, tolerance=1e-9):
    """A loss and its gradient, ours and theirs."""
    theirs = {key: torch.tensor(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
    a, b = Tensor(x), torch.tensor(x, requires_grad=True)
    loss, other = getattr(nn, name)(**options)(a, target), getattr(torch.nn, name)(**theirs)(b, torch.tensor(target))
    close(loss.data, other.detach().numpy(), tolerance, "loss")
    assert loss.dtype == x.dtype
    g = np.random.default_rng(0).standard_normal(loss.shape).astype(x.dtype)
    (wanted,) = torch.autograd.grad(other, b, torch.tensor(g))
    close(grad(loss, a, g)[0], wanted.numpy(), tolerance, "gradient")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": np.array([0.5, 2.0, 1.0])},
        {"ignore_index": 1},
        {"weight": np.array([0.5, 2.0, 1.0]), "ignore_index": 0},
    ],
)
@pytest.mark.parametrize("smoothing", [None, 0.0, 0.2])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (3,)])
def test_losses_of_classes(torch, rng, shape, smoothing, options, reduction):
    x = rng.standard_normal(shape)
    target = np.array(2) if len(shape) == 1 else np.resize([0, 1, 2, 2, 1], (shape[0], *shape[2:]))
    if smoothing is None:
        both(torch, "NLLLoss", {**options, "reduction": reduction}, x, target)
    else:
        both(torch, "CrossEntropyLoss", {**options, "reduction": reduction, "label_smoothing": smoothing}, x, target)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_numbers(torch, rng, reduction):
    x, target = rng.standard_normal((4, 3)) * 20, rng.uniform(0, 1, (4, 3))
    x[0, 0] = 0.0
    both(torch, "MSELoss", {"reduction": reduction}, x, target)
    both(torch, "BCEWithLogitsLoss", {"reduction": reduction}, x, target)
    soft = target / target.sum(1, keepdims=True)
    both(torch, "CrossEntropyLoss", {"reduction": reduction, "label_smoothing": 0.1}, x, soft)
    both(torch, "CrossEntropyLoss", {"reduction": reduction}, x.astype(np.float32), soft.astype(np.float32), 1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.MSELoss()(np.ones((3, 1)), np.ones(3)),
            r"MSELoss: the target has shape \(3,\), the input \(3, 1\)",
        ),
        (lambda: nn.MSELoss("average"), "reduction 'average' is none of"),
        (
            lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0, 3])),
            "NLLLoss: indices go from 0 to 3; x has classes 0 … 2",
        ),
        (
            lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0])),
            r"NLLLoss: indices have shape \(1,\); x of shape \(2, 3\)",
        ),
        (
            lambda: nn.NLLLoss()(np.ones((2, 3)), np.array([0.0, 1.0])),
            "NLLLoss: the target must be classes, which are integers, not float64",
        ),
        (
            lambda: nn.CrossEntropyLoss(np.ones(3))(np.ones((2, 3)), np.ones((2, 3))),
            "weight takes class indices as targets",
        ),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing is 2, outside of 0 … 1"),
    ],
)
def test_errors_of_losses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_layer_of_no_inputs_is_its_bias():
    layer = nn.Linear(0, 2)
    np.testing.assert_array_equal(layer(np.ones((3, 0), np.float32)).data, np.broadcast_to(layer.bias.data, (3, 2)))


def test_softmax_takes_one_axis():
    x = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_allclose(nn.Softmax()(x).sum(-1), 1)
    with pytest.raises(TypeError, match="LogSoftmax: dim is None; it must be the number of an axis"):
        nn.LogSoftmax(None)


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
def test_a_target_is_an_array_and_class_weights_are_state(torch, loss):
    with pytest.raises(TypeError, match=f"{loss.__name__}: the target must be an array, not list"):
        loss()(np.zeros((2, 3)), [0, 1])
    theirs = getattr(torch.nn, loss.__name__)(weight=torch.tensor([0.5, 2.0, 1.0]))
    ours = loss(weight=np.ones(3, np.float32))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    np.testing.assert_array_equal(ours.weight, [0.5, 2.0, 1.0])
    assert not loss().state_dict() and not getattr(torch.nn, loss.__name__)().state_dict()


# Embedding, dropout, and options out of range -----------------------------------------------------------------------


def test_embedding_adds_up_repeated_rows(torch, rng):
    ours, theirs = nn.Embedding(6, 3).to(np.float64), torch.nn.Embedding(6, 3).double()
    theirs.load_state_dict({"weight": torch.tensor(ours.weight.data)})
    indices = np.array([[1, 5, 1], [0, 1, 5]])
    y, z = ours(indices), theirs(torch.tensor(indices))
    np.testing.assert_array_equal(y.data, z.detach().numpy())
    g = rng.standard_normal(y.shape)
    (wanted,) = torch.autograd.grad(z, theirs.weight, torch.tensor(g))
    close(grad(y, ours.weight, g)[0], wanted.numpy(), 1e-12)
    assert repr(ours) == repr(theirs)
    with pytest.raises(IndexError, match="indices go from -1 to 6"):
        ours(np.array([-1, 6]))
    with pytest.raises(TypeError, match="must be an array of integers, not float64"):
        ours(np.ones(2))


def test_dropout(rng):
    x = Tensor(rng.standard_normal((400, 500)).astype(np.float32))
    layer = nn.init.manual_seed(nn.Dropout(0.3), 0)
    y = layer(x)
    dropped = y.data == 0
    assert abs(dropped.mean() - 0.3) < 0.005  # 5 standard deviations
    assert abs(dropped[:, 1:][dropped[:, :-1]].mean() - 0.3) < 0.01  # and independent of its neighbour
    np.testing.assert_allclose(y.data[~dropped], x.data[~dropped] / 0.7, rtol=1e-6)
    np.testing.assert_allclose(grad(y, x, np.ones(x.shape))[0], np.where(dropped, 0, 1 / 0.7), rtol=1e-6)
    assert (layer(x).data != y.data).any() and y.dtype == np.float32
    np.testing.assert_array_equal(nn.init.manual_seed(nn.Dropout(0.3), 0)(x).data, y.data)
    assert (nn.Dropout(1.0)(x).data == 0).all() and nn.Dropout(1.0).eval()(x) is x
    two = nn.init.manual_seed(nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), 0)
    assert (two[0](x.data) != two[1](x.data)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Dropout(1.5), "p is 1.5, no probability"),
        (lambda: nn.GELU("erf"), "approximate 'erf' is neither"),
        (lambda: nn.GroupNorm(3, 4), "num_groups=3 does not divide num_channels=4"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 must divide both in_channels=3 and out_channels=4"),
        (lambda: nn.Conv2d(3, 4, 2, padding="same"), "an odd kernel"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "takes stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "neither 'same' nor 'valid'"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size must be an integer of at least 1"),
        (lambda: nn.Linear(3, 4)(np.ones((2, 4))), r"Linear\(in_features=3, .*: x must be \(…, 3\), not \(2, 4\)"),
        (lambda: nn.LayerNorm((3, 4))(np.ones((2, 4))), r"the last axes of x must be \(3, 4\)"),
        (lambda: nn.InstanceNorm2d(3)(np.ones((2, 3))), r"x must be \(N, C, H, W\) with C = 3"),
        (lambda: nn.Flatten(2, 1)(np.ones((2, 3, 4))), "axis 2 of .* comes after axis 1"),
    ],
)
def test_errors_of_layers(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Initialisers -------------------------------------------------------------------------------------------------------


def test_layers_begin_as_those_of_pytorch_do(torch):
    """The same distribution, told by its bound and its variance."""
    torch.manual_seed(0)
    for name, args in (("Linear", (300, 200)), ("Conv2d", (30, 40, 5))):
        ours, theirs = nn.init.manual_seed(getattr(nn, name)(*args), 0), getattr(torch.nn, name)(*args)
        for key, value in theirs.state_dict().items():
            a, b = ours.state_dict()[key], value.numpy()
            assert a.dtype == b.dtype and a.shape == b.shape
            assert abs(abs(a).max() / abs(b).max() - 1) < (0.01 if a.ndim > 1 else 0.15)
            assert abs(a.std() / b.std() - 1) < (0.02 if a.ndim > 1 else 0.25)
    for name, args in (("BatchNorm2d", (3,)), ("LayerNorm", (4,)), ("GroupNorm", (2, 4))):
        for key, value in getattr(torch.nn, name)(*args).state_dict().items():
            np.testing.assert_array_equal(getattr(nn, name)(*args).state_dict()[key], value.numpy())
    assert abs(nn.init.manual_seed(nn.Embedding(100, 100), 0).weight.data.std() - 1) < 0.03


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("uniform_", (-0.3, 0.8)), ("normal_", (0.5, 0.2)), ("trunc_normal_", (0.1, 0.5, -0.3, 0.4)),
        ("constant_", (0.3,)),
        ("ones_", ()), ("zeros_", ()), ("xavier_uniform_", (2.0,)), ("xavier_normal_", (0.5,)),
        ("kaiming_uniform_", (0.1,)),
        ("kaiming_uniform_", (0.0, "fan_out", "relu")), ("kaiming_normal_", (0.0, "fan_in", "tanh")),
        ("kaiming_normal_", (0.2, "fan_out", "leaky_relu")), ("orthogonal_", (1.5,)), ("dirac_", ()),
    ],
)  # fmt: skip
def test_initialisers_draw_what_those_of_pytorch_draw(torch, name, args):
    torch.manual_seed(0)
    for shape in ((120, 80, 3, 2), (90, 200)):
        if name == "dirac_" and len(shape) < 3:
            continue
        ours, theirs = Parameter(np.empty(shape, np.float32)), torch.empty(shape)
        options = {} if name in ("constant_", "ones_", "zeros_", "dirac_") else {"generator": np.random.default_rng(0)}
        assert getattr(nn.init, name)(ours, *args, **options) is ours
        getattr(torch.nn.init, name)(theirs, *args)
        a, b = np.sort(ours.data.ravel()), np.sort(theirs.numpy().ravel())
        assert ours.dtype == np.float32
        assert abs(a - b)[len(a) // 20 : -len(a) // 20].max() <= 0.08 * b.std()  # quantile by quantile
        assert abs(a.std() - b.std()) <= 0.02 * b.std() + 1e-7


def test_initialisers_of_matrices(torch):
    p = Parameter(np.empty((3, 5)))
    np.testing.assert_array_equal(nn.init.eye_(p).data, np.eye(3, 5))
    q = nn.init.orthogonal_(p, gain=2.0).data
    np.testing.assert_allclose(q @ q.T, 4 * np.eye(3), atol=1e-12)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=False).to(np.float64)
    nn.init.dirac_(layer.weight)
    np.testing.assert_array_equal(layer(x).data, np.concatenate([x, np.zeros((2, 2, 4, 4))], 1))
    for nonlinearity in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert nn.init.calculate_gain(nonlinearity) == pytest.approx(torch.nn.init.calculate_gain(nonlinearity))
    for call, message in (
        (lambda: nn.init.calculate_gain("gelu"), "'gelu' is none of linear"),
        (lambda: nn.init.kaiming_normal_(Parameter(np.ones(3))), "weights of two axes or more"),
        (lambda: nn.init.kaiming_normal_(p, mode="fan"), "mode 'fan' is neither"),
        (lambda: nn.init.trunc_normal_(p, 0, 1, 8, 9), "less than a thousandth .* lies in 8 … 9"),
        (lambda: nn.init.eye_(Parameter(np.ones(3))), r"eye_: the tensor must be a matrix, not of shape \(3,\)"),
        (lambda: nn.init.dirac_(Parameter(np.ones((3, 2)))), r"dirac_: .* must be filters \(O, C, …\), not"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_seed_gives_a_net_and_no_other():
    make = lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Conv2d(1, 2, 3))
    one, same, other = (nn.init.manual_seed(make(), seed).state_dict() for seed in (0, 0, 1))
    assert all((one[key] == same[key]).all() for key in one)
    assert (one["0.weight"] != other["0.weight"]).any()
    assert (make().state_dict()["0.weight"] != make().state_dict()["0.weight"]).any()
    generator = np.random.default_rng(0)
    first, second = (nn.init.manual_seed(make(), generator).state_dict() for _ in range(2))
    assert (first["0.weight"] == one["0.weight"]).all() and (second["0.weight"] != one["0.weight"]).any()


# Module -------------------------------------------------------------------------------------------------------------


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
    with pytest.raises(ValueError, match=r"in Conv2d 0/conv2d\(float64\[1,2,5,5\], weight .* at test_nn.py"):
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


# The whole ----------------------------------------------------------------------------------------------------------


def lenet(nn, **options):
    """LeNet with batch norm: the net of the deep-learning texts, in either library."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6, **options), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16, **options), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(256, 120), nn.BatchNorm1d(120, **options), nn.Sigmoid(),
        nn.Linear(120, 84), nn.BatchNorm1d(84, **options), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_ten_steps_of_lenet_are_those_of_pytorch(torch, rng, fused, dtype, tolerance):
    """Every loss, parameter and buffer, with the same weights and data, at the text's learning rate of 1."""
    ours = lenet(nn, fused=fused).to(np.dtype(dtype))
    theirs = lenet(torch.nn).to(getattr(torch, dtype))
    ours.load_state_dict(theirs.state_dict())
    ours_step, theirs_step = optim.SGD(ours.parameters(), lr=1.0), torch.optim.SGD(theirs.parameters(), lr=1.0)
    for _ in range(10):
        x, labels = rng.standard_normal((32, 1, 28, 28)).astype(dtype), rng.integers(0, 10, 32)
        loss = nn.CrossEntropyLoss()(ours(x), labels)
        other = torch.nn.CrossEntropyLoss()(theirs(torch.tensor(x)), torch.tensor(labels))
        for step, value in ((ours_step, loss), (theirs_step, other)):
            step.zero_grad()
            value.backward()
            step.step()
        assert abs(loss.item() - other.item()) < tolerance
        state = ours.state_dict()
        for key, value in theirs.state_dict().items():
            assert state[key].dtype == value.numpy().dtype
            assert abs(state[key] - value.numpy()).max() < tolerance, key
