"""Gradient checks of students are graded by wrong backwards, which are made from the mutants of a program."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.teach.grading.students import module_of
from tinygraph.cli import main
from tinygraph.teach.grading.checkers import check_gradient_checker
from tinygraph.teach.grading.mutated import Key, wrong_backwards
from tinygraph.teach.grading.references import batchnorm

SHAPES = ((5, 3), (3,), (3,))
KEY = Key(batchnorm, ["x", "gamma", "beta"], [{"eps": 1e-5}])


def dense(x, w, b):
    z = x @ w
    return np.maximum(z + b, 0)


def draw(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) + 0.4 for shape in shapes], rng


def exact(forward, inputs, dout):
    tensors = [tg.Tensor(v, requires_grad=True) for v in inputs]
    return [np.asarray(g.data) for g in tg.grad(forward(*tensors), tensors, tg.Tensor(dout))]


@pytest.mark.parametrize("rows", [5, 4, 2])
def test_the_wrong_backwards_are_wrong_and_the_right_one_is_right_for_every_shape(rows):
    inputs, rng = draw(((rows, 3), (3,), (3,)))
    out, cache = KEY.forward(*inputs)
    dout = rng.normal(size=out.shape)
    right = exact(lambda *xs: batchnorm(*xs, {"eps": 1e-5}), inputs, dout)
    for a, b in zip(KEY.backward(dout, cache), right, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    for wrong in wrong_backwards(KEY, SHAPES, 7):
        found = KEY.backward(dout, cache, wrong)
        assert not all(a.shape == b.shape and np.allclose(a, b) for a, b in zip(found, right, strict=True)), wrong


def test_they_are_of_many_kinds_and_in_several_lines():
    wrongs = wrong_backwards(KEY, SHAPES, 7)
    assert len({w.kind for w in wrongs}) == 7
    assert {"keepdims", "upstream_ones", "factor_left_out", "frozen", "mean_for_sum"} <= {w.kind for w in wrongs}
    assert len({w.name for w in wrongs}) >= 4
    assert next(w for w in wrongs if w.kind == "factor_left_out").facts == {"factor": "gamma"}


def numeric_check(draw_inputs, upstream=None, shapes=True):
    """A student's gradient check by central differences."""

    def check(forward, backward):
        inputs, rng = draw_inputs()
        out, cache = forward(*inputs)
        dout = rng.normal(size=out.shape) if upstream is None else upstream(out)
        for k, found in enumerate(backward(dout, cache)):
            assert not shapes or found.shape == inputs[k].shape, "shape"
            step = rng.normal(size=inputs[k].shape)
            ends = []
            for sign in (1e-6, -1e-6):
                moved = [x + sign * step if j == k else x for j, x in enumerate(inputs)]
                ends.append((forward(*moved)[0] * dout).sum())
            assert abs((ends[0] - ends[1]) / 2e-6 - (found * step).sum()) < 1e-5
        return True

    return check


def test_a_good_check_gets_all_points():
    report = check_gradient_checker(numeric_check(lambda: draw(SHAPES)))
    assert report.passed, str(report)
    assert report.points == 8


def test_a_check_with_gamma_one_and_without_shapes_lets_mistakes_slip_through():
    def ones():
        (x, gamma, beta), rng = draw(SHAPES)
        return [x, np.ones_like(gamma), beta], rng

    report = check_gradient_checker(numeric_check(ones, shapes=False), lang="zh", hints=3)
    slipped = {name for name, is_right in report.outputs.items() if not is_right}
    assert slipped == {"dgamma keepdims", "dxhat factor_left_out"}
    assert "没有发现" in str(report)
    assert any("dxhat = " in e.hints[2] for e in report.mistakes)


def test_ones_for_the_upstream_gradient_are_told():
    report = check_gradient_checker(numeric_check(lambda: draw(SHAPES), np.ones_like))
    kinds = {name.split()[1] for name, is_right in report.outputs.items() if not is_right}
    assert "upstream_ones" in kinds
    assert "can't be told from ones" in str(report)


def test_another_forward_has_its_own_mistakes():
    shapes = {"x": (4, 3), "w": (3, 2), "b": (2,)}
    report = check_gradient_checker(numeric_check(lambda: draw(shapes.values())), dense, shapes, count=5)
    assert report.passed and report.most_points == 6
    assert not check_gradient_checker(lambda f, b: False, dense, shapes, count=2).outputs["right"]


def test_bad_use_is_told():
    with pytest.raises(ValueError, match="give the shape of each input"):
        check_gradient_checker(lambda f, b: True, dense)
    with pytest.raises(ValueError, match="there are only"):
        check_gradient_checker(lambda f, b: True, lambda x: x * 1.0, {"x": (2,)}, count=99)
    with pytest.raises(ValueError, match="count is 0"):
        check_gradient_checker(lambda f, b: True, count=0)


def test_the_command_takes_a_forward(tmp_path, capsys):
    text = "def scale(x, w):\n    return x * w\n\n\ndef check(forward, backward):\n    return True\n"
    path = module_of(text, tmp_path).__file__
    assert main(["check", f"{path}:check", "--checker", "--forward", "scale", "--inputs", "x=4,3", "w=3"]) == 1
    said = capsys.readouterr().out
    assert "dw: the copies of w are averaged" in said
