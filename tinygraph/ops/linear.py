"""Products: of matrices, of vectors in space, by einsum. Each derivative is one of the gradient and another operand."""

from __future__ import annotations

import functools
import math
import operator
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.errors import describe
from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.engine.variadic import Variadic
from tinygraph.kernels.blas import one_thread
from tinygraph.kernels.threads import MANY
from tinygraph.ops.indexing import scatter
from tinygraph.ops.shape import broadcast_to, reshape, sum_to, swapaxes

linear = functools.partial(op, family="linear")


ALONE = 1 << 18  # products of numbers up to which BLAS takes one thread by itself


def product(x: Value, y: Value) -> Value:
    """Return x @ y. For NumPy's vectors and matrices x.dot(y) is the same, and starts in a third of the time."""
    if not (type(x) is type(y) is np.ndarray and 1 <= x.ndim <= 2 >= y.ndim >= 1):
        return x @ y
    if y.ndim == 2 and ALONE < x.size * y.shape[1] < MANY:
        with one_thread():  # a second one of BLAS's would spin long after so short a product, beside our threads
            return x.dot(y)
    return x.dot(y)


@linear(
    r"$x\,$y", (np.matmul, np.linalg.matmul), forward=product, method="__matmul__ __rmatmul__ matmul mm bmm",
    onnx="MatMul",
    says="Multiplies the matrices $x and $y.",
    samples=[
        sample((2, 3), (3, 4)),
        sample((3,), (3,)),
        sample((2, 3), (3,)),
        sample((3,), (3, 4)),
        sample((5, 2, 3), (5, 3, 4)),
        sample((5, 1, 2, 3), (6, 3, 4)),
        sample((3,), (5, 3, 4)),
        sample((5, 2, 3), (3,)),
    ],
    x=(r"\cdot\,$y^{\mathsf T}", lambda g, x_shape, y: times_transposed(g, y, x_shape)),
    y=(r"$x^{\mathsf T}\cdot", lambda g, x, y_shape: transposed_times(x, g, y_shape)),
)  # fmt: skip
def matmul(x: Value, y: Value) -> Value:
    """Multiply matrices ``x @ y`` as NumPy does: leading axes are a batch, a 1-d operand is a row or a column.

    Args:
        x: (…, n, k), or (k,).
        y: (…, k, m), or (k,); leading axes broadcast against those of x.

    Returns:
        (…, n, m); an operand of one axis has no n or m.

    Raises:
        ValueError: the lengths k differ, or an operand is a single number.

    >>> matmul(Tensor([[1.0, 2.0]]), np.ones((2, 1)))
    Tensor([[3.]], op=matmul)
    """


def times_transposed(g: Value, y: Value, shape: Shape) -> Value:
    """Return g yᵀ, the gradient of x @ y in an x of ``shape``."""
    if len(shape) <= 2 == len(y.shape):
        return product(g, y.T)
    if len(y.shape) == 1 == len(shape):
        return g * y
    if len(y.shape) == 1:
        y, g = y[:, None], g[..., None]
    if len(shape) == 1:
        return reshape(sum_to(g[..., None, :] @ swapaxes(y, -1, -2), (1, *shape)), shape)
    return sum_to(g @ swapaxes(y, -1, -2), shape)


def transposed_times(x: Value, g: Value, shape: Shape) -> Value:
    """Return xᵀ g, the gradient of x @ y in a y of ``shape``."""
    if len(shape) == 2 == len(x.shape):
        return product(x.T, g)
    if len(shape) == 1 == len(x.shape):
        return g * x
    if len(shape) == 2 == len(x.shape) + 1:
        return product(x[:, None], g[None])
    if len(x.shape) == 1:
        x, g = x[None, :], g[..., None, :] if len(shape) > 1 else g[..., None]
    if len(shape) == 1:
        return reshape(sum_to(swapaxes(x, -1, -2) @ reshape(g, (*g.shape, 1)[: len(x.shape)]), (*shape, 1)), shape)
    return sum_to(swapaxes(x, -1, -2) @ g, shape)


def multiply_in_space(x: Array, y: Array) -> Array:
    """Compute a cross product, component by component."""
    a, b, c = (x[..., k] for k in range(3))
    d, e, f = (y[..., k] for k in range(3))
    return np.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=-1)


@linear(
    r"$x \times $y", forward=multiply_in_space, says="Takes the cross product of the vectors $x and $y.",
    samples=[sample((3,), (3,)), sample((4, 3), (4, 3)), sample((2, 1, 3), (1, 4, 3))],
    x=(r"$y\times\cdot", lambda g, x_shape, y: sum_to(cross(y, g), x_shape)),  # type: ignore[has-type]
    y=(r"\cdot\times\,$x", lambda g, x, y_shape: sum_to(cross(g, x), y_shape)),  # type: ignore[has-type]
)  # fmt: skip
def cross(x: Value, y: Value) -> Value:
    """Take the cross product of vectors in space, which lie along the last axis. Each derivative is another one.

    Args:
        x: (…, 3).
        y: (…, 3); leading axes broadcast.

    Returns:
        (…, 3), vectors that are orthogonal to both.

    Raises:
        IndexError: the vectors are shorter.
        ValueError: the leading axes do not broadcast.

    >>> cross(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    array([0., 0., 1.])
    """


@linear(
    r"\operatorname{einsum}_{$subscripts}($xs)", kind=Variadic, onnx="Einsum",
    says="Multiplies $xs and sums as $subscripts says.",
    samples=[
        sample((2, 3), (3, 4), subscripts="ij,jk->ik"),
        sample((2, 3), (3, 4), subscripts="ij,jk"),
        sample((2, 3), (2, 3), subscripts="ij,ij->"),
        sample((5, 2, 3), (3, 4), subscripts="...j,jk->...k"),
        sample((2, 3), subscripts="ij->ji"),
        sample((2, 3, 4), subscripts="ijk->j"),
        sample((3, 3), subscripts="ii->i"),
        sample((3,), (4,), (3, 4), subscripts="i,j,ij->"),
        sample((5, 1, 2), (4, 2), subscripts="...i,...i->..."),
    ],
    xs=("einsum", lambda g, i, xs, subscripts: pull_einsum(g, i, xs, subscripts)),
)  # fmt: skip
def contract(*xs: Value, subscripts: str = "") -> Value:
    """Sum products of elements as Einstein's convention says; `einsum` takes the subscripts first.

    Args:
        xs: the operands.
        subscripts: as in `einsum`.

    Returns:
        As `einsum`.

    Raises:
        ValueError: the subscripts do not fit the operands.

    >>> contract(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]), subscripts="i,i->")
    Tensor(11., op=contract)
    """
    shapes = tuple([tuple(x.shape) for x in xs])
    return np.einsum(subscripts, *xs, optimize=count_products(subscripts, shapes) > LARGE)


LARGE = 1 << 15  # above so many products, the search for a way by matrix products costs less than it saves
LETTERS = string.ascii_uppercase + string.ascii_lowercase  # in the order of the numbers that NumPy's other form has


@implements(np.einsum)
def einsum(subscripts: str | Value, *operands: Any, optimize: Any = True) -> Value:
    """Sum products of elements as Einstein's convention says, as ``numpy.einsum``.

    Args:
        subscripts: a letter for each axis of each operand, and those of the result: ``ij,jk->ik``. Letters that the
            result has not are summed over; a letter that stands twice in an operand takes its diagonal; ``...`` stands
            for all further axes. Without an arrow the result has the letters that stand once, in order of the
            alphabet.
        operands: an array for each term of the subscripts. In NumPy's other form there is no text: each operand is
            followed by a list of numbers for its axes, ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.
        optimize: taken, as NumPy takes it, and without effect: the order of products is chosen here.

    Returns:
        The sums, with the axes after the arrow.

    Raises:
        TypeError: there are neither subscripts nor lists.
        ValueError: the subscripts do not fit the operands.

    >>> einsum("ij,ij->i", Tensor([[1.0, 2.0]]), np.ones((1, 2)))
    Tensor([3.], op=contract)
    >>> einsum(Tensor([[1.0, 2.0]]), [0, 1], [1])
    Tensor([1., 2.], op=contract)
    """
    if not isinstance(subscripts, str):
        subscripts, operands = from_lists((subscripts, *operands))
    if len(operands) == 1 and isinstance(operands[0], list | tuple):  # PyTorch takes the operands as one list, too
        operands = tuple(operands[0])
    arrays = [x if hasattr(x, "shape") else np.asarray(x) for x in operands]
    return contract(*arrays, subscripts=subscripts)


def from_lists(parts: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """Return the subscripts and the operands of NumPy's other form: operands and lists of numbers in turns."""
    last = parts[-1] if len(parts) % 2 else None
    lists = [*parts[1::2], *([] if last is None else [last])]
    if len(parts) < 2 or not all(isinstance(x, list | tuple) for x in lists):
        raise TypeError(
            f"einsum: the subscripts come first, as text such as 'ij,jk->ik', not {describe(parts[0])}; or each "
            "operand is followed by a list of numbers"
        )

    def letter(k: Any) -> str:
        if k is not Ellipsis and not 0 <= operator.index(k) < len(LETTERS):
            raise ValueError(f"einsum: {k} is no axis: there are {len(LETTERS)}, from 0 on")
        return "..." if k is Ellipsis else LETTERS[k]

    def text(numbers: Sequence[Any]) -> str:
        return "".join(map(letter, numbers))

    arrow = "" if last is None else f"->{text(last)}"
    return ",".join(map(text, parts[1::2])) + arrow, tuple(parts[: len(parts) - len(parts) % 2 : 2])


@functools.lru_cache(4096)
def count_products(subscripts: str, shapes: tuple[Shape, ...]) -> int:
    """Return how many products an einsum adds up; 0 where the subscripts do not fit, as NumPy will say."""
    if len(shapes) != subscripts.count(",") + 1:
        return 0
    terms, _ = spell_out(subscripts, shapes)
    lengths: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        lengths |= {c: max(n, lengths.get(c, 1)) for c, n in zip(term, shape, strict=False)}
    return math.prod(lengths.values())


def spell_out(subscripts: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result; ``...`` becomes letters that stand nowhere else."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in subscripts]
    pairs = zip(terms, shapes, strict=True)
    extra = [len(shape) - len(t.replace("...", "")) if "..." in t else 0 for t, shape in pairs]
    dots = "".join(spare[: max(extra)])
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        right = "..." * ("..." in left) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    terms = [t.replace("...", dots[len(dots) - n :]) for t, n in zip(terms, extra, strict=True)]
    return terms, right.replace("...", dots)


def pull_einsum(g: Value, i: int, xs: Sequence[Value], subscripts: str) -> Value:
    """Return the gradient of an einsum in its operand ``i``: an einsum of g with the other operands."""
    terms, right = spell_out(subscripts, [x.shape for x in xs])
    shape, mine = xs[i].shape, "".join(dict.fromkeys(terms[i]))
    others = [(t, x) for k, (t, x) in enumerate(zip(terms, xs, strict=True)) if k != i]
    present = set(right).union(*(t for t, _ in others))
    found = "".join(c for c in mine if c in present)
    out = einsum(",".join([right, *(t for t, _ in others)]) + "->" + found, g, *(x for _, x in others))
    # An axis that only this operand has was summed, so its gradient is copied along it. An axis of length 1 was copied,
    # so its gradient is summed.
    lengths, own = iter(out.shape), dict(zip(terms[i], shape, strict=True))
    out = reshape(out, tuple(next(lengths) if c in present else 1 for c in mine))
    out = sum_to(out, tuple(1 if own[c] == 1 else n for c, n in zip(mine, out.shape, strict=True)))
    out = broadcast_to(out, tuple(own[c] for c in mine))
    if len(mine) == len(terms[i]):
        return out
    # A letter that stands twice takes the diagonal, so the gradient goes back onto the diagonal.
    places = [np.arange(own[c]).reshape([-1 if c == m else 1 for m in mine]) for c in terms[i]]
    return scatter(out, tuple(places), shape)
