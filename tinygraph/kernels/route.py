"""Which kernel runs is decided here, by the type and the size of the array, and nowhere else.

==================================================================  ========================================
array                                                               route
==================================================================  ========================================
``cupy.ndarray`` of float16, float32 or float64                     "cupy": CUDA kernels (experimental)
``numpy.ndarray`` of float32 or float64, from `COMPILED` elements   "numba", where Numba is installed
``numpy.ndarray`` of float16, float32 or float64                    "numpy": few passes, and products of BLAS
anything else                                                       "plain": array operations in float64
==================================================================  ========================================

The environment variable ``TINYGRAPH_FUSED`` names another route ("plain", "numpy" or "numba") for the arrays
that it can take.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from tinygraph.engine.lazy_import import install_hint
from tinygraph.kernels.jit import load_numba


class NeedsDefinition(BaseException):
    """A fused op was called with an array without elements: its definition is wanted. No op may catch it."""


COMPILED = 1 << 12  # elements from which a compiled kernel is faster than NumPy
ROUTES = ("plain", "numpy", "numba")  # those that ``TINYGRAPH_FUSED`` may name


def choose_route(x: Any) -> str:
    """Return which kernel takes an array: "plain", "numpy", "numba" or "cupy".

    >>> choose_route(np.ones(3, np.float32))
    'numpy'
    """
    return route_of(x.__class__, x.dtype, x.size >= COMPILED, os.environ.get("TINYGRAPH_FUSED", ""))


@functools.lru_cache(1024)
def route_of(array: type, dtype: Any, large: bool, wanted: str) -> str:
    """Return the route of arrays of a type; ``wanted`` is the value of ``TINYGRAPH_FUSED``."""
    if wanted not in ("", *ROUTES):
        raise ValueError(f"TINYGRAPH_FUSED is {wanted!r}; there are {', '.join(ROUTES)}")
    if getattr(array, "has_no_elements", False):
        raise NeedsDefinition
    cupy = array.__module__.startswith("cupy") and array.__name__ == "ndarray"
    library = "numpy" if array is np.ndarray else "cupy" if cupy else ""
    if wanted == "plain" or not library or dtype.char not in "efd" or not dtype.isnative:
        return "plain"
    if library == "cupy" or wanted == "numpy" or dtype.char == "e" or not (wanted or large):
        return library
    if load_numba():
        return "numba"
    if wanted:
        raise ModuleNotFoundError(f"TINYGRAPH_FUSED asks for Numba, which is not there: {install_hint('jit')}")
    return "numpy"
