"""Whether ops record, under PyTorch's names."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from tinygraph.engine.context import CONTEXT, within

__all__ = ["enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])
OPEN: ContextVar[tuple[tuple[object, contextlib.AbstractContextManager[None]], ...]]
OPEN = ContextVar("tinygraph.open", default=())  # blocks of this thread or task, each behind the object that opened it


class Recording(contextlib.ContextDecorator):
    """A block in which ops record, or do not. One object may be entered again, inside of itself and by each thread."""

    def __init__(self, mode: bool, alone: str = "") -> None:
        self.mode, self.alone = mode, alone  # ``alone``: the warning if no block or function uses it

    def __enter__(self) -> None:
        self.alone = ""
        block = within(recording=self.mode)
        block.__enter__()
        OPEN.set((*OPEN.get(), (self, block)))

    def __exit__(self, *error: Any) -> None:
        last = max(k for k, (owner, _) in enumerate(OPEN.get()) if owner is self)
        block = OPEN.get()[last][1]
        OPEN.set(OPEN.get()[:last] + OPEN.get()[last + 1 :])
        block.__exit__(*error)

    def __call__(self, function: F) -> F:
        self.alone = ""
        return super().__call__(function)

    def __del__(self) -> None:
        if self.alone:
            warnings.warn(self.alone, RuntimeWarning, stacklevel=2)


class Block:
    """A function that returns a block. Used as if it were the block, it says what to write; it decorates as it is."""

    def __init__(self, function: Callable[[], Recording]) -> None:
        functools.update_wrapper(self, function)
        self.make = function

    def __call__(self, *decorated: Callable[..., Any]) -> Any:
        return self.make()(*decorated) if decorated else self.make()

    def __enter__(self) -> NoReturn:
        raise TypeError(f"brackets are missing: write with tinygraph.{self.make.__name__}(): …")

    def __exit__(self, *error: object) -> None:
        """Do nothing: such a block is never entered."""


def is_grad_enabled() -> bool:
    """Return whether ops record: False inside of `no_grad`.

    Returns:
        True or False, as ``torch.is_grad_enabled``.

    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """
    return CONTEXT.get().recording


@Block
def no_grad() -> Recording:
    """Compute without recording: results inside are constants, as with ``torch.no_grad()``.

    Returns:
        A context for a ``with`` statement, which may be entered again; or a decorator.

    >>> from tinygraph import Tensor
    >>> x = Tensor([3.0])
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    return Recording(False)


@Block
def enable_grad() -> Recording:
    """Let ops record again inside of `no_grad`.

    Returns:
        A context for a ``with`` statement, which may be entered again; or a decorator.

    >>> with no_grad(), enable_grad():
    ...     is_grad_enabled()
    True
    """
    return Recording(True)


def set_grad_enabled(mode: bool) -> Recording:
    """Let ops record, or not, for the length of a ``with`` block.

    Called without ``with`` it changes nothing, unlike PyTorch's, and warns.

    Args:
        mode: whether ops record.

    Returns:
        A context for a ``with`` statement, which may be entered again; or a decorator.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """
    written = f"set_grad_enabled({bool(mode)})"
    return Recording(bool(mode), f"{written} alone does nothing: write with tinygraph.{written}: …")
