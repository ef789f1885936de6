"""Layers: parameters, and the function made of ops that uses them; names, defaults and shapes are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.tensor import Parameter
from tinygraph.engine.types import Shape, Value
from tinygraph.functions.creation import random_generator
from tinygraph.nn import functional, init
from tinygraph.nn.functional.layers import thin_out
from tinygraph.nn.module import Module
from tinygraph.ops.shape import reshape

__all__ = ["Dropout", "Flatten", "Identity", "Linear", "Unflatten"]


class Weighted(Module):
    """A layer with ``weight`` and ``bias``, drawn from U(-1/√fan_in, 1/√fan_in) as PyTorch draws them."""

    weight: Parameter
    bias: Parameter | None

    def _make_parameters(self, shape: Shape, bias: bool, outputs: int | None = None) -> None:
        """Make the weight, and a bias for ``outputs``, by default as many as its first axis has; draw their values."""
        self.weight = Parameter(np.empty(shape, np.float32))
        self.bias = Parameter(np.empty(shape[0] if outputs is None else outputs, np.float32)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the parameters anew.

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(max(init.fans(self.weight)[0], 1))
            init.uniform_(self.bias, -bound, bound, generator)


class Linear(Weighted):
    r"""Multiply by a matrix and shift: :math:`y = x W^{\mathsf T} + b`.

    Args:
        in_features: length of the last axis of x.
        out_features: length of the last axis of y.
        bias: whether there is a shift b.

    Attributes:
        weight: W, (out_features, in_features).
        bias: b, (out_features,), or None.

    Raises:
        ValueError: in a call, the last axis of x has another length.

    >>> layer = Linear(3, 2)
    >>> layer(np.ones((4, 3), np.float32)).shape
    (4, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features, self.out_features = in_features, out_features
        self._make_parameters((out_features, in_features), bias)

    def forward(self, x: Value) -> Value:
        """Return x Wᵀ + b.

        Args:
            x: (…, in_features).

        Returns:
            y, (…, out_features).
        """
        if not x.shape or x.shape[-1] != self.in_features:
            raise ValueError(f"{self}: x must be (…, {self.in_features}), not {x.shape}")
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


GENERATORS = {  # of random numbers, which a state names
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


class Dropout(Module):
    """In training, set each element to 0 with probability p, and scale the others by 1 / (1 - p).

    Each Dropout has a generator of random numbers. `nn.init.manual_seed` seeds it, and a checkpoint stores its
    state, so that a run that is resumed drops the same elements as a run that was never stopped.

    Args:
        p: probability that an element is set to 0, 0 … 1.
        inplace: accepted because PyTorch has it, and without effect: a Tensor is never changed in place.

    Raises:
        ValueError: p is outside of 0 … 1.

    Source: Srivastava et al. 2014, section 10 ("inverted" as all libraries have it).

    >>> x = np.ones(5)
    >>> Dropout(0.5).eval()(x) is x
    True
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is {p}, no probability")
        self.p = p
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Begin a new sequence of random numbers.

        Args:
            generator: the generator to derive it from; None takes that of `tinygraph.manual_seed`.
        """
        self.generator = (generator or random_generator()).spawn(1)[0]

    def forward(self, x: Value) -> Value:
        """Return x, in training with some elements set to 0.

        Args:
            x: of any shape.

        Returns:
            Of the shape of x; in evaluation x itself.
        """
        if not self.training or self.p == 0:
            return x
        return thin_out(x, self.p, self.generator)

    def get_extra_state(self) -> Any:
        """Return the state of the generator."""
        return {"generator": self.generator.bit_generator.state}

    def set_extra_state(self, state: Any) -> None:
        """Continue from a state of the generator.

        Args:
            state: from `get_extra_state`.

        Raises:
            ValueError: it is no state of one of NumPy's generators.
        """
        try:
            bits = GENERATORS[state["generator"]["bit_generator"]]()
            bits.state = state["generator"]
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            said = clean(str(state))[:200]
            raise ValueError(f"{self}: this is no state of a generator of random numbers: {said}") from error
        self.generator = np.random.Generator(bits)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}"


class Identity(Module):
    """Return the argument: a layer that does nothing, for a place in a net that stays empty.

    >>> x = np.ones(2)
    >>> Identity()(x) is x
    True
    """

    def forward(self, x: Value) -> Value:
        """Return x.

        Args:
            x: anything.

        Returns:
            x itself.
        """
        return x


class Flatten(Module):
    """Join the axes ``start_dim`` … ``end_dim`` into one axis.

    Args:
        start_dim: the first axis to join.
        end_dim: the last axis to join; negative numbers count from the end.

    Raises:
        ValueError: in a call, the first axis comes after the last one.

    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Value) -> Value:
        """Return x with fewer axes.

        Args:
            x: (N, …).

        Returns:
            The elements of x, by default (N, number of elements of an example).
        """
        start, end = self.start_dim % x.ndim, self.end_dim % x.ndim
        if start > end:
            raise ValueError(f"{self}: axis {self.start_dim} of {x.shape} comes after axis {self.end_dim}")
        return reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))

    def extra_repr(self) -> str:
        """Return the axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split an axis into several: the reverse of `Flatten`.

    Args:
        dim: the axis.
        unflattened_size: the lengths that it is split into; one may be -1, and follows from the others.

    Raises:
        ValueError: in a call, the lengths do not fit.

    >>> Unflatten(1, (3, 4))(np.ones((2, 12))).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Value) -> Value:
        """Return x with more axes.

        Args:
            x: of any shape.

        Returns:
            The elements of x.
        """
        axis = self.dim % x.ndim
        return reshape(x, (*x.shape[:axis], *self.unflattened_size, *x.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        """Return the axis and the lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
