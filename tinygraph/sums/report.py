"""A derivation as text, as LaTeX and as data."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from tinygraph.drawing.api import write
from tinygraph.drawing.style.latex import latex_text
from tinygraph.sums.changes import terms_of
from tinygraph.sums.derivation import Derivation, Formula, Step

LONG = 200  # letters of LaTeX in a line
__all__ = ["figures", "latex", "save", "step_data", "text", "to_json"]


def text(derivation: Derivation) -> str:
    """Return a derivation as text."""
    return "\n".join(lines_of(derivation))


def latex(derivation: Derivation) -> str:
    r"""Return a derivation as ``align*`` blocks, a step each; they need the package amsmath."""
    return "\n".join(latex_lines(derivation)) + "\n"


def to_json(derivation: Derivation, indent: int | None = None) -> str:
    """Return a derivation as JSON: steps with rule, formulas, nodes, difference, cost and graph.

    Args:
        derivation: from `derive`.
        indent: how far to indent each level; None writes one line.
    """
    steps = [step_data(step) | {"graph": json.loads(step.graph.to_json())} for step in derivation.steps]
    found = {"schema": "tinygraph-derivation/1", "over": derivation.over, "steps": steps}
    if derivation.verdict is not None:
        found["verdict"] = derivation.verdict.data()
    return json.dumps(found | {"graph": json.loads(derivation.graph.to_json())}, ensure_ascii=False, indent=indent)


def save(derivation: Derivation, path: str | os.PathLike[str]) -> Path:
    """Write a derivation to a file: .txt, .tex, .svg or .json.

    Raises:
        ValueError: the name ends otherwise.
    """
    path, drawn = Path(path), cast(Callable[[], str], derivation.svg)
    makers: dict[str, Callable[[], str]] = {
        ".txt": lambda: f"{derivation}\n", ".tex": lambda: latex(derivation),
        ".svg": drawn, ".json": lambda: to_json(derivation, 1),
    }  # fmt: skip
    if path.suffix not in makers:
        raise ValueError(f"derive: {path.name} ends with {path.suffix!r}; it must be one of {', '.join(makers)}")
    write(path, makers[path.suffix]().encode())
    return path


def lines_of(derivation: Derivation) -> Iterator[str]:
    """Yield the lines of a derivation as text."""
    yield f"{', '.join(f.name for f in derivation.closed)}: {derivation.over}"
    last: Step | None = None
    for k, step in enumerate(derivation.steps):
        yield ""
        yield f"{k}. {step.name}: {step.says}"
        for before, after in step.parts:
            yield f"     {before.text}  →  {after.text}"
        old = {f.name: f for f in (last.formulas + last.definitions if last else ())}
        width = max(len(f.name) for f in step.formulas)
        for formula in step.formulas if step.rule != "p" else ():
            if old.get(formula.name) != formula:
                yield f"   {formula.name:<{width}} = {formula.text}"
        news = [f for f in step.definitions if step.rule != "p" and old.get(f.name) != f]
        if news:
            yield "   where " + ", ".join(f"{f.name} = {f.text}" for f in news)
        yield f"   {figures(step)}"
        last = step
    if derivation.verdict is not None:
        yield ""
        yield str(derivation.verdict)


def figures(step: Step) -> str:
    """Return what a step costs, and how equal it is."""
    c = step.cost
    cost = f"{count(c.sweeps, 'sweep')}, {count(c.arrays, 'array')} kept, {count(c.flops, 'operation')}"
    if step.rule == "recorded":
        return f"[{len(step.nodes)} ops back, {cost}]"
    exact = {True: "exact", False: "NOT EQUAL", None: "exact numbers undecided"}[step.exact]
    return f"[{cost}; difference {step.difference:.0g}; {exact}]"


def count(n: int, word: str) -> str:
    """Return a number of things."""
    return f"{n} {word}{'' if n == 1 else 's'}"


def latex_lines(derivation: Derivation) -> Iterator[str]:
    """Yield the lines of a derivation as LaTeX."""
    last: Step | None = None
    for k, step in enumerate(derivation.steps):
        old = {f.name: f for f in (last.formulas + last.definitions if last else ())}
        rows = [row(f) for f in step.formulas + step.definitions if step.rule != "p" and old.get(f.name) != f]
        rows += [rf"{a.tex} &\to {b.tex}" for a, b in step.parts if step.rule == "p"]
        yield rf"\paragraph{{{k}. {latex_text(step.name)}.}} {latex_text(step.says)}"
        yield rf"{latex_text(figures(step))}"
        if rows:
            yield r"{\footnotesize" if step.rule == "recorded" else r"{\small"
            yield r"\begin{align*}"
            yield "  " + " \\\\\n  ".join(rows)
            yield r"\end{align*}}"
        last = step


def row(formula: Formula) -> str:
    """Return a formula as a row of ``align*``; a long one is broken before its terms."""
    lines = [""]
    for term in terms_of(formula.tex):
        if lines[-1] and len(lines[-1]) + len(term) > LONG:
            lines.append("")
        lines[-1] += term
    return f"{formula.name_tex} &= " + " \\\\\n  &\\quad ".join(lines)


def step_data(step: Step) -> dict[str, Any]:
    """Return a step as JSON has it, but for its graph."""
    found = {f.name: getattr(step, f.name) for f in dataclasses.fields(step) if f.name != "graph"}
    found["formulas"] = [dataclasses.asdict(f) for f in step.formulas]
    found["definitions"] = [dataclasses.asdict(f) for f in step.definitions]
    found["parts"] = [[dataclasses.asdict(a), dataclasses.asdict(b)] for a, b in step.parts]
    return found | {"nodes": list(step.nodes), "cost": step.cost._asdict()}
