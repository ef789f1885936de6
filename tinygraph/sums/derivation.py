"""A derivation as data: formulas, steps, and what they cost."""

from __future__ import annotations

import dataclasses
from typing import Any

from tinygraph.engine.lazy_import import Later
from tinygraph.graph.data import Graph
from tinygraph.sums.steps import Cost

__all__ = ["Derivation", "Formula", "Step"]


@dataclasses.dataclass(frozen=True)
class Formula:
    """A formula, or a pair of sides of one.

    Attributes:
        name: what it is of; "" of a part.
        text: the right side as text.
        tex: as LaTeX.
        code: as NumPy code.
        name_tex: the name as LaTeX.
    """

    name: str
    text: str
    tex: str
    code: str = ""
    name_tex: str = ""


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a derivation.

    Attributes:
        rule: its letter in `rules.RULES`; "recorded", "lift" or "collect".
        name: what the rule is called.
        says: a sentence that says it.
        tex: the rule as a formula; "" where it is none.
        formulas: of each gradient, after the step.
        definitions: of the names that stand in them.
        parts: the places where the rule was applied, before and after.
        nodes: ids of the nodes of the recorded graph that it touched.
        difference: the greatest difference from the recorded gradient in float64, relative to its largest element.
        exact: whether it equals the recorded gradient in exact numbers; None where that could not be decided.
        cost: sweeps, arrays, flops.
        graph: what computes the formulas.
    """

    rule: str
    name: str
    says: str
    tex: str
    formulas: tuple[Formula, ...]
    definitions: tuple[Formula, ...]
    parts: tuple[tuple[Formula, Formula], ...]
    nodes: tuple[int, ...]
    difference: float
    exact: bool | None
    cost: Cost
    graph: Graph = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Derivation:
    """From a recorded gradient to its closed form.

    Attributes:
        graph: forward and backward, as recorded.
        steps: the first is what was recorded, the last the closed form.
        over: what the sums run over, in words.
        verdict: what `derive` says about the closed form in ``ask``; None if there is none.
    """

    graph: Graph = dataclasses.field(repr=False)
    steps: tuple[Step, ...]
    over: str
    verdict: Any = None

    text = Later("tinygraph.sums.report", "text")
    latex = Later("tinygraph.sums.report", "latex")
    to_json = Later("tinygraph.sums.report", "to_json")
    save = Later("tinygraph.sums.report", "save")
    svg = Later("tinygraph.sums.picture", "svg")

    @property
    def closed(self) -> tuple[Formula, ...]:
        """The closed form of each gradient: the formulas before a pivot is taken away."""
        return [step for step in self.steps if step.rule != "p"][-1].formulas

    def __str__(self) -> str:
        text: Any = self.text
        return str(text())
