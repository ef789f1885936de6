"""When a check fails, find the op that is to blame: each node of the graph is checked alone, at its own operands.

All nodes may be right and the check fail all the same: at a kink, where there is no derivative, or where the function
cuts a gradient off, as ``detach()`` does. The differences of the values see what was cut.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np

from tinygraph.engine.errors import written_at
from tinygraph.engine.op import Op
from tinygraph.engine.tensor import Leaf, Record
from tinygraph.engine.types import Array, Value
from tinygraph.functions.transforms import pull
from tinygraph.graph.records import behind
from tinygraph.kernels.arrays import to_numpy
from tinygraph.verify.differences import Check, Comparison, Limits, index_of
from tinygraph.verify.inputs import Function, draw_normal

__all__ = ["explain_first", "explain_kernel", "explain_second", "root_mean_square"]

STEPS = (1e-6, 1e-5, 1e-7)  # of the size of an operand: a derivative that is wrong is wrong at each of them
ELEMENTS = 256  # how many elements of an operand are moved at most
REPORTS = 3  # how many faults are reported at most
TINY = 1e-6  # share of an op's greatest derivative below which an error does not count

SecondOrder = Callable[[Check], Check]  # makes, of the check of a function, the check of its gradients


class NodeCheck(Check):
    """The check of one node's op alone, at the operands that it had.

    Attributes:
        op: the op.
        places: indices of the operands that are checked: those of float64 that a gradient may reach.
    """

    def __init__(self, what: str, node: Record, operands: Sequence[Value]) -> None:
        self.op = op = cast(Op, node.op)
        self.box = f" in {'/'.join(node.scope)}" if node.scope else ""
        self.places = [
            i
            for i, (x, array) in enumerate(zip(node.inputs, operands, strict=True))
            if isinstance(x, Record) and x.needs and array.dtype == np.float64
        ]

        def func(*xs: Value) -> Value:
            chosen = dict(zip(self.places, xs, strict=True))
            return op(*(chosen.get(i, x) for i, x in enumerate(operands)), **node.params)

        super().__init__(what, func, [operands[i] for i in self.places], [name_operand(op, i) for i in self.places])

    def line(self, i: int) -> Function | None:
        """Return the derivative line of the operand in place ``i``, or the kernel of a fused op."""
        if self.op.definition is not None:
            return cast(Function, vars(self.op)["backward"])
        return cast("Function | None", self.op.lines[0 if self.op.variadic else self.places[i]])

    def name_line(self, i: int) -> str:
        """Name the derivative line of the operand in place ``i``, with its file and line."""
        if self.op.definition is not None:
            return f"the backward kernel of {self.op.name}{self.box} for {self.inputs[i]}{written_at(self.line(i))}"
        return f"the derivative line of {self.op.name}{self.box} for {self.inputs[i]}{written_at(self.line(i))}"


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with the derivative of an op; or, with ``wrong=False``, why it has none at its operands.

    ``derivative`` is the name of the op and that of the operand.
    """

    text: str
    wrong: bool
    derivative: tuple[str, str] = ("", "")


def explain_first(check: Check, worst: Comparison, limits: Limits, rng: np.random.Generator) -> str:
    """Say which op makes a check of first derivatives fail; nothing where that is not known."""
    with np.errstate(all="ignore"):
        faults = [fault for alone in node_checks(check) for fault in first_faults(alone, limits.rtol, rng)]
    if any(fault.wrong for fault in faults):
        return join_faults(faults)
    return join_faults(faults, cut_gradients(check, rng)) or kink_at(check, worst, limits, rng)


def explain_second(
    first: Check, second: Check, second_order: SecondOrder, worst: Comparison, limits: Limits, rng: np.random.Generator
) -> str:
    """Say which op makes a check of second derivatives fail; nothing where that is not known.

    Either an op that the backward pass uses has a wrong derivative line; or a line gives the right value, and has
    itself a wrong derivative.
    """
    rtol = limits.rtol
    with np.errstate(all="ignore"):
        faults = [fault for alone in node_checks(second) for fault in first_faults(alone, rtol, rng)]
        if not any(fault.wrong for fault in faults):
            faults += [f for alone in node_checks(first) for f in second_faults(alone, second_order(alone), rtol, rng)]
    if any(fault.wrong for fault in faults):
        return join_faults(faults)
    return join_faults(faults, cut_gradients(second, rng)) or kink_at(second, worst, limits, rng)


def explain_kernel(check: Check, rng: np.random.Generator) -> str:
    """Say which op gives another gradient when the backward pass is recorded; nothing where none does."""
    for alone in node_checks(check):
        leaves, (y,) = alone.record()
        g = draw_normal(rng, y.data)
        arrays, recorded = pull([y], leaves, [g]), pull([y], leaves, [g], create_graph=True)
        for i, (a, b) in enumerate(zip(arrays, recorded, strict=True)):
            if not np.allclose(to_numpy(a), to_numpy(b.data), 1e-6, 1e-9, equal_nan=True):
                if (definition := alone.op.definition) is None:
                    return f"{alone.name_line(i)} gives one value on arrays and another on Tensors (create_graph=True)"
                name = f"{getattr(definition, '__name__', '')}{written_at(definition)}"
                return f"{alone.name_line(i)} does not compute the gradient of its definition {name}"
    return ""


def node_checks(check: Check) -> Iterator[NodeCheck]:
    """Yield a check of each node of a function's graph alone, in the order in which they were computed."""
    arrays: dict[Record, Array] = {}
    for node in graph_of(check, check.arrays):
        if isinstance(node, Leaf):
            arrays[node] = node.data
            continue
        operands = [arrays[x] if isinstance(x, Record) else x for x in node.inputs]
        op = cast(Op, node.op)
        arrays[node] = op.value(*operands, **node.params)
        alone = NodeCheck(check.what, node, operands)
        if alone.places and arrays[node].dtype.kind == "f":
            yield alone


def graph_of(check: Check, arrays: Sequence[Array]) -> list[Record]:
    """Call a function with arrays, and return the nodes of its graph, operands first."""
    moved = Check(check.what, check.func, arrays, check.inputs)
    return behind(y.node for y in moved.record()[1])


def first_faults(alone: NodeCheck, rtol: float, rng: np.random.Generator) -> Iterator[Fault]:
    """Yield what is wrong with the first derivatives of a node's op."""
    for found, atol in failures(alone, rtol, rng):
        i = found.input
        if alone.line(i) is None:
            op, x = alone.op, alone.inputs[i]
            text = f"{op.name}{alone.box} has no derivative line for {x}, and its value depends on {x}"
            fault = Fault(f"{text}{written_at(op.function)}", True)
        else:
            fault = fault_of(alone, found, atol, rtol, alone.name_line(i), alone.op.name + alone.box)
        yield dataclasses.replace(fault, derivative=(alone.op.name, alone.inputs[i]))


def second_faults(alone: NodeCheck, gradients: Check, rtol: float, rng: np.random.Generator) -> Iterator[Fault]:
    """Yield what is wrong with the second derivatives of a node's op, whose first ones are right."""
    for found, atol in failures(gradients, rtol, rng):
        line, x = alone.name_line(found.output), gradients.inputs[found.input]
        fault = fault_of(gradients, found, atol, rtol, f"{line} is right, but its own derivative in {x}", line)
        cut = cut_gradients(gradients, rng) if fault.wrong else []
        derivative = alone.op.name, alone.inputs[found.output]
        yield dataclasses.replace(fault, text="; ".join([fault.text, *cut]), derivative=derivative)


def failures(check: Check, rtol: float, rng: np.random.Generator) -> Iterator[tuple[Comparison, Array]]:
    """Yield the comparisons that fail at each of several steps, with the absolute tolerance of each."""
    for j, x in enumerate(check.arrays):
        size = root_mean_square(x) or 1.0
        first: list[tuple[Comparison, Array]] = []
        for step in STEPS:
            failed = []
            with contextlib.suppress(Exception):  # an op that refuses a moved operand cannot be blamed
                for found in check.compare(step * size, rng, [j], ELEMENTS):
                    greatest = np.abs(found.numeric[np.isfinite(found.numeric)]).max(initial=np.finfo(float).tiny)
                    atol = TINY * greatest + found.rounding
                    seen = np.isfinite(found.numeric) | ~np.isfinite(found.analytic)
                    if (seen & (found.excess(atol, rtol) > 1)).any():
                        failed.append((found, atol))
            first = first or failed
            if not failed:
                break
        else:
            yield from first


def fault_of(check: Check, found: Comparison, atol: Array, rtol: float, subject: str, function: str) -> Fault:
    """Tell a wrong derivative from a kink, and from a point where no derivative is finite."""
    excess = found.excess(atol, rtol)
    singular = ~np.isfinite(found.numeric)
    kinks = (excess > 1) & ~singular & found.kinks(atol, rtol)
    wrong = (excess > 1) & ~kinks & ~singular
    if wrong.any():
        excluded = kinks | singular
        rest = dataclasses.replace(
            found,
            analytic=np.where(excluded, 0, found.analytic),
            numeric=np.where(excluded, 0, found.numeric),
        )
        return Fault(check.report(rest, np.where(excluded, 0, excess), subject), True)
    row, column = np.unravel_index((kinks if kinks.any() else singular).argmax(), excess.shape)
    x, array = check.inputs[found.input], check.arrays[found.input]
    place = int(found.elements[column])
    where = f"in {x} at element {index_of(place, array)}, where {x} is {float(array.reshape(-1)[place]):.6g}"
    if not kinks.any():
        return Fault(f"{function} has no finite derivative {where}", False)
    left, right, given = (float(side[row, column]) for side in (found.left, found.right, found.analytic))
    slopes = f"the slope is {left:.6g} on the left and {right:.6g} on the right, and the gradient says {given:.6g}"
    return Fault(f"{function} has a kink {where}: {slopes}. There is no derivative: check at another point", False)


def kink_at(check: Check, worst: Comparison, limits: Limits, rng: np.random.Generator) -> str:
    """Say that a function has a kink where its gradient is worst; nothing if it has none."""
    column = int(worst.excess(limits.atol, limits.rtol).max(0).argmax())
    for found in check.compare(limits.eps / 1000, rng, [worst.input]):  # so near that no curve looks like a kink
        kinks = found.kinks(limits.atol + found.rounding, limits.rtol)[:, column]
        if found.output == worst.output and kinks.any():
            left, right = (float(side[kinks.argmax(), column]) for side in (found.left, found.right))
            element = index_of(int(found.elements[column]), check.arrays[worst.input])
            where = f"{check.inputs[worst.input]} is at a kink of the function, in element {element}"
            return f"{where}: the slope is {left:.4g} on the left and {right:.4g} on the right"
    return ""


def cut_gradients(check: Check, rng: np.random.Generator) -> list[str]:
    """Name the constants of a graph that change with an input of the function: no gradient goes through them."""
    found: dict[str, list[str]] = {}
    nodes = graph_of(check, check.arrays)
    operands = {x for node in nodes for x in node.inputs if isinstance(x, Record)}
    for j, x in enumerate(check.arrays):
        near = x + 1e-6 * (root_mean_square(x) or 1.0) * draw_normal(rng, x)
        moved = graph_of(check, [*check.arrays[:j], near, *check.arrays[j + 1 :]])
        if [node.op for node in nodes] != [node.op for node in moved]:
            continue  # it computes otherwise there
        for node, other in zip(nodes, moved, strict=True):
            if node not in operands and not same_constant(node, other):
                found.setdefault("the output of the function", []).append(check.inputs[j])
            for i, (a, b) in enumerate(zip(node.inputs, other.inputs, strict=True)):
                if not same_constant(a, b):
                    box = f" in {'/'.join(node.scope)}" if node.scope else ""
                    op = cast(Op, node.op)
                    found.setdefault(f"operand {name_operand(op, i)} of {op.name}{box}", []).append(check.inputs[j])
    return [
        f"{operand} is a constant that changes with {' and '.join(inputs)}: .detach(), .data or no_grad() cuts its "
        "gradient off. The differences see what was cut, and the gradient does not"
        for operand, inputs in found.items()
    ]


def same_constant(a: Value, b: Value) -> bool:
    """Say whether two operands are not constants of floating point, or are equal ones."""
    if isinstance(a, Record):
        if not isinstance(a, Leaf) or a.needs:
            return True
        a, b = a.data, b.data
    a, b = (to_numpy(x) for x in (a, b))
    return a.dtype.kind != "f" or np.array_equal(a, b, equal_nan=True)


def join_faults(faults: Sequence[Fault], more: Sequence[str] = ()) -> str:
    """Write faults in a sentence: those that are wrong if there are any, and each derivative once."""
    shown = [fault for fault in faults if fault.wrong] or faults
    first = {fault.derivative: fault.text for fault in reversed(shown)}
    return "; ".join([*list(first.values())[::-1][:REPORTS], *more])


def name_operand(op: Op, i: int) -> str:
    """Return what operand ``i`` of an op is called: ``x``, or ``xs[1]``."""
    return f"{op.operands[0]}[{i}]" if op.variadic else op.operands[i]


def root_mean_square(array: Array) -> float:
    """Return the root of the mean of the squares."""
    return float((array * array).mean()) ** 0.5 if array.size else 0.0
