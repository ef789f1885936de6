"""The lessons that come with tinygraph: each a function that makes a graph small enough to be solved by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygraph.engine.tensor import Parameter, Tensor
from tinygraph.functions.normalization import batch_norm as normalize_batch
from tinygraph.functions.normalization import layer_norm as normalize_layer
from tinygraph.ops.convolution import conv2d
from tinygraph.ops.elementwise import exp, log, relu, sqrt
from tinygraph.ops.reduce import sum as total

__all__ = ["LESSONS"]

X = [[1.0, -1.0, 2.0], [1.0, 3.0, 10.0], [3.0, -1.0, 10.0], [3.0, 3.0, 2.0]]
W = [[4.0, 0.0, 0.0], [0.0, 0.0, -8.0], [0.0, 4.0, 0.0], [0.0, 0.0, 8.0]]


def weighted(y: Tensor, w: object) -> Tensor:
    """Return L = Σ w y: an upstream gradient that no normalization sends to zero."""
    loss: Tensor = total(Tensor(w, name="w", requires_grad=False) * y)
    return loss.named("L")


def batch_norm() -> Tensor:
    """Return batch norm of a batch whose every value and gradient is a whole number, ½, ¼ or ⅛."""
    gamma, beta = Parameter([1.0, 2.0, -1.0], name="γ"), Parameter([0.0, 1.0, -1.0], name="β")
    return weighted(normalize_batch(Tensor(X, name="x"), gamma, beta, eps=0.0), W)


def layer_norm() -> Tensor:
    """Return layer norm of the same rows."""
    gamma, beta = Parameter([1.0, 2.0, -1.0], name="γ"), Parameter([0.0, 1.0, -1.0], name="β")
    return weighted(normalize_layer(Tensor(X, name="x"), gamma, beta), W)


def by_hand(scores: Tensor) -> Tensor:
    """Return softmax in three steps that a reader can check: e = exp(scores), Z = Σ e, e / Z."""
    e = exp(scores).named("e")
    p: Tensor = e / total(e, axis=-1, keepdims=True).named("Z")
    return p


def cross_entropy() -> Tensor:
    """Return softmax and the cross-entropy of two rows of scores whose classes are known."""
    o = Tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]], name="o")
    t = Tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], name="t", requires_grad=False)
    p = by_hand(o).named("p")
    loss: Tensor = -total(t * log(p).named("q")).named("S") / 2
    return loss.named("L")


def dense() -> Tensor:
    """Return a dense layer with ReLU."""
    x = Tensor([[1.0, 2.0], [-1.0, 1.0], [2.0, -1.0]], name="x")
    weight = Parameter([[1.0, -1.0, 2.0], [1.0, 1.0, -1.0]], name="W")
    z = (x @ weight + Parameter([0.5, -1.5, 0.5], name="b")).named("z")
    return weighted(relu(z).named("h"), [[1.0, -2.0, 1.0], [2.0, 1.0, -1.0], [1.0, 1.0, 3.0]])


def attention() -> Tensor:
    """Return attention of three tokens: softmax(Q Kᵀ / √d) V."""
    q = Tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], name="Q")
    k = Tensor([[1.0, 1.0], [0.0, 2.0], [-1.0, 1.0]], name="K")
    v = Tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]], name="V")
    d = Tensor(2.0, name="d", requires_grad=False)
    scores = ((q @ k.T.named("M")).named("A") / sqrt(d).named("τ")).named("S")
    y = (by_hand(scores).named("P") @ v).named("y")
    return weighted(y, [[1.0, -1.0], [2.0, 0.5], [-1.0, 1.0]])


def convolution() -> Tensor:
    """Return a convolution of one small image, with a bias and ReLU."""
    image = np.array([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 3.0, -1.0], [2.0, -1.0, 1.0, 0.0], [1.0, 0.0, 2.0, 1.0]])
    x = Tensor(image[None, None], name="x")
    kernel = Parameter(np.array([[1.0, -1.0], [2.0, 0.5]])[None, None], name="K")
    z = (conv2d(x, kernel).named("c") + Parameter([[[-1.0]]], name="b")).named("z")
    return weighted(relu(z).named("h"), np.array([[1.0, -1.0, 2.0], [0.5, 1.0, -1.0], [1.0, 2.0, 1.0]])[None, None])


def micrograd() -> Tensor:
    """Return the example of micrograd's README, number by number."""
    a, b = Tensor(-4.0, name="a"), Tensor(2.0, name="b")
    c = (a + b).named("c")
    d = (a * b + b**3).named("d")
    c = (c + c + 1).named("c₁")
    c = (c + 1 + c + (-a)).named("c₂")
    d = (d + d * 2 + relu((b + a).named("u")).named("r")).named("d₁")
    d = (d + 3 * d + relu((b - a).named("v")).named("s")).named("d₂")
    e = (c - d).named("e")
    f = (e**2).named("f")
    g = (f / 2.0).named("g")
    loss: Tensor = g + (10.0 / f).named("h")
    return loss.named("L")


LESSONS: dict[str, Callable[[], Tensor]] = {
    f.__name__: f for f in (batch_norm, layer_norm, cross_entropy, dense, attention, convolution, micrograd)
}
