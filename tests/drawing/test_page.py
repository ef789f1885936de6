"""The page in headless Chromium, played by a script after its own: zoom, cards that open, search, keys, paper, phone."""
# ruff: noqa: E501 - the pages hold scripts

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.chromium import CHROMIUM, Tab
from tests.drawing.graphs import hostile_graph
from tests.drawing.more_graphs import MORE
from tinygraph.drawing.formats.html import html
from tinygraph.graph.data import Graph

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")

# What the tests' scripts use: cards that can be opened, what has the focus, where an element is on the screen.
HELP = """
const cards=()=>[...document.querySelectorAll('main .node[data-open]')].filter(e=>!e.closest('.away')&&+e.dataset.open>=0);
const panels=()=>document.querySelectorAll('main .panel').length;
const press=(e,key)=>e.dispatchEvent(new KeyboardEvent('keydown',{key,bubbles:true,cancelable:true}));
const click=e=>e.dispatchEvent(new MouseEvent('click',{bubbles:true}));
const point=(type,id,x,y)=>main.dispatchEvent(new PointerEvent(type,{pointerId:id,clientX:x,clientY:y,bubbles:true,cancelable:true}));
const seekFor=q=>{seek.value=q;seek.dispatchEvent(new Event('input'))};
const where=e=>{const r=e.getBoundingClientRect();return [r.left,r.top,r.right,r.bottom]};
const inView=e=>{const r=e.getBoundingClientRect(),m=main.getBoundingClientRect();return r.left<m.right&&r.right>m.left&&r.top<m.bottom&&r.bottom>m.top};
"""


@functools.cache
def page_of(name: str, **options: Any) -> str:
    """Return the page of a graph, made once."""
    return html(graph_of(name), **options)


@functools.cache
def graph_of(name: str) -> Graph:
    """Return a graph of the gallery or of more_graphs.py; "deep" is of six blocks, "huge" of 1,700 nodes."""
    makers: dict[str, Callable[[], Graph]] = {**gallery.GALLERY, **MORE}
    makers |= {"deep": lambda: gallery.deep(6), "hostile": hostile_graph, "huge": lambda: gallery.huge(1700)}
    return makers[name]()


@pytest.fixture(scope="module")
def deep() -> str:
    return page_of("deep", depth=0, title="Deep")


def play(page: str, script: str, window: tuple[int, int] = (1200, 800)) -> Any:
    """Open a page, run a script that fills ``out``, and return it; an error in it, or of the page, fails."""
    with Tab(page, window) as tab:
        found = tab.run(f"(()=>{{{HELP}const out={{}};{script};return out}})()")
        assert tab.complaints() == []
    return found


def test_two_fingers_zoom_and_one_moves(deep: str) -> None:
    found = play(deep, """
k=1;x=0;y=0;put();
const m=main.getBoundingClientRect(),cx=m.left+300,cy=m.top+200;
point('pointerdown',1,cx-50,cy);point('pointerdown',2,cx+50,cy);
point('pointermove',1,cx-100,cy);point('pointermove',2,cx+100,cy);
out.k=k;out.fixed=[x+300*k,y+200*k];  // where the drawing's point (300, 200) is now
point('pointerup',1,cx-100,cy);point('pointerup',2,cx+100,cy);
const before=[x,y];point('pointerdown',3,cx,cy);point('pointermove',3,cx+40,cy+30);point('pointerup',3,cx+40,cy+30);
out.moved=[x-before[0],y-before[1]];
const n=k;$('more').click();out.more=k/n;$('less').click();out.less=k/n;
main.dispatchEvent(new WheelEvent('wheel',{deltaY:-100,clientX:cx,clientY:cy,bubbles:true,cancelable:true}));out.wheel=k/n;
press(document.body,'-');press(document.body,'0');out.fits=svg.getBoundingClientRect().width<=main.clientWidth+1;""")  # fmt: skip
    assert found["k"] == pytest.approx(2)
    assert found["fixed"] == pytest.approx([300, 200])
    assert found["moved"] == [40, 30]
    assert (found["more"], found["less"]) == pytest.approx((1.25, 1))
    assert found["wheel"] > 1
    assert found["fits"]


def test_several_cards_open_and_close_in_their_place(deep: str) -> None:
    found = play(deep, """
out.closed=cards().length;
const first=cards()[0],second=cards()[1],at=where(first);
click(first);out.one=panels();out.kept=where(document.querySelector('.panel'));out.at=at;out.focus=document.activeElement.dataset.shut;
click(second);out.two=panels();
const inner=[...document.querySelectorAll('.panel .node[data-open]')][0];click(inner);out.inside=panels();out.nested=document.querySelectorAll('.panel .panel').length;
const frames=[...document.querySelectorAll('.panel>.frame')].map(where);
const shown=[...document.querySelectorAll('main .node')].filter(e=>!e.closest('.away')).map(e=>[e.closest('.panel')?.querySelector('.shut').dataset.shut??'',where(e.querySelector('rect.card'))]);
out.over=shown.filter(([k,r],i)=>shown.some(([l,s],j)=>i<j&&k===l&&r[0]<s[2]-1&&s[0]<r[2]-1&&r[1]<s[3]-1&&s[1]<r[3]-1)).length;
out.hidden=shown.filter(([k,r])=>k===''&&frames.some(s=>r[0]<s[2]-1&&s[0]<r[2]-1&&r[1]<s[3]-1&&s[1]<r[3]-1)).length;
const title=document.querySelector('.panel .shut');click(title);out.after=panels();
out.back=document.activeElement.dataset.open===title.dataset.shut;""")  # fmt: skip
    assert found["closed"] >= 4
    assert (found["one"], found["two"], found["inside"], found["nested"]) == (1, 2, 3, 1)
    assert found["kept"][:2] == pytest.approx(found["at"][:2], abs=1.5)  # its corner stays where it was
    assert found["focus"] is not None
    assert (found["over"], found["hidden"]) == (0, 0)  # no card on a card, none under a panel
    assert found["after"] < found["inside"]
    assert found["back"]


def test_lines_follow_their_cards_and_nothing_lies_under_an_open_one() -> None:
    """Every line begins and ends at the card, or the open panel, that it did before; cards, panels and lines keep clear."""
    script = """
const touches=(c,[a,b])=>a>c.x0-3&&a<c.x1+3&&b>c.y0-3&&b<c.y1+3;
const meets=(a,b)=>a[0]<b[2]&&b[0]<a[2]&&a[1]<b[3]&&b[1]<a[3], smaller=(r,d)=>[r[0]+d,r[1]+d,r[2]-d,r[3]-d];
const faults=()=>{const bad=[];for(const p of shownPictures()){const m=p.layer.getCTM().inverse();
 const box=c=>{const e=c.panel?c.panel.frame:c.e.querySelector('rect.card'),b=e.getBBox(),t=m.multiply(e.getCTM());
  return [b.x+t.e,b.y+t.f,b.x+b.width+t.e,b.y+b.height+t.f]};
 const boxes=p.cards.map(box);boxes.forEach((a,i)=>boxes.slice(i+1).forEach(b=>{if(meets(smaller(a,.5),b))bad.push(['covered',p.number,a,b])}));
 for(const r of p.routes)for(const l of r.lines){const d=readPath(l.e.getAttribute('d')),z=readPath(l.head.e.getAttribute('d'))[0][1];
  for(const [was,is] of [[l.points[0],d[0][1]],[l.tip,z]])p.cards.forEach((c,i)=>{if(touches(c,was)){n++;
   const b=boxes[i];if(is[0]<b[0]-3||is[0]>b[2]+3||is[1]<b[1]-3||is[1]>b[3]+3)bad.push(['lost',p.number,r.ends,is,b])}});
  for(let j=1,at=d[0][1];j<d.length;j++){const to=d[j][1].slice(-2);
   if(d[j][0]==='L'){if(Math.abs(to[0]-at[0])>.6&&Math.abs(to[1]-at[1])>.6)bad.push(['slanted',p.number,r.ends]);
    const piece=[Math.min(at[0],to[0]),Math.min(at[1],to[1]),Math.max(at[0],to[0])+.1,Math.max(at[1],to[1])+.1];
    if(boxes.some(b=>meets(smaller(b,2),piece)))bad.push(['through a card',p.number,r.ends])}
   at=to}}}return bad};
let n=0;
out.before=faults();
for(const e of cards().slice(0,6)){openCard(+e.dataset.open);out.before.push(...faults());shutCard(+e.dataset.open)}
for(let i=0;i<4&&cards().length;i++)for(const e of cards().slice(0,6))if(!e.closest('.away'))openCard(+e.dataset.open);
out.after=faults();out.panels=panels();out.n=n;"""
    shown = ("resnet18", "both"), ("siamese", "both"), ("multi_head", "both"), ("bottleneck", "both")
    for name, show in (*shown, ("multi_head", "gradient")):
        found = play(page_of(name, show=show), script)
        assert found["before"] == []
        assert found["after"] == []
        assert found["panels"] >= 1
        assert found["n"] > 100


def test_a_row_of_equal_blocks_opens_into_its_blocks() -> None:
    page = page_of("deep")
    found = play(page, """
const row=cards().find(e=>/×5/.test(e.textContent));click(row);
out.names=[...document.querySelectorAll('.panel .node[data-open]')].map(e=>e.getAttribute('aria-label'));
click(document.querySelector('.panel .node[data-open]'));out.panels=panels();""")  # fmt: skip
    assert [name.partition(",")[0] for name in found["names"]] == [f"blocks[{k}]" for k in range(1, 6)]
    assert found["panels"] == 2


def test_a_box_of_the_first_picture_closes() -> None:
    page = page_of("batch_norm")
    found = play(page, """
out.first=document.querySelectorAll('main .node').length;const box=document.querySelector('[data-close]');
out.role=[box.getAttribute('role'),box.getAttribute('aria-expanded'),box.getAttribute('tabindex')];
press(box,' ');out.closed=document.querySelectorAll('main .node').length;out.focus=document.activeElement.dataset.open;
press(document.activeElement,'Enter');out.opened=document.querySelectorAll('main .panel .node').length;out.gradients=document.querySelector('.panel').textContent.includes('∂L/∂');
$('overview').click();out.again=document.querySelectorAll('main .node').length;""")  # fmt: skip
    assert found["role"] == ["button", "true", "0"]
    assert found["closed"] == 4  # x, w, the layer, L
    assert found["focus"] is not None
    assert found["opened"] == 12  # ten values, and two at the border
    assert found["gradients"]  # inside, too, it is L that is differentiated
    assert found["again"] == found["first"]


@pytest.mark.parametrize(("name", "show"), [("batch_norm", "gradient"), ("gradient_graph", "both")])
def test_gradients_and_boxes_of_a_mirrored_picture_are_buttons(name: str, show: str) -> None:
    page = page_of(name, show=show)
    found = play(page, """
const named=start=>[...document.querySelectorAll('main .node')].filter(e=>(e.getAttribute('aria-label')||'').startsWith(start));
const all=document.querySelectorAll('main .node').length,grad=named('∂L/∂σ:')[0];
click(grad);out.told=aside.innerText;out.chosen=grad.classList.contains('chosen-one');out.mute=named('∂').filter(e=>e.getAttribute('role')!=='button'||!e.dataset.node).length;
const box=document.querySelector('[data-close]');press(box,' ');out.closed=document.activeElement.getAttribute('aria-label');out.away=named('σ:').length;
press(document.activeElement,'Enter');out.inside=document.querySelector('.panel').textContent.includes('σ');
$('overview').click();out.again=document.querySelectorAll('main .node').length-all""")  # fmt: skip
    assert "1.33 ± 3.77" in found["told"]  # ∂L/∂σ = (4, 4, −4)
    assert found["chosen"]
    assert found["mute"] == 0
    assert found["closed"] == "batch_norm, collapsed"
    assert found["away"] == 0
    assert found["inside"]
    assert found["again"] == 0


def test_search_finds_what_is_folded_and_goes_there(deep: str) -> None:
    found = play(deep, """
seekFor('σ');out.sigma=$('hits').textContent;out.shown=[...document.querySelectorAll('main [data-node]')].some(e=>e.textContent.includes('σ'));
out.faded=document.querySelectorAll('main .node.miss').length;
seek.focus();press(seek,'Enter');const e=document.querySelector('.chosen-one');out.found=e.textContent.includes('σ');out.view=inView(e);out.panels=panels();out.big=k>=1.1;
out.typing=document.activeElement===seek;const one=e;press(seek,'Enter');out.next=document.querySelector('.chosen-one')!==one;
seekFor('Σ');out.capital=$('hits').textContent;
seekFor('blocks[4]');press(seek,'Enter');out.card=document.querySelector('.chosen-one').getAttribute('aria-label');
seekFor('no such');out.none=$('hits').textContent;press(seek,'Escape');out.cleared=document.querySelectorAll('.miss').length""")  # fmt: skip
    assert found["sigma"] == "6 found"  # one in each block
    assert not found["shown"]
    assert found["faded"] > 0
    assert found["found"]
    assert found["view"]
    assert found["big"]
    assert found["panels"] >= 2
    assert found["typing"]
    assert found["next"]
    assert found["capital"] == "0 found"
    assert "blocks[4]" in found["card"]
    assert (found["none"], found["cleared"]) == ("0 found", 0)


def test_an_exact_name_comes_first() -> None:
    x = tg.Tensor([1.0, 2.0], name="mask_x")
    y = ((x * 2).named("X") + (x * 3).named("x")).named("max")
    found = play(html(tg.snapshot(y)), """
const names=q=>{seekFor(q);return hits.map(h=>h.name)};out.x=names('x');out.X=names('X');out.mask=names('MAX');out.id=names('#0').length""")  # fmt: skip
    assert found["x"][0] == "x"
    assert "X" not in found["x"]
    assert found["X"] == ["X"]
    assert found["mask"][0] == "max"
    assert found["id"] >= 1


def test_every_node_can_be_found() -> None:
    for name, step in (("deep", 7), ("transformer_block", 1), ("chain200", 11), ("branches30", 4)):
        found = play(page_of(name), f"const step={step};" """
out.lost=[];out.ids=rows.size;for(const id of [...rows.keys()].filter((_,k)=>k%step===0)){chosen=null;go(id);if(!chosen||+chosen.dataset.node!==id||!inView(chosen))out.lost.push(id)}""")  # fmt: skip
        assert found["lost"] == []
        assert found["ids"] > 10


def test_the_keyboard_alone_is_enough(deep: str) -> None:
    found = play(deep, """
const e=cards()[1];e.focus();out.focused=document.activeElement===e;out.tab=cards().every(c=>c.tabIndex===0);
const y0=scrollY;press(e,' ');out.space=panels();out.expanded=document.activeElement.getAttribute('aria-expanded');
press(document.activeElement,'Escape');out.aside=aside.hidden;press(document.activeElement,'Enter');out.enter=panels();
press(document.body,'/');out.slash=document.activeElement===seek;seekFor('γ');press(seek,'ArrowDown');out.inList=document.activeElement.closest('#list')!==null;
document.activeElement.click();out.arrived=document.activeElement.dataset.node!==undefined||document.activeElement.querySelector('[data-node]')!==null;
const a=x;press(main,'ArrowRight');out.moved=a-x;""")  # fmt: skip
    assert found["focused"]
    assert found["tab"]
    assert (found["space"], found["expanded"]) == (1, "true")
    assert found["aside"]  # Escape first hides what is told
    assert found["enter"] == 0  # Enter on the title of the open card closes it
    assert found["slash"]
    assert found["inList"]
    assert found["arrived"]
    assert found["moved"] == pytest.approx(60)


def test_roles_and_ids_are_in_order(deep: str) -> None:
    found = play(deep, """
for(const e of cards())openCard(+e.dataset.open);
const ids=[...document.querySelectorAll('[id]')].map(e=>e.id);out.twice=ids.length-new Set(ids).size;
out.svg=svg.getAttribute('role');out.bare=[...document.querySelectorAll('main [tabindex]')].filter(e=>e!==main&&(e.getAttribute('role')!=='button'||!e.getAttribute('aria-label'))).length;
out.inImage=document.querySelectorAll('[role=img] [tabindex]').length;
out.state=cards().every(e=>e.getAttribute('aria-expanded')==='false');out.open=[...document.querySelectorAll('.shut')].every(e=>e.getAttribute('aria-expanded')==='true')""")  # fmt: skip
    assert found == {"twice": 0, "svg": "group", "bare": 0, "inImage": 0, "state": True, "open": True}


def test_place_and_zoom_stay_when_the_window_changes(deep: str) -> None:
    found = play(deep, """
$('more').click();x=-123;y=45;put();const before=[x,y,k];cards()[0].focus();dispatchEvent(new Event('resize'));
out.same=JSON.stringify([x,y,k])===JSON.stringify(before);out.focus=document.activeElement===cards()[0];""")  # fmt: skip
    assert found == {"same": True, "focus": True}


@pytest.mark.parametrize("name", ["deep", "batch_norm", "resnet18"])
def test_a_phone_shows_letters_that_can_be_read(name: str) -> None:
    found = play(page_of(name), """
const m=main.getBoundingClientRect();out.wide=document.documentElement.scrollWidth;out.inner=innerWidth;
out.letter=Math.min(...[...document.querySelectorAll('main text')].map(t=>parseFloat(t.getAttribute('font-size'))*k));
out.seen=[...document.querySelectorAll('main .node')].some(inView);
click(document.querySelector('main [data-node]'));out.left=main.clientHeight;out.buttons=[...document.querySelectorAll('#tools button:not([hidden])')].every(b=>b.getBoundingClientRect().height>=38)""", (390, 800))  # fmt: skip
    assert found["inner"] <= 500  # Chromium's windows are no narrower on some systems
    assert found["wide"] <= found["inner"]
    assert found["letter"] >= 11
    assert found["seen"]
    assert found["left"] > 200  # the drawing is still there above what is told
    assert found["buttons"]


def test_what_is_told_of_a_node() -> None:
    with tg.record_places():
        x = tg.Tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
        w = tg.Parameter([[1.0, 0.5], [0.25, 2.0]], name="W")
        with tg.profile() as measured, tg.scope("net"):
            h = (x @ w).named("h")
            y = (h * h + h).named("y")
        loss = y.sum().named("L")
        loss.backward()
    graph = tg.snapshot(loss)
    found = play(html(graph, profile=measured, depth=0), """
go(rows.keys().next().value);const told=name=>{go([...rows.values()].find(r=>S[r[3]]===name)[0]);return aside.innerText};
out.h=told('h');out.x=told('x');out.links=[...aside.querySelectorAll('a')].map(a=>a.textContent);
aside.querySelector('a').click();out.followed=aside.querySelector('h2').textContent;
goCard(+Object.keys(data.cards)[0]);out.card=aside.innerText""")  # fmt: skip
    for text in (
        "h = x W",
        "matmul",
        "(2, 2)",
        "float64",
        "∂L/∂h",
        "in x:",
        "Used by",
        "32 B",
        "16",
        "test_page.py:",
        "net",
        "forward",
    ):
        assert text in found["h"].replace("\u2009", " "), text
    assert "The sum of what comes through" in found["h"]
    assert found["links"] == ["h"]
    assert found["followed"] == "h"
    assert "net" in found["card"]
    assert "µs" in found["card"] or "ms" in found["card"]


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@pytest.mark.parametrize("name", ["batch_norm", "deep", "resnet18"])
def test_it_prints_on_one_page(name: str) -> None:
    with Tab(page_of(name)) as tab:
        assert pages_of(tab.pdf()) == 1


@pytest.mark.parametrize("name", ["deep", "hostile"])
def test_it_runs_under_its_policy_without_a_complaint(name: str) -> None:
    with Tab(page_of(name)) as tab:
        assert "translate(" in tab.run("document.querySelector('svg').outerHTML.split('>')[0]")  # its script has run
        assert tab.complaints() == []
    assert "connect-src" not in page_of(name)


def test_hostile_names_stay_text_when_cards_open() -> None:
    found = play(page_of("hostile", depth=0), """
for(let i=0;i<3;i++)for(const e of cards())openCard(+e.dataset.open);for(const id of rows.keys())go(id);seekFor('a');
out.scripts=document.querySelectorAll('main script,aside script,main img,aside img,main iframe,#list script,#list img').length;
out.handlers=[...document.querySelectorAll('main *,aside *,#list *')].filter(e=>[...e.attributes].some(a=>a.name.startsWith('on'))).length;out.nodes=rows.size""")  # fmt: skip
    assert (found["scripts"], found["handlers"]) == (0, 0)
    assert found["nodes"] > 3


def test_equal_blocks_share_their_drawing_and_keep_their_numbers() -> None:
    page = page_of("huge")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert len(data["drawings"]) < len(data["pictures"]) / 4
    found = play(page, """
const ids=[...rows.keys()],some=ids.filter((_,i)=>i%97===5);out.wrong=[];
for(const id of some){go(id);const t=(chosen?.closest('.node')??chosen)?.textContent??'';if(+chosen.dataset.node!==id||!(t.includes('#'+id)||S[rows.get(id)[3]]))out.wrong.push([id,t])}
out.some=some.length;out.base=document.querySelector('main').textContent.includes('#'+data.base)""")  # fmt: skip
    assert found["some"] > 10
    assert found["wrong"] == []
    assert not found["base"]


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert html(gallery.deep(6)) == page_of("deep")
    assert html(gallery.huge(1700)) == page_of("huge")


def test_a_page_to_fill_in_tells_no_answers() -> None:
    page = html(gallery.GALLERY["batch_norm"](), blank="gradients")
    assert re.search(r'id="data">(.*?)</script>', page, re.S)[1] == "{}"  # type: ignore[index]
