"""What a function finds and changes outside of itself: tensors, and the buffers of modules.

A program reads them at each call, and sets buffers anew. While tracing, stand-ins are in their place, so that nothing
is computed from what they are at that time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, NamedTuple

from tinygraph.compiler.standin import CompileError, StandIn
from tinygraph.compiler.trace import Trace
from tinygraph.engine.tensor import Leaf, Tensor
from tinygraph.functions.draws import DRAWS


class Place(NamedTuple):
    """Where something lies that a function finds: an attribute, or what a dict has under a key."""

    name: str
    owner: Any
    key: str
    kind: str = "buffer"

    def get(self) -> Any:
        """Return what lies there."""
        return self.owner[self.key] if type(self.owner) is dict else getattr(self.owner, self.key)

    def set(self, x: Any) -> None:
        """Put something there."""
        if type(self.owner) is dict:
            self.owner[self.key] = x
        elif self.kind == "data" and x.shape == self.owner.shape:  # as the property does, without its checks
            self.owner._data = self.owner.node.data = x
        else:
            setattr(self.owner, self.key, x)


class State:
    """The buffers of modules, such as running statistics.

    Args:
        objects: what a function finds around it, and is given: modules and tensors count.
    """

    def __init__(self, objects: Sequence[Any]) -> None:
        modules = [x for x in objects if hasattr(type(x), "named_modules")]
        tensors = [x for x in objects if isinstance(x, Tensor)]
        named = {p: name for module in modules for name, p in module.named_parameters()}
        self.names = {t: t.node.name or "a tensor" for t in tensors if isinstance(t.node, Leaf)} | named
        self.leaves = [Place(t.node.name or "a tensor", t, "data", "data") for t in self.names]
        every = dict.fromkeys(m for module in modules for _, m in module.named_modules())
        self.places = [Place(n, m, n) for m in every for n in m._buffers if hasattr(getattr(m, n), "dtype")]

    def get(self) -> list[Any]:
        """Return what lies in the places."""
        return [place.get() for place in self.places]

    def set(self, found: Sequence[Any]) -> None:
        """Set the places."""
        for place, x in zip(self.places, found, strict=True):
            place.set(x)

    @contextlib.contextmanager
    def traced(self, trace: Trace) -> Iterator[None]:
        """Put stand-ins in all places, and for what is drawn; note what is set in the end."""
        with kept([*self.places, *self.leaves]), setting(DRAWS, trace.draw):
            for place in self.leaves:
                place.set(trace.give("leaf", place.owner.node, place.get(), place.name))
            stand_ins = [self.stand_in(trace, i, x) for i, x in enumerate(self.get())]
            self.set(stand_ins)
            yield
            after = enumerate(zip(self.places, stand_ins, self.get(), strict=True))
            trace.changes += [(i, self.checked(place, x)) for i, (place, s, x) in after if x is not s]

    def stand_in(self, trace: Trace, i: int, x: Any) -> Any:
        """Return what stands in a place while tracing."""
        return trace.give("buffer", i, x, self.places[i].name)

    def checked(self, place: Place, x: Any) -> Any:
        """Return what a place was set to; raise if that cannot be done again."""
        if not isinstance(x, StandIn):
            raise CompileError(f"compile: {place.name} is set to what does not depend on the arguments: {x!r}")
        return x


@contextlib.contextmanager
def kept(places: Sequence[Place]) -> Iterator[None]:
    """Set places back afterwards."""
    before = [place.get() for place in places]
    try:
        yield
    finally:
        for place, x in zip(places, before, strict=True):
            place.set(x)


@contextlib.contextmanager
def setting(variable: ContextVar[Any], x: Any) -> Iterator[None]:
    """Set a variable of the context for the length of a ``with`` block."""
    token = variable.set(x)
    try:
        yield
    finally:
        variable.reset(token)


def drawn_before(arrays: Iterable[Any]) -> AbstractContextManager[None]:
    """Give what was drawn before, in order, to what draws inside of a ``with`` block."""
    left = iter(arrays)
    return setting(DRAWS, lambda shape, dtype, draw: next(left))
