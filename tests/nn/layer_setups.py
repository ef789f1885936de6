"""Random configurations of layers: sizes, options, and what they are called with; `window_setups` has more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.nn.setups import Draw, Fixed, Setup


def recurrent(parts: int, **choices: Callable[[Draw], Any]) -> Callable[[Draw], Setup]:
    """A recurrent net; its state has one part or two."""

    def setup(r: Draw) -> Setup:
        size, hidden, layers, batch_first, both = r.size(), r.size(2), r.size(1, 3), r.flag(), r.flag()
        options = {"num_layers": layers, "bias": r.flag(), "batch_first": batch_first, "bidirectional": both}
        options |= {name: choose(r) for name, choose in choices.items()}
        if options.get("proj_size"):
            options["proj_size"] = r.size(1, hidden - 1)
        length, n = r.size(), r.any((), (3,))
        x = r.normal(*((*n, length) if batch_first else (length, *n)), size)
        ends = [options.get("proj_size") or hidden, hidden][:parts]
        state = tuple(r.normal(layers * (1 + both), *n, end) for end in ends)
        given = r.any((), (state if parts > 1 else state[0],))
        return Setup((size, hidden), options, (x, *given))

    return setup


def cell(parts: int, **choices: Callable[[Draw], Any]) -> Callable[[Draw], Setup]:
    """A recurrent cell."""

    def setup(r: Draw) -> Setup:
        size, hidden, n = r.size(), r.size(), r.any((), (3,))
        options = {"bias": r.flag(), **{name: choose(r) for name, choose in choices.items()}}
        state = tuple(r.normal(*n, hidden) for _ in range(parts))
        given = r.any((), (state if parts > 1 else state[0],))
        return Setup((size, hidden), options, (r.normal(*n, size), *given))

    return setup


def bend(r: Draw) -> str:
    return r.any("tanh", "relu")


def masks(r: Draw, name: str, n: int, queries: int, keys: int, heads: int) -> dict[str, Fixed]:
    """Masks of an attention, as booleans or numbers; no query is blind, for PyTorch's layers give NaN there."""
    kind, found = r.any(bool, float), {}

    def mask(*shape: int) -> np.ndarray:
        hidden = r.rng.random(shape) < 0.3
        hidden[..., 0] = False
        return hidden if kind is bool else np.where(hidden, -np.inf, r.normal(*shape))

    if r.flag():
        found[name] = (
            Fixed(mask(*r.any((queries, keys), (n * heads, queries, keys)[: 3 if n else 2])))
            if n
            else Fixed(mask(queries, keys))
        )
    if r.flag() and n:
        found["key_padding_mask"] = Fixed(mask(n, keys))
    return found


def heads(r: Draw) -> Setup:
    count = r.size(1, 3)
    width, queries, keys, n = count * r.size(1, 3), r.size(), r.size(), r.any(0, 3)
    batch_first = r.flag()
    options: dict[str, Any] = {"bias": r.flag(), "batch_first": batch_first}
    options |= {name: r.flag() for name in ("add_bias_kv", "add_zero_attn")}
    sizes = [width, width, width]
    if r.flag():
        options |= {"kdim": (size := r.size()), "vdim": (other := r.size())}
        sizes = [width, size, other]
    if sizes[1:] != [width, width] and options["add_bias_kv"]:
        options["add_bias_kv"] = False

    def rows(length: int, size: int) -> np.ndarray:
        return r.normal(*((n, length) if batch_first else (length, n)) if n else (length,), size)

    named: dict[str, Any] = {"need_weights": r.flag(), "average_attn_weights": r.flag()}
    named |= masks(r, "attn_mask", n, queries, keys, count)
    inputs = tuple(rows(length, size) for length, size in zip((queries, keys, keys), sizes, strict=True))
    return Setup((width, count), options, inputs, named)


def block(r: Draw, decoder: bool = False) -> Setup:
    count = r.size(1, 3)
    width, length, other, n = count * r.size(2, 3), r.size(), r.size(), 3
    batch_first = r.flag()
    options: dict[str, Any] = {"batch_first": batch_first, "norm_first": r.flag(), "bias": r.flag(), "dropout": 0.0}
    options |= {"dim_feedforward": r.size(), "activation": r.any("relu", "gelu"), "layer_norm_eps": r.any(1e-5, 0.1)}

    def rows(size: int) -> np.ndarray:
        return r.normal(*((n, size) if batch_first else (size, n)), width)

    name = "tgt" if decoder else "src"
    given = masks(r, "mask", n, length, length, count)
    named = {f"{name}_{key}": value for key, value in given.items()}
    inputs = (rows(length), rows(other)) if decoder else (rows(length),)
    return Setup((width, count), options, inputs, named, modes=(True,))


def whole_transformer(r: Draw) -> Setup:
    count = r.size(1, 2)
    options = {
        "d_model": 2 * count,
        "nhead": count,
        "num_encoder_layers": r.size(1, 2),
        "num_decoder_layers": r.size(1, 2),
    }
    options |= {"dim_feedforward": 3, "dropout": 0.0, "norm_first": r.flag(), "batch_first": r.flag()}
    rows = tuple(r.normal(*((2, size) if options["batch_first"] else (size, 2)), 2 * count) for size in (r.size(), 3))
    return Setup((), options, rows, {"tgt_mask": Fixed(np.triu(np.ones((3, 3), bool), 1))}, modes=(True,))


def lookup(r: Draw) -> Setup:
    count = r.size()
    options = {"padding_idx": r.any(None, 0, -1)}
    return Setup((count, r.size()), options, (Fixed(r.whole(count, *r.shape())),))


def bag(r: Draw) -> Setup:
    count, size = r.size(2), r.size()
    mode = r.any("sum", "mean", "max")
    options = {"mode": mode, "padding_idx": r.any(None, 1), "include_last_offset": False}
    if r.flag():
        indices, offsets = r.whole(count, r.size(), r.size()), None
    else:
        indices, offsets = r.whole(count, 6), np.sort(np.append(r.whole(7, 3), 0))
        options["include_last_offset"] = r.flag()
        if options["include_last_offset"]:
            offsets[-1] = 6
    weights = r.normal(*indices.shape) if mode == "sum" and r.flag() else None
    inputs = (Fixed(indices), None if offsets is None else Fixed(offsets), weights)
    return Setup((count, size), options, inputs)


def form(r: Draw) -> Setup:
    first, second, before = r.size(), r.size(), r.shape(1, 2)
    return Setup((first, second, r.size()), {"bias": r.flag()}, (r.normal(*before, first), r.normal(*before, second)))


def likeness(r: Draw) -> Setup:
    shape = r.shape(1, 3)
    return Setup(
        (), {"dim": int(r.size(1, len(shape)) - 1), "eps": r.any(1e-8, 1e-3)}, (r.normal(*shape), r.normal(*shape))
    )


def distance(r: Draw) -> Setup:
    shape = (*r.any((), (3,)), r.size())
    options = {"p": r.any(1.0, 2.0, 3.0, float("inf"), r.real(1)), "eps": r.any(1e-6, 0.1), "keepdim": r.flag()}
    return Setup((), options, (r.normal(*shape), r.normal(*shape)))


def images(axes: int, last: bool = False) -> Callable[[Draw], tuple[int, ...]]:
    """Draw (N, C, …) with more than one pixel."""
    return lambda r: (r.size(2, 4), r.size(1, 4), *(r.size(2, 3) for _ in range(axes - 2)))


def batch_norms(*axes: int) -> Callable[[Draw], Setup]:
    def setup(r: Draw) -> Setup:
        shape = images(r.any(*axes))(r)
        options = {"eps": r.any(1e-5, 0.1), "momentum": r.any(0.1, None, r.real(0, 1)), "affine": r.flag()}
        return Setup((shape[1],), {**options, "track_running_stats": r.flag()}, (r.normal(*shape) + 1,))

    return setup


def instance_norms(axes: int) -> Callable[[Draw], Setup]:
    def setup(r: Draw) -> Setup:
        shape = images(axes)(r)
        options = {"eps": r.any(1e-5, 0.1), "momentum": r.real(0, 1), "affine": r.flag()}
        shape = r.any(shape, shape[1:])
        channels = shape[1 - (axes - len(shape))]
        return Setup((channels,), {**options, "track_running_stats": r.flag()}, (r.normal(*shape) + 1,))

    return setup


def groups(r: Draw) -> Setup:
    count = r.size(1, 3)
    channels = count * r.size(1, 3)
    shape = (r.size(2, 3), channels, *r.any((), (1,), (3,), (2, 2)))
    return Setup((count, channels), {"eps": r.any(1e-5, 0.1), "affine": r.flag()}, (r.normal(*shape),))


def last_axes(r: Draw, *names: str) -> Setup:
    lengths = (r.size(2, 4), *r.any((), (3,)))
    options = {"eps": r.any(1e-5, 0.1), **{name: r.flag() for name in names}}
    return Setup((lengths if r.flag() or len(lengths) > 1 else lengths[0],), options, (r.normal(*r.shape(), *lengths),))


def neighbours(r: Draw) -> Setup:
    options = {"alpha": r.real(), "beta": r.real(), "k": r.real()}
    return Setup((r.size(),), options, (r.normal(2, r.size(), *r.any((3,), (2, 2))),))


def linear(r: Draw) -> Setup:
    size = r.size()
    return Setup((size, r.size()), {"bias": r.flag()}, (r.normal(*r.any((), r.shape()), size),))


def flat(r: Draw) -> Setup:
    shape = r.shape(2, 4)
    start = r.size(0, len(shape) - 1)
    return Setup((start, r.any(-1, len(shape) - 1)), {}, (r.normal(*shape),))


def scored(r: Draw) -> Setup:
    """A loss that multiplies by a matrix, for classes or probabilities of classes, at one place or several."""
    size, classes, places, n = r.size(), r.size(2, 4), r.any((), (2,), (2, 3)), (4,)
    if not places:
        n = r.any((), (4,))
    options: dict[str, Any] = {"bias": r.flag(), "reduction": r.reduction(), "out_features": places}
    options["label_smoothing"] = r.any(0.0, r.real(0, 1))
    if r.flag():
        options["weight"] = r.unit(classes)
    if r.flag():
        return Setup((size, classes), options, (r.normal(*n, size), r.unit(*n, classes, *places)))
    target = r.whole(classes, *n, *places)
    if target.size > 1 and r.flag():
        options["ignore_index"] = int(target.flat[0])
    return Setup((size, classes), options, (r.normal(*n, size), Fixed(target)))


def clustered(r: Draw) -> Setup:
    size, n = r.size(4, 8), r.any((), (r.size(2, 6),))
    cutoffs = np.sort(r.rng.choice(np.arange(1, 12), r.size(1, 3), replace=False)).tolist()
    options = {"div_value": r.any(1.5, 2.0), "head_bias": r.flag()}
    return Setup((size, 12, cutoffs), options, (r.normal(*n, size), Fixed(r.whole(12, *n))))


LAYERS: dict[str, Callable[[Draw], Setup]] = {
    "Linear": linear,
    "Flatten": flat,
    "Unflatten": lambda r: Setup((r.any(1, -2), (2, 3)), {}, (r.normal(2, 6, 4),)),
    "Identity": lambda r: Setup((), {}, (r.normal(2, 3),)),
    "BatchNorm1d": batch_norms(2, 3),
    "BatchNorm2d": batch_norms(4),
    "BatchNorm3d": batch_norms(5),
    "InstanceNorm1d": instance_norms(3),
    "InstanceNorm2d": instance_norms(4),
    "InstanceNorm3d": instance_norms(5),
    "GroupNorm": groups,
    "LayerNorm": lambda r: last_axes(r, "elementwise_affine", "bias"),
    "RMSNorm": lambda r: last_axes(r, "elementwise_affine"),
    "LocalResponseNorm": neighbours,
    "MultiheadAttention": heads,
    "TransformerEncoderLayer": block,
    "TransformerDecoderLayer": lambda r: block(r, decoder=True),
    "Transformer": whole_transformer,
    "Embedding": lookup,
    "EmbeddingBag": bag,
    "Bilinear": form,
    "CosineSimilarity": likeness,
    "PairwiseDistance": distance,
    "RNN": recurrent(1, nonlinearity=bend),
    "LSTM": recurrent(2, proj_size=lambda r: r.any(0, 1)),
    "GRU": recurrent(1),
    "RNNCell": cell(1, nonlinearity=bend),
    "LSTMCell": cell(2),
    "GRUCell": cell(1),
    "LinearCrossEntropyLoss": scored,
    "AdaptiveLogSoftmaxWithLoss": clustered,
}
