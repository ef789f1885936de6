"""What a student is told: about a line that is wrong, the lines beside it, and what comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.teach.grading.edits import Edit
from tinygraph.teach.grading.explain import Reason, explain, is_reshaped
from tinygraph.teach.grading.mending import Mender
from tinygraph.teach.grading.quantities import Recording, Target, is_alike
from tinygraph.teach.grading.report import Entry
from tinygraph.teach.grading.runs import Crash, Key, is_number
from tinygraph.teach.mutants import Question

if TYPE_CHECKING:
    from tinygraph.teach.grading.judge import Judge, State

__all__ = ["Repair", "Teller"]

Values = Sequence[Any]
ABOUT_SHAPES = ("ValueError", "IndexError")  # kinds of errors for which the shapes of the arrays are told


@dataclasses.dataclass(frozen=True)
class Repair:
    """A value that helps, in the place of one that a line has computed."""

    key: Key
    values: Values
    found: Values
    recording: Recording
    node: int
    of: int = -1  # the node whose gradient it is
    part: int = -1


class Teller:
    """Says what is wrong.

    Args:
        judge: knows the function and what is right.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge, self.mender = judge, Mender(judge)
        self.say = judge.say

    def entry(self, state: State, repair: Repair, fixes: Mapping[Key, Values]) -> Entry:
        """Say what is wrong with a line."""
        line, name, _ = repair.key
        rec, judge = repair.recording, self.judge
        if repair.of < 0 and repair.node in rec.program.forward:
            said = self.say("not_the_value", name=name, value=rec.label(repair.node))
            other = judge.truth.find(repair.found)
            if other and other.kind == "forward" and other.of:
                said = self.say("other_value", name=name, value=rec.label(repair.node), other=other.of)
            return self.wrong(line, name, said, (self.say("ask_cache", name=name), "", ""))
        after = judge.state({**fixes, repair.key: repair.values}).right()
        goal = [k for k, is_right in enumerate(after) if is_right]
        goal = goal if len(goal) > sum(state.right()) else []
        upto = line if judge.has_to_be(name) else state.runs[0].line or line
        return self.explained(state, fixes, repair, goal, upto)

    def explained(
        self, state: State, fixes: Mapping[Key, Values], repair: Repair, goal: Sequence[int], upto: int
    ) -> Entry:
        """Say what is wrong with a value: by its numbers, or by a small change of the code after which all is right.

        Args:
            state: as the function is now.
            fixes: values that are put right already.
            repair: the right value.
            goal: the outputs that the change has to put right.
            upto: the last line that may be changed.
        """
        line, name, _ = repair.key
        rec, judge, questions = repair.recording, self.judge, self.questions(repair)
        reason = explain(repair.found, rec, repair.node, questions, judge.language)
        feeding = self.mender.feeding(state, line)
        is_sure = reason.is_known and not feeding and not self.mender.uses_helpers(line)
        edit = None if is_sure else self.mender.mend(state, fixes, goal, upto)
        if edit and not (reason.is_known and edit.line == line):
            return self.mended(edit, name if edit.line == line else "")
        said, feeding = reason.text, [] if edit or is_reshaped(repair.found, repair.values) else feeding
        if repair.of >= 0 and not judge.targets(name) and name not in judge.returns:
            said = self.say("meant", what=self.call(rec, repair.of, repair.part), mistake=said)
        said += self.or_before(feeding)
        return self.wrong(line, name, said, self.hints(repair, reason, questions))

    def wrong(self, line: int, name: str, text: str, hints: tuple[str, ...] = ()) -> Entry:
        """Return what is told about a wrong line."""
        return Entry(line, self.judge.subject.text(line), name, "wrong", text, hints)

    def or_before(self, lines: Sequence[int]) -> str:
        """Say which lines come into question, too."""
        return self.say("or_before", lines=", ".join(map(str, lines))) if lines else ""

    def questions(self, repair: Repair) -> list[Question]:
        """Return the questions whose mistakes come into question."""
        rec = repair.recording
        if repair.of >= 0:
            target = Target(rec, repair.of, repair.part >= 0)
            mine = rec.questions_about(target)
            return sorted(mine, key=lambda q: q.answer != repair.node)
        return [q for q in rec.questions if q.answer == repair.node]

    def call(self, rec: Recording, of: int, part: int) -> str:
        """Say which gradient it is."""
        if part >= 0:
            user = rec.program.contributions[of][part].user
            return self.say("is_part", of=rec.label(of), through=rec.way(user))
        return self.say("is_gradient", of=rec.label(of))

    def hints(self, repair: Repair, reason: Reason, questions: Sequence[Question]) -> tuple[str, str, str]:
        """Return the question, the place and the formula."""
        rec, place, formula = repair.recording, "", ""
        if repair.of >= 0:
            parts = rec.program.contributions[repair.of]
            users = [p.user for p in ([parts[repair.part]] if repair.part >= 0 else parts)]
            used, value = [rec.line_of(u) for u in dict.fromkeys(users)], rec.label(repair.of)
            place = self.say("is_output", value=value)
            if used:
                place = self.say("used_in", value=value, lines="; ".join(used))
        if questions:
            formula = rec.formula(questions[0])
        return reason.ask, place, formula

    # -- the table

    def table(self, first: State, state: State, told: Mapping[Key, Entry]) -> Iterator[Entry]:
        """Yield an entry for each line that computes a gradient."""
        seen, judge = set[int](), self.judge
        for key in dict.fromkeys([*first.events, *state.events]):
            line, name, _ = key
            if key in told:
                if line not in seen or judge.targets(name):  # a cache that is unpacked in another order is told once
                    yield told[key]
                seen.add(line)
            elif key not in state.events or (judge.has_to_be(name) and state.last[name] != key):
                continue
            elif judge.status(state, key) == "right":
                if text := self.title(name, state.events[key]):
                    yield Entry(line, judge.subject.text(line), name, "right", text)
            elif np.ndim(state.events[key][0]) and np.asarray(state.events[key][0]).dtype.kind == "f":
                yield Entry(line, judge.subject.text(line), name, "unknown", self.say("unknown"))

    def title(self, name: str, values: Values) -> str:
        """Return what a right value is; nothing where that is a value of the way forward."""
        targets = self.judge.targets(name)
        for target in targets:
            rec, i = target.recording, target.node
            if all(map(is_alike, values, rec.value(rec.program.gradient[i]))):
                return self.call(rec, i, -1)
            for k, part in enumerate(rec.program.contributions[i]):
                if all(map(is_alike, values, rec.value(part.result))):
                    return self.call(rec, i, k)
        if not targets and self.judge.truth.forward_values(name):
            return ""
        quantity = self.judge.truth.find(values)
        if quantity is None:
            return self.say("is_sum", of=targets[0].recording.label(targets[0].node))
        said = {
            "forward": "",
            "gradient": self.say("is_gradient", of=quantity.of),
            "part": self.say("is_part", of=quantity.of, through=quantity.through),
        }
        return said.get(quantity.kind, self.say("is_step"))

    def notes(self, first: State, passed: bool, wrong: set[int]) -> Iterator[Entry]:
        """Yield what is told about the whole function: whether an argument was changed in place."""
        if changed := first.changed:
            line, verdict = changed[0], "note" if passed or changed[0] in wrong else "wrong"
            yield Entry(line, self.judge.subject.text(line), changed[1], verdict, self.say("in_place"))

    def mended(self, edit: Edit, name: str) -> Entry:
        """Say what was wrong with a line that a small change puts right."""
        said, ask = (self.judge.language.text(f"edits.{edit.kind}.{key}", **edit.facts) for key in ("say", "ask"))
        return self.wrong(edit.line, name, said, (ask, self.say("try_it"), edit.code))

    # -- where no single value can be put right

    def at_once(self, state: State) -> list[Entry]:
        """Return what explains all that is wrong, before lines are looked at one by one; nothing where that is not so.

        That is another order of what comes back, an argument that is changed in place, or a helper that is wrong.
        """
        if state.is_late:
            return self.unexplained(state, {})
        if state.crash or state.problem:
            return []
        if found := self.exchanged(state):
            return [found]
        goal = range(len(self.judge.returns))
        lines = [state.changed[0]] if state.changed else self.mender.helper_lines()
        if not state.changed and state.right().count(False) > 1:
            lines = [*self.mender.own_lines(), *lines]
        edit = self.mender.mend(state, {}, goal, lines=lines)
        return [self.mended(edit, "")] if edit else []

    def exchanged(self, state: State) -> Entry | None:
        """Say that gradients come back in another order, if they do."""
        judge, places = self.judge, self.mender.returned(state.runs[0].line)
        order = [
            next((j for j, right in enumerate(judge.right) if all(map(judge.equals, values, right))), -1)
            for values in state.outputs
        ]
        if sorted(order) != [*range(len(judge.returns))]:
            return None
        names = [judge.returns[j] for j in order]
        hint = (self.say("ask_order"), "", "return " + ", ".join(judge.returns))
        for variable, _ in places:
            key = state.last.get(variable)
            if key and judge.status(state, key) == "wrong" and judge.targets(variable):
                first, second = next((a, b) for a, b in zip(judge.returns, names, strict=True) if a != b)
                return self.wrong(key[0], variable, self.say("exchanged", first=first, second=second), hint[:1])
        said = self.say("other_order", found=", ".join(names), names=", ".join(judge.returns))
        return self.wrong(state.runs[0].line, "", said, hint)

    def unexplained(self, state: State, fixes: Mapping[Key, Values]) -> list[Entry]:
        """Return what is told where no single line explains what is wrong."""
        judge, everything = self.judge, range(len(self.judge.returns))
        if state.is_late and state.crash:
            return [self.crashed(state, state.crash)]
        if state.crash:
            edit = self.mender.mend(state, fixes, everything, state.crash.line)
            return [self.mended(edit, "") if edit else self.crashed(state, state.crash)]
        line = state.runs[0].line
        if state.problem:
            return [self.wrong(line or judge.subject.line, "", state.problem)]
        strange = {n: v[0] for n, v in zip(judge.returns, state.outputs, strict=True) if not is_number(v[0])}
        if strange:
            kinds = dict.fromkeys(type(v).__name__ for v in strange.values())
            return [self.wrong(line, "", self.say("no_array", name=", ".join(strange), kind=", ".join(kinds)))]
        bad = [k for k, is_right in enumerate(state.right()) if not is_right]
        if len(bad) > 1 and (edit := self.mender.mend(state, fixes, everything, line)):
            return [self.mended(edit, "")]
        return [self.output(state, fixes, k) for k in bad]

    def output(self, state: State, fixes: Mapping[Key, Values], k: int) -> Entry:
        """Say what is wrong with one of the values that came back."""
        judge, line = self.judge, state.runs[0].line
        places = self.mender.returned(line)
        name, values, rec = judge.returns[k], state.outputs[k], judge.truth.recordings[0]
        variable, place = places[k] if len(places) == len(judge.returns) else ("", line)
        key = state.last.get(variable)
        is_kept = key is not None and "keepdims" in judge.subject.text(key[0])
        if key and (is_kept or judge.has_to_be(variable) or not is_reshaped(values, judge.right[k])):
            place = key[0]
        node = judge.truth.asked[k]
        repair = Repair((place, name, 0), judge.right[k], values, rec, rec.program.gradient[node], node)
        goal = [j for j, is_right in enumerate(state.right()) if is_right or j == k]
        entry = self.explained(state, fixes, repair, goal, place if is_kept else line)
        prefix = "" if variable == name else f"{name}: "
        return dataclasses.replace(entry, name=name, text=prefix + entry.text)

    def crashed(self, state: State, crash: Crash) -> Entry:
        """Say where a function stopped."""
        judge = self.judge
        shapes = ", ".join(f"{name} {shape}" for name, shape in crash.shapes.items())
        shapes = shapes if crash.kind in ABOUT_SHAPES else ""
        if crash.kind == "SystemExit":
            said = self.say("exits")
        elif crash.kind == "MemoryError":
            said = self.say("memory")
        elif crash.kind == "RecursionError":
            said = self.say("recursion")
        elif crash.kind == "TimeUpError":
            said = self.say("time", seconds=f"{judge.seconds:g}")
        else:
            said = self.say("stops", kind=crash.kind, message=crash.message)
        said += self.say("like", names=", ".join(crash.like)) if crash.like else ""
        said += self.say("shapes", shapes=shapes) if shapes else ""
        said += self.or_before(self.mender.feeding(state, crash.line)) if shapes else ""
        return self.wrong(crash.line, "", said, (self.say("ask_shapes"), "", "") if shapes else ())
