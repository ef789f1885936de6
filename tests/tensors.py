"""A small array, and a fresh Tensor of it, for the tests of the engine."""

import numpy as np

from tinygraph import Tensor

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def tensor(array=X, **about):
    return Tensor(np.array(array, float), **about)
