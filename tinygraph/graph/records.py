"""Look at live records and change none: which there are behind a tensor, what they keep, what they send back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from tinygraph.autodiff.backward import Derivative, freed_error, walk
from tinygraph.engine.tensor import Record
from tinygraph.engine.types import Array

__all__ = [
    "all_inputs",
    "behind",
    "behind_with_values",
    "derivative",
    "differentiated_inputs",
    "given_names",
    "identity",
    "kept_arrays",
    "pull_back",
]


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


def derivative(record: Record) -> Derivative | None:
    """Return what a recorded backward pass says of a record that it made: whose derivative line it is part of."""
    return next((name for name in record.scope if isinstance(name, Derivative)), None)


def behind_with_values(roots: Iterable[Record]) -> list[Record]:
    """Return what `behind` does, and of recorded gradients also the values that they are gradients of.

    Where ``backward(retain_graph=False)`` has freed those, they are left out.
    """

    def follow(record: Record) -> tuple[Any, ...]:
        found = derivative(record)
        return (*all_inputs(record), *([found.node, *found.roots] if found else []))

    roots = list(roots)
    plain = behind(roots)
    try:
        return behind(roots, follow)
    except RuntimeError:
        return plain


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


def identity(array: Any) -> Any:
    """Return what only the same numbers in the same order have in common: a flattened array is still that array."""
    if getattr(array, "size", 0) and hasattr(array, "__array_interface__") and array.flags.c_contiguous:
        return array.__array_interface__["data"][0], array.nbytes
    return id(array)


def given_names(records: Iterable[Record]) -> Callable[[Record, Any], str | None]:
    """Return a function that tells what a plain array, an operand of a record, was called where a module was called.

    A module notes at its output which arrays it was given. They lived as long as the call did, and what the records
    of the call use is alive still; so among these no other array can have the identity of one of them.
    """
    calls = sorted((record.id, *vars(record)["given"]) for record in records if "given" in vars(record))
    ends = [end for end, _, _ in calls]

    def name_of(record: Record, array: Any) -> str | None:
        k = bisect_left(ends, record.id)
        if k == len(ends) or record.id <= calls[k][1] or not hasattr(array, "dtype"):
            return None
        names: dict[Any, str] = calls[k][2]
        return names.get(identity(array))

    return name_of
