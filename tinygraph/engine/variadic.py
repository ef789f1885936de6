"""An op of any number of operands has one derivative line for all: it is told which one, ``i``, and asks for ``xs``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from tinygraph.engine.context import CONTEXT
from tinygraph.engine.errors import explain
from tinygraph.engine.op import Op, constant, lifted, tensor_of
from tinygraph.engine.tensor import Record, Tensor, array_of, serial

__all__ = ["Variadic"]


class Variadic(Op):
    """An op of ``*xs``. Its line may ask for ``i``, ``xs``, ``xs_shapes``, ``out`` and parameters."""

    variadic = True

    def lines_for(self, node: Record, g: Any) -> Iterable[Any]:
        """Return the one line, for each input."""
        return repeat(self.lines[0], len(node.inputs))

    def lifted(self, node: Record, i: int) -> Iterable[Any]:
        """Return what the line asked for as Tensors of the graph."""
        saved: Any = node.saved and node.saved[i]
        for ask, value in zip(self.asks[0], saved):
            made_by = node if ask == "out" else None
            yield tuple(map(lifted, value, node.inputs)) if ask == "xs" else lifted(value, made_by)

    def written(self) -> Any:
        """Return the function that calls this op."""

        def call(*xs: Any, **params: Any) -> Any:
            arrays = tuple(map(array_of, xs))
            params = {**self.params, **params}
            try:
                out = self.forward(*arrays, **params)
            except Exception as error:
                raise explain(error, self.name, xs) from error
            facts = {"out": out, "xs": arrays, "xs_shapes": tuple(map(np.shape, arrays)), **params}
            return record(self, xs, params, out, lambda i: tuple({**facts, "i": i}[ask] for ask in self.asks[0]))

        return call


def record(op: Op, operands: Sequence[Any], params: dict[str, Any], out: Any, asked: Callable[[int], Any]) -> Any:
    """Return the result of a call: as a Tensor, if an operand is one; ``asked(i)`` is what line i asks for."""
    if not any(isinstance(x, Tensor) for x in operands):
        return out
    context = CONTEXT.get()
    if not context.recording:
        return constant(out)
    node: Any = Record()
    node.op, node.params, node.shape, node.scope, node.id = op, params, out.shape, context.scope, serial()
    node.inputs = tuple(x.node if isinstance(x, Tensor) else x for x in operands)
    wants = [isinstance(x, Record) and x.needs for x in node.inputs]
    node.saved, node.needs = tuple(asked(i) if want else None for i, want in enumerate(wants)), any(wants)
    return tensor_of(out, node)
