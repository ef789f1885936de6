"""Where an op is called: inside which scopes, and whether it records."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["composite", "scope"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True, slots=True, eq=False)  # slots are read fastest, and each op reads them
class Context:
    """Where an op is called: inside which scopes, and whether it records. ``outer`` is what its block lies in."""

    scope: tuple[str, ...] = ()
    recording: bool = True
    outer: Context | None = None


CONTEXT: ContextVar[Context] = ContextVar("tinygraph", default=Context())
WALK: ContextVar[Any] = ContextVar("tinygraph.walk", default=None)  # what carries gradients back, if not autodiff's
LEFT: ContextVar[frozenset[Context]] = ContextVar("tinygraph.left", default=frozenset())  # out of their order


@contextlib.contextmanager
def within(*names: str, **changes: Any) -> Iterator[None]:
    """Change the current context for the length of a ``with`` block; ``names`` are boxes to go into.

    Generators may leave their blocks in another order than they entered them: one that is not the innermost is only
    noted, and passed over when the blocks inside of it are left.
    """
    here = CONTEXT.get()
    mine = Context(**{"scope": here.scope + names, "recording": here.recording, "outer": here, **changes})
    CONTEXT.set(mine)
    try:
        yield
    finally:
        now: Context | None = CONTEXT.get()
        if now is mine:
            while here in LEFT.get() and here.outer:
                LEFT.set(LEFT.get() - {here})
                here = here.outer
            CONTEXT.set(here)
            now = None
        while now and now is not mine:
            now = now.outer
        if now:  # inner blocks are still open
            LEFT.set(LEFT.get() | {mine})


def scope(*names: str) -> contextlib.AbstractContextManager[None]:
    """Put the ops called inside into a named box: ``with scope("block1"): …``. Scopes nest.

    A generator that yields inside of one leaves its caller inside, until it goes on or is closed, in the same thread.

    Args:
        names: of the boxes, outer before inner.

    Returns:
        A context for a ``with`` statement.

    >>> from tinygraph import Tensor
    >>> with scope("net"), scope("bn1"):
    ...     y = Tensor([1.0]) * 2
    >>> y.node.scope
    ('net', 'bn1')
    """
    return within(*names)


def composite(function: F) -> F:
    """Mark a function made of ops: in a drawing its nodes share a box that bears its name.

    Args:
        function: the function; its name becomes the scope.

    Returns:
        A function that does the same inside that scope.

    >>> from tinygraph import Tensor
    >>> @composite
    ... def double(x):
    ...     return x + x
    >>> double(Tensor([1.0])).node.scope
    ('double',)
    """

    @functools.wraps(function)
    def inner(*args: Any, **params: Any) -> Any:
        here = CONTEXT.get()
        token = CONTEXT.set(Context((*here.scope, function.__name__), here.recording, here))
        try:
            return function(*args, **params)
        finally:
            CONTEXT.reset(token)

    return inner  # type: ignore[return-value]
