"""What a program does, in numbers: its kernels and calls, their sweeps over memory, and the bytes that they move."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tinygraph.compiler.kernel import Kernel
from tinygraph.compiler.program import Program, Step
from tinygraph.compiler.trace import BACK
from tinygraph.compiler.values import VIEWS, Value
from tinygraph.verify.profiling import align

__all__ = ["PlanStep", "ProgramPlan"]

HEAD = "way", "step", "sweeps", "reads", "writes"


class PlanStep(NamedTuple):
    """One kernel, or one call of NumPy.

    Attributes:
        way: "forward" or "backward"; of a whole step "step".
        what: "kernel", or the name of the function that is called.
        sweeps: how often its largest arrays are gone through; 1 for a call, 0 for a view.
        reads: bytes that it reads; an array that is read in two sweeps counts twice.
        writes: bytes that it writes.
        results: the names of the values that it stores.

    >>> PlanStep("forward", "kernel", 2, 800, 400, ("y",)).sweeps
    2
    """

    way: str
    what: str
    sweeps: int
    reads: int
    writes: int
    results: tuple[str, ...]


class ProgramPlan:
    """The steps of a program, which print as a table.

    Args:
        title: what the program is for.
        program: the program.

    Attributes:
        steps: the steps in order, a `PlanStep` each.
        least: bytes that have to be read and written, forward and backward: each input and each result once.
        kept: bytes that forward keeps for backward, beside its inputs and its result.

    >>> import numpy as np, tinygraph as tg
    >>> c = tg.compile(tg.batch_norm, backend="numpy")
    >>> y = c(np.zeros((64, 64)))
    >>> print(c.plan()[0])
    batch_norm: x float64[64,64], recording True
    way      step    sweeps  reads  writes  results
    forward  kernel       3  98304   32768  div
    least possible: 32768 read, 32768 written; kept for backward: 0
    """

    def __init__(self, title: str, program: Program) -> None:
        self.title, self.program = title, program
        self.steps = tuple(plan_step(step) for step in program.steps)
        forward, back = ([s for s in program.steps if (s.depth < BACK) == way] for way in (True, False))
        results = set(program.results)
        read, written = 0, 0
        for steps in (forward, back):
            made = {v for s in steps for v in s.makes}
            read += size(dict.fromkeys(v for s in steps for v in s.reads if v not in made))
            written += size(v for v in dict.fromkeys(v for s in steps for v in s.makes) if v in results)
        self.least = read, written
        self.kept = size(v for v in program.extras if v not in results and v.op not in VIEWS)

    def __str__(self) -> str:
        head, *rows = align([HEAD, *(tuple(map(str, step[:5])) for step in self.steps)])
        rows = [f"{row}  {', '.join(step.results)}" for row, step in zip(rows, self.steps, strict=True)]
        last = f"least possible: {self.least[0]} read, {self.least[1]} written; kept for backward: {self.kept}"
        return "\n".join([self.title, f"{head}  results", *rows, last])

    __repr__ = __str__


def plan_step(step: Step) -> PlanStep:
    """Return what a step does."""
    names = tuple(name_of(v, step) for v in step.makes)
    if step.makes[0].op in VIEWS and not step.kernel:  # of the same memory
        return PlanStep(step.way, step.name, 0, 0, 0, names)
    sweeps, reads = (step.kernel.sweeps, bytes_read(step.kernel)) if step.kernel else (1, size(step.reads))
    return PlanStep(step.way, step.name, sweeps, reads, size(step.makes), names)


def name_of(v: Value, step: Step) -> str:
    """Return what a stored value is called: as the function called it, or by its op."""
    made = v.op if step.kernel else step.name
    return v.name or (f"value for a later kernel {list(v.shape)}" if v.op == "saved" else made)


def bytes_read(kernel: Kernel) -> int:
    """Return how many bytes the sweeps of a kernel read: each array once a sweep that needs it."""
    large = {v for v, order in kernel.leaves if set(order) == kernel.space.loops}
    swept = [{e.info[0] for e in kernel.seen(s) if e.op == "in"} & large for s in range(kernel.sweeps)]
    return sum(map(size, swept)) + size(v for v, _ in kernel.leaves if v not in large)


def size(values: Iterable[Value]) -> int:
    """Return how many bytes values take."""
    return sum(v.size * v.dtype.itemsize for v in values)
