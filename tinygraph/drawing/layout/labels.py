"""What things are called in every format: names, formulas and gradients, as runs of text.

A formula is filled from the graph: its holes become the names of operands, and what has no name is an empty bracket.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from tinygraph.drawing.style.formula import (
    SPACE,
    Run,
    Runs,
    formula_runs,
    gradient_parts,
    join_runs,
    name_runs,
    number_runs,
    scope_runs,
    text_of,
    words,
)
from tinygraph.drawing.style.names import cut_text, name_text
from tinygraph.drawing.style.text_width import shorten
from tinygraph.graph.batch_axis import reduced_axes
from tinygraph.graph.data import STRETCH, Edge, Graph, Node, brief_name, result_name, write_param

__all__ = [
    "axes_words", "call_runs", "contributions", "definition_runs", "dust_of", "gradient_name", "is_loss", "is_nameless",
    "is_rounding", "is_unused_leaf", "label_runs", "local_runs", "loss_name", "loss_of", "picture_name", "usual_dtype",
    "via_runs",
]  # fmt: skip

FEW_RESULTS = 3  # of a collapsed scope, and operands, that its title names
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10}


def label_runs(graph: Graph, i: int, unnamed: str = "") -> Runs:
    """Write what node ``i`` is called; an unnamed one is ``unnamed``, or its number."""
    node = graph.nodes[i]
    if node.kind == "scope":
        name = result_name(node)
        runs = name_runs(name) if name else words(f"▸{shorten(name_text(brief_name(node) or ''), 1, 12)}")
        return (*runs, *number_of(graph, node))
    if node.name:
        runs = name_runs(node.name)
        runs = (Run("(", "roman"), *runs, Run(")", "roman")) if gradient_parts(node.name) else runs
        return (*runs, *number_of(graph, node))
    if graph.is_number(i):
        return number_runs(graph.label(i))
    if node.family == "shape" and node.op == "transpose" and graph.nodes[node.inputs[0].source].name:
        return formula_runs(node.tex, lambda _: label_runs(graph, node.inputs[0].source))
    return (Run(unnamed or f"#{node.number}", "roman"),)


def picture_name(graph: Graph) -> str:
    """Say what a picture is of."""
    shown = [cut_text(name_text(graph.label(i)), 60) for i in graph.outputs[:4]]
    return "Computation of " + ", ".join(shown + ["…"] * (len(graph.outputs) > 4))


def number_of(graph: Graph, node: Node) -> Runs:
    """Write the number of a node beside its name, where another node is called so, too."""
    name = (node.kind == "scope" and result_name(node)) or node.name
    return (Run(f"#{node.number}", "roman"),) if name in graph.repeated_names else ()


def is_nameless(graph: Graph, i: int) -> bool:
    """Whether a formula has no name for node ``i``: it was given none, or stands for a whole scope."""
    node = graph.nodes[i]
    turned = node.op == "transpose" and graph.nodes[node.inputs[0].source].name
    if node.kind == "scope":
        return not result_name(node)
    return not (node.name or graph.is_number(i) or turned)


def call_runs(graph: Graph, node: Node) -> Runs:
    """Write a collapsed scope as the call that it is: ``h = fc1(x)``; a row of equal blocks by its name alone.

    A stretch of ops says what it makes and what it holds: ``h = ops 1–5: 2 mul, 3 tanh``.
    """
    name = scope_runs(node.name or node.op or "scope")
    about = dict(node.params)
    if "results" not in about:
        return name
    if STRETCH.match(f"{node.name}: "):
        return join_runs((*name_runs(result_name(node)), Run(f"{SPACE}={SPACE}", "roman"), *name))
    made = [label for label in about["results"] if label]
    made = made if len(made) == len(about["results"]) <= FEW_RESULTS else []
    parts = [label_runs(graph, e.source) for e in node.inputs if not graph.is_number(e.source)]
    listed = parts[:FEW_RESULTS] + [words("…", "roman")] * (len(parts) > FEW_RESULTS)
    comma = (Run(f",{SPACE}", "roman"),)
    left = [run for k, label in enumerate(made) for run in (*(comma * (k > 0)), *name_runs(label))]
    inside = [run for k, runs in enumerate(listed) for run in (*(comma * (k > 0)), *runs)]
    equals = (Run(f"{SPACE}={SPACE}", "roman"),) if left else ()
    return join_runs((*left, *equals, *name, Run("(", "roman"), *inside, Run(")", "roman")))


def axes_words(axes: Sequence[int], ndim: int) -> str:
    """Say which axes: rows, columns, all, or their numbers."""
    axes = sorted({a % ndim for a in axes}) if ndim else []
    if len(axes) == ndim:
        return "all"
    if ndim == 2:
        return "rows" if axes == [0] else "columns"
    return ",".join(map(str, axes))


def fact_runs(graph: Graph, i: int, edge: Edge | None = None) -> dict[str, Runs]:
    """Return what fills the holes in the definition of node ``i``, or in its local derivative on ``edge``, as runs.

    In a definition the one unnamed operand is an empty bracket, for an arrow shows which it is. In the
    local derivative on ``edge`` it is ``in``, and an unnamed result ``out``.
    """
    node = graph.nodes[i]
    tex = edge.partial if edge else node.tex
    if "$" not in tex:
        return {}
    found: dict[str, Runs] = {
        name: (Run(re.sub(r"array\[.*?\]", "…", write_param(value)), "roman"),) for name, value in node.params
    }
    unnamed = {e.source for e in node.inputs if is_nameless(graph, e.source)}
    for e in (e for e in node.inputs if f"${e.operand}" in tex):
        mine = "in" if edge and e.source == edge.source else "" if edge or len(unnamed) > 1 else "( )"
        found[e.operand] = (Run(mine, "roman"),) if mine and e.source in unnamed else label_runs(graph, e.source)
    found["out"] = label_runs(graph, i, "out")
    if "$xs" in tex:
        listed = [(Run("…", "roman"),) if k is None else label_runs(graph, k) for k in graph.listed_operands(i)]
        runs = (run for k, runs in enumerate(listed) for run in ((Run(", ", "roman"),) * (k > 0)) + runs)
        found["xs"] = join_runs(runs)
    if node.family == "reduction" and node.inputs and "axis" in found:
        ndim = len(graph.nodes[node.inputs[0].source].shape)
        axes = reduced_axes(dict(node.params), ndim)
        found["axis"] = words(axes_words(axes, ndim) if len(axes) < ndim else "", "roman")
    if edge and "$n" in tex:
        found["n"] = number_runs(graph.facts(i, str, edge)["n"])
    return found


def definition_runs(graph: Graph, i: int) -> Runs:
    """Write how node ``i`` is made, without its name."""
    found = fact_runs(graph, i)
    runs = formula_runs(graph.nodes[i].tex, lambda hole: found.get(hole, words(hole, "roman")))
    return tuple(run._replace(text=run.text.replace("(( ))", "( )")) for run in runs)


def local_runs(graph: Graph, i: int, edge: Edge) -> Runs:
    """Write the local derivative of node ``i`` in the operand on ``edge``."""
    found = fact_runs(graph, i, edge)
    return formula_runs(edge.partial, lambda hole: found.get(hole, words(hole, "roman")))


def via_runs(graph: Graph, i: int) -> Runs:
    """Write in a few characters which consumer a contribution came through: ÷, ( )², μ."""
    node = graph.nodes[i]
    if node.family == "elementwise" and "," not in (node.op or ""):
        runs = formula_runs(node.tex, lambda hole: (Run("( )" if len(node.inputs) == 1 else "", "roman"),))
        text = text_of(runs).strip()
        if 0 < len(text) <= 8:
            return words(text, "sans") if len(node.inputs) > 1 else runs
    return label_runs(graph, i)


def loss_of(graph: Graph) -> str:
    """Return the name of what is differentiated: that of the one computed output, or L."""
    nodes = [graph.nodes[i] for i in graph.outputs]
    names = [result_name(n) if n.kind == "scope" else n.name if n.op else None for n in nodes]
    return graph.loss or (names[0] if len(names) == 1 and names[0] else "L")


def loss_name(graph: Graph) -> Runs:
    """Write what is differentiated."""
    return name_runs(loss_of(graph))


def gradient_name(graph: Graph, i: int) -> Runs:
    """Write ∂L/∂x."""
    return join_runs((Run("∂", "roman"), *loss_name(graph), Run("/∂", "roman"), *label_runs(graph, i)))


def usual_dtype(graph: Graph) -> str:
    """Return the dtype of most nodes: what need not be said."""
    kinds = [n.dtype for n in graph.nodes if n.dtype not in ("int", "float", "bool")]
    return max(sorted(set(kinds)), key=kinds.count) if kinds else "float64"


def is_unused_leaf(graph: Graph, node: Node) -> bool:
    """Whether a node is a leaf that nothing was computed from: there is no gradient to speak of."""
    leaf = node.op is None and node.kind != "scope"
    return leaf and not graph.consumers[node.id] and node.grad_state == "pending"


def is_loss(graph: Graph, i: int) -> bool:
    """Whether node ``i`` is a scalar that was asked for."""
    node = graph.nodes[i]
    return i in graph.outputs and node.op is not None and node.kind != "scope" and math.prod(node.shape) == 1


def dust_of(dtype: str, largest: float) -> float:
    """Return the magnitude below which a number is only what rounding leaves of a zero; ``largest`` is of its array."""
    return max(1e-12, 4 * EPS.get(dtype, 0.0)) * largest


def contributions(graph: Graph, i: int) -> list[tuple[int, Edge]]:
    """Return the consumers whose contributions were added up in the gradient of node ``i``, in the order of adding.

    What was made last sends its contribution first.
    """
    found = [(consumer, edge) for consumer, edge in graph.consumers[i] if edge.grad is not None]
    return sorted(found, key=lambda part: -part[0])


def is_rounding(graph: Graph, node: Node) -> bool:
    """Whether a gradient is only what rounding leaves where a sum cancels, as in a bias before batch norm."""
    parts = contributions(graph, node.id)
    if not parts or node.grad is None or any(e.partial not in ("1", "-1") for _, e in parts):
        return False
    room = 0.0
    for consumer, _ in parts:
        above = graph.nodes[consumer].grad
        if above is None or above.max is None or above.min is None:
            return False
        count = math.prod(above.shape) / max(math.prod(node.shape), 1)
        room += 4 * EPS.get(node.dtype, 0.0) * count * max(above.max, -above.min)
    return max(abs(node.grad.max or 0.0), abs(node.grad.min or 0.0)) < room
