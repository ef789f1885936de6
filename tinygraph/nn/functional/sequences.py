"""The loss of a sequence whose letters have no times, and a softmax that draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.checks import label
from tinygraph.functions.creation import random_generator
from tinygraph.functions.draws import drawn
from tinygraph.functions.softmax import softmax
from tinygraph.kernels.arrays import asarray, backend_of
from tinygraph.nn.functional.reduction import beside, check_reduction, on_host, reduce
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import unbind
from tinygraph.ops.joining import concatenate, stack
from tinygraph.ops.reduce import logsumexp, mean

__all__ = ["ctc_loss", "gumbel_softmax"]

NEVER = -1e30  # the logarithm of a probability of 0: finite, so that differences of two are 0 and no NaN


@composite
def ctc_loss(
    log_probs: Value,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Value:
    """Average minus the log-probability of a sequence, over all ways to lay its letters out in time.

    A way repeats letters and puts blanks between them. The gradient is that of the loss as it is written; PyTorch's
    agrees with it where ``log_probs`` come from a log_softmax, as they should.

    Args:
        log_probs: logarithms of probabilities at each time, (T, N, C), or (T, C) for one sequence.
        targets: letters, integers, (N, S) padded, or those of all sequences after one another; (S,) for one.
        input_lengths: how many times count, (N,), or a number for one.
        target_lengths: how many letters each sequence has, (N,), or a number for one.
        blank: the class of the blank.
        reduction: "mean" divides by the target's length and averages over sequences; "sum" or "none".
        zero_infinity: whether a sequence that is too long for its time costs 0, rather than infinity.

    Returns:
        The loss in nats, 0-d; with "none", (N,).

    Raises:
        ValueError: shapes or lengths do not fit, a letter is out of range, or the reduction is another.

    Source: Graves et al. 2006, section 4.1.

    >>> ctc_loss(np.log(np.full((2, 1, 2), 0.5)), np.array([[1]]), np.array([2]), np.array([1])).round(4)
    np.float64(0.2877)
    """
    check_reduction("ctc_loss", reduction)
    is_one = len(log_probs.shape) == 2
    if is_one:
        log_probs = log_probs.reshape((log_probs.shape[0], 1, log_probs.shape[1]))
    times, lengths = (np.atleast_1d(on_host(a)).astype(int) for a in (input_lengths, target_lengths))
    letters = padded(on_host(targets), lengths, log_probs.shape, times, blank)
    n, width = letters.shape[0], 2 * letters.shape[1] + 1
    spaced = np.full((n, width), blank)
    spaced[:, 1::2] = letters
    skips = np.zeros((n, width), bool)  # from a letter straight to the next, if it is another
    skips[:, 2:] = (spaced[:, 2:] != blank) & (spaced[:, 2:] != spaced[:, :-2])
    rows, never = (
        np.arange(n)[:, None],
        beside(log_probs, np.full((n, 2), NEVER, log_probs.dtype)),
    )
    ways: Value = None
    for t, row in enumerate(unbind(log_probs)):
        here = row[beside(row, rows), beside(row, spaced)]
        if ways is None:
            ways = label(where(beside(here, np.arange(width) < 2), here, NEVER), "α")
            continue
        one, two = (concatenate([never[:, :k], ways[:, : width - k]], 1) for k in (1, 2))
        found = logsumexp(stack([ways, one, where(beside(here, skips), two, NEVER)]), 0) + here
        ways = label(where(beside(here, (t < times)[:, None]), found, ways), "α")
    last, before = 2 * lengths, np.maximum(2 * lengths - 1, 0)
    flat, last, before, is_there = (beside(ways, a) for a in (np.arange(n), last, before, lengths > 0))
    ends = stack([ways[flat, last], where(is_there, ways[flat, before], NEVER)])
    loss = -logsumexp(ends, 0)
    is_lost = array_of(loss) > -NEVER / 10
    loss = where(is_lost, 0.0 if zero_infinity else np.inf, loss) if is_lost.any() else loss
    if reduction == "mean":
        return mean(loss / beside(loss, np.maximum(lengths, 1).astype(log_probs.dtype)))
    return loss[0] if is_one and reduction == "none" else reduce("ctc_loss", loss, reduction)


def padded(targets: Array, lengths: Array, shape: tuple[int, ...], times: Array, blank: int) -> Array:
    """Return the letters as (N, S), padded with the first class that is no blank; raise if something does not fit."""
    steps, n, classes = shape
    if len(lengths) != n or len(times) != n or (lengths < 0).any() or (times < 1).any() or (times > steps).any():
        raise ValueError(f"ctc_loss: {n} sequences need lengths: of the input 1 … {steps}, of the target 0 or more")
    if not 0 <= blank < classes:
        raise ValueError(f"ctc_loss: blank={blank} is none of the {classes} classes")
    filler = np.full((n, max(int(lengths.max(initial=0)), 1)), int(blank == 0))
    if (targets.ndim == 1 and targets.size != lengths.sum()) or (targets.ndim == 2 and len(targets) != n):
        raise ValueError(f"ctc_loss: targets have shape {targets.shape}; lengths are {lengths.tolist()}")
    if targets.ndim == 2 and targets.shape[1] < lengths.max(initial=0):
        raise ValueError(f"ctc_loss: targets have shape {targets.shape}; lengths are {lengths.tolist()}")
    is_there = np.arange(filler.shape[1]) < lengths[:, None]
    filler[is_there] = targets if targets.ndim == 1 else targets[:, : filler.shape[1]][is_there[:, : targets.shape[1]]]
    if is_there.any() and (filler[is_there].min() < 0 or filler[is_there].max() >= classes):
        raise ValueError(f"ctc_loss: a letter is none of the {classes} classes")
    return filler


def gumbel_softmax(logits: Value, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Value:
    """Draw a class from scores in a way that has a gradient: the softmax of scores plus Gumbel noise.

    Args:
        logits: scores, of any shape.
        tau: temperature, above 0; small ones give rows that are nearly 0 and 1.
        hard: whether rows are 0 and 1, with the gradient of the soft ones.
        eps: taken, and without effect.
        dim: the axis of the classes.

    Returns:
        Rows that add up to 1 along ``dim``. The noise comes from the generator of `tinygraph.manual_seed`.

    Raises:
        ValueError: tau is not positive.

    Source: Jang, Gu and Poole 2017; Maddison, Mnih and Teh 2017.

    >>> gumbel_softmax(np.array([0.0, 1e6]), hard=True)
    array([0., 1.])
    """
    if tau <= 0:
        raise ValueError(f"gumbel_softmax: tau is {tau}, and must be positive")
    values = array_of(logits)
    shape, dtype, backend = values.shape, values.dtype, backend_of(values)
    noise = drawn(shape, dtype, lambda: asarray(random_generator().gumbel(size=shape), backend, dtype))
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    weights = array_of(soft)
    is_largest = np.expand_dims(on_host(weights.argmax(dim)), dim) == np.arange(weights.shape[dim]).reshape(
        [-1 if a == dim % weights.ndim else 1 for a in range(weights.ndim)]
    )
    return soft + (beside(soft, is_largest.astype(weights.dtype)) - weights)  # the value is hard, the slope soft
