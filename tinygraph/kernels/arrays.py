"""What differs between NumPy and CuPy, and nothing else: the backend is found from the arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygraph.engine.errors import library_of
from tinygraph.engine.lazy_import import EXTRAS, install_hint

__all__ = ["add_along", "asarray", "backend_of", "scatter_add", "scratch", "synchronize", "to_numpy"]


def backend_of(array: Any) -> str:
    """Return the backend of an array, "numpy" or "cupy"."""
    return "cupy" if library_of(array) == "cupy" else "numpy"


def scatter_add(target: Any, key: Any, values: Any) -> None:
    """Add ``values`` into ``target[key]``, every repeat of an index counting; it changes ``target``."""
    if backend_of(target) == "cupy":
        import cupyx  # CuPy's ufuncs have `at` for few types; this has it for all floating ones

        cupyx.scatter_add(target, key, values)
    else:
        np.add.at(target, key, values)


def along(indices: Any, axis: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the index that stands for places along an axis of an array of that shape."""
    key = [np.arange(n).reshape([-1 if i == k else 1 for i in range(len(shape))]) for k, n in enumerate(shape)]
    key[axis] = indices
    return tuple(key)


def take_along(array: Any, indices: Any, axis: int) -> Any:
    """Take elements by places along an axis; the places may be NumPy's where the array is not."""
    if library_of(array) == library_of(indices):
        return np.take_along_axis(array, indices, axis)
    return array[along(indices, axis, array.shape)]


def add_along(values: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Return zeros of ``shape``, with ``values`` added at places along an axis, every repeat counting."""
    if type(values) is np.ndarray and values.dtype.char in "fd":  # 2 to 5 times as fast as `np.add.at`
        numbered = np.arange(math.prod(shape)).reshape(shape)
        places = np.take_along_axis(numbered, indices, axis)
        values = np.broadcast_to(values, places.shape)
        sums = np.bincount(places.ravel(), values.ravel(), math.prod(shape))
        return sums.reshape(shape).astype(values.dtype, copy=False)
    out = np.zeros_like(values, shape=shape)
    scatter_add(out, along(indices, axis, shape), values)
    return out


def asarray(values: Any, backend: str = "numpy", dtype: Any = None) -> Any:
    """Return ``values`` as an array of a backend.

    Args:
        values: an array of any backend, or what ``numpy.asarray`` takes.
        backend: "numpy", or "cupy" for an array on the GPU.
        dtype: type of an element; that of ``values`` unless given.

    Returns:
        The array; ``values`` itself where nothing has to change.

    Raises:
        ModuleNotFoundError: CuPy is asked for and not installed; the message says how to install it.
        RuntimeError: CuPy is installed, and there is no GPU it can use.

    >>> asarray([1, 2], dtype=np.float32)
    array([1., 2.], dtype=float32)
    """
    if backend == "numpy":
        return np.asarray(to_numpy(values), dtype=dtype)
    try:
        import cupy
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"the cupy backend needs CuPy: {install_hint('cuda13')} (or {EXTRAS['cuda12']}, as your driver has it)"
        ) from None
    try:
        return cupy.asarray(values, dtype=dtype)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"the cupy backend found no usable GPU: {error}") from error


def to_numpy(array: Any) -> np.ndarray:
    """Return an array of any backend as a NumPy array."""
    return np.asarray(array.get() if hasattr(array, "get") else array)


def synchronize(array: Any) -> None:
    """Wait until the device of ``array`` has finished: before a clock is read."""
    if hasattr(array, "device") and hasattr(array.device, "synchronize"):
        array.device.synchronize()


def scratch(array: Any) -> int:
    """Return how many bytes of scratch an op had best use at a time: what stays in a core's cache, or fills a GPU."""
    return 1 << 28 if backend_of(array) == "cupy" else 1 << 21
