"""Random graphs with reductions over different axes: compiled, they must equal eager, in values and in gradients.

python tests/random_sums.py --count 10000
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import tinygraph as tg
from tinygraph.compiler import compiled as module
from tinygraph.compiler import elementary, launch
from tinygraph.kernels.arrays import to_numpy

UNARY: list[Callable[[Any], Any]] = [
    tg.tanh, tg.square, lambda x: tg.exp(tg.tanh(x)), tg.relu, tg.sigmoid, tg.abs, lambda x: tg.sqrt(x * x + 0.5),
    lambda x: -x, lambda x: tg.log(x * x + 0.5), lambda x: 1.5 * x - 2, tg.erf, lambda x: tg.clip(x, -1, 1),
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    tg.add, tg.sub, tg.mul, lambda x, y: x / (y * y + 0.5), tg.maximum, tg.minimum,
    lambda x, y: tg.where(tg.greater(x, y), x, 0.5 * y),
]  # fmt: skip
REDUCTIONS: list[Callable[..., Any]] = [tg.sum, tg.mean, tg.mean, tg.max, tg.min, tg.logsumexp]


def random_function(rng: np.random.Generator) -> tuple[Callable[..., Any], list[tuple[int, ...]]]:
    """Return a function, and the shapes of its operands."""
    full = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 5)))
    shapes = [full] + [tuple(n if rng.random() < 0.6 else 1 for n in full) for _ in range(rng.integers(0, 3))]
    shapes = [s if rng.random() < 0.8 else s[int(rng.integers(0, len(s))) :] for s in shapes[:1]] + shapes[1:]
    steps = [(rng.random(), int(rng.integers(1 << 30))) for _ in range(rng.integers(2, 12))]

    def function(*xs: Any) -> Any:
        have = list(xs)
        for kind, seed in steps:
            r = np.random.default_rng(seed)
            x = have[int(r.integers(len(have)))] if r.random() < 0.4 else have[-1]
            if kind < 0.3:
                have.append(UNARY[int(r.integers(len(UNARY)))](x))
            elif kind < 0.6:
                fits = [y for y in have if broadcast(x.shape, y.shape)]
                have.append(BINARY[int(r.integers(len(BINARY)))](x, fits[int(r.integers(len(fits)))]))
            elif kind < 0.9 and x.shape:
                axes = tuple(i for i in range(len(x.shape)) if r.random() < 0.5) or None
                have.append(REDUCTIONS[int(r.integers(len(REDUCTIONS)))](x, axes, True))
            elif x.shape and r.random() < 0.5:
                have.append(tg.transpose(x, tuple(int(i) for i in r.permutation(len(x.shape)))))
            else:
                have.append(tg.reshape(x, (-1,) if r.random() < 0.5 else (*x.shape[:1], -1) if x.shape else (1,)))
        total = have[0] * 0.1
        for y in have[-3:]:
            total = total + y if broadcast(total.shape, y.shape) else total + y.sum()
        return total

    return function, shapes


def broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether shapes broadcast, to no more than the larger one."""
    try:
        shape = np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return int(np.prod(shape)) <= 4 * max(int(np.prod(a)), int(np.prod(b)))


def results(
    function: Callable[..., Any], arrays: list[np.ndarray], dtype: str, library: str = "numpy"
) -> list[np.ndarray]:
    """Return the value and all gradients."""
    leaves = [tg.Tensor(tg.asarray(x.astype(dtype), library)) for x in arrays]
    y = function(*leaves)
    seed = tg.asarray(np.cos(np.arange(y.size)).reshape(y.shape).astype(dtype), library)
    return [to_numpy(a) for a in (y.data, *tg.grad(y, leaves, seed, allow_unused=True, materialize_grads=True))]


def check(seed: int, backend: str) -> str:
    """Compare one function with eager; return what differs, or nothing."""
    rng = np.random.default_rng(seed)
    function, shapes = random_function(rng)
    arrays = [rng.standard_normal(s) for s in shapes]
    library = "cupy" if backend == "cuda" else "numpy"
    made = module.Compiled(function, "numpy" if backend == "cuda" else backend)
    with np.errstate(all="ignore"):
        exact = results(function, arrays, "f8")
        for dtype, digits in (("f8", 1e-10), ("f4", 2e-5)):
            ours, eager = results(made, arrays, dtype, library), results(function, arrays, dtype)
            assert made.versions and not made.unprinted
            for k, (a, b, c) in enumerate(zip(ours, exact, eager, strict=True)):
                size = np.abs(b).max(initial=1e-3) + 1e-3
                error, theirs = np.abs(a - b).max(initial=0), np.abs(c - b).max(initial=0)
                if a.shape != b.shape or not error <= max(digits * size, 4 * theirs):
                    return f"seed {seed} {dtype}, result {k}: {error:.1e} of {size:.1e}, eager {theirs:.1e}"
    return ""


class InPython:
    """A stand-in for compiled code: runs the source of a kernel as Python, in one thread, with scratch that is NaN."""

    def __init__(self, source: str) -> None:
        def empty(shape: Any, dtype: Any = float) -> np.ndarray:
            return np.full(shape, np.nan, dtype)

        names: dict[str, Any] = {
            **vars(elementary),
            "math": SimpleNamespace(exp=np.exp, log=np.log, tanh=np.tanh, erf=math.erf),
            "F": np.float32,
        }
        names["np"] = SimpleNamespace(**{n: getattr(np, n) for n in NUMPY}, empty=empty)
        names |= {"tickets": lambda team, step, count: range(count)}
        names |= dict.fromkeys(("enter", "leave", "mark_done", "wait_for"), lambda *_: None)
        exec(source, names)
        self.kernel = names["kernel"]


NUMPY = ("float32", "float64", "int32", "sqrt", "isfinite", "inf", "floor")


def run_in_python(kernel: InPython, count: int, *args: Any, steps: int) -> None:
    """As `run_on_all`."""
    kernel.kernel(*args, (None, None, True))


@contextlib.contextmanager
def numba_in_python() -> Iterator[None]:
    """Run kernels for Numba without it: slow for an array, and fast for a thousand small functions."""
    before = launch.library, launch.run_on_all
    launch.library, launch.run_on_all = functools.cache(InPython), run_in_python  # type: ignore[assignment]
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        launch.library, launch.run_on_all = before


@contextlib.contextmanager
def cuda_on_the_cpu() -> Iterator[None]:
    """Run CUDA sources without a GPU, in blocks of 32 threads: ``python -m tests.random_sums --backend cuda``."""
    from tests.cuda_on_cpu import pretend_cupy  # a script finds it only from the folder above

    before = launch.THREADS, launch.BLOCKS, launch.WORK
    launch.THREADS, launch.BLOCKS, launch.WORK = 32, 5, 1
    try:
        with tempfile.TemporaryDirectory() as folder, pretend_cupy(Path(folder)):
            yield
    finally:
        launch.THREADS, launch.BLOCKS, launch.WORK = before


@contextlib.contextmanager
def small_blocks() -> Iterator[None]:
    """Cut the arrays of NumPy's kernels into blocks of 50 elements."""
    before, launch.BLOCK = launch.BLOCK, 50
    try:
        yield
    finally:
        launch.BLOCK = before


WAYS = {"numpy": small_blocks, "numba": numba_in_python, "cuda": cuda_on_the_cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--backend", default="numpy", choices=("numpy", "numba", "cuda"))
    options = parser.parse_args()
    module.SMALL = 0
    bad = 0
    with WAYS[options.backend]():
        for seed in range(options.first, options.first + options.count):
            try:
                message = check(seed, options.backend)
            except Exception as error:
                message = f"seed {seed}: {type(error).__name__}: {error}"
            if message:
                bad += 1
                print(message)
    print(f"{options.count} functions, {bad} differ")


if __name__ == "__main__":
    main()
