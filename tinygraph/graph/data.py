"""The graph as data: frozen, numbered in topological order, with no live object in it.

Whatever draws, rewrites, exports or teaches reads this and nothing else. docs/graph.md has the JSON schema.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Callable
from typing import Any

from tinygraph.engine.lazy_import import Later

__all__ = ["Edge", "Graph", "Node", "Summary"]

SCHEMA = "tinygraph/1"
Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What an array looks like: its statistics, and if it is small its elements in C order.

    Mean and the like are of the finite elements, and None where there are none; ``histogram`` counts them
    in equal bins from min to max.
    """

    shape: Shape
    dtype: str
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    zeros: int
    nans: int
    infs: int
    nbytes: int
    norm: float | None = None
    histogram: tuple[int, ...] = ()
    values: tuple[Any, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Edge:
    """One operand of a node.

    ``source`` is the index of its node, ``operand`` its name in the op's definition, ``partial`` the LaTeX
    template of the local derivative, ``copies`` how many times a broadcast used each of its elements,
    and ``grad`` what came back along this edge: one of the contributions that are added up in the source.
    """

    source: int
    operand: str
    partial: str = ""
    copies: int = 1
    grad: Summary | None = None


@dataclasses.dataclass(frozen=True)
class Node:
    """One value: the op and its result.

    ``kind`` is "op", "input", "parameter" or "constant"; a leaf has no op. ``tex`` is the LaTeX template of
    the definition and ``says`` its sentence, ``$x`` standing for the operand x. ``grad_state`` is
    "computed", "pending" (backward has not run), "unused" (it ran and never came here) or "none" (not
    differentiated). ``saved`` is the bytes of arrays that its derivative lines keep.
    """

    id: int
    op: str | None
    kind: str
    family: str
    shape: Shape
    dtype: str
    name: str | None = None
    scope: tuple[str, ...] = ()
    inputs: tuple[Edge, ...] = ()
    params: tuple[tuple[str, Any], ...] = dataclasses.field(default=(), hash=False)  # dicts are among them
    tex: str = ""
    says: str = ""
    requires_grad: bool = False
    value: Summary | None = None
    grad: Summary | None = None
    grad_state: str = "none"
    saved: int = 0


@dataclasses.dataclass(frozen=True)
class Graph:
    """A computation as data: inputs before outputs.

    Attributes:
        nodes: each node's ``id`` is its place here, and its inputs stand before it.
        outputs: ids of the tensors that were asked for.
        notes: what a reader of the values must know, such as that a leaf has changed since.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()

    svg = Later("tinygraph.drawing.formats.svg", "svg")
    text = Later("tinygraph.drawing.formats.text", "text")
    to_dot = Later("tinygraph.drawing.formats.dot", "to_dot")
    _repr_mimebundle_ = Later("tinygraph.drawing.api", "mimebundle")

    def __post_init__(self) -> None:
        for place, node in enumerate(self.nodes):
            if node.id != place:
                raise ValueError(f"Graph: node {place} says that its id is {node.id!r}")
            if bad := [e.source for e in node.inputs if not 0 <= e.source < place]:
                raise ValueError(f"Graph: node {place} takes inputs {bad}, which do not stand before it")
        if bad := [i for i in self.outputs if not 0 <= i < len(self.nodes)]:
            raise ValueError(f"Graph: outputs {bad} are none of its {len(self.nodes)} nodes")

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes, outputs {', '.join(map(self.label, self.outputs))}>"

    @functools.cached_property
    def consumers(self) -> tuple[tuple[tuple[int, Edge], ...], ...]:
        """For each node, the (consumer, edge) pairs that use its value, in order."""
        found: list[list[tuple[int, Edge]]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for edge in node.inputs:
                found[edge.source].append((node.id, edge))
        return tuple(map(tuple, found))

    def find(self, name: str) -> Node:
        """Return the node of that name, or ``#id``, or ``scope/name``.

        Raises:
            KeyError: there is none, or more than one; the message lists the names.
        """
        hits = [n for n in self.nodes if name in (n.name, f"#{n.id}", "/".join((*n.scope, n.name or "")))]
        if len(hits) == 1:
            return hits[0]
        names = ", ".join(dict.fromkeys(n.name for n in self.nodes if n.name))
        raise KeyError(f"{len(hits)} nodes are named {name!r}; the names are: {names}; or write #id, or scope/name")

    def label(self, i: int) -> str:
        """Return what to call node ``i``: its name, the value of an unnamed scalar constant, or ``#i``."""
        node = self.nodes[i]
        if node.name:
            return node.name
        if self.is_number(i):
            return number(node.value.values[0])  # type: ignore[union-attr,index]
        return f"#{i}"

    def is_number(self, i: int) -> bool:
        """Whether node ``i`` is an unnamed scalar constant, such as ε: a number in its consumer's definition."""
        node = self.nodes[i]
        scalar = node.kind == "constant" and not node.name and node.shape == ()
        return scalar and node.value is not None and bool(node.value.values)

    def inlines(self, i: int) -> bool:
        """Whether node ``i`` reads best inside the formula of its only consumer: v + ε in σ = √(v + ε)."""
        node = self.nodes[i]
        known = all(self.nodes[e.source].name or self.is_number(e.source) for e in node.inputs)
        return (
            bool(node.op) and not node.name and node.family == "elementwise" and known and len(self.consumers[i]) == 1
        )

    def definition(self, i: int, spell: Callable[[str], str] = str) -> str:
        """Return the LaTeX of how node ``i`` is made; ``spell`` turns a label into LaTeX."""
        node = self.nodes[i]
        return fill(node.tex, self.facts(i, spell)) if node.op else spell(self.label(i))

    def local(self, i: int, edge: Edge, spell: Callable[[str], str] = str) -> str:
        """Return the LaTeX of the derivative of node ``i`` in the operand on ``edge``."""
        return fill(edge.partial, self.facts(i, spell, edge))

    def sentence(self, i: int) -> str:
        """Return the English sentence that says what node ``i`` does."""
        return fill(self.nodes[i].says, self.facts(i))

    def facts(self, i: int, spell: Callable[[str], str] = str, edge: Edge | None = None) -> dict[str, str]:
        """Return what fills the holes in the templates of node ``i``: operands, ``out``, parameters.

        For the local derivative on ``edge`` there is also ``n``: how many elements went into one.
        """
        node = self.nodes[i]
        found = {name: param_text(value) for name, value in node.params}
        found |= {e.operand: spell(self.label(e.source)) for e in node.inputs}
        found |= {"out": spell(self.label(i)), "xs": ", ".join(spell(self.label(e.source)) for e in node.inputs)}
        if edge:
            found["n"] = str(math.prod(self.nodes[edge.source].shape) // max(math.prod(node.shape), 1))
        return found

    def copied_axes(self, i: int, edge: Edge) -> tuple[int, ...]:
        """Return the axes of node ``i`` along which the operand on ``edge`` was copied: the gradient sums over them."""
        small, large = self.nodes[edge.source].shape, self.nodes[i].shape
        lead = len(large) - len(small)
        copied = [a for a, n in enumerate(large) if a < lead or small[a - lead] == 1 != n]
        return tuple(copied) if edge.copies > 1 else ()

    def to_json(self, indent: int | None = None) -> str:
        """Return the graph as JSON (schema in docs/graph.md); nan and the infinities are strings."""
        raw = {"schema": SCHEMA, **dataclasses.asdict(self)}
        return json.dumps(spelled(raw), ensure_ascii=False, indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """Read a graph back.

        Raises:
            ValueError: the text is no JSON, not of this schema, or not a graph; the message says where.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"Graph.from_json: this is no JSON: {error}") from None
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
            raise ValueError(f"Graph.from_json: the schema must be {SCHEMA!r}, and is {found!r}")
        try:
            nodes = tuple(_node(place, n) for place, n in enumerate(raw["nodes"]))
            return cls(nodes, tuple(raw["outputs"]), tuple(raw["notes"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"Graph.from_json: not a graph: {error}") from None


def _node(place: int, raw: dict[str, Any]) -> Node:
    """Read one node; say which, if it is wrong."""
    try:
        edges = tuple(Edge(**{**e, "grad": _summary(e["grad"])}) for e in raw["inputs"])
        parts = {"inputs": edges, "value": _summary(raw["value"]), "grad": _summary(raw["grad"])}
        params = tuple((name, value) for name, value in raw["params"])
        return Node(**{**raw, **parts, "params": params, "shape": tuple(raw["shape"]), "scope": tuple(raw["scope"])})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"Graph.from_json: node {place}: {type(error).__name__}: {error}") from None


def _summary(raw: dict[str, Any] | None) -> Summary | None:
    if raw is None:
        return None
    read: dict[str, Any] = {k: float(v) if isinstance(v, str) and k != "dtype" else v for k, v in raw.items()}
    values = raw["values"]
    read["values"] = None if values is None else tuple(float(v) if isinstance(v, str) else v for v in values)
    return Summary(**{**read, "shape": tuple(raw["shape"]), "histogram": tuple(raw["histogram"])})


def spelled(x: Any) -> Any:
    """Spell the floats that JSON has no number for."""
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    if isinstance(x, dict):
        return {k: spelled(v) for k, v in x.items()}
    return [spelled(v) for v in x] if isinstance(x, list | tuple) else x


def fill(template: str, facts: dict[str, str]) -> str:
    """Put facts into a template: ``$x`` is the fact x; an empty sub- or superscript goes."""
    text = re.sub(r"\$([A-Za-z]+)", lambda m: facts.get(m[1], m[0]), template)
    return re.sub(r"[_^]\{\}", "", text)


def number(x: Any) -> str:
    """Write a number as short as it is exact: 3, 0.5, 1e-05, True."""
    if isinstance(x, bool) or not isinstance(x, int | float):
        return str(x)
    return str(int(x)) if math.isfinite(x) and x == int(x) and abs(x) < 1e15 else f"{x:.6g}"


def param_text(value: Any) -> str:
    """Write a parameter for a person: ``0``, ``0,2,3``, ``1:, 2``; None is nothing."""
    if value is None:
        return ""
    if isinstance(value, dict):
        if "slice" in value:
            start, stop, step = map(param_text, value["slice"])
            return f"{start}:{stop}" + f":{step}" * bool(step)
        if "tuple" in value:
            return param_text(value["tuple"])
        return f"array{value['shape']}" if "array" in value else value.get("dtype") or value.get("float", "…")
    if isinstance(value, list | tuple):
        return ",".join("None" if v is None else param_text(v) for v in value)
    return number(value)
