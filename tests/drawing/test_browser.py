"""What Chromium makes of pages and of pictures in a notebook; and Mermaid of its charts.

Skipped where there is no Chromium; the charts, where there is no Mermaid (``npm install mermaid`` here, or MERMAID_JS).
"""
# ruff: noqa: E501 - the pages hold scripts

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.chromium import CHROMIUM, Tab, read_page
from tests.drawing.graphs import hostile_graph
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.graph.data import Graph

ROOT = Path(__file__).parent.parent.parent
MERMAID = Path(os.environ.get("MERMAID_JS", ROOT / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"))
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def test_a_page_may_run_its_own_script_and_no_other() -> None:
    page = html(tg.snapshot((tg.Tensor([1.0], name="x") * 2).named("y")))
    smuggled = '<pre id="out">{"ran": false}</pre><script>document.getElementById("out").textContent=\'{"ran": true}\'</script></body>'
    assert read_page(page.replace("</body>", smuggled)) == {"ran": False}


def test_a_notebook_picture_fits_a_narrow_cell() -> None:
    shown = [what._repr_mimebundle_()["text/html"] for what in (gallery.GALLERY["batch_norm"](), gallery.deep(6))]
    script = """<pre id="out"></pre><script>addEventListener('load',()=>{
const found=[...document.images].map(i=>[i.getBoundingClientRect().width,i.naturalWidth,
Math.abs(i.width/i.height-i.naturalWidth/i.naturalHeight)<.02]);
document.getElementById('out').textContent=JSON.stringify(found)})</script>"""
    found = read_page(f'<meta charset="utf-8"><body><div style="width:600px">{"".join(shown)}</div>{script}</body>')
    assert len(found) == 2
    for width, natural, in_proportion in found:
        assert natural > 600 >= width
        assert in_proportion


@pytest.mark.parametrize(
    ("mark", "bright"),
    [
        ('data-jp-theme-light="true"', True),
        ('data-jp-theme-light="false"', False),
        ('class="vscode-dark"', False),
        ("", True),
    ],
)
def test_a_notebook_picture_follows_the_theme_of_the_notebook(mark: str, bright: bool) -> None:
    image = pytest.importorskip("matplotlib.image")
    shown = gallery.GALLERY["batch_norm"]()._repr_mimebundle_()["text/html"]
    page = f'<!DOCTYPE html><meta charset="utf-8"><body {mark} style="margin:0">{shown}</body>'
    with Tab(page, (400, 300)) as tab:
        shade = image.imread(io.BytesIO(tab.screenshot()))[4, 4, :3].mean()  # of the picture's paper
    assert (shade > 0.9) == bright
    assert (shade < 0.2) != bright


@pytest.mark.skipif(not MERMAID.is_file(), reason="no Mermaid")
def test_mermaid_reads_its_charts(graphs: dict[str, Graph]) -> None:
    charts = {name: mermaid(graph) for name, graph in graphs.items()}
    x = tg.Tensor([1.0, 2.0], name="x")
    y = (x * x).sum()
    y.backward()
    y.backward()  # which is noted
    charts |= {"notes": mermaid(tg.snapshot(y))}
    charts |= {"hostile": mermaid(hostile_graph()), "control": 'flowchart LR\n a["x" --> ]]'}
    listed = json.dumps(charts).replace("<", "\\u003c")
    script = f"const charts={listed};" + (
        "(async()=>{mermaid.initialize({startOnLoad:false});const r={};for(const k in charts){"
        "try{await mermaid.parse(charts[k]);r[k]='ok'}catch(e){r[k]=String(e).slice(0,200)}}"
        "document.getElementById('out').textContent=JSON.stringify(r)})()"
    )
    found = read_page(
        f'<meta charset="utf-8"><script src="{MERMAID.as_uri()}"></script><pre id="out"></pre><script>{script}</script>'
    )
    assert found.pop("control") != "ok"
    assert {name: said for name, said in found.items() if said != "ok"} == {}
