"""PyTorch as the oracle: values and gradients of every op and composite in float64, also where a derivative jumps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import Case, check_each, close, gradients, registered, tensor
from tinygraph import Tensor, grad
from tinygraph.ops import elementwise, exponentials, reduce, rounding, trigonometry

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


def sinc(x: Any, order: int = 0) -> Any:
    """A derivative of PyTorch's sinc, by its own differentiation."""
    y = torch.sinc(x if order == 0 else x.requires_grad_())
    for _ in range(order):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return y


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    return torch.argmax(x, dim=axis, keepdim=keepdims)


def product(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    for d in sorted((d % x.ndim for d in dims(x, axis)), reverse=True):
        x = x.prod(d, keepdim=keepdims)
    return x.clone()


def scanned(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis=None: function(x.flatten(), 0) if axis is None else function(x, axis)


def add_along_axis(x: Any, indices: Any, axis: int, shape: Any) -> Any:
    places = torch.take_along_dim(torch.arange(int(np.prod(shape))).reshape(shape), indices, axis)
    return (
        x.new_zeros(int(np.prod(shape))).index_add(0, places.flatten(), x.expand(places.shape).flatten()).reshape(shape)
    )


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


def rank_of(kernel_size: Any) -> int:
    return len(kernel_size) if isinstance(kernel_size, tuple) else 2


def max_pool(x: Any, kernel_size: Any, *args: Any, **options: Any) -> Any:
    return getattr(F, f"max_pool{rank_of(kernel_size)}d")(x, kernel_size, *args, **options)


def at_largest(y: Any, x: Any, kernel_size: Any, **options: Any) -> Any:
    _, places = max_pool(x, kernel_size, return_indices=True, **options)
    rank = rank_of(kernel_size)
    return y.flatten(-rank).gather(-1, places.flatten(-rank)).reshape(places.shape)


def conv(rank: int) -> Any:
    return getattr(F, f"conv{rank}d")


def conv_transpose(rank: int) -> Callable[..., Any]:
    def call(x: Any, w: Any, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, **rest: Any) -> Any:
        if padding != "same":
            return getattr(F, f"conv_transpose{rank}d")(x, w, None, stride, padding, output_padding, **rest)
        images = x.new_zeros((*x.shape[: -rank - 1], w.shape[1] * rest.get("groups", 1), *x.shape[-rank:]))
        return backward_of(lambda z: conv(rank)(z, w, None, 1, "same", **rest), images, x)

    return call


def conv_weight(rank: int) -> Callable[..., Any]:
    def call(x: Any, y: Any, kernel: Any, groups: int = 1, **rest: Any) -> Any:
        w = x.new_zeros((y.shape[-rank - 1], x.shape[-rank - 1] // groups, *kernel))
        return backward_of(lambda w: conv(rank)(x, w, groups=groups, **rest), w, y)

    return call


def avg_unpool(rank: int) -> Callable[..., Any]:
    def call(x: Any, size: Any, **options: Any) -> Any:
        images = x.new_zeros((*x.shape[:-rank], *size))
        return backward_of(lambda z: getattr(F, f"avg_pool{rank}d")(z, **options), images, x)

    return call


def signed(theirs: Any, ours: np.ndarray, rows: slice) -> Any:
    """Vectors under their values, with the signs that NumPy gives them: a library may choose."""
    same = (theirs[..., rows, :] * torch.from_numpy(ours)).sum(-2, keepdim=True).sign().detach()
    return torch.cat([theirs[..., :1, :], theirs[..., 1:, :] * same], -2)


def eigh(a: Any) -> Any:
    values, vectors = torch.linalg.eigh(a)
    ours = np.linalg.eigh(a.detach().numpy())[1]
    return signed(torch.cat([values[..., None, :], vectors], -2), ours, slice(1, None))


def svd(a: Any) -> Any:
    left, values, right = torch.linalg.svd(a, full_matrices=False)
    ours = np.linalg.svd(a.detach().numpy(), full_matrices=False)[0]
    return signed(torch.cat([values[..., None, :], left, right.mT], -2), ours, slice(1, 1 + a.shape[-2]))


def qr(a: Any) -> Any:
    q, r = torch.linalg.qr(a)
    return torch.cat([q, r.mT], -2)


def convolve(x: Any, y: Any, valid: bool = False) -> Any:
    x, y = (x, y) if len(x) >= len(y) else (y, x)
    return F.conv1d(x[None, None], y.flip(0)[None, None], padding=0 if valid else len(y) - 1)[0, 0]


def transformed(name: str) -> Callable[..., Any]:
    def call(x: Any, axes: Any = (-1,), norm: Any = None) -> Any:
        pairs = torch.view_as_complex(x.contiguous())
        return torch.view_as_real(getattr(torch.fft, name)(pairs, dim=axes, norm=norm))

    return call


def resample(x: Any, size: Any, mode: str = "nearest", align_corners: bool = False, scales: Any = None) -> Any:
    rank = len(size)
    name = {"linear": ("linear", "bilinear", "trilinear")[rank - 1], "cubic": "bicubic"}.get(mode, mode)
    options = {} if mode.startswith("nearest") else {"align_corners": align_corners}
    options |= {"scale_factor": scales} if scales else {"size": tuple(size)}
    return F.interpolate(x, mode=name, **options)


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    if len(kernel_size) == 2:
        return F.unfold(x, kernel_size, dilation, padding, stride)
    return F.unfold(x[..., None, :], (1, *kernel_size), (1, dilation), (0, padding), (1, stride))


THEIRS: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in (
        "add", "sub", "mul", "div", "neg", "square", "sqrt", "exp", "log", "abs", "sign", "maximum", "minimum",
        "tanh", "sigmoid", "relu", "matmul", "logaddexp", "erf",
        "exp2", "expm1", "log1p", "log2", "log10", "logaddexp2", "reciprocal", "rsqrt", "hypot", "xlogy", "floor",
        "ceil", "trunc", "erfc", "erfinv", "floor_divide", "remainder", "fmod", "fmax", "fmin", "copysign",
        "nan_to_num",
        "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "arcsinh", "arccosh", "arctanh",
    )},
    "sinc": sinc,
    **{name: getattr(F, name) for name in (
        "softplus", "silu", "elu", "leaky_relu", "mish", "logsigmoid", "hardtanh", "hardsigmoid")},
    "leaky_relu": lambda x, slope=0.01: F.leaky_relu(x, slope),
    "hardtanh": lambda x, low=-1.0, high=1.0: F.hardtanh(x, low, high),
    "hardsigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1),  # in theirs 1/6 is a float32
    "gammaln": torch.lgamma,
    "psi": lambda x, n=0: torch.polygamma(n, x),
    **{name: getattr(torch.special, name) for name in ("i0", "i1", "entr", "xlog1py")},
    "cbrt": lambda x: x.sign() * x.abs() ** (1 / 3),
    "round": lambda x, decimals=0: torch.round(x, decimals=decimals),
    "heaviside": lambda x, y: torch.heaviside(x, y.detach()).detach(),
    "clip_between": torch.clamp,
    "power": torch.pow,
    "dropout": lambda x, mask, p=0.5: x * mask,
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
    "argmin": lambda x, axis=None, keepdims=False: torch.argmin(x, dim=axis, keepdim=keepdims),
    "logsumexp": reduced(logsumexp),
    "prod": product,
    "cumsum": scanned(torch.cumsum), "cumprod": scanned(torch.cumprod), "logcumsumexp": scanned(torch.logcumsumexp),
    "running_max": lambda x, axis: torch.cummax(x, axis).values,
    "argsort": lambda x, axis=-1, **options: (
        torch.argsort(x.flatten() if axis is None else x, dim=0 if axis is None else axis, stable=True, **options)),
    "take_along_axis": torch.take_along_dim,
    "add_along_axis": add_along_axis,
    "l2_norm": reduced(torch.linalg.vector_norm),
    **{f"conv{rank}d": conv(rank) for rank in (1, 2, 3)},
    **{f"conv_transpose{rank}d": conv_transpose(rank) for rank in (1, 2, 3)},
    **{f"conv{rank}d_weight": conv_weight(rank) for rank in (1, 2, 3)},
    **{f"{name}_pool{rank}d": getattr(F, f"{name}_pool{rank}d") for name in ("avg", "max") for rank in (1, 2, 3)},
    **{f"avg_unpool{rank}d": avg_unpool(rank) for rank in (1, 2, 3)},
    "to_largest": lambda g, x, **options: backward_of(lambda z: max_pool(z, **options), x, g),
    "at_largest": at_largest,
    "resample": resample,
    "resample_back": lambda x, size, **options: backward_of(
        lambda z: resample(z, x.shape[-len(size) :], **options), x.new_zeros((*x.shape[: -len(size)], *size)), x
    ),
    "unfold": unfold,
    "fold": lambda x, output_size, kernel_size, **options: backward_of(
        lambda z: unfold(z, kernel_size, **options),
        x.new_zeros((*x.shape[:-2], x.shape[-2] // math.prod(kernel_size), *output_size)),
        x,
    ),
    "batch_norm": lambda *xs, axis=0, **options: normalized(*xs, axis=axis, **options),
    "layer_norm": lambda *xs, axis=-1, **options: normalized(*xs, axis=axis, over=True, **options),
    "contract": lambda *xs, subscripts: torch.einsum(subscripts, *xs),
    **{name: getattr(torch.linalg, name) for name in ("solve", "inv", "det", "cholesky")},
    "pinv": lambda a, rcond=None: torch.linalg.pinv(a, rtol=rcond),
    "cofactor": lambda a: torch.linalg.det(a)[..., None, None] * torch.linalg.inv(a).mT,
    "logabsdet": lambda a: torch.linalg.slogdet(a)[1],
    "sign_of_det": lambda a: torch.linalg.slogdet(a)[0].detach(),
    "eigh": eigh,
    "svd": svd,
    "qr": qr,
    "cross": lambda x, y: torch.linalg.cross(*torch.broadcast_tensors(x, y)),
    "complement": lambda x: torch.linalg.qr(x, mode="complete")[0][..., x.shape[-1] :].detach(),
    "fftn": transformed("fftn"),
    "ifftn": transformed("ifftn"),
    "rfft": lambda x, axis=-1, norm=None: torch.view_as_real(torch.fft.rfft(x, dim=axis, norm=norm)),
    "irfft": lambda x, n, axis=-1, norm=None: torch.fft.irfft(torch.view_as_complex(x), n, axis, norm),
    "convolve": convolve,
}  # fmt: skip
# What moves in steps: PyTorch has a gradient of zeros there.
STEPS = {elementwise.sign, *(getattr(rounding, name) for name in ("floor", "ceil", "trunc", "round", "floor_divide"))}
WITHOUT: dict[str, str] = {}  # op -> why PyTorch has nothing to compare it with

INDEX = np.array([[2, 0, 1], [0, 1, 2]])


def at(index: Any) -> Any:
    return torch.from_numpy(index)


REARRANGED: dict[str, Callable[..., Any]] = {
    "flip": lambda x, axis: x.flip(axis),
    "rot90": lambda x, k: torch.rot90(x, k),
    "rot90-back": lambda x, k, axes: torch.rot90(x, k, axes),
    "roll": lambda x, shift, axis: x.roll(shift, axis),
    "roll-row": lambda x, shift: x.roll(shift),
    "tile": lambda x, reps: x.tile(reps),
    "repeat": lambda x, repeats, axis: x.repeat_interleave(repeats, axis),
    "repeat-each": lambda x, repeats, axis: x.repeat_interleave(torch.tensor(repeats), axis),
    "meshgrid": lambda x, y: torch.stack(torch.meshgrid(x, y, indexing="xy")),
    "broadcast_arrays": lambda x, y: torch.stack(torch.broadcast_tensors(x, y)),
    "rollaxis": lambda x, axis, start: x.movedim(2, 1),
    "unflatten": lambda x, dim, sizes: x.unflatten(dim, sizes),
    "vstack": lambda x, y: torch.vstack([x, y]),
    "hstack": lambda x, y: torch.hstack([x, y]),
    "dstack": lambda x, y: torch.dstack([x, y]),
    "column_stack": lambda x, y: torch.column_stack([x, y]),
    "block": lambda x, y: torch.cat([torch.cat([x, y], 1), torch.cat([y, x], 1)]),
    "append": lambda x, y: torch.cat([x.flatten(), y]),
    "insert": lambda x, y: torch.cat([y[:, 1:], x[:, :2], y[:, :1], x[:, 2:]], 1),
    "delete": lambda x, obj, axis: x[:, [1, 3]],
    "resize": lambda x, new_shape: torch.cat([x.flatten(), x.flatten()[:2]]).reshape(new_shape),
    "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "array_split": lambda x: torch.cat(x.tensor_split(3, 1)[::-1], 1),
    "narrow": lambda x, dim, start, length: x.narrow(dim, start, length),
    "take": lambda x, indices, axis: x[:, at(indices)],
    "gather": lambda x, dim, index: x.gather(dim, at(index)),
    "scatter_add": lambda x, y: x.scatter_add(0, at(INDEX), y),
    "index_add": lambda x, y: x.index_add(1, torch.tensor([0, 0, 3]), y, alpha=2),
    "choose": lambda x, y: torch.where(at(INDEX % 2 == 1), y, x),
    "select": lambda x, y: torch.where(x > 1, x, torch.where(x > 0, y, 0.5)),
    "tril": lambda x, k: x.tril(k),
    "triu": lambda x, k: x.triu(k),
    "diagonal": lambda x, offset, axis1, axis2: x.diagonal(offset, axis1, axis2),
    "trace": lambda x: x.trace(),
    "diag_embed": lambda x, offset, dim1, dim2: x.diag_embed(offset, dim1, dim2),
    "sort": lambda x, axis: x.sort(axis).values,
    "sort-falling": lambda x, descending: x.sort(descending=True).values,
    "topk": lambda x: x.topk(2, 1).values,
    "kthvalue": lambda x: x.kthvalue(2, 1).values,
    "cummin": lambda x: x.cummin(1).values,
    "median": lambda x, axis: x.median(axis).values,
    "quantile": lambda x, q, axis: x.quantile(torch.tensor(q, dtype=x.dtype), axis),
    "nanquantile": lambda x, q, axis: x.nanquantile(q, axis),
    "average": lambda x, w: (x * w).sum(1) / w.sum(),
    "ptp": lambda x, axis: x.amax(axis) - x.amin(axis),
    "diff": lambda x, n, axis: x.diff(n, axis),
    "gradient": lambda x, axis: torch.gradient(x, dim=axis)[0],
    "gradient-places": lambda x, h: slope_of_parabolas(x, h.cumsum(0)),
    "trapezoid": lambda y, x: torch.trapezoid(y, x),
    "cumulative_trapezoid": lambda y, dx: torch.cumulative_trapezoid(y, dx=dx),
    "pad-reflect": lambda x, pad_width, mode: F.pad(x, (2, 3), mode),
    "pad-edge": lambda x, pad_width, mode: F.pad(x[None], (2, 1, 1, 0), "replicate")[0],
    "pad-wrap": lambda x, pad_width, mode: torch.cat([x[:, 1:], x[:, 1:]], 1),
    "norm-3": lambda x, ord, axis: torch.linalg.vector_norm(x, ord, axis),
}


def slope_of_parabolas(y: Any, x: Any) -> Any:
    """The slope at each place of the parabola through it and its neighbours; at the ends, of the one beside it."""
    places = [min(max(i, 1), len(y) - 2) for i in range(len(y))]
    slopes = []
    for i, k in enumerate(places):
        (a, b, c), (p, q, r) = x[k - 1 : k + 2], y[k - 1 : k + 2]
        terms = (p * (2 * x[i] - b - c) / ((a - b) * (a - c)), q * (2 * x[i] - a - c) / ((b - a) * (b - c)))
        slopes.append(sum(terms) + r * (2 * x[i] - a - b) / ((c - a) * (c - b)))
    return torch.stack(slopes)


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
    "pixel_shuffle": F.pixel_shuffle,
    "pixel_unshuffle": F.pixel_unshuffle,
    "channel_shuffle": torch.channel_shuffle,
    "unfold_axis": lambda x, dimension, size, step: x.unfold(dimension, size, step),
    "sliding_window_view": lambda x, window_shape, axis: x.unfold(1, 2, 1).unfold(2, 3, 1),
    "adaptive_max_pool2d": F.adaptive_max_pool2d,
    "adaptive_avg_pool3d": F.adaptive_avg_pool3d,
    "einsum": lambda x, y: torch.einsum("ij,jk->ki", x, y),
    "prelu": F.prelu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "threshold": F.threshold,
    "glu": F.glu,
    "rrelu": F.rrelu,
    "gelu-tanh": F.gelu,
    "softplus-low": F.softplus,
    "relu6": F.relu6,
    "logit": torch.logit,
    "logit-eps": torch.logit,
    "ndtr": torch.special.ndtr,
    "log_ndtr": torch.special.log_ndtr,
    "float_power": torch.float_power,
    "frac": torch.frac,
    "ldexp": lambda x, exponent: torch.ldexp(x, torch.tensor(float(exponent))),
    "degrees": torch.rad2deg,
    "radians": torch.deg2rad,
    **REARRANGED,
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


def test_value_and_gradient(all_cases):
    check_each(check_value_and_gradient, all_cases)


def check_value_and_gradient(case):
    if op_name(case) in WITHOUT:
        return
    arrays = case.arrays()
    xs, ts = list(map(tensor, arrays)), list(map(torched, arrays))
    y, z = case(*xs), theirs(case)(*ts)
    close(y.data, z.detach().numpy(), 1e-9, "value")
    if not y.requires_grad:
        assert not z.requires_grad or not z.is_floating_point() or case.function in STEPS
        return
    g = case.cotangent(y).astype(y.dtype)
    wanted = torch.autograd.grad(z, [t for t in ts if t.requires_grad], torched(g, False), materialize_grads=True)
    found = grad(y, [x for x in xs if x.requires_grad], g, materialize_grads=True)
    for ours, other in zip(found, wanted, strict=True):
        close(ours, other.detach().numpy(), 1e-9, "gradient")


def test_double_backward(composites):
    """Gradients of the gradients, in the operands and in the cotangent."""
    check_each(check_double_backward, composites)


def check_double_backward(case):
    arrays = case.arrays()
    g = case.cotangent(case(*arrays))
    rng = case.rng
    weights = [rng.standard_normal(x.shape) for x in arrays]
    leaves = list(map(tensor, (*arrays, g)))
    firsts = gradients(case, leaves[:-1], leaves[-1], create_graph=True)
    found = grad(list(firsts), leaves, weights, materialize_grads=True)

    ts = list(map(torched, (*arrays, g)))
    theirs_first = torch.autograd.grad(theirs(case)(*ts[:-1]), ts[:-1], ts[-1], create_graph=True)
    kept = [(t, torched(w, False)) for t, w in zip(theirs_first, weights, strict=True) if t.requires_grad]
    outputs, upstream = [t for t, _ in kept], [w for _, w in kept]
    wanted = torch.autograd.grad(outputs, ts, upstream, allow_unused=True)
    for ours, other, leaf in zip(found, wanted, leaves, strict=True):
        close(ours, np.zeros(leaf.shape) if other is None else other.numpy(), 1e-8, case.name)


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


NANS = np.array([1.0, np.nan, 3.0, np.nan, 2.0, np.nan, 1.0])
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
        (rounding.fmax, torch.fmax, [NANS, NANS[::-1].copy()]),
        (rounding.fmin, torch.fmin, [NANS, NANS[::-1].copy()]),
        (rounding.nan_to_num, torch.nan_to_num, [NANS]),
        (rounding.copysign, lambda x, y: torch.copysign(x, y.detach()), [ZERO, np.array([0.0, -1.0, -0.0])]),
        (tg.clip, torch.clamp, [ZERO, np.array([-1.5, 0.0, 2.0]), np.array([-1.5, 3.0, 2.0])]),
        (tg.clip, torch.clamp, [ZERO, np.array([1.0, 0.0, 3.0]), np.array([1.0, -3.0, 2.0])]),
        (lambda x, low: x.clip(low), torch.clamp, [ZERO, np.array([-1.5, 1.0, 0.0])]),
        (trigonometry.arctan2, torch.arctan2, [ZERO, np.array([0.0, 0.0, -1.0])]),
        (exponentials.hypot, torch.hypot, [ZERO, np.zeros(3)]),
        (exponentials.xlogy, torch.xlogy, [np.array([0.0, 0.0, 2.0]), np.array([1.0, 2.0, 0.5])]),
        (lambda x: elementwise.clip(x, -1.5, 2.0), lambda x: torch.clamp(x, -1.5, 2.0), [ZERO]),
        (lambda x: elementwise.clip(x, 0), lambda x: torch.clamp(x, 0), [ZERO]),
        (reduce.max, torch.amax, [TIES]),
        (lambda x: reduce.max(x, 1), lambda x: torch.amax(x, 1), [TIES]),
        (lambda x: reduce.min(x, (0, 1), True), lambda x: torch.amin(x, (0, 1), True), [TIES]),
        (lambda x: reduce.min(x, 0), lambda x: torch.amin(x, 0), [TIES]),
        (reduce.l2_norm, torch.linalg.vector_norm, [np.zeros(3)]),
        (lambda x: reduce.norm(x, 1), lambda x: torch.linalg.vector_norm(x, 1), [ZERO]),
        (
            lambda x: reduce.norm(x, 3, 1),
            lambda x: torch.linalg.vector_norm(x, 3, 1),
            [np.array([[0.0, 0.0], [1.0, 2.0]])],
        ),
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
    with np.errstate(divide="ignore", invalid="ignore"):
        y, z = ours(*xs), other(*ts)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-14)
        g = np.arange(1.0, 1 + y.size).reshape(y.shape)
        wanted = torch.autograd.grad(z, ts, torched(g, False), materialize_grads=True)
        for found, expected in zip(grad(y, xs, g, materialize_grads=True), wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-14)
        for found, expected in zip(grad(y, xs, g, create_graph=True, materialize_grads=True), wanted, strict=True):
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
