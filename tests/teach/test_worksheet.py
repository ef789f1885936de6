"""Worksheets: every line is asked, the sheet has no answer, the key has all of them, and both have one layout."""

from __future__ import annotations

import functools
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Parameter, Tensor
from tinygraph.cli import main
from tinygraph.drawing.api import EngineMissing
from tinygraph.graph.run import leaf_value
from tinygraph.teach import worksheet as module
from tinygraph.teach.examples import LESSONS, W, X
from tinygraph.teach.language import language_of
from tinygraph.teach.numbers import draw_programs, length_of
from tinygraph.teach.printer import Printer
from tinygraph.teach.program import record_program
from tinygraph.teach.spelling import numpy_spelling
from tinygraph.teach.worksheet_figure import Strip, rows_here

BACKWARD = ["dy", "ds", "dx̂", "dσ", "dv", "dq", "dx_c_1", "dx_c_2", "dx_c", "dμ", "dx_1", "dx_2", "dx", "dβ", "dγ"]
needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")


def batch_norm():
    return LESSONS["batch_norm"]()


SHEETS = {}  # of batch norm, by their options: each is written once


def page(tmp_path, what=None, is_key=False, **options):
    """Write a sheet and its key as pages; return one of them."""
    paths = tmp_path / "s.html", tmp_path / "k.html"
    if what is not None:
        tg.worksheet(what, paths[0], key=paths[1], **options)
        return paths[is_key].read_text(encoding="utf-8")
    known = repr(sorted(options.items()))
    if known not in SHEETS:
        tg.worksheet(batch_norm(), paths[0], key=paths[1], **options)
        SHEETS[known] = [path.read_text(encoding="utf-8") for path in paths]
    return SHEETS[known][is_key]


@functools.cache
def key_of(name):
    """Return the answer key of a lesson as a page."""
    with tempfile.TemporaryDirectory() as folder:
        return page(Path(folder), LESSONS[name](), is_key=True)


def sections(text):
    return re.findall(r"<section>.*?</section>", text, re.S)


def codes(section):
    return [unescape(c) for c in re.findall(r"<code[^>]*>(.*?)</code>", section)]


def asked(text):
    """The names before the lines to write on, in order."""
    return [unescape(m) for m in re.findall(r'<div class="code"[^>]*><code>(.*?) =</code>', text)]


def answers(text):
    return [unescape(m) for m in re.findall(r'<code class="mine">(.*?)</code>', text)]


def numbers(section):
    table = re.search(r'<table class="mine">(.*?)</table>', section, re.S)
    return [] if table is None else re.findall(r"<td[^>]*>(.*?)</td>", table[1])


def lines_of_key(what, part="backward"):
    """The lines of the answer key as `source` writes them."""
    text = tg.source(what).partition(f"# {part}\n")[2].partition("\n\n")[0]
    return [line.partition("#")[0].strip() for line in text.splitlines()]


# -- the questions


def test_questions_are_the_lines_of_the_answer_key_in_order(tmp_path):
    key = page(tmp_path, is_key=True)
    found = [f"{name} = {code}" for name, code in zip(asked(key), answers(key), strict=True)]
    assert asked(key) == BACKWARD
    assert found == lines_of_key(batch_norm())[1:]  # the first is where the way back starts
    assert asked(page(tmp_path)) == BACKWARD


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_has_a_sheet_and_a_key(name):
    what, key = LESSONS[name](), key_of(name)
    found = [f"{name} = {code}" for name, code in zip(asked(key), answers(key), strict=True)]
    rest = [line for line in lines_of_key(what) if line not in found]
    assert found == [line for line in lines_of_key(what) if line in found]
    assert all("np.ones" in line or line.partition(" = ")[2].isidentifier() for line in rest)  # the upstream as it is


def test_forward_asks_for_numbers(tmp_path):
    found = sections(page(tmp_path, ask="forward", is_key=True))
    assert [codes(section)[0] for section in found] == [
        line.partition(" = ")[0] for line in lines_of_key(batch_norm(), "forward")
    ]
    assert numbers(found[4]) == ["1", "2", "4"]  # σ
    assert not asked(found[4])


def test_names_are_asked(tmp_path):
    assert asked(page(tmp_path, ask=["dσ", "dx"])) == ["dσ", "dx_1", "dx_2", "dx"]
    assert asked(page(tmp_path, ask="dx_1")) == ["dx_1"]
    assert len(sections(page(tmp_path, ask=["σ", "dσ"]))) == 2


def test_a_sheet_with_two_ways_back_says_which(tmp_path):
    first, second, whole = sections(page(tmp_path, ask="∂x_c"))
    assert "is used 2 times" in first and "x̂ = x_c / σ" in first and "q = x_c ** 2" in second
    assert "Add what comes back" in whole


def test_points_add_up(tmp_path):
    text = page(tmp_path, points={"dσ": 5, "dx": 0})
    assert "/ 31<" in text  # 13 questions of 2, 5 and 0
    assert "[5 pt]" in text


# -- blanks


def test_the_sheet_has_no_answer_and_the_key_has_all(tmp_path):
    sheet, key = page(tmp_path), page(tmp_path, is_key=True)
    for blank, full, answer in zip(sections(sheet), sections(key), answers(key), strict=True):
        assert answer in codes(full) and answer not in codes(blank)[:-1]
        assert "<math" in full and "<math" not in blank
        assert len(numbers(blank)) == len(numbers(full)) and not any(numbers(blank)) and all(numbers(full))
    assert ".sum(axis=0)" in key and ".sum(axis=0)" not in sheet


def test_numbers_of_the_key_are_the_gradients(tmp_path):
    """By the closed form of batch norm in NumPy."""
    x, w, gamma = np.array(X), np.array(W), np.array([1.0, 2.0, -1.0])
    x_hat = (x - x.mean(0)) / x.std(0)
    dx_hat = w * gamma
    dx = (dx_hat - dx_hat.mean(0) - x_hat * (dx_hat * x_hat).mean(0)) / x.std(0)
    found = dict(zip(BACKWARD, sections(page(tmp_path, is_key=True)), strict=True))
    for name, value in {"dx": dx, "dγ": (w * x_hat).sum(0), "dβ": w.sum(0), "dx̂": dx_hat}.items():
        assert [float(n.replace("−", "-")) for n in numbers(found[name])] == pytest.approx(value.ravel().tolist())


def pictures(text):
    return re.findall(r'<svg id="figure.*?</svg>', text, re.S)


def test_sheet_and_key_have_one_figure_with_and_without_numbers(tmp_path):
    blank, full = (pictures(page(tmp_path, is_key=is_key))[0] for is_key in (False, True))
    assert [re.search(f'{name}="([^"]*)"', blank)[1] for name in ("width", "height", "viewBox")] == [
        re.search(f'{name}="([^"]*)"', full)[1] for name in ("width", "height", "viewBox")
    ]
    places = r'<(?:rect|path) class="(?:card|lane\d|scope|(?:value|grad)-line)" (?!data-ends)[^>]*>'
    found = [re.findall(places, svg) for svg in (blank, full)]
    assert len(found[0]) > 40 and found[0] == found[1]
    assert ">.25<" in full and ">.25<" not in blank  # ∂L/∂q


def test_values_are_blank_where_they_are_asked_for(tmp_path):
    text = pictures(page(tmp_path, ask="forward"))[0]
    assert ">16<" in pictures(page(tmp_path, is_key=True))[0] and ">16<" not in text  # q


def test_only_what_is_asked_is_blank(tmp_path):
    text = pictures(page(tmp_path, ask="dσ"))[0]
    assert ">.25<" in text  # ∂L/∂q stays
    assert ">.25<" not in pictures(page(tmp_path, ask="dq"))[0]


# -- the PDF


def text_of_pdf(path, page=None):
    command = ["pdftotext", "-layout", *(["-f", str(page), "-l", str(page)] if page else ()), path, "-"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def sizes(path):
    info = subprocess.run(["pdfinfo", "-l", "99", path], capture_output=True, check=True, text=True).stdout
    return re.findall(r"size:\s+([\d.]+) x ([\d.]+) pts", info)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    pytest.importorskip("typst")
    folder = tmp_path_factory.mktemp("printed")
    tg.worksheet(batch_norm(), folder / "s.pdf", key=folder / "k.pdf")
    return folder


@needs_poppler
def test_the_printed_sheet_has_no_answer(printed):
    sheet, key = text_of_pdf(printed / "s.pdf"), text_of_pdf(printed / "k.pdf")
    for code in ("dL * w", "dx_c_1 + dx_c_2", "2 * dq * x_c", ".sum(axis=0)", "Answer key"):
        assert code in key and code not in sheet
    assert "0.125" in key and "0.125" not in sheet
    for k, name in enumerate(BACKWARD, 1):
        assert f"{k}." in sheet and name in sheet


@needs_poppler
def test_the_printed_key_has_the_pages_of_the_sheet(printed):
    """Each question is on the same page."""
    pages = [text_of_pdf(printed / name).split("\f") for name in ("s.pdf", "k.pdf")]
    places = [[re.findall(r"^ *(\d+)\. ", text, re.M) for text in part] for part in pages]
    assert places[0] == places[1]
    assert list(map(int, itertools.chain.from_iterable(places[0]))) == list(range(1, 16))
    count = len(sizes(printed / "s.pdf"))
    assert all(f"Page {k} of {count}" in text for k, text in enumerate(pages[0][:count], 1))


@needs_poppler
@pytest.mark.parametrize(("paper", "size"), [("a4", (595.28, 841.89)), ("letter", (612.0, 792.0))])
def test_papers(paper, size, tmp_path):
    pytest.importorskip("typst")
    tg.worksheet(batch_norm(), tmp_path / "s.pdf", paper=paper)
    found = {tuple(sorted(map(float, s))) for s in sizes(tmp_path / "s.pdf")}
    assert all(page == pytest.approx(size, abs=0.1) for page in found)


def test_the_same_sheet_gives_the_same_bytes(printed, tmp_path):
    tg.worksheet(batch_norm(), tmp_path / "s.pdf")
    assert (tmp_path / "s.pdf").read_bytes() == (printed / "s.pdf").read_bytes()


@needs_poppler
def test_chinese_is_printed(tmp_path):
    pytest.importorskip("typst")
    try:
        tg.worksheet(batch_norm(), tmp_path / "s.pdf", key=tmp_path / "k.pdf", lang="zh")
    except EngineMissing as missing:
        pytest.skip(str(missing))
    assert "反向传播" in text_of_pdf(tmp_path / "s.pdf") and "参考答案" in text_of_pdf(tmp_path / "k.pdf")


def drawn_for(name, paper):
    """Return the sheet of a lesson with its figure drawn."""
    program, page = record_program(LESSONS[name]()), module.Paper(paper, *module.PAPERS[paper])
    maker = module.SheetMaker(program, language_of("en"), ["backward"], False, 2, paper=page, title=None, number=0)
    maker.draw(None, None)
    return maker


def test_a_figure_that_fits_no_first_page_stands_on_the_next_and_questions_before_it(tmp_path):
    rows = {(359, 291): 0, (331, 349, 166): 1, (500, 500, 500): 3}  # heights -> how many stand on the first page
    for heights, here in rows.items():
        strips = [Strip(0, 0, 1, 1, (500, height)) for height in heights]
        assert rows_here(strips, 700, 600) == here, heights
    pytest.importorskip("typst")
    tg.worksheet(LESSONS["batch_norm"](), tmp_path / "s.pdf", paper="letter")
    first = text_of_pdf(tmp_path / "s.pdf", page=1)
    assert "Write dy" in first and "Write dx̂" in first


def test_letters_of_the_figure_are_legible():
    for name in LESSONS:
        maker = drawn_for(name, "a4")
        paper = maker.paper
        for strip in maker.pictures[0].strips:
            assert strip.points[0] / strip.width >= 0.6 * 0.999, name  # 10 pixels are 6 pt
            assert strip.points[1] <= (paper.width if maker.pictures[0].landscape else paper.height)


# -- other numbers


def test_copies_have_other_numbers_and_their_own_answers(tmp_path):
    text = page(tmp_path, copies=3, is_key=True)
    sheets = re.findall(r"<article>.*?</article>", text, re.S)
    assert [re.search(r"Sheet \d", s)[0] for s in sheets] == ["Sheet 1", "Sheet 2", "Sheet 3"]
    assert len({str(numbers(sections(s)[-1])) for s in sheets}) == 3
    assert all(asked(s) == BACKWARD for s in sheets)


def test_the_seed_decides(tmp_path):
    three, again, four = (page(tmp_path, LESSONS["dense"](), copies=2, seed=seed) for seed in (3, 3, 4))
    assert three == again != four


def test_other_numbers_are_whole_and_stay_short():
    program = record_program(batch_norm())
    shown = [line.node for line in Printer(program, numpy_spelling()).lines]

    def length(p):
        return sum(length_of(np.array(p.graph.nodes[i].value.values)) for i in shown)

    for other in itertools.islice(draw_programs(program, shown, 1), 4):
        x, w, gamma = (leaf_value(other.graph.find(name)) for name in ("x", "w", "γ"))
        assert np.all(x == np.round(x)) and length(other) <= length(program)
        x_hat = (x - x.mean(0)) / x.std(0)
        dx_hat = w * gamma
        dx = (dx_hat - dx_hat.mean(0) - x_hat * (dx_hat * x_hat).mean(0)) / x.std(0)
        found = other.graph.nodes[other.gradient[other.graph.find("x").id]].value.values
        assert found == pytest.approx(dx.ravel().tolist(), abs=1e-12)


def test_what_is_positive_stays_so_and_a_mask_stays_as_it_is():
    x = Tensor([0.5, 2.0], name="x")
    mask = Tensor([0.0, -1e9], name="mask", requires_grad=False)
    program = record_program((tg.log(x) + mask).sum().named("L"))
    for other in itertools.islice(draw_programs(program, [], 0), 3):
        assert leaf_value(other.graph.find("x")).min() > 0
        assert leaf_value(other.graph.find("mask")).tolist() == [0.0, -1e9]


def test_the_upstream_of_an_array_is_whole(tmp_path):
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
    text = page(tmp_path, (x * x).named("y"))
    given = re.search(r'<div class="given">.*?</div>\n</div>', text, re.S)[0]
    assert "<code>dy" in given and "." not in "".join(re.findall(r"<td>(.*?)</td>", given))


# -- words and names


def test_chinese(tmp_path):
    text = page(tmp_path, lang="zh-CN", is_key=True)
    assert 'lang="zh"' in text and "手算反向传播" in text and "参考答案" in text and "is used" not in text
    assert "每个样本一行" in text and "one row for each example" not in text and "value</" not in text  # in the figure


def test_names_are_text(tmp_path):
    """A name of a user is no markup: neither of HTML, nor of typst, nor a hole of a text."""
    x = Tensor([1.0, 2.0], name="<b>x</b>")
    y = (x * Tensor([3.0, 4.0], name='#panic("no") $x$ {name}')).sum().named("*L*")
    text = page(tmp_path, y, title="<i>#strong[t]</i>", is_key=True)
    assert "<b>x" not in text and "<i>#strong" not in text and "&lt;i&gt;#strong[t]&lt;/i&gt;" in text
    pytest.importorskip("typst")
    tg.worksheet(y, tmp_path / "s.pdf", key=tmp_path / "k.pdf", title="#strong[t] *b* \\ $")
    if shutil.which("pdftotext"):
        assert "#strong[t] *b* \\ $" in text_of_pdf(tmp_path / "s.pdf")


def test_large_arrays_have_no_table(tmp_path):
    x = Tensor(np.arange(200.0).reshape(20, 10), name="x")
    text = page(tmp_path, (x * x).sum().named("L"), is_key=True)
    assert not any(map(numbers, sections(text))) and len(asked(text)) == len(answers(text))


def test_ascii(tmp_path):
    assert "dsigma" in asked(page(tmp_path, ascii=True))


# -- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ask": "dz"}, r"ask='dz' is no question; write forward, backward, or some of .*dσ"),
        ({"ask": ()}, "nothing to ask"),
        ({"paper": "a3"}, "paper is 'a3'"),
        ({"copies": 0}, "copies is 0"),
        ({"points": -1}, "points is -1"),
        ({"points": {"dz": 1}}, "'dz', which is no question"),
        ({"lang": "xx"}, "lang is 'xx'"),
        ({"key": "s.html"}, "one file"),
        ({"key": "key.txt"}, r"the ending is '.txt'; it must be one of .pdf .html"),
        ({"wrt": ["q"]}, "wrt='q'"),
    ],
)
def test_bad_options_are_named(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        tg.worksheet(batch_norm(), "s.html", **options)
    assert not list(tmp_path.iterdir())


def test_typst_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(EngineMissing, match=r"typst: pip install .*; \.html needs nothing"):
        tg.worksheet(batch_norm(), tmp_path / "s.html", key=tmp_path / "k.pdf")
    assert not list(tmp_path.iterdir())


def test_a_font_is_named_where_there_is_none(tmp_path, monkeypatch):
    pytest.importorskip("typst")
    monkeypatch.setattr(module, "CHINESE", ())
    with pytest.raises(EngineMissing, match=r"no font with Chinese letters is installed: .*fonts-noto-cjk"):
        tg.worksheet(batch_norm(), tmp_path / "s.pdf", lang="zh")


def test_nothing_to_vary(tmp_path):
    y = Parameter(np.array([1, 2], np.float64), name="p").sum()
    with pytest.raises(ValueError, match="different sheets"):
        list(itertools.islice(draw_programs(record_program(y), [], 0), 10**6))


# -- the command


def test_command(tmp_path, capsys):
    assert main(["worksheet", "-o", str(tmp_path / "s.html"), "--key", str(tmp_path / "k.html"), "--ask", "dσ,dv"]) == 0
    assert asked((tmp_path / "k.html").read_text(encoding="utf-8")) == ["dσ", "dv"]
    assert capsys.readouterr().out.count("wrote") == 2
    assert main(["worksheet", "-o", str(tmp_path / "s.html"), "--ask", "nothing"]) == 2
    assert "'nothing' is no question" in capsys.readouterr().err
    assert main(["worksheet", "--example", "nothing", "-o", str(tmp_path / "s.html")]) == 2


def test_formulas_are_mathml():
    for name in LESSONS:
        for found in re.findall(r"<math.*?</math>", key_of(name), re.S):
            ET.fromstring(found)
