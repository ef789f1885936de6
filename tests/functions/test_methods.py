"""PyTorch's methods of Tensor: the same values, gradients and errors of shape as PyTorch's own."""

import numpy as np
import pytest

import tinygraph as tg

X = np.random.default_rng(0).uniform(0.2, 0.9, (2, 3))

UNARY = [
    "abs", "absolute", "clone", "contiguous", "cpu", "erf", "exp", "flatten", "log", "mean", "neg", "negative", "numel",
    "dim", "ravel", "relu", "sigmoid", "sign", "sqrt", "square", "sum", "t", "tanh",
]  # fmt: skip

# Each works on a torch.Tensor and on ours, and gives the same.
SAME = {
    **{name: (lambda x, t, name=name: getattr(x, name)()) for name in UNARY},
    "add": lambda x, t: x.add(x).add(2.0),
    "sub": lambda x, t: x.sub(2.0).subtract(x * x),
    "mul": lambda x, t: x.mul(x).multiply(3.0),
    "div": lambda x, t: x.div(x + 1).divide(3.0),
    "pow": lambda x, t: x.pow(3).pow(0.5),
    "+x": lambda x, t: +x,
    "matmul": lambda x, t: x.matmul(x.T).mm(x),
    "bmm": lambda x, t: x.view(2, 1, 3).bmm(x.view(2, 3, 1)),
    "maximum": lambda x, t: x.maximum(x * x + 0.2).minimum(x + 0.1),
    "logaddexp": lambda x, t: x.logaddexp(x * 2),
    "clamp": lambda x, t: x.clamp(0.3, 0.6),
    "view": lambda x, t: x.view(3, -1),
    "view of a tuple": lambda x, t: x.view((6,)),
    "view_as": lambda x, t: x.view_as(x.T).reshape_as(x),
    "unsqueeze": lambda x, t: x.unsqueeze(0).unsqueeze(-1),
    "squeeze": lambda x, t: x.unsqueeze(1).squeeze(1),
    "squeeze dim": lambda x, t: x.unsqueeze(1).squeeze(dim=1),
    "permute": lambda x, t: x.view(1, 2, 3).permute(2, 0, 1),
    "transpose two of three": lambda x, t: x.view(1, 2, 3).transpose(1, 2),
    "transpose the last": lambda x, t: x.view(1, 2, 3).transpose(-2, -1),
    "transpose a matrix": lambda x, t: x.transpose(1, 0),
    "flatten from": lambda x, t: x.view(1, 2, 3).flatten(1),
    "flatten to": lambda x, t: x.view(1, 2, 3).flatten(start_dim=0, end_dim=-2),
    "expand": lambda x, t: x.expand(4, -1, 3),
    "expand a column": lambda x, t: x.view(6, 1).expand(-1, 2),
    "expand_as": lambda x, t: x.view(2, 1, 3).expand_as(x.expand(2, 2, 3)),
    "T": lambda x, t: x.T,
    "mT": lambda x, t: x.view(1, 2, 3).mT,
    "masked_fill": lambda x, t: x.masked_fill(t(X > 0.5), -1.0),
    "where": lambda x, t: x.where(t(X > 0.5), x * 2),
    "softmax": lambda x, t: x.softmax(dim=1) * x.log_softmax(dim=0),
    "softmax, by place": lambda x, t: x.softmax(1),
    "var": lambda x, t: x.var(dim=1, unbiased=False),
    "var, unbiased": lambda x, t: x.var(dim=(0, 1), unbiased=True, keepdim=True),
    "std": lambda x, t: x.std(dim=0, correction=1),
    "std, by place": lambda x, t: x.std(True) + x.var(False),
    "add, so many times": lambda x, t: x.add(x * x, alpha=2).sub(x.T.T, alpha=0.5),
    "div, rounded": lambda x, t: x.div(x * x, rounding_mode="floor") + x.div(-0.3, rounding_mode="trunc") * x,
    "svd": lambda x, t: x.svd().U.abs() @ x.svd().S.view(2, 1) + x.svd(some=False).V.abs()[:, :2].sum(),
    "svd, of values alone": lambda x, t: x.svd(compute_uv=False)[1] + x.svd(compute_uv=False).V.sum(),
    "take_along_dim, in one row": lambda x, t: x.take_along_dim(t(np.array([[5, 0], [0, 1]]))),
    "mH": lambda x, t: x.mH @ x.adjoint().mH + x.H @ x,
    "diagonal": lambda x, t: x.view(1, 2, 3).diagonal(1, dim1=1, dim2=2),
    "a number as a row": lambda x, t: x[0, 0].topk(1).values + x[0, 1].cummax(0)[0] * x[0, 2].kthvalue(1, 0, True)[0],
    "scans of a number": lambda x, t: x[0, 0].cumsum(0) * x[0, 1].cumprod(-1) * x[0, 2].logcumsumexp(0),
    "quantile": lambda x, t: x.quantile(x[0, :2] * 0.5, dim=1) + x.nanquantile(x[1, :2], 1) * x.quantile(x[0, 0]),
    "amax": lambda x, t: x.amax(1),
}


@pytest.mark.parametrize("name", SAME)
def test_a_method_is_that_of_torch(name):
    torch = pytest.importorskip("torch")
    theirs, ours = torch.tensor(X, requires_grad=True), tg.Tensor(X)
    expected, found = SAME[name](theirs, torch.tensor), SAME[name](ours, np.asarray)
    if isinstance(expected, int):
        assert found == expected
        assert type(found) is int
        return
    np.testing.assert_allclose(found.data, expected.detach().numpy(), rtol=1e-12)
    weights = np.random.default_rng(1).standard_normal(found.shape)
    (found * weights + 0 * ours.sum()).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_every_op_of_one_operand_that_torch_has_as_a_method_is_one():
    torch = pytest.importorskip("torch")
    unary = [op.name for op in tg.OPS.values() if len(op.operands) == 1 and not op.variadic and op.family != "fused"]
    missing = [name for name in unary if hasattr(torch.Tensor, name) and not hasattr(tg.Tensor, name)]
    assert not set(missing) - {"scatter", "index"}  # of other meanings there


def test_transpose_takes_an_order_as_numpy_does():
    x = X.reshape(1, 2, 3)
    for order in [(), (None,), ((2, 0, 1),), (2, 0, 1), ([1, 0, 2],)]:
        np.testing.assert_array_equal(tg.Tensor(x).transpose(*order).data, x.transpose(*order))


def test_a_clone_shares_no_memory():
    x = tg.Tensor(X)
    assert not np.shares_memory(x.clone().data, x.data)
    assert not np.shares_memory(np.copy(x).data, x.data)


def test_numbers_are_formatted():
    loss = (tg.Tensor([1.0, 2.0]) ** 2).sum()
    assert f"{loss:.3f}" == "5.000"
    assert format(tg.Tensor([[0.25]]), ".1%") == "25.0%"
    assert f"{loss}" == str(loss)
    with pytest.raises(TypeError):
        format(tg.Tensor([1.0, 2.0]), ".3f")


def test_detach_numpy():
    np.testing.assert_array_equal(tg.Tensor(X).detach().cpu().numpy(), X)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: x.view(np.float32), TypeError, "write astype"),
        (lambda x: x.expand(-1, 2, 3), ValueError, r"the first 1 of \(-1, 2, 3\) are new"),
        (lambda x: x.view(1, 2, 3).t(), ValueError, "write x.mT"),
        (lambda x: x.transpose(0, 1), ValueError, "changes nothing in NumPy and swaps in PyTorch: write x.T, or x"),
        (lambda x: x.transpose(-2, -1), ValueError, "write x.T, or x"),
        (lambda x: x.view(1, 2, 3).transpose(2, 0, 0), ValueError, "transpose"),
        (lambda x: x.div(2.0, rounding_mode="up"), ValueError, "rounding_mode='up' is none of"),
        (lambda x: x.max(x), TypeError, r"of two, write maximum\(x, y\)"),
        (lambda x: tg.min(x, X), TypeError, r"of two, write minimum\(x, y\)"),
        (lambda x: np.mean([x, x]), TypeError, r"write .numpy\(\), or tg.stack\(list\)"),
        (lambda x: x[0, 0].unfold(0, 1, 1), ValueError, "x is a number"),
        (lambda x: x.flatten(1, 0), ValueError, "axis 1 .* comes after axis 0"),
        (lambda x: (x * x).requires_grad_(), RuntimeError, "no leaf"),
    ],
)
def test_errors_say_what_to_write(call, error, text):
    with pytest.raises(error, match=text):
        call(tg.Tensor(X))


def test_a_gradient_stays_on_its_device(device_array):
    import tests.decoy

    x = tg.Tensor(device_array(X))
    if isinstance(x.data, tests.decoy.Decoy):
        pytest.skip("a stand-in counts as NumPy here")
    with pytest.raises(TypeError, match=r"x\.detach\(\)\.cpu\(\)"):
        x.cpu()
    assert isinstance(x.detach().cpu().data, np.ndarray)
