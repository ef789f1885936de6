"""A physics-informed net: it learns u with ``u'' + u = 0``, u(0) = 0 and u'(0) = 1, which is sin, from no data at all.

The loss asks for the equation at points of the interval. Its u'' is two gradients deep, and training takes a third.
"""

import sys
from pathlib import Path

import numpy as np

import tinygraph as tg

HIDDEN = 16


def u(x, w):
    """Return the net's u at each point; it is 0 at 0, and its slope there is 1, whatever the weights are."""
    with tg.scope("net"):
        h = tg.tanh(x * w["W₁"] + w["b₁"])
        h = tg.tanh(h @ w["W₂"] + w["b₂"])
        return (x + x * x * (h @ w["W₃"])).named("u")


def residual(x, w):
    """Return u and how far u'' + u is from 0, at each point."""
    y = u(x, w)
    (slope,) = tg.grad(y.sum(), [x], create_graph=True)
    (bend,) = tg.grad(slope.named("u'").sum(), [x], create_graph=True)
    return y, (bend.named("u''") + y).named("r")


def main(steps: int = 500, folder: str = "pictures") -> tuple[float, Path]:
    """Train and draw the graph; return the largest error against sin on 0 … 4, and the picture."""
    rng = np.random.default_rng(0)
    shapes = {"W₁": (1, HIDDEN), "b₁": (HIDDEN,), "W₂": (HIDDEN, HIDDEN), "b₂": (HIDDEN,), "W₃": (HIDDEN, 1)}
    weights = {
        name: tg.Parameter(rng.standard_normal(shape) / np.sqrt(shape[0]), name=name) for name, shape in shapes.items()
    }
    optimizer = tg.optim.Adam(weights.values(), lr=5e-3)
    for step in range(steps):
        x = tg.Tensor(rng.uniform(0, 4, (64, 1)), name="x")
        loss = tg.square(residual(x, weights)[1]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:3d}  mean square of u'' + u: {loss.item():.2e}")
    points = np.linspace(0, 4, 101)[:, None]
    error = float(np.abs(u(tg.Tensor(points), weights).data - np.sin(points)).max())
    print(f"largest error against sin on 0 … 4: {error:.4f}")

    x = tg.Tensor([[0.5], [1.0], [2.0]], name="x")
    loss = tg.square(residual(x, weights)[1]).mean().named("L")
    return error, tg.draw(loss, Path(folder) / "physics_informed.svg")


if __name__ == "__main__":
    print("wrote", main(folder=sys.argv[1] if len(sys.argv) > 1 else "pictures")[1])
