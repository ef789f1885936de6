"""All about an op lives by the op; called with arrays it computes, called with a Tensor it also records.

A derivative line is one function, written in array operations that work on arrays and Tensors alike. It
takes the upstream gradient ``g`` and then *by name* what it needs: an operand (``x``), the result
(``out``), a shape or dtype (``x_shape``), a parameter (``axis``). What no line names is not kept.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np

from tinygraph.engine.arrays import scalar  # noqa: F401 - likewise
from tinygraph.engine.context import CONTEXT  # noqa: F401 - for the calls that are written here
from tinygraph.engine.errors import explain  # noqa: F401 - likewise
from tinygraph.engine.registry import OPS, Sample, implements
from tinygraph.engine.tensor import Leaf, Record, Tensor, serial  # noqa: F401 - likewise

__all__ = ["Op", "op"]

Function = Callable[..., Any]
new = object.__new__
CALL = """{take}
    try:
        {results} = _op.forward({passed})
    except Exception as _error:
        raise _explain(_error, _op.name, ({operands},)) from _error
    if not ({any_is}):
        return out
    _context = _CONTEXT.get()
    if not _context.recording:
        return _constant(out)
    {want}
    _tensor = _new(_Tensor)
    _tensor._data = out
    _tensor.node = _node = _Record()
    _node.op = _op
    _node.inputs = ({nodes},)
    _node.saved = ({saved},)
    _node.needs = {any_want}
    _node.shape = out.shape
    _node.scope = _context.scope
    _node.id = _serial()
    {params}
    return _tensor
"""


class Op:
    """A named array function with its derivatives; what `op` was told, and what follows from it.

    ``operands`` and ``params`` name the arguments; ``lines``, ``partials`` and ``asks`` have, an operand
    each, the derivative line, its LaTeX and the names it asks for.
    """

    variadic = False  # `Variadic` has any number of operands, and one line for all
    definition: Function | None = None
    results = "out"  # what ``forward`` returns, as a call names it

    def __init__(self, function: Function, forward: Function, rules: dict[str, Any], **about: Any) -> None:
        self.name, self.forward, self.function = function.__name__, forward, function
        self.tex, self.says, self.family = about["tex"], about["says"], about["family"]
        self.onnx, self.samples = about["onnx"], about["samples"]
        self.signature = inspect.signature(function).parameters
        self.operands = tuple(filter(self.is_operand, self.signature))
        self.params = {name: p.default for name, p in self.signature.items() if name not in self.operands}
        self.partials = tuple(rules.get(x, ("", None))[0] for x in self.operands)
        self.lines = tuple(rules.get(x, ("", None))[1] for x in self.operands)
        self.asks = tuple(tuple(inspect.signature(f).parameters)[1:] if f else () for f in self.lines)
        self.elementwise = self.family == "elementwise"
        self.plain = type(self).lines_for is Op.lines_for  # whether ``lines`` are all there is to the derivative
        self.differentiable = any(self.lines) or self.definition is not None
        if unknown := rules.keys() - set(self.operands):
            raise TypeError(f"op {self.name}: derivatives for {sorted(unknown)}, which are no operands")
        self.call = functools.wraps(function)(self.written())

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Call the op."""
        return self.call(*args, **params)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def is_operand(self, name: str) -> bool:
        """Whether an argument is an operand: whether it has no default."""
        parameter = self.signature[name]
        return parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY

    def value(self, *arrays: Any, **params: Any) -> Any:
        """Compute, and record nothing."""
        return self.forward(*arrays, **params)

    def lines_for(self, node: Record, g: Any) -> Iterable[Function | None]:
        """Return a line for each input of a node whose gradient is ``g``."""
        return self.lines

    def recorded(self, node: Record, g: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the gradient of each wanted input, recorded: the lines, called with Tensors of the graph."""
        lines: Any = self.lines_for(node, g)
        return [line(g, *self.lifted(node, i)) if want else None for i, (line, want) in enumerate(zip(lines, wanted))]

    def lifted(self, node: Record, i: int) -> Iterable[Any]:
        """Return what line ``i`` asked for as Tensors of the graph."""
        sources = dict(zip(self.operands, node.inputs), out=node)
        saved: Any = node.saved and node.saved[i]
        return (lifted(array, sources.get(ask)) for ask, array in zip(self.asks[i], saved))

    def written(self) -> Function:
        """Write the function that calls this op out of its signature, so that it does what it must and no more."""
        xs, sure = self.operands, " and out.dtype.kind == 'f'" if self.params else ""  # to integers goes no gradient
        take = [f"{x}_is = isinstance({x}, _Tensor); {x}_array = {x}._data if {x}_is else {x}" for x in xs]
        for x, y in (xs, xs[::-1]) if self.elementwise and len(xs) == 2 else ():
            take.append(f"if not {x}_is and type({x}) is float: {x}_array = _scalar({x}, {y}_array)")
        want = [f"{x}_node = {x}.node if {x}_is else {x}" for x in xs]
        for x, line in zip(xs, self.lines):
            want.append(f"{x}_want = " + (f"{x}_is and {x}_node.needs{sure}" if line or self.definition else "False"))
        text = CALL.format(
            take="\n    ".join(take),
            results=self.results,
            passed=", ".join([f"{x}_array" for x in xs] + [f"{p}={p}" for p in self.params]),
            operands=", ".join(xs),
            any_is=" or ".join(f"{x}_is" for x in xs),
            want="\n    ".join(want),
            nodes=", ".join(f"{x}_node" for x in xs),
            saved=", ".join(f"{self.kept(i)} if {x}_want else None" for i, x in enumerate(xs)),
            any_want=" or ".join(f"{x}_want" for x in xs),
            params=f"_node.params = {{{', '.join(f'{p!r}: {p}' for p in self.params)}}}" if self.params else "",
        )
        return self.defined(text)

    def defined(self, body: str) -> Function:
        """Define a function of the op's signature, whose body knows ``_op`` and, with a ``_``, what this file knows."""
        bare = lambda p: p.replace(annotation=p.empty, default=p.default if p.default is p.empty else None)
        signature = inspect.Signature(list(map(bare, self.signature.values())))
        names = {f"_{name}": thing for name, thing in globals().items()} | {"_op": self}  # no argument hides these
        text = f"def {self.name}{signature}:\n    {body}"
        exec(compile(text, f"{__file__}:{self.name}", "exec"), names)  # noqa: S102 - of its own names, as in namedtuple
        call = names[self.name]
        call.__defaults__, call.__kwdefaults__ = self.function.__defaults__, self.function.__kwdefaults__
        return cast(Function, call)

    def kept(self, i: int) -> str:
        """Return what a call keeps for line ``i``, as it is written there."""
        return f"({''.join(f'{self.source(ask)}, ' for ask in self.asks[i])})"

    def source(self, ask: str) -> str:
        """Return where a call finds what a derivative line asks for."""
        owner, _, attribute = ask.rpartition("_")
        if ask == "out" or ask in self.params:
            return ask
        if ask in self.operands:
            return f"{ask}_array"
        if owner in self.operands and attribute in ("shape", "dtype"):
            return f"{owner}_array.{attribute}"
        known = ", ".join([*sorted({"out", *self.operands, *self.params}), "and _shape and _dtype of an operand"])
        raise TypeError(f"op {self.name}: a derivative line asks for {ask!r}; known: {known}")


def tensor_of(array: Any, node: Record) -> Tensor:
    """Join an array with the node that it is the value of."""
    tensor: Tensor = new(Tensor)
    tensor._data, tensor.node = array, node
    return tensor


def constant(array: Any) -> Tensor:
    """Return a Tensor that is not differentiated."""
    return tensor_of(array, Leaf(array, None, False, "constant"))


def lifted(array: Any, source: Any) -> Any:
    """Return an array that is the value of a node as a Tensor of the graph; anything else as it is."""
    return tensor_of(array, source) if isinstance(source, Record) else array


def op(
    tex: str,
    numpy: Any = (),
    *,
    forward: Function | None = None,
    method: str = "",
    says: str = "",
    onnx: str | None = None,
    samples: Sequence[Sample] = (),
    family: str = "elementwise",
    kind: Callable[..., Op] = Op,
    **rules: tuple[str, Function],
) -> Callable[[Function], Function]:
    """Make an op of an array function. Its arguments without a default are operands, the others parameters.

    Of a fused op, all arguments are operands but those that are keyword-only.

    Args:
        tex: LaTeX of the result, ``$x`` standing for the operand x.
        numpy: NumPy function, or a tuple of them, that means this op when called with a Tensor. A ufunc is
            its own forward; ``forward`` is another one to use in place of the function's body.
        method: names of Tensor methods, separated by spaces; ``__rsub__`` and its like swap the operands.
        says: one English sentence, for the lesson. onnx: its name there. samples: calls that tests make.
        family: "elementwise" (its lines may get a smaller g, which broadcasts), "reduction", "shape", "linear",
            "window" or "fused".
        kind: `Op`; or `Variadic`, for any number of operands; `tinygraph.autodiff.fused_op.fused` makes fused ops.
        rules: for each operand ``(LaTeX of the local derivative, derivative line)``.

    Returns:
        The function that calls the op; its ``op`` attribute is the `Op`.

    >>> @op(r"$x^3", x=(r"3$x^2", lambda g, x: g * (3 * x * x)))
    ... def cube(x):
    ...     return x * x * x
    >>> x = Tensor([2.0])
    >>> cube(x).backward(np.ones(1)); x.grad
    array([12.])
    """
    functions = numpy if isinstance(numpy, tuple) else (numpy,)

    def make(function: Function) -> Function:
        ufunc = next((f for f in functions if isinstance(f, np.ufunc)), None)
        about = {"tex": tex, "says": says, "onnx": onnx, "samples": samples, "family": family}
        made = kind(function, forward or ufunc or function, rules, **about)
        OPS[made.name] = made
        made.call.op = made  # type: ignore[attr-defined]
        return implements(*functions, method=method)(made.call)

    return make
