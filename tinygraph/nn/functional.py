"""What layers compute, as functions of plain arguments: PyTorch's ``torch.nn.functional``, its names and its order.

Each is an op or a function of `tinygraph`, or the ``forward`` of a layer; nothing is computed here a second way.
``inplace`` is taken and changes nothing: a Tensor is never changed in place, and the values are the same.

>>> import tinygraph.nn.functional as F
>>> F.relu(np.array([-1.0, 2.0]))
array([0., 2.])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygraph import functions, fused
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array, Value
from tinygraph.exchange.missing import module_getattr
from tinygraph.functions.creation import random_generator
from tinygraph.functions.softmax import log_softmax, softmax
from tinygraph.nn import activations, layers, losses
from tinygraph.ops import convolution, elementwise, pooling, shape
from tinygraph.ops.convolution import Pair

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "conv2d", "conv_transpose2d",
    "cross_entropy", "dropout", "embedding", "gelu", "group_norm", "instance_norm", "layer_norm", "leaky_relu",
    "linear", "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "pad", "relu", "sigmoid", "softmax", "tanh",
]  # fmt: skip

avg_pool2d, max_pool2d = pooling.avg_pool2d, pooling.max_pool2d
adaptive_avg_pool2d = pooling.adaptive_avg_pool2d
if not TYPE_CHECKING:
    __getattr__ = module_getattr("functional")  # a name that is not here: the error says what to write
sigmoid, tanh = elementwise.sigmoid, elementwise.tanh

# Activations ------------------------------------------------------------------------------------------------------


def relu(x: Value, inplace: bool = False) -> Value:
    """Keep what is above 0: ``max(x, 0)``.

    Args:
        x: of any shape.
        inplace: taken, and without effect.

    Returns:
        Of the shape of x.

    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return elementwise.relu(x)


def leaky_relu(x: Value, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    """Keep what is above 0, and scale the rest.

    Args:
        x: of any shape.
        negative_slope: what values below 0 are multiplied by.
        inplace: taken, and without effect.

    Returns:
        Of the shape of x.

    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return activations.LeakyReLU(negative_slope).forward(x)


def gelu(x: Value, approximate: str = "none") -> Value:
    r"""Multiply x by the chance that a normal error is below it: :math:`x \, \Phi(x)`.

    Args:
        x: of any shape.
        approximate: "none", or "tanh" for the formula that many models were trained with.

    Returns:
        Of the shape of x.

    Raises:
        ValueError: another ``approximate``.

    Source: Hendrycks and Gimpel 2016, section 2.

    >>> gelu(np.array([0.0, 1.0]))
    array([0.        , 0.84134475])
    """
    return activations.GELU(approximate).forward(x)


# Layers -----------------------------------------------------------------------------------------------------------


def linear(x: Value, weight: Value, bias: Value = None) -> Value:
    r"""Multiply by a matrix and shift: :math:`y = x W^{\mathsf T} + b`.

    Args:
        x: (…, in_features).
        weight: W, (out_features, in_features).
        bias: b, (out_features,), or None.

    Returns:
        y, (…, out_features).

    Raises:
        ValueError: the shapes do not fit.

    >>> linear(np.ones((4, 3)), np.ones((2, 3)), np.ones(2))[0]
    array([4., 4.])
    """
    y = x @ weight.T
    return y if bias is None else y + bias


def conv2d(
    x: Value,
    weight: Value,
    bias: Value = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Value:
    """Slide filters over images, and shift each channel.

    Args:
        x: images (N, C, H, W).
        weight: filters (O, C / groups, kh, kw).
        bias: (O,), or None.
        stride: steps between windows, in pixels: one number, or one for rows and one for columns.
        padding: zeros on either side, in pixels, likewise; or "valid", or "same".
        dilation: steps within a window, in pixels, likewise.
        groups: cuts the channels of both into as many parts that do not meet.

    Returns:
        (N, O, H', W').

    Raises:
        ValueError: shapes do not fit, or no window does.

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.ones(1))[0, 0]
    array([[5., 5.],
           [5., 5.]])
    """
    if isinstance(padding, str):
        padding = layers.padding_in_pixels(padding, tuple(weight.shape[2:]), stride, dilation)
    return shifted(convolution.conv2d(x, weight, stride, padding, dilation, groups), bias)


def conv_transpose2d(
    x: Value,
    weight: Value,
    bias: Value = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Value:
    """Lay filters down at every pixel, add them up, and shift each channel.

    Args:
        x: (N, O, H', W').
        weight: (O, C / groups, kh, kw): the filters of the convolution whose transpose this is.
        bias: (C,), or None.
        stride: of that convolution, in pixels: one number, or one for rows and one for columns.
        padding: of that convolution, in pixels, likewise.
        output_padding: rows and columns more at the end, less than the stride.
        groups: of that convolution.
        dilation: of that convolution, in pixels.

    Returns:
        (N, C, H, W).

    Raises:
        ValueError: shapes do not fit, or ``output_padding`` is not less than ``stride``.

    >>> conv_transpose2d(np.ones((1, 1, 1, 2)), np.ones((1, 1, 1, 2)))[0, 0]
    array([[1., 2., 1.]])
    """
    y = convolution.conv_transpose2d(x, weight, stride, padding, output_padding, groups, dilation)
    return shifted(y, bias)


def shifted(y: Value, bias: Value) -> Value:
    """Add a bias (C,) to images (N, C, H, W)."""
    return y if bias is None else y + shape.reshape(bias, (-1, 1, 1))


def dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    """Set each element to 0 with probability p, and scale the others by 1 / (1 - p).

    Args:
        x: of any shape.
        p: probability, 0 … 1.
        training: whether to do so; without, x is returned.
        inplace: taken, and without effect.

    Returns:
        Of the shape of x. The numbers come from the generator of `tinygraph.manual_seed`.

    Raises:
        ValueError: p is outside of 0 … 1.

    Source: Srivastava et al. 2014, section 10.

    >>> dropout(np.ones(2), 1.0)
    array([0., 0.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is {p}, no probability")
    return layers.thin_out(x, p, random_generator()) if training and p else x


def embedding(indices: Any, weight: Value) -> Value:
    """Look up a row for each index.

    Args:
        indices: integers (…) in 0 … number of rows - 1.
        weight: (number of rows, length of a row).

    Returns:
        Rows (…, length of a row).

    Raises:
        TypeError: the indices are no integers.
        IndexError: there is no such row.

    >>> embedding(np.array([1, 0]), np.array([[1.0], [2.0]]))
    array([[2.],
           [1.]])
    """
    return layers.rows_of(weight, indices, "embedding")


def pad(x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    """Surround with a constant, from the last axis on: ``pad(x, (left, right, top, bottom))``.

    Args:
        x: of any shape.
        pad: how many elements to put before and after the last axis, then the one before it, and so on.
        mode: "constant".
        value: the constant; 0 unless given.

    Returns:
        x with its surroundings.

    Raises:
        ValueError: ``pad`` has an odd number of lengths, or more pairs than x has axes; or the mode is another.

    >>> pad(np.ones((1, 1)), (1, 2))
    array([[0., 1., 0., 0.]])
    """
    pairs = list(zip(pad[::2], pad[1::2], strict=False))
    if len(pad) % 2 or len(pairs) > len(x.shape):
        raise ValueError(f"pad: {tuple(pad)} is not two lengths for each of the last axes of {x.shape}")
    around = [(0, 0)] * (len(x.shape) - len(pairs)) + pairs[::-1]
    return shape.pad(x, around, mode, 0.0 if value is None else value)


# Normalizations ---------------------------------------------------------------------------------------------------


def batch_norm(
    x: Value,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Value = None,
    bias: Value = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    """Normalize each channel: in training with the batch's statistics, else with running ones; scale and shift.

    Args:
        x: (N, C), (N, C, L) or (N, C, H, W), floating point.
        running_mean: (C,), which training changes in place; None where training needs none.
        running_var: (C,), likewise; it gets the unbiased variance of a batch.
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        training: whether to use the batch's own statistics.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        eps: ε ≥ 0, in units of x², added to the variance.

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: running statistics are missing or of another shape; in training, a channel has one value.

    Source: Ioffe and Szegedy 2015, Algorithms 1 and 2.

    >>> mean, var = np.zeros(1), np.ones(1)
    >>> batch_norm(np.array([[1.0], [3.0]]), mean, var, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    >>> mean
    array([0.2])
    """
    axes = (0, *range(2, len(x.shape)))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: without training=True it needs running_mean and running_var")
        return functions.batch_norm_inference(x, running_mean, running_var, weight, bias, axis=axes, eps=eps)
    y = fused.batch_norm(x, weight, bias, axis=axes, eps=eps)
    values = array_of(x)
    count = values.size // x.shape[1]
    move(running_mean, values.mean(axis=axes), momentum)
    move(running_var, functions.var(values, axes) * (count / (count - 1)), momentum)
    return y


def move(running: Any, new: Array, weight: float) -> None:
    """Move a running statistic towards that of a new batch, in place; None is none."""
    if isinstance(running, Tensor):
        running.data = ((1 - weight) * running.data + weight * new).astype(running.dtype)
    elif running is not None:
        running[...] = (1 - weight) * running + weight * new


def layer_norm(
    x: Value, normalized_shape: Sequence[int], weight: Value = None, bias: Value = None, eps: float = 1e-5
) -> Value:
    """Normalize each example over its last axes, then scale and shift.

    Args:
        x: (…, *normalized_shape), floating point.
        normalized_shape: lengths of the last axes.
        weight: γ, of shape ``normalized_shape``, or None.
        bias: β, likewise.
        eps: ε, in units of x².

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: the last axes of x have other lengths.

    Source: Ba, Kiros and Hinton 2016, equation 4.

    >>> layer_norm(np.array([[1.0, 3.0]]), (2,), eps=0.0)
    array([[-1.,  1.]])
    """
    lengths = tuple(normalized_shape)
    if tuple(x.shape[len(x.shape) - len(lengths) :]) != lengths:
        raise ValueError(f"layer_norm: the last axes of x must be {lengths}, not those of {x.shape}")
    return fused.layer_norm(x, weight, bias, axis=tuple(range(-len(lengths), 0)), eps=eps)


def group_norm(x: Value, num_groups: int, weight: Value = None, bias: Value = None, eps: float = 1e-5) -> Value:
    """Normalize each example over groups of channels and all pixels, then scale and shift each channel.

    Args:
        x: (N, C, …), floating point.
        num_groups: number of groups; it divides C.
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        eps: ε, in units of x².

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: num_groups does not divide C.

    Source: Wu and He 2018, equation 7.

    >>> group_norm(np.arange(4.0).reshape(1, 4), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    return functions.group_norm(x, weight, bias, groups=num_groups, eps=eps)


def instance_norm(
    x: Value,
    running_mean: None = None,
    running_var: None = None,
    weight: Value = None,
    bias: Value = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    """Normalize each channel of each example over its pixels, then scale and shift each channel.

    Args:
        x: (N, C, L) or (N, C, H, W), floating point.
        running_mean: None: there are no running statistics here.
        running_var: None, likewise.
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        use_input_stats: True, likewise.
        momentum: taken, and without effect.
        eps: ε, in units of x².

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: running statistics are given or asked for; an example has one pixel.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, equation 1.

    >>> instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0)
    array([[[-1.,  1.]]])
    """
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise ValueError("instance_norm: there are no running statistics here: leave them None")
    return functions.instance_norm(x, weight, bias, eps=eps)


# Losses -----------------------------------------------------------------------------------------------------------


def mse_loss(x: Value, target: Value, *, reduction: str = "mean") -> Value:
    """Average the squared difference.

    Args:
        x: of any shape.
        target: of the shape of x.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """
    return losses.MSELoss(reduction).forward(x, target)


def binary_cross_entropy_with_logits(x: Value, target: Value, *, reduction: str = "mean") -> Value:
    """Average the cross entropy of yes-or-no scores: ``ln(1 + exp(x)) - x · target``, without overflow.

    Args:
        x: scores (logits), of any shape.
        target: 0 … 1, of the shape of x.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> binary_cross_entropy_with_logits(np.array([0.0]), np.array([1.0]))
    np.float64(0.6931471805599453)
    """
    return losses.BCEWithLogitsLoss(reduction).forward(x, target)


def nll_loss(
    x: Value, target: Any, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Value:
    """Average minus the log-probability of the right class.

    Args:
        x: log-probabilities (C,), (N, C) or (N, C, …).
        target: class indices (), (N,) or (N, …).
        weight: (C,), how much each class counts; 1 unless given.
        ignore_index: a target that does not count.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss, 0-d; with "none", one for each target.

    Raises:
        ValueError: shapes do not fit, an index is out of range, or the reduction is another.

    >>> nll_loss(np.log([[0.25, 0.75]]), np.array([0]))
    np.float64(1.3862943611198906)
    """
    return losses.NLLLoss(weight, ignore_index, reduction).forward(x, target)


def cross_entropy(
    x: Value,
    target: Any,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Value:
    """Average the cross entropy between scores and targets.

    Args:
        x: scores (logits) (C,), (N, C) or (N, C, …).
        target: class indices (), (N,) or (N, …); or probabilities, of the shape of x.
        weight: (C,), how much each class counts; 1 unless given.
        ignore_index: a target that does not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of the target spread evenly over all classes, 0 … 1.

    Returns:
        The loss in nats, 0-d; with "none", one for each target.

    Raises:
        ValueError: shapes do not fit, an index is out of range, or an option is not known.

    >>> cross_entropy(np.array([[0.0, 0.0]]), np.array([1]))
    np.float64(0.6931471805599453)
    """
    return losses.CrossEntropyLoss(weight, ignore_index, reduction, label_smoothing).forward(x, target)
