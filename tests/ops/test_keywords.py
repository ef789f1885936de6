"""``dim=`` and ``keepdim=`` are taken beside ``axis=`` and ``keepdims=``; both together are an error."""

import functools

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.ops import indexing

X = np.random.default_rng(0).standard_normal((2, 3))

CALLS = {
    "unbind": lambda x, **k: tg.stack(indexing.unbind(x, **k)),
    **{name: getattr(tg, name) for name in ("sum", "mean", "max", "min", "argmax", "logsumexp")},
    "softmax": tg.softmax,
    "log_softmax": tg.log_softmax,
    "var": tg.var,
    "std": tg.std,
    "squeeze": lambda x, **k: tg.squeeze(x[:, :1], **k),
    "expand_dims": tg.expand_dims,
    "stack": lambda x, **k: tg.stack([x, x], **k),
    "concatenate": lambda x, **k: tg.concatenate([x, x], **k),
    "cat": lambda x, **k: tg.cat([x, x], **k),
}


@pytest.mark.parametrize("name", CALLS)
def test_dim_is_axis(name):
    call = CALLS[name]
    np.testing.assert_array_equal(call(X, dim=1), call(X, axis=1))
    np.testing.assert_array_equal(call(tg.Tensor(X), dim=1).data, call(X, axis=1))
    with pytest.raises(TypeError, match=f"{name}: give axis= or dim=, which mean the same, and not both"):
        call(X, dim=1, axis=1)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "amax", "amin", "argmax", "logsumexp", "var", "std"])
def test_keepdim_of_methods(name):
    method = getattr(tg.Tensor(X), name)
    np.testing.assert_array_equal(method(dim=1, keepdim=True).data, method(1, True).data)
    with pytest.raises(TypeError, match="which mean the same"):
        method(keepdim=True, keepdims=True)


@pytest.mark.parametrize("call", [tg.var, tg.std])
def test_keepdim_and_unbiased(call):
    np.testing.assert_array_equal(
        call(X, dim=0, keepdim=True, unbiased=True), call(X, axis=0, keepdims=True, correction=1)
    )
    np.testing.assert_array_equal(call(X, dim=0, unbiased=False), call(X, axis=0))
    with pytest.raises(TypeError, match="which mean the same"):
        call(X, keepdim=True, keepdims=True)


def test_an_axis_by_place_and_by_name_is_an_error():
    with pytest.raises(TypeError, match="multiple values"):
        tg.softmax(X, 1, dim=1)


MANY = ["sum", "mean", "max", "min", "prod", "logsumexp", "var", "std", "norm", "median", "nansum", "quantile"]


@pytest.mark.parametrize("name", MANY)
def test_several_axes_may_be_a_list(name):
    call = functools.partial(getattr(tg, name), **{"q": 0.25} if name == "quantile" else {})
    x = np.random.default_rng(1).uniform(1, 2, (2, 3, 4))
    for axes in ([0], [0, 2], [-1, 1]):
        wanted = call(x, axis=tuple(axes))
        for found in (call(x, axis=axes), call(tg.Tensor(x), axis=axes).data, call(tg.Tensor(x), dim=axes).data):
            np.testing.assert_array_equal(found, wanted)
    if name != "quantile":
        np.testing.assert_array_equal(call(tg.Tensor(x), axis=[0, 2], keepdims=True).data, call(x, None, (0, 2), True)
                                      if name == "norm" else call(x, (0, 2), True))  # fmt: skip
    with pytest.raises(TypeError):
        call(x, axis=[])  # in PyTorch all of them, in NumPy none


def test_a_gradient_goes_through_a_list_of_axes():
    x = tg.Tensor(X)
    (grad,) = tg.grad((x * x).mean([0, 1]), x)
    np.testing.assert_allclose(grad, 2 * X / 6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: tg.var(x, axis=1.0), TypeError, r"var: axis is 1.0; it must be the number of an axis"),
        (lambda x: tg.norm(x, axis="0"), TypeError, r"norm: axis is '0'; it must be"),
        (lambda x: tg.median(x, axis=[]), TypeError, r"median: axis=\[\] is all axes in PyTorch and none in NumPy"),
        (lambda x: tg.logcumsumexp(x, 5), IndexError, "axis 5 is out of bounds"),
        (lambda x: tg.chunk(x, 2, 5), IndexError, "axis 5 is out of bounds"),
        (lambda x: tg.tensor_split(x, 2, 5), IndexError, "axis 5 is out of bounds"),
        (lambda x: tg.mode(x, 5), IndexError, "axis 5 is out of bounds"),
        (lambda x: tg.nn.functional.glu(x, 5), IndexError, "axis 5 is out of bounds"),
        (lambda x: tg.tensor_split(x, 1.5), TypeError, "array_split: indices_or_sections is 1.5; it must be a whole"),
        (lambda x: x.gather(np.array([[0]]), 0), TypeError, "gather takes the number of an axis first, not ndarray"),
        (lambda x: x.gather(0, np.array([[0.5]])), TypeError, "gather: index has float64; places are integers"),
    ],
)
def test_a_wrong_axis_or_place_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call(tg.Tensor(X))


@pytest.mark.parametrize("given", [{"sections": 2}, {"indices": [1, 2]}, {"indices_or_sections": tg.tensor([1, 2])}])
def test_tensor_split_takes_what_pytorch_takes(given):
    torch = pytest.importorskip("torch")
    theirs = {k: torch.tensor(v.data) if isinstance(v, tg.Tensor) else v for k, v in given.items()}
    wanted = torch.tensor_split(torch.tensor(X), *theirs.values(), dim=1)
    found = tg.Tensor(X).tensor_split(**given, dim=1)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a.data, b.numpy())
