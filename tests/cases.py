"""What the tests loop over, and the derivative check they share: every sample of every op, and every composite.

A derivative is believed when it agrees with central finite differences, in float64 and under a random
cotangent. `test_mutants` proves that this check rejects a derivative that is wrong by a thousandth.
"""

from __future__ import annotations

import importlib
import pkgutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

import tinygraph
from tinygraph import Tensor, functions, grad
from tinygraph.engine.registry import OPS
from tinygraph.ops import linear, shape
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

    def __call__(self, *operands: Any) -> Any:
        return self.function(*operands, **self.params)

    @property
    def rng(self) -> np.random.Generator:
        """A generator of its own, so that a case has the same numbers wherever and whenever it runs."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        rng = self.rng
        numbers = [np.asarray(rng.uniform(self.low, self.high, n), dtype) for n in self.shapes]
        return [x > 0 if i in self.choices else x for i, x in enumerate(numbers)]

    def cotangent(self, y: Any) -> np.ndarray:
        """A random upstream gradient of y: ones would prove nothing, for the sum of a batch norm is constant."""
        return np.asarray(self.rng.standard_normal(y.shape) + 0.1)


def registered() -> dict[str, Any]:
    """Every op of the package, by name."""
    for package in ("ops", "fused"):
        for module in pkgutil.iter_modules([f"{tinygraph.__path__[0]}/{package}"], f"tinygraph.{package}."):
            importlib.import_module(module.name)
    return {name: op for name, op in OPS.items() if op.function.__module__.startswith(FAMILIES)}


def cases() -> Iterator[Case]:
    """Every sample of every op."""
    for name, op in registered().items():
        for i, s in enumerate(op.samples):
            choices = frozenset(k for k, operand in enumerate(op.operands) if operand == "condition")
            yield Case(f"{name}-{i}", op.call, s.shapes, s.low, s.high, s.params, choices)


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
    yield Case("concatenate", lambda *xs: shape.concatenate(xs, 1), [(2, 1), (2, 3)])
    yield Case("stack", lambda *xs: shape.stack(xs, -1), [(2, 3), (2, 3)])
    yield Case("split", lambda x: shape.concatenate(shape.split(x, [1, 3], 1)[::-1], 1), [(2, 5)])
    yield Case("swapaxes", shape.swapaxes, [(2, 3, 4)], params={"axis1": 0, "axis2": -1})
    yield Case("moveaxis", shape.moveaxis, [(2, 3, 4)], params={"source": (0, 1), "destination": (-1, 0)})
    yield Case("expand_dims", shape.expand_dims, [(2, 3)], params={"axis": (0, -1)})
    yield Case("squeeze", shape.squeeze, [(2, 1, 3)], params={"axis": 1})
    yield Case("flatten", shape.flatten, [(2, 3)])
    yield Case("einsum", lambda x, y: linear.einsum("ij,jk->ki", x, y), [(2, 3), (3, 4)])
    yield Case("numbers", lambda x: 2**x - 1.5**x - 1 / x + 3 * x**3 - x / 4, [(4, 3)], low=0.5)
    yield Case("shared operand", lambda x: x * x + x / square(x), [(4, 3)], low=0.5)


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


def check_first(case: Case) -> None:
    """Compare every gradient of a case with finite differences."""
    xs = case.arrays()
    y = case(*xs)
    g = case.cotangent(y)
    step, tolerance = (1e-2, 2e-4) if np.asarray(y).dtype == np.float32 else (5e-6, 1e-7)
    for i, found in enumerate(gradients(case, xs, g)):
        if xs[i].dtype.kind != "f":
            continue
        at = lambda x, i=i: inner(g, case(*xs[:i], x, *xs[i + 1 :]))
        close(found, differences(at, xs[i], step), tolerance, f"{case.name}: gradient {i}")


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
    for i, second in enumerate(found):
        if not leaves[i].requires_grad:
            continue

        def at(x: np.ndarray, i: int = i) -> float:
            *operands, upstream = [x if k == i else leaf.data for k, leaf in enumerate(leaves)]
            return sum(map(inner, weights, gradients(case, operands, upstream)))

        close(second, differences(at, leaves[i].data, 5e-6), 1e-6, f"{case.name}: second derivative in {i}")


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
        close(a, np.zeros(a.shape) if b is None else b.numpy(), tolerance, "second gradient")
