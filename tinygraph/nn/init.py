"""Initialisers, as PyTorch names them: each replaces the data of a tensor, and draws from a generator it is given.

Without one it draws from that of `tinygraph.manual_seed`, whose numbers are new in each run until it is seeded.
`manual_seed` of this module draws all the parameters of one net anew from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tinygraph.engine.arrays import asarray, backend_of
from tinygraph.functions.creation import random_generator

if TYPE_CHECKING:
    from tinygraph.nn.module import Module

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "manual_seed", "normal_",
    "ones_", "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

Generator = np.random.Generator | None
M = TypeVar("M", bound="Module")
GAINS = {"relu": math.sqrt(2), "tanh": 5 / 3, "selu": 3 / 4}


def manual_seed(module: M, seed: int | np.random.Generator) -> M:
    """Draw all parameters of a module anew from one seed, and seed its dropouts; return the module.

    Modules are visited in the order of ``named_modules``; each that has ``reset_parameters(generator)``
    draws its own.

    Args:
        module: any module.
        seed: a number, or a generator to draw from.

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


def filled(tensor: Any, values: Any) -> Any:
    """Replace the data of a tensor, keeping its dtype and backend; return the tensor."""
    old = tensor.data
    tensor.data = asarray(np.broadcast_to(values, old.shape).astype(old.dtype), backend_of(old))
    return tensor


def drawn(tensor: Any, generator: Generator, draw: Callable[[np.random.Generator, tuple[int, ...]], Any]) -> Any:
    """Replace the data of a tensor by random numbers of its shape."""
    return filled(tensor, draw(generator or random_generator(), tensor.shape))


def fans(tensor: Any) -> tuple[int, int]:
    """Return how many inputs go into an output, and how many outputs an input goes into."""
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(f"fan-in and fan-out take weights of two axes or more, (out, in, …), not {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return by how much to scale weights before a nonlinearity, to keep the variance: √2 before relu.

    Args:
        nonlinearity: "linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the slope of leaky_relu below 0; 0.01 unless given.

    Raises:
        ValueError: another nonlinearity.

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


def zeros_(tensor: Any) -> Any:
    """Fill with 0."""
    return filled(tensor, 0)


def ones_(tensor: Any) -> Any:
    """Fill with 1."""
    return filled(tensor, 1)


def constant_(tensor: Any, val: float) -> Any:
    """Fill with one value."""
    return filled(tensor, val)


def eye_(tensor: Any) -> Any:
    """Fill with the identity matrix: a linear layer passes its input on."""
    return filled(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Any) -> Any:
    """Fill filters (O, C, kh, kw) so that a convolution passes its channels on, as many as there are."""
    values = np.zeros(tensor.shape)
    for i in range(min(tensor.shape[:2])):
        values[(i, i, *(n // 2 for n in tensor.shape[2:]))] = 1
    return filled(tensor, values)


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Generator = None) -> Any:
    """Draw evenly from a … b."""
    return drawn(tensor, generator, lambda rng, shape: rng.uniform(a, b, shape))


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Generator = None) -> Any:
    """Draw from a normal distribution."""
    return drawn(tensor, generator, lambda rng, shape: rng.normal(mean, std, shape))


def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator = None
) -> Any:
    """Draw from a normal distribution, and again what falls outside of a … b.

    Raises:
        ValueError: less than one in a thousand would fall inside.
    """
    below = [0.5 * math.erfc(-(x - mean) / std / math.sqrt(2)) for x in (a, b)]
    if below[1] - below[0] < 1e-3:
        raise ValueError(f"trunc_normal_: {a} … {b} holds next to nothing of a normal distribution of {mean} ± {std}")

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        values = rng.normal(mean, std, shape)
        while (outside := (values < a) | (values > b)).any():
            values = np.where(outside, rng.normal(mean, std, shape), values)
        return values

    return drawn(tensor, generator, draw)


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Generator = None) -> Any:
    """Draw evenly with variance 2·gain² / (fan_in + fan_out).

    Source: Glorot and Bengio 2010, equation 16.
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Generator = None) -> Any:
    """Draw from a normal distribution with variance 2·gain² / (fan_in + fan_out).

    Source: Glorot and Bengio 2010.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    """Return the standard deviation that keeps the variance of activations (fan_in) or of gradients (fan_out)."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode {mode!r} is neither 'fan_in' nor 'fan_out'")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fans(tensor)[mode == "fan_out"], 1))


def kaiming_uniform_(
    tensor: Any, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator = None
) -> Any:
    """Draw evenly with standard deviation gain / √fan.

    Args:
        tensor: weights (out, in, …).
        a: the slope of leaky_relu below 0.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: what follows, as in `calculate_gain`.
        generator: what to draw from; new numbers each time without one.

    Source: He, Zhang, Ren and Sun 2015, equations 10 and 14.
    """
    bound = math.sqrt(3) * kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator = None
) -> Any:
    """Draw from a normal distribution with standard deviation gain / √fan; arguments as in `kaiming_uniform_`.

    Source: He, Zhang, Ren and Sun 2015, equations 10 and 14.
    """
    return normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Any, gain: float = 1.0, generator: Generator = None) -> Any:
    """Fill with a random matrix whose rows, or columns if they are fewer, are orthogonal and of length ``gain``.

    Source: Saxe, McClelland and Ganguli 2014.
    """

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))  # so that every orthogonal matrix is as likely
        return (gain * (q if rows >= columns else q.T)).reshape(shape)

    fans(tensor)
    return drawn(tensor, generator, draw)
