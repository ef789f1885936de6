"""The gradient of a leaf, way by way: what comes along each way from the output, as a node and as an expression."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tinygraph.teach.latex import LatexPrinter
from tinygraph.teach.mathematics import mathml
from tinygraph.teach.printer import Printer
from tinygraph.teach.program import Contribution
from tinygraph.teach.spelling import Piece
from tinygraph.teach.workshop import Workshop

__all__ = ["MOST_PATHS", "Ways"]

LONGEST = 600  # letters of LaTeX of a formula that a reader takes in
MOST_PATHS = 32  # ways from the output to one leaf


class Way(NamedTuple):
    """A way from the output to a value.

    Attributes:
        route: names of the values on it.
        edges: (value, what used it), from the value on.
        sent: id of the node that comes along it.
        code_piece: the same as an expression of NumPy.
        tex_piece: and of LaTeX.
    """

    route: list[str]
    edges: list[list[int]]
    sent: int
    code_piece: Piece
    tex_piece: Piece

    @property
    def code(self) -> str:
        """The expression of NumPy."""
        return re.sub("^(--)+", "", self.code_piece.text)

    @property
    def tex(self) -> str:
        """The formula."""
        return re.sub("^(--)+", "", self.tex_piece.text)


class Ways:
    """Finds the ways from the outputs of a program to its leaves.

    Args:
        printer: names the values of the program.
        latex: the same as mathematics.
        workshop: gets a node for what comes along a way.
    """

    def __init__(self, printer: Printer, latex: LatexPrinter, workshop: Workshop) -> None:
        self.program, self.printer, self.latex, self.workshop = printer.program, printer, latex, workshop

    def paths_to(self, leaf: int) -> dict[str, Any]:
        """Return the ways to a leaf, shortest first: what they go through, and what comes along them."""
        trunk = self.trunk(bool(self.program.graph.nodes[leaf].shape))
        ways = sorted(self.ways(leaf, {}, trunk), key=lambda way: len(way.route))
        shown = [
            {"route": way.route, "id": way.sent, "math": mathml(way.tex), "code": way.code, "edges": way.edges}
            if len(way.tex) < LONGEST
            else {"route": way.route, "id": way.sent, "math": "<mo>…</mo>", "code": "", "edges": way.edges}
            for way in ways
        ]
        return {"leaf": leaf, "count": self.count_ways(leaf), "ways": shown}

    def count_ways(self, leaf: int) -> int:
        """Return how many ways there are to a leaf."""
        found: dict[int, int] = {}
        for i in self.program.backward:
            found[i] = (i in self.program.upstream) + sum(found[c.user] for c in self.program.contributions[i])
        return found[leaf]

    def trunk(self, has_axes: bool) -> set[int]:
        """Return the nodes at which all ways are one, from the output on: there the gradient stands by its name."""
        program, found = self.program, set(self.program.upstream)
        for i in program.backward:
            parts = program.contributions[i]
            if len(parts) == 1 and i not in found and parts[0].user in found:
                user = program.graph.nodes[parts[0].user]
                if user.id not in self.printer.name or (not user.shape and (user.id in program.upstream or has_axes)):
                    found.add(i)
        return found

    def ways(self, i: int, known: dict[int, list[Way]], trunk: set[int]) -> list[Way]:
        """Return the ways to a node."""
        if i not in known:
            name = [self.printer.name[i]] if i in self.printer.name else []
            code, tex = self.printer.gradients[i], self.latex.gradients[i]
            start = self.program.upstream.get(i)
            known[i] = [Way(name, [], start, code, tex)] if start is not None else []
            for part in self.program.contributions.get(i, ()):
                for way in self.ways(part.user, known, trunk):
                    sent = self.along(part, way.sent)
                    codes = [
                        p.gradients[i] if i in trunk else along_text(p, part, piece)
                        for p, piece in ((self.printer, way.code_piece), (self.latex, way.tex_piece))
                    ]
                    known[i].append(Way(name + way.route, [[i, part.user], *way.edges], sent, *codes))
                del known[i][MOST_PATHS:]
        return known[i]

    def along(self, part: Contribution, sent: int) -> int:
        """Return what comes along one edge, if ``sent`` alone arrives at its end."""
        start = self.program.gradient[part.user]
        if not part.ops:
            return sent
        return part.result if sent == start else self.workshop.substitute(part.result, {start: sent})


def along_text(printer: Printer, part: Contribution, sent: Piece) -> Piece:
    """Return, as an expression, what comes along one edge, if ``sent`` arrives at its end."""
    if not part.ops:
        return sent
    known = printer.pieces
    printer.pieces = {i: x for i, x in known.items() if i not in part.ops}
    printer.pieces[printer.program.gradient[part.user]] = sent
    try:
        return printer.expression(printer.graph.nodes[part.result])
    finally:
        printer.pieces = known
