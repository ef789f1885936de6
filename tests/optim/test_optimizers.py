"""Optimizers and schedules against PyTorch, over 100 steps; and what a step must leave alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Parameter, grad, nn, optim

SHAPES = [(4, 3), (3,), ()]


def curved(p, q, r, x):
    """A loss that is curved in every parameter, and pulls by another x elsewhere; for arrays of either library."""
    y = x @ p + q
    return ((y * y).sum() * 0.1 + (r * p).sum() * 0.3 + (x[0, :3] * q).sum() + (r - x[1, 1]) ** 2) * 0.5


OPTIMIZERS = [
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.01, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.02}),
    ("Adam", {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.02}),
    ("AdamW", {"lr": 0.02, "betas": (0.5, 0.6), "eps": 1e-4, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.005, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1, "momentum": 0.5}),
    ("RMSprop", {"lr": 0.005, "centered": True, "momentum": 0.2}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-5}),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_a_hundred_steps_are_those_of_pytorch(rng, name, options, dtype, tolerance):
    torch = pytest.importorskip("torch")
    start = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    xs = rng.standard_normal((100, 5, 4)).astype(dtype)
    ours, theirs = [Parameter(a.copy()) for a in start], [torch.tensor(a, requires_grad=True) for a in start]
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for x in xs:
        for optimizer, loss in ((a, curved(*ours, x)), (b, curved(*theirs, torch.tensor(x)))):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for p, q in zip(ours, theirs, strict=True):
            assert p.dtype == dtype and p.shape == tuple(q.shape)
            assert abs(p.data - q.detach().numpy()).max() < tolerance
    for p, first in zip(ours, start, strict=True):
        assert abs(p.data - first).max() > 1e-3  # something happened


def test_defaults_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        ours = getattr(optim, name)([Parameter(np.ones(1))]).defaults
        theirs = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(1))]).defaults
        assert ours == {key: theirs[key] for key in ours}


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_a_step_leaves_a_living_graph_alone(rng, name, options):
    """What was computed before the step has the gradient of before the step, though its arrays are the parameters'."""
    w = Parameter(rng.standard_normal((3, 2)))
    optimizer = getattr(optim, name)([w], **options)
    y = (rng.standard_normal((4, 3)) @ w * w.sum()).sum()
    state = optimizer.state_dict()
    wanted, before = grad(y, w)[0], w.data
    copy = before.copy()
    for _ in range(3):
        w.grad = np.ones((3, 2))
        optimizer.step()
    np.testing.assert_array_equal(grad(y, w)[0], wanted)
    np.testing.assert_array_equal(before, copy)
    assert state["state"] == {}
    held = optimizer.state_dict()
    frozen = {key: np.copy(value) for key, value in held["state"].get(0, {}).items()}
    optimizer.step()
    for key, value in frozen.items():
        np.testing.assert_array_equal(held["state"][0][key], value)


def test_a_gradient_that_is_changed_in_place_does_not_change_the_momentum():
    p = Parameter(np.zeros(2))
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    p.grad = np.ones(2)
    optimizer.step()
    p.grad *= 0
    optimizer.step()
    np.testing.assert_array_equal(p.data, [-1.5, -1.5])


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_a_state_that_is_loaded_goes_on_alike(rng, name, options):
    start, gradients = rng.standard_normal((2, 3)), rng.standard_normal((6, 2, 3))

    def stepped(optimizer, p, gradients):
        for g in gradients:
            p.grad = g
            optimizer.step()

    p = Parameter(start)
    a = getattr(optim, name)([p], **options)
    stepped(a, p, gradients[:3])
    q = Parameter(p.data)
    b = getattr(optim, name)([q])
    b.load_state_dict(a.state_dict())
    stepped(a, p, gradients[3:])
    stepped(b, q, gradients[3:])
    np.testing.assert_array_equal(p.data, q.data)


def test_groups_have_options_of_their_own():
    torch = pytest.importorskip("torch")
    ours = [Parameter(np.full(2, 1.0)) for _ in range(3)]
    theirs = [torch.full((2,), 1.0, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    for library, (p, q, r) in ((optim, ours), (torch.optim, theirs)):
        optimizer = library.SGD([{"params": [p]}, {"params": q, "lr": 0.5, "weight_decay": 0.1}], lr=0.1)
        optimizer.add_param_group({"params": [r], "momentum": 0.9})
        for _ in range(3):
            for x in (p, q, r):
                x.grad = np.ones(2) if library is optim else torch.ones(2, dtype=torch.float64)
            optimizer.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-14)


def test_only_weights_decay():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2), nn.LayerNorm(2))
    first, second = optim.decay_weights_only(net.named_parameters(), 0.5)
    assert first["weight_decay"] == 0.5 and second["weight_decay"] == 0
    assert {id(p) for p in first["params"]} == {id(net[0].weight), id(net[3].weight)}
    assert len(second["params"]) == 6
    first, second = optim.decay_weights_only(net.named_parameters(), 0.5, lambda name, p: name == "3.bias")
    assert first["params"] == [net[3].bias] and len(second["params"]) == 7


def test_parameters_without_a_gradient_stay():
    p, q = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optim.Adam([p, q], weight_decay=1.0)
    p.grad = np.ones(2)
    optimizer.step()
    assert (q.data == 1).all() and (p.data != 1).all()
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD([]), ValueError, "SGD: there are no parameters"),
        (lambda p: optim.SGD(nn.Linear(2, 2)), TypeError, r"takes parameters, as .* gives them, not Linear"),
        (lambda p: optim.StepLR(optim.SGD([p]), 0), ValueError, "StepLR: step_size is 0, and must be 1 or more"),
        (lambda p: optim.CosineAnnealingLR(optim.SGD([p]), 0), ValueError, "CosineAnnealingLR: T_max is 0"),
        (lambda p: optim.LinearLR(optim.SGD([p]), total_iters=0), ValueError, "LinearLR: total_iters is 0"),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "SGD: lr is -1, and must be a number that is not neg"),
        (lambda p: optim.SGD([p], lr=math.nan), ValueError, "lr is nan"),
        (lambda p: optim.Adagrad([p], initial_accumulator_value=-1), ValueError, "initial_accumulator_value is -1"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov takes a momentum, and no dampening"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "betas are"),
        (lambda p: optim.Adam([p, p]), ValueError, "w is in two groups, or twice in one"),
        (lambda p: optim.Adam([p]).add_param_group({"params": [p]}), ValueError, "w is in two groups"),
        (lambda p: optim.SGD([{"params": [p], "learning_rate": 1}]), ValueError, "no option learning_rate; it has lr,"),
        (lambda p: optim.SGD([np.ones(2)]), TypeError, "moves parameters, leaves of the graph; this is array"),
        (lambda p: optim.SGD([p * 2]), TypeError, "leaves of the graph"),
        (lambda p: optim.SGD([p], learning_rate=1), TypeError, "an unexpected keyword argument 'learning_rate'"),
        (lambda p: optim.SGD([p], lr="1"), ValueError, "lr is '1', and must be a number"),
        (lambda p: optim.Adam([p], amsgrad="no"), ValueError, "amsgrad is 'no', and must be True or False"),
        (lambda p: optim.Adam([p], betas=0.9), ValueError, "betas are 0.9, and must be two numbers"),
        (lambda p: optim.Adadelta([p], rho=1.5), ValueError, "rho is 1.5, and must be in 0 … 1"),
        (lambda p: optim.Rprop([p], etas=(0.5, 0.9)), ValueError, "the second above 1"),
        (lambda p: optim.Adam([p], capturable=True), ValueError, "capturable=True asks for steps that are themselves"),
        (lambda p: optim.AdamW([{"params": p, "differentiable": True}]), ValueError, "differentiable=True asks for"),
        (lambda p: optim.LBFGS([{"params": p}, {"params": Parameter(np.ones(1))}]), ValueError, "there is one group"),
        (lambda p: optim.LBFGS([p], line_search_fn="wolfe"), ValueError, "line_search_fn is 'wolfe'; there are"),
        (lambda p: optim.LBFGS([p], history_size=0), ValueError, "history_size is 0, and must be 1 or more"),
        (lambda p: optim.LBFGS([p]).step(), TypeError, "step takes a closure"),
    ],
)  # fmt: skip
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make(Parameter(np.ones(2), name="w"))


def test_lion_is_that_of_its_paper(rng):
    """Algorithm 2, in NumPy."""
    p, start, m = Parameter(rng.standard_normal(5)), None, np.zeros(5)
    start, lion = p.data.copy(), optim.Lion([p], lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    for g in rng.standard_normal((25, 5)):
        p.grad = g
        lion.step()
        c = 0.8 * m + 0.2 * g
        start = start - 0.01 * (np.sign(c) + 0.1 * start)
        m = 0.95 * m + 0.05 * g
        np.testing.assert_allclose(p.data, start, rtol=0, atol=1e-14)


def test_lbfgs_finds_a_minimum():
    """Rosenbrock's valley, whose lowest point is (1, 1)."""
    p = Parameter(np.array([-1.2, 1.0]))
    optimizer = optim.LBFGS([p], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert float(first.item()) == pytest.approx(24.2)
    np.testing.assert_allclose(p.data, [1, 1], atol=1e-4)


def test_an_optimizer_keeps_float32(rng):
    for name in ("SGD", "Adam", "NAdam", "RAdam", "Adamax", "Adadelta", "Adagrad", "RMSprop", "ASGD", "Rprop", "Lion"):
        for shape in ((3, 2), (), (0, 2)):
            p = Parameter(np.ones(shape, np.float32))
            optimizer = getattr(optim, name)([p])
            for _ in range(3):
                p.grad = np.asarray(rng.standard_normal(shape), np.float32)
                optimizer.step()
            assert p.dtype == np.float32 and p.shape == shape, name
            for key, value in optimizer.state[p].items():
                assert getattr(value, "dtype", np.float32) == np.float32, (name, key)


def test_numbers_of_numpy_keep_float32():
    """A learning rate from np.logspace is a float64; beside an array of float32 it would make float64 of it."""
    for name, options in (("SGD", {"momentum": np.float64(0.9)}), ("Adam", {"betas": tuple(np.array([0.9, 0.99]))})):
        p = Parameter(np.ones(2, np.float32))
        optimizer = getattr(optim, name)([p], lr=np.logspace(-3, -1, 3)[1], **options)
        for _ in range(2):
            p.grad = np.ones(2, np.float32)
            optimizer.step()
            optimizer.param_groups[0]["lr"] = np.float64(0.1)
        assert p.dtype == np.float32
        assert all(getattr(value, "dtype", np.float32) == np.float32 for value in optimizer.state[p].values())


def test_repr_says_the_options():
    options = "lr=0.5, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False"
    assert repr(optim.SGD([Parameter(np.ones(2))], lr=0.5)) == f"SGD (\n  group 0: 1 parameters, {options}\n)"


def test_a_net_learns():
    """The optimizers as they are used: digits, a hundred steps, most of them told apart."""
    from tinygraph.data import digits

    images, labels = digits()
    images = images / 16
    for make in (lambda p: optim.SGD(p, lr=0.5, momentum=0.9), lambda p: optim.AdamW(p, lr=0.01)):
        net = nn.init.manual_seed(nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)), 0)
        optimizer = make(net.parameters())
        for _ in range(100):
            optimizer.zero_grad()
            tg.cross_entropy(net(images[:1000]), labels[:1000]).backward()
            optimizer.step()
        right = net.eval()(images[1000:]).data.argmax(1) == labels[1000:]
        assert right.mean() > 0.88
