"""A variational autoencoder of handwritten digits from primitives, with the reparametrization trick in its graph.

The encoder gives a mean μ and a log-variance for each image, ``z = μ + exp(s/2) ε`` draws a code from them, and the
decoder paints the image again. The loss is what the painting costs, plus how far the codes are from N(0, 1).
"""

import sys
from pathlib import Path

import numpy as np

import tinygraph as tg
from tinygraph.data import digits

CODE, HIDDEN = 2, 64


def make(rng, **shapes):
    """Return matrices drawn at random and shifts of zeros, by name."""
    weights = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape) / np.sqrt(shape[0]) if len(shape) > 1 else np.zeros(shape)
        weights[name] = tg.Parameter(values, name=name)
    return weights


def encode(x, w):
    """Return the mean and the log-variance of the code of each image."""
    with tg.scope("encoder"):
        h = tg.relu(x @ w["W₁"] + w["b₁"]).named("h")
        return (h @ w["W_μ"] + w["b_μ"]).named("μ"), (h @ w["W_s"] + w["b_s"]).named("s")


def decode(z, w):
    """Return the scores of the pixels: their sigmoid is how black each is."""
    with tg.scope("decoder"):
        return (tg.relu(z @ w["V₁"] + w["c₁"]) @ w["V₂"] + w["c₂"]).named("scores")


def cost(x, noise, w):
    """Return the mean cost of an image, in nats: of its pixels, and of its code."""
    mu, s = encode(x, w)
    z = (mu + tg.exp(s / 2) * noise).named("z")
    scores = decode(z, w)
    pixels = (tg.logaddexp(scores, 0.0) - x * scores).sum(1).named("pixels")
    code = (0.5 * (tg.square(mu) + tg.exp(s) - s - 1).sum(1)).named("KL")
    return (pixels + code).mean().named("L")


def main(steps: int = 800, folder: str = "pictures") -> tuple[float, list[Path]]:
    """Train, draw the graph and a sheet of new digits; return the last cost and the files."""
    rng = np.random.default_rng(0)
    images = digits()[0].astype(np.float64) / 16
    encoder = {"W₁": (64, HIDDEN), "b₁": (HIDDEN,), "W_μ": (HIDDEN, CODE), "b_μ": (CODE,), "W_s": (HIDDEN, CODE)}
    decoder = {"V₁": (CODE, HIDDEN), "c₁": (HIDDEN,), "V₂": (HIDDEN, 64), "c₂": (64,)}
    weights = make(rng, **encoder, b_s=(CODE,), **decoder)
    optimizer = tg.optim.Adam(weights.values(), lr=1e-2)

    def batch(size):
        x = tg.Tensor(images[rng.choice(len(images), size, replace=False)], name="x", requires_grad=False)
        return x, tg.Tensor(rng.standard_normal((size, CODE)), name="ε", requires_grad=False)

    for step in range(steps):
        loss = cost(*batch(128), weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 200 == 0 or step == steps - 1:
            print(f"step {step:3d}  {loss.item():.2f} nats an image")

    Path(folder).mkdir(parents=True, exist_ok=True)
    side = np.linspace(-2, 2, 8)
    codes = np.stack(np.meshgrid(side, side), -1).reshape(-1, CODE)
    with tg.no_grad():
        painted = tg.sigmoid(decode(tg.Tensor(codes), weights)).data
    sheet = (255 * (1 - painted.reshape(8, 8, 8, 8).transpose(0, 2, 1, 3).reshape(64, 64))).astype(np.uint8)
    picture = Path(folder) / "new_digits.pgm"
    picture.write_bytes(b"P5 64 64 255\n" + sheet.tobytes())  # a grey picture, as netpbm has it
    return loss.item(), [tg.draw(cost(*batch(8), weights), Path(folder) / "vae.svg"), picture]


if __name__ == "__main__":
    print("wrote", *main(folder=sys.argv[1] if len(sys.argv) > 1 else "pictures")[1])
