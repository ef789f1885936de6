"""Initialisers, as PyTorch names them: each replaces the data of a tensor, and draws from a generator it is given.

Without one it draws from that of `tinygraph.manual_seed`, whose numbers are new in each run until it is seeded.
`manual_seed` of this module draws all the parameters of one net anew from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Array, ArrayLike, Shape
from tinygraph.functions.creation import random_generator
from tinygraph.kernels.arrays import asarray, backend_of

if TYPE_CHECKING:
    from tinygraph.nn.module import Module

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "manual_seed", "normal_",
    "ones_", "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

Generator = np.random.Generator | None
M = TypeVar("M", bound="Module")
T = TypeVar("T", bound=Tensor)
GAINS = {"relu": math.sqrt(2), "tanh": 5 / 3, "selu": 3 / 4}


def manual_seed(module: M, seed: int | np.random.Generator) -> M:
    """Draw all parameters of a module anew from one seed, and seed its dropouts.

    Modules are visited in the order of ``named_modules``. Each one that has ``reset_parameters(generator)`` draws
    its own parameters.

    Args:
        module: any module.
        seed: a number, or a generator to draw from.

    Returns:
        The module.

    >>> from tinygraph import nn
    >>> first, second = (manual_seed(nn.Linear(2, 3), 0) for _ in range(2))
    >>> bool((first.weight.data == second.weight.data).all())
    True
    """
    generator = np.random.default_rng(seed)
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters(generator)
    return module


def fill(tensor: T, values: ArrayLike) -> T:
    """Replace the data of a tensor, in its dtype and on its backend; return the tensor."""
    old = tensor.data
    tensor.data = asarray(np.broadcast_to(values, old.shape).astype(old.dtype), backend_of(old))
    return tensor


def fill_randomly(tensor: T, generator: Generator, draw: Callable[[np.random.Generator, Shape], Array]) -> T:
    """Replace the data of a tensor by random numbers of its shape; return the tensor."""
    return fill(tensor, draw(generator or random_generator(), tensor.shape))


def fans(tensor: Tensor) -> tuple[int, int]:
    """Return how many inputs each output has, and how many outputs each input has."""
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(f"fan-in and fan-out take weights of two axes or more, (out, in, …), not {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that weights before a nonlinearity are scaled by, to keep the variance: √2 before relu.

    Args:
        nonlinearity: "linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the slope of leaky_relu below 0; 0.01 unless given.

    Returns:
        The factor, above 0.

    Raises:
        ValueError: the nonlinearity is another.

    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity in GAINS:
        return GAINS[nonlinearity]
    if nonlinearity in ("linear", "conv2d", "sigmoid"):
        return 1.0
    known = ", ".join(["linear", "conv2d", "sigmoid", "leaky_relu", *GAINS])
    raise ValueError(f"calculate_gain: {nonlinearity!r} is none of {known}")


def zeros_(tensor: T) -> T:
    """Fill with 0.

    Args:
        tensor: of any shape; its data is replaced.

    Returns:
        The tensor.

    >>> from tinygraph import Tensor
    >>> zeros_(Tensor([1.0, 2.0])).data
    array([0., 0.])
    """
    return fill(tensor, 0)


def ones_(tensor: T) -> T:
    """Fill with 1.

    Args:
        tensor: of any shape; its data is replaced.

    Returns:
        The tensor.

    >>> from tinygraph import Tensor
    >>> ones_(Tensor([3.0, 2.0])).data
    array([1., 1.])
    """
    return fill(tensor, 1)


def constant_(tensor: T, val: float) -> T:
    """Fill with one value.

    Args:
        tensor: of any shape; its data is replaced.
        val: the value.

    Returns:
        The tensor.

    >>> from tinygraph import Tensor
    >>> constant_(Tensor([3.0, 2.0]), 5).data
    array([5., 5.])
    """
    return fill(tensor, val)


def eye_(tensor: T) -> T:
    """Fill with the identity matrix: a linear layer passes its input on.

    Args:
        tensor: a matrix; its data is replaced.

    Returns:
        The tensor.

    Raises:
        ValueError: the tensor is no matrix.

    >>> from tinygraph import Tensor
    >>> eye_(Tensor(np.zeros((2, 3)))).data
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    if len(tensor.shape) != 2:
        raise ValueError(f"eye_: the tensor must be a matrix, not of shape {tensor.shape}")
    return fill(tensor, np.eye(*tensor.shape))


def dirac_(tensor: T) -> T:
    """Fill filters so that a convolution passes its channels on: as many as both sides have.

    Args:
        tensor: filters (O, C, kh, kw), whose data is replaced.

    Returns:
        The tensor.

    Raises:
        ValueError: the tensor has less than three axes.

    >>> from tinygraph import Tensor
    >>> dirac_(Tensor(np.zeros((1, 1, 3, 3)))).data[0, 0]
    array([[0., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]])
    """
    if len(tensor.shape) < 3:
        raise ValueError(f"dirac_: the tensor must be filters (O, C, …), not of shape {tensor.shape}")
    values = np.zeros(tensor.shape)
    for i in range(min(tensor.shape[:2])):
        values[(i, i, *(n // 2 for n in tensor.shape[2:]))] = 1
    return fill(tensor, values)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator = None) -> T:
    """Draw evenly from a … b.

    Args:
        tensor: of any shape; its data is replaced.
        a: the smallest number.
        b: the end of the range, itself left out.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    >>> from tinygraph import Tensor
    >>> x = uniform_(Tensor(np.zeros(100)), 2, 3).data
    >>> bool((x >= 2).all() and (x < 3).all())
    True
    """
    return fill_randomly(tensor, generator, lambda rng, shape: rng.uniform(a, b, shape))


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator = None) -> T:
    """Draw from a normal distribution.

    Args:
        tensor: of any shape; its data is replaced.
        mean: its mean.
        std: its standard deviation, 0 or more.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    >>> from tinygraph import Tensor
    >>> normal_(Tensor(np.zeros(2)), mean=5, std=0).data
    array([5., 5.])
    """
    return fill_randomly(tensor, generator, lambda rng, shape: rng.normal(mean, std, shape))


def trunc_normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator = None
) -> T:
    """Draw from a normal distribution, and draw again each number outside of a … b.

    Args:
        tensor: of any shape; its data is replaced.
        mean: its mean.
        std: its standard deviation, above 0.
        a: the smallest number allowed.
        b: the greatest number allowed.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    Raises:
        ValueError: fewer than one number in a thousand would be allowed.

    >>> from tinygraph import Tensor
    >>> bool(abs(trunc_normal_(Tensor(np.zeros(100)), a=-1, b=1).data).max() <= 1)
    True
    """
    below = [0.5 * math.erfc(-(x - mean) / std / math.sqrt(2)) for x in (a, b)]
    if below[1] - below[0] < 1e-3:
        raise ValueError(
            f"trunc_normal_: less than a thousandth of a normal distribution of {mean} ± {std} lies in {a} … {b}"
        )

    def draw(rng: np.random.Generator, shape: Shape) -> Array:
        values = rng.normal(mean, std, shape)
        while (outside := (values < a) | (values > b)).any():
            values = np.where(outside, rng.normal(mean, std, shape), values)
        return values

    return fill_randomly(tensor, generator, draw)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Draw evenly, with variance 2·gain² / (fan_in + fan_out).

    Args:
        tensor: weights (out, in, …), whose data is replaced.
        gain: factor for the nonlinearity that follows, as `calculate_gain` returns it.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    Raises:
        ValueError: the tensor has one axis or none.

    Source: Glorot and Bengio 2010, equation 16.

    >>> from tinygraph import Tensor
    >>> bool(abs(xavier_uniform_(Tensor(np.zeros((3, 3)))).data).max() <= 1)
    True
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Draw from a normal distribution with variance 2·gain² / (fan_in + fan_out).

    Args:
        tensor: weights (out, in, …), whose data is replaced.
        gain: factor for the nonlinearity that follows, as `calculate_gain` returns it.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    Raises:
        ValueError: the tensor has one axis or none.

    Source: Glorot and Bengio 2010, equation 12.

    >>> from tinygraph import Tensor
    >>> xavier_normal_(Tensor(np.ones((2, 3))), gain=0).data.shape
    (2, 3)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """Return the standard deviation that keeps the variance of activations (fan_in) or of gradients (fan_out)."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode {mode!r} is neither 'fan_in' nor 'fan_out'")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fans(tensor)[mode == "fan_out"], 1))


def kaiming_uniform_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator = None
) -> T:
    """Draw evenly, with standard deviation gain / √fan.

    Args:
        tensor: weights (out, in, …), whose data is replaced.
        a: the slope of leaky_relu below 0.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: the function that follows, as in `calculate_gain`.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    Raises:
        ValueError: the tensor has one axis or none, or ``mode`` or ``nonlinearity`` is another.

    Source: He, Zhang, Ren and Sun 2015, equations 10 and 14.

    >>> from tinygraph import Tensor
    >>> bool(abs(kaiming_uniform_(Tensor(np.zeros((2, 6)))).data).max() <= 1)
    True
    """
    bound = math.sqrt(3) * kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator = None
) -> T:
    """Draw from a normal distribution with standard deviation gain / √fan.

    Args:
        tensor: weights (out, in, …), whose data is replaced.
        a: the slope of leaky_relu below 0.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: the function that follows, as in `calculate_gain`.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    Raises:
        ValueError: the tensor has one axis or none, or ``mode`` or ``nonlinearity`` is another.

    Source: He, Zhang, Ren and Sun 2015, equations 10 and 14.

    >>> from tinygraph import Tensor
    >>> kaiming_normal_(Tensor(np.zeros((2, 6)))).data.shape
    (2, 6)
    """
    return normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with a random matrix whose rows are orthogonal; its columns, if they are fewer.

    Args:
        tensor: weights (out, in, …), whose data is replaced.
        gain: the length of each row or column.
        generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.

    Returns:
        The tensor.

    Raises:
        ValueError: the tensor has one axis or none.

    Source: Saxe, McClelland and Ganguli 2014.

    >>> from tinygraph import Tensor
    >>> w = orthogonal_(Tensor(np.zeros((2, 3)))).data
    >>> bool(np.allclose(w @ w.T, np.eye(2)))
    True
    """

    def draw(rng: np.random.Generator, shape: Shape) -> Array:
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))  # so that every orthogonal matrix is as likely as any other
        return (gain * (q if rows >= columns else q.T)).reshape(shape)

    fans(tensor)
    return fill_randomly(tensor, generator, draw)
