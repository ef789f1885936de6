"""Whiten by the full covariance where a batch norm would divide by variances alone: a net of primitives.

Batch norm makes each channel's variance 1; whitening makes the whole covariance the identity, so that channels are
uncorrelated, too. It costs a factor of Cholesky of the covariance, and its gradient goes through that factor.

    python examples/whitening.py
"""

from pathlib import Path

import numpy as np

import tinygraph as tg


@tg.composite
def whiten(x, eps=1e-5):
    """Return L⁻¹ (x - μ) for each row of x, where L Lᵀ is the covariance of the columns."""
    centred = x - x.mean(0)
    covariance = centred.T @ centred / len(x) + eps * np.eye(x.shape[1], dtype=x.dtype)
    factor = tg.linalg.cholesky(covariance)
    return tg.linalg.solve_triangular(factor, centred.T, upper=False).T


def data(rng, rows):
    """Return inputs whose columns are nearly the same, and the small difference between them that is to be found."""
    cause, small = rng.standard_normal((rows, 1)), rng.standard_normal((rows, 4))
    x = cause + 0.05 * small
    return x, np.tanh(small[:, :1] - small[:, 1:2])


def train(normalize, steps, seed=0):
    """Train a net with a normalization of its inputs; return the loss of each step, and the last one to draw."""
    rng = np.random.default_rng(seed)
    w1 = tg.Parameter(rng.standard_normal((4, 16)) / 2, name="W1")
    w2 = tg.Parameter(rng.standard_normal((16, 1)) / 4, name="W2")
    losses = []
    for _ in range(steps):
        x, y = data(rng, 64)
        hidden = tg.tanh(normalize(tg.Tensor(x, name="x", requires_grad=False)) @ w1)
        loss = ((hidden @ w2 - y) ** 2).mean().named("L")
        for parameter, gradient in zip((w1, w2), tg.grad(loss, (w1, w2)), strict=True):
            parameter.data = parameter.data - 0.1 * gradient
        losses.append(loss.item())
    return losses, loss


def check():
    """Return how far whitened columns are from uncorrelated, and a gradient in float32 from that in float64."""
    x = data(np.random.default_rng(1), 64)[0]
    white = whiten(x, eps=0.0)
    g, found = np.random.default_rng(2).standard_normal(x.shape), []
    for dtype in (np.float32, np.float64):
        leaf = tg.Tensor(x.astype(dtype))
        whiten(leaf, 1e-3).backward(g.astype(dtype))
        found.append(leaf.grad)
    return abs(white.T @ white / len(x) - np.eye(4)).max(), abs(found[0] - found[1]).max() / abs(found[1]).max()


def main(steps: int = 200, folder: str = "pictures") -> tuple[float, Path]:
    """Compare the two and draw the net; return the quotient of their losses, and the picture."""
    correlation, rounding = check()
    print(f"greatest correlation after whitening {correlation:.1e}; float32 is off by {rounding:.1e}")
    batch, _ = train(lambda x: tg.batch_norm(x), steps)
    white, loss = train(whiten, steps)
    print(f"loss of the last 20 steps: batch norm {np.mean(batch[-20:]):.3f}, whitening {np.mean(white[-20:]):.3f}")
    file = Path(folder) / "whitening.svg"
    file.parent.mkdir(parents=True, exist_ok=True)
    tg.draw(loss, file)
    return float(np.mean(white[-20:]) / np.mean(batch[-20:])), file


if __name__ == "__main__":
    main()
