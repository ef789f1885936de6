"""A pretended CuPy that runs CUDA sources on the CPU: a thread is a thread, a block has a barrier, blocks take turns.

It stands in for `cupy` where there is a compiler for C++20 and no GPU. It proves indices, sums and barriers, not speed.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

SHIM = r"""
#include <algorithm>
#include <barrier>
#include <cmath>
#include <memory>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>
#define __device__
#define __global__
#define __launch_bounds__(n)
#define __restrict__
#define __align__(n)
#define __shared__ static
struct Three { unsigned x, y, z; };
static thread_local Three threadIdx, blockIdx;
static Three blockDim, gridDim;
static std::unique_ptr<std::barrier<>> block;
static std::vector<std::unique_ptr<std::barrier<>>> warps;
alignas(16) static unsigned char room[1 << 18];
static double slots[1024];
template <typename P, typename Q> auto min(P p, Q q) { std::common_type_t<P, Q> a = p, b = q; return a < b ? a : b; }
static int index() { return threadIdx.y * blockDim.x + threadIdx.x; }
static void __syncthreads() { block->arrive_and_wait(); }
static double exchanged(double v, int from) {
    slots[index()] = v;
    warps[index() / 32]->arrive_and_wait();
    double other = slots[from / 32 == index() / 32 ? from : index()];
    warps[index() / 32]->arrive_and_wait();
    return other;
}
static double __shfl_down_sync(unsigned, double v, int o) { return exchanged(v, index() + o); }
static double __shfl_xor_sync(unsigned, double v, int o) { return exchanged(v, index() ^ o); }
template <typename... P, size_t... I> void call(void (*f)(P...), void** a, std::index_sequence<I...>) {
    f(*static_cast<std::remove_const_t<P>*>(a[I])...);
}
template <typename... P> void launch(void (*f)(P...), unsigned* grid, unsigned* threads, void** a) {
    gridDim = {grid[0], grid[1], 1};
    blockDim = {threads[0], threads[1], 1};
    unsigned count = threads[0] * threads[1];
    block = std::make_unique<std::barrier<>>(count);
    warps.clear();
    for (unsigned w = 0; w < count; w += 32)
        warps.push_back(std::make_unique<std::barrier<>>(std::min(32u, count - w)));
    std::vector<std::jthread> all;
    for (unsigned t = 0; t < count; ++t)
        all.emplace_back([=] {
            threadIdx = {t % threads[0], t / threads[0], 0};
            for (unsigned b = 0; b < grid[0] * grid[1]; ++b) {
                blockIdx = {b % grid[0], b / grid[0], 0};
                call(f, a, std::index_sequence_for<P...>{});
                __syncthreads();
            }
        });
}
"""


class ndarray(np.ndarray):  # noqa: N801 - NumPy's name
    """NumPy's, under CuPy's name: contiguous memory has an address."""

    data = property(lambda self: SimpleNamespace(ptr=self.ctypes.data))  # type: ignore[assignment]


ndarray.__module__ = "cupy"


class Kernel:
    def __init__(self, function: Any) -> None:
        self.function = function
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        assert shared_mem <= self.max_dynamic_shared_size_bytes, "more shared memory than was asked for"
        values = [
            ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray)
            else ctypes.c_double(a) if isinstance(a, float) else ctypes.c_longlong(a)
            for a in args
        ]  # fmt: skip
        assert all(a.flags.c_contiguous for a in args if isinstance(a, np.ndarray))
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(h) for h in values])
        sizes = [(ctypes.c_uint * 2)(*(*n, 1)[:2]) for n in (grid, block)]
        self.function(*sizes, pointers)


class RawModule:
    def __init__(self, folder: Path, code: str, options: tuple[str, ...]) -> None:
        names = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(', code)
        code = re.sub(r"extern __shared__ .* room\[\];", "", code)
        calls = [
            f'extern "C" void launch_{n}(unsigned* g, unsigned* b, void** a) {{ launch({n}, g, b, a); }}\n'
            for n in names
        ]
        path = folder / hashlib.sha256(code.encode()).hexdigest()
        if not path.with_suffix(".so").exists():
            path.with_suffix(".cc").write_text(SHIM + code + "".join(calls))
            flags = ["-std=c++20", "-O1", "-shared", "-fPIC", "-w", "-pthread"]
            flags += ["-fno-gnu-unique"]  # what is static in a template is each library's own
            subprocess.run(["g++", *flags, "-o", f"{path}.so", f"{path}.cc"], check=True, timeout=120)
        self.library = ctypes.CDLL(f"{path}.so")
        self.kernels = {n: Kernel(self.library[f"launch_{n}"]) for n in names}

    def get_function(self, name: str) -> Kernel:
        return self.kernels[name]


def pretend_cupy(folder: Path, processors: int = 2) -> ModuleType:
    """Return a module to be put in the place of `cupy`."""
    cupy = ModuleType("cupy")
    mine = lambda make: lambda *args, **params: make(*args, **params).view(ndarray)
    device = lambda number=0: SimpleNamespace(id=0, attributes={"MultiProcessorCount": processors})
    vars(cupy).update(
        ndarray=ndarray, empty=mine(np.empty), asarray=mine(np.asarray), ascontiguousarray=mine(np.ascontiguousarray),
        RawModule=functools.partial(RawModule, folder), cuda=SimpleNamespace(Device=device),
    )  # fmt: skip
    return cupy
