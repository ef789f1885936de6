"""What the CUDA kernels of all families share: their types, sums over threads, and how they are compiled and launched.

A source is compiled by NVRTC, through CuPy, when it is first needed: for the dtype that is stored (``T``), the one
that is computed in (``A``), and the number of values that a thread loads at once (``W``; 16 bytes where everything
lies on such boundaries). Totals are added up in float64 and always in the same order: no atomics, so that equal
inputs give equal bits.
"""

from __future__ import annotations

import functools
from typing import Any

TYPES = {"e": "__half", "f": "float", "d": "double"}
SOURCE = r"""
template <typename S, int N> struct alignas(N * sizeof(S) < 16 ? N * sizeof(S) : 16) Pack { S v[N]; };
typedef Pack<T, W> Values;
typedef Pack<A, W> Wide;
typedef long long Size;

__device__ inline Values load(const T* p) { return *reinterpret_cast<const Values*>(p); }
__device__ inline void store(T* p, const Values& v) { *reinterpret_cast<Values*>(p) = v; }

// Sums of d = x - shift and d² (or of dy and dy d) that one thread makes, over values of its own.
struct Moments {
    A s, t, shift;
    Size count;
    __device__ explicit Moments(A shift) : s(0), t(0), shift(shift), count(0) {}
    __device__ void add(A x) { A d = x - shift; s += d; t += d * d; ++count; }
    __device__ void add(A x, A dy) { s += dy; t += dy * (x - shift); }
    // What the sums would be with another shift.
    __device__ double first(double origin) const { return s + count * (shift - origin); }
    __device__ double second(double origin) const {
        double e = shift - origin;
        return t + e * (2.0 * s + count * e);
    }
};

// Mean and 1/sigma of n values from their moments about an origin; what is not finite makes both NaN.
__device__ inline void statistics(double s, double t, double origin, double n, double eps, double& mean, double& rstd) {
    double m = s / n, v = t / n - m * m;
    v = v < 0 ? 0 : v;
    mean = origin + m;
    rstd = v - v == 0 ? 1 / sqrt(v + eps) : nan("");
}
"""


@functools.cache
def compiled(source: str, storage: str, compute: str, width: int) -> Any:
    """Return the module of a source, for dtypes given by their letters."""
    import cupy

    return cupy.RawModule(code=text(source, storage, compute, width), options=("-std=c++17",))


def text(source: str, storage: str, compute: str, width: int) -> str:
    """Return the whole source."""
    types = f"typedef {TYPES[storage]} T;\ntypedef {TYPES[compute]} A;\nconstexpr int W = {width};\n"
    return "#include <cuda_fp16.h>\n" * (storage == "e") + types + SOURCE + source


class Launch:
    """Launches kernels of a source on arrays: of the dtype of x, with sums in ``compute`` and rows of ``length``."""

    def __init__(self, source: str, x: Any, compute: Any, length: int, *others: Any) -> None:
        import cupy

        self.compute = compute
        wide = 16 // x.dtype.itemsize
        aligned = length % wide == 0 and all(a.data.ptr % 16 == 0 for a in (x, *others) if a is not None)
        self.width = wide if aligned else 1
        self.module = compiled(source, x.dtype.char, self.compute.char, self.width)
        self.processors = processors(cupy.cuda.Device().id)

    def __call__(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], *args: Any, shared: int = 0) -> None:
        """Launch a kernel; None is a null pointer."""
        kernel = self.module.get_function(name)
        if shared > 48 << 10:
            kernel.max_dynamic_shared_size_bytes = shared
        kernel(grid, block, tuple(0 if a is None else a for a in args), shared_mem=shared)

    def parameter(self, p: Any) -> Any:
        """Return a parameter as kernels take it: contiguous, in the precision of the sums."""
        import cupy

        p = None if p is None else cupy.asarray(p, self.compute).reshape(-1)
        return p if p is None or p.data.ptr % 16 == 0 else p.copy()


@functools.cache
def processors(device: int) -> int:
    """Return how many multiprocessors a device has."""
    import cupy

    return cupy.cuda.Device(device).attributes["MultiProcessorCount"]
