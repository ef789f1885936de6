"""tinygraph: nets and batch norm from graph primitives, drawn, differentiated to any order, and compared.

An op called with arrays computes; called with a Tensor it also records.
"""

import importlib
import typing

from tinygraph import fused, moved
from tinygraph.autodiff.grad import grad
from tinygraph.engine.context import composite, no_grad, scope
from tinygraph.engine.op import Op, op
from tinygraph.engine.registry import OPS, sample
from tinygraph.engine.tensor import Parameter, Tensor
from tinygraph.functions.by_hand import batch_norm_stepwise
from tinygraph.functions.creation import (
    arange,
    cat,
    empty,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    manual_seed,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from tinygraph.functions.methods import masked_fill, unsqueeze
from tinygraph.functions.normalization import (
    batch_norm,
    batch_norm_inference,
    batch_norm_spatial,
    group_norm,
    instance_norm,
    layer_norm,
)
from tinygraph.functions.recording import enable_grad, is_grad_enabled, set_grad_enabled
from tinygraph.functions.softmax import cross_entropy, log_softmax, softmax
from tinygraph.functions.statistics import std, var
from tinygraph.kernels import malloc
from tinygraph.kernels.arrays import asarray
from tinygraph.ops.convolution import conv2d, conv_transpose2d
from tinygraph.ops.elementwise import (
    abs,
    add,
    astype,
    clip,
    div,
    equal,
    erf,
    exp,
    greater,
    log,
    logaddexp,
    maximum,
    minimum,
    mul,
    neg,
    power,
    relu,
    sigmoid,
    sign,
    sqrt,
    square,
    sub,
    tanh,
    where,
)
from tinygraph.ops.linear import einsum, matmul
from tinygraph.ops.pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from tinygraph.ops.reduce import argmax, logsumexp, max, mean, min, sum
from tinygraph.ops.shape import (
    broadcast_to,
    clone,
    concatenate,
    expand_dims,
    flatten,
    index,
    moveaxis,
    pad,
    reshape,
    scatter,
    split,
    squeeze,
    stack,
    sum_to,
    swapaxes,
    transpose,
    unbind,
)

if typing.TYPE_CHECKING:
    from tinygraph import checkpoint, data, nets, nn, optim, training
    from tinygraph.drawing.api import EngineMissing, draw
    from tinygraph.functions.transforms import hessian, hvp, jacobian, jvp, vjp
    from tinygraph.graph.data import Graph
    from tinygraph.graph.diff import diff
    from tinygraph.graph.paths import paths
    from tinygraph.graph.run import run
    from tinygraph.graph.snapshot import snapshot
    from tinygraph.train.checkpoint import load, save
    from tinygraph.verify.certificate import Certificate
    from tinygraph.verify.comparison import compare
    from tinygraph.verify.gradients import DegenerateCheck, GradcheckError, gradcheck, gradgradcheck
    from tinygraph.verify.profiling import Profile, profile

__version__ = "0.1.0"

# As in NumPy, `from tinygraph import *` leaves Python's own abs, max, min and sum alone.
__all__ = [
    "OPS", "Certificate", "DegenerateCheck", "EngineMissing", "GradcheckError", "Graph", "Op", "Parameter", "Profile",
    "Tensor", "adaptive_avg_pool2d", "add", "arange", "argmax", "asarray", "astype", "avg_pool2d", "batch_norm",
    "batch_norm_inference", "batch_norm_spatial", "batch_norm_stepwise", "broadcast_to", "cat", "clip", "clone",
    "compare", "composite", "concatenate", "conv2d", "conv_transpose2d", "cross_entropy", "diff", "div", "draw",
    "einsum", "empty", "enable_grad", "equal", "erf", "exp", "expand_dims", "eye", "flatten", "from_numpy", "full",
    "full_like", "fused", "grad", "gradcheck", "gradgradcheck", "greater", "group_norm", "hessian", "hvp", "index",
    "instance_norm", "is_grad_enabled", "jacobian", "jvp", "layer_norm", "linspace", "load", "log", "log_softmax",
    "logaddexp", "logsumexp", "manual_seed", "masked_fill", "matmul", "max_pool2d", "maximum", "mean", "minimum",
    "moveaxis", "mul", "neg", "no_grad", "ones", "ones_like", "op", "pad", "paths", "power", "profile", "rand",
    "randn", "relu", "reshape", "run", "sample", "save", "scatter", "scope", "set_grad_enabled", "sigmoid", "sign",
    "snapshot", "softmax", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum_to", "swapaxes", "tanh",
    "tensor", "transpose", "unbind", "unsqueeze", "var", "vjp", "where", "zeros", "zeros_like",
]  # fmt: skip

# What a net does not need to run is loaded when it is first asked for, so that the import stays short.
_LATER = {
    "checkpoint": (), "data": (), "nets": (), "nn": (), "optim": (), "training": (),
    "drawing.api": ("EngineMissing", "draw"),
    "functions.transforms": ("hessian", "hvp", "jacobian", "jvp", "vjp"),
    "graph.data": ("Graph",),
    "graph.diff": ("diff",),
    "graph.paths": ("paths",),
    "graph.run": ("run",),
    "graph.snapshot": ("snapshot",),
    "train.checkpoint": ("load", "save"),
    "verify.certificate": ("Certificate",),
    "verify.comparison": ("compare",),
    "verify.gradients": ("DegenerateCheck", "GradcheckError", "gradcheck", "gradgradcheck"),
    "verify.profiling": ("Profile", "profile"),
}  # fmt: skip

malloc.keep_freed_memory()
moved.install()


def __getattr__(name: str) -> typing.Any:
    for module, names in _LATER.items():
        if name == module or name in names:
            found = importlib.import_module(f"tinygraph.{module}")
            return globals().setdefault(name, found if name == module else getattr(found, name))
    from tinygraph.exchange.missing import missing_name

    raise missing_name("tinygraph", name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LATER})
