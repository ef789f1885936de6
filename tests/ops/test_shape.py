"""Shape ops where an axis is empty."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor


@pytest.mark.parametrize("sections", [1, 2, 3, [0, 0], [1, 5]])
def test_an_axis_of_length_zero_splits_as_numpy_splits_it(sections):
    x = np.zeros((0, 3))
    wanted = [piece.shape for piece in np.split(x, sections)]
    assert [piece.shape for piece in tg.split(x, sections)] == wanted
    leaf = Tensor(x)
    pieces = np.split(leaf, sections)
    assert [piece.shape for piece in pieces] == wanted
    assert tg.grad([p.sum() for p in pieces], leaf)[0].shape == (0, 3)
