"""A test that names ``op_cases``, ``composites`` or ``all_cases`` runs once for each op, each function made of ops, or
both, with a list of its cases; see `tests.cases`.

``device_array`` makes arrays of a device: Decoys, and with ``-m gpu`` CuPy's.
"""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cases import by_name, cases, composites
from tests.cuda_on_cpu import cupy_on_cpu  # noqa: F401 - a fixture
from tests.decoy import Decoy
from tests.fused_cases import fresh, threads_of, way  # noqa: F401 - fixtures
from tests.small_fashion import write_fashion

collect_ignore = ["bench/parts.py"]  # commands that import PyTorch


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: what is collected stays, and to look at a million objects again takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)  # Python's own, (700, 10, 10), takes up to a twentieth of the time


def pytest_unconfigure() -> None:
    """Look for no garbage at the end: pytest would do so five times, and Python again, among all that tests left."""
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    sources = {"op_cases": [cases], "composites": [composites], "all_cases": [cases, composites]}
    for name in sources.keys() & set(metafunc.fixturenames):
        found = by_name(case for source in sources[name] for case in source())
        metafunc.parametrize(name, found.values(), ids=found.keys())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs PyTorch, or a GPU that is not asked for, where there is none: skips by the hundred cost."""
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    out = set(gpu if gpu and why_no_gpu() and "gpu" not in config.getoption("-m") else [])
    if not importlib.util.find_spec("torch"):
        out |= {item for item in items if "torch" in getattr(item, "fixturenames", ())}
    if out:
        config.hook.pytest_deselected(items=[*out])
        items[:] = [item for item in items if item not in out]


def why_no_gpu() -> str:
    """Say what keeps CuPy from running; nothing if it runs."""
    try:
        import cupy

        cupy.zeros(1)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.fixture(params=["decoy", pytest.param("cupy", marks=pytest.mark.gpu)])
def device_array(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """The function that puts an array on a device."""
    if request.param == "decoy":
        return Decoy
    if reason := why_no_gpu():
        pytest.skip(reason)
    return pytest.importorskip("cupy").asarray


def walk_as(size: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Walk with small arrays as they are, or as with large ones: products summed by einsum, sums in place."""
    if size == "large":
        monkeypatch.setattr(importlib.import_module("tinygraph.autodiff.backward"), "SMALL", 0)
    return size


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A test that runs twice, see `walk_as`."""
    return walk_as(request.param, monkeypatch)


@pytest.fixture
def each_size(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same within one test, where thousands would be counted twice."""
    return (walk_as(size, monkeypatch) for size in ("small", "large"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def fashion(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder with a small Fashion-MNIST in it, and the arrays that it has."""
    folder = tmp_path / "fashion"
    return folder, write_fashion(folder, rng)


@pytest.fixture(scope="session")
def graphs() -> dict[str, Any]:
    """The graphs of the gallery, by name; they are frozen, so all tests can share them."""
    from tests import gallery

    return {name: make() for name, make in gallery.GALLERY.items()}
