"""An op of any number of operands has one derivative line for all: it is told which one, ``i``, and asks for ``xs``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np

from tinygraph.errors import explain
from tinygraph.op import Op, lifted, record
from tinygraph.tensor import Node, array_of

__all__ = ["Variadic"]


class Variadic(Op):
    """An op of ``*xs``. Its line may ask for ``i``, ``xs``, ``xs_shapes``, ``out`` and parameters."""

    variadic = True

    def lines_for(self, node: Node, g: Any) -> Iterable[Any]:
        """Return the one line, for each input."""
        return repeat(self.lines[0], len(node.inputs))

    def lifted(self, node: Node, i: int) -> Iterable[Any]:
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
