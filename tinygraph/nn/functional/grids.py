"""Images read at places between their pixels, which may move: spatial transformers, optical flow, deformations."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.ops.elementwise import abs as size_of
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import index
from tinygraph.ops.linear import matmul
from tinygraph.ops.resampling import cubic_weights
from tinygraph.ops.shape import moveaxis, reshape, swapaxes

__all__ = ["affine_grid", "grid_sample"]

Tap = tuple[Array, Value]  # places along an axis, and what the pixels there weigh


@composite
def affine_grid(theta: Value, size: Sequence[int], align_corners: bool = False) -> Value:
    """Lay a grid over images, moved by affine maps: `grid_sample` reads the images at its places.

    Args:
        theta: the maps (N, 2, 3) of images, or (N, 3, 4) of volumes: their last column is added.
        size: shape of the images that are asked for, (N, C, H, W) or (N, C, D, H, W).
        align_corners: whether -1 and 1 are the middles of the outermost pixels, and not their edges.

    Returns:
        Places (N, H, W, 2) or (N, D, H, W, 3), x first: -1 … 1 from edge to edge.

    Raises:
        ValueError: the shapes do not fit.

    Source: Jaderberg et al. 2015, equation 1.

    >>> affine_grid(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
    array([[[[-0.5,  0. ],
             [ 0.5,  0. ]]]])
    """
    lengths, rank = tuple(size[2:]), len(size) - 2
    if rank not in (2, 3) or tuple(theta.shape) != (size[0], rank, rank + 1):
        raise ValueError(f"affine_grid: theta of shape {tuple(theta.shape)} does not fit images of shape {tuple(size)}")
    like = array_of(theta)
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in lengths]
    if not align_corners:
        axes = [a * (n - 1) / n for a, n in zip(axes, lengths, strict=True)]
    base = np.stack([*reversed(np.meshgrid(*axes, indexing="ij")), np.ones(lengths)], -1).reshape(1, -1, rank + 1)
    places = matmul(np.zeros_like(like, shape=base.shape) + base.astype(like.dtype), swapaxes(theta, -1, -2))
    return reshape(places, (size[0], *lengths, rank))


@composite
def grid_sample(
    x: Value, grid: Value, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Value:
    """Read images at the places of a grid. Gradients go to the images and, but for "nearest", to the places.

    Args:
        x: images (N, C, H, W), or volumes (N, C, D, H, W).
        grid: places (N, H', W', 2), or (N, D', H', W', 3): x first, -1 … 1 from edge to edge.
        mode: "bilinear" (of volumes it takes eight voxels), "nearest", or "bicubic", of images alone.
        padding_mode: what lies outside: "zeros", the "border", or the image's "reflection".
        align_corners: whether -1 and 1 are the middles of the outermost pixels, and not their edges; None is False.

    Returns:
        (N, C, H', W'), or (N, C, D', H', W').

    Raises:
        ValueError: the shapes do not fit, or there is no such mode.

    Source: Jaderberg et al. 2015, section 3.3.

    >>> image = np.array([[[[1.0, 3.0]]]])
    >>> grid_sample(image, np.array([[[[0.0, 0.0]]]]))
    array([[[[2.]]]])
    """
    rank = len(x.shape) - 2
    if rank not in (2, 3) or len(grid.shape) != rank + 2 or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        raise ValueError(f"grid_sample: a grid {tuple(grid.shape)} does not fit images of shape {tuple(x.shape)}")
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and rank == 3):
        raise ValueError(f"grid_sample: mode {mode!r} is none of 'bilinear', 'nearest' and, of images, 'bicubic'")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: padding_mode {padding_mode!r} is none of 'zeros', 'border' and 'reflection'")
    taps = []
    for axis, n in enumerate(x.shape[2:]):
        u = grid[..., rank - 1 - axis]
        at = (u + 1) * ((n - 1) / 2) if align_corners else ((u + 1) * n - 1) / 2  # in pixels
        taps.append(list(find_taps(at, n, mode, padding_mode, bool(align_corners))))
    batch = np.arange(x.shape[0]).reshape((-1, *(1,) * rank))
    read = []
    for corner in itertools.product(*taps):
        pixels = index(x, (batch, slice(None), *(place for place, _ in corner)))  # (N, …, C)
        weight = functools.reduce(operator.mul, [weight for _, weight in corner])
        read.append(pixels * reshape(weight, (*weight.shape, 1)))
    return moveaxis(functools.reduce(operator.add, read), -1, 1)


def find_taps(at: Value, n: int, mode: str, padding: str, align_corners: bool) -> list[Tap]:
    """Return the pixels along an axis of length n that are read for the places ``at``, each with its weight."""
    if mode == "bicubic":
        first = np.floor(array_of(at))
        weights = cubic_weights(at - first)
        places = [inside(first + k, n, padding, align_corners) for k in (-1, 0, 1, 2)]
    else:
        at = inside(at, n, padding, align_corners)
        if mode == "nearest":
            places, weights = [np.rint(array_of(at))], [np.ones_like(array_of(at))]
        else:
            first = np.floor(array_of(at))
            places, weights = [first, first + 1], [1 - (at - first), at - first]
    return [
        (np.clip(place, 0, n - 1).astype(int), weight * ((place >= 0) & (place < n)))
        for place, weight in zip(places, weights, strict=True)
    ]


def inside(at: Any, n: int, padding: str, align_corners: bool) -> Any:
    """Return places in pixels, moved into 0 … n - 1 where the border or the reflection is read outside."""
    if padding == "zeros":
        return at
    if padding == "reflection":
        low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
        away = size_of(at - low)
        flips = np.floor(array_of(away) / span) if span else 0 * array_of(away)
        rest = away - flips * span
        at = where(flips % 2 == 0, rest, span - rest) + low if span else rest
    values = array_of(at)
    return where((values > 0) & (values < n - 1), at, np.clip(values, 0, n - 1))  # at the border no gradient goes on
