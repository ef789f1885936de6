"""A residual net loads PyTorch's weights and trains as PyTorch's does."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph
from tests.nn.residual import residual_net
from tinygraph import nn, optim


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-3)])
def test_five_steps_are_those_of_pytorch(torch, rng, dtype, tolerance):
    torch.manual_seed(0)
    theirs = residual_net(torch.nn, torch)
    ours = residual_net(nn, tinygraph)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    ours, theirs = ours.to(np.dtype(dtype)), theirs.to(getattr(torch, dtype))
    options = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    steps = optim.SGD(ours.parameters(), **options), torch.optim.SGD(theirs.parameters(), **options)
    for _ in range(5):
        x, labels = rng.standard_normal((4, 3, 64, 64)).astype(dtype), rng.integers(0, 10, 4)
        losses = (
            nn.CrossEntropyLoss()(ours(x), labels),
            torch.nn.CrossEntropyLoss()(theirs(torch.tensor(x)), torch.tensor(labels)),
        )
        for step, loss in zip(steps, losses, strict=True):
            step.zero_grad()
            loss.backward()
            step.step()
        assert abs(losses[0].item() - losses[1].item()) < tolerance
    if dtype == "float64":
        state = ours.state_dict()
        for key, value in theirs.state_dict().items():
            assert abs(state[key] - value.numpy()).max() < tolerance, key
