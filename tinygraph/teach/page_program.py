"""A program as data for the page: each node is a number, a leaf, or an op of the page's interpreter.

The page has one op for each of ours, but for those that only move elements: an index, a transpose or a pad becomes
``take`` or ``put`` with the places worked out here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.registry import OPS
from tinygraph.engine.types import Shape
from tinygraph.graph.data import Node
from tinygraph.graph.options import rank_of
from tinygraph.graph.run import leaf_value
from tinygraph.graph.values import parameters_of
from tinygraph.ops.linear import spell_out
from tinygraph.ops.pooling import pool
from tinygraph.ops.windows import lengths, resolve_padding

__all__ = ["KNOWN", "REFUSED", "SCRIPTS", "node_data"]

Params = dict[str, Any]
PLAIN = (
    "add", "sub", "mul", "dropout", "div", "power", "maximum", "minimum", "greater", "equal", "where", "logaddexp",
    "neg", "square", "sqrt", "exp", "log", "abs", "sign", "tanh", "sigmoid", "relu", "erf", "clone", "whole", "matmul",
)  # fmt: skip
FUNCTIONS = (  # of one element, which a page has if its program does
    "exp2", "expm1", "log1p", "log2", "log10", "cbrt", "reciprocal", "rsqrt", "floor", "ceil", "trunc", "silu",
    "mish", "logsigmoid", "hardsigmoid", "erfc", "entr", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh",
    "cosh", "arcsinh", "arccosh", "arctanh", "logaddexp2", "hypot", "xlogy", "floor_divide", "remainder", "fmod",
    "heaviside", "fmax", "fmin", "copysign", "clip_between", "xlog1py", "arctan2",
)  # fmt: skip
BENT = (
    "softplus",
    "elu",
    "leaky_relu",
    "hardtanh",
    "nan_to_num",
    "round",
    "sinc",
)  # with parameters that the page takes as they are
SHAPED = ("reshape", "sum_to", "broadcast_to")
REDUCTIONS = ("sum", "mean", "max", "min", "logsumexp", "prod", "l2_norm", "argmax", "argmin")
SCANS = ("cumsum", "cumprod", "logcumsumexp", "running_max")
RANKS = (1, 2, 3)  # over how many axes windows lie; the page has one op for all
WINDOWS = {
    name.format(rank): page
    for rank in RANKS
    for name, page in (("conv{}d", "conv"), ("conv_transpose{}d", "conv_transpose"), ("conv{}d_weight", "conv_weight"))
}
POOLS = {
    **{f"{name}{rank}d": name for rank in RANKS for name in ("avg_pool", "avg_unpool", "max_pool")},
    "to_largest": "to_largest", "at_largest": "at_largest",
}  # fmt: skip
MATRICES = ("cross", "solve", "inv", "det", "cofactor", "logabsdet", "cholesky", "qr", "pinv", "convolve")
TRANSFORMS = ("fftn", "ifftn", "rfft", "irfft")


def node_data(node: Node, shapes: Sequence[Shape]) -> Any:
    """Return a node as the page's interpreter reads it.

    Args:
        node: of a program or a workshop.
        shapes: of each of its inputs.

    Raises:
        ValueError: the page has no such op; the message names it.
    """
    if node.op is None:
        value = np.asarray(leaf_value(node))
        is_number = node.kind == "constant" and not node.name and not node.shape
        return plain(value)[0] if is_number else {"shape": list(value.shape), "data": plain(value)}
    if node.op in REFUSED:
        raise ValueError(f"lesson: the page has no op {node.op!r}: {REFUSED[node.op]}")
    if node.op not in KNOWN:
        raise ValueError(f"lesson: the page has no op {node.op!r}; write it as a function of ops that it has")
    name, params = KNOWN[node.op](node, parameters_of(node), shapes)
    return [name, params or 0, *(e.source for e in node.inputs)]


def plain(value: Any) -> list[Any]:
    """Return the elements of an array in C order, in what JSON has; nan and infinities as text."""
    flat = np.asarray(value).ravel().tolist()
    return [
        int(v)
        if isinstance(v, bool) or (math.isfinite(v) and v == int(v))
        else v
        if math.isfinite(v)
        else {"nan": "NaN"}.get(str(v), str(v).replace("inf", "Infinity"))
        for v in flat
    ]


def numbered(shape: Shape) -> Any:
    """Return an array whose elements are their own places."""
    return np.arange(math.prod(shape)).reshape(shape)


def take(node: Node, at: Any, fill: float = 0.0) -> tuple[str, Params]:
    """Return an op that takes elements by their places, -1 for a place outside."""
    return "take", {"shape": list(node.shape), "at": np.asarray(at).ravel().tolist(), "fill": fill}


def put(node: Node, *at: Any) -> tuple[str, Params]:
    """Return an op that adds the elements of each operand into zeros, at their places."""
    return "put", {"shape": list(node.shape), "at": [np.asarray(a).ravel().tolist() for a in at]}


def index(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate an index."""
    return take(node, OPS["index"].value(numbered(shapes[0]), key=params["key"]))


def scatter(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate what undoes an index."""
    return put(node, OPS["index"].value(numbered(node.shape), key=params["key"]))


def transpose(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate a transpose."""
    return take(node, np.transpose(numbered(shapes[0]), params.get("axes")))


def pad(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate a pad: elements from outside are a number."""
    mode, width = params.get("mode", "constant"), params["pad_width"]
    if mode == "constant":
        return take(
            node, np.pad(numbered(shapes[0]), width, constant_values=-1), float(params.get("constant_values", 0))
        )
    return take(node, np.pad(numbered(shapes[0]), width, mode=mode))


def side_by_side(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate arrays that are put side by side."""
    if node.op == "assemble":
        keys = params["keys"]
    else:
        axis = params["axis"] % len(node.shape)
        ends = np.cumsum([0, *(s[axis] for s in shapes)])
        keys = [(slice(None),) * axis + (slice(a, b),) for a, b in zip(ends, ends[1:], strict=False)]
    return put(node, *(numbered(node.shape)[key] for key in keys))


def contract(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate an einsum: every axis has a letter."""
    terms, right = spell_out(params["subscripts"], shapes)
    return "einsum", {"terms": terms, "right": right}


def window(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate a convolution."""
    rank = rank_of(node.op)
    kernel = tuple(params["kernel"]) if "kernel" in params else shapes[1][2:]
    stride, dilation = (lengths(params.get(name, 1), name, 1, rank) for name in ("stride", "dilation"))
    padding = [before for before, _ in resolve_padding(params.get("padding", 0), kernel, stride, dilation)]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": params.get("groups", 1)}
    return WINDOWS[node.op or ""], {**options, "shape": list(node.shape)}


def pooling(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate a pooling; ``share`` is what a pixel of each window counts in an average."""
    name, kernel = POOLS[node.op or ""], params["kernel_size"]
    rank = len(kernel) if name.endswith("_largest") and isinstance(kernel, Sequence) else rank_of(node.op)
    images = {"avg_unpool": node.shape, "to_largest": shapes[-1]}.get(name, shapes[0])
    usual: Params = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
    options: Any = {key: params.get(key, value) for key, value in usual.items()}
    p = pool(images, kernel, **options, rank=rank)
    found: Params = {"kernel": p.kernel, "stride": p.stride, "padding": p.padding, "dilation": p.dilation}
    if "count_include_pad" in params:
        share = p.share(np.ones(p.size), params["count_include_pad"], params["divisor_override"])
        found["share"] = share.ravel().tolist()
    return name, {**found, "shape": list(node.shape)}


def resampling(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate a resampling: which element counts how much for which result of an image."""
    back, rank = node.op == "resample_back", len(params["size"])
    before, after = (node.shape, shapes[0]) if back else (shapes[0], node.shape)
    count = math.prod(before[-rank:])
    elements = np.eye(count).reshape(count, *before[-rank:])
    options = {name: params[name] for name in ("mode", "align_corners", "scales")}
    weights = OPS["resample"].value(elements, size=after[-rank:], **options).reshape(count, -1)
    pairs = [(int(i), int(r), float(weights[i, r])) for i, r in zip(*np.nonzero(weights), strict=True)]
    terms = [[r, i, w] if back else [i, r, w] for i, r, w in pairs]
    return "resample", {"shape": list(node.shape), "rank": rank, "terms": terms}


def folding(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate windows that are laid out, or added up; elements of the padding are nowhere."""
    images = shapes[0] if node.op == "unfold" else node.shape
    options = {name: value for name, value in params.items() if name != "output_size"}
    at = OPS["unfold"].value(numbered(images) + 1, **options) - 1
    return take(node, at) if node.op == "unfold" else put(node, at)


def reduction(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate a reduction."""
    axis = params.get("axis")
    axes = None if axis is None else list(axis) if isinstance(axis, tuple | list) else [axis]
    return node.op or "", {"axis": axes, **({"keepdims": 1} if params.get("keepdims") else {})}


def scan(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate what runs along an axis, or over all elements in a row."""
    shape = shapes[0] if params["axis"] is not None else (math.prod(shapes[0]),)
    options = {"descending": 1} if params.get("descending") else {}
    return node.op or "", {"axis": params["axis"] or 0, "rows": list(shape), **options}


def gather(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate what takes or adds by places along an axis; an array of another length there broadcasts."""
    return node.op or "", {"axis": params["axis"] % len(shapes[0]), "shape": list(node.shape)}


def fourier(node: Node, params: Params, shapes: Sequence[Shape]) -> tuple[str, Params]:
    """Translate a Fourier transform: the axes from the front, the sign of the angle, and the scale."""
    inverse, real = node.op in ("ifftn", "irfft"), node.op in ("rfft", "irfft")
    whole = node.shape if node.op == "irfft" else shapes[0] if node.op == "rfft" else shapes[0][:-1]
    axes = [a % len(whole) for a in ([params.get("axis", -1)] if real else params.get("axes", (-1,)))]
    n = math.prod(whole[a] for a in axes)
    norm = params.get("norm", "backward")
    scale = n**-0.5 if norm == "ortho" else 1 / n if (norm == "forward") != inverse else 1.0
    return node.op or "", {"axes": axes, "sign": 1 if inverse else -1, "scale": scale, "shape": list(node.shape)}


Translate = Callable[[Node, Params, Sequence[Shape]], tuple[str, Params]]
KNOWN: dict[str, Translate] = {
    **dict.fromkeys((*PLAIN, *FUNCTIONS), lambda node, params, shapes: (node.op or "", {})),
    **dict.fromkeys(SHAPED, lambda node, params, shapes: (node.op or "", {"shape": list(node.shape)})),
    **dict.fromkeys(REDUCTIONS, reduction), **dict.fromkeys(WINDOWS, window), **dict.fromkeys(POOLS, pooling),
    **dict.fromkeys(("resample", "resample_back"), resampling), **dict.fromkeys(("unfold", "fold"), folding),
    **dict.fromkeys((*SCANS, "argsort"), scan),
    **dict.fromkeys(("take_along_axis", "add_along_axis"), gather),
    **dict.fromkeys(MATRICES, lambda node, params, shapes: (
        node.op or "", {"valid": 1} if params.get("valid") else {})),
    **dict.fromkeys(TRANSFORMS, fourier),
    "index": index, "scatter": scatter, "transpose": transpose, "pad": pad, "contract": contract,
    "join": side_by_side, "assemble": side_by_side,
    **dict.fromkeys(BENT, lambda node, params, shapes: (node.op or "", params)),
    "clip": lambda node, params, shapes: ("clip", {"min": params["min"], "max": params["max"]}),
    "astype": lambda node, params, shapes: ("astype", {"dtype": node.dtype}),
}  # fmt: skip
# A script -> the ops that it has; a page has it if its program has one of them.
SCRIPTS = {"functions.js": (*FUNCTIONS, *BENT), "matrices.js": (*MATRICES, *TRANSFORMS)}
# What the page does not compute, and why.
SIGNS = "a vector may have either sign, and the page cannot know which one NumPy chose"
SPECIAL = "it is SciPy's, which a page has not"
REFUSED = {"eigh": SIGNS, "svd": SIGNS, **dict.fromkeys(("erfinv", "gammaln", "psi", "i0", "i1"), SPECIAL)}
