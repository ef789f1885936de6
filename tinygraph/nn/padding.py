"""Layers that surround arrays, over 1, 2 and 3 axes."""

from __future__ import annotations

from collections.abc import Sequence

from tinygraph.engine.types import Value
from tinygraph.nn import functional
from tinygraph.nn.windows import OverAxes

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d",
    "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class Pad(OverAxes):
    """Surround arrays.

    Args:
        padding: how many elements on each side, one number for all; or before and after the last axis, then the one
            before it, and so on.

    Raises:
        ValueError: there are not two numbers for each axis.
    """

    _mode = "constant"
    value = 0.0

    def __init__(self, padding: int | Sequence[int]) -> None:
        self.padding = tuple(padding) if isinstance(padding, Sequence) else (padding,) * (2 * self.rank)
        if len(self.padding) != 2 * self.rank:
            raise ValueError(
                f"{type(self).__name__}: padding is {2 * self.rank} numbers, or one for all, not {padding}"
            )

    def forward(self, x: Value) -> Value:
        """Return x with its surroundings.

        Args:
            x: (…, H, W), or with another number of last axes.

        Returns:
            y, longer along these axes.
        """
        return functional.pad(x, self.padding, self._mode, self.value or None)

    def extra_repr(self) -> str:
        """Return the padding."""
        return f"{self.padding}"


class ConstantPad(Pad):
    """Surround arrays with a number.

    Args:
        padding: how many elements on each side, one number for all; or before and after the last axis, then the one
            before it, and so on; below 0 a length cuts off.
        value: the number.

    Raises:
        ValueError: there are not two numbers for each axis.

    >>> ConstantPadRANK(0, 2.0)(np.ones((1, ONES1))).ravel()
    array([1.])
    """

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """Return the padding and the number."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(ConstantPad, rank=1):
    """Surround signals with a number."""


class ConstantPad2d(ConstantPad, rank=2):
    """Surround images with a number."""


class ConstantPad3d(ConstantPad, rank=3):
    """Surround volumes with a number."""


class ZeroPad(Pad):
    """Surround arrays with zeros.

    Args:
        padding: how many on each side, one number for all; or before and after the last axis, then the one before it,
            and so on; below 0 a length cuts off.

    Raises:
        ValueError: there are not two numbers for each axis.

    >>> ZeroPadRANK(1)(np.ones((1, ONES1))).sum()
    np.float64(1.0)
    """


class ZeroPad1d(ZeroPad, rank=1):
    """Surround signals with zeros."""


class ZeroPad2d(ZeroPad, rank=2):
    """Surround images with zeros."""


class ZeroPad3d(ZeroPad, rank=3):
    """Surround volumes with zeros."""


class ReflectionPad(Pad):
    """Surround arrays with what is mirrored at their ends.

    Args:
        padding: how many on each side, one number for all; or before and after the last axis, then the one before it,
            and so on; below 0 a length cuts off.

    Raises:
        ValueError: there are not two numbers for each axis; in a call, an axis is too short.

    >>> ReflectionPadRANK(0)(np.ones((1, ONES1))).sum()
    np.float64(1.0)
    """

    _mode = "reflect"


class ReflectionPad1d(ReflectionPad, rank=1):
    """Surround signals with what is mirrored at their ends."""


class ReflectionPad2d(ReflectionPad, rank=2):
    """Surround images with what is mirrored at their ends."""


class ReflectionPad3d(ReflectionPad, rank=3):
    """Surround volumes with what is mirrored at their ends."""


class ReplicationPad(Pad):
    """Surround arrays with copies of their ends.

    Args:
        padding: how many on each side, one number for all; or before and after the last axis, then the one before it,
            and so on; below 0 a length cuts off.

    Raises:
        ValueError: there are not two numbers for each axis; in a call, an axis is too short.

    >>> ReplicationPadRANK(0)(np.ones((1, ONES1))).sum()
    np.float64(1.0)
    """

    _mode = "replicate"


class ReplicationPad1d(ReplicationPad, rank=1):
    """Surround signals with copies of their ends."""


class ReplicationPad2d(ReplicationPad, rank=2):
    """Surround images with copies of their ends."""


class ReplicationPad3d(ReplicationPad, rank=3):
    """Surround volumes with copies of their ends."""


class CircularPad(Pad):
    """Surround arrays with what stands at their other ends.

    Args:
        padding: how many on each side, one number for all; or before and after the last axis, then the one before it,
            and so on; below 0 a length cuts off.

    Raises:
        ValueError: there are not two numbers for each axis; in a call, an axis is too short.

    >>> CircularPadRANK(0)(np.ones((1, ONES1))).sum()
    np.float64(1.0)
    """

    _mode = "circular"


class CircularPad1d(CircularPad, rank=1):
    """Surround signals with what stands at their other ends."""


class CircularPad2d(CircularPad, rank=2):
    """Surround images with what stands at their other ends."""


class CircularPad3d(CircularPad, rank=3):
    """Surround volumes with what stands at their other ends."""
