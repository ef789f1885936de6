"""How CUDA kernels are compiled and launched. They have never run on a GPU: only on the CPU, and through nvcc.

A source is the file ``kernels.cu`` of a package, with `common.cuh` in place of its ``#include``. NVRTC compiles it,
through CuPy, when it is first needed: for the dtype that is stored, the one that is computed in, and the number of
values that a thread loads at once. Totals are added up in float64 and always in the same order: no atomics, so that
equal inputs give equal bits.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygraph.engine.types import Array, Shape

TYPES = {"e": "__half", "f": "float", "d": "double"}
INCLUDE = '#include "../../kernels/common.cuh"\n'


def source_of(package: str, stored: str, computed: str, width: int) -> str:
    """Return the whole source of a package's kernels, for dtypes given by their letters."""
    from importlib.resources import files  # takes as long to load as the rest of this file

    common = files("tinygraph.kernels").joinpath("common.cuh").read_text(encoding="utf-8")
    source = files(package).joinpath("kernels.cu").read_text(encoding="utf-8")
    half = "#include <cuda_fp16.h>\n" if stored == "e" else ""
    types = f"#define STORED {TYPES[stored]}\n#define COMPUTED {TYPES[computed]}\n#define WIDTH {width}\n"
    return half + types + source.replace(INCLUDE, common)


@functools.cache
def load_module(package: str, stored: str, computed: str, width: int) -> Any:
    """Return CuPy's module of a package's kernels."""
    return module_of(source_of(package, stored, computed, width))


@functools.cache
def module_of(source: str, *options: str) -> Any:
    """Return CuPy's module of a source, loaded once."""
    import cupy

    return cupy.RawModule(code=source, options=("-std=c++17", *options))


class Launch:
    """Launches a package's kernels on arrays of the dtype of x, in rows of ``length``, with sums in ``computed``."""

    def __init__(self, package: str, x: Array, computed: np.dtype[Any], length: int, *others: Array) -> None:
        import cupy

        self.computed = computed
        wide = 16 // x.dtype.itemsize
        # CuPy's `data` has an address, in `ptr`; NumPy's has not, and their types are one here
        is_aligned = length % wide == 0 and all(a.data.ptr % 16 == 0 for a in (x, *others))  # type: ignore[attr-defined]
        self.width = wide if is_aligned else 1
        self.module = load_module(package, x.dtype.char, computed.char, self.width)
        self.processors = processor_count(cupy.cuda.Device().id)

    def __call__(self, name: str, grid: Shape, block: Shape, *args: Any, shared: int = 0) -> None:
        """Launch a kernel with ``shared`` bytes of shared memory; None is a null pointer."""
        kernel = self.module.get_function(name)
        if shared > 48 << 10:
            kernel.max_dynamic_shared_size_bytes = shared
        kernel(grid, block, tuple(0 if a is None else a for a in args), shared_mem=shared)

    def parameter(self, p: Array | None) -> Array | None:
        """Return a parameter as kernels take it: contiguous, in the precision of the sums; None stays None."""
        import cupy

        p = None if p is None else cupy.asarray(p, self.computed).reshape(-1)
        return p if p is None or p.data.ptr % 16 == 0 else p.copy()


@functools.cache
def processor_count(device: int) -> int:
    """Return how many multiprocessors a device has."""
    import cupy

    return int(cupy.cuda.Device(device).attributes["MultiProcessorCount"])
