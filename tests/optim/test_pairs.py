"""Random optimizers and schedules beside PyTorch's, a few here and as many as one likes by the command."""

from __future__ import annotations

import pytest

from tests import optim_pairs as pairs
from tinygraph import optim


@pytest.fixture
def torch():
    """PyTorch with float64 as its default dtype, in which it keeps the numbers of a state."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", pairs.OPTIMIZERS)
def test_an_optimizer_is_that_of_pytorch(torch, name):
    for seed in range(4):
        assert not pairs.compare_optimizer(torch, name, seed)


@pytest.mark.parametrize("name", pairs.SCHEDULES)
@pytest.mark.filterwarnings("ignore:Detected call")
def test_a_schedule_is_that_of_pytorch(torch, name):
    for seed in range(6):
        assert not pairs.compare_schedule(torch, name, seed)


def test_a_wrong_optimizer_is_noticed(torch, monkeypatch):
    class Slow(optim.Adam):
        def update(self, p, g, state, group):
            return super().update(p, g * (1 + 1e-7), state, group)

    monkeypatch.setattr(optim, "Adam", Slow)
    assert pairs.compare_optimizer(torch, "Adam", 0)


@pytest.mark.parametrize("name", [*pairs.OPTIMIZERS, *pairs.SCHEDULES])
def test_arguments_and_defaults_are_those_of_pytorch(torch, name):
    home = torch.optim if name in pairs.OPTIMIZERS else torch.optim.lr_scheduler
    theirs = getattr(torch.optim.swa_utils if name == "SWALR" else home, name)
    ours = optim.swa_utils.SWALR if name == "SWALR" else getattr(optim, name)
    assert pairs.arguments_of(ours) == pairs.arguments_of(theirs)
    wanted = pairs.defaults_of(theirs)
    for key, value in pairs.defaults_of(ours).items():
        assert value == pytest.approx(wanted[key]) if isinstance(value, float) else value == wanted[key], key


def test_paths_are_those_of_pytorch(torch):
    for module in ("lr_scheduler", "swa_utils"):
        theirs = getattr(torch.optim, module)
        for name in getattr(optim, module).__all__:
            assert hasattr(theirs, name)
    missing = set(torch.optim.lr_scheduler.__all__) - set(optim.lr_scheduler.__all__)
    assert missing == set()
