"""Activations: elementwise functions as modules, for Sequential; each is one formula in ops."""

from __future__ import annotations

import math

from tinygraph.engine.types import Value
from tinygraph.functions.softmax import log_softmax, softmax
from tinygraph.nn.module import Module
from tinygraph.ops.elementwise import erf, greater, relu, sigmoid, tanh, where

__all__ = ["GELU", "LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh"]


class ReLU(Module):
    """Keep what is above 0: ``max(x, 0)``.

    Args:
        inplace: accepted because PyTorch has it, and without effect: a Tensor is never changed in place.

    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, x: Value) -> Value:
        """Return max(x, 0).

        Args:
            x: of any shape.

        Returns:
            Of the shape of x.
        """
        return relu(x)


class LeakyReLU(Module):
    """Keep what is above 0, and scale the rest by ``negative_slope``.

    Args:
        negative_slope: what values below 0 are multiplied by.
        inplace: accepted, and without effect, as in `ReLU`.

    >>> LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Value) -> Value:
        """Return x above 0 and a fraction of it below.

        Args:
            x: of any shape.

        Returns:
            Of the shape of x.
        """
        return where(greater(x, 0), x, self.negative_slope * x)

    def extra_repr(self) -> str:
        """Return the slope."""
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """Squash into 0 … 1: ``1 / (1 + exp(-x))``.

    >>> Sigmoid()(np.array([0.0]))
    array([0.5])
    """

    def forward(self, x: Value) -> Value:
        """Return the logistic function of x.

        Args:
            x: of any shape.

        Returns:
            Of the shape of x.
        """
        return sigmoid(x)


class Tanh(Module):
    """Squash into -1 … 1.

    >>> Tanh()(np.array([0.0]))
    array([0.])
    """

    def forward(self, x: Value) -> Value:
        """Return the hyperbolic tangent of x.

        Args:
            x: of any shape.

        Returns:
            Of the shape of x.
        """
        return tanh(x)


class GELU(Module):
    r"""Scale x by the chance that a normal error is below it: :math:`x \, \Phi(x)`.

    Args:
        approximate: "none", or "tanh" for :math:`\Phi(x) ≈ (1 + \tanh(\sqrt{2/\pi} (x + 0.044715 x^3)))/2`.

    Raises:
        ValueError: another ``approximate``.

    Source: Hendrycks and Gimpel 2016, section 2.

    >>> GELU()(np.array([0.0, 1.0]))
    array([0.        , 0.84134475])
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate {approximate!r} is neither 'none' nor 'tanh'")
        self.approximate = approximate

    def forward(self, x: Value) -> Value:
        """Return x Φ(x).

        Args:
            x: of any shape.

        Returns:
            Of the shape of x.
        """
        if self.approximate == "tanh":
            return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
        return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))

    def extra_repr(self) -> str:
        """Return which one."""
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    """Turn scores into probabilities along an axis.

    Args:
        dim: the axis of the classes; the last one unless given.

    Raises:
        TypeError: dim is not the number of an axis; it may not be None.

    >>> Softmax(dim=1)(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """

    def __init__(self, dim: int = -1) -> None:
        if not isinstance(dim, int):
            raise TypeError(f"{type(self).__name__}: dim is {dim!r}; it must be the number of an axis")
        self.dim = dim

    def forward(self, x: Value) -> Value:
        """Return probabilities that add up to 1 along the axis.

        Args:
            x: scores, of any shape.

        Returns:
            Of the shape of x.
        """
        return softmax(x, self.dim)

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

    def forward(self, x: Value) -> Value:
        """Return logarithms of probabilities.

        Args:
            x: scores, of any shape.

        Returns:
            Of the shape of x.
        """
        return log_softmax(x, self.dim)
