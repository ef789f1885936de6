"""A function that reports what its lines assign: its source, changed so that each assignment goes through a hook.

The hook is told the line, the name and the value, and what it returns is assigned in its place: so a wrong value can be
replaced by the right one, and the function goes on. Inside of loops nothing is reported; what a loop has built up is
reported when it is over. Nested functions stay as they are.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Hook", "Instrumented", "NoSourceError", "source_of"]

Hook = Callable[[int, str, Any], Any]
CHECK, BACK, FACTORY = "__tg_check__", "__tg_return__", "__tg_factory__"


class NoSourceError(ValueError):
    """The source of a function is not to be had."""


def source_of(function: Any) -> tuple[ast.FunctionDef, str, list[str], int]:
    """Return a function's definition, its file, its lines, and the number of the first.

    Raises:
        NoSourceError: there is no source, or it is no ``def``.
    """
    try:
        lines, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, IndexError):
        raise NoSourceError("the source is not to be had") from None
    found = tree.body[0] if tree.body else None
    if not isinstance(found, ast.FunctionDef):
        raise NoSourceError("it is no def")
    ast.increment_lineno(tree, start - 1)
    return found, inspect.getsourcefile(function) or function.__code__.co_filename, lines, start


class Instrumented:
    """A function whose assignments are reported.

    Args:
        function: of a student.
        for_tensors: whether ``np.dot`` and ``.dot`` become ``@``, which records.

    Attributes:
        file: where it is written.
        line: of its ``def``.
        loops: of the function and of its helpers.
    """

    def __init__(self, function: Any, for_tensors: bool = False) -> None:
        while not inspect.isfunction(function):
            inner = getattr(function, "py_func", None) or getattr(function, "__wrapped__", None)
            if inner is None:
                raise NoSourceError("it is no function")
            function = inner
        self.function = inspect.unwrap(function)
        tree, self.file, lines, self.line = source_of(self.function)
        self.lines = {self.line + k: line for k, line in enumerate(lines)}
        tree.decorator_list = []
        self.name, self.helpers = tree.name, helpers_of(self.function, tree)
        trees = (tree, *self.helpers)
        self.loops = [node for t in trees for node in ast.walk(t) if isinstance(node, ast.For | ast.While)]
        self.has_while = any(isinstance(node, ast.While) for node in self.loops)
        self.tree, reporter = tree, Reporter()
        tree.body = reporter.block(tree.body)
        self.returned = reporter.returned
        if for_tensors:
            tree = Products().visit(tree)
        self.parameters = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args)]
        free = self.function.__code__.co_freevars
        self.cells = [cell.cell_contents if filled(cell) else None for cell in self.function.__closure__ or ()]
        factory = ast.parse(f"def {FACTORY}({', '.join((CHECK, BACK, *free))}):\n    return None").body[0]
        assert isinstance(factory, ast.FunctionDef)
        factory.body = [*self.helpers, tree, ast.Return(ast.Name(tree.name, ast.Load()))]
        tree.args.defaults = [ast.Constant(None) for _ in tree.args.defaults]  # the function's own are put in
        tree.args.kw_defaults = [d and ast.Constant(None) for d in tree.args.kw_defaults]
        strip_annotations(tree)
        self.module = ast.Module([factory], [])
        self.code = self.compile()

    def compile(self, changed: ast.AST | None = None) -> Any:
        """Return the code of the function as its tree is now.

        Args:
            changed: what is new in it, which stands where something else stood.
        """
        ast.fix_missing_locations(changed or self.module)
        return compile(self.module, self.file, "exec")

    def plain(self) -> ast.FunctionDef:
        """Return the definition of the function as it is written."""
        return source_of(self.function)[0]

    def block_of(self, statement: ast.stmt) -> tuple[list[ast.stmt], int] | None:
        """Return the block of a loop that a statement stands in, and its place there; None outside of loops."""
        for loop in self.loops:
            for block in (getattr(n, f, None) for n in ast.walk(loop) for f in ("body", "orelse")):
                if isinstance(block, list) and statement in block:
                    return block, block.index(statement)
        return None

    def rounds_of(self, statement: ast.stmt) -> list[str]:
        """Return the variables that count the rounds of the loops that a statement stands in."""
        around = [loop for loop in self.loops if statement in ast.walk(loop)]
        return [loop.target.id for loop in around if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name)]

    def bind(self, check: Hook, back: Callable[[int, Any], Any], code: Any = None) -> Any:
        """Return the function with its hooks.

        Args:
            check: is told line, name and value of an assignment; returns what is assigned.
            back: is told line and value of a ``return``; returns what is returned.
            code: of a changed function; its own unless given.
        """
        space: dict[str, Any] = {}
        exec(code or self.code, self.function.__globals__, space)  # noqa: S102 - the student's own function, changed
        made = space[FACTORY](check, back, *self.cells)
        made.__defaults__, made.__kwdefaults__ = self.function.__defaults__, self.function.__kwdefaults__
        return made

    def text(self, line: int) -> str:
        """Return the code of a line."""
        return (self.lines.get(line) or linecache.getline(self.file, line)).strip()


def helpers_of(function: Any, tree: ast.FunctionDef) -> list[ast.FunctionDef]:
    """Return the definitions of the functions of the same file that a function calls, and of those that these call."""
    found: dict[str, ast.FunctionDef] = {}
    todo = [tree]
    while todo:
        for node in ast.walk(todo.pop()):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            helper = function.__globals__.get(name)
            if name in found or name == tree.name or not inspect.isfunction(helper) or helper.__closure__:
                continue
            if helper.__code__.co_filename != function.__code__.co_filename:
                continue
            try:
                made, *_ = source_of(helper)
            except NoSourceError:
                continue
            if made.name == name and not made.decorator_list:
                strip_annotations(made)
                found[name] = made
                todo.append(made)
    return [*found.values()]


def filled(cell: Any) -> bool:
    """Whether a variable of an outer function has a value."""
    try:
        return bool(cell) or cell.cell_contents is not None
    except ValueError:
        return False


def strip_annotations(tree: ast.FunctionDef) -> None:
    """Take the annotations off a definition, which may name what is not there."""
    tree.returns = None
    for argument in ast.walk(tree.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None


class Products(ast.NodeTransformer):
    """Writes ``a @ b`` for ``a.dot(b)`` and ``np.dot(a, b)``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Replace a product."""
        self.generic_visit(node)
        function = node.func
        if not isinstance(function, ast.Attribute) or node.keywords:
            return node
        operands = node.args
        if function.attr == "dot" and len(operands) == 1:
            operands = [function.value, *operands]
        elif function.attr not in ("dot", "matmul") or len(operands) != 2:
            return node
        return ast.copy_location(ast.BinOp(operands[0], ast.MatMult(), operands[1]), node)


class Reporter:
    """Puts reports behind the statements of a function.

    Attributes:
        returned: id of a ``return`` -> the call of the hook around what it returns.
    """

    def __init__(self) -> None:
        self.returned: dict[int, ast.Call] = {}

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Return statements with their reports."""
        return [made for statement in body for made in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """Return a statement with its reports."""
        if isinstance(node, ast.Return) and node.value is not None:
            call = ast.Call(ast.Name(BACK, ast.Load()), [ast.Constant(node.lineno), node.value], [])
            node.value = call
            self.returned[id(node)] = call
            return [node]
        if isinstance(node, ast.For | ast.While | ast.AsyncFor):
            return [ReturnsOnly(self).visit(node), *self.after_loop(node)]
        for field in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and getattr(
                node, field, None
            ):
                setattr(node, field, self.block(getattr(node, field)))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            part.body = self.block(part.body)
        return [node, *(report(name, line, node) for name, line in assigned(node))]

    def after_loop(self, loop: ast.stmt) -> list[ast.stmt]:
        """Return the reports of what a loop builds up: sums, and arrays that it fills."""
        lines: dict[str, int] = {}
        for node in ast.walk(loop):
            if isinstance(node, ast.AugAssign | ast.Assign | ast.Expr):
                found = assigned(node)
                plain = isinstance(node, ast.Assign)
                for name, line in found:
                    if not plain or any(is_item(t, name) for t in targets_of(node)):
                        lines[name] = line
        return [report(name, line, loop) for name, line in lines.items()]


class ReturnsOnly(ast.NodeTransformer):
    """Reports what is returned out of a loop."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Leave nested functions as they are."""
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """Report a return."""
        return self.reporter.statement(node)[0]


def targets_of(node: ast.AST) -> list[ast.expr]:
    """Return the single targets of a statement; those of a tuple one by one."""
    if isinstance(node, ast.Expr):  # np.add.at(dW, x, dout) changes its first argument
        call = node.value
        is_at = (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("at", "copyto")
        )
        return [call.args[0]] if is_at and isinstance(call, ast.Call) and call.args else []
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return []
    found = list(getattr(node, "targets", None) or ([node.target] if hasattr(node, "target") else []))
    flat: list[ast.expr] = []
    while found:
        target = found.pop(0)
        if isinstance(target, ast.Tuple | ast.List):
            found = [*target.elts, *found]
        else:
            flat.append(target.value if isinstance(target, ast.Starred) else target)
    return flat


def is_item(target: ast.expr, name: str) -> bool:
    """Whether a target is a part of a variable: ``dx[i]``."""
    return isinstance(target, ast.Subscript) and base_of(target) == name


def base_of(target: ast.expr) -> str | None:
    """Return the variable that an assignment changes: dx for ``dx``, ``dx[i]`` and ``dx[i][j]``."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


def assigned(node: ast.AST) -> list[tuple[str, int]]:
    """Return the variables that a statement assigns or changes, and the lines."""
    if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr):
        return []
    names = [(base_of(target), target.lineno) for target in targets_of(node)]
    return list(dict.fromkeys((name, line) for name, line in names if name))


def report(name: str, line: int, near: ast.stmt) -> ast.stmt:
    """Return the statement that reports a variable, where it has a value."""
    text = f"if {name!r} in locals(): {name} = {CHECK}({line}, {name!r}, {name})"
    made = ast.parse(text).body[0]
    for part in ast.walk(made):
        if hasattr(part, "lineno"):
            ast.copy_location(part, near)
    return made
