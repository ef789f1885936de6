"""What all printers need to know of a kernel: what it reads and stores, and what happens in which pass.

Small values, those that do not vary along some loop of the space, are in float64, as all reductions are. Where one is
added to a full value or taken off, it comes in two parts of the full value's precision, whose sum has all digits:
(x - high) - low.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from tinygraph.compiler.algebra import Expression, Loops, below
from tinygraph.compiler.loops import Loop, Order
from tinygraph.compiler.schedule import Clock, Plan
from tinygraph.compiler.trace import BACK
from tinygraph.compiler.values import Value

Step = tuple[int, int]  # the numbers of a sweep and of a pass in it
GIVEN = ("in", "const", "iota")  # what is there and need not be computed
SHORT = (*GIVEN, "pivot", "high")  # what has no more digits than a full value


class Pass(NamedTuple):
    """One pass over memory: what it adds up, and what it stores (the number of the target, and its expression)."""

    sums: list[Expression]
    stores: list[tuple[int, Expression]]


class Stay(NamedTuple):
    """How a full value waits from one pass for a later one: in the array of a target that is stored there."""

    target: int
    first: Step
    last: Step


class Kernel:
    """A kernel, planned.

    Attributes:
        targets: the values that it stores, each with its expression.
        leaves: the arrays that it reads, each with its loops in the order of memory.
        consts: the numbers that it needs.
        at: the sweep and the pass after which each expression is known.
        sweeps: how many sweeps there are.
        float: the precision of full values, "float32" or "float64".
    """

    def __init__(self, plan: Plan) -> None:
        self.space, self.depth, self.layouts = plan.space, plan.depth, plan.layouts
        self.targets = list(plan.targets.items())
        self.clock = Clock([self.space])
        self.order = below(plan.targets.values())
        self.number = {e: i for i, e in enumerate(self.order)}
        self.at: dict[Expression, Step] = {e: self.clock(e)[1:] for e in self.order}
        self.leaves: list[tuple[Value, Order]] = list(
            dict.fromkeys(e.info[:2] for e in self.order if e.op in ("in", "pivot"))
        )
        self.consts = list(dict.fromkeys(repr(e.info) for e in self.order if e.op == "const"))
        arrays = [*plan.targets, *(v for v, _ in self.leaves)]
        wide = any(v.dtype.char == "d" and v.op != "saved" and v.size > 1 for v in arrays) or all(
            v.dtype.char == "d" or v.dtype.kind != "f" for v in arrays
        )
        self.float = "float64" if wide else "float32"
        self.direct = {e for e in self.order if e.over and self.clock.is_direct(e)}
        self.users: dict[Expression, list[Expression]] = defaultdict(list)
        for e in self.order:
            for a in dict.fromkeys(e.args):
                self.users[a].append(e)
        last = max((s for s, _ in self.at.values()), default=0)
        works = any(self.at[e][0] == last and (self.is_full(e) or self.at[e][1]) for e in self.order)
        works |= any(self.at[e][0] == last and self.is_whole(v) for v, e in self.targets)
        self.sweeps = max(last + works, 1)
        self.early = set() if last else self.find_early()

    def find_early(self) -> set[Expression]:
        """Return the values that are known from the start, and are better found block by block.

        Only where there is one sweep: where blocks wait for each other, one settles for all.
        """
        early: set[Expression] = set()
        for e in reversed(self.order):
            users = [u for u in self.users[e] if not self.is_full(u) and self.at[u] == (0, 0)]
            if self.at[e] == (0, 0) and self.space.shared in e.axes and early.issuperset(users):
                early.add(e)
        return early

    @property
    def wide(self) -> bool:
        """Whether full values are in float64: then nothing is wider."""
        return self.float == "float64"

    def is_full(self, e: Expression) -> bool:
        """Whether an expression varies along all loops."""
        return e.axes == self.space.loops and e.op != "const"

    def is_whole(self, v: Value) -> bool:
        """Whether an array has an element for each turn of all loops."""
        return set(self.layouts[v]) == self.space.loops

    def in_order(self, loops: Loops | Iterable[Loop]) -> Order:
        """Return loops in the order of memory."""
        return tuple(a for a in self.space.order if a in set(loops))

    def passes(self, sweep: int) -> range:
        """Return the numbers of the passes of a sweep."""
        return range(max((p for s, p in self.at.values() if s == sweep), default=0) + 1)

    def work(self, step: Step) -> Pass:
        """Return what a pass does."""
        sums = [r for r in self.order if r.over and self.is_full(r.args[0]) and self.at[r.args[0]] == step]
        sums = [r for r in sums if r not in self.direct]
        whole = [(k, e) for k, (v, e) in enumerate(self.targets) if self.is_whole(v) and self.at[e] == step]
        return Pass(sums, whole)

    def settled(self, step: Step) -> list[Expression]:
        """Return the small values that are known after a pass."""
        return [e for e in self.order if not self.is_full(e) and self.at[e] == step and e.op not in GIVEN]

    def groups(self, step: Step, early: bool = False) -> list[tuple[Order, list[Expression]]]:
        """Return the small values that are known after a pass by their loops, in groups that wait for no later one."""
        left = [e for e in self.settled(step) if (e in self.early) == early]
        groups: list[tuple[Order, list[Expression]]] = []
        while left:
            loops = dict.fromkeys(self.in_order(e.axes) for e in left)
            for axes in loops:
                some = self.free_of(axes, left)
                if len(some) == sum(self.in_order(e.axes) == axes for e in left):
                    break
            else:  # all wait for each other
                axes, some = next((a, found) for a in loops if (found := self.free_of(a, left)))
            groups.append((axes, some))
            left = [e for e in left if e not in some]
        return groups

    def free_of(self, axes: Order, left: Iterable[Expression]) -> list[Expression]:
        """Return those of some values, with these loops, that wait for none of the others."""
        waiting, free = dict.fromkeys(left), list[Expression]()
        for e in waiting:
            if self.in_order(e.axes) == axes and not any(
                a in waiting and a not in free for a in e.args if self.is_computed(e)
            ):
                free.append(e)
        return free

    def is_computed(self, e: Expression) -> bool:
        """Whether a small value is computed from its operands, and not picked up where it was added up."""
        return not e.over or e in self.direct

    def is_short(self, r: Expression) -> bool:
        """Whether parts of a sum may be added up in the precision of full values.

        Not inputs of the way forward: they may lie far from 0, and their mean may be taken off.
        """
        x = r.args[0]
        return r.op == "sum" and not self.wide and not (x.op == "in" and x.info[0].depth < BACK)

    def met(self, sweep: int) -> set[Expression]:
        """Return the small values that full values meet in the passes of a sweep."""
        return {e for e in self.seen(sweep) if not self.is_full(e) and e.op not in GIVEN}

    def seen(self, sweep: int) -> set[Expression]:
        """Return all that the passes of a sweep compute with: full values, and what they meet."""
        return {e for p in self.passes(sweep) for e in self.wanted((sweep, p))}

    def find_stays(self, is_kept: Callable[[Expression], bool]) -> dict[Expression, Stay]:
        """Return which of the full values that may be kept wait for a later pass.

        They are wanted again where a target is stored; it is the last one stored there, so that nothing comes after it.
        """
        steps = [(s, p) for s in range(self.sweeps) for p in self.passes(s)]
        stored = {e for _, e in self.targets}
        wanted = {step: [e for e in self.wanted(step) if e not in stored and is_kept(e)] for step in steps}
        stays = {}
        for i, last in enumerate(steps):
            if (target := self.last_store(last)) is None:
                continue
            for first in steps[:i]:
                if both := [e for e in wanted[first] if e in wanted[last]]:
                    dearest = max(both, key=lambda e: sum(map(self.is_full, below([e]))))
                    stays[dearest] = Stay(target, first, last)
                    break
        return stays

    def last_store(self, step: Step) -> int | None:
        """Return the target that a pass stores last, if full values may lie in its array before."""
        stores = self.work(step).stores
        target = stores[-1][0] if self.space.order and stores else None
        return target if target is not None and self.targets[target][0].dtype == self.float else None

    def wanted(self, step: Step, there: Container[Expression] = ()) -> dict[Expression, int]:
        """Return how often a pass wants each value, if some are there already."""
        sums, stores = self.work(step)
        stack = [r.args[0] for r in sums] + [e for _, e in stores]
        left: dict[Expression, int] = defaultdict(int)
        while stack:
            e = stack.pop()
            left[e] += 1
            if left[e] == 1 and self.is_full(e) and e not in there:
                stack += e.args
        return left

    def is_carried(self, e: Expression) -> bool:
        """Whether a small value of a block is wanted again after its sweep."""
        sweep, p = self.at[e]
        if not p or self.is_full(e):
            return False
        later = any(e in self.met(s) for s in range(sweep + 1, self.sweeps))
        return later or any(self.at[u][0] > sweep and not (u.over and u not in self.direct) for u in self.users[e])

    def high_and_low(self, e: Expression) -> tuple[bool, bool]:
        """Return whether full values meet a small one, and whether its low part is wanted."""
        full = [u for u in self.users[e] if self.is_full(u)]
        stored = any(x is e and self.is_whole(v) for v, x in self.targets)
        return bool(full) or stored, any(self.in_two_parts(u) is e for u in full)

    def in_two_parts(self, e: Expression) -> Expression | None:
        """Return the small operand that comes in two parts where a full value is made; None where none does.

        Of two small ones neither does: which comes first is not the same in forward and in backward, and where a value
        is compared with the largest, the last bit counts.
        """
        if self.wide or e.op not in ("add", "sub") or not any(map(self.is_full, e.args)):
            return None
        return next((a for a in e.args if not (self.is_full(a) or is_exact(a))), None)

    def small_targets(self, e: Expression) -> Iterator[tuple[int, Value]]:
        """Yield the targets that are this small value, not copied along the other loops."""
        return ((k, v) for k, (v, x) in enumerate(self.targets) if x is e and not self.is_whole(v))

    def name(self, e: Expression, kind: str = "v") -> str:
        """Return the name of an expression in a source: what the function called it, and its number."""
        known = LETTERS.get(e.name, e.name)
        word = "".join(c for c in known if c.isascii() and (c.isalnum() or c == "_")) if known.isprintable() else ""
        word = word if word and not word[0].isdigit() else ""
        return f"{kind}{self.number[e]}" + f"_{word}" * bool(word)


def is_exact(e: Expression) -> bool:
    """Whether a small value has no more digits than a full one: the largest of inputs has not, a sum of them has."""
    chosen = {"max": e.args, "min": e.args, "where": e.args[1:]}.get(e.op)
    return e.op in SHORT if chosen is None else all(map(is_exact, chosen))


LETTERS = {"μ": "mu", "σ": "sigma", "x̂": "x_hat", "γ": "gamma", "β": "beta", "ε": "eps", "v": "var"}  # as words


def digest(source: str) -> str:
    """Return what tells a source from others."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]
