"""What differs between NumPy and CuPy, and nothing else: the backend is found from the arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["asarray", "scatter_add", "synchronize", "to_numpy"]


def scatter_add(target: Any, key: Any, values: Any) -> None:
    """Add ``values`` into ``target[key]``, every repeat of an index counting; it changes ``target``."""
    if type(target).__module__.partition(".")[0] == "cupy":
        import cupyx  # CuPy's ufuncs have `at` for few types; this has it for all floating ones

        cupyx.scatter_add(target, key, values)
    else:
        np.add.at(target, key, values)


def asarray(values: Any, backend: str = "numpy", dtype: Any = None) -> Any:
    """Return ``values`` as an array of a backend, "numpy" or "cupy".

    Raises:
        ModuleNotFoundError: CuPy is asked for and not installed; the message names the extra.
        RuntimeError: CuPy is installed, and there is no GPU it can use.
    """
    if backend == "numpy":
        return np.asarray(to_numpy(values), dtype=dtype)
    try:
        import cupy
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the cupy backend needs CuPy: pip install 'tinygraph[cuda13]' (or [cuda12], as your driver has it)"
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
