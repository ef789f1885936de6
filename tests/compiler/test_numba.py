"""Kernels as machine code: right in float32 far from 0, with one thread and with two, and kept on disk."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tests.compiler.test_compiled import error, results
from tinygraph.compiler import cache, launch
from tinygraph.kernels.jit import load_numba

pytestmark = pytest.mark.skipif(not load_numba(), reason="Numba is not installed")
NORMAL = np.random.default_rng(0).standard_normal


def keep_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep kernels in a folder from now on, and forget those of the last one."""
    monkeypatch.setenv("TINYGRAPH_CACHE", str(path))
    cache.library.cache_clear()
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return keep_in(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


def gelu(x):
    return 0.5 * x * (1 + tg.erf(x * 0.5**0.5)) + tg.tanh(x)


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
@pytest.mark.parametrize("parts", [1, 7])
def test_batch_norm_far_from_zero(offset, parts, shared, monkeypatch):
    """Within 1e-6 at a mean of 1e4 and 1e-5 at 1e6, where E[x²] - E[x]² has no digit left; also after an outlier."""
    keep_in(shared, monkeypatch)
    monkeypatch.setattr(launch, "piece_count", lambda *_: parts)
    arrays = [NORMAL((150, 40)) + offset, NORMAL(40), NORMAL(40)]
    arrays[0][0, ::2] += 1000
    arrays = [a.astype(np.float32) for a in arrays]
    found = results(tg.compile(tg.batch_norm, backend="numba"), arrays, np.float32)
    assert error(found, results(tg.batch_norm, arrays, np.float64)) < (1e-5 if offset == 1e6 else 1e-6)


def test_softmax_and_elementary_functions(folder):
    x = 4 * NORMAL((64, 80))
    for f in (tg.softmax, gelu):
        made = tg.compile(f, backend="numba")
        assert error(results(made, [x], np.float32), results(f, [x.astype(np.float32)], np.float64)) < 2e-6
        assert error(results(made, [x], np.float64), results(f, [x], np.float64)) < 1e-12
    assert len(list(folder.glob("kernel_*.py"))) == 8  # two functions, two dtypes, two ways


def test_equal_inputs_give_equal_bits(shared, monkeypatch):
    """Though threads share the rows that are added up."""
    keep_in(shared, monkeypatch)
    arrays = [NORMAL((3000, 200)).astype(np.float32), np.ones(200, np.float32), np.zeros(200, np.float32)]
    made = tg.compile(tg.batch_norm, backend="numba")
    first = results(made, arrays, np.float32)
    for _ in range(5):
        for a, b in zip(first, results(made, arrays, np.float32), strict=True):
            assert np.array_equal(a, b)


PROGRAM = """
import numpy as np, tinygraph as tg, os, sys
from numba.core import event
compiled = event.RecordingListener()
event.register("numba:compile", compiled)
made = tg.compile(lambda x: x * 2.0 + x, backend="numba")
x = np.arange(8192, dtype=np.float32).reshape(64, 128)
y = made(x)
if len(sys.argv) > 1:
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(made(x), y) else 1)
    assert os.waitpid(child, 0)[1] == 0
print(float(np.abs(y - 3 * x).max()), len(compiled.buffer))
"""


def run(folder: Path, *args: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TINYGRAPH_CACHE": str(folder)}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, *args]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_and_a_fork(folder):
    compiled = []
    for process in [run(folder), run(folder, "fork")]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        error, events = map(float, out.split())
        assert error == 0
        compiled.append(events > 0)
    assert sum(compiled) == 1, "the other one waits for the file"
    assert len(list(folder.glob("kernel_*.py"))) == 1
    assert not list(folder.glob(".*.partial"))
    where, count = cache.clear_cache()
    assert (where, count) == (folder, 1)
    assert not list(folder.iterdir())


def test_a_file_holds_its_source_and_another_for_other_elementary_functions(folder, monkeypatch):
    """Machine code has these inside, and Numba looks at the time of the file of the kernel alone."""
    source = "kernel = len"
    file = Path(str(cache.load(source)[0].__file__))
    file.write_text("kernel = max")
    assert cache.load(source)[0].kernel is len
    assert file.read_text() == source
    monkeypatch.setattr(cache.elementary, "__file__", __file__)
    cache.load(source)
    assert len(list(folder.glob("kernel_*.py"))) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
@pytest.mark.filterwarnings("ignore")
def test_a_folder_that_cannot_be_written(tmp_path_factory, monkeypatch):
    locked = tmp_path_factory.mktemp("locked")
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    file = tmp_path_factory.mktemp("file") / "no_folder"
    file.write_text("")
    x = np.arange(8192, dtype=np.float32).reshape(64, 128)
    try:
        for path in (locked, file):
            keep_in(path, monkeypatch)
            made = tg.compile(lambda x: x * 2.0 + x, backend="numba")
            assert np.array_equal(made(x), 3 * x)
            assert made.versions
    finally:
        locked.chmod(stat.S_IRWXU)
