"""Writes a program line by line: which node has a line of its own, what it is called, and why it is there."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tinygraph.graph.data import Edge, Node
from tinygraph.graph.run import leaf_value
from tinygraph.graph.values import parameters_of
from tinygraph.teach.names import Names
from tinygraph.teach.program import Contribution, Program
from tinygraph.teach.spelling import Call, Piece, Speller, atom

__all__ = ["Line", "Printer"]

COLUMN = 44  # where the comments stand
LONG = 48  # letters: an expression longer than this has a line of its own


class Line(NamedTuple):
    """A line of a program.

    Attributes:
        name: what it assigns.
        value: the expression.
        comment: shape and reason.
        node: id of the node that has this value.
        part: "given", "forward" or "backward".
        of: in the backward part, id of the node whose gradient it is, or a part of it.
    """

    name: str
    value: str
    comment: str
    node: int
    part: str
    of: int = -1


class Printer:
    """Writes the lines of a program: each node is an expression of names, or a name.

    Args:
        program: forward and backward.
        spelling: how ops are written.
        ascii: spell names in ASCII.
        inside: ids of the nodes that stand inside the line of their consumer, if another printer has chosen them.
    """

    def __init__(
        self,
        program: Program,
        spelling: Speller,
        ascii: bool = False,  # noqa: A002 - the name of the option
        inside: Collection[int] | None = None,
    ) -> None:
        self.inside, self.chosen = set[int](), inside
        self.program, self.graph, self.spelling = program, program.graph, spelling
        self.names = Names(ascii)
        self.name: dict[int, str] = {}  # of a node of the way forward
        self.pieces: dict[int, Piece] = {}  # what stands for the value of a node
        self.gradients: dict[int, Piece] = {}  # what stands for the gradient of a node
        self.lines: list[Line] = []
        for i in program.forward:
            self.forward(i)
        for i in program.backward:
            self.backward(i)

    # -- forward

    def forward(self, i: int) -> None:
        """Write the line of a node; nothing where it stands inside the line of its consumer."""
        node = self.graph.nodes[i]
        if node.op is None:
            self.leaf(node, "given")
        elif self.reads_best_inside(node) if self.chosen is None else i in self.chosen:
            self.inside.add(i)
            self.pieces[i] = self.expression(node)
        else:
            copies = "".join(f", {self.copied(node, e)}" for e in node.inputs if self.copied(node, e))
            piece = self.expression(node)
            self.name[i] = self.take(node.name or "")
            self.add(self.name[i], piece.text, f"{shape_text(node.shape)}{copies}", i, "forward")

    def leaf(self, node: Node, part: str) -> None:
        """Write the line of a leaf; a number stands where it is used."""
        if self.graph.is_number(node.id):
            self.pieces[node.id] = self.spelling.number(number_text(node))
            return
        name = self.take(node.name or ("c" if node.kind == "constant" else ""))
        self.name[node.id] = name
        said = shape_text(node.shape)
        if node.id in self.program.made_up:
            said += ": put your own numbers here"
            value = self.spelling.random(node.shape, node.dtype, self.program.made_up.index(node.id))
        else:
            value = self.spelling.literal(leaf_value(node))
        self.add(name, value, said, node.id, part)

    def reads_best_inside(self, node: Node) -> bool:
        """Whether a node stands inside the line of its only consumer, and needs no line for its gradient."""
        users = self.graph.consumers[node.id]
        if node.name or len(users) != 1 or node.id in self.program.outputs or users[0][0] not in self.program.forward:
            return False
        if node.family not in ("elementwise", "linear", "shape") or node.op in ("index", "reshape", "join"):
            return False
        passes_on = sum(c.user == node.id for parts in self.program.contributions.values() for c in parts)
        mine = self.program.contributions.get(node.id, ())
        is_alias = len(mine) == 1 and not mine[0].ops
        return (passes_on < 2 or is_alias) and len(self.expression(node).text) < LONG

    def copied(self, node: Node, edge: Edge) -> str:
        """Say how an operand was copied: "μ copied to 4 rows"."""
        axes = self.graph.copied_axes(node.id, edge)
        if not axes or self.graph.is_number(edge.source):
            return ""
        rows = axes == (0,) and len(node.shape) == 2
        count = math.prod(node.shape[a] for a in axes)
        return f"{self.piece(edge.source).text} copied to {count} {'rows' if rows else 'places'}"

    # -- expressions

    def piece(self, i: int) -> Piece:
        """Return what stands for the value of a node."""
        if i not in self.pieces:
            node = self.graph.nodes[i]
            if i not in self.name:  # only a derivative line has seen it
                if node.op is None:
                    self.leaf(node, "backward")
                elif len(self.graph.consumers[i]) > 1:
                    value = self.expression(node).text
                    self.name[i] = self.take("")
                    self.add(self.name[i], value, shape_text(node.shape), i, "backward")
                else:
                    return self.expression(node)
            if i not in self.pieces:
                self.pieces[i] = atom(self.name[i], node.shape)
        return self.pieces[i]

    def expression(self, node: Node) -> Piece:
        """Return a node as an expression of its operands."""
        operands, op = [self.piece(e.source) for e in node.inputs], node.op or ""
        if op == "mul" and (count := self.share_of(node.inputs[1].source)):  # the share of one in a mean
            op, operands[1] = "div", self.spelling.number(str(count))
        return self.spelling.spell(Call(op, operands, parameters_of(node), node.shape, node.dtype))

    def share_of(self, i: int) -> int:
        """Return n where a derivative line multiplies by the number 1/n; else 0."""
        node = self.graph.nodes[i]
        value = node.value.values[0] if self.graph.is_number(i) and node.value and node.value.values else 0
        if not isinstance(value, float) or not 0 < value <= 0.5:
            return 0
        if i in self.program.forward and len(repr(value)) < 8:  # the author's own 0.25
            return 0
        return round(1 / value) if abs(1 / value - round(1 / value)) < 1e-9 / value else 0

    # -- backward

    def backward(self, i: int) -> None:
        """Write the lines of the gradient of a node: what its uses send back, and their sum."""
        parts, node = self.program.contributions[i], self.graph.nodes[i]
        upstream = self.program.upstream.get(i)
        count = len(parts) + (upstream is not None)
        terms = []
        if upstream is not None:
            start = self.take_gradient(i, 0 if parts else None)
            value = self.graph.nodes[upstream]
            literal = (
                self.spelling.filled("ones", (), value.dtype)
                if not value.shape
                else self.spelling.literal(leaf_value(value))
            )
            self.add(start, literal, f"{shape_text(node.shape)} the upstream gradient", upstream, "backward", i)
            terms.append(atom(start, node.shape))
        for k, part in enumerate(parts, 1):
            user = self.graph.nodes[part.user]
            self.pieces[self.program.gradient[part.user]] = self.gradients[part.user]
            piece = self.expression(self.graph.nodes[part.result]) if part.ops else self.gradients[part.user]
            if count == 1 and self.is_inside(i):
                self.gradients[i] = piece
                return
            label = self.take_gradient(i, None if count == 1 else k)
            self.add(
                label, piece.text, f"{shape_text(node.shape)} {self.reason(part, user)}", part.result, "backward", i
            )
            terms.append(atom(label, node.shape))
        if count > 1:
            total = self.take_gradient(i)
            uses = f"{self.label(i)} was used {len(parts)} times: add" if len(parts) > 1 else "both come together: add"
            said = f"{shape_text(node.shape)} {uses.replace('2 times', 'twice')}"
            self.add(total, " + ".join(t.text for t in terms), said, self.program.gradient[i], "backward", i)
            terms = [atom(total, node.shape)]
        self.gradients[i] = terms[0]
        self.pieces[self.program.gradient[i]] = terms[0]

    def is_inside(self, i: int) -> bool:
        """Whether a node has no line of its own, so that its gradient has none."""
        return i not in self.name and self.graph.nodes[i].op is not None

    def take(self, wanted: str) -> str:
        """Return a name that no other value has."""
        return self.names.take(wanted)

    def take_gradient(self, i: int, part: int | None = None) -> str:
        """Return the name of a gradient, d and the name of its value; a part of it has its number."""
        return self.take(f"d{self.name.get(i, '')}" + ("" if part is None else f"_{part}"))

    def label(self, i: int) -> str:
        """Return what stands for a node in a sentence."""
        return self.name.get(i) or self.piece(i).text

    def reason(self, part: Contribution, user: Node) -> str:
        """Say where a contribution comes from, and that copies are added up."""
        line = user
        while line.id not in self.name:  # it stands inside the line of its only consumer
            line = self.graph.nodes[self.graph.consumers[line.id][0][0]]
        made = f"{self.name[line.id]} = {self.expression(line).text}"
        edge = user.inputs[part.edge]
        copies = self.copied(user, edge)
        return f"through {made}" + (f"; {copies}: add them up" if copies else "")

    # -- text

    def add(self, name: str, value: str, comment: str, node: int, part: str, of: int = -1) -> None:
        """Add a line."""
        self.lines.append(Line(name, value, comment, node, part, of))

    def text(self) -> str:
        """Return the program."""
        found = self.spelling.preamble("\n".join(line.value for line in self.lines))
        for part in ("given", "forward", "backward"):
            found += ["", *([f"# {part}"] if part != "given" else [])]
            found += [write_line(line) for line in self.lines if line.part == part]
        return "\n".join(found) + "\n"


def write_line(line: Line) -> str:
    """Write a line of a program and its comment."""
    code = f"{line.name} = {line.value}"
    first, _, last = code.rpartition("\n")
    last += "  " if len(last) >= COLUMN else ""
    return f"{first}\n{last.ljust(COLUMN)}# {line.comment}".removeprefix("\n")


def shape_text(shape: Sequence[int]) -> str:
    """Write a shape as Python does."""
    return str(tuple(shape))


def number_text(node: Node) -> str:
    """Write a number so that it is read back as it was."""
    value: Any = node.value.values[0] if node.value and node.value.values else 0
    return repr(value) if isinstance(value, bool | int) or not math.isfinite(value) else short_number(value)


def short_number(value: float) -> str:
    """Write a float, a whole one without its point where no digit is lost."""
    return str(int(value)) if value == int(value) and abs(value) < 1e6 else repr(value)
