"""The derivative checks have teeth: each derivative line, made wrong in one of three ways, is caught."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tests.cases import Case, cases, check_each, check_first, check_second, registered
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


@functools.cache
def lines() -> dict[str, list[int]]:
    """The places of every derivative line of every op, or of every gradient of a fused kernel."""
    found = {
        name: [i for i in range(len(op.operands)) if getattr(op, "backward", None) or op.lines[i]]
        for name, op in registered().items()
    }
    return {name: places for name, places in found.items() if places}


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


def each_mutant(name: str, mutant: Callable[..., Any], *checks: tuple[Callable[[Case], None], bool]) -> None:
    """Make each line of an op wrong in turn, and see which checks catch that."""
    op = registered()[name]

    def check(i: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            mutate(patch, op, i, mutant)
            assert [caught(check, op) for check, _ in checks] == [wanted for _, wanted in checks], op.operands[i]

    check_each(check, lines()[name])


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


@pytest.mark.parametrize("name", lines())
def test_a_line_off_by_a_thousandth_is_caught(name):
    each_mutant(name, lambda line, *args: line(*args) * 1.001, (check_first, True))


@pytest.mark.parametrize("name", [name for name in lines() if not registered()[name].definition])
def test_a_recorded_line_off_by_a_thousandth_is_caught(name):
    mutant = lambda line, g, *args: line(g, *args) * (1.001 if isinstance(g, Tensor) else 1)
    each_mutant(name, mutant, (check_first, False), (check_second, True))


@pytest.mark.parametrize("name", CURVED)
def test_a_local_derivative_taken_for_a_constant_is_caught(name):
    """The mistake of fused batch norms elsewhere: right at first order, wrong at second."""
    constant = lambda x: x.detach() if isinstance(x, Tensor) else x
    detached = lambda x: type(x)(map(constant, x)) if isinstance(x, tuple | list) else constant(x)
    mutant = lambda line, g, *args: line(g, *map(detached, args))
    each_mutant(name, mutant, (check_first, False), (check_second, True))


def test_lines_are_all_there():
    """The list above covers each op that differentiates, and each that is curved."""
    covered = lines().keys()
    assert covered == {name for name, op in registered().items() if op.differentiable}
    assert covered >= {*CURVED, "add", "max", "index", "join", "sum_to"}
