"""Functions made of ops: their derivatives of every order follow from those of the ops.

The normalizations name their intermediate values as the texts do (μ, x_c, v, σ, x̂), so that drawings,
errors and exercises speak of the same things. A NaN makes its own channel NaN and no other.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.context import composite
from tinygraph.dispatch import implements
from tinygraph.ops.elementwise import exp, sqrt, square
from tinygraph.ops.reduce import logsumexp, mean
from tinygraph.ops.shape import reshape, transpose
from tinygraph.tensor import Tensor, array_of

__all__ = [
    "batch_norm", "batch_norm_inference", "batch_norm_spatial", "batch_norm_stepwise", "cross_entropy", "group_norm",
    "instance_norm", "layer_norm", "log_softmax", "softmax", "std", "var",
]  # fmt: skip

Axis = int | Sequence[int]


def named(x: Any, name: str) -> Any:
    """Name a Tensor; leave an array alone."""
    return x.named(name) if isinstance(x, Tensor) else x


def shape_of(what: str, x: Any) -> tuple[int, ...]:
    """Return the shape of ``x``, or raise where it is no array."""
    if not hasattr(x, "shape"):
        raise TypeError(f"{what}: x must be an array or a Tensor, not {type(x).__name__}: convert it with numpy.array")
    return x.shape


def axes_of(axis: Axis, x: Any, what: str) -> tuple[int, ...]:
    """Return ``axis``, of the array ``x``, as sorted, non-negative numbers."""
    axes = tuple(map(operator.index, axis if isinstance(axis, (tuple, Sequence)) else (axis,)))  # asks a tuple first
    return sorted_axes(axes, len(shape_of(what, x)), what)


@functools.lru_cache(4096)
def sorted_axes(axes: tuple[int, ...], ndim: int, what: str) -> tuple[int, ...]:
    """Return them sorted and not negative, or raise for ``what`` they are."""
    if not axes or any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) < len(axes):
        given = axes[0] if len(axes) == 1 else axes
        raise ValueError(f"{what}: axis={given} does not name different axes of an array with {ndim} axes")
    return tuple(sorted(a % ndim for a in axes))


def check_floating(what: str, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise where there is nothing to normalize."""
    if dtype.kind != "f":
        raise TypeError(f"{what}: x must be of floating point, not {dtype}: convert it with .astype(numpy.float32)")
    if 0 in shape:
        raise ValueError(f"{what}: x is empty: its shape is {shape}")


@functools.lru_cache(4096)
def check_batch(what: str, shape: tuple[int, ...], dtype: Any, axes: tuple[int, ...]) -> None:
    """As `check_floating`; and raise where there is one value to take a variance of. Done once for each of these."""
    check_floating(what, shape, dtype)
    if all(shape[a] == 1 for a in axes):
        raise ValueError(
            f"{what}: one value per channel (shape {shape}, averaged over axes {axes}) has variance 0, and the "
            "output would be β whatever x is"
            + ": take a larger batch, or batch_norm_inference with statistics from training" * (what == "batch_norm")
        )


def check_eps(what: str, eps: float) -> None:
    """Raise where eps is negative, or no number."""
    if not eps >= 0:
        raise ValueError(f"{what}: eps is {eps}; it is added to a variance and must not be negative")


def check_variance(what: str, v: Any, eps: float) -> None:
    """Raise where nothing is added to a variance of 0."""
    if eps == 0 and not (array_of(v) != 0).all():
        raise ValueError(
            f"{what}: eps is 0 and the variance of a channel is 0: the quotient is undefined; take eps > 0"
        )


@functools.lru_cache(4096)
def unaveraged(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lengths of the axes that are not in ``axes``: the shape of γ and β."""
    return tuple(n for a, n in enumerate(shape) if a not in axes)


def are_first(axes: tuple[int, ...]) -> bool:
    """Whether sorted axes are the first ones, so that what has the others broadcasts."""
    return not axes or axes[-1] < len(axes)


def check_shapes(what: str, x: Any, shape: tuple[int, ...], **parameters: Any) -> None:
    """Raise where a parameter is given and has not ``shape``."""
    for name, p in parameters.items():
        if p is not None and (found := p.shape if hasattr(p, "shape") else np.shape(p)) != shape:
            raise ValueError(f"{what}: {name} has shape {found}; x of shape {x.shape} needs {shape}")


def normalized(what: str, x: Any, axes: tuple[int, ...], eps: float, keepdims: bool) -> Any:
    """Take the mean from ``x`` and divide by the standard deviation (biased, as all normalizations do)."""
    check_batch(what, x.shape, x.dtype, axes)
    check_eps(what, eps)
    mu = named(mean(x, axis=axes, keepdims=keepdims), "μ")
    x_c = named(x - mu, "x_c")
    v = named(mean(named(square(x_c), "q"), axis=axes, keepdims=keepdims), "v")
    check_variance(what, v, eps)
    return named(x_c / named(sqrt(v + eps), "σ"), "x̂")


def affine(x_hat: Any, gamma: Any, beta: Any) -> Any:
    """Scale, then shift; None leaves out either."""
    s = x_hat if gamma is None else named(gamma * x_hat, "s")
    return s if beta is None else named(s + beta, "y")


def beside(p: Any, axes: tuple[int, ...], ndim: int) -> Any:
    """Give a parameter of the axes that are not in ``axes`` length 1 along those, where it would not broadcast."""
    if p is None or are_first(axes):
        return p
    lengths = iter(p.shape)
    shape = tuple(1 if a in axes else next(lengths) for a in range(ndim))
    return named(reshape(p, shape[axes[0] == 0 :] if axes[0] == 0 else shape), getattr(p, "name", None) or "")


@composite
def batch_norm(x: Any, gamma: Any = None, beta: Any = None, *, axis: Axis = 0, eps: float = 1e-5) -> Any:
    r"""Normalize each channel over the batch, then scale and shift.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta, \quad \mu = \mathrm{mean}\, x,
              \quad v = \mathrm{mean}\, (x - \mu)^2

    Args:
        x: (N, D), or (N, C, H, W) with ``axis=(0, 2, 3)``; floating point, more than one value per channel.
        gamma, beta: scale and shift, (D,) or (C,): the axes of x that are not averaged; None leaves out either.
        axis: the axes that are averaged over.
        eps: ε ≥ 0, in units of x², added to the (biased) variance; it may be 0 where no variance is.

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
    check_shapes("batch_norm", x, unaveraged(x.shape, axes), gamma=gamma, beta=beta)
    x_hat = normalized("batch_norm", x, axes, eps, keepdims=not are_first(axes))
    return affine(x_hat, beside(gamma, axes, ndim), beside(beta, axes, ndim))


@composite
def batch_norm_spatial(x: Any, gamma: Any = None, beta: Any = None, *, eps: float = 1e-5) -> Any:
    """Batch-normalize images by laying every pixel out as a row: (N, C, H, W) -> (N·H·W, C) and back.

    The same function as ``batch_norm(x, gamma, beta, axis=(0, 2, 3))``, by transpose and reshape.

    Args:
        x: (N, C, H, W), floating point.
        gamma, beta: (C,) or None.
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
    x: Any, mean: Any, var: Any, gamma: Any = None, beta: Any = None, *, axis: Axis = 0, eps: float = 1e-5
) -> Any:
    """Normalize with given statistics, those of training: a scale and a shift of each channel.

    Args:
        x: as in `batch_norm`; a batch of one is fine.
        mean, var: (D,) or (C,): running statistics, which carry no gradient unless they are Tensors.
        gamma, beta, axis, eps: as in `batch_norm`.

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
    check_shapes("batch_norm_inference", x, unaveraged(x.shape, axes), mean=mean, var=var, gamma=gamma, beta=beta)
    if not (array_of(var) + eps > 0).all():
        raise ValueError("batch_norm_inference: var + eps must be positive in every channel")
    mean, var, gamma, beta = (beside(p, axes, len(x.shape)) for p in (mean, var, gamma, beta))
    return affine(named((x - mean) / named(sqrt(var + eps), "σ"), "x̂"), gamma, beta)


@composite
def layer_norm(x: Any, gamma: Any = None, beta: Any = None, *, axis: Axis = -1, eps: float = 1e-5) -> Any:
    """Normalize each example over its own features (the axes ``axis``), then scale and shift each feature.

    Args:
        x: (N, …, D), floating point, more than one value along ``axis``.
        gamma, beta: the shape of x along ``axis``; None leaves out either.
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
    x_hat = normalized("layer_norm", x, axes, eps, keepdims=True)
    return affine(x_hat, beside(gamma, rest, ndim), beside(beta, rest, ndim))


@composite
def group_norm(x: Any, gamma: Any = None, beta: Any = None, *, groups: int, eps: float = 1e-5) -> Any:
    """Normalize each example over groups of channels and all pixels, then scale and shift each channel.

    Args:
        x: (N, C, …), floating point; ``groups`` divides C.
        gamma, beta: (C,) or None.
        groups: number of groups, 1 … C.
        eps: as in `batch_norm`.

    Returns:
        y, of the shape and dtype of x.

    Raises:
        ValueError, TypeError: as `batch_norm`; and ValueError where ``groups`` does not divide C.

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
    x_hat = reshape(normalized("group_norm", split, axes, eps, keepdims=True), x.shape)
    return affine(x_hat, beside(gamma, rest, len(x.shape)), beside(beta, rest, len(x.shape)))


@composite
def instance_norm(x: Any, gamma: Any = None, beta: Any = None, *, eps: float = 1e-5) -> Any:
    """Normalize each channel of each example over its pixels, then scale and shift each channel.

    Args:
        x: (N, C, H, W) or (N, C, L), floating point, more than one pixel.
        gamma, beta: (C,) or None.
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
    x_hat = normalized("instance_norm", x, axes, eps, keepdims=True)
    return affine(x_hat, beside(gamma, rest, len(x.shape)), beside(beta, rest, len(x.shape)))


@composite
def softmax(x: Any, axis: int = -1) -> Any:
    """Turn scores into probabilities along ``axis``: ``exp(x - logsumexp(x))``, which cannot overflow.

    Args:
        x: scores, of any shape; -inf gives 0, inf gives NaN, and a NaN makes NaN all beside it along ``axis``.
        axis: the axis of the classes.

    Returns:
        Probabilities of the shape of x, which add up to 1 along ``axis``.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    return exp(log_softmax(x, axis))


@composite
def log_softmax(x: Any, axis: int = -1) -> Any:
    """Take the logarithm of `softmax` along ``axis``: ``x - logsumexp(x)``.

    Args:
        x, axis: as in `softmax`.

    Returns:
        Logarithms of probabilities, of the shape of x, in nats.

    >>> log_softmax(np.array([0.0, 0.0]))
    array([-0.69314718, -0.69314718])
    """
    return x - logsumexp(x, axis, True)


@composite
def cross_entropy(x: Any, target: Any, *, label_smoothing: float = 0.0, reduction: str = "mean") -> Any:
    """Take the cross entropy between scores and targets, as ``torch.nn.functional.cross_entropy``.

    Args:
        x: scores (logits), (C,), (N, C) or (N, C, d1, …).
        target: class indices in 0 … C-1, the shape of x without the class axis; or probabilities, of the
            shape of x. Not differentiated where they are indices.
        label_smoothing: share of the target spread evenly over all classes, 0 … 1.
        reduction: "mean" (over all targets), "sum" or "none".

    Returns:
        The loss in nats, 0-d; with "none", one for each target.

    Raises:
        TypeError: target is no array.
        ValueError: shapes do not fit, an index is out of range, there is no target to average over, or an
            option is not known.

    >>> cross_entropy(np.array([[0.0, 0.0]]), np.array([1]))
    np.float64(0.6931471805599453)
    """
    axis = min(1, len(x.shape) - 1)
    labels = array_of(target)
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    if not x.shape:
        raise ValueError("cross_entropy: x is one number; it must have an axis of classes")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}, outside of 0 … 1")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction {reduction!r} is none of 'mean', 'sum', 'none'")
    if not hasattr(labels, "dtype"):
        found = type(labels).__name__
        raise TypeError(f"cross_entropy: target must be an array of indices or probabilities, not {found}")
    if reduction == "mean" and 0 in rest:
        raise ValueError(f"cross_entropy: the mean over no targets is undefined: x has shape {x.shape}")
    log_p = named(log_softmax(x, axis), "log p")
    if labels.dtype.kind in "iu":
        if labels.shape != rest:
            raise ValueError(f"cross_entropy: indices have shape {labels.shape}; x of shape {x.shape} needs {rest}")
        if labels.size and not (labels.min() >= 0 and labels.max() < x.shape[axis]):
            raise ValueError(
                f"cross_entropy: indices go from {labels.min()} to {labels.max()}; "
                f"x has classes 0 … {x.shape[axis] - 1}"
            )
        places = [np.arange(n).reshape([-1 if a == i else 1 for a in range(len(rest))]) for i, n in enumerate(rest)]
        places.insert(axis, labels)
        loss = -log_p[tuple(places)]
    else:
        if labels.shape != x.shape:
            raise ValueError(f"cross_entropy: probabilities have shape {labels.shape}; x has {x.shape}")
        loss = -(target * log_p).sum(axis)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(axis)
    count = int(np.prod(rest, dtype=int))
    return loss if reduction == "none" else loss.sum() * (1 / count if reduction == "mean" else 1)


@implements(np.var, method="var")
def var(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    """Take the variance over ``axis``: the mean of ``(x - mean)²``.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes, with length 1.
        correction: what is taken from the number of values n before dividing: 0, or 1 for an estimate without bias.

    Returns:
        The variance, in units of x².

    Raises:
        ValueError: there are no more values than ``correction``.

    >>> var(np.array([1.0, 3.0]))
    np.float64(1.0)
    """
    squares = square(x - mean(x, axis, True))
    biased = mean(squares, axis, keepdims)
    number = squares.size // max(biased.size, 1)
    if correction and number <= correction:
        raise ValueError(f"var: {number} values less a correction of {correction} leave nothing to divide by")
    return biased * (number / (number - correction)) if correction else biased


@implements(np.std, method="std")
def std(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    """Take the standard deviation over ``axis``: the root of `var`. Where it is 0 its derivative is not finite.

    Args:
        x, axis, keepdims, correction: as in `var`.

    Returns:
        The standard deviation, in units of x.

    Raises:
        ValueError: as `var`.

    >>> std(np.array([1.0, 3.0]))
    np.float64(1.0)
    """
    return sqrt(var(x, axis, keepdims, correction))


def batch_norm_stepwise(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray, *, axis: Axis = 0, eps: float = 1e-5
) -> dict[str, np.ndarray]:
    """Run batch norm forward and backward by hand, a line a node, as the exercise of CS231n asks.

    Every value and every gradient has a name, in the order in which it is found, so that a solution can be
    compared line by line. ``d`` before a name means the gradient of the loss in it; where a value is used
    twice, its two contributions are numbered, then added.

    Args:
        x, gamma, beta, axis, eps: arrays, as in `batch_norm`.
        dy: upstream gradient, of the shape of x.

    Returns:
        The names and arrays of all steps. Parameters and statistics keep length 1 along ``axis``, but for
        ``dgamma`` and ``dbeta``, which have the shape of gamma.

    Raises:
        ValueError, TypeError: as `batch_norm`; and ValueError where dy has not the shape of x.

    Source: CS231n assignment 2, ``batchnorm_backward``.

    >>> steps = batch_norm_stepwise(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), np.array([[1.0], [0.0]]))
    >>> list(steps)[:5], steps["dbeta"]
    (['mu', 'x_c', 'q', 'v', 'sigma'], array([1.]))
    """
    axes = axes_of(axis, x, "batch_norm_stepwise")
    check_shapes("batch_norm_stepwise", x, unaveraged(x.shape, axes), gamma=gamma, beta=beta)
    check_shapes("batch_norm_stepwise", x, x.shape, dy=dy)
    check_batch("batch_norm_stepwise", x.shape, x.dtype, axes)
    check_eps("batch_norm_stepwise", eps)
    n = math.prod(x.shape[a] for a in axes)
    column = [1 if a in axes else length for a, length in enumerate(x.shape)]
    over = lambda a: a.sum(axes, keepdims=True)
    s: dict[str, Any] = {}
    s["mu"] = over(x) / n
    s["x_c"] = x - s["mu"]
    s["q"] = s["x_c"] ** 2
    s["v"] = over(s["q"]) / n
    check_variance("batch_norm_stepwise", s["v"], eps)
    s["sigma"] = np.sqrt(s["v"] + eps)
    s["x_hat"] = s["x_c"] / s["sigma"]
    s["s"] = gamma.reshape(column) * s["x_hat"]
    s["y"] = s["s"] + beta.reshape(column)
    s["dy"] = dy
    s["dbeta"] = over(s["dy"]).reshape(beta.shape)  # β was copied to every row: add the rows
    s["ds"] = s["dy"]
    s["dgamma"] = over(s["ds"] * s["x_hat"]).reshape(gamma.shape)
    s["dx_hat"] = s["ds"] * gamma.reshape(column)
    s["dx_c1"] = s["dx_hat"] / s["sigma"]
    s["dsigma"] = over(s["dx_hat"] * -s["x_c"] / s["sigma"] ** 2)
    s["dv"] = s["dsigma"] / (2 * s["sigma"])
    s["dq"] = np.ones_like(x) * s["dv"] / n  # v was a mean: every row gets 1/n
    s["dx_c2"] = s["dq"] * 2 * s["x_c"]
    s["dx_c"] = s["dx_c1"] + s["dx_c2"]
    s["dx1"] = s["dx_c"]
    s["dmu"] = -over(s["dx_c"])
    s["dx2"] = np.ones_like(x) * s["dmu"] / n
    s["dx"] = s["dx1"] + s["dx2"]
    return s
