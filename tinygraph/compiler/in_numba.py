"""Write a kernel as loops for Numba.

Between two sweeps the calling thread settles the small values, while the others wait. What does not change in the
innermost loop stands in front of it; sums over that loop are numbers, and sums over rows are vectors, which take four
rows at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tinygraph.compiler.algebra import Expression
from tinygraph.compiler.in_numba_loop import BEGIN, Innermost, joined, spelled
from tinygraph.compiler.kernel import Kernel, Step
from tinygraph.compiler.loops import Loop
from tinygraph.compiler.schedule import DEAR

ROWS = 64  # so many rows are added up in their own precision


class Writer:
    """Writes the source of one kernel.

    Attributes:
        own: arrays of each thread: their lengths, as names, and dtypes.
        shared: arrays of all threads, which the kernel is given.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.k, self.space = kernel, kernel.space
        self.F = "np.float64" if kernel.wide else "F"
        self.own: dict[str, tuple[list[str], str]] = {}
        self.shared: dict[str, tuple[list[str], str]] = {}
        self.met = [kernel.met(s) for s in range(kernel.sweeps)]
        stays = kernel.find_stays(lambda e: e.op in DEAR)
        self.stays = {e: stay for e, stay in stays.items() if stay.first[0] == stay.last[0]}  # while it is in the cache
        self.lines, self.indent = list[str](), 1

    def w(self, line: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.indent + line)

    def end_loops(self, indent: int) -> None:
        """Go back to an indent; a loop that has nothing to do gets a body."""
        if self.lines and self.lines[-1].endswith(":"):
            self.w("pass")
        self.indent = indent

    # Where small values are.

    def at(self, kind: str, e: Expression, sweep: int) -> tuple[str, list[str]]:
        """Return the array of a small value (v), or of its high (h) or low (l) part, and how it is indexed."""
        p, step = self.space.shared, self.k.at[e]
        local = step[0] == sweep and (step[1] > 0 or e in self.k.early)
        loops = [a for a in self.k.in_order(e.axes) if not (local and a in self.space.front)]
        name = self.k.name(e, kind) + "_all" * (step[1] > 0 and not local)
        lengths = ["each" if local and a == p else f"n{a}" for a in loops] or ["1"]
        place = self.own if local or step == (0, 0) else self.shared
        place[name] = lengths, "float32" if kind in "hl" and not self.k.wide else "float64"
        return name, [f"i{a} - start" if local and a == p else f"i{a}" for a in loops] or ["0"]

    def spot(self, kind: str, e: Expression, sweep: int) -> str:
        """Return an element of such an array, as source."""
        name, index = self.at(kind, e, sweep)
        return f"{name}[{', '.join(index)}]"

    def total(self, r: Expression) -> tuple[str, list[str]]:
        """Return where a reduction is added up: in a row for each part, or in the block."""
        if self.space.shared not in r.over:
            return self.at("v", r, self.k.at[r.args[0]][0])
        loops = self.k.in_order(r.axes)
        name = self.k.name(r, "s")
        self.shared[name] = (["parts", *(f"n{a}" for a in loops)], "float64")
        return name, ["part", *(f"i{a}" for a in loops)]

    def is_buffered(self, r: Expression) -> bool:
        """Whether a sum over rows has a vector for some of them: where rows are finished one by one, or are all."""
        is_of_rows = self.k.is_short(r) and {self.space.shared, *self.space.front} <= r.over and bool(r.axes)
        return is_of_rows and (bool(self.space.front) or len(self.space.order) == 2)

    def buffer(self, r: Expression) -> tuple[str, list[str]]:
        """Return that vector, and how it is indexed."""
        loops = self.k.in_order(r.axes)
        self.own[name := self.k.name(r, "b")] = [f"n{a}" for a in loops], "float32"
        return name, [f"i{a}" for a in loops]

    # Small values.

    def settle(self, step: Step, early: bool = False) -> None:
        """Compute all small values that are known now, in as few loops as there are sets of axes."""
        groups = self.k.groups(step, early)
        if not step[1]:
            self.join_parts([r for _, some in groups for r in some if not self.k.is_computed(r)])
        for axes, some in groups:
            self.settle_loops(axes, some, step, step[1] > 0 or early)

    def join_parts(self, totals: Sequence[Expression]) -> None:
        """Add up what the parts found, into the first of them: vectors, one after another."""
        for axes in dict.fromkeys(self.k.in_order(r.axes) for r in totals):
            self.w("for part in range(1, parts):")
            start, self.indent = self.indent, self.indent + 1
            for a in axes:
                self.w(f"for i{a} in range(n{a}):")
                self.indent += 1
            for r in totals:
                if self.k.in_order(r.axes) == axes:
                    name, index = self.total(r)
                    first, part = (f"{name}[{', '.join([i, *index[1:]])}]" for i in ("0", "part"))
                    self.w(joined(r, first, part))
            self.indent = start

    def settle_loops(self, axes: Sequence[Loop], found: list[Expression], step: Step, local: bool) -> None:
        """Write the loops that compute small values with the same axes."""
        start, names = self.indent, dict[Expression, str]()
        p = self.space.shared
        for a in axes:
            if not (local and a in self.space.front):
                self.w(f"for i{a} in range({'start, stop' if local and a == p else f'n{a}'}):")
                self.indent += 1
        for e in found:
            if e in self.k.direct:
                self.write_direct(e, names, found, step)
            elif e.over and local:
                names[e] = self.spot("v", e, step[0])  # where it was added up
            elif e.over:
                name, index = self.total(e)
                names[e] = f"{name}[{', '.join(['0', *index[1:]])}]"  # where `join_parts` put it
            else:
                args = [self.small(a, names, found, step) for a in e.args]
                if e.op == "equal" and not self.k.wide:  # what was stored in float32 still equals itself
                    args = [f"F({a})" for a in args]
                text = self.pivot(e) if e.op == "pivot" else spelled(e, args, True)
                self.w(f"{self.k.name(e, 'w')} = {text}")
            names.setdefault(e, self.k.name(e, "w"))
            self.keep(e, names[e], step, found)
        for r in self.k.order:
            if r.over and r.args[0] in found and r not in self.k.direct:
                name, index = self.total(r)
                self.w(joined(r, f"{name}[{', '.join(index)}]", names[r.args[0]]))
        self.end_loops(start)

    def write_direct(self, e: Expression, names: dict[Expression, str], found: list[Expression], step: Step) -> None:
        """Write the reduction of a small value that is known from the start."""
        self.w(f"{self.k.name(e, 'w')} = {BEGIN[e.op]}")
        outer = self.indent
        for a in self.k.in_order(e.over):
            self.w(f"for i{a} in range(n{a}):")
            self.indent += 1
        self.w(joined(e, self.k.name(e, "w"), self.small(e.args[0], names, found, step)))
        self.indent = outer

    def small(self, e: Expression, names: dict[Expression, str], found: list[Expression], step: Step) -> str:
        """Return a small operand, as source."""
        if e in names:
            return names[e]
        if e.op == "const":
            return f"k[{self.k.consts.index(repr(e.info))}]"
        if e.op == "in":
            index = ", ".join(f"i{a}" for a in e.info[1]) or "0"
            text = f"x{self.k.leaves.index(e.info[:2])}[{index}]"
            return f"np.float64({text})" if e.info[0].dtype.kind == "f" else text
        return f"i{e.info}" if e.op == "iota" else self.spot("v", e, step[0])

    def pivot(self, e: Expression) -> str:
        """Return the median of the first, the middle and the last value, as source: one may be an outlier."""
        array, name = self.k.leaves.index(e.info[:2]), "np.float64(x{}[{}])"
        places = (
            [f"i{a}" if a in e.axes else place.format(a) for a in e.info[1]] for place in ("0", "n{} // 2", "n{} - 1")
        )
        return f"median({', '.join(name.format(array, ', '.join(place)) for place in places)})"

    def keep(self, e: Expression, value: str, step: Step, found: Sequence[Expression]) -> None:
        """Store a small value where others look for it."""
        users = self.k.users[e]
        met, low = self.k.high_and_low(e)
        later = any(self.k.at[u][0] > step[0] for u in users) or any(e in m for m in self.met[step[0] + 1 :])
        for sweep in [step[0]] + [step[0] + 1] * (step[1] > 0 and later):
            afar = [u for u in users if not (self.k.is_full(u) or u.over) and (u not in found or sweep != step[0])]
            if afar or any(u in self.k.direct for u in users):
                spot = self.spot("v", e, sweep)
                self.w(f"{spot} = {value}") if spot != value else None
            if met:
                self.w(f"{self.spot('h', e, sweep)} = {self.F}({value})")
            if low:
                high = f"np.float64({self.spot('h', e, sweep)})"
                self.w(f"{self.spot('l', e, sweep)} = F({value} - {high} if np.isfinite({high}) else 0.0)")
        for k, v in self.k.small_targets(e):
            index = ", ".join(f"i{a}" if a in e.axes else ":" for a in self.k.layouts[v]) or "0"
            self.w(f"y{k}[{index}] = {value}")

    # Passes.

    def write_pass(self, step: Step) -> None:
        """Write one pass over memory: what is added up in it, and what is stored."""
        sums, stores = self.k.work(step)
        if not sums and not stores:
            return
        loops = [a for a in self.space.order if a not in self.space.front]
        if not loops:  # one number
            Innermost(self, step, None, "", 1).write(sums, stores)
            return
        *outer, j = loops
        start, rows = self.indent, [r for r in sums if j not in r.over]
        four = outer[-1] if outer and rows and all(outer[-1] in r.over for r in rows) else None
        for a in outer:
            first, last = ("start", "stop") if a == self.space.shared else ("0", f"n{a}")
            if a == four and len(self.space.order) == 2:
                self.w(f"for strip in range({first}, {last}, {ROWS}):")
                self.indent += 1
                self.w(f"end = min(strip + {ROWS}, {last})")
                first, last = "strip", "end"
            if a == four:
                self.w(f"fours = {last} - ({last} - {first}) % 4")
                self.w(f"for i{a} in range({first}, fours, 4):")
                self.indent += 1
                Innermost(self, step, j, f"i{a}", 4).write(sums, stores)
                self.indent -= 1
                first = "fours"
            self.w(f"for i{a} in range({first}, {last}):")
            self.indent += 1
        Innermost(self, step, j, "", 1).write(sums, stores)
        if four is not None and len(self.space.order) == 2:
            self.indent = start + 1
            self.empty_buffers([r for r in rows if self.is_buffered(r)])
        self.indent = start

    # The whole.

    def written(self) -> str:
        """Return the source."""
        k, p = self.k, self.space.shared
        self.settle((0, 0))
        self.w("enter(team)")
        for s in range(k.sweeps):
            self.w(f"for ticket in tickets(team, {2 * s}, parts):")
            self.indent += 1
            turn = "parts - 1 - ticket  # the last rows are still in the cache" if s % 2 else "ticket"
            self.w(f"part = {turn}")
            if self.space.order:
                self.w(f"start, stop = each * part, min(each * part + each, n{p})")
            self.write_sweep(s)
            self.indent -= 1
            if k.settled((s + 1, 0)):
                self.w("if team[2]:")
                self.indent += 1
                self.w(f"wait_for(team, {2 * s}, parts)")
                self.settle((s + 1, 0))
                self.w(f"mark_done(team, {2 * s + 1})")
                self.indent -= 1
                self.w(f"wait_for(team, {2 * s + 1}, 1)")
        self.w(f"leave(team, {2 * k.sweeps - 2}, parts)")
        names = [f"x{i}" for i in range(len(k.leaves))] + [f"y{i}" for i in range(len(k.targets))]
        names += [f"m{i}" for i in range(len(alike(self.shared)))]
        names += [f"n{a}" for a in self.space.order] + ["k", "each", "parts", "team"]
        top = [f"def kernel({', '.join(names)}):", *(f"    c{i} = {self.F}(k[{i}])" for i in range(len(k.consts)))]
        for i, ((lengths, dtype), arrays) in enumerate(alike(self.own).items()):
            top.append(f"    o{i} = np.empty(({', '.join([str(len(arrays)), *lengths])}), np.{dtype})")
        for letter, every in ("m", self.shared), ("o", self.own):
            for i, arrays in enumerate(alike(every).values()):
                top += [f"    {name} = {letter}{i}[{j}]" for j, name in enumerate(arrays)]
        return "\n".join([*top, *self.lines]) + "\n"

    def write_sweep(self, s: int) -> None:
        """Write what happens to one part in a sweep."""
        k, p = self.k, self.space.shared
        totals = [r for r in k.order if r.over and k.at[r.args[0]][0] == s and r not in k.direct]
        for r in totals:
            if p in r.over:
                self.w(f"{self.total(r)[0]}[part] = {BEGIN[r.op]}")
                if self.is_buffered(r) and k.is_full(r.args[0]):
                    self.w(f"{self.buffer(r)[0]}[:] = 0.0")
        start = self.indent
        for a in self.space.front:
            self.w(f"for i{a} in range({'start, stop' if a == p else f'n{a}'}):")
            self.indent += 1
        for passes in k.passes(s):
            for r in totals:
                if k.at[r] == (s, passes + 1):
                    self.w(f"{self.total(r)[0]}[:] = {BEGIN[r.op]}")
            if passes or k.early:
                self.settle((s, passes), not passes)
            self.write_pass((s, passes))
        if buffered := [r for r in totals if self.is_buffered(r) and k.is_full(r.args[0]) and self.space.front]:
            last = self.space.front[-1]
            end = "stop" if last == p else f"n{last}"
            self.w(f"if i{last} % {ROWS} == {ROWS - 1} or i{last} == {end} - 1:")
            self.indent += 1
            self.empty_buffers(buffered)
            self.indent -= 1
        self.end_loops(start)

    def empty_buffers(self, sums: Sequence[Expression]) -> None:
        """Write that vectors of some rows are added to those of the part."""
        start = self.indent
        for r in sums:
            (name, index), (total, _) = self.buffer(r), self.total(r)
            for i in index:
                self.w(f"for {i} in range(n{i[1:]}):")
                self.indent += 1
            self.w(f"{total}[part, {', '.join(index)}] += np.float64({name}[{', '.join(index)}])")
            self.w(f"{name}[{', '.join(index)}] = 0.0")
            self.indent = start


def alike(arrays: Mapping[str, tuple[Sequence[str], str]]) -> dict[tuple[tuple[str, ...], str], list[str]]:
    """Return the names of arrays by lengths and dtype: those are allocated at once, and handed over as one."""
    found: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for name, (lengths, dtype) in arrays.items():
        found[tuple(lengths), dtype].append(name)
    return found
