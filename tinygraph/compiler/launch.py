"""Give a kernel its arrays, and run it."""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygraph.compiler import in_cuda, in_numba, in_numpy
from tinygraph.compiler.cache import library
from tinygraph.compiler.kernel import Kernel
from tinygraph.compiler.loops import Order
from tinygraph.compiler.values import Value
from tinygraph.engine.types import Array, Shape
from tinygraph.fused.normalization import marked_writable
from tinygraph.kernels.cuda import module_of
from tinygraph.kernels.threads import piece_count, run_on_all, share, split_evenly

BLOCK = 1 << 18  # elements of a block of NumPy's calls: after short calls threads wait for the interpreter
LARGE = 1 << 22  # elements that overflow the cache which cores share
SPAN = 3072  # values that lie one after another in a part that fits into the cache of one core
SHORT = 512  # a run of fewer values makes such parts worthwhile sooner
THREADS = 256  # of a block on a GPU
BLOCKS = 512  # of a sweep, where there is work for so many; on all GPUs the same, since sums depend on it
WORK = 4  # values that a thread should have at least


class Launch:
    """Runs a kernel: it makes new arrays, and reads the others.

    Attributes:
        kernel: the kernel.
        source: its source.
    """

    source: str

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.space = kernel, kernel.space
        self.size = math.prod(self.space.length[a] for a in self.space.order)
        self.turns = self.space.length[self.space.shared] if self.space.order else 1

    @abstractmethod
    def __call__(self, arrays: dict[Value, Array]) -> None:
        """Run the kernel."""


class NumpyLaunch(Launch):
    """Runs a kernel of NumPy's calls; all arrays get an axis for each loop."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.source = in_numpy.write(kernel)
        block = BLOCK << any(p for _, p in kernel.at.values())  # larger, where small values are settled inside
        self.each, self.count = split_evenly(max(self.turns, 1), max(1, min(self.turns, -(-self.size // block))))
        self.reads = [(v, *self.view(order, v.shape)) for v, order in kernel.leaves]
        self.makes = [(v, v.dtype, v.shape, *self.view(kernel.layouts[v], v.shape)) for v, _ in kernel.targets]
        self.run = compiled(self.source)

    def view(self, order: Order, shape: Shape) -> tuple[Any, Any, Any]:
        """Return how an array gets an axis for each loop: split, order of axes, and shape with ones; None: as it is."""
        split = tuple(self.space.length[a] for a in order)
        turned = tuple(order.index(a) for a in self.space.order if a in order)
        ones = tuple(self.space.length[a] if a in order else 1 for a in self.space.order)
        if turned != tuple(range(len(order))):
            return split, turned, ones
        return None, None, None if shape == ones else ones

    def __call__(self, arrays: dict[Value, Array]) -> None:
        """Run the kernel."""
        args = [laid_out(arrays[v], *view) for v, *view in self.reads]
        for v, dtype, shape, *view in self.makes:
            arrays[v] = y = np.empty(shape, dtype)
            args.append(laid_out(y, *view))
        with np.errstate(all="ignore"):
            self.run(*args, self.each, self.count, functools.partial(share, elements=self.size))


class NumbaLaunch(Launch):
    """Runs a kernel of loops, in this thread and in helpers; arrays are contiguous, with an axis for each loop."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        writer = in_numba.Writer(kernel)
        self.source = writer.written()
        self.each, self.parts = split_evenly(max(self.turns, 1), self.count_parts())
        length = self.space.length
        shapes = [(v, tuple(length[a] for a in order) or (1,)) for v, order in kernel.leaves]
        self.reads = [(v, shape, v.dtype.char == "e", v.shape == shape) for v, shape in shapes]
        self.makes = [
            (v, stored(v.dtype), v.shape, tuple(length[a] for a in kernel.layouts[v]) or (1,))
            for v, _ in kernel.targets
        ]
        names = {"parts": self.parts, "1": 1, "each": self.each} | {f"n{a}": length[a] for a in self.space.order}
        shared = in_numba.alike(writer.shared).items()
        self.shared = [((len(some), *(names[n] for n in lengths)), dtype) for (lengths, dtype), some in shared]
        consts = np.array([float(c) for c in kernel.consts] or [0.0])
        self.tail = [*(length[a] for a in self.space.order), consts, self.each, self.parts]

    def count_parts(self) -> int:
        """Return into how many parts to cut the shared loop. Sums depend on it, so the number of threads must not."""
        space, n = self.space, max(self.turns, 1)
        if not space.order or space.shared == space.order[0]:
            return piece_count(self.size)
        run = math.prod(space.length[a] for a in space.order[space.order.index(space.shared) + 1 :])
        if self.size > (LARGE if run >= SHORT else LARGE // 2):  # a part of one core's cache
            return -(-n // -(-SPAN // run))
        return piece_count(self.size, 1 << 20)

    def __call__(self, arrays: dict[Value, Array]) -> None:
        """Run the kernel."""
        args: list[Any] = []
        for v, shape, is_half, fits in self.reads:
            x = arrays[v]
            if is_half or type(x) is not np.ndarray or not x.flags.carray:
                x = np.ascontiguousarray(x, stored(x.dtype))
                x = x if x.flags.writeable else marked_writable(x)
            args.append(x if fits and x.ndim else x.reshape(shape))
        for v, dtype, whole, shape in self.makes:
            arrays[v] = y = np.empty(whole, dtype)
            args.append(y if whole == shape else y.reshape(shape))
        args += [np.empty(shape, dtype) for shape, dtype in self.shared]
        run_on_all(library(self.source), self.parts, *args, *self.tail, steps=2 * self.kernel.sweeps)
        for v, dtype, *_ in self.makes:
            if dtype != v.dtype:
                arrays[v] = arrays[v].astype(v.dtype)


class CudaLaunch(Launch):
    """Runs a kernel of CUDA C on arrays of CuPy; they are contiguous."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        writer = in_cuda.Writer(kernel)
        self.source, length = writer.source, self.space.length
        columns = self.count_columns(writer.kept)
        tiles = -(-math.prod(length[a] for a in writer.kept) // columns)
        others = math.prod(length[a] for a in writer.others)
        turn = self.size // max(self.turns * others, 1) if writer.front else self.turns  # values of a column
        self.threads = max(32, columns * min(THREADS // columns, power_of_2(-(-turn // WORK))))
        most = max(BLOCKS * THREADS // self.threads // (tiles * others), 1)
        if not writer.front:
            most = min(most, -(-self.turns // (self.threads // columns * WORK)))
        each, parts = split_evenly(max(self.turns, 1), max(1, min(most, self.turns)))
        sizes = {f"n{a}": length[a] for a in self.space.order}
        sizes |= {"each": each, "parts": parts, "tiles": tiles, "blocks": parts * others * tiles}
        self.scratch = {name: math.prod(sizes[n] for n in lengths) for name, lengths in writer.scratch.items()}
        size = np.int32 if writer.size_type == "int" else np.int64
        self.given: dict[str, Any] = {name: size(n) for name, n in sizes.items()}
        self.given |= {f"k{i}": float(c) for i, c in enumerate(kernel.consts)}
        self.functions = [(f.name, *self.grid(f, sizes["blocks"]), f.args) for f in writer.functions]
        self.kernels: dict[str, Any] = {}

    def count_columns(self, loops: Order) -> int:
        """Return how many columns the threads of a block stand in: as ``columns_of`` in the source."""
        return min(32, power_of_2(math.prod(self.space.length[a] for a in loops)))

    def grid(self, function: in_cuda.Function, blocks: int) -> tuple[tuple[int], tuple[int]]:
        """Return how many blocks run a function, and of how many threads."""
        if not function.settles:
            return (blocks,), (self.threads,)
        places = math.prod(self.space.length[a] for a in function.loops)
        return (-(-places // (self.count_columns(function.loops) if function.has_sums else THREADS)),), (THREADS,)

    def __call__(self, arrays: dict[Value, Array]) -> None:
        """Run the kernel."""
        import cupy

        given = dict(self.given)
        for i, (v, _) in enumerate(self.kernel.leaves):
            given[f"x{i}"] = cupy.asarray(arrays[v], order="C")
        for i, (v, _) in enumerate(self.kernel.targets):
            given[f"y{i}"] = arrays[v] = cupy.empty(v.shape, v.dtype)
        scratch, start = cupy.empty(sum(self.scratch.values())), 0
        for name, n in self.scratch.items():
            given[name], start = scratch[start : start + n], start + n
        self.run(given)

    def run(self, given: dict[str, Any]) -> None:
        """Launch the functions, one after another, with what is ``given`` under the names of their parameters."""
        if not self.kernels:
            module = module_of(in_cuda.HEAD + self.source, "-fmad=false")
            self.kernels = {name: module.get_function(name) for name, *_ in self.functions}
        for name, grid, block, args in self.functions:
            self.kernels[name](grid, block, tuple(given[a] for a in args))


def power_of_2(n: int) -> int:
    """Return the least power of 2 that is not smaller."""
    return 1 << (n - 1).bit_length()


def stored(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which a kernel sees an array: Numba has no float16."""
    return np.dtype(np.float32) if dtype.char == "e" else dtype


def laid_out(x: Array, split: Shape | None, turned: Shape | None, ones: Shape | None) -> Array:
    """Return an array with an axis for each loop; a view, where it lies so in memory."""
    if turned is not None:
        x = x.reshape(split).transpose(turned)
    return x if ones is None else x.reshape(ones)


LAUNCHES: dict[str, Callable[[Kernel], Launch]] = {"numpy": NumpyLaunch, "numba": NumbaLaunch, "cuda": CudaLaunch}


@functools.cache
def compiled(source: str) -> Callable[..., Any]:
    """Return the function that a source defines."""
    names = dict(in_numpy.NAMES)
    exec(compile(source, f"<kernel {hash(source) & 0xFFFFFFFF:08x}>", "exec"), names)  # noqa: S102 - source of our own
    kernel: Callable[..., Any] = names["kernel"]
    return kernel
