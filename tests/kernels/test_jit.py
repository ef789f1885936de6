"""Compiled kernels on disk: found again, never another version's, and no harm where the disk cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from tests.fused_cases import FUSED, check, make_batch, passes
from tinygraph import fused
from tinygraph.kernels import jit, threads
from tinygraph.kernels.threads import wait_for


def wait(counters):
    wait_for((counters, counters, True), 0, 3)


def test_code_on_disk_is_not_taken_for_another_version(monkeypatch, tmp_path):
    """Numba looks at the file of a kernel alone, not at those of the functions that it calls."""
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    hits = lambda: sum(
        jit.compile_function(wait, (np.zeros(threads.COUNTERS, np.int64),), cache=True).stats.cache_hits.values()
    )
    assert [hits(), hits()] == [0, 1]
    monkeypatch.setattr(jit, "version", lambda: b"another")
    assert [hits(), hits()] == [0, 1]


@pytest.mark.parametrize("name", FUSED)
def test_a_cache_that_cannot_be_written_breaks_nothing(name, tmp_path, monkeypatch, fresh):
    numba = pytest.importorskip("numba")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    check(name, make_batch(name, (90, 64), {"batch_norm": 0, "layer_norm": -1}[name], np.float32), 1e-6,
          axis={"batch_norm": 0, "layer_norm": -1}[name])  # fmt: skip


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_long_compiling_is_announced_once(patience, monkeypatch, fresh, capfd):
    pytest.importorskip("numba")
    monkeypatch.setenv("TINYGRAPH_FUSED", "numba")
    slow = jit.compile_function
    monkeypatch.setattr(
        jit, "compile_function", lambda *args, **params: (threading.Event().wait(0.05), slow(*args, **params))[1]
    )
    jit.Kernel.patience = patience
    for dtype in (np.float32, np.float64):
        passes(fused.layer_norm, make_batch("layer_norm", (90, 64), -1, dtype))
    said = capfd.readouterr().err
    assert said.count("compiling fused kernels with Numba") == (patience == 0)


BITS = """
    import hashlib, os
    import numpy as np
    import tinygraph as tg
    from tinygraph.kernels.jit import load_numba

    load_numba()
    rng, found = np.random.default_rng(0), {}
    shapes = {"rows": (128, 120), "runs": (64, 6, 12, 12)}
    arrays = {name: [rng.standard_normal(s).astype(np.float32) for s in (shape, shape[1:2], shape[1:2], shape)]
              for name, shape in shapes.items()}
    for order in (("rows", "runs"), ("rows", "runs"), ("runs", "rows")):
        child = os.fork()  # a process that has no kernel, and does not import all of that again
        if child:
            assert os.waitpid(child, 0)[1] == 0
            continue
        for name in order:
            *given, dy = arrays[name]
            inputs = [tg.Tensor(a) for a in given]
            y = tg.fused.batch_norm(*inputs, axis=(0, *range(2, len(shapes[name]))))
            gradients = tg.grad(y, inputs, dy) if name == "rows" else ()
            for part, a in zip(("y", "dx", "dgamma", "dbeta"), (y.data, *gradients)):
                found[name, part] = hashlib.sha256(a.tobytes()).hexdigest()
        print(sorted(found.items()), flush=True)
        os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_bits_do_not_depend_on_where_kernels_come_from(tmp_path):
    """Just compiled, from disk, and in another order: a run that is resumed later must go on with the same bits."""
    pytest.importorskip("numba")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "TINYGRAPH_FUSED": "numba"}
    command = [sys.executable, "-c", textwrap.dedent(BITS)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert any(tmp_path.rglob("*.nbc"))
    assert len(found) == 3 and len(set(found)) == 1
