"""Layers that drop whole channels, or drop so that the mean and the variance stay."""

from __future__ import annotations

from tinygraph.engine.types import Value
from tinygraph.nn.functional.dropout import one_each, saturate
from tinygraph.nn.functional.layers import thin_out
from tinygraph.nn.layers import Dropout

__all__ = ["AlphaDropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class Dropout1d(Dropout):
    """In training, set each channel of signals (N, C, L) to 0 with probability p, and scale the others by 1 / (1 - p).

    Args:
        p: probability that a channel is set to 0, 0 … 1.
        inplace: taken, and without effect.

    Raises:
        ValueError: p is outside of 0 … 1.

    >>> Dropout1d(1.0)(np.ones((1, 1, 2)))
    array([[[0., 0.]]])
    """

    _rank = 1

    def forward(self, x: Value) -> Value:
        """Return x, in training with some channels set to 0.

        Args:
            x: (N, C, …).

        Returns:
            Of the shape of x; in evaluation x itself.
        """
        if not self.training or self.p == 0:
            return x
        return thin_out(x, self.p, self.generator, one_each(x.shape, self._rank))


class Dropout2d(Dropout1d):
    """In training, set each channel of images (N, C, H, W) to 0 with probability p, scale the others by 1 / (1 - p).

    Args:
        p: probability that a channel is set to 0, 0 … 1.
        inplace: taken, and without effect.

    Raises:
        ValueError: p is outside of 0 … 1.

    >>> Dropout2d(1.0)(np.ones((1, 1, 1, 2)))
    array([[[[0., 0.]]]])
    """

    _rank = 2


class Dropout3d(Dropout1d):
    """In training, set each channel of volumes to 0 with probability p, and scale the others by 1 / (1 - p).

    Args:
        p: probability that a channel is set to 0, 0 … 1.
        inplace: taken, and without effect.

    Raises:
        ValueError: p is outside of 0 … 1.

    >>> Dropout3d(1.0)(np.ones((1, 1, 1, 1, 2))).ravel()
    array([0., 0.])
    """

    _rank = 3


class AlphaDropout(Dropout):
    """In training, drop elements so that a mean of 0 and a variance of 1 stay, as `nn.functional.alpha_dropout`.

    Args:
        p: probability that an element is dropped, 0 … 1.
        inplace: taken, and without effect.

    Raises:
        ValueError: p is outside of 0 … 1.

    Source: Klambauer et al. 2017, section "New Dropout Technique".

    >>> x = np.ones(2)
    >>> AlphaDropout().eval()(x) is x
    True
    """

    def forward(self, x: Value) -> Value:
        """Return x, in training with some elements dropped.

        Args:
            x: of any shape.

        Returns:
            Of the shape of x; in evaluation x itself.
        """
        return saturate(x, self.p, self.generator, x.shape) if self.training and self.p else x


class FeatureAlphaDropout(Dropout):
    """In training, drop whole channels as `AlphaDropout` drops elements.

    Args:
        p: probability that a channel is dropped, 0 … 1.
        inplace: taken, and without effect.

    Raises:
        ValueError: p is outside of 0 … 1.

    >>> x = np.ones((1, 2))
    >>> FeatureAlphaDropout().eval()(x) is x
    True
    """

    def forward(self, x: Value) -> Value:
        """Return x, in training with some channels dropped.

        Args:
            x: (N, C, …).

        Returns:
            Of the shape of x; in evaluation x itself.
        """
        return saturate(x, self.p, self.generator, one_each(x.shape, 2)) if self.training and self.p else x
