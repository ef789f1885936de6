"""All about an op lives by the op. Called with arrays it computes; called with a Tensor it also records.

A derivative line is one function, written in array operations that work on arrays and on Tensors. It takes the
upstream gradient ``g``, and then *by name* what it needs: an operand (``x``), the result (``out``), a shape or dtype
(``x_shape``), a parameter (``axis``). What no line names is not kept in memory.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import linecache
import math
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any, cast

import numpy as np

from tinygraph.engine.context import CONTEXT
from tinygraph.engine.errors import explain
from tinygraph.engine.registry import OPS, Sample, implements
from tinygraph.engine.tensor import Leaf, Record, Tensor, serial
from tinygraph.engine.types import Array

__all__ = ["Op", "op"]

Function = Callable[..., Any]
FAMILIES = ("elementwise", "reduction", "shape", "linear", "window", "fused")
Rules = dict[str, "tuple[str, Function] | None"]

# The source of an op's call; `Op.source_of_call` fills in what stands in braces.
CALL = """\
def {name}{signature}:
    {torch}{take}
    try:
        {results} = _op.forward({passed})
    except Exception as _error:
        raise _explain(_error, _op.name, {operands}) from _error
    {check}if {none_is}:
        return out
    if {mixed}out.dtype.kind == 'c':
        raise _explain(_COMPLEX, _op.name, {operands})
    _shape = out.shape
    if not _shape:
        out = _zero_dimensional(out)
    _context = _CONTEXT.get()
    if not _context.recording:
        return _constant(out)
    {want}
    _tensor = _new(_Tensor)
    _tensor._data = out
    _tensor.node = _node = _Record()
    _node.op = _op
    _node.inputs = {nodes}
    _node.saved = {saved}
    _node.needs = {any_want}
    _node.shape = _shape
    _node.scope = _context.scope
    _node.id = _serial()
    {params}return _tensor
"""
CHECK = """\
if isinstance(out, _Tensor):
        raise _explain(_HIDDEN, _op.name, {operands})
    """
TORCH = {"axis": "dim", "keepdims": "keepdim"}  # PyTorch's names of two parameters: a call takes either
GIVEN = "if {1} is not None or type({0}) is list: {0} = _either(_op, {0!r}, {0}, {1!r}, {1})\n    "


@dataclasses.dataclass(eq=False, repr=False)
class Op:
    """A named array function with its derivatives.

    ``operands`` and ``params`` name the arguments. ``lines``, ``partials`` and ``asks`` have one entry an operand:
    the derivative line, its LaTeX, and the names that the line asks for. ``code`` is the source of the call.

    Args:
        function: the function with its signature: arguments without a default are operands.
        forward: what computes the value: ``function``, or a ufunc.
        tex: LaTeX of the result, ``$x`` standing for the operand x.
        rules: for each operand, the LaTeX of its local derivative and its derivative line.
        says: one English sentence.
        onnx: its name in ONNX.
        family: as for `op`.
        samples: calls that tests make.

    >>> tg.mul.op.operands, tg.mul.op.asks
    (('x', 'y'), (('y',), ('x',)))
    """

    function: Function
    forward: Function
    tex: str
    rules: Rules
    says: str = ""
    onnx: str = ""
    family: str = "elementwise"
    samples: Sequence[Sample] = ()
    definition: Function | None = dataclasses.field(default=None, init=False)  # `Fused` has one, made of ops

    variadic = False  # `Variadic` has any number of operands, and one line for all
    results = "out"  # what ``forward`` returns, as the call names it

    def __post_init__(self) -> None:
        self.name = getattr(self.function, "__name__", "")
        if not self.name.isidentifier():
            raise TypeError(f"op: {self.function!r} has no name: define the function with def")
        if self.family not in FAMILIES:
            raise ValueError(f"op {self.name}: family={self.family!r} is not known: it is one of {', '.join(FAMILIES)}")
        self.signature = inspect.signature(self.function).parameters
        self.operands = tuple(filter(self.is_operand, self.signature))
        self.params = {name: p.default for name, p in self.signature.items() if name not in self.operands}
        self.torch = {x: y for x, y in TORCH.items() if x in self.params and y not in self.signature}
        self.check_rules()
        rules = [self.rules.get(x) or ("", None) for x in self.operands]
        self.partials, self.lines = tuple(zip(*rules)) or ((), ())
        self.asks = tuple(tuple(inspect.signature(line).parameters)[1:] if line else () for line in self.lines)
        self.elementwise = self.family == "elementwise"
        self.builtin = (self.function.__module__ or "").startswith("tinygraph.")  # its lines may get a smaller g
        self.plain = type(self).lines_for is Op.lines_for  # ``lines`` are the whole derivative
        self.differentiable = any(self.lines) or self.definition is not None
        self.saved = [self.saved_expression(i) for i in range(len(self.asks))]
        self.public = FunctionType(first_call.__code__, {**NAMES, "_op": self}, self.name)
        functools.update_wrapper(self.public, self.function)

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Call the op."""
        return self.call(*args, **params)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def check_rules(self) -> None:
        """Raise if a derivative is given for no operand, or an operand has none although another has one."""
        used = {f"{x}_{part}" for x in self.operands for part in ("is", "array", "node", "want", "nodes", "shapes")}
        used |= {"out", "type", "isinstance", *(["i", "any", "tuple", "enumerate", "getattr"] if self.variadic else [])}
        if taken := self.signature.keys() & used:
            raise TypeError(f"op {self.name}: no argument may be called {min(taken)}: its call uses that name")
        if unknown := self.rules.keys() - set(self.operands):
            raise TypeError(f"op {self.name}: derivatives for {sorted(unknown)}, which are no operands")
        for x, rule in self.rules.items():
            if rule is not None and not (isinstance(rule, tuple) and len(rule) == 2 and callable(rule[1])):
                raise TypeError(f"op {self.name}: {x}= must be (LaTeX, derivative line), or None, not {rule!r}")
        left = [x for x in self.operands if x not in self.rules]
        if left and any(self.rules.values()):
            advice = f"give {left[0]}=(LaTeX, line), or {left[0]}=None if no gradient goes there"
            raise TypeError(f"op {self.name}: operand {left[0]} has no derivative line: {advice}")

    def is_operand(self, name: str) -> bool:
        """Whether an argument is an operand: whether it has no default."""
        parameter = self.signature[name]
        return parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY

    def value(self, *arrays: Any, **params: Any) -> Any:
        """Compute, and record nothing."""
        return self.forward(*arrays, **params)

    def lines_for(self, node: Record, g: Any) -> Iterable[Function | None]:
        """Return a derivative line for each input of a node whose gradient is ``g``."""
        return self.lines

    def pull_recorded(self, node: Record, g: Tensor, wanted: Sequence[bool]) -> Iterable[Tensor | None]:
        """Yield the gradient of each wanted input as a recorded Tensor: the same lines, called with Tensors."""
        for i, (line, want) in enumerate(zip(cast(Any, self.lines_for(node, g)), wanted)):
            yield line(g, *self.lift_saved(node, i)) if want else None

    def lift_saved(self, node: Record, i: int) -> Iterable[Any]:
        """Return what line ``i`` asked for, arrays as Tensors of the graph."""
        sources = dict(zip(self.operands, node.inputs), out=node)
        saved: Any = node.saved and node.saved[i]
        return (lift(array, sources.get(ask)) for ask, array in zip(self.asks[i], saved))

    @functools.cached_property
    def code(self) -> str:
        """Source of this op's call, from its signature, with no loop or test that this op does not need."""
        parts = {name: "\n    ".join(part) if isinstance(part, list) else part for name, part in self.parts().items()}
        return CALL.format(
            name=self.name,
            signature=self.signature_of_call(),
            torch="".join(GIVEN.format(*names) for names in self.torch.items()),
            results=self.results,
            check="" if self.builtin else CHECK.format(operands=parts["operands"]),
            params=f"_node.params = {{{', '.join(f'{p!r}: {p}' for p in self.params)}}}\n    " if self.params else "",
            **parts,
        )

    def parts(self) -> dict[str, Any]:
        """Return what the call does with each operand, as source."""
        xs, real = self.operands, " and out.dtype.kind == 'f'" if self.params else ""  # to integers goes no gradient
        rest = "_asarray({0}) if type({0}) is list else {0}"
        take = [f"{x}_is = isinstance({x}, _Tensor); {x}_array = {x}._data if {x}_is else {rest.format(x)}" for x in xs]
        for x, y in (xs, xs[::-1]) if self.elementwise and len(xs) == 2 else ():
            take.append(f"if not {x}_is and type({x}) is float: {x}_array = _scalar({x}, {y}_array)")
        want = [f"{x}_node = {x}.node if {x}_is else {x}" for x in xs]
        for x, line in zip(xs, self.lines):
            want.append(f"{x}_want = " + (f"{x}_is and {x}_node.needs{real}" if line or self.definition else "False"))
        return {
            "take": take,
            "passed": ", ".join([f"{x}_array" for x in xs] + [f"{p}={p}" for p in self.params]),
            "operands": tuple_source(xs),
            "none_is": " and ".join(f"not {x}_is" for x in xs),
            "mixed": f"not ({' and '.join(f'{x}_is' for x in xs)}) and " if self.builtin and not self.params else "",
            "want": want,
            "nodes": tuple_source([f"{x}_node" for x in xs]),
            "saved": tuple_source([f"{saved} if {x}_want else None" for x, saved in zip(xs, self.saved)]),
            "any_want": " or ".join(f"{x}_want" for x in xs),
        }

    def signature_of_call(self) -> inspect.Signature:
        """Return the signature without annotations, every default as None, and PyTorch's names beside NumPy's."""
        bare = [p.replace(annotation=p.empty, default=p.default if p.default is p.empty else None)
                for p in self.signature.values()]  # fmt: skip
        theirs = [inspect.Parameter(p, inspect.Parameter.KEYWORD_ONLY, default=None) for p in self.torch.values()]
        return inspect.Signature(bare + theirs)

    @functools.cached_property
    def call(self) -> Function:
        """``public`` with its code, compiled at the first call; tracebacks and debuggers find the code by its name."""
        file, made = f"<op {self.name}>", dict[str, Any]()
        linecache.cache[file] = len(self.code), None, self.code.splitlines(keepends=True), file
        exec(compile(self.code, file, "exec"), made)  # noqa: S102 - source of our own, of names that were checked
        given = [p for p in self.signature.values() if p.default is not p.empty]
        self.public.__defaults__ = tuple(p.default for p in given if p.kind is not p.KEYWORD_ONLY)
        self.public.__kwdefaults__ = dict.fromkeys(self.torch.values()) | {p.name: p.default for p in given}
        self.public.__code__ = made[self.name].__code__
        return self.public

    def saved_expression(self, i: int) -> str:
        """Return what the call keeps for line ``i``, as source."""
        return tuple_source(list(map(self.source_of, self.asks[i])))

    def source_of(self, ask: str) -> str:
        """Return where the call finds what a derivative line asks for, as source."""
        owner, _, attribute = ask.rpartition("_")
        if ask in ("out", *self.params, *self.operands):
            return f"{ask}_array" if ask in self.operands else ask
        if owner in self.operands and attribute in ("shape", "dtype"):
            return f"{owner}_array.{attribute}"
        known = ", ".join([*sorted({"out", *self.operands, *self.params}), "and _shape and _dtype of an operand"])
        raise TypeError(f"op {self.name}: a derivative line asks for {ask!r}; known: {known}")


def first_call(*args: Any, **params: Any) -> Any:
    """Stand for the call of an op until that is compiled: a program uses few of the ops that it imports."""
    return _op.call(*args, **params)  # type: ignore[name-defined]  # noqa: F821 - its globals are the names and the op


def tuple_source(parts: Sequence[str]) -> str:
    """Write a tuple as source."""
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def tensor_of(array: Any, node: Record) -> Tensor:
    """Join an array with the node that it is the value of."""
    tensor: Tensor = Tensor.__new__(Tensor)
    tensor._data, tensor.node = array, node
    return tensor


def constant(array: Any) -> Tensor:
    """Return a Tensor that is not differentiated."""
    return tensor_of(array, Leaf(array, None, False, "constant"))


def lift(array: Any, source: Any) -> Any:
    """Return an array as a Tensor of the node that made it; without one, as it is."""
    return tensor_of(array, source) if isinstance(source, Record) else array


def zero_dimensional(out: Any) -> Any:
    """Return a NumPy scalar as a 0-d array, since a Tensor's data is always an array."""
    return np.asarray(out) if isinstance(out, np.generic) else out


def either(op: Op, ours: str, value: Any, theirs: str, given: Any) -> Any:
    """Return the parameter that was given under either name, a list as a tuple; raise if it was given under both."""
    if given is not None and value != op.params[ours]:
        raise TypeError(f"{op.name}: give {ours}= or {theirs}=, which mean the same, and not both")
    return tuple(found) if type(found := value if given is None else given) is list and found else found


def scalar(value: float, beside: Any) -> Any:
    """Return a Python number as an array of the dtype beside it: NumPy takes those in half the time."""
    if type(beside) is not np.ndarray or beside.dtype.kind != "f" or (not value and math.copysign(1, value) < 0):
        return value  # -0.0 would share its place with 0.0
    return read_only(value, beside.dtype)


@functools.lru_cache(maxsize=4096)
def read_only(value: float, dtype: Any) -> Array:
    """Return a number as an array that is made once."""
    array = np.array(value, dtype)
    array.flags.writeable = False
    return array


# The names that a call uses beside its own arguments; the underscore keeps them apart from those.
NAMES: dict[str, Any] = {
    "_Tensor": Tensor,
    "_asarray": np.asarray,
    "_Record": Record,
    "_CONTEXT": CONTEXT,
    "_COMPLEX": TypeError("complex numbers have no derivative here: write the real and the imaginary part apart"),
    "_HIDDEN": TypeError("the result is a Tensor: one is used that is no operand, and would get no gradient"),
    "_constant": constant,
    "_either": either,
    "_explain": explain,
    "_new": object.__new__,
    "_scalar": scalar,
    "_serial": serial,
    "_zero_dimensional": zero_dimensional,
}


def op(
    tex: str,
    numpy: Any = (),
    *,
    method: str = "",
    forward: Function | None = None,
    says: str = "",
    onnx: str = "",
    family: str = "elementwise",
    samples: Sequence[Sample] = (),
    replace: bool = False,
    kind: Callable[..., Op] = Op,
    **rules: tuple[str, Function] | None,
) -> Callable[[Function], Function]:
    """Make an op of an array function. Its arguments without a default are operands, the others parameters.

    Of a fused op, all arguments are operands but those that are keyword-only.

    Args:
        tex: LaTeX of the result, ``$x`` standing for the operand x.
        numpy: NumPy function, or a tuple of them, that means this op when called with a Tensor. A ufunc also
            computes the value.
        method: names of Tensor methods, separated by spaces; ``__rsub__`` and its like swap the operands.
        forward: function that computes the value, in place of the decorated function's body.
        says: one English sentence, for the lesson.
        onnx: the op's name in ONNX.
        family: "elementwise", "reduction", "shape", "linear", "window" or "fused". Of an elementwise op a
            derivative line need not undo broadcasting: its gradient is summed to the operand's shape.
        samples: calls that tests make.
        replace: allow the name of an op that tinygraph has.
        kind: `Op`; or `Variadic`, for any number of operands; `tinygraph.fused.fused_op.fused` makes fused ops.
        rules: for each operand ``(LaTeX of the local derivative, derivative line)``, or None if no gradient goes
            there. A line takes ``g``, the upstream gradient in the result's shape, and by name what it needs.

    Returns:
        A decorator; what it returns calls the op, which is its ``op`` attribute.

    Raises:
        TypeError: an operand has no rule although another has one, a rule is for no operand, or a line asks for
            what is not known.
        ValueError: tinygraph has an op of that name, and ``replace`` is not given; or the family is not known.

    >>> @op(r"$x^3", x=(r"3$x^2", lambda g, x: g * (3 * x * x)))
    ... def cube(x):
    ...     return x * x * x
    >>> x = Tensor([2.0])
    >>> cube(x).backward(np.ones(1)); x.grad
    array([12.])
    """
    if not isinstance(tex, str):
        raise TypeError(f'op: the first argument is LaTeX, not {tex!r}: write @op(r"…", x=(LaTeX, line))')
    functions = numpy if isinstance(numpy, tuple) else (numpy,)

    def make(function: Function) -> Function:
        known = OPS.get(function.__name__)
        if known and known.builtin and not replace:
            raise ValueError(f"tinygraph has an op {known.name}: choose another name, or pass replace=True")
        ufunc = next((f for f in functions if isinstance(f, np.ufunc)), None)
        made = kind(function, forward or ufunc or function, tex, rules, says, onnx, family, samples)
        OPS[made.name] = made
        made.public.op = made  # type: ignore[attr-defined]
        return implements(*functions, method=method)(made.public)

    return make
