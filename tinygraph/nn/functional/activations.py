"""Activations as functions: element by element, but for the softmaxes. ``inplace`` is taken, and without effect."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy.typing as npt
from numpy.lib.array_utils import normalize_axis_index

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.functions.creation import random_generator
from tinygraph.functions.draws import drawn
from tinygraph.functions.softmax import log_softmax, softmax
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.ops import activations, elementwise
from tinygraph.ops.activations import logsigmoid
from tinygraph.ops.elementwise import abs as absolute
from tinygraph.ops.elementwise import clip, greater, sigmoid, tanh, where
from tinygraph.ops.indexing import index
from tinygraph.ops.shape import reshape
from tinygraph.ops.special import erf

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softmax", "softmin",
    "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
INPLACE = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False, annotation="bool")


def take_inplace(function: F) -> F:
    """Let a function take ``inplace``, as PyTorch's does: a Tensor is never changed, so it has no effect."""
    signature = inspect.signature(function)
    signature = signature.replace(parameters=[*signature.parameters.values(), INPLACE])
    kept = len(signature.parameters) - 1

    @functools.wraps(function)
    def call(*args: Any, inplace: bool = False, **params: Any) -> Any:
        return function(*args[:kept], **params)

    call.__signature__ = signature  # type: ignore[attr-defined]
    before, returns, after = inspect.cleandoc(function.__doc__ or "").partition("\n\nReturns:")
    call.__doc__ = f"{before}\n    inplace: taken, and without effect.{returns}{after}"
    return cast(F, call)


@take_inplace
def relu(x: Value) -> Value:
    """Keep what is above 0: ``max(x, 0)``. The derivative at 0 is 0.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return elementwise.relu(x)


@take_inplace
def leaky_relu(x: Value, negative_slope: float = 0.01) -> Value:
    """Keep what is above 0, and scale the rest.

    Args:
        x: of any shape.
        negative_slope: what values below 0 are multiplied by.

    Returns:
        Of the shape of x.

    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return activations.leaky_relu(x, negative_slope)


@composite
def prelu(x: Value, weight: Value) -> Value:
    """Keep what is above 0, and scale the rest by a number for each channel, which may be learned.

    Args:
        x: of any shape; channels lie along axis 1.
        weight: one number, (1,), or one for each channel, (C,).

    Returns:
        Of the shape of x.

    Raises:
        ValueError: there are neither 1 nor C weights.

    Source: He et al. 2015, equation 1.

    >>> prelu(np.array([[-1.0, 2.0]]), np.array([0.25, 0.5]))
    array([[-0.25,  2.  ]])
    """
    shape = tuple(x.shape)
    channels = shape[1] if len(shape) > 1 else 1
    if tuple(weight.shape) not in ((), (1,), (channels,)):
        raise ValueError(f"prelu: x {list(shape)} has {channels} channels, and weight has shape {list(weight.shape)}")
    if tuple(weight.shape) == (channels,) and len(shape) != 1:
        weight = reshape(weight, (channels, *(1 for _ in shape[2:])) if shape else ())
    return where(greater(x, 0), x, weight * x)


@take_inplace
def rrelu(x: Value, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Value:
    """Keep what is above 0, and scale the rest by random numbers; without training, by their mean.

    Args:
        x: of any shape.
        lower: the least that values below 0 are multiplied by.
        upper: the greatest.
        training: whether to draw, from the generator of `tinygraph.manual_seed`.

    Returns:
        Of the shape of x.

    Source: Xu et al. 2015, section 2.4.

    >>> rrelu(np.array([-4.0, 2.0]), 0.25, 0.25)
    array([-1.,  2.])
    """
    if not training:
        return activations.leaky_relu(x, (lower + upper) / 2)
    shape, dtype, backend = x.shape, x.dtype, backend_of(array_of(x))
    slopes = drawn(shape, dtype, lambda: asarray(random_generator().uniform(lower, upper, shape), backend, dtype))
    return where(greater(x, 0), x, slopes * x)


@take_inplace
def elu(x: Value, alpha: float = 1.0) -> Value:
    """Keep what is above 0, and bend what is below towards -alpha: ``alpha (exp(x) - 1)``.

    Args:
        x: of any shape.
        alpha: minus what far negative x tend to.

    Returns:
        Of the shape of x.

    Source: Clevert, Unterthiner and Hochreiter 2016, equation 15.

    >>> elu(np.array([-1.0, 2.0]))
    array([-0.63212056,  2.        ])
    """
    return activations.elu(x, alpha)


@take_inplace
@composite
def selu(x: Value) -> Value:
    """Scale `elu` such that mean 0 and variance 1 are kept from layer to layer.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    Source: Klambauer et al. 2017, equation 2.

    >>> selu(np.array([-1.0, 2.0]))
    array([-1.11133074,  2.10140197])
    """
    return 1.0507009873554804934193349852946 * activations.elu(x, 1.6732632423543772848170429916717)


@take_inplace
@composite
def celu(x: Value, alpha: float = 1.0) -> Value:
    """Keep what is above 0, and bend what is below: ``alpha (exp(x / alpha) - 1)``, with no corner at 0.

    Args:
        x: of any shape.
        alpha: minus what far negative x tend to; not 0.

    Returns:
        Of the shape of x.

    Source: Barron 2017, equation 2.

    >>> celu(np.array([-1.0, 2.0]))
    array([-0.63212056,  2.        ])
    """
    return activations.elu(x) if alpha == 1 else alpha * activations.elu(x / alpha)


@composite
def gelu(x: Value, approximate: str = "none") -> Value:
    r"""Multiply x by the chance that a normal error is below it: :math:`x \, \Phi(x)`.

    Args:
        x: of any shape.
        approximate: "none", or "tanh" for the formula that many models were trained with.

    Returns:
        Of the shape of x.

    Raises:
        ValueError: another ``approximate``.

    Source: Hendrycks and Gimpel 2016, section 2.

    >>> gelu(np.array([0.0, 1.0]))
    array([0.        , 0.84134475])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate {approximate!r} is neither 'none' nor 'tanh'")
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@take_inplace
def silu(x: Value) -> Value:
    """Multiply by the sigmoid: ``x * sigmoid(x)``, also called swish.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    Source: Elfwing, Uchibe and Doya 2018, section 2.

    >>> silu(np.array([0.0, 1.0]))
    array([0.        , 0.73105858])
    """
    return activations.silu(x)


@take_inplace
def mish(x: Value) -> Value:
    """Multiply by tanh of the softplus: ``x * tanh(log(1 + exp(x)))``.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    Source: Misra 2019, equation 1.

    >>> mish(np.array([0.0, 1.0]))
    array([0.        , 0.86509839])
    """
    return activations.mish(x)


def softplus(x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """Take ``log(1 + exp(beta x)) / beta`` without overflow: relu with its corner rounded.

    Args:
        x: of any shape.
        beta: how sharp the bend is.
        threshold: where ``beta x`` is above it, x is taken. From 20 on this makes no difference, and is left out.

    Returns:
        Of the shape of x.

    >>> softplus(np.array([0.0]))
    array([0.69314718])
    """
    bent = activations.softplus(x, beta)
    return bent if threshold >= 20 else where(greater(beta * x, threshold), x, bent)


@take_inplace
def hardtanh(x: Value, min_val: float = -1.0, max_val: float = 1.0) -> Value:
    """Limit to a range. At a bound no gradient passes, as in PyTorch; with `tinygraph.clip` it does.

    Args:
        x: of any shape.
        min_val: the lower bound.
        max_val: the upper bound.

    Returns:
        Of the shape of x.

    >>> hardtanh(np.array([-3.0, 0.5]))
    array([-1. ,  0.5])
    """
    return activations.hardtanh(x, min_val, max_val)


@take_inplace
def relu6(x: Value) -> Value:
    """Limit to 0 … 6. At a bound no gradient passes.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    >>> relu6(np.array([-3.0, 7.0]))
    array([0., 6.])
    """
    return activations.hardtanh(x, 0.0, 6.0)


@take_inplace
def hardsigmoid(x: Value) -> Value:
    """Approach the sigmoid by three lines: 0 below -3, x/6 + 1/2, and 1 above 3.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    >>> hardsigmoid(np.array([-4.0, 0.0]))
    array([0. , 0.5])
    """
    return activations.hardsigmoid(x)


@take_inplace
@composite
def hardswish(x: Value) -> Value:
    """Multiply by `hardsigmoid`.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    Source: Howard et al. 2019, section 5.2.

    >>> hardswish(np.array([-4.0, 3.0]))
    array([-0.,  3.])
    """
    return x * activations.hardsigmoid(x)


@composite
def softsign(x: Value) -> Value:
    """Squash into -1 … 1: ``x / (1 + abs(x))``.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    >>> softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    return x / (1 + absolute(x))


@composite
def tanhshrink(x: Value) -> Value:
    """Take off tanh: ``x - tanh(x)``.

    Args:
        x: of any shape.

    Returns:
        Of the shape of x.

    >>> tanhshrink(np.array([0.0]))
    array([0.])
    """
    return x - tanh(x)


@composite
def softshrink(x: Value, lambd: float = 0.5) -> Value:
    """Move towards 0 by ``lambd``, and stop there.

    Args:
        x: of any shape.
        lambd: 0 or more.

    Returns:
        Of the shape of x.

    Raises:
        ValueError: lambd is below 0.

    >>> softshrink(np.array([-2.0, 0.25]))
    array([-1.5,  0. ])
    """
    if lambd < 0:
        raise ValueError(f"softshrink: lambd is {lambd}; it must be 0 or more")
    return x - clip(x, -lambd, lambd)


@composite
def hardshrink(x: Value, lambd: float = 0.5) -> Value:
    """Set what is within ``lambd`` of 0 to 0.

    Args:
        x: of any shape.
        lambd: 0 or more.

    Returns:
        Of the shape of x.

    >>> hardshrink(np.array([-2.0, 0.25]))
    array([-2.,  0.])
    """
    return where(greater(absolute(x), lambd), x, 0)


@take_inplace
@composite
def threshold(x: Value, threshold: float, value: float) -> Value:
    """Keep what is above a threshold, and set the rest to a value.

    Args:
        x: of any shape.
        threshold: at or below it stands ``value``.
        value: any number.

    Returns:
        Of the shape of x.

    >>> threshold(np.array([0.5, 2.0]), 1.0, -1.0)
    array([-1.,  2.])
    """
    return where(greater(x, threshold), x, value)


@composite
def glu(x: Value, dim: int = -1) -> Value:
    """Multiply one half of the channels by the sigmoid of the other.

    Args:
        x: of any shape; axis ``dim`` has an even length.
        dim: the axis that is halved.

    Returns:
        The products: along ``dim`` half as many.

    Raises:
        ValueError: the axis has an odd length.

    Source: Dauphin et al. 2017, equation 1.

    >>> glu(np.array([1.0, 2.0, 0.0, 0.0]))
    array([0.5, 1. ])
    """
    axis = normalize_axis_index(dim, len(x.shape))
    length = x.shape[axis]
    if length % 2:
        raise ValueError(f"glu: axis {dim} of {list(x.shape)} has {length} elements, which cannot be halved")
    before = (slice(None),) * axis
    halves = slice(None, length // 2), slice(length // 2, None)
    first, second = (index(x, (*before, half)) for half in halves)
    return first * sigmoid(second)


def softmin(x: Value, dim: int = -1, *, dtype: npt.DTypeLike | None = None) -> Value:
    """Turn scores into probabilities along an axis, the least of them the likeliest: softmax of -x.

    Args:
        x: scores, of any shape.
        dim: the axis of the classes.
        dtype: what the scores are converted to first; their own unless given.

    Returns:
        Of the shape of x.

    >>> softmin(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    return softmax(-x, dim, dtype=dtype)
