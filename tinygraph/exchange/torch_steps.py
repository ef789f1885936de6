"""Ops of PyTorch that are one op of ours, by their names in ATen without the overload.

A function here takes what the op of PyTorch takes; of a tensor it looks at ``shape`` and ``dtype`` alone. It returns a
`Step`, whose operands may be steps, or a tensor that was given where the op changes nothing. Where the arguments ask
for what ours does not do, it raises `NotOursError`, and the op is looked for in ``torch_definitions.py``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["CLOSED", "ONE", "STEPS", "TWO", "NotOursError", "Step"]

Array = Any  # a tensor of PyTorch, of which the shape is known


class NotOursError(Exception):
    """The arguments ask for what no op of ours does."""


class Step(NamedTuple):
    """A call of an op of ours: its name, its operands, and its parameters as a snapshot has them."""

    op: str
    operands: tuple[Any, ...]
    params: dict[str, Any]


def step(op: str, *operands: Any, **params: Any) -> Step:
    """Return a call of an op of ours."""
    return Step(op, operands, params)


def need(holds: bool) -> None:
    """Raise unless what an op of ours assumes holds."""
    if not holds:
        raise NotOursError


def unary(op: str) -> Callable[..., Step]:
    """Return the step of an op of one operand."""
    return lambda x: step(op, x)


def binary(op: str) -> Callable[..., Step]:
    """Return the step of an op of two operands."""
    return lambda x, y: step(op, x, y)


def scaled(op: str) -> Callable[..., Step]:
    """Return the step of an op whose second operand PyTorch can scale."""

    def made(x: Array, y: Array, alpha: float = 1) -> Step:
        need(alpha == 1)
        return step(op, x, y)

    return made


def div(x: Array, y: Array, rounding_mode: str | None = None) -> Step:
    """Divide."""
    need(rounding_mode is None)
    return step("div", x, y)


def clamp(x: Array, low: Any = None, high: Any = None) -> Step:
    """Limit to a range of two numbers."""
    need(not hasattr(low, "shape") and not hasattr(high, "shape"))
    return step("clip", x, min=low, max=high)


def convert(x: Array, *rest: Any, dtype: Any = None, **_: Any) -> Any:
    """Convert to another dtype, if it is another."""
    given = [a for a in (*rest, dtype) if isinstance(a, str)]
    need(len(given) <= 1)
    return step("astype", x, dtype=given[0]) if given and given[0] != x.dtype else x


# Reductions -------------------------------------------------------------------------------------------------------


def axis_of(dim: Any) -> Any:
    """Return PyTorch's ``dim`` as a snapshot has an axis: None for all, one number, or a tuple."""
    if dim is None or isinstance(dim, int):
        return dim
    axes = tuple(dim)
    return axes[0] if len(axes) == 1 else axes or None


def reduction(op: str) -> Callable[..., Step]:
    """Return the step of a reduction."""

    def made(x: Array, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Step:
        need(dtype in (None, x.dtype) and (op != "sum" or not x.dtype.startswith(("int", "bool"))))
        return step(op, x, axis=axis_of(dim), keepdims=keepdim)

    return made


def extreme(op: str) -> Callable[..., Step]:
    """Return the step of the largest or smallest of all elements."""

    def made(x: Array, *dim: Any) -> Step:
        need(not dim)
        return step(op, x, axis=None, keepdims=False)

    return made


# Shapes -----------------------------------------------------------------------------------------------------------


def laid_out(x: Array, shape: Sequence[int]) -> Any:
    """Lay out in a shape."""
    shape = tuple(shape)
    if -1 in shape:
        rest = math.prod(n for n in shape if n != -1)
        shape = tuple(math.prod(x.shape) // max(rest, 1) if n == -1 else n for n in shape)
    return x if shape == tuple(x.shape) else step("reshape", x, shape=shape)


def flatten(x: Array, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Lay some axes out in one."""
    shape = tuple(x.shape) or (1,)
    start, end = start_dim % len(shape), end_dim % len(shape)
    return laid_out(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(x: Array, dim: int, sizes: Sequence[int]) -> Any:
    """Lay one axis out in several."""
    dim %= len(x.shape)
    return laid_out(x, (*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


def unsqueeze(x: Array, dim: int) -> Any:
    """Insert an axis of length 1."""
    dim %= len(x.shape) + 1
    return laid_out(x, (*x.shape[:dim], 1, *x.shape[dim:]))


def squeeze(x: Array, dim: Any = None) -> Any:
    """Drop axes of length 1."""
    n = len(x.shape)
    dims = range(n) if dim is None else [d % n for d in (dim if isinstance(dim, Sequence) else [dim])] if n else []
    return laid_out(x, tuple(length for d, length in enumerate(x.shape) if d not in dims or length != 1))


def permute(x: Array, dims: Sequence[int]) -> Step:
    """Reorder the axes."""
    axes = tuple(d % len(x.shape) for d in dims)
    return step("transpose", x, axes=None if axes == tuple(range(len(axes)))[::-1] else list(axes))


def swap(x: Array, first: int, second: int) -> Any:
    """Swap two axes."""
    order = list(range(len(x.shape)))
    if len(order) < 2:
        return x
    order[first], order[second] = order[second], order[first]
    return permute(x, order)


def expand(x: Array, shape: Sequence[int], implicit: bool = False) -> Any:
    """Copy along axes of length 1."""
    lead = len(shape) - len(x.shape)
    shape = tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape))
    return x if shape == tuple(x.shape) else step("broadcast_to", x, shape=shape)


def along(dim: int, key: Any) -> tuple[Any, ...]:
    """Return an index that takes ``key`` along an axis and all of the axes before it."""
    return (*[slice(None)] * dim, key)


def take(x: Array, dim: int, start: Any = None, end: Any = None, stride: int = 1) -> Any:
    """Take a slice."""
    dim %= len(x.shape)
    taken = slice(start or 0, end, stride).indices(x.shape[dim])
    if taken == (0, x.shape[dim], 1):
        return x
    return step("index", x, key=along(dim, slice(taken[0], taken[1], None if stride == 1 else stride)))


def select(x: Array, dim: int, place: int) -> Step:
    """Take one place along an axis."""
    dim %= len(x.shape)
    return step("index", x, key=along(dim, place) if dim else place)


def cut(x: Array, stops: Sequence[int], dim: int) -> list[Any]:
    """Cut along an axis before each of ``stops``."""
    edges = [0, *stops, x.shape[dim]]
    return [step("index", x, key=along(dim, slice(a, b))) for a, b in itertools.pairwise(edges)]


def split(x: Array, size: int | Sequence[int], dim: int = 0) -> list[Any]:
    """Cut into pieces of a size, or of several."""
    dim %= len(x.shape)
    if isinstance(size, int):
        return cut(x, range(size, x.shape[dim], size), dim)
    return cut(x, list(itertools.accumulate(size))[:-1], dim)


def chunk(x: Array, chunks: int, dim: int = 0) -> list[Any]:
    """Cut into a number of pieces."""
    dim %= len(x.shape)
    return split(x, max(1, -(-x.shape[dim] // chunks)), dim)


def unbind(x: Array, dim: int = 0) -> list[Any]:
    """Take apart along an axis."""
    return [select(x, dim, i) for i in range(x.shape[dim])]


def join(xs: Sequence[Array], dim: int = 0) -> Step:
    """Join along an axis."""
    need(len({x.dtype for x in xs}) == 1 and len({len(x.shape) for x in xs}) == 1)
    return step("join", *xs, axis=dim)


def embed(weight: Array, places: Array, padding: int = -1, scaled: bool = False, *_: Any) -> Step:
    """Take a row for each index, which is an operand here: so that it is seen, and may be given to `run`."""
    need(not scaled)  # else gradients are divided by how often a row is taken
    rows = step("index", weight, places)
    if padding < 0:
        return rows
    padded = step("equal", step("reshape", places, shape=(*places.shape, 1)), padding)
    return step("where", padded, weight.tensor.detach()[padding], rows)  # its row gets no gradient


def pick(x: Array, places: Sequence[Any]) -> Step:
    """Index by one array of integers along the first axis."""
    need(len(places) == 1 and places[0].dtype.startswith("int"))
    return step("index", x, places[0])


def pad(x: Array, widths: Sequence[int], mode: str = "constant", value: float | None = None) -> Step:
    """Surround with a number."""
    need(mode == "constant" and min(widths) >= 0)
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)]
    pairs += [(0, 0)] * (len(x.shape) - len(pairs))
    return step("pad", x, pad_width=tuple(pairs[::-1]), mode="constant", constant_values=float(value or 0))


def dropout(x: Array, p: float, train: bool) -> Any:
    """Change nothing out of training."""
    need(not train)
    return x


# Windows ----------------------------------------------------------------------------------------------------------


def pair(n: Any) -> Any:
    """Return two numbers that are equal as one."""
    n = tuple(n) if isinstance(n, Sequence) else (n,)
    return n[0] if len(set(n)) == 1 else n


def conv(x: Array, w: Array, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
         groups: int = 1) -> Step:  # fmt: skip
    """Convolve images, without a bias."""
    rank = len(w.shape) - 2
    need(b is None and len(x.shape) in (rank + 1, rank + 2))
    padding = padding if isinstance(padding, str) else pair(padding)
    return step(f"conv{rank}d", x, w, stride=pair(stride), padding=padding, dilation=pair(dilation), groups=groups)


def conv_transpose(
    x: Array, w: Array, b: Any = None, stride: Any = 1, padding: Any = 0, output: Any = 0, groups: int = 1,
    dilation: Any = 1,
) -> Step:  # fmt: skip
    """Convolve images the other way, without a bias."""
    rank = len(w.shape) - 2
    need(b is None and len(x.shape) in (rank + 1, rank + 2))
    options = {"stride": pair(stride), "padding": pair(padding), "output_padding": pair(output)}
    return step(f"conv_transpose{rank}d", x, w, **options, groups=groups, dilation=pair(dilation))


def convolution(x: Array, w: Array, b: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, output: Any,
                groups: int) -> Step:  # fmt: skip
    """Convolve either way."""
    if transposed:
        return conv_transpose(x, w, b, stride, padding, output, groups, dilation)
    return conv(x, w, b, stride, padding, dilation, groups)


def max_pool(rank: int) -> Callable[..., Step]:
    """Return what takes the largest of each window over so many axes."""

    def largest(x: Array, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
                ceil_mode: bool = False) -> Step:  # fmt: skip
        return step(f"max_pool{rank}d", x, kernel_size=pair(kernel), stride=pair(stride) if stride else None,
                    padding=pair(padding), dilation=pair(dilation), ceil_mode=ceil_mode)  # fmt: skip

    return largest


def avg_pool(rank: int) -> Callable[..., Step]:
    """Return what averages windows over so many axes."""

    def average(x: Array, kernel: Any, stride: Any = (), padding: Any = 0, ceil_mode: bool = False,
                count_include_pad: bool = True, divisor: Any = None) -> Step:  # fmt: skip
        return step(f"avg_pool{rank}d", x, kernel_size=pair(kernel), stride=pair(stride) if stride else None,
                    padding=pair(padding), ceil_mode=ceil_mode, count_include_pad=count_include_pad,
                    divisor_override=divisor)  # fmt: skip

    return average


def adaptive_avg_pool(x: Array, size: Sequence[int]) -> Step:
    """Average windows that tile images."""
    rank = len(size)
    lengths = x.shape[-rank:]
    size = [n if m is None else m for n, m in zip(lengths, size, strict=True)]
    need(all(n % m == 0 for n, m in zip(lengths, size, strict=True)))
    kernel = tuple(n // m for n, m in zip(lengths, size, strict=True))
    return step(f"avg_pool{rank}d", x, kernel_size=kernel, stride=None, padding=0)


# Ops of one and of two operands: the name in ATen -> ours.
ONE = {name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "log10", "floor", "ceil", "trunc", "erfinv")}
ONE |= {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh"}
ONE |= {"atanh": "arctanh", "lgamma": "gammaln"}
TWO = {name: name for name in ("hypot", "xlogy", "logaddexp2", "remainder", "fmod", "fmax", "fmin")}
TWO |= {"atan2": "arctan2"}

STEPS: dict[str, Callable[..., Any]] = {
    **{name: unary(ours) for name, ours in ONE.items()}, **{name: binary(ours) for name, ours in TWO.items()},
    "abs": unary("abs"), "erf": unary("erf"), "exp": unary("exp"), "log": unary("log"), "neg": unary("neg"),
    "relu": unary("relu"), "sigmoid": unary("sigmoid"), "sign": unary("sign"), "sqrt": unary("sqrt"),
    "square": unary("square"), "tanh": unary("tanh"),
    "add": scaled("add"), "sub": scaled("sub"), "mul": binary("mul"), "div": div, "pow": binary("power"),
    "maximum": binary("maximum"), "minimum": binary("minimum"), "logaddexp": binary("logaddexp"),
    "gt": binary("greater"), "lt": lambda x, y: step("greater", y, x), "eq": binary("equal"),
    "where": lambda condition, x, y: step("where", condition, x, y),
    "clamp": clamp, "hardtanh": lambda x, low=-1, high=1: clamp(x, low, high), "relu6": lambda x: clamp(x, 0, 6),
    "_to_copy": convert, "to": convert, "type_as": lambda x, y: convert(x, y.dtype),
    "mm": binary("matmul"), "bmm": binary("matmul"), "matmul": binary("matmul"), "mv": binary("matmul"),
    "dot": binary("matmul"),
    "sum": reduction("sum"), "mean": reduction("mean"), "amax": reduction("max"), "amin": reduction("min"),
    "logsumexp": reduction("logsumexp"), "argmax": reduction("argmax"), "max": extreme("max"), "min": extreme("min"),
    "view": laid_out, "_unsafe_view": laid_out, "reshape": laid_out, "flatten": flatten, "unflatten": unflatten,
    "unsqueeze": unsqueeze, "squeeze": squeeze, "permute": permute, "transpose": swap, "t": lambda x: swap(x, 0, -1),
    "numpy_T": lambda x: permute(x, range(len(x.shape))[::-1]), "mT": lambda x: swap(x, -2, -1), "expand": expand,
    "select": select, "slice": take, "narrow": lambda x, dim, start, n: take(x, dim, start, start + n),
    "split": split, "split_with_sizes": split, "chunk": chunk, "unbind": unbind, "cat": join,
    "embedding": embed, "index": pick, "constant_pad_nd": lambda x, widths, value=0: pad(x, widths, value=value),
    "pad": pad, "index_select": lambda x, dim, places: pick(x, [places] if dim == 0 else []),
    "clone": lambda x, **_: x, "contiguous": lambda x, **_: x, "alias": lambda x: x, "lift_fresh_copy": lambda x: x,
    "lift_fresh": lambda x: x, "dropout": dropout,
    "convolution": convolution,
    **{f"conv{rank}d": conv for rank in (1, 2, 3)}, **{f"conv_transpose{rank}d": conv_transpose for rank in (1, 2, 3)},
    **{f"max_pool{rank}d{more}": max_pool(rank) for rank in (1, 2, 3) for more in ("", "_with_indices")},
    **{f"avg_pool{rank}d": avg_pool(rank) for rank in (1, 2, 3)},
    **{f"{how}adaptive_avg_pool{rank}d": adaptive_avg_pool for rank in (1, 2, 3) for how in ("", "_")},
}  # fmt: skip


def batch_norm(x: Array, w: Any, b: Any, mean: Any, variance: Any, training: bool, momentum: float, eps: float,
               *_: Any) -> Step:  # fmt: skip
    """Normalize a batch by our fused op."""
    need(training)
    return step("batch_norm", x, w, b, axis=(0, *range(2, len(x.shape))), eps=eps)


def layer_norm(x: Array, shape: Sequence[int], w: Any = None, b: Any = None, eps: float = 1e-5, *_: Any) -> Step:
    """Normalize each example by our fused op."""
    return step("layer_norm", x, w, b, axis=tuple(range(-len(shape), 0)), eps=eps)


# What stays one card with ``decompose=False``, and is an op of ours as well.
CLOSED: dict[str, Callable[..., Any]] = {
    "batch_norm": batch_norm, "_native_batch_norm_legit_functional": batch_norm, "layer_norm": layer_norm,
    "native_layer_norm": layer_norm,
}  # fmt: skip
