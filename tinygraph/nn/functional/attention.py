"""Attention as a function: softmax(Q Kᵀ / √d) V."""

from __future__ import annotations

from tinygraph.engine.types import Value
from tinygraph.functions.attention import attention
from tinygraph.nn.functional.layers import dropout

__all__ = ["scaled_dot_product_attention"]


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
