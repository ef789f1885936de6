"""Random programs against PyTorch: a few hundred of them, and a proof that a wrong derivative would be noticed."""

from __future__ import annotations

import dataclasses
import inspect
import re

import numpy as np
import pytest

import tinygraph as tg
from tests import random_programs
from tests.random_programs import Program, Step, disagreements, failures, program
from tinygraph import OPS
from tinygraph.ops import later

pytest.importorskip("torch")


@pytest.mark.parametrize(("count", "large"), [(200, False), (4, True)], ids=["small", "large"])
def test_random_programs_agree_with_pytorch(count, large):
    for part, wrong in failures(range(count), large):
        pytest.fail(f"program {part.seed}:\n    {part}\n" + "\n".join(wrong))


@pytest.mark.parametrize("name", ["mul", "sum", "index", "matmul", "tanh"])
def test_a_derivative_that_is_wrong_by_a_millionth_is_found(name, monkeypatch):
    op = OPS[name]
    wrong = [lambda g, *args, line=line, **options: 1.000001 * line(g, *args, **options) for line in op.lines]
    monkeypatch.setattr(op, "lines", tuple(wrong))
    part, found = next(failures(range(400)))
    assert any("gradient" in line or "derivative" in line for line in found), found
    monkeypatch.undo()
    assert not disagreements(part)  # nothing else is wrong


def test_a_program_is_the_same_each_time():
    assert str(program(5)) == str(program(5))
    assert str(program(5)) != str(program(6))


def test_the_part_that_is_printed_runs_by_itself():
    x = np.array([1.0, 2.0])
    steps = [Step("x1", "tg.exp(x0)", "torch.exp(x0)", False), Step("x2", "x0 * c0", "x0 * c0", False)]
    whole = Program(0, {"x0": x}, {"c0": np.array([3.0, 4.0])}, steps)
    assert whole.outputs() == ["x1", "x2"]
    part = whole.until(1)
    assert part.outputs() == ["x2"]
    names: dict[str, object] = {}
    exec("\n".join(line.strip() for line in str(part).splitlines()), names)
    np.testing.assert_array_equal(names["x2"].data, [3.0, 8.0])


def test_a_value_an_error_and_a_gradient_that_is_missing_are_disagreements():
    def found(ours: str, theirs: str) -> list[str]:
        x = np.array([1.0, 2.0])
        return disagreements(Program(0, {"x0": x}, {"c0": x}, [Step("x1", ours, theirs, False)]))

    assert not found("x0 * x0", "x0 * x0")
    assert any(line.startswith("value of x1") for line in found("x0 * 1.00001", "x0 * 1.0"))
    assert "reshape" in found("tg.reshape(x0, (3,))", "x0")[0]
    assert any(line.startswith("gradient of x0") for line in found("x0 * c0", "x0 * x0"))


def test_what_rounding_explains_is_no_disagreement():
    step = Step("x1", "tg.exp(x0 * 1e7)", "torch.exp(x0 * 1e7)", False)
    x = np.array([1e-6])
    assert not disagreements(Program(0, {"x0": x}, {}, [step]))
    cancelled = [Step("x1", "x0 + 1e8", "x0 + 1e8", False), Step("x2", "(x1 - 1e8) * 1e3", "(x1 - 1e8) * 1e3", False)]
    nearly = dataclasses.replace(cancelled[1], ours="(x1 - 99999999.99999999) * 1e3")
    assert not disagreements(Program(0, {"x0": x}, {}, [cancelled[0], nearly]))


def test_the_command_prints_a_summary_and_fails_where_one_disagrees(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["random_programs.py", "--count", "3"])
    assert random_programs.main() == 0
    assert capsys.readouterr().out.startswith("3 programs, 0 disagree")
    monkeypatch.setattr(random_programs, "disagreements", lambda program: ["value of x9 differs by 1.0e+00"])
    assert random_programs.main() == 1
    out = capsys.readouterr().out
    assert "program 2:" in out
    assert "value of x9 differs" in out


# Written with a symbol, or with a number of axes; found in what is made of them; random.
OTHERWISE = {"mul", "sub", "div", "eigh", "svd", "cofactor", "dropout"}
OTHERWISE |= {f"{name}{rank}d" for name in ("conv", "conv_transpose", "avg_pool", "max_pool") for rank in (1, 2, 3)}


def test_every_op_can_be_drawn():
    later.load_all()
    public = {*tg.__all__, *tg.linalg.__all__, *tg.nn.functional.__all__}
    ops = {name for name, op in [*OPS.items()] if op.differentiable and name in public}
    words = set(re.findall(r"\w+", inspect.getsource(random_programs)))
    assert len(ops) > 100
    assert ops - OTHERWISE <= words
