"""The graphs of the gallery: what the pictures must hold for, each made by a few lines of a user's code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinygraph as tg
from tinygraph import Parameter, Tensor, scope
from tinygraph.graph import Graph
from tinygraph.ops.elementwise import relu
from tinygraph.ops.linear import matmul
from tinygraph.trace import snapshot

X = [[1.0, -1.0, 2.0], [1.0, 3.0, 10.0], [3.0, -1.0, 10.0], [3.0, 3.0, 2.0]]
W = [[4.0, 0.0, 0.0], [0.0, 0.0, -8.0], [0.0, 4.0, 0.0], [0.0, 0.0, 8.0]]


def draw_seeds(seed: int = 0) -> Callable[..., np.ndarray]:
    """Return a function that draws normal numbers of a shape, the same ones every time."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape).round(2)


def weighted(y: Tensor, seed: int = 9) -> Tensor:
    """Return L = Σ w y with random w: an upstream that no normalization sends to zero."""
    w = Tensor(np.random.default_rng(seed).standard_normal(y.shape).round(1), name="w", requires_grad=False)
    return (w * y).sum().named("L")


def affine(size: int, suffix: str = "") -> tuple[Parameter, Parameter]:
    """Return γ and β."""
    scale = np.linspace(0.5, 1.5, size).round(2)
    return Parameter(scale, name="γ" + suffix), Parameter(scale - 1, name="β" + suffix)


def batch_norm(eps: float = 0.0) -> Graph:
    """Batch norm composed from primitives, on the batch that can be solved by hand."""
    x = Tensor(X, name="x")
    gamma, beta = Parameter([1.0, 2.0, -1.0], name="γ"), Parameter([0.0, 1.0, -1.0], name="β")
    y = tg.batch_norm(x, gamma, beta, eps=eps)
    loss = (Tensor(W, name="w", requires_grad=False) * y).sum().named("L")
    loss.backward()
    return snapshot(loss)


def batch_norm_images() -> Graph:
    """Batch norm over the batch and all pixels, axis=(0, 2, 3)."""
    normal = draw_seeds()
    loss = weighted(tg.batch_norm(Tensor(normal(8, 3, 4, 4), name="x"), *affine(3), axis=(0, 2, 3)))
    loss.backward()
    return snapshot(loss)


def batch_norm_spatial() -> Graph:
    """The same by transpose and reshape, a pixel a row."""
    normal = draw_seeds()
    loss = weighted(tg.batch_norm_spatial(Tensor(normal(8, 3, 4, 4), name="x"), *affine(3)))
    loss.backward()
    return snapshot(loss)


def layer_norm() -> Graph:
    """Layer norm: statistics of each example, so all of it stays in the batch lane."""
    loss = weighted(tg.layer_norm(Tensor(X, name="x"), *affine(3)))
    loss.backward()
    return snapshot(loss)


def mlp() -> Graph:
    """A net of two layers with batch norm between, and cross entropy."""
    normal = draw_seeds()
    x = Tensor(normal(6, 4), name="x")
    with scope("hidden"):
        h = (matmul(x, Parameter(normal(4, 5), name="W₁")) + Parameter(normal(5), name="b₁")).named("h")
        r = relu(tg.batch_norm(h, *affine(5))).named("r")
    with scope("head"):
        o = (matmul(r, Parameter(normal(5, 3), name="W₂")) + Parameter(normal(3), name="b₂")).named("o")
    loss = tg.cross_entropy(o, np.array([0, 2, 1, 1, 0, 2])).named("L")
    loss.backward()
    return snapshot(loss)


def residual() -> Graph:
    """A residual block: what skips it stays on the line, what it computes hangs below."""
    normal = draw_seeds()
    x = Tensor(normal(6, 4), name="x")
    with scope("block"):
        a = relu(tg.layer_norm(x)).named("a")
        h = (matmul(a, Parameter(normal(4, 4), name="W₁")) + Parameter(normal(4), name="b₁")).named("h")
        f = matmul(relu(h), Parameter(normal(4, 4), name="W₂")).named("f")
        y = (x + f).named("y")
    loss = weighted(y)
    loss.backward()
    return snapshot(loss)


def attention() -> Graph:
    """softmax(Q Kᵀ / √d) V of one sequence."""
    normal = draw_seeds()
    x = Tensor(normal(4, 3), name="x")
    q, k, v = (
        matmul(x, Parameter(normal(3, 3), name="W" + sub)).named(name) for sub, name in zip("₁₂₃", "QKV", strict=True)
    )
    scores = (matmul(q, k.T) * (1 / np.sqrt(3.0))).named("S")
    p = tg.softmax(scores).named("P")
    loss = weighted(matmul(p, v).named("y"))
    loss.backward()
    return snapshot(loss)


def convolution() -> Graph:
    """A small convolution net: convolution, batch norm, relu, pooling, linear."""
    from tinygraph.ops.window import avg_pool2d, conv2d

    normal = draw_seeds()
    x = Tensor(normal(4, 1, 8, 8), name="x")
    with scope("features"):
        c = conv2d(x, Parameter(normal(3, 1, 3, 3), name="K")).named("c")
        r = relu(tg.batch_norm(c, *affine(3), axis=(0, 2, 3))).named("r")
        p = avg_pool2d(r, 2).named("p")
    with scope("head"):
        o = (matmul(p.reshape(4, 27), Parameter(normal(27, 3), name="W")) + Parameter(normal(3), name="b₁")).named("o")
    loss = tg.cross_entropy(o, np.array([0, 2, 1, 1])).named("L")
    loss.backward()
    return snapshot(loss)


def diamonds(count: int = 4) -> Graph:
    """A chain of diamonds: two ways from each value to the next."""
    x = h = Tensor([1.0, -0.5, 2.0], name="x")
    for n in range(count):
        h = (h * 0.5 + np.tanh(h)).named(f"h{n + 1}")
    loss = h.sum().named("L")
    loss.backward()
    del x
    return snapshot(loss)


def outputs() -> Graph:
    """Several outputs of one trunk."""
    normal = draw_seeds()
    x = Tensor(normal(4, 3), name="x")
    h = np.tanh(matmul(x, Parameter(normal(3, 3), name="W"))).named("h")
    mean = h.mean(axis=0).named("m")
    peak = np.exp(h).named("e")
    top = h.max(axis=1).named("t")
    return snapshot(mean, peak, top)


def gradient_graph() -> Graph:
    """The backward pass of a small batch norm, as a graph of its own."""
    x, gamma = Tensor(X, name="x"), Parameter([1.0, 2.0, -1.0], name="γ")
    loss = (Tensor(W, name="w", requires_grad=False) * tg.batch_norm(x, gamma)).sum().named("L")
    found = tg.grad(loss, [x, gamma], create_graph=True)
    return snapshot(*(g.named(name) for g, name in zip(found, ("dx", "dγ"), strict=True)))


def deep(blocks: int = 12, batch: int = 32, width: int = 8) -> Graph:
    """A net of many equal blocks: linear, batch norm, relu."""
    normal = draw_seeds(3)
    h = Tensor(normal(batch, width), name="x")
    for n in range(blocks):
        with scope(f"blocks[{n}]"):
            with scope("linear"):
                weight = Parameter(normal(width, width) * 0.6, name="W")
                h = matmul(h, weight) + Parameter(normal(width) * 0.1, name="b")
            h = relu(tg.batch_norm(h, *affine(width)))
    with scope("head"):
        o = (matmul(h, Parameter(normal(width, 3), name="V")) + Parameter(normal(3), name="c")).named("o")
    loss = tg.cross_entropy(o, np.arange(batch) % 3).named("L")
    loss.backward()
    return snapshot(loss)


def huge(count: int = 5000) -> Graph:
    """Thousands of nodes in nested scopes."""
    normal = draw_seeds(4)
    h = Tensor(normal(4, 3), name="x")
    for stage in range(10):
        for block in range(count // 160):
            with scope(f"stage{stage}", f"block{block}"):
                for _ in range(4):
                    h = np.tanh(h * 0.9 + Parameter(normal(3), name="b"))
    loss = weighted(h)
    loss.backward()
    return snapshot(loss)


GALLERY: dict[str, Callable[[], Graph]] = {
    f.__name__: f
    for f in (
        batch_norm, batch_norm_images, batch_norm_spatial, layer_norm, mlp, residual, attention, convolution,
        diamonds, outputs, gradient_graph, deep,
    )
}  # fmt: skip
