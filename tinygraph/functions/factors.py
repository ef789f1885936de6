"""Decompositions of matrices, taken apart into the factors that NumPy and PyTorch give."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.functions.products import as_array
from tinygraph.ops import decompositions, matrices
from tinygraph.ops.joining import concatenate
from tinygraph.ops.linear import matmul
from tinygraph.ops.matrices import turned

__all__ = ["cholesky", "eigh", "eigvalsh", "pinv", "qr", "svd", "svdvals"]


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Value
    eigenvectors: Value


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Value
    S: Value
    Vh: Value


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Value
    R: Value


@implements(np.linalg.eigh)
@composite
def eigh(a: Value, UPLO: str = "L") -> EighResult:
    """Find the eigenvalues λ and eigenvectors V of symmetric matrices: a = V diag(λ) Vᵀ.

    The vectors are determined up to their signs, and have a derivative where the values are distinct. A gradient that
    reaches the values alone is right everywhere.

    Args:
        a: (…, n, n), symmetric. It is read as (a + aᵀ) / 2, and so is its gradient symmetric, as PyTorch's.
        UPLO: "L" or "U": NumPy reads this triangle alone, which in a symmetric matrix makes no difference.

    Returns:
        The eigenvalues (…, n), from the least on, and the eigenvectors (…, n, n), one a column.

    Raises:
        LinAlgError: they do not converge.
        ValueError: a is not symmetric, or UPLO is another text.

    >>> values, vectors = eigh(Tensor([[2.0, 0.0], [0.0, 1.0]]))
    >>> values.data
    array([1., 2.])
    """
    if UPLO not in ("L", "U"):
        raise ValueError(f"eigh: UPLO is {UPLO!r}, and must be 'L' or 'U'")
    out = decompositions.eigh(as_array(a))
    return EighResult(out[..., 0, :], out[..., 1:, :])


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Value, UPLO: str = "L") -> Value:
    """Find the eigenvalues of symmetric matrices, as `eigh` does.

    Args:
        a: (…, n, n), symmetric.
        UPLO: as for `eigh`.

    Returns:
        (…, n), from the least on.

    Raises:
        LinAlgError: they do not converge.
        ValueError: a is not symmetric.

    >>> eigvalsh(np.array([[2.0, 0.0], [0.0, 1.0]]))
    array([1., 2.])
    """
    return eigh(a, UPLO).eigenvalues


@implements(np.linalg.svd)
@composite
def svd(a: Value, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Find the singular values S and vectors U, V of matrices: a = U diag(S) Vᵀ.

    The vectors are determined up to their signs, and have a derivative where the values are distinct. A gradient that
    reaches the values alone is right everywhere.

    Args:
        a: (…, m, n).
        full_matrices: whether U and V are square. Vectors beyond the first min(m, n) are not determined by a: they are
            constants, and no gradient goes through them.
        compute_uv: False for the singular values alone.

    Returns:
        U (…, m, k), S (…, min(m, n)), from the greatest on, and Vᵀ (…, k, n), where k is min(m, n), or m in U and n in
        Vᵀ with ``full_matrices``; or S alone.

    Raises:
        LinAlgError: they do not converge.

    >>> svd(np.array([[3.0, 0.0], [0.0, 4.0]])).S
    array([4., 3.])
    """
    a = as_array(a)
    m, n = a.shape[-2:]
    out = decompositions.svd(a)
    values, left, right = out[..., 0, :], out[..., 1 : 1 + m, :], out[..., 1 + m :, :]
    if not compute_uv:
        return values
    if full_matrices and m != n:
        left, right = map(whole_basis, (left, right))
    return SVDResult(left, values, turned(right))


class SVD(NamedTuple):
    """What PyTorch's ``x.svd()`` gives."""

    U: Value
    S: Value
    V: Value


@implements(method="svd")
def svd_method(x: Value, some: bool = True, compute_uv: bool = True) -> SVD:
    """Find singular values and vectors as PyTorch's method ``x.svd()`` does: V, in place of its transpose, comes last.

    Args:
        x: (…, m, n).
        some: False for square U and V, as ``full_matrices=True`` of `svd`.
        compute_uv: False for zeros in the place of the vectors.

    Returns:
        U (…, m, k), S (…, min(m, n)) and V (…, n, k), where k is min(m, n), or m in U and n in V without ``some``.

    Raises:
        LinAlgError: they do not converge.

    >>> Tensor([[3.0, 0.0], [0.0, 4.0]]).svd().S.data
    array([4., 3.])
    """
    left, values, right = svd(x, not some)
    if compute_uv:
        return SVD(left, values, turned(right))
    m, n = x.shape[-2:]
    zeros = [np.zeros_like(array_of(x), shape=(*x.shape[:-2], k, k)) for k in (m, n)]
    return SVD(zeros[0], values, zeros[1])


def whole_basis(x: Value) -> Value:
    """Return orthonormal columns with others beside them, so that the matrix is square."""
    return x if x.shape[-2] == x.shape[-1] else concatenate([x, decompositions.complement(x)], -1)


@implements(np.linalg.svdvals)
def svdvals(a: Value) -> Value:
    """Find the singular values of matrices.

    Args:
        a: (…, m, n).

    Returns:
        (…, min(m, n)), from the greatest on.

    Raises:
        LinAlgError: they do not converge.

    >>> svdvals(np.array([[3.0, 0.0], [0.0, 4.0]]))
    array([4., 3.])
    """
    return svd(a, compute_uv=False)


@implements(np.linalg.qr, method="qr")
@composite
def qr(a: Value, mode: str = "reduced") -> Any:
    """Find Q with orthonormal columns and an upper triangular R: a = Q R.

    Of a wide matrix the first columns, as many as it has rows, must be linearly independent for a derivative; of others
    all columns.

    Args:
        a: (…, m, n).
        mode: "reduced"; "r" for R alone; "complete" for a square Q, where m ≤ n, as it then is anyway.

    Returns:
        Q (…, m, k) and R (…, k, n), with k = min(m, n); or R alone.

    Raises:
        LinAlgError: columns are linearly dependent, and a derivative is wanted.
        ValueError: the mode is not known, or asks for columns that a does not determine.

    >>> abs(qr(np.array([[2.0, 1.0], [0.0, 3.0]])).R) + 0.0  # LAPACK chooses the signs
    array([[2., 1.],
           [0., 3.]])
    """
    a = as_array(a)
    m, n = a.shape[-2:]
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr: mode {mode!r} is not known; there are 'reduced', 'complete' and 'r'")
    if mode == "complete" and m > n:
        raise ValueError(f"qr: the columns of Q beyond the first {n} have no derivative: write mode='reduced'")
    out = decompositions.qr(a[..., :m] if m < n else a)
    q, r = out[..., :m, :], turned(out[..., m:, :])
    if m < n:
        r = concatenate([r, matmul(turned(q), a[..., m:])], -1)
    return r if mode == "r" else QRResult(q, r)


@implements(np.linalg.cholesky, method="cholesky")
def cholesky(a: Value, upper: bool = False) -> Value:
    """Find the lower triangular L with L Lᵀ = a, or the upper triangular Lᵀ.

    Args:
        a: (…, n, n), symmetric and positive definite. It is read as (a + aᵀ) / 2, and so is its gradient symmetric.
        upper: return Lᵀ.

    Returns:
        The factor, of the same shape.

    Raises:
        LinAlgError: a is not positive definite.
        ValueError: a is not symmetric.

    >>> cholesky(Tensor([[4.0, 2.0], [2.0, 5.0]]))
    Tensor([[2., 0.],
            [1., 2.]], op=cholesky)
    """
    factor = matrices.cholesky(as_array(a))
    return turned(factor) if upper else factor


# ------------------------------------------------------------------------------------------------------ pseudoinverse


@implements(np.linalg.pinv, method="pinverse")
def pinv(a: Value, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None, atol: Any = None) -> Value:
    """Take the pseudoinverse of Moore and Penrose, by singular values.

    The derivative holds where the rank does not change nearby: of matrices of full rank, and of others among those of
    the same rank.

    Args:
        a: (…, m, n).
        rcond: singular values below this part of the largest count as 0; NumPy's choice unless given.
        hermitian: whether a is symmetric, which makes no difference here.
        rtol: another name of ``rcond``.
        atol: singular values up to this one count as 0, too.

    Returns:
        a⁺, of shape (…, n, m).

    Raises:
        LinAlgError: the singular values do not converge.

    >>> pinv(Tensor([[2.0], [0.0]]))
    Tensor([[0.5, 0. ]], op=pinv)
    """
    a, part = as_array(a), array_of(rtol if rcond is None else rcond)
    if atol is not None and min(a.shape[-2:]):
        values = plain_values(a)
        part = (least_value(values, a, part, atol) / values[..., :1])[..., 0]
    return matrices.pinv(a, rcond=part)


def plain_values(a: Value, hermitian: bool = False) -> Any:
    """Compute singular values, from the largest on, without a gradient."""
    a = array_of(a)
    if hermitian:
        return -np.sort(-abs(matrices.with_lapack(lambda x: np.linalg.eigvalsh(x))(a)), axis=-1)
    return matrices.with_lapack(lambda x: np.linalg.svd(x, compute_uv=False))(a)


def least_value(values: Value, a: Value, rtol: Any, atol: Any) -> Any:
    """Return up to which singular value counts as 0: the greater one of ``atol`` and ``rtol`` of the largest."""
    if rtol is None:
        rtol = 0.0 if atol is not None else float(np.finfo(values.dtype).eps) * max(a.shape[-2:])
    largest = values[..., :1] if values.shape[-1] else np.zeros_like(values, shape=(*values.shape[:-1], 1))
    relative, absolute = (column(array_of(t)) for t in (rtol, 0.0 if atol is None else atol))
    return np.maximum(relative * largest, absolute + 0 * largest)


def column(x: Value) -> Value:
    """Return numbers of a batch with one more axis; one number as it is."""
    return x[..., None] if getattr(x, "shape", ()) else x
