"""What is loaded into a module is checked first: all of it is taken, or nothing, and no text picks a function."""

from __future__ import annotations

import copy
import subprocess

import numpy as np
import pytest

from tinygraph import nn
from tinygraph.nn import StateDict


def made():
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.2))
    net(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))
    return net


def everything(net):
    state = net.state_dict()
    return {key: value.copy() for key, value in state.items()}, copy.deepcopy(state.about)


def same(a, b):
    (arrays, about), (others, other_about) = a, b
    assert about == other_about and arrays.keys() == others.keys()
    for key, value in arrays.items():
        assert value.dtype == others[key].dtype
        np.testing.assert_array_equal(value, others[key], err_msg=key)


WRONG = {
    "words": ("1.weight", np.full((2, 3), "1.5"), "holds words, and must hold float32"),
    "bytes": ("1.weight", np.full((2, 3), b"1"), "holds bytes"),
    "dates": ("1.weight", np.full((2, 3), "2020-01-01", "datetime64[D]"), "holds dates"),
    "spans": ("1.weight", np.full((2, 3), 3, "timedelta64[s]"), "holds spans of time"),
    "objects": ("1.weight", np.full((2, 3), None), "holds objects"),
    "complex": ("1.weight", np.full((2, 3), 1 + 2j), "holds complex numbers"),
    "records": ("1.weight", np.zeros((2, 3), [("a", float)]), r"holds \[\('a', '<f8'\)\]"),
    "too large": ("1.weight", np.full((2, 3), 1e300), "holds numbers too large for float32"),
    "shape": ("1.weight", np.ones((3, 2)), r"has shape \(3, 2\); the module's has \(2, 3\)"),
    "ragged": ("1.weight", [[1.0]], r"has shape \(1, 1\)"),
    "variance negative": ("2.running_var", np.array([1.0, -1.0]), "2.running_var is negative"),
    "variance nan": ("2.running_var", np.array([1.0, np.nan]), "2.running_var holds nan"),
    "mean nan": ("2.running_mean", np.array([1.0, np.nan]), "2.running_mean holds nan"),
    "count negative": ("2.num_batches_tracked", np.array(-1), "2.num_batches_tracked is negative"),
    "count broken": ("2.num_batches_tracked", np.array(1.5), "holds float64, and must hold int64"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_array_is_refused_and_nothing_changes(kind):
    key, value, message = WRONG[kind]
    net, state = made(), nn.init.manual_seed(made(), 3).state_dict()
    before = everything(net)
    state[key] = value
    with pytest.raises(RuntimeError, match=message):
        net.load_state_dict(state)
    same(everything(net), before)
    with pytest.raises(RuntimeError, match=message):
        net.load_state_dict(dict(state), strict=False)
    same(everything(net), before)


ABOUT = {
    "a function's name": {"generator": {"bit_generator": "test"}},
    "another function's name": {"generator": {"bit_generator": "default_rng"}},
    "no such generator": {"generator": {"bit_generator": "Dice"}},
    "no generator": {},
    "no dict": [1, 2],
    "a number": 3,
    "a state too short": {"generator": {"bit_generator": "PCG64"}},
    "a state of words": {"generator": {"bit_generator": "PCG64", "state": {"state": "x", "inc": 3}}},
    "a state too large": {
        "generator": {"bit_generator": "PCG64", "state": {"state": 1 << 200, "inc": -3}, "has_uint32": 0, "uinteger": 0}
    },
}


@pytest.mark.parametrize("kind", ABOUT)
def test_no_text_picks_a_function(kind, monkeypatch):
    """The last dropout's state is wrong: the first one's, and all arrays, stay as they were."""
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("a function ran"))
    net, state = made(), nn.init.manual_seed(made(), 3).state_dict()
    before = everything(net)
    state.about["3"] = ABOUT[kind]
    with pytest.raises(ValueError, match=r"Dropout\(p=0.2\): this is no state of a generator of random numbers"):
        net.load_state_dict(state)
    same(everything(net), before)


def test_batch_norms_that_are_refused_leave_the_dropouts():
    net, state = made(), nn.init.manual_seed(made(), 3).state_dict()
    before = everything(net)
    for about in ({"running_var": "biased", "momentum_weighs": "new batch"}, {}, [], "unbiased"):
        state.about["2"] = about
        with pytest.raises(ValueError, match="running statistics of another kind"):
            net.load_state_dict(state)
        same(everything(net), before)


def test_other_generators_of_numpy_go_on():
    net, other = nn.Dropout(0.5), nn.Dropout(0.5)
    net.generator = np.random.Generator(np.random.SFC64(3))
    other.load_state_dict(copy.deepcopy(net.state_dict()))
    x = np.ones(50)
    np.testing.assert_array_equal(net(x), other(x))
    with pytest.raises(ValueError, match="no state of a generator"):
        other.load_state_dict(StateDict({}, {"": {"generator": {"bit_generator": "RandomState"}}}))


def test_whole_numbers_and_halves_are_taken():
    net = made()
    state = net.state_dict() | {
        "1.weight": np.arange(6).reshape(2, 3), "1.bias": np.array([1, 2], np.float16),
        "2.num_batches_tracked": np.array(7.0),
    }  # fmt: skip
    net.load_state_dict(state)
    np.testing.assert_array_equal(net[1].weight.data, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert net[1].bias.dtype == np.float32 and net[2].num_batches_tracked == 7
    assert net[2].num_batches_tracked.dtype == np.int64
    infinite = {**net.state_dict(), "1.bias": np.array([np.inf, np.nan])}  # of float64: these are not too large
    net.load_state_dict(infinite)
    assert np.isinf(net[1].bias.data[0]) and np.isnan(net[1].bias.data[1])


def test_a_plain_dict_may_lack_the_number_of_batches():
    """As in PyTorch, which fills it in where nothing says that the state is of a newer version."""
    torch = pytest.importorskip("torch")
    net, theirs = made(), torch.nn.BatchNorm1d(2)
    state = {key: value for key, value in net.state_dict().items() if "num_batches" not in key}
    count = int(net[2].num_batches_tracked)
    assert net.load_state_dict(state) == ([], []) and net[2].num_batches_tracked == count
    assert net.load_state_dict(StateDict(state)) == ([], [])
    arrays = {key[2:]: torch.tensor(value) for key, value in state.items() if key.startswith("2.")}
    assert theirs.load_state_dict(arrays).missing_keys == []
    ours = net.state_dict()
    del ours["2.num_batches_tracked"]
    with pytest.raises(RuntimeError, match=r"missing: 2\.num_batches_tracked"):
        net.load_state_dict(ours)


def test_bfloat16_tensors_are_taken():
    torch = pytest.importorskip("torch")
    net = nn.Linear(2, 1)
    net.load_state_dict(torch.nn.Linear(2, 1).bfloat16().state_dict())
    theirs = torch.nn.Linear(2, 1).bfloat16()
    net.load_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(net.weight.data, theirs.weight.detach().float().numpy())
    assert net.weight.dtype == np.float32


def test_a_refused_state_gives_a_lazy_layer_no_size():
    net = nn.Sequential(nn.LazyLinear(2), nn.BatchNorm1d(2))
    state = nn.Sequential(nn.Linear(5, 2), nn.BatchNorm1d(2)).state_dict()
    with pytest.raises(RuntimeError, match=r"1\.running_var is negative"):
        net.load_state_dict(state | {"1.running_var": -np.ones(2)})
    assert isinstance(net[0], nn.LazyLinear)
    assert net(np.ones((4, 3), np.float32)).shape == (4, 2)
    net = nn.Sequential(nn.LazyLinear(2), nn.BatchNorm1d(2))
    net.load_state_dict(state)
    assert net[0].in_features == 5


@pytest.mark.parametrize("state", [None, 3, "net.npz", [1, 2]])
def test_what_is_no_dict_is_refused(state):
    with pytest.raises(TypeError, match=r"Linear\.load_state_dict takes arrays by path, not"):
        nn.Linear(2, 2).load_state_dict(state)


@pytest.mark.parametrize(
    ("layer", "key"),
    [
        (lambda: nn.InstanceNorm2d(2, track_running_stats=True), "running_var"),
        (lambda: nn.BatchNorm3d(2), "running_var"),
        (lambda: nn.BatchRenorm1d(2), "running_std"),
    ],
)
def test_all_norms_check_their_statistics(layer, key):
    state = layer().state_dict()
    for value in (np.array([1.0, -1.0]), np.array([1.0, np.nan])):
        with pytest.raises(RuntimeError, match=rf"{key} (is negative|holds nan)"):
            layer().load_state_dict(state | {key: value})
    plain = {name: value for name, value in state.items() if name != "num_batches_tracked"}
    assert layer().load_state_dict(plain) == ([], [])
