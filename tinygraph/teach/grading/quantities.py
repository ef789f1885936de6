"""What a right backward can compute: every value of a recorded program, and which of them a name may stand for."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.teach.mutants import Mutant, Question, mutants_of, questions_of
from tinygraph.teach.names import to_ascii
from tinygraph.teach.printer import Printer
from tinygraph.teach.program import Program
from tinygraph.teach.spelling import numpy_spelling
from tinygraph.teach.workshop import Workshop, compute, is_same

__all__ = ["RTOL", "Quantity", "Recording", "Target", "is_alike", "plain"]

RTOL = 3e-6  # a student may compute in another order
ALIKE = (  # what one thing is called
    ("mu", "mean", "samplemean", "batchmean", "xmean"),
    ("var", "variance", "samplevar", "batchvar", "sigma2", "sigmasq"),
    ("sqrtvar", "std", "sigma", "samplestd", "stddev"),
    ("ivar", "istd", "invstd", "invsqrtvar", "invvar", "rstd", "invsigma"),
    ("xhat", "xnorm", "xnormalized", "normalized", "xn"),
    ("xmu", "xc", "xcentered", "xminusmu", "xminusmean", "xzeromean", "xmean0", "centered"),
    ("sq", "xmusq", "xmu2", "xsq", "xmusquared"),
    ("gammax", "gammaxhat", "scaled"),
    ("out", "y"),
    ("w", "weight", "weights"),
    ("b", "bias"),
)
PARTS = 4  # contributions of which every partial sum is right on the way


def plain(name: str) -> str:
    """Return a name without what people write in different ways: x̂, x_hat and xhat are one.

    >>> plain("x̂"), plain("x_Hat")
    ('xhat', 'xhat')
    """
    return to_ascii(name).lower().replace("_", "")


def is_alike(a: Any, b: Any) -> bool:
    """Whether the numbers of two arrays are the same; axes of length 1, and copies along an axis, do not count.

    Args:
        a: of a student.
        b: right.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape == b.shape:
        return is_same(a, b, RTOL)
    if np.squeeze(a).shape == np.squeeze(b).shape:
        return is_same(np.squeeze(a), np.squeeze(b), RTOL)
    if a.ndim < b.ndim or a.size <= b.size:
        return False
    try:
        return is_same(a, np.broadcast_to(b, a.shape), RTOL)
    except ValueError:
        return False


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One value of a recorded program.

    Attributes:
        kind: "gradient", "part", "forward" or "step".
        values: one a draw.
        of: what it is the gradient of, or the name of a value of the way forward.
        through: of a part, the value that it comes back through.
        recording: where it is.
        node: its node there.
    """

    kind: str
    values: Sequence[Any]
    of: str
    through: str
    recording: Recording
    node: int


@dataclasses.dataclass(frozen=True)
class Target:
    """What a variable is by its name: the gradient of a node, or, where its name has a number, perhaps a part of it."""

    recording: Recording
    node: int
    is_part: bool = False


class Recording:
    """A forward and its backward pass, with the values of every node on every draw.

    Args:
        program: of the forward.
        inputs: the leaves' values, one mapping a draw: name -> array.
        upstream: the gradient that comes in, one a draw.
        names: of the inputs that are differentiated, in the order of the program's.
        aliases: further names of the forward: name -> the name that its node bears.
    """

    def __init__(
        self,
        program: Program,
        inputs: Sequence[Mapping[str, Any]],
        upstream: Sequence[Any],
        names: Sequence[str],
        aliases: Mapping[str, str],
    ) -> None:
        self.program, self.aliases = program, aliases
        self.printer = Printer(program, numpy_spelling(), ascii=True)
        self.leaves = []
        for given, start in zip(inputs, upstream, strict=True):
            leaves = {i: np.asarray(given[n]) for i, n in zip(program.wrt, names, strict=True)}
            self.leaves.append(leaves | dict.fromkeys(program.upstream.values(), np.asarray(start)))
        self.draws = [compute(program.graph.nodes, leaves) for leaves in self.leaves]
        self.questions = questions_of(self.printer)
        self.workshop = Workshop(program)
        self.forward: dict[str, list[int]] = {}
        for i in program.forward:
            name = program.graph.nodes[i].name
            if name:
                self.forward.setdefault(plain(name), []).append(i)
        self.forward.setdefault("out", list(program.outputs))
        for name, first in aliases.items():
            self.forward.setdefault(plain(name), self.forward.get(plain(first), []))
        self.known: dict[tuple[int, int], list[Mutant]] = {}
        unnamed = [i for i in program.forward if program.graph.nodes[i].op and not program.graph.nodes[i].name]
        lines = {line.node: line for line in self.printer.lines if line.part == "forward"}
        self.unnamed = {lines[i].name: lines[i].value for i in unnamed if i in lines}

    def value(self, i: int) -> list[Any]:
        """Return the values of a node, one a draw."""
        return [draw[i] for draw in self.draws]

    def label(self, i: int) -> str:
        """Return what a student calls a node of the way forward."""
        return self.program.graph.nodes[i].name or self.spelled(self.printer.label(i))

    def spelled(self, text: str) -> str:
        """Return a text in which a value that has no name in the student's code, t1, is the expression that it is."""
        for _ in self.unnamed:
            before = text
            text = re.sub(r"\b(d?)(t\d+)\b(?!_)", lambda m: self.expression(m[1], m[2]), text)
            if text == before:
                break
        return text

    def way(self, i: int) -> str:
        """Return what a contribution comes back through: a node, or the first named value that it leads to."""
        nodes, users = self.program.graph.nodes, self.program.graph.consumers
        j = i
        while not nodes[j].name:
            after = [k for k, _ in users[j] if k in self.program.forward]
            if not after:
                return self.label(i)
            j = after[0]
        return nodes[j].name or ""

    def line_of(self, i: int) -> str:
        """Return the line of the way forward that makes a node; of one without a name, the expression."""
        for line in self.printer.lines:
            if line.node == i and line.part == "forward":
                value = self.spelled(line.value)
                return value if line.name in self.unnamed else f"{line.name} = {value}"
        return self.label(i)

    def formula(self, question: Question) -> str:
        """Return the line that is the answer; of a sum, also the lines of what is added."""
        lines = [question.line]
        if question.part < 0:
            words = re.findall(r"\w+", question.line.value)
            lines += [q.line for q in self.questions if q.of == question.of and q.line.name in words]
        return "; ".join(self.spelled(f"{line.name} = {line.value}") for line in lines)

    def expression(self, d: str, name: str) -> str:
        """Return the expression that a name stands for, in brackets where these are needed."""
        if name not in self.unnamed:
            return d + name
        value = self.unnamed[name]
        is_atom = re.fullmatch(r"[\w.]+(\([^()]*\))?", value) is not None
        return f"d({value})" if d else value if is_atom else f"({value})"

    def spell(self, mutant: Mutant) -> Mutant:
        """Return a mistake whose facts have expressions for values that have no name."""
        ways = {name: self.way(i) for i, name in self.printer.name.items() if name in self.unnamed}
        said = []
        for kind, facts in mutant.mistakes:
            known = {k: ways.get(v, v) if k == "through" else v for k, v in facts.items()}
            said.append((kind, {k: self.spelled(v) for k, v in known.items()}))
        return Mutant(mutant.result, tuple(said))

    def has_unnamed(self, mutant: Mutant) -> bool:
        """Whether a mistake speaks of a value that has no name in the student's code."""
        return self.spell(mutant) != mutant

    def find(self, name: str) -> list[int]:
        """Return the nodes of the way forward that a name stands for: the student's own name, or another for it."""
        word = plain(name)
        if word in self.forward:
            return self.forward[word]
        group: Sequence[str] = next((g for g in ALIKE if word in g), ())
        return next((self.forward[other] for other in group if other in self.forward), [])

    def targets(self, name: str) -> list[Target]:
        """Return what a variable is by its name: dxhat is the gradient of xhat, dxmu1 perhaps a part of dxmu."""
        for base in bases_of(name):
            for word, is_part in ((base, False), (re.sub(r"(\d+|[abc]|part|path)$", "", base), True)):
                found = [i for i in self.find(word) if i in self.program.gradient] if word else []
                if found:
                    return [Target(self, i, is_part) for i in found]
        return []

    # -- what is right

    def allowed(self, target: Target) -> Iterator[list[Any]]:
        """Yield the values that a variable may have that is the gradient of a node: it, and parts of it."""
        program, i = self.program, target.node
        yield self.value(program.gradient[i])
        parts = program.contributions[i]
        results = [self.value(part.result) for part in parts]
        for count in range(1, len(parts) if len(parts) <= PARTS else 1):
            for chosen in itertools.combinations(results, count):
                yield [sum(values) for values in zip(*chosen, strict=True)]
        if target.is_part:
            for part in parts:
                yield from (self.value(op) for op in part.ops)

    def quantities(self) -> list[Quantity]:
        """Return all values of the program, the ones that have a name first."""
        program, nodes = self.program, self.program.graph.nodes
        found, seen = list[Quantity](), set[int]()

        def add(i: int, kind: str, of: str = "", through: str = "") -> None:
            if i not in seen and np.ndim(self.draws[0][i]) + (kind == "gradient"):
                seen.add(i)
                found.append(Quantity(kind, self.value(i), of, through, self, i))

        for i, gradient in program.gradient.items():
            if nodes[i].name or nodes[i].op is None:
                add(gradient, "gradient", self.label(i))
        for i, parts in program.contributions.items():
            for part in parts if nodes[i].name else ():
                add(part.result, "part", self.label(i), self.way(part.user))
        for i in program.forward:
            add(i, "forward", nodes[i].name or "")
        for i in range(len(nodes)):
            add(i, "step")
        return found

    # -- what is wrong

    def questions_about(self, target: Target) -> list[Question]:
        """Return the questions whose answer is a gradient, the likelier first: the whole, unless a part is meant."""
        mine = [q for q in self.questions if q.of == target.node]
        passed_on = [p.user for p in self.program.contributions[target.node] if not p.ops]  # dx1 is dxmu as it is
        theirs = [q for q in self.questions if q.of in passed_on and q.part < 0] if target.is_part else []
        return [*theirs, *sorted(mine, key=lambda q: (q.part < 0) == target.is_part)]

    def mutants(self, question: Question) -> list[Mutant]:
        """Return the mistakes of a question."""
        key = (question.of, question.part)
        if key not in self.known:
            self.known[key] = mutants_of(self.printer, [question], self.workshop)[1][0]
        return self.known[key]

    def all_draws(self) -> list[list[Any]]:
        """Return the values of every node of the workshop, mutants too, one list a draw."""
        for draw, leaves in zip(self.draws, self.leaves, strict=True):
            compute(self.workshop.nodes, leaves, draw)
        return self.draws


def bases_of(name: str) -> list[str]:
    """Return what a variable may be the gradient of, by its name.

    >>> bases_of("dLdx_hat"), bases_of("grad_w"), bases_of("mu")
    (['xhat', 'ldxhat'], ['w'], [])
    """
    word = plain(name)
    patterns = (r"^dl(?:oss)?d(.+)", r"^d(.+)", r"^grad(?:of)?(.+)", r"^delta(.+)", r"^(.+)grad$")
    return [m[1] for p in patterns if (m := re.match(p, word))]
