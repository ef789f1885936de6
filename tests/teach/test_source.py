"""The answer key: what is printed runs alone, and each line equals the graph; for every op and gallery graph."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import zip_longest

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import check_each, registered
from tests.gallery import GALLERY, X, deep
from tests.matrices import prepared
from tinygraph import OPS, Parameter, Tensor, scope, source
from tinygraph.cli import main
from tinygraph.graph.data import Graph
from tinygraph.teach.latex import LatexPrinter
from tinygraph.teach.printer import Printer
from tinygraph.teach.program import record_program
from tinygraph.teach.spelling import numpy_spelling, torch_spelling

SPELLINGS = {"numpy": numpy_spelling, "torch": torch_spelling}
GRAPHS = [name for name, make in GALLERY.items() if name != "deep" and isinstance(make(), Graph)]
registered()  # loads what is loaded when it is asked for
SAMPLES = {
    name: range(len(made.samples)) for name, made in OPS.items() if made.builtin and made.differentiable
}  # of each op, by their places

FIXED = [name for name, made in OPS.items() if made.builtin and not made.differentiable]  # on the way of others


def check(what, lang: str, in_ascii: bool = True) -> str:
    """Run a printed program, compare each line with the value of its node, and return the text."""
    program = record_program(what)
    printer = Printer(program, SPELLINGS[lang](), in_ascii)
    text = printer.text()
    values: dict = {}
    exec(compile(text, "<answer key>", "exec"), values)
    for line in printer.lines:
        node = program.graph.nodes[line.node]
        want = np.array(node.value.values, node.dtype).reshape(node.shape)
        found = np.asarray(values[line.name])
        single = "32" in node.dtype
        assert found.shape == want.shape, line
        np.testing.assert_allclose(found, want, rtol=1e-5 if single else 1e-11, atol=1e-6 if single else 1e-12)
    gradients = [program.gradient[i] for i in program.wrt if i in program.gradient]
    named = {line.node for line in printer.lines if line.part == "backward"} | set(program.upstream.values())
    assert set(gradients) <= named
    return text


def call_of(name: str, k: int) -> Tensor:
    """Record one of an op's samples."""
    sample, rng = OPS[name].samples[k], np.random.default_rng(k)
    drawn = prepared(OPS[name], [rng.uniform(sample.low, sample.high, s) for s in sample.shapes])
    operands = zip_longest([x.round(3) for x in drawn], OPS[name].operands[: len(drawn)])
    xs = [x.astype(int) if o == "indices" else Tensor(x, name=f"x{i}") for i, (x, o) in enumerate(operands)]
    return OPS[name](*xs, **sample.params)


def weighted(name: str, k: int) -> Tensor:
    """Use one of the samples of an op that has no derivative as a factor of a value that has one."""
    y = call_of(name, k)
    w = Tensor(np.random.default_rng(0).standard_normal(np.shape(getattr(y, "data", y))).round(2), name="w")
    return (y * w).sum().named("L")


@pytest.mark.parametrize("name", GRAPHS)
def test_every_gallery_graph(name):
    check(GALLERY[name](), "numpy")


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("lang", ["numpy", "torch", "latex"])
def test_every_op_without_a_derivative(name, lang):
    if lang == "torch":
        pytest.importorskip("torch")
    for k in range(len(OPS[name].samples)):
        what = weighted(name, k)
        if lang == "latex":
            assert "$" not in LatexPrinter(record_program(what)).text()
        else:
            check(what, lang)


def test_every_op_as_a_formula():
    """No hole of a template is left, and brackets are closed; where pdflatex is there, it compiles all."""
    check_each(check_formula, SAMPLES)


def check_formula(name: str) -> None:
    text = LatexPrinter(record_program(call_of(name, 0))).text()
    plain = re.sub(r"\\\\|\\[{}$]", "", text)
    assert "$" not in re.sub(r"\$[^$]*\$", "", plain)
    assert plain.count("{") == plain.count("}")
    assert text.count(r"\left") == text.count(r"\right")


def test_no_op_is_left_out():
    tried = {name for name, samples in SAMPLES.items() if samples} | {*FIXED}
    assert tried == {name for name, made in OPS.items() if made.builtin}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_op(name):
    check_each(lambda k: check(call_of(name, k), "numpy", in_ascii=False), SAMPLES[name])


def test_deep_graph():
    check(deep(), "numpy")


def test_gradients_are_those_of_backward():
    """Not our own recorded walk is the judge here but finite differences of the printed forward pass."""
    x, gamma = Tensor(X, name="x"), Parameter([1.0, 2.0, -1.0], name="γ")
    text = source(tg.batch_norm(x, gamma).named("y"), ascii=True)
    given, forward, backward = re.split(r"# forward\n|# backward\n", text)
    values: dict = {}
    exec(given + forward + backward, values)
    for name in ("x", "gamma"):
        step, start = 1e-6, values[name]
        for place in np.ndindex(start.shape):
            sides = []
            for sign in (1, -1):
                moved = start.copy()
                moved[place] += sign * step
                again = {**values, name: moved}
                exec(forward, again)
                sides.append(np.sum(again["y"] * values["dy"]))
            found = values[f"d{name}"][place]
            assert found == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-7), (name, place)


def test_float32_stays():
    values: dict = {}
    exec(source((Tensor(np.ones((2, 3), np.float32), name="x") * 2).mean().named("L")), values)
    assert values["dx"].dtype == np.float32


def test_text_is_what_a_person_writes():
    x, b = Tensor(X, name="x"), Parameter([1.0, 2.0, 3.0], name="β")
    lines = source(((x + b) ** 2).named("y")).splitlines()
    code = {line.partition("=")[0].strip(): line for line in lines if " = " in line}
    assert "# (4, 3)" in code["y"]
    assert code["dβ"].startswith("dβ = ") and ".sum(axis=0)" in code["dβ"]
    assert "β copied to 4 rows: add them up" in code["dβ"]


def test_a_value_used_twice_has_two_parts_and_their_sum():
    x = Tensor([1.0, 2.0], name="x")
    text = source((x * x + x).sum().named("L"))
    assert re.search(r"^dx = dx_1 \+ dx_2 \+ dx_3 +# \(2,\) x was used 3 times", text, re.MULTILINE)


def test_names():
    x = Tensor(np.ones(2), name="x̂")
    with scope("for"):
        y = (x * Parameter(np.ones(2), name="fc1.weight")).named("class")
    text = source(y)
    assert "class_ = x̂ * fc1_weight" in text
    code = [line.partition("#")[0] for line in source(y, ascii=True).splitlines()]
    assert all(line.isascii() for line in code)


def test_wrt_chooses():
    x, w = Tensor(np.ones(3), name="x"), Parameter(np.ones(3), name="w")
    text = source((x * w).sum().named("L"), wrt=["w"])
    assert "dw = " in text
    assert "dx" not in text
    assert text == source((x * w).sum().named("L"), wrt=[w])
    with pytest.raises(ValueError, match="wrt='v' is 0 of the leaves that require a gradient: x, w"):
        source((x * w).sum(), wrt=["v"])


def test_what_cannot_be_written():
    with pytest.raises(ValueError, match="lang is 'julia'; it must be one of numpy, torch, latex"):
        source(Tensor([1.0]) * 2, "julia")
    with pytest.raises(ValueError, match="no gradient is wanted"):
        source(Tensor([1.0], requires_grad=False) * 2)
    with pytest.raises(TypeError, match="takes a Tensor, several, or a Graph, not ndarray"):
        source(np.ones(2))

    @tg.op("$x^7", x=("7$x^6", lambda g, x: g * 7 * x * x * x * x * x * x))
    def seventh(x):
        return x**7

    try:
        with pytest.raises(ValueError, match="nobody has said how the op 'seventh' is written in NumPy"):
            source(seventh(Tensor([1.0], name="x")))
    finally:
        del OPS["seventh"]


def test_large_leaves_have_other_numbers():
    text = source((Tensor(np.ones((60, 60)), name="x") * 2).sum().named("L"))
    assert "x = np.random.default_rng(0).uniform(0.5, 1.5, (60, 60))" in text
    assert "put your own numbers here" in text


def test_broken_derivative_is_seen(monkeypatch):
    """The comparison can fail: with a wrong spelling it does."""
    table = numpy_spelling().table | {"square": lambda c: (f"{c.operands[0].text} ** 3", 3)}
    monkeypatch.setattr("tinygraph.teach.spelling.Spelling.table", table, raising=False)
    spelling = numpy_spelling()
    spelling.table = table
    monkeypatch.setitem(SPELLINGS, "numpy", lambda: spelling)
    with pytest.raises(AssertionError):
        check((Tensor([1.5, 2.0], name="x").square()).sum(), "numpy")


class TestLatex:
    def test_formulas(self):
        x = Tensor(X, name="x")
        lines = source(((x - x.mean(0).named("μ")) ** 2).sum().named("L"), "latex").splitlines()
        assert lines[0] == r"\begin{align*}"
        assert lines[-1] == r"\end{align*}"
        assert any(r"\frac{\partial" in line and r"\sum_{\text{rows}}" in line for line in lines)

    @pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not here")
    def test_every_gallery_graph_and_op_compiles(self, tmp_path):
        whats = [GALLERY[name]() for name in GRAPHS] + [call_of(name, 0) for name in SAMPLES]
        blocks = [LatexPrinter(record_program(what)).text() for what in whats]
        head = r"\documentclass{article}\usepackage[paperwidth=3000mm,paperheight=900mm]{geometry}"
        head += r"\usepackage{amsmath,amssymb,bm}"
        (tmp_path / "key.tex").write_text(head + "\n\\begin{document}\n" + "\n".join(blocks) + "\\end{document}\n")
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "key.tex"],
            cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        assert not done.returncode, done.stdout[-1500:]


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.mark.parametrize("name", GRAPHS)
    def test_every_gallery_graph(self, name):
        check(GALLERY[name](), "torch")

    @pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("eigh", "svd")])
    def test_every_op(self, name):
        check_each(lambda k: check(call_of(name, k), "torch"), SAMPLES[name])

    @pytest.mark.parametrize("name", ["eigh", "svd"])
    def test_decompositions(self, torch, name):
        """A vector may have another sign than NumPy's: the gradient of the values, which has none, is compared."""
        x = Tensor(np.array([[4.0, 1.0, 0.5], [1.0, 2.0, 0.25], [0.5, 0.25, 1.0]]), name="x")
        values: dict = {}
        exec(source((OPS[name](x)[0] ** 3).sum().named("y"), "torch"), values)
        (wanted,) = tg.grad((OPS[name](x)[0] ** 3).sum(), x)
        np.testing.assert_allclose(values["dx"], wanted, rtol=1e-12)

    def test_gradients_are_those_of_torch(self, torch):
        x, gamma = Tensor(X, name="x"), Parameter([1.0, 2.0, -1.0], name="γ")
        values: dict = {}
        exec(source(tg.batch_norm(x, gamma).named("y"), "torch", ascii=True), values)
        theirs = torch.tensor(X, dtype=torch.float64, requires_grad=True)
        torch.nn.functional.batch_norm(theirs, None, None, torch.tensor(gamma.data), training=True).backward(
            values["dy"]
        )
        np.testing.assert_allclose(values["dx"], theirs.grad, atol=1e-12)


class TestCommand:
    @pytest.fixture
    def model(self, tmp_path):
        file = tmp_path / "model.py"
        file.write_text(
            "from tinygraph import Tensor\nx = Tensor([1.0, 2.0], name='σ')\nloss = (x * x).sum().named('L')\n"
        )
        return f"{file}:loss"

    def test_screen(self, model, capsys):
        assert main(["source", model, "--ascii"]) == 0
        text = capsys.readouterr().out
        done = subprocess.run(
            [sys.executable, "-c", text + "print(dsigma.tolist())"], capture_output=True, text=True, check=True
        )
        assert done.stdout == "[2.0, 4.0]\n"

    def test_file(self, model, tmp_path, capsys):
        assert main(["source", model, "-o", str(tmp_path / "key.py")]) == 0
        assert capsys.readouterr().out == f"wrote {tmp_path / 'key.py'}\n"
        assert "dσ = " in (tmp_path / "key.py").read_text(encoding="utf-8")

    def test_unknown_name(self, model, capsys):
        assert main(["source", model, "--wrt", "y"]) == 2
        assert "wrt='y' is 0 of the leaves that require a gradient: σ" in capsys.readouterr().err
