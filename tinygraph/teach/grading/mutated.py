"""Wrong backwards as functions: the answer key of any forward, with one of its lines as a mutant has it."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.teach.grading.truth import record_forward
from tinygraph.teach.mutants import Mistakes, Mutant, Question, questions_of
from tinygraph.teach.printer import Line, Printer
from tinygraph.teach.program import record_program
from tinygraph.teach.spelling import numpy_spelling
from tinygraph.teach.workshop import Workshop, is_same

__all__ = ["Key", "Wrong", "wrong_backwards"]

Shapes = tuple[tuple[int, ...], ...]
KINDS = (  # which gradient checks often let pass, in the order in which they are taken
    "keepdims", "upstream_ones", "factor_left_out", "frozen", "mean_for_sum", "part_left_out", "factor",
    "share_left_out", "other_upstream", "part_sign", "not_squared", "inverted", "order_of_product", "sign",
    "sum_of_all",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Wrong:
    """One mistake in one line of a backward pass, for inputs of any shape.

    Attributes:
        name: of the gradient in whose line it is: "dgamma".
        kind: a key of the table "mutants" of a language.
        facts: that fill the holes in its text.
        line: the wrong line, as code.
    """

    name: str
    kind: str
    facts: Mapping[str, str]
    line: str

    def is_like(self, question: Question, mutant: Mutant) -> bool:
        """Whether a mutant of the same forward, on inputs of another shape, is this mistake."""
        kind, facts = mutant.mistakes[0]
        return (question.name, kind) == (self.name, self.kind) and all(
            re.sub(r"\d", "", facts[k]) == re.sub(r"\d", "", v) for k, v in self.facts.items()
        )


class Key:
    """The answer key of a forward, as functions of arrays.

    The lines that `tinygraph.teach.printer` writes have sizes in them, so there is a program for each shape.

    Args:
        forward: a function of Tensors.
        names: of its inputs.
        given: further arguments of it.
    """

    def __init__(self, forward: Callable[..., Any], names: Sequence[str], given: Sequence[Any] = ()) -> None:
        self.what, self.names, self.given = forward, tuple(names), given
        self.printers: dict[Shapes, tuple[Printer, list[Question]]] = {}
        self.functions: dict[tuple[Shapes, Wrong | None], Callable[..., Any]] = {}
        self.known: dict[Shapes, list[tuple[Question, Mutant, Workshop]]] = {}

    def printer(self, shapes: Shapes) -> tuple[Printer, list[Question]]:
        """Return what writes the program for inputs of some shapes, and the questions about its lines."""
        if shapes not in self.printers:
            rng = np.random.default_rng(0)
            xs = [
                Tensor(rng.standard_normal(s), name=n, requires_grad=True)
                for n, s in zip(self.names, shapes, strict=True)
            ]
            out, _ = record_forward(self.what, [*xs, *self.given])
            if not isinstance(out, Tensor):
                raise ValueError(f"the forward gives {type(out).__name__}, and no Tensor")
            printer = Printer(record_program(out.named("out"), xs), numpy_spelling(), ascii=True)
            self.printers[shapes] = printer, questions_of(printer)
        return self.printers[shapes]

    def mutants(self, shapes: Shapes) -> Iterable[tuple[Question, Mutant, Workshop]]:
        """Return the mutants with one mistake of each line, for inputs of some shapes."""
        return self.known.get(shapes) or mutants(*self.printer(shapes))

    def forward(self, *inputs: Any) -> tuple[Any, tuple[Any, ...]]:
        """Return the output, and the inputs as the cache."""
        arrays = tuple(np.array(x, float) for x in inputs)
        return self.function(tuple(x.shape for x in arrays), None)(None, arrays)[0], arrays

    def backward(self, dout: Any, cache: Sequence[Any], wrong: Wrong | None = None) -> tuple[Any, ...]:
        """Return the gradients, with one mistake if there is one."""
        found = self.function(tuple(np.shape(x) for x in cache), wrong)(np.asarray(dout, float), cache)
        return tuple(found[1])

    def function(self, shapes: Shapes, wrong: Wrong | None) -> Callable[..., Any]:
        """Return the program for inputs of some shapes as a function of (dout, inputs): output and gradients."""
        if (shapes, wrong) not in self.functions:
            printer, _ = self.printer(shapes)
            found = next((p for p in self.mutants(shapes) if wrong.is_like(*p[:2])), None) if wrong else None
            lines = with_mutant(printer, *found) if found else printer.lines  # on these shapes, it makes no difference
            space: dict[str, Any] = {}
            exec(self.code(printer, lines), space)  # noqa: S102 - what the printer has written
            self.functions[shapes, wrong] = space["program"]
        return self.functions[shapes, wrong]

    def code(self, printer: Printer, lines: Sequence[Line]) -> str:
        """Write the program as a function."""
        program, starts = printer.program, set(printer.program.upstream.values())
        given = [printer.name[i] for i in program.wrt]
        wanted = {line.node: line.name for line in printer.lines if line.part == "backward"}
        gradients = [wanted[program.gradient[i]] for i in program.wrt]
        out, start = printer.name[program.outputs[0]], wanted[next(iter(starts))]
        forward = [f"{ln.name} = {ln.value}" for ln in lines if ln.node not in program.wrt and ln.part != "backward"]
        back = [f"{ln.name} = {ln.value}" for ln in lines if ln.part == "backward" and ln.node not in starts]
        body = [
            f"{', '.join(given)}, = inputs",
            *forward,
            f"if dout is None: return {out}, ()",
            f"{start} = dout",
            *back,
            f"return {out}, ({', '.join(gradients)},)",
        ]
        head = printer.spelling.preamble("\n".join(body))
        return "\n".join([*head, "def program(dout, inputs):", *(f"    {line}" for line in body)])


def mutants(printer: Printer, questions: Sequence[Question]) -> Iterator[tuple[Question, Mutant, Workshop]]:
    """Yield the mutants with one mistake of each line."""
    for question in questions:
        shop = Workshop(printer.program)
        single = itertools.takewhile(lambda m: len(m.mistakes) == 1, Mistakes(shop, printer, question).all())
        yield from ((question, mutant, shop) for mutant in single)


def with_mutant(printer: Printer, question: Question, mutant: Mutant, shop: Workshop) -> list[Line]:
    """Return the lines of a key in which one is as a mutant has it."""
    graph, pieces, named = printer.graph, dict(printer.pieces), dict(printer.name)
    count = len(printer.lines)
    printer.graph = dataclasses.replace(graph, nodes=tuple(shop.nodes[: max(mutant.result + 1, len(graph))]))
    printer.pieces.pop(question.answer, None)  # its own line is not there yet
    value = printer.piece(mutant.result).text
    lines, extra = printer.lines[:count], printer.lines[count:]
    printer.graph, printer.pieces, printer.name, printer.lines = graph, pieces, named, lines
    place = lines.index(question.line)
    return [*lines[:place], *extra, question.line._replace(value=value), *lines[place + 1 :]]


def wrong_backwards(key: Key, shapes: Shapes, count: int) -> list[Wrong]:
    """Return mistakes that change a gradient, of as many kinds as there are.

    Args:
        key: of a forward.
        shapes: of its inputs.
        count: how many.

    Raises:
        ValueError: there are not so many.
    """
    printer, _ = key.printer(shapes)
    key.known[shapes] = [*key.mutants(shapes)]  # each is looked for below
    asked = [f"d{name}" for name in key.names]
    by_kind: dict[str, list[Wrong]] = {kind: [] for kind in KINDS}
    for question, mutant, shop in key.mutants(shapes):
        kind, facts = mutant.mistakes[0]
        if kind in by_kind and facts.get("value") != "out":  # all of the backward pass is none
            lines = [ln for ln in with_mutant(printer, question, mutant, shop) if ln not in printer.lines]
            code = "; ".join(f"{line.name} = {line.value}" for line in lines)
            by_kind[kind].append(Wrong(question.name, kind, Facts(facts), code))
    rng = np.random.default_rng(3)
    out, cache = key.forward(*(rng.standard_normal(s) + 0.3 for s in shapes))
    dout = rng.standard_normal(np.shape(out))
    seen = [key.backward(dout, cache)]

    def is_new(wrong: Wrong) -> bool:
        try:
            with np.errstate(all="ignore"):
                gradients = key.backward(dout, cache, wrong)
        except ValueError:  # its shape does not fit the lines after it
            return False
        if any(all(map(is_same, gradients, other)) for other in seen) or not all(map(np.any, gradients)):
            return False  # it changes nothing, or leaves nothing
        seen.append(gradients)
        return True

    def rank(wrong: Wrong) -> tuple[Any, ...]:
        """Rather another line, a factor that is an input and may be drawn as ones, a gradient that is asked for."""
        place = asked.index(wrong.name) if wrong.name in asked else len(asked)
        used = 0 if wrong.kind == "frozen" else names.count(wrong.name)
        return used, wrong.facts.get("factor") not in key.names, place

    found, names = list[Wrong](), list[str]()
    while any(by_kind.values()) and len(found) < count:
        for wrongs in by_kind.values():  # one of each kind, then a second one
            wrongs.sort(key=rank)
            new = next((k for k, wrong in enumerate(wrongs) if is_new(wrong)), len(wrongs))
            if new < len(wrongs) and len(found) < count:
                found.append(wrongs[new])
                names.append(wrongs[new].name)
            del wrongs[: new + 1]
    if len(found) < count:
        raise ValueError(f"there are only {len(found)} wrong backwards of this forward, and not {count}")
    return found


class Facts(dict[str, str]):
    """Facts that may be a key."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))
