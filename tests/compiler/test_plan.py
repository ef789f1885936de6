"""The plan of a program says how often memory is gone through, and how many bytes are moved."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

import tinygraph as tg
from tests.compiler.test_compiled import backend  # noqa: F401 - a fixture
from tinygraph.cli import main

SIZE = 4 * 300 * 50  # bytes of x


def test_batch_norm(backend):  # noqa: F811 - the fixture
    """Two sweeps each way, since squares are multiplied out."""
    made = tg.compile(tg.batch_norm, backend=backend)
    x = np.random.default_rng(0).standard_normal((300, 50)).astype(np.float32)
    made(tg.Tensor(x), tg.Tensor(x[0]), tg.Tensor(x[1]))
    (plan,) = made.plan()
    forward, backward = plan.steps
    assert (forward.way, backward.way) == ("forward", "backward")
    assert (forward.what, forward.sweeps) == ("kernel", 2)
    assert forward.reads // SIZE == 2
    assert forward.writes // SIZE == 1
    assert backward.sweeps == 2
    assert backward.reads // SIZE == 2 * backward.sweeps
    assert plan.least[0] // SIZE == 3
    assert plan.least[1] // SIZE == 2
    assert plan.kept <= 3 * 8 * 50, "nothing but sums is kept"
    assert "least possible" in str(made)
    assert "var" in "".join(forward.results) or forward.results


def test_a_bias_before_batch_norm_takes_no_sweep(backend):  # noqa: F811 - the fixture
    """A product of two inputs does: its squares have no pivot."""
    x = np.random.default_rng(0).standard_normal((300, 50)).astype(np.float32)
    for function, sweeps in (lambda x, b: tg.batch_norm(x + b), 2), (lambda x, b: tg.batch_norm(x * b), 3):
        made = tg.compile(function, backend=backend)
        np.testing.assert_allclose(made(x, x[0]), function(x.astype(float), x[0]), atol=2e-6)
        assert [step.sweeps for step in made.plan()[0].steps] == [sweeps]


def test_calls_are_steps(backend):  # noqa: F811 - the fixture
    w = tg.Parameter(np.ones((50, 7)))
    made = tg.compile(lambda x: tg.relu(x @ w), backend=backend)
    made(np.ones((300, 50)))
    steps = [s for s in made.plan()[0].steps if s.way == "forward" and s.sweeps]
    assert [s.what for s in steps] == ["matmul", "kernel"]
    assert [s.results for s in steps] == [("matmul",), ("maximum",)]


def test_the_picture_says_what_each_sweep_does(backend, tmp_path):  # noqa: F811 - the fixture
    """Batch norm's two passes, in formulas of inputs; names are escaped, and a net's calls have boxes, too."""
    made = tg.compile(tg.batch_norm, backend=backend)
    with pytest.raises(ValueError, match="no kernels are made before the first call"):
        made.draw(tmp_path / "plan.svg")
    x = tg.Tensor(np.random.default_rng(0).standard_normal((300, 50)).astype(np.float32), name="<x>")
    made(x, tg.Tensor(x.data[0]), tg.Tensor(x.data[1]))
    root = ElementTree.parse(made.draw(tmp_path / "plan.svg")).getroot()
    said = ["".join(e.itertext()).replace("\N{NO-BREAK SPACE}", " ") for e in root.iter() if e.tag.endswith("}text")]
    assert said.count("kernel") == 2
    assert "sweep 2" in said
    assert "sweep 3" not in said
    assert {"forward", "backward", "μ", "σ", "dγ", "dβ", "Σ g"} <= set(said), said
    assert any(line.startswith("y = ") and "<x>" in line for line in said)
    with pytest.raises(ValueError, match=r"ending is '\.txt'"):
        made.draw(tmp_path / "plan.txt")
    with pytest.raises(ValueError, match="theme is 'pink'"):
        made.draw(tmp_path / "plan.svg", theme="pink")
    w = tg.Parameter(np.ones((50, 7)))
    net = tg.compile(lambda x: tg.relu(x @ w), backend=backend)
    net(np.ones((300, 50)))
    assert ">matmul<" in net.draw(tmp_path / "net.svg").read_text(encoding="utf-8")


def test_doctor(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAPH_CACHE", str(tmp_path))
    (tmp_path / "kernel_0.py").write_text("")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path}, 1 there, writable" in out
    assert f"numpy {np.__version__}"[6:] in out
    assert main(["doctor", "--clear-cache"]) == 0
    assert "removed 1 kernel from" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
