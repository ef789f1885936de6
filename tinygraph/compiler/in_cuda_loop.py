"""Write the pass of a block over memory in CUDA C: operands, loops, and how threads join what they found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinygraph.compiler.algebra import TRUTHS, Expression
from tinygraph.compiler.kernel import Kernel
from tinygraph.compiler.loops import Loop, Order

if TYPE_CHECKING:
    from tinygraph.compiler.in_cuda import Writer

SPELLED = {  # {F} is the type, {f} the letter that its functions end with
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}", "copy": "{0}",
    "abs": "fabs{f}({0})", "sqrt": "sqrt{f}({0})", "log": "log{f}({0})", "exp": "exp{f}({0})", "tanh": "tanh{f}({0})",
    "erf": "erf{f}({0})", "power": "pow{f}({0}, {1})", "sigmoid": "1 / (1 + exp{f}(-{0}))",
    "greater": "{0} > {1}", "equal": "{0} == {1}", "less": "{0} < {1}", "finite": "{0} - {0} == 0",
    "where": "{0} ? {1} : {2}", "high": "double(float({0}))", "low": "rest({0})", "relu": "{0} <= 0 ? 0 : {0}",
    "maximum": "{0} != {0} || {0} >= {1} ? {0} : {1}", "minimum": "{0} != {0} || {0} <= {1} ? {0} : {1}",
    "sign": "{0} > 0 ? 1 : {0} < 0 ? -1 : {0}",
}  # fmt: skip
OP = {"sum": "SUM", "max": "MAX", "min": "MIN"}
BEGIN = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}
WHOLE = ("add", "sub", "mul", "neg", "where", "copy")  # ops of whole numbers that give one
STRETCH = 64  # so many values of a thread are added up in their own precision
TYPES = {"e": "__half", "f": "float", "d": "double", "?": "bool"}
LETTERS = {"i": "signed", "u": "unsigned"}
SIZES = {1: "char", 2: "short", 4: "int", 8: "long long"}


class Speller:
    """Spells operands and ops of a kernel: whole numbers and conditions keep their types, the rest is of type F."""

    def __init__(self, kernel: Kernel) -> None:
        self.k, self.types = kernel, dict[Expression, str]()
        for e in kernel.order:  # operands first
            self.types[e] = self.own_type(e)

    def leaf(self, e: Expression, F: str, order: str = "") -> str:
        """Return an element of an input, as source: whole numbers stay such."""
        v, loops = e.info[:2]
        text = f"x{self.k.leaves.index((v, loops))}[{order or index(loops)}]"
        if v.dtype.kind == "b":
            return text
        if v.dtype.kind in "iu":
            return f"double({text})" if v.dtype.char in "LQ" else f"(long long)({text})"
        if v.dtype.char == "e":
            text = f"float({text})"
        return text if ("double" if v.dtype.char == "d" else "float") == F else f"{F}({text})"

    def type_of(self, e: Expression, F: str) -> str:
        """Return the type of an expression."""
        return self.types[e] or F

    def own_type(self, e: Expression) -> str:
        """Return the type of an expression whose operands' are known; nothing for F."""
        kind, char = (e.info[0].dtype.kind, e.info[0].dtype.char) if e.op == "in" else ("", "")
        if e.op in TRUTHS or kind == "b":
            return "bool"
        if kind in ("i", "u") or e.op == "iota":
            return "double" if char in ("L", "Q") else "long long"
        args = [a for a in e.args[e.op == "where" :] if not is_whole(a)]
        is_one = e.op in WHOLE and args and all(self.types[a] == "long long" for a in args)
        return "long long" if is_one else ""

    def spelled(self, e: Expression, args: Sequence[str], F: str) -> str:
        """Return an op of numbers, as source."""
        own = self.type_of(e, F)
        if own == "bool":
            types = {self.type_of(a, F) for a in e.args if not is_whole(a)} or {F}
            own = "double" if len(types) > 1 else types.pop()
        first = 1 if e.op == "where" else 0  # what comes before is a condition
        typed = [self.typed(a, x, own, F) for a, x in zip(e.args[first:], args[first:], strict=True)]
        typed = [*args[:first], *typed]
        return SPELLED[e.op].format(*typed, F=F, f="f" * (F == "float"))

    def typed(self, e: Expression, text: str, wanted: str, F: str) -> str:
        """Return an operand as a number of a type."""
        if e.op == "const":
            return f"{int(e.info)}LL" if wanted == "long long" else self.const(e, wanted)
        return text if self.type_of(e, F) == wanted else f"{wanted}({text})"

    def const(self, e: Expression, F: str) -> str:
        """Return a number, as source."""
        text = f"k{self.k.consts.index(repr(e.info))}"
        return f"float({text})" if F == "float" else text


class Traversal:
    """Writes a pass over loops: columns of threads have the places of those that are kept, and rows the others.

    Args:
        writer: of the kernel.
        loops: in the order of memory.
        kept: those that the columns have.
    """

    def __init__(self, writer: Writer, loops: Order, kept: Order) -> None:
        self.writer, self.k, self.F, self.speller = writer, writer.k, writer.F, writer.speller
        self.loops, self.kept = loops, kept
        self.taken = tuple(a for a in loops if a not in kept)
        self.before, self.body = list[str](), list[str]()
        self.values = dict[Expression, str]()
        self.fixed = {*writer.front, *kept}

    # Values.

    def value(self, root: Expression) -> str:
        """Return an expression, as source; write what makes it."""
        pending = [root]
        while pending:
            e = pending[-1]
            missing = [a for a in e.args if self.k.is_full(a) and a not in self.values and a.op != "iota"]
            if e in self.values or not self.k.is_full(e) or e.op == "iota" or not missing:
                pending.pop()
                self.operand(e)
            else:
                pending += missing[::-1]
        return self.operand(root)

    def operand(self, e: Expression) -> str:
        """Return an operand whose own operands are there, as source; give it a name."""
        if e in self.values:
            return self.values[e]
        if e.op == "iota":
            return f"i{e.info}"
        if e.op == "const":
            return self.speller.const(e, self.F)
        if e.op == "in":
            return self.named(e, self.k.name(e, "w"), self.speller.leaf(e, self.F), self.speller.type_of(e, self.F))
        if self.k.is_full(e):
            return self.named(e, self.k.name(e, "w"), self.computed(e), self.speller.type_of(e, self.F))
        return self.met("h", e)

    def named(self, e: Expression, name: str, text: str, kind: str) -> str:
        """Write what gives a value a name; return that. What does not change stands before the loop."""
        lines = self.before if e.axes <= self.fixed else self.body
        lines.append(f"const {kind} {name} = {text};")
        self.values[e] = name
        return name

    def met(self, kind: str, e: Expression) -> str:
        """Return the high or the low part of a small value that a full one meets, as source."""
        spot = self.writer.at(kind, e)
        if "[" not in spot:
            return spot
        name = spot.partition("[")[0] + "_"
        lines = self.before if e.axes <= self.fixed else self.body
        if (line := f"const {self.F} {name} = {spot};") not in lines:
            lines.append(line)
        return name

    def computed(self, e: Expression) -> str:
        """Return an op of full values, as source."""
        args = [self.operand(a) for a in e.args]
        if small := self.k.in_two_parts(e):
            at, low = e.args.index(small), self.met("l", small)
            other, high = args[1 - at], args[at]
            if e.op == "add":
                return f"{other} + {high} + {low}"
            return f"{other} - {high} - {low}" if at else f"{high} - {other} + {low}"
        return self.speller.spelled(e, args, self.F)

    # The loops.

    def write(self, sums: Sequence[Expression], stores: Sequence[tuple[int, Expression]]) -> None:
        """Write the pass."""
        writer, w = self.writer, self.writer.w
        ends = [r for r in sums if writer.kept_by(r) == self.kept]  # known when a column is
        totals = [r for r in sums if r not in ends and not writer.kept_by(r)]  # known when all are
        numbers = [r for r in sums if writer.is_number(r)]
        added = [self.added(r) for r in sums]
        for i, e in stores:
            self.body.append(self.store(i, e))
        for r in totals:
            if r not in numbers:
                w(f"double {self.name(r)} = {BEGIN[r.op]};")
        count, loops_here = writer.count(self.kept), False
        if self.kept:
            w(f"const int columns = columns_of({count});")
            w("const int column = threadIdx.x % columns, row = threadIdx.x / columns, rows = blockDim.x / columns;")
            if self.kept == writer.kept:
                w("const Size place = tile * columns + column;")
            else:
                loops_here, tiles = True, ("tile * columns", "tiles * columns") if writer.kept else ("0", "columns")
                writer.open(f"for (Size first = {tiles[0]}; first < {count}; first += {tiles[1]})")
                w("const Size place = first + column;")
        for r in ends:
            if r not in numbers:
                w(f"double {self.name(r)} = {BEGIN[r.op]};")
        if self.kept:
            writer.open(f"if (place < {count})")
            writer.places(self.kept, "place")
        for line in self.before:
            w(line)
        self.loop_over_taken(added, [r for r in ends + totals if self.is_stretched(r)])
        if self.kept:
            writer.close()
        self.join(ends, f"row == 0 && place < {count}" if self.kept else "threadIdx.x == 0", "columns")
        if loops_here:
            writer.close()
        self.join(totals, "threadIdx.x == 0", "1")
        if any(writer.space.shared not in r.over and not writer.is_number(r) for r in sums):
            w("__syncthreads();")

    def is_stretched(self, r: Expression) -> bool:
        """Whether a thread adds some values up in their own precision first."""
        return self.k.is_short(r) and self.k.is_full(r.args[0])

    def name(self, r: Expression) -> str:
        """Return the name of what a thread adds up."""
        return self.writer.at("v", r) if self.writer.is_number(r) else self.k.name(r, "r")

    def spot(self, r: Expression) -> str:
        """Return where the result of a reduction goes, as source."""
        return self.writer.part(r) if self.writer.space.shared in r.over else self.writer.at("v", r)

    def added(self, r: Expression) -> str:
        """Return the line that adds a value up; write what makes the value."""
        x = r.args[0]
        value = self.value(x) if self.k.is_full(x) else self.writer.at("v", x)
        if self.writer.kept_by(r) not in (self.kept, ()):  # each place is a thread's own
            return put(r, self.spot(r), value)
        return put(r, self.k.name(r, "f") if self.is_stretched(r) else self.name(r), value)

    def store(self, i: int, e: Expression) -> str:
        """Return the line that stores an output; write what makes it."""
        value = self.value(e)
        return f"y{i}[{index(self.k.layouts[self.k.targets[i][0]])}] = {self.writer.stored(i, value)};"

    def loop_over_taken(self, added: Sequence[str], short: Sequence[Expression]) -> None:
        """Write the loop of a thread over its values; of those that are added up in their own precision two loops."""
        writer, w, p = self.writer, self.writer.w, self.writer.space.shared
        cut = p in self.taken
        others = [a for a in self.taken if a != p] if cut else self.taken
        number = f"i{self.taken[0]}" if len(self.taken) == 1 else "r"
        row, rows = ("row", "rows") if self.kept else ("threadIdx.x", "blockDim.x")
        first, last = row, writer.count(others)
        if cut:
            last = "stop" if not others else f"(stop - start) * {writer.count(others)}"
            first = f"start + {row}" if not others else row
        if not self.taken:
            writer.open(f"if ({row} == 0)")
        elif short:
            writer.open(f"for (Size from = {first}; from < {last}; from += {STRETCH} * {rows})")
            w(f"const Size to = min(Size(from + {STRETCH} * {rows}), {last});")
            for r in short:
                w(f"float {self.k.name(r, 'f')} = 0;")
            first, last = "from", "to"
        if self.taken:
            writer.open(f"for (Size {number} = {first}; {number} < {last}; {number} += {rows})")
        if len(self.taken) > 1:
            self.places_of_taken(cut)
        elif not self.taken:
            for r in short:
                w(f"float {self.k.name(r, 'f')} = 0;")
        for line in [*self.body, *added]:
            w(line)
        if self.taken:
            writer.close()
        for r in short:
            w(f"{self.name(r)} += {self.k.name(r, 'f')};")
        if short or not self.taken:
            writer.close()

    def places_of_taken(self, cut: bool) -> None:
        """Write the places of the loops that rows take; of the one that is cut into parts, counted from its start."""
        writer, p = self.writer, self.writer.space.shared
        if not cut:
            return writer.places(self.taken, "r")
        ahead = (p, *(a for a in self.taken if a != p)) if self.taken[0] != p else self.taken
        for i, a in enumerate(ahead):
            below = writer.bracketed(ahead[i + 1 :])
            text = "r" if below == "1" else f"r / {below}"
            writer.w(f"const Size i{a} = {f'start + {text}' if a == p else f'{text} % n{a}'};")
        return None

    def join(self, sums: Sequence[Expression], condition: str, columns: str) -> None:
        """Write what joins what threads added up, and puts it where it belongs."""
        writer = self.writer
        for r in sums:
            name = self.name(r)
            writer.w(f"{name} = join<{OP[r.op]}>({name}, {columns if self.kept else '1'});")
        puts = [r for r in sums if not writer.is_number(r)]
        if not puts:
            return
        writer.open(f"if ({condition})")
        if self.kept and "place" in condition and any(self.kept_places(r) for r in puts):
            writer.places(self.kept, "place")
        for r in puts:
            adds = bool(writer.front) and writer.space.shared in r.over
            writer.w(put(r, self.spot(r), self.name(r)) if adds else f"{self.spot(r)} = {self.name(r)};")
        writer.close()

    def kept_places(self, r: Expression) -> bool:
        """Whether the place of a result has an index of a kept loop."""
        return bool(self.writer.kept_by(r))


def index(order: Sequence[Loop], *before: tuple[str, str]) -> str:
    """Return where an element lies, as source; ``before`` are indices that stand first, and their lengths."""
    text = ""
    for i, n in [*before, *((f"i{a}", f"n{a}") for a in order)]:
        text = f"({text}) * {n} + {i}" if " " in text else f"{text} * {n} + {i}" if text else i
    return text or "0"


def put(r: Expression, spot: str, value: str) -> str:
    """Return the line that puts a value into a reduction."""
    return f"{spot} += {value};" if r.op == "sum" else f"{spot} = keep<{OP[r.op]}>({spot}, {value});"


def is_whole(e: Expression) -> bool:
    """Whether an expression is a number that is whole."""
    return e.op == "const" and abs(e.info) < 1 << 53 and e.info == int(e.info)


def type_in_memory(char: str, kind: str, size: int) -> str:
    """Return the type of an element of an array."""
    return TYPES.get(char) or f"{LETTERS[kind]} {SIZES[size]}"
