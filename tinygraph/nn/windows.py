"""What layers of windows share: over how many axes they are, and in which order the axes come."""

from __future__ import annotations

from typing import Any

from tinygraph.engine.types import Value
from tinygraph.nn.module import Module
from tinygraph.ops.shape import moveaxis
from tinygraph.ops.windows import fill_in

__all__ = ["OverAxes"]


class OverAxes(Module):
    """A layer over ``rank`` axes, which a subclass names: ``class AvgPool2d(AvgPool, rank=2)``.

    The docstring of the parent goes on after the first line of the subclass; what stands there in capitals is filled
    in, as `tinygraph.ops.windows.fill_in` says.
    """

    rank = 0
    channels_last = False
    _text = ""  # the rest of a docstring, with words in capitals

    def __init_subclass__(cls, rank: int = 0, **options: Any) -> None:
        super().__init_subclass__(**options)
        if rank:
            cls.rank, cls.__doc__ = rank, fill_in(f"{cls.__doc__}\n{cls._text}", rank)
        elif "RANK" in (cls.__doc__ or ""):
            cls.__doc__, _, cls._text = (cls.__doc__ or "").partition("\n")

    def first(self, x: Value) -> Value:
        """Return x with its channels in front of the axes of the windows."""
        return moveaxis(x, -1, -1 - self.rank) if self.channels_last else x

    def last(self, y: Value) -> Value:
        """Return a result with its channels where those of x were."""
        return moveaxis(y, -1 - self.rank, -1) if self.channels_last else y
