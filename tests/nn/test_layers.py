"""Layers against PyTorch with the same weights: alone, over many steps, and as a net."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import close
from tests.layer_pairs import IDS, LAYERS, compare, pair, without_bias
from tinygraph import Tensor, grad, nn, optim


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
    """All but the options that ours do not have."""
    ours, theirs = (repr(getattr(library, name)(*args, **options)) for library in (nn, torch.nn))
    absent = {
        **{
            kind + "Dropout" + axes: ["inplace=False"]
            for kind in ("", "Alpha", "FeatureAlpha")
            for axes in ("", "1d", "2d", "3d")
        },
    }
    for option in absent.get(name, []):
        assert f", {option}" in theirs
        theirs = theirs.replace(f", {option}", "")
    assert ours == without_bias(theirs)


def test_a_layer_of_no_inputs_is_its_bias():
    layer = nn.Linear(0, 2)
    np.testing.assert_array_equal(layer(np.ones((3, 0), np.float32)).data, np.broadcast_to(layer.bias.data, (3, 2)))


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
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "takes stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "neither 'same' nor 'valid'"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size must be an integer of at least 1"),
        (lambda: nn.Linear(3, 4)(np.ones((2, 4))), r"Linear\(in_features=3, .*: x must be \(…, 3\), not \(2, 4\)"),
        (lambda: nn.LayerNorm((3, 4))(np.ones((2, 4))), r"the last axes of x must be \(3, 4\)"),
        (lambda: nn.InstanceNorm2d(3)(np.ones((2, 2))), r"x must be \(N, C, H, W\) with C = 3"),
        (lambda: nn.Flatten(2, 1)(np.ones((2, 3, 4))), "axis 2 of .* comes after axis 1"),
    ],
)
def test_errors_of_layers(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("Conv1d", (4, 3, 3), (2, 4, 7)),
        ("Conv2d", (4, 3, 3), (2, 4, 6, 5)),
        ("ConvTranspose2d", (4, 3, 3), (2, 4, 6, 5)),
        ("AvgPool2d", (2,), (2, 4, 6, 5)),
        ("MaxPool3d", (2,), (2, 4, 4, 5, 3)),
        ("AdaptiveAvgPool2d", (2,), (2, 4, 6, 5)),
    ],
)
def test_channels_last(rng, name, args, shape):
    """The same numbers, with the channels behind the axes of the windows."""
    first, last = (
        nn.init.manual_seed(getattr(nn, name)(*args, **options), 0) for options in ({}, {"channels_last": True})
    )
    x = rng.standard_normal(shape).astype(np.float32)
    y = last(Tensor(np.moveaxis(x, 1, -1)))
    np.testing.assert_array_equal(np.moveaxis(y.data, -1, 1), getattr(first(x), "data", first(x)))
