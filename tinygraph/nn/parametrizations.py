"""Weight norm and spectral norm with the state keys of ``torch.nn.utils.parametrizations``."""

from __future__ import annotations

import functools
from typing import TypeVar

from tinygraph.engine.tensor import array_of
from tinygraph.nn.module import Module
from tinygraph.nn.reparametrization import (
    as_matrix,
    axis_of_outputs,
    compute,
    divided,
    iterate,
    norm_over,
    parameter_of,
    parametrized,
    scaled_direction,
    start,
)

__all__ = ["spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    r"""Split a weight into a length and a direction: :math:`w = g\, v / ‖v‖`, for each row of its own.

    Args:
        module: the layer, which is changed.
        name: of the weight.
        dim: the axis along which lengths differ; None for one length of all.

    Returns:
        The layer; ``parametrizations.weight.original0`` is g, and ``original1`` is v.

    Raises:
        ValueError: there is no such parameter.

    Source: Salimans and Kingma 2016, equation 2.

    >>> from tinygraph import nn
    >>> [*weight_norm(nn.Linear(3, 2, bias=False)).state_dict()]
    ['parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    value = parameter_of(module, name, "weight_norm").data
    path = f"parametrizations.{name}"
    function = functools.partial(scaled_direction, length=f"{path}.original0", direction=f"{path}.original1", dim=dim)
    compute(module, name, function)
    parametrized(module, name, original0=array_of(norm_over(value, dim)), original1=value)
    return module


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    r"""Divide a weight by its largest singular value: :math:`w = W / σ(W)`, so that no input grows by it.

    Args:
        module: the layer, which is changed.
        name: of the weight.
        n_power_iterations: how often u and v are multiplied by W, each time the weight is read in training.
        eps: the least length to divide by.
        dim: the axis of the outputs; 1 for a transposed convolution, else 0, unless given.

    Returns:
        The layer; ``parametrizations.weight.original`` is W. u and v begin after 15 iterations.

    Raises:
        ValueError: there is no such parameter, or no iteration.

    Source: Miyato et al. 2018, Algorithm 1.

    >>> from tinygraph import nn
    >>> [*spectral_norm(nn.Linear(3, 2, bias=False)).state_dict()]
    ['parametrizations.weight.original', 'parametrizations.weight.0._u', 'parametrizations.weight.0._v']
    """
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations is {n_power_iterations}, and must be 1 or more")
    value, axis = parameter_of(module, name, "spectral_norm").data, axis_of_outputs(module, dim)
    path = f"parametrizations.{name}"
    function = functools.partial(
        divided, original=f"{path}.original", place=f"{path}.0", u="_u", v="_v", steps=n_power_iterations, eps=eps,
        dim=axis,
    )  # fmt: skip
    compute(module, name, function)
    place = parametrized(module, name, original=value)
    keeper = Module()
    setattr(place, "0", keeper)
    for key, vector in zip(("_u", "_v"), start(value, axis, eps), strict=True):
        keeper.register_buffer(key, vector)
    iterate(keeper, as_matrix(value, axis), "_u", "_v", 15, eps)
    return module
