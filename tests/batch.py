"""A batch on which batch norm, with ε = 0, can be done in the head: all is an integer, ½, ¼ or ⅛."""

from __future__ import annotations

import numpy as np

import tinygraph as tg

X = np.array([[1.0, -1, 2], [1, 3, 10], [3, -1, 10], [3, 3, 2]])
GAMMA, BETA = np.array([1.0, 2, -1]), np.array([0.0, 1, -1])
W = np.array([[4.0, 0, 0], [0, 0, -8], [0, 4, 0], [0, 0, 8]])
MEAN, SIGMA = np.array([2.0, 1, 6]), np.array([1.0, 2, 4])
X_HAT = np.array([[-1.0, -1, -1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]])
Y = np.array([[-1.0, -1, 0], [-1, 3, -2], [1, -1, -2], [1, 3, 0]])
DX = np.array([[2.0, -2, 1], [-2, 0, 1], [0, 2, -1], [0, 0, -1]])
DGAMMA, DBETA = np.array([-4.0, -4, -16]), np.array([4.0, 4, 0])


def by_hand(backward: bool = True) -> tuple[tg.Tensor, tg.Tensor]:
    """Return x and the loss L = Σ w · batch_norm(x), with names; ``backward`` has run from it unless told otherwise."""
    x = tg.Tensor(X.copy(), name="x")
    y = tg.batch_norm(x, tg.Parameter(GAMMA.copy(), name="γ"), tg.Parameter(BETA.copy(), name="β"), eps=0.0)
    loss = (tg.Tensor(W, name="w", requires_grad=False) * y).sum().named("L")
    if backward:
        loss.backward()
    return x, loss
