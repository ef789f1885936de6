"""Text, DOT and files: goldens, hostile names, and files that are written whole or not at all."""
# ruff: noqa: E501 - a table reads best in lines

import itertools
import re
import shutil
import subprocess
import sys
from xml.dom import minidom

import graphviz
import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tests.golden import check_golden

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


def test_text_golden():
    check_golden("batchnorm.txt", tg.snapshot(by_hand()[1]).text() + "\n")


def test_ascii_golden_is_ascii():
    text = tg.snapshot(by_hand()[1]).text(ascii=True)
    assert text.isascii()
    check_golden("batchnorm_ascii.txt", text + "\n")


def test_text_says_what_it_means_in_few_signs():
    x = tg.Tensor([0.5, 2.0], name="été", requires_grad=False)
    y = (tg.exp(-x) * tg.Tensor([1.0, 2.0], name="x\u0304")).named("y")
    chart = tg.snapshot(y).text(ascii=True)
    assert chart.startswith("3 ops * x_bar float64(2,)") and "e^(-ete)" in chart
    assert tg.snapshot((x * 2).named("y")).text().startswith("1 op · → y (2,)")
    b = tg.Parameter([0.3, 0.1], name="b")  # before a batch norm: it is taken off with the mean
    loss = (
        tg.batch_norm(tg.Tensor([[0.1, 2.0], [0.7, 0.3], [0.2, 0.9]]) + b) * [[0.3, 1.0], [2.0, 0.1], [0.7, 5]]
    ).sum()
    loss.backward()
    assert re.search(r"b  \(param\) .* 0, but for rounding ", tg.snapshot(loss).text())


def test_what_a_gradient_comes_from_is_written_as_a_gradient():
    """(∂L/∂s)·x̂, not s·x̂: what is multiplied is the gradient of the consumer."""
    graph = tg.snapshot(by_hand()[1])
    came_from = {line[5:].split()[0]: re.split(r"\s{2,}", line)[-1] for line in wires_of(graph)}
    assert came_from["γ"] == "Σ₀ ∂s·x̂"
    assert came_from["β"] == "Σ₀ ∂y"
    assert came_from["σ"] == "Σ₀ ∂x̂·(−x_c/σ²)"
    assert came_from["q"] == "∂v/4 copied"
    assert graph.text().splitlines()[2].endswith("gradient from (∂· = ∂L/∂·)")
    log_p = tg.Tensor([1.0, 2.0], name="x").sum().named("log p") * 2.0
    assert "∂(log p) copied" in tg.snapshot(log_p.named("y")).text()


def test_arrays_of_up_to_12_elements_are_their_numbers():
    x = tg.Tensor([[1.0, -0.5, 1e-17], [2.0, np.nan, np.inf]], name="x")
    chart = tg.snapshot(x, tg.Tensor(np.arange(12.0), name="z"), tg.Tensor(np.arange(13.0), name="t")).text()
    assert "1 −0.5 0; 2 NaN ∞" in chart
    assert "0 1 2 3 4 5 6 7 8 9 10 11" in chart
    assert "6 ± 3.74" in chart
    assert "numbers or mean ± std" in chart


def test_numbers_give_way_to_summaries_where_the_terminal_is_narrow():
    graph = tg.snapshot(by_hand()[1])
    charts = {width: graph.text(width=width) for width in (None, 160, 100, 40)}
    assert charts[160] == charts[None]
    assert "1 4 16; 1 4 16" in charts[160]
    assert "7 ± 6.48" in charts[100]  # (4, 3) is summarized
    assert "−4 −4 −16" in charts[100]  # (3,) is not
    assert "Σ₀ ∂s·x̂" in charts[100]  # and the last column is whole
    assert "…" in charts[40]


def test_dot_golden():
    check_golden("batchnorm.dot", tg.snapshot(by_hand()[1]).to_dot())


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


@pytest.mark.parametrize("ending", [".svg", ".html", ".dot", ".gv", ".mmd", ".tex", ".json", ".txt"])
def test_the_ending_picks_the_format(ending, tmp_path):
    path = tg.draw(by_hand()[1], tmp_path / f"graph{ending}")
    start = {
        ".svg": b"<svg",
        ".html": b"<!DOCTYPE",
        ".mmd": b"%%{",
        ".tex": b"\\documentclass",
        ".json": b"{",
        ".txt": b"11 ops",
    }
    assert path.read_bytes().startswith(start.get(ending, b"//"))
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


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_pictures_are_printed_from_our_own_svg(ending, start, tmp_path):
    pytest.importorskip("typst")
    first, again = (tg.draw(by_hand()[1], tmp_path / f"{n}{ending}", width="506pt").read_bytes() for n in "ab")
    assert first.startswith(start)
    assert first == again
    if ending == ".png":
        across = int.from_bytes(first[16:20], "big")
        assert across == round(506 / 72 * 192)
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
        (None, "graph.dot", {"show": "health"}, ValueError, "show is 'health'"),
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
    with pytest.raises(tg.EngineMissing, match=r"its program `dot` .* or pip install pygraphviz typst"):
        tg.draw(by_hand()[1], tmp_path / "graph.svg", engine="dot")
    with pytest.raises(tg.EngineMissing, match=r"printed by typst: pip install pygraphviz typst"):
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


def test_text_and_dot_collapse_scopes():
    x = tg.Tensor(np.ones((4, 3)), name="x")
    graph = tg.snapshot(tg.batch_norm(x).sum().named("L"))
    chart = graph.text(depth=0)
    assert "■  ▸ batch_norm  (7 ops)" in chart
    assert "x_c" not in chart
    assert chart.splitlines()[0].startswith("8 ops")
    assert graph.text(depth=0, ascii=True).isascii()
    assert graph.text(depth=0, expand=["batch_norm"]) == graph.text()
    assert "1 of them collapsed scopes" in graph.to_dot(depth=0)
    assert "▸ batch_norm" in graph.to_dot(depth=0)


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


def test_dot_tells_the_operands_apart():
    x = tg.Tensor([1.0, 2.0], name="x")
    loss = (x * x).sum()
    loss.backward()
    source = tg.snapshot(loss).to_dot()
    for label in ("x (2,)", "y (2,)", "① × x", "② × x"):
        assert f"label=<{label}>" in source


def test_dot_keeps_scopes_with_the_same_start_apart():
    y = tg.Tensor([1.0], name="x")
    for end in "ab":
        with tg.scope("a very long name of a scope, which goes on and on: " + end):
            y = y * 2
    clusters = re.findall(r'subgraph "?(\w+)"? {', tg.snapshot(y).to_dot())
    assert len(set(clusters)) == 2
