"""``dim=`` and ``keepdim=`` are taken beside ``axis=`` and ``keepdims=``; both together are an error."""

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
