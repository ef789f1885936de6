"""Which lines make what a line uses: read from the code, so that lines inside of loops are known, too."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from tinygraph.teach.grading.instrument import Instrumented, assigned, targets_of

__all__ = ["Lines", "Step"]

GROWS = ("append", "extend", "insert", "add", "update", "fill")  # methods that change what they are called on


@dataclasses.dataclass(frozen=True)
class Step:
    """One statement.

    Attributes:
        line: where it begins.
        reads: names that it uses.
        writes: names that it assigns or changes -> whether all of the old value is gone.
        loops: the loops around it, by number.
        is_sure: whether it always runs: no branch is around it.
    """

    line: int
    reads: frozenset[str]
    writes: Mapping[str, bool]
    loops: tuple[int, ...]
    is_sure: bool


class Lines:
    """The statements of a function in order.

    Args:
        source: the function.
    """

    def __init__(self, source: Instrumented) -> None:
        self.steps = list[Step]()
        self.loops = 0
        self.add(source.plain().body, (), True)

    def add(self, body: Sequence[ast.stmt], loops: tuple[int, ...], is_sure: bool) -> None:
        """Add the statements of a block."""
        for node in body:
            blocks = [getattr(node, field, None) or [] for field in ("body", "orelse", "finalbody")]
            blocks += [part.body for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ()))]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if not any(blocks):
                self.steps.append(Step(node.lineno, frozenset(reads_of(node)), writes_of(node), loops, is_sure))
                continue
            inside, test = loops, getattr(node, "iter", getattr(node, "test", None))
            if isinstance(test, ast.expr):
                self.steps.append(Step(node.lineno, frozenset(reads_of(test)), {}, loops, is_sure))
            if isinstance(node, ast.For | ast.While):
                self.loops += 1
                inside = (*loops, self.loops)
            sure = is_sure and isinstance(node, ast.For | ast.With | ast.Try)
            for block in blocks:
                self.add(block, inside, sure)

    def on(self, line: int) -> Iterator[Step]:
        """Yield the statements of a line."""
        return (step for step in self.steps if step.line == line)

    def before(self, step: Step, name: str) -> list[Step]:
        """Return the statements that may have made the value of a name that a statement uses."""
        found = list[Step]()
        place = self.steps.index(step)
        for other in self.steps[:place]:
            if name in other.writes:
                is_all = other.writes[name] and other.is_sure and step.loops[: len(other.loops)] == other.loops
                found = [other] if is_all else [*found, other]
        again = [o for o in self.steps[place:] if name in o.writes and {*o.loops} & {*step.loops}]
        return [*found, *again]

    def feeding(self, line: int, is_right: Callable[[Step, str], bool]) -> list[int]:
        """Return the lines that make what a line uses, where it is not known to be right.

        Args:
            line: of the student's file.
            is_right: whether a statement has given a name a right value.
        """
        found, todo = set[int](), [*self.on(line)]
        while todo:
            step = todo.pop()
            for name in step.reads:
                for other in self.before(step, name):
                    if other.line not in (line, *found) and not is_right(other, name):
                        found.add(other.line)
                        todo.append(other)
        return sorted(found)


def reads_of(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement uses; one that it changes in part is among them."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and (isinstance(part.ctx, ast.Load) or isinstance(node, ast.AugAssign)):
            yield part.id


def writes_of(node: ast.stmt) -> dict[str, bool]:
    """Return the names that a statement assigns or changes, and whether all of the old value is gone."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        function = node.value.func
        if function.attr in GROWS and isinstance(function.value, ast.Name):
            return {function.value.id: False}
    plain = {t.id for t in targets_of(node) if isinstance(t, ast.Name)} if not isinstance(node, ast.AugAssign) else ()
    return {name: name in plain for name, _ in assigned(node)}
