"""The option ``show``: it is read here, and turned into marks on nodes and edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from tinygraph.drawing.style.numbers import narrow_number
from tinygraph.graph.data import Graph
from tinygraph.graph.paths import route

__all__ = ["Highlight", "Show", "named_in", "read_show"]


class Highlight(NamedTuple):
    """What a picture emphasizes.

    Attributes:
        show: which lines are drawn: "forward", "backward" or "both".
        badges: a last line on some cards, by node; one that begins with "!" is a warning.
        strong: nodes whose cards are outlined.
        sick: those of them that are outlined as faults.
        nodes: nodes that are not pale; None for all.
        edges: edges (source, target) that are not pale; None for all.
        caption: a line below the picture.
        current: nodes at which a picture of one step is.
        thick: lines that this step follows: (source, target, operand, "value" or "grad").
    """

    show: str
    badges: Mapping[int, str] = MappingProxyType({})
    strong: frozenset[int] = frozenset()
    sick: frozenset[int] = frozenset()
    nodes: frozenset[int] | None = None
    edges: frozenset[tuple[int, int]] | None = None
    caption: str = ""
    current: frozenset[int] = frozenset()
    thick: frozenset[tuple[int, int, str, str]] = frozenset()


Show: TypeAlias = str | Sequence[str] | Highlight


def read_show(graph: Graph, show: Show) -> Highlight:
    """Read the option ``show``.

    Args:
        graph: the graph that is drawn.
        show: a word, the names of nodes that a path goes through, or a Highlight, which is returned.

    Returns:
        What to emphasize.

    Raises:
        ValueError: it is none of these, or no path goes through these nodes.
        KeyError: a name is none of the graph's.
    """
    if isinstance(show, Highlight):
        return show
    if show in ("forward", "backward", "both"):
        return Highlight(show)
    if show == "gradient":
        advice = "run backward() first, or draw what grad(…, create_graph=True) returns"
        raise ValueError(f"show is 'gradient', and the graph has no gradient: {advice}")
    if show == "memory":
        return mark_memory(graph)
    if show == "health":
        return mark_health(graph)
    if len(names := named_in(show)) >= 2:
        nodes, edges = route(graph, *names)
        said = f"ways through {' → '.join(map(str, names))}"
        return Highlight("both", nodes=frozenset(nodes), edges=frozenset(edges), caption=said)
    known = "'forward', 'backward', 'both', 'gradient', 'memory', 'health', 'path=x,y' or a tuple of names"
    raise ValueError(f"show is {show!r}; it must be {known}")


def named_in(show: Show) -> tuple[str, ...]:
    """Return the names of nodes that the option ``show`` has.

    >>> named_in("path=x, y"), named_in("both")
    (('x', 'y'), ())
    """
    if isinstance(show, Highlight):
        return ()
    if isinstance(show, str):
        return tuple(n.strip() for n in show.removeprefix("path=").split(",")) if show.startswith("path=") else ()
    return tuple(show)


def mark_memory(graph: Graph) -> Highlight:
    """Outline what keeps arrays for the backward pass."""
    kept = {n.id: n.saved for n in graph.nodes if n.saved}
    total = f"{sum(kept.values()):,}".replace(",", "\u2009")
    said = (
        f"outlined: keeps arrays for the backward pass, {total} B in all; an array that two nodes keep counts in both"
    )
    badges = {i: f"keeps {count:,} B".replace(",", "\u2009") for i, count in kept.items()}
    return Highlight("forward", badges, frozenset(kept), caption=said)


def mark_health(graph: Graph) -> Highlight:
    """Mark what is sick: NaN, infinities, all zero, gradients far larger than the usual one."""
    norms = sorted(n.grad.norm for n in graph.nodes if n.grad and n.grad.norm)
    usual = norms[len(norms) // 2] if norms else 0.0
    found: dict[int, str] = {}
    for n in graph.nodes:
        signs = []
        for what, s in (("value", n.value), ("gradient", n.grad)):
            if s is None or graph.is_number(n.id):
                continue
            signs += [f"{count} {name} in {what}" for count, name in ((s.nans, "NaN"), (s.infs, "inf")) if count]
            if s.zeros and s.min == s.max == 0 and n.op:
                signs.append(f"{what} all zero")
        if n.grad and n.grad.norm and n.grad.norm > 100 * usual:
            signs.append(f"gradient {narrow_number(n.grad.norm / usual)}× the usual")
        if signs:
            found[n.id] = "!" + ", ".join(signs)
    said = (
        f"health: {len(found)} of {len(graph.nodes)} nodes marked"
        if found
        else "health: no NaN, no infinity, nothing all zero, no huge gradient"
    )
    return Highlight("both", found, frozenset(found), frozenset(found), caption=said)
