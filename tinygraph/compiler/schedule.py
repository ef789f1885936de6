"""Decide which kernels there are, and when each value is known.

A *space* is a set of loops in the order of memory. One of its loops is shared among blocks, and so among threads. A
reduction over that loop is known when all blocks have been swept: it ends a *sweep*. Another reduction is known when
its block has been passed over, while that still lies in the cache: it ends a *pass*. What varies along all loops of a
space is never kept: it is made again from the inputs wherever it is needed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tinygraph.compiler.algebra import (
    TRUTHS,
    Algebra,
    Expression,
    Loops,
    about_maxima,
    about_means,
    about_pivots,
    below,
    multiplied_out,
)
from tinygraph.compiler.collect import Collector
from tinygraph.compiler.loops import Axes, Finder, Loop, Order, flat
from tinygraph.compiler.values import Value

GIVEN = ("in", "const", "iota", "pivot")  # what is there from the start
NOTHING: Loop = -1  # the shared loop where there is none
DEAR = {"exp", "log", "tanh", "erf", "sigmoid", "power"}  # what is not computed twice where its result is stored anyway


class Space:
    """Loops in the order of memory. ``shared`` is cut into blocks; ``front`` are those that all passes share."""

    def __init__(self, loops: Loops, order: Order, length: dict[Loop, int]) -> None:
        self.loops, self.order, self.length = loops, order, length
        self.shared, self.front = (order or (NOTHING,))[0], list[Loop]()

    def settle(self, expressions: Iterable[Expression]) -> None:
        """Choose the loop to share: one that no reduction in the way takes, but never the columns of a matrix."""
        full = [e for e in expressions if e.axes == self.loops]
        waits = {r for e in full for r in below([e]) if r.over and r.args[0].axes <= self.loops}
        kept = [a for a in self.order if not any(a in r.over for r in waits)]
        columns = not kept or self.order[-1] in kept
        self.shared = kept[0] if waits and not columns else (self.order or (NOTHING,))[0]
        every = [r for r in below(expressions) if r.over and self.shared in r.args[0].axes <= self.loops]
        local = [r for r in every if self.shared not in r.over]
        free = itertools.takewhile(lambda a: not any(a in r.over for r in local), self.order)
        front = list(free) if local else []
        self.front = front if self.shared in front else []


class Time(NamedTuple):
    """When a value is known: after how many library calls, sweeps and passes."""

    depth: float
    sweep: int
    passes: int


class Clock:
    """Tells when a value is known.

    Args:
        spaces: the largest sets of loops.
    """

    def __init__(self, spaces: Sequence[Space]) -> None:
        self.spaces, self.memo = spaces, dict[Expression, Time]()

    def space(self, loops: Iterable[Loop]) -> Space:
        """Return the space that loops are part of."""
        return next(s for s in self.spaces if s.loops.issuperset(loops))

    def is_direct(self, e: Expression) -> bool:
        """Whether a reduction is of a small value that is known as a whole: then so is its result."""
        x, space = e.args[0], self.space(e.args[0].axes)
        return x.axes != space.loops and (self(x).passes == 0 or space.shared not in e.over)

    def __call__(self, root: Expression) -> Time:
        """Return when a value is known."""
        for e in below([root], self.memo):
            self.memo[e] = self.time(e)
        return self.memo[root]

    def time(self, e: Expression) -> Time:
        """Return when a value is known whose operands' times are."""
        if e.op in ("in", "pivot"):
            v = e.info[0]
            return Time(v.depth if v.is_array else v.depth + 0.5, 0, 0)  # what another kernel stores is there after it
        known = max((self.memo[a] for a in e.args), default=Time(0, 0, 0))
        if not e.over or self.is_direct(e):
            return known
        depth, sweep, passes = known
        if self.space(e.args[0].axes).shared in e.over:
            return Time(depth, sweep + 1, 0)
        return Time(depth, sweep, passes + 1)


class Plan(NamedTuple):
    """What a kernel has to do: the space, the expression of each value that it stores, and how each value lies."""

    depth: float
    space: Space
    targets: dict[Value, Expression]
    layouts: dict[Value, Order]


def plan_kernels(values: Sequence[Value], roots: Sequence[Value]) -> list[Plan]:
    """Return the kernels that compute ``roots``, of values that share arrays.

    Args:
        values: all that the roots are made of, operands first.
        roots: what has to lie in memory.
    """
    inside = list(dict.fromkeys(x for v in values for x in (*v.args, v) if x.op != "const"))
    finder = Finder(inside)
    axes, length = finder.axes, finder.length
    arrays = [v for v in inside if v.is_array or v in roots]
    while True:
        sets = [frozenset(flat(axes[v])) for v in inside]
        algebra, memo = Algebra(length, sets), dict[Value, Expression]()
        found = {v: algebra.of(v, axes, memo) for v in roots}
        if not merge_neighbours(axes, length, arrays, found.values()):
            break
    layouts = {v: flat(axes[v]) for v in roots}
    spaces = find_spaces(found.values(), [flat(axes[v]) for v in arrays], layouts.values(), length)
    clock = Clock(spaces)
    wide = any(v.dtype.char == "d" and v.size > 1 for v in arrays)
    save_sweeps(algebra, clock, found, not wide)
    reuse_dear(algebra, clock, found, layouts)
    replace(algebra, found, about_maxima(algebra, below(found.values())))
    return group(algebra, clock, found, layouts, wide)


def merge_neighbours(
    axes: Axes, length: dict[Loop, int], arrays: Sequence[Value], expressions: Iterable[Expression]
) -> bool:
    """Make one loop of two that are next to each other wherever they are; return whether there were such."""
    orders, order = [flat(axes[v]) for v in arrays], below(expressions)
    counted = {e.info for e in order if e.op == "iota"}
    for main in sorted(orders, key=len, reverse=True):
        for a, b in itertools.pairwise(main):
            if a in counted or b in counted:
                continue
            together = all((a in o) == (b in o) and (a not in o or o[o.index(a) + 1 :][:1] == (b,)) for o in orders)
            if together and all((a in e.axes) == (b in e.axes) and (a in e.over) == (b in e.over) for e in order):
                length[a] *= length.pop(b)
                for v, loops in axes.items():
                    axes[v] = [o and tuple(x for x in o if x != b) for o in loops]
                return True
    return False


def find_spaces(
    found: Iterable[Expression], orders: Sequence[Order], layouts: Iterable[Order], length: dict[Loop, int]
) -> list[Space]:
    """Return a space for each set of loops that is part of no other."""
    sets = {e.axes for e in below(found)} | {frozenset(o) for o in layouts}
    largest = sorted((a for a in sets if not any(a < b for b in sets)), key=sorted)
    return [Space(a, next((o for o in orders if set(o) == a), tuple(sorted(a))), length) for a in largest]


def save_sweeps(algebra: Algebra, clock: Clock, found: dict[Value, Expression], polynomials: bool) -> None:
    """Settle the spaces; multiply out sums that would need a sweep of their own."""
    largest = {s.loops for s in clock.spaces}
    while True:
        order = below(found.values())
        for space in clock.spaces:
            space.settle(order)
        clock.memo.clear()
        late = [r for r in order if r.over and clock(r.args[0])[1:] > (0, 0) and r.args[0].axes in largest]
        swap = next(
            ({r: e} for r in late if polynomials and (e := multiplied_out(algebra, clock, r)) is not None), None
        )
        swap = swap or about_pivots(algebra, order)
        if polynomials:
            swap = swap or about_means(algebra, order)
        if not swap:
            return
        replace(algebra, found, swap)


def replace(algebra: Algebra, found: dict[Value, Expression], swap: dict[Expression, Expression]) -> None:
    """Swap some parts of all expressions for others."""
    memo: dict[Expression, Expression] = {}
    found.update({v: algebra.swapped(e, swap, memo) for v, e in found.items()})


def reuse_dear(algebra: Algebra, clock: Clock, found: dict[Value, Expression], layouts: dict[Value, Order]) -> None:
    """Read what is stored anyway and was dear to compute: the probabilities, in the backward of softmax."""

    def dear(e: Expression) -> bool:
        return any(x.op in DEAR for x in below([e]))

    done = {
        e: algebra("in", info=(v, layouts[v]))
        for v, e in found.items()
        if e.axes == set(layouts[v]) and dear(e) and e.axes
    }
    for v, e in found.items():
        earlier = {x: kept for x, kept in done.items() if clock(x).depth < clock(e).depth}
        found[v] = algebra.swapped(e, earlier, {})
    clock.memo.clear()


def group(
    algebra: Algebra, clock: Clock, found: dict[Value, Expression], layouts: dict[Value, Order], wide: bool
) -> list[Plan]:
    """Put into one kernel what has one space, one depth and one wave; one saves what is small for another."""
    waves = Waves(clock, found.values())

    def key_of(r: Expression) -> Key:
        return waves.key(r, clock.space(r.args[0].axes))

    groups: dict[Key, dict[Value, Expression]] = defaultdict(dict)
    for v, e in found.items():
        groups[waves.key(e, waves.space(e, e.axes | set(layouts[v])))][v] = e
    settled = {key: set(below(targets.values())) for key, targets in groups.items()}
    saved: dict[Expression, Value] = {}
    pending = list(groups)
    while pending:
        key = pending.pop(0)

        def maker(e: Expression, key: Key = key) -> Key | None:
            """Return the kernel that makes what this one only reads: a reduction, or what an earlier one settles."""
            if e.over:
                return None if (other := key_of(e)) == key else other
            if e.op == "pivot" and not key.space.loops.issuperset(e.info[1]):
                return waves.key(e, clock.space(e.info[1]))
            if e.op in (*GIVEN, *TRUTHS, "high", "low") or any(e.axes == s.loops for s in clock.spaces):
                return None
            other = waves.key(e, waves.space(e, e.axes))
            return other if other.depth < key.depth and e in settled.get(other, ()) else None

        for e in made_elsewhere(groups[key].values(), maker):
            if e not in saved:
                home = maker(e) or key
                order = tuple(a for a in home.space.order if a in e.axes)
                saved[e] = v = Value("saved", (), [home.space.length[a] for a in order], "f8", clock(e).depth)
                v.name = e.name
                layouts[v], groups[home][v] = order, e
                pending.append(home)
    plans = []
    for key, targets in groups.items():
        swap = {e: algebra("copy", algebra("in", info=(v, layouts[v]))) for e, v in saved.items() if v not in targets}
        memo: dict[Expression, Expression] = {}
        swapped = {v: algebra.swapped(e, swap, memo) for v, e in targets.items()}
        if not wide:
            collect = Collector(algebra, key.space.loops)
            swapped = {v: collect(e) for v, e in swapped.items()}
        for v, e in swapped.items():
            if e.op in GIVEN and set(layouts[v]) != key.space.loops:  # small, and nothing computes it
                swapped[v] = algebra("copy", e)
        plans.append(Plan(key.depth, key.space, swapped, layouts))
    return plans


class Key(NamedTuple):
    """Which kernel something is computed in."""

    depth: float
    wave: int
    space: Space


class Waves:
    """Counts how often the way to a value changes the space: a kernel may not wait for one that waits for it."""

    def __init__(self, clock: Clock, roots: Iterable[Expression]) -> None:
        self.clock = clock
        self.below: dict[Expression, dict[Space, int]] = {}  # of the last reductions on the way
        for e in below(roots):
            found: dict[Space, int] = {}
            for a in e.args:
                for space, wave in self.below[a].items():
                    found[space] = max(wave, found.get(space, 0))
            self.below[e] = found
            if e.over:
                space = clock.space(e.args[0].axes)
                self.below[e] = {space: self.wave(e, space, found)}

    def wave(self, e: Expression, space: Space, found: dict[Space, int]) -> int:
        """Return the wave of what is computed in a space from reductions that were ``found``."""
        return max((w + (s is not space) for s, w in found.items()), default=0)

    def space(self, e: Expression, loops: Iterable[Loop]) -> Space:
        """Return where a value is best computed: where its last reduction was, if all its loops are there."""
        fits = [(wave, s) for s, wave in self.below[e].items() if s.loops.issuperset(loops)]
        return max(fits, key=lambda f: f[0])[1] if fits else self.clock.space(loops)

    def key(self, e: Expression, space: Space) -> Key:
        """Return the kernel of an expression that is computed in a space."""
        found = self.below[e.args[0]] if e.over and self.clock.space(e.args[0].axes) is space else self.below[e]
        return Key(self.clock(e).depth, self.wave(e, space, found), space)


def made_elsewhere(roots: Iterable[Expression], maker: Callable[[Expression], Key | None]) -> list[Expression]:
    """Return what other kernels make, on the way to ``roots``."""
    stack, seen, found = list(roots), set[Expression](), list[Expression]()
    while stack:
        e = stack.pop()
        if e in seen:
            continue
        seen.add(e)
        if maker(e):
            found.append(e)
        else:
            stack += e.args
    return found
