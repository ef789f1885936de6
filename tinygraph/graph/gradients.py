"""Backward passes as facts about values: of each value its gradient, and what each of its uses contributed to it.

`passes` reads them from a graph, whether they were recorded (``create_graph=True``) or came from ``backward()``.
`values_of` gives the graph of the values alone, with the gradients of one pass in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tinygraph.graph.data import Graph, Node, Summary, bracketed

__all__ = ["Part", "Pass", "made_from", "name_gradients", "passes", "values_of"]


class Part(NamedTuple):
    """What one use of a value contributed to its gradient: operand ``i`` of node ``consumer``.

    ``node`` is the node that holds it, -1 where none does.
    """

    consumer: int
    i: int
    grad: Summary | None
    node: int = -1


@dataclasses.dataclass(frozen=True)
class Pass:
    """One backward pass.

    Attributes:
        name: of what is differentiated, such as "L".
        outputs: ids of what is differentiated.
        gradient: id of a value -> its gradient.
        node: id of a value -> id of the node that holds its gradient; empty if the pass was not recorded.
        parts: id of a value -> what its uses contributed, in the order in which they were added.
        made: ids of the nodes that belong to the pass -> the value whose gradient they are part of.
    """

    name: str
    outputs: tuple[int, ...]
    gradient: Mapping[int, Summary]
    node: Mapping[int, int]
    parts: Mapping[int, tuple[Part, ...]]
    made: Mapping[int, int]


def passes(graph: Graph) -> list[Pass]:
    """Return the backward passes that a graph holds: those that were recorded, in order, then that of ``backward()``.

    Args:
        graph: any graph.

    >>> from tinygraph import Tensor, grad, snapshot
    >>> x = Tensor([3.0], name="x")
    >>> dx, = grad((x * x).sum().named("L"), x, create_graph=True)
    >>> [(found.name, len(found.gradient)) for found in passes(snapshot(dx))]
    [('L', 3)]
    """
    totals: dict[int, dict[int, int]] = {}
    for node in graph.nodes:
        for value, number in node.gradient_of:
            totals.setdefault(number, {})[value] = node.id
    found: list[Pass] = []
    taken: set[int] = set()
    for number in sorted(totals):
        found.append(recorded_pass(graph, totals[number], taken, len(found)))
        taken |= found[-1].made.keys()
    if any(n.grad is not None for n in graph.nodes):
        last = computed_pass(graph)
        found += [last] * all(p.outputs != last.outputs for p in found)
    return found


def recorded_pass(graph: Graph, total: Mapping[int, int], taken: Collection[int], number: int) -> Pass:
    """Return the pass in which the gradient of each value is that of a node; ``taken`` belong to earlier passes."""
    parts = {value: tuple(parts_of(graph, value, total)) for value in total}
    outputs = tuple(value for value in sorted(total) if not parts[value])
    gradient = {value: s for value, node in total.items() if (s := graph.nodes[node].value)}
    made = {node: value for value, node in sorted(total.items(), reverse=True) if is_made(graph, node)}
    ends = set(total.values())
    for value in sorted(total, reverse=True):
        stack = [p.node for p in parts[value]] + [total[value]]
        while stack:
            i = stack.pop()
            if i in taken or (i in made and i not in ends) or not is_made(graph, i):
                continue
            made.setdefault(i, value)
            stack += [e.source for e in graph.nodes[i].inputs if e.source not in ends]
    return Pass(name_of(graph.nodes, outputs, number), outputs, gradient, dict(total), parts, made)


def is_made(graph: Graph, i: int) -> bool:
    """Whether a recorded backward pass made node ``i``: an op of it, or a seed or number that it starts with."""
    node = graph.nodes[i]
    seed = node.kind == "constant" and node.scope[:1] == ("grad",)
    return node.derives is not None or seed


def parts_of(graph: Graph, value: int, total: Mapping[int, int]) -> Iterable[Part]:
    """Yield what was added up in the gradient of a value, first to last."""
    addends: list[int] = []
    stack = [total[value]]
    while stack:
        i = stack.pop()
        if graph.nodes[i].derives == (value, -1):
            stack += [e.source for e in reversed(graph.nodes[i].inputs)]
        else:
            addends.append(i)
    used: set[tuple[int, int]] = set()
    for i in addends:
        for consumer, place in origins(graph, value, i, total):
            if (consumer, place) not in used:
                used.add((consumer, place))
                yield Part(consumer, place, graph.nodes[i].value, i)
                break


def origins(graph: Graph, value: int, addend: int, total: Mapping[int, int]) -> Iterable[tuple[int, int]]:
    """Yield the uses of a value that may have contributed ``addend``: whose derivative it is, then where that is 1."""
    made = graph.nodes[addend].derives
    uses = [(c, k) for c, _ in graph.consumers[value] for k, e in enumerate(graph.nodes[c].inputs) if e.source == value]
    if made and made in uses:
        yield made
    yield from (use for use in uses if made and use[0] == made[0])
    yield from (use for use in uses if total.get(use[0]) == addend)


def computed_pass(graph: Graph) -> Pass:
    """Return the pass of ``backward()``, whose gradients are facts of the nodes."""
    gradient = {n.id: n.grad for n in graph.nodes if n.grad is not None}
    parts = {
        i: tuple(Part(c, graph.nodes[c].inputs.index(e), e.grad) for c, e in graph.consumers[i] if e.grad is not None)
        for i in gradient
    }
    outputs = tuple(i for i in graph.outputs if i in gradient)
    return Pass(name_of(graph.nodes, outputs, 0), outputs, gradient, {}, parts, {})


LETTERS = "LPQRS"  # of what is differentiated and has no name, pass by pass


def name_of(nodes: Sequence[Node], outputs: tuple[int, ...], number: int) -> str:
    """Return what to call what is differentiated: its name, or a letter."""
    names, k = {n.name for n in nodes}, min(number, len(LETTERS) - 1)
    letter = LETTERS[k]
    if letter in names:  # of something else
        free = [c for c in reversed(LETTERS) if c not in names] or ["?"]
        letter = free[min(k, len(free) - 1)]
    if len(outputs) == 1:
        node = nodes[outputs[0]]
        return node.name or ("y" if node.shape else letter)
    return letter


def name_gradients(graph: Graph) -> Graph:
    """Return the graph with each recorded gradient of a named value called by what it is: ∂L/∂σ.

    Args:
        graph: any graph; names that were given stay.

    >>> from tinygraph import Tensor, grad, snapshot
    >>> x = Tensor([3.0], name="x")
    >>> dx, = grad((x * x).sum().named("L"), x, create_graph=True)
    >>> snapshot(dx)  # names them, too
    <Graph of 9 nodes, outputs ∂L/∂x>
    """
    nodes = list(graph.nodes)
    for number, p in enumerate(passes(graph)):
        of = bracketed(name_of(nodes, p.outputs, number))
        for value, i in sorted(p.node.items(), reverse=True):  # of several, the first whose gradient it was
            if nodes[i].op and not nodes[i].name and nodes[value].name:
                name = f"∂{of}/∂{bracketed(nodes[value].name or '')}"
                nodes[i] = dataclasses.replace(nodes[i], name=name)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def made_from(graph: Graph, made: Collection[int]) -> set[int]:
    """Return the nodes that depend on some, and those themselves."""
    found = set(made)
    for node in graph.nodes:
        if any(e.source in found for e in node.inputs):
            found.add(node.id)
    return found


def values_of(graph: Graph, found: Pass, members: Iterable[int]) -> tuple[Graph, list[int]]:
    """Return the graph of some values with the gradients of a pass, as if ``backward()`` had made it.

    Args:
        graph: the graph.
        found: one of its passes.
        members: ids of the values; an operand that is none of them becomes a leaf.

    Returns:
        The graph, and for each of its nodes the id here.
    """
    ids = set(members)
    borders = {e.source for i in ids for e in graph.nodes[i].inputs} - ids
    order = sorted(ids | borders)
    place = {i: k for k, i in enumerate(order)}
    nodes: list[Node] = []
    for i in order:
        node = graph.nodes[i]
        parts = {(p.consumer, p.i): p.grad for v in (e.source for e in node.inputs) for p in found.parts.get(v, ())}
        edges = tuple(
            dataclasses.replace(e, grad=parts.get((i, k)), source=place.get(e.source, 0))
            for k, e in enumerate(node.inputs)
        )
        reached = i in found.gradient
        state = "computed" if reached else "none"
        node = dataclasses.replace(
            node, id=place[i], inputs=edges, derives=None, gradient_of=(), grad=found.gradient.get(i),
            grad_state=state, requires_grad=reached, members=node.parts,
        )  # fmt: skip
        if i in borders and node.op:
            node = dataclasses.replace(node, op=None, kind="input", family="input", scope=(), inputs=())
        nodes.append(node)
    asked = [i for i in (*found.outputs, *graph.outputs) if i in place]
    outputs = tuple(place[i] for i in dict.fromkeys(asked)) or (len(order) - 1,)
    return Graph(tuple(nodes), outputs, graph.notes), order
