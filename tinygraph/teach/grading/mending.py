"""The search for a small change of the code that puts all right, and for the lines that come into question."""

from __future__ import annotations

import ast
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.teach.grading.edits import STAGES, Edit, Editor
from tinygraph.teach.grading.lines import Lines, Step
from tinygraph.teach.grading.runs import Key

if TYPE_CHECKING:
    from tinygraph.teach.grading.judge import Judge, State

__all__ = ["Mender"]


class Mender:
    """Tries small changes of a student's function.

    Args:
        judge: knows the function and what is right.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge, self.source = judge, judge.subject.source
        self.lines = Lines(self.source) if self.source else None

    def mend(
        self,
        state: State,
        fixes: Mapping[Key, Sequence[Any]],
        goal: Sequence[int],
        upto: int = 0,
        lines: Sequence[int] | None = None,
    ) -> Edit | None:
        """Return the change of a line with which some outputs are right, on every draw; the likeliest line first.

        Args:
            state: as the function is now.
            fixes: values that are put right already.
            goal: the outputs, by their places.
            upto: the last line that comes into question.
            lines: only these, and there only changes of what is there.
        """
        source, judge = self.source, self.judge
        if source is None or not goal or source.has_while or lines == []:  # a change could make a loop endless
            return None
        arrays: dict[str, int] = dict.fromkeys(source.parameters, source.line)
        for line, name, _ in state.events:
            arrays.setdefault(name, line)
        editor = Editor(source, arrays, [*state.runs[0].counts])
        passes = [(lines or [], STAGES[:1])]
        if lines is None:
            mine = {s.lineno for s in editor.statements} - {key[0] for key in fixes}
            if len(goal) < len(judge.returns):  # what is wrong in a helper spoils all that is computed with it
                mine -= {*self.helper_lines()}
            groups = self.order(state, mine, upto)
            passes = [(group, stages) for stages in (STAGES[:2], STAGES[2:]) for group in groups]
        each = [{key: np.asarray(values[k]) for key, values in fixes.items()} for k in range(len(judge.arguments))]
        for edit, code in (found for some, stages in passes for found in editor.variants(some, stages)):
            if time.process_time() > judge.end:
                return None
            for k, arguments in enumerate(judge.arguments):
                run = judge.subject.run(arguments, each[k], code)
                verdicts = judge.right_on(k, run)
                if not verdicts or not all(verdicts[j] for j in goal) or not judge.has_same_loss(run, state.runs[k]):
                    break
            else:
                return edit
        return None

    def order(self, state: State, lines: set[int], upto: int) -> tuple[list[int], list[int]]:
        """Return lines in the order in which they are tried, and apart those whose value is known to be right.

        A line that gives a name the value that it says is left out: there is nothing to change.
        """
        judge, verdicts, named = self.judge, dict[int, list[str]](), dict[int, list[bool]]()
        for key in state.events:
            verdicts.setdefault(key[0], []).append(judge.status(state, key))
            named.setdefault(key[0], []).append(judge.has_to_be(key[1]) and state.last[key[1]] == key)
        right = {line for line, said in verdicts.items() if {*said} == {"right"}}
        settled = {line for line in right if all(named[line])}
        steps = self.lines.steps if self.lines else []
        inner, own = {step.line for step in steps if step.loops}, {step.line for step in steps}
        doubtful = sorted(n for n in lines & ({*verdicts} | inner | {upto}) - right if n <= upto)
        first = doubtful[0] if doubtful else upto
        rest = sorted(lines & own - {*doubtful} - right, key=lambda line: (line > first, abs(line - first)))
        known = sorted((n for n in lines & right - settled if n <= upto), reverse=True)
        before = [n for n in known if n < first]
        order = [*doubtful[:1], *before, *doubtful[1:], *(n for n in rest if n <= upto), *sorted(lines - own)]
        return order, [n for n in known if n > first]

    def feeding(self, state: State, line: int) -> list[int]:
        """Return the lines before one whose values it uses and about which nothing is known."""

        def is_right(step: Step, name: str) -> bool:
            keys = [key for key in state.events if key[:2] == (step.line, name)]
            said = {self.judge.status(state, key) for key in keys}
            return said <= {"right"} if keys else not step.loops

        return self.lines.feeding(line, is_right) if self.lines else []

    def uses_helpers(self, line: int) -> bool:
        """Whether what a line uses is computed by another function of the student's."""
        names = {helper.name for helper in self.source.helpers} if self.source else set[str]()
        if not names or self.lines is None:
            return False
        lines = {line, *self.lines.feeding(line, lambda step, name: False)}
        return any(step.reads & names for step in self.lines.steps if step.line in lines)

    def own_lines(self) -> list[int]:
        """Return the lines of the student's function."""
        return sorted({step.line for step in self.lines.steps}) if self.lines else []

    def helper_lines(self) -> list[int]:
        """Return the lines of the student's other functions that this one calls."""
        helpers = self.source.helpers if self.source else ()
        return sorted({n.lineno for helper in helpers for n in ast.walk(helper) if isinstance(n, ast.stmt)})

    def returned(self, line: int) -> list[tuple[str, int]]:
        """Return the variable and the line of each value that a ``return`` gives back."""
        if self.source is None:
            return []
        for node in ast.walk(self.source.plain()):
            if isinstance(node, ast.Return) and node.value is not None and node.lineno == line:
                parts = node.value.elts if isinstance(node.value, ast.Tuple | ast.List) else [node.value]
                if self.judge.truth.one_function and len(parts) == len(self.judge.returns) + 1:
                    parts = parts[1:]
                return [(p.id if isinstance(p, ast.Name) else "", p.lineno) for p in parts]
        return []
