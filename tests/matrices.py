"""Matrices that an op of linear algebra can take: samples of these ops are drawn like all others, and then made so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def diagonal(x: np.ndarray, first: float, step: float = 0.0) -> np.ndarray:
    """Zeros like ``x`` but for the diagonal, which rises from ``first`` in steps."""
    return np.eye(*x.shape[-2:]) * (first + step * np.arange(x.shape[-1]))


def regular(x: np.ndarray) -> np.ndarray:
    """A matrix far from singular."""
    return x + diagonal(x, 4)


def spread(x: np.ndarray) -> np.ndarray:
    """A matrix whose singular values are far from each other, and from 0."""
    return x / 2 + diagonal(x, 2, 3)


def symmetric(x: np.ndarray) -> np.ndarray:
    """A symmetric matrix whose eigenvalues are far from each other."""
    return (x + np.swapaxes(x, -1, -2)) / 4 + diagonal(x, -1, 3)


def positive_definite(x: np.ndarray) -> np.ndarray:
    """A symmetric matrix with eigenvalues of 1 and above."""
    return x @ np.swapaxes(x, -1, -2) / x.shape[-1] + diagonal(x, 1)


MADE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys(("solve", "inv", "det", "cofactor", "logabsdet"), regular),
    **dict.fromkeys(("svd", "qr", "pinv"), spread),
    "eigh": symmetric,
    "cholesky": positive_definite,
}  # op -> what it takes as its first operand


FREE = ("complement",)  # ops whose result is not determined: differences say nothing of it


def prepared(op: Any, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Random operands of an op, made such that it takes them; it may be no op."""
    make = MADE.get(getattr(op, "name", ""))
    return [make(arrays[0]).astype(arrays[0].dtype), *arrays[1:]] if make else list(arrays)
