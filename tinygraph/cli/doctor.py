"""``tinygraph doctor``: what is installed here, and what tinygraph will use."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import sys

HELP = "say what there is: extras, threads, BLAS, GPU, kernels on disk"
DESCRIPTION = """\
Say what tinygraph finds on this machine: Python, NumPy and its BLAS, the packages of the extras, the threads that
kernels use, the folder of compiled kernels, and whether there is a GPU. With --clear-cache, remove those kernels."""
EXAMPLES = """\
  tinygraph doctor                  what there is
  tinygraph doctor --clear-cache    remove the kernels that were compiled
"""
EXTRAS = {
    "draw": ("graphviz", "pygraphviz", "pillow", "typst"), "jit": ("numba",), "plot": ("matplotlib",),
    "data": ("pooch",), "safetensors": ("safetensors",), "torch": ("torch",), "completion": ("shtab",),
}  # fmt: skip


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    parser.add_argument("--clear-cache", action="store_true", help="remove the kernels that compiled functions left")


def run(options: argparse.Namespace) -> int:
    """Print what there is; return the exit status."""
    from tinygraph.compiler.cache import cache_folder, clear_cache

    if options.clear_cache:
        folder, count = clear_cache()
        print(f"removed {count} kernel{'s' * (count != 1)} from {folder}")
        return 0
    folder = cache_folder()
    count = len(list(folder.glob("kernel_*.py")))
    for name, what in {
        "python": f"{platform.python_version()}, {sys.executable}",
        "numpy": f"{version_of('numpy')}, BLAS: {blas()}",
        **{f"extra {extra}": ", ".join(map(version_of_package, names)) for extra, names in EXTRAS.items()},
        "threads": threads(),
        "kernels": f"{folder}, {count} there, {'writable' if is_writable(folder) else 'NOT writable: in memory'}",
        "gpu": gpu(),
    }.items():
        print(f"{name:18} {what}")
    return 0


def version_of(package: str) -> str:
    """Return the version of a package, or "not installed"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def version_of_package(package: str) -> str:
    """Return a package with its version."""
    return f"{package} {version_of(package)}"


def blas() -> str:
    """Return the library that NumPy multiplies matrices with."""
    import numpy as np

    config = np.show_config(mode="dicts") or {}
    found = config.get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def threads() -> str:
    """Return how many threads share the work of a kernel, and why."""
    from tinygraph.kernels.threads import start_helpers

    limit = os.environ.get("OMP_NUM_THREADS")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{start_helpers()[1] + 1} of {cores} cores" + (f", OMP_NUM_THREADS={limit}" if limit else "")


def is_writable(folder: os.PathLike[str]) -> bool:
    """Whether files can be written into a folder, or it can be made."""
    path = os.path.abspath(folder)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return os.path.isdir(path) and os.access(path, os.W_OK)


def gpu() -> str:
    """Return what CuPy finds."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    try:
        import cupy

        properties = cupy.cuda.runtime.getDeviceProperties(0)
        return f"{properties['name'].decode()}, CuPy {cupy.__version__}"
    except Exception as error:  # the driver's errors are of many kinds
        return f"CuPy is installed, and finds none: {type(error).__name__}: {error}"
