"""Distances and similarities of two inputs, and a form of both, as layers."""

from __future__ import annotations

import math

from tinygraph.engine.types import Value
from tinygraph.nn import functional, init
from tinygraph.nn.layers import Weighted
from tinygraph.nn.module import Module

__all__ = ["Bilinear", "CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """Take the cosine of the angle between vectors, as `functional.cosine_similarity`.

    Args:
        dim: the axis of the vectors.
        eps: the least length; a shorter vector counts as one of this length.

    >>> CosineSimilarity()(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])).round(4)
    array([0.7071])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Value, x2: Value) -> Value:
        """Return the cosines.

        Args:
            x1: vectors along ``dim``.
            x2: of a shape that broadcasts with that of x1.

        Returns:
            -1 … 1, of the common shape without ``dim``.
        """
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """Take the distance of vectors, row by row, as `functional.pairwise_distance`.

    Args:
        p: which norm: 2 adds squares, 1 absolute values; ``inf`` takes the largest.
        eps: added to every difference, so that no distance is 0.
        keepdim: keep the last axis, with length 1.

    >>> PairwiseDistance(eps=0.0)(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]))
    array([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Value, x2: Value) -> Value:
        """Return the distances.

        Args:
            x1: (N, D) or (D,).
            x2: of a shape that broadcasts with that of x1.

        Returns:
            (N,), in units of x1.
        """
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class Bilinear(Weighted):
    r"""Multiply two rows by a matrix for each output: :math:`y_o = x_1^{\mathsf T} W_o\, x_2 + b_o`.

    Args:
        in1_features: length of the last axis of x1.
        in2_features: length of the last axis of x2.
        out_features: length of the last axis of y.
        bias: whether there is a shift b.

    Attributes:
        weight: W, (out_features, in1_features, in2_features).
        bias: b, (out_features,), or None.

    Raises:
        ValueError: in a call, shapes do not fit.

    >>> Bilinear(3, 2, 4)(np.ones((5, 3), np.float32), np.ones((5, 2), np.float32)).shape
    (5, 4)
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True) -> None:
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self._make_parameters((out_features, in1_features, in2_features), bias)

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the parameters anew, from U(-1/√in1_features, 1/√in1_features).

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        bound = 1 / math.sqrt(max(self.in1_features, 1))
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, generator)

    def forward(self, x1: Value, x2: Value) -> Value:
        """Return the form of both.

        Args:
            x1: (…, in1_features).
            x2: (…, in2_features), with the same axes before.

        Returns:
            y, (…, out_features).
        """
        return functional.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}"
        return f"{sizes}, out_features={self.out_features}, bias={self.bias is not None}"
