"""What is right: the student's own forward, run on Tensors, where it records and is right; else the library's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.teach.grading.instrument import Instrumented, NoSourceError
from tinygraph.teach.grading.quantities import RTOL, Quantity, Recording, Target, is_alike
from tinygraph.teach.grading.runs import TimeUpError, quiet
from tinygraph.teach.grading.tasks import Task
from tinygraph.teach.program import Program, record_program
from tinygraph.teach.workshop import is_same

__all__ = ["Draw", "ForwardError", "Truth", "make_draws", "record_forward", "truth_of", "wrong_forward"]

STEP = 1e-6
MOST = 64
REFERENCES: dict[tuple[Any, ...], tuple[Program, dict[str, str]]] = {}  # what the library's forwards record


class ForwardError(ValueError):
    """The forward cannot be run, or there is none to compare with."""


@dataclasses.dataclass(frozen=True)
class Draw:
    """Random inputs, what the forward makes of them, and the gradient that comes in."""

    inputs: Mapping[str, Any]
    out: Any
    cache: Any
    upstream: Any


def first_of(result: Any) -> Any:
    """Return the output of a forward, which may come with a cache."""
    return result[0] if isinstance(result, tuple | list) and result else result


def call(task: Task, forward: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    """Run a forward without its noise."""
    with quiet():
        return forward(*task.arguments(inputs))


def make_draws(task: Task, forward: Callable[..., Any], shape: int, count: int, seed: int) -> list[Draw]:
    """Draw inputs of one shape and run the forward on them.

    Args:
        task: what is asked.
        forward: the student's, or one that is right.
        shape: number of the shape.
        count: how many draws.
        seed: of the random numbers.
    """
    draws = []
    for k in range(count):
        rng = np.random.default_rng([seed, shape, k])
        inputs = task.draw(rng, shape)
        result = call(task, forward, {name: np.array(value) for name, value in inputs.items()})
        out = np.asarray(first_of(result))
        is_pair = isinstance(result, tuple | list) and len(result) == 2
        cache = result[1] if is_pair else task.cache(inputs) if task.cache else None
        upstream = np.ones(()) if task.one_function else rng.standard_normal(out.shape) + 0.2
        draws.append(Draw(inputs, out, cache, upstream))
    return draws


class Truth:
    """All that is right on some draws.

    Args:
        recordings: of forwards that are right, the student's own first.
        asked: nodes of the first whose gradients are asked for.
        own: whether the first is of the student's own forward.
        one_function: whether forward and backward are one function.

    Attributes:
        right: what is asked for: the values of each gradient, one a draw.
    """

    def __init__(
        self, recordings: Sequence[Recording], asked: Sequence[int], *, own: bool, one_function: bool = False
    ) -> None:
        self.recordings, self.asked, self.own, self.one_function = recordings, asked, own, one_function
        main = recordings[0]
        self.right = [main.value(main.program.gradient[i]) for i in asked]
        self.quantities: list[Quantity] = [q for r in recordings for q in r.quantities()]
        self.backward = [q for q in self.quantities if q.kind != "forward"]

    # -- names

    def targets(self, name: str) -> list[Target]:
        """Return what a variable is by its name, in the student's own forward first."""
        return [t for r in self.recordings for t in r.targets(name)]

    def forward_values(self, name: str) -> list[list[Any]]:
        """Return the values that a name has in the student's own forward."""
        if not self.own:
            return []
        own = self.recordings[0]
        return [own.value(i) for i in own.find(name) if own.program.graph.nodes[i].name]

    def find(self, values: Sequence[Any]) -> Quantity | None:
        """Return the right quantity that has these values on every draw."""
        for quantity in self.quantities:
            if all(is_alike(a, b) for a, b in zip(values, quantity.values, strict=True)):
                return quantity
        return None

    def allows(self, targets: Sequence[Target], values: Sequence[Any]) -> bool:
        """Whether a variable may have these values."""
        return any(
            all(is_alike(a, b) for a, b in zip(values, right, strict=True))
            for target in targets
            for right in target.recording.allowed(target)
        )


def truth_of(task: Task, draws: Sequence[Draw], forward: Callable[..., Any] | None) -> Truth:
    """Return what is right: by the student's own forward where that records, and by the library's.

    Args:
        task: what is asked.
        draws: of one shape.
        forward: the student's, if there is one.

    Raises:
        ForwardError: neither the student's forward records, nor does the library know the function.
    """
    mine = record(task, draws, forward) if forward else None
    theirs = [record(task, draws, reference) for reference in task.references]
    found = [r for r in (mine, *theirs) if r is not None]
    if not found:
        raise ForwardError("the forward does not run on Tensors: write it without changing arrays in place")
    return Truth(found, found[0].program.wrt, own=mine is not None, one_function=task.one_function)


def record_forward(forward: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, dict[str, str]]:
    """Run a forward on Tensors; name each value after the variable that holds it.

    Returns:
        What it returns, and further names: variable -> the name that its value has already.
    """
    aliases: dict[str, str] = {}

    def name_it(_: int, name: str, value: Any) -> Any:
        if isinstance(value, Tensor):
            if value.name is None and value.node.op:
                value.named(name)
            elif value.name and value.name != name:
                aliases[name] = value.name
        return value

    try:
        function = Instrumented(forward, for_tensors=True).bind(name_it, lambda _, value: value)
    except NoSourceError:
        function = forward
    with quiet():
        return function(*arguments), aliases


def record(task: Task, draws: Sequence[Draw], forward: Callable[..., Any]) -> Recording | None:
    """Record a forward; None where it does not record, or its record is not what it computes."""
    given = draws[0].inputs
    names = [name for name, v in given.items() if np.asarray(v).dtype.kind == "f"]
    key = (forward, task.name, *((k, np.shape(v), np.asarray(v).tobytes()) for k, v in given.items()))
    try:
        program, aliases = REFERENCES.get(key) or program_of(task, given, forward, names)
        if len(program.wrt) != len(names) or any(i not in program.gradient for i in program.wrt):
            return None
        if forward in task.references and len(REFERENCES) < MOST:
            REFERENCES[key] = program, aliases
        found = Recording(program, [d.inputs for d in draws], [d.upstream for d in draws], names, aliases)
    except (Exception, SystemExit, TimeUpError):  # whatever a student's forward does on Tensors, another one is right
        return None
    return found if is_true(found, task, draws, forward, names) else None


def program_of(
    task: Task, given: Mapping[str, Any], forward: Callable[..., Any], names: Sequence[str]
) -> tuple[Program, dict[str, str]]:
    """Return the program of a forward, differentiated by the inputs of some names, and further names of its values.

    Raises:
        TypeError: what it returns is no Tensor.
    """
    tensors = {k: Tensor(v, name=k, requires_grad=True) if k in names else v for k, v in given.items()}
    result, aliases = record_forward(forward, task.arguments(tensors))
    return record_program(first_of(result), [tensors[name] for name in names]), aliases


def is_true(
    found: Recording, task: Task, draws: Sequence[Draw], forward: Callable[..., Any], names: Sequence[str]
) -> bool:
    """Whether a record computes what the forward does, and has its derivative by differences."""
    out = found.program.outputs[0]
    if not all(is_same(a, d.out, 1e-9) for a, d in zip(found.value(out), draws, strict=True)):
        return False
    draw, rng = draws[0], np.random.default_rng(5)
    for name, i in zip(names, found.program.wrt, strict=True):
        step = rng.standard_normal(np.shape(draw.inputs[name]))
        ends = [dict(draw.inputs) | {name: draw.inputs[name] + s * STEP * step} for s in (1, -1)]
        high, low = (np.asarray(first_of(call(task, forward, e)), float) for e in ends)
        numeric = float(np.sum((high - low) * draw.upstream)) / (2 * STEP)
        exact = float(np.sum(found.draws[0][found.program.gradient[i]] * step))
        if abs(numeric - exact) > 1e-4 * max(1.0, abs(numeric), abs(exact)):
            return False
    return True


def wrong_forward(task: Task, draws: Sequence[Draw]) -> tuple[Any, Any] | None:
    """Return what the student's forward gives and what it should, if these differ; None where it is right.

    Args:
        task: what is asked.
        draws: on which the student's forward was run.
    """
    if not task.references:
        return None
    for draw in draws:
        right = np.asarray(call(task, task.references[0], dict(draw.inputs)))
        if not is_same(draw.out, right, RTOL):
            return draw.out, right
    return None
