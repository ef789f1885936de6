"""Initialisers: what they draw, against PyTorch and by its distribution, and that a seed decides it."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph import Parameter, nn


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
