"""PyTorch's methods of Tensor that are no op's own: each is one op, or nothing at all, under the name its users know.

A Tensor is never changed in place, and its array may lie in memory in any order, so that what only concerns
memory (``contiguous``) returns the Tensor itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Value
from tinygraph.kernels.arrays import backend_of
from tinygraph.ops import later
from tinygraph.ops.elementwise import add, div, sub, where
from tinygraph.ops.shape import broadcast_to, expand_dims, reshape, swapaxes, transpose

__all__ = ["masked_fill", "unsqueeze"]


def lengths_of(sizes: tuple[Any, ...], what: str) -> tuple[int, ...]:
    """Return lengths that were given one by one, or as one sequence."""
    lengths = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes
    if not all(isinstance(n, int | np.integer) for n in lengths):
        raise TypeError(f"{what} takes lengths of axes, not {sizes}; to convert to another dtype, write astype")
    return lengths


@implements(method="view")
def view(x: Tensor, *shape: int | Sequence[int]) -> Value:
    """Lay the elements out in another shape, as `reshape`: ``x.view(2, -1)``.

    Args:
        x: of any shape.
        shape: lengths of the new axes, one by one or as a tuple; one of them may be -1.

    Returns:
        The same elements, in C order.

    Raises:
        TypeError: ``shape`` is a dtype.
        ValueError: the number of elements does not fit.

    >>> Tensor(np.ones((2, 3))).view(-1).shape
    (6,)
    """
    result: Tensor = reshape(x, lengths_of(shape, "view")) if shape else x
    return result


@implements(method="unsqueeze")
def unsqueeze(x: Value, dim: int) -> Value:
    """Insert an axis of length 1, as `expand_dims`.

    Args:
        x: of any shape.
        dim: the place of the new axis.

    Returns:
        The same elements with one axis more.

    Raises:
        ValueError: there is no such place.

    >>> Tensor([1.0, 2.0]).unsqueeze(0).shape
    (1, 2)
    """
    return expand_dims(x, dim)


@implements(method="expand")
def expand(x: Tensor, *sizes: int | Sequence[int]) -> Value:
    """Copy along axes of length 1, and along new axes in front, as `broadcast_to`.

    Args:
        x: of any shape.
        sizes: the new lengths, one by one or as a tuple; -1 leaves an axis as it is.

    Returns:
        Copies of x, of shape ``sizes``.

    Raises:
        ValueError: an axis that would be copied is longer than 1, or -1 stands for a new axis.

    >>> Tensor([[1.0], [2.0]]).expand(-1, 3).shape
    (2, 3)
    """
    lengths = lengths_of(sizes, "expand")
    new = len(lengths) - x.ndim
    if -1 in lengths[: max(new, 0)]:
        raise ValueError(f"expand: -1 keeps an axis, and the first {new} of {lengths} are new; x has shape {x.shape}")
    result: Tensor = broadcast_to(x, tuple(x.shape[i - new] if n == -1 else n for i, n in enumerate(lengths)))
    return result


@implements(method="transpose")
def transpose_axes(x: Tensor, *axes: Any) -> Value:
    """Reorder all axes, as NumPy: ``x.transpose(2, 0, 1)``; or swap two of several, as PyTorch: ``x.transpose(1, 2)``.

    Args:
        x: of any shape.
        axes: the new order of all axes, one by one or as a tuple, or two axes to swap; none reverses the order.

    Returns:
        The same elements with their axes in another order.

    Raises:
        ValueError: the order does not name each axis once, or the call means one thing in NumPy and another in
            PyTorch: ``transpose(0, 1)`` of a matrix.

    >>> Tensor(np.ones((2, 3, 4))).transpose(1, 2).shape
    (2, 4, 3)
    """
    if len(axes) != 2 or None in axes:
        return transpose(x, axes[0] if len(axes) == 1 else axes or None)
    if x.ndim != 2:
        return swapaxes(x, *axes)
    if axes[0] % 2 < axes[1] % 2:
        raise ValueError(f"transpose{axes} of a matrix changes nothing in NumPy and swaps in PyTorch: write x.T, or x")
    return transpose(x, axes)


@implements(method="t")
def t(x: Tensor) -> Value:
    """Transpose a matrix; leave a vector or a number as it is.

    Args:
        x: of at most two axes.

    Returns:
        xᵀ.

    Raises:
        ValueError: x has more than two axes.

    >>> Tensor(np.ones((2, 3))).t().shape
    (3, 2)
    """
    if x.ndim > 2:
        raise ValueError(f"t takes at most two axes, and x has shape {x.shape}: write x.mT or x.transpose(axes)")
    result: Tensor = transpose(x)
    return result


@implements(method="masked_fill")
def masked_fill(x: Value, mask: Value, value: Value) -> Value:
    """Put ``value`` where ``mask`` holds, as ``where(mask, value, x)``.

    Args:
        x: of any shape.
        mask: booleans that broadcast against x.
        value: a number.

    Returns:
        x with ``value`` in the marked places, through which no gradient passes.

    >>> Tensor([1.0, 2.0]).masked_fill(np.array([True, False]), 0.0).data
    array([0., 2.])
    """
    return where(mask, value, x)


@implements(method="add")
def add_method(x: Value, other: Value, *, alpha: float = 1) -> Value:
    """Add ``alpha`` times another array: PyTorch's ``x.add(other, alpha=2)``.

    Args:
        x: of any shape.
        other: of a shape that broadcasts with that of x.
        alpha: a number.

    Returns:
        x + alpha · other, of the common shape.

    >>> Tensor([1.0, 2.0]).add(np.array([1.0, 1.0]), alpha=2).data
    array([3., 4.])
    """
    return add(x, other if alpha == 1 else alpha * other)


@implements(method="sub subtract")
def sub_method(x: Value, other: Value, *, alpha: float = 1) -> Value:
    """Subtract ``alpha`` times another array: PyTorch's ``x.sub(other, alpha=2)``.

    Args:
        x: of any shape.
        other: of a shape that broadcasts with that of x.
        alpha: a number.

    Returns:
        x - alpha · other, of the common shape.

    >>> Tensor([1.0, 2.0]).sub(np.array([1.0, 1.0]), alpha=2).data
    array([-1.,  0.])
    """
    return sub(x, other if alpha == 1 else alpha * other)


@implements(method="div divide")
def div_method(x: Value, other: Value, *, rounding_mode: str | None = None) -> Value:
    """Divide, and round if so asked: PyTorch's ``x.div(other, rounding_mode="floor")``.

    Args:
        x: of any shape.
        other: of a shape that broadcasts with that of x.
        rounding_mode: "floor" rounds down, "trunc" toward 0; their derivatives are 0. None leaves the quotient.

    Returns:
        Quotients, of the common shape.

    Raises:
        ValueError: there is no such rounding.

    >>> Tensor([-3.0]).div(2.0, rounding_mode="trunc").data
    array([-1.])
    """
    if rounding_mode not in (None, "floor", "trunc"):
        raise ValueError(f"div: rounding_mode={rounding_mode!r} is none of None, 'floor' and 'trunc'")
    if rounding_mode == "floor":
        return later.find_op("floor_divide")(x, other)
    y = div(x, other)
    return later.find_op("trunc")(y) if rounding_mode else y


@implements(method="contiguous")
def contiguous(x: Tensor) -> Tensor:
    """Return the Tensor itself: every op takes arrays in any memory order.

    Args:
        x: of any shape.

    Returns:
        x.

    >>> x = Tensor([1.0])
    >>> x.contiguous() is x
    True
    """
    return x


@implements(method="cpu")
def cpu(x: Tensor) -> Tensor:
    """Return the Tensor if its array is NumPy's, or a constant that holds a CuPy array's values in NumPy.

    Args:
        x: of any shape.

    Returns:
        A Tensor on the CPU.

    Raises:
        TypeError: x is on a GPU and needs a gradient: no op moves a gradient between devices.

    >>> x = Tensor([1.0])
    >>> x.cpu() is x
    True
    """
    if backend_of(x.data) == "numpy":
        return x
    if x.requires_grad:
        raise TypeError("cpu: no gradient goes from one device to another: write x.detach().cpu() or x.numpy()")
    return Tensor(x.numpy(), name=x.name, requires_grad=False)


@implements(method="numel")
def numel(x: Tensor) -> int:
    """Count the elements, as ``x.size`` does.

    Args:
        x: of any shape.

    Returns:
        The number of elements.

    >>> Tensor(np.ones((2, 3))).numel()
    6
    """
    return int(x.size)


@implements(method="dim")
def dim(x: Tensor) -> int:
    """Count the axes, as ``x.ndim`` does.

    Args:
        x: of any shape.

    Returns:
        The number of axes.

    >>> Tensor(np.ones((2, 3))).dim()
    2
    """
    return int(x.ndim)


@implements(method="requires_grad_")
def requires_grad_(x: Tensor, requires_grad: bool = True) -> Tensor:
    """Set whether a leaf gets gradients, and return it: ``tg.randn(3).requires_grad_()``.

    Args:
        x: a leaf: a Tensor that no op made.
        requires_grad: whether gradients are wanted.

    Returns:
        x.

    Raises:
        RuntimeError: x was computed.
        TypeError: x is not of floating point.

    >>> Tensor([1.0], requires_grad=False).requires_grad_().requires_grad
    True
    """
    x.requires_grad = requires_grad
    return x


@implements(method="where")
def where_method(x: Value, condition: Value, other: Value) -> Value:
    """Keep x where ``condition`` holds, and take ``other`` elsewhere: PyTorch's order of arguments.

    Args:
        x: of any shape.
        condition: booleans that broadcast against x.
        other: what stands elsewhere.

    Returns:
        As ``where(condition, x, other)``.

    >>> Tensor([1.0, -2.0]).where(np.array([True, False]), 0.0).data
    array([1., 0.])
    """
    return where(condition, x, other)


@implements(method="view_as reshape_as")
def reshape_as(x: Tensor, other: Value) -> Value:
    """Lay the elements out in the shape of another array.

    Args:
        x: of any shape.
        other: an array or Tensor of as many elements.

    Returns:
        The elements of x in the shape of ``other``.

    >>> Tensor(np.ones((2, 3))).view_as(np.ones(6)).shape
    (6,)
    """
    result: Tensor = reshape(x, other.shape)
    return result


@implements(method="expand_as")
def expand_as(x: Tensor, other: Value) -> Value:
    """Copy x to the shape of another array, as `broadcast_to`.

    Args:
        x: of any shape.
        other: an array or Tensor to whose shape x broadcasts.

    Returns:
        Copies of x.

    >>> Tensor([1.0]).expand_as(np.ones(3)).shape
    (3,)
    """
    result: Tensor = broadcast_to(x, other.shape)
    return result


@implements(method="adjoint")
def adjoint(x: Tensor) -> Value:
    """Transpose the matrices of the last two axes: numbers are real, so that no sign of an imaginary part turns."""
    return swapaxes(x, -1, -2)


Tensor.mT = Tensor.mH = property(  # type: ignore[assignment, method-assign]
    adjoint, doc="The matrices of the last two axes, transposed."
)
Tensor.H = property(t, doc="A matrix, transposed.")  # type: ignore[assignment, method-assign]
