"""Weights computed from others, against PyTorch's, in both spellings of their state."""

import copy
import pickle

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad, nn
from tinygraph.nn import parametrizations

LAYERS = [("Linear", (4, 3), (5, 4)), ("Conv2d", (2, 3, 3), (2, 2, 5, 5)), ("ConvTranspose1d", (2, 3, 3), (2, 2, 5))]


def of(library, name, new):
    return getattr(library.nn.utils.parametrizations if new else library.nn.utils, name)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's own, of the older spelling
@pytest.mark.parametrize("new", [False, True], ids=["utils", "parametrizations"])
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize(("layer", "args", "shape"), LAYERS)
def test_values_gradients_and_state_are_those_of_pytorch(torch, rng, layer, args, shape, name, new):
    ours = of(tg, name, new)(getattr(nn, layer)(*args).double())
    theirs = of(torch, name, new)(getattr(torch.nn, layer)(*args).double())
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    ours.load_state_dict(theirs.state_dict())
    for mode in (True, True, False):
        ours.train(mode), theirs.train(mode)
        x = rng.standard_normal(shape)
        y, z = ours(Tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(y.data, z.detach().numpy(), atol=1e-9)
        g = rng.standard_normal(y.shape)
        wanted = torch.autograd.grad(z, [*theirs.parameters()], torch.tensor(g))
        for a, b in zip(grad(y, [*ours.parameters()], g), wanted, strict=True):
            np.testing.assert_allclose(a, b.numpy(), atol=1e-9)
        for key, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), atol=1e-9, err_msg=key)


def test_a_spectral_norm_is_one_in_the_end(rng):
    layer = parametrizations.spectral_norm(nn.Linear(6, 4), n_power_iterations=50)
    assert abs(np.linalg.svd(layer.weight.data)[1][0] - 1) < 1e-4


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_it_may_be_removed_and_copied(name):
    layer = getattr(nn.utils, name)(nn.Linear(3, 2)).eval()
    x = np.ones((4, 3), np.float32)
    y = layer(x).data
    for make in (copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))):
        np.testing.assert_array_equal(make(layer)(x).data, y)
    getattr(nn.utils, f"remove_{name}")(layer)
    assert [*layer.state_dict()] == ["bias", "weight"] and isinstance(layer.weight, nn.Parameter)
    np.testing.assert_allclose(layer(x).data, y, rtol=1e-6)
    with pytest.raises(ValueError, match="is not computed from others"):
        getattr(nn.utils, f"remove_{name}")(layer)
    with pytest.raises(ValueError, match="Linear has no parameter 'scale'"):
        getattr(nn.utils, name)(nn.Linear(3, 2), "scale")


def test_what_is_computed_is_drawn_in_the_layer():
    net = nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 2)))
    graph = tg.snapshot(net(Tensor(np.ones((4, 3), np.float32), name="x")).sum())
    (node,) = [n for n in graph.nodes if n.name == "w"]
    assert node.scope == ("Linear 0",)
    assert {"0.weight_g", "0.weight_v"} <= {n.name for n in graph.nodes}
    assert [p.name for p in net.parameters()] == ["0.bias", "0.weight_g", "0.weight_v"]
