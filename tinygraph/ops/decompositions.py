"""Decompositions of matrices: eigenvalues, singular values, QR. Leading axes are a batch.

An op gives one array, so the parts of a decomposition lie in one, under each other: eigenvalues above eigenvectors. An
index takes them apart. Vectors of equal values are not determined, and have no derivative; a gradient that goes to the
values alone is right there too.
"""

from __future__ import annotations

import functools

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.ops.elementwise import equal, where
from tinygraph.ops.matrices import identity_like, ones_below, solve, symmetric_part, turned, with_lapack
from tinygraph.ops.shape import expand_dims

__all__ = ["complement", "eigh", "qr", "svd"]

linear = functools.partial(op, family="linear")


def over(x: Value, y: Value) -> Value:
    """Divide; 0 / 0 is 0, and so is its derivative."""
    return x / where(equal(x, 0) * equal(y, 0), np.inf, y)


def differences(values: Value) -> Value:
    """Return how much the value of each column is above that of each row."""
    return expand_dims(values, -2) - expand_dims(values, -1)


def skew(x: Value) -> Value:
    """Return x - xᵀ."""
    return x - turned(x)


# ------------------------------------------------------------------------------------------------------- eigenvalues


@with_lapack
def stack_eigh(a: Array) -> Array:
    """Compute eigenvalues, and below them the eigenvectors."""
    values, vectors = np.linalg.eigh(symmetric_part(a, "eigh"))
    return np.concatenate([values[..., None, :], vectors], axis=-2)


def pull_eigh(g: Value, out: Value) -> Value:
    """Return the gradient V (diag g_λ + (Vᵀ g_V) / (λ_j - λ_i)) Vᵀ, made symmetric."""
    values, vectors = out[..., 0, :], out[..., 1:, :]
    turns = over(skew(turned(vectors) @ g[..., 1:, :]) / 2, differences(values))
    middle = turns + expand_dims(g[..., 0, :], -2) * identity_like(turns)
    return vectors @ middle @ turned(vectors)


@linear(
    r"\operatorname{eigh} $a", forward=stack_eigh, says="Finds the eigenvalues of $a, and below them its eigenvectors.",
    samples=[sample((3, 3)), sample((2, 2, 2)), sample((1, 1))],
    a=(r"V\,(\cdot)\,V^{\mathsf T}", pull_eigh),
)  # fmt: skip
def eigh(a: Value) -> Value:
    """Find the eigenvalues and eigenvectors of symmetric matrices; `tinygraph.linalg.eigh` takes them apart.

    Args:
        a: (…, n, n), symmetric. It is read as (a + aᵀ) / 2.

    Returns:
        (…, 1 + n, n): the eigenvalues from the least on, and below each its eigenvector.

    Raises:
        LinAlgError: they do not converge.
        ValueError: a is not symmetric.

    >>> eigh(np.array([[2.0, 0.0], [0.0, 1.0]]))[0]
    array([1., 2.])
    """


# -------------------------------------------------------------------------------------------------- singular values


@with_lapack
def stack_svd(a: Array) -> Array:
    """Compute singular values, below them the left singular vectors, and below these the right ones."""
    left, values, right = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([values[..., None, :], left, np.swapaxes(right, -1, -2)], axis=-2)


def pull_svd(g: Value, out: Value, shape: Shape) -> Value:
    """Return the gradient of a singular value decomposition of an array of ``shape``."""
    m, n = shape[-2:]
    parts = [(x[..., 0, :], x[..., 1 : 1 + m, :], x[..., 1 + m :, :]) for x in (out, g)]
    (values, left, right), (g_values, g_left, g_right) = parts
    above = differences(values) * (expand_dims(values, -2) + expand_dims(values, -1))  # s_j² - s_i², more exactly
    toward_left, toward_right = turned(left) @ g_left, turned(right) @ g_right
    columns, rows = expand_dims(values, -2), expand_dims(values, -1)
    middle = over(skew(toward_left), above) * columns + rows * over(skew(toward_right), above)
    middle = middle + expand_dims(g_values, -2) * identity_like(middle)
    pulled = left @ middle @ turned(right)
    if m > n:  # to where no left vector points
        pulled = pulled + over(g_left - left @ toward_left, columns) @ turned(right)
    if m < n:
        pulled = pulled + left @ turned(over(g_right - right @ toward_right, columns))
    return pulled


@linear(
    r"\operatorname{svd} $a", forward=stack_svd,
    says="Finds the singular values of $a, and below them its left and its right singular vectors.",
    samples=[sample((3, 3)), sample((4, 2)), sample((2, 3)), sample((2, 3, 2))],
    a=(r"U\,(\cdot)\,V^{\mathsf T}", lambda g, out, a_shape: pull_svd(g, out, a_shape)),
)  # fmt: skip
def svd(a: Value) -> Value:
    """Find singular values and vectors; `tinygraph.linalg.svd` takes them apart.

    Args:
        a: (…, m, n).

    Returns:
        (…, 1 + m + n, k) with k = min(m, n): the singular values from the greatest on, below each its left singular
        vector of length m, and below that the right one of length n.

    Raises:
        LinAlgError: they do not converge.

    >>> svd(np.array([[3.0, 0.0], [0.0, 4.0]]))[0]
    array([4., 3.])
    """


@linear(
    r"\operatorname{complement} $x", says="Finds orthonormal vectors that are orthogonal to those of $x.",
    forward=with_lapack(lambda x: np.linalg.qr(x, mode="complete")[0][..., x.shape[-1] :]),
    samples=[sample((3, 2)), sample((2, 4, 1))],
)  # fmt: skip
def complement(x: Value) -> Value:
    """Find orthonormal vectors that are orthogonal to given ones. Not differentiable: they are not determined.

    Args:
        x: (…, m, k) with k ≤ m, of rank k.

    Returns:
        (…, m, m - k), one vector a column. They require no gradient.

    >>> abs(complement(np.array([[1.0], [0.0]])))
    array([[0.],
           [1.]])
    """


# ---------------------------------------------------------------------------------------------------------------- QR


@with_lapack
def stack_qr(a: Array) -> Array:
    """Compute Q, and below it the transpose of R."""
    q, r = np.linalg.qr(a)
    return np.concatenate([q, np.swapaxes(r, -1, -2)], axis=-2)


def pull_qr(g: Value, out: Value, shape: Shape) -> Value:
    """Return the gradient (g_Q + Q sym(R g_Rᵀ - g_Qᵀ Q)) R⁻ᵀ; sym copies the lower triangle to the upper one."""
    m = shape[-2]
    q, r = out[..., :m, :], turned(out[..., m:, :])
    g_q, g_rt = g[..., :m, :], g[..., m:, :] * ones_below(r)
    middle = r @ g_rt - turned(g_q) @ q
    middle = middle * ones_below(r) + turned(middle * ones_below(r, -1))
    return turned(solve(r, turned(g_q + q @ middle)))


@linear(
    r"\operatorname{qr} $a", forward=stack_qr,
    says="Finds Q with orthonormal columns, and below it Rᵀ, lower triangular, with Q R = $a.",
    samples=[sample((3, 3)), sample((4, 2)), sample((2, 3, 2))],
    a=(r"Q\,(\cdot)\,R^{-\mathsf T}", lambda g, out, a_shape: pull_qr(g, out, a_shape)),
)  # fmt: skip
def qr(a: Value) -> Value:
    """Find Q and R with Q R = a, for at least as many rows as columns; `tinygraph.linalg.qr` takes them apart.

    Args:
        a: (…, m, n) with m ≥ n, of rank n.

    Returns:
        (…, m + n, n): Q with orthonormal columns, and below it Rᵀ, the transpose of an upper triangular R.

    Raises:
        LinAlgError: a has a rank below n, and a derivative is wanted.

    >>> abs(qr(np.array([[0.0], [2.0]]))) + 0.0  # LAPACK chooses the signs
    array([[0.],
           [1.],
           [2.]])
    """
