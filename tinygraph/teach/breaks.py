"""Ways to break a backward pass: one of its lines is replaced by a mistake that people make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tinygraph.teach.mutants import Mutant, Question
from tinygraph.teach.printer import Printer
from tinygraph.teach.workshop import Workshop

__all__ = ["Break", "Breaks"]

RULES = ("sum_left_out", "share_left_out", "sign", "factor_left_out", "mean_for_sum")  # that break it


class Break(NamedTuple):
    """A way to break the backward pass.

    Attributes:
        at: id of the node that has another value.
        name: of the line of this node.
        of: id of the value whose gradient it is, or a part of it.
        rule: what is broken, a key of the table "rules" of a language.
        mutant: what stands there instead, and what is said of it.
    """

    at: int
    name: str
    of: int
    rule: str
    mutant: Mutant


class Breaks:
    """Finds the ways to break the backward pass of a program.

    Args:
        printer: names the values of the program.
        workshop: gets the nodes of what is wrong.
        questions: the lines of the backward pass.
        mutants: of each question.
    """

    def __init__(
        self, printer: Printer, workshop: Workshop, questions: Sequence[Question], mutants: Sequence[Sequence[Mutant]]
    ) -> None:
        self.program, self.printer, self.workshop = printer.program, printer, workshop
        self.questions, self.mutants = questions, mutants

    def find(self) -> Iterator[Break]:
        """Yield the ways to break the backward pass: what is said of it, and which node has which value instead."""
        for question, mutants in zip(self.questions, self.mutants, strict=True):
            for mutant in mutants:
                if len(mutant.mistakes) == 1 and mutant.kind in RULES:
                    yield Break(question.answer, question.name, question.of, mutant.kind, mutant)
            yield from self.divided(question)
        for i in self.program.backward:
            parts = self.program.contributions[i]
            if len(parts) > 1 and i in self.printer.name:
                through = self.shown(parts[-1].user)
                alone = Mutant(parts[-1].result, (("part_alone", {"through": through}),))
                yield Break(self.program.gradient[i], f"d{self.printer.name[i]}", i, "part_alone", alone)
        shop, zero, graph = self.workshop, self.workshop.number(0.0), self.program.graph
        for i in self.program.backward:
            copied = any(
                self.printer.copied(graph.nodes[c.user], graph.nodes[c.user].inputs[c.edge])
                for c in self.program.contributions[i]
            )
            is_statistic = graph.nodes[i].op and (graph.nodes[i].family == "reduction" or copied)
            if is_statistic and graph.nodes[i].shape and i in self.printer.name and i not in self.program.upstream:
                start = self.program.gradient[i]
                frozen = Mutant(shop.op("mul", start, zero), (("frozen", {"value": self.shown(i)}),))
                yield Break(start, f"d{self.printer.name[i]}", i, "frozen", frozen)

    def divided(self, question: Question) -> Iterator[Break]:
        """Yield the break in which a mean divides by N − 1."""
        parts = self.program.contributions[question.of]
        if question.part < 0 and len(parts) != 1:
            return
        user = self.program.graph.nodes[parts[max(question.part, 0)].user]
        size = math.prod(self.program.graph.nodes[question.of].shape) // max(math.prod(user.shape), 1)
        if user.op == "mean" and size > 1:
            factor = self.workshop.number(size / (size - 1))
            wrong = Mutant(
                self.workshop.op("mul", question.answer, factor), (("factor", {"factor": f"{size}/{size - 1}"}),)
            )
            yield Break(question.answer, question.name, question.of, "less_one", wrong)

    def shown(self, i: int) -> str:
        """Return the name of a value as its author wrote it."""
        return self.program.graph.nodes[i].name or self.printer.label(i)
