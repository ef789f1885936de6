"""Einsum in every form that NumPy takes: value, gradients of two orders, and the errors."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import close
from tinygraph import Tensor
from tinygraph.ops.linear import LARGE, count_products

RNG = np.random.default_rng(0)
FORMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ji", (2, 3)),
    ("ba,b", (2, 3), (2,)),
    ("ij,ij", (2, 3), (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iijj->ij", (3, 3, 2, 2)),
    ("iiii->", (2, 2, 2, 2)),
    ("...ii->...i", (2, 3, 3)),
    ("i...->...", (2, 3, 4)),
    ("...", (2, 3)),
    ("...i,...i", (5, 1, 2), (4, 2)),
    ("i...j,j...k->...ik", (2, 5, 3), (3, 5, 4)),
    ("...i->i...", (2, 3, 4)),
    ("a...,...b->...ab", (2, 3), (3, 4)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("Ab,bA->", (2, 3), (3, 2)),
    (",ij->ij", (), (2, 3)),
    (",", (), ()),
    ("i,j->ij", (2,), (3,)),
    ("i,j->", (2,), (3,)),
    ("ij,jk,kl,l->i", (2, 3), (3, 4), (4, 2), (2,)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ij,ij->ij", (1, 3), (2, 1)),
    ("ijk->ki", (2, 3, 4)),
    ("ii,i->", (3, 3), (3,)),
    ("ij,ij,jj->j", (2, 3), (2, 3), (3, 3)),
]


@pytest.mark.parametrize(("subscripts", "shapes"), [(f[0], f[1:]) for f in FORMS])
def test_every_form(subscripts, shapes):
    arrays = [RNG.standard_normal(s) for s in shapes]
    found = np.einsum(subscripts, *map(Tensor, arrays))
    close(found.data, np.einsum(subscripts, *arrays), 1e-14)
    tg.gradcheck(lambda *xs: tg.einsum(subscripts, *xs), tuple(arrays))
    tg.gradgradcheck(lambda *xs: tg.einsum(subscripts, *xs), tuple(arrays))


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("ij,jk->ik", ([0, 1], [1, 2], [0, 2])),
        ("ij,jk", ([0, 1], [1, 2])),
        ("ba,ac", ([1, 0], [0, 2])),
        ("...i,ij->...j", ([Ellipsis, 0], [0, 1], [Ellipsis, 1])),
        ("ij,jk->ik", ([27, 3], [3, 51], [27, 51])),
    ],
)
def test_the_form_with_lists(text, lists):
    x, y = RNG.standard_normal((2, 3)), RNG.standard_normal((3, 4))
    wanted = np.einsum(text, x, y)
    last = lists[2:]
    close(np.einsum(x, lists[0], y, lists[1], *last), wanted, 1e-15)
    close(np.einsum(Tensor(x), lists[0], y, lists[1], *last).data, wanted, 1e-14)
    close(tg.einsum(x, lists[0], y, lists[1], *last), wanted, 1e-14)


def test_operands_in_one_list_and_plain_lists():
    x, y = Tensor(RNG.standard_normal((2, 3))), RNG.standard_normal((3, 4))
    close(tg.einsum("ij,jk->ik", [x, y]).data, x.data @ y, 1e-14)
    a = Tensor([1.0, 2.0])
    tg.einsum("i,i->", a, [3.0, 4.0]).backward()
    assert a.grad.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("optimize", [True, False, "greedy", "optimal", ["einsum_path", (0, 1)]])
def test_optimize_is_taken(optimize):
    x = RNG.standard_normal((3, 3))
    close(np.einsum("ij,jk->ik", Tensor(x), x, optimize=optimize).data, x @ x, 1e-14)


def test_large_products_go_by_matrix_products_to_the_same_values():
    x, y = RNG.standard_normal((40, 1, 30)), RNG.standard_normal((40, 30, 35))
    assert count_products("bij,bjk->bik", (x.shape, y.shape)) > LARGE
    a, b = Tensor(x), Tensor(y)
    z = tg.einsum("bij,bjk->bik", a, b)
    close(z.data, x @ y, 1e-13)
    g = RNG.standard_normal(z.shape)
    z.backward(g)
    close(a.grad, g @ y.swapaxes(1, 2), 1e-13)
    close(b.grad, x.swapaxes(1, 2) @ g, 1e-13)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda x: tg.einsum("ij,jk", x), ValueError, "operands provided"),
        (lambda x: tg.einsum("ij", x, x), ValueError, "operands provided"),
        (lambda x: tg.einsum("ijk", x), ValueError, "contract"),
        (lambda x: tg.einsum("ij->k", x), ValueError, "contract"),
        (lambda x: tg.einsum("ij->ii", x), ValueError, "contract"),
        (lambda x: tg.einsum("i!", x), ValueError, "contract"),
        (lambda x: tg.einsum("ij->i->j", x), ValueError, "contract"),
        (lambda x: tg.einsum(x, x), TypeError, "the subscripts come first"),
        (lambda x: tg.einsum(x, [0, 99]), ValueError, "einsum: 99 is no axis: there are 52, from 0 on"),
        (lambda x: tg.einsum(x, [0.5, 1]), TypeError, "float"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call(Tensor(np.ones((2, 3))))
