"""Dropout of channels, and dropout that keeps the mean and the variance."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph.nn.functional as F
from tinygraph import Tensor, grad, nn


@pytest.mark.parametrize(("name", "axes"), [("Dropout1d", 1), ("Dropout2d", 2), ("Dropout3d", 3)])
def test_whole_channels_are_dropped(name, axes):
    layer = nn.init.manual_seed(getattr(nn, name)(0.3), 0)
    x = Tensor(np.ones((200, 100, *(2,) * axes)))
    y = layer(x)
    channels = y.data.reshape(200, 100, -1)
    assert (channels == channels[..., :1]).all()
    assert abs((channels[..., 0] == 0).mean() - 0.3) < 0.02  # 6 standard deviations
    np.testing.assert_allclose(channels[channels != 0], 1 / 0.7)
    np.testing.assert_allclose(grad(y, x, np.ones(x.shape))[0], y.data)
    alone = nn.init.manual_seed(getattr(nn, name)(0.5), 0)(np.ones((100, *(2,) * axes)))
    if axes != 2:  # as in PyTorch, three axes are (N, C, L) for Dropout2d
        assert (alone.reshape(100, -1) == alone.reshape(100, -1)[:, :1]).all() and (alone == 0).any()


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p, rng):
    x = rng.standard_normal((1000, 300))
    y = nn.init.manual_seed(nn.AlphaDropout(p), 0)(Tensor(x))
    assert abs(y.data.mean()) < 0.015 and abs(y.data.var() - 1) < 0.03
    values, counts = np.unique(y.data, return_counts=True)
    assert abs(counts.max() / x.size - p) < 0.01  # what is dropped has one value
    dropped = values[counts.argmax()]
    a = ((1 - p) * (1 + p * 1.7580993408473766**2)) ** -0.5  # equation of Klambauer et al. 2017
    np.testing.assert_allclose(dropped, a * (-1.7580993408473766 + 1.7580993408473766 * p))
    channels = nn.init.manual_seed(nn.FeatureAlphaDropout(p), 0)(np.ones((50, 40, 3)))
    assert (channels == channels[..., :1]).all() and len(np.unique(channels)) == 2


def test_a_probability_is_checked():
    for call in (F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout, lambda x, p: nn.Dropout3d(p)):
        with pytest.raises(ValueError, match=r"p is 1\.5, no probability"):
            call(np.ones((2, 2, 2)), 1.5)
