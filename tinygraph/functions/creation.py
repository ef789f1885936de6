"""New Tensors, under PyTorch's names: constants unless ``requires_grad=True``, and float64 unless a dtype is given.

Random numbers come from one generator, which `manual_seed` replaces. The layers of `tinygraph.nn` and the
`DataLoader` draw from it too, where they are given none. Before the first seed every run has other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array, ArrayLike, Shape, Value
from tinygraph.ops.joining import concatenate
from tinygraph.ops.keywords import accept_dim, explain_keywords

__all__ = [
    "arange", "cat", "empty", "eye", "from_numpy", "full", "full_like", "linspace", "manual_seed", "ones", "ones_like",
    "rand", "randn", "tensor", "zeros", "zeros_like",
]  # fmt: skip

Dtype = npt.DTypeLike | None


class Source:
    """Holds the generator of `rand` and `randn`, and of layers that are made without one."""

    generator: np.random.Generator | None = None


def random_generator() -> np.random.Generator:
    """Return the generator that `manual_seed` has seeded, or one without a seed."""
    if Source.generator is None:
        Source.generator = np.random.default_rng()
    return Source.generator


def manual_seed(seed: int) -> np.random.Generator:
    """Seed the random numbers of `rand` and `randn`, and of layers and data loaders that are made afterwards.

    There is one generator for the whole process, as in PyTorch. `tinygraph.nn.init.manual_seed` seeds one net
    instead.

    Args:
        seed: a number of 0 or more.

    Returns:
        The new generator.

    Raises:
        ValueError: the seed is negative.

    >>> generator = manual_seed(0)
    >>> first = randn(2)
    >>> generator = manual_seed(0)
    >>> bool((randn(2) == first).all())
    True
    """
    Source.generator = np.random.default_rng(seed)
    return Source.generator


def shape_from(sizes: tuple[Any, ...]) -> Shape:
    """Return lengths that were given one by one, or as one sequence."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes


@explain_keywords
def tensor(data: ArrayLike, *, dtype: Dtype = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """Make a Tensor of a copy of ``data``, as ``torch.tensor``. `Tensor` itself copies nothing and wants gradients.

    Args:
        data: numbers, nested lists of them, or an array.
        dtype: of the elements; NumPy's choice unless given: float64 for Python's floats, where PyTorch takes float32.
        requires_grad: whether gradients are wanted.
        name: what drawings and errors call it.

    Returns:
        A leaf.

    Raises:
        TypeError: gradients are wanted, and the elements are not of floating point.

    >>> tensor([1.0, 2.0])
    Tensor([1., 2.], requires_grad=False)
    """
    given: Any = array_of(data)
    copy = given.astype(dtype or given.dtype) if hasattr(given, "astype") else np.array(given, dtype)
    return Tensor(copy, name=name, requires_grad=requires_grad)


@explain_keywords
def from_numpy(array: Array) -> Tensor:
    """Make a constant of an array without copying it, as ``torch.from_numpy``.

    Args:
        array: a NumPy or CuPy array.

    Returns:
        A constant that shares the memory of ``array``.

    >>> from_numpy(np.ones(2))
    Tensor([1., 1.], requires_grad=False)
    """
    return Tensor(array, requires_grad=False)


@explain_keywords
def zeros(*size: Any, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of zeros.

    Args:
        size: lengths of the axes, one by one or as a tuple.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of shape ``size``.

    >>> zeros(2, 3).shape
    (2, 3)
    """
    return Tensor(np.zeros(shape_from(size), dtype), requires_grad=requires_grad)


@explain_keywords
def ones(*size: Any, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of ones.

    Args:
        size: lengths of the axes, one by one or as a tuple.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of shape ``size``.

    >>> ones(2)
    Tensor([1., 1.], requires_grad=False)
    """
    return Tensor(np.ones(shape_from(size), dtype), requires_grad=requires_grad)


@explain_keywords
def empty(*size: Any, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor whose elements are yet to be set: they may be anything.

    Args:
        size: lengths of the axes, one by one or as a tuple.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of shape ``size``.

    >>> empty(2, 3).shape
    (2, 3)
    """
    return Tensor(np.empty(shape_from(size), dtype), requires_grad=requires_grad)


@explain_keywords
def full(size: Any, fill_value: Any, *, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of one number.

    Args:
        size: lengths of the axes, a tuple or one number.
        fill_value: the number.
        dtype: of the elements; that of ``fill_value`` unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of shape ``size``.

    >>> full((2,), 3.0)
    Tensor([3., 3.], requires_grad=False)
    """
    return Tensor(np.full(size, fill_value, dtype), requires_grad=requires_grad)


@implements(np.zeros_like)
@explain_keywords
def zeros_like(x: Value, dtype: Dtype = None, *, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of zeros in the shape of another.

    Args:
        x: an array or Tensor.
        dtype: of the elements; that of x unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf, on the device of x.

    >>> zeros_like(Tensor([1.0, 2.0]))
    Tensor([0., 0.], requires_grad=False)
    """
    return Tensor(np.zeros_like(array_of(x), dtype=dtype), requires_grad=requires_grad)


@implements(np.ones_like)
@explain_keywords
def ones_like(x: Value, dtype: Dtype = None, *, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of ones in the shape of another.

    Args:
        x: an array or Tensor.
        dtype: of the elements; that of x unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf, on the device of x.

    >>> ones_like(Tensor([1.0, 2.0]))
    Tensor([1., 1.], requires_grad=False)
    """
    return Tensor(np.ones_like(array_of(x), dtype=dtype), requires_grad=requires_grad)


@implements(np.full_like)
@explain_keywords
def full_like(x: Value, fill_value: Any, dtype: Dtype = None, *, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of one number in the shape of another.

    Args:
        x: an array or Tensor.
        fill_value: the number.
        dtype: of the elements; that of x unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf, on the device of x.

    >>> full_like(Tensor([1.0, 2.0]), 3)
    Tensor([3., 3.], requires_grad=False)
    """
    return Tensor(np.full_like(array_of(x), fill_value, dtype=dtype), requires_grad=requires_grad)


@explain_keywords
def arange(*bounds: float, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of evenly spaced numbers: ``arange(end)``, ``arange(start, end)``, ``arange(start, end, step)``.

    Args:
        bounds: the first number, 0 unless given; the end, which is left out; the step, 1 unless given.
        dtype: of the elements; integers for integers, unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of one axis.

    >>> arange(3)
    Tensor([0, 1, 2], dtype=int64, requires_grad=False)
    """
    return Tensor(np.arange(*bounds, dtype=dtype), requires_grad=requires_grad)


@explain_keywords
def linspace(start: float, end: float, steps: int, *, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor of ``steps`` evenly spaced numbers from ``start`` to ``end``, both of them included.

    Args:
        start: the first number.
        end: the last number.
        steps: how many there are.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of one axis.

    >>> linspace(0, 1, 3)
    Tensor([0. , 0.5, 1. ], requires_grad=False)
    """
    bounds = (float(start), float(end))  # of float32 bounds NumPy would take steps of few digits
    return Tensor(np.linspace(*bounds, steps, dtype=dtype), requires_grad=requires_grad)


@explain_keywords
def eye(n: int, m: int | None = None, *, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Make the identity matrix.

    Args:
        n: number of rows.
        m: number of columns; n unless given.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of shape (n, m).

    >>> eye(2).data
    array([[1., 0.],
           [0., 1.]])
    """
    return Tensor(np.eye(n, m, dtype=np.float64 if dtype is None else dtype), requires_grad=requires_grad)


@explain_keywords
def randn(*size: Any, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Draw from the normal distribution of mean 0 and variance 1.

    Args:
        size: lengths of the axes, one by one or as a tuple.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of shape ``size``; `manual_seed` seeds its numbers, which are not PyTorch's.

    >>> randn(2, 3).shape
    (2, 3)
    """
    return drawn_leaf(lambda generator, shape: generator.standard_normal(shape), size, dtype, requires_grad)


@explain_keywords
def rand(*size: Any, dtype: Dtype = None, requires_grad: bool = False) -> Tensor:
    """Draw numbers from 0 (included) to 1 (not included), all equally likely.

    Args:
        size: lengths of the axes, one by one or as a tuple.
        dtype: of the elements; float64 unless given.
        requires_grad: whether gradients are wanted.

    Returns:
        A leaf of shape ``size``; `manual_seed` seeds its numbers, which are not PyTorch's.

    >>> rand(2, 3).shape
    (2, 3)
    """
    return drawn_leaf(lambda generator, shape: generator.random(shape), size, dtype, requires_grad)


def drawn_leaf(
    draw: Callable[[np.random.Generator, Shape], Array], size: tuple[Any, ...], dtype: Dtype, requires_grad: bool
) -> Tensor:
    """Return a leaf of random numbers."""
    numbers = np.asarray(draw(random_generator(), shape_from(size)))
    return Tensor(numbers.astype(dtype or numbers.dtype, copy=False), requires_grad=requires_grad)


@accept_dim
def cat(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays along an axis that they have, as `concatenate`: PyTorch's name for it.

    Args:
        tensors: arrays or Tensors whose shapes differ along ``axis`` alone.
        axis: where they are joined.

    Returns:
        All elements, in the order of ``tensors``.

    Raises:
        ValueError: the shapes do not fit.

    >>> cat([Tensor([1.0]), Tensor([2.0])])
    Tensor([1., 2.], op=join)
    """
    return concatenate(tensors, axis)
