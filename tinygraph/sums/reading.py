"""A formula that somebody typed, read as mathematics: with arrays it computes, with symbols it becomes a form.

The grammar is fixed: names, numbers, ``+ - * / **``, ``.mean .sum .var .std .max .min`` and a few functions. What is
typed is never run as code.
"""

from __future__ import annotations

import ast
import operator
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.registry import OPS
from tinygraph.sums.axes import Axis
from tinygraph.sums.form import Form, Former
from tinygraph.sums.writing import ascii_name

__all__ = ["Symbol", "interpret", "key_of", "read"]

OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
REDUCTIONS = ("mean", "sum", "var", "std", "max", "min")
FUNCTIONS = ("sqrt", "exp", "log", "tanh", "square", "abs", "erf", "sigmoid")
LONGEST = 2000  # letters of a formula


def read(code: str, names: Sequence[str], default: int = 0) -> tuple[int, ast.expr]:
    """Return which gradient a formula is of, the ``default`` where it does not say, and its tree."""
    if len(code) > LONGEST:
        raise ValueError(f"ask: the formula has {len(code)} letters; at most {LONGEST} are read")
    try:
        body = ast.parse(unicodedata.normalize("NFC", code.strip()), mode="exec").body
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise ValueError(f"ask: {clean(code)!r} is no formula: {getattr(error, 'msg', error)}") from None
    if len(body) == 1 and isinstance(body[0], ast.Assign) and len(body[0].targets) == 1:
        target, value = body[0].targets[0], body[0].value
        keys = [key_of(name) for name in names]
        if not isinstance(target, ast.Name) or key_of(target.id) not in keys:
            raise ValueError(f"ask: {clean(ast.unparse(target))} is none of the gradients: {', '.join(names)}")
        return keys.index(key_of(target.id)), value
    if len(body) == 1 and isinstance(body[0], ast.Expr):
        return default, body[0].value
    raise ValueError(f"ask: {clean(code)!r} is no formula: write one expression, such as dx = gamma/sigma*dy")


def key_of(name: str) -> str:
    """Return what tells a name from others, however it is spelt: xhat of x̂ and x_hat, sigma of σ.

    >>> key_of("x̂"), key_of("x_hat"), key_of("σ")
    ('xhat', 'xhat', 'sigma')
    """
    return "".join(c for c in ascii_name(name) if c.isalnum())


def interpret(tree: ast.expr, names: Mapping[str, Any]) -> Any:
    """Compute a formula: with arrays, or with forms.

    Raises:
        ValueError: it has something that is no part of a formula.
    """
    if isinstance(tree, ast.Constant) and type(tree.value) in (int, float):
        return tree.value
    if isinstance(tree, ast.Name):
        return value_of(tree.id, names)
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd):
        operand = interpret(tree.operand, names)
        return -operand if isinstance(tree.op, ast.USub) else operand
    if isinstance(tree, ast.BinOp) and type(tree.op) in OPERATORS:
        left, right = interpret(tree.left, names), interpret(tree.right, names)
        if isinstance(tree.op, ast.Pow) and not (isinstance(right, int | float) and abs(right) <= 16):
            raise ValueError(f"ask: {clean(ast.unparse(tree))}: the exponent must be a number of at most 16")
        try:
            return OPERATORS[type(tree.op)](left, right)
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"ask: {clean(ast.unparse(tree))}: {error}") from None
    if isinstance(tree, ast.Call):
        return call(tree, names)
    raise ValueError(f"ask: {clean(ast.unparse(tree))[:60]} is no part of a formula")


def value_of(name: str, names: Mapping[str, Any]) -> Any:
    """Return what a name stands for."""
    if key_of(name) in names:
        return names[key_of(name)]
    known = ", ".join(sorted(k for k in names if " " not in k))
    raise ValueError(f"ask: {clean(name)} is no value here; the values are {known}")


def call(tree: ast.Call, names: Mapping[str, Any]) -> Any:
    """Compute a call: x.mean(0), np.mean(x, axis=0), np.sqrt(x)."""
    text = clean(ast.unparse(tree))[:60]
    is_numpy = isinstance(tree.func, ast.Attribute) and isinstance(tree.func.value, ast.Name) and (
        tree.func.value.id in ("np", "numpy", "tg")
    )  # fmt: skip
    args = list(tree.args)
    if isinstance(tree.func, ast.Name):
        name = tree.func.id
    elif isinstance(tree.func, ast.Attribute):
        name = tree.func.attr
        args = args if is_numpy else [tree.func.value, *args]
    else:
        raise ValueError(f"ask: {text} is no part of a formula")
    if not args or any(k.arg not in ("axis", "keepdims", "dim", "keepdim") for k in tree.keywords):
        raise ValueError(f"ask: {text} is no part of a formula")
    x = interpret(args[0], names)
    if name in FUNCTIONS and len(args) == 1 and not tree.keywords:
        return apply(name, x)
    if name not in REDUCTIONS:
        raise ValueError(f"ask: {text}: {name} is none of {', '.join((*REDUCTIONS, *FUNCTIONS))}")
    settings = {"axis" if k.arg in ("axis", "dim") else "keepdims": literal(k.value, text) for k in tree.keywords}
    for key, arg in zip(("axis", "keepdims"), args[1:], strict=False):
        settings[key] = literal(arg, text)
    x = np.asarray(x, float) if isinstance(x, int | float) else x
    try:
        return reduce(name, x, settings.get("axis"), bool(settings.get("keepdims", False)))
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"ask: {text}: {error}") from None


def literal(tree: ast.expr, text: str) -> Any:
    """Return a number, a tuple of numbers, or True, False, None."""
    try:
        return ast.literal_eval(tree)
    except ValueError:
        raise ValueError(f"ask: {text}: an axis is a number") from None


def apply(name: str, x: Any) -> Any:
    """Apply a function to an array or a symbol."""
    if isinstance(x, Symbol):
        return x.function(name)
    return OPS[name](x) if name in ("erf", "sigmoid") else getattr(np, name)(x)


def reduce(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    """Reduce an array or a symbol; a variance is a mean of squares."""
    if name in ("var", "std"):
        centred = x - reduce("mean", x, axis, True)
        v = reduce("mean", centred * centred, axis, keepdims)
        return apply("sqrt", v) if name == "std" else v
    if isinstance(x, Symbol):
        return x.reduce(name, axis, keepdims)
    return getattr(np, name)(x, axis=axis, keepdims=keepdims)


class Symbol:
    """A form with axes: what a name stands for where a formula is read as algebra."""

    def __init__(self, f: Former, form: Form, axes: Sequence[Axis]) -> None:
        self.f, self.form, self.axes = f, form, tuple(axes)

    def function(self, name: str) -> Symbol:
        """Apply a function."""
        form = self.f.power(self.form, 2) if name == "square" else self.f.function(name, self.form)
        return Symbol(self.f, form, self.axes)

    def reduce(self, name: str, axis: Any, keepdims: bool) -> Symbol:
        """Reduce over axes."""
        given = range(len(self.axes)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        if any(not -len(self.axes) <= a < len(self.axes) for a in given):
            raise ValueError(f"there is no axis {axis}")
        gone = {a % len(self.axes) for a in given}
        loops = [loop for a in gone for loop in self.axes[a]]
        kept = [() if a in gone else axis for a, axis in enumerate(self.axes) if keepdims or a not in gone]
        form = self.f.reduce("sum" if name == "mean" else name, self.form, loops)
        return Symbol(self.f, self.f.scaled(Fraction(1, self.f.count(loops)), form) if name == "mean" else form, kept)

    def with_other(self, other: Any) -> tuple[Form, tuple[Axis, ...]]:
        """Return another operand as a form, and the axes of both."""
        if isinstance(other, int | float):
            return self.f.number(Fraction(str(other))), self.axes
        n = max(len(self.axes), len(other.axes))
        mine, its = (((),) * (n - len(axes)) + axes for axes in (self.axes, other.axes))
        return other.form, tuple(a or b for a, b in zip(mine, its, strict=True))

    def __add__(self, other: Any) -> Symbol:
        form, axes = self.with_other(other)
        return Symbol(self.f, self.f.total(self.form, form), axes)

    __radd__ = __add__

    def __neg__(self) -> Symbol:
        return Symbol(self.f, self.f.scaled(-1, self.form), self.axes)

    def __sub__(self, other: Any) -> Symbol:
        minus: Symbol = self + -other
        return minus

    def __rsub__(self, other: Any) -> Symbol:
        minus: Symbol = -self + other
        return minus

    def __mul__(self, other: Any) -> Symbol:
        form, axes = self.with_other(other)
        return Symbol(self.f, self.f.product(self.form, form), axes)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Symbol:
        form, axes = self.with_other(other)
        return Symbol(self.f, self.f.product(self.form, self.f.power(form, -1)), axes)

    def __rtruediv__(self, other: Any) -> Symbol:
        return Symbol(
            self.f, self.f.product(self.f.number(Fraction(str(other))), self.f.power(self.form, -1)), self.axes
        )

    def __pow__(self, p: Any) -> Symbol:
        if float(p).is_integer():
            return Symbol(self.f, self.f.power(self.form, int(p)), self.axes)
        if float(2 * p).is_integer():
            return Symbol(self.f, self.f.power(self.f.function("sqrt", self.form), int(2 * p)), self.axes)
        raise ValueError("a power is a whole number, or half of one")
