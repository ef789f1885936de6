"""Fourier transforms as ``numpy.fft`` and ``torch.fft`` name them: `tinygraph.fft` gives these out.

Complex numbers are pairs of real ones, (real, imaginary) along a last axis of length 2. ``axis``, ``axes`` and
``dim`` count the axes without that one, as in the complex array that the pairs stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.types import Axis, Value
from tinygraph.functions.products import as_array
from tinygraph.ops import signals
from tinygraph.ops.joining import stack
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.padding import pad
from tinygraph.ops.rearranging import roll

__all__ = [
    "fft", "fft2", "fftn", "fftshift", "ifft", "ifft2", "ifftn", "ifftshift", "irfft", "irfft2", "irfftn", "make_pairs",
    "multiply_pairs", "rfft", "rfft2", "rfftn",
]  # fmt: skip

Lengths = Sequence[int] | None


# --------------------------------------------------------------------------------------------------------------- pairs


def make_pairs(real: Value, imaginary: Value | None = None) -> Value:
    """Put real and imaginary parts side by side, as pairs along a new last axis.

    Args:
        real: of any shape.
        imaginary: of the same shape; zeros unless given.

    Returns:
        (…, 2).

    Raises:
        ValueError: the shapes differ.

    >>> make_pairs(np.array([1.0, 2.0])).tolist()
    [[1.0, 0.0], [2.0, 0.0]]
    """
    real = as_array(real)
    return stack([real, np.zeros_like(getattr(real, "data", real)) if imaginary is None else imaginary], -1)


@composite
def multiply_pairs(x: Value, y: Value) -> Value:
    """Multiply complex numbers that are pairs.

    Args:
        x: (…, 2).
        y: (…, 2); the other axes broadcast.

    Returns:
        Pairs, of the common shape.

    Raises:
        ValueError: an operand is no array of pairs, or the shapes do not broadcast.

    >>> multiply_pairs(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    array([-1.,  0.])
    """
    x, y = pairs(x, "multiply_pairs"), pairs(y, "multiply_pairs")
    a, b, c, d = x[..., 0], x[..., 1], y[..., 0], y[..., 1]
    return stack([a * c - b * d, a * d + b * c], -1)


def pairs(x: Value, name: str) -> Value:
    """Return an array of pairs; raise if it is none."""
    x = as_array(x)
    if not x.shape or x.shape[-1] != 2:
        raise ValueError(
            f"{name} takes pairs (real, imaginary) along a last axis of length 2, and not shape {tuple(x.shape)}: "
            "for real numbers there is rfft, or make_pairs(x)"
        )
    return x


def with_lengths(x: Value, lengths: Sequence[int], axes: Sequence[int], name: str) -> Value:
    """Cut axes to lengths, or fill them up with zeros."""
    widths, cuts = [(0, 0)] * len(x.shape), [slice(None)] * len(x.shape)
    for length, axis in zip(lengths, axes, strict=True):
        if length < 1:
            raise ValueError(f"{name}: a transform has at least 1 element, and {length} are asked for")
        widths[axis], cuts[axis] = (0, max(length - x.shape[axis], 0)), slice(length)
    x = x[tuple(cuts)] if any(n < x.shape[a] for n, a in zip(lengths, axes, strict=True)) else x
    return pad(x, tuple(widths)) if any(after for _, after in widths) else x


def places(s: Lengths, axes: Any, rank: int, default: Sequence[int] | None = None) -> list[int]:
    """Return the axes of a transform, counted from the front: those named, the last ones for lengths, or all."""
    if axes is None:
        axes = default if default is not None else range(rank - len(s), rank) if s is not None else range(rank)
    return list(normalize_axis_tuple(axes, rank))


def whole(x: Value, s: Lengths, axes: Any, norm: str | None, name: str, default: Any = None) -> Value:
    """Transform pairs over several axes."""
    x = pairs(x, name)
    over = places(s, axes, len(x.shape) - 1, default)
    x = with_lengths(x, s, over, name) if s is not None else x
    made = signals.ifftn if name.startswith("i") else signals.fftn
    return made(x, axes=tuple(over), norm=checked(norm, name))


def half_of(x: Value, s: Lengths, axes: Any, norm: str | None, name: str) -> Value:
    """Transform real numbers over several axes; of the last one, half."""
    x = as_array(x)
    over = places(s, axes, len(x.shape))
    x = x if s is None else with_lengths(x, s, over, name)
    half = rfft(x, None, over[-1], norm)
    return fftn(half, None, over[:-1], norm) if over[:-1] else half


def real_of(x: Value, s: Lengths, axes: Any, norm: str | None, name: str) -> Value:
    """Undo `half_of`."""
    x = pairs(x, name)
    over = places(s, axes, len(x.shape) - 1)
    rest = ifftn(x, None if s is None else s[:-1], over[:-1], norm) if over[:-1] else x
    return irfft(rest, None if s is None else s[-1], over[-1], norm)


def checked(norm: str | None, name: str) -> str:
    """Return the name of a scale."""
    if norm not in (None, *signals.ADJOINT):
        raise ValueError(f"{name}: norm is {norm!r}, and must be 'backward', 'ortho' or 'forward'")
    return norm or "backward"


# --------------------------------------------------------------------------------------------------------- transforms


@accept_dim
@composite
def fft(x: Value, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """Take the discrete Fourier transform of pairs: Σ x_j e^(-2πi jk/n).

    Args:
        x: (…, n, …, 2).
        n: length of the transform: x is cut to it, or filled up with zeros; that of x unless given.
        axis: that of the transform, counted without the pairs.
        norm: which way is scaled by 1/n: "backward", the usual, "forward", or both by 1/√n, "ortho".

    Returns:
        Pairs, of the shape of x but for n.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> fft(np.array([[1.0, 0.0], [1.0, 0.0]])).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    return whole(x, None if n is None else (n,), (axis,), norm, "fft")


@accept_dim
@composite
def ifft(x: Value, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """Take the inverse of `fft`.

    Args:
        x: (…, n, …, 2).
        n: as in `fft`.
        axis: that of the transform, counted without the pairs.
        norm: as in `fft`.

    Returns:
        Pairs, of the shape of x but for n.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> ifft(np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    return whole(x, None if n is None else (n,), (axis,), norm, "ifft")


@accept_dim
@composite
def rfft(x: Value, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """Take the discrete Fourier transform of real numbers: half of it, since the rest is its mirror image.

    Args:
        x: real numbers, (…, n, …).
        n: as in `fft`.
        axis: that of length n.
        norm: as in `fft`.

    Returns:
        Pairs, (…, n // 2 + 1, …, 2).

    Raises:
        IndexError: x has no such axis.
        ValueError: the norm or the length is not known here.

    >>> rfft(np.array([1.0, 1.0])).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    x = as_array(x)
    (axis,) = places(None, (axis,), len(x.shape))
    x = x if n is None else with_lengths(x, (n,), (axis,), "rfft")
    return signals.rfft(x, axis=axis, norm=checked(norm, "rfft"))


@accept_dim
@composite
def irfft(x: Value, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """Take the inverse of `rfft`.

    Args:
        x: pairs, (…, m, …, 2): of m numbers, n // 2 + 1 are used.
        n: how many real numbers there are: 2 (m - 1) unless given.
        axis: that of the transform, counted without the pairs.
        norm: as in `fft`.

    Returns:
        Real numbers, (…, n, …).

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> irfft(np.array([[2.0, 0.0], [0.0, 0.0]]))
    array([1., 1.])
    """
    x = pairs(x, "irfft")
    (axis,) = places(None, (axis,), len(x.shape) - 1)
    n = 2 * (x.shape[axis] - 1) if n is None else n
    x = with_lengths(x, (n // 2 + 1 if n > 0 else n,), (axis,), "irfft")
    return signals.irfft(x, n=n, axis=axis, norm=checked(norm, "irfft"))


@composite
def fftn(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = None, norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the discrete Fourier transform of pairs over several axes.

    Args:
        x: (…, 2).
        s: a length for each axis of the transform, as n of `fft`.
        axes: those of the transform, counted without the pairs; all unless given, or as many as there are lengths.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Pairs, of the shape of x but for ``s``.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> fftn(np.ones((2, 3, 2))).shape
    (2, 3, 2)
    """
    return whole(x, s, axes if dim is None else dim, norm, "fftn")


@composite
def ifftn(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = None, norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the inverse discrete Fourier transform of pairs over several axes.

    Args:
        x: (…, 2).
        s: a length for each axis of the transform, as n of `fft`.
        axes: as in `fftn`.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Pairs, of the shape of x but for ``s``.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> ifftn(np.ones((2, 3, 2))).shape
    (2, 3, 2)
    """
    return whole(x, s, axes if dim is None else dim, norm, "ifftn")


@composite
def fft2(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = (-2, -1), norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the discrete Fourier transform of pairs over two axes.

    Args:
        x: (…, n, m, 2).
        s: a length for each axis of the transform, as n of `fft`.
        axes: those of the transform, counted without the pairs.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Pairs, of the shape of x but for ``s``.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> fft2(np.ones((2, 3, 2))).shape
    (2, 3, 2)
    """
    return whole(x, s, axes if dim is None else dim, norm, "fft2")


@composite
def ifft2(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = (-2, -1), norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the inverse discrete Fourier transform of pairs over two axes.

    Args:
        x: (…, n, m, 2).
        s: a length for each axis of the transform, as n of `fft`.
        axes: those of the transform, counted without the pairs.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Pairs, of the shape of x but for ``s``.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> ifft2(np.ones((2, 3, 2))).shape
    (2, 3, 2)
    """
    return whole(x, s, axes if dim is None else dim, norm, "ifft2")


@composite
def rfftn(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = None, norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the discrete Fourier transform of real numbers over several axes; of the last one, half.

    Args:
        x: real numbers.
        s: a length for each axis of the transform, as n of `fft`.
        axes: as in `fftn`.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Pairs; the last of the axes has n // 2 + 1 of them.

    Raises:
        IndexError: x has no such axis.
        ValueError: the norm or a length is not known here.

    >>> rfftn(np.ones((2, 3))).shape
    (2, 2, 2)
    """
    return half_of(x, s, axes if dim is None else dim, norm, "rfftn")


@composite
def rfft2(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = (-2, -1), norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the discrete Fourier transform of real numbers over two axes; of the last one, half.

    Args:
        x: real numbers.
        s: a length for each axis of the transform, as n of `fft`.
        axes: those of the transform, counted without the pairs.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Pairs; the last of the axes has n // 2 + 1 of them.

    Raises:
        IndexError: x has no such axis.
        ValueError: the norm or a length is not known here.

    >>> rfft2(np.ones((2, 3))).shape
    (2, 2, 2)
    """
    return half_of(x, s, axes if dim is None else dim, norm, "rfft2")


@composite
def irfftn(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = None, norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the inverse of `rfftn`.

    Args:
        x: pairs.
        s: a length for each axis of the transform, as n of `fft`.
        axes: as in `fftn`.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Real numbers; of the last axis 2 (m - 1) unless ``s`` says.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> irfftn(np.ones((2, 2, 2))).shape
    (2, 2)
    """
    return real_of(x, s, axes if dim is None else dim, norm, "irfftn")


@composite
def irfft2(
    x: Value, s: Lengths = None, axes: Sequence[int] | None = (-2, -1), norm: str | None = None, *, dim: Axis = None
) -> Value:
    """Take the inverse of `rfft2`.

    Args:
        x: pairs.
        s: a length for each axis of the transform, as n of `fft`.
        axes: those of the transform, counted without the pairs.
        norm: as in `fft`.
        dim: PyTorch's name of ``axes``.

    Returns:
        Real numbers; of the last axis 2 (m - 1) unless ``s`` says.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs, or the norm or a length is not known here.

    >>> irfft2(np.ones((2, 2, 2))).shape
    (2, 2)
    """
    return real_of(x, s, axes if dim is None else dim, norm, "irfft2")


@composite
def fftshift(x: Value, axes: int | Sequence[int] | None = None, *, dim: Axis = None) -> Value:
    """Move the frequency 0 to the middle of each axis.

    Args:
        x: pairs, (…, 2).
        axes: those that are turned, counted without the pairs; all unless given.
        dim: PyTorch's name of ``axes``.

    Returns:
        The same pairs in another order.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs.

    >>> fftshift(make_pairs(np.arange(3.0)))[:, 0]
    array([2., 0., 1.])
    """
    x = pairs(x, "fftshift")
    for axis in places(None, axes if dim is None else dim, len(x.shape) - 1):
        x = roll(x, x.shape[axis] // 2, axis)
    return x


@composite
def ifftshift(x: Value, axes: int | Sequence[int] | None = None, *, dim: Axis = None) -> Value:
    """Undo `fftshift`: move the frequency 0 to the front of each axis.

    Args:
        x: pairs, (…, 2).
        axes: those that are turned, counted without the pairs; all unless given.
        dim: PyTorch's name of ``axes``.

    Returns:
        The same pairs in another order.

    Raises:
        IndexError: x has no such axis.
        ValueError: x is no array of pairs.

    >>> ifftshift(make_pairs(np.arange(3.0)))[:, 0]
    array([1., 2., 0.])
    """
    x = pairs(x, "ifftshift")
    for axis in places(None, axes if dim is None else dim, len(x.shape) - 1):
        x = roll(x, -(x.shape[axis] // 2), axis)
    return x
