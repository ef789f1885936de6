"""A batch on which batch norm, with ε = 0, can be done in the head."""

from __future__ import annotations

import numpy as np

X = np.array([[1.0, -1, 2], [1, 3, 10], [3, -1, 10], [3, 3, 2]])
GAMMA, BETA = np.array([1.0, 2, -1]), np.array([0.0, 1, -1])
W = np.array([[4.0, 0, 0], [0, 0, -8], [0, 4, 0], [0, 0, 8]])
MEAN, SIGMA = np.array([2.0, 1, 6]), np.array([1.0, 2, 4])
X_HAT = np.array([[-1.0, -1, -1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]])
Y = np.array([[-1.0, -1, 0], [-1, 3, -2], [1, -1, -2], [1, 3, 0]])
DX = np.array([[2.0, -2, 1], [-2, 0, 1], [0, 2, -1], [0, 0, -1]])
DGAMMA, DBETA = np.array([-4.0, -4, -16]), np.array([4.0, 4, 0])
