"""A fused op carries its composite as its definition. The kernel is for speed; the definition says what it computes.

Backward on arrays runs the kernel. Recorded backward differentiates the definition, so every order of
derivative is right by construction.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygraph.autodiff.backward import order_of, walk_recorded
from tinygraph.engine.errors import explain, written_at
from tinygraph.engine.op import Function, Op, lift, op
from tinygraph.engine.tensor import Record, Tensor
from tinygraph.kernels.route import NeedsDefinition
from tinygraph.ops.shape import reshape

__all__ = ["Fused", "fused"]


@dataclasses.dataclass(eq=False, repr=False)
class Fused(Op):
    """An op with a ``definition`` made of ops, and a kernel each way.

    ``forward`` returns ``(out, *extras)``; ``backward(g, operands, extras, **params)`` returns a gradient an
    operand, in arrays of its own, and None for an operand that is None. Operands may have defaults.
    """

    definition: Function = dataclasses.field(kw_only=True)
    backward: Function = dataclasses.field(kw_only=True)

    results = "out, *_extras"

    def __post_init__(self) -> None:
        self.forward = refuse_all_but_tuples(self.forward)
        super().__post_init__()

    def is_operand(self, name: str) -> bool:
        """Whether an argument is an operand: whether it can be given by its place."""
        return self.signature[name].kind is not self.signature[name].KEYWORD_ONLY

    def value(self, *arrays: Any, **params: Any) -> Any:
        """Compute, and record nothing."""
        return self.forward(*arrays, **params)[0]

    def lines_for(self, node: Record, g: Any) -> Iterable[Any]:
        """Run the kernel, which gives all gradients at once, and hand them out."""
        operands, extras = next(filter(None, node.saved or ()))
        try:
            gradients = list(self.backward(g, operands, extras, **node.params))
            if len(gradients) != len(operands):
                raise TypeError(f"a gradient an operand is wanted, {len(operands)}, and there are {len(gradients)}")
        except Exception as error:
            kernel = f"the backward kernel of {self.name}{written_at(self.backward)} of "
            raise explain(error, kernel, (g, *operands)) from error
        return [lambda *_, gx=gx: gx for gx in gradients]

    def pull_recorded(self, node: Record, g: Tensor, wanted: Sequence[bool]) -> Iterable[Tensor | None]:
        """Differentiate the definition, at the operands and no further."""
        arrays, _ = next(filter(None, node.saved or ()))
        operands = list(map(lift, arrays, node.inputs))
        for i, x in enumerate(operands):
            if isinstance(x, Tensor) and any(other is node.inputs[i] for other in node.inputs[:i]):
                operands[i] = reshape(x, x.shape)  # one tensor in two roles: each has its own gradient
        y = self.definition(*operands, **node.params)
        stop = {x.node for x in operands if isinstance(x, Tensor)}
        grads = {y.node: g}
        walk_recorded([n for n in order_of([y.node], stop) if n not in stop], grads)
        yield from (grads.get(x.node) if want else None for x, want in zip(operands, wanted, strict=True))

    def saved_expression(self, i: int) -> str:
        """Keep all operands, and what the kernel wants to see again."""
        return f"(({', '.join(f'{x}_array' for x in self.operands)},), _extras)"


def refuse_all_but_tuples(forward: Function) -> Function:
    """Let a kernel for the way forward say that it returned an array alone, whose rows would be taken for extras."""

    @functools.wraps(forward)
    def checked(*operands: Any, **params: Any) -> Any:
        if not isinstance(found := forward(*operands, **params), tuple):
            raise TypeError(
                "the kernel of a fused op must return a tuple (out, *extras); a comma makes one: return out,"
            )
        return found

    return checked


def fused(tex: str, *, definition: Function, backward: Function, **about: Any) -> Callable[[Function], Function]:
    """Make a fused op of a kernel: as `tinygraph.op`, with a definition and a kernel for the way back.

    Args:
        tex: LaTeX of the result, as for `tinygraph.op`.
        definition: the function made of ops that computes the same.
        backward: the kernel ``(g, operands, extras, **params) -> a gradient an operand``.
        about: the other arguments of `tinygraph.op`.

    Returns:
        A decorator for the kernel of the way forward, which returns ``(out, *extras)``.

    >>> @fused(r"$x^4", definition=lambda x: x * x * x * x, backward=lambda g, xs, extras: [4 * g * xs[0] ** 3])
    ... def fourth(x):
    ...     return x**4,
    >>> x = Tensor([2.0])
    >>> first, = grad(fourth(x).sum(), x, create_graph=True)
    >>> grad(first.sum(), x)
    (array([48.]),)
    """
    make = op(tex, family="fused", kind=functools.partial(Fused, definition=definition, backward=backward), **about)

    def decorate(kernel: Function) -> Function:
        call = make(kernel)

        @functools.wraps(call)
        def call_or_define(*args: Any, **params: Any) -> Any:
            try:
                return call(*args, **params)
            except NeedsDefinition:  # arrays without elements, while tracing
                return definition(*args, **params)

        return call_or_define

    return decorate
