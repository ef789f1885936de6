"""Attention, made of ops: each query gets the mean of the values, weighed by how well it fits their keys."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.functions.checks import label
from tinygraph.functions.softmax import softmax
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import index
from tinygraph.ops.shape import swapaxes


def attend(
    q: Value,
    k: Value,
    v: Value,
    mask: Value = None,
    scale: float | None = None,
    thin: Callable[[Value], Value] | None = None,
) -> tuple[Value, Value]:
    r"""Return :math:`\mathrm{softmax}(Q K^{\mathsf T} / \sqrt d)\, V`, and the weights.

    Args:
        q: queries, (…, L, d).
        k: keys, (…, S, d).
        v: values, (…, S, e).
        mask: of a shape that broadcasts to (…, L, S): booleans, True where a query may look, or numbers to add.
        scale: in place of ``1 / √d``.
        thin: drops some of the weights.

    Returns:
        (…, L, e), and the weights (…, L, S). A query that may look nowhere gets zeros.
    """
    scores = label(q @ swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale), "scores")
    if mask is None:
        weights = softmax(scores, -1)
    else:
        scores = where(mask, scores, -math.inf) if array_of(mask).dtype == bool else scores + mask
        is_blind = (array_of(scores) == -math.inf).all(-1, keepdims=True)
        if is_blind.any():
            scores = where(is_blind, 0, scores)
        weights = softmax(scores, -1)
        if is_blind.any():
            weights = where(is_blind, 0, weights)
    weights = label(weights if thin is None else thin(weights), "weights")
    return weights @ v, weights


def causal(queries: int, keys: int) -> np.ndarray:
    """Return the mask with which a query sees no key that comes after it: booleans (queries, keys)."""
    return np.tril(np.ones((queries, keys), bool))


def repeat_heads(x: Value, heads: int) -> Value:
    """Return the heads (…, h, S, d) as often one after the other as it takes to have so many."""
    have: int = x.shape[-3]
    if heads % have:
        raise ValueError(f"attention: {have} heads of keys do not divide {heads} heads of queries")
    places = np.repeat(np.arange(have), heads // have)
    return x if heads == have else index(x, (..., places, slice(None), slice(None)))


@composite
def attention(
    q: Value,
    k: Value,
    v: Value,
    mask: Value = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    thin: Callable[[Value], Value] | None = None,
) -> Value:
    """Return what `attend` returns first; with ``enable_gqa`` several heads of queries share one of keys and values."""
    if is_causal:
        mask = asarray(causal(q.shape[-2], k.shape[-2]), backend_of(array_of(q)))
    if enable_gqa:
        k, v = repeat_heads(k, q.shape[-3]), repeat_heads(v, q.shape[-3])
    return attend(q, k, v, mask, scale, thin)[0]
