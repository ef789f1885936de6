"""The gradient graph, mirrored: below each value its gradient, in the same column, lanes reflected at a line.

A picture is made of bands. The first holds the values, and runs to the right. Each backward pass adds the reflection
of what stands above it: a card for each gradient, which says its local derivative, so that no line runs from a value
to its use below. What is computed from gradients has a band of its own.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.distances import NORMAL
from tinygraph.drawing.layout.edge_labels import WIDEST, chip_labels, factor_runs
from tinygraph.drawing.layout.grid import Link, lane_kinds, links_of, plan_cells
from tinygraph.drawing.layout.inside import MOST, gradient_part, places
from tinygraph.drawing.layout.labels import axes_words, contributions, label_runs, via_runs
from tinygraph.drawing.style.conventions import CIRCLED, numeral
from tinygraph.drawing.style.formula import (
    SPACE,
    Run,
    Runs,
    bracket_runs,
    clip_runs,
    join_runs,
    plain_text,
    text_of,
    words,
)
from tinygraph.drawing.style.names import name_text
from tinygraph.graph.data import STRETCH, Edge, Graph, Node, bracketed, brief_name
from tinygraph.graph.gradients import Pass, made_from, passes, values_of
from tinygraph.graph.scopes import Scope, count_contents, scopes
from tinygraph.graph.simplify import inline

__all__ = ["BELOW", "Band", "Gradient", "Line", "Mirrored", "close_columns", "is_mirrored", "mirror", "upstream"]

FEW = 3  # contributions that a title lists one by one
BELOW = "below each value its gradient, in the same column; lanes mirrored"
AFTER = "computed from the gradients"


class Line(NamedTuple):
    """A line between two cards: ``turned`` if it carries a gradient, and then from right to left if ``to_left``."""

    left: int
    right: int
    label: Runs = ()
    turned: bool = False
    to_left: bool = False


class Part(NamedTuple):
    """A contribution to a gradient: ``source`` is the card that it comes from, -1 where it stands in another band."""

    source: int
    formula: Runs
    sums: Runs  # what of it crosses lanes: a sum, or copies
    factor: Runs  # what the gradient of this gradient is multiplied by on its way back


@dataclasses.dataclass(frozen=True)
class Gradient:
    """What the card of a gradient says: node ``i`` of ``graph`` has the gradient and its contributions.

    ``of`` is the card above it, of which it is the gradient; ``here`` says whether all contributions come from cards of
    the same band; ``parts`` are these, each a card (-1 where it stands in another band) and a formula.
    """

    graph: Graph | None  # None where a gradient is differentiated
    i: int
    name: Runs
    title: Runs
    below: Runs
    of: int
    here: bool = True
    parts: tuple[tuple[int, Runs], ...] = ()


@dataclasses.dataclass(frozen=True)
class Band:
    """Cards that are laid out together. Rows, columns and lanes count from 0; cards are nodes of the whole picture.

    ``names`` and ``shades`` are of the lanes. ``origin`` is the node of the graph that each card shows, ``stage`` which
    values these are (-1: gradients), and ``start`` the number of the first.
    """

    cards: tuple[int, ...]
    row: Mapping[int, int]
    column: Mapping[int, float]
    lane: Mapping[int, int]
    first: tuple[int, ...]
    rows: int
    names: tuple[tuple[str, str], ...]
    shades: tuple[int, ...]
    lines: tuple[Line, ...]
    origin: Mapping[int, int]
    heading: str = ""
    stage: int = -1
    start: int = 0


@dataclasses.dataclass(frozen=True)
class Mirrored:
    """A gradient graph as bands, from top to bottom.

    ``graph`` has a node for each card and for each leaf inside one; ``gradients`` says what those of gradients show;
    ``boxes`` are scopes. ``inside`` are the leaves on the card of a value, and their gradients on the card of its
    gradient. ``again`` are cards of what stands in a band above, too, with the card that it has there.
    ``headed`` says whether the first band has its heading above it: where it is a later column of a picture.
    """

    graph: Graph
    bands: tuple[Band, ...]
    gradients: Mapping[int, Gradient]
    boxes: tuple[Scope, ...]
    inside: Mapping[int, tuple[int, ...]]
    again: Mapping[int, int]
    headed: bool = False


def is_mirrored(graph: Graph, show: object) -> bool:
    """Whether a graph is drawn mirrored: a backward pass was recorded in it, or its gradients are asked for alone."""
    recorded = any(n.gradient_of for n in graph.nodes)
    gradients = any(n.grad is not None for n in graph.nodes)
    return (show == "both" and recorded) or (show in ("gradient", "backward") and (recorded or gradients))


def mirror(
    graph: Graph,
    show: str = "both",
    close: Callable[[Graph], Graph] | None = None,
    hold: Collection[str] = (),
) -> Mirrored:
    """Arrange a graph with gradients in bands.

    Args:
        graph: any graph for which `is_mirrored` holds.
        show: "backward" leaves the values out.
        close: collapses what is not to have cards of its own, in the graph of the values of a band.
        hold: kinds of leaves, "constant" or "parameter", that stand on the card of the only op that uses them; their
            gradients stand on the card of its gradient.

    Returns:
        What `lay_out_mirrored` lays out.
    """
    builder = Builder(graph, close, hold)
    builder.build()
    bands = [band for band in builder.bands if show != "backward" or band.stage < 0]
    bands = bands if show != "backward" else close_columns(bands)
    shown = [c for band in bands[:1] for c in band.cards]
    outputs = [i for i in builder.outputs if i in shown] or shown[-1:]
    whole = Graph(tuple(builder.nodes), tuple(outputs), graph.notes)
    boxes = tuple(scopes(whole)) if show != "backward" else ()
    cards = {c for band in bands for c in band.cards}
    inside = {c: tuple(ids) for c, ids in builder.inside.items() if c in cards}
    return Mirrored(whole, tuple(bands), builder.gradients, boxes, inside, builder.again)


def close_columns(bands: Sequence[Band]) -> list[Band]:
    """Leave out the columns in which no card stands."""
    used = sorted({c for band in bands for c in band.column.values()})
    place = {c: k for k, c in enumerate(used)}
    return [dataclasses.replace(b, column={i: place[c] for i, c in b.column.items()}) for b in bands]


class Builder:
    """Collects the cards and bands of one picture."""

    def __init__(self, graph: Graph, close: Callable[[Graph], Graph] | None, hold: Collection[str]) -> None:
        self.graph, self.close, self.hold = graph, close, hold
        self.passes = passes(graph)
        self.nodes: list[Node] = []
        self.gradients: dict[int, Gradient] = {}
        self.bands: list[Band] = []
        self.outputs: tuple[int, ...] = ()
        self.card: dict[int, int] = {}  # node that holds a gradient -> its card
        self.value_card: dict[int, int] = {}  # value -> its card
        self.inside: dict[int, list[int]] = {}  # card -> the leaves on it, or their gradients
        self.again: dict[int, int] = {}
        self.factors: dict[tuple[int, int], Runs] = {}  # of a gradient and the one that it is made from
        self.owner: dict[int, int] = {}  # node of a recorded pass -> the card that stands for it
        self.before: dict[int, int] = {}  # stage -> how many ops the stages before it have
        self.known: dict[tuple[int, int, int], tuple[Graph, Graph, dict[int, int]]] = {}  # what `values` returned
        self.stages = self.sort_into_stages()
        self.computed = {i for stage in self.stages[1:] for i in stage}  # from gradients

    def sort_into_stages(self) -> list[list[int]]:
        """Return the values, and then for each pass what is computed from its gradients."""
        made: set[int] = set().union(*(p.made for p in self.passes))
        stage = dict.fromkeys(range(len(self.graph.nodes)), 0)
        for k, p in enumerate(self.passes):
            stage |= dict.fromkeys(made_from(self.graph, p.made), k + 1)
        for node in reversed(self.graph.nodes):  # what is used with gradients alone stands beside them
            later = [stage[c] for c, _ in self.graph.consumers[node.id] if c not in made]
            if node.op is None and later and node.id not in self.graph.outputs:
                stage[node.id] = min(later)
        found: list[list[int]] = [[] for _ in range(len(self.passes) + 1)]
        for node in self.graph.nodes:
            users = {c for c, _ in self.graph.consumers[node.id]}
            inside = node.op is None and users and users <= made and node.id not in self.graph.outputs
            if node.id not in made and not inside:
                found[stage[node.id]].append(node.id)
        return found

    def build(self) -> None:
        """Add all bands."""
        self.add_values(0, "")
        for k, p in enumerate(self.passes):
            for band in reversed(self.bands[:]):
                self.add_reflection(band, p)
            for node, value in p.made.items():
                if (card := self.card_of_gradient(p, value)) is not None:
                    self.owner.setdefault(node, card)
            self.add_values(k + 1, AFTER)

    def card_of_gradient(self, p: Pass, value: int) -> int | None:
        """Return the card of the gradient of a value; of one inside a formula, that of what it was made from."""
        near = [value]
        for i in near:
            if (card := self.card.get(p.node.get(i, -1))) is not None:
                return card
            near += [e.source for e in self.graph.nodes[i].inputs if e.source not in near]
        return None

    # -- values

    def values(self, stage: int, p: Pass) -> tuple[Graph, Graph, dict[int, int]]:
        """Return the values of a stage as they are drawn, with the gradients of a pass; the same with a name for each
        result, for what a formula below them speaks of stands in another band; and the node that each is.
        """
        key = stage, id(p), len(self.card)  # gradients that have cards are named after them
        if key not in self.known:
            drawn, origin = self.values_anew(stage, p)
            self.known[key] = drawn, number_results(drawn), origin
        return self.known[key]

    def values_anew(self, stage: int, p: Pass) -> tuple[Graph, dict[int, int]]:
        """Return the values of a stage as they are drawn, and the node that each is."""
        whole, ids = values_of(self.graph, p, self.stages[stage])
        named = [self.named(n, i) for n, i in zip(whole.nodes, ids, strict=True)]
        origin = {id(n.value): i for n, i in zip(whole.nodes, ids, strict=True)}
        asked = (k for k, i in enumerate(ids) if self.is_used_later(i))  # no card of a scope may hold these
        outputs = tuple(dict.fromkeys((*whole.outputs, *asked)))
        drawn = inline(dataclasses.replace(whole, nodes=tuple(named), outputs=outputs))
        drawn = count_on(self.close(drawn), self.before.get(stage, 0)) if self.close else drawn
        return drawn, {n.id: origin[id(n.value)] for n in drawn.nodes if id(n.value) in origin}

    def is_used_later(self, i: int) -> bool:
        """Whether a value is a leaf whose gradient something is computed from."""
        return self.graph.nodes[i].op is None and any(
            self.graph.consumers[p.node[i]] for p in self.passes if i in p.node
        )

    def named(self, node: Node, i: int) -> Node:
        """Name what stands in another band as there, and what is differentiated by a letter."""
        if i in self.card and node.op is None:
            return dataclasses.replace(node, name=plain_text(self.gradients[self.card[i]].name), family="gradient")
        if node.op is None and self.graph.nodes[i].op and not node.name:
            return dataclasses.replace(node, name=f"#{self.graph.nodes[i].number}")
        name = next((p.name for p in self.passes if p.outputs == (i,)), None)
        return dataclasses.replace(node, name=node.name or name)

    def add_values(self, stage: int, heading: str) -> None:
        """Add a band of values, laid out as they would be alone."""
        if not self.stages[stage]:
            self.before[stage + 1] = self.before.get(stage, 0)
            return
        drawn, _, origin = self.values(stage, self.passes[0])
        self.before[stage + 1] = self.before.get(stage, 0) + count_contents(drawn, range(len(drawn.nodes)))["ops"]
        start = len(self.nodes)
        target = {n.id: start + n.id for n in drawn.nodes}
        for n in drawn.nodes:
            edges = tuple(dataclasses.replace(e, grad=None) for e in n.inputs)
            kind = "gradient" if n.family == "gradient" else n.kind
            self.nodes.append(dataclasses.replace(n, grad=None, inputs=edges, kind=kind).moved(target[n.id], target))
        if stage == 0:
            self.outputs = tuple(i for i in drawn.outputs if drawn.nodes[i].inputs)
        inside = self.leaves_inside(drawn, origin, set(self.stages[stage]))
        self.inside |= {start + i: [start + leaf for leaf in leaves] for i, leaves in inside.items()}
        nodes, links = links_of(drawn, places(inside))
        plan = plan_cells(drawn, nodes, links, lane_kinds(drawn))
        labels = chip_labels(drawn, plan, "forward")
        lines = [Line(start + x.u, start + x.v, labels.get((x.k, "value"), ())) for x in links]
        known = (
            dict(zip((title for _, title in self.bands[0].names), self.bands[0].shades, strict=True))
            if self.bands
            else {}
        )
        shades = [known.get(title, k) for k, (_, title) in enumerate(plan.names)]
        names = tuple(("", "") if name[1] in known else name for name in plan.names)  # the first band says it
        mine = {i: node for i, node in origin.items() if node in set(self.stages[stage])}
        above = {**self.value_card, **self.card}
        self.again |= {start + i: above[k] for i, k in origin.items() if i not in mine and k in above}
        self.value_card |= {node: start + i for i, node in mine.items()}

        def moved(found: Mapping[int, int]) -> dict[int, int]:
            return {start + i: k for i, k in found.items()}

        self.bands.append(Band(
            tuple(start + i for i in nodes), moved(plan.row), moved(plan.column), moved(plan.lane), plan.first,
            plan.rows, names, tuple(shades), tuple(lines), moved(mine), heading, stage, start,
        ))  # fmt: skip

    def leaves_inside(self, drawn: Graph, origin: Mapping[int, int], mine: Collection[int]) -> dict[int, list[int]]:
        """Return the leaves that stand on the card of an op, by the op: nothing else uses them or their gradients."""
        found: dict[int, list[int]] = {}
        for n in drawn.nodes:
            users, node = drawn.consumers[n.id], origin.get(n.id, -1)
            if n.op or n.kind not in self.hold or len(users) != 1 or drawn.is_number(n.id) or n.id in drawn.outputs:
                continue
            parts = [p.parts.get(node, ()) for p in self.passes]
            alone = all(len(ways) <= 1 and all(x.consumer in mine for x in ways) for ways in parts)
            if node in mine and alone and drawn.nodes[users[0][0]].kind == "op":
                found.setdefault(users[0][0], []).append(n.id)
        return {host: leaves for host, leaves in found.items() if len(leaves) <= MOST}

    # -- gradients

    def add_reflection(self, band: Band, p: Pass) -> None:
        """Add the gradients of what a band shows, reflected at the line below it."""
        drawn = self.values(band.stage, p)[1] if band.stage >= 0 else None
        reached = [c for c in band.cards if band.origin.get(c, -1) in p.gradient]
        if drawn is not None:
            reached = [c for c in reached if drawn.nodes[c - band.start].grad is not None]
        if not reached:
            return
        order = sorted(reached, reverse=True)  # what uses a value stands behind it
        card = {c: len(self.nodes) + k for k, c in enumerate(order)}
        lane = {c: len(band.names) - 1 - band.lane[c] for c in reached}
        lines: list[Line] = []
        for c in order:
            parts = self.parts_of_value(drawn, band, c, p) if drawn else self.parts_of_gradient(band, c, p)
            self.add_card(drawn, band, c, p, parts, card)
            for k, x in enumerate(parts):
                if x.source in card:
                    to_left = band.column[c] <= band.column[x.source]
                    ends = (card[c], card[x.source]) if to_left else (card[x.source], card[c])
                    label = label_of(parts, k, lane[c] - lane[x.source])
                    lines.append(Line(*ends, label, turned=True, to_left=to_left))
                    self.factors[card[c], card[x.source]] = x.factor
        rows = sorted({band.rows - 1 - band.row[c] for c in reached})
        lanes = sorted(set(lane.values()))
        row = {card[c]: rows.index(band.rows - 1 - band.row[c]) for c in reached}
        first = tuple(min(row[card[c]] for c in reached if lane[c] == k) for k in lanes)
        self.bands.append(Band(
            tuple(card[c] for c in order), row, {card[c]: band.column[c] for c in reached},
            {card[c]: lanes.index(lane[c]) for c in reached}, first, len(rows),
            tuple(band.names[-1 - k] for k in lanes), tuple(band.shades[-1 - k] for k in lanes), tuple(lines),
            {card[c]: p.node[band.origin[c]] for c in reached if band.origin[c] in p.node}, self.heading(band, p),
        ))  # fmt: skip
        for c in reached:
            self.card.setdefault(p.node.get(band.origin[c], -1), card[c])
        for c in order:
            for leaf in self.inside.get(c, ()) if drawn else ():
                self.add_leaf(drawn, band, leaf, p, card[c])

    def heading(self, band: Band, p: Pass) -> str:
        """Say what the reflection of a band shows."""
        if len(self.passes) == 1:
            return BELOW
        what = "value" if band.stage >= 0 else "gradient above"
        return f"∂{p.name}/∂ of each {what}, in the same column; lanes mirrored"

    def parts_of_value(self, drawn: Graph | None, band: Band, c: int, p: Pass) -> list[Part]:
        """Return what was added up in the gradient of a value: what its uses sent back, and what gradients did."""
        assert drawn is not None
        i, found = c - band.start, []
        for consumer, edge in contributions(drawn, i):
            found.append(self.part_of_edge(drawn, consumer, edge, band.start + consumer))
        mine = set(self.stages[band.stage])
        others = [x.consumer for x in p.parts.get(band.origin[c], ()) if x.consumer not in mine | self.computed]
        return found + self.from_results(band.origin[c], p, band.stage) + self.elsewhere(others)

    def part_of_edge(self, drawn: Graph, consumer: int, edge: Edge, source: int) -> Part:
        """Return what was sent back along an edge."""
        node, operand = drawn.nodes[consumer], drawn.nodes[edge.source]
        if not edge.partial or node.kind == "scope":
            card = f"▸{name_text(brief_name(node) or '')}" if node.kind == "scope" else node.op
            through = words(f"through {card}")
            return Part(source, through, (), through)
        copied = drawn.copied_axes(consumer, edge)
        formula = factor_runs(drawn, Link(0, edge.source, consumer, edge, True), copied)
        factor = adjoint(factor_runs(drawn, Link(0, edge.source, consumer, edge, True), ()), node.family == "linear")
        sums: Runs = words(f"Σ {axes_words(copied, len(node.shape))}") if copied else ()
        copies = math.prod(operand.shape) // max(math.prod(node.shape), 1)
        if node.family == "reduction" and copies > 1 and text_of(formula).endswith(f"copy ×{copies}"):
            sums = words(f"copy ×{copies}")
        return Part(source, formula, sums, factor)

    def parts_of_gradient(self, band: Band, c: int, p: Pass) -> list[Part]:
        """Return what was added up in the gradient of a gradient: its uses are the gradients made from it."""
        same = [i for i in band.cards if (i, c) in self.factors and band.origin.get(i) == band.origin[c]]
        if same:  # one node holds both gradients
            return [Part(same[0], words("× 1"), (), words("× 1"))]
        found: list[Part] = []
        others = []
        for consumer in dict.fromkeys(x.consumer for x in p.parts.get(band.origin[c], ())):
            owner = self.owner.get(consumer, -1)
            if (factor := self.factors.get((owner, c))) and owner in band.row:
                found += [Part(owner, factor, (), factor)] * all(x.source != owner for x in found)
            elif consumer not in self.computed:
                others.append(consumer)
        return found + self.from_results(band.origin[c], p) + self.elsewhere(others)

    def from_results(self, node: int, p: Pass, stage: int = -1) -> list[Part]:
        """Return what was sent back to a node by what was computed from gradients and stands in another band."""
        found = []
        for band in self.bands:
            if band.stage > max(stage, 0):
                _, drawn, origin = self.values(band.stage, p)
                for leaf in (i for i, this in origin.items() if this == node and not drawn.nodes[i].op):
                    for consumer, edge in contributions(drawn, leaf):
                        above = gradient_name(p.name, label_runs(drawn, consumer))
                        formula = self.part_of_edge(drawn, consumer, edge, -1).formula
                        found.append(Part(-1, upstream(formula, above), (), ()))
        return found

    def elsewhere(self, consumers: Iterable[int]) -> list[Part]:
        """Return the contributions through nodes that stand in other bands: they are named, and no line is drawn."""
        names = []
        for i in consumers:
            card = self.owner.get(i, self.value_card.get(i, -1))
            found = self.gradients.get(card)
            whole, i = (self.graph, i) if card < 0 else (Graph(tuple(self.nodes), ()), card)
            names.append(found.name if found else via_runs(whole, i))
        return [Part(-1, (*words("via "), *name), (), ()) for name in dict.fromkeys(names)]

    def add_card(
        self, drawn: Graph | None, band: Band, c: int, p: Pass, parts: Sequence[Part], card: Mapping[int, int]
    ) -> None:
        """Add the node of a gradient, and what its card says."""
        value = p.gradient[band.origin[c]]
        inner = label_runs(drawn, c - band.start) if drawn else in_brackets(self.gradients[c].name)
        name = gradient_name(p.name, inner)
        marks = f" = {' + '.join(CIRCLED[: len(parts)])}" if 1 < len(parts) <= FEW else ""
        marks = f" = ① + … + {numeral(len(parts) - 1)}" if len(parts) > FEW else marks
        ones = math.prod(value.shape) == 1 and value.mean == 1
        given = "" if band.origin[c] not in p.outputs else "the seed" if ones else "given"
        below: Runs = parts[0].formula if parts else words(given)
        named = [(*words(f"{numeral(k)} "), *x.formula) for k, x in enumerate(parts) if x.source < 0]
        if len(parts) > 1:
            below = join_runs(run for k, runs in enumerate(named) for run in (*words(", " if k else ""), *runs))
            below = below or words(f"{len(parts)} ways meet")
        title = (*name, *words(marks or (" = 1" if not parts and ones else ""), "roman"))
        place = len(self.nodes)
        sources = [card[x.source] for x in parts if x.source in card]
        edges = tuple(Edge(s, f"g{k}") for k, s in enumerate(sources))
        self.nodes.append(Node(
            place, "gradient", "op", "gradient", value.shape, value.dtype, plain_text(name), inputs=edges, value=value,
            says=plain_text(below).replace("$", ""), members=self.members(p, band.origin[c]),
        ))  # fmt: skip
        self.gradients[place] = Gradient(
            drawn, c - band.start, name, title, below, c, not named,
            tuple((card.get(x.source, -1), x.formula) for x in parts),
        )  # fmt: skip

    def add_leaf(self, drawn: Graph | None, band: Band, leaf: int, p: Pass, host: int) -> None:
        """Add the gradient of a leaf that stands on a card to the card of the gradient there."""
        assert drawn is not None
        i = leaf - band.start
        if (value := p.gradient.get(band.origin.get(leaf, -1))) is None or drawn.nodes[i].grad is None:
            return
        name, below, place = gradient_name(p.name, label_runs(drawn, i)), gradient_part(drawn, i, 0), len(self.nodes)
        self.nodes.append(Node(
            place, "gradient", "op", "gradient", value.shape, value.dtype, plain_text(name), inputs=(Edge(host, "g0"),),
            value=value, says=plain_text(below).replace("$", ""), members=self.members(p, band.origin[leaf]),
        ))  # fmt: skip
        self.gradients[place] = Gradient(drawn, i, name, name, below, leaf)
        self.inside.setdefault(host, []).append(place)

    def members(self, p: Pass, value: int) -> tuple[int, ...]:
        """Return what the card of a gradient stands for: the node that holds it, or the value whose gradient it is."""
        return self.graph.nodes[p.node.get(value, value)].parts


def count_on(graph: Graph, before: int) -> Graph:
    """Count stretches of ops on from those of the bands above: no two cards of a picture are "ops 1–3"."""

    def counted(found: re.Match[str]) -> str:
        return f"ops {before + int(found[1])}–{before + int(found[2])}: "

    nodes = [
        dataclasses.replace(n, name=STRETCH.sub(counted, n.name)) if n.kind == "scope" and n.name else n
        for n in graph.nodes
    ]
    return dataclasses.replace(graph, nodes=tuple(nodes)) if before else graph


def gradient_name(of: str, value: Runs) -> Runs:
    """Write ∂L/∂x."""
    return join_runs((Run("∂", "roman"), *bracket_runs(bracketed(of)), Run("/∂", "roman"), *value))


def in_brackets(runs: Runs) -> Runs:
    """Put brackets around."""
    return (Run("(", "roman"), *runs, Run(")", "roman"))


def upstream(formula: Runs, above: Runs) -> Runs:
    """Write the upstream gradient into a formula: it takes the place of the dot, or stands in front."""
    for k, run in enumerate(formula):
        before, dot, after = run.text.partition("·")
        if dot:
            split = run._replace(text=before), *above, run._replace(text=after)
            return join_runs((*formula[:k], *split, *formula[k + 1 :]))
    return join_runs((*above, *words(" "), *formula))


def number_results(graph: Graph) -> Graph:
    """Name unnamed results by their numbers."""
    nodes = [dataclasses.replace(n, name=f"#{n.number}") if n.op and not n.name else n for n in graph.nodes]
    return dataclasses.replace(graph, nodes=tuple(nodes))


def adjoint(formula: Runs, linear: bool) -> Runs:
    """Return the way back through a way back: a product of matrices has the other factor transposed, a copy is summed.

    What is multiplied element by element is multiplied by the same.
    """
    text = text_of(formula)
    if "copy ×" in text:
        return words(text[: text.index("copy ×")] + "Σ")
    if not linear or "·" not in text:
        return formula
    raised = [k for k, run in enumerate(formula) if run.text == "T" and run.rise > 0]
    if raised:
        return tuple(run for k, run in enumerate(formula) if k != raised[-1])
    end = len(formula) if text.startswith("·") else next(k for k, run in enumerate(formula) if "·" in run.text)
    return (*formula[:end], Run("T", "roman", 0.72, 0.42), *formula[end:])


def label_of(parts: Sequence[Part], k: int, down: int) -> Runs:
    """Return the label on the line of a contribution, which crosses so many lanes downwards."""
    arrow = words(f"{SPACE}↓" if down > 0 else f"{SPACE}↑" if down < 0 else "")
    if len(parts) > 1:
        return clip_runs((*words(f"{numeral(k)}{SPACE}"), *parts[k].formula, *arrow), NORMAL.letters, WIDEST)
    return (*parts[k].sums, *arrow) if down and parts[k].sums else ()
