"""Maximum pooling whose windows begin at random places: an axis is made shorter by a factor that need not be whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.functions.creation import random_generator
from tinygraph.functions.draws import drawn
from tinygraph.nn.functional.reduction import on_host
from tinygraph.ops.adaptive import places_in_windows
from tinygraph.ops.indexing import index
from tinygraph.ops.shape import reshape
from tinygraph.ops.windows import Lengths, lengths, spelled

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]  # fmt: skip

Ratio = float | Sequence[float] | None


def check_size(size: Lengths | None, ratio: Ratio, rank: int) -> None:
    """Raise unless one of the two is given, and it is in range."""
    if (size is None) == (ratio is None):
        raise ValueError("fractional_max_pool: give output_size= or output_ratio=, and not both")
    if size is not None:
        lengths(size, "output_size", 1, rank)
    elif len(ratios := each_ratio(ratio, rank)) != rank or not all(0 < r < 1 for r in ratios):
        raise ValueError(f"fractional_max_pool: output_ratio {ratio} must lie between 0 and 1, for each axis")


def each_ratio(ratio: Any, rank: int) -> tuple[float, ...]:
    """Return a ratio for each axis."""
    return tuple(ratio) if isinstance(ratio, Sequence) else (ratio,) * rank


def result_size(before: Shape, kernel: Shape, size: Lengths | None, ratio: Ratio) -> Shape:
    """Return how many windows there are along each axis; raise if they do not fit."""
    rank = len(before)
    check_size(size, ratio, rank)
    if size is None:
        size = [int(n * r) for n, r in zip(before, each_ratio(ratio, rank), strict=True)]
    found = lengths(size, "output_size", 1, rank)
    if any(m + k - 1 > n for n, k, m in zip(before, kernel, found, strict=True)):
        raise ValueError(f"fractional_max_pool: {found} windows {kernel} do not fit into {before}")
    return found


def starts(samples: Array, before: int, kernel: int, count: int) -> Array:
    """Return where windows begin along an axis, (planes, count): after Graham 2014, from a number 0 … 1 a plane."""
    step = (before - kernel) / (count - 1) if count > 1 else 0.0
    each = samples[:, None]
    found: Array = ((np.arange(count) + each) * step).astype(int) - (each * step).astype(int)
    found[:, -1] = before - kernel
    return found


def define(rank: int) -> tuple[Any, Any]:
    """Make the two functions for windows over ``rank`` axes."""

    @spelled(rank)
    def fractional_max_pool_of_with_indices(
        x: Value,
        kernel_size: Lengths,
        output_size: Lengths | None = None,
        output_ratio: Ratio = None,
        return_indices: bool = False,
        _random_samples: Array | None = None,
    ) -> tuple[Value, Array]:
        """Take the largest of windows at random places, as `fractional_max_poolRANK`, and return the places, too.

        Args:
            x: ARRAYS (N, C, AXES), or one of them (C, AXES).
            kernel_size: size of a window, in pixels: EACH.
            output_size: (RESULTS), or one number for all.
            output_ratio: how long the axes of the result are beside those of x, 0 … 1, in place of ``output_size``.
            return_indices: taken, and without effect.
            _random_samples: numbers 0 … 1, one for each plane and axis, in place of drawn ones.

        Returns:
            A pair: (N, C, RESULTS), and an array of integers of that shape, which carry no gradient.

        Raises:
            ValueError: the windows do not fit, or not one of ``output_size`` and ``output_ratio`` is given.

        >>> fractional_max_poolRANK_with_indices(np.arange(3.0).reshape(1, ONES3), [ONES2], [ONES2])[1].ravel()
        array([1, 2])
        """
        if len(x.shape) not in (rank + 1, rank + 2):
            raise ValueError(f"fractional_max_pool: x has shape {tuple(x.shape)}; it must have C and {rank} axes")
        before, kernel = tuple(x.shape[-rank:]), lengths(kernel_size, "kernel_size", 1, rank)
        size = result_size(before, kernel, output_size, output_ratio)
        planes, dtype = math.prod(x.shape[:-rank]), x.dtype
        shape = (planes, rank)
        if _random_samples is None:
            samples = drawn(shape, dtype, lambda: random_generator().random(shape).astype(dtype))
        else:
            samples = on_host(_random_samples).reshape(shape)
        if rank == 2:  # PyTorch's first number is of the last axis there
            samples = samples[:, ::-1]
        inside = [starts(samples[:, axis], *lie)[:, :, None] + np.arange(lie[1])
                  for axis, lie in enumerate(zip(before, kernel, size, strict=True))]  # fmt: skip
        there = places_in_windows(inside, before)
        at = np.arange(planes)[:, None]
        rows = reshape(x, (planes, math.prod(before)))
        choice = on_host(array_of(rows))[at[:, :, None], there].argmax(-1)
        places = np.take_along_axis(there, choice[..., None], -1)[..., 0]
        return reshape(index(rows, (at, places)), (*x.shape[:-rank], *size)), places.reshape(*x.shape[:-rank], *size)

    @spelled(rank)
    def fractional_max_pool(
        x: Value,
        kernel_size: Lengths,
        output_size: Lengths | None = None,
        output_ratio: Ratio = None,
        return_indices: bool = False,
        _random_samples: Array | None = None,
    ) -> Any:
        """Take the largest of windows at random places, which lie about evenly from one end to the other.

        Args:
            x: ARRAYS (N, C, AXES), or one of them (C, AXES).
            kernel_size: size of a window, in pixels: EACH.
            output_size: (RESULTS), or one number for all.
            output_ratio: how long the axes of the result are beside those of x, 0 … 1, in place of ``output_size``.
            return_indices: whether to return the places of the largest pixels, too, as `max_unpoolRANK` takes them.
            _random_samples: numbers 0 … 1, one for each plane and axis, in place of drawn ones.

        Returns:
            (N, C, RESULTS); with ``return_indices`` a pair of that and an array of integers.

        Raises:
            ValueError: the windows do not fit, or not one of ``output_size`` and ``output_ratio`` is given.

        Source: Graham 2014, "Fractional max-pooling", section 2.

        >>> fractional_max_poolRANK(np.arange(3.0).reshape(1, ONES3), [ONES2], [ONES2]).ravel()
        array([1., 2.])
        """
        found = fractional_max_pool_of_with_indices(
            x, kernel_size, output_size, output_ratio, _random_samples=_random_samples
        )
        return found if return_indices else found[0]

    return fractional_max_pool, fractional_max_pool_of_with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = define(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = define(3)
