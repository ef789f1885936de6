"""Losses give the same bits on arrays and on Tensors."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph import Tensor, nn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_arrays_and_tensors_give_the_same_bits(rng, loss, dtype):
    for n in (1, 3, 7, 11, 33, 100, 229):
        x, y = rng.random((2, n, 3)).astype(dtype)
        target = rng.integers(0, 3, n) if isinstance(loss, nn.NLLLoss) else y
        np.testing.assert_array_equal(loss(x, target), loss(Tensor(x), target).data)
