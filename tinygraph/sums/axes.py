"""Which axes of the values of a graph are the same loop.

Each axis of each value is a sequence of loops. Elementwise ops make the axes of their operands equal; a reshape splits
and joins them; so a view is nothing but another way to walk the same loops, and an axis of length 1 is no loop at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tinygraph.engine.types import Shape

__all__ = ["Loops", "Mixed"]

Axis = tuple[int, ...]  # the loops that an axis runs over, outermost first


class Mixed(Exception):
    """A value cannot be written with loops: it mixes axes, as x + x.T and reshapes of 6 to 2 · 3 and 3 · 2 do."""


class Loops:
    """Loops by number, with what is known of them: the length of each, and those that were split into others."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.split: dict[int, Axis] = {}
        self.trail: list[int] = []  # what was split, in order, so that it can be undone

    def new(self, length: int) -> Axis:
        """Return an axis of its own: one loop, or none where the length is 1."""
        if length == 1:
            return ()
        self.lengths.append(length)
        return (len(self.lengths) - 1,)

    def new_axes(self, shape: Sequence[int]) -> list[Axis]:
        """Return axes of their own for a shape."""
        return [self.new(n) for n in shape]

    def resolve(self, axis: Iterable[int]) -> Axis:
        """Return the loops of an axis as they are now."""
        found: list[int] = []
        for loop in axis:
            found += self.resolve(self.split[loop]) if loop in self.split else (loop,)
        return tuple(found)

    def bind(self, loop: int, axis: Axis) -> None:
        """Say that a loop is another, or several."""
        self.split[loop] = axis
        self.trail.append(loop)

    def undo(self, mark: int) -> None:
        """Forget what was said since the trail had this length."""
        while len(self.trail) > mark:
            del self.split[self.trail.pop()]

    def unify(self, a: Axis, b: Axis) -> None:
        """Make two axes equal, splitting loops where one has finer ones.

        Raises:
            Mixed: they cannot be.
        """
        left, right = list(self.resolve(a)), list(self.resolve(b))
        while left and right:
            x, y = left.pop(0), right.pop(0)
            n, m = self.lengths[x], self.lengths[y]
            if x == y:
                continue
            if n == m:
                self.bind(max(x, y), (min(x, y),))  # the older one stays
            elif n > m and m and not n % m:
                (rest,) = self.new(n // m)
                self.bind(x, (y, rest))
                left.insert(0, rest)
            elif m > n and n and not m % n:
                (rest,) = self.new(m // n)
                self.bind(y, (x, rest))
                right.insert(0, rest)
            else:
                raise Mixed
            left, right = list(self.resolve(left)), list(self.resolve(right))
        if left or right:
            raise Mixed

    def reshape(self, axes: Sequence[Axis], before: Shape, after: Shape) -> list[Axis]:
        """Return the axes of a value in another shape.

        Raises:
            Mixed: its axes are mixed.
        """
        found: list[Axis] = []
        for old, new in groups(before, after):
            joined = tuple(loop for i in old for loop in axes[i])
            if sum(after[i] != 1 for i in new) == 1:
                found += [joined if after[i] != 1 else () for i in new]
                continue
            fresh = self.new_axes([after[i] for i in new])
            self.unify(joined, tuple(loop for axis in fresh for loop in axis))
            found += fresh
        return found


def groups(before: Shape, after: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Yield which axes become which: the smallest runs of axes of one size in both shapes.

    >>> list(groups((2, 3, 4), (6, 4)))
    [([0, 1], [0]), ([2], [1])]
    """
    i = j = 0
    while i < len(before) or j < len(after):
        old: list[int] = []
        new: list[int] = []
        size = [1, 1]
        while True:
            if i < len(before) and (size[0] < size[1] or (size[0] == size[1] and not old)):
                old.append(i)
                size[0] *= before[i]
                i += 1
            elif j < len(after) and (size[1] < size[0] or not new):
                new.append(j)
                size[1] *= after[j]
                j += 1
            else:
                break
        yield old, new
