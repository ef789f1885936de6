"""Attention as functions: softmax(Q Kᵀ / √d) V, and that of several heads, with their projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.functions.attention import attend, attention
from tinygraph.functions.checks import label
from tinygraph.nn.functional.layers import dropout, linear
from tinygraph.ops.indexing import split
from tinygraph.ops.joining import concatenate
from tinygraph.ops.reduce import mean
from tinygraph.ops.shape import broadcast_to, expand_dims, reshape, squeeze, swapaxes, transpose

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    r"""Give each query the mean of the values, weighed by :math:`\mathrm{softmax}(Q K^{\mathsf T} / \sqrt d)`.

    Args:
        query: Q, (…, L, d).
        key: K, (…, S, d).
        value: V, (…, S, e).
        attn_mask: of a shape that broadcasts to (…, L, S): booleans, True where a query may look; or numbers that are
            added to the scores.
        dropout_p: probability that a weight is set to 0, 0 … 1; it is not a question of training here.
        is_causal: whether query i sees the keys 0 … i alone.
        scale: what scores are multiplied by; ``1 / √d`` unless given.
        enable_gqa: whether the heads of query, its axis -3, may be a multiple of those of key and value, which are then
            shared by as many.

    Returns:
        (…, L, e). A query that may look nowhere gets zeros.

    Raises:
        ValueError: both a mask and ``is_causal`` are given; shapes do not fit.

    Source: Vaswani et al. 2017, equation 1.

    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(x, x, x, is_causal=True).round(2)
    array([[1.  , 0.  ],
           [0.33, 0.67]])
    """
    if is_causal and attn_mask is not None:
        raise ValueError("scaled_dot_product_attention: give attn_mask or is_causal, not both")
    if len(query.shape) < 2 or query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        shapes = f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        raise ValueError(f"scaled_dot_product_attention: {shapes} are not (…, L, d), (…, S, d) and (…, S, e)")
    return attention(
        query, key, value, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa,
        thin=(lambda weights: dropout(weights, dropout_p)) if dropout_p else None,
    )  # fmt: skip


class Heads(NamedTuple):
    """What attention with several heads takes, beside queries, keys and values and their masks."""

    num_heads: int
    weights: Sequence[Value]  # of the projections of queries, keys and values
    shifts: Sequence[Value]
    bias_k: Value = None
    bias_v: Value = None
    add_zero_attn: bool = False
    static: tuple[Value, Value] = (None, None)  # keys and values of the heads, in place of projected ones


def heads_of(x: Value, count: int) -> Value:
    """Return (N, L, E) as (N, count, L, E / count)."""
    n, length, width = x.shape
    return transpose(reshape(x, (n, length, count, width // count)), (0, 2, 1, 3))


def join_masks(what: object, padding: Value, mask: Value, q: Value, keys: int, extra: int) -> Value:
    """Return both masks as one that broadcasts to (N, heads, L, S + extra): True where a query may look, or numbers.

    The numbers are added to the scores. Keys that were added here are seen.
    """
    n, heads, length = q.shape[:3]
    found = []
    for given, name in ((padding, "key_padding_mask"), (mask, "attn_mask")):
        if given is None:
            continue
        array = array_of(given)
        shapes = [(n, keys), (keys,)][: 2 if n == 1 else 1]
        shapes = shapes if name == "key_padding_mask" else [(length, keys), (n * heads, length, keys)]
        if tuple(array.shape) not in shapes:
            raise ValueError(f"{what}: {name} has shape {tuple(array.shape)}; it may be {shapes}")
        array = array.reshape((n, 1, 1, keys) if name == "key_padding_mask" else (-1, heads, length, keys)
                              if array.ndim == 3 else (1, 1, length, keys))  # fmt: skip
        if extra:
            array = np.concatenate([array, np.zeros((*array.shape[:3], extra), array.dtype)], 3)
        found.append(array)
    if not found:
        return None
    if all(a.dtype == bool for a in found):
        return ~np.logical_or(*found) if len(found) == 2 else ~found[0]
    numbers = [np.where(a, -np.inf, 0.0).astype(q.dtype) if a.dtype == bool else a.astype(q.dtype) for a in found]
    return numbers[0] + numbers[1] if len(numbers) == 2 else numbers[0]


def attend_with_heads(
    what: object,
    rows: Sequence[Value],
    heads: Heads,
    key_padding_mask: Any,
    attn_mask: Any,
    thin: Callable[[Value], Value] | None,
) -> tuple[Value, Value]:
    """Project queries, keys and values (N, L, E), and attend: return (N, L, E) and the weights (N, heads, L, S).

    Args:
        what: what an error names.
        rows: queries, keys and values, batch first.
        heads: how many heads, and the projections.
        key_padding_mask: booleans (N, S), True where a key is padding, or numbers to add; or None.
        attn_mask: (L, S) or (N · heads, L, S), likewise; or None.
        thin: drops some of the weights.
    """
    q, k, v = (
        label(linear(x, w, b), name) for x, w, b, name in zip(rows, heads.weights, heads.shifts, "QKV", strict=True)
    )
    n, length, width = q.shape
    extra = 0
    if heads.bias_k is not None:
        k, v = (
            concatenate([x, broadcast_to(row, (n, 1, width))], 1) for x, row in ((k, heads.bias_k), (v, heads.bias_v))
        )
        extra += 1
    q = heads_of(q, heads.num_heads)
    k, v = (
        heads_of(x, heads.num_heads) if given is None else reshape(given, (n, heads.num_heads, *given.shape[1:]))
        for x, given in zip((k, v), heads.static, strict=True)
    )
    if heads.add_zero_attn:
        none = np.zeros_like(array_of(k), shape=(*k.shape[:2], 1, k.shape[3]))
        k, v, extra = concatenate([k, none], 2), concatenate([v, none], 2), extra + 1
    mask = join_masks(what, key_padding_mask, attn_mask, q, k.shape[2] - extra, extra)
    found, weights = attend(q, k, v, mask, None, thin)
    return reshape(transpose(found, (0, 2, 1, 3)), (n, length, width)), weights


def multi_head_attention_forward(
    query: Value,
    key: Value,
    value: Value,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Value,
    in_proj_bias: Value,
    bias_k: Value,
    bias_v: Value,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Value,
    out_proj_bias: Value,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Value = None,
    k_proj_weight: Value = None,
    v_proj_weight: Value = None,
    static_k: Value = None,
    static_v: Value = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Value, Value | None]:
    """Attend with several heads, each with projections of its own: what `tinygraph.nn.MultiheadAttention` computes.

    Args:
        query: (L, N, E), or (L, E) of one example.
        key: (S, N, kdim), likewise.
        value: (S, N, vdim), likewise.
        embed_dim_to_check: E.
        num_heads: how many heads; it divides E.
        in_proj_weight: the projections of queries, keys and values below one another, (3 E, E).
        in_proj_bias: their shifts, (3 E,), or None.
        bias_k: a key that stands after the others, (1, 1, E), or None.
        bias_v: its value, likewise.
        add_zero_attn: whether a key and a value of zeros stand after the others.
        dropout_p: probability that a weight is set to 0, in training.
        out_proj_weight: the matrix that mixes the heads, (E, E).
        out_proj_bias: (E,), or None.
        training: whether weights are dropped.
        key_padding_mask: (N, S): booleans, True where a key is padding, or numbers to add to its scores.
        need_weights: whether to return the weights.
        attn_mask: (L, S) or (N · num_heads, L, S): booleans, True where a query may *not* look, or numbers to add.
        use_separate_proj_weight: whether the projections are the three that follow.
        q_proj_weight: (E, E), in place of the first part of ``in_proj_weight``.
        k_proj_weight: (E, kdim), likewise.
        v_proj_weight: (E, vdim), likewise.
        static_k: the keys of the heads, (N · num_heads, S, E / num_heads), in place of projected ones.
        static_v: their values, likewise.
        average_attn_weights: whether the weights returned are the mean of the heads.
        is_causal: a hint that ``attn_mask`` is the causal mask, which must be given; it changes nothing.

    Returns:
        The output, of the shape of the query; and the weights (N, L, S), (N, num_heads, L, S) unless averaged, or None.

    Raises:
        ValueError: shapes do not fit.

    Source: Vaswani et al. 2017, section 3.2.2.

    >>> x, w = np.ones((3, 1, 2)), np.eye(2)
    >>> three = np.concatenate([w, w, w])
    >>> multi_head_attention_forward(x, x, x, 2, 1, three, None, None, None, False, 0.0, w, None)[0].shape
    (3, 1, 2)
    """
    what = "multi_head_attention_forward"
    is_batch, width = len(query.shape) == 3, embed_dim_to_check
    if num_heads < 1 or width % num_heads or query.shape[-1] != width or len(query.shape) not in (2, 3):
        raise ValueError(f"{what}: {num_heads} heads, and a query {tuple(query.shape)} for rows of length {width}")
    if is_causal and attn_mask is None:
        raise ValueError(f"{what}: is_causal is a hint; give the mask too, as attn_mask")
    weights: Any = [q_proj_weight, k_proj_weight, v_proj_weight]
    heads = Heads(
        num_heads,
        weights if use_separate_proj_weight else split(in_proj_weight, 3),
        [None] * 3 if in_proj_bias is None else split(in_proj_bias, 3),
        bias_k, bias_v, add_zero_attn, (static_k, static_v),
    )  # fmt: skip
    rows = [swapaxes(x, 0, 1) if is_batch else expand_dims(x, 0) for x in (query, key, value)]
    thin = (lambda scores: dropout(scores, dropout_p)) if training and dropout_p else None
    found, weights = attend_with_heads(what, rows, heads, key_padding_mask, attn_mask, thin)
    y = linear(found, out_proj_weight, out_proj_bias)
    y = swapaxes(y, 0, 1) if is_batch else squeeze(y, 0)
    return y, shown(weights, average_attn_weights, is_batch) if need_weights else None


def shown(weights: Value, average: bool, is_batch: bool) -> Value:
    """Return the weights (N, heads, L, S) as they are asked for: the mean of the heads, without N."""
    weights = mean(weights, 1) if average else weights
    return weights if is_batch else squeeze(weights, 0)
