"""``tinygraph draw FILE.py:NET``: a Module of ours or of PyTorch, with inputs of the same file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.cli import main

OURS = """
import numpy as np
import tinygraph as tg

net = tg.nn.Sequential(tg.nn.Linear(3, 2), tg.nn.ReLU())
data = tg.Tensor(np.arange(6.0).reshape(2, 3), name="data")
example_inputs = (np.arange(6.0).reshape(2, 3),)
def square(y): return (y * y).sum()
def make(): return net
"""

THEIRS = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
two = nn.Bilinear(3, 3, 2)
data = torch.arange(6.0).reshape(2, 3)
example_inputs = data
def square(y): return (y * y).sum()

class Stops(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        h = torch.relu(self.fc(x))
        raise KeyError("no such thing")

stops = Stops()
"""


def draw(file: Path, name: str, *options: str) -> tg.Graph:
    out = file.parent / "out.json"
    assert main(["draw", f"{file}:{name}", "-o", str(out), *options]) == 0
    return tg.Graph.from_json(out.read_text(encoding="utf-8"))


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(OURS, encoding="utf-8")
    return path


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    path = tmp_path / "model.py"
    path.write_text(THEIRS, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["net", "make"])
def test_a_module_of_ours(ours, name):
    graph = draw(ours, name)
    assert [n.op for n in graph.nodes if n.op] == ["transpose", "matmul", "add", "relu"]
    assert graph.find("0.bias").grad is not None
    assert graph.notes == ("no loss was given: gradients are those of the sum of the output",)
    graph = draw(ours, name, "--inputs", "data", "--loss", "square")
    assert graph.nodes[graph.outputs[0]].op == "sum" and graph.find("data").grad is not None


def test_a_module_of_pytorch(theirs):
    graph = draw(theirs, "net")
    assert [n.op for n in graph.nodes if n.op] == ["transpose", "matmul", "add", "relu"]
    np.testing.assert_allclose(sum(graph.find("0.bias").grad.values), sum(v > 0 for v in graph.nodes[-1].value.values))
    graph = draw(theirs, "net", "--loss", "square")
    assert graph.nodes[graph.outputs[0]].name == "L"
    assert [n.name for n in draw(theirs, "two", "--inputs", "data,data").nodes if n.kind == "input"] == [
        "input1",
        "input2",
    ]


def test_a_model_that_fails_is_drawn_up_to_there(theirs, tmp_path, capsys):
    out = tmp_path / "stops.svg"
    assert main(["draw", f"{theirs}:stops", "-o", str(out)]) != 0
    said = capsys.readouterr()
    assert (
        "stops: from_torch: the model failed in its forward, after relu at model.py:17: KeyError: 'no such thing'"
        in said.err
    )
    assert "the picture has what there is up to there" in said.err and len(said.err.strip().splitlines()) == 1
    assert "<svg" in out.read_text(encoding="utf-8")
    assert main(["text", f"{theirs}:stops"]) != 0


def test_an_own_module_loads_no_pytorch(ours):
    code = (
        f"import sys; from tinygraph.cli import main; main(['text', {f'{ours}:net'!r}]); print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "False"
