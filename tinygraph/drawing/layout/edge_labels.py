"""The labels on edges: what each says, and where along its line it may stand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from tinygraph.drawing.layout.card import FEW_PARTS
from tinygraph.drawing.layout.distances import COMPACT, NORMAL, Spacing
from tinygraph.drawing.layout.geometry import Point, Rect, segments
from tinygraph.drawing.layout.grid import CellPlan, Link
from tinygraph.drawing.layout.inside import drop_start
from tinygraph.drawing.layout.labels import axes_words, contributions, local_runs
from tinygraph.drawing.style.conventions import numeral
from tinygraph.drawing.style.formula import SPACE, UP, Runs, clip_runs, join_runs, text_of, width_of, words
from tinygraph.graph.batch_axis import reduced_axes
from tinygraph.graph.data import Edge, Graph

__all__ = ["WIDEST", "chip_height", "chip_labels", "chip_width", "label_places"]

WIDEST = 210.0  # pixels: a longer label is cut off


def chip_labels(graph: Graph, plan: CellPlan, show: str, space: Spacing = NORMAL) -> dict[tuple[int, str], Runs]:
    """Return labels by (link, ink): forward what is copied or reduced, backward the local derivative and its sum.

    In a column of a paper what is reduced is said on the card alone.
    """
    found: dict[tuple[int, str], Runs] = {}
    for link in plan.links:
        node, source = graph.nodes[link.v], graph.nodes[link.edge.source]
        if node.kind in ("scope", "stub"):
            continue
        copied = graph.copied_axes(link.v, link.edge)
        crossed = plan.lane[link.u] - plan.lane[link.v]
        if show != "backward" and crossed > 0 and copied:
            found[link.k, "value"] = words(f"copy ×{link.edge.copies} ↑")
        reduces = show != "backward" and crossed < 0 and space is not COMPACT
        if reduces and node.family == "reduction" and "," not in (node.op or ""):
            over = axes_words(reduced_axes(dict(node.params), len(source.shape)), len(source.shape))
            label = words(f"{node.op} over {over} ↓")
            found[link.k, "value"] = clip_runs(label, space.letters, WIDEST)
        if show == "forward" or not link.back or not link.edge.partial:
            continue
        number = [e for _, e in contributions(graph, link.edge.source)]
        mark = (
            f"{numeral(place)}{SPACE}"
            if 1 < len(number) <= FEW_PARTS and (place := index_of(number, link.edge)) >= 0
            else ""
        )
        arrow = f"{SPACE}↓" if crossed > 0 else f"{SPACE}↑" if crossed < 0 else ""
        found[link.k, "grad"] = clip_runs(
            join_runs((*words(mark), *factor_runs(graph, link, copied), *words(arrow))), space.letters, WIDEST
        )
    return found


def index_of(edges: Sequence[Edge], edge: Edge) -> int:
    """Return the place of this very edge."""
    return next((k for k, e in enumerate(edges) if e is edge), -1)


def factor_runs(graph: Graph, link: Link, copied: Sequence[int]) -> Runs:
    """Write what a gradient is multiplied by on an edge, and over what it is then summed."""
    node, source = graph.nodes[link.v], graph.nodes[link.edge.source]
    runs = local_runs(graph, link.v, link.edge)
    text = text_of(runs).strip()
    spread = node.family == "reduction" and "," not in (node.op or "")
    copies = math.prod(source.shape) // max(math.prod(node.shape), 1)
    if copied:
        total = words(f"Σ {axes_words(copied, len(node.shape))}")
        if text == "1":
            return total
        if text == "−1":
            return join_runs((*words("−"), *total))
        return join_runs((*total, *words(" (· "), *runs, *words(")")))
    if spread and copies > 1 and text == "1":
        return words(f"copy ×{copies}")
    if spread and copies > 1 and text == f"1/{copies}":
        return words(f"÷ {copies}, copy ×{copies}")
    if text.startswith(("·", "∗")) or text.endswith(("·", "⋆")) or "·)" in text or node.family == "shape":
        return runs if text != "1" else words(f"{node.op} back")
    if text.startswith("1/"):
        return join_runs((*words("÷ "), *drop_start(runs, 2)))
    if is_sum(runs):
        runs = (*words("("), *runs, *words(")"))
    return join_runs((*words("× "), *runs))


def is_sum(runs: Runs) -> bool:
    """Whether a formula is a sum at its outermost: a factor needs brackets around it."""
    line = "".join(run.text for run in runs if not run.rise)
    while (inner := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", line)) != line:
        line = inner
    return bool(re.search(rf"{SPACE}[−+]{SPACE}", line))


def chip_width(runs: Runs, space: Spacing) -> float:
    """Return how wide a chip is."""
    return width_of(runs, space.letters) + (10 if space is not COMPACT else 7)


def chip_height(runs: Runs, space: Spacing) -> float:
    """Return how high a chip is: more than usual where an exponent has an exponent."""
    return space.label + max(0.0, max(run.rise for run in runs) - UP) * space.letters


SHARES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85, 0.08, 0.92)
FINE = tuple(k / 40 for k in range(1, 40))
CLEAR = 5.5  # from a line to a label beside it, so that the label misses the line's head


def label_places(points: Sequence[Point], w: float, h: float, ink: str) -> Iterable[tuple[float, Rect]]:
    """Yield where a label could go along a line, best first: (cost, rectangle)."""
    options = []
    pieces = list(segments(points))
    lengths = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pieces]
    longest = max(lengths)
    for (a, b), length in zip(pieces, lengths, strict=True):
        flat = a[1] == b[1]
        shorter = 3.0 * (1 - length / longest)
        for share in FINE if length > 150 else SHARES:
            x, y = a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
            off = abs(share - 0.5) * 4 + shorter
            if flat:
                inside = 0.0 if w + 8 <= length else 2.0
                for dy, cost in ((h / 2 + CLEAR, 0.0), (-h / 2 - CLEAR, 0.3), (0.0, 0.8)):
                    options.append((off + cost + inside, (x - w / 2, y + dy - h / 2, x + w / 2, y + dy + h / 2)))
            else:
                sign = 1.0 if ink == "grad" else -1.0
                for dx, cost in (
                    (sign * (w / 2 - 9), 0.0),
                    (0.0, 0.5),
                    (-sign * (w / 2 - 9), 0.9),
                    (sign * (w / 2 + 6), 1.0),
                    (-sign * (w / 2 + 6), 1.2),
                ):
                    options.append((off + cost, (x + dx - w / 2, y - h / 2, x + dx + w / 2, y + h / 2)))
    return sorted(options)
