"""What to know of an op beside its name: the kernel, stride and padding of a convolution, p of a dropout."""

from __future__ import annotations

from typing import Any

from tinygraph.graph.data import Graph, Node, write_number

__all__ = ["layer_words", "op_words"]

USUAL = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}
SWITCHES = (("ceil_mode", False, "rounded up"), ("count_include_pad", True, "without its padding"))
SHORT = {"padding": "pad", "output_padding": "output pad"}


def op_words(graph: Graph, node: Node) -> str:
    """Name the op of a node, with the options that are not the usual ones.

    Args:
        graph: the graph that the node is in.
        node: one of its nodes.

    Returns:
        Such as ``conv2d 3×3, stride 2, pad 1``; of a leaf its kind.

    >>> from tinygraph import Tensor, conv2d, snapshot
    >>> graph = snapshot(conv2d(Tensor(np.ones((1, 1, 5, 5))), np.ones((1, 1, 3, 3)), stride=2))
    >>> op_words(graph, graph.nodes[-1])
    'conv2d 3×3, stride 2'
    """
    params = dict(node.params)
    if node.op == "dropout":
        return f"dropout, p = {write_number(params.get('p'))}"
    if node.family != "window" or not node.op:
        return node.op or node.kind
    shapes, rank = [graph.nodes[e.source].shape for e in node.inputs], rank_of(node.op)
    kernel = params.get("kernel_size") or next((s[2:] for s in shapes[1:] if len(s) == rank + 2), None)
    usual = {**USUAL, "stride": kernel} if "kernel_size" in params and "fold" not in node.op else USUAL
    if "mode" in params:  # of a resampling
        kernel, rank = params["size"], 1
    size = " " + "×".join(map(write_number, each_of(kernel, rank))) if kernel else ""
    said = [
        f"{SHORT.get(name, name)} {'×'.join(dict.fromkeys(map(write_number, each_of(params[name], rank))))}"
        for name, value in usual.items()
        if params.get(name) is not None and each_of(params[name], rank) != each_of(value, rank)
    ]
    said += [str(params["mode"])] if "mode" in params else []
    said += [words for name, value, words in SWITCHES if params.get(name, value) is not value]
    if params.get("divisor_override"):
        said.append(f"divided by {write_number(params['divisor_override'])}")
    return ", ".join([f"{node.op}{size}", *said])


def layer_words(graph: Graph, members: tuple[int, ...]) -> str:
    """Name the one op of a layer that has options: what is said of a convolution, a pooling or a dropout.

    Args:
        graph: the graph that the layer is in.
        members: ids of the nodes of the layer.

    Returns:
        The words of `op_words`; nothing if there is no such op, or more than one.
    """
    found = [node for i in members if (node := graph.nodes[i]).op and (node.family == "window" or node.op == "dropout")]
    return op_words(graph, found[0]) if len(found) == 1 else ""


def each_of(value: Any, rank: int) -> tuple[Any, ...]:
    """Return an option as one number for each axis; a word such as "same" stands alone."""
    value = value.get("tuple") if isinstance(value, dict) else value
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list | tuple) else (value,) * rank


def rank_of(op: str | None) -> int:
    """Return over how many axes the windows of an op lie: its name has the number, and 2 is usual."""
    return next((int(c) for c in op or "" if c.isdigit()), 2)
