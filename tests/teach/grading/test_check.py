"""Functions that are called in other ways, and mistakes that are in no single line."""

from __future__ import annotations

import functools
import gc
import sys
import weakref

import numpy as np
import pytest

from tests.teach.grading import students as s
from tinygraph.teach.grading.check import check_backward
from tinygraph.teach.grading.report import Report


def square(x, w):
    return (x * w) ** 2


def test_a_mapping_and_names_of_its_own():
    def back(upstream, w, x):
        return {"w": (upstream * 2 * x * w * x).sum(0), "x": upstream * 2 * x * w * w}

    shapes = {"x": (4, 3), "w": (3,)}
    assert check_backward(back, square, shapes).passed
    report = check_backward(lambda dout, x, w: (2 * x * w * w * dout, 2 * x * x * w * dout), square, shapes)
    assert report.outputs == {"dx": True, "dw": False}
    assert "not added up" in report.mistakes[0].text


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("return dx, dgamma, dbeta", "return dx, dgamma", "2 values are returned"),
        ("return dx, dgamma, dbeta", "pass", "nothing is returned"),
        ("return dx, dgamma, dbeta", "return dx, None, dbeta", "NoneType"),
    ],
)
def test_gradients_that_are_missing(old, new, word, tmp_path):
    text, _ = s.edit(s.STEPS, old, new)
    report = check_backward(s.module_of(text, tmp_path).batchnorm_backward)
    assert word in str(report)


def test_an_argument_that_is_changed_in_place_is_told(tmp_path):
    text, line = s.edit(s.RELU, "dx = dout * (cache > 0)", "dout *= cache > 0; dx = dout")
    report = check_backward(s.module_of(text, tmp_path).relu_backward)
    assert report.passed
    assert [(e.line, e.verdict) for e in report.entries if "in place" in e.text] == [(line, "note")]


def test_a_wrong_forward_is_told_as_such(tmp_path):
    text, _ = s.edit(s.STEPS, "xhat = xmu * ivar", "xhat = xmu * sqrtvar")
    report = check_backward(s.module_of(text, tmp_path).batchnorm_backward)
    assert not report.passed
    assert "batchnorm_forward itself is wrong" in report.mistakes[0].text


def test_a_decorator_and_an_outer_variable_do_no_harm():
    scale = 2.0

    def twice(function):
        @functools.wraps(function)
        def inner(*arguments):
            return function(*arguments)

        return inner

    @twice
    def back(dout, x):
        def local(a):
            return scale * a

        return local(dout)

    assert check_backward(back, lambda x: scale * x, {"x": (4, 3)}).passed


def test_a_report_survives_json(tmp_path):
    text, _ = s.edit(s.RELU, "dx = dout * (cache > 0)", "dx = 3 * dout * (cache > 0)")
    report = check_backward(s.module_of(text, tmp_path).relu_backward, lang="zh")
    assert Report.from_dict(report.to_dict()) == report
    assert "正确值的 3 倍" in str(report)


def test_escapes_in_a_students_line_do_not_reach_the_terminal(tmp_path):
    text, _ = s.edit(s.RELU, "dx = dout * (cache > 0)", "dx = 3 * dout * (cache > 0)  # \x1b[31m")
    assert "\x1b" not in str(check_backward(s.module_of(text, tmp_path).relu_backward))


def test_what_is_not_known_is_told():
    with pytest.raises(ValueError, match="give forward and inputs"):
        check_backward(np.sort)


ENDLESS = [
    "while True:\n        pass",
    "while True:\n        try:\n            dx = dx + 1\n        except Exception:\n            pass",
]


@pytest.mark.parametrize("body", ENDLESS, ids=["plain", "that catches errors"])
def test_an_endless_loop_is_stopped_in_this_process(body, tmp_path):
    text, line = s.edit(s.RELU, "    return dx\n", f"    {body}\n    return dx\n")
    report = check_backward(s.module_of(text, tmp_path).relu_backward, seconds=0.2)
    assert not report.passed
    assert report.line in range(line, line + 4)
    assert "after 0.2 seconds" in report.mistakes[0].text


def test_an_endless_loop_in_the_forward_is_stopped(tmp_path):
    text, _ = s.edit(
        s.RELU, "    out = np.maximum(0, x)\n", "    while x is not None:\n        out = np.maximum(0, x)\n"
    )
    report = check_backward(s.module_of(text, tmp_path).relu_backward, seconds=0.2)
    assert "does the loop end" in report.mistakes[0].text


def test_code_that_crashes_is_not_tried_on_tensors():
    """An endless loop would record ops until the memory is full."""
    seen = set()

    def back(dout, x):
        seen.add(type(dout))
        raise KeyError("x")

    assert not check_backward(back, lambda x: np.maximum(x, 0), {"x": (2, 3)}).passed
    assert seen == {np.ndarray}


def test_the_error_that_stops_a_loop_is_not_lost_in_a_callback(monkeypatch):
    class Node:
        pass

    def back(dout, x):
        while True:
            kept = weakref.WeakValueDictionary()
            for i in range(50):
                node = Node()
                node.itself, kept[i] = node, node  # a cycle: the collector calls back when it goes

    lost, every = [], gc.get_threshold()
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    gc.set_threshold(10, 10, 10**6)  # the youngest are enough: to look at all that lives takes seconds
    try:
        for _ in range(3):
            assert not check_backward(back, lambda x: np.maximum(x, 0), {"x": (2, 3)}, seconds=0.2).passed
    finally:
        gc.set_threshold(*every)
    assert lost == []


def test_a_limit_has_to_be_one():
    with pytest.raises(ValueError, match="seconds is 0"):
        check_backward(lambda dout, x: dout, lambda x: x, {"x": (2, 3)}, seconds=0)
