"""What Chromium makes of the pictures: text fits its box as measured, pages open and search, Mermaid reads its charts.

Skipped where there is no Chromium; the charts, where there is no Mermaid (``npm install mermaid`` here, or MERMAID_JS).
"""
# ruff: noqa: E501 - the pages hold scripts

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.chromium import CHROMIUM, QUIET, read_page
from tests.drawing.graphs import hostile_graph
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.drawing.formats.svg import svg
from tinygraph.graph.data import Graph

ROOT = Path(__file__).parent.parent.parent
MERMAID = Path(os.environ.get("MERMAID_JS", ROOT / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"))
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str], Any]:
    """Return a function that opens a page, waits for its scripts, and reads what they wrote into ``<pre id="out">``."""
    return lambda page: read_page(page, tmp_path)


MEASURE = """<!DOCTYPE html><meta charset="utf-8"><body>%s<pre id="out"></pre><script>
const found=[];let n=0;
document.querySelectorAll('svg').forEach((s,k)=>{
 s.querySelectorAll('g.node').forEach(g=>{
  const card=g.querySelector('rect.card').getBBox();
  g.querySelectorAll('text').forEach(t=>{n++;const b=t.getBBox();
   if(b.x<card.x-.6||b.x+b.width>card.x+card.width+.6||b.y<card.y-1.5||b.y+b.height>card.y+card.height+2.5)
    found.push([k,'card',t.textContent,b.x-card.x,card.x+card.width-b.x-b.width,b.y-card.y,card.y+card.height-b.y-b.height])})});
 s.querySelectorAll('g.chip').forEach(g=>{n++;const r=g.querySelector('rect').getBBox(),b=g.querySelector('text').getBBox();
  if(b.x<r.x||b.x+b.width>r.x+r.width)found.push([k,'chip',g.textContent,b.x-r.x,r.x+r.width-b.x-b.width])});
 const view=s.viewBox.baseVal;
 s.querySelectorAll('text').forEach(t=>{const b=t.getBBox(),m=t.getCTM(),o=s.getCTM();
  const x=(m.e-o.e)/o.a+b.x;if(x<-.5||x+b.width>view.width+.5)found.push([k,'page',t.textContent,x,x+b.width,view.width])});
});
document.getElementById('out').textContent=JSON.stringify({n:n,found:found});
</script>"""


def test_text_fits_its_box(graphs: dict[str, Graph], opened: Callable[[str], Any]) -> None:
    pictures = [svg(graphs[name], detail=d, title=name) for name in graphs for d in (0, 1, 2)]
    pictures += [svg(hostile_graph(), detail=d) for d in (0, 1, 2)]
    found = opened(MEASURE.replace("%s", "".join(pictures)))
    assert found["n"] > 2000
    assert found["found"] == []


def test_text_of_the_gallery_fits_its_box(opened: Callable[[str], Any]) -> None:
    pictures = [path.read_text(encoding="utf-8") for path in sorted(gallery.FOLDER.glob("*.svg"))]
    found = opened(MEASURE.replace("%s", "".join(pictures)))
    assert found["n"] > 500
    assert found["found"] == []


def test_a_page_may_run_its_own_script_and_no_other(opened: Callable[[str], Any]) -> None:
    page = html(tg.snapshot((tg.Tensor([1.0], name="x") * 2).named("y")))
    smuggled = '<pre id="out">{"ran": false}</pre><script>document.getElementById("out").textContent=\'{"ran": true}\'</script></body>'
    assert opened(page.replace("</body>", smuggled)) == {"ran": False}


def test_a_notebook_picture_fits_a_narrow_cell(opened: Callable[[str], Any]) -> None:
    shown = [what._repr_mimebundle_()["text/html"] for what in (gallery.GALLERY["batch_norm"](), gallery.deep(6))]
    script = """<pre id="out"></pre><script>addEventListener('load',()=>{
const found=[...document.images].map(i=>[i.getBoundingClientRect().width,i.naturalWidth,
Math.abs(i.width/i.height-i.naturalWidth/i.naturalHeight)<.02]);
document.getElementById('out').textContent=JSON.stringify(found)})</script>"""
    found = opened(f'<meta charset="utf-8"><body><div style="width:600px">{"".join(shown)}</div>{script}</body>')
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
def test_a_notebook_picture_follows_the_theme_of_the_notebook(mark: str, bright: bool, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    shown = gallery.GALLERY["batch_norm"]()._repr_mimebundle_()["text/html"]
    page = tmp_path / "page.html"
    page.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body {mark} style="margin:0">{shown}</body>', encoding="utf-8"
    )
    flags = [
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        "--window-size=400,300",
        f"--screenshot={tmp_path / 'shot.png'}",
    ]
    flags += [f"--disable-{what}" for what in QUIET] + [f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run([str(CHROMIUM), *flags, page.as_uri()], capture_output=True, timeout=120, check=True)
    shade = image.imread(tmp_path / "shot.png")[4, 4, :3].mean()  # of the picture's paper
    assert (shade > 0.9) == bright
    assert (shade < 0.2) != bright


@pytest.mark.skipif(not MERMAID.is_file(), reason="no Mermaid")
def test_mermaid_reads_its_charts(graphs: dict[str, Graph], opened: Callable[[str], Any]) -> None:
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
    found = opened(
        f'<meta charset="utf-8"><script src="{MERMAID.as_uri()}"></script><pre id="out"></pre><script>{script}</script>'
    )
    assert found.pop("control") != "ok"
    assert {name: said for name, said in found.items() if said != "ok"} == {}
