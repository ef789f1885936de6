"""Attention with several heads, as a layer; names, order, masks and state keys are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.tensor import Parameter
from tinygraph.engine.types import Value
from tinygraph.nn import init
from tinygraph.nn.functional.attention import Heads, attend_with_heads, shown
from tinygraph.nn.layers import Dropout, Linear
from tinygraph.nn.module import Module
from tinygraph.ops.indexing import split
from tinygraph.ops.shape import expand_dims, squeeze, swapaxes

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    r"""Attend with several heads at once, each with projections of its own, and mix what they find.

    .. math:: \mathrm{head}_i = \mathrm{softmax}(Q W_i^Q (K W_i^K)^{\mathsf T} / \sqrt d)\, V W_i^V

    Args:
        embed_dim: E, length of a row of the queries and of the output.
        num_heads: how many heads; it divides E.
        dropout: probability that a weight is set to 0, in training.
        bias: whether the projections have shifts.
        add_bias_kv: whether a learned key and value stand after the others.
        add_zero_attn: whether a key and a value of zeros stand after the others.
        kdim: length of a row of the keys; E unless given.
        vdim: length of a row of the values; E unless given.
        batch_first: whether arrays are (N, L, E) in place of (L, N, E).

    Attributes:
        in_proj_weight: the projections of queries, keys and values, (3 E, E); None where kdim or vdim differ.
        q_proj_weight: that of queries, (E, E), where they differ; likewise ``k_proj_weight`` and ``v_proj_weight``.
        in_proj_bias: (3 E,), or None.
        out_proj: the layer that mixes the heads.

    Raises:
        ValueError: num_heads does not divide embed_dim; in a call, shapes do not fit.

    Source: Vaswani et al. 2017, section 3.2.2.

    >>> x = np.ones((5, 2, 8), np.float32)
    >>> y, weights = MultiheadAttention(8, num_heads=2)(x, x, x)
    >>> y.shape, weights.shape
    ((5, 2, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: {num_heads=} does not divide {embed_dim=}")
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.add_zero_attn = dropout, add_zero_attn

        def make(*shape: int) -> Parameter:
            return Parameter(np.empty(shape, np.float32))

        is_one = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = make(3 * embed_dim, embed_dim) if is_one else None
        self.q_proj_weight = None if is_one else make(embed_dim, embed_dim)
        self.k_proj_weight = None if is_one else make(embed_dim, self.kdim)
        self.v_proj_weight = None if is_one else make(embed_dim, self.vdim)
        self.in_proj_bias = make(3 * embed_dim) if bias else None
        self.bias_k = make(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = make(1, 1, embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if dropout:
            self.thin = Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the projections anew, and set shifts to 0.

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight, generator=generator)
        self.out_proj.reset_parameters(generator)
        for shift in (self.in_proj_bias, self.out_proj.bias):
            if shift is not None:
                init.zeros_(shift)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row, generator=generator)

    def forward(
        self,
        query: Value,
        key: Value,
        value: Value,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Value, Value | None]:
        """Return what the heads find, and their weights.

        Args:
            query: (L, N, E), with ``batch_first`` (N, L, E); or (L, E) of one example.
            key: (S, N, kdim), likewise.
            value: (S, N, vdim), likewise.
            key_padding_mask: (N, S): booleans, True where a key is padding, or numbers to add to its scores.
            need_weights: whether to return the weights.
            attn_mask: (L, S) or (N · num_heads, L, S): booleans, True where a query may *not* look, or numbers to add.
            average_attn_weights: whether the weights returned are the mean of the heads.
            is_causal: a hint that ``attn_mask`` is the causal mask, which must be given; it changes nothing.

        Returns:
            The output, of the shape of the query; and the weights (N, L, S), (N, num_heads, L, S) unless averaged, or
            None.
        """
        if is_causal and attn_mask is None:
            raise ValueError("MultiheadAttention: is_causal is a hint; give the mask too, as attn_mask")
        is_batch = len(query.shape) == 3
        self._check(query, key, value, is_batch)
        rows = [x if self.batch_first and is_batch else expand_dims(x, 0) if not is_batch else swapaxes(x, 0, 1)
                for x in (query, key, value)]  # fmt: skip
        weights: Any = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        heads = Heads(
            self.num_heads,
            weights if self.in_proj_weight is None else split(self.in_proj_weight, 3),
            [None] * 3 if self.in_proj_bias is None else split(self.in_proj_bias, 3),
            self.bias_k, self.bias_v, self.add_zero_attn,
        )  # fmt: skip
        thin = vars(self).get("thin")
        found, weights = attend_with_heads(self, rows, heads, key_padding_mask, attn_mask, thin)
        found = self.out_proj(found)
        y = found if self.batch_first and is_batch else swapaxes(found, 0, 1) if is_batch else squeeze(found, 0)
        return y, shown(weights, average_attn_weights, is_batch) if need_weights else None

    def _check(self, query: Value, key: Value, value: Value, is_batch: bool) -> None:
        """Raise if shapes do not fit."""
        wanted = (self.embed_dim, self.kdim, self.vdim)
        shapes = [tuple(x.shape) for x in (query, key, value)]
        batch = 0 if self.batch_first else 1
        is_wrong = len(shapes[0]) not in (2, 3) or any(s[-1:] != (n,) for s, n in zip(shapes, wanted, strict=True))
        is_wrong |= len({len(s) for s in shapes}) > 1 or shapes[1][:-1] != shapes[2][:-1]
        if is_wrong or (is_batch and shapes[0][batch] != shapes[1][batch]):
            form = "(N, L, E)" if self.batch_first else "(L, N, E)"
            raise ValueError(f"{self}: query, key and value have shapes {shapes}, not {form} with E = {wanted}")
