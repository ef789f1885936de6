"""Small changes of a line of code, such as undo a mistake: another sign, axis, factor, name or number.

A line whose value has no name that says what it is can still be told: with one of these changes all that comes back is
right. That is so by trial, on every draw. Lines of functions of the same file that the student's function calls are
changed, too.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tinygraph.teach.grading.instrument import CHECK, Instrumented

__all__ = ["STAGES", "Edit", "Editor"]

SUMS = ("sum", "mean")
OPPOSITE = {"max": "min", "maximum": "minimum", "argmax": "argmin", "amax": "amin"}
OPPOSITE |= {v: k for k, v in OPPOSITE.items()}
SIMPLE = (ast.Add, ast.Sub, ast.Mult, ast.Div)
SWAPS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.Lt, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
BOUNDS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
}  # fmt: skip
STAGES = LOCAL, WHOLE, MORE = range(
    3
)  # an op or a name is another; something is missing from a line; a term, or a number of rows
Option = tuple[str, Mapping[str, str], ast.expr]


@dataclasses.dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        line: where.
        kind: what was wrong: a key of the table "edits" of a language.
        facts: that fill the holes of its text.
        code: the line as it should be.
    """

    line: int
    kind: str
    facts: Mapping[str, str]
    code: str


@dataclasses.dataclass
class Place:
    """Where an expression stands: in a field of another node."""

    owner: ast.AST
    field: str
    index: int | None

    def get(self) -> Any:
        """Return the expression."""
        value = getattr(self.owner, self.field)
        return value if self.index is None else value[self.index]

    def put(self, node: Any) -> None:
        """Put another in its place."""
        if self.index is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.index] = node


class Editor:
    """Makes the variants of a function in which one line is changed.

    Args:
        source: the function.
        arrays: names of its variables that are arrays -> the line that assigns them.
        counts: names of its variables that are numbers of rows or columns.
    """

    def __init__(self, source: Instrumented, arrays: Mapping[str, int], counts: Sequence[str]) -> None:
        self.source, self.arrays, self.counts = source, arrays, counts
        self.seen: set[tuple[ast.stmt, str]] = set()
        self.statements = [
            node for tree in (source.tree, *source.helpers) for node in ast.walk(tree)
            if (isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return) and node.value
                and not is_report(node)) or isinstance(node, ast.For)
        ]  # fmt: skip
        self.first = {
            id(node): tree.args.args for tree in source.helpers for node in ast.walk(tree) if isinstance(node, ast.stmt)
        }

    def variants(self, lines: Sequence[int], stages: Sequence[int] = STAGES) -> Iterator[tuple[Edit, Any]]:
        """Yield each edit of some lines with the code of the changed function.

        First come the edits of what is there, then those that put in what is missing, then those that add a term.

        Args:
            lines: in the order in which they are tried.
            stages: which of these three.
        """
        for stage in stages:
            for line in lines:
                for statement in self.statements:
                    if statement.lineno == line:
                        yield from self.of_statement(statement, stage)

    def of_statement(self, statement: Any, stage: int) -> Iterator[tuple[Edit, Any]]:
        """Yield the edits of a statement; of a loop, those of how often it runs."""
        if isinstance(statement, ast.For):
            for inner in places_in(Place(statement, "iter", None)) if stage == LOCAL else ():
                yield from self.tried(statement, inner, self.of_part(inner.get(), statement))
            return
        if stage == LOCAL:
            yield from self.of_assignment(statement)
        root = Place(statement, "value", None)
        wrapped = self.source.returned.get(id(statement))
        if wrapped is not None:
            root = Place(wrapped, "args", 1)
        roots = [root]
        if isinstance(root.get(), ast.Tuple | ast.List):
            roots = [Place(root.get(), "elts", k) for k in range(len(root.get().elts))]
        for place in roots:
            if stage == WHOLE:
                yield from self.tried(statement, place, self.of_whole(place.get(), statement))
            elif stage == MORE:
                yield from self.tried(statement, place, self.renamed(place.get(), statement))
                yield from self.tried(statement, place, self.additions(place.get(), statement))
                for inner in [*places_in(place)][1:]:
                    yield from self.tried(statement, inner, self.shares(inner.get()))
            else:
                for inner in places_in(place):
                    yield from self.tried(statement, inner, self.of_part(inner.get(), statement))
        if stage == LOCAL:
            for target in getattr(statement, "targets", [getattr(statement, "target", None)]):
                for inner in places_in(Place(target, "slice", None)) if isinstance(target, ast.Subscript) else ():
                    yield from self.tried(statement, inner, self.of_part(inner.get(), statement))

    def tried(self, statement: Any, place: Place, options: Iterable[Option]) -> Iterator[tuple[Edit, Any]]:
        """Yield edits with their code; what stood there before is put back."""
        before = place.get()
        for kind, facts, node in list(options):
            place.put(ast.copy_location(node, before))
            try:
                edit = Edit(statement.lineno, kind, facts, self.text(statement))
                if (statement, edit.code) in self.seen:
                    continue
                self.seen.add((statement, edit.code))
                compiled = self.source.compile(node)
            except (SyntaxError, ValueError, TypeError):
                continue
            finally:
                place.put(before)
            yield edit, compiled

    def text(self, statement: Any) -> str:
        """Return a statement as code, without the hooks."""
        wrapped = self.source.returned.get(id(statement))
        if isinstance(statement, ast.For):
            return f"for {ast.unparse(statement.target)} in {ast.unparse(statement.iter)}:"
        return f"return {ast.unparse(wrapped.args[1])}" if wrapped is not None else ast.unparse(statement)

    def of_assignment(self, statement: Any) -> Iterator[tuple[Edit, Any]]:
        """Yield the edits of how a value is assigned: += for -=, for = inside of a loop, and to a part of another."""
        if isinstance(statement, ast.AugAssign) and type(statement.op) in SWAPS:
            before = statement.op
            kind = "sign" if isinstance(before, ast.Add | ast.Sub) else "swapped"
            statement.op = SWAPS[type(before)]()
            edit = Edit(statement.lineno, kind, {"op": sign_of(before)}, ast.unparse(statement))
            code = self.source.compile(statement)
            statement.op = before
            yield edit, code
            if isinstance(before, ast.Add) and isinstance(statement.target, ast.Subscript):
                yield from self.of_repeated(statement)
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return
        target: Any = statement.targets[0]
        if isinstance(target, ast.Tuple | ast.List):
            return
        if owner := self.source.block_of(statement):
            made = ast.copy_location(ast.AugAssign(target, ast.Add(), statement.value), statement)
            body, k = owner
            body[k] = made
            edit, code = Edit(statement.lineno, "overwrites", {}, ast.unparse(made)), self.source.compile(made)
            body[k] = statement
            yield edit, code
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            place = Place(target, "value", None)
            names = [name for name in self.known(statement) if name != target.value.id]
            store = [("other_name", {"wrong": target.value.id}, ast.Name(name, ast.Load())) for name in names]
            yield from self.tried(statement, place, store)

    def of_repeated(self, statement: ast.AugAssign) -> Iterator[tuple[Edit, Any]]:
        """Yield ``np.add.at(dW, x, dout)`` for ``dW[x] += dout``, which adds once where an index is repeated."""
        target: Any = statement.target
        base = ast.Name(target.value.id, ast.Load()) if isinstance(target.value, ast.Name) else target.value
        call = ast.parse("np.add.at()").body[0]
        assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
        call.value.args = [base, target.slice, statement.value]
        for node in ast.walk(self.source.tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and statement in body:
                k = body.index(statement)
                body[k] = ast.copy_location(call, statement)
                edit, code = Edit(statement.lineno, "repeated", {}, ast.unparse(call)), self.source.compile(call)
                body[k] = statement
                yield edit, code

    def of_whole(self, node: ast.expr, statement: Any) -> Iterator[Option]:
        """Yield the edits that put what is missing to all that is assigned: a sign, a sum, a factor."""
        yield "sign", {}, ast.UnaryOp(ast.USub(), node)
        for axis in (0, 1):
            yield "sum_missing", {"axis": str(axis)}, summed(node, axis, False)
            yield "sum_missing", {"axis": str(axis)}, summed(node, axis, True)
        targets = {n.id for t in getattr(statement, "targets", ()) for n in ast.walk(t) if isinstance(n, ast.Name)}
        for name in self.known(statement):
            if name not in targets and not (isinstance(node, ast.Name) and node.id == name):
                yield "factor", {"factor": name}, ast.BinOp(node, ast.Mult(), load(name))
                yield "divisor", {"factor": name}, ast.BinOp(node, ast.Div(), load(name))
        for part in self.elements(statement):
            yield "factor", {"factor": ast.unparse(part)}, ast.BinOp(node, ast.Mult(), part)
        yield "transposed", {}, ast.Attribute(node, "T", ast.Load())

    def additions(self, node: ast.expr, statement: Any) -> Iterator[Option]:
        """Yield the edits that add a term or a number to all that is assigned."""
        targets = {n.id for t in getattr(statement, "targets", ()) for n in ast.walk(t) if isinstance(n, ast.Name)}
        for name in self.known(statement):
            if name not in targets and not names_of(node) & {name}:
                yield "term", {"term": name}, ast.BinOp(node, ast.Add(), load(name))
                yield "term", {"term": name}, ast.BinOp(node, ast.Sub(), load(name))
        for name in self.counts:
            yield "divisor", {"factor": name}, ast.BinOp(node, ast.Div(), load(name))
            yield "factor", {"factor": name}, ast.BinOp(node, ast.Mult(), load(name))
            share = ast.BinOp(ast.Constant(1.0), ast.Div(), load(name))
            yield "term", {"term": f"-1 / {name}"}, ast.BinOp(node, ast.Sub(), share)
        if targets & {*self.counts}:
            for names in itertools.combinations([n for n in self.counts if n not in targets], 2):
                text = " * ".join(names)
                yield "factor", {"factor": text}, ast.BinOp(node, ast.Mult(), ast.parse(f"({text})", mode="eval").body)
        for axis in (0, 1):
            yield "centre", {"axis": str(axis)}, ast.BinOp(node, ast.Sub(), summed(node, axis, bool(axis), "mean"))
        for number in (2.0, 0.5):
            yield "factor", {"factor": f"{number:g}"}, ast.BinOp(node, ast.Mult(), ast.Constant(number))
        for number in (0.0, 1.0):
            yield "constant", {"number": f"{number:g}"}, ast.Constant(number)

    def renamed(self, node: ast.expr, statement: Any) -> Iterator[Option]:
        """Yield the edits in which a name that is used several times is another, each time."""
        used = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
        for name in dict.fromkeys(n for n in used if used.count(n) > 1 and n in {*self.arrays, *self.counts}):
            for other in [*self.known(statement), *self.counts]:
                if other != name:
                    yield "other_name", {"wrong": name}, Renames(name, other).visit(copy.deepcopy(node))

    def shares(self, node: ast.expr) -> Iterator[Option]:
        """Yield a part of what is assigned, divided by a number of rows, or times it."""
        if isinstance(node, ast.BinOp | ast.Call) and not isinstance(getattr(node, "op", None), ast.Div):
            for name in self.counts:
                yield "divisor", {"factor": name}, ast.BinOp(node, ast.Div(), load(name))
                yield "factor", {"factor": name}, ast.BinOp(node, ast.Mult(), load(name))

    def of_part(self, node: ast.expr, statement: Any) -> Iterator[Option]:
        """Yield the edits of an expression inside of what is assigned."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield "sign", {}, node.operand
        elif isinstance(node, ast.BinOp):
            yield from of_product(node)
            if isinstance(node.op, SIMPLE) and isinstance(node.left, ast.Name | ast.Call):
                for name in self.known(statement):
                    left = ast.BinOp(node.left, ast.Mult(), load(name))
                    yield "factor", {"factor": name}, ast.BinOp(left, node.op, node.right)
        elif isinstance(node, ast.Call | ast.Compare):
            yield from of_call(node) if isinstance(node, ast.Call) else of_comparison(node)
        elif isinstance(node, ast.Tuple):
            yield from self.of_index(node)
        elif isinstance(node, ast.Constant):
            yield from of_number(node)
            for name in self.counts:
                yield "number", {"number": repr(node.value)}, load(name)
        elif isinstance(node, ast.Attribute) and node.attr == "T":
            yield "transposed", {}, node.value
        elif isinstance(node, ast.Name):
            for name in [*self.known(statement), *self.counts]:
                if name != node.id and (node.id in self.arrays or node.id in self.counts):
                    yield "other_name", {"wrong": node.id}, load(name)
        if isinstance(node, ast.Compare | ast.Name) and not isinstance(statement, ast.Return):
            yield "transposed", {}, ast.Attribute(node, "T", ast.Load())

    def of_index(self, node: ast.Tuple) -> Iterator[Option]:
        """Yield an index that takes one element of each row, where there is one that takes a column."""
        if node.elts and isinstance(node.elts[0], ast.Slice):
            for name in self.counts:
                rows = ast.Call(ast.Attribute(load("np"), "arange", ast.Load()), [load(name)], [])
                yield "each_row", {}, ast.Tuple([rows, *node.elts[1:]], ast.Load())

    def known(self, statement: Any) -> list[str]:
        """Return the arrays that there are when a statement begins."""
        if (parameters := self.first.get(id(statement))) is not None:  # in another function, only what it is given
            return [parameter.arg for parameter in parameters]
        return [name for name, line in self.arrays.items() if line < statement.lineno]

    def elements(self, statement: Any) -> Iterator[ast.expr]:
        """Yield the rows of the arrays that there are in the round of a loop: gamma[j]."""
        for variable in self.source.rounds_of(statement):
            for name in self.known(statement):
                yield ast.Subscript(load(name), load(variable), ast.Load())


class Renames(ast.NodeTransformer):
    """Writes another name."""

    def __init__(self, name: str, other: str) -> None:
        self.name, self.other = name, other

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Replace the name."""
        return ast.copy_location(load(self.other), node) if node.id == self.name else node


def is_report(node: Any) -> bool:
    """Whether a statement is none of the student's, but the report of a variable."""
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and is_hook(node.value.func)


def is_hook(function: ast.expr) -> bool:
    """Whether a function is the hook of a report."""
    return isinstance(function, ast.Name) and function.id == CHECK


def of_product(node: ast.BinOp) -> Iterator[Option]:
    """Yield the edits of an operation on two values."""
    kind = "sign" if isinstance(node.op, ast.Add | ast.Sub) else "swapped"
    if type(node.op) in SWAPS:
        yield kind, {"op": sign_of(node.op)}, ast.BinOp(node.left, SWAPS[type(node.op)](), node.right)
    if not isinstance(node.op, ast.Pow | ast.MatMult):
        yield "too_much", {"part": ast.unparse(node.right)}, node.left
        if not isinstance(node.op, ast.Div):
            yield "too_much", {"part": ast.unparse(node.left)}, node.right
    if isinstance(node.op, ast.Pow):
        yield "power", {}, node.left
    if isinstance(node.op, ast.Add):
        yield "swapped", {"op": "+"}, ast.BinOp(node.left, ast.Mult(), node.right)
    if isinstance(node.op, ast.Mult):
        yield "swapped", {"op": "*"}, ast.BinOp(node.left, ast.Add(), node.right)
        yield "power", {}, ast.BinOp(node.left, ast.Mult(), ast.BinOp(node.right, ast.Pow(), ast.Constant(2)))
        yield "power", {}, ast.BinOp(ast.BinOp(node.left, ast.Pow(), ast.Constant(2)), ast.Mult(), node.right)
    if isinstance(node.op, ast.MatMult):
        yield "order", {}, ast.BinOp(node.right, node.op, node.left)
    if isinstance(node.op, ast.Div):
        yield "power", {}, ast.BinOp(node.left, ast.Div(), ast.BinOp(node.right, ast.Pow(), ast.Constant(2)))
        yield "power", {}, ast.BinOp(node.left, ast.Div(), ast.BinOp(node.right, ast.Pow(), ast.Constant(3)))


def of_comparison(node: ast.Compare) -> Iterator[Option]:
    """Yield a comparison the other way round, and one that says otherwise of equal numbers."""
    for kind, table in (("comparison", COMPARISONS), ("bound", BOUNDS)):
        for k, op in enumerate(node.ops):
            if type(op) in table:
                ops = [*node.ops[:k], table[type(op)](), *node.ops[k + 1 :]]
                yield kind, {}, ast.Compare(node.left, ops, node.comparators)


def of_call(node: ast.Call) -> Iterator[Option]:
    """Yield the edits of a sum or a mean: the other one, other axes, none at all; of a root, its argument."""
    function = node.func
    if not isinstance(function, ast.Attribute):
        return
    if function.attr in OPPOSITE:
        name = OPPOSITE[function.attr]
        facts = {"wrong": function.attr, "right": name}
        yield "opposite", facts, ast.Call(ast.Attribute(function.value, name, ast.Load()), node.args, node.keywords)
    is_numpy = isinstance(function.value, ast.Name) and function.value.id in ("np", "numpy")
    value = (node.args[0] if node.args else None) if is_numpy else function.value
    if function.attr == "sqrt" and value is not None:
        yield "power", {}, value
    if function.attr not in SUMS or value is None:
        return
    for name in SUMS:
        if name != function.attr:
            kind = "mean_for_sum" if name == "sum" else "sum_for_mean"
            yield kind, {}, ast.Call(ast.Attribute(function.value, name, ast.Load()), node.args, node.keywords)
    yield "sum_too_much", {}, value
    for axis in (0, 1, (0, 2, 3), (2, 3), (2, 3, 4)):
        for keep in (False, True):
            yield "axis", {}, summed(value, axis, keep, function.attr)


def of_number(node: ast.Constant) -> Iterator[Option]:
    """Yield other numbers."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    for other in dict.fromkeys((value + 1, value - 1, -value, value * 2, value / 2, 1, 2, 0.5, 1.5, -1.5)):
        if other != value:
            yield "number", {"number": repr(value)}, ast.Constant(other)


def summed(node: ast.expr, axis: Any, keep: bool, name: str = "sum") -> ast.expr:
    """Return the sum or the mean of an expression along an axis."""
    keywords = [ast.keyword("axis", ast.Constant(axis))]
    keywords += [ast.keyword("keepdims", ast.Constant(True))] if keep else []
    return ast.Call(ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load()), [node], keywords)


def load(name: str) -> ast.Name:
    """Return a variable."""
    return ast.Name(name, ast.Load())


def names_of(node: ast.AST) -> set[str]:
    """Return the names in an expression."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def sign_of(op: ast.operator) -> str:
    """Return an operator as it is written."""
    return {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}.get(type(op), "?")


def places_in(place: Place) -> Iterator[Place]:
    """Yield the place of an expression and of each one inside of it, the outer ones first."""
    yield place
    node = place.get()
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.expr) and not (
            isinstance(node, ast.Call) and field == "func" and isinstance(value, ast.Name)
        ):
            yield from places_in(Place(node, field, None))
        elif isinstance(value, list):
            for k, part in enumerate(value):
                if isinstance(part, ast.expr):
                    yield from places_in(Place(node, field, k))
                elif isinstance(part, ast.keyword):
                    yield from places_in(Place(part, "value", None))
                elif isinstance(part, ast.comprehension):
                    yield from places_in(Place(part, "iter", None))
