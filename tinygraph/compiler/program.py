"""A program: kernels, and the calls of NumPy between them, forward and backward.

Forward hands to backward only what lies in memory anyway: inputs, results of calls, and the small values that
reductions gave.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygraph.compiler.algebra import below
from tinygraph.compiler.kernel import Kernel
from tinygraph.compiler.launch import LAUNCHES, Launch
from tinygraph.compiler.loops import Conflict
from tinygraph.compiler.schedule import plan_kernels
from tinygraph.compiler.trace import BACK
from tinygraph.compiler.values import VIEWS, Value
from tinygraph.engine.types import Array
from tinygraph.kernels.arrays import asarray

Arrays = dict[Value, Array]


class Step:
    """A kernel, a call or a view: what it reads, and what it makes. What is ``spent`` after it can be dropped."""

    def __init__(
        self, depth: float, reads: Sequence[Value], makes: Sequence[Value], name: str, do: Callable[[Arrays], None]
    ) -> None:
        self.depth, self.reads, self.makes, self.name, self.do = depth, reads, makes, name, do
        self.way = "forward" if depth < BACK else "backward"  # or "step", of a whole one
        self.kernel: Kernel | None = getattr(do, "kernel", None)
        self.spent: list[Value] = []


class Program:
    """The steps that compute some values.

    Args:
        results: what is wanted, forward and backward; the upstream gradient of output k has a depth of BACK · (k + 1).
        backend: "numpy", "numba" or "cuda".
    """

    def __init__(self, results: Sequence[Value], backend: str) -> None:
        self.backend = backend
        self.results = list(dict.fromkeys(results))
        while True:
            try:
                steps = self.cut(self.results)
                break
            except Conflict as conflict:
                part(conflict.value, conflict.k, self.results)
        self.inputs = list(dict.fromkeys([v for s in steps for v in s.reads if v.op == "in"]))
        self.inputs += [v for v in self.results if v.op == "in" and v not in self.inputs]
        self.steps = in_order(steps, self.inputs)
        self.ways: dict[int, list[Step]] = defaultdict(list)  # 0 is forward, k + 1 backward from output k
        for step in self.steps:
            self.ways[int(step.depth // BACK)].append(step)
        made = {v for s in self.ways[0] for v in s.makes}
        wanted = [v for s in self.steps if s.depth >= BACK for v in s.reads]
        wanted += [v for v in self.results if v.depth >= BACK]
        self.extras = list(dict.fromkeys(v for v in wanted if v in made))
        kept = {*self.results, *self.extras}
        for steps in self.ways.values():
            note_last_uses(steps, kept)

    def cut(self, results: Sequence[Value]) -> list[Step]:
        """Cut at calls, and at views that nobody computes with; return all steps."""
        steps: list[Step] = []
        roots: dict[Value, None] = {}
        fusible: dict[Value, None] = {}
        done: set[Value] = set()
        stack = list(results)[::-1]
        while stack:
            v = base = stack.pop()
            if v in done or v.op in ("in", "const"):
                continue
            done.add(v)
            while base.op in VIEWS:
                base = base.args[0]
            if v.op == "call" or (v.op in VIEWS and (base.is_array or base.op == "const" or v not in results)):
                name = v.op if v.op in VIEWS else getattr(v.facts["function"], "name", "copy")
                call = functools.partial(self.call, v)
                steps.append(Step(v.depth, [a for a in v.args if a.op != "const"], [v], name, call))
                stack += v.args
                continue
            roots[v] = None
            inner = [v]
            while inner:
                x = inner.pop()
                if not x.is_fusible:
                    stack.append(x)
                elif x not in fusible:
                    fusible[x] = None
                    inner += x.args
        for values in sharing(fusible):
            for plan in plan_kernels(values, [v for v in values if v in roots]):
                kernel = Kernel(plan)
                reads, makes = [v for v, _ in kernel.leaves], [v for v, _ in kernel.targets]
                steps.append(Step(plan.depth, reads, makes, "kernel", LAUNCHES[self.backend](kernel)))
        return steps

    def array(self, v: Value, arrays: Arrays) -> Any:
        """Return the array of a value; a number becomes one."""
        return self.on_device(np.full(v.shape, v.facts["value"], v.dtype)) if v.op == "const" else arrays[v]

    def call(self, v: Value, arrays: Arrays) -> None:
        """Compute a view, or what a function of NumPy or an op makes of arrays and numbers."""
        given = [self.array(a, arrays) for a in v.args]
        arrays[v] = viewed(v, given[0]) if v.op in VIEWS else v.facts["function"](given)

    def on_device(self, x: Any) -> Any:
        """Return an array where kernels look for it: an array of NumPy goes to the GPU, if they run there."""
        return asarray(x, "cupy") if self.backend == "cuda" and isinstance(x, np.ndarray) else x

    def run(self, way: int, arrays: Arrays) -> None:
        """Run the steps of a way."""
        for step in self.ways.get(way, ()):
            step.do(arrays)
            for v in step.spent:
                del arrays[v]

    @property
    def kernels(self) -> list[Kernel]:
        """Return the kernels, in the order in which they run."""
        return [s.kernel for s in self.steps if s.kernel]

    @property
    def source(self) -> str:
        """Return the source of all kernels."""
        return "\n\n".join(s.do.source for s in self.steps if isinstance(s.do, Launch))


def viewed(v: Value, array: Array) -> Array:
    """Return an array in another shape, or order of axes, as a view says."""
    if v.op == "transpose":
        return array.transpose(v.facts["axes"])
    return array.reshape(v.shape) if v.op == "reshape" else np.broadcast_to(array, v.shape)


def part(v: Value, k: int, results: Sequence[Value]) -> None:
    """Let a value read its operand ``k`` from memory, as the only one that reads it there.

    If it reads all its operands so, let its users read the value itself from memory.
    """
    if v.op in VIEWS:
        view = Value(v.op, v.args, v.shape, v.dtype, v.depth, **v.facts)
        v.op, v.facts = "call", {"function": lambda arrays: viewed(view, arrays[0])}
        return note_depths(results)
    readers = Counter(x for u in below(results) for x in set(u.args))
    shared = [i for i, x in enumerate(v.args) if x.facts.get("function") is not itself or readers[x] > 1]
    x = v.args[k if k in shared else shared[0]] if shared else v
    alone = Value("call", [x], x.shape, x.dtype, x.depth + 1, function=itself)
    for u in [v] if shared else below(results):
        u.args = tuple(alone if a is x else a for a in u.args)
    return note_depths(results)


def note_depths(results: Sequence[Value]) -> None:
    """Note how many calls there are on the way to each value."""
    for u in below(results):
        if u.args:
            u.depth = max(a.depth for a in u.args) + (u.op == "call")


def itself(arrays: Sequence[Array]) -> Array:
    """Return the one array."""
    return arrays[0]


def sharing(values: Iterable[Value]) -> Iterable[list[Value]]:
    """Return values in groups that share arrays."""
    parent: dict[Value, Value] = {}

    def find(v: Value) -> Value:
        while parent.setdefault(v, v) is not v:
            v = parent[v]
        return v

    for v in values:
        for x in v.args:
            if x.size > 1 or x.is_fusible:
                parent[find(x)] = find(v)
        find(v)
    groups: dict[Value, list[Value]] = defaultdict(list)
    for v in sorted(values, key=lambda v: v.id):
        groups[find(v)].append(v)
    return groups.values()


def in_order(steps: Sequence[Step], inputs: Iterable[Value]) -> list[Step]:
    """Return steps in an order in which each finds what it reads; forward before backward."""
    ready, left, ordered = set(inputs), sorted(steps, key=lambda s: s.depth), list[Step]()
    while left:
        step = next(s for s in left if ready.issuperset(s.reads))
        left.remove(step)
        ordered.append(step)
        ready.update(step.makes)
    return ordered


def note_last_uses(steps: Sequence[Step], kept: set[Value]) -> None:
    """Note at each step which values nobody wants after it."""
    seen = set(kept)
    for step in reversed(steps):
        for v in dict.fromkeys([*step.reads, *step.makes]):
            if v not in seen and v.op != "in":
                seen.add(v)
                step.spent.append(v)
