"""Layers as objects: forward keeps what backward needs; and functions of several inputs that no course names."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.teach.grading import students as s
from tinygraph.cli import main

LAYER = """import numpy as np


class BatchNorm:
    def __init__(self, gamma):
        self.gamma = gamma

    def forward(self, x):
        self.mu = x.mean(axis=0)
        self.std = np.sqrt(((x - self.mu) ** 2).mean(axis=0) + 1e-5)
        self.xhat = (x - self.mu) / self.std
        return self.gamma * self.xhat

    def backward(self, dout):
        dxhat = dout * self.gamma
        self.dgamma = (dout * self.xhat).sum(axis=0)
        dx = (dxhat - dxhat.mean(axis=0) - self.xhat * (dxhat * self.xhat).mean(axis=0)) / self.std
        return dx


layer = BatchNorm(np.array([0.5, 2.0, -1.0]))
"""
NET = """import numpy as np


def net_forward(x, w1, b1, w2, b2):
    z = x @ w1 + b1
    h = np.maximum(z, 0)
    y = h @ w2 + b2
    return y, (x, w1, w2, z, h)


def net_backward(dout, cache, check=False):
    x, w1, w2, z, h = cache
    db2 = dout.sum(axis=0)
    dw2 = h.T @ dout
    dh = dout @ w2.T
    dz = dh * (z > 0)
    db1 = dz.sum(axis=0)
    dw1 = x.T @ dz
    dx = dz @ w1.T
    return dx, dw1, db1, dw2, db2
"""
SHAPES = {"x": (5, 4), "w1": (4, 6), "b1": (6,), "w2": (6, 3), "b2": (3,)}
WRONG = [
    ("dz = dh * (z > 0)", "dz = dh * (dh > 0)"),
    ("dz = dh * (z > 0)", "dz = dh"),
    ("dw1 = x.T @ dz", "dw1 = x.T @ dh"),
    ("dw2 = h.T @ dout", "dw2 = z.T @ dout"),
    ("dh = dout @ w2.T", "dh = dout @ w2"),
    ("db1 = dz.sum(axis=0)", "db1 = dh.sum(axis=0)"),
    ("dx = dz @ w1.T", "dx = dh @ w1.T"),
]


def test_a_right_layer_passes(tmp_path):
    layer = s.module_of(LAYER, tmp_path).layer
    report = tg.check_backward(layer.backward, inputs={"x": (5, 3)})
    assert report.passed, str(report)
    assert not hasattr(layer, "xhat")  # copies were run


def test_the_wrong_line_of_a_method_is_named(tmp_path):
    text, line = s.edit(LAYER, "(dxhat * self.xhat).mean(axis=0)) /", "(dxhat * self.xhat).sum(axis=0)) /")
    path = tmp_path / "student.py"
    path.write_text(text, encoding="utf-8")
    assert main(["check", f"{path}:layer.backward", "--inputs", "x=5,3", "-o", str(tmp_path / "out.txt")]) == 1
    said = (tmp_path / "out.txt").read_text(encoding="utf-8")
    assert f"Begin at student.py:{line}." in said


def test_a_method_of_a_class_needs_an_object(tmp_path, capsys):
    path = tmp_path / "student.py"
    path.write_text(LAYER, encoding="utf-8")
    assert main(["check", f"{path}:BatchNorm.backward", "--inputs", "x=5,3"]) == 2
    assert "make an object" in capsys.readouterr().err


def take(x, W):
    return W[x], (x, W)


def test_a_repeated_index_is_told():
    def right(dout, cache):
        x, W = cache
        dW = np.zeros_like(W)
        np.add.at(dW, x, dout)
        return dW

    def wrong(dout, cache):
        x, W = cache
        dW = np.zeros_like(W)
        dW[x] += dout
        return dW

    inputs = {"x": np.array([[0, 1, 1], [2, 1, 0]]), "W": (4, 3)}
    assert tg.check_backward(right, take, inputs).passed
    report = tg.check_backward(wrong, take, inputs)
    assert [e.code for e in report.mistakes] == ["dW[x] += dout"]
    assert "added only once" in report.mistakes[0].text
    assert report.mistakes[0].hints[2] == "np.add.at(dW, x, dout)"


def test_terms_of_values_without_a_name_are_not_told():
    def wrong(dout, x, w):
        return dout @ w.T, dout.T @ x

    report = tg.check_backward(wrong, lambda x, w: x @ w, {"x": (4, 3), "w": (3, 2)})
    assert not report.passed
    assert "#" not in str(report)


def test_a_right_net_passes(tmp_path):
    module = s.module_of(NET, tmp_path)
    assert tg.check_backward(module.net_backward, module.net_forward, SHAPES).passed


@pytest.mark.parametrize(("old", "new"), WRONG)
def test_the_wrong_line_of_a_net_is_named(old, new, tmp_path):
    text, line = s.edit(NET, old, new)
    module = s.module_of(text, tmp_path)
    report = tg.check_backward(module.net_backward, module.net_forward, SHAPES)
    print(report)
    assert [e.line for e in report.mistakes] == [line]
