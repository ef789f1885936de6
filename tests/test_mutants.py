"""The derivative checks have teeth: each derivative line, made wrong in one of three ways, is caught."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cases import Case, cases, check_first, check_second, registered
from tinygraph import Tensor

CURVED = [
    "mul",
    "div",
    "power",
    "square",
    "sqrt",
    "exp",
    "log",
    "tanh",
    "sigmoid",
    "logsumexp",
    "l2_norm",
    "matmul",
    "contract",
    "cross",
    "solve",
    "inv",
    "pinv",
    "det",
    "cofactor",
    "logabsdet",
    "cholesky",
    "eigh",
    "svd",
    "qr",
    "convolve",
]


def lines() -> Iterator[Any]:
    """Every derivative line of every op, and every gradient of every fused kernel."""
    for name, op in registered().items():
        for i, operand in enumerate(op.operands):
            if getattr(op, "backward", None) or op.lines[i]:
                yield pytest.param(name, i, id=f"{name}-{operand}")


@functools.cache
def samples() -> dict[Any, list[Case]]:
    """The samples of each op, by the function that calls it."""
    found: dict[Any, list[Case]] = {}
    for case in cases():
        found.setdefault(case.function, []).append(case)
    return found


def caught(check: Callable[[Case], None], op: Any) -> bool:
    """Whether the check fails on any of the samples of an op; `test_ops` has seen that it fails on none as they are."""
    for case in samples()[op.call]:
        try:
            check(case)
        except AssertionError:
            return True
    return False


def mutate(monkeypatch: pytest.MonkeyPatch, op: Any, i: int, mutant: Callable[..., Any]) -> None:
    """Replace line ``i`` by ``mutant(line, *arguments)``; for a kernel, the gradient ``i`` that it returns."""
    if kernel := getattr(op, "backward", None):

        def wrong(*args: Any, **params: Any) -> list[Any]:
            return [mutant(lambda g, x=x: x, args[0]) if k == i else x for k, x in enumerate(kernel(*args, **params))]

        monkeypatch.setattr(op, "backward", wrong)
    else:
        line = op.lines[i]
        changed = (*op.lines[:i], lambda *args: mutant(line, *args), *op.lines[i + 1 :])
        monkeypatch.setattr(op, "lines", changed)


@pytest.mark.parametrize(("name", "i"), list(lines()))
def test_a_line_off_by_a_thousandth_is_caught(monkeypatch, name, i):
    op = registered()[name]
    mutate(monkeypatch, op, i, lambda line, *args: line(*args) * 1.001)
    assert caught(check_first, op)


@pytest.mark.parametrize(("name", "i"), [p for p in lines() if not registered()[p.values[0]].definition])
def test_a_recorded_line_off_by_a_thousandth_is_caught(monkeypatch, name, i):
    op = registered()[name]
    mutate(monkeypatch, op, i, lambda line, g, *args: line(g, *args) * (1.001 if isinstance(g, Tensor) else 1))
    assert not caught(check_first, op)
    assert caught(check_second, op)


@pytest.mark.parametrize(("name", "i"), [p for p in lines() if p.values[0] in CURVED])
def test_a_local_derivative_taken_for_a_constant_is_caught(monkeypatch, name, i):
    """The mistake of fused batch norms elsewhere: right at first order, wrong at second."""
    op = registered()[name]
    constant = lambda x: x.detach() if isinstance(x, Tensor) else x
    detached = lambda x: type(x)(map(constant, x)) if isinstance(x, tuple | list) else constant(x)
    mutate(monkeypatch, op, i, lambda line, g, *args: line(g, *map(detached, args)))
    assert not caught(check_first, op)
    assert caught(check_second, op)


def test_lines_are_all_there():
    """The list above covers each op that differentiates, and each that is curved."""
    covered = {param.values[0] for param in lines()}
    assert covered == {name for name, op in registered().items() if op.differentiable}
    assert covered >= {*CURVED, "add", "max", "index", "join", "sum_to"}
