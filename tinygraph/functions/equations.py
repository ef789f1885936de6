"""Systems of equations, determinants and powers of matrices, made of other ops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.functions.factors import plain_values
from tinygraph.functions.products import as_array
from tinygraph.ops import matrices
from tinygraph.ops.elementwise import greater, square, where
from tinygraph.ops.linear import matmul
from tinygraph.ops.matrices import inv, logabsdet, ones_below, pinv, sign_of_det, solve, turned
from tinygraph.ops.reduce import sum  # noqa: A004 - NumPy's names
from tinygraph.ops.shape import broadcast_to, moveaxis, reshape

__all__ = [
    "cholesky_inverse", "cholesky_solve", "logdet", "lstsq", "matrix_exp", "matrix_power", "matrix_transpose",
    "multi_dot", "slogdet", "solve_triangular", "tensorinv", "tensorsolve",
]  # fmt: skip


# Coefficients of the quotient that stands for the exponential, and up to which sum of a column it has all digits.
PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
LARGEST = 5.371920351148152


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Value
    logabsdet: Value


class LstsqResult(NamedTuple):
    """What `lstsq` gives."""

    solution: Value
    residuals: Value
    rank: Any
    singular_values: Any


@composite
def solve_triangular(a: Value, b: Value, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Value:
    """Solve ``a x = b`` with a triangular a, as ``torch.linalg.solve_triangular``; its other triangle is not read.

    Args:
        a: (…, n, n).
        b: (…, n, k); with ``left=False`` (…, k, n).
        upper: whether the triangle above the diagonal is read, or that below.
        left: False to solve ``x a = b``.
        unitriangular: take the diagonal for ones.

    Returns:
        x, of the shape of b, with leading axes broadcast.

    Raises:
        LinAlgError: an element of the diagonal is 0.

    >>> solve_triangular(np.array([[2.0, 9.0], [0.0, 1.0]]), np.array([[2.0], [1.0]]), upper=False)
    array([[1.],
           [1.]])
    """
    a = as_array(a)
    mask = ones_below(a, -1 if unitriangular else 0)
    a = where(mask.T if upper else mask, a, 0)
    if unitriangular:
        a = a + matrices.identity_like(a)
    return solve(a, b) if left else turned(solve(turned(a), turned(b)))


@implements(method="cholesky_solve")
@composite
def cholesky_solve(b: Value, factor: Value, upper: bool = False) -> Value:
    """Solve ``a x = b`` with the factor that `cholesky` gives of a.

    Args:
        b: (…, n, k).
        factor: L, lower triangular, with L Lᵀ = a; (…, n, n).
        upper: whether the factor is Lᵀ.

    Returns:
        x, of the shape of b.

    Raises:
        LinAlgError: the factor is singular.

    >>> cholesky_solve(np.array([[4.0]]), np.array([[2.0]]))
    array([[1.]])
    """
    factor = as_array(factor)
    lower = where(ones_below(factor), turned(factor) if upper else factor, 0)
    return solve(matmul(lower, turned(lower)), b)  # NumPy has no solver for triangles that would be cheaper


@implements(method="cholesky_inverse")
def cholesky_inverse(factor: Value, upper: bool = False) -> Value:
    """Invert a with the factor that `cholesky` gives of it.

    Args:
        factor: L, lower triangular, with L Lᵀ = a; (…, n, n).
        upper: whether the factor is Lᵀ.

    Returns:
        a⁻¹, of the same shape.

    Raises:
        LinAlgError: the factor is singular.

    >>> cholesky_inverse(np.array([[2.0]]))
    array([[0.25]])
    """
    return cholesky_solve(matrices.identity_like(factor), factor, upper)


@implements(np.linalg.lstsq)
@composite
def lstsq(a: Value, b: Value, rcond: float | None = None, driver: str | None = None) -> LstsqResult:
    """Find the x of least length for which ``a x - b`` is shortest: x = a⁺ b.

    Args:
        a: (…, m, n).
        b: (m,) or (…, m, k).
        rcond: singular values below this part of the largest count as 0: ε max(m, n) unless given.
        driver: taken, as PyTorch takes it, and without effect.

    Returns:
        x (…, n, k), or (n,); the squared lengths of what is left (…, k), or (0,) where rank or rows do not exceed the
        columns; the rank and the singular values of a, which are plain and have no gradient.

    Raises:
        LinAlgError: the singular values do not converge.

    >>> lstsq(np.array([[1.0], [1.0]]), np.array([1.0, 3.0])).solution.round(6)
    array([2.])
    """
    a, b = as_array(a), as_array(b)
    m, n = a.shape[-2:]
    rcond = float(np.finfo(a.dtype).eps) * (m if m > n else n) if rcond is None or rcond < 0 else rcond
    values = plain_values(a)
    rank = (values > rcond * values[..., :1]).sum(axis=-1)
    x = matmul(pinv(a, rcond), b)
    full = m > n and bool((rank == n).all())
    left = (
        sum(square(matmul(a, x) - b), -2 if len(b.shape) > 1 else -1, len(b.shape) == 1)
        if full
        else values.reshape(-1)[:0]
    )
    return LstsqResult(x, left, rank if len(a.shape) > 2 else int(rank), values)


@implements(np.linalg.tensorsolve)
@composite
def tensorsolve(a: Value, b: Value, axes: Sequence[int] | None = None, *, dims: Any = None) -> Value:
    """Solve ``tensordot(a, x, x.ndim) = b`` for x, as ``numpy.linalg.tensorsolve``.

    Args:
        a: of shape b.shape + x.shape, with as many elements in either part.
        b: of any shape.
        axes: of a, which are moved to its end first.
        dims: PyTorch's name of ``axes``.

    Returns:
        x.

    Raises:
        LinAlgError: a is singular.
        ValueError: the numbers of elements differ.

    >>> tensorsolve(np.eye(6).reshape(2, 3, 2, 3), np.ones((2, 3))).shape
    (2, 3)
    """
    a, b, axes = as_array(a), as_array(b), axes if dims is None else dims
    if axes is not None:
        a = moveaxis(a, tuple(axes), tuple(range(len(a.shape) - len(axes), len(a.shape))))
    shape = tuple(a.shape[len(b.shape) :])
    return reshape(solve(reshape(a, (-1, math.prod(shape))), reshape(b, (-1,))), shape)


@implements(np.linalg.tensorinv)
@composite
def tensorinv(a: Value, ind: int = 2) -> Value:
    """Find the inverse of ``tensordot`` with a, as ``numpy.linalg.tensorinv``.

    Args:
        a: with as many elements in its first ``ind`` axes as in the others.
        ind: how many axes of a are those of the result's end.

    Returns:
        Of shape a.shape[ind:] + a.shape[:ind].

    Raises:
        LinAlgError: a is singular.
        ValueError: ``ind`` is below 1.

    >>> tensorinv(np.eye(6).reshape(2, 3, 6)).shape
    (6, 2, 3)
    """
    if ind < 1:
        raise ValueError(f"tensorinv: ind is {ind}, and must be at least 1")
    a = as_array(a)
    first, rest = tuple(a.shape[:ind]), tuple(a.shape[ind:])
    return reshape(inv(reshape(a, (math.prod(first), -1))), (*rest, *first))


@implements(np.linalg.slogdet, method="slogdet")
@composite
def slogdet(a: Value) -> SlogdetResult:
    """Take the determinant as its sign and ln |det a|, which does not overflow.

    Args:
        a: (…, n, n).

    Returns:
        The sign, which has no gradient, and the logarithm; both of shape (…).

    Raises:
        LinAlgError: a is not square; or it is singular, and a derivative is wanted.

    >>> [float(x) for x in slogdet(np.diag([-1.0, 1.0]))]
    [-1.0, 0.0]
    """
    return SlogdetResult(sign_of_det(as_array(a)), logabsdet(as_array(a)))


@implements(method="logdet")
@composite
def logdet(a: Value) -> Value:
    """Take ln det a, as ``torch.logdet``.

    Args:
        a: (…, n, n).

    Returns:
        Numbers, of shape (…); nan where the determinant is negative, and -inf where it is 0.

    Raises:
        LinAlgError: a is not square; or it is singular, and a derivative is wanted.

    >>> float(logdet(np.diag([1.0, 1.0])))
    0.0
    """
    sign, size = slogdet(a)
    return where(greater(0.0, sign), math.nan, size)


@implements(np.linalg.matrix_power, method="matrix_power")
@composite
def matrix_power(a: Value, n: int) -> Value:
    """Raise square matrices to a whole power.

    Args:
        a: (…, n, n).
        n: the power; below 0 it is that of the inverse.

    Returns:
        aⁿ, of the same shape; of power 0 the identity, which has no gradient.

    Raises:
        LinAlgError: n is negative, and a is singular.
        TypeError: n is no whole number.

    >>> matrix_power(np.array([[1.0, 1.0], [0.0, 1.0]]), 3)
    array([[1., 3.],
           [0., 1.]])
    """
    if not isinstance(n, int | np.integer):
        raise TypeError(f"matrix_power: the power is {n!r}, and must be a whole number")
    a = as_array(a)
    if n == 0:
        return broadcast_to(matrices.identity_like(a), a.shape)
    if n < 0:
        a, n = inv(a), -n
    result = None
    while n:
        if n % 2:
            result = a if result is None else matmul(result, a)
        n //= 2
        a = matmul(a, a) if n else a
    return result


@implements(method="matrix_exp")
@composite
def matrix_exp(a: Value) -> Value:
    """Take the exponential of square matrices: 1 + a + a²/2 + …, as ``torch.linalg.matrix_exp``.

    Matrices are halved until they are small, a quotient of polynomials of degree 13 is taken, and squared as often.

    Args:
        a: (…, n, n).

    Returns:
        eᵃ, of the same shape.

    Raises:
        LinAlgError: a is not square, or holds nan or inf.

    Source: Higham 2005, algorithm 2.3.

    >>> matrix_exp(np.array([[0.0, 1.0], [0.0, 0.0]])).round(6).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    a = as_array(a)
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_exp takes square matrices, and not shape {tuple(a.shape)}")
    size = float(abs(array_of(a)).sum(axis=-2).max(initial=0))
    if not math.isfinite(size):
        raise np.linalg.LinAlgError("matrix_exp: a holds nan or inf")
    halvings = max(0, math.ceil(math.log2(size / LARGEST))) if size else 0
    a, one = a * 0.5**halvings, matrices.identity_like(a)
    a2 = matmul(a, a)
    a4 = matmul(a2, a2)
    a6 = matmul(a4, a2)
    odd, even = (
        matmul(a6, b[6] * a6 + b[5] * a4 + b[4] * a2) + (b[3] * a6 + b[2] * a4 + b[1] * a2 + b[0] * one)
        for b in (PADE[1::2], PADE[::2])
    )
    odd = matmul(a, odd)
    out = solve(even - odd, even + odd)
    for _ in range(halvings):
        out = matmul(out, out)
    return out


@implements(np.linalg.multi_dot)
@composite
def multi_dot(arrays: Sequence[Value]) -> Value:
    """Multiply several matrices, in the order that takes the fewest multiplications.

    Args:
        arrays: two or more matrices; the first and the last may be vectors.

    Returns:
        The product.

    Raises:
        ValueError: there are fewer than two, or the shapes do not fit.

    >>> multi_dot([np.ones((2, 3)), np.ones((3, 4)), np.ones(4)])
    array([12., 12.])
    """
    factors = list(map(as_array, arrays))
    if len(factors) < 2:
        raise ValueError(f"multi_dot takes at least two arrays, and got {len(factors)}")
    shapes = [tuple(x.shape) for x in factors]
    lengths = [1 if len(shapes[0]) == 1 else shapes[0][0], *(s[0] for s in shapes[1:])]
    lengths.append(1 if len(shapes[-1]) == 1 else shapes[-1][-1])

    def multiply(i: int, j: int) -> Value:
        return factors[i] if i == j else matmul(multiply(i, cut[i, j]), multiply(cut[i, j] + 1, j))

    cut = best_cuts(lengths)
    return multiply(0, len(factors) - 1)


def best_cuts(lengths: Sequence[int]) -> dict[tuple[int, int], int]:
    """Return after which matrix to cut the chain from i to j, so that its product costs least."""
    count = len(lengths) - 1
    cost = {(i, i): 0 for i in range(count)}
    cut = {}
    for size in range(1, count):
        for i in range(count - size):
            j = i + size
            ends = lengths[i] * lengths[j + 1]
            ways = [(cost[i, k] + cost[k + 1, j] + ends * lengths[k + 1], k) for k in range(i, j)]
            cost[i, j], cut[i, j] = sorted(ways)[0]
    return cut


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Value) -> Value:
    """Transpose the matrices of the last two axes.

    Args:
        x: (…, m, n).

    Returns:
        (…, n, m).

    Raises:
        IndexError: x has fewer than two axes.

    >>> matrix_transpose(np.ones((2, 3, 4))).shape
    (2, 4, 3)
    """
    return turned(as_array(x))
