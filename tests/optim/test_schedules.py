"""Schedules give PyTorch's rates, alone and beside each other, and go on from their state."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph import Parameter, optim

SCHEDULES = [
    [("StepLR", {"step_size": 3})],
    [("StepLR", {"step_size": 1, "gamma": 0.7})],
    [("MultiStepLR", {"milestones": [8, 2, 2, 5], "gamma": 0.5})],
    [("LinearLR", {})],
    [("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 7})],
    [("CosineAnnealingLR", {"T_max": 6})],
    [("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01})],
    [("LinearLR", {"start_factor": 0.2, "total_iters": 4}), ("StepLR", {"step_size": 5})],
    [("LinearLR", {"start_factor": 0.5}), ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.001})],
]


@pytest.mark.parametrize("schedules", SCHEDULES)
def test_schedules_are_those_of_pytorch(schedules):
    torch = pytest.importorskip("torch")
    rates = []
    for library, p, q in (
        (optim, *map(Parameter, np.ones((2, 1)))),
        (torch.optim, *torch.ones((2, 1), requires_grad=True).detach()),
    ):
        optimizer = library.SGD([{"params": [p]}, {"params": [q], "lr": 0.3}], lr=1.0)
        scheduler = optim if library is optim else torch.optim.lr_scheduler
        made = [getattr(scheduler, name)(optimizer, **options) for name, options in schedules]
        found = []
        for _ in range(16):
            found.append(made[-1].get_last_lr() if len(made) == 1 else [g["lr"] for g in optimizer.param_groups])
            optimizer.step()
            for schedule in made:
                schedule.step()
        rates.append(found)
    np.testing.assert_allclose(*rates, rtol=1e-12, atol=1e-15)
    assert len({tuple(r) for r in rates[0]}) > 1


def test_a_schedule_goes_on_from_its_state():
    def made():
        optimizer = optim.SGD([Parameter(np.ones(1))], lr=1.0)
        return optimizer, optim.CosineAnnealingLR(optimizer, T_max=9)

    (a, one), (b, two) = made(), made()
    for _ in range(4):
        one.step()
    b.load_state_dict(a.state_dict())
    two.load_state_dict(one.state_dict())
    for _ in range(3):
        one.step()
        two.step()
    assert one.get_last_lr() == two.get_last_lr() != [1.0]
    resumed = optim.CosineAnnealingLR(a, T_max=9, last_epoch=one.last_epoch)
    assert resumed.base_lrs == [1.0]
    with pytest.raises(ValueError, match="last_epoch=3 takes groups with an initial_lr"):
        optim.StepLR(optim.SGD([Parameter(np.ones(1))]), 2, last_epoch=3)
    with pytest.raises(ValueError, match=r"factors are 0 and 1\.0"):
        optim.LinearLR(a, start_factor=0)
