"""A training step as one program: its gradients, and what an optimizer does with them, are part of it.

Parameters, their gradients, the buffers of modules and what optimizers remember lie in places. A program reads them at
each call, and sets those that change once all checks are passed. Numbers, such as the learning rate and the count of
steps, are computed in Python at each call; where a condition on one turns out otherwise, another program is made.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from tinygraph.autodiff.backward import order_of, walk_recorded
from tinygraph.compiler.algebra import below
from tinygraph.compiler.keys import PLAIN
from tinygraph.compiler.standin import CompileError, Number
from tinygraph.compiler.state import Place, State, kept, setting
from tinygraph.compiler.trace import Trace
from tinygraph.compiler.version import Version, captured_leaves
from tinygraph.engine.context import CONTEXT, WALK, within
from tinygraph.engine.op import tensor_of
from tinygraph.engine.tensor import Record, Tensor, array_of

NUMBERS = {int, float}


class FirstStep(BaseException):
    """An optimizer begins to remember something: that call is another one than all that follow, and runs as it is."""


def walk(trace: Trace, grads: dict[Record, Any], only: Any = None, keep: Any = (), **how: Any) -> None:
    """Carry gradients back in a step that is traced, by the walk that records."""
    trace.roots += [tensor_of(None, node) for node in grads]
    if lost := [leaf for leaf in captured_leaves(trace.roots) if leaf.needs]:
        raise CompileError(
            f"compile: {lost[0].name or 'a tensor'} gets a gradient, and the step does not know whose it is: name its "
            "module in the step, or pass the module as an argument"
        )
    found = {node: Tensor(array_of(g), requires_grad=False) for node, g in grads.items()}
    with within(scope=("grad", *CONTEXT.get().scope), recording=True):
        walk_recorded(order_of(grads), found, only)
    grads.clear()
    grads.update({node: t._data for node, t in found.items() if node.op is None or node in keep})


def kind(x: Any) -> Any:
    """Return what a program depends on of an array, a number, or an option."""
    if hasattr(x, "dtype"):
        return x.shape, x.dtype
    if type(x) in NUMBERS:
        return type(x)
    return tuple(map(kind, x)) if isinstance(x, tuple | list) else x


class WholeState(State):
    """The places of a step: tensors, gradients, buffers, and the options and entries of optimizers.

    Args:
        objects: what the step finds around it, and is given.
    """

    reads_gradients = False  # whether the step goes on from the gradients that it finds

    def __init__(self, objects: Sequence[Any]) -> None:
        self.optimizers = list(dict.fromkeys(x for x in objects if hasattr(x, "param_groups")))
        self.groups = [(o, group) for o in self.optimizers for group in o.param_groups]
        for x in objects:
            has_no_update = hasattr(x, "param_groups") and type(x).update.__qualname__ == "Optimizer.update"
            if has_no_update or hasattr(x, "last_epoch"):
                raise CompileError(
                    f"compile: {type(x).__name__} decides by values what it does next: call it outside of the step"
                )
        super().__init__([*objects, *(p for _, group in self.groups for p in group["params"])])
        self.leaves = []  # they are among the places
        for t, name in self.names.items():
            self.places.append(Place(name, t, "data", "data"))
            self.places += [Place(f"d{name}", t, "grad", "grad")] * t.requires_grad
        for o, group in self.groups:
            each = {key: x if type(x) in (tuple, list) else [x] for key, x in group.items()}
            numbers = [key for key, x in each.items() if NUMBERS.issuperset(map(type, x))]
            self.places += [Place(key, group, key, "option") for key in numbers]
            for p in group["params"]:
                found = [key for key, x in o.state.get(p, {}).items() if hasattr(x, "dtype") or type(x) in NUMBERS]
                self.places += [Place(f"{key} of {self.names[p]}", o.state[p], key, "entry") for key in found]
        self.kinds = self.facts(self.get())

    def facts(self, found: Sequence[Any]) -> list[Any]:
        """Return all that a program for these places depends on, of what was ``found`` in them."""
        facts: list[Any] = [t.requires_grad for t in self.names]
        for place, x in zip(self.places, found, strict=True):
            if place.kind != "grad":
                facts.append(kind(x))
            elif self.reads_gradients:
                facts.append(x is None)
        for o, group in self.groups:
            entries = [(id(p), id(o.state[p]), *o.state[p]) for p in group["params"] if o.state.get(p)]
            facts += [kind(x) for key, x in group.items() if key != "params"], entries, len(group["params"])
        return facts

    def stand_in(self, trace: Trace, i: int, x: Any) -> Any:
        """Return what stands in a place while tracing; of a gradient, also where there is none yet."""
        place = self.places[i]
        if place.kind == "grad" and x is None:
            return None if self.reads_gradients else super().stand_in(trace, i, place.owner)
        if isinstance(x, tuple | list):
            return type(x)(trace.give("buffer", (i, k), y, f"{place.name}[{k}]") for k, y in enumerate(x))
        found = super().stand_in(trace, i, x)
        if place.kind == "data":
            trace.nodes[place.owner.node] = found
        return found

    def checked(self, place: Place, x: Any) -> Any:
        """Return what a place was set to."""
        if place.kind == "option":
            raise CompileError(f"compile: the step changes {place.name} of an optimizer: do that outside of it")
        is_plain = x is None if place.kind == "grad" else type(x) in NUMBERS and place.kind == "entry"
        return x if is_plain else super().checked(place, x)

    @contextlib.contextmanager
    def traced(self, trace: Trace) -> Iterator[None]:
        """Carry gradients back by the walk that records, too; let optimizers be afterwards what they were."""
        plain = [{k: v for k, v in vars(o).items() if isinstance(v, PLAIN)} for o in self.optimizers]
        known = [{p: dict(entries) for p, entries in o.state.items()} for o in self.optimizers]
        passes = [Place(name, t.node, "passes") for t, name in self.names.items()]
        try:
            with kept(passes), super().traced(trace), setting(WALK, functools.partial(walk, trace)):
                yield
            for o, before, entries in zip(self.optimizers, plain, known, strict=True):
                if changed := [k for k, v in before.items() if vars(o)[k] != v]:
                    raise CompileError(
                        f"compile: {type(o).__name__}.{changed[0]} changes in a step: keep it in the optimizer's state"
                    )
                if any(list(entries.get(p, ())) != list(now) for p, now in o.state.items()):
                    raise FirstStep
        finally:
            for o, before, entries in zip(self.optimizers, plain, known, strict=True):
                vars(o).update(before)
                for p, now in list(o.state.items()):
                    now.clear()
                    now.update(entries.get(p, {}))
                    if p not in entries:
                        del o.state[p]


class WholeVersion(Version):
    """A step, compiled for one key: all of it is one way."""

    state: WholeState

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for step in self.program.steps:
            step.way = "step"

    # Tracing.

    def trace_twice(self, arrays: Sequence[Any]) -> None:
        """Trace; again, if the step goes on from the gradients that it finds, with those that there are."""
        super().trace_twice(arrays)
        sources = [v.facts["source"] for v in below(self.wanted()) if v.op == "in"]
        reads = any(kind == "buffer" and self.state.places[i].kind == "grad" for kind, i in sources)
        if reads and not self.state.reads_gradients:
            self.state.reads_gradients = True
            self.state.kinds = self.state.facts(self.state.get())
            self.trace_twice(arrays)

    def note_gradients(self, held: Sequence[Any], trace: Trace) -> None:
        """Note which gradients and arrays of arguments the step sets; what it returns is not differentiated."""
        for i, t in enumerate(held):
            if isinstance(t, Tensor):
                trace.changes += [(("data", i), t._data)] * (t._data is not trace.nodes.get(t.node))
                trace.changes += [(("grad", i), t.node.grad)] * (t.node.grad is not None)
        trace.roots += [x for x in trace.outs if isinstance(x, Tensor)]
        trace.outs = [array_of(x) for x in trace.outs]

    def stand_in(self, i: int, x: Any, trace: Trace) -> Any:
        """Return what stands for an argument while tracing."""
        found = super().stand_in(i, x, trace)
        if isinstance(x, Tensor):
            name = x.name or self.names.get(i, "an argument")
            if x.node.op:
                raise CompileError(f"compile: {name} was computed, and no gradient goes there: pass {name}.detach()")
            if x in self.state.names:
                raise CompileError(f"compile: {name} is an argument, and the step finds it elsewhere too: leave it out")
            trace.nodes[found.node] = array_of(found)
        return found

    # Running.

    def operands(self, arrays: Sequence[Any]) -> list[Any] | None:
        """Return all that a call depends on, numbers last; None if the step finds what is of another kind."""
        found = self.state.get()
        if self.state.facts(found) != self.state.kinds or self.kinds_of_leaves() != self.kinds:
            return None
        numbers = self.numbers(arrays, found)
        return None if numbers is None else [*self.with_places(arrays, found), numbers]

    def numbers(self, arrays: Sequence[Any], found: Sequence[Any]) -> dict[Number, Any] | None:
        """Return what numbers are in this call, computed in the order of the trace; None where one decides otherwise.

        Args:
            arrays: the arguments.
            found: what lies in the places.
        """
        at: dict[Number, Any] = {}
        for n in self.trace.numbers:
            if n.made is None:
                kind, i = self.trace.given[n]
                at[n] = arrays[i] if kind == "argument" else found[i] if type(i) is int else found[i[0]][i[1]]
            else:
                function, args, _ = n.made
                at[n] = function(*[at[a] if isinstance(a, Number) else a for a in args])
            if n in self.trace.guards and bool(at[n]) != self.trace.guards[n]:
                return None
        return at

    def are_apart(self, arrays: Sequence[Any]) -> bool:
        """Whether no argument has a gradient that another one would be added to."""
        return all(arrays[place[1]].grad is None for place, _ in self.changes if type(place) is tuple)
