"""What a page says of a node when its card is chosen: what made it, what uses it, its derivatives, and what it costs.

All of it is data in the page, in rows that share their strings; formulas are templates with ``{0}`` for the operands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tinygraph.drawing.formats.svg import UNSAFE, xml_text
from tinygraph.drawing.layout.card import statistics_text
from tinygraph.drawing.layout.labels import axes_words
from tinygraph.drawing.style.conventions import shape_text, state_words
from tinygraph.drawing.style.formula import Run, Runs, formula_runs, name_runs, number_runs
from tinygraph.drawing.style.names import name_text, path_text
from tinygraph.graph.batch_axis import reduced_axes
from tinygraph.graph.costs import flops
from tinygraph.graph.data import Graph, Node, fill, write_param
from tinygraph.graph.options import op_words

__all__ = ["Measured", "Strings", "card_row", "node_rows", "runs_html"]


class Measurement(Protocol):
    """What one op took in one scope, in one direction."""

    op: str
    scope: tuple[str, ...]
    phase: str
    calls: int
    seconds: float


class Measured(Protocol):
    """A profile: what `tinygraph.profile` gives."""

    @property
    def entries(self) -> Sequence[Measurement]:
        """An entry for each op, scope and phase."""


class Strings:
    """Strings by number, each once."""

    def __init__(self) -> None:
        self.place: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Return the number of a string, in which nothing is that a file cannot have."""
        return self.place.setdefault(UNSAFE.sub("\ufffd", text), len(self.place))

    @property
    def all(self) -> list[str]:
        """The strings, in the order of their numbers."""
        return list(self.place)


def runs_html(runs: Runs) -> str:
    """Write runs as HTML: indices, exponents, and letters of mathematics in italics."""
    out = []
    for run in runs:
        text = xml_text(run.text)
        text = f"<i>{text}</i>" if run.face == "serif" else f"<b>{text}</b>" if run.face == "bold" else text
        out.append(f"<sup>{text}</sup>" if run.rise > 0.05 else f"<sub>{text}</sub>" if run.rise < -0.05 else text)
    return "".join(out)


def node_rows(
    graph: Graph, whole: Graph, home: dict[int, int], strings: Strings, measured: Measured | None
) -> list[list[Any]]:
    """Return a row for each node that can have a card.

    Args:
        graph: the snapshot.
        whole: its nodes as they are drawn where nothing is collapsed; see `insides.tagged`.
        home: for each of them, which picture has its card.
        strings: takes the strings of the rows.
        measured: a profile of the same computation.
    """
    number = {n.id: n.number for n in whole.nodes}
    known_texts: dict[Any, Any] = {}  # of equal ops

    def once(write: Callable[..., str], node: Node, *more: Any) -> str:
        operands = tuple((e.operand, len(whole.nodes[e.source].shape)) for e in node.inputs)
        key = (write, node.tex, node.says, node.params and repr(node.params), operands, len(node.shape), *more)
        if key not in known_texts:
            known_texts[key] = write(whole, node, *more)
        return str(known_texts[key])

    cost = [flops(graph, n.id) for n in graph.nodes]
    times = times_of(measured)
    rows = []
    for node in whole.nodes:
        if whole.is_number(node.id):
            continue
        costs = [cost[i] for i in node.members]
        known = [c for c in costs if c is not None]
        label = name_runs(node.name) if node.name else (Run(f"#{node.number}", "roman"),)
        said = [
            runs_html(label), name_text(node.name or "")[:300], op_words(whole, node), shape_text(node.shape),
            node.dtype, path_text(node.scope)[:300], once(formula_of, node), once(sentence_of, node), node.at,
            statistics_text(node.value) if node.value else "",
            statistics_text(node.grad) if node.grad else state_words(node.grad_state),
            "; ".join(t for i in node.members if (t := times.get((graph.nodes[i].op or "", graph.nodes[i].scope)))),
        ]  # fmt: skip
        ways: list[Any] = []
        for k, e in enumerate(node.inputs):
            if whole.is_number(e.source):
                ways += [strings(xml_text(whole.label(e.source))), -1, 0]
            else:
                sizes = whole.facts(node.id, str, e)["n"] if "$n" in e.partial else ""
                more = (k, e.partial, sizes, e.copies, whole.copied_axes(node.id, e))
                partial = once(local_of, node, *more) if e.grad else ""
                ways += [number[e.source], strings(partial), strings(statistics_text(e.grad) if e.grad else "")]
        figures = [node.value.nbytes if node.value else 0, node.saved, sum(known) if known or not costs else -1]
        rows.append([node.number, home.get(node.id, 0), *map(strings, said), *figures, ways])
    return rows


def card_row(graph: Graph, node: Node, strings: Strings, measured: Measured | None) -> list[Any]:
    """Return what is said of a collapsed card: its name, what is in it, and what that costs."""
    about = dict(node.params)
    inner = [graph.nodes[i] for i in node.members]
    costs = [c for n in inner if (c := flops(graph, n.id)) is not None]
    path = (*node.scope, node.name or "")
    spent = sum(e.seconds for e in measured.entries if e.scope[: len(path)] == path) if measured else 0.0
    lines = list(dict.fromkeys(n.at for n in inner if n.at))
    said = [
        xml_text(node.name or ""), name_text(node.name or "")[:300], path_text(node.scope)[:300],
        shape_text(node.shape),
        statistics_text(node.value) if node.value else "",
        statistics_text(node.grad) if node.grad else state_words(node.grad_state),
        ", ".join([*lines[:3], "…"] if len(lines) > 3 else lines), seconds_text(spent) if spent else "",
    ]  # fmt: skip
    counts = [about.get(name, 0) for name in ("ops", "nodes", "parameters")]
    return [*map(strings, said), *counts, sum(costs), sum(n.saved for n in inner)]


def holes(node: Node) -> dict[str, Runs]:
    """Return a mark for each operand of a node: {0} for the first."""
    found: dict[str, Runs] = {
        name: (Run(re.sub(r"array\[.*?\]", "…", write_param(value)), "roman"),) for name, value in node.params
    }
    for k, e in reversed(list(enumerate(node.inputs))):
        found[e.operand] = (Run(f"{{{k}}}", "roman"),)
    listed = (Run(", ".join(f"{{{k}}}" for k in range(len(node.inputs))[:12]), "roman"),)
    return found | {"out": (Run("{out}", "roman"),), "xs": listed}


def formula_of(graph: Graph, node: Node) -> str:
    """Write how a node is made, with holes for what it is made from."""
    if not node.op:
        return ""
    found = holes(node)
    if node.family == "reduction" and "axis" in found and node.inputs:
        ndim = len(graph.nodes[node.inputs[0].source].shape)
        axes = reduced_axes(dict(node.params), ndim)
        found["axis"] = (Run(axes_words(axes, ndim) if len(axes) < ndim else "", "roman"),)
    return runs_html(formula_runs(node.tex, lambda hole: found.get(hole, (Run(hole, "roman"),))))


def local_of(graph: Graph, node: Node, place: int, partial: str, sizes: str, copies: int, axes: tuple[int, ...]) -> str:
    """Write the local derivative of a node in one operand, with holes, and over which copies it is added up."""
    found = holes(node) | {node.inputs[place].operand: (Run(f"{{{place}}}", "roman"),), "n": number_runs(sizes or "1")}
    formula = runs_html(formula_runs(partial or "1", lambda hole: found.get(hole, (Run(hole, "roman"),))))
    added = axes and node.family == "elementwise"
    return formula + (f", summed over {axes_words(axes, len(node.shape))} (×{copies})" if added else "")


def sentence_of(graph: Graph, node: Node) -> str:
    """Write the sentence of an op as HTML, with holes."""
    facts = graph.facts(node.id)
    facts |= {name: f"{{{k}}}" for k, name in reversed(list(enumerate(e.operand for e in node.inputs)))}
    facts |= {"out": "{out}", "axis": facts.get("axis") or "all axes"}
    facts["xs"] = ", ".join(f"{{{k}}}" for k in range(len(node.inputs))[:12])
    return xml_text(fill(node.says, facts)[:400])


def times_of(measured: Measured | None) -> dict[tuple[str, tuple[str, ...]], str]:
    """Return what a profile says of an op in a scope, forward and backward."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for e in sorted(measured.entries if measured else (), key=lambda e: (e.op, e.scope, e.phase != "forward")):
        calls = f"{e.calls} call{'s' * (e.calls != 1)}"
        found.setdefault((e.op, e.scope), []).append(f"{e.phase} {seconds_text(e.seconds)} in {calls}")
    return {key: f"{key[0]}: {', '.join(parts)}" for key, parts in found.items()}


def seconds_text(seconds: float) -> str:
    """Write a time with its unit."""
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if seconds >= s), ("µs", 1e-6))
    return f"{seconds / size:.3g} {unit}"
