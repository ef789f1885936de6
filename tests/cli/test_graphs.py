"""``tinygraph draw``, ``text`` and ``diff``, as a user runs them: what they write, and what they say when not."""
# ruff: noqa: E501 - a table reads best in lines

from __future__ import annotations

import json
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
def number_of(y): return 3
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


def test_frames_are_written(file, tmp_path, capsys):
    assert run("draw", f"{file}:loss", "--frames", tmp_path / "a.svg", "--frames", tmp_path / "steps") == 0
    written = sorted(path.name for path in (tmp_path / "steps").iterdir())
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {tmp_path / 'a.svg'}",
        f"wrote {len(written)} files: {tmp_path / 'steps' / 'steps_01.svg'} … {written[-1]}",
    ]
    run("draw", f"{file}:loss", "-o", tmp_path / "two.svg", "--upto", "2")
    assert (tmp_path / "two.svg").read_bytes() == (tmp_path / "steps" / "steps_02.svg").read_bytes()


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
        (["{file}:los", "-o", "{to}.svg"], "has no 'los'; it has x, composed(), fused(), both(), broken(), number(), net, loss, graph, scoped"),
        (["{file}", "-o", "{to}.svg"], "write FILE.py:NAME"),
        (["{file}:broken", "-o", "{to}.svg"], "broken() failed: ZeroDivisionError: division by zero (line 13)"),
        (["{file}:needs", "-o", "{to}.svg"], "needs takes arguments: name a function that takes none, and calls needs in it"),
        (["{file}:net", "-o", "{to}.svg"], "net is a Module, which needs inputs: write example_inputs = (x,) in "),
        (["{file}:net", "-o", "{to}.svg", "--inputs", "nothing"], "train.py has no 'nothing'"),
        (["{file}:net", "-o", "{to}.svg", "--inputs", "x", "--loss", "nothing"], "--loss nothing: "),
        (["{file}:net", "-o", "{to}.svg", "--inputs", "x", "--loss", "number_of"], "TypeError: the loss gives 3; it must give one number"),
        (["{file}:net", "-o", "{to}.svg", "--inputs", "number"], "net: "),
        (["{file}:loss", "-o", "{to}.svg", "--inputs", "x"], "--inputs and --loss are for a Module: loss is a Tensor"),
        (["{file}:number", "-o", "{to}.svg"], ":number is of type int; it must be a Tensor, several, or a Graph"),
        (["{file}:loss", "-o", "{to}.bmp"], "the ending must be one of .svg .html"),
        (["{file}:loss", "-o", "{to}.mmd", "--detail", "2"], ".mmd takes no detail"),
        (["{file}:loss", "-o", "{to}.svg", "--engine", "neato"], "engine is 'neato'"),
        (["{file}:loss", "-o", "{to}.svg", "--width", "wide"], "width is 'wide'"),
        (["{file}:loss", "-o", "{to}.txt", "--width", "9pt"], "it is a number of characters"),
        (["{file}:loss", "-o", "{to}.svg", "--show", "path=x,z"], "0 nodes are named 'z'"),
        (["{file}:loss", "-o", "{to}.svg", "--theme", "pink"], "theme is 'pink'"),
        (["{file}:loss", "-o", "{to}.svg", "--expand", "batchnorm"], "no scope is 'batchnorm'; the scopes are batch_norm"),
        (["{file}:loss", "-o", "{to}.html", "--depth", "-1"], "depth is -1; it must be 0"),
        (["{file}:loss"], "say where to: -o FILE, or --frames PATH"),
        (["{file}:loss", "--frames", "{to}.mp4"], "the ending is '.mp4'; it must be .gif, .pdf or .svg"),
        (["{file}:loss", "--frames", "{to}", "--format", "bmp"], "the form is 'bmp'"),
        (["{file}:loss", "--frames", "{to}.svg", "--show", "forward"], "--frames takes no --show"),
        (["{file}:loss", "-o", "{to}.svg", "--upto", "99"], "upto is 99; this graph has the steps 1 to"),
        (["{file}:loss", "-o", "{to}.svg", "--upto", "∂nope"], "0 nodes are named 'nope'"),
        (["{file}:loss", "-o", "{to}.svg", "--blank", "nope"], "0 nodes are named 'nope'"),
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
    assert "pip install pillow pygraphviz typst" in said
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


UNREADABLE = json.loads(tg.snapshot(tg.Tensor([1.0], name="x") * 2).to_json())
UNREADABLE["nodes"][2]["tex"] = "{" * 90_000


@pytest.mark.parametrize(
    "content", ["[" * 90_000, "\x00", "\ufeff{}", json.dumps(UNREADABLE), "1" * 9_000, "{}", "null"]
)
@pytest.mark.parametrize(
    "words",
    [["text"], ["source"], ["draw", "-o", "{to}.svg"], ["lesson", "-o", "{to}.html"], ["draw", "--frames", "{to}.svg"]],
    ids=" ".join,
)
def test_every_command_says_in_a_line_that_json_is_damaged(words, content, tmp_path, capsys):
    path = tmp_path / "bad\x1b[31m\u202e.json"
    path.write_text(content, encoding="utf-8")
    command, *rest = (w.format(to=tmp_path / "out") for w in words)
    assert run(command, path, *rest) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tinygraph {command}: ")
    assert said.count("\n") == 1
    assert said.strip("\n").isprintable()
    assert not list(tmp_path.glob("out*"))


def test_what_was_typed_steers_no_terminal(file, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run("text", f"{file}:loss", "--width", "\x1b[31m\u202e9")
    assert caught.value.code == 2
    with pytest.raises(SystemExit):
        run("\x1b]0;t\x07")
    to = tmp_path / "\x1b[31m"
    assert run("draw", f"{file}:loss", "-o", f"{to}.svg", "--width", "20") == 0  # too narrow: it warns
    assert run("source", f"{file}:loss", "-o", f"{to}.py") == 0
    assert run("lesson", f"{file}:loss", "-o", f"{to}.html") == 0
    assert run("diff", f"{file}:loss", f"{file}:loss", "-o", f"{to}.svg") == 0
    assert run("text", f"{file}:\x9b") == 2
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).split("\n"))
    assert "too narrow" in said.err
    assert said.out.count("wrote ") == 4


def test_text_is_as_wide_as_asked_and_coloured_only_on_a_terminal(file, capsys, monkeypatch):
    assert run("text", f"{file}:loss", "--ascii") == 0
    plain = capsys.readouterr().out
    assert plain.isascii()
    assert "\x1b" not in plain
    assert run("text", f"{file}:loss", "--width", 50) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 52
    assert run("text", f"{file}:scoped", "--depth", 0) == 0
    assert "▸ t = block(x)" in capsys.readouterr().out
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
