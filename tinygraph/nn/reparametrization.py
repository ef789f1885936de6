"""Weights that are computed from others: weight norm and spectral norm, in both of PyTorch's spellings.

The attribute of the weight becomes a function of the layer: whoever reads ``layer.weight`` gets it computed, recorded
in the scope of the reader. So nothing is stale, and what is drawn is what ran.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tinygraph.engine.tensor import Parameter, Tensor, array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.checks import label
from tinygraph.functions.creation import random_generator
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinygraph.nn.module import Module
from tinygraph.ops.elementwise import sqrt, square
from tinygraph.ops.reduce import sum  # noqa: A004 - NumPy's name
from tinygraph.ops.shape import moveaxis, reshape

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


def parameter_of(module: Module, name: str, what: str) -> Parameter:
    """Return the parameter that is to be computed from others; raise if there is none."""
    found = vars(module).get(name)
    if not isinstance(found, Parameter):
        raise ValueError(f"{what}: {type(module).__name__} has no parameter {name!r}")
    return found


def compute(module: Module, name: str, function: Callable[[Module], Value]) -> None:
    """Let an attribute be computed from the module."""
    delattr(module, name)
    object.__setattr__(module, "_computed", {**module._computed, name: function})


def hold(module: Module, name: str, what: str) -> Value:
    """Make an attribute a parameter again, with the value it has; return that value."""
    if name not in module._computed:
        raise ValueError(f"{what}: {name!r} of {type(module).__name__} is not computed from others")
    value = getattr(module, name)
    object.__setattr__(module, "_computed", {n: f for n, f in module._computed.items() if n != name})
    setattr(module, name, Parameter(array_of(value)))
    return value


# Weight norm ------------------------------------------------------------------------------------------------------


def norm_over(v: Value, dim: int | None) -> Value:
    """Return the norm of v over all axes but ``dim``, which keep the length 1; over all where that is None."""
    if dim is None:
        return sqrt(sum(square(v)))
    axes = tuple(a for a in range(len(v.shape)) if a != dim % len(v.shape))
    return sqrt(sum(square(v), axes, True))


def scaled_direction(module: Module, length: str, direction: str, dim: int | None) -> Value:
    """Return g v / ‖v‖."""
    g, v = module.get_parameter(length), module.get_parameter(direction)
    return label(v * (g / norm_over(v, dim)), "w")


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    r"""Split a weight into a length and a direction: :math:`w = g\, v / ‖v‖`, for each row of its own.

    Args:
        module: the layer, which is changed.
        name: of the weight; ``name_g`` and ``name_v`` take its place.
        dim: the axis along which lengths differ; None for one length of all.

    Returns:
        The layer.

    Raises:
        ValueError: there is no such parameter.

    Source: Salimans and Kingma 2016, equation 2.

    >>> from tinygraph import nn
    >>> layer = weight_norm(nn.Linear(3, 2))
    >>> [*layer.state_dict()], layer.weight.shape
    (['bias', 'weight_g', 'weight_v'], (2, 3))
    """
    value = parameter_of(module, name, "weight_norm").data
    compute(module, name, functools.partial(scaled_direction, length=f"{name}_g", direction=f"{name}_v", dim=dim))
    setattr(module, f"{name}_g", Parameter(array_of(norm_over(value, dim))))
    setattr(module, f"{name}_v", Parameter(value))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make a weight of `weight_norm` a parameter again, with the value it has.

    Args:
        module: the layer, which is changed.
        name: of the weight.

    Returns:
        The layer.

    Raises:
        ValueError: the weight was not split.

    >>> from tinygraph import nn
    >>> [*remove_weight_norm(weight_norm(nn.Linear(3, 2))).state_dict()]
    ['bias', 'weight']
    """
    hold(module, name, "remove_weight_norm")
    for suffix in "gv":
        delattr(module, f"{name}_{suffix}")
    return module


# Spectral norm ----------------------------------------------------------------------------------------------------


def as_matrix(w: Value, dim: int) -> Value:
    """Return w as a matrix, whose rows are its axis ``dim``."""
    return reshape(w if dim == 0 else moveaxis(w, dim, 0), (w.shape[dim], -1))


def unit(x: Array, eps: float) -> Array:
    """Return a vector of length 1 in the direction of x."""
    found: Array = x / np.maximum(np.sqrt((x * x).sum()), eps)
    return found


def divided(module: Module, original: str, place: str, u: str, v: str, steps: int, eps: float, dim: int) -> Value:
    """Return w / σ(w); in training, first move u and v nearer to the largest singular vectors."""
    w, keeper = module.get_parameter(original), module.get_submodule(place)
    matrix = as_matrix(w, dim)
    if module.training:
        iterate(keeper, array_of(matrix), u, v, steps, eps)
    left, right = (Tensor(getattr(keeper, name), name=name.strip("_"), requires_grad=False) for name in (u, v))
    sigma = label(sum(left * (matrix @ right)), "σ")
    return label(w / sigma, "w")


def iterate(keeper: Module, matrix: Array, u: str, v: str, steps: int, eps: float) -> None:
    """Multiply u and v by the matrix, so that they approach its largest singular vectors."""
    left, right = getattr(keeper, u), getattr(keeper, v)
    for _ in range(steps):
        if u == "_u":  # PyTorch's newer spelling moves u first
            left = unit(matrix @ right, eps)
            right = unit(matrix.T @ left, eps)
        else:
            right = unit(matrix.T @ left, eps)
            left = unit(matrix @ right, eps)
    setattr(keeper, u, left)
    setattr(keeper, v, right)


def axis_of_outputs(module: Module, dim: int | None) -> int:
    """Return the axis of a weight that is the rows of its matrix."""
    is_transposed = isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d)
    return int(is_transposed) if dim is None else dim


def start(value: Array, dim: int, eps: float) -> tuple[Array, Array]:
    """Return random vectors of length 1 for the rows and the columns of a weight's matrix."""
    matrix, rng = as_matrix(value, dim), random_generator()
    found = (rng.standard_normal(n) for n in matrix.shape)
    left, right = (unit(asarray(x, backend_of(value), value.dtype), eps) for x in found)
    return left, right


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    r"""Divide a weight by its largest singular value: :math:`w = W / σ(W)`, so that no input grows by it.

    Args:
        module: the layer, which is changed.
        name: of the weight; ``name_orig`` takes its place, and ``name_u`` and ``name_v`` are buffers.
        n_power_iterations: how often u and v are multiplied by W, each time the weight is read in training.
        eps: the least length to divide by.
        dim: the axis of the outputs; 1 for a transposed convolution, else 0, unless given.

    Returns:
        The layer.

    Raises:
        ValueError: there is no such parameter, or no iteration.

    Source: Miyato et al. 2018, Algorithm 1.

    >>> from tinygraph import nn
    >>> [*spectral_norm(nn.Linear(3, 2)).state_dict()]
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations is {n_power_iterations}, and must be 1 or more")
    value, axis = parameter_of(module, name, "spectral_norm").data, axis_of_outputs(module, dim)
    compute(
        module, name,
        functools.partial(
            divided, original=f"{name}_orig", place="", u=f"{name}_u", v=f"{name}_v", steps=n_power_iterations, eps=eps,
            dim=axis,
        ),
    )  # fmt: skip
    setattr(module, f"{name}_orig", Parameter(value))
    for suffix, vector in zip("uv", start(value, axis, eps), strict=True):
        module.register_buffer(f"{name}_{suffix}", vector)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make a weight of `spectral_norm` a parameter again, with the value it has.

    Args:
        module: the layer, which is changed.
        name: of the weight.

    Returns:
        The layer.

    Raises:
        ValueError: the weight was not divided.

    >>> from tinygraph import nn
    >>> [*remove_spectral_norm(spectral_norm(nn.Linear(3, 2))).state_dict()]
    ['bias', 'weight']
    """
    was_training = module.training
    module.training = False  # no further step: the value is that which the last call used
    hold(module, name, "remove_spectral_norm")
    module.training = was_training
    gone = {f"{name}_{suffix}" for suffix in ("orig", "u", "v")}
    for old in gone:
        delattr(module, old)
    module._buffers = tuple(n for n in module._buffers if n not in gone)
    return module


def parametrized(module: Module, name: str, **parameters: Any) -> Module:
    """Return a place for what a weight is computed from, with PyTorch's path: ``parametrizations.weight``."""
    if not isinstance(vars(module).get("parametrizations"), Module):
        module.add_module("parametrizations", Module())
    place = Module()
    module.get_submodule("parametrizations").add_module(name, place)
    for key, value in parameters.items():
        setattr(place, key, Parameter(value))
    return place
