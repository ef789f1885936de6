"""PyTorch as the oracle: values and gradients of every op and composite in float64, also where a derivative jumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import Case, close, gradients, registered, tensor
from tinygraph import Tensor, grad
from tinygraph.ops import elementwise, reduce

torch = pytest.importorskip("torch")
F = torch.nn.functional


def dims(x: Any, axis: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else tuple(axis) if np.iterable(axis) else (axis,)


def reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis=None, keepdims=False: function(x, dim=dims(x, axis), keepdim=keepdims)


def placed(key: Any) -> Any:
    """An index as torch takes it."""
    if isinstance(key, tuple):
        return tuple(map(placed, key))
    return torch.tensor(np.asarray(key)) if isinstance(key, list | np.ndarray) else key


def scatter(x: Any, key: Any, shape: Any) -> Any:
    places = torch.arange(int(np.prod(shape))).reshape(shape)[placed(key)]
    return x.new_zeros(int(np.prod(shape))).index_add(0, places.reshape(-1), x.reshape(-1)).reshape(shape)


def assemble(*xs: Any, keys: Any, shape: Any) -> Any:
    out = xs[0].new_zeros(shape)
    for x, key in zip(xs, keys, strict=True):
        out[key] += x
    return out


def pad(x: Any, pad_width: Any) -> Any:
    widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].ravel().tolist()
    return F.pad(x, widths)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    return torch.argmax(x, dim=axis, keepdim=keepdims)


def logsumexp(x: Any, dim: Any, keepdim: bool) -> Any:
    return torch.logsumexp(x, dim, keepdim) if dim else x.clone()


def normalized(x: Any, gamma: Any = None, beta: Any = None, *, axis: Any, eps: float = 1e-5, over: bool = False) -> Any:
    """Batch norm and its kin from primitives: PyTorch's own fixes which axes are averaged."""
    axes = [a % x.ndim for a in dims(x, axis)]
    column = [n if (a in axes) == over else 1 for a, n in enumerate(x.shape)]
    x_hat = (x - x.mean(axes, True)) / torch.sqrt(x.var(axes, correction=0, keepdim=True) + eps)
    scaled = x_hat if gamma is None else x_hat * gamma.reshape(column)
    return scaled if beta is None else scaled + beta.reshape(column)


def backward_of(function: Callable[..., Any], x: Any, g: Any) -> Any:
    """What PyTorch sends back through a function of ``x``, itself differentiable in g."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x), x, g, create_graph=True)[0]


def at_largest(y: Any, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    _, places = F.max_pool2d(x, kernel_size, stride, padding, return_indices=True)
    return y.flatten(-2).gather(-1, places.flatten(-2)).reshape(places.shape)


def conv_transpose2d(x: Any, w: Any, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, **rest: Any) -> Any:
    return F.conv_transpose2d(x, w, None, stride, padding, output_padding, **rest)


def conv2d_weight(x: Any, y: Any, kernel: Any, groups: int = 1, **rest: Any) -> Any:
    return torch.nn.grad.conv2d_weight(x, (y.shape[1], x.shape[1] // groups, *kernel), y, groups=groups, **rest)


THEIRS: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in (
        "add", "sub", "mul", "div", "neg", "square", "sqrt", "exp", "log", "abs", "sign", "maximum", "minimum",
        "tanh", "sigmoid", "relu", "matmul", "logaddexp", "erf",
    )},
    "power": torch.pow,
    "greater": torch.gt,
    "equal": torch.eq,
    "clip": torch.clamp,
    "where": torch.where,
    "astype": lambda x, dtype: x.to(getattr(torch, dtype)),
    "broadcast_to": lambda x, shape: x.expand(shape),
    "sum_to": lambda x, shape: x.sum_to_size(shape),
    "reshape": lambda x, shape: torch.reshape(x, (shape,) if isinstance(shape, int) else shape),
    "transpose": lambda x, axes=None: x.permute(axes or tuple(range(x.ndim))[::-1]),
    "index": lambda x, key: x[placed(key)],
    "scatter": scatter,
    "join": lambda *xs, axis=0: torch.cat(xs, axis),
    "whole": lambda x: x.clone(),
    "clone": torch.clone,
    "assemble": assemble,
    "pad": pad,
    "sum": reduced(torch.sum),
    "mean": reduced(torch.mean),
    "max": reduced(torch.amax),
    "min": reduced(torch.amin),
    "argmax": argmax,
    "logsumexp": reduced(logsumexp),
    "conv2d": F.conv2d,
    "conv_transpose2d": conv_transpose2d,
    "conv2d_weight": conv2d_weight,
    "avg_pool2d": F.avg_pool2d,
    "avg_unpool2d": lambda x, size, **options: backward_of(
        lambda z: F.avg_pool2d(z, **options), x.new_zeros((*x.shape[:-2], *size)), x
    ),
    "max_pool2d": F.max_pool2d,
    "to_largest": lambda g, x, **options: backward_of(lambda z: F.max_pool2d(z, **options), x, g),
    "at_largest": at_largest,
    "batch_norm": lambda *xs, axis=0, **options: normalized(*xs, axis=axis, **options),
    "layer_norm": lambda *xs, axis=-1, **options: normalized(*xs, axis=axis, over=True, **options),
    "contract": lambda *xs, subscripts: torch.einsum(subscripts, *xs),
}  # fmt: skip
WITHOUT: dict[str, str] = {}  # op -> why PyTorch has nothing to compare it with

COMPOSED: dict[str, Callable[..., Any]] = {
    "batch_norm": lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True),
    "batch_norm-plain": lambda x, eps: (x - x.mean(0)) / x.std(0, correction=0),  # theirs takes no eps of 0
    "batch_norm-images": lambda x, g, b, axis: F.batch_norm(x, None, None, g, b, training=True),
    "batch_norm_spatial": lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True),
    "batch_norm_inference": lambda x, m, v, g, b: (x - m) / torch.sqrt(v + 1e-5) * g + b,
    "batch_norm_inference-image": lambda x, m, v, g, b, axis: COMPOSED["batch_norm_inference"](
        x, *(p.reshape(6, 1, 1) for p in (m, v, g, b))
    ),
    "layer_norm": lambda x, g, b: F.layer_norm(x, (3,), g, b),
    "layer_norm-images": lambda x, g, b, axis: F.layer_norm(x, tuple(g.shape), g, b),
    "group_norm": lambda x, g, b, groups: F.group_norm(x, groups, g, b),
    "instance_norm": lambda x, g, b: F.instance_norm(x, None, None, g, b),
    "softmax": lambda x: torch.softmax(x, -1),
    "softmax-first": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "var": lambda x, axis, correction: x.var(axis, correction=correction),
    "std": lambda x, axis, keepdims: x.std(axis, correction=0, keepdim=keepdims),
    "concatenate": lambda *xs: torch.cat(xs, 1),
    "stack": lambda *xs: torch.stack(xs, -1),
    "split": lambda x: torch.cat(torch.tensor_split(x, [1, 3], 1)[::-1], 1),
    "swapaxes": lambda x, axis1, axis2: x.swapaxes(axis1, axis2),
    "moveaxis": lambda x, source, destination: x.moveaxis(source, destination),
    "expand_dims": lambda x, axis: x[None, ..., None],
    "squeeze": lambda x, axis: x.squeeze(axis),
    "flatten": lambda x: x.flatten(),
    "einsum": lambda x, y: torch.einsum("ij,jk->ki", x, y),
    "numbers": lambda x: 2**x - 1.5**x - 1 / x + 3 * x**3 - x / 4,
    "shared operand": lambda x: x * x + x / x**2,
}


def cross_entropy(x: Any, target: Any, **params: Any) -> Any:
    return F.cross_entropy(x, target if isinstance(target, torch.Tensor) else torch.tensor(target), **params)


def op_name(case: Case) -> str:
    return getattr(getattr(case.function, "op", None), "name", "")


def theirs(case: Case) -> Callable[..., Any]:
    """The function of PyTorch that ours should equal."""
    if op := op_name(case):
        function = THEIRS[op]
    else:
        function = cross_entropy if case.name.startswith("cross_entropy") else COMPOSED[case.name]
    return lambda *xs: function(*xs, **case.params)


def torched(x: Any, requires_grad: bool = True) -> Any:
    return torch.tensor(np.asarray(x), requires_grad=requires_grad and np.asarray(x).dtype.kind == "f")


def test_the_table_is_complete():
    missing = registered().keys() - THEIRS.keys() - WITHOUT.keys()
    assert not missing, f"add {sorted(missing)} to THEIRS, or to WITHOUT with the reason"


def test_value_and_gradient(case):
    if op_name(case) in WITHOUT:
        return
    arrays = case.arrays()
    xs, ts = list(map(tensor, arrays)), list(map(torched, arrays))
    y, z = case(*xs), theirs(case)(*ts)
    close(y.data, z.detach().numpy(), 1e-9, "value")
    if not y.requires_grad:
        assert not z.requires_grad or not z.is_floating_point() or case.function is elementwise.sign
        return
    g = case.cotangent(y).astype(y.dtype)
    wanted = torch.autograd.grad(z, [t for t in ts if t.requires_grad], torched(g, False), materialize_grads=True)
    found = grad(y, [x for x in xs if x.requires_grad], g, materialize_grads=True)
    for ours, other in zip(found, wanted, strict=True):
        close(ours, other.detach().numpy(), 1e-9, "gradient")


def test_double_backward(composite):
    """Gradients of the gradients, in the operands and in the cotangent."""
    arrays = composite.arrays()
    g = composite.cotangent(composite(*arrays))
    rng = composite.rng
    weights = [rng.standard_normal(x.shape) for x in arrays]
    leaves = list(map(tensor, (*arrays, g)))
    firsts = gradients(composite, leaves[:-1], leaves[-1], create_graph=True)
    found = grad(list(firsts), leaves, weights, materialize_grads=True)

    ts = list(map(torched, (*arrays, g)))
    theirs_first = torch.autograd.grad(theirs(composite)(*ts[:-1]), ts[:-1], ts[-1], create_graph=True)
    kept = [(t, torched(w, False)) for t, w in zip(theirs_first, weights, strict=True) if t.requires_grad]
    outputs, upstream = [t for t, _ in kept], [w for _, w in kept]
    wanted = torch.autograd.grad(outputs, ts, upstream, allow_unused=True)
    for ours, other, leaf in zip(found, wanted, leaves, strict=True):
        close(ours, np.zeros(leaf.shape) if other is None else other.numpy(), 1e-8, composite.name)


def test_third_derivative_of_batch_norm(rng):
    """PyTorch's own batch norm is wrong at this order, so it is compared with the composition there."""
    x, w, u, v = rng.standard_normal((4, 5, 3))

    def third(x, w, u, v, normalize, gradient):
        first = gradient((normalize(x) * w).sum(), x)
        second = gradient((first * u).sum(), x)
        return gradient((second * v).sum(), x)

    composed = lambda t: (t - t.mean(0)) / torch.sqrt(((t - t.mean(0)) ** 2).mean(0) + 1e-5)
    step = lambda y, x: torch.autograd.grad(y, x, create_graph=True)[0]
    wanted = third(torched(x), *(torched(a, False) for a in (w, u, v)), composed, step)
    found = third(Tensor(x), w, u, v, tg.batch_norm, lambda y, x: grad(y, x, create_graph=True)[0])
    close(found.data, wanted.detach().numpy(), 1e-8)


ZERO, TIES = np.array([-1.5, 0.0, 2.0]), np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])


@pytest.mark.parametrize(
    ("ours", "other", "arrays"),
    [
        (elementwise.relu, torch.relu, [ZERO]),
        (elementwise.abs, torch.abs, [ZERO]),
        (elementwise.sqrt, torch.sqrt, [np.array([0.0, 4.0])]),
        (elementwise.square, torch.square, [ZERO]),
        (elementwise.maximum, torch.maximum, [ZERO, np.array([-1.5, 1.0, 2.0])]),
        (elementwise.minimum, torch.minimum, [ZERO, np.array([-1.5, 1.0, 2.0])]),
        (lambda x: elementwise.clip(x, -1.5, 2.0), lambda x: torch.clamp(x, -1.5, 2.0), [ZERO]),
        (lambda x: elementwise.clip(x, 0), lambda x: torch.clamp(x, 0), [ZERO]),
        (reduce.max, torch.amax, [TIES]),
        (lambda x: reduce.max(x, 1), lambda x: torch.amax(x, 1), [TIES]),
        (lambda x: reduce.min(x, (0, 1), True), lambda x: torch.amin(x, (0, 1), True), [TIES]),
        (lambda x: reduce.min(x, 0), lambda x: torch.amin(x, 0), [TIES]),
        (reduce.logsumexp, lambda x: torch.logsumexp(x, (0, 1)), [TIES]),
        (lambda x: reduce.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1), [np.array([[-np.inf, 1.0], [1e3, 1e3]])]),
        (lambda x: x[[1, 1, 0]], lambda x: x[[1, 1, 0]], [ZERO]),
        *[(lambda x, n=n: x**n, lambda x, n=n: x**n, [ZERO]) for n in (0, 1, 2, 3, 2.0)],
        (elementwise.power, torch.pow, [ZERO[1:], np.array([0.0, 3.0])]),
        (elementwise.power, torch.pow, [np.array([0.0, 0.0, 2.0]), np.array([1.0, 2.0, 0.0])]),
        (lambda y: 2.0**y, lambda y: 2.0**y, [ZERO]),
        (lambda y: elementwise.power(0.0, y), lambda y: torch.pow(0.0, y), [np.array([0.0, 1.0, 2.0])]),
    ],
)
def test_where_derivatives_jump(ours, other, arrays):
    """Ties, kinks and zeros: the same subgradient as PyTorch, recorded or not."""
    xs, ts = list(map(tensor, arrays)), list(map(torched, arrays))
    with np.errstate(divide="ignore"):
        y, z = ours(*xs), other(*ts)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-14)
        g = np.arange(1.0, 1 + y.size).reshape(y.shape)
        wanted = [t.numpy() for t in torch.autograd.grad(z, ts, torched(g, False))]
        for found, expected in zip(grad(y, xs, g), wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-14)
        for found, expected in zip(grad(y, xs, g, create_graph=True), wanted, strict=True):
            np.testing.assert_allclose(found.data, expected, rtol=1e-14)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_whole_powers_have_every_derivative_at_zero(n):
    x, t = Tensor(ZERO), torched(ZERO)
    y, z = (x**n).sum(), (t**n).sum()
    for _ in range(4):
        np.testing.assert_allclose(y.data, z.detach().numpy())
        if not z.requires_grad or not y.requires_grad:
            break
        y, z = grad(y, x, create_graph=True)[0].sum(), torch.autograd.grad(z, t, create_graph=True)[0].sum()
