"""What a trace found, as values in one vocabulary: stand-ins, nodes and constants, each made once.

Loops can be written for most of them. The others, matrix products and convolutions and what else is not known, stay
calls of NumPy or of the op itself.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.compiler.standin import Number, StandIn, astype, find, swap, take
from tinygraph.compiler.trace import BACK
from tinygraph.engine.op import Op
from tinygraph.engine.registry import NUMPY
from tinygraph.engine.tensor import Leaf, Record, Tensor, array_of
from tinygraph.engine.types import Array
from tinygraph.kernels.arrays import backend_of

ELEMENTWISE = {
    "add", "sub", "mul", "div", "neg", "square", "sqrt", "exp", "log", "abs", "sign", "greater", "equal", "less",
    "maximum", "minimum", "where", "tanh", "sigmoid", "relu", "erf", "power", "astype", "clip", "finite",
}  # fmt: skip
REDUCTIONS = {"sum", "mean", "max", "min", "logsumexp"}
VIEWS = {"reshape", "broadcast_to", "transpose"}
PICKS = {"pick", "put"}
FUSIBLE = ELEMENTWISE | REDUCTIONS | VIEWS | PICKS

T = TypeVar("T")
NAMES: dict[Any, str] = {  # of NumPy's functions that mean no op, and of what is called otherwise here
    np.greater: "greater", np.equal: "equal", np.less: "less", np.isfinite: "finite", np.squeeze: "reshape",
    np.expand_dims: "reshape", astype: "astype", take: "pick", "scatter": "put",
}  # fmt: skip
FULL = {np.ones_like: 1.0, np.zeros_like: 0.0}  # functions that return one number everywhere
count = itertools.count().__next__


class Value:
    """A traced value.

    ``op`` is the name of an op, or "in" for what the program is given, "const" for a number, "call" for what is left
    to NumPy, and "saved" for a small value that one kernel hands to another. ``facts`` are the parameters of the op,
    the ``source`` of an input, or the ``function`` of a call.
    """

    __slots__ = ("args", "depth", "dtype", "facts", "id", "name", "op", "shape", "size")

    def __init__(
        self, op: str, args: Sequence[Value], shape: Sequence[int], dtype: Any, depth: float, **facts: Any
    ) -> None:
        self.op, self.args, self.shape, self.dtype, self.depth = op, tuple(args), tuple(shape), np.dtype(dtype), depth
        self.facts, self.id, self.size, self.name = facts, count(), math.prod(shape), ""

    @property
    def is_array(self) -> bool:
        """Whether it lies in memory before any kernel runs."""
        return self.op in ("in", "call", "saved")

    @property
    def is_fusible(self) -> bool:
        """Whether loops can be written for it."""
        return self.op in FUSIBLE


class Lowering:
    """Makes a `Value` of whatever a trace has left: of a stand-in, a node, an array or a number, each once.

    Args:
        given: what each stand-in is that the program is given: its kind ("argument", "buffer", "draw", "leaf", or
            "seed" for an upstream gradient) and its number, or the leaf itself.
    """

    def __init__(self, given: dict[StandIn, tuple[str, Any]]) -> None:
        self.given = given
        self.memo: dict[StandIn, Value] = {}
        self.nodes: dict[Record, Any] = {}
        self.made: dict[Any, Value] = {}
        self.captured: dict[int, tuple[Array, Value]] = {}  # inputs that are no arguments, by the id of the array
        self.checks: list[tuple[Value, Callable[[Array], bool]]] = []  # what must hold of values at each call

    def of(self, x: Any) -> Value:
        """Return what a Tensor, a stand-in, an array or a number is as a value."""
        if isinstance(x, Tensor):
            resolve(x.node, lambda node: [i for i in node.inputs if isinstance(i, Record)], self.nodes, self.again)
            return self.of(self.nodes[x.node])
        if not isinstance(x, StandIn):
            return self.of_constant(x)
        resolve(x, lambda s: [] if is_given(s) else find(s.made[1:]), self.memo, self.lowered)
        return self.memo[x]

    def again(self, node: Record) -> Any:
        """Return a stand-in for a node: of a leaf, for its array; of an op, made by the op of stand-ins.

        What ops made of captured parameters alone was computed for good: so it is made again, of stand-ins.
        """
        if not isinstance(node, Leaf):
            operands = [self.nodes[x] if isinstance(x, Record) else x for x in node.inputs]
            array = node.op.value(*operands, **node.params)  # type: ignore[union-attr]
        elif isinstance(node.data, StandIn):
            array = node.data
        else:
            array = StandIn(None, node.shape, node.data.dtype, None, node.name or "")  # type: ignore[arg-type]
            self.memo[array] = self.capture(node.data, node)
        if node.name and isinstance(array, StandIn):
            value = self.of(array)
            value.name = value.name or node.name
        return array

    def capture(self, array: Array, leaf: Leaf | None = None) -> Value:
        """Return the value of an array that the function found elsewhere than among its arguments."""
        if id(array) not in self.captured:
            source = ("leaf", leaf) if leaf else ("array", array)
            self.captured[id(array)] = array, Value("in", (), array.shape, array.dtype, 0, source=source)
        return self.captured[id(array)][1]

    def of_constant(self, x: Any) -> Value:
        """Return a number, or a captured array."""
        is_plain = isinstance(x, np.ndarray) and (x.size != 1 or id(x) in self.captured or x.dtype.kind not in "fiub")
        if is_plain or backend_of(x) == "cupy":
            return self.capture(x)
        number = np.asarray(x)
        dtype = number.dtype if hasattr(x, "dtype") else "f8"
        return self.cons("const", (), number.shape, dtype, value=float(number.reshape(())))

    def cons(self, op: str, args: Sequence[Value], shape: Sequence[int], dtype: Any, **facts: Any) -> Value:
        """Return the value of an op, made once for equal operands and parameters."""
        key = (op, tuple(args), tuple(shape), str(dtype), repr(sorted(facts.items())))
        if key not in self.made:
            depth = max((a.depth for a in args), default=0)
            self.made[key] = Value(op, args, shape, dtype, depth, **facts)
        return self.made[key]

    def lowered(self, x: StandIn) -> Value:
        """Return a stand-in, all of whose operands are known, as a value."""
        if is_given(x):
            source: tuple[str, Any] = ("number", x) if isinstance(x, Number) else self.given[x]
            kind, what = source
            if kind == "leaf":
                return self.capture(what.data, what)
            value = Value("in", (), x.shape, x.dtype, BACK * (what + 1) if kind == "seed" else 0, source=source)
            value.name = x.name
            return value
        function, args, kwargs = x.made
        if function in FULL:
            return self.cons("const", (), x.shape, x.dtype, value=FULL[function])
        name = name_of(function)
        is_fusible = name in FUSIBLE and x.dtype.kind in "fb"
        return (self.fused(x, name, args, kwargs) if is_fusible else None) or self.call(x, function, args, kwargs)

    def fused(self, x: StandIn, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Value | None:
        """Return a value that loops can be written for; None if they cannot, after all."""
        if name in PICKS:
            return self.picked(x, name, args, kwargs)
        if name in REDUCTIONS:
            if set(kwargs) - {"axis", "keepdims"} or args[0].dtype.kind not in "fb" or not args[0].size:
                return None
            n, axis = args[0].ndim, kwargs.get("axis", args[1] if len(args) > 1 else None)
            axes = normalize_axis_tuple(range(n) if axis is None else axis, n) if n else ()
            return self.cons(name, [self.of(args[0])], x.shape, x.dtype, axes=tuple(sorted(axes)))
        if name in VIEWS:
            facts = {}
            if name == "transpose":
                order = args[1] if len(args) > 1 else kwargs.get("axes")
                facts["axes"] = tuple(a % x.ndim for a in (range(x.ndim)[::-1] if order is None else order))
                made = args[0].made if isinstance(args[0], StandIn) and facts["axes"] == (1, 0) else None
                if made is not None and made[0] is np.matmul and all(a.ndim == 2 for a in made[1]):
                    a, b = made[1]  # the transpose of a product is one, whose rows lie as those of the weights do
                    return self.of(np.matmul(b.T, a.T))
            return self.cons(name, [self.of(args[0])], x.shape, x.dtype, **facts)
        if name == "clip":
            bounds = [*args[1:], *[kwargs[k] for k in ("min", "max") if k in kwargs]]
            if len(bounds) != 2:
                return None
            value = self.of(args[0])
            for op, bound in zip(("maximum", "minimum"), bounds, strict=True):
                if bound is not None:
                    value = self.cons(op, [value, self.of(bound)], x.shape, x.dtype)
            return value
        if set(kwargs) - {"dtype"}:
            return None
        return self.cons(name, [self.of(a) for a in args[: 1 if name == "astype" else None]], x.shape, x.dtype)

    def picked(self, x: StandIn, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Value | None:
        """Return indexing with a label for each example, and its derivative; None where the index is another."""
        key = args[1] if name == "pick" else kwargs["key"]
        whole, small = (args[0].shape, x.shape) if name == "pick" else (x.shape, args[0].shape)
        if not isinstance(key, tuple) or len(key) != len(whole):
            return None
        key = [array_of(k) for k in key]
        for at, labels in enumerate(key):
            others = [i for i in range(len(whole)) if i != at]
            if (
                getattr(labels, "shape", None) == small == whole[:at] + whole[at + 1 :]
                and labels.dtype.kind in "iu"
                and all(counts(key[i], whole[i], i - (i > at)) for i in others)
            ):
                v = self.of(labels)
                self.checks.append((v, functools.partial(are_labels, whole[at])))
                return self.cons(name, [self.of(args[0]), v], x.shape, x.dtype, at=at)
        return None

    def call(self, x: StandIn, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Value:
        """Return a value that NumPy computes, or the op itself; its operands are arrays of the program."""
        call = Call(function, args, kwargs)
        operands = [self.of(a) for a in call.holes]
        depth = max((a.depth for a in operands), default=0) + 1
        return Value("call", operands, x.shape, x.dtype, depth, function=call)


class Call:
    """A function of NumPy, or an op, with its arguments; stand-ins in them are holes for the program's arrays."""

    def __init__(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs, self.holes = args, kwargs, find((args, kwargs))
        self.run = function.value if isinstance(function, Op) else function
        self.name = getattr(function, "name", getattr(function, "__name__", "call"))

    def __call__(self, arrays: Sequence[Array]) -> Any:
        """Call the function with arrays in place of the stand-ins."""
        at = {s: x.item() if isinstance(s, Number) else x for s, x in zip(self.holes, arrays, strict=True)}
        return self.run(*swap(self.args, at.__getitem__), **swap(self.kwargs, at.__getitem__))


def counts(k: Any, n: int, axis: int) -> bool:
    """Whether an index counts from 0 to n along one axis."""
    along = isinstance(k, np.ndarray) and k.size == n and all(m == 1 for j, m in enumerate(k.shape) if j != axis)
    return along and np.array_equal(k.ravel(), np.arange(n))


def name_of(function: Any) -> str:
    """Return what an op, or a function of NumPy, is called here; nothing if it is an op of somebody else."""
    op = function if isinstance(function, Op) else getattr(NUMPY.get(function), "op", None)
    name = op.name if op and op.builtin else ""
    return NAMES.get(function) or NAMES.get(name, name)


def is_given(x: StandIn) -> bool:
    """Whether a program is given it; numbers are computed outside of it."""
    return x.made is None or isinstance(x, Number)


def are_labels(classes: int, labels: Array) -> bool:
    """Whether all labels are those of a class; from the end, they may be negative."""
    return not labels.size or bool(labels.min() >= -classes and labels.max() < classes)


def resolve(root: T, parts: Callable[[T], list[T]], known: dict[T, Any], make: Callable[[T], Any]) -> None:
    """Make something of an object, and before of all its parts that are not ``known`` yet; chains may be long."""
    pending = [root]
    while pending:
        x = pending[-1]
        missing = [p for p in parts(x) if p not in known] if x not in known else []
        if missing:
            pending += missing
        else:
            pending.pop()
            if x not in known:
                known[x] = make(x)
