"""Mistakes that a student makes, made from any program: each is the program with one thing changed, or two.

A wrong answer is compared with these. What a mistake is called stands in the table of each language; here is only what
it computes. Nothing is written for batch norm: a forgotten sum over rows is a `sum_to` that is left out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.graph.data import Node
from tinygraph.graph.values import parameters_of
from tinygraph.teach.printer import Line, Printer
from tinygraph.teach.spelling import copied_axes
from tinygraph.teach.workshop import DUST, Workshop

__all__ = ["Mutant", "Question", "mutants_of", "questions_of"]

Facts = Mapping[str, str]
SEEDS = (11, 12)  # draws on which mutants are told from the answer and from each other
SIMPLE = ((2.0, "2"), (0.5, "1/2"))  # factors that are tried together with another mistake
JOINED = ("sum_left_out", "sum_other_axis", "factor_left_out", "inverted", "other_upstream", "share_left_out")


@dataclasses.dataclass(frozen=True)
class Question:
    """One line of the backward pass, asked for.

    Attributes:
        name: of what is asked for: "dσ", or "dx_1" for a part.
        of: id of the node whose gradient it is.
        answer: id of the node whose value is the answer.
        line: the line of the answer key.
        part: which of the contributions it is, from 0; -1 for the whole gradient.
    """

    name: str
    of: int
    answer: int
    line: Line
    part: int = -1


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One mistake, or two at once.

    Attributes:
        result: id of the node, in the workshop, whose value a student gets who makes it.
        mistakes: what is wrong: for each mistake its kind, a key of the table "mutants" of a language, and the facts
            that fill the holes in its text.
    """

    result: int
    mistakes: tuple[tuple[str, Facts], ...]

    @property
    def kind(self) -> str:
        """The kinds of its mistakes, joined by "+"."""
        return "+".join(kind for kind, _ in self.mistakes)


def questions_of(printer: Printer) -> list[Question]:
    """Return a question for each line of the backward pass but those where it starts.

    Args:
        printer: of the answer key.

    Returns:
        The questions, in the order of the key.
    """
    program, found = printer.program, list[Question]()
    starts = set(program.upstream.values())
    for line in printer.lines:
        if line.part != "backward" or line.of < 0 or line.node in starts:
            continue
        several = len(program.contributions[line.of]) + (line.of in program.upstream) > 1
        k = sum(q.of == line.of for q in found)
        is_part = several and k < len(program.contributions[line.of])
        found.append(Question(line.name, line.of, line.node, line, k if is_part else -1))
    return found


def mutants_of(
    printer: Printer, questions: Sequence[Question], workshop: Workshop | None = None
) -> tuple[Workshop, list[list[Mutant]]]:
    """Return the mistakes of each question, the likelier ones first.

    A mutant is left out that cannot be told from the answer, or from one before it, on random numbers.

    Args:
        printer: of the answer key; it knows what values are called.
        questions: what is asked for.
        workshop: gets the nodes of the mutants; a new one unless given.

    Returns:
        The workshop, and the mutants of each question.
    """
    workshop = workshop or Workshop(printer.program)
    drafts = [list(Mistakes(workshop, printer, q).all()) for q in questions]
    draws = [workshop.draw(seed) for seed in SEEDS]
    found = []
    for question, mutants in zip(questions, drafts, strict=True):
        told_apart: dict[tuple[int, ...], Any] = {}  # by shape: a row of the answer's values, and of each that is kept
        kept = []
        for i, mutant in ((question.answer, None), *((m.result, m) for m in mutants)):
            mine = np.concatenate([np.ravel(draw[i]).astype(float) for draw in draws])
            rows = told_apart.get(workshop.shape(i), np.empty((0, mine.size)))
            if np.all(np.isfinite(mine)) and not is_among(mine, rows):
                told_apart[workshop.shape(i)] = np.vstack((rows, mine))
                kept += [mutant] if mutant else []
        found.append(kept)
    return workshop, found


def is_among(values: Any, rows: Any) -> bool:
    """Whether some values are, but for rounding, one of some rows."""
    scale = np.maximum(np.abs(rows).max(1, initial=0.0), np.abs(values).max(initial=0.0))
    return bool(np.any(np.abs(rows - values).max(1, initial=0.0) <= 1e-7 * scale + DUST))


@dataclasses.dataclass(frozen=True)
class Edit:
    """One op of a derivative line, replaced: node ``old`` by node ``new``."""

    kind: str
    facts: Facts
    old: int
    new: int


class Mistakes:
    """Makes the mutants of one question."""

    def __init__(self, workshop: Workshop, printer: Printer, question: Question) -> None:
        self.shop, self.printer, self.question = workshop, printer, question
        program = printer.program
        self.parts = program.contributions[question.of]
        single = len(self.parts) == 1 and question.of not in program.upstream
        self.part = self.parts[question.part] if question.part >= 0 else self.parts[0] if single else None
        self.upstream = program.gradient[self.part.user] if self.part else -1

    def all(self) -> Iterator[Mutant]:
        """Yield the mutants, the likelier ones first; some may equal the answer or each other."""
        edits = list(self.edits())
        for edit in edits:
            yield from self.finish(lambda edit=edit: {edit.old: edit.new}, (edit.kind, edit.facts))
        yield from self.of_sums()
        yield from self.frozen()
        ends = list(self.ends())
        for result, mistake in ends:
            yield Mutant(result, (mistake,))
        yield from self.pairs([e for e in edits if e.kind in JOINED])

    def finish(self, changes: Any, *mistakes: tuple[str, Facts]) -> Iterator[Mutant]:
        """Yield the answer with nodes replaced; nothing where the shapes do not allow it."""
        try:
            yield Mutant(self.shop.substitute(self.question.answer, changes()), mistakes)
        except (ValueError, IndexError):
            return

    # -- one op of the derivative line is another

    def edits(self) -> Iterator[Edit]:
        """Yield the edits of the ops of the derivative line."""
        for i in self.part.ops if self.part else ():
            yield from self.edits_of(self.shop.nodes[i])

    def edits_of(self, node: Node) -> Iterator[Edit]:
        """Yield the edits of one op."""
        sources = [e.source for e in node.inputs]
        if node.op == "sum_to":
            yield from self.edits_of_sum(node, sources[0])
        elif node.op in ("mul", "div"):
            yield from self.edits_of_product(node, *sources)
        elif node.op == "neg":
            yield Edit("sign", {}, node.id, sources[0])
        elif node.op == "matmul":
            yield from self.edits_of_matmul(node, *sources)
        for k, source in enumerate(sources):  # another value of the same shape in the place of one
            yield from self.edits_of_operand(node, k, source)

    def edits_of_sum(self, node: Node, x: int) -> Iterator[Edit]:
        """Yield the edits of a sum over copies."""
        shape, small = self.shop.shape(x), node.shape
        axes, _ = copied_axes(small, shape)
        if not axes:
            return
        facts = {"value": self.name(self.question.of), "copies": str(math.prod(shape) // max(math.prod(small), 1))}
        yield Edit("sum_left_out", facts, node.id, x)
        yield from self.edit("mean_for_sum", facts, node, "mean", x, axis=axes)
        for axis in range(len(shape)):
            if (axis,) != axes and len(shape) > 1:
                yield from self.edit("sum_other_axis", facts | {"axis": str(axis)}, node, "sum", x, axis=axis)
        if len(small) < len(shape):
            yield from self.edit("keepdims", facts, node, "sum", x, axis=axes, keepdims=True)
        yield from self.edit("sum_of_all", facts, node, "sum", x)

    def edits_of_product(self, node: Node, x: int, y: int) -> Iterator[Edit]:
        """Yield the edits of a product or a quotient."""
        for kept, left in ((x, y), (y, x)) if node.op == "mul" else ((x, y),):
            if not self.comes_back(kept):
                continue
            if (share := self.printer.share_of(left)) and node.op == "mul":
                yield Edit("share_left_out", {"count": str(share)}, node.id, kept)
            else:
                yield Edit("factor_left_out", {"factor": self.text(left)}, node.id, kept)
            other = "div" if node.op == "mul" else "mul"
            facts = {"factor": self.text(left)}
            yield from self.edit("inverted", facts | {"did": node.op or ""}, node, other, kept, left)
            yield from self.edit("squared", facts, node, node.op or "", kept, self.shop.op("square", left))
            if self.shop.nodes[left].op == "square":
                root = self.shop.nodes[left].inputs[0].source
                yield from self.edit("not_squared", {"factor": self.text(root)}, node, node.op or "", kept, root)

    def edits_of_matmul(self, node: Node, x: int, y: int) -> Iterator[Edit]:
        """Yield the edits of a matrix product: factors not transposed, or in the other order."""
        for a, b in (
            (y, x),
            (self.transposed(x), y),
            (x, self.transposed(y)),
            (self.transposed(y), self.transposed(x)),
        ):
            yield from self.edit("order_of_product", {}, node, "matmul", a, b)

    def edits_of_operand(self, node: Node, k: int, source: int) -> Iterator[Edit]:
        """Yield the edits in which another value or gradient of the same shape stands in the place of an operand."""
        is_gradient = source == self.upstream
        names = self.gradients() if is_gradient else self.forward_values()
        for other, name in names.items():
            if other == source or self.shop.shape(other) != self.shop.shape(source):
                continue
            if not is_gradient and source not in self.printer.name:
                continue
            inputs = [other if j == k else e.source for j, e in enumerate(node.inputs)]
            kind = "other_upstream" if is_gradient else "other_factor"
            yield from self.edit(kind, {"wrong": name, "right": self.text(source)}, node, node.op or "", *inputs)

    def edit(self, kind: str, facts: Facts, node: Node, op: str, *inputs: int, **params: Any) -> Iterator[Edit]:
        """Yield the edit that puts an op in the place of a node, with the node's own parameters unless given.

        Nothing where the op does not take these shapes.
        """
        own = {} if op != node.op else parameters_of(node)
        try:
            yield Edit(kind, facts, node.id, self.shop.op(op, *inputs, **{**own, **params}))
        except (ValueError, IndexError):
            return

    # -- what is added up, and what is held fast

    def of_sums(self) -> Iterator[Mutant]:
        """Yield the mutants about the contributions: one left out, one twice, one alone, all for one."""
        results, answer = [part.result for part in self.parts], self.question.answer
        if self.question.part >= 0:
            yield Mutant(self.printer.program.gradient[self.question.of], (("whole_for_part", {}),))
            for k, other in enumerate(results):
                if k != self.question.part:
                    yield Mutant(other, (("other_part", {"through": self.name(self.parts[k].user)}),))
            return
        if len(results) < 2:
            return
        facts = [{"through": self.name(part.user)} for part in self.parts]
        rest = [self.shop.op("sub", answer, result) for result in results]
        yield from (Mutant(i, (("part_left_out", fact),)) for i, fact in zip(rest, facts, strict=True))
        for result, others, fact in zip(results, rest, facts, strict=True):
            yield Mutant(self.shop.op("add", answer, result), (("part_twice", fact),))
            yield Mutant(self.shop.op("sub", others, result), (("part_sign", fact),))
            yield Mutant(result, (("part_alone", fact),))

    def frozen(self) -> Iterator[Mutant]:
        """Yield the mutants in which a value on the way, or two, is taken for a constant: nothing comes back to it."""
        program, zero = self.printer.program, self.shop.number(0.0)
        held = [
            i for i in program.backward
            if program.graph.nodes[i].op and i in self.printer.name and i != self.question.of
            and program.gradient[i] != self.question.answer
        ]  # fmt: skip
        changes = {i: (program.gradient[i], self.shop.op("mul", program.gradient[i], zero)) for i in held}
        for i in held:
            yield from self.finish(lambda i=i: dict([changes[i]]), ("frozen", {"value": self.name(i)}))
        statistics = [i for i in held if program.graph.nodes[i].family == "reduction"]
        for a, b in zip(statistics, statistics[1:], strict=False):
            facts = {"value": f"{self.name(a)}, {self.name(b)}"}
            yield from self.finish(lambda a=a, b=b: dict([changes[a], changes[b]]), ("frozen", facts))

    # -- the whole answer is another

    def ends(self) -> Iterator[tuple[int, tuple[str, Facts]]]:
        """Yield what may stand in the place of the whole answer."""
        program, answer = self.printer.program, self.question.answer
        yield from self.scaled(answer)
        if self.part:
            yield self.upstream, ("upstream_alone", {"upstream": self.gradient_text(self.part.user)})
        yield self.question.of, ("value_for_gradient", {"value": self.name(self.question.of)})
        for other, name in self.gradients().items():
            if other != self.upstream and self.shop.shape(other) == self.shop.shape(answer):
                yield other, ("other_gradient", {"other": name})
        for start in program.upstream.values():
            if self.shop.shape(start):
                ones = self.shop.op("add", self.shop.op("mul", start, self.shop.number(0.0)), self.shop.number(1.0))
                try:
                    yield self.shop.substitute(answer, {start: ones}), ("upstream_ones", {"upstream": self.text(start)})
                except ValueError:
                    continue
        shape = self.shop.shape(answer)
        if len(shape) == 2 and shape[0] != shape[1]:
            yield self.transposed(answer), ("transposed", {})
        if len(shape) == 1:
            yield (
                self.shop.op("reshape", answer, shape=(1, *shape)),
                ("keepdims", {"value": self.name(self.question.of)}),
            )

    def scaled(self, i: int) -> Iterator[tuple[int, tuple[str, Facts]]]:
        """Yield a node with the wrong sign, and with factors that are forgotten or taken twice."""
        yield self.shop.op("neg", i), ("sign", {})
        for factor, text in self.factors().items() if i == self.question.answer else SIMPLE:
            yield self.shop.op("mul", i, self.shop.number(factor)), ("factor", {"factor": text})

    def factors(self) -> dict[float, str]:
        """Return the factors by which an answer may be wrong: 2, ½, and the numbers of copies N."""
        found = {2.0: "2", 0.5: "1/2"}
        graph = self.printer.program.graph
        counts = {e.copies for n in graph.nodes for e in n.inputs if e.copies > 1}
        counts |= {n for n in map(self.printer.share_of, range(len(graph))) if n}
        for n in sorted(counts):
            found = {float(n): str(n), 1 / n: f"1/{n}"} | found
            if n > 1:
                found = {(n - 1) / n: f"{n - 1}/{n}", n / (n - 1): f"{n}/{n - 1}"} | found
        found.pop(1.0, None)
        return found

    def pairs(self, edits: Sequence[Edit]) -> Iterator[Mutant]:
        """Yield the mutants with two mistakes: two edits, or an edit and a wrong sign or factor."""
        for k, first in enumerate(edits):
            for mutant in self.finish(lambda first=first: {first.old: first.new}, (first.kind, first.facts)):
                for result, mistake in self.scaled(mutant.result):
                    yield Mutant(result, (*mutant.mistakes, mistake))
            for second in edits[k + 1 :]:
                if first.old != second.old:
                    yield from self.both(*sorted((first, second), key=lambda e: e.old))

    def both(self, first: Edit, second: Edit) -> Iterator[Mutant]:
        """Yield the mutant with two edits, ``second`` further down the line."""
        try:
            new = self.shop.substitute(second.new, {first.old: first.new})
            result = self.shop.substitute(self.question.answer, {second.old: new})
        except (ValueError, IndexError):
            return
        yield Mutant(result, ((first.kind, first.facts), (second.kind, second.facts)))

    # -- what is what

    def comes_back(self, i: int) -> bool:
        """Whether a node is made from the upstream gradient."""
        return i == self.upstream or (self.part is not None and i in self.part.ops)

    def forward_values(self) -> dict[int, str]:
        """Return the named values of the way forward that are computed, or given as inputs."""
        return {i: name for i, name in self.printer.name.items() if i in self.printer.program.forward}

    def gradients(self) -> dict[int, str]:
        """Return the gradients that have a name, and are there when this one is asked for."""
        found: dict[int, str] = {}
        for line in self.printer.lines:
            if line.name == self.question.name:
                break
            if line.part == "backward" and line.of >= 0 and line.node == self.printer.program.gradient[line.of]:
                found.setdefault(line.node, line.name)
        return found

    def transposed(self, i: int) -> int:
        """Return the transpose of a node; one that is a transpose already is undone."""
        node = self.shop.nodes[i]
        return node.inputs[0].source if node.op == "transpose" else self.shop.op("transpose", i)

    def name(self, i: int) -> str:
        """Return what a value of the way forward is called."""
        return self.printer.label(i)

    def text(self, i: int) -> str:
        """Return what stands for a node in the answer key."""
        return self.printer.pieces[i].text if i in self.printer.pieces else self.printer.piece(i).text

    def gradient_text(self, i: int) -> str:
        """Return what the gradient of a node is called."""
        return self.printer.gradients[i].text
