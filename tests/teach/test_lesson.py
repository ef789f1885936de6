"""The lesson in headless Chromium: answers, mistakes, breaks and keys; and its interpreter against NumPy.

Skipped where there is no Chromium, or, for the interpreter, no Node.
"""
# ruff: noqa: E501 - scripts

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest

from tests.cases import registered
from tests.drawing.chromium import CHROMIUM, read_page
from tests.drawing.more_graphs import MORE
from tests.gallery import deep
from tests.matrices import prepared
from tests.teach.lessons import data_of, made
from tinygraph import OPS, Parameter, Tensor, fused, linalg, snapshot, teach
from tinygraph.cli import main
from tinygraph.ops.elementwise import exp, log, maximum, sigmoid, sqrt, tanh
from tinygraph.ops.joining import join
from tinygraph.teach.examples import LESSONS
from tinygraph.teach.lesson import lesson, lesson_page
from tinygraph.teach.lesson_data import LessonData
from tinygraph.teach.page_program import KNOWN, REFUSED, SCRIPTS, node_data
from tinygraph.teach.program import record_program
from tinygraph.teach.ways import MOST_PATHS
from tinygraph.teach.workshop import draw_values, is_same

PAGE = Path(teach.__file__).parent / "page"
NODE = shutil.which("node")


browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def play(page: str, script: str, window: tuple[int, int] = (800, 600), dark: bool = False):
    """Open a page, run a script in it after its own, and return what it leaves in ``out``; errors fail."""
    page = re.sub(r"<meta http-equiv.*?>", "<script>var errors=[];onerror=(m)=>errors.push(m)</script>", page)
    script = f'<pre id="out"></pre><script>const out={{}};try{{{script}}}catch(e){{errors.push(String(e.stack))}}out.errors=errors;document.getElementById("out").textContent=JSON.stringify(out)</script></body>'
    found = read_page(page.replace("</body>", script), window=window, dark=dark)
    assert found.pop("errors") == []
    return found


@pytest.mark.skipif(NODE is None, reason="no Node")
def test_the_interpreter_equals_numpy_on_every_sample():
    registered()  # loads what is loaded when it is asked for
    rng, cases, wanted = np.random.default_rng(0), [], []
    for name in KNOWN:
        for sample in OPS[name].samples:
            drawn = prepared(OPS[name], [rng.uniform(sample.low, sample.high, s) for s in sample.shapes])
            operands = zip_longest(drawn, OPS[name].operands[: len(drawn)])
            xs = [x.astype(int) if o == "indices" else Tensor(x, name=f"x{i}") for i, (x, o) in enumerate(operands)]
            graph = snapshot(OPS[name](*xs, **sample.params), values=10**6)
            cases.append([node_data(n, [graph.nodes[e.source].shape for e in n.inputs]) for n in graph.nodes])
            wanted.append((name, graph.nodes[-1]))
    script = f"const I=require({json.dumps(str(PAGE / 'interpreter.js'))});{''.join(f'require({json.dumps(str(PAGE / s))});' for s in SCRIPTS)}const c=JSON.parse(require('fs').readFileSync(0));console.log(JSON.stringify(c.map(n=>{{const v=I.run(n).at(-1);return [v.shape,[...v.data]]}})))"
    done = subprocess.run([NODE, "-e", script], input=json.dumps(cases), capture_output=True, text=True, check=True)
    for (shape, values), (name, node) in zip(json.loads(done.stdout), wanted, strict=True):
        assert tuple(shape) == node.shape, name
        np.testing.assert_allclose(
            np.array(values), np.array(node.value.values, float), rtol=1e-12, atol=1e-12, err_msg=name
        )


def test_every_differentiable_op_is_in_the_page():
    missing = {
        name for name, made in registered().items() if made.builtin and made.differentiable and made.family != "fused"
    } - set(KNOWN)
    assert missing == set(REFUSED), "each op is in the page, or the page says why not"
    with pytest.raises(ValueError, match="lesson: the page has no op 'eigh': a vector may have either sign"):
        a = Tensor(np.eye(2), name="a")
        lesson_page(linalg.eigh(a @ a.mT).eigenvalues.sum())


def test_the_page_computes_with_nothing_but_forward_ops():
    """No derivative is written in JavaScript: the page's ops are ours, and ``take`` and ``put``, which move elements.

    An op for windows over 1, 2 and 3 axes has one name there.
    """
    text = (PAGE / "interpreter.js").read_text(encoding="utf-8")
    table = text[text.index("const OPS = {") : text.index("// A node is a number")]
    names = set(re.findall(r"(?:^|[{,;]\s*|\n\s*)(\w+)(?=: (?:zip|map|reduce|\(p)|, einsum|,\n)", table))
    of_windows = {re.sub(r"\dd", "", name) for name in OPS}
    assert names <= set(OPS) | of_windows | {"take", "put", "einsum", "matmul"}


@pytest.mark.parametrize("name", [*LESSONS, "vae", "lstm_cell", "unet_small", "physics_informed", "adam_step"])
def test_paths_add_up_to_the_gradient(name):
    """On other numbers, too: a way is a node of the program."""
    data = data_of(name) if name in LESSONS else LessonData(record_program(MORE[name]()))
    for seed in (1, 2):
        values = draw_values(data.workshop.nodes, seed)
        for path in data.paths:
            if path["count"] <= MOST_PATHS:
                total = sum(np.asarray(values[way["id"]], float) for way in path["ways"])
                np.testing.assert_allclose(total, values[data.program.gradient[path["leaf"]]], rtol=1e-9, atol=1e-9)


class TestPage:
    def test_is_the_same_for_the_same_graph(self):
        assert lesson_page(LESSONS["dense"]()) == made("dense")

    @pytest.mark.parametrize("name", LESSONS)
    def test_is_small(self, name):
        assert len(made(name).encode()) <= 250_000

    def test_fetches_nothing(self):
        page = made("batch_norm")
        assert "default-src 'none'" in page
        assert not re.search(
            r"""(?:src|href)=["']?(?:https?:)?//|\bfetch\(|XMLHttpRequest|import\(|eval\(|new Function""", page
        )

    def test_escapes_names(self):
        x = Tensor([1.0, 2.0], name="</script><script>alert(1)</script>")
        page = lesson_page((x * 2).sum().named("<b>L"), title="<i>&")
        assert "<script>alert" not in page
        assert "<title>&lt;i&gt;&amp;</title>" in page

    def test_too_large_a_graph_is_refused(self):
        with pytest.raises(ValueError, match=r"nodes would be shown, and a reader can follow 40"):
            lesson_page(deep())

    def test_unknown_language(self):
        with pytest.raises(ValueError, match="lang is 'xx'; it must be one of en, zh"):
            lesson_page(LESSONS["dense"](), lang="xx")

    def test_writes_a_file(self, tmp_path):
        assert (
            lesson(LESSONS["dense"](), tmp_path / "a" / "page.html")
            .read_text(encoding="utf-8")
            .startswith("<!DOCTYPE html>")
        )


@browser
@pytest.mark.parametrize("name", LESSONS)
def test_answers_mistakes_and_breaks(name):
    """Every answer of the key is accepted, every mutant is told, and a break is flagged where numbers differ."""
    found = play(
        made(name),
        """
        const L=Lesson,D=L.data;
        out.wrong=D.questions.map((q,k)=>[q.name,L.judge(k,D.steps.find(s=>s.part==='backward'&&s.name===q.name).code)]).filter(x=>!x[1].ok);
        out.missed=[];out.count=0;
        D.questions.forEach((q,k)=>q.mutants.forEach(m=>{out.count++;const r=L.weigh(k,m.with);if(r.ok||!r.mutant||r.mutant.with!==m.with)out.missed.push([q.name,m.say,r.text])}));
        out.silent=D.breaks.filter(b=>L.apply(b).wrong.length===0).map(b=>b.name);
        out.checks=D.steps.filter(s=>s.kind==='part').map(s=>{const fd=L.differences(s.of,[s.user,s.edge]),v=L.values[s.id];return Math.max(...fd.data.map((x,i)=>Math.abs(x-v.data[i])))});
        """,
    )
    assert found["wrong"] == []
    assert found["missed"] == []
    assert found["count"] > 50
    assert len(found["silent"]) <= 2
    assert max(found["checks"]) < 1e-5


@browser
def test_random_wrong_answers_get_no_false_diagnosis():
    """An oracle of NumPy evaluates each expression on 20 draws: the named mutant has to be equal there."""
    data = data_of("batch_norm")
    rng = np.random.default_rng(3)
    forward = [
        n
        for n in ("x", "x_c", "mu", "sigma", "x_hat", "gamma", "v", "q", "s")
        if n in {line.name for line in data.printer.lines}
    ]
    expressions = []
    for _ in range(500):
        k = int(rng.integers(len(data.questions)))
        known = [
            line.name
            for line in data.printer.lines[: data.printer.lines.index(data.questions[k].line)]
            if line.part == "backward"
        ]
        a, b = rng.choice([*forward, *known], 2)
        core = [f"{a} * {b}", f"{a} / {b}", f"-{a} * {b}", f"{a} + {b}", f"2 * {a}", f"{a} / {b}**2", f"{a} * {b} / 4"][
            int(rng.integers(7))
        ]
        tail = ["", ".sum(0)", ".sum(axis=1)", ".mean(0)", ".sum(0, keepdims=True)", ".sum()"][int(rng.integers(6))]
        expressions.append((k, f"({core}){tail}"))
    script = f"out.found={json.dumps(expressions)}.map(([k,s])=>{{const r=Lesson.judge(k,s);return [r.ok,r.mutant?r.mutant.with:null]}})"
    found = play(made("batch_norm"), script)["found"]
    draws = [draw_values(data.workshop.nodes, 100 + n) for n in range(20)]
    place = {line.name: line.node for line in data.printer.lines}
    named = 0
    for (k, text), (ok, mutant) in zip(expressions, found, strict=True):
        if not ok and mutant is None:
            continue
        named += mutant is not None
        target = data.questions[k].answer if ok else mutant
        for draw in draws:
            with np.errstate(all="ignore"):
                mine = eval(text, {name: np.asarray(draw[i]) for name, i in place.items()})
            assert is_same(mine, draw[target], 1e-9), (data.questions[k].name, text, ok, mutant)
    assert named > 3


@browser
def test_what_is_infinite_is_not_right():
    """ReLU gives zeros, and what is divided by them is infinite."""
    found = play(
        made("dense"),
        "const L=Lesson,k=L.data.questions.findIndex(q=>q.name==='dh');out.ok=['dL / h','(dL / h).sum(0, keepdims=True)','h / h'].map(s=>{const r=L.judge(k,s);return [r.ok,!!r.mutant]});",
    )
    assert found["ok"] == [[False, False]] * 3


def recurrent():
    """Return four steps of a recurrent net: a weight used four times."""
    rng = np.random.default_rng(0)
    h, weight = Tensor(np.zeros((2, 3)), name="h0"), Parameter(rng.standard_normal((3, 3)), name="W")
    u, b = Parameter(rng.standard_normal((2, 3)), name="U"), Parameter(np.zeros(3), name="b")
    for t in range(4):
        x = Tensor(rng.standard_normal((2, 2)), name=f"x{t + 1}", requires_grad=False)
        h = tanh((h @ weight + x @ u + b).named(f"a{t + 1}")).named(f"h{t + 1}")
    return (h * h).mean().named("L")


def gated():
    """Return an odd mixture: a maximum, a join, an index, a reshape, and many ways to x."""
    x = Tensor(np.random.default_rng(1).standard_normal((3, 4)), name="x")
    gate, leak, most = sigmoid(x).named("g"), maximum(x, x * 0.1).named("k"), x.max(1, keepdims=True).named("m")
    e = exp(x - most)
    p = (e / e.sum(1, keepdims=True)).named("p")
    c = join(gate * leak, p, axis=1).named("c")
    d = c.T @ c
    n = sqrt((d * d).sum(0) + 1e-5).named("n")
    y = (d / n).reshape(4, 16)[1:3]
    return (log(1 + y * y).sum() - n.mean() + p[:, :2].sum()).named("L")


def numbers():
    """Return a graph of single numbers, each used several times."""
    a, b, c = (Tensor(v, name=name) for v, name in ((1.5, "a"), (-2.0, "b"), (0.7, "c")))
    for k in range(8):
        a, b, c = (a * b + c).named(f"p{k}"), tanh(c).named(f"q{k}"), (a - b / 2).named(f"r{k}")
    return (a * b * c).named("L")


@browser
@pytest.mark.parametrize("make", [recurrent, gated, numbers])
def test_an_unseen_graph_gets_a_complete_lesson(make):
    found = play(
        lesson_page(make(), lang="en"),
        """
        const L=Lesson,D=L.data;out.steps=D.steps.length;
        out.wrong=D.questions.map((q,k)=>[q.name,L.judge(k,D.steps.find(s=>s.part==='backward'&&s.name===q.name).code)]).filter(x=>!x[1].ok);
        out.missed=[];D.questions.forEach((q,k)=>q.mutants.forEach(m=>{const r=L.weigh(k,m.with);if((r.ok||!r.mutant)&&[L.full(),...L.draws()].every(v=>v[m.with].data.every(Number.isFinite)))out.missed.push([q.name,m.say])}));
        L.turn('watch');out.bare=[];out.off=[];
        for(let n=0;n<D.steps.length;n+=3){L.go(n);const p=document.getElementById('panel');if(!p.querySelector('figure')||/undefined|NaN/.test(p.innerHTML))out.bare.push(n);if(p.querySelector('.note.bad'))out.off.push(D.steps[n].name);}
        out.modes=['explore','break','paths','quiz'].filter(m=>{L.turn(m);return /undefined/.test(document.getElementById('panel').innerHTML)});
        out.breaks=D.breaks.length;
        """,
    )
    assert found["steps"] > 30
    assert found["breaks"] > 10
    assert [found[key] for key in ("wrong", "bare", "off", "modes")] == [[], [], [], []]
    assert len(found["missed"]) == 0


@pytest.fixture(scope="module")
def page() -> str:
    return made("batch_norm")


@browser
@pytest.mark.parametrize("name", ["batch_norm", "attention", "convolution"])
def test_every_mode_fits_a_small_projector(name):
    """Of 1280 × 720: the whole picture, nothing cut off; a card under the pointer is enlarged inside the picture."""
    found = play(
        made(name),
        """
        out.over=[];const P=document.getElementById('panel'),G=document.getElementById('graph'),R=document.documentElement,svg=G.querySelector('svg');
        for(const m of ['watch','explore','quiz','break','paths']){Lesson.turn(m);if(R.scrollWidth>innerWidth||R.scrollHeight>innerHeight||P.scrollWidth>P.clientWidth+1||G.scrollWidth>G.clientWidth+1||G.scrollHeight>G.clientHeight+1)out.over.push(m)}
        const scale=svg.getBoundingClientRect().width/svg.viewBox.baseVal.width,box=e=>e.querySelector('rect.card').getBoundingClientRect();
        out.lens=[...G.querySelectorAll('g.node')].map(e=>{e.dispatchEvent(new MouseEvent('mouseover',{bubbles:true}));const l=document.getElementById('lens');if(!l)return null;const a=box(e),b=box(l),s=svg.getBoundingClientRect();return [b.width/a.width*scale,b.left>=s.left-1&&b.right<=s.right+1&&b.top>=s.top-1&&b.bottom<=s.bottom+1]});out.scale=scale;
        Lesson.turn('quiz');out.gone=document.getElementById('lens')===null;
        """,
        window=(1280, 720),
    )
    assert found["over"] == []
    assert found["gone"]
    if found["scale"] > 0.8:
        assert set(found["lens"]) == {None}
    else:
        for size, inside in found["lens"]:
            assert size == pytest.approx(1, abs=0.02)
            assert inside


@browser
def test_the_quiz_does_not_list_what_it_asks():
    found = play(
        made("attention"),
        "Lesson.turn('quiz');Lesson.go(5);out.lines=[...document.querySelectorAll('#program li.backward')].map(e=>e.textContent);",
    )
    data = data_of("attention")
    lines = [line for line in data.printer.lines if line.part == "backward"]
    known = lines.index(data.questions[5].line)
    assert found["lines"] == [f"{s.name} = {s.value if k < known else '?'}" for k, s in enumerate(lines)]


@browser
class TestReader:
    def test_edits_are_followed(self, page):
        found = play(
            page,
            """
            Lesson.turn('explore');
            const cell=document.querySelector('#panel input[data-leaf]');cell.value='5';cell.dispatchEvent(new Event('change',{bubbles:true}));
            out.first=Lesson.values[Number(document.querySelector('#panel input').dataset.leaf)].data[0];
            out.notes=[...document.querySelectorAll('#panel .after .note')].map(e=>e.className);
            """,
        )
        assert found["first"] == 5
        assert found["notes"]
        assert all("good" in note for note in found["notes"])

    def test_the_quiz_tells_what_is_wrong(self, page):
        found = play(
            page,
            """
            const k=Lesson.data.questions.findIndex(q=>q.name==='dbeta');
            out.copy=Lesson.judge(k,'dy').text;out.axis=Lesson.judge(k,'dy.sum(1)').text;out.right=Lesson.judge(k,'np.sum(dy, axis=0)').ok;
            out.name=Lesson.judge(k,'dz').text;out.syntax=Lesson.judge(k,'dy.sum(').text;out.shapes=Lesson.judge(k,'dy @ dy').text;out.alert=Lesson.judge(k,'alert(1)').text;
            out.greek=Lesson.judge(k,'dy.sum(0) + 0 * γ').ok;
            """,
        )
        assert "beta was copied 4 times" in found["copy"]
        assert "axis 1" in found["axis"]
        assert found["right"]
        assert found["greek"]
        assert "“dz”" in found["name"]
        assert "missing" in found["syntax"]
        assert "do not fit" in found["shapes"]
        assert "no function “alert”" in found["alert"]

    def test_keyboard_alone(self, page):
        found = play(
            page,
            """
            const key=k=>document.dispatchEvent(new KeyboardEvent('keydown',{key:k,bubbles:true}));
            const press=k=>document.body.dispatchEvent(new KeyboardEvent('keydown',{key:k,bubbles:true,cancelable:true}));
            press('ArrowRight');press(' ');out.two=location.hash;press('End');out.end=location.hash;press('Home');out.home=location.hash;
            out.modes=[];for(const k of 'eqbpdw'){press(k);out.modes.push([k,location.hash,document.querySelector('#modes [aria-pressed=true]').dataset.mode]);}
            press('?');out.help=document.getElementById('help').open;document.getElementById('help').close();
            press('q');const a=document.getElementById('answer');out.focus=document.activeElement===a;a.value='dL * w';a.dispatchEvent(new KeyboardEvent('keydown',{key:'Enter',bubbles:true}));out.said=document.getElementById('said').textContent;
            press('d');out.d=location.hash;
            """,
        )
        assert found["two"] == "#watch/3"
        assert found["home"] == "#watch/1"
        assert found["end"].startswith("#watch/2")
        assert [m[2] for m in found["modes"]] == ["explore", "quiz", "break", "paths", "derive", "watch"]
        assert found["help"]
        assert found["focus"]
        assert found["said"] == "Right"
        assert found["d"] == "#derive?solved=1w"

    def test_every_step_and_mode_shows_without_an_error(self, page):
        found = play(
            page,
            """
            out.empty=[];
            for(let n=0;n<Lesson.data.steps.length;n++){Lesson.turn('watch');Lesson.go(n);if(document.getElementById('panel').textContent.length<20)out.empty.push(n);}
            for(let n=0;n<Lesson.data.questions.length;n++){Lesson.turn('quiz');Lesson.go(n);for(const k of ['choose','shape','ways','write'])document.querySelector(`[data-kind=${k}]`).click();}
            Lesson.turn('break');out.breaks=document.querySelectorAll('[data-break]').length;
            for(let k=0;k<out.breaks;k++){document.querySelectorAll('[data-break]')[k].click();}
            out.wrong=document.querySelectorAll('#graph .wrong').length;document.getElementById('guess').click();
            Lesson.turn('paths');out.ways=document.querySelectorAll('[data-route]').length;document.querySelector('[data-route]').click();
            dispatchEvent(new Event('beforeprint'));out.blanks=document.querySelectorAll('#sheet .blank').length;out.leaks=[...document.querySelectorAll('#sheet svg .of-grad')].filter(e=>e.textContent).length;
            out.undefined=['panel','graph','sheet','player'].some(i=>/undefined|NaN/.test(document.getElementById(i).innerHTML));
            """,
        )
        assert found["empty"] == []
        assert found["wrong"] > 0
        assert found["ways"] >= 6
        assert found["blanks"] == 15
        assert found["leaks"] == 0
        assert not found["undefined"]

    def test_the_cells_that_made_a_cell(self, page):
        """dσ adds up a column of dx̂ × local derivative; μ is made of a column of x: told by the ops, not by position."""
        found = play(
            page,
            """
            const at=n=>{Lesson.turn('watch');Lesson.go(Lesson.data.steps.findIndex(s=>s.name===n));};
            const made=k=>{document.querySelector(`[data-result] td[data-k="${k}"]`).focus();return [...document.querySelectorAll('#panel figure')].map(f=>[...f.querySelectorAll('.made')].map(c=>Number(c.dataset.k)));};
            at('dsigma');out.sigma=made(2);at('mu');out.mu=made(1);at('dx_c');out.sum=made(4);at('dx_2');out.copy=made(7);
            out.picture=document.querySelectorAll('#graph text.made').length;
            """,
        )
        column = [2, 5, 8, 11]
        assert found["sigma"] == [column, column, column, []]
        assert found["mu"] == [[1, 4, 7, 10], []]
        assert found["sum"] == [[4], [4], []]
        assert found["copy"] == [[1], []]
        assert found["picture"] == 1

    def test_a_number_is_dragged_and_epsilon_changed(self, page):
        found = play(
            page,
            """
            Lesson.turn('explore');
            const cell=n=>[...document.querySelectorAll('#panel input[data-leaf]')].find(e=>e.getAttribute('aria-label').startsWith(n));
            const gamma=cell('gamma'),point=(type,x)=>gamma.dispatchEvent(new PointerEvent(type,{bubbles:true,clientX:x,pointerId:1}));
            point('pointerdown',100);point('pointermove',180);point('pointerup',180);out.gamma=gamma.value;
            cell('ε').dispatchEvent(new KeyboardEvent('keydown',{key:'ArrowUp',shiftKey:true,bubbles:true}));out.eps=cell('ε').value;
            out.w=!!cell('w');out.sigma=Lesson.values[Lesson.data.names.find(n=>n[0]==='sigma')[1]].data[0];
            out.notes=[...document.querySelectorAll('#panel .after .note')].map(e=>e.className);
            """,
        )
        assert found["gamma"] == "3"
        assert found["eps"] == "1"
        assert found["w"]
        np.testing.assert_allclose(found["sigma"], 2**0.5)
        assert found["notes"]
        assert all("good" in note for note in found["notes"])

    def test_hints_chips_and_progress(self, page):
        found = play(
            page,
            """
            Lesson.turn('quiz');Lesson.go(3);const a=document.getElementById('answer');
            for(let k=0;k<3;k++)document.getElementById('hint').click();out.hints=document.querySelectorAll('#hints .note').length;out.formula=!!document.querySelector('#hints math mfrac');
            for(const c of ['-','dx_hat','*','x_hat','/','sigma'])[...document.querySelectorAll('.chips button')].find(b=>b.textContent===c).click();
            a.value=`(${a.value}).sum(0)`;document.getElementById('check').click();out.said=document.getElementById('said').textContent;
            out.hash=location.hash;out.done=document.querySelector('.strip .done').textContent;
            document.querySelector('[data-kind=ways]').click();const q=Lesson.data.questions[3];
            const card=new Map(Lesson.data.card).get(Lesson.data.parts.find(p=>p[0]===q.of)[1][0][0]);
            document.querySelector(`#graph g.node[id$="n${card}"]`).dispatchEvent(new MouseEvent('click',{bubbles:true}));
            out.picked=document.querySelectorAll('[data-way][aria-pressed=true]').length;document.getElementById('check').click();out.ways=document.getElementById('said').textContent;
            history.replaceState(null,'','#quiz/2/shape?solved=1w.4w.2s');dispatchEvent(new HashChangeEvent('hashchange'));
            out.read=[document.querySelector('[data-kind=shape]').getAttribute('aria-pressed'),document.querySelectorAll('.strip .done').length];
            """,
        )
        assert found["hints"] == 3
        assert found["formula"]
        assert found["said"] == "Right"
        assert found["hash"] == "#quiz/4?solved=4w"
        assert found["done"] == "✓"
        assert found["picked"] == 1
        assert found["ways"] == "Right"
        assert found["read"] == ["true", 1]

    def test_rules_are_broken_and_found_in_the_picture(self, page):
        found = play(
            page,
            """
            Lesson.turn('break');out.rules=[...document.querySelectorAll('#panel h3')].map(e=>e.textContent);
            const rule=r=>Lesson.data.breaks.filter(b=>b.rule===r).map(b=>b.name);out.frozen=rule('frozen');out.fan=rule('part_alone');out.less=rule('less_one');
            Date.now=()=>0;document.getElementById('guess').click();
            const hits=[...document.querySelectorAll('#graph .hit')];out.right=0;
            for(const h of hits){h.dispatchEvent(new MouseEvent('click',{bubbles:true}));if(document.querySelector('#said .good'))out.right++;}
            out.hits=hits.length;
            """,
        )
        assert found["rules"][:4] == [
            "Overwrite instead of add at a fan-out",
            "Forget the sum after a broadcast",
            "Treat a value as a constant",
            "Divide by N − 1",
        ]
        assert {"dsigma", "dmu"} <= set(found["frozen"])
        assert found["fan"] == ["dx_c", "dx"]
        assert found["less"] == ["dq", "dx_2"]
        assert 0 < found["right"] <= 2 < found["hits"]

    def test_formulas_of_the_ways_add_up(self):
        """Each way's NumPy, run by NumPy, is what the way brings; all of them are the gradient."""
        data = data_of("batch_norm")
        names = {line.name: np.asarray(data.workshop.values[line.node]) for line in data.printer.lines}
        for path in data.paths:
            brought = [eval(way["code"], {"np": np} | names) for way in path["ways"]]
            for way, value in zip(path["ways"], brought, strict=True):
                np.testing.assert_allclose(value, data.workshop.values[way["id"]], atol=1e-12)
            gradient = data.workshop.values[data.program.gradient[path["leaf"]]]
            np.testing.assert_allclose(sum(brought), gradient, atol=1e-12)
        ways = data.paths[-1]["ways"]
        assert len(ways) == data.paths[-1]["count"] == 4
        assert ways[0]["code"] == "dy * gamma / sigma"

    def test_what_the_fused_op_keeps(self):
        """It is what the op of this library keeps, in bytes."""
        for name, op in (("batch_norm", fused.batch_norm), ("layer_norm", fused.layer_norm)):
            data = data_of(name)
            x, gamma, beta = Tensor(np.ones((4, 3)), name="x"), Parameter(np.ones(3)), Parameter(np.ones(3))
            assert data.memory()["kept"][1]["one"]["bytes"] == snapshot(op(x, gamma, beta)).nodes[-1].saved

    def test_jump_and_kept_focus(self, page):
        found = play(
            page,
            """
            const press=(k,e=document.body)=>e.dispatchEvent(new KeyboardEvent('keydown',{key:k,bubbles:true,cancelable:true}));
            Lesson.turn('watch');press('/');const w=document.getElementById('word');w.value='nope';press('Enter',w);out.none=document.getElementById('none').textContent;
            w.value='σ';press('Enter',w);out.hash=location.hash;out.open=document.getElementById('help').open;
            document.getElementById('next').focus();document.getElementById('next').click();out.focus=document.activeElement.id;
            Lesson.go(1e9);out.end=document.activeElement.id;press('l');out.tex=document.getElementById('tex').textContent;
            """,
        )
        assert found["none"] == "There is no value of this name."
        assert found["hash"] == "#watch/8"
        assert not found["open"]
        assert found["focus"] == "next"
        assert found["end"] == "back"
        assert found["tex"].startswith(r"\frac{\partial L}{\partial \gamma }")

    def test_chinese(self, page):
        found = play(
            page,
            "const s=document.getElementById('lang');s.value='zh';s.dispatchEvent(new Event('change',{bubbles:true}));out.lang=document.documentElement.lang;Lesson.go(20);out.text=document.getElementById('panel').textContent",
        )
        assert found["lang"] == "zh-Hans"
        assert "反向传播" in found["text"]

    def test_screen_reader(self, page):
        found = play(
            page,
            """
            Lesson.go(20);
            out.nameless=[...document.querySelectorAll('button,input,select')].filter(e=>e.offsetParent&&!(e.textContent.trim()||e.getAttribute('aria-label')||e.labels?.length)).map(e=>e.outerHTML);
            out.headers=document.querySelectorAll('#panel th[scope=col]').length;out.live=document.getElementById('live').getAttribute('role');out.told=document.getElementById('live').textContent;out.cards=[...document.querySelectorAll('#graph g.node')].filter(e=>!e.getAttribute('aria-label')||e.getAttribute('role')!=='button'||e.tabIndex!==0).length;
            out.role=document.querySelector('#graph svg').getAttribute('role');
            """,
        )
        assert found["nameless"] == []
        assert found["headers"] > 0
        assert found["live"] == "status"
        assert found["told"] == "step 21 of 29: backward, dx_c_1"
        assert found["cards"] == 0
        assert found["role"] == "group"


class TestCommand:
    def test_batch_norm_by_default(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["lesson"]) == 0
        assert capsys.readouterr().out == "wrote lesson.html; open it in a browser\n"
        assert (tmp_path / "lesson.html").stat().st_size > 50_000

    def test_a_graph_of_a_file(self, tmp_path):
        (tmp_path / "m.py").write_text(
            "from tinygraph import Tensor\nx = Tensor([1.0, 2.0], name='x')\nloss = (x * x).sum().named('L')\n"
        )
        assert main(["lesson", f"{tmp_path}/m.py:loss", "-o", f"{tmp_path}/l.html", "--title", "Squares"]) == 0
        assert "<title>Squares</title>" in (tmp_path / "l.html").read_text(encoding="utf-8")

    def test_wrong_use(self, tmp_path, capsys):
        assert main(["lesson", "--example", "nope"]) == 2
        assert "it must be one of batch_norm, layer_norm" in capsys.readouterr().err
        assert main(["lesson", "-o", "x.pdf"]) == 2
        assert "the ending must be .html" in capsys.readouterr().err
