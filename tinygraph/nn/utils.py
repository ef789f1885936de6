"""Gradients clipped, parameters as one vector, and weights that are computed from others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array, Value
from tinygraph.nn import parametrizations
from tinygraph.nn.reparametrization import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from tinygraph.ops.joining import concatenate
from tinygraph.ops.shape import reshape

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector",
    "parametrizations", "remove_spectral_norm", "remove_weight_norm", "spectral_norm", "vector_to_parameters",
    "weight_norm",
]  # fmt: skip


def with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters that have a gradient."""
    several: Iterable[Tensor] = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in several if p.grad is not None]


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> float:
    """Return the norm of several arrays taken as one vector.

    Args:
        tensors: an array or several, of any shape; none has the norm 0.
        norm_type: p of the p-norm; math.inf takes the largest element, -math.inf the smallest, and 0 counts those
            that are not 0.
        error_if_nonfinite: raise where the norm is nan or infinite.
        foreach: accepted because PyTorch has it, and without effect.

    Returns:
        The norm, as a number.

    Raises:
        RuntimeError: the norm is nan or infinite, and ``error_if_nonfinite``.

    >>> get_total_norm([np.array([3.0]), np.array([4.0])])
    5.0
    """
    p = float(norm_type)
    arrays = [array_of(tensors)] if hasattr(tensors, "shape") else [array_of(t) for t in tensors]
    norms = np.array([float(np.linalg.norm(a.ravel(), p)) for a in arrays if a.size])
    total = float(np.linalg.norm(norms, p)) if len(norms) else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total}")
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: float, foreach: bool | None = None
) -> None:
    """Scale gradients whose norm is known, so that it is at most ``max_norm``.

    Args:
        parameters: a parameter or several; those without a gradient are passed over.
        max_norm: the largest norm that is left alone, in units of the gradients.
        total_norm: their norm, from `get_total_norm`.
        foreach: accepted because PyTorch has it, and without effect.

    >>> p = Tensor([0.0, 0.0]); p.grad = np.array([3.0, 4.0])
    >>> clip_grads_with_norm_(p, 1.0, 5.0); p.grad.round(5)
    array([0.6, 0.8])
    """
    if not total_norm + 1e-6 <= max_norm:
        for p in with_gradient(parameters):
            p.grad = p.grad * (max_norm / (total_norm + 1e-6))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> float:
    """Scale all gradients so that, taken as one vector, their norm is at most ``max_norm``.

    Args:
        parameters: a parameter or several, of any shape; those without a gradient are passed over.
        max_norm: the largest norm that is left alone, in units of the gradients.
        norm_type: p of the p-norm; math.inf takes the largest element.
        error_if_nonfinite: raise instead of scaling by nan or by 0.
        foreach: accepted because PyTorch has it, and without effect.

    Returns:
        The norm before.

    Raises:
        RuntimeError: the norm is nan or infinite, and ``error_if_nonfinite``.

    >>> p = Tensor([0.0, 0.0]); p.grad = np.array([3.0, 4.0])
    >>> clip_grad_norm_(p, 1.0), p.grad.round(5)
    (5.0, array([0.6, 0.8]))
    """
    found = with_gradient(parameters)
    total = get_total_norm([p.grad for p in found], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(found, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip each element of the gradients to -clip_value … clip_value.

    Args:
        parameters: a parameter or several; those without a gradient are passed over.
        clip_value: the largest absolute value, in units of the gradients.
        foreach: accepted because PyTorch has it, and without effect.

    >>> p = Tensor([0.0, 0.0]); p.grad = np.array([3.0, -0.5])
    >>> clip_grad_value_(p, 1.0); p.grad
    array([ 1. , -0.5])
    """
    for p in with_gradient(parameters):
        p.grad = p.grad.clip(-float(clip_value), float(clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return parameters as one vector; its gradient flows back into them.

    Args:
        parameters: of any shape, as ``net.parameters()`` gives them.

    Returns:
        Their elements one after the other, a vector.

    >>> from tinygraph import nn
    >>> parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    vector: Tensor = concatenate([reshape(p, (-1,)) for p in parameters])
    return vector


def vector_to_parameters(vec: Value, parameters: Iterable[Tensor]) -> None:
    """Set parameters to the elements of a vector, as `parameters_to_vector` lays them out.

    Args:
        vec: as many elements as the parameters have together.
        parameters: the parameters to set.

    Raises:
        ValueError: the vector has another length; nothing is set.

    >>> p, q = Tensor([0.0, 0.0]), Tensor([[0.0]])
    >>> vector_to_parameters(np.array([1.0, 2.0, 3.0]), [p, q]); p.data, q.data
    (array([1., 2.]), array([[3.]]))
    """
    several, values, start = [*parameters], array_of(vec), 0
    wanted = sum(p.size for p in several)
    if values.shape != (wanted,):
        raise ValueError(f"vector_to_parameters: a vector of {wanted} elements is needed, not {values.shape}")
    for p in several:
        part: Array = values[start : start + p.size].reshape(p.shape)
        p.data, start = part.astype(p.dtype), start + p.size
