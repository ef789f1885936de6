"""Draw batch norm, forward and backward, and its backward pass as a graph of its own."""

import sys
from pathlib import Path

import numpy as np

import tinygraph as tg


def main(steps: int = 1, folder: str = "pictures") -> list[Path]:
    """Write the graph of a batch that can be solved by hand, and the graph of its gradients."""
    x = tg.Tensor([[1.0, -1, 2], [1, 3, 10], [3, -1, 10], [3, 3, 2]], name="x")
    gamma, beta = tg.Parameter([1.0, 2, -1], name="γ"), tg.Parameter([0.0, 1, -1], name="β")
    w = tg.Tensor([[4.0, 0, 0], [0, 0, -8], [0, 4, 0], [0, 0, 8]], name="w", requires_grad=False)

    loss = (w * tg.batch_norm(x, gamma, beta)).sum().named("L")
    loss.backward()
    print(tg.snapshot(loss).text())

    gradients = tg.grad(loss, [x, gamma, beta], create_graph=True)
    for tensor, name in zip(gradients, ("dx", "dγ", "dβ"), strict=True):
        tensor.named(name)
    assert np.allclose(gradients[0].data, x.grad)

    return [
        tg.draw(loss, Path(folder) / "batchnorm.svg"),
        tg.draw(tg.snapshot(*gradients), Path(folder) / "batchnorm_gradients.svg"),
    ]


if __name__ == "__main__":
    for path in main(folder=sys.argv[1] if len(sys.argv) > 1 else "pictures"):
        print("wrote", path)
