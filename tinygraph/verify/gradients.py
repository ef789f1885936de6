"""A derivative is believed when the differences of the function's values agree with it: they share no derivation.

Where they disagree, the message names the op that is to blame, and the file and line of its derivative.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from tinygraph.autodiff.backward import order_of
from tinygraph.engine.context import CONTEXT
from tinygraph.engine.errors import describe
from tinygraph.engine.op import tensor_of
from tinygraph.engine.tensor import Record, Tensor, array_of
from tinygraph.engine.types import Array, Value
from tinygraph.functions.transforms import pull, vectors, vjp
from tinygraph.graph.records import behind, differentiated_inputs
from tinygraph.verify.differences import Check, Limits
from tinygraph.verify.inputs import Function, Inputs, argument_names, draw_normal, random_numbers
from tinygraph.verify.localization import explain_first, explain_kernel, explain_second, root_mean_square

__all__ = ["DegenerateCheck", "GradcheckError", "gradcheck", "gradgradcheck"]

BLIND = 1e-3  # a gradient smaller than this share of what a random upstream would give tests nothing


class GradcheckError(RuntimeError):
    """A derivative differs from the differences of the function's values."""


class DegenerateCheck(UserWarning):
    """A check passed that a wrong gradient would pass too."""


def gradcheck(
    func: Function,
    inputs: Inputs,
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

    Where the check fails, each op of the graph is checked alone, at the operands that it had. The message names the
    op, the operand, and the file and line of the derivative that is wrong. It also says if no op is wrong: where the
    function has a kink, or where it cuts a gradient off, as ``detach()`` does.

    A random upstream is of no use where ``func`` has reduced its result already in a way whose gradient is near
    zero: the sum and the sum of squares of a batch norm hardly depend on its input, so that even a gradient of
    zero agrees. Such a check warns: where an input's gradient is below a thousandth of what it would be
    if the last values before the reduction (the nearest with more elements than the output) had random
    upstream gradients of the same size.

    Args:
        func: takes the inputs as Tensors; returns a Tensor or a tuple of them, of any shape.
        inputs: where to check: a float64 array or Tensor of any shape, or a tuple of them. Integers and Tensors with
            ``requires_grad=False`` are passed on and not checked.
        eps: step of the differences, above 0, in units of the inputs.
        atol: absolute tolerance, at least 0, in units of output / input.
        rtol: relative tolerance, at least 0, without a unit.
        seed: seed of the random upstream gradients, an integer of at least 0.
        raise_exception: raise where the check fails; otherwise return False.

    Returns:
        True where the check passes.

    Raises:
        GradcheckError: a gradient is wrong (the message says which, and names the op), or ``func`` is random.
        TypeError: an input has less precision than float64, or ``func`` returns no Tensor.
        ValueError: no input is to be checked.

    >>> gradcheck(lambda x: x * x, np.array([1.0, 2.0]))
    True
    """
    check = check_of("gradcheck", func, inputs)
    rng = random_numbers(seed)
    return passes(check, Limits(eps, atol, rtol), rng, raise_exception) and warn_if_blind(check, atol, rng)


def gradgradcheck(
    func: Function,
    inputs: Inputs,
    grad_outputs: Inputs | None = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    *,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    """Check second derivatives, as ``torch.autograd.gradgradcheck``: `gradcheck`, then that of the gradients.

    The gradients are differentiated in the inputs and in the upstream gradient. The differences are those of
    the plain backward pass and the derivative is that of the recorded one, so for a fused op they also compare
    its kernel with its definition. Where the check fails, the message names the op, as that of `gradcheck` does.

    Args:
        func: takes the inputs as Tensors; returns a Tensor or a tuple of them, of any shape.
        inputs: where to check: a float64 array or Tensor of any shape, or a tuple of them, as in `gradcheck`.
        grad_outputs: upstream gradient for each output, of its shape (a tuple for several); None draws them at random.
        eps: step of the differences, above 0, in units of the inputs.
        atol: absolute tolerance, at least 0, in units of gradient / input.
        rtol: relative tolerance, at least 0, without a unit.
        seed: seed of all random numbers, an integer of at least 0.
        raise_exception: raise where the check fails; otherwise return False.

    Returns:
        True where the check passes.

    Raises:
        GradcheckError: a first or a second derivative is wrong, or ``func`` is random.
        TypeError: an input has less precision than float64, or ``func`` returns no Tensor.
        ValueError: no input is to be checked, or ``grad_outputs`` do not fit the outputs.

    >>> gradgradcheck(lambda x: x * x * x, np.array([1.0, 2.0]))
    True
    """
    first = check_of("gradgradcheck", func, inputs)
    rng, limits = random_numbers(seed), Limits(eps, atol, rtol)
    if not passes(first, limits, rng, raise_exception):
        return False
    ys = first.record()[1]
    if grad_outputs is None:
        upstream = tuple(draw_normal(rng, y.data) for y in ys)
    else:
        upstream = tuple(map(array_of, vectors(grad_outputs, ys, "gradgradcheck", "output")))
    second = gradients_of(first, upstream)
    problem, worst = second.problem(limits, rng)
    if problem and raise_exception:
        cause = None
        if worst is None:
            cause = explain_kernel(first, rng) or None
        elif np.isfinite(worst.numeric).all():
            alone = lambda node_check: gradients_of(node_check, [draw_normal(rng, node_check.record()[1][0].data)])
            cause = explain_second(first, second, alone, worst, limits, rng)
        raise GradcheckError(with_cause(second, cause, problem))
    return not problem and warn_if_blind(first, atol, rng)


def check_of(what: str, func: Function, inputs: Inputs) -> Check:
    """Make the check of a function at some inputs; those that are no float64, or are constants, are passed on.

    Raises:
        TypeError: an input has less precision than float64.
        ValueError: no input is to be checked.
    """
    xs = inputs if isinstance(inputs, tuple) else (inputs,)
    given: list[Value] = [x if hasattr(x, "dtype") and not isinstance(x, np.generic) else np.asarray(x) for x in xs]
    places = [i for i, x in enumerate(given) if x.dtype.kind == "f" and getattr(x, "requires_grad", True)]
    if not places:
        raise ValueError(f"{what}: none of the inputs is to be differentiated: give one of floating point")
    for i in places:
        if given[i].dtype.itemsize < 8:
            raise TypeError(
                f"{what}: input {i} is {describe(given[i])}, too coarse for differences: "
                "check in float64, with .astype(numpy.float64); compare() checks float32 against float64"
            )
    names = argument_names(func, len(given))
    labels = [f"input {i}" if names[i] == f"x{i}" else f"input {i} ({names[i]})" for i in places]

    def only_checked(*xs: Value) -> Value:
        chosen = dict(zip(places, xs, strict=True))
        return func(*(chosen.get(i, x) for i, x in enumerate(given)))

    return Check(what, only_checked, [array_of(given[i]) for i in places], labels)


def gradients_of(first: Check, upstream: Sequence[Array]) -> Check:
    """Make the check of the gradients of a function, as a function of its inputs and of the upstream gradient."""
    count = len(first.arrays)

    def gradients(*args: Value) -> Value:
        recording = CONTEXT.get().recording  # the differences want the plain walk, the derivative the recorded one
        return vjp(first.func, args[:count], args[count:], create_graph=recording)[1]

    labels = [f"the upstream gradient of output {i}" for i in range(len(upstream))]
    second = Check(first.what, gradients, [*first.arrays, *upstream], [*first.inputs, *labels])
    second.subject = lambda i, j: f"the derivative in {second.inputs[j]} of the gradient in {first.inputs[i]}"
    second.unsteady = lambda i: f"the gradient in {first.inputs[i]} is not the same with create_graph=True"
    return second


def passes(check: Check, limits: Limits, rng: np.random.Generator, raise_exception: bool) -> bool:
    """Say whether first derivatives are right; or raise, with the op that is to blame."""
    problem, worst = check.problem(limits, rng)
    if problem and raise_exception:
        cause = explain_first(check, worst, limits, rng) if worst and np.isfinite(worst.numeric).all() else None
        raise GradcheckError(with_cause(check, cause, problem))
    return not problem


def with_cause(check: Check, cause: str | None, problem: str) -> str:
    """Write the message of a check that failed: the cause, if one was found, and what comes of it."""
    if cause:
        return f"{check.what}: {cause}. So {problem}"
    hint = (
        "" if cause is None else ". Each op of the graph, checked alone, is right: is eps too large or too small here?"
    )
    return f"{check.what}: {problem}{hint}"


def warn_if_blind(check: Check, atol: float, rng: np.random.Generator) -> bool:
    """Warn where an output has been reduced so that hardly any gradient is left to be wrong; return True."""
    leaves, ys = check.record()
    blind = []
    for i, y in enumerate(ys):
        larger = larger_values(y)
        reached = order_of([y.node])
        true = pull([y], [*larger, *leaves], [draw_normal(rng, y.data)])
        upstream = [draw_normal(rng, y.data, z.shape) * root_mean_square(g) for z, g in zip(larger, true, strict=False)]
        probe = pull(larger, leaves, upstream)
        for j, leaf in enumerate(leaves if larger else ()):
            have, could = root_mean_square(true[len(larger) + j]), root_mean_square(probe[j])
            if have == 0 and leaf.node in reached:
                blind.append(f"{check.subject(i, j)} is zero everywhere")
            elif have < BLIND * could and could > atol:
                share = f"{have / could:.0e} of what a random upstream gradient would give"
                blind.append(f"{check.subject(i, j)} is {share}")
    if blind:
        warnings.warn(
            f"{check.what} passed, but a wrong gradient would have passed too: {'; '.join(blind)}. "
            "The output is reduced in a way that hides gradients (as are the sum and the sum of squares of a batch "
            "norm): weigh its elements by random numbers, (w * y).sum(), or return y unreduced",
            DegenerateCheck,
            stacklevel=3,
        )
    return True


def larger_values(y: Tensor) -> list[Tensor]:
    """Return the nearest values behind ``y`` that have more elements, as zeros: only their nodes are used."""

    def is_larger(node: Record) -> bool:
        return bool(math.prod(node.shape) > y.size)

    reached = behind([y.node], lambda node: () if is_larger(node) else differentiated_inputs(node))
    zero = np.zeros((), y.dtype)
    return [tensor_of(np.broadcast_to(zero, node.shape), node) for node in reached if is_larger(node)]
