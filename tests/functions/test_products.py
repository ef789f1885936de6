"""Products against PyTorch, to second order, and against NumPy's readings of their arguments."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import against_torch
from tinygraph import Tensor
from tinygraph.functions import products

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape)


def distances(p):
    """PyTorch's own cdist has no second derivative."""
    return lambda x, y: ((x[:, None] - y).abs() ** p).sum(-1) ** (1 / p)


CALLS = {
    "outer": (tg.outer, torch.outer, [(3,), (4,)]),
    "inner": (tg.inner, torch.inner, [(2, 3), (4, 3)]),
    "inner-more": (tg.inner, torch.inner, [(2, 3), (4, 5, 3)]),
    "inner-vector": (tg.inner, torch.inner, [(2, 3), (3,)]),
    "dot": (tg.dot, torch.dot, [(3,), (3,)]),
    "dot-more": (tg.dot, lambda x, y: torch.tensordot(x, y, ([2], [1])), [(2, 3, 4), (5, 4, 2)]),
    "vdot": (tg.vdot, torch.vdot, [(3,), (3,)]),
    "vecdot": (tg.vecdot, torch.linalg.vecdot, [(2, 3), (3,)]),
    "vecdot-dim": (
        lambda x, y: tg.vecdot(x, y, dim=0), lambda x, y: torch.linalg.vecdot(x, y, dim=0), [(3, 2), (3, 2)]),
    "cross": (tg.cross, torch.linalg.cross, [(2, 3), (2, 3)]),
    "cross-copied": (tg.cross, torch.linalg.cross, [(2, 3), (1, 3)]),
    "cross-dim": (
        lambda x, y: tg.cross(x, y, dim=0), lambda x, y: torch.linalg.cross(x, y, dim=0), [(3, 2), (3, 2)]),
    "tensordot": (tg.tensordot, torch.tensordot, [(2, 3, 4), (3, 4, 5)]),
    "tensordot-axes": (
        lambda x, y: tg.tensordot(x, y, ([0, 2], [2, 1])), lambda x, y: torch.tensordot(x, y, ([0, 2], [2, 1])),
        [(2, 3, 4), (3, 4, 2)]),
    "tensordot-dims": (
        lambda x, y: tg.tensordot(x, y, dims=1), lambda x, y: torch.tensordot(x, y, dims=1), [(2, 3), (3, 4)]),
    "tensordot-none": (lambda x, y: tg.tensordot(x, y, 0), lambda x, y: torch.tensordot(x, y, 0), [(2, 3), (4,)]),
    "kron": (tg.kron, torch.kron, [(2, 3), (4, 5)]),
    "kron-more": (tg.kron, torch.kron, [(2, 3, 2), (4, 2)]),
    "mv": (tg.mv, torch.mv, [(3, 4), (4,)]),
    "matvec": (tg.matvec, lambda x, y: (x @ y[..., None])[..., 0], [(2, 3, 4), (2, 4)]),
    "vecmat": (tg.vecmat, lambda x, y: (x[..., None, :] @ y)[..., 0, :], [(3,), (2, 3, 4)]),
    **{
        name: (
            lambda *xs, name=name: getattr(tg, name)(*xs, beta=2, alpha=0.5),
            lambda *xs, name=name: getattr(torch, name)(*xs, beta=2, alpha=0.5),
            shapes,
        )
        for name, shapes in {
            "addmm": [(4,), (3, 2), (2, 4)], "addmv": [(3,), (3, 2), (2,)], "addr": [(3, 2), (3,), (2,)],
            "addbmm": [(3, 4), (2, 3, 2), (2, 2, 4)], "baddbmm": [(2, 3, 4), (2, 3, 2), (2, 2, 4)],
        }.items()
    },
    "cdist": (tg.cdist, distances(2), [(3, 4), (5, 4)]),
    "cdist-3": (lambda x, y: tg.cdist(x, y, 3), distances(3), [(3, 4), (5, 4)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_products_equal_pytorch(name):
    ours, theirs, shapes = CALLS[name]
    against_torch(ours, theirs, [draw(*shape) for shape in shapes])


@pytest.mark.parametrize("name", ["outer", "inner", "dot", "vdot", "kron", "convolve", "correlate"])
def test_numpy_finds_them(name):
    x, y = draw(3), draw(3)
    found = getattr(np, name)(Tensor(x), y)
    assert isinstance(found, Tensor)
    np.testing.assert_allclose(found.data, getattr(np, name)(x, y), rtol=1e-14)
    np.testing.assert_array_equal(getattr(tg, name)(x, y), found.data)


def test_numbers_and_lists():
    assert tg.dot(Tensor(2.0), 3.0).item() == tg.inner(2.0, Tensor(3.0)).item() == 6
    assert tg.outer([1.0, 2.0], Tensor([3.0])).tolist() == [[3.0], [6.0]]
    assert tg.kron(Tensor(2.0), [1.0, 2.0]).tolist() == [2.0, 4.0]


def test_empty_products():
    assert tg.tensordot(Tensor(np.ones((2, 0))), np.ones((0, 3)), 1).tolist() == np.zeros((2, 3)).tolist()
    assert tg.tensordot(Tensor(np.ones((0, 2))), np.ones((2, 3)), 1).shape == (0, 3)
    assert tg.kron(Tensor(np.ones((0, 2))), np.ones((3, 2))).shape == (0, 4)
    assert tg.cdist(Tensor(np.ones((0, 2))), np.ones((3, 2))).shape == (0, 3)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (3, 5), (4, 6), (6, 4), (4, 4), (1, 4)])
def test_sequences_equal_numpy(n, m, mode):
    x, y = draw(n), draw(m)
    for name in ("convolve", "correlate"):
        found = getattr(np, name)(Tensor(x), Tensor(y), mode)
        np.testing.assert_allclose(found.data, getattr(np, name)(x, y, mode), rtol=1e-13, atol=1e-13)
        tg.gradcheck(lambda a, b, name=name: getattr(tg, name)(a, b, mode), (x, y))


def test_the_distance_of_a_point_to_itself_has_slope_0():
    x = Tensor(draw(2, 3))
    (first,) = tg.grad(tg.cdist(x, x).sum(), x)
    assert np.isfinite(first).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: tg.cross(x, x), "cross: the vectors have lengths 2 and 2, and must have 3"),
        (lambda x: tg.tensordot(x, np.ones((3, 3)), 1), r"tensordot: axes \(0,\) of \(2,\) and \(0,\) of \(3, 3\)"),
        (lambda x: tg.convolve(x, x, "half"), "convolve: mode 'half' is not known"),
        (lambda x: tg.correlate(x, x, "half"), "convolve: mode 'half' is not known"),
        (lambda x: tg.convolve(x, np.ones(0)), "cannot be empty"),
    ],
)
def test_what_does_not_fit_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call(Tensor([1.0, 2.0]))


def test_all_is_public():
    assert {name for name in products.__all__ if not hasattr(tg, name)} == set()
