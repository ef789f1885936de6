"""Normalizations as functions; running statistics are arguments, and change in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygraph import functions, fused
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions import scaling

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]


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
    running_mean: Any = None,
    running_var: Any = None,
    weight: Value = None,
    bias: Value = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    """Normalize each channel of each example over its pixels, then scale and shift each channel.

    Args:
        x: (N, C, L), (N, C, H, W) or (N, C, D, H, W), floating point.
        running_mean: (C,), which changes in place where x's own statistics are used; None for none.
        running_var: (C,), likewise; it gets the mean of the examples' unbiased variances.
        weight: γ, (C,), or None.
        bias: β, (C,), or None.
        use_input_stats: whether to use the statistics of x, rather than the running ones.
        momentum: weight of the new batch in the running statistics, 0 … 1.
        eps: ε, in units of x².

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: running statistics are missing or of another shape; an example has one pixel.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, equation 1.

    >>> instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0)
    array([[[-1.,  1.]]])
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: without use_input_stats it needs running_mean and running_var")
        axis = (0, *range(2, len(x.shape)))
        return functions.batch_norm_inference(x, running_mean, running_var, weight, bias, axis=axis, eps=eps)
    y = functions.instance_norm(x, weight, bias, eps=eps)
    values, axes = array_of(x), tuple(range(2, len(x.shape)))
    if running_mean is not None:
        move(running_mean, values.mean((0, *axes)), momentum)
    if running_var is not None:
        move(running_var, functions.var(values, axes, correction=1).mean(0), momentum)
    return y


def rms_norm(x: Value, normalized_shape: Sequence[int], weight: Value = None, eps: float | None = None) -> Value:
    r"""Divide each example by the root of its mean square: :math:`x / \sqrt{\mathrm{mean}\, x^2 + ε}`, times a weight.

    Args:
        x: (…, *normalized_shape), floating point.
        normalized_shape: lengths of the last axes.
        weight: γ, of shape ``normalized_shape``, or None.
        eps: ε, in units of x²; the machine epsilon of x unless given.

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: the last axes of x have other lengths.

    Source: Zhang and Sennrich 2019, equation 4.

    >>> rms_norm(np.array([[3.0, 4.0]]), (2,)).round(4)
    array([[0.8485, 1.1314]])
    """
    lengths = tuple(normalized_shape)
    if tuple(x.shape[len(x.shape) - len(lengths) :]) != lengths:
        raise ValueError(f"rms_norm: the last axes of x must be {lengths}, not those of {x.shape}")
    return scaling.rms_norm(x, weight, axes=tuple(range(-len(lengths), 0)), eps=eps)


def local_response_norm(x: Value, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Value:
    r"""Divide each channel by what its neighbours send: :math:`x / (k + α\, \mathrm{mean}\, x^2)^β`.

    Args:
        x: (N, C, …), floating point.
        size: over how many channels the mean is taken, those outside counting as zeros.
        alpha: weight of the mean.
        beta: exponent.
        k: what is added, so that nothing is divided by 0.

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: x has fewer than three axes, or size is less than 1.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3, with a mean in place of the sum, as PyTorch has it.

    >>> local_response_norm(np.ones((1, 2, 1)), 2, alpha=1.0, beta=1.0)
    array([[[0.66666667],
            [0.5       ]]])
    """
    if len(x.shape) < 3 or size < 1:
        raise ValueError(f"local_response_norm: x must be (N, C, …), not {x.shape}, and size 1 or more, not {size}")
    return scaling.local_response_norm(x, size, alpha, beta, k)
