"""What is told about a student's function: a line of the table for each line that computes a gradient."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygraph.engine.errors import clean
from tinygraph.teach.language import language_of

__all__ = ["Entry", "Report"]

MARKS = {"right": "✓", "wrong": "✗", "unknown": "·", "note": "!"}
WIDEST = 46  # columns of code


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is told about one line.

    Attributes:
        line: of the student's file; 0 where it is about the whole function.
        code: the line.
        name: of the variable.
        verdict: "right", "wrong", "unknown" (nothing is known about it), or "note".
        text: what it is, or the likely mistake.
        hints: of a wrong line: a question, the place, the formula.
    """

    line: int
    code: str
    name: str
    verdict: str
    text: str
    hints: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """What a check found; printed, it is a table in the order of the student's lines.

    Attributes:
        function: name of the student's function.
        file: where it is.
        passed: whether everything that it returns is right.
        entries: the lines.
        outputs: name of each gradient -> whether it is right.
        worth: points of each gradient; 1 unless given.
        lang: language of the texts.
        hints: how many of the hints are shown, 0 to 3.
        printed: what the function printed.
    """

    function: str
    file: str
    passed: bool
    entries: tuple[Entry, ...] = ()
    outputs: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    worth: Mapping[str, float] = dataclasses.field(default_factory=dict)
    lang: str = "en"
    hints: int = 1
    printed: str = ""

    @property
    def mistakes(self) -> list[Entry]:
        """The wrong lines; the first is where to begin."""
        return [entry for entry in self.entries if entry.verdict == "wrong"]

    @property
    def line(self) -> int | None:
        """The first wrong line; None where there is none."""
        return self.mistakes[0].line if self.mistakes else None

    @property
    def points(self) -> float:
        """The points of the gradients that are right."""
        return sum(self.worth.get(name, 1.0) for name, is_right in self.outputs.items() if is_right)

    @property
    def most_points(self) -> float:
        """The points that there are."""
        return sum(self.worth.get(name, 1.0) for name in self.outputs)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return self.text()

    def text(self, hints: int | None = None) -> str:
        """Return the table.

        Args:
            hints: how many hints are shown, 0 to 3; what the report says unless given.
        """
        words, count = language_of(self.lang), self.hints if hints is None else hints
        shown = [e for e in self.entries if e.line]
        width = min(WIDEST, max((columns(clean(e.code)) for e in shown), default=0))
        digits = max((len(str(e.line)) for e in shown), default=1)
        lines = [f"{clean(Path(self.file).name)}:{clean(self.function)}", ""]
        for entry in self.entries:
            place = (
                f"{entry.line:{digits}d}  {fit(clean(entry.code), width)}" if entry.line else " " * (digits + 2 + width)
            )
            lines.append(f"{place}  {MARKS[entry.verdict]} {clean(entry.text)}".rstrip())
            indent = " " * (digits + 2 + width + 4)
            names = ("question", "place", "formula")
            for name, hint in list(zip(names, entry.hints, strict=False))[:count]:
                if hint:
                    lines.append(f"{indent}{words.text(f'grader.{name}')}{clean(hint)}")
        lines += ["", self.summary()]
        return "\n".join(lines)

    def summary(self) -> str:
        """Return the last line: what is right, and where to begin."""
        words = language_of(self.lang)
        if self.passed:
            return words.text("grader.passed", names=", ".join(self.outputs) or self.function)
        wrong = [name for name, is_right in self.outputs.items() if not is_right]
        said = words.text("grader.failed", names=", ".join(wrong)) if wrong else words.text("grader.not_run")
        first = self.line
        if first:
            said += words.text("grader.begin", place=f"{clean(Path(self.file).name)}:{first}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        found = dataclasses.asdict(self)
        return found | {"points": self.points, "most_points": self.most_points, "line": self.line}

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def to_gradescope(self) -> dict[str, Any]:
        """Return it as Gradescope's ``results.json`` has it: a test for each gradient, and the table."""
        tests = [
            {"name": name, "score": self.worth.get(name, 1.0) * is_right, "max_score": self.worth.get(name, 1.0),
             "status": "passed" if is_right else "failed"}
            for name, is_right in self.outputs.items()
        ]  # fmt: skip
        return {"score": self.points, "output": str(self), "output_format": "text", "tests": tests}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Report:
        """Return the report that `to_dict` has written.

        Args:
            found: the dictionary.
        """
        entries = tuple(Entry(**{**e, "hints": tuple(e["hints"])}) for e in found["entries"])
        names = {f.name for f in dataclasses.fields(cls)} - {"entries"}
        return cls(entries=entries, **{k: v for k, v in found.items() if k in names})


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese letter takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))


def fit(text: str, width: int) -> str:
    """Return a text in so many columns, cut or filled up."""
    while columns(text) > width:
        text = text[:-2] + "…"
    return text + " " * (width - columns(text))
