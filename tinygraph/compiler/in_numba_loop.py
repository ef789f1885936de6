"""Write the innermost loop of a pass for Numba: what stands before it, in it and after it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinygraph.compiler.algebra import Expression
from tinygraph.compiler.kernel import GIVEN, Step
from tinygraph.compiler.loops import Loop

if TYPE_CHECKING:
    from tinygraph.compiler.in_numba import Writer

SPELLED = {  # {F} is the type; {m} and {t} are where its functions are
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}", "copy": "{0}",
    "abs": "abs({0})", "sqrt": "np.sqrt({0})", "log": "{F}(math.log({0}))", "exp": "{m}exp{t}({0})",
    "power": "{F}({0} ** {1})", "tanh": "{m}tanh{t}({0})", "erf": "{m}erf{t}({0})",
    "sigmoid": "{F}(1) / ({F}(1) + {m}exp{t}(-{0}))", "greater": "{0} > {1}", "equal": "{0} == {1}",
    "less": "{0} < {1}", "high": "np.float64(F({0}))",
    "low": "({0} - np.float64(F({0})) if np.isfinite(F({0})) else 0.0)",
    "where": "({1} if {0} else {2})", "finite": "np.isfinite({0})",
    "relu": "({F}(0) if {0} <= {F}(0) else {0})", "maximum": "keep_greater({0}, {1})",
    "minimum": "keep_less({0}, {1})",
    "sign": "({F}(1) if {0} > {F}(0) else ({F}(-1) if {0} < {F}(0) else {0}))",
}  # fmt: skip
SPAN = 4096  # so many values of the innermost loop are added up in their own precision

BEGIN = {"sum": "0.0", "max": "-np.inf", "min": "np.inf"}
JOIN = {"sum": "{0} += {1}", "max": "{0} = keep_greater({0}, {1})", "min": "{0} = keep_less({0}, {1})"}
LOWEST = (1 << 31) - 1  # of ranks


def spelled(e: Expression, args: Sequence[str], wide: bool) -> str:
    """Return an op of numbers, as source."""
    names = dict(zip("Fmt", ("np.float64", "math.", "") if wide else ("F", "", "32"), strict=True))
    return SPELLED[e.op].format(*args, **names)


def joined(r: Expression, spot: str, value: str) -> str:
    """Return how a value goes into its reduction, as source."""
    return JOIN[r.op].format(spot, value)


class Innermost:
    """Writes the innermost loop of a pass: what stands before it, in it and after it.

    Args:
        writer: of the kernel.
        step: the numbers of the sweep and of the pass.
        j: the loop; None where a space has no loops.
        four: the variable of the loop around it, of which ``times`` turns are taken at once; "" for none.
        times: how many turns.
    """

    def __init__(self, writer: Writer, step: Step, j: Loop | None, four: str, times: int) -> None:
        self.writer, self.k, self.sweep, self.j, self.four, self.times = writer, writer.k, step[0], j, four, times
        self.stays = {e: stay for e, stay in writer.stays.items() if stay.first <= step <= stay.last}
        self.step = step
        self.before, self.begin = list[str](), list[str]()  # what is looked up, and where numbers begin
        self.body, self.after = list[str](), list[str]()
        self.rows: dict[tuple[str, ...], str] = {}
        self.values: dict[tuple[Expression, int], str] = {}
        self.origin = ""  # where the loop begins; "" is 0

    def turned(self, index: Sequence[str], u: int) -> list[str]:
        """Return an index of turn ``u``."""
        return [f"{x} + {u}" if u and x.split()[0] == self.four else x for x in index]

    def row(self, array: str, given: Sequence[str], u: int) -> str:
        """Return an element of an array, as source: what does not change in the loop is looked up before it."""
        index = self.turned(given, u)
        if self.j is None:
            return f"{array}[{', '.join(index)}]"
        key = (array, *index)
        if key not in self.rows:
            name, i = f"{array}_{len(self.rows)}", f"i{self.j}"
            inner = [x for x in index if x.split()[0] == i]
            fixed = [x for x in index if x not in inner]
            if inner and index[-1] not in inner:  # the loop is not the last in memory
                self.rows[key] = f"{array}[{', '.join(self.absolute() if x in inner else x for x in index)}]"
                return self.rows[key]
            part = self.origin + inner[0][len(i) :] if inner and self.origin else ""  # "first - start"
            part = f"[{part}:]" * (part not in ("", "start - start"))
            self.before.append(f"{name} = {array}" + f"[{', '.join(fixed)}]" * bool(fixed) + part)
            self.rows[key] = name + f"[{i}]" * bool(inner)
        return self.rows[key]

    def absolute(self) -> str:
        """Return the index of the loop, which counts from where its part begins, as source."""
        return f"{self.origin} + i{self.j}" if self.origin else f"i{self.j}"

    def value(self, root: Expression, u: int) -> str:
        """Return an expression in turn ``u``, as source; write what makes it."""
        pending = [root]
        while pending:
            e = pending[-1]
            if (e, u) not in self.values and self.k.is_full(e) and e.op not in GIVEN:
                missing = [a for a in e.args if self.k.is_full(a) and (a, u) not in self.values and a.op != "iota"]
                if missing and not self.is_waiting(e):
                    pending += missing[::-1]
                    continue
            pending.pop()
            if self.k.is_full(e) and e.op != "iota":
                self.full(e, u)
        return self.operand(root, u)

    def is_waiting(self, e: Expression) -> bool:
        """Whether an earlier pass has left a full value in the array of a result."""
        return e in self.stays and self.stays[e].first < self.step

    def stored(self, k: int, u: int) -> str:
        """Return an element of a result, as source."""
        return self.row(f"y{k}", [f"i{a}" for a in self.k.layouts[self.k.targets[k][0]]] or ["0"], u)

    def operand(self, e: Expression, u: int) -> str:
        """Return an operand whose value is there, as source."""
        if e.op == "const":
            return f"c{self.k.consts.index(repr(e.info))}"
        if e.op == "iota":
            index = f"({self.absolute()})" if e.info == self.j else f"i{e.info}"
            return index + f" + {u}" * (f"i{e.info}" == self.four and u > 0)
        if (e, u) in self.values:
            return self.values[e, u]
        if e.op == "in":
            return self.full(e, u)
        return self.row(*self.writer.at("h", e, self.sweep), u)

    def full(self, e: Expression, u: int) -> str:
        """Write one op on numbers; return the name of the result."""
        if (e, u) in self.values:
            return self.values[e, u]
        k, F = self.k, self.writer.F
        if e.op == "in":
            text = self.row(f"x{k.leaves.index(e.info[:2])}", [f"i{a}" for a in e.info[1]] or ["0"], u)
            text = f"{F}({text})" if e.info[0].dtype.kind == "f" and e.info[0].dtype != k.float else text
        elif self.is_waiting(e):
            text = self.stored(self.stays[e].target, u)
        else:
            args = [self.operand(a, u) for a in e.args]
            if small := k.in_two_parts(e):  # a + b = b - -a, and a - b = -(b - a)
                at, sign = e.args.index(small), "-" * (e.op == "add")
                rest = self.row(*self.writer.at("l", small, self.sweep), u)
                text = f"less({args[1 - at]}, {sign}{args[at]}, {sign}{rest})"
                text = "-" * (e.op == "sub" and at == 0) + text
            else:
                text = spelled(e, args, k.wide)
        name = k.name(e, "w") + f"_{u}" * (self.times > 1)
        self.body.append(f"{name} = {text}")
        if e in self.stays and not self.is_waiting(e):
            self.body.append(f"{self.stored(self.stays[e].target, u)} = {name}")
        self.values[e, u] = name
        return name

    def add_up(self, r: Expression) -> None:
        """Write a reduction: over the loop, of a number; over rows, of a vector."""
        if self.j in r.over:
            for u in range(self.times):
                self.add_number(r, u)
            return
        w, total = self.body.append, f"{self.k.name(r, 'r')}_0"
        short = self.k.is_short(r)
        place = self.writer.buffer(r) if self.writer.is_buffered(r) else self.writer.total(r)
        spot = self.row(*place, 0)
        w(f"{total} = {spot}")
        if short:
            value = " + ".join(self.value(r.args[0], u) for u in range(self.times))
            w(f"{total} += {value}" if self.writer.is_buffered(r) else f"{total} += np.float64({value})")
        else:
            for u in range(self.times):
                w(joined(r, total, f"np.float64({self.value(r.args[0], u)})"))
        w(f"{spot} = {total}")

    def add_number(self, r: Expression, u: int) -> None:
        """Write a reduction over the loop, in turn ``u``."""
        name, index = self.writer.total(r)
        total, spot = f"{self.k.name(r, 'r')}_{u}", f"{name}[{', '.join(self.turned(index, u))}]"
        if r.op != "sum" and not self.k.wide:
            which = "max" if r.op == "max" else "min"
            self.begin.append(f"{total} = np.int32({'-' * (which == 'max')}{LOWEST})")
            self.body.append(f"{total} = {which}({total}, rank({self.value(r.args[0], u)}))")
            self.after.append(joined(r, spot, f"np.float64(unrank({total}))"))
        elif self.k.is_short(r):
            self.begin.append(f"{total} = F(0)")
            self.body.append(joined(r, total, self.value(r.args[0], u)))
            self.after.append(joined(r, spot, f"np.float64({total})"))
        else:
            self.begin.append(f"{total} = {BEGIN[r.op]}")
            self.body.append(joined(r, total, f"np.float64({self.value(r.args[0], u)})"))
            self.after.append(joined(r, spot, total))

    def write(self, sums: Sequence[Expression], stores: Sequence[tuple[int, Expression]]) -> None:
        """Write the loop."""
        w, j = self.writer.w, self.j
        first, last = ("start", "stop") if j == self.writer.space.shared else ("", f"n{j}")
        cut = any(j in r.over and self.k.is_short(r) for r in sums)
        self.origin = "first" if cut else first
        for r in sums:
            self.add_up(r)
        for (k, e), u in itertools.product(stores, range(self.times)):
            value = self.value(e, u)
            self.body.append(f"{self.stored(k, u)} = {value}")
        if j is None:
            for line in self.before + self.begin + self.body + self.after:
                w(line)
            return
        if cut:
            w(f"for first in range({first or '0'}, {last}, {SPAN}):")
            last = f"min({last} - first, {SPAN})"
        elif first:
            last = "stop - start"
        self.writer.indent += cut
        for line in self.before + self.begin:
            w(line)
        w(f"for i{j} in range({last}):")
        for line in self.body:
            w("    " + line)
        for line in self.after:
            w(line)
        self.writer.indent -= cut
