"""A training step as one program: what it moves, remembers and returns is what the step itself comes to."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.compiler.test_compiled import backend  # noqa: F401 - a fixture
from tinygraph import nn, optim
from tinygraph.compiler.compiled import compile as compile_function
from tinygraph.compiler.standin import CompileError

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((25, 12, 6)), RNG.integers(0, 4, (25, 12))


def make(*more: nn.Module) -> nn.Module:
    layers = nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), *more, nn.Linear(5, 4)
    return nn.init.manual_seed(nn.Sequential(*layers), 0).to(np.float64)


def step_of(net, opt):
    def step(x, labels):
        opt.zero_grad()
        loss = tg.cross_entropy(net(x), labels)
        loss.backward()
        opt.step()
        return loss

    return step


def pair(optimizer, backend, build=step_of, net=make, dtype=np.float64):  # noqa: F811 - the fixture
    """A net, its optimizer and its step, eager and compiled."""
    found = []
    for is_compiled in (False, True):
        n = net().to(dtype)
        opt = optimizer(n.parameters())
        step = build(n, opt)
        found.append((n, opt, compile_function(step, whole=True, backend=backend) if is_compiled else step))
    return found


def state_of(net, opt):
    """All arrays and numbers that a step leaves behind, and the gradients."""
    kept = [v for p in net.parameters() for v in opt.state.get(p, {}).values()]
    return (
        [p.data for p in net.parameters()]
        + [b for _, b in net.named_buffers()]
        + kept
        + [p.grad for p in net.parameters()]
    )


def assert_equal(ours, theirs, error=1e-9):
    for a, b in zip(ours, theirs, strict=True):
        assert type(a) is type(b)
        assert np.allclose(a, b, rtol=error, atol=error), np.abs(a - b).max()


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, maximize=True),
    "Adamax": optim.Adamax, "NAdam": optim.NAdam, "RAdam": optim.RAdam,
    "RMSprop": lambda p: optim.RMSprop(p, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr_decay=0.1), "Adadelta": optim.Adadelta,
    "ASGD": lambda p: optim.ASGD(p, t0=3), "Rprop": optim.Rprop, "Lion": optim.Lion,
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_25_steps(name, backend):  # noqa: F811 - the fixture
    """In float64 to 1e-9, with a rate that changes on the way: no program is made for that."""
    if backend == "numba" and name not in ("Adam", "momentum"):
        pytest.skip("the kernels of the others are alike")
    (net, opt, step), (our_net, our_opt, our_step) = pair(OPTIMIZERS[name], backend)
    for i in range(25):
        for o in (opt, our_opt):
            o.param_groups[0]["lr"] *= 0.9
        assert_equal([our_step(X[i], LABELS[i]).data], [step(X[i], LABELS[i]).data])
    assert_equal(state_of(our_net, our_opt), state_of(net, opt))
    assert len(our_step.versions) == 1
    assert len(our_step.explain().splitlines()) == {"RAdam": 2, "ASGD": 3}.get(name, 1)


def test_float32(backend):  # noqa: F811 - the fixture
    """As near to float64 as eager is, but for a factor: 25 steps of Adam."""
    found = []
    for dtype in (np.float32, np.float64):
        nets = pair(OPTIMIZERS["Adam"], backend, dtype=dtype)
        for i in range(25):
            for _, _, step in nets:
                step(X[i].astype(dtype), LABELS[i])
        found.append([np.concatenate([p.data.ravel() for p in net.parameters()]) for net, _, _ in nets])
    (eager, ours), (exact, _) = found
    assert ours.dtype == np.float32
    assert np.abs(ours - exact).max() < 2 * np.abs(eager - exact).max() + 1e-6


def test_schedules_that_change_betas_make_no_program(backend):  # noqa: F811 - the fixture
    nets = pair(lambda p: optim.Adam(p, lr=0.01), backend)
    schedules = [optim.OneCycleLR(opt, max_lr=0.05, total_steps=20) for _, opt, _ in nets]
    for i in range(8):
        for (_, _, step), schedule in zip(nets, schedules, strict=True):
            step(X[i], LABELS[i])
            schedule.step()
    assert_equal(state_of(*nets[1][:2]), state_of(*nets[0][:2]))
    assert len(nets[1][2].explain().splitlines()) == 1


def test_dropout_and_what_is_left_of_gradients(backend):  # noqa: F811 - the fixture
    """Masks are those of eager, from the same generator; gradients that the step forgets at its end are None."""

    def build(net, opt):
        def step(x, labels):
            loss = tg.cross_entropy(net(x), labels)
            loss.backward()
            opt.step()
            opt.zero_grad()
            return loss, net(x).data.argmax(1)

        return step

    found = []
    for net, _, step in pair(OPTIMIZERS["Adam"], backend, build, lambda: make(nn.Dropout(0.5))):
        tg.manual_seed(0)
        for i in range(4):
            step(X[i], LABELS[i])
        assert {p.grad for p in net.parameters()} == {None}
        found.append([p.data for p in net.parameters()])
    assert_equal(found[1], found[0])


def test_gradients_that_add_up(backend):  # noqa: F811 - the fixture
    """A step that does not forget the gradients goes on from those that there are; the first call has none."""

    def build(net, opt):
        def step(x, labels):
            loss = tg.cross_entropy(net(x), labels)
            loss.backward()
            return loss

        return step

    nets = pair(OPTIMIZERS["SGD"], backend, build)
    for i in range(3):
        for _, _, step in nets:
            step(X[i], LABELS[i])
    assert_equal(state_of(*nets[1][:2]), state_of(*nets[0][:2]))


def test_new_parameters_out_of_old_ones(backend):  # noqa: F811 - the fixture
    """As with jax.jit: all that a step needs goes in, and all that it makes comes out; a number does not count."""

    def step(params, x, y, lr):
        w, b = (tg.Tensor(p) for p in params)
        loss = ((x @ w + b - y) ** 2).mean()
        dw, db = tg.grad(loss, [w, b])
        return [w.data - lr * dw, b.data - lr * db], loss.data

    made = compile_function(step, whole=True, backend=backend)
    ours = theirs = [np.ones((6, 3)), np.zeros(3)]
    for lr in (0.1, 0.05):
        (ours, a), (theirs, b) = (f(p, X[0], X[1][:, :3], lr) for f, p in ((made, ours), (step, theirs)))
        assert_equal([*ours, a], [*theirs, b])
        assert type(ours[0]) is np.ndarray
    assert len(made.explain().splitlines()) == 1


def test_a_parameter_among_the_arguments(backend):  # noqa: F811 - the fixture
    def step(w, x):
        loss = (x * w).sum()
        loss.backward()
        w.data = w.data - 0.1 * w.grad
        return loss

    for kind in (tg.Parameter, tg.Tensor):
        found = []
        for f in (step, made := compile_function(step, whole=True, backend=backend)):
            w = kind(np.ones(6))
            f(w, X[0])
            f(w, X[1])
            found.append([w.data, w.grad])
        assert_equal(found[1], found[0])
        assert len(made.explain().splitlines()) == (2 if kind is tg.Parameter else 1), (
            "without a gradient, and with one"
        )


def test_modules_and_optimizers_as_arguments_and_a_function_that_finds_them(backend):  # noqa: F811 - the fixture
    def step(net, opt, x, labels):
        step_of(net, opt)(x, labels)

    (net, opt, eager), (our_net, our_opt, _) = pair(OPTIMIZERS["momentum"], backend)
    made = compile_function(step, whole=True, backend=backend)
    loss_of = lambda x, labels: tg.cross_entropy(our_net(x), labels)
    helped = compile_function(
        lambda x, labels: our_opt.zero_grad() or loss_of(x, labels).backward() or our_opt.step(), whole=True
    )
    for i in range(6):
        eager(X[i], LABELS[i])
        made(our_net, our_opt, X[i], LABELS[i]) if i < 3 else helped(X[i], LABELS[i])
    assert_equal(state_of(our_net, our_opt), state_of(net, opt))
    our_net.eval()
    made(our_net, our_opt, X[0], LABELS[0])
    assert len(made.explain().splitlines()) == 2


def test_images(backend):  # noqa: F811 - the fixture
    """Convolutions and pooling stay calls; what is around them is in kernels."""
    layers = lambda: (
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 4),
    )
    nets = pair(OPTIMIZERS["momentum"], backend, net=lambda: nn.init.manual_seed(nn.Sequential(*layers()), 0))
    x = RNG.standard_normal((8, 1, 6, 6))
    for _ in range(3):
        for _, _, step in nets:
            step(x, LABELS[0][:8])
    assert_equal(state_of(*nets[1][:2]), state_of(*nets[0][:2]))
    names = {s.what for s in nets[1][2].plan()[0].steps}
    assert {"conv2d", "matmul", "kernel"} <= names


def test_the_gradient_of_a_weight_lies_as_the_weight_does(backend):  # noqa: F811 - the fixture
    """The transpose of a product is a product: an optimizer's kernel reads it row by row."""
    _, (_, _, step) = pair(OPTIMIZERS["SGD"], backend)
    step(X[0], LABELS[0])
    assert {("d0.weight",), ("d3.weight",)} <= {s.results for s in step.plan()[0].steps if s.what == "matmul"}


def test_a_check_that_fails_moves_nothing(backend):  # noqa: F811 - the fixture
    (_, _, _), (net, opt, step) = pair(OPTIMIZERS["Adam"], backend)
    for _ in range(2):
        step(X[0], LABELS[0])
    before = state_of(net, opt)
    with pytest.raises(ValueError, match="indices go from"):
        step(X[0], LABELS[0] + 4)
    kept = len(before) - len(list(net.parameters()))
    after = state_of(net, opt)
    assert_equal(after[: len(list(net.parameters()))], before[: len(list(net.parameters()))])
    assert kept


class Counting(optim.SGD):
    """An optimizer that counts its steps beside its state."""

    steps = 0

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.steps = 0

    def step(self, closure=None):
        self.steps += 1
        return super().step(closure)


def errors():
    net = make()
    sgd, rate = optim.SGD(net.parameters(), lr=0.1), optim.SGD(net.parameters(), lr=0.1)
    schedule, lbfgs, counting = optim.StepLR(sgd, 1), optim.LBFGS(net.parameters()), Counting(net.parameters())
    plain = step_of(net, sgd)
    box = type("Box", (), {"net": net})()
    yield lambda x, t: plain(x, t).item(), r"item\(\) at test_whole.py:\d+ looks at a value"
    yield lambda x, t: (plain(x, t), schedule.step()), "StepLR decides by values what it does next"
    yield lambda x, t: lbfgs.step(lambda: plain(x, t)), "LBFGS decides by values what it does next"
    yield step_of(net, counting), "Counting.steps changes in a step: keep it in the optimizer's state"
    yield (
        lambda x, t: rate.param_groups[0].update(lr=rate.param_groups[0]["lr"] * 0.5),
        "the step changes lr of an optimizer",
    )
    yield (
        lambda x, t: tg.cross_entropy(box.net(x), t).backward(),
        "gets a gradient, and the step does not know whose it is",
    )
    yield lambda x, t: plain(x, t) if plain(x, t) > 1 else None, r"bool\(greater\(.*looks at a value"


@pytest.mark.parametrize(("step", "message"), list(errors()))
def test_what_cannot_be_a_step_is_named(step, message, backend):  # noqa: F811 - the fixture
    with pytest.raises(CompileError, match=message):
        compile_function(step, whole=True, backend=backend)(X[0], LABELS[0])


def test_arguments_that_would_lose_their_gradient(backend):  # noqa: F811 - the fixture
    w = tg.Tensor(np.ones(6), name="w")
    made = compile_function(lambda x: (x * w).sum().backward(), whole=True, backend=backend)
    with pytest.raises(CompileError, match=r"x was computed.*pass x.detach\(\)"):
        made(tg.Tensor(X[0]) * 2)
    with pytest.raises(CompileError, match="w is an argument, and the step finds it elsewhere too"):
        made(w)
    made(tg.Tensor(X[0]))
    assert np.allclose(w.grad, X[0].sum(0))


def test_a_trace_leaves_nothing_behind(backend):  # noqa: F811 - the fixture
    """Neither stand-ins nor counts: an error in the middle of a step changes nothing."""
    (net, opt, step), _ = pair(OPTIMIZERS["Adam"], backend)
    step(X[0], LABELS[0])
    before = [np.copy(x) for x in state_of(net, opt)]

    def failing(x, labels):
        step(x, labels)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        compile_function(failing, whole=True, backend=backend)(X[1], LABELS[1])
    assert all(np.array_equal(a, b) for a, b in zip(state_of(net, opt), before, strict=True))
    assert opt.param_groups[0]["betas"] == (0.9, 0.999)
    assert opt.state[next(net.parameters())]["step"] == 1


class Harmonic(optim.Optimizer):
    """A rate of lr / (t - 1), from the second step on: before, the quotient does not exist."""

    def update(self, p, g, state, group):
        state["t"] = state.get("t", 0) + 1
        return p - group["lr"] / (state["t"] - 1) * g if state["t"] > 1 else p - group["lr"] * g


def test_numbers_are_computed_no_further_than_the_step_would(backend):  # noqa: F811 - the fixture
    """Set back to its start, the step must not divide by 0 to find that its program is another one."""
    (a, b) = pair(lambda p: Harmonic(p, lr=0.1), backend)
    for i in range(6):
        if i == 3:
            for _, opt, _ in (a, b):
                for state in opt.state.values():
                    state["t"] = 0
        losses = [step(X[i], LABELS[i]) for _, _, step in (a, b)]
        assert np.allclose(*(x.data for x in losses))
    assert_equal(state_of(*b[:2]), state_of(*a[:2]))
    assert len(b[2].explain().splitlines()) == 2
