"""Formulas as NumPy: what is printed runs, and gives what the op gives."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.drawing.style.code import numpy_code
from tinygraph.engine.registry import OPS

NAMES = {"np": np, "sigmoid": tg.sigmoid, "relu": tg.relu, "erf": tg.erf, "abs": np.abs}
OWN = {"add", "sub", "mul", "div", "neg", "power", "square", "sqrt", "exp", "log", "tanh", "sigmoid", "relu", "maximum",
       "minimum", "logaddexp", "sign", "sum", "mean", "max", "min", "logsumexp"}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_definition_and_its_derivatives_run_and_are_right(name: str) -> None:
    op = OPS[name]
    rng = np.random.default_rng(1)
    values = {x: rng.uniform(0.5, 2.0, (4, 3)) for x in op.operands}
    params = {"axis": 0} if "axis" in op.params else {}
    out = op.value(*values.values(), **params)
    holes = {x: x for x in op.operands} | {"out": "out", "axis": "0", "n": "4"}
    names = NAMES | values | {"out": out}
    made = numpy_code(op.tex, holes.__getitem__)
    if made is not None:
        np.testing.assert_allclose(eval(made, dict(names)), out)
    for k, line in enumerate(op.lines):
        code = numpy_code(op.partials[k], holes.__getitem__) if line else None
        if code is None or line is None:
            continue
        facts = names | {"keepdims": False, **params, **{f"{x}_shape": v.shape for x, v in values.items()}}
        local = line(np.ones(out.shape), *(facts[ask] for ask in op.asks[k]))
        np.testing.assert_allclose(np.broadcast_to(eval(code, dict(names)), local.shape), local, err_msg=code)


def test_most_formulas_are_written() -> None:
    holes = {"axis": "0", "n": "4", "out": "y", "x": "x", "y": "b"}
    written = [n for n in OWN if numpy_code(OPS[n].tex, lambda h: holes.get(h, h))]
    assert len(written) == len(OWN) - 1  # logsumexp is none of NumPy's


@pytest.mark.parametrize(
    ("tex", "code"),
    [
        (r"1/(2$out)", "1 / (2 * σ)"),
        (r"$y$x^{$y-1}", "b * x̂**(b - 1)"),
        (r"\sqrt{$x + 10^{-5}}", "np.sqrt(x̂ + 10**(-5))"),
        (r"\sum_{} $x \times $y", "(x̂ * b).sum()"),
        (r"\operatorname{mean}_{$axis} $x", "x̂.mean(axis=(0,2))"),
        (r"$x \ast $y", None),
        (r"[$x \le $y \le $out]", None),
    ],
)
def test_precedence(tex: str, code: str | None) -> None:
    assert numpy_code(tex, {"x": "x̂", "y": "b", "out": "σ", "axis": "0,2"}.__getitem__) == code
