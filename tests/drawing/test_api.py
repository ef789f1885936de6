"""Files: the ending picks the format, and a file is written whole or not at all."""
# ruff: noqa: E501 - tables read best in lines

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from html import unescape
from xml.dom import minidom

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tests.drawing.graphs import noted
from tinygraph.drawing.api import file_content
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.formats.tikz import tikz
from tinygraph.graph.data import Graph

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


def test_the_same_graph_gives_the_same_bytes():
    a, b = tg.snapshot(by_hand()[1]), tg.snapshot(by_hand()[1])
    assert a.text() == b.text()
    assert a.to_dot() == b.to_dot()
    assert a.to_json() == b.to_json()


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


@pytest.mark.parametrize("ending", [".svg", ".html", ".dot", ".gv", ".mmd", ".tex", ".tikz", ".json", ".txt"])
def test_the_ending_picks_the_format(ending, tmp_path):
    path = tg.draw(by_hand()[1], tmp_path / f"graph{ending}")
    start = {
        ".svg": b"<svg",
        ".html": b"<!DOCTYPE",
        ".mmd": b"%%{",
        ".tex": b"% !TeX program = pdflatex",
        ".tikz": b"% !TeX program = pdflatex",
        ".json": b"{",
        ".txt": b"11 ops",
    }
    assert path.read_bytes().startswith(start.get(ending, b"//"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_pictures_are_printed_from_our_own_svg(ending, start, tmp_path):
    pytest.importorskip("typst")
    first, again = (tg.draw(by_hand()[1], tmp_path / f"{n}{ending}", width="506pt").read_bytes() for n in "ab")
    assert first.startswith(start)
    assert first == again
    if ending == ".png":
        across = int.from_bytes(first[16:20], "big")
        assert across == round(506 / 72 * 192)
        start = first.index(b"pHYs")
        assert start == 8 + 25 + 4  # behind the head
        assert struct.unpack(">IIB", first[start + 4 : start + 13]) == (7559, 7559, 1)  # 192 dots in 25.4 mm
        assert struct.unpack(">I", first[start + 13 : start + 17])[0] == zlib.crc32(first[start : start + 13])
    else:
        assert re.search(rb"/MediaBox ?\[0 0 506", first)


def test_letters_of_a_pdf_are_letters(tmp_path):
    """What is in the picture can be found and copied: the PDF holds text, not outlines."""
    pytest.importorskip("typst")
    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext")
    path = tg.draw(by_hand()[1], tmp_path / "graph.pdf")
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    for word in ("copy ×4", "one row for each example", "−.125", "forward value"):
        assert word in text.replace("\xa0", " "), word


@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf"])
def test_graphviz_lays_out_if_it_is_asked_to(ending, tmp_path, capfd):
    pytest.importorskip("pygraphviz")
    path = tg.draw(by_hand()[1], tmp_path / f"graph{ending}", engine="dot")
    assert path.read_bytes().startswith({".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[ending])
    assert capfd.readouterr() == ("", "")  # also what its libraries say, such as Fontconfig's warnings


@pytest.mark.parametrize(
    ("what", "name", "options", "kind", "message"),
    [
        (None, "graph.bmp", {}, ValueError, r"the ending is '.bmp'; it must be one of .png .pdf .svg .html"),
        (np.ones(2), "graph.svg", {}, TypeError, "draw takes a Tensor or several, a Graph, .* not ndarray"),
        ([], "graph.svg", {}, TypeError, "not nothing"),
        (None, "graph.svg", {"engine": "neato"}, ValueError, "engine is 'neato'; it must be one of lanes, dot"),
        (None, "graph.txt", {"engine": "dot"}, ValueError, "lays a graph out as .svg, .png or .pdf"),
        (None, "graph.json", {"detail": 2}, ValueError, ".json takes no detail; it takes no option"),
        (None, "graph.mmd", {"theme": "dark", "width": 3}, ValueError, ".mmd takes no theme, width; it takes depth, expand"),
        (None, "graph.svg", {"detail": 7}, ValueError, "detail is 7"),
        (None, "graph.svg", {"expand": "batchnorm"}, ValueError, "no scope is 'batchnorm'; the scopes are batch_norm"),
        (None, "graph.tex", {"depth": "1"}, ValueError, "depth is '1'; it must be 0"),
        (None, "graph.txt", {"width": "9cm"}, ValueError, "width is '9cm'; of a text it is a number of characters"),
        (None, "graph.svg", {"engine": "dot", "theme": "dark"}, ValueError, "engine='dot' takes no theme"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said(what, name, options, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        tg.draw(by_hand()[1] if what is None else what, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_without_what_it_takes_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(tg.EngineMissing, match=r"its program `dot` .* or pip install pillow pygraphviz typst"):
        tg.draw(by_hand()[1], tmp_path / "graph.svg", engine="dot")
    with pytest.raises(tg.EngineMissing, match=r"printed by typst: pip install pillow pygraphviz typst"):
        tg.draw(by_hand()[1], tmp_path / "graph.pdf")
    assert not list(tmp_path.iterdir())
    for ending in (".svg", ".html", ".mmd", ".tex", ".json", ".txt", ".dot"):
        tg.draw(by_hand()[1], tmp_path / f"graph{ending}")


def test_the_programs_own_dot_is_preferred(tmp_path, monkeypatch):
    calls = []

    def run(command, **options):
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, b"", b"syntax error")

    monkeypatch.setattr("shutil.which", lambda _: "/somewhere/dot")
    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(RuntimeError, match="dot could not draw the graph: syntax error"):
        tg.draw(by_hand()[1], tmp_path / "graph.svg", engine="dot")
    assert calls == [["/somewhere/dot", "-Tsvg"]]


def test_an_ending_may_be_in_capitals(tmp_path):
    assert tg.draw(by_hand()[1], tmp_path / "graph.SVG", depth=0, expand="batch_norm").read_text().startswith("<svg")


def test_several_tensors_in_one_picture(tmp_path):
    x = tg.Tensor([1.0, 2.0], name="x")
    drawn = tg.draw([(x * 2).named("a"), np.tanh(x).named("b")], tmp_path / "both.json").read_text()
    assert len(tg.Graph.from_json(drawn).outputs) == 2


def test_paths_and_differences_are_drawn_and_told(tmp_path):
    x = tg.Tensor(np.eye(3), name="x")
    y = tg.batch_norm(x)
    upstream = np.arange(9.0).reshape(3, 3)
    found = tg.paths(x, y, upstream)
    assert len(found) == 4
    np.testing.assert_allclose(found.total, tg.grad(y, [x], upstream)[0], atol=1e-12)
    assert str(found).count("→") == sum(len(path.route) - 1 for path in found)
    compared = tg.diff(tg.snapshot(y), tg.snapshot(tg.layer_norm(x)), ("batch", "layer"))
    for what, word in ((found, "the whole gradient"), (compared, "in layer")):
        assert word in tg.draw(what, tmp_path / "a.txt").read_text()
        assert tg.draw(what, tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
        assert minidom.parse(str(tg.draw(what, tmp_path / "a.svg", theme="dark")))
    with pytest.raises(TypeError, match="diff takes two Graphs, not Tensor"):
        tg.diff(y, y)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "graph.txt"
    path.write_text("before")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        tg.draw(by_hand()[1], path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_scope_that_is_misspelt_is_said(graphs: dict[str, Graph]) -> None:
    for writer in (Graph.text, Graph.to_dot, svg, html, mermaid, tikz):
        with pytest.raises(ValueError, match=r"no scope is 'hiden'; the scopes are hidden, hidden/batch_norm, head"):
            writer(graphs["mlp"], depth=0, expand=["hiden"])
        with pytest.raises(ValueError, match="depth is -1; it must be 0, which collapses every scope, or more"):
            writer(graphs["mlp"], depth=-1)


def test_hostile_names_pass_what_reads_and_prints_them(hostile: Graph) -> None:
    """Graphviz lays the DOT out; typst prints the SVG: neither chokes, and neither is told to do anything."""
    pygraphviz = pytest.importorskip("pygraphviz")
    read = pygraphviz.AGraph(string=hostile.to_dot(title=HOSTILE[0]))
    assert len(read.nodes()) == sum(not hostile.is_number(n.id) for n in hostile.nodes)
    ET.fromstring(file_content(hostile, ".svg", engine="dot"))
    pytest.importorskip("typst")
    assert file_content(hostile, ".png", {"detail": 1, "title": HOSTILE[0]}).startswith(b"\x89PNG")
    assert file_content(hostile, ".pdf", {"detail": 0, "title": '"#]] \\ '}).startswith(b"%PDF")


@pytest.mark.parametrize("ending", [".svg", ".html", ".dot", ".mmd", ".tex", ".json", ".txt"])
def test_every_format_shows_the_notes(ending: str) -> None:
    graph = noted()
    assert graph.notes
    found = unescape(re.sub(r"<[^>]+>|\\[a-z]+", " ", file_content(graph, ending).decode()))
    found = re.sub(r"#(\d+);", lambda m: chr(int(m[1])), found)
    for note in graph.notes:
        for word in re.findall(r"[a-z]{3,}", note):
            assert word in found, (word, note)


@pytest.mark.parametrize("ending", [".svg", ".tex", ".dot", ".mmd", ".txt"])
def test_a_scope_whose_name_is_latex_is_mathematics(tmp_path, ending):
    x = tg.Tensor([1.0, 2.0], name="x")
    with tg.scope(r"\tau^{(1)}"):
        loss = tg.tanh(x).sum().named("L")
    for depth in (0, 1) if ending != ".mmd" else (0,):  # Mermaid has no boxes for scopes
        written = tg.draw(loss, tmp_path / f"graph{ending}", depth=depth).read_text(encoding="utf-8")
        if ending == ".tex":
            assert r"\tau" in written and "textbackslash" not in written
        else:
            assert "τ" in written and r"\tau" not in re.sub(r'data-scope="[^"]*"', "", written)
