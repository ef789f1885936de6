"""A compiled function for one key: its trace, its program, and a fused op for each of its outputs.

The definition of the op is the function itself. So recorded derivatives of every order, drawings and `compare` follow
without a line more.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygraph.autodiff.backward import order_of
from tinygraph.autodiff.grad import grad
from tinygraph.compiler.keys import Slot, fill, flatten, named
from tinygraph.compiler.program import Program
from tinygraph.compiler.standin import CompileError, Number, StandIn
from tinygraph.compiler.state import State, drawn_before, kept
from tinygraph.compiler.trace import Trace, explore, with_ops
from tinygraph.compiler.values import Lowering, Value
from tinygraph.engine.context import CONTEXT
from tinygraph.engine.op import tensor_of
from tinygraph.engine.tensor import Leaf, Tensor, array_of
from tinygraph.fused.fused_op import Fused
from tinygraph.kernels.arrays import backend_of


class CheckFailed(Exception):
    """A call is another than that which was traced: the function itself has to compute it."""


class Version:
    """A compiled function for one key: its program, and an op for each output.

    Args:
        function: the function.
        form: its arguments, with a slot in place of each array.
        arrays: those arrays.
        backend: "numba", "numpy" or "cuda".
        state: what the function finds around it, and may change.

    Attributes:
        trace: what the function did.
        outs: its outputs, as values.
        grads: for each output, the gradient in each operand; of a whole step there are none.
        changes: where something is set, and to what: in a numbered place, or at an argument ("data", i) or ("grad", i).
        leaves: tensors that the function closes over.
        checks: values, each with what must hold of it at each call.
    """

    facts: dict[str, str]  # what it is for
    reason: str  # why it was needed
    checks: list[tuple[Value, Callable[[Any], bool]]]

    def __init__(
        self, function: Callable[..., Any], form: Any, arrays: Sequence[Any], backend: str, state: State
    ) -> None:
        self.function, self.form, self.count, self.state = function, form, len(arrays), state
        self.name = getattr(function, "__name__", type(function).__name__)
        self.names = {int(x): name for name, x in named(function, form) if type(x) is Slot}
        self.trace_twice(arrays)
        self.kinds = self.kinds_of_leaves()
        self.program = Program([v for v in self.wanted() if v.op != "const"], backend)
        sources: list[tuple[str, Any]] = [("argument", i) for i in range(self.count)]  # of the operands of a call
        sources += [("leaf", x) for x in self.leaves]
        sources += [("buffer", i) for i in range(len(state.places))]
        self.first_draw = len(sources)
        sources += [("draw", i) for i in range(len(self.trace.draws))]
        self.at = {source: i for i, source in enumerate(sources)}
        self.places = {v: self.place(*v.facts["source"]) for v in self.program.inputs}
        around = [*(x.data for x in self.leaves), *(x for x in state.get() if getattr(x, "shape", ()))]
        self.is_mixed = any((backend_of(x) == "cupy") != (backend == "cuda") for x in around)
        self.ready = threading.local()
        self.ops = [self.make_op(k) if t and self.grads else None for k, t in enumerate(self.trace.tensors)]

    def about(self) -> str:
        """Say what this version is for."""
        return ", ".join(f"{name} {what}" for name, what in self.facts.items())

    # Tracing.

    def trace_twice(self, arrays: Sequence[Any]) -> None:
        """Trace two times, and compare what was captured: what differs was made inside, and would be kept for good."""
        first = self.trace_once(arrays)
        for x, y in zip(first, self.trace_once(arrays, self.trace.answers), strict=False):
            if x is y:
                continue
            if x.shape != y.shape or x.dtype != y.dtype or not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                raise CompileError(
                    f"compile: an array {x.dtype}{list(x.shape)} is made inside of {self.name}, and is another at each "
                    "call: the compiled function would keep one for good; pass it as an argument"
                )

    def trace_once(self, arrays: Sequence[Any], answers: Sequence[bool] = ()) -> list[Any]:
        """Trace the function, and its derivative for each output; return the arrays that it captured."""
        self.trace = trace = with_ops(lambda: explore(functools.partial(self.run_traced, arrays), answers))
        lowering = Lowering(trace.given)
        lowering.nodes.update(trace.nodes)
        for root in trace.roots:
            lowering.of(root)
        self.outs = [lowering.of(x) for x in trace.outs]
        for leaf in trace.leaves:
            lowering.capture(leaf.data, leaf)
        self.grads = [[None if g is None else lowering.of(g) for g in row] for row in trace.grads]
        self.changes = [
            (place, lowering.of(x) if isinstance(x, StandIn) and not isinstance(x, Number) else x)
            for place, x in trace.changes
        ]
        conditions = [(lowering.of(c), functools.partial(is_so, answer)) for c, answer in trace.tests]
        self.checks = [*conditions, *lowering.checks]
        captured = [(array, *v.facts["source"]) for array, v in lowering.captured.values()]
        self.leaves = list(dict.fromkeys([*trace.leaves, *(what for _, kind, what in captured if kind == "leaf")]))
        self.name_values()
        return [array for array, *_ in captured]

    def name_values(self) -> None:
        """Name what is set, and gradients, where they have no name."""
        found = [(v, self.state.places[place].name) for place, v in self.changes if type(place) is int]
        names = [self.names.get(i, f"x{i}") for i in range(self.count)] + [x.name or "tensor" for x in self.leaves]
        found += [(v, f"d{name}") for row in self.grads for v, name in zip(row, names, strict=False)]
        for v, name in found:
            if isinstance(v, Value):
                v.name = v.name or name

    def run_traced(self, arrays: Sequence[Any], trace: Trace) -> None:
        """Run the function on stand-ins; note its outputs, and what follows from them."""
        held = [self.stand_in(i, x, trace) for i, x in enumerate(arrays)]
        args, kwargs = fill(self.form, held)
        with self.state.traced(trace):
            returned = self.function(*args, **kwargs)
        trace.form = flatten(returned, trace.outs)
        trace.tensors = [isinstance(x, Tensor) for x in trace.outs]
        self.note_gradients(held, trace)

    def note_gradients(self, held: Sequence[Any], trace: Trace) -> None:
        """Note the recorded gradients of all outputs, in arguments and in what the function closes over."""
        if not trace.outs:
            raise CompileError(f"compile: {self.name} returns no array: {trace.form!r}")
        trace.leaves = captured_leaves([x for x in trace.outs if isinstance(x, Tensor)])
        operands = [*held, *(tensor_of(leaf.data, leaf) for leaf in trace.leaves)]
        wanted = [(i, t) for i, t in enumerate(operands) if isinstance(t, Tensor) and t.requires_grad]
        for k, out in enumerate(trace.outs):
            row: list[Any] = [None] * len(operands)
            if isinstance(out, Tensor) and out.requires_grad and wanted:
                upstream = Tensor(trace.give("seed", k, out._data, "upstream gradient"), requires_grad=False)
                found = grad(out, [t for _, t in wanted], upstream, create_graph=True, allow_unused=True)
                for (i, _), g in zip(wanted, found, strict=True):
                    row[i] = g
            trace.grads.append(row)

    def stand_in(self, i: int, x: Any, trace: Trace) -> Any:
        """Return what stands for an argument while tracing."""
        stand_in = trace.give("argument", i, x, getattr(x, "name", None) or self.names.get(i, ""))
        if not isinstance(x, Tensor):
            return stand_in
        return Tensor(stand_in, name=x.name, requires_grad=x.requires_grad and CONTEXT.get().recording)

    def wanted(self) -> list[Value]:
        """Return all values that the program computes."""
        wanted = [*self.outs, *(v for v, _ in self.checks)]
        wanted += [v for row in self.grads for v in row if v is not None]
        return wanted + [v for _, v in self.changes if isinstance(v, Value)]

    # Running.

    def place(self, kind: str, what: Any) -> Any:
        """Return where an input is: the number of an operand, an array, or what it is called in a `Lowering`."""
        return self.program.on_device(what) if kind == "array" else self.at.get((kind, what), (kind, what))

    def kinds_of_leaves(self) -> list[Any]:
        """Return what a program depends on of the leaves that it reads."""
        return [(x.shape, x.data.dtype, x.needs) for x in self.leaves]

    def operands(self, arrays: Sequence[Any]) -> list[Any] | None:
        """Return all that a call depends on; None if the captured leaves are of another kind than they were."""
        return self.with_places(arrays, self.state.get()) if self.kinds_of_leaves() == self.kinds else None

    def with_places(self, arrays: Sequence[Any], found: Sequence[Any]) -> list[Any]:
        """Return the arguments, the captured leaves, what was ``found`` in the places, and what is drawn."""
        drawn = [self.program.on_device(draw()) for draw in self.trace.draws]
        return [*arrays, *(tensor_of(x.data, x) for x in self.leaves), *found, *drawn]

    def __call__(self, operands: Sequence[Any]) -> Any:
        """Compute, set what changes, and record if gradients are wanted."""
        try:
            if self.is_mixed or not self.are_apart(operands[: self.count]):
                raise CheckFailed
            found = self.forward(operands)
        except CheckFailed:  # the function itself says why
            with drawn_before(operands[self.first_draw :]):
                return self.function_on(operands)
        return fill(self.trace.form, self.recorded(found, operands))

    def are_apart(self, arrays: Sequence[Any]) -> bool:
        """Whether no argument is a tensor that the function finds around it, too."""
        return not self.leaves or not any(isinstance(x, Tensor) and x.node in self.leaves for x in arrays)

    def function_on(self, operands: Sequence[Any]) -> Any:
        """Call the function itself on arrays."""
        args, kwargs = fill(self.form, operands[: self.count])
        return self.function(*args, **kwargs)

    def gather(self, operands: Sequence[Any], k: int = -1, seed: Any = None) -> dict[Value, Any]:
        """Return the arrays and numbers of the program's inputs; of the upstream gradients, that of output ``k``."""
        arrays: dict[Value, Any] = {}
        for v, x in self.places.items():
            if type(x) is not tuple:
                arrays[v] = array_of(operands[x]) if type(x) is int else x
            elif x[0] == "number":
                arrays[v] = np.float64(operands[-1][x[1]])
            elif x[1] == k:
                arrays[v] = seed
        return arrays

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Compute the outputs, and what backward needs; set what changes once all checks are passed."""
        arrays = self.gather(operands)
        self.program.run(0, arrays)
        if not all(holds(self.program.array(v, arrays)) for v, holds in self.checks):
            raise CheckFailed
        for place, v in self.changes:
            if isinstance(v, Value):
                x = self.program.array(v, arrays)
            else:
                x = operands[-1][v] if isinstance(v, Number) else v
            if type(place) is int:
                self.state.places[place].set(x)
            else:
                setattr(operands[place[1]], place[0], x)
        return [self.program.array(v, arrays) for v in self.outs], [arrays[v] for v in self.program.extras]

    def recorded(self, found: tuple[list[Any], list[Any]], operands: Sequence[Any]) -> list[Any]:
        """Return the outputs, each recorded by its op; of a whole step, as constants."""
        self.ready.found = found
        try:
            outs = zip(self.ops, self.trace.tensors, found[0], strict=True)
            return [op.call(*operands) if op else Tensor(x, requires_grad=False) if t else x for op, t, x in outs]
        finally:
            self.ready.found = None

    # The op of each output, whose operands are the arrays given, leaves captured, buffers and what is drawn.

    def make_op(self, k: int) -> Fused:
        """Return the op that computes output ``k``."""

        def run(*operands: Any) -> tuple[Any, ...]:
            return self.value_of(k, operands)

        names = [f"x{i}" for i in range(len(self.at))]
        run.__name__ = f"compiled_{self.name}" if f"compiled_{self.name}".isidentifier() else "compiled"
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
        )
        spelled = self.name.replace("_", r"\_")
        return Fused(
            run, run, rf"\mathrm{{{spelled}}}({', '.join('$' + n for n in names)})", {},
            says=f"Runs {self.name}, compiled.", family="fused",
            definition=functools.partial(self.define, k), backward=functools.partial(self.backward, k),
        )  # fmt: skip

    def value_of(self, k: int, operands: Sequence[Any]) -> tuple[Any, ...]:
        """Return output ``k``, and what its backward needs; all outputs are computed at once."""
        try:
            outs, extras = getattr(self.ready, "found", None) or self.forward(operands)
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
        with kept(self.state.places), drawn_before(operands[self.first_draw :]):
            self.state.set(operands[self.count + len(self.leaves) : self.first_draw])
            flatten(self.function_on(operands), outs)
        return outs[k]

    def backward(self, k: int, g: Any, operands: Sequence[Any], extras: Sequence[Any]) -> list[Any]:
        """Return the gradients of output ``k`` in all operands."""
        arrays = self.gather(operands, k, g)
        arrays.update(zip(self.program.extras, extras[0], strict=True))
        self.program.run(k + 1, arrays)
        found = [None if v is None else self.program.array(v, arrays) for v in self.grads[k]]
        return found + [None] * (len(operands) - len(found))


def is_so(answer: bool, condition: Any) -> bool:
    """Whether a condition has an answer."""
    return bool(condition) is answer


def captured_leaves(outs: Iterable[Tensor]) -> list[Leaf]:
    """Return the leaves behind Tensors whose arrays are no stand-ins: those that a function closes over."""
    nodes = order_of(t.node for t in outs)[::-1]
    return [x for x in nodes if isinstance(x, Leaf) and not isinstance(x.data, StandIn)]
