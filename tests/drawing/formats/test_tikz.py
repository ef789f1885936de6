"""TikZ: it compiles, looks like the SVG, has no letter below 6 pt, and hostile names are only text."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tinygraph.drawing.formats.frames import frame_upto
from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.formats.tikz import tikz, tikz_step
from tinygraph.graph.data import Graph


def sizes(paper: str) -> list[float]:
    """Return the sizes of all letters, in points."""
    found = re.findall(r"\\tgtext\{[^{}]*\}\{[^{}]*\}\{([\d.]+)\}|\\tgsize\{([\d.]+)\}", paper)
    return [float(a or b) for a, b in found]


def test_hostile_names_in_tikz(hostile: Graph) -> None:
    paper = tikz(hostile)
    body = paper.split(r"\begin{tikzpicture}")[1]
    assert r"\input{" not in body and r"\write18" not in body
    body = body.replace(r"\{", "").replace(r"\}", "")
    assert body.count("{") == body.count("}")
    assert all(c.isprintable() or c == "\n" for c in paper)


@pytest.mark.parametrize("name", list(gallery.GALLERY))
def test_every_graph_is_a_whole_document_and_a_part(graphs: dict[str, Graph], name: str) -> None:
    paper, part = tikz(graphs[name]), tikz(graphs[name], document=False)
    assert paper.startswith("% !TeX program = pdflatex\n") and paper.isascii()
    assert len(re.findall(r"\\node\[[^]]*\] \(n\d+\) at", paper)) >= 3
    assert paper.count(r"\begin{") == paper.count(r"\end{")
    assert r"\documentclass" not in part and r"\usepackage" not in part
    assert part[part.index(r"\begin{tikzpicture}") :] in paper.replace("\n\\end{document}", "")
    assert min(sizes(paper)) >= 6


def test_the_same_things_stand_at_the_same_places_as_in_the_svg(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    for options in ({}, {"detail": 0, "show": "forward"}, {"detail": 1, "width": "506pt"}, {"blank": "gradients"}):
        picture, paper = svg(graph, **options, legend=False), tikz(graph, **options)
        cards = re.findall(r'<g id="[^"]*\bn(\d+)" class="node[^"]*" transform="translate\(([\d.]+) ', picture)
        nodes = re.findall(r"\\node\[[^]]*\] \(n(\d+)\) at \(([\d.]+),", paper)
        assert cards and sorted(cards) == sorted(nodes)
        drawn = picture[: picture.rindex('class="chip"')]
        unit = float(re.search(r"x=([0-9.]+)pt", paper)[1])
        boxes = [w for w in re.findall(r"tg-line,line width=([0-9.]+)pt", paper) if abs(float(w) - 1.2 * unit) < 0.002]
        assert len(re.findall('class="scope"', drawn)) == len(boxes)


def test_width_theme_and_title(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    paper = tikz(graph, width="506pt", theme="dark", title="Batch & norm", detail=0)
    unit = float(re.search(r"x=([\d.]+)pt", paper)[1])
    left, right = map(float, re.search(r"\((-?[\d.]+),-46\) rectangle \(([\d.]+),", paper).groups())
    assert unit * (right - left) == pytest.approx(506, abs=1) and min(sizes(paper)) >= 6
    assert r"\definecolor{tg-paper}{HTML}{0D1117}" in paper and r"Batch~\&~norm" in paper
    assert "tg-paper" not in tikz(graph, theme="transparent")
    assert r"{tg-value}{HTML}{000000}" in tikz(graph, theme="print")
    with pytest.raises(ValueError, match=r"theme 'auto' follows a reader's system"):
        tikz(graph, theme="auto")
    with pytest.raises(ValueError, match=r"detail is 3; it must be 0, 1, 2"):
        tikz(graph, detail=3)


def test_show_and_blank(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    assert "tg-grad" not in tikz(graph, show="forward")
    assert r"[opacity=.3]" in tikz(graph, show=("x", "σ", "x̂"))
    numbers = [len(re.findall(r"\\tgtext", tikz(graph, detail=2, blank=blank))) for blank in ((), "gradients", ("∂σ",))]
    assert numbers[1] < numbers[2] < numbers[0]
    assert tikz(graph, depth=0).count("(n") < tikz(graph).count("(n")


def test_the_legend_says_what_that_of_the_svg_says(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    paper, bare = tikz(graph, detail=0), tikz(graph, detail=0, legend=False)
    for said in ("forward~value", "contributions~that~are~added", "loss}}"):
        assert said in paper and said not in bare
    height = [float(re.search(r"rectangle \([\d.]+,([\d.]+)\)", text)[1]) for text in (paper, bare)]
    assert height[0] == pytest.approx(height[1] + 40, abs=0.2)  # two rows of 20
    assert "13~shown" in bare and "13~shown" not in tikz(graph, detail=0, caption=False)


def test_a_step_looks_like_that_of_the_svg(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    frame = frame_upto(graph, "∂σ")
    paper, picture = tikz_step(frame), frame.svg()
    cards = re.findall(r'<g id="[^"]*\bn(\d+)" class="node[^"]*" transform="translate\(([\d.]+) ', picture)
    assert cards and sorted(cards) == sorted(re.findall(r"\\node\[[^]]*\] \(n(\d+)\) at \(([\d.]+),", paper))
    assert paper.count("[tg-ink,line width=2.7pt") == 1 == picture.count('class="now"')  # the card of this step
    assert paper.count("line width=2.4pt") == 1 == picture.count("grad-line thick")  # its line
    assert r"step~18~of~26" in paper and r"\ttfamily" in paper
    assert min(sizes(paper)) >= 6


def named(name: str) -> str:
    return tikz(tg.snapshot((tg.Tensor(np.ones((2, 2)), name=name) * 2.0).named("y")), detail=0)


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("W_μ", r"{\rmfamily $W$}\raisebox{-2.64pt}{\tgsize{8.641}\rmfamily $\mu$}"),
        ("c'", r"{\rmfamily $c$}{\rmfamily ${}^\prime$}"),
        ("c''", r"${}^\prime$${}^\prime$"),
        (r"\tilde{h}", r"$\tilde{h}$"),
        ("x̂", r"$\hat{x}$"),
        ("café_au", r"caf\'{e}\_au"),
        ("50%_#&{}", r"50\%\_\#\&\{\}"),
        ("--", r"{-}{-}"),
    ],
)
def test_names_become_mathematics_or_text(name: str, latex: str) -> None:
    assert latex in named(name)
    assert named(name).startswith("% !TeX program = pdflatex") and named(name).isascii()


@pytest.mark.parametrize(
    ("name", "letter"), [("均值", r"\tgletter\tgcjk{均}{5747}"), ("Вес", r"\tgletter\tgother{В}{0412}")]
)
def test_letters_that_pdflatex_does_not_know_ask_for_lualatex(name: str, letter: str) -> None:
    paper = named(name)
    assert paper.startswith("% !TeX program = lualatex\n") and "fontspec" in paper and letter in paper


def compile_tex(paper: str, folder: Path, around: str = "") -> None:
    """Compile a document, or a part inside of one."""
    engine = paper.split("\n", maxsplit=1)[0].rsplit(maxsplit=1)[-1]
    if not shutil.which(engine):
        pytest.skip(f"no {engine}")
    if around:
        (folder / "part.tikz").write_text(paper, encoding="utf-8")
    (folder / "a.tex").write_text(around or paper, encoding="utf-8")
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=folder,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")


def test_a_document_compiles(graphs: dict[str, Graph], tmp_path: Path) -> None:
    compile_tex(tikz(graphs["batch_norm"], width="506pt", title="T"), tmp_path)


def test_hostile_names_compile(hostile: Graph, tmp_path: Path) -> None:
    compile_tex(tikz(hostile), tmp_path)


def test_a_part_compiles_inside_a_paper(tmp_path: Path) -> None:
    empty = tg.snapshot((tg.Tensor(np.ones((0, 3)), name="W_μ") * 2.0).named("W_π"))
    paper = r"\documentclass{article}\usepackage{tikz,amssymb}\begin{document}A \input{part.tikz}.\end{document}"
    compile_tex(tikz(empty, document=False, width="200pt"), tmp_path, paper)


def test_chinese_compiles(tmp_path: Path) -> None:
    compile_tex(named("均值"), tmp_path)


def test_a_command_out_of_a_file_is_only_text() -> None:
    graph = tg.snapshot((tg.Tensor([1.0], name="x") * 2).named("y"))
    for tex in (
        r"\input{/etc/passwd} + $x",
        r"\write18{ls}",
        "^^5cinput{f}",
        r"\\^^5cinput",
        "$x % $y",
        "a\n\nb",
        "\\",
    ):
        node = dataclasses.replace(graph.nodes[-1], tex=tex)
        text = tikz(dataclasses.replace(graph, nodes=(*graph.nodes[:-1], node))).partition(r"\begin{tikzpicture}")[2]
        for command in ("\\input", "\\write", "^^", "\n\n"):
            assert command not in text
        assert not re.search(r"(?<!\\)%(?!$)", text, re.M)
