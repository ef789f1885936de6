"""A pretended CuPy that runs CUDA sources on the CPU: a thread is a thread, a block has a barrier, blocks take turns.

It stands in for `cupy` where there is a compiler for C++20 and no GPU. It proves indices, sums and barriers, not speed.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.decoy import Decoy, held
from tinygraph.kernels import cuda, route

SHIM = r"""
#define _GLIBCXX_INCLUDE_NEXT_C_HEADERS  // those of C++ are ten times as long
#include <math.h>
#undef _GLIBCXX_INCLUDE_NEXT_C_HEADERS
#include <type_traits>
#include <utility>
#define __device__
#define __global__
#define __launch_bounds__(n)
#define __restrict__
#define __align__(n)
#define __shared__ static
struct Three { unsigned x, y, z; };
extern "C" Three threadIdx, blockIdx, blockDim, gridDim;
extern "C" void __syncthreads();
extern "C" double __shfl_down_sync(unsigned, double, int);
extern "C" double __shfl_xor_sync(unsigned, double, int);
extern "C" bool launch(void (*)(void*), unsigned*, unsigned*, void**);
alignas(16) static unsigned char room[1 << 18];
struct __half { _Float16 value; operator float() const { return value; } };
static __half __float2half(float x) { return {_Float16(x)}; }
template <typename P, typename Q> auto min(P p, Q q) { std::common_type_t<P, Q> a = p, b = q; return a < b ? a : b; }
template <typename P, typename Q> auto max(P p, Q q) { std::common_type_t<P, Q> a = p, b = q; return a > b ? a : b; }
template <typename... P, std::size_t... I> void call(void (*f)(P...), void** a, std::index_sequence<I...>) {
    f(*static_cast<std::remove_const_t<P>*>(a[I])...);
}
template <auto F> struct Call;
template <typename... P, void (*F)(P...)> struct Call<F> {
    static void run(void* a) { call(F, static_cast<void**>(a), std::index_sequence_for<P...>{}); }
};
#define LAUNCH(f) return launch(Call<f>::run, g, b, a);
"""
SCHEDULER = r"""
#include "shim.h"
#include <ucontext.h>
Three threadIdx, blockIdx, blockDim, gridDim;
// Threads take turns: one runs until it has to wait for others.
struct Barrier { unsigned need, have, turn; };
struct Thread { ucontext_t context; Three place; bool done; };
constexpr int MOST = 1024, STACK = 1 << 16;
static Barrier block, warps[MOST / 32];
static Thread threads[MOST];
static char stacks[MOST * STACK];
static ucontext_t scheduler;
static int running;
static double slots[MOST];
static void (*kernel)(void*);
static void* arguments;
static void wait_at(Barrier& b) {
    unsigned turn = b.turn;
    if (++b.have == b.need) { b.have = 0; ++b.turn; }
    while (b.turn == turn) swapcontext(&threads[running].context, &scheduler);
}
void __syncthreads() { wait_at(block); }
static double exchanged(double v, int from) {
    int me = running;
    slots[me] = v;
    wait_at(warps[me / 32]);
    double other = slots[from / 32 == me / 32 ? from : me];
    wait_at(warps[me / 32]);
    return other;
}
double __shfl_down_sync(unsigned, double v, int o) { return exchanged(v, running + o); }
double __shfl_xor_sync(unsigned, double v, int o) { return exchanged(v, running ^ o); }
static void begin() { kernel(arguments); threads[running].done = true; }
static unsigned arrivals(int count) {  // what changes while not all wait for each other
    unsigned n = block.have + 1024 * block.turn;
    for (int w = 0; w * 32 < count; ++w) n += warps[w].have + 1024 * warps[w].turn;
    for (int t = 0; t < count; ++t) n += threads[t].done;
    return n;
}
static bool run_block(int count, bool backwards) {
    block = {unsigned(count), 0, 0};
    for (int w = 0; w * 32 < count; ++w) warps[w] = {unsigned(min(32, count - w * 32)), 0, 0};
    for (int t = 0; t < count; ++t) {
        getcontext(&threads[t].context);
        threads[t].context.uc_stack = {stacks + t * STACK, 0, STACK};
        threads[t].context.uc_link = &scheduler;
        threads[t].place = {t % blockDim.x, t / blockDim.x, 0};
        threads[t].done = false;
        makecontext(&threads[t].context, begin, 0);
    }
    for (int left = count; left;) {
        unsigned before = arrivals(count);
        for (int i = left = 0; i < count; ++i) {
            running = backwards ? count - 1 - i : i;
            threadIdx = threads[running].place;
            if (!threads[running].done) swapcontext(&scheduler, &threads[running].context);
            left += !threads[running].done;
        }
        if (arrivals(count) == before) return false;
    }
    return true;
}
bool launch(void (*f)(void*), unsigned* grid, unsigned* size, void** a) {
    gridDim = {grid[0], grid[1], 1};
    blockDim = {size[0], size[1], 1};
    kernel = f;
    arguments = a;
    for (unsigned b = 0; b < grid[0] * grid[1]; ++b) {
        blockIdx = {b % grid[0], b / grid[0], 0};
        if (!run_block(size[0] * size[1], b % 2)) return false;
    }
    return true;
}
"""


class Kernel:
    def __init__(self, function: Any) -> None:
        self.function = function
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        assert shared_mem <= self.max_dynamic_shared_size_bytes, "more shared memory than was asked for"
        assert all(not isinstance(a, Decoy) or a.flags.c_contiguous for a in args)
        values = [
            ctypes.c_void_p(a.array.ctypes.data) if isinstance(a, Decoy)
            else np.ctypeslib.as_ctypes_type(a.dtype)(a) if isinstance(a, np.generic)
            else ctypes.c_double(a) if isinstance(a, float) else ctypes.c_longlong(a)
            for a in args
        ]  # fmt: skip
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(h) for h in values])
        sizes = [(ctypes.c_uint * 2)(*(*n, 1)[:2]) for n in (grid, block)]
        assert self.function(*sizes, pointers), "threads wait for each other"


FLAGS = ["-std=c++20", "-O0", "-fPIC", "-w"]  # to optimize takes longer than it spares
FLAGS += ["-fno-gnu-unique"]  # what is static in a template is each library's own


@functools.cache
def compiled_shim(folder: Path) -> Path:
    """Return a header that is compiled once, for all sources; load what they call, and find in this process."""
    path = folder / "shim.h"
    path.write_text(SHIM)
    path.with_suffix(".cc").write_text(SCHEDULER)
    subprocess.run(["g++", *FLAGS, "-O1", "-shared", "-o", folder / "shim.so", path.with_suffix(".cc")], check=True)
    subprocess.run(["g++", *FLAGS, "-x", "c++-header", "-o", f"{path}.gch", path], check=True)
    ctypes.CDLL(str(folder / "shim.so"), mode=ctypes.RTLD_GLOBAL)
    return path


class RawModule:
    def __init__(self, folder: Path, code: str, options: tuple[str, ...]) -> None:
        names = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(', code)
        code = re.sub(r"extern __shared__ .* room\[\];", "", code)
        calls = [f'extern "C" int launch_{n}(unsigned* g, unsigned* b, void** a) {{ LAUNCH({n}) }}\n' for n in names]
        path = folder / hashlib.sha256(code.encode()).hexdigest()
        if not path.with_suffix(".so").exists():
            code = code.replace("#include <cuda_fp16.h>\n", "")
            path.with_suffix(".cc").write_text(code + "".join(calls))
            shim = compiled_shim(folder)
            command = ["g++", *FLAGS, "-shared", "-nostdlib", "-include", shim, "-o", f"{path}.so", f"{path}.cc"]
            subprocess.run([*command, "-lgcc"], check=True)
        self.library = ctypes.CDLL(f"{path}.so")
        self.kernels = {n: Kernel(self.library[f"launch_{n}"]) for n in names}

    def get_function(self, name: str) -> Kernel:
        return self.kernels[name]


def nvcc_takes(source: Path, *options: str) -> None:
    """Check that nvcc takes a source without a word. It need not optimize, which would take twice as long."""
    if not (nvcc := shutil.which("nvcc")):
        pytest.skip("nvcc is not there")
    command = [nvcc, "-cubin", "-arch=sm_80", "-std=c++17", "-Xcicc=-O0", "-Xptxas=-O0", *options, "-o", os.devnull]
    done = subprocess.run([*command, str(source)], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and not done.stderr, done.stderr


def empty(shape: Any, dtype: Any = float) -> Decoy:
    """An array of numbers that nobody may read."""
    return Decoy(np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 1, dtype))


@contextlib.contextmanager
def pretend_cupy(folder: Path, processors: int = 2) -> Iterator[ModuleType]:
    """Put a module in the place of `cupy`, whose arrays are Decoys; yield it."""
    cupy = ModuleType("cupy")
    made = lambda make: lambda x, *args: Decoy(make(held(x), *args))
    device = lambda number=0: SimpleNamespace(id=0, attributes={"MultiProcessorCount": processors})
    runtime = SimpleNamespace(CUDARuntimeError=RuntimeError)
    vars(cupy).update(
        ndarray=Decoy, empty=empty, ascontiguousarray=made(np.ascontiguousarray),
        asarray=lambda x, dtype=None, order=None: Decoy(np.asarray(held(x), dtype, order)),
        RawModule=functools.partial(RawModule, folder), cuda=SimpleNamespace(Device=device, runtime=runtime),
    )  # fmt: skip
    address = property(lambda self: SimpleNamespace(ptr=self.array.ctypes.data))
    names = Decoy.__module__, Decoy.__name__
    before = sys.modules.get("cupy")
    with mock.patch.multiple(Decoy, create=True, data=address, __cuda_array_interface__={}):
        Decoy.__module__, Decoy.__name__ = "cupy", "ndarray"
        sys.modules["cupy"] = cupy
        forget()
        try:
            yield cupy
        finally:
            Decoy.__module__, Decoy.__name__ = names
            del sys.modules["cupy"]
            if before:
                sys.modules["cupy"] = before
            forget()


def forget() -> None:
    """Forget what is kept of a type of arrays, and of a device."""
    for cache in (route.route_of, cuda.load_module, cuda.module_of, cuda.processor_count):
        cache.cache_clear()


@pytest.fixture
def cupy_on_cpu(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A CuPy that runs CUDA on the CPU."""
    if not shutil.which("g++"):
        pytest.skip("g++ is not there")
    folder = tmp_path_factory.getbasetemp() / "cuda"
    folder.mkdir(exist_ok=True)
    monkeypatch.delenv("TINYGRAPH_FUSED", raising=False)
    with pretend_cupy(folder) as cupy:
        yield cupy
