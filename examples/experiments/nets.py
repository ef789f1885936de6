"""The nets of the experiments, to be drawn: ``tinygraph draw examples/experiments/nets.py:lenet -o lenet.svg``.

Each function returns the loss of a small batch, after backward, so that the drawing has gradients.
"""

from __future__ import annotations

import numpy as np

import tinygraph as tg
from tinygraph import nn
from tinygraph.nets import RECIPES


def loss_of(name: str, batch: int = 8, **options: object) -> tg.Tensor:
    """Return the loss of one of the nets on a random batch of images."""
    rng = np.random.default_rng(0)
    net = RECIPES[name].build((1, 28, 28), 10, **{"norm": "batch", "fused": False, "seed": 0, **options})
    x = tg.Tensor(rng.random((batch, 1, 28, 28), np.float32), name="x")
    loss = nn.CrossEntropyLoss()(net(x), rng.integers(0, 10, batch)).named("L")
    loss.backward()
    return loss


def lenet() -> tg.Tensor:
    """LeNet, its batch norms from primitives (experiment 1)."""
    return loss_of("lenet")


def lenet_fused() -> tg.Tensor:
    """LeNet, each batch norm one op (experiment 1)."""
    return loss_of("lenet", fused=True)


def six_layers() -> tg.Tensor:
    """Six linear layers with batch norm (experiments 2 and 4)."""
    return loss_of("mlp")


def six_layers_plain() -> tg.Tensor:
    """Six linear layers without (experiment 2)."""
    return loss_of("mlp", norm="none")


def six_layers_layer_norm() -> tg.Tensor:
    """Six linear layers with layer norm (experiment 4)."""
    return loss_of("mlp", norm="layer")


def eight_layers() -> tg.Tensor:
    """Eight linear layers with batch norm (experiment 3)."""
    return loss_of("deep")


if __name__ == "__main__":
    for draw in (lenet, lenet_fused, six_layers, six_layers_plain, six_layers_layer_norm, eight_layers):
        print(f"{draw.__name__}: {len(tg.snapshot(draw()))} nodes")
