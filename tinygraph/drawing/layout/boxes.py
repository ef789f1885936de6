"""The boxes of scopes, in cells: each card stands in the boxes of its own scopes and in no other.

Where a scope's cards stand around those of another one, its box is drawn in parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.grid import CellPlan
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import Scope

__all__ = ["Cells", "scope_cells"]


class Cells(NamedTuple):
    """The cells that one box encloses, the depth and the name of its scope, and which entry into a scope it is of.

    ``split`` says whether there are further boxes of this entry, here or in another row of the picture.
    """

    left: int
    top: int
    right: int
    bottom: int
    depth: int
    name: str
    entry: int
    split: bool = False

    def joined(self, other: Cells) -> Cells:
        """Return the cells around both."""
        return self._replace(
            left=min(self.left, other.left),
            top=min(self.top, other.top),
            right=max(self.right, other.right),
            bottom=max(self.bottom, other.bottom),
        )

    def meets(self, other: Cells) -> bool:
        """Whether the two have a cell in common."""
        return (
            self.left <= other.right
            and other.left <= self.right
            and self.top <= other.bottom
            and other.top <= self.bottom
        )

    def holds(self, other: Cells) -> bool:
        """Whether all cells of the other are among its own."""
        return self.joined(other) == self


def scope_cells(graph: Graph, plan: CellPlan, scopes: Sequence[Scope]) -> tuple[Cells, ...]:
    """Return the cells of each scope's box, inner ones first; a box that would hold other cards is in parts."""
    found: list[Cells] = []
    members = with_shared_leaves(graph, plan, scopes)
    for entry in sorted(range(len(scopes)), key=lambda k: -len(scopes[k].path)):
        path, mine = scopes[entry].path, members[entry]
        inside = sorted(i for i in mine if i in plan.row)
        if not inside or sum(not graph.is_number(i) for i in mine) < 2:
            continue
        cards = [
            Cells(plan.column[i], plan.row[i], plan.column[i], plan.row[i], len(path), path[-1], entry) for i in inside
        ]
        inner = [box for box in found if members[box.entry] <= mine]
        units = [box._replace(depth=len(path), name=path[-1], entry=entry) for box in inner] + cards
        foreign = [i for i in plan.nodes if i not in mine and graph.nodes[i].kind != "stub"]
        others = [Cells(plan.column[i], plan.row[i], plan.column[i], plan.row[i], 0, "", -1) for i in foreign]
        others += [box for box in found if not members[box.entry] <= mine]
        parts = join_parts(units, others)
        split = len(parts) > 1 or any(i not in plan.row and not graph.is_number(i) for i in mine)
        found += [part._replace(split=split) for part in parts]
    return tuple(found)


def with_shared_leaves(graph: Graph, plan: CellPlan, scopes: Sequence[Scope]) -> list[frozenset[int]]:
    """Return the members of each entry; a leaf of a scope that several entries use is with the first that does."""
    members = [set(scope.members) for scope in scopes]
    for i in plan.nodes:
        node = graph.nodes[i]
        if node.op is not None or node.kind in ("scope", "stub") or not node.scope:
            continue
        own = [k for k, s in enumerate(scopes) if node.scope[: len(s.path)] == s.path]
        deepest = max((len(scopes[k].path) for k in own), default=0)
        first = next(
            (c for c, _ in graph.consumers[i] if any(c in members[k] and len(scopes[k].path) == deepest for k in own)),
            -1,
        )
        for k in own:
            if first in members[k] and not any(i in members[j] for j in own if scopes[j].path == scopes[k].path):
                members[k].add(i)
    return [frozenset(found) for found in members]


def join_parts(units: Iterable[Cells], others: Collection[Cells]) -> list[Cells]:
    """Join cells to as few rectangles as a row from left to right gives, none of which meets another box or card."""
    ordered = sorted(units)
    whole = ordered[0]
    for unit in ordered:
        whole = whole.joined(unit)
    near = [other for other in others if other.meets(whole)]
    if not near:
        return [whole]
    parts: list[Cells] = []
    for unit in ordered:
        if any(old.holds(unit) for old in parts):
            continue
        part = unit
        for old in sorted(parts, key=lambda old: distance(old, unit)):
            both = closed(part.joined(old), [*ordered, *parts])
            if old in parts and not any(other.meets(both) for other in near):
                part = both
                parts = [other for other in parts if not both.holds(other)]
        parts.append(part)
    return sorted(parts)


def closed(cells: Cells, others: Sequence[Cells]) -> Cells:
    """Return cells that hold the whole of each rectangle that they meet."""
    while True:
        wider = cells
        for other in others:
            if other.meets(wider):
                wider = wider.joined(other)
        if wider == cells:
            return cells
        cells = wider


def distance(a: Cells, b: Cells) -> int:
    """Return how many cells lie between two rectangles."""
    across = max(a.left - b.right, b.left - a.right, 0)
    return across + max(a.top - b.bottom, b.top - a.bottom, 0)
