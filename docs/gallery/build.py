"""Rebuild the gallery: ``python docs/gallery/build.py`` makes every graph, draws it here, and writes README.md.

A function makes one graph, in the lines that README.md shows; its first line is the caption.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygraph as tg
from tinygraph import Graph, Parameter, Tensor, avg_pool2d, conv2d, scope, snapshot

HERE = Path(__file__).parent

# ------------------------------------------------------------------------------------------------ what several share

X = [[1.0, -1.0, 2.0], [1.0, 3.0, 10.0], [3.0, -1.0, 10.0], [3.0, 3.0, 2.0]]
W = [[4.0, 0.0, 0.0], [0.0, 0.0, -8.0], [0.0, 4.0, 0.0], [0.0, 0.0, 8.0]]


def normals(seed: int = 0) -> Callable[..., np.ndarray]:
    """Return a function that draws normal numbers of a shape, the same ones every time."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape).round(2)


def weighted(y: Tensor, seed: int = 9) -> Tensor:
    """Return L = Σ w y with random w: an upstream that no normalization sends to zero."""
    w = Tensor(np.random.default_rng(seed).standard_normal(y.shape).round(1), name="w", requires_grad=False)
    return (w * y).sum().named("L")


def affine(size: int) -> tuple[Parameter, Parameter]:
    """Return γ and β."""
    scale = np.linspace(0.5, 1.5, size).round(2)
    return Parameter(scale, name="γ"), Parameter(scale - 1, name="β")


def backward(loss: Tensor) -> Graph:
    """Run backward, and return the graph with values and gradients."""
    loss.backward()
    return snapshot(loss)


# -------------------------------------------------------------------------------------------------------- the graphs


def batch_norm(eps: float = 0.0) -> Graph:
    """Batch norm composed from primitives, on a batch whose every value and gradient can be solved by hand."""
    x, w = Tensor(X, name="x"), Tensor(W, name="w", requires_grad=False)
    gamma, beta = Parameter([1.0, 2.0, -1.0], name="γ"), Parameter([0.0, 1.0, -1.0], name="β")
    return backward((w * tg.batch_norm(x, gamma, beta, eps=eps)).sum().named("L"))


def batch_norm_fused() -> Graph:
    """The same in one fused op."""
    x, w = Tensor(X, name="x"), Tensor(W, name="w", requires_grad=False)
    gamma, beta = Parameter([1.0, 2.0, -1.0], name="γ"), Parameter([0.0, 1.0, -1.0], name="β")
    return backward((w * tg.fused.batch_norm(x, gamma, beta, eps=0.0).named("y")).sum().named("L"))


def batch_norm_diff() -> Any:
    """Composed beside fused: what both share is pale, what differs is outlined."""
    return tg.diff(batch_norm(), batch_norm_fused(), names=("composed", "fused"))


def batch_norm_paths() -> Any:
    """The gradient of x split by path: three terms of the closed form, and one that is zero."""
    x, gamma, beta = Tensor(X, name="x"), Parameter([1.0, 2.0, -1.0]), Parameter([0.0, 1.0, -1.0])
    return tg.paths(x, tg.batch_norm(x, gamma, beta, eps=0.0), np.array(W))


def batch_norm_spatial() -> Graph:
    """Spatial batch norm by transpose and reshape: each pixel becomes a row of a matrix."""
    normal = normals()
    return backward(weighted(tg.batch_norm_spatial(Tensor(normal(8, 3, 4, 4), name="x"), *affine(3))))


def batch_norm_images() -> Graph:
    """Spatial batch norm over several axes at once."""
    normal = normals()
    return backward(weighted(tg.batch_norm(Tensor(normal(8, 3, 4, 4), name="x"), *affine(3), axis=(0, 2, 3))))


def layer_norm() -> Graph:
    """Layer norm: statistics of each example, so all but the parameters stays in the lane of the batch."""
    return backward(weighted(tg.layer_norm(Tensor(X, name="x"), *affine(3))))


def mlp() -> Graph:
    """A net of two layers with batch norm between them. The bias before it has no effect: its gradient is zero."""
    normal = normals()
    x = Tensor(normal(6, 4), name="x")
    with scope("hidden"):
        h = (x @ Parameter(normal(4, 5), name="W₁") + Parameter(normal(5), name="b₁")).named("h")
        r = tg.relu(tg.batch_norm(h, *affine(5))).named("r")
    with scope("head"):
        o = (r @ Parameter(normal(5, 3), name="W₂") + Parameter(normal(3), name="b₂")).named("o")
    return backward(tg.cross_entropy(o, np.array([0, 2, 1, 1, 0, 2])).named("L"))


def residual() -> Graph:
    """A residual block: what skips it stays on the line, what it computes hangs below."""
    normal = normals()
    x = Tensor(normal(6, 4), name="x")
    with scope("block"):
        a = tg.relu(tg.layer_norm(x)).named("a")
        h = (a @ Parameter(normal(4, 4), name="W₁") + Parameter(normal(4), name="b₁")).named("h")
        f = (tg.relu(h) @ Parameter(normal(4, 4), name="W₂")).named("f")
        y = (x + f).named("y")
    return backward(weighted(y))


def attention() -> Graph:
    """Attention of one sequence: softmax(Q Kᵀ / √d) V."""
    normal = normals()
    x = Tensor(normal(4, 3), name="x")
    q, k, v = ((x @ Parameter(normal(3, 3), name=f"W_{c}")).named(c) for c in "QKV")
    p = tg.softmax((q @ k.T * (1 / np.sqrt(3.0))).named("S")).named("P")
    return backward(weighted((p @ v).named("y")))


def two_heads() -> Graph:
    """Two heads of attention, as the paper draws them: scores, scale, mask, softmax, values; then both are mixed."""
    normal = normals()
    x = Tensor(normal(4, 6), name="x")
    projected = [x @ Parameter(normal(6, 6), name=f"W_{c}") for c in "QKV"]
    q, k, v = (rows.reshape(4, 2, 3).transpose(1, 0, 2).named(c) for rows, c in zip(projected, "QKV", strict=True))
    scores = (q @ tg.swapaxes(k, 1, 2) * (1 / np.sqrt(3.0))).named("S")
    mask = Tensor(np.tril(np.ones((4, 4), bool)), name="mask", requires_grad=False)
    p = tg.softmax(tg.where(mask, scores, -np.inf).named("S′")).named("P")
    heads = (p @ v).named("heads")
    return snapshot((heads.transpose(1, 0, 2).reshape(4, 6) @ Parameter(normal(6, 6), name="W_O")).named("y"))


def lstm_cell() -> Graph:
    """An LSTM cell, as its papers draw it: f keeps of c′, i lets in of g, and o lets out of what is kept."""
    normal = normals()
    c, x, h = Tensor(normal(4, 2), name="c′"), Tensor(normal(4, 3), name="x"), Tensor(normal(4, 2), name="h′")

    def gate(name: str, bend: Callable[[Tensor], Tensor]) -> Tensor:
        with scope(f"gate {name}"):
            w, u, b = (Parameter(normal(n, 2), name=f"{c}_{name}") for c, n in (("W", 3), ("U", 2), ("b", 1)))
            return bend(x @ w + h @ u + b).named(name)

    f, i, g, o = gate("f", tg.sigmoid), gate("i", tg.sigmoid), gate("g", tg.tanh), gate("o", tg.sigmoid)
    c = (f * c + i * g).named("c")
    return snapshot((o * tg.tanh(c)).named("h"))


def convolution() -> Graph:
    """A small convolution net: convolution, batch norm, relu, pooling, a linear layer."""
    normal = normals()
    x = Tensor(normal(4, 1, 8, 8), name="x")
    with scope("features"):
        c = conv2d(x, Parameter(normal(3, 1, 3, 3), name="K")).named("c")
        p = avg_pool2d(tg.relu(tg.batch_norm(c, *affine(3), axis=(0, 2, 3))).named("r"), 2).named("p")
    with scope("head"):
        o = (p.reshape(4, 27) @ Parameter(normal(27, 3), name="W") + Parameter(normal(3), name="b")).named("o")
    return backward(tg.cross_entropy(o, np.array([0, 2, 1, 1])).named("L"))


def diamonds(count: int = 4) -> Graph:
    """A chain of diamonds: two ways from each value to the next, 2⁴ from x to L, and one gradient for each value."""
    h = Tensor([1.0, -0.5, 2.0], name="x")
    for n in range(count):
        h = (h * 0.5 + np.tanh(h)).named(f"h{n + 1}")
    return backward(h.sum().named("L"))


def outputs() -> Graph:
    """Several outputs of one trunk, before any backward pass: no gradient is computed yet."""
    normal = normals()
    h = np.tanh(Tensor(normal(4, 3), name="x") @ Parameter(normal(3, 3), name="W")).named("h")
    return snapshot(h.mean(axis=0).named("m"), np.exp(h).named("e"), h.max(axis=1).named("t"))


def gradient_graph() -> Graph:
    """The backward pass of a small batch norm, as a graph of its own."""
    x, gamma, w = Tensor(X, name="x"), Parameter([1.0, 2.0, -1.0], name="γ"), Tensor(W, name="w", requires_grad=False)
    dx, dgamma = tg.grad((w * tg.batch_norm(x, gamma)).sum(), [x, gamma], create_graph=True)
    return snapshot(dx.named("dx"), dgamma.named("dγ"))


def deep(blocks: int = 12) -> Graph:
    """Twelve equal blocks: the first is open, the others fold into one card, with their values from block to block."""
    normal = normals(3)
    h = Tensor(normal(32, 8), name="x")
    for n in range(blocks):
        with scope(f"blocks[{n}]"):
            with scope("linear"):
                h = h @ Parameter(normal(8, 8) * 0.6, name="W") + Parameter(normal(8) * 0.1, name="b")
            h = tg.relu(tg.batch_norm(h, *affine(8)))
    with scope("head"):
        o = (h @ Parameter(normal(8, 3), name="V") + Parameter(normal(3), name="c")).named("o")
    return backward(tg.cross_entropy(o, np.arange(32) % 3).named("L"))


def sick() -> Graph:
    """What is wrong with a net: a NaN that spreads, a layer of relu that is dead, a gradient that explodes."""
    x = Tensor([[0.5, -1.0], [2.0, 3.0]], name="x")
    with np.errstate(all="ignore"):
        a = np.log(x).named("a")
        r = tg.relu(x - 5.0).named("r")
        e = np.exp(x * 4.0).named("e")
        return backward((a + r + e).sum().named("L"))


# ------------------------------------------------------------------------------------------------------ the pictures

GRAPHS = (
    batch_norm, batch_norm_fused, batch_norm_images, batch_norm_spatial, layer_norm, mlp, residual, attention,
    convolution, diamonds, outputs, gradient_graph, deep,
)  # fmt: skip
PICTURES: tuple[tuple[str, Callable[[], Any], dict[str, Any], str], ...] = (
    *((f.__name__, f, {}, "") for f in (batch_norm, batch_norm_fused, batch_norm_diff, batch_norm_paths)),
    ("batch_norm_way", batch_norm, {"show": ("x", "σ", "x̂")}, "One way of the gradient, through the spread."),
    ("batch_norm_memory", batch_norm, {"show": "memory", "detail": 1}, "What keeps arrays for the backward pass."),
    *((f.__name__, f, {}, "") for f in (batch_norm_spatial, batch_norm_images, layer_norm, mlp)),
    ("mlp_collapsed", mlp, {"depth": 0}, "The same net, its scopes collapsed: `depth=0`."),
    *((f.__name__, f, {}, "") for f in (residual, attention)),
    *((f.__name__, f, {"show": "forward"}, "") for f in (two_heads, lstm_cell)),
    *((f.__name__, f, {}, "") for f in (convolution, diamonds, outputs, gradient_graph, deep)),
    ("sick", sick, {"show": "health"}, ""),
)  # fmt: skip


def main(folder: Path = HERE) -> list[Path]:
    """Draw every picture and write README.md."""
    made: dict[str, Any] = {}
    written = []
    sections = [HEAD, code(normals, weighted, affine, backward, before=data())]
    for name, make, options, caption in PICTURES:
        if first := make.__name__ not in made:
            made[make.__name__] = make()
        said = caption or str(inspect.getdoc(make)).splitlines()[0]
        options = {"theme": "auto", **options}
        written.append(tg.draw(made[make.__name__], folder / f"{name}.svg", **options))
        given = ", ".join([f'"{name}.svg"', *(f"{k}={v!r}".replace("'", '"') for k, v in options.items())])
        call = f"tg.draw({make.__name__}(), {given})"
        sections += [f"## {name.replace('_', ' ')}", said, f"![{said}]({name}.svg)"]
        sections += [code(make, after=call) if first else f"```python\n{call}\n```"]
    written.append(folder / "README.md")
    written[-1].write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return written


HEAD = """# Gallery

Each picture is drawn from the lines below it; nothing is placed by hand. `python docs/gallery/build.py` rebuilds them
all, and a test compares what it writes with what is here. They follow the light or dark of your system, and hovering
a card says more. How to draw, and every option: [docs/drawing.md](../drawing.md).

What several of them share:"""


def data() -> str:
    """Return the imports and arrays that the sections use."""
    lines = inspect.getsource(sys.modules[normals.__module__]).splitlines()
    wanted = ("import numpy", "import tinygraph", "from tinygraph", "X = ", "W = ")
    return "\n".join(line for line in lines if line.startswith(wanted))


def code(*functions: Callable[..., Any], before: str = "", after: str = "") -> str:
    """Return the source of functions as a code block."""
    parts = [before, *(inspect.getsource(f).rstrip() for f in functions), after]
    return "```python\n" + "\n\n\n".join(part for part in parts if part) + "\n```"


if __name__ == "__main__":
    for path in main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE):
        print("wrote", path)
