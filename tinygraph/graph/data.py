"""The graph as data: frozen, numbered in topological order, with no live object in it.

Whatever draws, rewrites, exports or teaches reads this and nothing else. docs/graph.md has the JSON schema.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from tinygraph.engine.errors import clean
from tinygraph.engine.lazy_import import Later
from tinygraph.engine.types import Shape
from tinygraph.graph import schema

MANY = 24  # operands that a formula lists
STEERING = "[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # steers a terminal, or is half a pair

__all__ = [
    "STRETCH", "Edge", "Graph", "Node", "Summary", "bracketed", "brief_name", "result_name", "write_number",
    "write_param",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Summary:
    """Statistics of an array, and of a small one its elements.

    Attributes:
        shape: length of each axis.
        dtype: name of the type of an element; "float", "int", "bool" or "none" for a Python value.
        mean: of the finite elements, as are the next three; None where there are none.
        std: biased standard deviation.
        min: the least.
        max: the greatest.
        zeros: how many elements are 0.
        nans: how many are nan.
        infs: how many are infinite.
        nbytes: memory of the array.
        norm: square root of the sum of squares of the finite elements.
        histogram: counts in equal bins from min to max; empty if all values are listed.
        values: all elements in C order; None if the array is large.
        masked: how many elements a mask has put far below all others, as -1e9 before a softmax; no figure above but
            the counts regards them.
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
    masked: int = 0


@dataclasses.dataclass(frozen=True)
class Edge:
    """One operand of a node.

    Attributes:
        source: id of the node whose value the operand is.
        operand: its name in the op's definition.
        partial: LaTeX template of the local derivative.
        copies: how many times a broadcast used each of its elements.
        grad: what came back along this edge: one of the contributions that are added up in the source.
    """

    source: int
    operand: str
    partial: str = ""
    copies: int = 1
    grad: Summary | None = None


@dataclasses.dataclass(frozen=True)
class Node:
    """One value: an op and its result, or a leaf.

    Attributes:
        id: its place in the graph.
        op: name of the op; None for a leaf.
        kind: "op", "input", "parameter" or "constant"; "scope" for a card that stands for several nodes.
        family: "elementwise", "reduction" and so on; the kind of a leaf.
        shape: length of each axis.
        dtype: name of the type of an element.
        name: what the user calls it.
        scope: names of the boxes that it is in, outer before inner.
        inputs: its operands, in the op's order.
        params: the op's other arguments, by name, in what JSON has.
        tex: LaTeX template of the definition; ``$x`` stands for the operand x.
        says: template of a sentence that says what the op does.
        requires_grad: whether gradients reach it.
        value: what was computed.
        grad: its gradient.
        grad_state: "computed", "pending" (backward has not run), "unused" (backward ran and sent it nothing) or "none"
            (not differentiated).
        saved: bytes of arrays that its derivative lines keep.
        at: where it was made, such as "model.py:12"; empty where that is not known.
        batch: axes of its value that carry the batch, ascending; None where nobody has followed them.
        derives: of an op that a recorded backward pass made: (id of the node, which of its inputs) whose derivative
            line it belongs to, or (id of the node, -1) if it adds up that node's gradient; None of any other.
        gradient_of: of a gradient that was recorded: (id of the value that it is the gradient of, number of the
            backward pass), several where a derivative is 1.
        members: in a graph that was made for a picture, ids of the nodes of the snapshot that it stands for. No part
            of the data: JSON leaves it out, and equal graphs may differ in it.
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
    at: str = ""
    batch: tuple[int, ...] | None = None
    derives: tuple[int, int] | None = None
    gradient_of: tuple[tuple[int, int], ...] = ()
    members: tuple[int, ...] = dataclasses.field(default=(), compare=False, repr=False)

    @property
    def parts(self) -> tuple[int, ...]:
        """Ids of the nodes of the snapshot that it stands for: its own, where it is one of them."""
        return self.members or (self.id,)

    @property
    def number(self) -> int:
        """What it is called where it has no name, ``#15``: its id in the snapshot."""
        return self.parts[-1]

    def moved(self, place: int, target: Mapping[int, int], tags: Mapping[int, int] | None = None) -> Node:
        """Return the node under another id, in a graph in which other nodes have other ids, too.

        Args:
            place: its id there.
            target: id of each of its inputs here -> id there.
            tags: the same for nodes that it may be derived from; those that are missing are forgotten.
        """
        tags = target if tags is None else tags
        edges = tuple(
            e if target[e.source] == e.source else Edge(target[e.source], e.operand, e.partial, e.copies, e.grad)
            for e in self.inputs
        )
        derives = (tags[self.derives[0]], self.derives[1]) if self.derives and self.derives[0] in tags else None
        of = tuple((tags[i], number) for i, number in self.gradient_of if i in tags)
        parts = self.parts if place != self.id or self.members else ()
        if (place, edges, derives, of) == (self.id, self.inputs, self.derives, self.gradient_of):
            return self
        return dataclasses.replace(self, id=place, inputs=edges, derives=derives, gradient_of=of, members=parts)


@dataclasses.dataclass(frozen=True)
class Graph:
    """A computation as data: inputs before outputs. Equal graphs are equal, and have one hash.

    Attributes:
        nodes: each node's ``id`` is its place here, and its inputs stand before it.
        outputs: ids of the tensors that the snapshot was taken of.
        notes: what a reader of the values must know, such as that a leaf has changed since.
        loss: in a picture of a part of a graph, the name of what is differentiated; None where the outputs say it. No
            part of the data, as ``members`` of a node.

    Raises:
        ValueError: an id is not the node's place, an input does not stand before its node, or an output is no node.

    >>> from tinygraph import Tensor, snapshot
    >>> snapshot((Tensor([1.0], name="x") * 2).named("y"))
    <Graph of 3 nodes, outputs y>
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    loss: str | None = dataclasses.field(default=None, compare=False, repr=False)

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
        return f"<Graph of {len(self.nodes)} nodes, outputs {clean(', '.join(map(self.label, self.outputs)))}>"

    @functools.cached_property
    def consumers(self) -> tuple[tuple[tuple[int, Edge], ...], ...]:
        """For each node, the (consumer, edge) pairs that use its value, in order."""
        found: list[list[tuple[int, Edge]]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for edge in node.inputs:
                found[edge.source].append((node.id, edge))
        return tuple(map(tuple, found))

    @functools.cached_property
    def repeated_names(self) -> frozenset[str]:
        """The names that several nodes have: each needs its number beside it; a value that is there twice, none."""
        names = {
            ((n.kind == "scope" and result_name(n)) or n.name, id(n.value or n)) for n in self.nodes if n.kind != "stub"
        }
        counts = collections.Counter(name for name, _ in names if name)
        return frozenset(name for name, count in counts.items() if count > 1)

    def find(self, name: str) -> Node:
        """Return the node of a name.

        Args:
            name: the node's name, or ``#id``, or ``scope/name``. If a value and the same elements in another shape have
                one name, it is the value.

        Raises:
            KeyError: there is none, or more than one; the message lists the names.

        >>> from tinygraph import Tensor, snapshot
        >>> graph = snapshot((Tensor([1.0], name="x") * 2).named("y"))
        >>> graph.find("y").op, graph.find("#0").name
        ('mul', 'x')
        """
        hits = [n for n in self.nodes if name in (n.name, f"#{n.number}", "/".join((*n.scope, n.name or "")))]
        rest = [n for n in hits[1:] if n.family != "shape" or n.inputs[0].source != hits[0].id]
        if hits and not rest:  # a parameter that is laid out anew keeps its name
            return hits[0]
        names = clean(", ".join(dict.fromkeys(n.name for n in self.nodes if n.name)))
        raise KeyError(f"{len(hits)} nodes are named {name!r}; the names are: {names}; or write #id, or scope/name")

    def label(self, i: int) -> str:
        """Return what to call a node.

        Args:
            i: id of the node.

        Returns:
            Its name, with ``#i`` where another node is called so, too; without one, the value of a scalar constant;
            else ``#i``.
        """
        node = self.nodes[i]
        if node.name:
            name = (node.kind == "scope" and result_name(node)) or node.name
            return f"{name}#{node.number}" if name in self.repeated_names else name
        if self.is_number(i) and node.value and node.value.values:
            return write_number(node.value.values[0])
        return f"#{node.number}"

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
        """Return the LaTeX of how a node is made.

        Args:
            i: id of the node.
            spell: turns a label into LaTeX.

        Returns:
            The definition filled with the labels of the operands; of a leaf, its label.
        """
        node = self.nodes[i]
        return fill(node.tex, self.facts(i, spell)) if node.op else spell(self.label(i))

    def local(self, i: int, edge: Edge, spell: Callable[[str], str] = str) -> str:
        """Return the LaTeX of a local derivative.

        Args:
            i: id of the node.
            edge: one of its inputs.
            spell: turns a label into LaTeX.
        """
        return fill(edge.partial, self.facts(i, spell, edge))

    def sentence(self, i: int, spell: Callable[[str], str] = str) -> str:
        """Return the English sentence that says what a node does.

        Args:
            i: id of the node.
            spell: turns a label into what a reader of the sentence sees.
        """
        facts = self.facts(i, spell)
        return fill(self.nodes[i].says, facts | {"axis": facts.get("axis") or "all axes"})

    def facts(self, i: int, spell: Callable[[str], str] = str, edge: Edge | None = None) -> dict[str, str]:
        """Return the text for each hole in the templates of a node.

        Args:
            i: id of the node.
            spell: turns a label into LaTeX.
            edge: the input whose local derivative is filled, if it is one.

        Returns:
            A text for each operand and parameter by its name, for the result (``out``) and for all operands (``xs``);
            with ``edge`` also ``n``, how many elements of the operand went into one of the result.
        """
        node = self.nodes[i]
        found = {name: write_param(value) for name, value in node.params}
        named = {e.operand: e.source for e in node.inputs if not edge or f"${e.operand}" in edge.partial}
        found |= {name: spell(bracketed(self.label(source))) for name, source in named.items()}
        listed = ("…" if k is None else spell(self.label(k)) for k in self.listed_operands(i))
        found |= {"out": spell(self.label(i)), "xs": ", ".join(listed)}
        if edge:
            found["n"] = str(math.prod(self.nodes[edge.source].shape) // max(math.prod(node.shape), 1))
        return found

    def listed_operands(self, i: int) -> list[int | None]:
        """Return the ids of a node's operands; of very many, the first ones, None for those left out, and the last.

        Args:
            i: id of the node.
        """
        sources: list[int | None] = [e.source for e in self.nodes[i].inputs]
        return sources if len(sources) <= MANY else [*sources[:3], None, sources[-1]]

    def copied_axes(self, i: int, edge: Edge) -> tuple[int, ...]:
        """Return the axes along which an operand was copied; its gradient is the sum over them.

        Args:
            i: id of the node.
            edge: one of its inputs.

        Returns:
            Axes of the node's value, ascending; () where nothing was copied.
        """
        small, large = self.nodes[edge.source].shape, self.nodes[i].shape
        lead = len(large) - len(small)
        copied = [a for a, n in enumerate(large) if a < lead or small[a - lead] == 1 != n]
        return tuple(copied) if edge.copies > 1 else ()

    def to_json(self, indent: int | None = None) -> str:
        """Return the graph as JSON; docs/graph.md has the schema.

        Args:
            indent: how far to indent each level; None writes one line.

        Returns:
            Text that `from_json` reads back; nan and the infinities are strings in it.
        """
        raw = {"schema": schema.SCHEMA, **dataclasses.asdict(self)}
        for part in (raw, *raw["nodes"]):
            part.pop("members" if part is not raw else "loss")
        text = json.dumps(encode_floats(raw), ensure_ascii=False, indent=indent, allow_nan=False)
        return re.sub(STEERING, lambda c: f"\\u{ord(c[0]):04x}", text)

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """Return the graph that `to_json` wrote.

        Args:
            text: JSON of the schema in docs/graph.md, or of "tinygraph/1".

        Raises:
            ValueError: the text is no JSON, of another schema, or no graph; one line says which node and field it is.

        >>> from tinygraph import Tensor, snapshot
        >>> graph = snapshot(Tensor([1.0], name="x") * 2)
        >>> Graph.from_json(graph.to_json()) == graph
        True
        """
        raw = schema.read(text)
        return cls(tuple(map(read_node, raw["nodes"])), tuple(raw["outputs"]), tuple(raw["notes"]))


def result_name(node: Node) -> str:
    """Return what the one result of a collapsed scope is called; nothing if it has no name, or there are several."""
    names = dict(node.params).get("results") or []
    return names[0] or "" if len(names) == 1 else ""


STRETCH = re.compile(r"^ops (\d+)–(\d+): ")  # how the name of the card of a stretch of ops begins


def brief_name(node: Node) -> str | None:
    """Return the name of a node; of the card of a stretch of ops, without the list of these.

    >>> brief_name(Node(0, None, "scope", "scope", (), "float64", "ops 1–5: 2 mul, 3 tanh"))
    'ops 1–5'
    """
    found = STRETCH.match(node.name or "") if node.kind == "scope" else None
    return found[0].removesuffix(": ") if found else node.name


def read_node(raw: dict[str, Any]) -> Node:
    """Return a node from what JSON has."""
    edges = tuple(Edge(**{**e, "grad": read_summary(e["grad"])}) for e in raw["inputs"])
    parts: dict[str, Any] = {"inputs": edges}
    parts |= {"value": read_summary(raw["value"]), "grad": read_summary(raw["grad"])}
    params = tuple((name, value) for name, value in raw["params"])
    parts |= {name: tuple(raw[name]) for name in ("batch", "derives") if raw.get(name) is not None}
    parts["gradient_of"] = tuple((value, number) for value, number in raw.get("gradient_of", ()))
    return Node(**{**raw, **parts, "params": params, "shape": tuple(raw["shape"]), "scope": tuple(raw["scope"])})


def read_summary(raw: dict[str, Any] | None) -> Summary | None:
    """Return a summary from what JSON has."""
    if raw is None:
        return None
    read = {name: read_float(x) for name, x in raw.items() if name != "dtype"}
    if raw["values"] is not None:
        read["values"] = (
            tuple(map(read_float, raw["values"])) if schema.is_numeric(raw["dtype"]) else tuple(raw["values"])
        )
    return Summary(
        **{**read, "dtype": raw["dtype"], "shape": tuple(raw["shape"]), "histogram": tuple(raw["histogram"])}
    )


def read_float(x: Any) -> Any:
    """Return the float that a string stands for; anything else as it is."""
    return float(x) if isinstance(x, str) else x


def encode_floats(x: Any) -> Any:
    """Return nested values with a string in the place of each float that JSON has no number for."""
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    if isinstance(x, dict):
        return {k: encode_floats(v) for k, v in x.items()}
    return [encode_floats(v) for v in x] if isinstance(x, list | tuple) else x


def bracketed(label: str) -> str:
    """Put a label that is a quotient, as that of a gradient is, in brackets, for use in a formula.

    >>> bracketed("∂L/∂x"), bracketed("x")
    ('(∂L/∂x)', 'x')
    """
    return f"({label})" if label.startswith("∂") and "/∂" in label else label


def fill(template: str, facts: dict[str, str]) -> str:
    """Put a text into each hole of a template, ``$x`` for x; drop a sub- or superscript that is then empty."""
    text = re.sub(r"\$([A-Za-z]+)", lambda m: facts.get(m[1], m[0]), template)
    return re.sub(r"[_^]\{\}", "", text)


def write_number(x: Any) -> str:
    """Return a number in few characters, a fraction in four digits: 3, 0.5, 0.4082, 1e-05, -1e+09, True."""
    if isinstance(x, bool) or not isinstance(x, float):
        return str(x)
    return str(int(x)) if math.isfinite(x) and x == int(x) and abs(x) < 1e6 else f"{x:.4g}"


def write_param(value: Any) -> str:
    """Return a parameter as a reader writes it: ``0``, ``0,2,3``, ``1:, 2``; None is an empty text."""
    if value is None:
        return ""
    if isinstance(value, dict):
        if "slice" in value:
            start, stop, step = map(write_param, value["slice"])
            return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
        if "tuple" in value:
            return write_param(value["tuple"])
        return f"array{value['shape']}" if "array" in value else value.get("dtype") or value.get("float", "…")
    if isinstance(value, list | tuple):
        return ",".join("None" if v is None else write_param(v) for v in value)
    return write_number(value)
