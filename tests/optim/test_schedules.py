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


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: optim.StepLR([], 1), TypeError, "StepLR takes an optimizer, not list"),
        (lambda o: optim.ConstantLR(o, factor=0), ValueError, "factor is 0; it goes from above 0 to 1"),
        (lambda o: optim.LambdaLR(o, 3), TypeError, "lr_lambda is int, no function"),
        (lambda o: optim.LambdaLR(o, [abs, abs]), ValueError, "lr_lambda has 2 values, and the optimizer 1 groups"),
        (lambda o: optim.CyclicLR(o, 0.1, 1.0, mode="x"), ValueError, "mode is 'x'; there are triangular,"),
        (lambda o: optim.CyclicLR(o, 0.1, 1.0, step_size_up=0), ValueError, "both are above 0"),
        (lambda o: optim.OneCycleLR(o, 1.0), ValueError, "give total_steps, or epochs and steps_per_epoch"),
        (lambda o: optim.OneCycleLR(o, 1.0, 10, pct_start=2), ValueError, "pct_start is 2"),
        (lambda o: optim.OneCycleLR(o, 1.0, 10, anneal_strategy="x"), ValueError, "anneal_strategy is 'x'; there"),
        (lambda o: optim.OneCycleLR(optim.Adagrad([Parameter(np.ones(1))]), 1.0, 9), ValueError, "has no momentum"),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 is 0, and must be a whole number"),
        (lambda o: optim.SequentialLR(o, [], []), ValueError, "there are no schedules"),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)], [3]), ValueError, "1 schedules have 0 changes"),
        (lambda o: optim.ChainedScheduler([optim.ReduceLROnPlateau(o)]), ValueError, "needs a measure at each step"),
        (lambda o: optim.ChainedScheduler([3]), TypeError, "ChainedScheduler takes schedules, not int"),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1), ValueError, "factor is 1, and must be less than 1"),
        (lambda o: optim.ReduceLROnPlateau(o, mode="least"), ValueError, "mode is 'least'"),
        (lambda o: optim.StepLR(o, 1).load_state_dict(optim.ExponentialLR(o, 0.5).state_dict()), ValueError,
         "the state is of another kind of schedule: step_size"),
        (lambda o: optim.StepLR(o, 1).load_state_dict({**optim.StepLR(o, 1).state_dict(), "last_epoch": "x"}),
         ValueError, "StepLR: last_epoch is 'x', which does not fit 0"),
        (lambda o: optim.StepLR(o, 1).load_state_dict([]), ValueError, "a state is a dict"),
    ],
)  # fmt: skip
def test_errors(make, error, message):
    optimizer = optim.SGD([Parameter(np.ones(1))], lr=1.0, momentum=0.9)
    with pytest.raises(error, match=message):
        make(optimizer)


def test_one_cycle_ends():
    optimizer = optim.SGD([Parameter(np.ones(1))], momentum=0.9)
    schedule = optim.OneCycleLR(optimizer, 1.0, total_steps=3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="step 4 of 3: the cycle is over"):
        schedule.step()


def test_a_state_of_schedules_that_is_wrong_changes_none_of_them():
    def made(size):
        optimizer = optim.SGD([Parameter(np.ones(1))], lr=1.0)
        return optim.ChainedScheduler([optim.ExponentialLR(optimizer, 0.5), optim.StepLR(optimizer, size)])

    schedule, state = made(2), made(3).state_dict()
    before = schedule.state_dict()
    state["_schedulers"][0]["last_epoch"] = 9
    state["_schedulers"][1] = {"gamma": 1}
    with pytest.raises(ValueError, match="another kind of schedule"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before
    with pytest.raises(ValueError, match="the state has 1 schedules; here are 2"):
        schedule.load_state_dict({"_schedulers": [{}]})
