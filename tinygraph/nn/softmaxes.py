"""Activations along an axis, as modules: softmax and its kin, and a gate of one half by the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tinygraph.engine.types import Value
from tinygraph.nn import functional
from tinygraph.nn.activations import Activation
from tinygraph.nn.module import Module

__all__ = ["GLU", "LogSoftmax", "Softmax", "Softmax2d", "Softmin"]


class Softmax(Module):
    """Turn scores into probabilities along an axis.

    Args:
        dim: the axis of the classes; the last one unless given.

    Raises:
        TypeError: dim is not the number of an axis; it may not be None.

    >>> Softmax(dim=1)(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """

    function: ClassVar[Callable[..., Value]] = staticmethod(functional.softmax)

    def __init__(self, dim: int = -1) -> None:
        if not isinstance(dim, int):
            raise TypeError(f"{type(self).__name__}: dim is {dim!r}; it must be the number of an axis")
        self.dim = dim

    def forward(self, x: Value) -> Value:
        """Return probabilities that add up to 1 along the axis, or what is made of them.

        Args:
            x: scores, of any shape.

        Returns:
            Of the shape of x.
        """
        return type(self).function(x, self.dim)

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """Take the logarithm of `Softmax`; `NLLLoss` takes it as its input.

    Args:
        dim: the axis of the classes; the last one unless given.

    Raises:
        TypeError: dim is not the number of an axis; it may not be None.

    >>> LogSoftmax()(np.zeros(2))
    array([-0.69314718, -0.69314718])
    """

    function = staticmethod(functional.log_softmax)


class Softmin(Softmax):
    """Turn scores into probabilities along an axis, large ones for small scores: `Softmax` of -x.

    Args:
        dim: the axis of the classes; the last one unless given.

    Raises:
        TypeError: dim is not the number of an axis; it may not be None.

    >>> Softmin()(np.zeros(2))
    array([0.5, 0.5])
    """

    function = staticmethod(functional.softmin)


class Softmax2d(Module):
    """Turn the scores of each pixel into probabilities of its channels.

    Raises:
        ValueError: in a call, x is not (N, C, H, W) or (C, H, W).

    >>> Softmax2d()(np.zeros((1, 2, 1, 1))).ravel()
    array([0.5, 0.5])
    """

    def forward(self, x: Value) -> Value:
        """Return probabilities that add up to 1 over the channels.

        Args:
            x: (N, C, H, W) or (C, H, W).

        Returns:
            Of the shape of x.
        """
        if len(x.shape) not in (3, 4):
            raise ValueError(f"Softmax2d: x must be (N, C, H, W) or (C, H, W), not {x.shape}")
        return functional.softmax(x, -3)


class GLU(Activation):
    """Multiply one half of an axis by the sigmoid of the other, as `functional.glu`.

    Args:
        dim: the axis, of even length.

    Source: Dauphin et al. 2017.

    >>> GLU()(np.array([2.0, 0.0]))
    array([1.])
    """

    function = staticmethod(functional.glu)

    def __init__(self, dim: int = -1) -> None:
        self._keep(dim=dim)
