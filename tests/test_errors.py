"""Errors say what, where and what to do, in these words. `HERE` stands for this file and the line of the call."""
# ruff: noqa: E501 - a text stands on one line

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from tests.decoy import Decoy
from tinygraph import (
    Parameter,
    Tensor,
    batch_norm,
    batch_norm_inference,
    batch_norm_spatial,
    batch_norm_stepwise,
    cross_entropy,
    diff,
    grad,
    group_norm,
    instance_norm,
    layer_norm,
    op,
    paths,
    run,
    scope,
    snapshot,
    var,
)
from tinygraph.drawing.formats.svg import svg
from tinygraph.engine.registry import OPS
from tinygraph.graph.paths import route
from tinygraph.ops import elementwise, shape

A = np.arange(12.0).reshape(4, 3)
x, c, γ = Tensor(A, name="x"), Tensor(A, name="c", requires_grad=False), Parameter(np.ones(4), name="γ")
images, labels = np.ones((2, 3, 2, 2)), np.array([0, 1, 2, 0])
ONE = "has variance 0, and the output would be β whatever x is"


def in_scopes():
    with scope("net"), scope("bn1"):
        return γ * (x - 1).named("x̂")  # HERE


def freed(name=None):
    y = (x * x).sum()
    (y.named(name) if name else y).backward(retain_graph=False)
    return y


CALLS = [
    # What NumPy refuses, with scopes, names and the line of the call.
    (in_scopes, ValueError, "operands could not be broadcast together with shapes (4,) (4,3) | in net/bn1/mul(γ float64[4], x̂ = sub float64[4,3])HERE"),
    (lambda: x @ A, ValueError, "shapes (4,3) and (4,3) not aligned: 3 (dim 1) != 4 (dim 0) | in matmul(x float64[4,3], float64[4,3])HERE"),
    (lambda: A[:2] + x, ValueError, "operands could not be broadcast together with shapes (2,3) (4,3) | in add(float64[2,3], x float64[4,3])HERE"),
    (lambda: np.add(x, A[:2]), ValueError, "operands could not be broadcast together with shapes (4,3) (2,3) | in add(x float64[4,3], float64[2,3])HERE"),
    (lambda: elementwise.add(A, A[:2]), ValueError, "operands could not be broadcast together with shapes (4,3) (2,3) | in add(float64[4,3], float64[2,3])HERE"),
    (lambda: x[7], IndexError, "index 7 is out of bounds for axis 0 with size 4 | in index(x float64[4,3])HERE"),
    (lambda: x.sum(axis=2), IndexError, "axis 2 is out of bounds for array of dimension 2 | in sum(x float64[4,3])HERE"),
    (lambda: x.swapaxes(0, 2), IndexError, "axis 2 is out of bounds for array of dimension 2"),
    (lambda: (x * 2).reshape(5, 2), ValueError, "cannot reshape array of size 12 into shape (5,2) | in reshape(mul float64[4,3])HERE"),
    (lambda: np.split(x, 3), ValueError, "split: axis 0 of length 4 has no 3 equal sections"),
    (lambda: np.pad(x, 1, mode="empty"), ValueError, "pad: mode='empty' is not known: it is 'constant', 'edge', 'wrap', 'linear_ramp', 'reflect', 'symmetric', 'mean', 'median', 'maximum', 'minimum'"),
    (lambda: shape.sum_to(x, (2,)), ValueError, "sum_to: (4, 3) is no broadcast of (2,) | in sum_to(x float64[4,3])HERE"),
    (lambda: np.split(x, 2, axis=2), ValueError, "axis 2 is out of bounds for array of dimension 2"),
    (lambda: np.einsum(x, x), TypeError, "einsum: the subscripts come first, as text such as 'ij,jk->ik', not x float64[4,3]; or each operand is followed by a list of numbers"),
    # How an op is called: as any function of Python.
    (lambda: x.sum(axis=0, dim=0), TypeError, "sum: give axis= or dim=, which mean the same, and not both"),
    (lambda: np.sum(x, out=A), TypeError, "numpy.sum of a Tensor takes no out=: a Tensor is never changedHERE"),
    (lambda: elementwise.clip(x, 0, 1, 2), TypeError, "clip() takes from 1 to 3 positional arguments but 4 were given"),
    (lambda: elementwise.where(A > 0, x), TypeError, "where() missing 1 required positional argument: 'y'"),
    # What NumPy has and we have not.
    (lambda: np.linalg.eig(x), TypeError, "numpy.linalg.eig does not know Tensors: its result is complex, and complex numbers are refused. For the value alone, call it on .dataHERE"),
    (lambda: np.spacing(x), TypeError, "numpy.spacing does not know Tensors: to differentiate it, write it as an op: help(tinygraph.op). For the value alone, call it on .dataHERE"),
    (lambda: np.digitize(x, [1, 2]), TypeError, "numpy.digitize does not know Tensors: it moves in steps and has no derivative to use. For the value alone, call it on .dataHERE"),
    (lambda: np.add.reduce(x), TypeError, "numpy.add.reduce does not know Tensors: write sum(x). For the value alone, call it on .dataHERE"),
    (lambda: np.add(x, 1, out=A), TypeError, "numpy.add of a Tensor takes no out=: a Tensor is never changedHERE"),
    (lambda: A.__iadd__(x), TypeError, "numpy.add of a Tensor takes no out=: a Tensor is never changedHERE"),
    (lambda: np.add(x, 1, where=A > 0, dtype=float), TypeError, "numpy.add of a Tensor takes no where=: write where(condition, result, other); no dtype=: write .astype(dtype) on the operand or the resultHERE"),
    (lambda: np.asarray(x), TypeError, "x float64[4,3] would lose its gradient in NumPy: write .numpy(), or tg.stack(list)"),
    (lambda: A.__setitem__(0, x[0]), TypeError, "index float64[3] would lose its gradient in NumPy: write .numpy(), or tg.stack(list)"),
    # Tensors.
    (lambda: Tensor([1, 2]), TypeError, "Tensor: cannot differentiate with respect to int64[2]: convert it with .astype(numpy.float32), or pass requires_grad=False for a constant"),
    (lambda: setattr(Tensor(A), "data", [1, 2]), TypeError, "Tensor: cannot differentiate with respect to int64[2]: convert it with .astype(numpy.float32), or pass requires_grad=False for a constant"),
    (lambda: setattr(Tensor(A > 0, requires_grad=False), "requires_grad", True), TypeError, "Tensor: cannot differentiate with respect to bool[4,3]: convert it with .astype(numpy.float32), or pass requires_grad=False for a constant"),
    (lambda: setattr(Tensor(A, name="x"), "grad", A[0]), ValueError, "the gradient of x float64[4,3] must have its shape, and has [3]"),
    (lambda: setattr(x * 2, "data", A), RuntimeError, "cannot replace the data of mul float64[4,3]: it was computed, so it is no leaf; use .detach()"),
    (lambda: setattr(x * 2, "grad", A), RuntimeError, "cannot set the gradient of mul float64[4,3]: it was computed, so it is no leaf; use .detach()"),
    (lambda: setattr(x * 2, "requires_grad", False), RuntimeError, "cannot set requires_grad of mul float64[4,3]: it was computed, so it is no leaf; use .detach()"),
    (lambda: copy.deepcopy((x * 2).named("y")), RuntimeError, "cannot copy or pickle y = mul float64[4,3]: it was computed, so it is no leaf; use .detach()"),
    (lambda: pickle.dumps(x * 2), RuntimeError, "cannot copy or pickle mul float64[4,3]: it was computed, so it is no leaf; use .detach()"),
    # Gradients.
    (lambda: (x * x).backward(), RuntimeError, "gradient starts from a scalar, and this is mul float64[4,3]: reduce it, or give gradient="),
    (lambda: grad(x * x, x), RuntimeError, "grad_outputs starts from a scalar, and this is mul float64[4,3]: reduce it, or give grad_outputs="),
    (lambda: (x * x).named("y").backward(A[0]), ValueError, "gradient of y = mul float64[4,3] must have its shape, and has [3]"),
    (lambda: grad(x * x, x, 2.0), ValueError, "grad_outputs of mul float64[4,3] must have its shape, and has []"),
    (lambda: grad([x * x, x.sum()], x, [A]), ValueError, "grad_outputs must have one gradient an output: there are 1 for 2"),
    (lambda: grad(x * x, x, [A, A]), ValueError, "grad_outputs must have one gradient an output: there are 2 for 1"),
    (lambda: grad(x.sum(), 3), TypeError, "grad: outputs and inputs must be Tensors, not 3"),
    (lambda: grad(x.sum(), A), TypeError, "grad: outputs and inputs must be Tensors, not float64[3]"),
    (lambda: grad(x.sum(), γ), RuntimeError, "γ float64[4] is not used by the outputs: pass allow_unused=True to get None for it"),
    (lambda: grad((x * c).sum(), c), RuntimeError, "c float64[4,3] is not used by the outputs: pass allow_unused=True to get None for it"),
    (lambda: (c * 2).sum().backward(), RuntimeError, "sum float64[] does not require a gradient"),
    (lambda: x.argmax().backward(), RuntimeError, "argmax int64[] does not require a gradient: argmax is not differentiable"),
    (lambda: elementwise.sign(x).backward(A), RuntimeError, "sign float64[4,3] does not require a gradient: sign is not differentiable"),
    (lambda: freed().backward(), RuntimeError, "the graph behind <op sum> was freed by backward(retain_graph=False)"),
    (lambda: grad(freed("loss"), x), RuntimeError, "the graph behind loss was freed by backward(retain_graph=False)"),
    # Devices.
    (lambda: Tensor(Decoy(A), name="d") * A, TypeError, "arrays of numpy and tests do not mix: move one with tinygraph.asarray | in mul(d tests float64[4,3], float64[4,3])HERE"),
    (lambda: Tensor(A, name="a") @ Decoy(A.T), TypeError, "arrays of numpy and tests do not mix: move one with tinygraph.asarray | in matmul(a float64[4,3], tests float64[3,4])HERE"),
    (lambda: batch_norm(Tensor(Decoy(A)), np.ones(3)), TypeError, "arrays of numpy and tests do not mix: move one with tinygraph.asarray | in batch_norm/mul(float64[3], x̂ = div tests float64[4,3])HERE"),
    # Normalization.
    (lambda: batch_norm(x, γ), ValueError, "batch_norm: gamma has shape (4,); x of shape (4, 3) needs (3,)"),
    (lambda: batch_norm(x, None, np.ones((1, 3))), ValueError, "batch_norm: beta has shape (1, 3); x of shape (4, 3) needs (3,)"),
    (lambda: batch_norm(images, np.ones(2), axis=(0, 2, 3)), ValueError, "batch_norm: gamma has shape (2,); x of shape (2, 3, 2, 2) needs (3,)"),
    (lambda: batch_norm(x[:1]), ValueError, f"batch_norm: one value per channel (shape (1, 3), averaged over axes (0,)) {ONE}: take a larger batch, or batch_norm_inference with statistics from training"),
    (lambda: layer_norm(A[:, :1]), ValueError, f"layer_norm: one value per channel (shape (4, 1), averaged over axes (1,)) {ONE}"),
    (lambda: batch_norm(np.ones((4, 3)), eps=0), ValueError, "batch_norm: eps is 0 and the variance of a channel is 0: the quotient is undefined; take eps > 0"),
    (lambda: batch_norm(x, eps=-1e-5), ValueError, "batch_norm: eps is -1e-05; it is added to a variance and must not be negative"),
    (lambda: layer_norm(x, eps=float("nan")), ValueError, "layer_norm: eps is nan; it is added to a variance and must not be negative"),
    (lambda: batch_norm(A.astype(int)), TypeError, "batch_norm: x must be of floating point, not int64: convert it with .astype(numpy.float32)"),
    (lambda: batch_norm(A.tolist()), TypeError, "batch_norm: x must be an array or a Tensor, not list: convert it with numpy.array"),
    (lambda: layer_norm(3.0), TypeError, "layer_norm: x must be an array or a Tensor, not float: convert it with numpy.array"),
    (lambda: group_norm(A.tolist(), groups=1), TypeError, "group_norm: x must be an array or a Tensor, not list: convert it with numpy.array"),
    (lambda: batch_norm(A[:0]), ValueError, "batch_norm: x is empty: its shape is (0, 3)"),
    (lambda: batch_norm(x, axis=2), ValueError, "batch_norm: axis=2 does not name different axes of an array with 2 axes"),
    (lambda: layer_norm(x, axis=(1, -1)), ValueError, "layer_norm: axis=(1, -1) does not name different axes of an array with 2 axes"),
    (lambda: batch_norm_spatial(x), ValueError, "batch_norm_spatial: x must have shape (N, C, H, W), not (4, 3)"),
    (lambda: batch_norm_inference(x, A[0], -A[1]), ValueError, "batch_norm_inference: var + eps must be positive in every channel"),
    (lambda: batch_norm_inference(x, γ, A[0]), ValueError, "batch_norm_inference: mean has shape (4,); x of shape (4, 3) needs (3,)"),
    (lambda: group_norm(x, groups=2), ValueError, "group_norm: 2 groups do not divide the channels of x, whose shape is (4, 3)"),
    (lambda: instance_norm(x), ValueError, "instance_norm: x must have shape (N, C, H, W) or (N, C, L), not (4, 3)"),
    (lambda: var(x, axis=0, correction=4), ValueError, "var: 4 values less a correction of 4 leave nothing to divide by"),
    (lambda: batch_norm_stepwise(A, A[0], A[0], A[:2]), ValueError, "batch_norm_stepwise: dy has shape (2, 3); x of shape (4, 3) needs (4, 3)"),
    (lambda: batch_norm_stepwise(A[:1], A[0], A[0], A[:1]), ValueError, f"batch_norm_stepwise: one value per channel (shape (1, 3), averaged over axes (0,)) {ONE}"),
    # Cross entropy.
    (lambda: cross_entropy(np.array(1.0), np.array(0)), ValueError, "cross_entropy: x is one number; it must have an axis of classes"),
    (lambda: cross_entropy(x, labels[:3]), ValueError, "cross_entropy: indices have shape (3,); x of shape (4, 3) needs (4,)"),
    (lambda: cross_entropy(x, labels + 1), ValueError, "cross_entropy: indices go from 1 to 3; x has classes 0 … 2"),
    (lambda: cross_entropy(x, labels - 1), ValueError, "cross_entropy: indices go from -1 to 1; x has classes 0 … 2"),
    (lambda: cross_entropy(x, A[:, :2]), ValueError, "cross_entropy: probabilities have shape (4, 2); x has (4, 3)"),
    (lambda: cross_entropy(x, [0, 1, 2, 0]), TypeError, "cross_entropy: target must be an array of indices or probabilities, not list"),
    (lambda: cross_entropy(x, labels, reduction="avg"), ValueError, "cross_entropy: reduction 'avg' is none of 'mean', 'sum', 'none'"),
    (lambda: cross_entropy(x, labels, label_smoothing=1.5), ValueError, "cross_entropy: label_smoothing is 1.5, outside of 0 … 1"),
    (lambda: cross_entropy(A[:0], labels[:0]), ValueError, "cross_entropy: the mean over no targets is undefined: x has shape (0, 3)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), CALLS, ids=[text[:40] for _, _, text in CALLS])
def test_an_error_in_these_words(call, kind, text):
    line = call.__code__.co_firstlineno + (2 if call is in_scopes else 0)
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text.replace("HERE", f" at test_errors.py:{line}")


def test_the_first_error_of_a_chain_is_kept():
    with pytest.raises(ValueError, match="broadcast") as caught:
        x + A[:2]
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_op_that_is_not_well_made_says_so_when_it_is_made():
    with pytest.raises(TypeError, match=r"^op twice: derivatives for \['z'\], which are no operands$"):

        @op("2$x", z=("2", lambda g: 2 * g))
        def twice(x):
            return 2 * x

    with pytest.raises(
        TypeError,
        match=r"^op twice: a derivative line asks for 'weight'; known: out, x, and _shape and _dtype of an operand$",
    ):

        @op("2$x", x=("2", lambda g, weight: 2 * g))
        def twice(x):
            return 2 * x

    assert "twice" not in OPS


STEER = "a\x1b[31m\x9b2J\u202e\u2066\u2028\nb\x00\ud800"  # colours, erases, turns around and breaks a line


def harmless(said: str) -> bool:
    """Whether a text that is printed has no control character but its own line breaks."""
    return all(c.isprintable() or c in "\n\xa0\u2009" for c in said) and "a" in said


def test_no_name_steers_the_terminal():
    w = Tensor(A, name=STEER)
    calls = [
        lambda: w * np.ones(5),
        lambda: w @ w,
        lambda: w.sum(0).named(STEER).backward(),
        lambda: grad(w.sum(), x * w.detach()),
        lambda: w * Tensor([1j]),
        lambda: w.sum().named(STEER).__array__(),
        lambda: freed(STEER).backward(),
        lambda: setattr(w, "grad", np.ones(5)),
        lambda: snapshot(w * 2).find("c"),
        lambda: run(snapshot(w * 2), z=1),
        lambda: run(snapshot(w * 2, values=0)),
        lambda: route(snapshot((w * 2).named("y")), "y", STEER),
        lambda: paths(w, x.sum()),
        lambda: svg(snapshot(in_scope(w)), expand=["c"]),
    ]
    for call in calls:
        with pytest.raises(Exception, match="a") as caught:
            call()
        assert harmless(str(caught.value.args[0])), str(caught.value.args[0])


def in_scope(w):
    with scope(STEER):
        return w * 2


def test_nothing_that_is_printed_steers_the_terminal():
    w = Tensor(np.ones(2), name=STEER)
    y = in_scope(w).named(STEER)
    y.backward(np.ones(2))
    graph = dataclasses.replace(snapshot(y), notes=(STEER,))
    found = diff(graph, snapshot(w + 1), names=(STEER, STEER))
    for said in (
        repr(w),
        repr(graph),
        graph.text(),
        graph.text(ascii=True),
        repr(found),
        found.text(),
        str(paths(w, y, np.ones(2))),
    ):
        assert harmless(said), said
