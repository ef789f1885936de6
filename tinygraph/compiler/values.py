"""What a trace found, as values in one vocabulary: stand-ins, nodes and constants, each made once.

Loops can be written for most of them. The others, matrix products and convolutions and what else is not known, stay
calls of NumPy or of the op itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.compiler.standin import Number, StandIn, astype, find, reduction_options, swap, take
from tinygraph.compiler.trace import BACK
from tinygraph.engine.op import Op
from tinygraph.engine.tensor import Leaf, Record, Tensor
from tinygraph.engine.types import Array, Shape
from tinygraph.kernels.arrays import backend_of

ELEMENTWISE = {
    "add", "sub", "mul", "div", "neg", "square", "sqrt", "exp", "log", "abs", "sign", "greater", "equal", "less",
    "maximum", "minimum", "where", "tanh", "sigmoid", "relu", "erf", "power", "astype", "clip", "finite",
}  # fmt: skip
REDUCTIONS = {"sum", "mean", "max", "min", "logsumexp"}
VIEWS = {"reshape", "broadcast_to", "transpose"}
PICKS = {"pick", "put"}
FUSIBLE = ELEMENTWISE | REDUCTIONS | VIEWS | PICKS

NAMES: dict[Any, str] = {  # NumPy's functions, as ops are called
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div", np.negative: "neg", np.square: "square",
    np.sqrt: "sqrt", np.exp: "exp", np.log: "log", np.absolute: "abs", np.sign: "sign", np.greater: "greater",
    np.equal: "equal", np.less: "less", np.maximum: "maximum", np.minimum: "minimum", np.where: "where",
    np.tanh: "tanh", np.power: "power", np.clip: "clip", astype: "astype", np.isfinite: "finite",
    np.sum: "sum", np.mean: "mean", np.max: "max", np.min: "min", np.amax: "max", np.amin: "min",
    np.reshape: "reshape", np.transpose: "transpose", np.broadcast_to: "broadcast_to", np.squeeze: "reshape",
    np.expand_dims: "reshape",
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
        self.memo: dict[Any, Value] = {}
        self.nodes: dict[Record, Any] = {}
        self.made: dict[Any, Value] = {}
        self.kept: list[Any] = []  # so that no id is given twice
        self.captured: list[Value] = []  # inputs that are no arguments
        self.checks: list[tuple[Value, int]] = []  # labels, and the number of classes

    # Nodes. What ops made of captured parameters alone was computed for good: it is made again, of stand-ins.

    def of_tensor(self, tensor: Tensor) -> Value:
        """Return the value of a Tensor."""
        pending = [tensor.node]
        while pending:
            node = pending[-1]
            missing = [x for x in node.inputs if isinstance(x, Record) and x not in self.nodes]
            if node in self.nodes or not missing:
                self.nodes.setdefault(node, self.again(node))
                pending.pop()
            else:
                pending += missing
        return self.of(self.nodes[tensor.node])

    def again(self, node: Record) -> Any:
        """Return a stand-in for a node: of a leaf, for its array; of an op, made by the op of stand-ins."""
        if isinstance(node, Leaf):
            array = node.data
            if not isinstance(array, StandIn):
                array = self.capture(array, node)
        else:
            operands = [self.nodes[x] if isinstance(x, Record) else x for x in node.inputs]
            array = node.op.value(*operands, **node.params)  # type: ignore[union-attr]
        if node.name and isinstance(array, StandIn):
            value = self.of(array)
            value.name = value.name or node.name
        return array

    def capture(self, array: Array, leaf: Leaf | None) -> Any:
        """Return a stand-in for an array that the function found elsewhere than among its arguments."""
        if id(array) not in self.memo:
            source = ("leaf", leaf) if leaf else ("array", array)
            value = Value("in", (), array.shape, array.dtype, 0, source=source)
            self.captured.append(value)
            self.memo[id(array)] = value
            self.kept.append(array)
        if leaf is None:
            return array
        stand_in = StandIn(None, array.shape, array.dtype, None, leaf.name or "")  # type: ignore[arg-type]
        self.memo[stand_in] = self.memo[id(array)]
        return stand_in

    # Values.

    def of(self, x: Any) -> Value:
        """Return what a stand-in, an array or a number is as a value."""
        if isinstance(x, Tensor):
            return self.of_tensor(x)
        if not isinstance(x, StandIn):
            return self.of_constant(x)
        pending = [x]
        while pending:  # chains are long: no recursion
            stand_in = pending[-1]
            if stand_in in self.memo:
                pending.pop()
                continue
            made = stand_in.made is not None and not isinstance(stand_in, Number)
            missing = [s for s in inside(stand_in.made[1:]) if s not in self.memo] if made else []
            if missing:
                pending += missing
            else:
                self.memo[stand_in] = self.lowered(stand_in)
        return self.memo[x]

    def of_constant(self, x: Any) -> Value:
        """Return a number, or a captured array."""
        is_plain = isinstance(x, np.ndarray) and (x.size != 1 or id(x) in self.memo or x.dtype.kind not in "fiub")
        if is_plain or backend_of(x) == "cupy":
            self.capture(x, None)
            return self.memo[id(x)]
        number = float(np.asarray(x).reshape(()))
        shape = np.shape(x)
        return self.cons("const", (), shape, np.asarray(x).dtype if hasattr(x, "dtype") else "f8", value=number)

    def cons(self, op: str, args: Sequence[Value], shape: Sequence[int], dtype: Any, **facts: Any) -> Value:
        """Return the value of an op, made once for equal operands and parameters."""
        key = (op, tuple(args), tuple(shape), str(dtype), repr(sorted(facts.items())))
        if key not in self.made:
            depth = max((a.depth for a in args), default=0)
            self.made[key] = Value(op, args, shape, dtype, depth, **facts)
        return self.made[key]

    def lowered(self, x: StandIn) -> Value:
        """Return a stand-in, all of whose operands are known, as a value."""
        if x.made is None or isinstance(x, Number):
            source: tuple[str, Any] = ("number", x) if isinstance(x, Number) else self.given[x]
            kind, number = source
            if kind == "leaf":
                self.capture(number.data, number)
                return self.memo[id(number.data)]
            value = Value("in", (), x.shape, x.dtype, BACK * (number + 1) if kind == "seed" else 0, source=source)
            value.name = x.name
            return value
        function, args, kwargs = x.made
        if isinstance(function, Op):
            name = "put" if function.name == "scatter" else function.name
        else:
            name = "pick" if function is take else NAMES.get(function, "")
        found = None
        if function in FULL:
            return self.cons("const", (), x.shape, x.dtype, value=FULL[function])
        if name in FUSIBLE and x.dtype.kind in "fb":
            found = self.fused(x, name, args, kwargs)
        return found or self.call(x, function, args, kwargs)

    def fused(self, x: StandIn, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Value | None:
        """Return a value that loops can be written for; None if they cannot, after all."""
        if name in PICKS:
            return self.picked(x, name, args, kwargs)
        if name in REDUCTIONS:
            if set(kwargs) - {"axis", "keepdims"} or args[0].dtype.kind not in "fb" or not args[0].size:
                return None
            n, axis = args[0].ndim, reduction_options(args, kwargs)[0]
            axes = range(n) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
            return self.cons(
                name, [self.of(args[0])], x.shape, x.dtype, axes=tuple(sorted(a % n for a in axes)) if n else ()
            )
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
        whole: Shape = args[0].shape if name == "pick" else x.shape
        small: Shape = x.shape if name == "pick" else args[0].shape
        if not isinstance(key, tuple) or len(key) != len(whole) or len(small) != len(whole) - 1:
            return None
        key = [k._data if isinstance(k, Tensor) else k for k in key]
        if not all(hasattr(k, "dtype") and k.dtype.kind in "iu" for k in key):
            return None
        for at in range(len(whole)):
            others = [i for i in range(len(whole)) if i != at]
            if key[at].shape == small == whole[:at] + whole[at + 1 :] and all(
                counts(key[i], whole[i], i - (i > at)) for i in others
            ):
                labels = self.of(key[at])
                self.checks.append((labels, whole[at]))
                return self.cons(name, [self.of(args[0]), labels], x.shape, x.dtype, at=at)
        return None

    def call(self, x: StandIn, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Value:
        """Return a value that NumPy computes, or the op itself; its operands are arrays of the program."""
        operands = [self.of(a) for a in inside((args, tuple(kwargs.values())))]
        value = self.cons(
            "call",
            operands,
            x.shape,
            x.dtype,
            function=Call(function, args, kwargs, list(inside((args, tuple(kwargs.values()))))),
        )
        value.depth = max((a.depth for a in operands), default=0) + 1
        return value


class Call:
    """A function of NumPy, or an op, with its arguments; stand-ins in them are holes for the program's arrays."""

    def __init__(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any], holes: list[StandIn]) -> None:
        self.function, self.args, self.kwargs, self.holes = function, args, kwargs, holes
        self.run = function.value if isinstance(function, Op) else function
        self.name = getattr(function, "name", getattr(function, "__name__", "call"))

    def __repr__(self) -> str:
        return f"{self.name}{id(self)}"

    def __call__(self, arrays: Sequence[Array]) -> Any:
        """Call the function with arrays in place of the stand-ins."""
        at = {s: x.item() if isinstance(s, Number) else x for s, x in zip(self.holes, arrays, strict=True)}

        def fill(x: Any) -> Any:
            return swap(x._data if isinstance(x, Tensor) else x, at.__getitem__)

        return self.run(*map(fill, self.args), **{k: fill(v) for k, v in self.kwargs.items()})


def counts(k: Any, n: int, axis: int) -> bool:
    """Whether an index counts from 0 to n along one axis."""
    along = isinstance(k, np.ndarray) and k.size == n and all(m == 1 for j, m in enumerate(k.shape) if j != axis)
    return along and np.array_equal(k.ravel(), np.arange(n))


def inside(x: Any) -> list[StandIn]:
    """Return the stand-ins in arguments, each once, in order."""
    return list(dict.fromkeys(find(x)))
