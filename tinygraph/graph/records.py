"""Look at live records and change none: which there are behind a tensor, what they keep, what they send back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from tinygraph.autodiff.backward import freed_error, walk
from tinygraph.engine.tensor import Record
from tinygraph.engine.types import Array

__all__ = ["all_inputs", "behind", "differentiated_inputs", "kept_arrays", "pull_back"]


def all_inputs(record: Record) -> tuple[Any, ...]:
    """Return the inputs of a record: records, and constants as the caller gave them.

    Raises:
        RuntimeError: ``backward(retain_graph=False)`` has freed them.
    """
    if record.op and not record.inputs:
        raise freed_error(record)
    return record.inputs


def differentiated_inputs(record: Record) -> list[Record]:
    """Return the inputs of a record that it sends a gradient to.

    Raises:
        RuntimeError: ``backward(retain_graph=False)`` has freed them.
    """
    if record.saved is None:
        raise freed_error(record)
    return [x for x, args in zip(record.inputs, record.saved, strict=True) if args is not None]


def behind(roots: Iterable[Record], follow: Callable[[Record], Iterable[Any]] = all_inputs) -> list[Record]:
    """Return some records and all that they were made from, inputs before what is made of them.

    Args:
        roots: where to start.
        follow: gives the inputs of a record to go on to; constants among them are passed over.

    Returns:
        Each record once, in the order in which they were made.

    >>> from tinygraph import Tensor
    >>> y = (Tensor([1.0], name="x") * 2).named("y")
    >>> [record.name for record in behind([y.node])]
    ['x', 'y']
    """
    seen = set(roots)
    stack = list(seen)
    while stack:
        new = {x for x in follow(stack.pop()) if isinstance(x, Record)} - seen
        seen |= new
        stack += new
    return sorted(seen, key=attrgetter("id"))


def kept_arrays(saved: Any) -> list[Array]:
    """Return the arrays in what records save for their derivative lines, each once, however it is nested."""
    found: dict[int, Array] = {}
    stack = [saved]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple | list):
            stack += item
        elif hasattr(item, "nbytes"):
            found[id(item)] = item
    return list(found.values())


def pull_back(record: Record, g: Array) -> list[Array | None]:
    """Return what a record, whose gradient is ``g``, sends to each of its inputs; None where it sends nothing."""
    sent: list[Array] = []
    goals = {x for x in record.inputs if isinstance(x, Record)}
    walk({record: g}, goals, watch=lambda at, gx: sent.append(gx) if at is record else None)
    rest = iter(sent)
    return [None if args is None else next(rest) for args in record.saved or ()]
