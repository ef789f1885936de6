"""WGAN with gradient penalty, from primitives: a generator learns a ring, and the penalty differentiates a gradient.

The critic shall have slope 1 between real and made points. So its loss holds the norm of its gradient in its input,
and training it differentiates that once more.
"""

import sys
from pathlib import Path

import numpy as np

import tinygraph as tg

NOISE, HIDDEN, PENALTY = 2, 32, 1.0


def net(x, w, name):
    """Return a net of two layers, in a box with its name."""
    with tg.scope(name):
        h = tg.relu(x @ w["W₁"] + w["b₁"])
        h = tg.relu(h @ w["W₂"] + w["b₂"])
        return h @ w["W₃"] + w["b₃"]


def make(rng, inputs, outputs, hidden=HIDDEN):
    """Return the parameters of a net by name."""
    sizes = (inputs, hidden, hidden, outputs)
    weights = {}
    for k, subscript in enumerate("₁₂₃"):
        matrix = rng.standard_normal(sizes[k : k + 2]) * np.sqrt(2 / sizes[k])
        weights[f"W{subscript}"] = tg.Parameter(matrix, name=f"W{subscript}")
        weights[f"b{subscript}"] = tg.Parameter(np.zeros(sizes[k + 1]), name=f"b{subscript}")
    return weights


def gradient_penalty(real, made, critic, rng):
    """Return the mean of ``(‖∇ critic(x)‖ - 1)²`` at points between real and made ones."""
    share = rng.random((len(real), 1))
    x = tg.Tensor(share * real + (1 - share) * made, name="x")
    (slope,) = tg.grad(net(x, critic, "critic").sum(), [x], create_graph=True)
    norm = tg.sqrt(tg.square(slope.named("∇")).sum(1) + 1e-12).named("‖∇‖")
    return tg.square(norm - 1).mean().named("penalty")


def ring(rng, count):
    """Return points of a ring of radius 1."""
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * rng.normal(1, 0.05, (count, 1))


def main(steps: int = 400, folder: str = "pictures") -> tuple[float, Path]:
    """Train and draw the penalty; return how far the mean radius of made points is from 1, and the picture."""
    rng = np.random.default_rng(0)
    generator, critic = make(rng, NOISE, 2), make(rng, 2, 1)
    steppers = [tg.optim.Adam(w.values(), lr=2e-3, betas=(0.5, 0.9)) for w in (generator, critic)]
    for step in range(steps):
        for _ in range(3):  # the critic goes ahead
            real = ring(rng, 128)
            with tg.no_grad():
                made = net(tg.Tensor(rng.standard_normal((128, NOISE))), generator, "generator").data
            scores = [net(tg.Tensor(points), critic, "critic").mean() for points in (made, real)]
            loss = scores[0] - scores[1] + PENALTY * gradient_penalty(real, made, critic, rng)
            steppers[1].zero_grad()
            loss.backward()
            steppers[1].step()
        made = net(tg.Tensor(rng.standard_normal((128, NOISE))), generator, "generator")
        steppers[0].zero_grad()
        (-net(made, critic, "critic").mean()).backward()
        steppers[0].step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:3d}  real points score higher by {(scores[1] - scores[0]).item():.3f}")
    points = net(tg.Tensor(rng.standard_normal((1000, NOISE))), generator, "generator").data
    off = abs(float(np.hypot(*points.T).mean()) - 1)
    print(f"the mean radius of made points is {off:.3f} from 1")

    penalty = gradient_penalty(ring(rng, 3), rng.standard_normal((3, 2)), make(rng, 2, 1, hidden=2), rng)
    return off, tg.draw(penalty, Path(folder) / "gradient_penalty.svg")


if __name__ == "__main__":
    print("wrote", main(folder=sys.argv[1] if len(sys.argv) > 1 else "pictures")[1])
