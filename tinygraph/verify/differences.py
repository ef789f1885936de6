"""The gradients of a function beside the differences of its values. They share no derivation, so they can be compared.

A difference moves one element of one input a small step up and down. Where the slopes on the two sides differ, the
function has a kink there, and no derivative.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array
from tinygraph.functions.recording import no_grad
from tinygraph.functions.transforms import outputs_of, pull
from tinygraph.kernels.arrays import to_numpy
from tinygraph.verify.inputs import Function, array_like, as_tuple

__all__ = ["Check", "Comparison", "Limits", "describe_error", "worst_of"]

EVERY_OUTPUT = 64  # up to this many elements, each element of an output has a row of the Jacobian to itself


class Limits(NamedTuple):
    """The step of the differences, and the absolute and the relative error that is allowed."""

    eps: float
    atol: float
    rtol: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The gradient of one output in one input, beside differences.

    The arrays have R rows, one for each upstream gradient, and K columns, one for each element of the input that was
    moved.

    Attributes:
        output: index of the output.
        input: index of the input.
        elements: of shape (K,), indices of the moved elements in C order.
        units: how many of the first rows belong to one element of the output each; the others are random.
        analytic: of shape (R, K), what the backward pass gives.
        numeric: of shape (R, K), differences from below to above.
        left: of shape (R, K), differences from below to the input.
        right: of shape (R, K), differences from the input to above.
        rounding: of shape (R, 1), by how much rounding of the values may change a difference.
    """

    output: int
    input: int
    elements: Array
    units: int
    analytic: Array
    numeric: Array
    left: Array
    right: Array
    rounding: Array

    def excess(self, atol: float | Array, rtol: float) -> Array:
        """Return the error of each entry in units of its tolerance, of shape (R, K): above 1 is wrong."""
        with np.errstate(invalid="ignore"):
            excess: Array = np.abs(self.analytic - self.numeric) / (atol + rtol * np.abs(self.numeric))
        excess[~np.isfinite(excess)] = np.inf
        return excess

    def kinks(self, atol: float | Array, rtol: float) -> Array:
        """Say for each entry, of shape (R, K), whether the slopes differ and the gradient lies between the two."""
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        slack = atol + rtol * np.maximum(np.abs(low), np.abs(high))
        between = (low - slack <= self.analytic) & (self.analytic <= high + slack)
        kinks: Array = (high - low > 4 * slack) & between
        return kinks


class Check:
    """A function of float64 arrays, to be differentiated in two ways.

    Attributes:
        what: name of the check, with which its messages begin.
        func: takes an array or Tensor for each of ``arrays``.
        arrays: where to differentiate.
        inputs: what to call each of ``arrays`` in a message.
        subject: says which gradient is meant, from the indices of output and input.
        unsteady: says what is wrong where a second call gave another value, from the index of the output.
    """

    def __init__(self, what: str, func: Function, arrays: Sequence[Array], inputs: Sequence[str]) -> None:
        self.what, self.func, self.inputs = what, func, list(inputs)
        self.arrays = [np.asarray(x) if isinstance(x, np.generic) else x for x in arrays]
        self.subject: Callable[[int, int], str] = lambda i, j: f"the gradient of output {i} in {self.inputs[j]}"
        self.unsteady: Callable[[int], str] = lambda i: (
            f"output {i} differs from call to call: fix the seed of its randomness"
        )

    def record(self) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """Call the function with fresh leaves; return them and its outputs."""
        leaves = [Tensor(x) for x in self.arrays]
        return leaves, outputs_of(self.func, leaves, self.what)[1]

    def values(self, arrays: Sequence[Array]) -> list[Array]:
        """Call the function without recording; each output is laid out in one axis."""
        with no_grad():
            out = self.func(*(Tensor(x, requires_grad=False) for x in arrays))
        return [to_numpy(array_of(y)).reshape(-1) for y in as_tuple(out)]

    def unsteady_output(self) -> str:
        """Say which output changes from call to call; nothing where none does."""
        for i, (y, again) in enumerate(zip(self.record()[1], self.values(self.arrays), strict=True)):
            if not np.allclose(to_numpy(y.data).reshape(-1), again, 1e-6, 1e-9, equal_nan=True):
                return self.unsteady(i)
        return ""

    def slopes(self, j: int, step: float, elements: Iterable[int]) -> Iterator[list[tuple[Array, Array, Array]]]:
        """Yield, for each element of input ``j``, the slopes of every output: across it, on its left, on its right."""
        at, middle = self.arrays[j].reshape(-1), self.values(self.arrays)
        for k in elements:
            ends = []
            for move in (step, -step):
                x = self.arrays[j].copy()
                x.reshape(-1)[k] += move
                moved = float(x.reshape(-1)[k]) - float(at[k])
                ends.append((moved, self.values([*self.arrays[:j], x, *self.arrays[j + 1 :]])))
            (up, high), (down, low) = ends
            yield [
                ((a - c) / (up - down), (b - c) / -down, (a - b) / up)
                for a, b, c in zip(high, middle, low, strict=True)
            ]

    def compare(
        self, step: float, rng: np.random.Generator, inputs: Iterable[int] | None = None, at_most: int | None = None
    ) -> Iterator[Comparison]:
        """Yield a `Comparison` for each output and input.

        Args:
            step: how far an element is moved, in units of the input.
            rng: draws the upstream gradients, two for each output of more than one element.
            inputs: indices of the inputs to compare; None is all.
            at_most: move no more elements of an input than this, drawn at random; None moves all.
        """
        leaves, ys = self.record()
        upstream, units = [], []
        for y in ys:
            unit, random = np.eye(y.size if y.size <= EVERY_OUTPUT else 0, y.size), rng.normal(size=(2, y.size))
            upstream.append(unit if y.size == 1 else np.vstack([unit, random]))
            units.append(len(unit))
        gradients = [
            [pull([y], leaves, [array_like(row.reshape(y.shape), y.data)]) for row in rows]
            for y, rows in zip(ys, upstream, strict=True)
        ]
        for j in range(len(leaves)) if inputs is None else inputs:
            size = leaves[j].size
            many = at_most is not None and size > at_most
            elements = np.sort(rng.permutation(size)[:at_most]) if many else np.arange(size)
            with np.errstate(all="ignore"):
                slopes = list(self.slopes(j, step, elements.tolist()))
            for i, (y, rows) in enumerate(zip(ys, upstream, strict=True)):
                if size and y.size:
                    across, left, right = (rows @ np.stack([s[i][side] for s in slopes], -1) for side in range(3))
                    analytic = np.stack([to_numpy(g[j]).reshape(-1)[elements] for g in gradients[i]])
                    values = np.abs(to_numpy(y.data).reshape(-1))
                    rounding = (np.abs(rows) @ values)[:, None] * 2 * np.finfo(y.dtype).eps / step
                    yield Comparison(i, j, elements, units[i], analytic, across, left, right, rounding)

    def problem(self, limits: Limits, rng: np.random.Generator) -> tuple[str, Comparison | None]:
        """Say which gradient is wrong, how, and where most; nothing where all agree."""
        if unsteady := self.unsteady_output():
            return unsteady, None
        worst = worst_of(self.compare(limits.eps, rng), limits)
        return (self.report(worst, worst.excess(limits.atol, limits.rtol)), worst) if worst else ("", None)

    def report(self, found: Comparison, excess: Array, subject: str = "") -> str:
        """Say what is wrong with a gradient, and show its worst element."""
        y = self.record()[1][found.output]
        row, column = np.unravel_index(excess.argmax(), excess.shape)
        element = index_of(int(found.elements[column]), self.arrays[found.input])
        source = (
            f", of output element {index_of(int(row), y)}" if row < found.units else " under a random upstream gradient"
        )
        return (
            f"{subject or self.subject(found.output, found.input)} {describe_error(found, excess)}; worst in element "
            f"{element}{source if y.size > 1 else ''}: "
            f"analytic {found.analytic[row, column]:.6g}, numeric {found.numeric[row, column]:.6g}"
        )


def worst_of(comparisons: Iterable[Comparison], limits: Limits) -> Comparison | None:
    """Return the comparison with the greatest error, in units of its tolerance; None where all are within it."""
    worst, greatest = None, 1.0
    for found in comparisons:
        if (top := found.excess(limits.atol, limits.rtol).max()) > greatest:
            worst, greatest = found, top
    return worst


def index_of(place: int, array: Array | Tensor) -> list[int]:
    """Return the index, along each axis, of an element that is counted in C order."""
    return [int(p) for p in np.unravel_index(place, array.shape)]


def describe_error(found: Comparison, excess: Array) -> str:
    """Say how a gradient is wrong: its sign, a factor, zero, or in how many elements."""
    analytic, numeric = found.analytic, found.numeric
    if not np.isfinite(numeric).all():
        return "cannot be checked: the function is not finite near the input"
    if not np.isfinite(analytic).all():
        return "is not finite"
    if not analytic.any():
        return "is zero"
    ratio = float((analytic * numeric).sum() / (numeric * numeric).sum()) if numeric.any() else 0.0
    if abs(ratio - 1) > 1e-3 and np.abs(analytic - ratio * numeric).max() < 1e-3 * np.abs(analytic).max():
        size = abs(ratio)
        faults = ["has its sign flipped"] if ratio < 0 else []
        if size > 1.001:
            faults.append(f"is {size:.3g} × too large")
        elif size < 0.999:
            faults.append(f"is {1 / size:.3g} × too small")
        return " and ".join(faults)
    return f"is wrong in {int((excess > 1).any(0).sum())} of {excess.shape[1]} elements"
