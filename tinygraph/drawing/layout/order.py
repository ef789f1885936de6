"""The order of the rows of a lane: the one of few crossings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

__all__ = ["order_rows"]

CARD = 4  # a line that must get around a card costs as much as so many crossings
SWEEPS = 6

Span = tuple[int, int, int]  # the two rows that an upright line joins, and its column


def order_rows(
    row: Mapping[int, int],
    column: Mapping[int, int],
    links: Sequence[tuple[int, int]],
    first: Sequence[int],
    count: int,
) -> dict[int, int]:
    """Return each node's row after the rows of each lane but its first have changed places, if lines cross less.

    Args:
        row: of each node, in the whole picture.
        column: of each node.
        links: pairs of nodes that a line joins.
        first: the first row of each lane.
        count: how many rows there are.
    """
    lanes = [(start + 1, end) for start, end in zip(first, [*first[1:], count], strict=True) if end - start > 2]
    if not lanes:
        return dict(row)
    over = covered(row, column, links)
    spans = [(row[u], row[v], column[v]) for u, v in links if row[u] != row[v]]
    order = list(range(count))  # the row that stands at each place
    best = crossings(order, spans, over)
    for start, end in lanes:
        for _ in range(SWEEPS):
            before = best
            for tried in [by_mean(order, spans, start, end), *swaps(order, start, end)]:
                cost = crossings(tried, spans, over)
                if cost < best:
                    order, best = tried, cost
            if best == before:
                break
    place = {r: k for k, r in enumerate(order)}
    return {i: place[r] for i, r in row.items()}


def covered(
    row: Mapping[int, int], column: Mapping[int, int], links: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return how much it costs a line to run up or down through each cell (row, column)."""
    found: dict[tuple[int, int], int] = defaultdict(int)
    for i, r in row.items():
        found[r, column[i]] += CARD
    for u, v in links:
        for c in range(column[u] + 1, column[v]):
            found[row[u], c] += 1
    return found


def crossings(order: Sequence[int], spans: Sequence[Span], over: Mapping[tuple[int, int], int]) -> float:
    """Return what upright lines cross where rows stand in this order; a tie goes to shorter lines."""
    place = {r: k for k, r in enumerate(order)}
    cost = 0.0
    for a, b, c in spans:
        low, high = sorted((place[a], place[b]))
        cost += 0.01 * (high - low)
        for k in range(low + 1, high):
            cost += over.get((order[k], c), 0)
    return cost


def by_mean(order: Sequence[int], spans: Sequence[Span], start: int, end: int) -> list[int]:
    """Return the order in which each row of a lane stands by the mean of the rows that it is joined to."""
    place = {r: k for k, r in enumerate(order)}
    joined: dict[int, list[int]] = defaultdict(list)
    for a, b, _ in spans:
        joined[a].append(place[b])
        joined[b].append(place[a])
    rows = sorted(order[start:end], key=lambda r: sum(joined[r]) / len(joined[r]) if joined[r] else place[r])
    return [*order[:start], *rows, *order[end:]]


def swaps(order: Sequence[int], start: int, end: int) -> list[list[int]]:
    """Return the orders in which two rows of a lane, one below the other, have changed places."""
    found = []
    for k in range(start, end - 1):
        tried = list(order)
        tried[k], tried[k + 1] = tried[k + 1], tried[k]
        found.append(tried)
    return found
