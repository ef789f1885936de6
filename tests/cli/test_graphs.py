"""``tinygraph draw``, ``text`` and ``diff``, as a user runs them: what they write, and what they say when not."""
# ruff: noqa: E501 - a table reads best in lines

from __future__ import annotations

from pathlib import Path
from xml.dom import minidom

import pytest

import tinygraph as tg
from tinygraph.cli import main

FILE = """
import numpy as np
import tinygraph as tg

x = tg.Tensor(np.arange(6.0).reshape(3, 2), name="x")

def composed():
    return tg.batch_norm(x).named("y")

def fused(): return tg.fused.batch_norm(x).named("y")
def both(): return composed(), (x * 2).named("twice")
def needs(more): return more
def broken(): return 1 / 0
def number(): return 3
net = tg.nn.Linear(2, 2)

loss = (composed() * np.arange(6.0).reshape(3, 2)).sum().named("L")
loss.backward()
graph = tg.snapshot(loss)
with tg.scope("block"):
    scoped = np.tanh(x * 2).named("t")
if __name__ == "__main__":
    raise SystemExit("it must not run as a program")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    return main(list(map(str, arguments)))


@pytest.mark.parametrize("name", ["loss", "graph", "composed", "both"])
def test_a_tensor_a_graph_and_a_function_are_drawn(file, name, tmp_path, capsys):
    out = [tmp_path / f"out{ending}" for ending in (".svg", ".html", ".dot", ".mmd", ".tex", ".json", ".txt")]
    assert run("draw", f"{file}:{name}", *(word for path in out for word in ("-o", path))) == 0
    assert capsys.readouterr().out.splitlines() == [f"wrote {path}" for path in out]
    assert minidom.parse(str(out[0]))
    assert len(tg.Graph.from_json(out[5].read_text(encoding="utf-8")).outputs) == 1 + (name == "both")


def test_a_graph_of_json_gives_the_same_picture(file, tmp_path):
    run("draw", f"{file}:loss", "-o", tmp_path / "a.svg", "-o", tmp_path / "a.json")
    assert run("draw", tmp_path / "a.json", "-o", tmp_path / "b.svg") == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_options_reach_the_picture(file, tmp_path):
    out = tmp_path / "a.svg"
    assert (
        run(
            "draw",
            f"{file}:loss",
            "-o",
            out,
            "--detail",
            2,
            "--show",
            "path=x,y",
            "--theme",
            "dark",
            "--width",
            "900pt",
        )
        == 0
    )
    text = out.read_text(encoding="utf-8")
    assert 'width="900pt"' in text
    assert 'class="tg-dark"' in text
    assert "ways through x → y" in text.replace("\xa0", " ")
    run("draw", f"{file}:loss", "-o", out, "--depth", 0, "--title", "Net")
    assert 'data-scope="batch_norm"' in out.read_text(encoding="utf-8")
    run("draw", f"{file}:loss", "-o", out, "--depth", 0, "--expand", "batch_norm")
    assert "data-scope" not in out.read_text(encoding="utf-8")
    assert run("draw", f"{file}:loss", "-o", tmp_path / "a.txt", "--width", 40) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{file}:los", "-o", "{to}.svg"], "has no 'los'; it has x, composed(), fused(), both(), broken(), number(), loss, graph, scoped"),
        (["{file}", "-o", "{to}.svg"], "write FILE.py:NAME"),
        (["{file}:broken", "-o", "{to}.svg"], "broken() failed: ZeroDivisionError: division by zero (line 13)"),
        (["{file}:needs", "-o", "{to}.svg"], "needs takes arguments: name a function that takes none, and calls needs in it"),
        (["{file}:net", "-o", "{to}.svg"], "net takes arguments: name a function that takes none, and calls net in it"),
        (["{file}:number", "-o", "{to}.svg"], "draw takes a Tensor or several, a Graph, or what diff or paths found, not int"),
        (["{file}:loss", "-o", "{to}.bmp"], "the ending must be one of .svg .html"),
        (["{file}:loss", "-o", "{to}.mmd", "--detail", "2"], ".mmd takes no detail"),
        (["{file}:loss", "-o", "{to}.svg", "--engine", "neato"], "engine is 'neato'"),
        (["{file}:loss", "-o", "{to}.svg", "--width", "wide"], "width is 'wide'"),
        (["{file}:loss", "-o", "{to}.txt", "--width", "9pt"], "it is a number of characters"),
        (["{file}:loss", "-o", "{to}.svg", "--show", "path=x,z"], "0 nodes are named 'z'"),
        (["{file}:loss", "-o", "{to}.svg", "--theme", "pink"], "theme is 'pink'"),
        (["{file}:loss", "-o", "{to}.svg", "--expand", "batchnorm"], "no scope is 'batchnorm'; the scopes are batch_norm"),
        (["{file}:loss", "-o", "{to}.html", "--depth", "-1"], "depth is -1; it must be 0"),
        (["none.py:x", "-o", "{to}.svg"], "none.py: there is no such file"),
        (["none.json", "-o", "{to}.svg"], "none.json: there is no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said_in_a_line(file, words, message, tmp_path, capsys):
    to = tmp_path / "out"
    assert run("draw", *(w.format(file=file, to=to) for w in words)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("tinygraph draw: ")
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(("ending", "engine"), [(".pdf", "lanes"), (".png", "lanes"), (".svg", "dot")])
def test_a_missing_engine_is_said_in_a_line(file, ending, engine, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setitem(sys.modules, "typst", None)
    assert run("draw", f"{file}:loss", "-o", tmp_path / f"out{ending}", "--engine", engine) == 2
    said = capsys.readouterr().err
    assert "pip install pygraphviz typst" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import nothing_like_this", "ModuleNotFoundError"),
        ("x = (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_file_that_fails_is_said_in_a_line(tmp_path, content, message, capsys):
    path = tmp_path / "bad.py"
    path.write_text(content)
    assert run("text", f"{path}:x") == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_json_that_is_no_graph_is_said_in_a_line(tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text("[1, 2")
    assert run("text", path) == 2
    assert "this is no JSON" in capsys.readouterr().err


def test_text_is_as_wide_as_asked_and_coloured_only_on_a_terminal(file, capsys, monkeypatch):
    assert run("text", f"{file}:loss", "--ascii") == 0
    plain = capsys.readouterr().out
    assert plain.isascii()
    assert "\x1b" not in plain
    assert run("text", f"{file}:loss", "--width", 50) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 52
    assert run("text", f"{file}:scoped", "--depth", 0) == 0
    assert "▸ block" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    run("text", f"{file}:loss")
    assert "\x1b[34m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    run("text", f"{file}:loss")
    assert "\x1b" not in capsys.readouterr().out


def test_diff_prints_or_draws(file, tmp_path, capsys):
    assert run("diff", f"{file}:composed", f"{file}:fused", "--names", "composed", "fused") == 0
    printed = capsys.readouterr().out
    assert "in fused" in printed
    assert "in composed" in printed
    assert run("diff", f"{file}:composed", f"{file}:fused", "-o", tmp_path / "d.svg") == 0
    assert minidom.parse(str(tmp_path / "d.svg"))
    assert run("diff", f"{file}:composed", f"{file}:fused", "-o", tmp_path / "d.mmd") == 2
    assert "the ending is '.mmd'" in capsys.readouterr().err
