"""An op of any number of operands has one derivative line for all: it asks which operand it is for, ``i``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

from tinygraph.engine.op import Op, lift
from tinygraph.engine.tensor import Record

__all__ = ["Variadic"]


class Variadic(Op):
    """An op of ``*xs``. Its line may ask for ``i``, ``xs``, ``xs_shapes``, ``out`` and parameters."""

    variadic = True

    def lines_for(self, node: Record, g: Any) -> Iterable[Any]:
        """Return the one line, for each input."""
        return repeat(self.lines[0], len(node.inputs))

    def lift_saved(self, node: Record, i: int) -> Iterable[Any]:
        """Return what the line asked for, arrays as Tensors of the graph."""
        saved: Any = node.saved and node.saved[i]
        for ask, value in zip(self.asks[0], saved):
            yield tuple(map(lift, value, node.inputs)) if ask == "xs" else lift(value, node if ask == "out" else None)

    def parts(self) -> dict[str, Any]:
        """Return what the call does with its operands, as source."""
        return {
            "take": "xs_array = tuple([_x._data if isinstance(_x, _Tensor) else _x for _x in xs])",
            "passed": ", ".join(["*xs_array", *(f"{p}={p}" for p in self.params)]),
            "operands": "xs",
            "none_is": "not any([isinstance(_x, _Tensor) for _x in xs])",
            "mixed": "",
            "want": [
                "xs_nodes = [_x.node if isinstance(_x, _Tensor) else _x for _x in xs]",
                f"xs_want = [isinstance(_x, _Record) and {'_x.needs' if self.lines[0] else False} for _x in xs_nodes]",
                *["xs_shapes = tuple([getattr(_x, 'shape', ()) for _x in xs_array])"] * ("xs_shapes" in self.asks[0]),
            ],
            "nodes": "tuple(xs_nodes)",
            "saved": f"tuple([{self.saved[0]} if _want else None for i, _want in enumerate(xs_want)])",
            "any_want": "any(xs_want)",
        }

    def source_of(self, ask: str) -> str:
        """Return where the call finds what the line asks for, as source."""
        return ask if ask in ("i", "xs_shapes") else super().source_of(ask)
