"""Signals: the discrete Fourier transform and convolution. The derivative of each is another one.

Complex numbers are pairs of real ones, (real, imaginary) along a last axis of length 2, as ``torch.view_as_real`` has
them. Axes are counted without that one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value

__all__ = ["convolve", "fftn", "ifftn", "irfft", "rfft"]

linear = functools.partial(op, family="linear")

# Which scale the adjoint has: that of the other direction.
ADJOINT = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def complex_of(x: Array) -> Array:
    """Return pairs as complex numbers."""
    return x[..., 0] + 1j * x[..., 1]


def pairs_of(z: Array, dtype: npt.DTypeLike) -> Array:
    """Return complex numbers as pairs."""
    return np.stack([z.real, z.imag], axis=-1).astype(dtype, copy=False)


def transform(function: str) -> Callable[..., Array]:
    """Return a transform of NumPy's from pairs to pairs."""

    def compute(x: Array, axes: Sequence[int] = (-1,), norm: str = "backward") -> Array:
        return pairs_of(getattr(np.fft, function)(complex_of(x), axes=tuple(axes), norm=norm), x.dtype)

    return compute


@linear(
    r"F\,$x", forward=transform("fftn"), onnx="DFT",
    says="Takes the discrete Fourier transform of $x over $axes.",
    samples=[
        sample((4, 2)), sample((3, 5, 2)), sample((3, 4, 2), axes=(0, 1)), sample((3, 4, 2), axes=(-2,), norm="ortho"),
        sample((4, 2), norm="forward"),
    ],
    x=(r"F^{\mathsf H}\cdot", lambda g, axes, norm: ifftn(g, axes, ADJOINT[norm])),  # type: ignore[has-type]
)  # fmt: skip
def fftn(x: Value, axes: Sequence[int] = (-1,), norm: str = "backward") -> Value:
    """Take the discrete Fourier transform of pairs; `tinygraph.fft` has the functions that NumPy and PyTorch have.

    Args:
        x: (…, 2), pairs of a real and an imaginary part.
        axes: those of the transform, counted without the last axis of x.
        norm: which way is scaled by 1/n: "backward", "forward", or both by 1/√n, "ortho".

    Returns:
        Pairs, of the same shape.

    Raises:
        IndexError: x has no such axis.

    >>> fftn(Tensor([[1.0, 0.0], [1.0, 0.0]])).data.tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """


@linear(
    r"F^{-1}\,$x", forward=transform("ifftn"),
    says="Takes the inverse discrete Fourier transform of $x over $axes.",
    samples=[
        sample((4, 2)), sample((3, 4, 2), axes=(0, 1)), sample((3, 4, 2), axes=(-2,), norm="ortho"),
        sample((4, 2), norm="forward"),
    ],
    x=(r"F^{-\mathsf H}\cdot", lambda g, axes, norm: fftn(g, axes, ADJOINT[norm])),
)  # fmt: skip
def ifftn(x: Value, axes: Sequence[int] = (-1,), norm: str = "backward") -> Value:
    """Take the inverse of `fftn`.

    Args:
        x: (…, 2), pairs of a real and an imaginary part.
        axes: those of the transform, counted without the last axis of x.
        norm: as for `fftn`.

    Returns:
        Pairs, of the same shape.

    Raises:
        IndexError: x has no such axis.

    >>> ifftn(Tensor([[2.0, 0.0], [0.0, 0.0]])).data.tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """


def halves(x: Value, n: int, axis: int) -> Array:
    """Return how often a real signal's transform of half the length has each number of the whole one: 1/2 or 1.

    Args:
        x: pairs of that half, for the type of the array.
        n: length of the signal.
        axis: that of the transform, in the complex array.
    """
    rank = len(x.shape) - 1
    once, rest = 1 + (n > 1 and n % 2 == 0), (1,) * (rank - axis % rank)
    ends = [np.full_like(array_of(x), 1, shape=(1, *rest))] * once
    middle = np.full_like(array_of(x), 0.5, shape=(n // 2 + 1 - once, *rest))
    return np.concatenate([ends[0], middle, *ends[1:]])


def compute_rfft(x: Array, axis: int = -1, norm: Any = "backward") -> Array:
    """Compute half of the transform of real numbers."""
    return pairs_of(np.fft.rfft(x, axis=axis, norm=norm), x.dtype)


def compute_irfft(x: Array, n: int = 1, axis: int = -1, norm: Any = "backward") -> Array:
    """Compute real numbers from half of their transform."""
    return np.fft.irfft(complex_of(x), n=n, axis=axis, norm=norm).astype(x.dtype, copy=False)


def pull_rfft(g: Value, n: int, axis: int, norm: str) -> Value:
    """Return the gradient of `rfft` in n real numbers."""
    return irfft(g * halves(g, n, axis), n, axis, ADJOINT[norm])


def pull_irfft(g: Value, n: int, axis: int, norm: str) -> Value:
    """Return the gradient of `irfft` in the pairs."""
    pairs = rfft(g, axis, ADJOINT[norm])
    return pairs / halves(pairs, n, axis)


@linear(
    r"F\,$x", forward=compute_rfft,
    says="Takes the discrete Fourier transform of the real numbers $x, half of it: the rest is its mirror image.",
    samples=[
        sample((4,)), sample((2, 5)), sample((4, 3), axis=0), sample((3, 1), norm="ortho"),
        sample((3, 6), axis=-1, norm="forward"),
    ],
    x=(r"F^{\mathsf H}\cdot", lambda g, x_shape, axis, norm: pull_rfft(g, x_shape[axis], axis, norm)),
)  # fmt: skip
def rfft(x: Value, axis: int = -1, norm: str = "backward") -> Value:
    """Take the discrete Fourier transform of real numbers: half of it, since the rest is its mirror image.

    Args:
        x: real numbers, (…, n, …).
        axis: that of length n.
        norm: as for `fftn`.

    Returns:
        Pairs, (…, n // 2 + 1, …, 2).

    Raises:
        IndexError: x has no such axis.

    >>> rfft(Tensor([1.0, 1.0])).data.tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """


@linear(
    r"F^{-1}\,$x", forward=compute_irfft,
    says="Takes the inverse discrete Fourier transform of $x to $n real numbers.",
    samples=[
        sample((3, 2), n=4), sample((2, 3, 2), n=5), sample((3, 4, 2), n=4, axis=0), sample((1, 2), n=1, norm="ortho"),
        sample((2, 4, 2), n=6, axis=1, norm="forward"),
    ],
    x=(r"F^{-\mathsf H}\cdot", lambda g, n, axis, norm: pull_irfft(g, n, axis, norm)),
)  # fmt: skip
def irfft(x: Value, n: int = 1, axis: int = -1, norm: str = "backward") -> Value:
    """Take the inverse of `rfft`. Imaginary parts that a real signal cannot have are left out.

    Args:
        x: pairs, (…, n // 2 + 1, …, 2).
        n: how many real numbers there are.
        axis: that of the transform, counted without the last axis of x.
        norm: as for `fftn`.

    Returns:
        Real numbers, (…, n, …).

    Raises:
        IndexError: x has no such axis.

    >>> irfft(Tensor([[2.0, 0.0], [0.0, 0.0]]), 2)
    Tensor([1., 1.], op=irfft)
    """


def pull_convolve(g: Value, other: Value, n: int, valid: bool) -> Value:
    """Return the gradient of a convolution in its operand of length n: one of g and the other operand, turned round."""
    if not valid:
        return convolve(g, other[::-1], valid=True)
    return convolve(g, other[::-1]) if n >= other.shape[0] else convolve(other[::-1], g, valid=True)


@linear(
    r"$x \ast $y", says="Convolves the sequences $x and $y.",
    forward=lambda x, y, valid=False: np.convolve(x, y, "valid" if valid else "full"),
    samples=[
        sample((4,), (3,)), sample((2,), (5,)), sample((1,), (1,)), sample((5,), (3,), valid=True),
        sample((2,), (5,), valid=True), sample((3,), (3,), valid=True),
    ],
    x=(r"\cdot\star $y", lambda g, x_shape, y, valid: pull_convolve(g, y, x_shape[0], valid)),
    y=(r"\cdot\star $x", lambda g, x, y_shape, valid: pull_convolve(g, x, y_shape[0], valid)),
)  # fmt: skip
def convolve(x: Value, y: Value, valid: bool = False) -> Value:
    """Convolve two sequences: element k of the result is Σ x_i y_(k-i). `tinygraph.convolve` has NumPy's modes.

    Args:
        x: (n,).
        y: (m,).
        valid: keep only the elements where the sequences overlap in full.

    Returns:
        (n + m - 1,), or (|n - m| + 1,).

    Raises:
        ValueError: a sequence is empty, or has more than one axis.

    >>> convolve(Tensor([1.0, 2.0]), np.array([1.0, 1.0]))
    Tensor([1., 3., 2.], op=convolve)
    """
