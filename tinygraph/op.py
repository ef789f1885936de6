"""All about an op lives by the op; called with arrays it computes, called with a Tensor it also records.

A derivative line is one function, written in array operations that work on arrays and Tensors alike. It
takes the upstream gradient ``g`` and then *by name* what it needs: an operand (``x``), the result
(``out``), a shape or dtype (``x_shape``), a parameter (``axis``). What no line names is not kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.context import CONTEXT
from tinygraph.dispatch import OPS, implements
from tinygraph.errors import explain
from tinygraph.tensor import Leaf, Node, Tensor, array_of, serial

__all__ = ["OPS", "Op", "Sample", "op", "sample"]



class Sample(NamedTuple):
    """An example call for the tests: operand shapes, the range they are drawn from, and the parameters."""

    shapes: tuple[tuple[int, ...], ...]
    low: float
    high: float
    params: dict[str, Any]


def sample(*shapes: tuple[int, ...], low: float = -2.0, high: float = 2.0, **params: Any) -> Sample:
    """Describe an example call: ``sample((4, 3), low=0.5, axis=0)``."""
    return Sample(shapes, low, high, params)


class Op:
    """A named array function, with its derivative in each of its operands.

    Attributes:
        forward: the array function.
        operands, params: names of its array arguments and of the others (with defaults).
        lines: a derivative line an operand, or None.
        tex, partials: LaTeX of the result and of each local derivative, with ``$x`` for an operand.
        says: one English sentence. onnx: its ONNX name, if it has one. samples: example calls.
        family: "elementwise", "reduction", "shape", "linear", "window" or "fused".
        definition: for a fused op, the function made of ops that says what it means.
        backward: for a fused op, the kernel ``(g, operands, extras, **params) -> a gradient an operand``.
    """

    def __init__(self, function: Callable[..., Any], forward: Callable[..., Any], **about: Any) -> None:
        self.name, self.__doc__ = function.__name__, function.__doc__
        self.__name__, self.__module__, self.__wrapped__ = self.name, function.__module__, function
        self.forward: Callable[..., Any] = forward
        self.tex: str = about["tex"]
        self.says: str = about["says"]
        self.onnx: str | None = about["onnx"]
        self.samples: Sequence[Sample] = about["samples"]
        self.family: str = about["family"]
        self.definition: Callable[..., Any] | None = about["definition"]
        self.backward: Callable[..., Any] | None = about["backward"]
        signature = inspect.signature(function).parameters
        self.variadic = next(iter(signature.values())).kind is inspect.Parameter.VAR_POSITIONAL
        rules: dict[str, tuple[str, Callable[..., Any]]] = about["rules"]
        plain = [p for p in signature.values() if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
        self.operands: tuple[str, ...] = tuple(p.name for p in plain)
        self.params = {p.name: p.default for p in signature.values() if p.name not in self.operands}
        if unknown := set(rules) - set(self.operands):
            raise TypeError(f"op {self.name}: derivatives for {sorted(unknown)}, which are no operands")
        self.partials = tuple(rules[x][0] if x in rules else "" for x in self.operands)
        self.lines = tuple(rules[x][1] if x in rules else None for x in self.operands)
        self.asks = tuple(tuple(inspect.signature(f).parameters)[1:] if f else () for f in self.lines)
        self.elementwise = self.family == "elementwise"
        self.differentiable = any(self.lines) or self.backward is not None
        self.saves = {mask: self._save(mask) for mask in range(1 << len(self.operands))}
        narrow = not (self.variadic or self.params or self.backward) and len(self.operands) <= 2
        self.call: Callable[..., Any] = self._general if not narrow else (_unary, _binary)[len(plain) - 1](self)
        OPS[self.name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def line(self, i: int) -> Callable[..., Any] | None:
        """Return the derivative line of operand ``i`` (a variadic op has one for all)."""
        return self.lines[0 if self.variadic else i]

    def partial(self, i: int) -> str:
        """Return the LaTeX of the local derivative in operand ``i``."""
        return self.partials[0 if self.variadic else i]

    def _save(self, mask: int) -> Callable[..., Any]:
        """Write the function that picks, out of a call, what the lines of the operands in ``mask`` ask for."""

        def source(ask: str) -> str:
            owner, _, attribute = ask.rpartition("_")
            return f"{owner}.{attribute}" if owner in self.operands and attribute in ("shape", "dtype") else ask

        known = {"out", *self.operands, *self.params, *("i", "xs_shapes") * self.variadic}
        entries = []
        for i, asks in enumerate(self.asks):
            if unknown := {a for a in asks if source(a) == a} - known:
                raise TypeError(f"op {self.name}: a derivative line asks for {sorted(unknown)}; known: {sorted(known)}")
            wanted = mask >> i & 1 and self.lines[i]
            entries.append("(" + "".join(f"{source(a)}, " for a in asks) + ")" if wanted else "None")
        if self.variadic or self.backward:
            return lambda: None  # _general does it
        picker: Callable[..., Any] = eval(  # noqa: S307 - of names that were checked above, as namedtuple does
            f"lambda {', '.join(['out', *self.operands, *self.params])}: ({', '.join(entries)},)"
        )
        return picker

    def _general(self, *args: Any, **kwargs: Any) -> Any:
        """Call an op of any signature."""
        if not any(isinstance(x, Tensor) for x in args):
            try:
                out = self.forward(*args, **kwargs)
            except Exception as error:
                raise explain(error, self.name, args) from error
            return out[0] if self.backward else out
        count = len(args) if self.variadic else len(self.operands)
        try:
            operands = args[:count] + tuple(kwargs.pop(name) for name in self.operands[len(args) : count])
            params = {**self.params, **dict(zip(self.params, args[count:], strict=False)), **kwargs}
            if len(args) - count > len(self.params) or len(params) > len(self.params):
                raise TypeError(f"{self.name}() does not take {', '.join(params.keys() - self.params) or args[-1]}")
            arrays = tuple(map(array_of, operands))
            out = self.forward(*arrays, **params)
        except KeyError as error:
            raise TypeError(f"{self.name}() needs the operand {error.args[0]!r}") from None
        except Exception as error:
            raise explain(error, self.name, args) from error
        out, *extras = out if self.backward else (out,)
        context = CONTEXT.get()
        if not context.recording:
            return constant(out)
        inputs = tuple(x.node if isinstance(x, Tensor) else x for x in operands)
        differentiable = self.differentiable and out.dtype.kind == "f"
        wants = tuple(differentiable and isinstance(x, Node) and x.needs for x in inputs)
        saved: tuple[Any, ...]
        if self.backward:
            saved = tuple((arrays, tuple(extras)) if want else None for want in wants)
        elif self.variadic:
            facts = {"out": out, "xs": arrays, "xs_shapes": tuple(np.shape(x) for x in arrays), **params}
            pick = lambda i: tuple({**facts, "i": i}[ask] for ask in self.asks[0])  # noqa: E731
            saved = tuple(pick(i) if want else None for i, want in enumerate(wants))
        else:
            saved = self.saves[sum(want << i for i, want in enumerate(wants))](out, *arrays, *params.values())
        return record(self, inputs, params, saved, any(wants), out, context.scope)

    def lifted(self, node: Node, i: int) -> tuple[Any, ...]:
        """Return what line ``i`` asked for as Tensors of the graph, so that the line records."""
        lift = lambda array, x: tensor_of(array, x) if isinstance(x, Node) else array  # noqa: E731
        saved: Any = node.saved and node.saved[i]
        if self.backward:
            return tuple(map(lift, saved[0], node.inputs))
        if self.variadic:
            return tuple(
                tuple(map(lift, s, node.inputs)) if ask == "xs" else lift(s, node) if ask == "out" else s
                for ask, s in zip(self.asks[0], saved, strict=True)
            )
        sources = dict(zip(self.operands, node.inputs, strict=True), out=node)
        return tuple(lift(s, sources.get(ask)) for ask, s in zip(self.asks[i], saved, strict=True))


new = object.__new__


def tensor_of(array: Any, node: Node) -> Tensor:
    """Join an array with the node that it is the value of."""
    tensor = new(Tensor)
    tensor._data, tensor.node = array, node
    return tensor


def constant(array: Any) -> Tensor:
    """Return a Tensor that is not differentiated."""
    return tensor_of(array, Leaf(array, None, False, "constant"))


def record(op: Op, inputs: Any, params: Any, saved: Any, needs: bool, out: Any, scope: tuple[str, ...]) -> Tensor:
    """Return the result of an op as a Tensor that remembers how it was made."""
    node = new(Node)
    node.op, node.inputs, node.params, node.saved, node.needs = op, inputs, params, saved, needs
    node.shape, node.scope, node.id, node.name, node.grad = out.shape, scope, serial(), None, None
    tensor = new(Tensor)
    tensor._data, tensor.node = out, node
    return tensor


NOTHING: dict[str, Any] = {}  # the parameters of an op that has none


def _unary(op: Op) -> Callable[..., Any]:
    """Specialise the call for one operand and no parameters: what `_general` does, without the generality."""
    forward, save, name = op.forward, op.saves[1], op.name
    differentiable = op.differentiable

    def call(x: Any) -> Any:
        try:
            if not isinstance(x, Tensor):
                return forward(x)
            out = forward(x._data)
        except Exception as error:
            raise explain(error, name, (x,)) from error
        context = CONTEXT.get()
        if not context.recording:
            return constant(out)
        node = x.node
        needs = differentiable and node.needs
        return record(op, (node,), NOTHING, save(out, x._data) if needs else (None,), needs, out, context.scope)

    return call


def _binary(op: Op) -> Callable[..., Any]:
    """Specialise the call for two operands and no parameters."""
    forward, name = op.forward, op.name
    save_x, save_y, save_both = op.saves[1], op.saves[2], op.saves[3]
    differentiable = op.differentiable

    def call(x: Any, y: Any) -> Any:
        try:
            if isinstance(x, Tensor):
                a, xs = x.node, x._data
                if isinstance(y, Tensor):
                    b, ys = y.node, y._data
                    out = forward(xs, ys)
                    wants = a.needs + 2 * b.needs
                else:
                    b = ys = y
                    out = forward(xs, y)
                    wants = a.needs
            elif isinstance(y, Tensor):
                a = xs = x
                b, ys = y.node, y._data
                out = forward(x, ys)
                wants = 2 * b.needs
            else:
                return forward(x, y)
        except Exception as error:
            raise explain(error, name, (x, y)) from error
        context = CONTEXT.get()
        if not context.recording:
            return constant(out)
        if not (wants and differentiable):
            return record(op, (a, b), NOTHING, (None, None), False, out, context.scope)
        save = save_both if wants == 3 else save_x if wants == 1 else save_y
        return record(op, (a, b), NOTHING, save(out, xs, ys), True, out, context.scope)

    return call


def op(
    tex: str,
    numpy: Any = (),
    *,
    forward: Callable[..., Any] | None = None,
    method: str = "",
    says: str = "",
    onnx: str | None = None,
    samples: Sequence[Sample] = (),
    family: str = "elementwise",
    definition: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
    **rules: tuple[str, Callable[..., Any]],
) -> Callable[[Callable[..., Any]], Op]:
    """Make an op of an array function. Arguments without a default are operands, the others parameters.

    Args:
        tex: LaTeX of the result, ``$x`` standing for the operand x.
        numpy: NumPy functions that mean this op when called with a Tensor. A ufunc is its own forward.
        method: names of Tensor methods, separated by spaces; ``__rsub__`` and its like swap the operands.
        rules: for each operand ``(LaTeX of the local derivative, derivative line)``.

    >>> @op(r"$x^3", x=(r"3$x^2", lambda g, x: g * (3 * x * x)))
    ... def cube(x):
    ...     return x * x * x
    >>> x = Tensor([2.0])
    >>> cube(x).backward(np.ones(1)); x.grad
    array([12.])
    """
    functions = numpy if isinstance(numpy, tuple) else (numpy,)

    def make(function: Callable[..., Any]) -> Op:
        ufunc = next((f for f in functions if isinstance(f, np.ufunc)), None)
        about = dict(tex=tex, says=says, onnx=onnx, samples=samples, family=family, rules=rules)
        made = Op(function, forward or ufunc or function, definition=definition, backward=backward, **about)
        implements(*functions, method=method)(made.call)
        return made

    return make
