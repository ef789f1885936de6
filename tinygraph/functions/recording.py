"""Whether ops record, under PyTorch's names; `tinygraph.no_grad` is in the engine."""

from __future__ import annotations

import contextlib

from tinygraph.engine.context import CONTEXT, within

__all__ = ["enable_grad", "is_grad_enabled", "set_grad_enabled"]


def is_grad_enabled() -> bool:
    """Return whether ops record: False inside of `no_grad`.

    Returns:
        True or False, as ``torch.is_grad_enabled``.

    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """
    return CONTEXT.get().recording


def set_grad_enabled(mode: bool) -> contextlib.AbstractContextManager[None]:
    """Let ops record, or not, for the length of a ``with`` block. Called without ``with`` it does nothing.

    Args:
        mode: whether ops record.

    Returns:
        A context manager.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """
    return within(recording=mode)


def enable_grad() -> contextlib.AbstractContextManager[None]:
    """Let ops record again inside of `no_grad`.

    Returns:
        A context manager.

    >>> with no_grad(), enable_grad():
    ...     is_grad_enabled()
    True
    """
    return within(recording=True)
