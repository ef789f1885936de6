"""Runs that stop and go on to the same bits, and runs that stop for good."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import checkpoint, nets, nn, optim
from tinygraph.compiler import compiled
from tinygraph.data import DataLoader, digits
from tinygraph.training import NotFinite, RunsAway, Training, evaluate


def run_of(seed=0, drop_last=False, schedule=False, norm=nn.BatchNorm1d, examples=230, **options):
    """A run on digits with everything that has a state: batch norm, dropout, Adam, noise in the batches, a schedule."""
    images, labels = digits()
    net = nets.fully_connected((64, 20, 10), norm, seed=seed)
    net.block1.drop = nn.Dropout(0.2)
    nn.init.manual_seed(net, seed)
    noisy = lambda x, labels, generator: (x + generator.standard_normal(x.shape).astype(np.float32), labels)
    loader = DataLoader(
        (images[:examples], labels[:examples]), 50, shuffle=True, seed=seed, drop_last=drop_last, transform=noisy
    )
    optimizer = optim.Adam(net.parameters(), 0.01)
    rates = optim.StepLR(optimizer, step_size=1, gamma=0.5) if schedule else None
    test = DataLoader((images[-200:], labels[-200:]), 80)
    return Training(net, optimizer, loader, test=test, schedule=rates, **options)


def figures(run):
    """The history, without what depends on the clock."""
    return [epoch[:-1] for epoch in run.history]


def test_a_run_learns_and_says_how_far_it_is():
    run = run_of(examples=1500)
    losses = list(run.steps(5))
    assert len(losses) == 5 * 30
    assert (run.epoch, run.batch) == (5, 0)
    assert run.history[-1].test_accuracy > 0.85 > run.history[0].accuracy
    assert run.loss == run.history[-1].loss == pytest.approx(np.mean(losses[-30:]))
    assert run.net.training


def test_loss_and_accuracy_count_each_example_once():
    """Batches of 50, 50, 50, 50 and 30: a mean of the batches' means would be another."""
    run = run_of()
    sizes, losses = [50, 50, 50, 50, 30], list(run.steps(1))
    assert run.history[0].loss == pytest.approx(np.dot(sizes, losses) / 230, rel=1e-12)


def test_evaluate_leaves_each_module_in_its_mode(rng):
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    net[0].eval()  # statistics that stay as they are, as in fine-tuning
    evaluate(net, [(rng.random((4, 3)), np.array([0, 1, 0, 1]))], nn.CrossEntropyLoss())
    assert [module.training for module in net.modules()] == [True, False, True]


def test_evaluate_is_by_hand(rng):
    net = nets.fully_connected((64, 20, 10), seed=0)
    images, labels = digits()
    loss, accuracy = evaluate(net, DataLoader((images[:130], labels[:130]), 50), nn.CrossEntropyLoss())
    assert net.training
    assert net.block1.norm.num_batches_tracked == 0
    with tg.no_grad():
        scores = net.eval()(images[:130]).data.astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    assert loss == pytest.approx(-log_p[np.arange(130), labels[:130]].mean(), rel=1e-5)
    assert accuracy == (scores.argmax(1) == labels[:130]).mean()


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_a_run_goes_on_to_the_same_bits(tmp_path, stop):
    whole = run_of(schedule=True)
    losses = list(whole.steps(2))
    first = run_of(schedule=True)
    steps = first.steps(2)
    begun = [next(steps) for _ in range(stop)]
    path = tmp_path / "run.npz"
    checkpoint.save(first.state_dict(), path)
    list(steps)  # what goes on after the save does not change what was saved
    second = run_of(seed=7, schedule=True)
    second.load_state_dict(checkpoint.load(path))
    assert begun + list(second.steps(2)) == losses
    assert figures(second) == figures(whole)
    state = second.net.state_dict()
    for key, value in whole.net.state_dict().items():
        np.testing.assert_array_equal(state[key], value, err_msg=key)
    assert second.optimizer.param_groups[0]["lr"] == whole.optimizer.param_groups[0]["lr"] == 0.01 / 4


@pytest.fixture
def no_numba(monkeypatch):
    """Compiled steps are calls of NumPy, which need no compiler."""
    monkeypatch.setattr(compiled, "load_numba", lambda: False)


def test_a_compiled_run_is_the_run_to_rounding_and_goes_on_to_the_same_bits(tmp_path, no_numba):
    """With dropout, running statistics, a smaller last batch and a schedule; the first step runs as it is."""
    eager, whole = run_of(schedule=True), run_of(schedule=True, compile=True)
    losses = list(whole.steps(2))
    np.testing.assert_allclose(losses, list(eager.steps(2)), rtol=2e-5)
    assert len(whole.move.explain().splitlines()) == 2, "one for batches of 50, one for the last"
    first = run_of(schedule=True, compile=True)
    steps = first.steps(2)
    begun = [next(steps) for _ in range(3)]
    checkpoint.save(first.state_dict(), tmp_path / "run.npz")
    second = run_of(seed=7, schedule=True, compile=True)
    second.load_state_dict(checkpoint.load(tmp_path / "run.npz"))
    assert begun + list(second.steps(2)) == losses
    for key, value in whole.net.state_dict().items():
        np.testing.assert_array_equal(second.net.state_dict()[key], value, err_msg=key)


def test_a_compiled_run_stops_before_anything_moves(no_numba):
    run = run_of(compile=True, runaway=1.5)
    steps = run.steps(2)
    next(steps), next(steps)
    weight = run.net.block1.linear.weight
    kept, weight.data = weight.data, np.where(np.arange(64) == 3, np.nan, weight.data)
    before = run.state_dict()["model"]
    first = "the first value that is not finite is block1.linear.weight: 20 nan of 1280"
    with pytest.raises(NotFinite, match=f"^epoch 1, batch 3: the loss is nan; {first}$"):
        next(steps)
    for key, value in run.net.state_dict().items():
        if "running" not in key and "batches" not in key:
            np.testing.assert_array_equal(value, before[key])
    weight.data = kept
    run.net.out.weight.data = run.net.out.weight.data * 1000
    with pytest.raises(RunsAway, match="epoch 1, batch 3: the loss runs away"):
        next(run.steps(2))


def test_a_state_of_other_batches_is_refused():
    run = run_of()
    steps = run.steps(1)
    for _ in range(4):
        next(steps)
    with pytest.raises(ValueError, match="the state is at batch 4; an epoch has 2"):
        run_of(examples=100).load_state_dict(run.state_dict())


def test_a_state_with_a_schedule_is_refused_where_there_is_none():
    state = run_of(schedule=True).state_dict()
    with pytest.raises(ValueError, match="the state has a schedule of learning rates, and this run has none"):
        run_of().load_state_dict(state)


def test_a_rate_falls_when_nothing_gets_better():
    run = run_of()
    run.schedule = optim.ReduceLROnPlateau(run.optimizer, patience=0, threshold=10.0, threshold_mode="abs", factor=0.5)
    list(run.steps(3))
    assert run.schedule.best == run.history[0].test_loss
    assert run.optimizer.param_groups[0]["lr"] == 0.01 / 4


def test_no_batches_are_an_error():
    with pytest.raises(ValueError, match="the loader has no batches"):
        run_of(examples=40, drop_last=True)


def test_a_loss_that_is_nan_stops_before_anything_moves():
    run = run_of()
    steps = run.steps(1)
    next(steps)
    weight = run.net.block1.linear.weight
    weight.data = np.where(np.arange(64) == 3, np.nan, weight.data)
    before = run.state_dict()
    first = "the first value that is not finite is block1.linear.weight: 20 nan of 1280"
    with pytest.raises(NotFinite, match=f"^epoch 1, batch 2: the loss is nan; {first}$"):
        next(steps)
    after = run.state_dict()
    assert after["place"] == before["place"]
    for key in ("out.weight", "block1.linear.bias"):
        np.testing.assert_array_equal(after["model"][key], before["model"][key])


def test_a_gradient_that_is_not_finite_stops_too():
    class Rooted(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.zeros((64, 10), np.float32))

        def forward(self, x):
            return x @ tg.sqrt(self.weight)

    net = Rooted()
    run = Training(net, optim.SGD(net.parameters(), 0.1), DataLoader(digits(), 100))
    with (
        np.errstate(all="ignore"),
        pytest.raises(NotFinite, match=r"the loss is 2.303, and a gradient is not: .* that of weight"),
    ):
        next(run.steps(1))
    assert not net.weight.data.any()
