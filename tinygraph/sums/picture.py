"""A derivation as a figure: a row a step. In formulas and graphs, what goes next is pale, and what came is outlined."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.fitting import room_for
from tinygraph.drawing.formats.svg import Writer, at, document, line_of
from tinygraph.drawing.layout.card import Text
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.style.conventions import MOST_CARDS
from tinygraph.drawing.style.formula import Run, Runs, clip_runs, name_runs, width_of, words
from tinygraph.drawing.style.highlight import Highlight
from tinygraph.graph.batch import with_batch
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.diff import diff
from tinygraph.graph.scopes import fit
from tinygraph.graph.simplify import inline, without
from tinygraph.sums.changes import changes, terms_of
from tinygraph.sums.derivation import Derivation, Formula, Step
from tinygraph.sums.formula import names_of
from tinygraph.sums.report import figures

__all__ = ["Frame", "frames", "svg"]

WIDE, LEAST = 1500.0, 860.0  # of a graph, in pixels, above which it is broken into rows; and of the whole
MARGIN, LEADING = 24.0, 27.0
TITLE, FORMULA, SMALL = 19.0, 17.0, 13.0  # font sizes
MOST_PARTS = 3  # places where a rule was applied that are shown
WORD = re.compile(r"[^\W\d](?:(?![⁰¹²³⁴-⁹])\w|[\u0300-\u036f])*|.", re.S)


class Frame(NamedTuple):
    """The picture of a step.

    Attributes:
        step: the step.
        graph: what computes its formulas from the named values of the way forward.
        came: ids of the nodes of the graph that the frame before has not.
        goes: ids of those that the next frame has not.
    """

    step: Step
    graph: Graph
    came: frozenset[int]
    goes: frozenset[int]


def frames(derivation: Derivation) -> list[Frame]:
    """Return the pictures of those steps of a derivation that change a formula, and not only what a name means."""
    steps = [derivation.steps[0]]
    for step in derivation.steps[1:]:
        if step.rule != "p" and [f.text for f in step.formulas] != [f.text for f in steps[-1].formulas]:
            steps.append(step)
    graphs = [short_graph(derivation, step) for step in steps]
    found = []
    for k, (step, graph) in enumerate(zip(steps, graphs, strict=True)):
        came = only_in(graph, graphs[k - 1]) if k else frozenset()
        goes = only_in(graph, graphs[k + 1]) if k + 1 < len(graphs) else frozenset()
        found.append(Frame(step, graph, came, goes))
    return found


def short_graph(derivation: Derivation, step: Step) -> Graph:
    """Return the graph of a step as it is drawn: from the named values of the way forward on, without boxes."""
    graph = step.graph
    meant = {f.name for f in step.definitions}
    given = {n.id: str(n.name) for n in graph.nodes if n.op and n.name in meant}
    labels: dict[int, str] = {}
    if graph is derivation.graph:
        known = names_of(graph)
        forward = [n for n in graph.nodes if n.op and n.derives is None and n.scope[:1] != ("grad",)]
        given = {n.id: name for n in forward if (name := n.name or known.get(n.id))}
        labels = {i: f.name for i, f in zip(graph.outputs, step.formulas, strict=True)}
    nodes = []
    for node in graph.nodes:
        plain = dataclasses.replace(node, scope=(), derives=None, gradient_of=(), name=labels.get(node.id, node.name))
        nodes.append(as_leaf(plain, given[node.id]) if node.id in given and node.id not in labels else plain)
    short = dataclasses.replace(graph, nodes=tuple(nodes))
    short = without(nodes, short, {n.id for n in nodes} - reached(short))
    return fit(inline(with_batch(short)), MOST_CARDS)


def as_leaf(node: Node, name: str) -> Node:
    """Return a value of the way forward as one that is given."""
    return dataclasses.replace(node, op=None, kind="input", family="input", inputs=(), params=(), name=name)


def reached(graph: Graph) -> set[int]:
    """Return the ids of all that the outputs of a graph are made of."""
    found, stack = set[int](), list(graph.outputs)
    while stack:
        if (i := stack.pop()) not in found:
            found.add(i)
            stack += [e.source for e in graph.nodes[i].inputs]
    return found


def only_in(graph: Graph, other: Graph) -> frozenset[int]:
    """Return the ids of the nodes that one graph alone has."""
    return frozenset(diff(graph, other).only_a)


# What is written.


class Piece(NamedTuple):
    """A term of a formula: its letters, and whether it came or goes: "came", "goes" or ""."""

    runs: Runs
    state: str = ""

    @property
    def width(self) -> float:
        """How wide it is."""
        return width_of(self.runs, FORMULA)


def pieces(formula: Formula, before: Formula | None, after: Formula | None) -> list[Piece]:
    """Return a formula term by term, with what came since the one before, and what the one after has not."""
    terms = terms_of(formula.text)
    came = changes(terms_of(before.text), terms)[1] if before else frozenset[int]()
    goes = changes(terms, terms_of(after.text))[0] if after else frozenset[int]()
    found = [Piece((*name_runs(formula.name), Run("\xa0=\xa0", "roman")))]
    return found + [
        Piece(runs_of(term), "came" if k in came else "goes" if k in goes else "") for k, term in enumerate(terms)
    ]


def runs_of(text: str) -> Runs:
    """Return the letters of a formula: names in italics, words and signs upright."""
    return tuple(run for word in WORD.findall(text) for run in runs_of_word(word))


def runs_of_word(word: str) -> Runs:
    """Return the letters of a name, or a sign."""
    is_name = word != "Σ" and (len(word) > 1 or word.isalpha())
    return name_runs(word) if is_name else (Run(word.replace(" ", "\xa0"), "roman"),)


def broken(parts: Sequence[Piece], room: float) -> list[list[Piece]]:
    """Break a formula between its terms, where it is wider than its room."""
    lines: list[list[Piece]] = [[]]
    for part in parts:
        if lines[-1] and sum(p.width for p in lines[-1]) + part.width > room:
            lines.append([])
        lines[-1].append(part)
    return lines


def write_line(parts: Sequence[Piece], x: float, y: float) -> list[str]:
    """Write a line of a formula; what came is outlined, what goes is pale."""
    out = []
    for part in parts:
        if part.state == "came":
            sign = width_of(part.runs[:3], FORMULA) if part.runs[0].text == "\xa0" else 0.0
            left, right = x + sign - 3, x + part.width + 3
            box = f'x="{at(left)}" y="{at(y - 18)}" width="{at(right - left)}" height="25" rx="5"'
            out.append(f'<rect class="chosen" {box}/>')
        pale = ' opacity=".45"' if part.state == "goes" else ""
        out.append(line_of(Text(x, y, part.runs, FORMULA, "ink", "start"), pale))
        x += part.width
    return out


class Row:
    """The row of a step: its head, what changes in its formulas, and its graph.

    Args:
        k: number of the step.
        steps: of the derivation.
        frame: its picture; None where no formula changes.
        detail: as `svg` takes it.
        theme: likewise.
    """

    def __init__(self, k: int, steps: Sequence[Step], frame: Frame | None, detail: int, theme: str) -> None:
        self.k, self.step = k, steps[k]
        shown = self.step.formulas if self.step.rule != "p" else ()
        if self.step.rule != "p" and 0 < k < len(steps) - 1:
            shown = tuple(f for f in (*shown, *self.step.definitions) if not is_in(f, steps[k - 1]))
        self.lines = []
        for formula in shown:
            before = named(steps[k - 1], formula) if k else None
            after = next((named(step, formula) for step in steps[k + 1 :] if not is_in(formula, step)), None)
            self.lines += broken(pieces(formula, before, after), WIDE - 2 * MARGIN)
        self.parts = [Piece(runs_of(f"{a.text}   →   {b.text}")) for a, b in self.step.parts[:MOST_PARTS]]
        self.drawing = self.draw(frame, detail, theme) if frame else None
        widest = max((sum(part.width for part in line) for line in [*self.lines, self.parts]), default=0.0)
        self.width = max(self.drawing.width if self.drawing else 0.0, widest + 2 * MARGIN)

    def draw(self, frame: Frame, detail: int, theme: str) -> Writer:
        """Lay the graph out."""
        graph = frame.graph
        stays = frozenset(n.id for n in graph.nodes) - frame.goes
        lines = {(e.source, n.id) for n in graph.nodes for e in n.inputs}
        edges = frozenset((i, j) for i, j in lines if i in stays and j in stays)
        mark = Highlight("both", strong=frame.came, nodes=stays, edges=edges)
        layout = lay_out(graph, detail, "both", chips=False, most=WIDE, spacing=room_for(None).spacing)
        return Writer(graph, graph, layout, theme, None, mark, f"{self.k}-", legend=False, caption=False)

    def body(self, y: float, width: float) -> tuple[list[str], float]:
        """Return the row as SVG from a height on, and where it ends."""
        step = self.step
        y += 40
        out = [line_of(Text(MARGIN, y, words(f"{self.k}  {step.name}", "bold"), TITLE, "ink", "start"))]
        out.append(line_of(Text(width - MARGIN, y, words(figures(step).strip("[]")), SMALL, "muted", "end")))
        y += 21
        said = clip_runs(words(step.says), SMALL, width - 2 * MARGIN)
        out.append(line_of(Text(MARGIN, y, said, SMALL, "muted", "start")))
        y += 6
        for part in self.parts:
            y += LEADING
            runs = clip_runs(part.runs, FORMULA, width - 3 * MARGIN)
            out.append(line_of(Text(2 * MARGIN, y, runs, FORMULA, "value", "start")))
        for line in self.lines:
            y += LEADING
            first = line[0].runs[-1].text == "\xa0=\xa0"
            out += write_line(line, MARGIN if first else 2 * MARGIN, y)
        y += 14
        if self.drawing:
            x = (width - self.drawing.width) / 2
            out += [f'<g transform="translate({at(x)} {at(y)})">', *self.drawing.body(), "</g>"]
            y += self.drawing.height
        return out, y


def named(step: Step, formula: Formula) -> Formula | None:
    """Return the formula of the same name in a step."""
    return next((f for f in (*step.formulas, *step.definitions) if f.name == formula.name), None)


def is_in(formula: Formula, step: Step) -> bool:
    """Whether a step has a formula as it is."""
    found = named(step, formula)
    return found is not None and found.text == formula.text


def svg(derivation: Derivation, *, detail: int = 0, theme: str = "light") -> str:
    """Draw a derivation, a row a step: what changes in its formulas, and the graph that computes them.

    Args:
        derivation: from `derive`.
        detail: 0 symbols, 1 summaries, 2 numbers.
        theme: "light", "dark", "auto", "print" or "transparent".

    Returns:
        An SVG document.
    """
    pictures = {id(frame.step): frame for frame in frames(derivation)}
    steps = derivation.steps
    rows = [Row(k, steps, pictures.get(id(step)), detail, theme) for k, step in enumerate(steps)]
    width, y, body = max(LEAST, *(row.width for row in rows)), 0.0, list[str]()
    for row in rows:
        drawn, y = row.body(y, width)
        body += drawn
    about = ". ".join(f"{k}. {step.name}: {step.says}" for k, step in enumerate(steps))
    return document(
        body, width, y + 8, theme, f"The derivation of {', '.join(f.name for f in derivation.closed)}", about
    )
