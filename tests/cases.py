"""What the tests loop over, and the derivative check they share: every sample of every op, and every composite.

A derivative is believed when it agrees with central finite differences, in float64 and under a random
cotangent. `test_mutants` proves that this check rejects a derivative that is wrong by a thousandth.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

import tinygraph
import tinygraph.functions.differences
from tests.matrices import FREE, prepared
from tinygraph import Tensor, functions, grad
from tinygraph.engine.registry import OPS
from tinygraph.functions.differences import diff as difference
from tinygraph.nn.functional import activations
from tinygraph.ops import (
    adaptive,
    elementwise,
    exponentials,
    folding,
    indexing,
    joining,
    linear,
    rounding,
    shape,
    special,
    trigonometry,
)
from tinygraph.ops.elementwise import square

FAMILIES = ("tinygraph.ops.", "tinygraph.fused.")  # where ops live; those of doctests live elsewhere


class Case(NamedTuple):
    """One call to test: a function of arrays, and what it is called with."""

    name: str
    function: Callable[..., Any]
    shapes: Sequence[tuple[int, ...]]
    low: float = -2.0
    high: float = 2.0
    params: dict[str, Any] = MappingProxyType({})  # type: ignore[assignment]
    choices: frozenset[int] = frozenset()  # positions of the operands that are conditions: booleans
    places: frozenset[int] = frozenset()  # positions of the operands that are indices: integers

    def __call__(self, *operands: Any) -> Any:
        return self.function(*operands, **self.params)

    @property
    def rng(self) -> np.random.Generator:
        """A generator of its own, so that a case has the same numbers wherever and whenever it runs."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        rng = self.rng
        numbers = [np.asarray(rng.uniform(self.low, self.high, n), dtype) for n in self.shapes]
        chosen = [
            x > 0 if i in self.choices else x.astype(np.int64) if i in self.places else x for i, x in enumerate(numbers)
        ]
        return prepared(getattr(self.function, "op", None), chosen)

    def cotangent(self, y: Any) -> np.ndarray:
        """A random upstream gradient of y: ones would prove nothing, for the sum of a batch norm is constant."""
        return np.asarray(self.rng.standard_normal(y.shape) + 0.1)


@functools.cache
def registered() -> Mapping[str, Any]:
    """Every op of the package, by name."""
    for package in ("ops", "fused"):
        for module in pkgutil.iter_modules([f"{tinygraph.__path__[0]}/{package}"], f"tinygraph.{package}."):
            importlib.import_module(module.name)
    return MappingProxyType({name: op for name, op in OPS.items() if op.function.__module__.startswith(FAMILIES)})


def cases() -> Iterator[Case]:
    """Every sample of every op."""
    for name, op in registered().items():
        for i, s in enumerate(op.samples):
            choices = frozenset(k for k, operand in enumerate(op.operands) if operand == "condition")
            places = frozenset(k for k, operand in enumerate(op.operands) if operand == "indices")
            yield Case(f"{name}-{i}", op.call, s.shapes, s.low, s.high, s.params, choices, places)


def composites() -> Iterator[Case]:
    """A call or more of every function that is made of ops."""
    f, images, labels = functions, (4, 6, 2, 3), np.array([2, 0, 1, 2, 2])
    dense = [(5, 3), (3,), (3,)]
    yield Case("batch_norm", f.batch_norm, dense)
    yield Case("batch_norm-plain", f.batch_norm, [(5, 3)], params={"eps": 0.0})
    yield Case("batch_norm-images", f.batch_norm, [images, (6,), (6,)], params={"axis": (0, 2, 3)})
    yield Case("batch_norm_spatial", f.batch_norm_spatial, [images, (6,), (6,)])
    yield Case("batch_norm_inference", f.batch_norm_inference, [(5, 3), *[(3,)] * 4], low=0.5)
    yield Case("batch_norm_inference-image", f.batch_norm_inference, [images, *[(6,)] * 4], 0.5, 2, {"axis": (0, 2, 3)})
    yield Case("layer_norm", f.layer_norm, dense)
    yield Case("layer_norm-images", f.layer_norm, [images, images[1:], images[1:]], params={"axis": (1, 2, 3)})
    yield Case("group_norm", f.group_norm, [images, (6,), (6,)], params={"groups": 3})
    yield Case("instance_norm", f.instance_norm, [images, (6,), (6,)])
    yield Case("softmax", f.softmax, [(4, 3)])
    yield Case("softmax-first", f.softmax, [(4, 3)], params={"axis": 0})
    yield Case("log_softmax", f.log_softmax, [(4, 3)])
    yield Case("cross_entropy", f.cross_entropy, [(5, 3)], params={"target": labels})
    yield Case("cross_entropy-one", f.cross_entropy, [(3,)], params={"target": np.array(1)})
    yield Case("cross_entropy-smooth", f.cross_entropy, [(5, 3)], params={"target": labels, "label_smoothing": 0.1})
    yield Case("cross_entropy-each", f.cross_entropy, [(5, 3)], params={"target": labels, "reduction": "none"})
    pixels = np.arange(8).reshape(2, 2, 2) % 3
    yield Case("cross_entropy-pixels", f.cross_entropy, [(2, 3, 2, 2)], params={"target": pixels, "reduction": "sum"})
    yield Case("cross_entropy-soft", f.cross_entropy, [(5, 3), (5, 3)], low=0.1)
    yield Case("var", f.var, [(4, 3)], params={"axis": 0, "correction": 1})
    yield Case("std", f.std, [(4, 3)], params={"axis": (0, 1), "keepdims": True})
    yield Case("concatenate", lambda *xs: joining.concatenate(xs, 1), [(2, 1), (2, 3)])
    yield Case("stack", lambda *xs: joining.stack(xs, -1), [(2, 3), (2, 3)])
    yield Case("split", lambda x: joining.concatenate(indexing.split(x, [1, 3], 1)[::-1], 1), [(2, 5)])
    yield Case("swapaxes", shape.swapaxes, [(2, 3, 4)], params={"axis1": 0, "axis2": -1})
    yield Case("moveaxis", shape.moveaxis, [(2, 3, 4)], params={"source": (0, 1), "destination": (-1, 0)})
    yield Case("expand_dims", shape.expand_dims, [(2, 3)], params={"axis": (0, -1)})
    yield Case("squeeze", shape.squeeze, [(2, 1, 3)], params={"axis": 1})
    yield Case("pixel_shuffle", folding.pixel_shuffle, [(2, 8, 2, 3)], params={"upscale_factor": 2})
    yield Case("pixel_unshuffle", folding.pixel_unshuffle, [(2, 1, 4, 6)], params={"downscale_factor": 2})
    yield Case("channel_shuffle", folding.channel_shuffle, [(2, 6, 2)], params={"groups": 3})
    yield Case("unfold_axis", folding.unfold_axis, [(2, 7)], params={"dimension": 1, "size": 3, "step": 2})
    yield Case(
        "sliding_window_view", folding.sliding_window_view, [(2, 3, 4)], params={"window_shape": (2, 3), "axis": (1, 2)}
    )
    yield Case("adaptive_max_pool2d", adaptive.adaptive_max_pool2d, [(2, 1, 5, 4)], params={"output_size": (3, 2)})
    yield Case(
        "adaptive_avg_pool3d", adaptive.adaptive_avg_pool3d, [(1, 2, 3, 4, 2)], params={"output_size": (2, 3, 1)}
    )
    yield Case("flatten", shape.flatten, [(2, 3)])
    yield Case("einsum", lambda x, y: linear.einsum("ij,jk->ki", x, y), [(2, 3), (3, 4)])
    narrowed = lambda x, y: elementwise.astype(exponentials.float_power(x, y), x.dtype)
    yield Case("float_power", narrowed, [(4, 3), (3,)], low=0.5)
    yield Case("frac", rounding.frac, [(4, 3)])
    yield Case("ldexp", rounding.ldexp, [(4, 3)], params={"exponent": -2})
    yield Case("prelu", activations.prelu, [(4, 3), (3,)])
    yield Case("selu", activations.selu, [(4, 3)])
    yield Case("celu", activations.celu, [(4, 3)], params={"alpha": 0.5})
    yield Case("gelu", activations.gelu, [(4, 3)])
    yield Case("hardswish", activations.hardswish, [(4, 3)])
    yield Case("softsign", activations.softsign, [(4, 3)])
    yield Case("tanhshrink", activations.tanhshrink, [(4, 3)])
    yield Case("softshrink", activations.softshrink, [(4, 3)])
    yield Case("hardshrink", activations.hardshrink, [(4, 3)])
    yield Case("threshold", activations.threshold, [(4, 3)], params={"threshold": 0.5, "value": -1.0})
    yield Case("glu", activations.glu, [(4, 6)])
    yield Case("rrelu", activations.rrelu, [(4, 3)])
    yield Case("gelu-tanh", activations.gelu, [(4, 3)], params={"approximate": "tanh"})
    yield Case("softplus-low", activations.softplus, [(4, 3)], params={"beta": 2.0, "threshold": 1.0})
    yield Case("relu6", activations.relu6, [(4, 3)], low=-9.0, high=9.0)
    yield Case("logit", special.logit, [(4, 3)], 0.1, 0.9)
    yield Case("logit-eps", special.logit, [(4, 3)], 0.1, 0.9, {"eps": 0.3})
    yield Case("ndtr", special.ndtr, [(4, 3)])
    yield Case("log_ndtr", special.log_ndtr, [(4, 3)])
    yield Case("degrees", trigonometry.degrees, [(4, 3)])
    yield Case("radians", trigonometry.radians, [(4, 3)])
    yield from rearranged()
    yield Case("numbers", lambda x: 2**x - 1.5**x - 1 / x + 3 * x**3 - x / 4, [(4, 3)], low=0.5)
    yield Case("shared operand", lambda x: x * x + x / square(x), [(4, 3)], low=0.5)


def by_name(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Return the cases of each op or composite, by its name."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.name.partition("-")[0], []).append(case)
    return found


def check_each(check: Callable[..., None], cases: Iterable[Any]) -> None:
    """Check each case in one test, where a test of its own costs more than the check; say of each that fails which."""
    failures = []
    for case in cases:
        try:
            check(case)
        except Exception as error:
            error.add_note(f"in {getattr(check, '__name__', 'the check')} of {getattr(case, 'name', case)}")
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]  # as it is, for the debugger
    if failures:
        raise ExceptionGroup("; ".join(error.__notes__[-1] for error in failures), failures)


def rearranged() -> Iterator[Case]:
    """Calls of the functions that move, choose, sort or compare elements."""
    t, i = tinygraph, np.array([[2, 0, 1], [0, 1, 2]])
    yield Case("flip", t.flip, [(2, 3)], params={"axis": (0, -1)})
    yield Case("rot90", t.rot90, [(2, 3)], params={"k": 1})
    yield Case("rot90-back", t.rot90, [(2, 3, 4)], params={"k": -1, "axes": (2, 0)})
    yield Case("roll", t.roll, [(4, 3)], params={"shift": (1, -2), "axis": (0, 1)})
    yield Case("roll-row", t.roll, [(4, 3)], params={"shift": 5})
    yield Case("tile", t.tile, [(2, 3)], params={"reps": (2, 1, 3)})
    yield Case("repeat", t.repeat, [(2, 3)], params={"repeats": 2, "axis": 1})
    yield Case("repeat-each", t.repeat, [(2, 3)], params={"repeats": [3, 0, 1], "axis": 1})
    yield Case("meshgrid", lambda x, y: t.stack(t.meshgrid(x, y)), [(2,), (3,)])
    yield Case("broadcast_arrays", lambda x, y: t.stack(t.broadcast_arrays(x, y)), [(2, 1), (3,)])
    yield Case("rollaxis", t.rollaxis, [(2, 3, 4)], params={"axis": 2, "start": 1})
    yield Case("unflatten", t.unflatten, [(2, 6)], params={"dim": 1, "sizes": (2, -1)})
    yield Case("vstack", lambda x, y: t.vstack([x, y]), [(3,), (2, 3)])
    yield Case("hstack", lambda x, y: t.hstack([x, y]), [(2, 1), (2, 3)])
    yield Case("dstack", lambda x, y: t.dstack([x, y]), [(3,), (3,)])
    yield Case("column_stack", lambda x, y: t.column_stack([x, y]), [(3,), (3, 2)])
    yield Case("block", lambda x, y: t.block([[x, y], [y, x]]), [(2, 2), (2, 2)])
    yield Case("append", t.append, [(2, 3), (4,)])
    yield Case("insert", lambda x, y: t.insert(x, [2, 0], y, 1), [(2, 3), (2, 2)])
    yield Case("delete", t.delete, [(2, 4)], params={"obj": [0, 2], "axis": 1})
    yield Case("resize", t.resize, [(2, 3)], params={"new_shape": (4, 2)})
    yield Case("chunk", lambda x: t.concatenate(t.chunk(x, 2, 1)[::-1], 1), [(2, 5)])
    yield Case("array_split", lambda x: t.concatenate(t.array_split(x, 3, 1)[::-1], 1), [(2, 5)])
    yield Case("narrow", t.narrow, [(2, 5)], params={"dim": 1, "start": 1, "length": 3})
    yield Case("take", t.take, [(2, 3)], params={"indices": i, "axis": 1})
    yield Case("gather", t.gather, [(3, 4)], params={"dim": 0, "index": i})
    yield Case("scatter_add", lambda x, y: t.scatter_add(x, 0, i, y), [(3, 4), (2, 3)])
    yield Case("index_add", lambda x, y: t.index_add(x, 1, [0, 0, 3], y, 2), [(3, 4), (3, 3)])
    yield Case("choose", lambda x, y: t.choose(i % 2, [x, y]), [(2, 3), (3,)])
    yield Case("select", lambda x, y: t.select([x > 1, x > 0], [x, y], 0.5), [(2, 3), (3,)])
    yield Case("tril", t.tril, [(2, 3, 4)], params={"k": 1})
    yield Case("triu", t.triu, [(3, 3)], params={"k": -1})
    yield Case("diagonal", t.diagonal, [(2, 3, 4)], params={"offset": 1, "axis1": 2, "axis2": 0})
    yield Case("trace", t.trace, [(3, 3)])
    yield Case("diag_embed", t.diag_embed, [(2, 3)], params={"offset": -1, "dim1": 0, "dim2": 2})
    yield Case("sort", t.sort, [(4, 3)], params={"axis": 0})
    yield Case("sort-falling", t.sort, [(2, 4)], params={"descending": True})
    yield Case("topk", lambda x: t.topk(x, 2, 1).values, [(3, 4)])
    yield Case("kthvalue", lambda x: t.kthvalue(x, 2, 1).values, [(3, 4)])
    yield Case("cummin", lambda x: t.cummin(x, 1).values, [(3, 4)])
    yield Case("median", t.median, [(3, 5)], params={"axis": 1})
    yield Case("quantile", t.quantile, [(3, 4)], params={"q": [0.2, 0.7], "axis": 1})
    yield Case("nanquantile", t.nanquantile, [(3, 4)], params={"q": 0.4, "axis": 1})
    yield Case("average", lambda x, w: t.average(x, 1, w), [(3, 4), (4,)], low=0.5)
    yield Case("ptp", t.ptp, [(3, 4)], params={"axis": 1})
    yield Case("diff", difference, [(3, 4)], params={"n": 2, "axis": 0})
    yield Case("gradient", t.gradient, [(3, 4)], params={"axis": 1})
    yield Case("gradient-places", lambda x, h: t.gradient(x, t.cumsum(h, 0), edge_order=2), [(5,), (5,)], low=0.5)
    yield Case("trapezoid", lambda y, x: t.trapezoid(y, x), [(2, 4), (4,)])
    yield Case("cumulative_trapezoid", t.cumulative_trapezoid, [(2, 4)], params={"dx": 0.5})
    yield Case("pad-reflect", t.pad, [(2, 4)], params={"pad_width": ((0, 0), (2, 3)), "mode": "reflect"})
    yield Case("pad-edge", t.pad, [(2, 4)], params={"pad_width": ((1, 0), (2, 1)), "mode": "edge"})
    yield Case("pad-wrap", t.pad, [(2, 4)], params={"pad_width": ((0, 0), (-1, 3)), "mode": "wrap"})
    yield Case("norm-3", t.norm, [(3, 4)], params={"ord": 3, "axis": 1})


def differences(f: Callable[[np.ndarray], float], x: np.ndarray, step: float) -> np.ndarray:
    """The gradient of a number f(x), by central differences."""
    found = np.empty_like(x)
    for i in np.ndindex(x.shape):
        moved = x.copy()
        moved[i] = x[i] + step
        above = f(moved)
        moved[i] = x[i] - step
        found[i] = (above - f(moved)) / (2 * step)
    return found


def close(found: Any, wanted: Any, tolerance: float, what: str = "") -> None:
    """Compare arrays by the greatest error, relative to the greatest element; shapes must agree."""
    assert np.shape(found) == np.shape(wanted), f"{what}: shape {np.shape(found)}, not {np.shape(wanted)}"
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    if wanted.size:
        error, scale = np.max(np.abs(found - wanted)), np.max(np.abs(wanted))
        assert error <= tolerance * (scale + 1e-3), f"{what}: off by {error:.3g} of {scale:.3g}"


def inner(g: Any, y: Any) -> float:
    return float(np.vdot(np.asarray(g, np.float64), np.asarray(y, np.float64)))


def tensor(x: Any) -> Tensor:
    """A tensor to differentiate, where one can."""
    return x if isinstance(x, Tensor) else Tensor(x, requires_grad=x.dtype.kind == "f")


def gradients(case: Case, xs: Sequence[Any], g: Any, **options: Any) -> tuple[Any, ...]:
    """What the engine says; zeros where no gradient passes."""
    xs = list(map(tensor, xs))
    y = case(*xs)
    if not y.requires_grad:
        return tuple(np.zeros_like(x.data) for x in xs)
    return grad(y, xs, g, materialize_grads=True, **options)


def is_free(case: Case) -> bool:
    """Whether differences of the value say nothing: it is not determined."""
    return getattr(getattr(case.function, "op", None), "name", "") in FREE


def slopes(case: Case) -> list[np.ndarray | None]:
    """Every gradient of a case by finite differences; None where there is none to compare."""
    xs = case.arrays()
    y = case(*xs)
    g = case.cotangent(y)
    step = 1e-2 if np.asarray(y).dtype == np.float32 else 5e-6

    def slope(i: int) -> np.ndarray:
        return differences(lambda x: inner(g, case(*xs[:i], x, *xs[i + 1 :])), xs[i], step)

    return [None if x.dtype.kind != "f" or is_free(case) else slope(i) for i, x in enumerate(xs)]


def check_first(case: Case, wanted: Sequence[np.ndarray | None] | None = None) -> None:
    """Compare every gradient of a case with finite differences, or with those that are given."""
    xs = case.arrays()
    y = case(*xs)
    tolerance = 2e-4 if np.asarray(y).dtype == np.float32 else 1e-7
    found = gradients(case, xs, case.cotangent(y))
    for i, (gradient, slope) in enumerate(zip(found, slopes(case) if wanted is None else wanted, strict=True)):
        if slope is not None:
            close(gradient, slope, tolerance, f"{case.name}: gradient {i}")


def check_second(case: Case) -> None:
    """Compare gradients of the gradients, in the operands and in the cotangent, with finite differences of those."""
    xs = case.arrays()
    y = case(*xs)
    g, rng = case.cotangent(y), case.rng
    weights = [rng.standard_normal(x.shape) for x in xs]
    leaves = list(map(tensor, (*xs, g)))
    recorded = gradients(case, leaves[:-1], leaves[-1], create_graph=True)
    for i, (found, wanted) in enumerate(zip(recorded, gradients(case, xs, g), strict=True)):
        close(getattr(found, "data", found), wanted, 1e-12, f"{case.name}: recorded gradient {i}")
    outputs = [(t, w) for t, w in zip(recorded, weights, strict=True) if getattr(t, "requires_grad", False)]
    if not outputs:
        return
    found = grad([t for t, _ in outputs], leaves, [w for _, w in outputs], materialize_grads=True)
    by_element = is_free(case) or np.asarray(y).dtype == np.float32
    wanted = (curvatures_by_element if by_element else curvatures)(case, xs, g, weights)
    for i, (second, curvature) in enumerate(zip(found, wanted, strict=True)):
        if leaves[i].requires_grad:
            close(second, curvature, 1e-6, f"{case.name}: second derivative in {i}")


def curvatures(case: Case, xs: list[np.ndarray], g: np.ndarray, weights: list[np.ndarray]) -> list[np.ndarray]:
    """The derivatives of Σ weights · gradients in each operand and in ``g``, by two steps along the weights.

    The gradients of ⟨g, y⟩ have a symmetric derivative H: that of ⟨w, gradients⟩ is Hᵀw = Hw, and ∂y/∂x w in ``g``.
    """

    def at(step: float) -> list[np.ndarray]:
        moved = [x + step * w if x.dtype.kind == "f" else x for x, w in zip(xs, weights, strict=True)]
        return [*gradients(case, moved, g), case(*moved)]

    return [(np.asarray(above, np.float64) - below) / 1e-5 for above, below in zip(at(5e-6), at(-5e-6), strict=True)]


def curvatures_by_element(
    case: Case, xs: list[np.ndarray], g: np.ndarray, weights: list[np.ndarray]
) -> list[np.ndarray]:
    """The same by a step in each element, for a value that is rounded or not determined: it itself is not asked."""
    leaves = [*xs, g]

    def at(i: int, x: np.ndarray) -> float:
        *operands, upstream = [*leaves[:i], x, *leaves[i + 1 :]]
        return sum(map(inner, weights, gradients(case, operands, upstream)))

    return [differences(functools.partial(at, i), x, 5e-6) for i, x in enumerate(leaves)]


def against_torch(
    ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[np.ndarray], tolerance: float = 1e-9
) -> None:
    """Compare with PyTorch the value, the gradients, and the gradients of a random sum of the gradients."""
    import torch

    rng = np.random.default_rng(1)
    xs, ts = [Tensor(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*xs), theirs(*ts)
    assert y.dtype == arrays[0].dtype
    close(y.data, z.detach().numpy(), tolerance, "value")
    g = rng.standard_normal(y.shape).astype(arrays[0].dtype)
    weights = [rng.standard_normal(a.shape).astype(a.dtype) for a in arrays]
    gy, gz = Tensor(g), torch.tensor(g, requires_grad=True)
    first = grad(y, xs, gy, create_graph=True)
    other = torch.autograd.grad(z, ts, gz, create_graph=True)
    for a, b, c in zip(first, other, grad(y, xs, g), strict=True):
        close(a.data, b.detach().numpy(), tolerance, "gradient")
        close(c, b.detach().numpy(), tolerance, "gradient, not recorded")
    second = grad(list(first), [*xs, gy], weights, materialize_grads=True)
    wanted = torch.autograd.grad(other, [*ts, gz], [torch.tensor(w) for w in weights], allow_unused=True)
    for a, b in zip(second, wanted, strict=True):
        close(a, np.zeros(a.shape) if b is None else b.numpy(force=True), tolerance, "second gradient")
