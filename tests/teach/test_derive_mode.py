"""The lesson's Derive mode: its data are those of the derivation, and it is used with the keyboard alone."""
# ruff: noqa: E501 - scripts

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tests.teach.lessons import data_of, made
from tests.teach.test_lesson import browser, play
from tinygraph import Parameter, Tensor, batch_norm, derive
from tinygraph.sums.derivation import Derivation
from tinygraph.teach.compact import FIRST, compact_svg, share
from tinygraph.teach.examples import LESSONS
from tinygraph.teach.lesson import lesson_page
from tinygraph.teach.lesson_data import LessonData
from tinygraph.teach.mathematics import mathml
from tinygraph.teach.page_derivation import derivation_data
from tinygraph.teach.program import record_program


@pytest.fixture(scope="module")
def derivation() -> Derivation:
    return derive(LESSONS["batch_norm"]())


@pytest.fixture(scope="module")
def data() -> dict:
    loss = LESSONS["batch_norm"]()
    return derivation_data(loss, None, record_program(loss))


def test_the_data_are_the_derivation(data, derivation):
    assert [s["rule"] for s in data["steps"]] == [s.rule for s in derivation.steps]
    assert [tuple(s["cost"]) for s in data["steps"]] == [s.cost for s in derivation.steps]
    assert all(s["exact"] for s in data["steps"])
    assert data["names"] == [mathml(f.name_tex) for f in derivation.closed]
    (zero,) = next(s for s in data["steps"] if s["rule"] == "c")["parts"]
    assert "∑" in zero[0] and zero[1] == "<mn>0</mn>"


def test_what_goes_is_what_the_next_formula_has_not(data):
    before = None
    for step in data["steps"]:
        for found in step["formulas"][:1]:
            if not found:
                continue
            terms, _, came = found
            if before is not None:
                old, gone, _ = before
                stays = [x for k, x in enumerate(old) if k not in gone]
                assert stays == [x for k, x in enumerate(terms) if k not in came]
                assert not {old[k] for k in gone} & {terms[k] for k in came} or len(gone) == len(old)
            before = found
    split = next(s for s in data["steps"] if s["rule"] == "d")["formulas"][0]
    assert [k for k in split[1] if "<mi>c</mi>" in split[0][k]]  # mean(x_c) goes: it is 0


def test_the_code_of_the_closed_form_is_the_gradient(data):
    lesson = data_of("batch_norm")
    names = {line.name: np.asarray(lesson.workshop.values[line.node]) for line in lesson.printer.lines}
    for line in data["code"]:
        name, _, code = line.partition(" = ")
        np.testing.assert_allclose(eval(code, {"np": np} | names), names[name], atol=1e-12)


def test_a_lesson_without_a_sum_says_why():
    for name, why in (("micrograd", "sums"), ("dense", "sums")):
        loss = LESSONS[name]()
        assert derivation_data(loss, None, record_program(loss)) == {"none": why}


def test_the_tempting_step_is_offered_where_there_is_a_variance(data):
    assert data["tempting"]["cells"] == [0, 3, 6, 9]
    softmax = LESSONS["cross_entropy"]()
    assert derivation_data(softmax, None, record_program(softmax))["tempting"] is None


def test_what_is_shared_is_put_back():
    content = data_of("batch_norm").content()
    short, shared = share(content)

    def whole(text: str) -> str:
        return re.sub("[\ue000-\uf8ff]", lambda c: whole(shared[ord(c[0]) - FIRST]), text)

    plain, packed = (json.dumps(x, ensure_ascii=False) for x in (content, short))
    assert restored(json.loads(packed), whole) == json.loads(plain)
    assert len(packed) + len(json.dumps(shared)) < 0.9 * len(plain)


def restored(content, whole):
    if isinstance(content, str):
        return whole(content)
    if isinstance(content, dict):
        return {key: restored(value, whole) for key, value in content.items()}
    return [restored(item, whole) for item in content] if isinstance(content, list) else content


def test_nothing_is_shared_where_a_name_has_such_a_character():
    content = {"name": "\ue001", "math": ["<mrow><mi>abcdefghijk</mi></mrow>"] * 3}
    assert share(content) == (content, [])


def test_a_picture_in_fewer_letters_is_the_same():
    """Each text has the size, the anchor, the place and the letters that it had; each class that it has, its rules."""
    whole = data_of("batch_norm").picture
    short = compact_svg(whole)
    assert len(short) < 0.8 * len(whole)

    def texts(picture: str) -> list[tuple[str | None, ...]]:
        root = re.match("<svg[^>]*>", picture)[0]

        def get(tag: str, key: str, usual: str | None) -> str | None:
            return next((m[1] for x in (tag, root) if (m := re.search(rf'{key}="([^"]*)"', x))), usual)

        found = re.findall(r"(<text [^>]*>)(.*?)</text>", picture, re.S)
        return [
            (get(tag, "font-size", None), get(tag, "text-anchor", "start"), get(tag, "x", "0"), body)
            for tag, body in found
        ]

    assert texts(short) == texts(whole)
    used = {name for names in re.findall(r'class="([^"]*)"', short) for name in names.split()}
    rules = [re.findall(r"\.([\w-]+)\{", picture) for picture in (whole, short)]
    assert [name for name in rules[0] if name in used] == [name for name in rules[1] if name in used]


STEPS = """
const press=(k,e=document.body)=>e.dispatchEvent(new KeyboardEvent('keydown',{key:k,bubbles:true,cancelable:true}));
press('d');out.first=[location.hash,document.querySelector('#panel h2').textContent];
out.steps=[];
for(let k=0;k<Lesson.data.derivation.steps.length;k++){
  const P=document.getElementById('panel'),S=document.querySelector('#derivation svg');
  out.steps.push({head:P.querySelector('h2').textContent,goes:P.querySelectorAll('math.goes').length,came:P.querySelectorAll('math.came').length,
    cards:S.querySelectorAll('g.node').length,outlined:S.querySelectorAll('.chosen').length,pale:S.querySelectorAll('g.goes').length,
    live:document.getElementById('live').textContent,bad:P.querySelectorAll('.note.bad').length,odd:/undefined|NaN|\\[object/.test(P.innerHTML+S.outerHTML),
    wide:[...P.querySelectorAll('.list')].some(e=>e.scrollWidth>P.clientWidth)});
  press('ArrowRight');
}
out.hash=location.hash;
"""


@browser
class TestReader:
    def test_a_step_a_key_press(self, derivation):
        found = play(
            made("batch_norm"),
            STEPS
            + """
            const t=document.getElementById('tempt');t.focus();out.focused=document.activeElement===t;t.click();
            out.refused=[...document.querySelectorAll('#panel [role=status] tbody tr')].map(r=>[...r.querySelectorAll('td')].map(c=>[c.textContent,c.className]));out.kept=document.activeElement.id;
            out.role=[document.querySelector('#derivation svg').getAttribute('role'),!!document.querySelector('#derivation svg').getAttribute('aria-label')];
            press('ArrowLeft');out.back=location.hash;press('Home');out.home=location.hash;press('w');out.picture=[getComputedStyle(document.querySelector('#graph>svg')).display!=='none',document.getElementById('derivation').hidden];
            history.replaceState(null,'','#derive/5?lang=zh');dispatchEvent(new HashChangeEvent('hashchange'));out.zh=document.querySelector('#panel h2').textContent;
            out.words=[...document.querySelectorAll('#derivation text')].map(e=>e.textContent).join(' ');
            """,
        )
        assert found["first"] == ["#derive", "1. recorded"]
        steps = found["steps"]
        assert [s["head"].split(". ")[1] for s in steps] == [s.name for s in derivation.steps]
        assert found["hash"] == f"#derive/{len(steps)}"
        assert not any(s["bad"] or s["odd"] or s["wide"] for s in steps)
        assert all(s["came"] and s["goes"] for s in steps[1:5])
        assert all(s["cards"] > 8 for s in steps) and steps[0]["pale"] > 5 and steps[1]["outlined"] > 5
        assert steps[3]["live"] == "step 4 of 8: split the sum"
        assert found["focused"] and found["kept"] == "tempt"
        self.check_refusal(found["refused"])
        assert found["role"] == ["img", True]
        assert (found["back"], found["home"]) == ("#derive/7", "#derive")
        assert found["picture"] == [True, True]
        assert found["zh"] == "5. 离差之和为 0"
        assert "每个样本一行" in found["words"] and "constant" not in found["words"]

    @staticmethod
    def check_refusal(rows):
        """The page's numbers are NumPy's of float32."""
        column = np.array([1, 1, 3, 3], np.float32)
        assert len(rows) == 5
        for (true, deviations, squares), offset in zip(rows, (0, 1e2, 1e3, 1e4, 1e5), strict=True):
            x = column + np.float32(offset)
            square = x * x
            mean, of_squares = (np.float32((a[0] + a[1] + a[2] + a[3]) / np.float32(4)) for a in (x, square))
            naive = of_squares - mean * mean
            shown = float(squares[0].split(" ")[0].replace("−", "-"))
            assert true[0] == deviations[0] == "1" and not deviations[1]
            assert shown == pytest.approx(float(naive), rel=1e-3)
            assert (squares[1] == "off") == (abs(naive - 1) > 1e-3)
        assert rows[3][2][1] == "off"

    def test_on_a_phone_and_in_print(self):
        """At 390 px no mode is wider than the window; a sheet that is printed from Derive has its figure."""
        found = play(
            made("batch_norm"),
            """
            out.width=innerWidth;out.over=[];
            for(const m of ['watch','explore','quiz','break','paths','derive']){Lesson.turn(m);if(m==='derive')for(let k=0;k<8;k++){Lesson.go(k);if(document.documentElement.scrollWidth>innerWidth)out.over.push(m+k)}
              const P=document.getElementById('panel');if(document.documentElement.scrollWidth>innerWidth||P.scrollWidth>P.clientWidth+1)out.over.push([m,P.scrollWidth,P.clientWidth]);
              out[m]=[...document.querySelectorAll('#modes button')].every(b=>{const r=b.getBoundingClientRect();return r.left>=0&&r.right<=innerWidth&&b.scrollWidth<=b.clientWidth+1})}
            document.getElementById('tempt').click();out.wide=document.getElementById('panel').scrollWidth-document.getElementById('panel').clientWidth;
            dispatchEvent(new Event('beforeprint'));const svg=document.querySelector('#sheet svg');out.printed=!!svg&&!svg.hasAttribute('hidden');
            """,
            window=(390, 844),
        )
        assert found["width"] == 390
        assert found["over"] == []
        assert found["wide"] <= 1
        assert all(found[m] for m in ("watch", "explore", "quiz", "break", "paths", "derive"))
        assert found["printed"]

    def test_a_lesson_without_one_says_so(self):
        found = play(
            made("dense"),
            "Lesson.turn('derive');out.text=document.getElementById('panel').textContent;out.player=document.getElementById('player').hidden;out.picture=getComputedStyle(document.querySelector('#graph>svg')).display;",
        )
        assert "nothing to derive" in found["text"]
        assert found["player"] and found["picture"] != "none"

    def test_names_are_escaped(self):
        x = Tensor([[1.0, 2.0], [3.0, 5.0]], name="<img src=x onerror=errors.push(1)>")
        page = lesson_page(batch_norm(x, Parameter([1.0, 2.0], name="</script>")).named("y"), lang="en")
        found = play(page, STEPS + "out.images=document.images.length")
        assert found["images"] == 0 and len(found["steps"]) > 3


def test_between_two_products_the_softmax_is_derived():
    """Attention's leaves stand behind matrix products, which no rule sees through; its scores do not."""
    loss = LESSONS["attention"]()
    program = record_program(loss)
    lesson = LessonData(program)
    (line,) = derivation_data(loss, None, program)["code"]
    names = {line.name: np.asarray(lesson.workshop.values[line.node]) for line in lesson.printer.lines}
    assert line == "dS = e/Z*(dP - (dP*P).sum(1, keepdims=True))"
    np.testing.assert_allclose(eval(line.partition(" = ")[2], names), names["dS"], atol=1e-12)
