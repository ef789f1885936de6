"""Why a value is wrong: the mistake whose numbers it has on every draw, or what can be seen of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygraph.teach.diagnosis import describe, diagnose
from tinygraph.teach.grading.quantities import RTOL, Recording
from tinygraph.teach.language import Language
from tinygraph.teach.mutants import Mutant, Question
from tinygraph.teach.workshop import is_same

__all__ = ["Reason", "explain", "reason_of"]

DEPTH = 400  # mutants of earlier lines that are tried


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a value is wrong.

    Attributes:
        text: the likely mistake.
        ask: a question that leads to it.
        is_known: whether the numbers are exactly those of this mistake.
    """

    text: str
    ask: str
    is_known: bool = True


def explain(
    values: Sequence[Any], recording: Recording, node: int, questions: Sequence[Question], language: Language
) -> Reason:
    """Say why values are not those of a node.

    Args:
        values: the student's, one a draw.
        recording: where the right value is.
        node: of the right value.
        questions: those whose mistakes come into question.
        language: what the student reads.
    """
    asked = questions[0].name if questions else "?"
    shapes = np.shape(values[0]), np.shape(recording.value(node)[0])
    if is_reshaped(values, recording.value(node)):
        said = language.text("grader.only_shape", found=shapes[0], wanted=shapes[1])
        return Reason(said, language.text("grader.ask_shape", name=asked))
    if found := look(values, recording.value(node), language):
        return found
    known = [m for question in questions if (m := best_of(values, recording, recording.mutants(question)))]
    known.sort(key=recording.has_unnamed)
    if known and not recording.has_unnamed(known[0]):
        return reason_of(recording.spell(known[0]), language)
    if found := multiple(values, recording.value(node), language):
        return found
    if known:
        return reason_of(recording.spell(known[0]), language)
    for question in questions[:1]:
        deeper = list(earlier(recording, question))
        names = {mutant.result: name for name, mutant in deeper}
        if mutant := best_of(values, recording, [mutant for _, mutant in deeper]):
            reason = reason_of(recording.spell(mutant), language)
            name = recording.spelled(names[mutant.result])
            return Reason(language.text("grader.inside", mistake=reason.text, name=name), reason.ask)
    if shapes[0] != shapes[1]:
        said = language.text("words.shape", found=shapes[0], wanted=shapes[1])
        return Reason(said, language.text("grader.ask_shape", name=asked), is_known=False)
    if found := some_are_off(values, recording.value(node), language):
        return found
    said = diagnose(values, recording.draws, node, ()).say(language)
    return Reason(said, language.text("grader.ask_value", name=asked), is_known=False)


def is_reshaped(values: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether values are right, in the right order, and have another shape that is not just an axis of length 1."""
    a, b = np.shape(values[0]), np.shape(right[0])
    if np.squeeze(values[0]).shape == np.squeeze(right[0]).shape or np.prod(a) != np.prod(b):
        return False
    return all(is_same(np.ravel(v), np.ravel(r), RTOL) for v, r in zip(values, right, strict=True))


def best_of(values: Sequence[Any], recording: Recording, mutants: Sequence[Mutant]) -> Mutant | None:
    """Return the mistake whose numbers these are on every draw; rather one that speaks of values with names."""
    draws = recording.all_draws()
    found = None
    for mutant in mutants:
        if all(is_same(v, draw[mutant.result]) for v, draw in zip(values, draws, strict=True)):
            if not recording.has_unnamed(mutant):
                return mutant
            found = found or mutant
    return found


def reason_of(mutant: Mutant, language: Language) -> Reason:
    """Return a mistake as a reason."""
    return Reason(describe(mutant, language), describe(mutant, language, "ask"))


def look(values: Sequence[Any], right: Sequence[Any], language: Language) -> Reason | None:
    """Say what can be seen of wrong values: they are no numbers, or zero."""
    say = language.text
    if not all(np.all(np.isfinite(v)) for v in values):
        return Reason(say("grader.not_finite"), say("grader.ask_not_finite"), is_known=False)
    if not any(np.any(v) for v in values) and any(np.any(r) for r in right):
        return Reason(say("grader.zero"), say("grader.ask_zero"))
    return None


def multiple(values: Sequence[Any], right: Sequence[Any], language: Language) -> Reason | None:
    """Say by which factor values are wrong, if it is the same everywhere."""
    if np.shape(values[0]) != np.shape(right[0]):
        return None
    v, r = (np.concatenate([np.ravel(a).astype(float) for a in arrays]) for arrays in (values, right))
    if r.size > 1 and np.any(r):
        factor = float(v @ r / (r @ r))
        if abs(factor) > 1e-9 and is_same(v, factor * r, RTOL):
            key = "mutants.sign" if abs(factor + 1) < RTOL else "mutants.factor"
            return Reason(language.text(f"{key}.say", factor=f"{factor:.6g}"), language.text(f"{key}.ask"))
    return None


def some_are_off(values: Sequence[Any], right: Sequence[Any], language: Language) -> Reason | None:
    """Say that only some elements are wrong, where each of them is off by the same number."""
    off = [np.asarray(v, float) - r for v, r in zip(values, right, strict=True)]
    wrong = np.concatenate([o[np.abs(o) > RTOL * max(1.0, float(np.max(np.abs(o))))] for o in off])
    if not 0 < wrong.size < sum(o.size for o in off) or np.ptp(wrong) > RTOL * np.max(np.abs(wrong)):
        return None
    facts = {"count": int(np.sum(np.abs(off[0]) > RTOL)), "size": off[0].size, "off": f"{wrong[0]:+.6g}"}
    return Reason(language.text("grader.some_off", **facts), language.text("grader.ask_some_off"), is_known=False)


def earlier(recording: Recording, question: Question) -> Iterator[tuple[str, Mutant]]:
    """Yield what becomes of an answer when a line before it has a mistake: for code that computes all in one line."""
    shop, count = recording.workshop, 0
    for before in reversed(recording.questions):
        if before.answer >= question.answer or not is_behind(recording, before.answer, question.answer):
            continue
        for mutant in list(recording.mutants(before)):
            if len(mutant.mistakes) > 1 or count >= DEPTH:
                continue
            count += 1
            try:
                yield (
                    before.name,
                    Mutant(shop.substitute(question.answer, {before.answer: mutant.result}), mutant.mistakes),
                )
            except (ValueError, IndexError):
                continue


def is_behind(recording: Recording, node: int, end: int) -> bool:
    """Whether a node is among those that another is made from."""
    stack, seen = [end], {end}
    nodes = recording.program.graph.nodes
    while stack:
        for e in nodes[stack.pop()].inputs:
            if e.source == node:
                return True
            if e.source > node and e.source not in seen:
                seen.add(e.source)
                stack.append(e.source)
    return False
