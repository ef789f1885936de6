"""Rearranging, assembling, selecting, ordering, comparing: a Tensor gives what NumPy gives on its array."""
# ruff: noqa: E501 - a call stands on a line

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import check_each
from tinygraph import Tensor, grad

RNG = np.random.default_rng(0)
A, M, V = RNG.random((3, 4, 5)), RNG.random((3, 4)), RNG.random(6)
GAPS = M.copy()
GAPS[0, 1] = GAPS[2] = np.nan

CALLS = [
    *[lambda x, k=k, axes=axes: np.rot90(x(A), k, axes) for k in range(-3, 5) for axes in ((0, 1), (2, 0), (-1, -2))],
    lambda x: np.flip(x(A), (0, -1)), lambda x: np.fliplr(x(A)), lambda x: np.flipud(x(V)),
    lambda x: np.roll(x(A), 3), lambda x: np.roll(x(A), (1, -2), (0, 2)), lambda x: np.roll(x(A), 7, 0),
    lambda x: np.tile(x(M), 2), lambda x: np.tile(x(M), (2, 1, 3)), lambda x: np.tile(x(M), (0, 1)),
    lambda x: np.repeat(x(M), 2), lambda x: np.repeat(x(M), [1, 2, 0], axis=0), lambda x: np.repeat(x(M), [2], axis=-1),
    lambda x: np.meshgrid(x(V), x(V)[:3], x(V)[:2]), lambda x: np.meshgrid(x(V), x(V)[:3], indexing="ij", sparse=True),
    lambda x: np.broadcast_arrays(x(M), x(M)[0], 1.0), lambda x: np.atleast_3d(x(M)), lambda x: np.atleast_2d(x(V)),
    *[lambda x, i=i, j=j: np.rollaxis(x(A), i, j) for i in range(-3, 3) for j in range(-3, 4)],
    lambda x: np.insert(x(V), 2, 9.0), lambda x: np.insert(x(V), [4, 1], [7.0, 8.0]), lambda x: np.insert(x(V), [], []),
    lambda x: np.insert(x(M), 1, [1.0, 2.0, 3.0], axis=1), lambda x: np.insert(x(M), slice(1, 3), [7.0, 8.0], axis=1),
    lambda x: np.insert(x(M), [1, 2], x(M)[:, :2], axis=1), lambda x: np.insert(x(M), -1, 5.0, axis=0),
    lambda x: np.insert(x(V), np.array([True, False, True, False, False, False]), [1.0, 2.0]),
    lambda x: np.delete(x(V), [1, 2]), lambda x: np.delete(x(M), slice(0, 2), axis=0), lambda x: np.delete(x(M), 3),
    lambda x: np.resize(x(M), (5, 4)), lambda x: np.append(x(M), x(V)), lambda x: np.append(x(M), x(M), axis=0),
    lambda x: np.block([[x(M), x(M)], [x(M), np.zeros((3, 4))]]), lambda x: np.block([x(V), 1.0]),
    lambda x: np.vstack([x(V), x(V)]), lambda x: np.dstack([x(V), x(V)]), lambda x: np.column_stack([x(V), x(V)]),
    lambda x: np.array_split(x(V), 4), lambda x: np.hsplit(x(M), 2), lambda x: np.dsplit(x(A), [1, 3]),
    lambda x: np.take(x(M), [[1, 2], [0, 1]], axis=1), lambda x: np.take(x(M), [7, -1], axis=1, mode="wrap"),
    lambda x: np.take(x(M), [7, -1], axis=1, mode="clip"), lambda x: np.compress([True, False, True], x(M), axis=0),
    lambda x: np.extract(M > 0.5, x(M)), lambda x: np.choose([0, 1, 1, 0, 2, 2], [x(V), x(V) * 2, 3.0]),
    lambda x: np.select([V > 0.5, V > 0.2], [x(V), x(V) * 2], x(V) * 3),
    *[lambda x, k=k: np.tril(x(A), k) for k in (-2, 0, 3)], *[lambda x, k=k: np.triu(x(M), k) for k in (-2, 0, 9)],
    *[lambda x, k=k: np.diag(x(M), k) for k in (-4, -1, 0, 3)], *[lambda x, k=k: np.diag(x(V), k) for k in (-2, 0, 3)],
    lambda x: np.diagonal(x(A), -1, 2, 1), lambda x: np.trace(x(A)), lambda x: np.linalg.trace(x(A)),
    *[lambda x, mode=mode, w=w: np.pad(x(M), w, mode)
      for mode in ("edge", "reflect", "symmetric", "wrap", "mean", "median", "maximum", "minimum", "linear_ramp")
      for w in (0, (2, 1), ((1, 2), (0, 3)), ((7, 9), (11, 2)))],
    lambda x: np.pad(x(M), ((7, 9), (11, 2)), "reflect", reflect_type="odd"),
    lambda x: np.pad(x(M), 2, "linear_ramp", end_values=((1, 2), (3, 4))), lambda x: np.pad(x(M), 2, "mean", stat_length=2),
    *[lambda x, f=f, axis=axis, a=a, k=k: getattr(np, f)(x(a), axis=axis, keepdims=k)
      for f in ("median", "nanmedian", "ptp", "average", "nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin")
      for axis in (None, 0, -1, (0, 1)) for a in (M, GAPS) for k in (False, True)],
    *[lambda x, f=f, m=m, q=q, a=a: getattr(np, f)(x(a), q, axis=0, method=m)
      for f in ("quantile", "nanquantile") for q in (0.3, [0, 0.25, 1]) for a in (A, GAPS)
      for m in ("linear", "lower", "higher", "nearest", "midpoint", "weibull", "hazen", "interpolated_inverted_cdf", "median_unbiased")],
    lambda x: np.percentile(x(M), [20, 50], axis=1, keepdims=True), lambda x: np.average(x(M), 1, [1.0, 2, 3, 4], True),
    lambda x: np.nanargmax(x(GAPS[:2]), axis=1), lambda x: np.nancumsum(x(GAPS)), lambda x: np.nancumprod(x(GAPS), axis=1),
    lambda x: np.diff(x(M), 2, axis=0), lambda x: np.diff(x(M), prepend=0.0, append=x(M)), lambda x: np.ediff1d(x(M), 9.0, [1.0]),
    *[lambda x, e=e: np.gradient(x(A), 0.5, np.array([0.0, 1, 3, 4]), np.arange(5) * 2.0, edge_order=e) for e in (1, 2)],
    lambda x: np.trapezoid(x(M), x(M) * 2, axis=0), lambda x: np.interp(x(V) * 9 - 4, x(V), x(V) * 2, period=1.3),
    lambda x: np.interp(x(V) * 3 - 1, np.sort(x(V)), x(V), left=-1.0), lambda x: np.cov(x(M), x(M)[0]), lambda x: np.corrcoef(x(M)),
    lambda x: np.apply_along_axis(np.cumsum, 1, x(A)), lambda x: np.piecewise(x(V), [V > 0.5], [lambda v: v * v, 1.0]),
    lambda x: np.polyval(x(V), x(M)), lambda x: np.polyder(x(V), 2), lambda x: np.polyint(x(V), 2), lambda x: np.vander(x(V), 3),
    lambda x: np.unwrap(x(V) * 20), lambda x: np.linspace(x(V), 2.0, 4, axis=1), lambda x: np.bincount([2, 0, 2], x(V)[:3], 5),
    lambda x: np.cumsum(x(M)), lambda x: np.cumprod(x(M), 0), lambda x: np.sort(x(A), axis=None), lambda x: np.argsort(x(M), 0),
    lambda x: np.prod(x(A), (0, 2)), lambda x: np.partition(np.sort(x(V)), 2), lambda x: np.take_along_axis(x(M), np.array([[2], [0], [3]]), 1),
]  # fmt: skip


def same(found, wanted):
    if isinstance(wanted, tuple | list):
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            same(a, b)
    else:
        found = getattr(found, "data", found) if isinstance(found, Tensor) else found
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_tensor_gives_what_the_array_gives():
    check_each(check_call, range(len(CALLS)))


def check_call(k):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # NumPy's, of slices that are all NaN
        try:
            wanted = CALLS[k](lambda a: a)
        except (AttributeError, ValueError):
            return  # this NumPy has no such function, or reads its arguments in another way
        same(CALLS[k](Tensor), wanted)


WRONG = [
    (lambda x: tg.rot90(x, 1, (0, 0)), "repeated axis"),
    (lambda x: x.repeat(2), "write x.repeat_interleave"),
    (lambda x: x.split([1, 1]), "add up to 2, and axis 0 has 3"),
    (lambda x: tg.chunk(x, 0), "0 is no number of parts"),
    (lambda x: tg.narrow(x, 0, 2, 2), "reach outside of an axis of length 3"),
    (lambda x: tg.gather(x, 0, np.zeros((1, 9), int)), "do not fit"),
    (lambda x: tg.topk(x, 9), "k=9 of an axis of length 4"),
    (lambda x: tg.quantile(x, 1.5), "no share of all"),
    (lambda x: tg.quantile(x, 0.5, method="best"), "method='best' is not known"),
    (lambda x: tg.pad(x, 1, "dream"), "mode='dream' is not known"),
    (lambda x: tg.pad(x[:0], 1, "edge"), "no element to repeat"),
    (lambda x: tg.tril(x[0]), "must be a matrix"),
    (lambda x: np.nanargmax(x * np.nan), "nothing but NaN"),
    (lambda x: np.unique(x), "a set says what there is"),
    (lambda x: np.put_along_axis(x, np.zeros((1, 4), int), 0.0, 0), "a Tensor is never changed"),
    (lambda x: tg.gradient(x[:1], axis=0), "1 places along axis 0"),
    (lambda x: tg.median(x[:0]), "nothing to choose from"),
]


@pytest.mark.parametrize(("call", "text"), WRONG, ids=[text for _, text in WRONG])
def test_an_error_says_what_is_wrong(call, text):
    with pytest.raises((TypeError, ValueError, IndexError), match=text.replace("(", r"\(")):
        call(Tensor(M))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_zeros_have_derivatives_of_two_orders(dtype):
    """Of x·y·z at x = 0 the gradient is (yz, 0, 0), and the mixed second derivatives are z, y, 0."""
    x = Tensor(np.array([0.0, 2.0, 3.0], dtype))
    for product in (tg.prod, lambda t: tg.cumprod(t, 0)[-1]):
        (first,) = grad(product(x), x, create_graph=True)
        np.testing.assert_allclose(first.data, [6, 0, 0])
        rows = [grad(first[i], x)[0] for i in range(3)]
        np.testing.assert_allclose(rows, [[0, 3, 2], [3, 0, 0], [2, 0, 0]])


def test_indices_require_no_gradient_and_say_so():
    x = Tensor(M)
    for indices in (tg.argsort(x), tg.topk(x, 2).indices, tg.argmin(x), tg.kthvalue(x, 1).indices):
        assert "requires_grad=False" in repr(indices)
    assert tg.cummax(x, 0).indices.dtype == np.int64


def test_a_sorted_graph_sorts_again_when_it_runs_on_other_values():
    x = Tensor(np.array([3.0, 1.0, 2.0]), name="x")
    graph = tg.snapshot(tg.sort(x))
    np.testing.assert_array_equal(tg.run(graph, x=np.array([1.0, 9.0, 5.0])), [1, 5, 9])


def test_put_in_place_of_several_that_go_to_one_place_the_last_stays():
    x, y = Tensor(np.zeros(3)), Tensor(np.array([1.0, 2.0, 3.0]))
    z = x.scatter(0, np.array([1, 1, 0]), y)
    np.testing.assert_array_equal(z.data, [3, 2, 0])
    np.testing.assert_array_equal(grad(z, y, np.ones(3))[0], [0, 1, 1])
