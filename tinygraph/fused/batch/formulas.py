"""What follows from the sums of a channel: in NumPy for all channels at once, in a compiled kernel for each."""

from __future__ import annotations

from tinygraph.engine.types import Value
from tinygraph.fused.normalization import mean_and_rstd

FAR = 4  # standard deviations that a mean may be from 0, for sums in float32 to keep their digits


def statistics(s: Value, q: Value, n: int, gamma: Value, beta: Value, eps: float) -> tuple[Value, Value, Value, Value]:
    """Return mean and 1/σ of n values from Σx and Σx²; then a and b of y = a x + b."""
    mean, rstd = mean_and_rstd(s, q, n, eps)
    a = gamma * rstd
    return mean, rstd, a, beta - mean * a


def coefficients(
    s: Value, p: Value, n: int, gamma: Value, mean: Value, rstd: Value
) -> tuple[Value, Value, Value, Value]:
    """Return dγ from Σdy and Σdy x; then a, b and c of dx = a (dy + b x + c)."""
    p = (p - mean * s) * rstd
    b = -rstd * p / n
    return p, gamma * rstd, b, -s / n - b * mean
