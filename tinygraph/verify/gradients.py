"""A derivative is believed once the differences of the function's values agree with it: they share no derivation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygraph.autodiff.backward import order_of
from tinygraph.engine.arrays import to_numpy
from tinygraph.engine.context import CONTEXT, no_grad
from tinygraph.engine.errors import describe
from tinygraph.engine.op import tensor_of
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.functions.transforms import outputs_of, pull, vectors, vjp
from tinygraph.verify.certificate import Certificate, Row
from tinygraph.verify.comparison import beside, compare, names_of, normal, several, stream

__all__ = ["Certificate", "DegenerateCheck", "GradcheckError", "Row", "compare", "gradcheck", "gradgradcheck"]

EVERY_OUTPUT = 64  # up to so many elements, each output element has a row of the Jacobian checked to itself
BLIND = 1e-3  # a gradient smaller than this share of what a random upstream would give tests nothing


class GradcheckError(RuntimeError):
    """A derivative differs from the differences of the function's values."""


class DegenerateCheck(UserWarning):
    """A check passed that a wrong gradient would pass too."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    *,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    r"""Check the gradients of ``func`` against central differences of its values, as ``torch.autograd.gradcheck``.

    The product of random upstream gradients with the Jacobian is compared element by element,
    :math:`|a - n| \le atol + rtol \cdot |n|`, and the Jacobian itself, row by row, where the output has no more
    than 64 elements. The function is called twice for each element of the inputs.

    A random upstream is of no use where ``func`` has reduced its result already in a way whose gradient is near
    zero: the sum and the sum of squares of a batch norm hardly depend on its input, so that even a gradient of
    zero agrees. Such a check warns: where an input's gradient is below a thousandth of what it would be
    if the last values before the reduction (the nearest with more elements than the output) had random
    upstream gradients of the same size.

    Args:
        func: takes the inputs as Tensors; returns a Tensor or a tuple of them.
        inputs: where to check: a float64 array or Tensor, or a tuple. Integers and Tensors with
            ``requires_grad=False`` are passed on and not checked.
        eps: step of the differences, in units of the inputs.
        atol: absolute tolerance, in units of output / input. rtol: relative tolerance, dimensionless.
        seed: of the random upstream gradients.
        raise_exception: raise where the check fails; otherwise return False.

    Returns:
        True where the check passes.

    Raises:
        GradcheckError: a gradient is wrong (which, in which element, and how), or ``func`` is random.
        TypeError: an input has less precision than float64, or ``func`` returns no Tensor.
        ValueError: no input is to be checked.

    >>> gradcheck(lambda x: x * x, np.array([1.0, 2.0]))
    True
    """
    check = Check("gradcheck", func, inputs)
    rng = stream(seed)
    return check.passed(check.problem(eps, atol, rtol, rng), raise_exception) and check.warn_if_blind(atol, rng)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    *,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    """Check second derivatives, as ``torch.autograd.gradgradcheck``: `gradcheck`, then that of the gradients.

    The gradients are differentiated in the inputs and in the upstream gradient. The differences are those of
    the plain backward pass and the derivative is that of the recorded one, so for a fused op they also hold
    its kernel against its definition.

    Args:
        func, inputs, eps, atol, rtol, seed, raise_exception: as in `gradcheck`.
        grad_outputs: upstream gradient for each output (a tuple for several); None draws them at random.

    Returns:
        True where the check passes.

    Raises:
        GradcheckError, TypeError, ValueError: as `gradcheck`.

    >>> gradgradcheck(lambda x: x * x * x, np.array([1.0, 2.0]))
    True
    """
    first = Check("gradgradcheck", func, inputs)
    rng = stream(seed)
    if not first.passed(first.problem(eps, atol, rtol, rng), raise_exception):
        return False
    ys, count = first.record()[1], len(first.arrays)
    if grad_outputs is None:
        upstream = tuple(normal(rng, y.data) for y in ys)
    else:
        upstream = tuple(map(array_of, vectors(grad_outputs, ys, "gradgradcheck", "output")))

    def gradients(*args: Any) -> Any:
        recording = CONTEXT.get().recording  # the differences want the plain walk, the derivative the recorded one
        return vjp(first.func, args[:count], args[count:], create_graph=recording)[1]

    second = Check("gradgradcheck", gradients, (*first.arrays, *upstream))
    second.inputs = [*first.inputs, *(f"the upstream gradient of output {i}" for i in range(len(ys)))]
    second.subject = lambda i, j: f"the derivative in {second.inputs[j]} of the gradient in {first.inputs[i]}"
    second.unsteady = lambda i: (
        f"the gradient in {first.inputs[i]} is not the same with create_graph=True: "
        "the kernel of a fused op computes something else than its definition"
    )
    return second.passed(second.problem(eps, atol, rtol, rng), raise_exception) and first.warn_if_blind(atol, rng)


class Check:
    """A function of float64 arrays, to be differentiated in two ways."""

    def __init__(self, what: str, func: Callable[..., Any], inputs: Any) -> None:
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        given = [x if hasattr(x, "dtype") and not isinstance(x, np.generic) else np.asarray(x) for x in inputs]
        places = [i for i, x in enumerate(given) if x.dtype.kind == "f" and getattr(x, "requires_grad", True)]
        if not places:
            raise ValueError(f"{what}: none of the inputs is to be differentiated: give one of floating point")
        for i in places:
            if given[i].dtype.itemsize < 8:
                raise TypeError(
                    f"{what}: input {i} is {describe(given[i])}, too coarse for differences: "
                    "check in float64, with .astype(numpy.float64); compare() checks float32 against float64"
                )
        arrays = (array_of(given[i]) for i in places)
        self.what, self.arrays = what, [np.asarray(x) if isinstance(x, np.generic) else x for x in arrays]
        names = names_of(func, len(given))
        self.inputs = [f"input {i}" + f" ({names[i]})" * (names[i] != f"x{i}") for i in places]
        self.subject = lambda i, j: f"the gradient of output {i} in {self.inputs[j]}"
        self.unsteady = lambda i: f"output {i} differs from call to call: fix the seed of its randomness"

        def only_checked(*xs: Any) -> Any:
            chosen = dict(zip(places, xs, strict=True))
            return func(*(chosen.get(i, x) for i, x in enumerate(given)))

        self.func = only_checked

    def record(self) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """Call the function with fresh leaves."""
        leaves = [Tensor(x) for x in self.arrays]
        return leaves, outputs_of(self.func, leaves, self.what)[1]

    def values(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Call the function without recording; each output is laid out in one axis."""
        with no_grad():
            out = self.func(*(Tensor(x, requires_grad=False) for x in arrays))
        return [to_numpy(array_of(y)).reshape(-1) for y in several(out)]

    def slopes(self, j: int, eps: float) -> Iterator[list[np.ndarray]]:
        """Yield, for each element of input ``j``, the central difference of every output."""
        for k in range(self.arrays[j].size):
            ends = []
            for step in (eps, -eps):
                x = self.arrays[j].copy()
                x.reshape(-1)[k] += step
                ends.append((float(x.reshape(-1)[k]), self.values([*self.arrays[:j], x, *self.arrays[j + 1 :]])))
            (above, high), (below, low) = ends
            yield [(a - b) / (above - below) for a, b in zip(high, low, strict=True)]

    def problem(self, eps: float, atol: float, rtol: float, rng: np.random.Generator) -> str:
        """Say which gradient is wrong, how, and where most; nothing where all agree."""
        leaves, ys = self.record()
        upstream = []
        for i, (y, again) in enumerate(zip(ys, self.values(self.arrays), strict=True)):
            if not np.allclose(to_numpy(y.data).reshape(-1), again, 1e-6, 1e-9, equal_nan=True):
                return f"{self.what}: {self.unsteady(i)}"
            unit, random = np.eye(y.size if y.size <= EVERY_OUTPUT else 0, y.size), rng.normal(size=(2, y.size))
            upstream.append(unit if y.size == 1 else np.vstack([unit, random]))
        gradients = [
            [pull([y], leaves, [beside(row.reshape(y.shape), y.data)]) for row in rows]
            for y, rows in zip(ys, upstream, strict=True)
        ]
        worst, report = 1.0, ""
        for j, leaf in enumerate(leaves):
            with np.errstate(invalid="ignore", over="ignore"):
                slopes = list(self.slopes(j, eps))
            for i, (y, rows) in enumerate(zip(ys, upstream, strict=True)):
                if not (leaf.size and y.size):
                    continue
                numeric = rows @ np.stack([s[i] for s in slopes], -1)
                analytic = np.stack([to_numpy(g[j]).reshape(-1) for g in gradients[i]])
                excess = np.abs(analytic - numeric) / (atol + rtol * np.abs(numeric))
                excess[~np.isfinite(excess)] = np.inf
                if excess.max() > worst:
                    worst, (row, k) = excess.max(), np.unravel_index(excess.argmax(), excess.shape)
                    element = [int(p) for p in np.unravel_index(row, y.shape)] if row < len(rows) - 2 else None
                    source = f", of output element {element}" if element else " under a random upstream gradient"
                    report = (
                        f"{self.what}: {self.subject(i, j)} {ailment(analytic, numeric, excess)}; worst in element "
                        f"{[int(p) for p in np.unravel_index(k, leaf.shape)]}{source if y.size > 1 else ''}: "
                        f"analytic {analytic[row, k]:.6g}, numeric {numeric[row, k]:.6g}"
                    )
        return report

    def passed(self, problem: str, raise_exception: bool) -> bool:
        """Return whether there is no problem, or raise it."""
        if problem and raise_exception:
            raise GradcheckError(problem)
        return not problem

    def warn_if_blind(self, atol: float, rng: np.random.Generator) -> bool:
        """Warn where an output has been reduced so that hardly any gradient is left to be wrong; return True."""
        leaves, ys = self.record()
        blind = []
        for i, y in enumerate(ys):
            front = frontier(y)
            reached = order_of([y.node])
            true = pull([y], [*front, *leaves], [normal(rng, y.data)])
            upstream = [normal(rng, y.data, z.shape) * size_of(g) for z, g in zip(front, true, strict=False)]
            probe = pull(front, leaves, upstream)
            for j, leaf in enumerate(leaves if front else ()):
                have, could = size_of(true[len(front) + j]), size_of(probe[j])
                if have == 0 and leaf.node in reached:
                    blind.append(f"{self.subject(i, j)} is zero everywhere")
                elif have < BLIND * could and could > atol:
                    share = f"{have / could:.0e} of what a random upstream gradient would give"
                    blind.append(f"{self.subject(i, j)} is {share}")
        if blind:
            warnings.warn(
                f"{self.what} passed, but a wrong gradient would have passed too: {'; '.join(blind)}. "
                "The output is reduced in a way that hides gradients (as are the sum and the sum of squares of a batch "
                "norm): weigh its elements by random numbers, (w * y).sum(), or return y unreduced",
                DegenerateCheck,
                stacklevel=3,
            )
        return True


def size_of(g: Any) -> float:
    """Return the root mean square of a gradient."""
    return float((g * g).mean()) ** 0.5


def frontier(y: Tensor) -> list[Tensor]:
    """Return the nearest values behind ``y`` that have more elements than it; the node is all there is of them."""
    found: list[Tensor] = []
    seen, stack = {y.node}, [y.node]
    while stack:
        node = stack.pop()
        for x, args in zip(node.inputs, node.saved or (), strict=True):
            if args is not None and x not in seen:
                seen.add(x)
                if np.prod(x.shape) > y.size:
                    found.append(tensor_of(np.broadcast_to(np.zeros((), y.dtype), x.shape), x))
                else:
                    stack.append(x)
    return found


def ailment(analytic: np.ndarray, numeric: np.ndarray, excess: np.ndarray) -> str:
    """Say in words how a gradient is wrong, where words are known for it."""
    if not np.isfinite(numeric).all():
        return "cannot be checked: the function is not finite near the input"
    if not np.isfinite(analytic).all():
        return "is not finite"
    if not analytic.any():
        return "is zero"
    ratio = float((analytic * numeric).sum() / (numeric * numeric).sum()) if numeric.any() else 0.0
    if abs(ratio - 1) > 1e-3 and np.abs(analytic - ratio * numeric).max() < 1e-3 * np.abs(analytic).max():
        size = abs(ratio)
        said = ["has its sign flipped"] * (ratio < 0) + [f"is {size:.3g} × too large"] * (size > 1.001)
        return " and ".join(said + [f"is {1 / size:.3g} × too small"] * (size < 0.999))
    return f"is wrong in {int((excess > 1).any(0).sum())} of {excess.shape[1]} elements"
