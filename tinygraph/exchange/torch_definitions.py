"""Ops of PyTorch that are several of ours, by their names in ATen without the overload.

A definition is written with our functions, so that what it records has their names, scopes and formulas. It takes what
the op of PyTorch takes, tensors as Tensors. ``from_torch`` runs each step of it again in PyTorch. A definition that
raises any error leaves the op of PyTorch as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Value
from tinygraph.functions import normalization, scaling
from tinygraph.functions.attention import attention
from tinygraph.functions.recurrent import Cell, gru_cell, lstm_cell, recur, rnn_cell
from tinygraph.functions.softmax import cross_entropy, log_softmax, softmax
from tinygraph.functions.statistics import std, var
from tinygraph.ops import adaptive
from tinygraph.ops import convolution as convolution_ops
from tinygraph.ops.elementwise import abs as absolute
from tinygraph.ops.elementwise import (
    clip,
    exp,
    greater,
    log,
    logaddexp,
    maximum,
    minimum,
    relu,
    sigmoid,
    sqrt,
    tanh,
)
from tinygraph.ops.elementwise import where as choose
from tinygraph.ops.indexing import index
from tinygraph.ops.joining import concatenate, stack
from tinygraph.ops.linear import einsum
from tinygraph.ops.reduce import mean
from tinygraph.ops.reduce import sum as add_up
from tinygraph.ops.shape import reshape
from tinygraph.ops.special import erf

__all__ = ["DEFINITIONS"]

# Activations ------------------------------------------------------------------------------------------------------


@composite
def gelu(x: Value, approximate: str = "none") -> Value:
    """As ``nn.GELU`` here."""
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@composite
def elu(x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    """Let what is below 0 bend towards -alpha."""
    if input_scale != 1:
        raise ValueError
    out = choose(greater(x, 0), x, alpha * (exp(clip(x, max=0.0)) - 1))
    return out if scale == 1 else scale * out


@composite
def leaky_relu(x: Value, slope: float = 0.01) -> Value:
    """As ``nn.LeakyReLU`` here."""
    return choose(greater(x, 0), x, slope * x)


@composite
def softplus(x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """Take ``log(1 + exp(x))``."""
    if beta != 1:
        raise ValueError
    return logaddexp(x, 0.0)


@composite
def silu(x: Value) -> Value:
    """Multiply by the sigmoid."""
    return x * sigmoid(x)


@composite
def mish(x: Value) -> Value:
    """Multiply by tanh of softplus."""
    return x * tanh(logaddexp(x, 0.0))


@composite
def hardsigmoid(x: Value) -> Value:
    """Approach the sigmoid by three lines."""
    return clip(x + 3, 0, 6) * (1 / 6)


@composite
def hardswish(x: Value) -> Value:
    """Multiply by hardsigmoid."""
    return x * clip(x + 3, 0, 6) * (1 / 6)


# Layers -----------------------------------------------------------------------------------------------------------


def linear(x: Value, w: Value, b: Value = None) -> Value:
    """Multiply by a matrix and shift."""
    y = x @ w.T
    return y if b is None else y + b


def addmm(b: Value, x: Value, y: Value, beta: float = 1, alpha: float = 1) -> Value:
    """Multiply two matrices and shift."""
    if (beta, alpha) != (1, 1):
        raise ValueError
    return x @ y + b


def shifted(y: Value, b: Value, rank: int) -> Value:
    """Add a bias (C,) to images (N, C, …)."""
    return y if b is None else y + reshape(b, (-1, *(1,) * rank))


def convolve(x: Value, w: Value, b: Value = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
             groups: int = 1) -> Value:  # fmt: skip
    """Convolve images and add a bias."""
    rank = len(w.shape) - 2
    padding = padding if isinstance(padding, str) else both(padding)
    slide = getattr(convolution_ops, f"conv{rank}d")
    return shifted(slide(x, w, both(stride), padding, both(dilation), groups), b, rank)


def both(n: Any) -> Any:
    """Return two equal numbers as one, as a snapshot of a layer has them."""
    n = tuple(n) if isinstance(n, Sequence) else (n,)
    return n[0] if len(set(n)) == 1 else n


def convolve_back(x: Value, w: Value, b: Value = None, stride: Any = 1, padding: Any = 0, output: Any = 0,
                  groups: int = 1, dilation: Any = 1) -> Value:  # fmt: skip
    """Convolve images the other way and add a bias."""
    rank = len(w.shape) - 2
    lay_down = getattr(convolution_ops, f"conv_transpose{rank}d")
    return shifted(lay_down(x, w, both(stride), both(padding), both(output), groups, both(dilation)), b, rank)


def convolution(x: Value, w: Value, b: Value, stride: Any, padding: Any, dilation: Any, transposed: bool, output: Any,
                groups: int) -> Value:  # fmt: skip
    """Convolve either way and add a bias."""
    if transposed:
        return convolve_back(x, w, b, stride, padding, output, groups, dilation)
    return convolve(x, w, b, stride, padding, dilation, groups)


def batch_norm(x: Value, w: Value, b: Value, running_mean: Value, running_var: Value, training: bool, momentum: float,
               eps: float, *_: Any) -> Value:  # fmt: skip
    """Normalize by the statistics of the batch, or by those of training."""
    axis = (0, *range(2, len(x.shape)))
    if training:
        return normalization.batch_norm(x, w, b, axis=axis, eps=eps)
    return normalization.batch_norm_inference(x, running_mean, running_var, w, b, axis=axis, eps=eps)


def layer_norm(x: Value, shape: Sequence[int], w: Value = None, b: Value = None, eps: float = 1e-5, *_: Any) -> Value:
    """Normalize each example."""
    axis = tuple(range(-len(shape), 0))
    return normalization.layer_norm(x, w, b, axis=axis, eps=eps)


def native_group_norm(x: Value, w: Value, b: Value, n: int, c: int, size: int, groups: int, eps: float) -> Value:
    """Normalize groups of channels."""
    return normalization.group_norm(x, w, b, groups=groups, eps=eps)


def instance_norm(x: Value, w: Value, b: Value, mean: Value, variance: Value, of_batch: bool, momentum: float,
                  eps: float, *_: Any) -> Value:  # fmt: skip
    """Normalize each channel of each example."""
    if not of_batch:
        raise ValueError
    return normalization.instance_norm(x, w, b, eps=eps)


@composite
def rms_norm(x: Value, shape: Sequence[int], w: Value = None, eps: float | None = None) -> Value:
    """Divide each example by the root of its mean square."""
    return scaling.rms_norm(x, w, axes=tuple(range(-len(shape), 0)), eps=eps)


def scaled_dot_product_attention(q: Value, k: Value, v: Value, mask: Value = None, p: float = 0.0,
                                 causal: bool = False, **options: Any) -> Value:  # fmt: skip
    """Weigh values by the softmax of scores."""
    if p:
        raise ValueError
    return attention(q, k, v, mask, is_causal=causal, **options)


# Recurrent layers, as PyTorch orders their gates -------------------------------------------------------------------


def recurrent(cell: Cell, two: bool = False) -> Callable[..., Any]:
    """Return the layer that runs a cell over steps; ``two`` says that it has a hidden state and a cell state."""

    def run(x: Value, first: Any, weights: Sequence[Value], biased: bool, layers: int, p: float, training: bool,
            both_ways: bool, batch_first: bool) -> Any:  # fmt: skip
        if p and training and layers > 1:
            raise ValueError
        each = 4 if biased else 2
        groups = [weights[n : n + each] for n in range(0, len(weights), each)]
        states = first if two else [first]
        return recur(cell, x, states, groups, layers=layers, ways=1 + both_ways, batch_first=batch_first)

    return run


def one_step(cell: Cell) -> Callable[..., Any]:
    """Return the step of a cell whose state is a hidden state alone."""
    return lambda x, hidden, *weights: cell(x, (hidden,), *weights)[0]


# Losses -----------------------------------------------------------------------------------------------------------


def reduced(x: Value, reduction: int) -> Value:
    """Average, add up or leave, as ATen numbers them."""
    return (x, mean(x), add_up(x))[reduction] if reduction else x


def cross_entropy_loss(x: Value, target: Value, weight: Value = None, reduction: int = 1, ignore: int = -100,
                       smoothing: float = 0.0) -> Value:  # fmt: skip
    """Take the cross entropy between scores and targets."""
    if weight is not None or (array_of(target) == ignore).any():
        raise ValueError
    return cross_entropy(x, array_of(target), label_smoothing=smoothing, reduction=("none", "mean", "sum")[reduction])


def nll_loss(log_p: Value, target: Value, weight: Value = None, reduction: int = 1, ignore: int = -100) -> Value:
    """Take the negative log-probability of targets."""
    labels = array_of(target)
    if weight is not None or (labels == ignore).any() or len(log_p.shape) != 2:
        raise ValueError
    return reduced(-index(log_p, (np.arange(len(labels)), labels)), reduction)


def binary_cross_entropy(p: Value, y: Value, weight: Value = None, reduction: int = 1) -> Value:
    """Take the cross entropy of probabilities."""
    if weight is not None:
        raise ValueError
    return reduced(-(y * log(p) + (1 - y) * log(1 - p)), reduction)


def binary_cross_entropy_with_logits(x: Value, y: Value, weight: Value = None, pos_weight: Value = None,
                                     reduction: int = 1) -> Value:  # fmt: skip
    """Take the cross entropy of scores."""
    if weight is not None or pos_weight is not None:
        raise ValueError
    return reduced(logaddexp(x, 0.0) - x * y, reduction)


def mse_loss(x: Value, y: Value, reduction: int = 1) -> Value:
    """Average squares of differences, as ``nn.MSELoss`` here."""
    error = x - y
    return reduced(error * error, reduction)


def slope_one_outside(x: Value, y: Value, reduction: int = 1, beta: float = 1.0) -> Value:
    """Take squares near 0 and absolute values far from it."""
    size = absolute(x - y)
    return reduced(choose(greater(beta, size), 0.5 * size * size / beta, size - 0.5 * beta), reduction)


# The rest ---------------------------------------------------------------------------------------------------------


def scaled_sum(x: Value, y: Value, alpha: float = 1) -> Value:
    """Add a multiple."""
    return x + alpha * y


def variance(x: Value, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *,
             correction: float | None = None) -> Value:  # fmt: skip
    """Take the variance."""
    return var(x, *spread_arguments(dim, unbiased, keepdim, correction))


def deviation(x: Value, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *,
              correction: float | None = None) -> Value:  # fmt: skip
    """Take the standard deviation."""
    return std(x, *spread_arguments(dim, unbiased, keepdim, correction))


def spread_arguments(dim: Any, unbiased: Any, keepdim: bool, correction: float | None) -> tuple[Any, bool, float]:
    """Return axis, keepdims and correction of PyTorch's three ways to ask for a variance."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    axis = None if dim is None or dim == [] else tuple(dim) if isinstance(dim, Iterable) else dim
    return (axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis), keepdim, correction


def masked_fill(x: Value, mask: Value, value: Any) -> Value:
    """Replace where a mask holds."""
    return choose(mask, value, x)


def triangle(cut: Callable[..., Any]) -> Callable[..., Value]:
    """Return the definition that keeps one side of the diagonal."""
    return lambda x, k=0: x * cut(np.ones(x.shape[-2:], x.dtype), k)


def stacked(xs: Sequence[Value], dim: int = 0) -> Value:
    """Join along a new axis."""
    return stack(list(xs), dim % (len(xs[0].shape) + 1))


def at(x: Value, places: Sequence[Value]) -> Value:
    """Index by arrays, None for an axis that is taken whole."""
    keys = tuple(slice(None) if p is None else array_of(p) for p in places)
    return index(x, keys if len(keys) > 1 else keys[0])


def gather(x: Value, dim: int, places: Value, **_: Any) -> Value:
    """Take an element for each place along an axis."""
    key: list[Any] = list(np.indices(places.shape, sparse=True))
    key[dim] = array_of(places)
    return index(x, tuple(key))


def rolled(x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Value:
    """Roll along axes."""
    for shift, dim in zip(shifts, dims, strict=True):
        n = x.shape[dim]
        x = index(x, (*[slice(None)] * (dim % len(x.shape)), (np.arange(n) - shift) % n))
    return x


def repeated(x: Value, times: Sequence[int]) -> Value:
    """Copy along axes."""
    x = reshape(x, (1,) * (len(times) - len(x.shape)) + tuple(x.shape))
    for axis, n in enumerate(times):
        x = concatenate([x] * n, axis) if n > 1 else x
    return x


def keep(x: Value, dim: int, half: Any = None) -> int:
    """Return the axis of a softmax, if it converts to no other dtype."""
    if half not in (None, False, str(x.dtype)):
        raise ValueError
    return dim


def adaptive_average(x: Value, size: Any) -> Value:
    """Average windows that tile images into a size."""
    found: Value = getattr(adaptive, f"adaptive_avg_pool{len(size)}d")(x, list(size))
    return found


DEFINITIONS: dict[str, Callable[..., Any]] = {
    "add": scaled_sum, "sub": lambda x, y, alpha=1: x - alpha * y, "rsub": lambda x, y, alpha=1: y - alpha * x,
    "rsqrt": lambda x: 1 / sqrt(x), "reciprocal": lambda x: 1 / x, "expm1": lambda x: exp(x) - 1,
    "log1p": lambda x: log(1 + x), "log2": lambda x: log(x) * (1 / math.log(2)), "exp2": lambda x: 2.0**x,
    "erfc": lambda x: 1 - erf(x), "clamp": lambda x, low=None, high=None: bounded(x, low, high),
    "clamp_min": lambda x, low: bounded(x, low), "clamp_max": lambda x, high: bounded(x, None, high),
    "addcmul": lambda x, y, z, value=1: x + value * y * z, "addcdiv": lambda x, y, z, value=1: x + value * (y / z),
    "lerp": lambda x, y, w: x + w * (y - x),
    "gelu": gelu, "silu": silu, "mish": mish, "elu": elu,
    "leaky_relu": leaky_relu, "softplus": softplus, "log_sigmoid": lambda x: -logaddexp(-x, 0.0),
    "hardswish": hardswish, "hardsigmoid": hardsigmoid,
    "linear": linear, "addmm": addmm, "baddbmm": addmm, "einsum": lambda subscripts, xs, **_: einsum(subscripts, *xs),
    "convolution": convolution, **{f"conv{rank}d": convolve for rank in (1, 2, 3)},
    **{f"conv_transpose{rank}d": convolve_back for rank in (1, 2, 3)},
    "batch_norm": batch_norm, "_native_batch_norm_legit_functional": batch_norm, "native_batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": lambda x, w, b, m, v, momentum, eps: batch_norm(
        x, w, b, m, v, False, momentum, eps),
    "layer_norm": layer_norm, "native_layer_norm": layer_norm, "native_group_norm": native_group_norm,
    "group_norm": lambda x, groups, w=None, b=None, eps=1e-5, *_: normalization.group_norm(
        x, w, b, groups=groups, eps=eps),
    "instance_norm": instance_norm, "rms_norm": rms_norm, "scaled_dot_product_attention": scaled_dot_product_attention,
    "lstm_cell": lstm_cell, "gru_cell": one_step(gru_cell), "rnn_tanh_cell": one_step(rnn_cell(tanh)),
    "rnn_relu_cell": one_step(rnn_cell(relu)),
    "lstm": recurrent(lstm_cell, two=True), "gru": recurrent(gru_cell), "rnn_tanh": recurrent(rnn_cell(tanh)),
    "rnn_relu": recurrent(rnn_cell(relu)),
    "softmax": lambda x, dim, half=None, **_: softmax(x, keep(x, dim, half)),
    "_softmax": lambda x, dim, half: softmax(x, keep(x, dim, half)),
    "log_softmax": lambda x, dim, half=None, **_: log_softmax(x, keep(x, dim, half)),
    "_log_softmax": lambda x, dim, half: log_softmax(x, keep(x, dim, half)),
    "cross_entropy_loss": cross_entropy_loss, "nll_loss": nll_loss, "nll_loss_nd": nll_loss,
    "nll_loss_forward": nll_loss, "mse_loss": mse_loss,
    "l1_loss": lambda x, y, reduction=1: reduced(absolute(x - y), reduction),
    "smooth_l1_loss": slope_one_outside, "binary_cross_entropy": binary_cross_entropy,
    "huber_loss": lambda x, y, reduction=1, delta=1.0: slope_one_outside(x, y, reduction) if delta == 1 else 1 / 0,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "var": variance, "std": deviation, "masked_fill": masked_fill, "tril": triangle(np.tril), "triu": triangle(np.triu),
    "stack": stacked, "index": at, "gather": gather, "roll": rolled, "repeat": repeated,
    "index_select": lambda x, dim, places: at(x, [*[None] * (dim % len(x.shape)), places]),
    "flip": lambda x, dims: index(x, tuple(
        slice(None, None, -1) if d in [k % len(x.shape) for k in dims] else slice(None) for d in range(len(x.shape)))),
    **{f"{how}adaptive_avg_pool{rank}d": adaptive_average for rank in (1, 2, 3) for how in ("", "_")},
}  # fmt: skip


def bounded(x: Value, low: Any = None, high: Any = None) -> Value:
    """Limit to a range of arrays or numbers."""
    if not any(isinstance(bound, Tensor) for bound in (low, high)):
        return clip(x, low, high)
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)
