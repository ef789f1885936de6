"""Compose batch norm from primitives, train its γ and β on real digits, and look at the gradient that did it."""

import numpy as np

import tinygraph as tg
from tinygraph.data import digits


def batch_norm(x, gamma, beta, eps=1e-5):
    """The layer of the paper, an op a line. Naming the values is for drawings and errors; it costs nothing."""
    mu = x.mean(0).named("μ")
    x_c = (x - mu).named("x_c")
    v = tg.square(x_c).mean(0).named("v")
    sigma = tg.sqrt(v + eps).named("σ")
    x_hat = (x_c / sigma).named("x̂")
    return (gamma * x_hat + beta).named("y")


def main(steps: int = 200) -> float:
    """Fit y = batch_norm(x) to pixels scaled to 0…1 by gradient descent, and return the last loss."""
    images, _ = digits()
    rng = np.random.default_rng(0)
    gamma = tg.Parameter(np.ones(64, np.float32), name="γ")
    beta = tg.Parameter(np.zeros(64, np.float32), name="β")
    for step in range(steps):
        rows = rng.choice(len(images), 128, replace=False)
        x = tg.Tensor(images[rows], name="x", requires_grad=False)
        y = batch_norm(x, gamma, beta)
        loss = tg.square(y - images[rows] / 16).mean()
        gamma.grad = beta.grad = None
        loss.backward()
        gamma.data = gamma.data - 5 * gamma.grad
        beta.data = beta.data - 5 * beta.grad
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:3d}  loss {loss.item():.5f}")
    print("β is now the mean of each pixel:", np.allclose(beta.data, images.mean(0) / 16, atol=0.05))
    return loss.item()


if __name__ == "__main__":
    main()
