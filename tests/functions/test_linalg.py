"""Linear algebra against PyTorch, to second order, and against NumPy's values; singular and other odd matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import against_torch, close
from tests.decoy import Decoy
from tests.matrices import positive_definite, regular
from tinygraph import Tensor, linalg

torch = pytest.importorskip("torch")
theirs = torch.linalg
RNG = np.random.default_rng(0)
ORDERS = (None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


def draw(*shape):
    return RNG.standard_normal(shape)


def rebuilt(library, **options):
    """A matrix of its singular vectors, and another function of its values: no sign is left in it."""

    def call(a):
        u, s, vh = library.linalg.svd(a, full_matrices=False, **options)
        return (u * library.exp(s)[..., None, :]) @ vh

    return call


def both(name, *args, **options):
    return (
        lambda *xs: getattr(linalg, name)(*xs, *args, **options),
        lambda *xs: getattr(theirs, name)(*xs, *args, **options),
    )


CALLS = {
    "slogdet": (lambda a: linalg.slogdet(a).logabsdet, lambda a: theirs.slogdet(a)[1], [draw(2, 3, 3)]),
    "logdet": (linalg.logdet, torch.logdet, [positive_definite(draw(3, 3))]),
    "eigvalsh": (*both("eigvalsh"), [positive_definite(draw(4, 4))]),
    "svdvals": (*both("svdvals"), [draw(4, 3)]),
    "svd": (rebuilt(tg), rebuilt(torch), [draw(4, 3)]),
    "svd-wide": (rebuilt(tg), rebuilt(torch), [draw(2, 2, 4)]),
    "qr-wide": (
        lambda a: linalg.qr(a).Q.sum() * linalg.qr(a).R, lambda a: theirs.qr(a).Q.sum() * theirs.qr(a).R, [draw(3, 5)]),
    "qr-r": (lambda a: linalg.qr(a, "r"), lambda a: theirs.qr(a).R, [draw(5, 3)]),
    "cholesky-upper": (*both("cholesky", upper=True), [positive_definite(draw(3, 3))]),
    "solve_triangular": (*both("solve_triangular", upper=False), [regular(draw(3, 3)), draw(3, 2)]),
    "solve_triangular-right": (
        *both("solve_triangular", upper=True, left=False, unitriangular=True), [draw(3, 3), draw(2, 3)]),
    "cholesky_solve": (
        linalg.cholesky_solve, lambda b, a: torch.cholesky_solve(b, a.tril()), [draw(3, 2), regular(draw(3, 3))]),
    "cholesky_solve-upper": (
        lambda b, a: linalg.cholesky_solve(b, a, upper=True),
        lambda b, a: torch.cholesky_solve(b, a.triu(), upper=True), [draw(3, 2), regular(draw(3, 3))]),
    "cholesky_inverse": (
        linalg.cholesky_inverse, lambda a: torch.cholesky_inverse(a.tril()), [regular(draw(3, 3))]),
    "lstsq": (lambda a, b: linalg.lstsq(a, b).solution, lambda a, b: theirs.lstsq(a, b).solution,
              [draw(5, 3), draw(5, 2)]),
    "pinv-deficient": (
        lambda a, b: linalg.pinv(a @ b.mT, rtol=1e-10), lambda a, b: theirs.pinv(a @ b.mT, rtol=1e-10),
        [draw(4, 2), draw(3, 2)]),
    "pinv-atol": (*both("pinv", atol=0.1, rtol=0.05), [draw(2, 4, 3)]),
    "svd-full": (
        lambda a: linalg.svd(a).U[..., :2] ** 2, lambda a: theirs.svd(a).U[..., :2] ** 2, [draw(4, 2)]),
    "tensorsolve-dims": (*both("tensorsolve", dims=(0,)), [draw(3, 6, 2), draw(6)]),
    "tensorsolve": (*both("tensorsolve"), [draw(2, 3, 6), draw(2, 3)]),
    "tensorinv": (*both("tensorinv", 1), [draw(6, 2, 3)]),
    "multi_dot": (lambda *xs: linalg.multi_dot(xs), lambda *xs: theirs.multi_dot(xs),
                  [draw(2, 3), draw(3, 4), draw(4, 5), draw(5)]),
    "matrix_transpose": (linalg.matrix_transpose, lambda x: x.mT, [draw(2, 3, 4)]),
    "trace": (lambda a: linalg.trace(a), lambda a: a.diagonal(dim1=-2, dim2=-1).sum(-1), [draw(2, 3, 4)]),
    "diagonal": (lambda a: linalg.diagonal(a, 1), lambda a: a.diagonal(1, -2, -1), [draw(2, 3, 4)]),
    "cross": (*both("cross"), [draw(2, 3), draw(2, 3)]),
    **{f"matrix_power{n}": (*both("matrix_power", n), [draw(3, 3)]) for n in (1, 2, 3, 5, -2)},
    **{f"norm-{p}": (*both("norm", p), [draw(4, 3)]) for p in ORDERS},
    **{f"matrix_norm-{p}": (*both("matrix_norm", p, (0, 2), True), [draw(4, 2, 3)]) for p in ORDERS[1:]},
    **{f"vector_norm-{p}": (*both("norm", p, 1), [draw(4, 3)]) for p in (None, 1, 2, 3, 0.5, -1, math.inf, -math.inf)},
    **{f"cond-{p}": (lambda a, p=p: linalg.cond(a, p), lambda a, p=p: theirs.norm(a, p) * theirs.norm(theirs.inv(a), p),
                     [draw(3, 3)]) for p in ORDERS[1:] if p not in (2, -2)},
    **{f"cond-{p}": (*both("cond", p), [draw(3, 3)]) for p in (None, 2, -2)},
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_values_and_derivatives_equal_pytorch(name):
    ours, other, arrays = CALLS[name]
    against_torch(ours, other, arrays)


A, B, S = regular(draw(3, 3)), draw(3, 2), positive_definite(draw(3, 3))
NUMPY = [
    lambda x: np.linalg.solve(x(A), x(B)),
    lambda x: np.linalg.solve(x(A), B[:, 0]),
    lambda x: np.linalg.inv(x(A)),
    lambda x: np.linalg.det(x(A)),
    lambda x: np.linalg.slogdet(x(A)),
    lambda x: np.linalg.cholesky(x(S)),
    lambda x: np.linalg.eigh(x(S), "L"),
    lambda x: np.linalg.eigvalsh(x(S)),
    lambda x: np.linalg.svd(x(A)),
    lambda x: np.linalg.svd(x(B), full_matrices=False),
    lambda x: np.linalg.svd(x(B), compute_uv=False),
    lambda x: np.linalg.qr(x(B)),
    lambda x: np.linalg.qr(x(B.T), mode="complete"),
    lambda x: np.linalg.pinv(x(B)),
    lambda x: np.linalg.pinv(x(B), 1e-3),
    lambda x: np.linalg.lstsq(x(B), x(A)),
    lambda x: np.linalg.lstsq(x(B), A[:, 0], rcond=None),
    lambda x: np.linalg.lstsq(x(B.T), B.T),
    lambda x: np.linalg.norm(x(B)),
    lambda x: np.linalg.norm(x(B), "nuc", axis=(1, 0)),
    lambda x: np.linalg.norm(x(B), axis=1, keepdims=True),
    lambda x: np.linalg.norm(x(B), 0, 1),
    lambda x: np.linalg.cond(x(A)),
    lambda x: np.linalg.cond(x(A), 1),
    lambda x: np.linalg.matrix_power(x(A), 4),
    lambda x: np.linalg.matrix_power(x(A), 0),
    lambda x: np.linalg.multi_dot([x(A), A, B]),
    lambda x: np.linalg.tensorsolve(x(np.eye(6).reshape(3, 2, 3, 2) + 1), B),
    lambda x: np.linalg.tensorsolve(x(np.eye(6).reshape(3, 2, 3, 2) + 1), B.T, axes=(0,)),
    lambda x: np.linalg.tensorinv(x(np.eye(6).reshape(3, 2, 6))),
]


@pytest.mark.parametrize("call", NUMPY)
def test_numpy_finds_them(call):
    found, wanted = call(Tensor), call(lambda x: x)
    found, wanted = [x if isinstance(x, tuple) else (x,) for x in (found, wanted)]
    assert len(found) == len(wanted)
    for ours, numpys in zip(found, wanted, strict=True):
        close(getattr(ours, "data", ours), numpys, 1e-12)


def test_vectors_differentiate_at_equal_values_where_only_the_values_are_asked_for():
    """The trace of any function of a symmetric matrix has the gradient f'(a), at the identity, too."""
    for values in (linalg.eigvalsh, lambda a: linalg.eigh(a).eigenvalues, linalg.svdvals):
        x = Tensor(2 * np.eye(3))
        (values(x) ** 3).sum().backward()
        close(x.grad, 12 * np.eye(3), 1e-13)
    x = Tensor(np.diag([1.0, 0.0]))
    linalg.norm(x, "nuc").backward()
    assert np.isfinite(x.grad).all()


def test_vectors_of_equal_values_have_no_derivative():
    x = Tensor(np.eye(2))
    with pytest.warns(RuntimeWarning):
        (linalg.eigh(x).eigenvectors * np.array([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert not np.isfinite(x.grad).all()


@pytest.mark.parametrize("rank", [3, 2, 1, 0])
@pytest.mark.parametrize("move", [np.asarray, Decoy])
def test_the_derivative_of_a_determinant_is_its_cofactors_also_of_singular_matrices(rank, move):
    a = draw(4, rank) @ draw(rank, 4) if rank else np.zeros((4, 4))
    a[:, -1] = a[:, 0]  # exactly singular
    minor = lambda i, j: np.linalg.det(np.delete(np.delete(a, i, 0), j, 1))
    wanted = [[(-1) ** (i + j) * minor(i, j) for j in range(4)] for i in range(4)]
    x = Tensor(move(a))
    linalg.det(x).backward()
    np.testing.assert_allclose(x.grad if move is np.asarray else x.grad.get(), wanted, atol=1e-13)
    if move is np.asarray:
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            tg.hessian(linalg.det, np.zeros((2, 2)))


def test_hessian_of_a_determinant():
    close(
        tg.hessian(linalg.det, np.eye(2)).reshape(4, 4),
        [[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]],
        1e-15,
    )


def test_third_derivatives():
    """∂³ ln det(a) along the identity, at the identity of n: 2n."""
    t = Tensor(0.0)
    y = linalg.logdet(np.eye(3) * (1 + t))
    for wanted in (3.0, -3.0, 6.0):
        (y,) = tg.grad(y, t, create_graph=True)
        assert y.item() == pytest.approx(wanted, abs=1e-12)


def test_gradients_are_symmetric_and_pass_gradcheck():
    for call in (linalg.cholesky, linalg.eigvalsh, lambda a: linalg.eigh(a).eigenvectors ** 2):
        tg.gradcheck(call, S)
        x = Tensor(S)
        (call(x) * draw(*call(x).shape)).sum().backward()
        close(x.grad, x.grad.T, 1e-14)


def test_what_passes_no_gradient():
    x = Tensor(S)
    assert not linalg.slogdet(x).sign.requires_grad
    assert linalg.matrix_rank(x) == 3 and isinstance(linalg.lstsq(x, B).rank, int)
    assert not getattr(linalg.matrix_power(x, 0), "requires_grad", False)
    assert np.isnan(linalg.logdet(-x).item())


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 4, 2)])
def test_full_matrices_are_orthogonal_and_their_further_vectors_constants(shape):
    a = draw(*shape)
    u, s, vh = linalg.svd(Tensor(a))
    for matrix in (u.data, vh.data):
        close(matrix @ matrix.swapaxes(-1, -2), np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape), 1e-13)
    k = s.shape[-1]
    close((u.data[..., :k] * s.data[..., None, :]) @ vh.data[..., :k, :], a, 1e-13)
    x = Tensor(a)
    for further in (linalg.svd(x).U[..., k:], linalg.svd(x).Vh[..., k:, :]):
        assert not further.size or not tg.grad(further.sum(), x)[0].any()


@pytest.mark.parametrize("options", [{}, {"tol": 0.5}, {"rtol": 0.3}, {"hermitian": True}, {"atol": 0.5, "rtol": 0.1}])
def test_ranks_equal_pytorch(options):
    a = draw(2, 4, 4)
    a = a @ a.swapaxes(-1, -2) * np.array([1.0, 0.1])[:, None, None]
    a[0, :, 3] = a[0, :, 2]
    a[0, 3] = a[0, 2]
    wanted = theirs.matrix_rank(torch.tensor(a), **{"atol" if k == "tol" else k: v for k, v in options.items()})
    np.testing.assert_array_equal(linalg.matrix_rank(Tensor(a), **options), wanted)
    assert linalg.matrix_rank(np.ones(3)) == 1 and linalg.matrix_rank(np.zeros((2, 0))) == 0


def test_empty_batches():
    x = Tensor(np.ones((0, 3, 3)))
    for call in (linalg.inv, linalg.det, linalg.eigvalsh, linalg.svdvals, linalg.cholesky, lambda a: linalg.qr(a).R):
        y = call(x)
        assert y.shape[0] == 0
        (g,) = tg.grad(y.sum(), x)
        assert g.shape == (0, 3, 3)
    assert linalg.det(Tensor(np.ones((0, 0)))).item() == 1


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: linalg.cholesky(Tensor([[1.0, 2.0], [0.0, 1.0]])), ValueError, "cholesky takes a symmetric matrix"),
        (
            lambda: linalg.eigh(Tensor(np.ones((2, 3)))),
            ValueError,
            r"eigh takes a square matrix.*not one of shape \(2, 3\)",
        ),
        (lambda: linalg.cholesky(Tensor(-np.eye(2))), np.linalg.LinAlgError, "ositive definite"),
        (
            lambda: linalg.inv(Tensor(np.zeros((2, 2)))),
            np.linalg.LinAlgError,
            r"Singular matrix \| in inv\(float64\[2,2\]\)",
        ),
        (lambda: linalg.qr(Tensor(B), "complete"), ValueError, "write mode='reduced'"),
        (lambda: linalg.qr(Tensor(B), "raw"), ValueError, "qr: mode 'raw' is not known"),
        (lambda: linalg.eigh(Tensor(S), "l"), ValueError, "UPLO is 'l'"),
        (lambda: linalg.norm(Tensor(draw(2, 2, 2)), 2), ValueError, "name one axis for vectors, or two for matrices"),
        (lambda: linalg.norm(Tensor(B), 3), ValueError, "there is no norm 3"),
        (lambda: linalg.matrix_power(Tensor(A), 0.5), TypeError, "must be a whole number"),
        (lambda: linalg.multi_dot([A]), ValueError, "at least two arrays"),
        (lambda: linalg.tensorinv(A, 0), ValueError, "ind is 0"),
        (lambda: linalg.eig(Tensor(A)), AttributeError, "are complex, and complex numbers are refused"),
        (lambda: np.linalg.eig(Tensor(A)), TypeError, "its result is complex"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize("lengths", [(2, 3, 4, 5), (5, 1, 7, 1, 3), (1, 9, 2, 8, 3, 7)])
def test_a_chain_is_multiplied_in_the_cheapest_order(lengths):
    """Against all orders, tried one by one."""
    from tinygraph.functions.equations import best_cuts

    def cheapest(i, j):
        if i == j:
            return 0
        ends = lengths[i] * lengths[j + 1]
        return min(cheapest(i, k) + cheapest(k + 1, j) + ends * lengths[k + 1] for k in range(i, j))

    def cost(i, j):
        if i == j:
            return 0
        k = cut[i, j]
        return cost(i, k) + cost(k + 1, j) + lengths[i] * lengths[j + 1] * lengths[k + 1]

    cut, last = best_cuts(lengths), len(lengths) - 2
    assert cost(0, last) == cheapest(0, last)
