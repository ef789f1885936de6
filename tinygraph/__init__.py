"""tinygraph: nets and batch norm from graph primitives, drawn, differentiated to any order, and compared.

An op called with arrays computes; called with a Tensor it also records.
"""

import builtins
import importlib
import typing

from tinygraph import fused, moved
from tinygraph.autodiff.grad import grad
from tinygraph.engine.context import composite, scope
from tinygraph.engine.op import Op, op
from tinygraph.engine.registry import sample
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
from tinygraph.functions.padding import pad
from tinygraph.functions.recording import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinygraph.functions.softmax import cross_entropy, log_softmax, softmax
from tinygraph.functions.statistics import std, var
from tinygraph.kernels import malloc
from tinygraph.kernels.arrays import asarray
from tinygraph.ops import later
from tinygraph.ops.adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from tinygraph.ops.convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
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
from tinygraph.ops.folding import channel_shuffle, pixel_shuffle, pixel_unshuffle, sliding_window_view
from tinygraph.ops.indexing import index, scatter, split, unbind
from tinygraph.ops.joining import concatenate, stack
from tinygraph.ops.linear import einsum, matmul
from tinygraph.ops.pooling import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from tinygraph.ops.reduce import argmax, argmin, logsumexp, max, mean, min, norm, sum
from tinygraph.ops.scans import cumprod, cumsum, logcumsumexp, prod
from tinygraph.ops.shape import (
    broadcast_to,
    clone,
    expand_dims,
    flatten,
    moveaxis,
    reshape,
    squeeze,
    sum_to,
    swapaxes,
    transpose,
)
from tinygraph.ops.sorting import argsort, cummax, cummin, kthvalue, partition, sort, take_along_axis, topk

if typing.TYPE_CHECKING:
    from tinygraph import checkpoint, data, fft, linalg, nets, nn, optim, training
    from tinygraph.compiler.compiled import Compiled, compile
    from tinygraph.compiler.standin import CompileError
    from tinygraph.drawing.api import EngineMissing, draw, frames
    from tinygraph.engine.registry import OPS
    from tinygraph.exchange.from_torch import ExportError, from_torch
    from tinygraph.functions.differences import *
    from tinygraph.functions.missing_values import *
    from tinygraph.functions.order import *
    from tinygraph.functions.products import *
    from tinygraph.functions.torch_only import *
    from tinygraph.functions.transforms import hessian, hvp, jacobian, jvp, vjp
    from tinygraph.graph.data import Graph
    from tinygraph.graph.diff import diff
    from tinygraph.graph.paths import paths
    from tinygraph.graph.places import record_places
    from tinygraph.graph.run import run
    from tinygraph.graph.snapshot import snapshot
    from tinygraph.ops.activations import *
    from tinygraph.ops.assembling import *
    from tinygraph.ops.diagonals import *
    from tinygraph.ops.exponentials import *
    from tinygraph.ops.rearranging import *
    from tinygraph.ops.rounding import *
    from tinygraph.ops.scattering import *
    from tinygraph.ops.selecting import *
    from tinygraph.ops.special import *
    from tinygraph.ops.trigonometry import *
    from tinygraph.sums.deriving import derive
    from tinygraph.teach.grading.check import check_backward
    from tinygraph.teach.grading.checkers import check_gradient_checker
    from tinygraph.teach.grading.exercise import exercise
    from tinygraph.teach.lesson import lesson
    from tinygraph.teach.source import source
    from tinygraph.teach.worksheet import worksheet
    from tinygraph.train.checkpoint import load, save
    from tinygraph.verify.certificate import Certificate
    from tinygraph.verify.comparison import compare
    from tinygraph.verify.gradients import DegenerateCheck, GradcheckError, gradcheck, gradgradcheck
    from tinygraph.verify.profiling import Profile, profile

__version__ = "0.1.0"

# As in NumPy, `from tinygraph import *` leaves Python's own abs, compile, max, min and sum alone.
__all__ = [
    "OPS", "Certificate", "CompileError", "Compiled", "DegenerateCheck", "EngineMissing", "ExportError",
    "GradcheckError", "Graph", "Op",
    "Parameter", "Profile", "Tensor", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "add", "arange", "argmax", "argmin",
    "argsort", "asarray", "astype", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm", "batch_norm_inference",
    "batch_norm_spatial", "batch_norm_stepwise", "broadcast_to", "cat", "channel_shuffle", "check_backward",
    "check_gradient_checker", "clip", "clone", "compare", "composite", "concatenate", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cross_entropy", "cummax", "cummin", "cumprod",
    "cumsum", "derive", "diff", "div", "draw", "einsum", "empty", "enable_grad", "equal", "exercise", "exp",
    "expand_dims", "eye", "flatten", "frames", "from_numpy", "from_torch", "full", "full_like", "fused", "grad",
    "gradcheck", "gradgradcheck", "greater", "group_norm", "hessian", "hvp", "index", "instance_norm",
    "is_grad_enabled", "jacobian", "jvp", "kthvalue", "layer_norm", "lesson", "linspace", "load", "log",
    "log_softmax", "logaddexp", "logcumsumexp", "logsumexp", "manual_seed", "masked_fill", "matmul", "max_pool1d",
    "max_pool2d", "max_pool3d", "maximum", "mean", "minimum", "moveaxis", "mul", "neg", "no_grad", "norm", "ones",
    "ones_like", "op", "pad", "partition", "paths", "pixel_shuffle", "pixel_unshuffle", "power", "prod", "profile",
    "rand", "randn", "record_places", "relu", "reshape", "run", "sample", "save", "scatter", "scope",
    "set_grad_enabled", "sigmoid", "sign", "sliding_window_view", "snapshot", "softmax", "sort", "source", "split",
    "sqrt", "square", "squeeze", "stack", "std", "sub", "sum_to", "swapaxes", "take_along_axis", "tanh", "tensor",
    "topk", "transpose", "unbind", "unsqueeze", "var", "vjp", "where", "worksheet", "zeros", "zeros_like",
]  # fmt: skip

# What a net does not need to run is loaded when it is first asked for, so that the import stays short.
_LATER: dict[str, tuple[str, ...]] = {
    "checkpoint": (), "data": (), "fft": (), "linalg": (), "nets": (), "nn": (), "optim": (), "training": (),
    "engine.registry": ("OPS",),
    "compiler.compiled": ("Compiled", "compile"),
    "compiler.standin": ("CompileError",),
    "drawing.api": ("EngineMissing", "draw", "frames"),
    "exchange.from_torch": ("ExportError", "from_torch"),
    "functions.transforms": ("hessian", "hvp", "jacobian", "jvp", "vjp"),
    "graph.data": ("Graph",),
    "graph.diff": ("diff",),
    "graph.paths": ("paths",),
    "graph.places": ("record_places",),
    "graph.run": ("run",),
    "graph.snapshot": ("snapshot",),
    "sums.deriving": ("derive",),
    "teach.lesson": ("lesson",),
    "teach.grading.check": ("check_backward",),
    "teach.grading.checkers": ("check_gradient_checker",),
    "teach.grading.exercise": ("exercise",),
    "teach.source": ("source",),
    "teach.worksheet": ("worksheet",),
    "train.checkpoint": ("load", "save"),
    "verify.certificate": ("Certificate",),
    "verify.comparison": ("compare",),
    "verify.gradients": ("DegenerateCheck", "GradcheckError", "gradcheck", "gradgradcheck"),
    "verify.profiling": ("Profile", "profile"),
}  # fmt: skip
_LATER |= later.functions()
__all__ += [name for names in later.functions().values() for name in names if not hasattr(builtins, name)]

malloc.keep_freed_memory()
moved.install()


def __getattr__(name: str) -> typing.Any:
    if name == "OPS":
        later.load_all()  # so that the registry is complete
    for module, names in _LATER.items():
        if name == module or name in names:
            found = importlib.import_module(f"tinygraph.{module}")
            return globals().setdefault(name, found if name == module else getattr(found, name))
    from tinygraph.exchange.missing import missing_name

    raise missing_name("tinygraph", name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LATER})
