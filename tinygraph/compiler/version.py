"""A compiled function for one key: its trace, its program, and a fused op for each of its outputs.

The definition of the op is the function itself. So recorded derivatives of every order, drawings and `compare` follow
without a line more.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.autodiff.grad import grad
from tinygraph.compiler.keys import fill, flatten, named, names_of_slots
from tinygraph.compiler.program import Program
from tinygraph.compiler.standin import CompileError, Number, StandIn
from tinygraph.compiler.state import Changes, Given, State, drawn_before
from tinygraph.compiler.trace import Trace, explore, with_ops
from tinygraph.compiler.values import Lowering, Value
from tinygraph.engine.context import CONTEXT
from tinygraph.engine.op import tensor_of
from tinygraph.engine.tensor import Leaf, Record, Tensor, array_of
from tinygraph.fused.fused_op import Fused
from tinygraph.kernels.arrays import backend_of


class CheckFailed(Exception):
    """A condition on values is another than it was when the function was traced."""


class Found(NamedTuple):
    """What a trace found, as values."""

    outs: list[Value]
    form: Any  # of what the function returned, with a slot for each output
    tensors: list[bool]  # which outputs are Tensors
    grads: list[list[Value | None]]  # for each output, in each operand
    leaves: list[Leaf]  # that the function closes over
    changes: Changes  # what is set, and to which values
    lowering: Lowering
    trace: Trace


class Version:
    """A compiled function for one key: its program, and an op for each output.

    Args:
        function: the function.
        form: its arguments, with a slot in place of each array.
        arrays: those arrays.
        backend: "numba", "numpy" or "cuda".
        state: what the function finds around it, and may change.
    """

    facts: dict[str, str]  # what it is for
    number: int  # among the versions of its function

    def __init__(
        self,
        function: Callable[..., Any],
        form: Any,
        arrays: Sequence[Any],
        backend: str,
        state: State,
    ) -> None:
        self.function, self.form, self.count, self.state = function, form, len(arrays), state
        self.name = getattr(function, "__name__", type(function).__name__)
        self.names = {i: text for name, x in named(function, form) for i, text in names_of_slots(x, name)}
        found = self.trace_twice(arrays)
        self.out_form, self.tensors, self.grads = found.form, found.tensors, found.grads
        captured = [v.facts["source"][1] for v in found.lowering.captured if v.facts["source"][0] == "leaf"]
        self.leaves = list(dict.fromkeys([*found.leaves, *captured]))
        self.draws, self.changes = found.trace.draws, found.changes
        self.facts_of_leaves = [(x.shape, x.data.dtype, x.needs) for x in self.leaves]
        self.outs = found.outs
        checks = [(found.lowering.of(c), answer) for c, answer in found.trace.tests]
        self.checks, self.labels = checks, found.lowering.checks
        wanted = [*self.outs, *(v for v, _ in checks), *(v for v, _ in self.labels)]
        wanted += [v for row in [*self.grads, [v for _, v in self.changes]] for v in row if isinstance(v, Value)]
        self.program = Program([v for v in wanted if v.op != "const"], backend)
        self.places = {v: self.program.on_device(self.place(*v.facts["source"])) for v in self.program.inputs}
        around = [*(x.data for x in self.leaves), *(x for x in state.get() if getattr(x, "shape", ()))]
        self.is_mixed = any((backend_of(x) == "cupy") != (backend == "cuda") for x in around)
        self.ready = threading.local()
        self.ops = [self.make_op(k) if t else None for k, t in enumerate(self.tensors)]

    def about(self) -> str:
        """Say what this version is for."""
        return ", ".join(f"{name} {what}" for name, what in self.facts.items())

    # Tracing.

    def trace_twice(self, arrays: Sequence[Any]) -> Found:
        """Trace two times, and compare what was captured: what differs was made inside, and would be kept for good."""
        first, second = (self.trace_once(arrays) for _ in range(2))
        pairs = zip(first.lowering.captured, second.lowering.captured, strict=False)
        for a, b in pairs:
            x, y = a.facts["source"][1], b.facts["source"][1]
            if x is y:
                continue
            x, y = (z.data if isinstance(z, Leaf) else z for z in (x, y))
            if x.shape != y.shape or x.dtype != y.dtype or not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                raise CompileError(
                    f"compile: an array {x.dtype}{list(x.shape)} is made inside of {self.name}, and is another at each "
                    "call: the compiled function would keep one for good; pass it as an argument"
                )
        return first

    def trace_once(self, arrays: Sequence[Any]) -> Found:
        """Trace the function, and its derivative for each output."""
        found, trace = with_ops(lambda: explore(functools.partial(self.run_traced, arrays)))
        outs, form, tensors, grads, given, leaves, changes = found
        lowering = Lowering(given)
        lowering.nodes.update(trace.nodes)
        for root in trace.roots:
            lowering.of_tensor(root)
        values = [lowering.of(x) for x in outs]
        for leaf in leaves:
            lowering.capture(leaf.data, leaf)
        rows = [[None if g is None else lowering.of(g) for g in row] for row in grads]
        changes = [
            (place, lowering.of(x) if isinstance(x, StandIn) and not isinstance(x, Number) else x)
            for place, x in changes
        ]
        for place, v in changes:
            if type(place) is int and isinstance(v, Value) and not v.name:
                v.name = self.state.places[place].name
        names = [self.names.get(i, f"x{i}") for i in range(self.count)] + [leaf.name or "tensor" for leaf in leaves]
        for row in rows:
            for name, v in zip(names, row, strict=True):
                if v is not None and not v.name:
                    v.name = f"d{name}"
        return Found(values, form, tensors, rows, leaves, changes, lowering, trace)

    def run_traced(self, arrays: Sequence[Any], trace: Trace) -> Any:
        """Run the function on stand-ins; return its outputs, and their recorded gradients."""
        given: Given = {}
        held = [self.stand_in(i, x, trace, given) for i, x in enumerate(arrays)]
        args, kwargs = fill(self.form, held)
        with self.state.traced(trace, given) as changes:
            returned = self.function(*args, **kwargs)
        outs: list[Any] = []
        form = flatten(returned, outs)
        if not outs:
            raise CompileError(f"compile: {self.name} returns no array: {returned!r}")
        tensors = [isinstance(x, Tensor) for x in outs]
        leaves = captured_leaves([x for x in outs if isinstance(x, Tensor)])
        operands = [*held, *(tensor_of(leaf.data, leaf) for leaf in leaves)]
        wanted = [(i, t) for i, t in enumerate(operands) if isinstance(t, Tensor) and t.requires_grad]
        grads = []
        for k, out in enumerate(outs):
            row: list[Any] = [None] * len(operands)
            if isinstance(out, Tensor) and out.requires_grad and wanted:
                upstream = trace.stand_in(out._data, "upstream gradient")
                given[upstream] = "seed", k
                start = Tensor(upstream, requires_grad=False)
                found = grad(out, [t for _, t in wanted], start, create_graph=True, allow_unused=True)
                for (i, _), g in zip(wanted, found, strict=True):
                    row[i] = g
            grads.append(row)
        return outs, form, tensors, grads, given, leaves, changes

    def stand_in(self, i: int, x: Any, trace: Trace, given: Given) -> Any:
        """Return what stands for an argument while tracing."""
        name = getattr(x, "name", None) or self.names.get(i, "")
        stand_in = Number(trace, x, None, name) if type(x) is float else trace.stand_in(x, name)
        given[stand_in] = "argument", i
        if not isinstance(x, Tensor):
            return stand_in
        return Tensor(stand_in, name=x.name, requires_grad=x.requires_grad and CONTEXT.get().recording)

    # Running.

    def is_valid(self, arrays: Sequence[Any]) -> bool:
        """Whether the captured leaves are still of the kind that they were."""
        return all(
            (x.shape, x.data.dtype, x.needs) == facts
            for x, facts in zip(self.leaves, self.facts_of_leaves, strict=True)
        )

    def gather(self, operands: Sequence[Any], k: int = -1, seed: Any = None) -> dict[Value, Any]:
        """Return the arrays of the program's inputs; of the upstream gradients, that of output ``k``."""
        arrays = {v: operands[x] if type(x) is int else x for v, x in self.places.items() if type(x) is not tuple}
        arrays.update({v: seed for v, x in self.places.items() if type(x) is tuple and x[1] == k})
        return arrays

    def place(self, kind: str, what: Any) -> Any:
        """Return where an input is: the number of an operand, an array, or "seed" and the number of an output."""
        first = self.count + len(self.leaves)
        if kind == "leaf":
            return self.count + self.leaves.index(what)
        if kind in ("buffer", "draw"):
            return first + what + len(self.state.places) * (kind == "draw")
        return ("seed", what) if kind == "seed" else what

    def run_forward(self, operands: Sequence[Any]) -> dict[Value, Any]:
        """Compute all values; raise where a check fails."""
        arrays = self.gather(operands)
        self.program.run(0, arrays)
        good = all(bool(arrays[v]) == answer for v, answer in self.checks if v.op != "const")
        if good:
            good = all(labels_fit(arrays[v], n) for v, n in self.labels)
        if not good:
            raise CheckFailed
        return arrays

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Compute the outputs, and what backward needs; set the buffers."""
        arrays = self.run_forward(operands)
        for i, v in self.changes:
            self.state.places[i].set(self.program.array(v, arrays))
        return [self.program.array(v, arrays) for v in self.outs], [arrays[v] for v in self.program.extras]

    def function_on(self, operands: Sequence[Any]) -> Any:
        """Call the function itself on arrays."""
        args, kwargs = fill(self.form, operands[: self.count])
        return self.function(*args, **kwargs)

    def make_op(self, k: int) -> Fused | None:
        """Return the op that computes output ``k``, of the arrays given, leaves captured, buffers and what is drawn."""
        count = self.count + len(self.leaves) + len(self.state.places) + len(self.draws)
        names = [f"x{i}" for i in range(count)]
        space: dict[str, Any] = {"run": functools.partial(self.value_of, k)}
        name = f"compiled_{self.name}" if f"compiled_{self.name}".isidentifier() else "compiled"
        exec(f"def {name}({', '.join(names)}): return run({''.join(n + ', ' for n in names)})", space)  # noqa: S102 - of our own
        function, spelled = space[name], self.name.replace("_", r"\_")
        function.__module__ = __name__
        return Fused(
            function, function, rf"\mathrm{{{spelled}}}({', '.join('$' + n for n in names)})", {},
            says=f"Runs {self.name}, compiled.", family="fused",
            definition=functools.partial(self.define, k), backward=functools.partial(self.backward, k),
        )  # fmt: skip

    def value_of(self, k: int, *operands: Any) -> tuple[Any, ...]:
        """Return output ``k``, and what its backward needs; all outputs are computed at once."""
        ready = getattr(self.ready, "found", None)
        try:
            outs, extras = self.forward(operands) if ready is None else ready
        except CheckFailed:
            return array_of(self.define(k, *operands)), None
        return outs[k], extras

    def define(self, k: int, *operands: Any) -> Any:
        """Return output ``k``, by the function itself."""
        for leaf, x in zip(self.leaves, operands[self.count :], strict=False):
            if array_of(x) is not leaf.data:
                raise RuntimeError(
                    f"{self.name}: {leaf.name or 'a captured tensor'} has another array than when this was computed: "
                    "take higher derivatives before the optimizer's step"
                )
        outs: list[Any] = []
        first = self.count + len(self.leaves)
        with self.state.kept(), drawn_before(operands[first + len(self.state.places) :]):
            self.state.set(operands[first : first + len(self.state.places)])
            flatten(self.function_on(operands), outs)
        return outs[k]

    def backward(self, k: int, g: Any, operands: Sequence[Any], extras: Sequence[Any]) -> list[Any]:
        """Return the gradients of output ``k`` in all operands."""
        arrays = self.gather(operands, k, g)
        arrays.update(zip(self.program.extras, extras[0], strict=True))
        self.program.run(k + 1, arrays)
        return [None if v is None else self.program.array(v, arrays) for v in self.grads[k]] + [None] * (
            len(operands) - len(self.grads[k])
        )

    def __call__(self, arrays: Sequence[Any]) -> Any:
        """Compute, and record if gradients are wanted."""
        drawn = [self.program.on_device(draw()) for draw in self.draws]
        operands = [*arrays, *(tensor_of(x.data, x) for x in self.leaves), *self.state.get(), *drawn]
        try:
            self.ready.found = found = self.forward([array_of(x) for x in operands])
        except CheckFailed:  # the function itself says why
            with drawn_before(drawn):
                return self.function_on(operands)
        try:
            outs = [op.call(*operands) if op else out for op, out in zip(self.ops, found[0], strict=True)]
        finally:
            self.ready.found = None
        return fill(self.out_form, outs)


def labels_fit(labels: Any, classes: int) -> bool:
    """Whether all labels are those of a class; from the end, they may be negative."""
    return not labels.size or bool(labels.min() >= -classes and labels.max() < classes)


def captured_leaves(outs: Sequence[Tensor]) -> list[Leaf]:
    """Return the leaves behind Tensors whose arrays are no stand-ins: those that a function closes over."""
    seen: set[Record] = {t.node for t in outs}
    stack, found = list(seen), list[Leaf]()
    while stack:
        node = stack.pop()
        if isinstance(node, Leaf):
            if not isinstance(node.data, StandIn):
                found.append(node)
            continue
        for x in node.inputs:
            if isinstance(x, Record) and x not in seen:
                seen.add(x)
                stack.append(x)
    return sorted(found, key=lambda leaf: leaf.id)
