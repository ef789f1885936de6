"""Families of ops that are loaded when one of their names is first asked for: ``import tinygraph`` stays short.

A name is asked for as a function, ``tg.sin``, or as a method, ``x.sin()``: then its family is loaded. It may also be
asked for as a function of NumPy, ``np.sin(x)``, or as the op of a graph that was read from a file: then all are.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from tinygraph.engine.registry import OPS
from tinygraph.engine.tensor import Tensor

__all__ = ["FAMILIES", "find_op", "functions", "load_all"]


class Family(NamedTuple):
    """What a module brings: functions of `tinygraph`, which are its ``__all__``, and methods of Tensor.

    There are no functions of `tinygraph` where `tinygraph.linalg` or `tinygraph.fft` gives them out.
    """

    functions: str
    methods: str


# Module of the package -> what it brings. A test holds this against the modules.
FAMILIES = {
    "functions.differences": Family(
        "cumulative_prod cumulative_sum cumulative_trapezoid ediff1d gradient interp trapezoid",
        "diff",
    ),
    "functions.equations": Family("", "cholesky_inverse cholesky_solve logdet matrix_exp matrix_power slogdet"),
    "functions.factors": Family("", "cholesky pinverse qr svd"),
    "functions.fourier": Family("", ""),
    "functions.missing_values": Family(
        "nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmin nanprod nanstd nansum nanvar",
        "nanmean nansum",
    ),
    "functions.norms": Family("", ""),
    "functions.numpy_only": Family("", "conj conjugate"),
    "functions.order": Family(
        "average median mode nanmedian nanpercentile nanquantile percentile ptp quantile",
        "median mode nanmedian nanquantile quantile",
    ),
    "functions.products": Family(
        "addbmm addmm addmv addr baddbmm cdist convolve correlate cross dot ger inner kron matvec mv outer tensordot "
        "vdot vecdot vecmat",
        "addbmm addmm addmv addr baddbmm cross dot ger inner kron mv outer vdot",
    ),
    "functions.torch_only": Family(
        "absolute addcdiv addcmul amax amin aminmax bmm clamp clamp_max clamp_min concat dist divide lerp "
        "logspace mm msort multiply negative permute pow ravel renorm select_scatter sgn slice_scatter std_mean "
        "subtract true_divide var_mean",
        "addcdiv addcmul aminmax bool byte char clamp_max clamp_min dist double float half int lerp long msort "
        "renorm select_scatter short slice_scatter sum_to_size type_as",
    ),
    "ops.activations": Family("elu hardsigmoid hardtanh leaky_relu logsigmoid mish silu softplus", ""),
    "ops.assembling": Family(
        "append array_split block chunk column_stack delete dsplit dstack hsplit hstack insert narrow resize "
        "row_stack tensor_split unstack vsplit vstack",
        "chunk dsplit hsplit narrow split tensor_split vsplit",
    ),
    "ops.diagonals": Family(
        "diag diag_embed diagflat diagonal trace tril triu", "diag diag_embed diagflat diagonal trace tril triu"
    ),
    "ops.exponentials": Family(
        "cbrt exp2 expm1 float_power hypot log10 log1p log2 logaddexp2 reciprocal rsqrt xlogy",
        "cbrt exp2 expm1 float_power hypot log10 log1p log2 logaddexp2 reciprocal rsqrt xlogy",
    ),
    "ops.matrices": Family("", "det inverse"),
    "ops.rearranging": Family(
        "atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_tensors flip fliplr flipud meshgrid movedim "
        "repeat repeat_interleave roll rollaxis rot90 swapdims tile unflatten",
        "flip fliplr flipud repeat repeat_interleave roll rot90 tile unflatten",
    ),
    "ops.rounding": Family(
        "ceil copysign divmod fix floor floor_divide fmax fmin fmod frac heaviside ldexp mod modf nan_to_num positive "
        "remainder rint round signbit trunc",
        "__divmod__ __floordiv__ __mod__ __rdivmod__ __rfloordiv__ __rmod__ __round__ ceil copysign fix floor "
        "floor_divide fmax fmin fmod frac heaviside ldexp mod nan_to_num positive remainder rint round signbit trunc",
    ),
    "ops.scattering": Family(
        "index_copy index_fill index_put masked_scatter scatter_reduce",
        "index_copy index_fill index_put masked_scatter scatter_reduce",
    ),
    "ops.selecting": Family(
        "choose compress extract gather index_add index_select masked_select scatter_add select take",
        "compress gather index_add index_select masked_select scatter scatter_add select take",
    ),
    "ops.special": Family(
        "digamma entr erf erfc erfinv expit gammaln i0 i1 lgamma log_ndtr logit ndtr polygamma xlog1py",
        "digamma erf erfc erfinv gammaln i0 lgamma logit polygamma",
    ),
    "ops.trigonometry": Family(
        "acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh cos cosh deg2rad "
        "degrees rad2deg radians sin sinc sinh tan",
        "acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh cos cosh deg2rad "
        "rad2deg sin sinc sinh tan",
    ),
}


class Method(NamedTuple):
    """Stands for a method of Tensor until it is first asked for: its module puts the method in this place."""

    module: str
    name: str

    def __get__(self, instance: Any, owner: type) -> Any:
        importlib.import_module(self.module)
        return getattr(owner if instance is None else instance, self.name)


def functions() -> dict[str, tuple[str, ...]]:
    """Return the functions of `tinygraph` that each family has, by its module.

    >>> "sin" in functions()["ops.trigonometry"]
    True
    """
    return {module: tuple(family.functions.split()) for module, family in FAMILIES.items()}


def load_all() -> None:
    """Load every family, so that the registry has all ops, and NumPy's functions find theirs.

    >>> load_all()
    >>> "sin" in OPS
    True
    """
    for module in FAMILIES:
        importlib.import_module(f"tinygraph.{module}")


def find_op(name: str | None) -> Any:
    """Return the op of a name, and load its family if need be.

    Args:
        name: of the op, as nodes of a graph have it.

    Returns:
        The op; None if there is none of that name.

    >>> find_op("sin"), find_op("sine")
    (<op sin>, None)
    """
    if name not in OPS:
        load_all()
    return OPS.get(name or "")


for _module, _family in FAMILIES.items():
    for _name in _family.methods.split():
        setattr(Tensor, _name, Method(f"tinygraph.{_module}", _name))
