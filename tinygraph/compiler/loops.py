"""Find the loops of a program: which of them each axis of each value stands for.

An axis of length 12 may be one loop, or the loops of 3 and of 4 that a reshape makes of it. With that known, reshape,
transpose and broadcast are nothing: they say how loops are named, and compute nothing. Neighbours that always come
together become one loop: height and width of an image for batch norm, all axes for what is elementwise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from tinygraph.compiler.values import REDUCTIONS, Value

Loop: TypeAlias = int
Order: TypeAlias = tuple[Loop, ...]
Axes: TypeAlias = dict[Value, list[Order | None]]  # for each axis of a value the loops that it stands for


def flat(axes: Iterable[Order | None]) -> Order:
    """Return the loops of all axes of a value, in order."""
    return tuple(itertools.chain.from_iterable(a or () for a in axes))


def pairs(v: Value, x: Value) -> Iterator[tuple[int, int]]:
    """Yield which axes of a value are axes of its operand: pairs (i, j)."""
    n, m = len(v.shape), len(x.shape)
    if v.op == "transpose":
        return ((i, j) for i, j in enumerate(v.facts["axes"]))
    if v.op == "pick":
        at, is_label = v.facts["at"], x is v.args[1]
        return ((i, i if is_label else i + (i >= at)) for i in range(n))
    if v.op == "put":
        at = v.facts["at"]
        return ((j + (j >= at), j) for j in range(m))
    if v.op in REDUCTIONS:
        kept = [j for j in range(m) if j not in v.facts["axes"]]
        return ((j, j) for j in kept) if n == m else enumerate(kept)
    return ((i + n - m, i) for i in range(m) if i + n - m >= 0)


class Conflict(Exception):
    """A value and its operand ``k`` do not fit into the same loops, as x and its transpose do not in their sum."""

    def __init__(self, value: Value, k: int) -> None:
        self.value, self.k = value, k


class Finder:
    """Carries loops from value to value until nothing changes; where nothing is known, the largest value begins."""

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = values
        self.known = set(values)
        self.axes: Axes = {v: [() if n == 1 else None for n in v.shape] for v in values}
        self.length: dict[Loop, int] = {}
        self.find()

    def size(self, loops: Iterable[Loop]) -> int:
        """Return how often loops run in all."""
        return math.prod(self.length[a] for a in loops)

    def put(self, v: Value, i: int, loops: Order | None) -> bool:
        """Note the loops of axis ``i``; return whether that is news."""
        if self.axes[v][i] is not None or loops is None or self.size(loops) != v.shape[i]:
            return False
        self.axes[v][i] = loops
        return True

    def deal(self, loops: Sequence[Loop], v: Value) -> bool:
        """Deal loops out over the axes of a value with as many elements; return whether that is news."""
        left, changed = list(loops), False
        for i, n in enumerate(v.shape):
            take: list[Loop] = []
            while self.size(take) < n and left:
                take.append(left.pop(0))
            changed |= self.put(v, i, tuple(take))
        return changed

    def relate(self, v: Value) -> bool:
        """Carry loops between a value and its operands; return whether that was news."""
        changed = False
        for x in v.args:
            if x not in self.known:
                continue
            if v.op == "reshape":
                for a, b in ((v, x), (x, v)):
                    changed |= None not in self.axes[a] and self.deal(flat(self.axes[a]), b)
            else:
                for i, j in pairs(v, x):
                    changed |= self.put(v, i, self.axes[x][j]) or self.put(x, j, self.axes[v][i])
        return changed

    def find(self) -> None:
        """Find the loops of all axes."""
        fusible = [v for v in self.values if v.is_fusible]
        while True:
            while sum(map(self.relate, fusible)):
                pass
            unknown = [v for v in self.values if None in self.axes[v]]
            if not unknown:
                return self.check(fusible)
            self.begin(max(unknown, key=lambda v: (v.size, -v.id)))

    def check(self, values: Sequence[Value]) -> None:
        """Raise if a value and an operand differ in a loop that they share, or a loop runs along a diagonal."""
        for v in values:
            for k, x in enumerate(v.args):
                if x not in self.known:
                    continue
                if v.op == "reshape":
                    fits = flat(self.axes[v]) == flat(self.axes[x])
                else:
                    both = [(self.axes[v][i], self.axes[x][j]) for i, j in pairs(v, x)]
                    fits = all(b in (a, ()) for a, b in both)
                if not fits or any(len(set(o)) < len(o) for o in (flat(self.axes[v]), flat(self.axes[x]))):
                    raise Conflict(v, k)

    def begin(self, v: Value) -> None:
        """Give a value loops of its own: cut at all products of lengths that a value with the same elements has."""
        if any(self.axes[v]):
            i = self.axes[v].index(None)
            self.length[a := len(self.length)] = v.shape[i]
            self.put(v, i, (a,))
            return
        marks = ends(self.same_elements(v))
        if any(b % a for a, b in itertools.pairwise(marks)):
            marks = ends([v])
        first = len(self.length)
        lengths = [b // a for a, b in itertools.pairwise(marks)][::-1]
        self.length.update(enumerate(lengths, first))
        self.deal(range(first, first + len(lengths)), v)

    def same_elements(self, v: Value) -> list[Value]:
        """Return the values that have the elements of ``v`` in the same order, in any shape."""
        near, grown = {v: None}, True
        while grown:
            same = [[u, *u.args] for u in self.values if u.op != "transpose" and u.size == v.size]
            new = [x for s in same if any(x in near for x in s) for x in s]
            new = [x for x in new if x in self.known and x.size == v.size and x not in near]
            near.update(dict.fromkeys(new))
            grown = bool(new)
        return list(near)


def ends(values: Iterable[Value]) -> list[int]:
    """Return the numbers of elements of all trailing axes of values, each once, from 1 on."""
    return sorted({math.prod(v.shape[i:]) for v in values for i in range(len(v.shape) + 1)})
