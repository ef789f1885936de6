"""Values put into a copy of an array, and reduced in one place; `tests/opinfo.py` compares them with PyTorch's."""

import numpy as np
import pytest

import tinygraph as tg

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 2, (3, 4))
ROWS = RNG.uniform(0.5, 3, (2, 4))


def test_a_copy_is_what_an_assignment_makes():
    keys = [(np.array([2, 0]),), (np.array([0, 1]), np.array([3, 3])), (X > 1.5,)]
    for key in keys:
        wanted = X.copy()
        values = RNG.random(wanted[key].shape)
        wanted[key] = values
        np.testing.assert_array_equal(tg.index_put(tg.Tensor(X), key, values).data, wanted)
    wanted = X.copy()
    wanted[[2, 0]] = ROWS
    np.testing.assert_array_equal(tg.index_copy(X, 0, [2, 0], ROWS), wanted)
    wanted[X > 1.5] = np.arange((X > 1.5).sum())
    np.testing.assert_array_equal(tg.masked_scatter(wanted, X > 1.5, np.arange(12.0)), wanted)


def test_of_repeats_the_last_one_stays_and_has_the_gradient():
    source = tg.Tensor([1.0, 2.0, 3.0])
    y = tg.index_copy(np.zeros(2), 0, [1, 1, 1], source)
    np.testing.assert_array_equal(y.data, [0, 3])
    y.sum().backward()
    np.testing.assert_array_equal(source.grad, [0, 0, 1])


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize(
    ("reduce", "function"), [("sum", np.sum), ("prod", np.prod), ("mean", np.mean), ("amax", np.max), ("amin", np.min)]
)
def test_what_comes_together_is_reduced(reduce, function, include_self):
    index = np.array([[0, 0, 2, 0], [2, 0, 2, 1]])
    found = tg.scatter_reduce(tg.Tensor(X), 0, index, tg.Tensor(ROWS), reduce, include_self=include_self)
    for i in range(3):
        for j in range(4):
            others = ROWS[index[:, j] == i, j]
            own = [X[i, j]] * (include_self or not others.size)
            np.testing.assert_allclose(found.data[i, j], function([*own, *others]), rtol=1e-15)
    call = lambda x, y: tg.scatter_reduce(x, 0, index, y, reduce, include_self=include_self)
    assert tg.gradcheck(call, (X, ROWS))
    assert tg.gradgradcheck(call, (X, ROWS))


def test_where_nothing_goes_nothing_changes():
    none = np.zeros((0, 4), int)
    np.testing.assert_array_equal(tg.scatter_reduce(X, 0, none, ROWS, "amax", include_self=False), X)
    np.testing.assert_array_equal(tg.masked_scatter(X, np.zeros(4, bool), np.zeros(0)), X)
    np.testing.assert_array_equal(tg.index_fill(X, 1, np.zeros(0, int), 9.0), X)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: tg.scatter_reduce(X, 0, np.zeros((1, 4), int), ROWS, "max"), ValueError, "reduce='max' is none of"),
        (lambda: tg.scatter_reduce(X, 0, np.zeros((4,), int), ROWS, "sum"), ValueError, "do not fit"),
        (lambda: tg.masked_scatter(X, X > 0, np.ones(3)), ValueError, "12 places, and 3 values"),
        (lambda: tg.index_copy(X, 0, [0], ROWS), ValueError, "the source has shape"),
        (lambda: tg.index_put(X, (np.array([7]),), ROWS[:1]), IndexError, "out of bounds"),
        (lambda: tg.mode(np.zeros((2, 0))), ValueError, "nothing to choose from"),
        (lambda: tg.linalg.matrix_exp(np.zeros((2, 3))), np.linalg.LinAlgError, "square matrices"),
        (lambda: tg.linalg.matrix_exp(np.full((2, 2), np.nan)), np.linalg.LinAlgError, "nan or inf"),
    ],
)
def test_an_error_says_what_is_wrong(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_exponential_of_a_matrix_is_that_of_its_eigenvalues():
    for size in (0.01, 1.0, 30.0):
        a = RNG.standard_normal((2, 4, 4)) * size
        a = a + a.mT
        values, vectors = np.linalg.eigh(a)
        wanted = (vectors * np.exp(values)[:, None, :]) @ vectors.mT
        np.testing.assert_allclose(tg.linalg.matrix_exp(a), wanted, rtol=1e-12, atol=1e-13 * abs(wanted).max())
    assert tg.gradgradcheck(tg.linalg.matrix_exp, (RNG.standard_normal((3, 3)),))
