"""Activations as modules; their values and gradients are compared with PyTorch's beside the layers."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph import nn


def test_softmax_takes_one_axis():
    x = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_allclose(nn.Softmax()(x).sum(-1), 1)
    with pytest.raises(TypeError, match="LogSoftmax: dim is None; it must be the number of an axis"):
        nn.LogSoftmax(None)
