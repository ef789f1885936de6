"""`derive` finds the closed forms of the textbooks, each step equal to what was recorded, in floats and exactly."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import tinygraph as tg
from tests.sum_cases import CASES, gradients, inputs_of, verdict_of
from tinygraph.sums.picture import frames
from tinygraph.sums.rules import RULES
from tinygraph.sums.steps import new_array

CLOSED = {
    "batch_norm": "γ/σ (dy − mean(dy) − x̂ mean(dy x̂))",
    "batch_norm_images": "γ/σ (dy − mean(dy) − x̂ mean(dy x̂))",
    "batch_norm_spatial": "γ/σ (dy − mean(dy) − x̂ mean(dy x̂))",
    "layer_norm": "(γ dy − mean₁(γ dy) − x̂ mean₁(γ dy x̂))/σ",
    "group_norm": "(γ dy − mean₂,₃,₄(γ dy) − x̂ mean₂,₃,₄(γ dy x̂))/σ",
    "instance_norm": "γ/σ (dy − mean₂,₃(dy) − x̂ mean₂,₃(dy x̂))",
    "rms_norm": "(γ dy − x mean₁(γ dy x)/r²)/r",
    "softmax": "y (dy − Σ dy y)",
    "log_softmax": "dy − p Σ dy",
    "cross_entropy": "(p − t)/4",
    "sigmoid": "dy y (1 − y)",
    "sigmoid_by_exp": "dy y (1 − y)",
    "tanh": "dy (1 − y²)",
    "silu": "dy s (1 + x (1 − s))",
    "gelu": "dy (0.5 + erf(0.7071 x)/2 + 0.3989 x exp(−0.5 x²))",
    "l2_normalize": "(dy − y Σ dy y)/r",
    "weight_standardize": "(dy − mean(dy) − y mean(dy y))/r",
    "batch_norm_total": "0",
}


@pytest.fixture(scope="module", params=CASES)
def derived(request):
    return request.param, tg.derive(gradients(request.param))


def test_the_closed_form_is_that_of_the_textbook(derived):
    name, derivation = derived
    if name in CLOSED:
        assert derivation.closed[0].text == CLOSED[name]


def test_each_step_equals_what_was_recorded(derived):
    _, derivation = derived
    for step in derivation.steps:
        assert step.difference < 5e-15
        assert step.exact is True


def test_a_step_computes_what_it_says(derived):
    """The graph of each step, run as ops, gives the gradients."""
    name, derivation = derived
    want = [g.data for g in gradients(name)]
    for step in derivation.steps:
        for i, w in zip(step.graph.outputs, want, strict=True):
            found = np.reshape(step.graph.nodes[i].value.values, step.graph.nodes[i].shape)
            assert np.allclose(found.reshape(w.shape) if found.size == w.size else found, w, atol=1e-13)


def test_values_keep_their_shapes_beside_matrix_products():
    """The loops of a product that stands outside the formulas are no axes of what is inside."""
    rng = np.random.default_rng(0)
    q, k, v = (
        tg.Parameter(rng.standard_normal(shape), name=n) for n, shape in (("Q", (3, 2)), ("K", (4, 2)), ("V", (4, 5)))
    )
    scores = (q @ k.T).named("S")
    e = tg.exp(scores)
    p = (e / e.sum(1, keepdims=True)).named("P")
    loss = ((p @ v) ** 2).sum()
    found = tg.derive(tg.grad(loss, scores, create_graph=True))
    closed = found.steps[-1].graph
    assert {n.shape for n in closed.nodes} <= {(), (3, 4), (3, 1)}
    assert "axis 1 of (3, 4)" in str(found)


def test_costs_never_rise_in_sweeps(derived):
    name, derivation = derived
    sweeps = [step.cost.sweeps for step in derivation.steps]
    assert sweeps == sorted(sweeps, reverse=True)
    if "norm" in name and name.startswith(("batch", "layer", "group", "instance")) and "total" not in name:
        assert (sweeps[0], sweeps[-1]) == (5, 2)


def test_the_code_of_a_closed_form_is_right(derived):
    """What is printed as code is read again, run on other numbers, and found right."""
    name, derivation = derived
    for formula in derivation.closed:
        if formula.code:
            assert verdict_of(name, f"{formula.name} = {formula.code}")
    assert formula.code or name in ("group_norm", "batch_norm_spatial")


def test_batch_norm_goes_the_way_of_a_person():
    derivation = tg.derive(gradients("batch_norm"))
    assert [step.rule for step in derivation.steps] == ["recorded", "lift", "a", "d", "c", "m", "collect", "p"]
    fourth = next(step for step in derivation.steps if step.rule == "d")
    assert "mean(x_c)" in fourth.formulas[0].text  # the fourth path, which the next step removes
    (zero,) = next(step for step in derivation.steps if step.rule == "c").parts
    assert (zero[0].text, zero[1].text) == ("Σ x_c", "0")
    assert [f.text for f in derivation.closed] == [CLOSED["batch_norm"], "Σ dy x̂", "Σ dy"]
    assert [step.cost.arrays for step in derivation.steps] == [2, 1, 1, 1, 1, 1, 1, 1]


def test_the_nodes_that_a_step_touched_are_those_of_the_rule():
    derivation = tg.derive(gradients("batch_norm"))
    for step in derivation.steps[2:6]:
        ops = {derivation.graph.nodes[i].op for i in step.nodes}
        assert step.nodes and ops <= {"sum_to", "mean", "sum"}


@pytest.mark.parametrize("letter", "ahcs")
def test_a_wrong_rule_is_found_by_the_numbers_of_its_step(letter, monkeypatch):
    """Each step is compared with what was recorded: a rule that does too much says so, in floats and exactly."""
    from tinygraph.sums import rules as table

    case = {"a": "batch_norm", "h": "cross_entropy", "c": "batch_norm", "s": "sigmoid_by_exp"}[letter]
    wrong = tuple(
        rule._replace(apply=lambda f, form, rule=rule: f.one if rule.apply(f, form) is not None else None)
        if rule.letter == letter
        else rule
        for rule in RULES
    )
    monkeypatch.setattr(table, "RULES", wrong)
    step = next(s for s in tg.derive(gradients(case)).steps if s.rule == letter)
    assert step.difference > 1e-3
    assert step.exact is False


def test_a_derivation_starts_from_what_is_to_be_differentiated():
    x, gamma, beta = inputs_of("batch_norm")
    y = tg.batch_norm(x, gamma, beta)
    for what in (y, tg.snapshot(y), [y]):
        assert tg.derive(what).closed[0].text == CLOSED["batch_norm"]
    assert [f.name for f in tg.derive(y, wrt="γ").closed] == ["dγ"]
    assert [f.name for f in tg.derive(y, wrt=[x]).closed] == ["dx"]


def test_a_fused_op_has_the_derivation_of_its_definition():
    x, gamma, beta = inputs_of("batch_norm")
    assert tg.derive(tg.fused.batch_norm(x, gamma, beta)).closed[0].text == CLOSED["batch_norm"]


def test_float32_and_large_arrays():
    rng = np.random.default_rng(0)
    x = tg.Tensor(rng.standard_normal((300, 40)).astype(np.float32), name="x")
    derivation = tg.derive(tg.batch_norm(x))
    assert derivation.closed[0].text == "(dy − mean(dy) − x̂ mean(dy x̂))/σ"
    assert derivation.steps[-1].exact is None  # too large for exact numbers
    assert max(step.difference for step in derivation.steps) < 1e-12


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_check_is_in_float64_whatever_the_data_are(dtype):
    x = tg.Tensor((np.arange(12.0).reshape(4, 3) ** 1.5 / 7).astype(dtype), name="x")
    for y, closed in (
        (tg.batch_norm(x), "(dy − mean(dy) − x̂ mean(dy x̂))/σ"),
        (tg.cross_entropy(x, np.array([0, 1, 2, 0])) / 5, "(p − t)/20"),
        (tg.astype(x, "float32") * tg.astype(x, "float64"), "2 dy x"),
    ):
        derivation = tg.derive(y)
        assert derivation.closed[0].text == closed
        assert max(step.difference for step in derivation.steps) < 1e-14


def test_the_upstream_gradient_is_nobodys_data():
    """A user's x of default_rng(0) must not be dy: formulas that exchange the two would look right."""
    for shape in ((4, 3), (300, 40)):  # the latter is too large to be kept in a graph: both are made up
        for seed in (0, 1):
            x = np.random.default_rng(seed).standard_normal(shape).round(2)
            graph = tg.derive(tg.Tensor(x, name="x") ** 2).graph
            given, dy = (next(new_array(n, 0, False) for n in graph.nodes if n.name == k) for k in ("x", "dy"))
            for a, b in ((given, dy), (x, dy)):
                assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.9


def test_second_derivatives():
    x = tg.Tensor(np.array([[1.0, 2.0], [4.0, -1.0], [0.5, 3.0]]), name="x")
    (dx,) = tg.grad(tg.square(x - x.mean(0)).sum(), x, create_graph=True)
    (ddx,) = tg.grad((dx * dx).sum(), x, create_graph=True)
    derivation = tg.derive(ddx)
    assert derivation.closed[0].text in ("8 (x − mean(x))", "8 x − 8 mean(x)")
    assert all(step.exact for step in derivation.steps)


def test_what_is_no_sum_stays_as_it_is():
    x = tg.Tensor(np.arange(6.0).reshape(3, 2) ** 2, name="x")
    w = tg.Parameter(np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]]), name="W")
    derivation = tg.derive(tg.batch_norm((x @ w).named("h")), wrt="W")
    assert derivation.steps[-1].difference == 0


def test_errors_say_what_is_wrong():
    with pytest.raises(TypeError, match="derive takes a Tensor, several, or a Graph, not str"):
        tg.derive("x")
    with pytest.raises(ValueError, match="no gradient is wanted"):
        tg.derive(tg.Tensor([1.0], requires_grad=False) * 2)
    with pytest.raises(ValueError, match="wrt=z: the leaves are x, γ, β"):
        tg.derive(tg.batch_norm(*inputs_of("batch_norm")), wrt="z")


# What is written.


def test_text_shows_each_step_and_its_figures():
    text = str(tg.derive(gradients("batch_norm")))
    assert "dx = γ/σ (dy − mean(dy) − x̂ mean(dy x̂))" in text
    assert "5 sweeps, 2 arrays kept" in text and "2 sweeps, 1 array kept" in text
    assert text.count("exact]") == 7


def test_json_has_all_of_it():
    derivation = tg.derive(gradients("cross_entropy"), ask="p - t")
    raw = json.loads(derivation.to_json())
    assert [s["rule"] for s in raw["steps"]] == [s.rule for s in derivation.steps]
    assert tg.Graph.from_json(json.dumps(raw["steps"][-1]["graph"])) == derivation.steps[-1].graph
    assert raw["verdict"]["right"] is False


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "cross_entropy", "gelu_tanh"])
def test_latex_compiles(name, tmp_path):
    body = tg.derive(gradients(name)).latex()
    head = r"\documentclass{article}\usepackage{amsmath}\usepackage[a4paper,margin=2cm]{geometry}"
    page = rf"{head}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "d.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "d.tex"]
    ran = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-1500:]
    assert "Missing character" not in ran.stdout
    if name == "batch_norm":  # it fits an A4 page
        assert not re.search(r"Overfull.*\(\d{2,}", ran.stdout)


def test_save_writes_by_suffix(tmp_path):
    derivation = tg.derive(gradients("tanh"))
    for suffix in (".txt", ".tex", ".svg", ".json"):
        assert derivation.save(tmp_path / f"d{suffix}").stat().st_size > 100
    with pytest.raises(ValueError, match=r"one of \.txt, \.tex, \.svg, \.json"):
        derivation.save(tmp_path / "d.docx")


def test_the_figure_fades_what_goes_and_outlines_what_comes():
    derivation = tg.derive(gradients("batch_norm"))
    found = {frame.step.rule: frame for frame in frames(derivation)}
    assert list(found) == ["recorded", "lift", "a", "d", "c", "collect"]  # the others change no formula of dx

    def labels(rule, ids):
        return {found[rule].graph.label(i) for i in ids}

    def ops(rule, ids):
        return sorted(found[rule].graph.nodes[i].op or "" for i in ids)

    split, centred = found["d"], found["c"]
    sources = {split.graph.label(e.source) for i in split.goes for e in split.graph.nodes[i].inputs}
    assert "x_c" in labels("d", split.goes) and "x_c" in sources  # Σ x_c is 0: it goes with the next step
    assert not centred.came and "x_c" not in labels("c", range(len(centred.graph)))
    assert "div" in ops("collect", range(len(found["collect"].graph)))
    text = derivation.svg()
    assert text.count('class="chosen" x=') >= 6 and text.count('opacity=".45"') >= 6
    assert "once, not 2 times" in re.sub(r"<[^>]*>|\xa0", lambda m: " " * (m[0] == "\xa0"), text)


def test_names_in_the_figure_are_escaped():
    x = tg.Tensor([1.0, 2.0], name="<b>&")
    text = tg.derive(tg.square(x)).svg()
    assert "<b>" not in text and "&lt;b&gt;&amp;" in text
