"""What is wrong with an answer: the mistake whose numbers are the student's on every draw, or the worst element."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.teach.language import Language
from tinygraph.teach.mutants import Mutant
from tinygraph.teach.workshop import is_same

__all__ = ["Diagnosis", "describe", "diagnose"]


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What is known about an answer.

    Attributes:
        verdict: "right"; "mutant", a known mistake; "shape", an unknown one of another shape; "values", another one.
        mutant: the mistake, if it is known.
        wanted: shape of the right answer.
        found: shape of the answer.
        worst: of a wrong answer of the right shape, the place of the element that is furthest off, what it is and
            what it should be.
    """

    verdict: str
    mutant: Mutant | None = None
    wanted: tuple[int, ...] = ()
    found: tuple[int, ...] = ()
    worst: tuple[tuple[int, ...], float, float] | None = None

    def say(self, language: Language) -> str:
        """Return it as a sentence.

        Args:
            language: what the student reads.
        """
        if self.mutant:
            return describe(self.mutant, language)
        if self.verdict == "shape":
            return language.text("words.shape", found=self.found, wanted=self.wanted)
        if self.worst:
            place, found, wanted = self.worst
            shown = ", ".join(map(str, place))
            return language.text("words.worst", place=f"[{shown}]", found=f"{found:.6g}", wanted=f"{wanted:.6g}")
        return language.text("words.right")


def describe(mutant: Mutant, language: Language, key: str = "say") -> str:
    """Return what a mistake is called; of two, both.

    Args:
        mutant: the mistake.
        language: what the student reads.
        key: "say" names the mistake, "ask" is a question that leads to it.
    """
    texts = [language.text(f"mutants.{kind}.{key}", **facts) for kind, facts in mutant.mistakes]
    return texts[0] if key == "ask" else language.text("words.and").join(texts)


def diagnose(
    answers: Sequence[Any], draws: Sequence[Sequence[Any]], answer: int, mutants: Sequence[Mutant]
) -> Diagnosis:
    """Judge an answer by its numbers on several draws of the inputs.

    A mistake is named only where its numbers are the student's on every draw: a diagnosis that is given is true.

    Args:
        answers: the student's arrays, one a draw.
        draws: the value of each node of the workshop, one list a draw.
        answer: id of the node that is the right answer.
        mutants: of the question.

    Returns:
        The diagnosis.
    """
    right = [np.asarray(draw[answer]) for draw in draws]
    found = [np.asarray(a) for a in answers]
    if all(map(is_same, found, right)):
        return Diagnosis("right")
    shapes: dict[str, Any] = {"wanted": right[0].shape, "found": found[0].shape}
    for mutant in mutants:
        if all(is_same(a, draw[mutant.result]) for a, draw in zip(found, draws, strict=True)):
            return Diagnosis("mutant", mutant, **shapes)
    if found[0].shape != right[0].shape or found[0].dtype.kind not in "fiub":
        return Diagnosis("shape", **shapes)
    with np.errstate(all="ignore"):
        off = np.nan_to_num(np.abs(np.subtract(found[0], right[0], dtype=float)), nan=np.inf)
    place = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape)) if off.size else ()
    return Diagnosis("values", worst=(place, float(found[0][place]), float(right[0][place])), **shapes)
