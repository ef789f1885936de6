"""Exercises on hidden inputs."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.cli import main


def forward(x, gamma, beta):
    mu = x.mean(axis=0)
    xc = x - mu
    var = (xc**2).mean(axis=0)
    sigma = np.sqrt(var + 1e-5)
    xhat = xc / sigma
    return gamma * xhat + beta


INPUTS = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}


def right(dout, gamma, xhat, sigma):
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0)) / sigma
    return {"dx": dx, "dxhat": dxhat, "dgamma": (dout * xhat).sum(0)}


def test_a_right_answer_gets_all_points():
    task = tg.exercise(forward, ["x", "xhat", "gamma"], inputs=INPUTS, points={"x": 3})
    report = task.check(right)
    assert report.passed, str(report)
    assert report.points == report.most_points == 5


def test_a_size_that_is_written_as_a_number_is_found():
    sizes = []

    def wrong(dout, gamma, xhat, sigma):
        sizes.append(len(dout))
        n = sizes[0]  # right on the first shape
        dxhat = dout * gamma
        return (dxhat - dxhat.sum(0) / n - xhat * (dxhat * xhat).sum(0) / n) / sigma

    report = tg.exercise(forward, ["x"], inputs=INPUTS).check(wrong)
    assert not report.passed
    assert "another shape" in str(report)


def test_a_division_by_gamma_is_found():
    def wrong(dout, gamma, xhat, sigma):
        dxhat = dout * gamma
        again = dxhat / gamma  # nan where gamma is 0
        return (again * xhat).sum(0)

    report = tg.exercise(forward, ["gamma"], inputs=INPUTS).check(wrong)
    assert not report.passed
    assert "vectors of zeros" in str(report)


def test_a_graph_is_an_exercise():
    x, gamma = tg.Tensor(np.arange(12.0).reshape(4, 3), name="x"), tg.Parameter([1.0, 2.0, -1.0], name="γ")
    y = ((x - x.mean(axis=0)).named("c") * gamma).named("y")
    task = tg.exercise(y, ["γ", "c"])
    assert task.check(lambda dy, c, gamma: ((dy * c).sum(0), dy * gamma)).passed
    report = task.check(lambda dy, c, gamma: ((dy * c).sum(0), dy))
    assert report.outputs == {"dγ": True, "dc": False}


def test_what_is_lost_at_a_mean_of_10000_is_found():
    def wrong(dout, x, gamma):
        x = x.astype(np.float32)  # right elsewhere: squares that are subtracted lose all digits there
        sigma = np.sqrt(np.maximum((x**2).mean(0) - x.mean(0) ** 2, 0) + 1e-5)
        return (dout * (x - x.mean(0)) / sigma).sum(0)

    report = tg.exercise(forward, ["gamma"], inputs=INPUTS).check(wrong)
    assert not report.passed
    assert "a mean of 10000" in str(report)


def test_points_of_the_gradients_that_are_right_are_given():
    task = tg.exercise(forward, ["x", "gamma"], inputs=INPUTS, points={"x": 3, "gamma": 0.5})
    report = task.check(lambda dout, xhat: {"dgamma": (dout * xhat).sum(0), "dx": dout})
    assert (report.points, report.most_points) == (0.5, 3.5)
    assert [(t["score"], t["max_score"]) for t in report.to_gradescope()["tests"]] == [(0, 3), (0.5, 0.5)]


def test_hidden_inputs_follow_the_seed_and_have_several_shapes():
    def seen(seed):
        kept = []
        tg.exercise(forward, ["beta"], inputs=INPUTS, seed=seed).check(lambda dout, x: kept.append(x) or dout.sum(0))
        return kept

    one, again, other = seen(1), seen(1), seen(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0][: len(one[0])])
    shapes = {x.shape for x in one}
    assert len(shapes) > 1 and all(n > 1 and n != d for n, d in shapes)
    assert any(abs(x.mean() - 1e4) < 10 for x in one)


def test_values_on_the_way_are_asked_for_by_their_names():
    task = tg.exercise(forward, ["sigma", "xc", "mu"], inputs=INPUTS)

    def student(dout, gamma, xc, sigma):
        dxhat = dout * gamma
        dsigma = -(dxhat * xc).sum(0) / sigma**2
        dxc = dxhat / sigma + dsigma / sigma * xc / len(xc)
        return dsigma, dxc, -dxc.sum(0)

    assert task.check(student).passed
    report = task.check(lambda dout, gamma, xc, sigma: (*student(dout, gamma, xc, sigma)[:2], dout.sum(0)))
    assert report.outputs == {"dsigma": True, "dxc": True, "dmu": False}


def test_a_weight_may_have_one_row_and_a_batch_not():
    assert tg.exercise(lambda x, w: x * w, ["w"], inputs={"x": ("N", 3), "w": (1, 3)})
    with pytest.raises(ValueError, match="x has one row"):
        tg.exercise(tg.Tensor([[1.0, 2.0]], name="x") * 2, ["x"])


def test_an_exercise_in_a_file_gives_gradescope_and_otter(tmp_path, capsys):
    (tmp_path / "teacher.py").write_text(
        "import tinygraph as tg\n\n\ndef forward(x, w):\n    s = x * w\n    return s * s\n\n\n"
        "task = tg.exercise(forward, ['s', 'w'], inputs={'x': ('N', 'D'), 'w': ('D',)}, points={'w': 4})\n",
        encoding="utf-8",
    )
    student = tmp_path / "student.py"
    student.write_text("def back(dout, s, x):\n    ds = 2 * s * dout\n    return ds, ds * x\n", encoding="utf-8")
    asked = [f"{student}:back", "--exercise", f"{tmp_path / 'teacher.py'}:task"]
    assert main(["check", *asked, "--format", "gradescope"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(t["name"], t["score"], t["max_score"]) for t in found["tests"]] == [("ds", 1, 1), ("dw", 0, 4)]
    assert "student.py:3" in found["output"]
    assert main(["check", *asked, "--format", "otter"]) == 0
    space = {}
    exec(capsys.readouterr().out, space)
    assert (space["test"]["name"], space["test"]["points"]) == ("back", 5)
    code = space["test"]["suites"][0]["cases"][0]["code"]
    lines = [line[4:] for line in code.splitlines() if line.startswith(">>> ")]
    sys.path.insert(0, str(tmp_path))
    try:
        names = {"back": lambda dout, s, x: (2 * s * dout, (2 * s * dout * x).sum(0))}
        exec("\n".join(lines[:-1]), names)
        assert names["report"].passed and names["report"].points == 5
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tg.exercise(forward, ["x"], inputs={"x": (1, 3), "gamma": (3,), "beta": (3,)}), "one row"),
        (lambda: tg.exercise(forward, ["nix"], inputs=INPUTS), "'nix' is 0 of the values"),
        (lambda: tg.exercise(forward, ["x"]), "give the shape"),
        (lambda: tg.exercise(forward, ["x"], inputs=INPUTS, points={"y": 1}), "not asked for"),
        (lambda: tg.exercise(forward, ["x"], inputs=INPUTS).check(lambda dout, foo: dout), "'foo'"),
    ],
)
def test_bad_use_is_told(make, said):
    with pytest.raises(ValueError, match=said):
        make()
