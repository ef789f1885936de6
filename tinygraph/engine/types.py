"""Names for types. NumPy's array stands for CuPy's too; a function that takes arrays or Tensors returns a `Value`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy.typing as npt

__all__ = ["Array", "ArrayLike", "Axis", "Shape", "Value"]

Array: TypeAlias = npt.NDArray[Any]  # a NumPy or CuPy array
ArrayLike: TypeAlias = npt.ArrayLike  # what ``numpy.asarray`` takes
Value: TypeAlias = Any  # an array, or a Tensor where a Tensor was given
Shape: TypeAlias = tuple[int, ...]
Axis: TypeAlias = int | Sequence[int] | None  # one, several, or None for all
