"""TikZ: it compiles, and hostile names are only text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import gallery
from tinygraph.drawing.formats.tikz import tikz
from tinygraph.graph.data import Graph


def test_hostile_names_in_tikz(hostile: Graph) -> None:
    paper = tikz(hostile)
    assert r"\input{" not in paper.split(r"\begin{tikzpicture}")[1]
    body = paper.split(r"\begin{tikzpicture}")[1].replace(r"\{", "").replace(r"\}", "")
    assert body.count("{") == body.count("}")
    assert paper.isascii()


@pytest.mark.parametrize("name", list(gallery.GALLERY))
def test_every_graph_is_a_whole_tikz_document(graphs: dict[str, Graph], name: str) -> None:
    paper = tikz(graphs[name])
    assert paper.count(r"\node[tg ") >= 3
    assert paper.count(r"\begin{") == paper.count(r"\end{")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
@pytest.mark.parametrize("name", ["batch_norm", "attention", "hostile"])
def test_tikz_compiles(graphs: dict[str, Graph], hostile: Graph, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.tex").write_text(tikz(hostile if name == "hostile" else graphs[name]))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")
