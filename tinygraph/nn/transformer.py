"""Transformers: blocks of attention and a small net, and stacks of them; names, order and state keys are PyTorch's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygraph.engine.types import Array, Value
from tinygraph.nn import functional, init
from tinygraph.nn.attention import MultiheadAttention
from tinygraph.nn.containers import ModuleList
from tinygraph.nn.example_norms import LayerNorm
from tinygraph.nn.layers import Dropout, Linear
from tinygraph.nn.module import Module

__all__ = [
    "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer",
]  # fmt: skip

Activation = str | Callable[[Value], Value]
ACTIVATIONS: Mapping[str, Callable[[Value], Value]] = {"relu": functional.relu, "gelu": functional.gelu}


def activation_of(layer: Module, activation: Activation) -> Callable[[Value], Value]:
    """Return the function that is meant; raise if there is none."""
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise ValueError(f"{type(layer).__name__}: activation {activation!r} is neither 'relu' nor 'gelu'")
    return ACTIVATIONS[activation]


class Block(Module):
    """What both kinds of layer have: attention to itself, a small net, and norms around the sums."""

    def _prepare(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: Activation,
        options: Mapping[str, Any],
        norm_first: bool,
        attends: tuple[str, ...],
    ) -> None:
        """Make the parts, in PyTorch's order; ``attends`` names the attentions."""
        self.norm_first, self.activation = norm_first, activation_of(self, activation)
        bias, eps = options["bias"], options["layer_norm_eps"]
        for name in attends:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=options["batch_first"])
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        steps = range(1, len(attends) + 2)
        for k in steps:
            setattr(self, f"norm{k}", LayerNorm(d_model, eps, bias=bias))
        for k in steps:
            setattr(self, f"dropout{k}", Dropout(dropout))

    def _net(self, x: Value) -> Value:
        """Return the small net of each row."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _add(self, x: Value, k: int, part: Callable[[Value], Value]) -> Value:
        """Add what a part makes of x, with the norm before it or around the sum."""
        norm, dropout = getattr(self, f"norm{k}"), getattr(self, f"dropout{k}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))


class TransformerEncoderLayer(Block):
    """Let each row look at the others, then pass it through a small net; each is added to what went in.

    Args:
        d_model: E, length of a row.
        nhead: how many heads; it divides E.
        dim_feedforward: width of the small net.
        dropout: probability that an element is set to 0, in training.
        activation: of the small net: "relu", "gelu", or a function.
        layer_norm_eps: ε of the layer norms.
        batch_first: whether arrays are (N, L, E) in place of (L, N, E).
        norm_first: whether the norms stand before attention and net, rather than after the sums.
        bias: whether projections and norms have shifts.

    Raises:
        ValueError: nhead does not divide d_model, or the activation is another.

    Source: Vaswani et al. 2017, section 3.1; with norm_first, Xiong et al. 2020.

    >>> layer = TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(np.ones((5, 3, 8), np.float32)).shape
    (5, 3, 8)
    """

    self_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        options = {"layer_norm_eps": layer_norm_eps, "batch_first": batch_first, "bias": bias}
        self._prepare(d_model, nhead, dim_feedforward, dropout, activation, options, norm_first, ("self_attn",))

    def forward(
        self, src: Value, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Value:
        """Return the rows after the layer.

        Args:
            src: (L, N, E), with ``batch_first`` (N, L, E); or (L, E).
            src_mask: (L, L), as `MultiheadAttention` takes it: True where a row may not look.
            src_key_padding_mask: (N, L): True where a row is padding.
            is_causal: a hint that the mask is causal; it changes nothing.

        Returns:
            Of the shape of src.
        """

        def look(x: Value) -> Value:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask)[0]

        return self._add(self._add(src, 1, look), 2, self._net)


class TransformerDecoderLayer(Block):
    """Let each row look at the others, then at the rows of a memory, then pass it through a small net.

    Args:
        d_model: E, length of a row.
        nhead: how many heads; it divides E.
        dim_feedforward: width of the small net.
        dropout: probability that an element is set to 0, in training.
        activation: of the small net: "relu", "gelu", or a function.
        layer_norm_eps: ε of the layer norms.
        batch_first: whether arrays are (N, L, E) in place of (L, N, E).
        norm_first: whether the norms stand before attention and net, rather than after the sums.
        bias: whether projections and norms have shifts.

    Raises:
        ValueError: nhead does not divide d_model, or the activation is another.

    Source: Vaswani et al. 2017, section 3.1.

    >>> layer = TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(np.ones((4, 3, 8), np.float32), np.ones((5, 3, 8), np.float32)).shape
    (4, 3, 8)
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        options = {"layer_norm_eps": layer_norm_eps, "batch_first": batch_first, "bias": bias}
        attends = ("self_attn", "multihead_attn")
        self._prepare(d_model, nhead, dim_feedforward, dropout, activation, options, norm_first, attends)

    def forward(
        self,
        tgt: Value,
        memory: Value,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Value:
        """Return the rows after the layer.

        Args:
            tgt: (L, N, E), with ``batch_first`` (N, L, E); or (L, E).
            memory: (S, N, E), likewise: what an encoder made.
            tgt_mask: (L, L): True where a row may not look at another.
            memory_mask: (L, S): True where a row may not look at the memory.
            tgt_key_padding_mask: (N, L): True where a row is padding.
            memory_key_padding_mask: (N, S), likewise.
            tgt_is_causal: a hint that the first mask is causal; it changes nothing.
            memory_is_causal: likewise.

        Returns:
            Of the shape of tgt.
        """

        def look(x: Value) -> Value:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask)[0]

        def look_back(x: Value) -> Value:
            return self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask)[0]

        return self._add(self._add(self._add(tgt, 1, look), 2, look_back), 3, self._net)


def copies(layer: Module, count: int) -> ModuleList:
    """Return copies of a layer, with the same values."""
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class TransformerEncoder(Module):
    """Copies of an encoder layer, one after the other.

    Args:
        encoder_layer: a `TransformerEncoderLayer`.
        num_layers: how many copies.
        norm: a norm at the end, or None.
        enable_nested_tensor: taken, and without effect: there are no nested tensors.
        mask_check: taken, and without effect.

    >>> net = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), num_layers=2)
    >>> net(np.ones((5, 3, 8), np.float32)).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers, self.num_layers, self.norm = copies(encoder_layer, num_layers), num_layers, norm

    def forward(
        self, src: Value, mask: Value = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Value:
        """Return the rows after all layers.

        Args:
            src: as the layer takes it.
            mask: its ``src_mask``.
            src_key_padding_mask: likewise.
            is_causal: a hint that the mask is causal; it changes nothing.

        Returns:
            Of the shape of src.
        """
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Copies of a decoder layer, one after the other.

    Args:
        decoder_layer: a `TransformerDecoderLayer`.
        num_layers: how many copies.
        norm: a norm at the end, or None.

    >>> net = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), num_layers=2)
    >>> net(np.ones((4, 3, 8), np.float32), np.ones((5, 3, 8), np.float32)).shape
    (4, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers, self.num_layers, self.norm = copies(decoder_layer, num_layers), num_layers, norm

    def forward(
        self,
        tgt: Value,
        memory: Value,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Value:
        """Return the rows after all layers.

        Args:
            tgt: as the layer takes it, and so on.
            memory: what the encoder made.
            tgt_mask: (L, L).
            memory_mask: (L, S).
            tgt_key_padding_mask: (N, L).
            memory_key_padding_mask: (N, S).
            tgt_is_causal: a hint; it changes nothing.
            memory_is_causal: likewise.

        Returns:
            Of the shape of tgt.
        """
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of one sequence, and a decoder that reads it and writes another.

    Args:
        d_model: E, length of a row.
        nhead: how many heads; it divides E.
        num_encoder_layers: how many layers the encoder has.
        num_decoder_layers: how many layers the decoder has.
        dim_feedforward: width of the small nets.
        dropout: probability that an element is set to 0, in training.
        activation: of the small nets: "relu", "gelu", or a function.
        custom_encoder: an encoder of your own, or None.
        custom_decoder: a decoder of your own, or None.
        layer_norm_eps: ε of the layer norms.
        batch_first: whether arrays are (N, L, E) in place of (L, N, E).
        norm_first: whether the norms stand before attention and net.
        bias: whether projections and norms have shifts.

    Raises:
        ValueError: nhead does not divide d_model, or the activation is another.

    Source: Vaswani et al. 2017.

    >>> net = Transformer(8, 2, 1, 1, 16)
    >>> net(np.ones((5, 3, 8), np.float32), np.ones((4, 3, 8), np.float32)).shape
    (4, 3, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        options = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        if custom_encoder is None:
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias)
            layer = TransformerEncoderLayer(d_model, nhead, *options)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is None:
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias)
            block = TransformerDecoderLayer(d_model, nhead, *options)
            custom_decoder = TransformerDecoder(block, num_decoder_layers, norm)
        self.encoder, self.decoder = custom_encoder, custom_decoder
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Value,
        tgt: Value,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Value:
        """Return the rows of the decoder.

        Args:
            src: what the encoder reads, (S, N, E), with ``batch_first`` (N, S, E); or (S, E).
            tgt: what the decoder reads, (L, N, E), likewise.
            src_mask: (S, S): True where a row may not look.
            tgt_mask: (L, L), likewise.
            memory_mask: (L, S), likewise.
            src_key_padding_mask: (N, S): True where a row is padding.
            tgt_key_padding_mask: (N, L), likewise.
            memory_key_padding_mask: (N, S), likewise.
            src_is_causal: a hint; it changes nothing.
            tgt_is_causal: likewise.
            memory_is_causal: likewise.

        Returns:
            Of the shape of tgt.
        """
        memory = self.encoder(src, src_mask, src_key_padding_mask)
        return self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: npt.DTypeLike = np.float32) -> Array:
        """Return the causal mask: row i sees the rows 0 … i.

        Args:
            sz: how many rows.
            dtype: of the mask.

        Returns:
            (sz, sz): 0 where a row may look, and -inf where it may not.
        """
        return np.triu(np.full((sz, sz), -np.inf, dtype), 1)
