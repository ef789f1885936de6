"""Trace a function: run it on stand-ins, and return what it computed as a graph of values.

Forward and recorded backward are one graph. A condition on values is a check if one of its answers ends in an error:
then the trace goes on with the other answer, and the program tests the condition at every call.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from tinygraph.compiler.standin import TO_WRITE, CompileError, Number, StandIn, broadcast, find, result_for, zeros
from tinygraph.engine.errors import caller
from tinygraph.engine.op import Op
from tinygraph.engine.registry import OPS
from tinygraph.engine.tensor import Leaf
from tinygraph.engine.types import Shape

T = TypeVar("T")
BACK = 1 << 20  # depth of what depends on the upstream gradient

# Ops whose forward is a ufunc, or does with stand-ins what it does with arrays: it needs no help.
FRIENDLY = {
    "sum", "mean", "max", "min", "argmax", "reshape", "transpose", "broadcast_to", "sum_to", "index", "astype", "where",
    "clip", "greater", "equal", "relu", "sigmoid", "dropout", "clone", "whole", "matmul",
}  # fmt: skip


class Fork(BaseException):
    """A condition on values was met whose answer the trace does not know yet; no op may catch it."""


class Trace:
    """One run of a function on stand-ins: what it was given, how conditions are answered, and what it left."""

    def __init__(self, answers: Sequence[bool] = ()) -> None:
        self.answers, self.left = answers, iter(answers)
        self.given: dict[StandIn, tuple[str, Any]] = {}  # what each stand-in is that the program is given
        self.tests: list[tuple[StandIn, bool]] = []  # what the program tests at each call
        self.numbers: list[Number] = []  # in the order in which they were made
        self.guards: dict[Number, bool] = {}  # conditions on numbers, with the answers that the trace went on with
        self.draws: list[Callable[[], Any]] = []
        self.roots, self.nodes = list[Any](), dict[Any, StandIn]()  # of a whole step: whose graphs have names, leaves
        self.outs: list[Any] = []
        self.tensors: list[bool] = []  # which outputs are Tensors
        self.form: Any = None  # of what the function returned, with a slot for each output
        self.leaves: list[Leaf] = []  # that the function closes over
        self.grads: list[list[Any]] = []  # for each output, in each argument and leaf
        self.changes: list[tuple[Any, Any]] = []  # where something is set, and to what

    def give(self, kind: str, what: Any, x: Any, name: str = "") -> StandIn:
        """Return a stand-in for an array or a number that the program is given."""
        is_number = type(x) in (int, float)
        stand_in = Number(self, x, None, name) if is_number else StandIn(self, x.shape, x.dtype, None, name)
        self.given[stand_in] = kind, what
        return stand_in

    def draw(self, shape: Shape, dtype: Any, draw: Callable[[], Any]) -> StandIn:
        """Return a stand-in for a random array, which is drawn at each call."""
        stand_in = StandIn(self, shape, dtype, None, "a random array")
        self.given[stand_in] = "draw", len(self.draws)
        self.draws.append(draw)
        return stand_in

    def decide(self, condition: StandIn) -> bool:
        """Answer a condition as was planned; stop at one that is new."""
        answer = next(self.left, None)
        if answer is None:
            raise Fork(f"bool({condition.text()}){caller()}")
        return self.assume(condition, answer)

    def assume(self, condition: StandIn, answer: bool) -> bool:
        """Go on with an answer; where a call finds another one, the function itself is called."""
        self.tests.append((condition, answer))
        return answer


def explore(run: Callable[[Trace], None], known: Sequence[bool] = ()) -> Trace:
    """Run a function on stand-ins with the answers that end in no error, of which some are known; return the trace."""
    answers = list(known)
    while True:
        trace = Trace(answers)
        try:
            run(trace)
            return trace
        except Fork as fork:
            alive, errors = [], []
            for answer in (True, False):
                try:
                    with contextlib.suppress(Fork):
                        run(Trace([*answers, answer]))
                    alive.append(answer)
                except CompileError:
                    raise
                except Exception as error:
                    errors.append(error)
            if not alive:
                raise errors[0] from None
            if len(alive) == 2:
                raise CompileError(
                    f"compile: {fork} looks at a value, and the compiled function would always take the branch that "
                    f"is taken now: {TO_WRITE}"
                ) from None
            answers.append(alive[0])


def with_ops(run: Callable[[], T]) -> T:
    """Return what ``run`` does, once all ops that it needs are lifted: others may be loaded on the way."""
    known = 0
    while known < len(OPS):
        lift_ops()
        known = len(OPS)
        try:
            found = run()
        except Exception:
            if len(OPS) == known:
                raise
    return found


def lift_ops() -> None:
    """Let ops that compute in steps of their own return a stand-in when they are given one."""
    for op in OPS.values():
        is_friendly = (op.builtin and op.name in FRIENDLY) or isinstance(op.forward, np.ufunc | Lifted)
        if not is_friendly and op.definition is None:
            op.forward = Lifted(op)


def identity(x: StandIn) -> np.ndarray:
    """Return ones on the diagonals of matrices, which have an inverse, a factor and whatever else is asked of them."""
    return np.broadcast_to(np.eye(*x.shape[-2:], dtype=x.dtype), x.shape) if x.ndim > 1 else zeros(x)


class Lifted:
    """The forward of an op; given stand-ins, it finds the shape of the result and computes nothing."""

    def __init__(self, op: Op) -> None:
        functools.update_wrapper(self, op.forward)
        self.op, self.forward = op, op.forward

    def __call__(self, *arrays: Any, **params: Any) -> Any:
        """Compute."""
        found = find((*arrays, *params.values()))
        if not found:
            return self.forward(*arrays, **params)
        return StandIn(found[0].trace, *self.shape_of(arrays, params), (self.op, arrays, params))

    def shape_of(self, arrays: Sequence[Any], params: dict[str, Any]) -> tuple[Shape, Any]:
        """Return the shape and the dtype of the result; images are taken one at a time, as all ops on them do."""
        if self.op.family == "elementwise":
            return broadcast(self.forward, arrays, params)
        batch = None
        if self.op.family == "window" and all(len(a.shape) == 4 for a in arrays):
            batch = arrays[0].shape[0]
            arrays = [a if name == "w" else a[:1] for name, a in zip(self.op.operands, arrays, strict=True)]
        found = result_for(identity if self.op.family == "linear" else zeros, self.forward, arrays, params)
        keeps = batch is None or self.op.name == "conv2d_weight"
        return found.shape if keeps else (batch, *found.shape[1:]), found.dtype
