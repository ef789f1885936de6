"""What the page of a lesson knows: its picture, its steps, its questions and the mistakes that people make, as data."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.style.conventions import numeral
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.simplify import inline
from tinygraph.teach.breaks import Break, Breaks
from tinygraph.teach.language import language_of
from tinygraph.teach.latex import LatexPrinter
from tinygraph.teach.mathematics import mathml
from tinygraph.teach.mutants import Mutant, mutants_of, questions_of
from tinygraph.teach.page_program import node_data
from tinygraph.teach.printer import Line, Printer
from tinygraph.teach.program import Program
from tinygraph.teach.spelling import numpy_spelling
from tinygraph.teach.ways import Ways
from tinygraph.teach.workshop import Workshop

__all__ = ["LessonData", "helpers_of"]

MOST_SHOWN = 40  # nodes of a graph that a reader can follow


class LessonData:
    """Collects what the page of a program needs."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.printer = Printer(program, numpy_spelling(), ascii=True)
        self.forward, self.card = self.forward_graph()
        shown = sum(not self.forward.is_number(n.id) for n in inline(self.forward).nodes)
        if shown > MOST_SHOWN:
            raise ValueError(
                f"lesson: {shown} nodes would be shown, and a reader can follow {MOST_SHOWN}: give a part of it"
            )
        self.latex = LatexPrinter(program, self.printer.inside)
        self.questions = questions_of(self.printer)
        self.workshop = Workshop(program)
        self.says: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self.locals = {line.name: self.local_of(line) for line in self.printer.lines if line.part == "backward"}
        ways = Ways(self.printer, self.latex, self.workshop)
        self.paths = [ways.paths_to(i) for i in program.wrt if i in program.gradient]
        self.workshop, self.mutants = mutants_of(self.printer, self.questions, self.workshop)
        self.breaks = list(Breaks(self.printer, self.workshop, self.questions, self.mutants).find())
        plain = dataclasses.replace(
            self.forward, nodes=tuple(dataclasses.replace(n, at="") for n in self.forward.nodes)
        )
        self.picture = svg(plain, detail=2, theme="auto", legend=False, caption=False)

    def title(self) -> str:
        """Name what is computed."""
        names = [self.printer.label(i) for i in self.program.outputs]
        boxes = {n.scope[0] for n in self.program.graph.nodes if n.scope and n.scope[0] != "grad"}
        return boxes.pop().replace("_", " ").capitalize() if len(boxes) == 1 else ", ".join(names)

    # -- the picture

    def forward_graph(self) -> tuple[Graph, dict[int, int]]:
        """Return the way forward with its gradients as a graph to draw, and the card on which each node stands."""
        program, whole = self.program, self.program.graph
        place = {i: k for k, i in enumerate(program.forward)}
        sent = {(c.user, c.edge): c.result for parts in program.contributions.values() for c in parts}
        nodes = []
        for k, i in enumerate(program.forward):
            node = whole.nodes[i]
            edges = tuple(
                dataclasses.replace(
                    e, source=place[e.source], grad=whole.nodes[sent[i, n]].value if (i, n) in sent else None
                )
                for n, e in enumerate(node.inputs)
            )
            grad = whole.nodes[program.gradient[i]].value if i in program.gradient else None
            state = "computed" if grad else "none"
            nodes.append(
                dataclasses.replace(
                    node, id=k, inputs=edges, grad=grad, grad_state=state, at=str(i), derives=None, gradient_of=()
                )
            )
        graph = Graph(tuple(nodes), tuple(place[i] for i in program.outputs))
        card = {int(n.at): n.id for n in inline(graph).nodes if n.at}
        for i in reversed(program.forward):  # what stands inside a formula is on its consumer's card
            users = [c for c, _ in whole.consumers[i] if c in card]
            if i not in card and users:
                card[i] = card[users[0]]
        return graph, card

    # -- steps

    def steps(self) -> list[dict[str, Any]]:
        """Return a step for each line of the program."""
        return [self.step(k) for k in range(len(self.printer.lines))]

    def step(self, k: int) -> dict[str, Any]:
        """Return a line as a step of the page."""
        line, formula = self.printer.lines[k], self.latex.lines[k]
        node = self.program.graph.nodes[line.node]
        found: dict[str, Any] = {"part": line.part, "name": line.name, "id": line.node, "head": mathml(formula.name)}
        if line.part == "given":
            return found | {"label": found["head"]}
        found |= {"code": line.value, "tex": f"{formula.name} = {formula.value}", "math": mathml(formula.value)}
        uses = {"uses": self.uses_of(line)}
        if line.part == "forward":
            copied = [c for k in range(len(node.inputs)) if (c := self.copy_of(node, k))]
            return found | uses | {"label": found["head"], "copied": copied, "why": self.how(node)}
        found["of"] = line.of
        return found | uses | self.backward_step(line)

    def backward_step(self, line: Line) -> dict[str, Any]:
        """Return what a line of the backward pass shows: where it comes from, and what is multiplied and added up."""
        if line.of < 0:
            return {"kind": "more", "label": mathml(self.latex.label(line.node))}
        parts = self.program.contributions.get(line.of, ())
        mine = [x.name for x in self.printer.lines if x.part == "backward" and x.of == line.of]
        seeded, k = line.of in self.program.upstream, mine.index(line.name)
        label = self.gradient_label(line.of)
        if seeded and k == 0:
            return {"kind": "start", "label": mathml(label + (r"\,\text{⓪}" if parts else ""))}
        if len(parts) + seeded > 1 and k == len(mine) - 1:
            return {
                "kind": "sum", "label": mathml(label), "parts": [c.result for c in parts], "seeded": seeded,
                "ways": [self.label_of(c.user) for c in parts],
            }  # fmt: skip
        n = k - seeded
        part = parts[n]
        user = self.program.graph.nodes[part.user]
        before, local = self.locals[line.name]
        return {
            "kind": "part", "user": part.user, "edge": part.edge, "up": self.program.gradient[part.user],
            "label": mathml(label + (rf"\,\text{{{numeral(n)}}}" if len(parts) + seeded > 1 else "")),
            "uplabel": mathml(self.gradient_label(part.user)), "through": self.through(user), "before": before,
            "local": local, "copied": [c] if (c := self.copy_of(user, part.edge)) else [],
            "why": self.why(user, part.edge),
        }  # fmt: skip

    def gradient_label(self, i: int) -> str:
        """Return ∂L/∂x in LaTeX, on one line."""
        outputs = self.program.outputs
        loss = "L" if len(outputs) > 1 else self.latex.label(outputs[0])
        name = self.latex.label(i)
        return rf"\partial {loss}/\partial {name if i in self.latex.name else rf'({name})'}"

    def label_of(self, i: int) -> str:
        """Return what stands for a value in a sentence, as mathematics."""
        return mathml(self.latex.label(i))

    def why(self, user: Node, edge: int) -> list[Any]:
        """Return the reason of a derivative: a key of the table "why" of a language, and what fills its text."""
        graph = self.program.graph
        others = [e.source for k, e in enumerate(user.inputs) if k != edge]
        facts = {"u": self.label_of(user.inputs[edge].source), "y": self.label_of(user.id), "op": user.op}
        facts["other"] = self.label_of(others[0]) if others else ""
        size, mine = math.prod(user.shape), math.prod(graph.nodes[user.inputs[edge].source].shape)
        facts["count"] = str(mine // max(size, 1))
        keys = language_of("en").texts["why"]
        return [next(k for k in (f"{user.op}_{edge}", user.op, "other") if k in keys), facts]

    def how(self, node: Node) -> list[Any]:
        """Return what a step forward does: a key of the table "how" of a language, and what fills its text."""
        key = node.op if node.op in language_of("en").texts["how"] else "other"
        operands = [self.label_of(e.source) for e in node.inputs]
        size = math.prod(self.program.graph.nodes[node.inputs[0].source].shape) // max(math.prod(node.shape), 1)
        facts = {"u": operands[0], "other": operands[-1], "y": self.label_of(node.id), "count": str(size)}
        return [key, facts]

    def through(self, user: Node) -> str:
        """Return the line in which a node stands."""
        line = user
        while line.id not in self.printer.name:
            line = self.program.graph.nodes[self.program.graph.consumers[line.id][0][0]]
        return f"{self.printer.name[line.id]} = {self.printer.expression(line).text}"

    def copy_of(self, node: Node, k: int) -> list[Any]:
        """Return (name, how many times) of an operand that was copied."""
        text = self.printer.copied(node, node.inputs[k])
        return [self.label_of(node.inputs[k].source), node.inputs[k].copies] if text else []

    def uses_of(self, line: Line) -> list[int]:
        """Return the ids of the values of the way forward that stand in a line."""
        words = set(re.findall(r"\w+", line.value))
        return [i for i, name in self.printer.name.items() if name in words and i != line.node]

    def local_of(self, line: Line) -> tuple[int, int]:
        """Return what is there before copies are added up, and the local derivative; -1 where that has no table.

        The local derivative is the derivative line itself, for an upstream gradient of ones.
        """
        program = self.program
        part = next((c for c in program.contributions.get(line.of, ()) if c.result == line.node and c.ops), None)
        if part is None:
            return line.node, -1
        last = program.graph.nodes[part.result]
        before = last.inputs[0].source if last.op == "sum_to" else part.result
        user = program.graph.nodes[part.user]
        start = program.gradient[part.user]
        if user.family != "elementwise" or program.graph.nodes[before].shape != user.shape or before == start:
            return before, -1
        shop = self.workshop
        zeros = shop.op("mul", start, shop.number(0.0))
        return before, shop.substitute(before, {start: shop.op("add", zeros, shop.number(1.0))})

    # -- what is kept

    def memory(self) -> dict[str, Any]:
        """Return what the backward pass keeps, composed and fused.

        A fused op keeps its operands and its statistics, which are what reductions inside it make.
        """
        program, graph = self.program, self.program.graph
        inside, kept = set(program.forward), dict[int, None]()
        for node in graph.nodes:
            if node.id not in inside and node.op:
                kept |= {e.source: None for e in node.inputs if e.source in inside and not graph.is_number(e.source)}
        found: list[dict[str, Any]] = [{"fused": None, "arrays": self.arrays(kept)}]
        for box in sorted({n.scope[0] for n in graph.nodes if n.scope and n.id in inside}):
            members = [i for i in program.forward if graph.nodes[i].scope[:1] == (box,)]
            ops = {i for i in members if graph.nodes[i].op}
            operands = [e.source for i in ops for e in graph.nodes[i].inputs if e.source not in ops]
            statistics = [i for i in members if graph.nodes[i].family == "reduction"]
            mine = [i for i in kept if i in ops or i in operands]
            if statistics:
                wanted = dict.fromkeys(i for i in [*operands, *statistics] if not graph.is_number(i))
                found.append({"fused": box, "arrays": self.arrays(mine), "one": self.arrays(wanted)})
        return {"kept": found}

    def arrays(self, ids: Iterable[int]) -> dict[str, Any]:
        """Return some values as names, with how many numbers and bytes they have."""
        nodes = [self.program.graph.nodes[i] for i in sorted(ids)]
        sizes = [math.prod(n.shape) for n in nodes]
        size = sum(
            s * (np.dtype(n.dtype).itemsize if n.dtype != "float" else 8) for s, n in zip(sizes, nodes, strict=True)
        )
        return {"names": [self.label_of(n.id) for n in nodes], "numbers": sum(sizes), "bytes": size}

    # -- mistakes

    def numbers(self) -> list[dict[str, Any]]:
        """Return the numbers of the formulas that can be changed: those that are added, such as ε."""
        graph, found = self.program.graph, []
        for i in self.program.forward:
            users = graph.consumers[i]
            if graph.is_number(i) and graph.nodes[i].dtype.startswith("float") and users:
                ops = [graph.nodes[c] for c, _ in users]
                if all(n.op in ("add", "sub") and n.id in self.program.forward for n in ops):
                    roots = any(graph.nodes[c].op == "sqrt" for n in ops for c, _ in graph.consumers[n.id])
                    found.append({"id": i, "name": "ε" if roots else "", "code": self.through(ops[0])})
        return found

    def break_data(self, found: Break) -> dict[str, Any]:
        """Return a break as the page knows it."""
        return self.mistake(found.mutant) | {"at": found.at, "name": found.name, "of": found.of, "rule": found.rule}

    def mistake(self, mutant: Mutant) -> dict[str, Any]:
        """Return a mutant as the page knows it."""
        return {"say": [self.said(kind, facts) for kind, facts in mutant.mistakes], "with": mutant.result}

    def said(self, kind: str, facts: Any) -> int:
        """Return the place of a mistake among all that are said; many mutants say the same."""
        return self.says.setdefault((kind, tuple(facts.items())), len(self.says))

    def data_of(self, node: Node) -> Any:
        """Return a node of the workshop as the page has it."""
        return node_data(node, [self.workshop.nodes[e.source].shape for e in node.inputs])

    # -- all of it

    def content(self) -> dict[str, Any]:
        """Return everything as data."""
        program, shop = self.program, self.workshop
        asked = [
            {
                "name": q.name,
                "answer": q.answer,
                "of": q.of,
                "part": q.part,
                "helpers": helpers_of(q.line, self.printer, self.data_of),
                "mutants": [[m.result, *(self.said(*said) for said in m.mistakes)] for m in mutants],
            }
            for q, mutants in zip(self.questions, self.mutants, strict=True)
        ]
        leaves = [i for i in program.forward if program.graph.nodes[i].op is None and i in self.printer.name]
        return {
            "nodes": [self.data_of(n) for n in shop.nodes],
            "count": len(program.graph), "forward": list(program.forward), "outputs": list(program.outputs),
            "upstream": [[i, g] for i, g in program.upstream.items()],
            "gradient": [[i, g] for i, g in program.gradient.items()],
            "parts": [[i, [[c.user, c.edge, c.result] for c in parts]] for i, parts in program.contributions.items()],
            "leaves": [{"id": i, **draw_of(program.graph.nodes[i])} for i in leaves],
            "names": [[name, i] for i, name in self.printer.name.items()],
            "shown": [[self.program.graph.nodes[i].name or name, i] for i, name in self.printer.name.items()],
            "card": [[i, k] for i, k in self.card.items()],
            "steps": self.steps(),
            "labels": [[i, self.label_of(i)] for i in self.printer.name],
            "questions": asked, "breaks": [self.break_data(b) for b in self.breaks],
            "says": [[kind, dict(facts)] for kind, facts in self.says],
            "paths": self.paths, "memory": self.memory(), "numbers": self.numbers(),
        }  # fmt: skip


def helpers_of(line: Line, printer: Printer, data_of: Callable[[Node], Any]) -> dict[str, Any]:
    """Return the functions of a line that NumPy has not: the page's op, its parameters, and how many operands."""
    words = set(re.findall(r"(?<![.\w])(\w+)\(", line.value))
    found: dict[str, Any] = {}
    stack = [line.node]
    while stack:
        node = printer.graph.nodes[stack.pop()]
        for called in {node.op or "", re.sub(r"\dd", "", node.op or "")} & words - found.keys():  # conv2d is conv
            name, params, *inputs = data_of(node)
            found[called] = [name, params, len(inputs)]
        stack += [e.source for e in node.inputs if e.source not in printer.name and node.op]
    return found


def draw_of(node: Node) -> dict[str, Any]:
    """Say what a leaf is, and how other numbers for it are drawn: not at all, positive ones, or any."""
    values = node.value.values if node.value and node.value.values else ()
    if not node.dtype.startswith("float") or (node.name == "seed" and not node.shape):
        return {"kind": node.kind, "draw": "keep"}
    return {"kind": node.kind, "draw": "positive" if values and min(values) > 0 else "any"}
