"""Normalizations, made of ops: their derivatives of every order follow from those of the ops.

Intermediate values have the names of the textbooks (μ, x_c, v, σ, x̂), in drawings and in errors. A NaN makes its own
channel NaN, and no other.
"""

from __future__ import annotations

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.functions.checks import (
    Axis,
    are_first,
    axes_of,
    check_batch,
    check_eps,
    check_floating,
    check_shapes,
    check_variance,
    label,
    shape_of,
    unaveraged_shape,
)
from tinygraph.ops.elementwise import sqrt, square
from tinygraph.ops.reduce import mean
from tinygraph.ops.shape import reshape, transpose

__all__ = ["batch_norm", "batch_norm_inference", "batch_norm_spatial", "group_norm", "instance_norm", "layer_norm"]


def normalize(what: str, x: Value, axes: Shape, eps: float, keepdims: bool, single: bool = False) -> Value:
    """Subtract the mean of ``x`` and divide by its standard deviation, from the biased variance.

    Of one value that is 0, and an error unless ``single``.
    """
    (check_floating if single else check_batch)(what, x.shape, x.dtype, *(() if single else (axes,)))
    check_eps(what, eps)
    mu = label(mean(x, axis=axes, keepdims=keepdims), "μ")
    x_c = label(x - mu, "x_c")
    v = label(mean(label(square(x_c), "q"), axis=axes, keepdims=keepdims), "v")
    check_variance(what, v, eps)
    return label(x_c / label(sqrt(v + eps), "σ"), "x̂")


def scale_and_shift(x_hat: Value, gamma: Value, beta: Value) -> Value:
    """Multiply by gamma, then add beta. One that is None is left out."""
    s = x_hat if gamma is None else label(gamma * x_hat, "s")
    return s if beta is None else label(s + beta, "y")


def align(p: Value, axes: Shape, ndim: int) -> Value:
    """Reshape γ or β, which have the other axes of x, to length 1 along ``axes``, so that they broadcast against x."""
    if p is None or are_first(axes):
        return p
    lengths = iter(p.shape)
    shape = tuple(1 if a in axes else next(lengths) for a in range(ndim))
    return label(reshape(p, shape[axes[0] == 0 :] if axes[0] == 0 else shape), getattr(p, "name", None) or "")


@composite
def batch_norm(x: Value, gamma: Value = None, beta: Value = None, *, axis: Axis = 0, eps: float = 1e-5) -> Value:
    r"""Normalize each channel over the batch, then scale and shift.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta, \quad \mu = \mathrm{mean}\, x,
              \quad v = \mathrm{mean}\, (x - \mu)^2

    Args:
        x: (N, D), or (N, C, H, W) with ``axis=(0, 2, 3)``; floating point, more than one value per channel.
        gamma: scale γ, (D,) or (C,): the axes of x that are not averaged; None is no scale.
        beta: shift β, of the same shape; None is no shift.
        axis: the axes that are averaged over.
        eps: ε ≥ 0, in units of x², which is added to the biased variance; it may be 0 if no variance is 0.

    Returns:
        y, of the shape and dtype of x; dimensionless times the units of gamma.

    Raises:
        TypeError: x is not of floating point.
        ValueError: x is empty or has one value per channel; gamma or beta has another shape; eps is
            negative, or 0 where a variance is 0.

    Source: Ioffe and Szegedy 2015, Algorithm 1.

    >>> batch_norm(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0]), eps=0.0)
    array([[-1.],
           [ 3.]])
    """
    axes, ndim = axes_of(axis, x, "batch_norm"), len(x.shape)
    check_shapes("batch_norm", x, unaveraged_shape(x.shape, axes), gamma=gamma, beta=beta)
    x_hat = normalize("batch_norm", x, axes, eps, keepdims=not are_first(axes))
    return scale_and_shift(x_hat, align(gamma, axes, ndim), align(beta, axes, ndim))


@composite
def batch_norm_spatial(x: Value, gamma: Value = None, beta: Value = None, *, eps: float = 1e-5) -> Value:
    """Batch-normalize images by laying every pixel out as a row: (N, C, H, W) -> (N·H·W, C) and back.

    The same function as ``batch_norm(x, gamma, beta, axis=(0, 2, 3))``, by transpose and reshape.

    Args:
        x: (N, C, H, W), floating point.
        gamma: scale γ, (C,); None is no scale.
        beta: shift β, (C,); None is no shift.
        eps: as in `batch_norm`.

    Returns:
        y, of the shape and dtype of x.

    Raises:
        ValueError, TypeError: as `batch_norm`; and ValueError where x has fewer than three axes.

    >>> batch_norm_spatial(np.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """
    if len(shape_of("batch_norm_spatial", x)) < 3:
        raise ValueError(f"batch_norm_spatial: x must have shape (N, C, H, W), not {x.shape}")
    last = (0, *range(2, len(x.shape)), 1)
    pixels = transpose(x, last)
    y = batch_norm(reshape(pixels, (-1, x.shape[1])), gamma, beta, eps=eps)
    return transpose(reshape(y, pixels.shape), (0, len(x.shape) - 1, *range(1, len(x.shape) - 1)))


@composite
def batch_norm_inference(
    x: Value, mean: Value, var: Value, gamma: Value = None, beta: Value = None, *, axis: Axis = 0, eps: float = 1e-5
) -> Value:
    """Normalize with given statistics, those of training: a scale and a shift of each channel.

    Args:
        x: as in `batch_norm`; a batch of one is fine.
        mean: running mean, (D,) or (C,); it gets a gradient only if it is a Tensor.
        var: running variance, likewise.
        gamma: as in `batch_norm`.
        beta: as in `batch_norm`.
        axis: as in `batch_norm`.
        eps: as in `batch_norm`.

    Returns:
        y, of the shape and dtype of x.

    Raises:
        TypeError: x is not of floating point.
        ValueError: a shape is wrong, or eps + var is not positive.

    >>> batch_norm_inference(np.array([[3.0]]), np.array([1.0]), np.array([4.0]), eps=0.0)
    array([[1.]])
    """
    axes = axes_of(axis, x, "batch_norm_inference")
    check_floating("batch_norm_inference", x.shape, x.dtype)
    check_eps("batch_norm_inference", eps)
    check_shapes("batch_norm_inference", x, unaveraged_shape(x.shape, axes), mean=mean, var=var, gamma=gamma, beta=beta)
    if not (array_of(var) + eps > 0).all():
        raise ValueError("batch_norm_inference: var + eps must be positive in every channel")
    mean, var, gamma, beta = (align(p, axes, len(x.shape)) for p in (mean, var, gamma, beta))
    return scale_and_shift(label((x - mean) / label(sqrt(var + eps), "σ"), "x̂"), gamma, beta)


@composite
def layer_norm(x: Value, gamma: Value = None, beta: Value = None, *, axis: Axis = -1, eps: float = 1e-5) -> Value:
    """Normalize each example over its own features (the axes ``axis``), then scale and shift each feature.

    Args:
        x: (N, …, D), floating point, more than one value along ``axis``.
        gamma: scale γ, of the shape of x along ``axis``; None is no scale.
        beta: shift β, of the same shape; None is no shift.
        axis: the axes that are averaged over, as a rule the last ones.
        eps: as in `batch_norm`.

    Returns:
        y, of the shape and dtype of x.

    Raises:
        ValueError, TypeError: as `batch_norm`.

    Source: Ba, Kiros and Hinton 2016, equation 4.

    >>> layer_norm(np.array([[1.0, 3.0]]), eps=0.0)
    array([[-1.,  1.]])
    """
    axes, ndim = axes_of(axis, x, "layer_norm"), len(x.shape)
    check_shapes("layer_norm", x, tuple(x.shape[a] for a in axes), gamma=gamma, beta=beta)
    rest = tuple(a for a in range(ndim) if a not in axes)
    x_hat = normalize("layer_norm", x, axes, eps, keepdims=True)
    return scale_and_shift(x_hat, align(gamma, rest, ndim), align(beta, rest, ndim))


@composite
def group_norm(x: Value, gamma: Value = None, beta: Value = None, *, groups: int, eps: float = 1e-5) -> Value:
    """Normalize each example over groups of channels and all pixels, then scale and shift each channel.

    Args:
        x: (N, C, …), floating point; ``groups`` divides C.
        gamma: scale γ, (C,); None is no scale.
        beta: shift β, (C,); None is no shift.
        groups: number of groups, 1 … C.
        eps: as in `batch_norm`.

    Returns:
        y, of the shape and dtype of x.

    Raises:
        ValueError, TypeError: as `batch_norm`; and ValueError where ``groups`` does not divide C. Groups of one value
            give β, as in PyTorch, if there is more than one example.

    Source: Wu and He 2018, equation 7.

    >>> group_norm(np.arange(4.0).reshape(1, 4), groups=2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    if len(shape_of("group_norm", x)) < 2 or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"group_norm: {groups} groups do not divide the channels of x, whose shape is {x.shape}")
    split = reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    axes = tuple(range(2, len(split.shape)))
    rest = (0, *range(2, len(x.shape)))
    check_shapes("group_norm", x, x.shape[1:2], gamma=gamma, beta=beta)
    x_hat = reshape(normalize("group_norm", split, axes, eps, keepdims=True, single=x.shape[0] > 1), x.shape)
    return scale_and_shift(x_hat, align(gamma, rest, len(x.shape)), align(beta, rest, len(x.shape)))


@composite
def instance_norm(x: Value, gamma: Value = None, beta: Value = None, *, eps: float = 1e-5) -> Value:
    """Normalize each channel of each example over its pixels, then scale and shift each channel.

    Args:
        x: (N, C, H, W) or (N, C, L), floating point, more than one pixel.
        gamma: scale γ, (C,); None is no scale.
        beta: shift β, (C,); None is no shift.
        eps: as in `batch_norm`.

    Returns:
        y, of the shape and dtype of x.

    Raises:
        ValueError, TypeError: as `batch_norm`.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, equation 1.

    >>> instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0)
    array([[[-1.,  1.]]])
    """
    if len(shape_of("instance_norm", x)) < 3:
        raise ValueError(f"instance_norm: x must have shape (N, C, H, W) or (N, C, L), not {x.shape}")
    axes, rest = tuple(range(2, len(x.shape))), (0, *range(2, len(x.shape)))
    check_shapes("instance_norm", x, x.shape[1:2], gamma=gamma, beta=beta)
    x_hat = normalize("instance_norm", x, axes, eps, keepdims=True)
    return scale_and_shift(x_hat, align(gamma, rest, len(x.shape)), align(beta, rest, len(x.shape)))
