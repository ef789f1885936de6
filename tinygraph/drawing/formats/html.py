"""A graph as one offline page: the SVG with pan, zoom and search, and collapsed scopes that open on a click.

Each opened state is drawn beforehand and kept in the page, so nothing is fetched and nothing is computed.
"""
# ruff: noqa: E501 - the page holds a script and a style sheet

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from typing import Any

from tinygraph.drawing.formats.svg import svg, xml_text
from tinygraph.drawing.style.conventions import MOST_CARDS
from tinygraph.drawing.style.palette import DARK, LIGHT
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import fit, paths_of
from tinygraph.graph.simplify import inline

__all__ = ["html", "html_of"]

STATES = 40  # pictures in one page


def variables(colors: Mapping[str, str]) -> str:
    """Return a theme as CSS variables of the page."""
    return ";".join(f"--{name}:{colors[key]}" for name, key in VARIABLES.items())


VARIABLES = {"paper": "paper", "ink": "ink", "line": "line", "accent": "value"}
STYLE = (
    f"""
:root{{color-scheme:light dark;{variables(LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"""
    + """
*{box-sizing:border-box}body{margin:0;height:100vh;display:flex;flex-direction:column;background:var(--paper);color:var(--ink);
font:15px/1.4 'DejaVu Sans',Verdana,sans-serif}
header{display:flex;gap:.6rem;align-items:center;padding:.5rem .8rem;border-bottom:1px solid var(--line);flex-wrap:wrap}
h1{font-size:1rem;margin:0 auto 0 0}button,input{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);
border-radius:6px;padding:.25rem .6rem}button:focus-visible,input:focus-visible{outline:2px solid var(--accent)}
main{flex:1;overflow:hidden;cursor:grab;touch-action:none}main:active{cursor:grabbing}
main svg{transform-origin:0 0;display:block}[data-scope]{cursor:pointer}.miss{opacity:.2}
@media print{header{display:none}main{overflow:visible}main svg{transform:none!important;width:100%;height:auto}}
"""
)
SCRIPT = """
const main=document.querySelector('main'),back=document.getElementById('back'),find=document.getElementById('find'),hits=document.getElementById('hits');
const paths=JSON.parse(document.getElementById('paths').textContent);let x=0,y=0,k=1,trail=[0];
const pic=()=>main.querySelector('svg');
const put=()=>{pic().style.transform=`translate(${x}px,${y}px) scale(${k})`};
const fit=()=>{const b=pic().viewBox.baseVal;pic().setAttribute('width',b.width);pic().setAttribute('height',b.height);
k=Math.min(main.clientWidth/b.width,main.clientHeight/b.height,1.5);x=(main.clientWidth-b.width*k)/2;y=Math.max(0,(main.clientHeight-b.height*k)/2);put()};
const show=n=>{main.replaceChildren(document.getElementById('state'+n).content.cloneNode(true));back.hidden=trail.length<2;fit();search()};
const zoom=(f,cx,cy)=>{const n=Math.min(20,Math.max(.02,k*f));x=cx-(cx-x)*n/k;y=cy-(cy-y)*n/k;k=n;put()};
const search=()=>{const q=find.value.trim().toLowerCase();let n=0;main.querySelectorAll('.node').forEach(e=>{
const ok=!q||e.textContent.toLowerCase().includes(q);n+=ok;e.classList.toggle('miss',!ok)});hits.textContent=q?n+' found':''};
main.addEventListener('wheel',e=>{e.preventDefault();const r=main.getBoundingClientRect();zoom(Math.exp(-e.deltaY*.0015),e.clientX-r.left,e.clientY-r.top)},{passive:false});
let drag=null,moved=false;
main.addEventListener('pointerdown',e=>{drag=[e.clientX-x,e.clientY-y];moved=false});
addEventListener('pointermove',e=>{if(drag){const nx=e.clientX-drag[0],ny=e.clientY-drag[1];moved=moved||Math.hypot(nx-x,ny-y)>3;x=nx;y=ny;put()}});
addEventListener('pointerup',()=>{drag=null});
const open=e=>{const card=e.target.closest('[data-scope]');if(!card)return;const n=paths[card.dataset.scope];if(n!==undefined){trail.push(n);show(n)}};
main.addEventListener('click',e=>{if(!moved)open(e)});
back.onclick=()=>{trail.pop();show(trail[trail.length-1])};
document.getElementById('fit').onclick=fit;find.oninput=search;addEventListener('resize',fit);
addEventListener('keydown',e=>{if(e.target===find){if(e.key==='Escape'){find.value='';search();find.blur()}return}
const c=[main.clientWidth/2,main.clientHeight/2],step=60;
if(e.key==='/'){e.preventDefault();find.focus()}else if(e.key==='+')zoom(1.2,...c);else if(e.key==='-')zoom(1/1.2,...c);else if(e.key==='0')fit();
else if(e.key==='Enter')open({target:document.activeElement});else if(e.key==='Escape'&&trail.length>1)back.onclick();
else if(e.key.startsWith('Arrow')){x+=step*((e.key==='ArrowLeft')-(e.key==='ArrowRight'));y+=step*((e.key==='ArrowUp')-(e.key==='ArrowDown'));put()}});
show(0);
"""


def html(
    graph: Graph, *, title: str | None = None, depth: int | None = None, expand: Sequence[str] = (), **options: Any
) -> str:
    """Write a graph as a page that works offline.

    Args:
        graph: from `snapshot`.
        title: a heading.
        depth: scopes deeper than this are collapsed at first; a click opens one.
        expand: paths of scopes that are open at first.
        options: the other options of `svg`.

    Returns:
        An HTML document. The same graph gives the same bytes.

    Raises:
        ValueError: an option is not known, or ``expand`` names no scope.

    >>> from tinygraph import Tensor, snapshot
    >>> html(snapshot((Tensor([1.0], name="x") * 3).named("y")), title="y").splitlines()[0]
    '<!DOCTYPE html>'
    """
    options = {"theme": "auto", **options}
    drawn = inline(graph)
    known = paths_of(graph)
    pictures: list[str] = []
    paths: dict[str, int] = {}
    waiting: list[tuple[str, ...]] = [tuple(expand)]  # of each picture to draw, the scopes that are open
    while waiting and len(pictures) < STATES:
        opened = waiting.pop(0)
        pictures.append(svg(graph, title=None, depth=depth, expand=opened, **options))
        for node in fit(drawn, MOST_CARDS, depth, opened).nodes:
            path = "/".join((*node.scope, node.name or ""))
            if (
                node.kind == "scope"
                and "repeat" not in dict(node.params)
                and path in known
                and path not in paths
                and len(paths) < STATES - 1
            ):
                paths[path] = len(paths) + 1
                waiting.append((*expand, path))
    name = title or "Computation of " + ", ".join(graph.label(i)[:60] for i in graph.outputs[:4])
    return html_page(name, pictures, {path: n for path, n in paths.items() if n < len(pictures)})


def html_of(draw: Callable[..., str]) -> Callable[..., str]:
    """Return a function that writes a page of one SVG; it takes the options of ``draw``, which writes the SVG."""

    @functools.wraps(draw)
    def write(what: Any, **options: Any) -> str:
        picture = draw(what, **{"theme": "auto", **options})
        name = picture.partition("<title")[2].partition(">")[2].partition("</title>")[0]
        return html_page(unescape(name), [picture], {})

    return write


def html_page(name: str, pictures: Sequence[str], paths: Mapping[str, int]) -> str:
    """Write a page of several SVGs, of which the first is shown; a click on the scope ``path`` shows ``paths[path]``."""
    states = "\n".join(f'<template id="state{n}">{picture}</template>' for n, picture in enumerate(pictures))
    where = json.dumps(paths, ensure_ascii=True).replace("<", "\\u003c")
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{xml_text(name)}</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>{xml_text(name)}</h1><button id="back" hidden>◂ back</button><button id="fit">fit</button>
<input id="find" type="search" placeholder="search nodes ( / )" aria-label="search nodes"><span id="hits" role="status"></span></header>
<main tabindex="0" aria-label="drawing: drag to move, wheel to zoom, click a ▸ card to open it"></main>
{states}
<script type="application/json" id="paths">{where}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""
