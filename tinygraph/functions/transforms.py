"""Derivatives of functions, as `grad` gives those of a graph: each is one backward pass, or several, and no new rule.

Every function here makes fresh Tensors of its inputs first. So it differentiates in the argument alone, even if
``func`` also uses the caller's Tensor in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygraph.autodiff.grad import grad
from tinygraph.engine.context import within
from tinygraph.engine.errors import describe
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array
from tinygraph.ops.joining import stack
from tinygraph.ops.shape import reshape

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vjp"]

Function = Callable[..., Any]


def vjp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    r"""Multiply a row vector with the Jacobian of ``func``, :math:`v^\mathsf{T} J`, in one backward pass.

    Args:
        func: takes the inputs as Tensors; returns a Tensor or a tuple of them.
        inputs: where to differentiate: an array or Tensor of floating point, or a tuple of them.
        v: upstream gradient, in the shape of the output (a tuple for several); None is 1, for a scalar.
        create_graph: return Tensors, recorded, to be drawn or differentiated again.

    Returns:
        ``(output, product)``, as arrays: the value of ``func``, and for each input an array of its shape,
        zero where no output depends on it. A tuple where ``func`` returns, or takes, a tuple.

    Raises:
        TypeError: an input or an output is not of floating point, or ``func`` returns no Tensor.
        ValueError: ``v`` has another shape or number than the output, or is missing although the output is no scalar.

    >>> vjp(lambda x, y: x * y, (np.array([1.0, 2.0]), np.array([3.0, 4.0])), np.array([1.0, 10.0]))
    (array([3., 8.]), (array([ 3., 40.]), array([ 1., 20.])))
    """
    xs = lift_inputs(inputs, create_graph)
    out, ys = outputs_of(func, xs, "vjp")
    products = pull(ys, xs, vectors(v, ys, "vjp", "output"), create_graph)
    return as_results(ys, out, create_graph), as_results(products, inputs, create_graph)


def jvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    r"""Multiply the Jacobian of ``func`` with a column vector, :math:`J v`: how the output moves along ``v``.

    The product of `vjp` is linear in its upstream gradient, and the derivative of that linear map is `jvp`: two
    backward passes make a forward one.

    Args:
        func: as in `vjp`.
        inputs: as in `vjp`.
        v: direction, in the shape of the input (a tuple for several); None is 1, for a single number.
        create_graph: as in `vjp`.

    Returns:
        ``(output, product)``, both in the shape of the output.

    Raises:
        TypeError, ValueError: as `vjp`, with the input for the output.

    >>> jvp(lambda x: x * x, np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    (array([1., 4.]), array([ 2., 40.]))
    """
    xs = lift_inputs(inputs, create_graph)
    v = vectors(v, xs, "jvp", "input")
    out, ys = outputs_of(func, xs, "jvp")
    upstream = tuple(Tensor(np.zeros_like(y.data)) for y in ys)
    products = pull(pull(ys, xs, upstream, create_graph=True), upstream, v, create_graph)
    return as_results(ys, out, create_graph), as_results(products, out, create_graph)


def jacobian(func: Function, inputs: Any, create_graph: bool = False) -> Any:
    r"""Compute every derivative of every output in every input, :math:`J_{ij} = \partial y_i / \partial x_j`.

    It takes one backward pass for each element of the output.

    Args:
        func: as in `vjp`.
        inputs: as in `vjp`.
        create_graph: as in `vjp`.

    Returns:
        An array of shape ``output.shape + input.shape``; with several inputs a tuple of them; with several
        outputs a tuple, over the outputs, of those.

    Raises:
        TypeError: as `vjp`.

    >>> jacobian(lambda x: x * x, np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    xs = lift_inputs(inputs, create_graph)
    out, ys = outputs_of(func, xs, "jacobian")
    blocks = []
    for y in ys:
        rows = [pull([y], xs, [unit(y, i)], create_graph) for i in range(y.size)]
        blocks.append(
            as_pattern(tuple(stack_block(y, x, [r[j] for r in rows], create_graph) for j, x in enumerate(xs)), inputs)
        )
    return as_pattern(tuple(blocks), out)


def hessian(func: Function, inputs: Any, create_graph: bool = False) -> Any:
    r"""Compute every second derivative of a scalar function, :math:`H_{ij} = \partial^2 y / \partial x_i \partial x_j`.

    Args:
        func: takes the inputs as Tensors; returns a Tensor of one element.
        inputs: as in `vjp`.
        create_graph: as in `vjp`.

    Returns:
        An array of shape ``input.shape + input.shape``; with several inputs a tuple of tuples of them.

    Raises:
        TypeError, ValueError: as `vjp`.

    >>> hessian(lambda x: (x * x * x).sum(), np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    single = not isinstance(inputs, tuple)
    return jacobian(lambda *xs: vjp(func, xs[0] if single else xs, create_graph=True)[1], inputs, create_graph)


def hvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    r"""Multiply the Hessian of a scalar function with a vector, :math:`H v`, without computing the Hessian.

    It is the derivative of :math:`\langle \nabla y, v \rangle`: two backward passes, whatever the size.

    Args:
        func: as in `hessian`.
        inputs: as in `hessian`.
        v: direction, in the shape of the input (a tuple for several); None is 1, for a single number.
        create_graph: as in `vjp`.

    Returns:
        ``(output, product)``: the value of ``func``, and for each input an array of its shape.

    Raises:
        TypeError, ValueError: as `hessian`, and if ``v`` does not fit the input.

    >>> hvp(lambda x: (x * x * x).sum(), np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    (array(9.), array([  6., 120.]))
    """
    xs = lift_inputs(inputs, create_graph)
    v = vectors(v, xs, "hvp", "input")
    out, ys = outputs_of(func, xs, "hvp")
    gradient = pull(ys, xs, vectors(None, ys, "hvp", "output"), create_graph=True)
    products = pull(gradient, xs, v, create_graph)
    return as_results(ys, out, create_graph), as_results(products, inputs, create_graph)


def pull(
    outputs: Sequence[Any], inputs: Sequence[Any], v: Sequence[Any], create_graph: bool = False
) -> tuple[Any, ...]:
    """Return the gradients of the inputs when those of the outputs are ``v``; zeros for an input that is not used."""
    reached = [(y, g) for y, g in zip(outputs, v, strict=True) if y.requires_grad]
    if not reached:
        zeros = (np.zeros_like(x.data) for x in inputs)
        return tuple(Tensor(z, requires_grad=False) if create_graph else z for z in zeros)
    ys, gs = zip(*reached, strict=True)
    return grad(ys, inputs, gs, create_graph, materialize_grads=True)


def lift_inputs(inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """Return fresh Tensors of the inputs; with ``create_graph`` they belong to the graph of the caller's Tensors."""
    xs = inputs if isinstance(inputs, tuple) else (inputs,)
    if create_graph:
        with within(recording=True):
            return tuple(renew(x) if getattr(x, "requires_grad", False) else Tensor(x) for x in xs)
    return tuple(Tensor(array_of(x), name=getattr(x, "name", None)) for x in xs)


def renew(x: Tensor) -> Tensor:
    """Return ``x`` as a new Tensor of the graph; what was computed from ``x`` before does not depend on it."""
    same: Tensor = reshape(x, x.shape)
    return same.named(x.name) if x.name else same


def outputs_of(func: Function, xs: Sequence[Tensor], what: str) -> tuple[Any, tuple[Tensor, ...]]:
    """Call ``func`` with recording on; return what it returns, and the same as a tuple."""
    with within(recording=True):
        out = func(*xs)
    out = tuple(out) if isinstance(out, list) else out
    ys = out if isinstance(out, tuple) else (out,)
    for y in ys:
        if not isinstance(y, Tensor):
            raise TypeError(
                f"{what}: the function returned {describe(y)}, not a Tensor or a tuple of Tensors: "
                "compute with the Tensors it is given, not with their .data"
            )
        if y.dtype.kind != "f":
            raise TypeError(f"{what}: the function returned {describe(y)}, which has no derivative")
    return out, ys


def vectors(v: Any, tensors: Sequence[Tensor], what: str, side: str) -> tuple[Any, ...]:
    """Return ``v`` as a tuple, an array or Tensor for each of ``tensors``; raise if a shape does not fit. None is 1."""
    if v is None:
        if len(tensors) != 1 or tensors[0].size != 1:
            raise ValueError(f"{what}: v is needed, since the {side} is {', '.join(map(describe, tensors)) or 'empty'}")
        return (np.ones_like(tensors[0].data),)
    vs = v if isinstance(v, tuple) else (v,)
    if len(vs) != len(tensors):
        raise ValueError(f"{what}: v has {len(vs)} arrays; there are {len(tensors)} of the {side}")
    vs = tuple(a if hasattr(a, "dtype") else np.asarray(a, t.dtype) for a, t in zip(vs, tensors, strict=True))
    for a, t in zip(vs, tensors, strict=True):
        if a.shape != t.shape:
            raise ValueError(f"{what}: v is {describe(a)}, and must have the shape of the {side} {describe(t)}")
    return vs


def unit(y: Tensor, i: int) -> Array:
    """Return zeros in the shape of ``y`` with a 1 at element ``i``."""
    e = np.zeros_like(y.data, shape=(y.size,))
    e[i] = 1
    return e.reshape(y.shape)


def stack_block(y: Tensor, x: Tensor, rows: Sequence[Any], create_graph: bool) -> Any:
    """Return the part of a Jacobian that belongs to one output and one input."""
    shape = y.shape + x.shape
    if rows:
        with within(recording=create_graph):
            return reshape(stack(rows), shape)
    zeros = np.zeros_like(x.data, shape=shape)
    return Tensor(zeros, requires_grad=False) if create_graph else zeros


def as_pattern(values: tuple[Any, ...], pattern: Any) -> Any:
    """Return the tuple ``values`` if ``pattern`` is a tuple, and its only element if not."""
    return values if isinstance(pattern, tuple) else values[0]


def as_results(tensors: Sequence[Any], pattern: Any, create_graph: bool) -> Any:
    """Return Tensors, or their arrays without ``create_graph``; a tuple if ``pattern`` is one."""
    return as_pattern(tuple(t if create_graph else array_of(t) for t in tensors), pattern)
