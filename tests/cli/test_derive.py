"""``tinygraph derive``, as a user runs it."""

import json

import pytest

from tinygraph.cli import main

FILE = """
import numpy as np
import tinygraph as tg
x = tg.Tensor(np.array([[1.0, 2.0], [3.0, 5.0], [2.0, 2.0]]), name="x")
y = tg.batch_norm(x, tg.Parameter([1.0, 2.0], name="γ"))
constant = tg.Tensor([1.0], requires_grad=False) * 2
"""
RIGHT = "dx = gamma/sigma*(dy - dy.mean(0) - xhat*(dy*xhat).mean(0))"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(FILE, encoding="utf-8")
    return "model.py:y"


def test_without_a_file_it_derives_batch_norm(capsys):
    assert main(["derive"]) == 0
    assert "dx = γ/σ (w − mean(w) − x̂ mean(x̂ w))" in capsys.readouterr().out


def test_a_graph_of_a_file_and_one_gradient_of_it(file, capsys):
    assert main(["derive", file, "--wrt", "x"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("dx: sums run over axis 0 of (3, 2)") and "dγ" not in printed


@pytest.mark.parametrize(
    ("ask", "status", "said"),
    [
        (RIGHT, 0, "dx: right"),
        (RIGHT.replace(" - dy.mean(0)", ""), 1, "the term −γ mean(dy)/σ is missing"),
        (RIGHT.replace("sigma", "np.sqrt((x**2).mean(0) - x.mean(0)**2 + eps)", 1), 1, "float32 refuses it"),
    ],
)
def test_a_closed_form_is_judged(ask, status, said, file, capsys):
    assert main(["derive", file, "--ask", ask]) == status
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".tex", ".svg", ".json", ".txt"])
def test_it_writes_files(suffix, file, tmp_path, capsys):
    assert main(["derive", file, "-o", f"out{suffix}"]) == 0
    assert capsys.readouterr().out == f"wrote out{suffix}\n"
    text = (tmp_path / f"out{suffix}").read_text(encoding="utf-8")
    start = {".tex": r"\paragraph{0. recorded.}", ".svg": "<svg", ".json": "{", ".txt": "dx, dγ"}[suffix]
    assert text.startswith(start)
    if suffix == ".json":
        assert json.loads(text)["schema"] == "tinygraph-derivation/1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.py:y", "--ask", "dy*(z"], "ask: 'dy*(z' is no formula"),
        (["model.py:y", "--ask", "dy*z"], "ask: z is no value here; the values are"),
        (["model.py:y", "--wrt", "z"], "wrt=z: the leaves are x, γ"),
        (["model.py:y", "-o", "a.docx"], "must be one of .txt, .tex, .svg, .json"),
        (["model.py:constant"], "no gradient is wanted"),
        (["model.py:y", "--example", "dense"], "give WHAT or --example, and not both"),
        (["--example", "nothing"], "--example nothing: it must be one of batch_norm"),
    ],
)
def test_an_error_says_what_is_wrong(words, said, file, capsys):
    assert main(["derive", *words]) == 2
    assert said in capsys.readouterr().err
