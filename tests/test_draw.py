"""Text, DOT and files: goldens, hostile names, and files that are written whole or not at all."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from xml.dom import minidom

import graphviz
import numpy as np
import pytest

import tinygraph as tg
from tests.test_trace import by_hand

HERE = Path(__file__).parent
HOSTILE = [
    "<script>alert(1)</script>",
    'a"b\\',
    "line\nbreak\r\t",
    "]]>",
    "x" * 10_000,
    "\u202eright to left",
    "🙂🙂",
    "\x00\x1b[31m",
    "%s{0}$x\\N",
]


def golden(name, found):
    """Compare with a file; text and DOT are what goldens are for."""
    path = HERE / "goldens" / name
    assert found == path.read_text(encoding="utf-8"), f"to accept: write it to {path}"


def test_text_golden():
    golden("batchnorm.txt", tg.snapshot(by_hand()[1]).text() + "\n")


def test_ascii_golden_is_ascii():
    text = tg.snapshot(by_hand()[1]).text(ascii=True)
    assert text.isascii()
    golden("batchnorm_ascii.txt", text + "\n")


def test_dot_golden():
    golden("batchnorm.dot", tg.snapshot(by_hand()[1]).to_dot())


def test_the_same_graph_gives_the_same_bytes():
    a, b = tg.snapshot(by_hand()[1]), tg.snapshot(by_hand()[1])
    assert a.text() == b.text()
    assert a.to_dot() == b.to_dot()
    assert a.to_json() == b.to_json()


def test_width_cuts_lines_and_color_only_adds_color():
    graph = tg.snapshot(by_hand()[1])
    assert max(map(len, graph.text(width=60).splitlines())) <= 61  # x̂ has a combining mark, which has no width
    assert re.sub("\x1b\\[[0-9]+m", "", graph.text(color=True)) == graph.text()
    assert "\x1b" in graph.text(color=True)


def wires_of(graph):
    return [line for line in graph.text().splitlines()[3:] if "▾" not in line]


def test_every_node_has_a_row_and_wires_join_what_they_should():
    """A value that is used later has a wire, in the column of its mark, on every row in between."""
    graph = tg.snapshot(by_hand()[1])
    lines = wires_of(graph)
    assert len(lines) == len(graph.nodes) - sum(map(graph.is_number, range(len(graph.nodes))))
    marks = [min(line.find(c) for c in "●◆" if c in line) for line in lines]
    order = [next(n.id for n in graph.nodes if line[5:].lstrip().startswith(graph.label(n.id) + " ")) for line in lines]
    place = {node: row for row, node in enumerate(order)}
    for node in graph.nodes:
        for edge in node.inputs:
            if edge.source in place:
                column = marks[place[edge.source]]
                for row in range(place[edge.source] + 1, place[node.id]):
                    assert lines[row][column] in "│├┼┤", (lines[row], column)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_only_text(name, tmp_path):
    with tg.scope(name):
        x = tg.Tensor([1.0, 2.0], name=name)
        y = (x * 3).named(name + "y").sum().named("L")
    y.backward()
    graph = tg.snapshot(y)
    assert tg.Graph.from_json(graph.to_json()) == graph
    text = graph.text()
    assert len(text.splitlines()) == 3 + 4
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)
    svg = tg.draw(graph, tmp_path / "hostile.svg").read_text(encoding="utf-8")
    document = minidom.parseString(svg)
    assert not document.getElementsByTagName("script")
    assert tg.draw(graph, tmp_path / "hostile.dot").read_text() == graph.to_dot()


@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf", ".dot", ".gv", ".json", ".txt"])
def test_the_ending_picks_the_format(ending, tmp_path):
    path = tg.draw(by_hand()[1], tmp_path / f"graph{ending}")
    start = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF", ".json": b"{", ".txt": b"11 ops"}.get(ending, b"//")
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_dot_is_read_by_another_reader():
    pygraphviz = pytest.importorskip("pygraphviz")
    graph = tg.snapshot(by_hand()[1])
    read = pygraphviz.AGraph(string=graph.to_dot())
    shown = [n for n in graph.nodes if not graph.is_number(n.id)]
    assert sorted(read.nodes()) == sorted(f"n{n.id}" for n in shown)
    forward = sum(not graph.is_number(e.source) for n in graph.nodes for e in n.inputs)
    both = sum(graph.nodes[e.source].requires_grad for n in graph.nodes for e in n.inputs if n.requires_grad)
    assert len(read.edges()) == forward + both
    assert len(read.subgraphs()) == 1


def test_an_ending_that_is_not_known(tmp_path):
    with pytest.raises(ValueError, match=r"draw: 'graph.bmp' must end in one of .svg .png .pdf"):
        tg.draw(by_hand()[1], tmp_path / "graph.bmp")
    with pytest.raises(TypeError, match="draw takes a Tensor or a Graph, not ndarray"):
        tg.draw(np.ones(2), tmp_path / "graph.svg")


def test_without_a_layout_engine_the_error_names_both(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(tg.LayoutEngineMissing, match=r"its program `dot` .* or pip install 'tinygraph\[draw\]'"):
        tg.draw(by_hand()[1], tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())
    tg.draw(by_hand()[1], tmp_path / "graph.dot")


def test_the_programs_own_dot_is_preferred(tmp_path, monkeypatch):
    calls = []

    def run(command, **options):
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, b"", b"syntax error")

    monkeypatch.setattr("shutil.which", lambda _: "/somewhere/dot")
    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(RuntimeError, match="dot could not draw the graph: syntax error"):
        tg.draw(by_hand()[1], tmp_path / "graph.svg")
    assert calls == [["/somewhere/dot", "-Tsvg"]]


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "graph.txt"
    path.write_text("before")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        tg.draw(by_hand()[1], path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_large_arrays_are_summaries():
    x = tg.Tensor(np.arange(200.0).reshape(20, 10), name="x")
    dot = tg.snapshot((x * 2).named("y")).to_dot()
    assert "99.5 ± 57.7" in dot
    assert "[0, 199]" in dot


def test_a_graph_of_many_columns_still_has_one_row_a_node():
    xs = [tg.Tensor(np.ones(2), name=f"x{i}") for i in range(12)]
    y = tg.stack(xs).sum().named("L")
    lines = wires_of(tg.snapshot(y))
    assert len(lines) == 12 + 12 + 2
    assert all(len(set(map(len, pair))) for pair in itertools.pairwise(lines))


def test_graphviz_is_the_one_that_quotes():
    assert graphviz.__version__
