"""Which line is wrong: the first that, put right, makes something right that was wrong before.

The outputs decide whether a function passes, however it is written. Where one is wrong, the function is run again and
again, each time with the right value in the place of one that a line has computed; the first line for which that helps
is told, and stays put right, so that one mistake is told once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.teach.grading.explain import is_reshaped
from tinygraph.teach.grading.quantities import Quantity, Target, is_alike
from tinygraph.teach.grading.report import Entry
from tinygraph.teach.grading.runs import Key, Run, Subject, is_number
from tinygraph.teach.grading.telling import Repair, Teller
from tinygraph.teach.grading.truth import Truth
from tinygraph.teach.language import Language
from tinygraph.teach.workshop import is_same

__all__ = ["Judge", "State"]

MOST = 8  # mistakes that are told
SECONDS = 10.0  # of computing for which repairs are tried
Values = Sequence[Any]
Score = tuple[int, int, int]


class State:
    """The runs of a function on all draws, with some values put right.

    Attributes:
        events: key -> the values that were assigned, one a draw; in order.
        outputs: the values that came back, one list a gradient; empty where it did not return them.
    """

    def __init__(self, judge: Judge, runs: Sequence[Run]) -> None:
        self.judge, self.runs = judge, runs
        self.crash = next((run.crash for run in runs if run.crash), None)
        self.is_late = self.crash is not None and self.crash.kind == "TimeUpError"
        self.changed = next((run.changed for run in runs if run.changed), None)
        each = [{event.key: event for event in run.events} for run in runs]
        self.events = {key: [e[key].value for e in each] for key in each[0] if all(key in e for e in each)}
        self.last = {name: key for key in self.events for name in (key[1],)}
        self.problem, results = "", [judge.results(run) for run in runs]
        texts = [r for r in results if isinstance(r, str)]
        self.outputs: list[Values] = []
        if texts:
            self.problem = texts[0]
        elif not self.crash:
            self.outputs = [list(values) for values in zip(*results, strict=True)]

    def right(self) -> list[bool]:
        """Return which outputs are right, shapes too."""
        each = [self.judge.right_on(k, run) for k, run in enumerate(self.runs)]
        return [all(verdicts) for verdicts in zip(*each, strict=True)] if all(each) else []

    def score(self, fixed: Sequence[Key]) -> Score:
        """Return how good it is: whether it runs to the end, right outputs, right lines that were not put right."""
        named = sum(self.judge.is_exact(self, key) for key in self.named() if key not in fixed)
        return (not self.crash, sum(self.right()), named)

    def named(self) -> Iterator[Key]:
        """Yield the events whose variable has to be what its name says: the last ones of a name."""
        for name, key in self.last.items():
            if self.judge.has_to_be(name):
                yield key


class Judge:
    """Judges one function on draws of one shape.

    Args:
        subject: the student's function.
        truth: what is right.
        arguments: of the function, one list a draw.
        returns: what it has to return, in order.
        language: what the student reads.
        rtol: greatest relative error of an output.
        seconds: how long one call may take.
    """

    def __init__(
        self,
        subject: Subject,
        truth: Truth,
        arguments: Sequence[Sequence[Any]],
        returns: Sequence[str],
        language: Language,
        rtol: float,
        seconds: float = 10.0,
    ) -> None:
        self.subject, self.truth, self.arguments, self.returns = subject, truth, arguments, returns
        self.language, self.rtol, self.seconds = language, rtol, seconds
        self.right = truth.right
        self.names: dict[str, list[Target]] = {}
        self.known: dict[tuple[Key, tuple[bytes, ...]], str] = {}
        self.end = 0.0
        self.teller = Teller(self)

    def say(self, key: str, **facts: object) -> str:
        """Return a text of the table "grader"."""
        return self.language.text(f"grader.{key}", **facts)

    # -- runs

    def state(self, fixes: Mapping[Key, Values]) -> State:
        """Run the function on every draw."""
        runs = list[Run]()
        for k, arguments in enumerate(self.arguments):
            runs.append(self.subject.run(arguments, {key: np.asarray(values[k]) for key, values in fixes.items()}))
            if runs[-1].crash and runs[-1].crash.kind == "TimeUpError":  # once is long enough
                break
        return State(self, runs)

    def results(self, run: Run) -> list[Any] | str:
        """Return what came back, one value a gradient; a text where that is not what was asked for."""
        result, names = run.result, self.returns
        if run.crash:
            return []
        if self.truth.one_function and isinstance(result, tuple) and len(result) == len(names) + 1:
            result = result[1:]
        if isinstance(result, dict):
            found = {name: result.get(name, result.get(name.removeprefix("d"))) for name in names}
            return [found[name] for name in names]
        if len(names) == 1 and not isinstance(result, tuple | list):
            result = (result,)
        if result is None:
            return self.say("returns_none", names=", ".join(names))
        count = len(result) if isinstance(result, tuple | list) else 1
        if count != len(names):
            return self.say("returns_count", count=count, names=", ".join(names))
        return list(result)

    def right_on(self, k: int, run: Run) -> list[bool]:
        """Return which outputs of a run on one draw are right, shapes too; nothing where they did not come back."""
        found = self.results(run)
        if run.crash or isinstance(found, str):
            return []
        return [self.equals(v, r[k]) for v, r in zip(found, self.right, strict=True)]

    def equals(self, value: Any, right: Any) -> bool:
        """Whether what came back is right, its shape too."""
        return is_number(value) and is_same(value, right, self.rtol)

    def has_same_loss(self, run: Run, other: Run) -> bool:
        """Whether two runs of a function that returns its loss, too, return the same one."""
        if not self.truth.one_function or run.crash or other.crash:
            return True
        (loss, *_), (wanted, *_) = run.result, other.result
        return is_number(loss) and is_same(loss, wanted, self.rtol)

    # -- what a variable is

    def targets(self, name: str) -> list[Target]:
        """Return what a variable is by its name."""
        if name not in self.names:
            self.names[name] = self.truth.targets(name)
        return self.names[name]

    def has_to_be(self, name: str) -> bool:
        """Whether the name of a variable says what it is."""
        return bool(self.targets(name) or self.truth.forward_values(name))

    def status(self, state: State, key: Key) -> str:
        """Return "right", "wrong" or "unknown"."""
        values = state.events[key]
        is_last = state.last[key[1]] == key
        seen = (key if is_last else (0, "", 0)), tuple(np.ascontiguousarray(v).tobytes() for v in values)
        if seen not in self.known:
            self.known[seen] = self.compare(key[1], values, is_last)
        return self.known[seen]

    def is_exact(self, state: State, key: Key) -> bool:
        """Whether a variable is the whole gradient that its name says, or what else it has to be."""
        targets = self.targets(key[1])
        if targets and not targets[0].is_part:
            return self.is_whole(targets, state.events[key])
        return self.status(state, key) == "right"

    @staticmethod
    def is_whole(targets: Sequence[Target], values: Values) -> bool:
        """Whether values are the whole gradient of a node."""
        wholes = (t.recording.value(t.recording.program.gradient[t.node]) for t in targets)
        return any(all(map(is_alike, values, whole)) for whole in wholes)

    def compare(self, name: str, values: Values, is_last: bool) -> str:
        """Compare the values of a variable with what it has to be, or else with all that is right."""
        if is_last and (targets := self.targets(name)):
            whole = name in self.returns and not targets[0].is_part
            is_right = self.is_whole(targets, values) if whole else self.truth.allows(targets, values)
            return "right" if is_right else "wrong"
        if is_last and (known := self.truth.forward_values(name)):
            same = (all(map(is_alike, values, right)) for right in known)
            return "right" if any(same) else "wrong"
        return "right" if self.truth.find(values) else "unknown"

    # -- the search

    def entries(self) -> tuple[list[Entry], dict[str, bool], bool]:
        """Return what is told, which outputs are right, and whether all is."""
        self.end = time.process_time() + SECONDS
        first = state = self.state({})
        right = first.right() or [False] * len(self.returns)
        verdicts, passed = dict(zip(self.returns, right, strict=True)), all(right)
        told: dict[Key, Entry] = {}
        fixes: dict[Key, Values] = {}
        rest = [] if passed else self.teller.at_once(first)
        while not rest and not (state.right() and all(state.right())) and len(told) < MOST:
            repair = self.repair(state, fixes)
            if repair is None:
                rest = self.teller.unexplained(state, fixes)
                break
            told[repair.key] = self.teller.entry(state, repair, fixes)
            fixes[repair.key] = repair.values
            state = self.state(fixes)
        wrong = [*told.values(), *rest]
        spoken = {e.line for e in wrong if not e.name} | {e.line for e in rest}
        table = [e for e in self.teller.table(first, state, told) if e.verdict == "wrong" or e.line not in spoken]
        lines = [*table, *rest, *self.teller.notes(first, passed, {e.line for e in wrong})]
        return sorted(lines, key=lambda e: e.line or 1 << 30), verdicts, passed

    def repair(self, state: State, fixes: Mapping[Key, Values]) -> Repair | None:
        """Return the repair of the first line for which one helps."""
        base = state.score([*fixes])
        doubtful = []
        for key, values in state.events.items():
            if key in fixes or not (np.ndim(values[0]) or self.has_to_be(key[1])):
                continue
            status, is_named = self.status(state, key), self.has_to_be(key[1])
            is_last = state.last[key[1]] == key
            if status == "right" and (not (is_named and is_last) or self.is_exact(state, key)):
                doubtful.append(key)
                continue
            if is_named and not is_last:  # what it becomes is looked at
                doubtful.append(key)
                continue
            is_part = status == "right"  # of a gradient that the name says
            options = self.by_name(key, values) if is_part or status == "wrong" else self.by_value(key, values)
            if found := self.best(options, fixes, base, state, whole=is_part):
                before = [k for k in doubtful if state.last[k[1]] != k] if state.right().count(False) > 1 else []
                return self.of_all(before, fixes, base, state) or found
        return self.of_all([key for key in doubtful if not self.has_to_be(key[1])], fixes, base, state)

    def of_all(self, keys: Sequence[Key], fixes: Mapping[Key, Values], base: Score, state: State) -> Repair | None:
        """Return the first value with which all is right: dout where dxhat should be, or one that changes later."""
        for key in keys:
            if found := self.best(self.by_value(key, state.events[key]), fixes, base, state, whole=True):
                return found
        return None

    def best(
        self, options: Iterator[Repair], fixes: Mapping[Key, Values], base: Score, state: State, whole: bool = False
    ) -> Repair | None:
        """Return the option that helps most; with ``whole``, one that makes all outputs right."""
        found, most = None, base
        mine = [*fixes]
        for option in options:
            if time.process_time() > self.end:
                return found
            after = self.state({**fixes, option.key: option.values})
            right = after.right()
            if right and all(right):
                return option
            before = (*base[:2], base[2] - self.is_exact(state, option.key))
            score = after.score([*mine, option.key])
            spoils = any(was and not now for was, now in zip(state.right(), right or [], strict=False))
            if not whole and not spoils and score > max(before, most):
                found, most = option, score
        return found

    def by_name(self, key: Key, values: Values) -> Iterator[Repair]:
        """Yield what a variable should be that is not what its name says."""
        for target in self.targets(key[1]):
            rec, i = target.recording, target.node
            parts = rec.program.contributions[i]
            whole = [(rec.program.gradient[i], -1)]
            several = [(part.result, k) for k, part in enumerate(parts)] if len(parts) > 1 else []
            for node, k in [*several, *whole] if target.is_part else [*whole, *several]:
                yield Repair(key, rec.value(node), values, rec, node, i, k)
        if not self.targets(key[1]):
            rec = self.truth.recordings[0]
            for i in rec.find(key[1]):
                yield Repair(key, rec.value(i), values, rec, i)

    def by_value(self, key: Key, values: Values) -> Iterator[Repair]:
        """Yield what a variable may have been meant to be: all that is right, the same shape first."""
        shape = np.shape(values[0])
        for q in sorted(self.truth.backward, key=lambda q: np.shape(q.values[0]) != shape):
            if not np.ndim(q.values[0]) or all(map(is_alike, values, q.values)) or is_reshaped(values, q.values):
                continue
            if fit_together(shape, np.shape(q.values[0])):
                of, part = self.place_of(q)
                yield Repair(key, q.values, values, q.recording, q.node, of, part)

    def place_of(self, q: Quantity) -> tuple[int, int]:
        """Return of which node a quantity is the gradient, and which part."""
        program = q.recording.program
        for i, gradient in program.gradient.items():
            if gradient == q.node:
                return i, -1
        for i, parts in program.contributions.items():
            for k, part in enumerate(parts):
                if part.result == q.node:
                    return i, k if len(parts) > 1 else -1
        return -1, -1


def fit_together(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether one shape may be the other but for sums that are missing, or too much."""
    try:
        np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        return False
    return True
