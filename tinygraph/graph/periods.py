"""Find ops that repeat: stretches of a graph in which the same ops follow each other again and again."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.graph.data import Graph, Node

__all__ = ["Period", "periods"]

LONGEST = 400  # ops in one period
MOST_INPUTS = 4  # an op with more is taken for one that occurs once
NUMBER = re.compile(r"\d+")  # block1, block2, … are equal scopes
CHANGING = {"index": ("key",)}  # what may differ from one period to the next: step t takes x[t]


class Period(NamedTuple):
    """A stretch of ops that is ``length`` ops repeated ``times`` times; ``start`` is the place of the first op.

    Places are counted among the ops, without the leaves. ``follows`` says whether the ops just before are one
    period more, whose operands come from elsewhere: the first step of a loop, which begins with x.
    """

    start: int
    length: int
    times: int
    follows: bool

    @property
    def saved(self) -> int:
        """How many cards fewer there are if all but the first period are one card."""
        return self.length * (self.times - (not self.follows)) - 1


def periods(graph: Graph, least: int = 3) -> list[Period]:
    """Return the stretches of a graph that repeat themselves, none over another; those that save most first.

    Two ops are equal if they do the same to values of the same shape, and their operands come from as far back
    or from the same place. Numbers and the indices of a step may differ.

    Args:
        graph: any graph.
        least: how often the ops must follow each other, 2 or more.

    Returns:
        A `Period` for each stretch.

    >>> from tinygraph import Tensor, snapshot
    >>> h = Tensor([1.0, 2.0], name="x")
    >>> for _ in range(9):
    ...     h = np.tanh(h * 1.1)
    >>> periods(snapshot(h))
    [Period(start=2, length=2, times=8, follows=True)]
    """
    ops = [n for n in graph.nodes if n.op is not None or n.kind == "scope"]
    what, near, far = describe_ops(graph, ops)
    candidates: list[Period] = []
    for length in range(1, min(LONGEST, len(ops) // least) + 1):
        same = (what[length:] == what[:-length]) & (
            (near[length:] == near[:-length]) | (far[length:] == far[:-length])
        ).all(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]])))
        for low, high in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            end = high + length  # all of low … end repeats; whole periods are counted back from its end
            count = (end - low) // length
            start = end - count * length
            before = start - length
            follows = before >= 0 and bool((what[before:start] == what[start : start + length]).all())
            if count + follows >= least:
                candidates.append(Period(start, length, count, follows))
    found: list[Period] = []
    taken = np.zeros(len(ops), bool)
    for p in sorted(candidates, key=lambda p: (-p.saved, p.length, p.start)):
        stretch = slice(p.start - p.length * p.follows, p.start + p.length * p.times)
        if p.saved > 1 and not taken[stretch].any():
            taken[stretch] = True
            found.append(p)
    return found


def describe_ops(graph: Graph, ops: list[Node]) -> tuple[Array, Array, Array]:
    """Return for each op what it does, how far back its operands are, and which they are: as numbers.

    A number is the same anywhere. A leaf is as far back as its first use: what each step of a loop takes three times
    is new in each.
    """
    place = {n.id: k for k, n in enumerate(ops)}
    first: dict[int, int] = {}
    names: dict[object, int] = {}
    what = np.zeros(len(ops), int)
    near, far = (np.full((len(ops), MOST_INPUTS), -1) for _ in range(2))
    for k, n in enumerate(ops):
        free = CHANGING.get(n.op or "", ())
        params = [(name, repr(value)) for name, value in n.params if name not in free]
        once = k if len(n.inputs) > MOST_INPUTS else -1
        where = NUMBER.sub("#", "/".join((*n.scope, (n.name or "") if n.kind == "scope" else "")))
        sort = (n.op, n.kind, where, n.shape, n.dtype, tuple(params), once)
        what[k] = names.setdefault(sort, len(names))
        for j, e in enumerate(n.inputs[:MOST_INPUTS]):
            source = graph.nodes[e.source]
            if e.source in place:
                near[k, j], far[k, j] = k - place[e.source], e.source
            elif not graph.is_number(e.source):
                leaf = source.kind, source.shape, source.dtype, k - first.setdefault(e.source, k)
                near[k, j], far[k, j] = (-2 - names.setdefault(x, len(names)) for x in (leaf, e.source))
    return what, near, far
