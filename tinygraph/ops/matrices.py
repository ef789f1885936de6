"""Linear algebra of square matrices: systems of equations, inverses, determinants. Leading axes are a batch.

Each derivative line is written in the same ops, so it can be differentiated again. LAPACK has no float16: such arrays
are computed in float32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.ops.reduce import sum  # noqa: A004 - NumPy's name
from tinygraph.ops.shape import expand_dims, reshape, sum_to, swapaxes

__all__ = ["cholesky", "cofactor", "det", "inv", "logabsdet", "pinv", "sign_of_det", "solve"]

linear = functools.partial(op, family="linear")
SQUARE = [sample((3, 3)), sample((2, 3, 3)), sample((1, 1), low=0.5)]


def with_lapack(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of arrays take float16, which LAPACK does not have: it computes in float32."""

    @functools.wraps(function)
    def compute(*arrays: Any, **params: Any) -> Any:
        arrays = tuple(x if hasattr(x, "dtype") else np.asarray(x) for x in arrays)
        common = np.result_type(*[x.dtype for x in arrays])
        if common != np.float16:
            return function(*arrays, **params)
        return function(*[x.astype(np.float32) for x in arrays], **params).astype(np.float16)

    return compute


def turned(x: Value) -> Value:
    """Return the matrices of the last two axes, transposed."""
    return swapaxes(x, -1, -2)


def ones_below(x: Value, k: int = 0) -> Array:
    """Return ones on and below the diagonal ``k`` of a matrix like ``x``, and zeros above."""
    return np.tril(np.ones_like(array_of(x), shape=x.shape[-2:]), k)


def identity_like(x: Value) -> Array:
    """Return ones on the diagonal of a matrix like the square ``x``, and zeros beside it."""
    below: Array = ones_below(x)
    return below * below.T


def symmetric_part(a: Array, name: str) -> Array:
    """Return (a + aᵀ) / 2; raise if ``a`` is not square, or far from symmetric."""
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"{name} takes a square matrix, or a batch of them, and not one of shape {tuple(a.shape)}")
    other = np.swapaxes(a, -1, -2)
    if a.size and bool((abs(a - other) > 1e-3 * abs(a).max()).any()):
        raise ValueError(
            f"{name} takes a symmetric matrix, and a - aᵀ is not 0: to read one triangle alone, as NumPy does, write "
            f"np.tril(a) + np.tril(a, -1).mT"
        )
    return (a + other) / 2


# --------------------------------------------------------------------------------------------------------- equations


def column(x: Value, is_vector: bool) -> Value:
    """Return vectors along the last axis as matrices of one column."""
    return expand_dims(x, -1) if is_vector else x


def pull_solve(g: Value, a: Value, shape: Shape) -> Value:
    """Return a⁻ᵀ g as columns, the gradient of a⁻¹ b in a right side b of ``shape`` before its copies are added up."""
    return solve(turned(a), column(g, len(shape) == 1))


@linear(
    r"$a^{-1}\,$b", np.linalg.solve, forward=with_lapack(lambda a, b: np.linalg.solve(a, b)),
    says="Solves the equations $a x = $b for x.",
    samples=[
        sample((3, 3), (3, 2)), sample((3, 3), (3,)), sample((2, 3, 3), (3, 2)), sample((3, 3), (2, 3, 1)),
        sample((2, 3, 3), (3,)),
    ],
    a=(r"-$a^{-\mathsf T}\cdot\,$out^{\mathsf T}", lambda g, a, b_shape, out: sum_to(
        -(pull_solve(g, a, b_shape) @ turned(column(out, len(b_shape) == 1))), a.shape)),
    b=(r"$a^{-\mathsf T}\cdot", lambda g, a, b_shape: sum_to(
        reshape(pull_solve(g, a, b_shape), g.shape), b_shape)),
)  # fmt: skip
def solve(a: Value, b: Value) -> Value:
    """Solve the linear equations ``a x = b``, as ``numpy.linalg.solve``: more exact and cheaper than ``inv(a) @ b``.

    A b of several axes has matrices. PyTorch reads one of shape (…, n) as a batch of vectors: write ``b[..., None]``.

    Args:
        a: (…, n, n), invertible.
        b: (n,), or (…, n, k); leading axes broadcast against those of a.

    Returns:
        The solutions x, of shape (…, n) for a b of one axis, else (…, n, k).

    Raises:
        LinAlgError: a is singular, or not square.
        ValueError: the shapes do not fit.

    >>> solve(Tensor([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 2.0]))
    Tensor([1. , 0.5], op=solve)
    """


@linear(
    r"$a^{-1}", np.linalg.inv, method="inverse", forward=with_lapack(lambda a: np.linalg.inv(a)),
    says="Inverts the matrix $a.", samples=SQUARE,
    a=(r"-$out^{\mathsf T}\cdot\,$out^{\mathsf T}", lambda g, out: -(turned(out) @ g @ turned(out))),
)  # fmt: skip
def inv(a: Value) -> Value:
    """Invert square matrices.

    Args:
        a: (…, n, n), invertible.

    Returns:
        a⁻¹, of the same shape.

    Raises:
        LinAlgError: a is singular, or not square.

    >>> inv(Tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]], op=inv)
    """


def pull_pinv(g: Value, a: Value, p: Value) -> Value:
    """Return the gradient of p = a⁺ in a, as Golub and Pereyra have it: the rank of a stays as it is."""
    rows, gt, pt = a @ p, turned(g), turned(p)
    beside = (gt - rows @ gt) @ p @ pt + pt @ p @ (gt - gt @ p @ a)
    return beside - pt @ g @ pt


@linear(
    r"$a^{+}", says="Takes the pseudoinverse of the matrix $a.",
    forward=with_lapack(lambda a, rcond=None: np.linalg.pinv(a, **({} if rcond is None else {"rcond": rcond}))),
    samples=[sample((3, 2)), sample((2, 4)), sample((2, 3, 3)), sample((4, 3), rcond=1e-12)],
    a=(r"-$out^{\mathsf T}\cdot\,$out^{\mathsf T}+…", lambda g, a, out: pull_pinv(g, a, out)),
)  # fmt: skip
def pinv(a: Value, rcond: Any = None) -> Value:
    """Take the pseudoinverse of Moore and Penrose; `tinygraph.linalg.pinv` has NumPy's and PyTorch's options.

    Args:
        a: (…, m, n).
        rcond: singular values below this part of the largest count as 0; NumPy's choice unless given.

    Returns:
        a⁺, of shape (…, n, m).

    Raises:
        LinAlgError: the singular values do not converge.

    >>> pinv(Tensor([[2.0], [0.0]]))
    Tensor([[0.5, 0. ]], op=pinv)
    """


# ------------------------------------------------------------------------------------------------------ determinants


@linear(
    r"\operatorname{det} $a", np.linalg.det, method="det", onnx="Det", forward=with_lapack(lambda a: np.linalg.det(a)),
    says="Takes the determinant of $a.", samples=SQUARE,
    a=(r"\operatorname{cof} $a", lambda g, a: expand_dims(g, (-2, -1)) * cofactor(a)),  # type: ignore[has-type]
)  # fmt: skip
def det(a: Value) -> Value:
    """Take the determinant of square matrices. Its derivative, the matrix of cofactors, exists for singular ones too.

    Args:
        a: (…, n, n).

    Returns:
        Numbers, of shape (…).

    Raises:
        LinAlgError: a is not square; or it is singular, and a second derivative is wanted.

    >>> a = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> det(a).backward(); a.grad.round(4)
    array([[ 4., -3.],
           [-2.,  1.]])
    """


@with_lapack
def cofactors(a: Array) -> Any:
    """Compute det(a) a⁻ᵀ; of singular matrices, by singular values."""
    try:
        return np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)
    except np.linalg.LinAlgError:
        u, s, vh = np.linalg.svd(a)
        others = np.where(identity_like(a) > 0, 1, s[..., None, :]).prod(axis=-1)  # for each value the rest's product
        sign = np.linalg.det(u) * np.linalg.det(vh)
        return sign[..., None, None] * ((u * others[..., None, :]) @ vh)


def pull_cofactor(g: Value, a: Value, out: Value) -> Value:
    """Return the gradient of the cofactors in the matrix."""
    inverse = turned(inv(a))
    return sum(g * inverse, (-2, -1), True) * out - inverse @ turned(g) @ out


@linear(
    r"\operatorname{cof} $a", forward=cofactors, says="Takes the cofactors of $a: the derivative of its determinant.",
    samples=SQUARE[:2],
    a=(r"\partial\operatorname{cof} $a", pull_cofactor),
)  # fmt: skip
def cofactor(a: Value) -> Value:
    """Take the matrix of cofactors, det(a) a⁻ᵀ: what the determinant's derivative is.

    Args:
        a: (…, n, n); it may be singular.

    Returns:
        The cofactors, of the same shape.

    Raises:
        LinAlgError: a is not square; or it is singular, and a derivative is wanted.

    >>> cofactor(np.array([[1.0, 2.0], [3.0, 4.0]])).round(4)
    array([[ 4., -3.],
           [-2.,  1.]])
    """


@linear(
    r"\ln|\operatorname{det} $a|", says="Takes the logarithm of the absolute determinant of $a.",
    forward=with_lapack(lambda a: np.linalg.slogdet(a)[1]), samples=SQUARE,
    a=(r"$a^{-\mathsf T}", lambda g, a: expand_dims(g, (-2, -1)) * turned(inv(a))),
)  # fmt: skip
def logabsdet(a: Value) -> Value:
    """Take ln |det a| of square matrices, without overflow.

    Args:
        a: (…, n, n).

    Returns:
        Numbers, of shape (…); -inf of a singular matrix.

    Raises:
        LinAlgError: a is not square; or it is singular, and a derivative is wanted.

    >>> logabsdet(np.diag([-1.0, 1.0]))
    np.float64(0.0)
    """


@linear(
    r"\operatorname{sgn}\operatorname{det} $a", says="Takes the sign of the determinant of $a.", samples=SQUARE,
    forward=with_lapack(lambda a: np.linalg.slogdet(a)[0]),
)  # fmt: skip
def sign_of_det(a: Value) -> Value:
    """Take the sign of the determinant: -1, 0 or 1. Not differentiable.

    Args:
        a: (…, n, n).

    Returns:
        Numbers, of shape (…). They require no gradient.

    Raises:
        LinAlgError: a is not square.

    >>> sign_of_det(np.diag([-1.0, 1.0]))
    np.float64(-1.0)
    """


# -------------------------------------------------------------------------------------------------------- triangles


def pull_cholesky(g: Value, out: Value) -> Value:
    """Return the gradient of the factor of Cholesky: L⁻ᵀ Φ(Lᵀ g) L⁻¹, made symmetric; Φ halves the diagonal."""
    upper = turned(out)
    weights = (ones_below(out) + ones_below(out, -1)) / 2
    middle = solve(upper, (upper @ g) * weights)
    pulled = solve(upper, turned(middle))
    return (pulled + turned(pulled)) / 2


@linear(
    r"\operatorname{chol} $a", says="Finds the lower triangular L with L Lᵀ = $a.",
    forward=with_lapack(lambda a: np.linalg.cholesky(symmetric_part(a, "cholesky"))),
    samples=[sample((3, 3)), sample((2, 3, 3)), sample((1, 1))],
    a=(r"$out^{-\mathsf T}\,\operatorname{low}($out^{\mathsf T}\cdot)\,$out^{-1}", pull_cholesky),
)  # fmt: skip
def cholesky(a: Value) -> Value:
    """Find the lower triangular L with L Lᵀ = a.

    Args:
        a: (…, n, n), symmetric and positive definite. It is read as (a + aᵀ) / 2, and so is its gradient symmetric.

    Returns:
        L, of the same shape, with zeros above the diagonal.

    Raises:
        LinAlgError: a is not positive definite.
        ValueError: a is not symmetric.

    >>> cholesky(Tensor([[4.0, 2.0], [2.0, 5.0]]))
    Tensor([[2., 0.],
            [1., 2.]], op=cholesky)
    """
