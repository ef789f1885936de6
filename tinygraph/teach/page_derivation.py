"""A derivation as data for the page: formulas term by term, the graph of each step, and the step that tempts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygraph.drawing.fitting import room_for
from tinygraph.drawing.formats.legend import family_class
from tinygraph.drawing.layout.card import Text
from tinygraph.drawing.layout.geometry import Lane, Layout, Placed, Route
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.style.formula import font_size
from tinygraph.engine.tensor import Tensor
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.values import parameters_of
from tinygraph.sums.changes import changes, terms_of
from tinygraph.sums.derivation import Derivation, Formula
from tinygraph.sums.deriving import derive
from tinygraph.sums.picture import Frame, frames
from tinygraph.sums.writing import ascii_name
from tinygraph.teach.mathematics import mathml
from tinygraph.teach.program import Program

__all__ = ["derivation_data"]

WIDE = 1100.0  # of a graph, in pixels, above which it is broken into rows
LONGEST = 400  # letters of LaTeX of a closed form that a reader takes in
MOST_PARTS = 4  # places where a rule was applied that are shown
PLAIN = ("recorded", "lift", "collect")  # steps that are no rule about Σ
SMALL = 0.05  # pixels that nobody sees
MOST_CELLS = 256  # numbers that the page adds up in float32
REDUCTIONS = ("sum", "mean", "sum_to", "max", "logsumexp")


def derivation_data(what: Any, wrt: Sequence[str | Tensor] | None, program: Program) -> Any:
    """Return the derivation of the gradients of a lesson as its page has it, or why there is none.

    Args:
        what: as `lesson` takes it.
        wrt: likewise.
        program: of both.

    Returns:
        A dictionary; with nothing but the key "none" where there is no derivation: its value is "sums" if no rule about
        Σ says anything about these gradients, and "long" if a closed form is too long to be read.
    """
    if not any(n.op in REDUCTIONS for n in program.graph.nodes if n.derives is not None):
        return {"none": "sums"}
    is_worth = False
    for found in derivations(what, wrt, program):
        if any(step.rule not in PLAIN for step in found.steps):
            is_worth = True
            if max(len(formula.tex) for formula in found.closed) <= LONGEST:
                return Page(found, program).data()
    return {"none": "long" if is_worth else "sums"}


def derivations(what: Any, wrt: Sequence[str | Tensor] | None, program: Program) -> Iterator[Derivation]:
    """Yield the derivation of the gradients of the leaves; then those of the values between a sum and a call.

    A call, such as a matrix product, is a leaf of a formula: behind it no rule sees anything.
    """
    try:
        yield derive(what, wrt=wrt)
    except ValueError:  # an op that is not registered here, or without a recorded derivative
        return
    graph = program.graph
    reduced = [i for i in program.forward if graph.nodes[i].op in REDUCTIONS and graph.nodes[i].shape]
    sources = dict.fromkeys(e.source for i in reduced for e in graph.nodes[i].inputs)
    named = [i for i in program.backward if graph.nodes[i].op and graph.nodes[i].name and i in program.gradient]
    beside = [i for i in named if i not in sources and any(user in sources for user, _ in graph.consumers[i])]
    for i in [*beside, *(i for i in named if i in sources)]:
        yield derive(dataclasses.replace(graph, outputs=(program.gradient[i],)))


class Page:
    """Collects what the page of a derivation needs."""

    def __init__(self, derivation: Derivation, program: Program) -> None:
        self.derivation, self.program = derivation, program
        self.lines: dict[str, int] = {}
        self.families: dict[str, int] = {}

    def data(self) -> dict[str, Any]:
        """Return all of it."""
        steps = self.derivation.steps
        pictures = frames(self.derivation)
        place = {id(frame.step): k for k, frame in enumerate(pictures)}
        drawn = [self.frame(frame) for frame in pictures]
        return {
            "names": [mathml(f.name_tex) for f in steps[0].formulas],
            "steps": [self.step(k, place) for k in range(len(steps))], "frames": drawn,
            "lines": [json.loads(line) for line in self.lines],
            "families": list(self.families),
            "code": [f"{ascii_name(f.name)} = {f.code}" for f in self.derivation.closed if is_typed(f.code)],
            "tempting": tempting(self.program) if steps[-1].rule == "p" else None,
        }  # fmt: skip

    # -- formulas

    def step(self, k: int, place: dict[int, int]) -> dict[str, Any]:
        """Return a step; a formula that is as before is 0, and a picture that is as before is that one."""
        steps = self.derivation.steps
        step = steps[k]
        shown = [id(s) for s in steps[: k + 1] if id(s) in place]
        parts = step.parts if step.rule != "m" else ()
        found: dict[str, Any] = {
            "rule": step.rule, "name": step.name, "says": step.says, "tex": mathml(step.tex) if step.tex else "",
            "parts": [[mathml(a.tex), mathml(b.tex)] for a, b in parts[:MOST_PARTS]],
            "formulas": [self.formula(k, n) for n in range(len(step.formulas))] if step.rule != "p" else [],
            "named": [[mathml(f.name_tex), mathml(f.tex)] for f in self.new_definitions(k)],
            "cost": list(step.cost), "off": float(f"{step.difference:.0e}"), "exact": step.exact,
            "frame": place[shown[-1]],
        }  # fmt: skip
        return found

    def new_definitions(self, k: int) -> list[Formula]:
        """Return what the names of a step stand for, where that is new."""
        steps = self.derivation.steps
        old = {f.text for f in steps[k - 1].definitions} if k else set()
        return [f for f in steps[k].definitions if f.text not in old]

    def formula(self, k: int, n: int) -> Any:
        """Return the terms of a formula, which of them the next other one has not, and which the one before had not.

        Where nothing has changed it is 0.
        """
        texts = [step.formulas[n].tex for step in self.derivation.steps if step.rule != "p"]
        if k and texts[k] == texts[k - 1]:
            return 0
        terms = terms_of(texts[k])
        after = next((text for text in texts[k + 1 :] if text != texts[k]), None)
        goes = sorted(changes(terms, terms_of(after))[0]) if after is not None else []
        came = sorted(changes(terms_of(texts[k - 1]), terms)[1]) if k else []
        return [[mathml(term) for term in terms], goes, came]

    # -- graphs

    def frame(self, frame: Frame) -> dict[str, Any]:
        """Return the graph of a step as numbers: lanes, cards and lines."""
        graph = frame.graph
        layout = lay_out(graph, 0, "both", chips=False, most=WIDE, spacing=room_for(None).spacing)
        return {
            "size": whole(layout.width, layout.height), "lanes": [self.lane(lane, layout) for lane in layout.lanes],
            "cards": [self.card(placed, graph, frame) for placed in layout.cards],
            "lines": [line_data(route, frame) for route in layout.routes if route.forward],
        }  # fmt: skip

    def lane(self, lane: Lane, layout: Layout) -> list[Any]:
        """Return left, top, width, height, shade and words of a lane."""
        left, right = lane.left or 8.0, lane.right or layout.width - 8.0
        said = [self.line(Text(0, lane.y - lane.top, lane.runs, 11, "muted"))] if lane.name or lane.words else []
        return [*whole(left, lane.top, right - left, lane.bottom - lane.top), min(lane.depth, 2), round(lane.x), *said]

    def card(self, placed: Placed, graph: Graph, frame: Frame) -> list[Any]:
        """Return middle, top, width, height, family, words and state of a card: 1 it came, 2 it goes, 4 a frame."""
        card = placed.card
        family = self.families.setdefault(family_class(card.family), len(self.families))
        texts = [self.line(item) for item in card.items if isinstance(item, Text)]
        state = (card.node in frame.came) + 2 * (card.node in frame.goes) + 4 * (card.kind in ("constant", "stub"))
        return [*whole(placed.middle, placed.y, card.width, card.height), family, state, *texts]

    def line(self, item: Text) -> int:
        """Return the place of a line of text among all: its y, size and ink, and its runs; many cards say the same.

        A run is the first letter of its face, and its text; a raised one also how far it is down, and its size.
        """
        runs: list[Any] = []
        height = 0.0
        for run in item.runs:
            lift = run.rise * item.size
            shifted = run.scale != 1 or abs(height - lift) > SMALL
            size, text = round(font_size(run, item.size), 1), run.face[0] + run.text
            text = "i" + run.text if run.face == "serif" else text
            runs.append([text, round(height - lift, 1), size] if shifted else text)
            height = lift
        line = json.dumps([round(item.y), item.size, int(item.ink == "ink"), runs], ensure_ascii=False)
        return self.lines.setdefault(line, len(self.lines))


def is_typed(code: str) -> bool:
    """Whether code has only names that can be typed: a call that nobody has named has none."""
    return bool(code) and "__" not in code


def whole(*lengths: float) -> list[int]:
    """Round lengths to pixels."""
    return [round(length) for length in lengths]


def line_data(route: Route, frame: Frame) -> list[Any]:
    """Return whether a line goes, and its corners."""
    ends = {route.link.edge.source, route.link.v}
    return [int(bool(ends & frame.goes)), *(x for point in route.forward for x in whole(*point))]


# The step that tempts: E[x²] − E[x]², which algebra accepts and float32 refuses.


def tempting(program: Program) -> dict[str, Any] | None:
    """Return a variance of the program: where its numbers stand, and how it reads when it is multiplied out."""
    nodes = program.graph.nodes
    for i in program.forward:
        x = squared_deviation_of(nodes, nodes[i])
        if x is None:
            continue
        axis = parameters_of(nodes[i]).get("axis")
        shape = nodes[x].shape
        axes = set(range(len(shape))) if axis is None else {a % len(shape) for a in np.atleast_1d(axis).tolist()}
        places = np.moveaxis(np.arange(np.prod(shape, dtype=int)).reshape(shape), sorted(axes), range(len(axes)))
        rows = places.reshape(int(np.prod([shape[a] for a in axes])), -1).T
        held = nodes[x].value
        value = np.asarray(held.values if held else None, float)
        moving = [row for row in rows.tolist() if value.size == rows.size and np.ptp(value[row])]
        if moving and len(moving[0]) <= MOST_CELLS:
            return {"x": x, "cells": moving[0]}
    return None


def squared_deviation_of(nodes: Sequence[Node], node: Node) -> int | None:
    """Return the id of x where a node is a mean of (x − mean x)²; None of any other node."""
    if node.op != "mean" or nodes[(square := node.inputs[0].source)].op != "square":
        return None
    centred = nodes[nodes[square].inputs[0].source]
    if centred.op != "sub":
        return None
    x, mean = (e.source for e in centred.inputs)
    return x if nodes[mean].op == "mean" and nodes[mean].inputs[0].source == x else None
