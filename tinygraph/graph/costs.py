"""About how much work an op is: a count of floating-point operations by its family, from shapes alone.

An addition, a product, a comparison and a function such as exp count as one each; a product that is added counts as
two. What only moves numbers counts as none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygraph.graph.data import Graph
from tinygraph.graph.options import each_of, rank_of

__all__ = ["flops"]

MOVES = frozenset({"astype", "clone"})  # elementwise, and no arithmetic


def flops(graph: Graph, i: int) -> int | None:
    """Estimate the floating-point operations of one node, forward.

    Args:
        graph: from `snapshot`.
        i: id of the node.

    Returns:
        Of an elementwise op the elements of its result, of a reduction those of its operand, of a matrix product or a
        convolution twice the products that are added up; 0 for what moves numbers; None where it is not known.

    >>> from tinygraph import Tensor, snapshot
    >>> graph = snapshot(Tensor(np.ones((4, 3))) @ np.ones((3, 5)))
    >>> flops(graph, graph.outputs[0])
    120
    """
    node = graph.nodes[i]
    params = dict(node.params)
    size = math.prod(node.shape)
    operands = [graph.nodes[e.source].shape for e in node.inputs]
    if not node.op or node.family == "shape" or node.op in MOVES:
        return 0
    if node.family == "elementwise":
        return size
    if node.family == "reduction":
        return math.prod(operands[0])
    if node.op == "matmul":
        return 2 * size * operands[0][-1]
    if "subscripts" in params:
        return 2 * math.prod(sizes_of(str(params["subscripts"]), operands).values())
    if "kernel_size" in params:
        return size * math.prod(map(int, each_of(params["kernel_size"], rank_of(node.op))))
    if node.op.startswith("conv_transpose"):
        return 2 * math.prod(operands[0]) * math.prod(operands[1][1:])
    if node.op.startswith("conv") and not node.op.endswith("_weight"):
        return 2 * size * math.prod(operands[1][1:])
    return None


def sizes_of(subscripts: str, operands: Sequence[tuple[int, ...]]) -> dict[str, int]:
    """Return how long each index of an einsum is; axes under its dots are indices by their place."""
    found: dict[str, int] = {}
    for letters, shape in zip(subscripts.replace(" ", "").partition("->")[0].split(","), operands, strict=False):
        before, dots, after = letters.partition("...")
        middle = [f".{k}" for k in range(len(shape) - len(before) - len(after), 0, -1)] if dots else []
        for index, length in zip([*before, *middle, *after], shape, strict=False):
            found[index] = max(found.get(index, 1), length)
    return found
