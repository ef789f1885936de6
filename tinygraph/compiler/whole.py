"""A training step as one program: its gradients, and what an optimizer does with them, are part of it.

Parameters, their gradients, the buffers of modules and what optimizers remember lie in places. A program reads them at
each call, and sets those that change once all checks are passed. Numbers, such as the learning rate and the count of
steps, are computed in Python at each call; where a condition on one turns out otherwise, another program is made.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygraph.autodiff.backward import order_of, walk_recorded
from tinygraph.compiler.keys import PLAIN, fill, flatten
from tinygraph.compiler.program import in_memory_order
from tinygraph.compiler.standin import CompileError, Number
from tinygraph.compiler.state import Given, Place, State, drawn_before
from tinygraph.compiler.trace import Trace
from tinygraph.compiler.values import Value
from tinygraph.compiler.version import CheckFailed, Found, Version, captured_leaves
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


def options(group: dict[str, Any]) -> Iterator[Place]:
    """Yield the numbers among the options of a group, those in pairs one by one."""
    for key, x in group.items():
        if type(x) in NUMBERS:
            yield Place(key, group, key, "option")
        elif key != "params" and isinstance(x, tuple | list) and NUMBERS.issuperset(map(type, x)):
            yield from (Place(f"{key}[{i}]", group, key, "option", i) for i in range(len(x)))


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
        for t, name in self.names.items():
            self.places.append(Place(name, t, "data", "data"))
            self.places += [Place(f"d{name}", t, "grad", "grad")] * t.requires_grad
        for o, group in self.groups:
            self.places += options(group)
            for p in group["params"]:
                found = [(key, x) for key, x in o.state.get(p, {}).items() if hasattr(x, "dtype") or type(x) in NUMBERS]
                self.places += [Place(f"{key} of {self.names[p]}", o.state[p], key, "entry") for key, _ in found]
        self.kinds = self.facts(self.get())

    def facts(self, found: Sequence[Any]) -> list[Any]:
        """Return all that a program for these places depends on, of what was ``found`` in them."""
        facts: list[Any] = [t.requires_grad for t in self.tensors]
        for place, x in zip(self.places, found, strict=True):
            if place.kind != "grad":
                facts.append(kind(x))
            elif self.reads_gradients:
                facts.append(x is None)
        for o, group in self.groups:
            entries = [(id(p), id(o.state[p]), *o.state[p]) for p in group["params"] if o.state.get(p)]
            facts += [kind(x) for key, x in group.items() if key != "params"], entries, len(group["params"])
        return facts

    def stand_in(self, trace: Trace, place: Place, x: Any) -> Any:
        """Return what stands in a place while tracing; of a gradient, also where there is none yet."""
        if place.kind == "grad" and x is None:
            return None if self.reads_gradients else trace.stand_in(place.owner, place.name)
        found = super().stand_in(trace, place, x)
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
    def leaves(self, trace: Trace, given: Given) -> Iterator[None]:
        """Let optimizers be afterwards what they were."""
        plain = [{k: v for k, v in vars(o).items() if isinstance(v, PLAIN)} for o in self.optimizers]
        known = [{p: dict(entries) for p, entries in o.state.items()} for o in self.optimizers]
        passes = [t.node.passes for t in self.tensors]
        try:
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
                for p in list(o.state):
                    o.state[p].clear()
                    o.state[p].update(entries.get(p, {}))
                    if p not in entries:
                        del o.state[p]
            for t, count in zip(self.tensors, passes, strict=True):
                t.node.passes = count


class WholeVersion(Version):
    """A step, compiled for one key: all of it is one way."""

    state: WholeState

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for step in self.program.steps:
            step.way = "step"

    def trace_twice(self, arrays: Sequence[Any]) -> Found:
        """Trace; again, if the step goes on from the gradients that it finds, with those that there are."""
        while True:
            found = super().trace_twice(arrays)
            wanted = [*found.outs, *(v for _, v in found.changes if isinstance(v, Value))]
            wanted += (found.lowering.of(c) for c, _ in found.trace.tests)
            sources = [v.facts["source"] for v in in_memory_order(wanted) if v.op == "in"]
            reads = any(kind == "buffer" and self.state.places[i].kind == "grad" for kind, i in sources)
            if self.state.reads_gradients or not reads:
                break
            self.state.reads_gradients = True
            self.state.kinds = self.state.facts(self.state.get())
        self.given, self.guards = found.lowering.given, found.trace.guards
        self.inputs = {x: i for i, x in enumerate(x for kind, x in sources if kind == "number")}
        self.numbers = behind([*self.inputs, *(x for _, x in found.changes if isinstance(x, Number))])
        self.guarded = behind(self.guards)
        return found

    def run_traced(self, arrays: Sequence[Any], trace: Trace) -> Any:
        """Run the step on stand-ins; return its outputs, and what it sets."""
        given: Given = {}
        held = [self.stand_in(i, x, trace, given) for i, x in enumerate(arrays)]
        before = list(map(array_of, held))
        args, kwargs = fill(self.form, held)
        token = WALK.set(functools.partial(walk, trace))
        try:
            with self.state.traced(trace, given) as changes:
                returned = self.function(*args, **kwargs)
        finally:
            WALK.reset(token)
        for i, (t, x) in enumerate(zip(held, before, strict=True)):
            if isinstance(t, Tensor):
                changes += [(("data", i), t._data)] * (t._data is not x)
                changes += [(("grad", i), t.node.grad)] * (t.node.grad is not None)
        outs: list[Any] = []
        form = flatten(returned, outs)
        tensors = [isinstance(x, Tensor) for x in outs]
        trace.roots += [x for x in outs if isinstance(x, Tensor)]
        return [array_of(x) for x in outs], form, tensors, [], given, [], changes

    def stand_in(self, i: int, x: Any, trace: Trace, given: Given) -> Any:
        """Return what stands for an argument while tracing."""
        found = super().stand_in(i, x, trace, given)
        if isinstance(x, Tensor):
            name = x.name or self.names.get(i, "an argument")
            if x.node.op:
                raise CompileError(f"compile: {name} was computed, and no gradient goes there: pass {name}.detach()")
            if x in self.state.names:
                raise CompileError(f"compile: {name} is an argument, and the step finds it elsewhere too: leave it out")
            trace.nodes[found.node] = array_of(found)
        return found

    def make_op(self, k: int) -> None:
        """Make none: what a step returns is not differentiated."""

    def place(self, kind: str, what: Any) -> Any:
        """Return where an input is: numbers come last."""
        if kind == "number":
            return self.count + len(self.leaves) + len(self.state.places) + len(self.draws) + self.inputs[what]
        return super().place(kind, what)

    def values(self, numbers: Iterable[Number], arrays: Sequence[Any], found: Sequence[Any]) -> dict[Number, Any]:
        """Return what numbers are in this call, of its arguments and of what was ``found`` in the places."""
        at: dict[Number, Any] = {}
        for n in numbers:
            if n.made is None:
                kind, i = self.given[n]
                at[n] = arrays[i] if kind == "argument" else found[i]
            else:
                function, args, _ = n.made
                at[n] = function(*[at[a] if isinstance(a, Number) else a for a in args])
        return at

    def is_valid(self, arrays: Sequence[Any]) -> bool:
        """Whether what the step finds is of the kind that it was, and conditions on numbers have the same answers."""
        self.ready.places = found = self.state.get()
        if self.state.facts(found) != self.state.kinds or not super().is_valid(arrays):
            return False
        at = self.values(self.guarded, arrays, found)
        return all(bool(at[n]) == answer for n, answer in self.guards.items())

    def __call__(self, arrays: Sequence[Any]) -> Any:
        """Compute, and set what changes."""
        if any(type(place) is tuple and arrays[place[1]].grad is not None for place, _ in self.changes):
            return self.function_on(arrays)  # gradients of arguments would be added up
        places = getattr(self.ready, "places", None) or self.state.get()  # as `is_valid` found them just now
        self.ready.places = None
        drawn, at = [self.program.on_device(draw()) for draw in self.draws], self.values(self.numbers, arrays, places)
        operands = [*arrays, *(tensor_of(x.data, x) for x in self.leaves), *places, *drawn]
        try:
            found = self.run_forward([*map(array_of, operands), *(np.float64(at[n]) for n in self.inputs)])
        except CheckFailed:  # the step itself says why
            with drawn_before(drawn):
                return self.function_on(operands)
        for place, v in self.changes:
            x = self.program.array(v, found) if isinstance(v, Value) else at[v] if isinstance(v, Number) else v
            if type(place) is int:
                self.state.places[place].set(x)
            else:
                setattr(arrays[place[1]], place[0], x)
        outs = [self.program.array(v, found) for v in self.outs]
        made = [Tensor(x, requires_grad=False) if t else x for t, x in zip(self.tensors, outs, strict=True)]
        return fill(self.out_form, made)


def behind(numbers: Iterable[Number]) -> list[Number]:
    """Return all numbers that some are made of, and these, in the order in which they were made."""
    found, stack = dict[Number, None](), list(numbers)
    while stack:
        n = stack.pop()
        if n not in found:
            found[n] = None
            stack += [a for a in (n.made or ((), ()))[1] if isinstance(a, Number)]
    return sorted(found, key=lambda n: n.id)
