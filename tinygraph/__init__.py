"""tinygraph: nets and batch norm from graph primitives, drawn, differentiated to any order, and compared.

An op called with arrays computes; called with a Tensor it also records.
"""

import importlib
import typing

from tinygraph import fused
from tinygraph.context import composite, no_grad, scope
from tinygraph.dispatch import OPS, sample
from tinygraph.functions import (
    batch_norm,
    batch_norm_inference,
    batch_norm_spatial,
    batch_norm_stepwise,
    cross_entropy,
    group_norm,
    instance_norm,
    layer_norm,
    log_softmax,
    softmax,
    std,
    var,
)
from tinygraph.grad import grad
from tinygraph.op import Op, op
from tinygraph.ops.elementwise import (
    abs,
    add,
    astype,
    clip,
    div,
    equal,
    exp,
    greater,
    log,
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
from tinygraph.ops.reduce import argmax, logsumexp, max, mean, min, sum
from tinygraph.ops.shape import (
    broadcast_to,
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
)
from tinygraph.tensor import Parameter, Tensor

if typing.TYPE_CHECKING:
    from tinygraph import checkpoint, data, nets, nn, optim, training
    from tinygraph.certificate import Certificate
    from tinygraph.check import DegenerateCheck, compare, gradcheck, gradgradcheck
    from tinygraph.drawing import EngineMissing, draw
    from tinygraph.functional import hessian, hvp, jacobian, jvp, vjp
    from tinygraph.graph import Graph
    from tinygraph.pathways import paths
    from tinygraph.profiling import Profile, profile
    from tinygraph.rewrite import diff
    from tinygraph.trace import run, snapshot

__version__ = "0.1.0"

# As in NumPy, `from tinygraph import *` leaves Python's own abs, max, min and sum alone.
__all__ = [
    "OPS", "Certificate", "DegenerateCheck", "EngineMissing", "Graph", "Op", "Parameter", "Profile", "Tensor", "add",
    "argmax", "astype", "batch_norm", "batch_norm_inference", "batch_norm_spatial", "batch_norm_stepwise",
    "broadcast_to", "clip", "compare", "composite", "concatenate", "cross_entropy", "diff", "div", "draw", "einsum",
    "equal", "exp", "expand_dims", "flatten", "fused", "grad", "gradcheck", "gradgradcheck", "greater", "group_norm",
    "hessian", "hvp", "index", "instance_norm", "jacobian", "jvp", "layer_norm", "log", "log_softmax", "logsumexp",
    "matmul", "maximum", "mean", "minimum", "moveaxis", "mul", "neg", "no_grad", "op", "pad", "paths", "power",
    "profile", "relu", "reshape", "run", "sample", "scatter", "scope", "sigmoid", "sign", "snapshot", "softmax",
    "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum_to", "swapaxes", "tanh", "transpose", "var",
    "vjp", "where",
]  # fmt: skip

# What a net does not need to run is loaded when it is first asked for, so that the import stays short.
_LATER = {
    "checkpoint": (), "data": (), "nets": (), "nn": (), "optim": (), "training": (),
    "certificate": ("Certificate",),
    "check": ("DegenerateCheck", "compare", "gradcheck", "gradgradcheck"),
    "drawing": ("EngineMissing", "draw"),
    "functional": ("hessian", "hvp", "jacobian", "jvp", "vjp"),
    "graph": ("Graph",),
    "pathways": ("paths",),
    "profiling": ("Profile", "profile"),
    "rewrite": ("diff",),
    "trace": ("run", "snapshot"),
}  # fmt: skip


def __getattr__(name: str) -> typing.Any:
    for module, names in _LATER.items():
        if name == module or name in names:
            found = importlib.import_module(f"tinygraph.{module}")
            return globals().setdefault(name, found if name == module else getattr(found, name))
    raise AttributeError(f"tinygraph has no {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LATER})
