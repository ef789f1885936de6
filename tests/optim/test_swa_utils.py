"""Averaged nets, as PyTorch averages them."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph import data, nn, optim
from tinygraph.optim import swa_utils


def nets(torch, rng):
    """The same net in both libraries, with batch norm."""
    ours = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).to(np.float64)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).double()
    theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize(
    ("kind", "use_buffers"),
    [("swa", False), ("swa", True), ("ema", False), ("ema", True), ("multi", True), ("multi swa", False)],
)
def test_averages_are_those_of_pytorch(rng, kind, use_buffers):
    torch = pytest.importorskip("torch")
    ours, theirs = nets(torch, rng)

    def options(module):
        return {
            "swa": {}, "ema": {"avg_fn": module.get_ema_avg_fn(0.9)},
            "multi": {"multi_avg_fn": module.get_ema_multi_avg_fn(0.8)},
            "multi swa": {"multi_avg_fn": module.get_swa_multi_avg_fn()},
        }[kind]  # fmt: skip

    a = swa_utils.AveragedModel(ours, use_buffers=use_buffers, **options(swa_utils))
    b = torch.optim.swa_utils.AveragedModel(theirs, use_buffers=use_buffers, **options(torch.optim.swa_utils))
    for _ in range(5):
        x = rng.standard_normal((6, 4))
        ours(x)
        theirs(torch.tensor(x))
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.data = rng.standard_normal(p.shape)
            q.data = torch.tensor(p.data)
        a.update_parameters(ours)
        b.update_parameters(theirs)
        before = ours.state_dict()
    assert {*a.state_dict()} == {*b.state_dict()}
    for key, value in b.state_dict().items():
        if not (key.endswith("num_batches_tracked") and use_buffers):  # an average of counts, rounded
            tolerance = 1e-6 if kind == "multi swa" else 1e-12  # its weight there is float32
            np.testing.assert_allclose(a.state_dict()[key], value.numpy(), rtol=tolerance, err_msg=key)
    for key, value in before.items():
        np.testing.assert_array_equal(ours.state_dict()[key], value)  # the net itself is left alone


def test_batch_norm_is_measured_again(rng):
    torch = pytest.importorskip("torch")
    ours, theirs = nets(torch, rng)
    ours[1].momentum = theirs[1].momentum = 0.3
    xs = rng.standard_normal((20, 4))
    ours.eval()
    theirs.eval()
    loader = data.DataLoader((xs, np.zeros(20)), 5)
    swa_utils.update_bn(loader, ours)
    torch.optim.swa_utils.update_bn([torch.tensor(x) for x, _ in loader], theirs)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-12, err_msg=key)
    assert ours[1].momentum == 0.3 and not ours.training and not ours[1].training
    swa_utils.update_bn([], nn.Linear(2, 2))


def test_batch_renormalization_is_measured_again(rng):
    """Its running deviation is an average of those of the batches, as its running mean is."""
    net, xs = nn.BatchRenorm1d(3).to(np.float64), rng.standard_normal((4, 5, 3))
    swa_utils.update_bn(xs, net)
    np.testing.assert_allclose(net.running_mean, xs.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(net.running_std, np.sqrt(xs.var(1) + net.eps).mean(0), rtol=1e-12)
    assert net.momentum == nn.BatchRenorm1d(3).momentum


def test_a_batch_that_fails_leaves_mode_and_momentum(rng):
    net = nn.Sequential(nn.BatchNorm1d(3)).eval()
    with pytest.raises(ValueError, match="x must be"):
        swa_utils.update_bn([np.ones((2, 4))], net)
    assert net[0].momentum == 0.1 and not net[0].training


def test_errors():
    net = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="give avg_fn or multi_avg_fn, not both"):
        swa_utils.AveragedModel(net, avg_fn=min, multi_avg_fn=min)
    with pytest.raises(ValueError, match="device is 'cuda'"):
        swa_utils.AveragedModel(net, "cuda")
    with pytest.raises(ValueError, match="decay is 2, and must be in 0 … 1"):
        swa_utils.get_ema_multi_avg_fn(2)
    optimizer = optim.SGD(net.parameters())
    with pytest.raises(ValueError, match="anneal_strategy is 'x'"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="x")
    with pytest.raises(ValueError, match="swa_lr has 2 values, and the optimizer 1 groups"):
        swa_utils.SWALR(optimizer, [0.1, 0.2])
