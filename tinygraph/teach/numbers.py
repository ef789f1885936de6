"""Other numbers for a computation, so that each student has a sheet of his own; they are whole, and values stay short.

A batch that can be solved by hand has a structure: the roots of its variances are whole. So the author's numbers are
shuffled, shifted and mirrored, a small change at a time, and a change stays unless values grow longer by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tinygraph.graph.data import Node
from tinygraph.graph.run import leaf_value
from tinygraph.graph.values import summarize
from tinygraph.teach.program import Program, record_program
from tinygraph.teach.workshop import compute

__all__ = ["draw_programs", "with_values"]

Array = Any
CHANGES = 150  # that are tried for one program
TRIES = 20  # to find a program that has not been yet
ZERO = 0.05  # what a zero costs: nothing is learned from it
LOST = 50.0  # what it costs that a value became zero throughout: there is nothing left to compute


def draw_programs(program: Program, shown: Collection[int], seed: int) -> Iterator[Program]:
    """Yield programs that differ from one, and from each other, in the numbers of their leaves alone.

    Args:
        program: from `record_program`.
        shown: ids of the nodes whose values should be short.
        seed: of the random numbers.

    Raises:
        ValueError: it has no numbers that could be others, or no more of them.

    >>> from tinygraph import Tensor
    >>> program = record_program((Tensor([1.0, 2.0], name="x") * 3).sum().named("L"))
    >>> other = next(draw_programs(program, [], seed=0))
    >>> leaf_value(other.graph.find("x")).tolist() == [1.0, 2.0], len(other.graph) == len(program.graph)
    (False, True)
    """
    search = Search(program, shown, np.random.default_rng(seed))
    seen = {search.key(search.author)}
    while True:
        for _ in range(TRIES):
            leaves = search.draw()
            if search.key(leaves) not in seen:
                break
        else:
            raise ValueError(f"worksheet: there are numbers for {len(seen) - 1} different sheets, and no more")
        seen.add(search.key(leaves))
        yield record_again(program, leaves)


class Search:
    """Draws numbers for the leaves of a program."""

    def __init__(self, program: Program, shown: Collection[int], rng: np.random.Generator) -> None:
        self.nodes, self.rng = program.graph.nodes, rng
        self.author = {n.id: np.asarray(leaf_value(n)) for n in self.nodes if is_variable(n)}
        if not self.author:
            raise ValueError("worksheet: there are no numbers that could be others")
        self.main = max(self.author, key=lambda i: (self.nodes[i].kind != "constant", self.author[i].size))
        self.positive = {i for i, value in self.author.items() if value.min() > 0}
        values = compute(self.nodes, self.author)
        self.shown = [i for i in shown if np.asarray(values[i]).dtype.kind == "f"]
        self.lost = {i for i in self.shown if not np.any(values[i])}
        self.start = {i: value if is_short(value) else self.redraw(i) for i, value in self.author.items()}
        self.least = self.cost(self.start)

    def key(self, leaves: Mapping[int, Array]) -> bytes:
        """Return what must differ between two sheets: the largest input or parameter."""
        return bytes(leaves[self.main].tobytes())

    def draw(self) -> dict[int, Array]:
        """Return numbers for the leaves: the author's, after many small changes that made no value longer."""
        leaves, cost, limit = dict(self.start), self.least, self.least
        ids = list(leaves)
        for _ in range(CHANGES):
            i = ids[self.rng.integers(len(ids))]
            changed = leaves | {i: self.change(leaves[i], i)}
            found = self.cost(changed)
            if found <= max(cost, limit):
                leaves, cost = changed, found
        return leaves

    def redraw(self, i: int) -> Array:
        """Return whole numbers for a leaf."""
        shape, dtype = self.author[i].shape, self.author[i].dtype
        low = 1 if i in self.positive else -3
        return self.rng.integers(low, 4, shape).astype(dtype)

    def change(self, value: Array, i: int) -> Array:
        """Return a leaf with a small change."""
        value, rng = value.copy(), self.rng
        rows = value.reshape(value.shape[0], -1) if value.ndim else value.reshape(1, 1)
        column = rng.integers(rows.shape[1])
        kind = rng.integers(3 if self.nodes[i].kind == "constant" else 5)
        if kind == 0:
            rows[:, column] = rng.permutation(rows[:, column])
        elif kind == 1:
            rows[:, column] *= -1
        elif kind == 2:
            rows[:] = rows[:, rng.permutation(rows.shape[1])]
        elif kind == 3:
            rows[:, column] += rng.integers(-3, 4)
        else:
            rows[rng.integers(rows.shape[0]), column] = rng.integers(1 if i in self.positive else -4, 5)
        value += 0.0  # no number is −0
        if self.nodes[i].kind == "parameter" and np.sum(value == 0) > np.sum(self.author[i] == 0):
            return self.start[i]  # γ = 0 leaves nothing to compute
        is_fine = np.abs(value).max() <= max(5.0, np.abs(self.start[i]).max()) and np.any(value)
        return value if is_fine and (i not in self.positive or value.min() > 0) else self.start[i]

    def cost(self, leaves: Mapping[int, Array]) -> float:
        """Return how long the values are that are shown."""
        values = compute(self.nodes, leaves)
        flat = np.concatenate([np.ravel(values[i]) for i in self.shown]) if self.shown else np.zeros(0)
        lengths = length_of(flat) + ZERO * np.sum(flat == 0)
        return float(lengths + LOST * sum(not np.any(values[i]) for i in self.shown if i not in self.lost))


def is_variable(node: Node) -> bool:
    """Whether a leaf holds floats that may be others: no number in a formula, no mask, and no seed of a scalar."""
    if node.op is not None or not node.dtype.startswith("float") or not node.value or not node.value.values:
        return False
    if node.kind != "constant":
        return node.name != "seed" or bool(node.shape)
    values = set(node.value.values)
    return bool(node.name and node.shape) and not values <= {0.0, 1.0} and max(map(abs, values)) <= 100


def is_short(value: Array) -> bool:
    """Whether all elements are whole, or halves."""
    return bool(np.all(np.asarray(value) * 2 % 1 == 0))


def length_of(value: Array) -> float:
    """Return how long the elements of an array are to write: 0 if all are small whole numbers, or halves."""
    flat = np.asarray(value, float).ravel()
    if not np.all(np.isfinite(flat)):
        return float("inf")
    found = np.full(flat.shape, 4.0)
    for factor, cost in ((1e4, 3.0), (8.0, 1.0), (4.0, 0.5), (2.0, 0.0)):
        near = flat * factor
        found[np.abs(near - np.round(near)) < 1e-9 * np.maximum(1.0, np.abs(near))] = cost
    return float(found.sum() + (np.abs(flat) >= 100).sum())


def with_values(program: Program, leaves: Mapping[int, Array]) -> Program:
    """Return a program with other values.

    Args:
        program: from `record_program`.
        leaves: id of a leaf -> its array, of the same shape and dtype.
    """
    values = compute(program.graph.nodes, leaves)
    nodes = [
        n
        if n.op is None and n.id not in leaves
        else dataclasses.replace(n, value=summarize(values[n.id], values=1 << 62))
        for n in program.graph.nodes
    ]
    return dataclasses.replace(program, graph=dataclasses.replace(program.graph, nodes=tuple(nodes)))


def record_again(program: Program, leaves: Mapping[int, Array]) -> Program:
    """Record a program again with other leaves: what its ops remember of their inputs is then that of the new ones."""
    nodes = with_values(program, leaves).graph.nodes
    place = {old: new for new, old in enumerate(program.forward)}
    forward = tuple(nodes[i].moved(place[i], place) for i in program.forward)
    graph = dataclasses.replace(program.graph, nodes=forward, outputs=tuple(place[i] for i in program.outputs))
    again = record_program(graph, [f"#{place[i]}" for i in program.wrt])
    pairs = zip(again.outputs, program.outputs, strict=True)
    starts = {again.upstream[y]: leaves[i] for y, old in pairs if (i := program.upstream[old]) in leaves}
    return with_values(again, starts) if starts else again
