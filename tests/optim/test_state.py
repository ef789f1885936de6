"""States of optimizers: of the same kind and net they are taken whole; any other is refused, and changes nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests.optim_pairs import OPTIMIZERS
from tinygraph import Parameter, optim


def made(name="Adam", shape=(2,), steps=2, **options):
    p = Parameter(np.ones(shape), name="w")
    optimizer = getattr(optim, name)([p], **options)
    for i in range(steps):
        p.grad = np.full(shape, i + 1.0)
        optimizer.step()
    return optimizer


def changed(key, value, where="state"):
    """A state of Adam with one entry or option changed."""
    state = copy.deepcopy(made().state_dict())
    (state["state"][0] if where == "state" else state["param_groups"][0])[key] = value
    return state


WRONG = {
    "no dict": ([1, 2], "a state is a dict with 'state' and 'param_groups'"),
    "empty": ({}, "a state is a dict with"),
    "groups are a number": ({"state": {}, "param_groups": 3}, "a state is a dict with"),
    "groups without parameters": ({"state": {}, "param_groups": [{"lr": 1}]}, "a state is a dict with"),
    "state is a list": ({"state": [], "param_groups": [{"params": [0]}]}, "a state is a dict with"),
    "more parameters": (
        {"state": {}, "param_groups": [{"params": [0, 1]}]},
        r"groups of \[2\] parameters; .* has \[1\]",
    ),
    "unknown parameter": ({**made().state_dict(), "state": {7: {}}}, "a parameter 7; there are 1"),
    "of SGD": (made("SGD", momentum=0.9).state_dict(), "of another kind of optimizer: it has the option dampening"),
    "of RMSprop": (made("RMSprop").state_dict(), "it has the option alpha, centered, momentum"),
    "of Adamax": (made("Adamax").state_dict(), "of another kind of optimizer: it has no option amsgrad, decoupled"),
    "other shape": (made(shape=(3,)).state_dict(), r"exp_avg has shape \(3,\), and its parameter w \(2,\)"),
    "words": (changed("exp_avg", np.array(["a", "b"])), "exp_avg holds <U1, and must hold real numbers"),
    "complex": (changed("exp_avg", np.ones(2) + 1j), "exp_avg holds complex128, and must hold real numbers"),
    "objects": (changed("exp_avg", np.array([{}, {}])), "exp_avg holds object"),
    "squares negative": (changed("exp_avg_sq", -np.ones(2)), "exp_avg_sq is negative, and is made of squares"),
    "step nan": (changed("step", float("nan")), "step is nan, and must be a number"),
    "step negative": (changed("step", -1), "step is -1, and must be a number, of steps 0 or more"),
    "step a word": (changed("step", "x"), "step is 'x', and must be a number"),
    "entries no dict": ({**made().state_dict(), "state": {0: 3}}, "the state of w is int"),
    "rate a word": (changed("lr", "x", "options"), "lr is 'x', and must be a number that is not negative"),
    "rate negative": (changed("lr", -1.0, "options"), "lr is -1.0"),
    "betas one": (changed("betas", [0.9, 1.0], "options"), "betas are"),
    "amsgrad a word": (changed("amsgrad", "x", "options"), "amsgrad is 'x', and must be True or False"),
    "differentiable": (changed("differentiable", True, "options"), "differentiable=True asks for"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_state_is_refused_and_nothing_changes(kind):
    state, message = WRONG[kind]
    optimizer = made(lr=0.3)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for key, value in before["state"][0].items():
        np.testing.assert_array_equal(after["state"][0][key], value)


def test_a_later_parameter_that_is_wrong_leaves_the_earlier_ones():
    two = [Parameter(np.ones(2)), Parameter(np.ones(2))]
    optimizer = optim.SGD(two, momentum=0.9)
    state = {
        "state": {0: {"momentum_buffer": np.ones(2)}, 1: {"momentum_buffer": np.ones(3)}},
        "param_groups": [{**optimizer.state_dict()["param_groups"][0], "lr": 7.0}],
    }
    with pytest.raises(ValueError, match="momentum_buffer has shape"):
        optimizer.load_state_dict(state)
    assert not optimizer.state and optimizer.param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize("name", [*OPTIMIZERS, "Lion"])
def test_states_of_other_kinds_are_refused(name):
    """A kind whose options are all there must still be told by what it remembers; Adam and AdamW are one kind."""
    for other in (*OPTIMIZERS, "Lion"):
        if other != name and {name, other} != {"Adam", "AdamW"} and "LBFGS" not in (name, other):
            p = Parameter(np.ones(2))
            with pytest.raises(ValueError, match="another kind of optimizer"):
                getattr(optim, name)([p]).load_state_dict(
                    made(other, momentum=0.9).state_dict() if other in ("SGD", "RMSprop") else made(other).state_dict()
                )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_states_of_pytorch_go_on_here(rng, name):
    """Ten steps there, its state here, ten steps in both: amsgrad and maximize too, where there are such options."""
    torch = pytest.importorskip("torch")
    start, gradients = rng.standard_normal((2, 3)), rng.standard_normal((20, 2, 3))
    options = {"LBFGS": {"max_iter": 1}, "SGD": {"momentum": 0.9}}.get(name, {})
    q = torch.tensor(start, requires_grad=True)
    theirs = getattr(torch.optim, name)([q], **options)
    for key in ("amsgrad", "maximize"):
        if key in theirs.param_groups[0]:
            theirs.param_groups[0][key] = True

    def step(optimizer, p, g):
        def closure():
            p.grad = g
            return (p * g).sum()

        optimizer.step(closure)

    for g in gradients[:10]:
        step(theirs, q, torch.tensor(g))
    p = Parameter(q.detach().numpy().copy())
    ours = getattr(optim, name)([p])
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0].get("maximize", True) is True
    for g in gradients[10:]:
        step(theirs, q, torch.tensor(g))
        step(ours, p, g)
    np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-6, atol=1e-6)  # its numbers are float32
