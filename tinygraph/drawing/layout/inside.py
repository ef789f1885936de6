"""Parameters inside the cards of their consumers: which ones, and the line that stands for each.

A parameter that one op uses needs no card and no arrow of its own: a violet line on that op's card has its name, its
shape, and the product that is its gradient, in which ∂ is the gradient of the card.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tinygraph.drawing.layout.labels import axes_words, gradient_name, is_rounding, label_runs, local_runs
from tinygraph.drawing.style.conventions import NOUGHT, shape_text, state_words
from tinygraph.drawing.style.formula import SPACE, Run, Runs, join_runs, text_of, words
from tinygraph.drawing.style.numbers import narrow_number
from tinygraph.graph.data import Edge, Graph

__all__ = ["drop_start", "gradient_part", "gradient_start", "name_part", "parameters_inside", "places", "product_runs"]

MOST = 4  # parameters in one card


def parameters_inside(graph: Graph, apart: Collection[int] = ()) -> dict[int, tuple[int, ...]]:
    """Return, for each op, the parameters that stand on its card: those that nothing else uses.

    Args:
        graph: the graph as it is drawn.
        apart: nodes that keep a card of their own, such as those that a picture marks.

    Returns:
        Ids of parameters by the id of their consumer.
    """
    found: dict[int, list[int]] = {}
    for node in graph.nodes:
        users = graph.consumers[node.id]
        if node.kind == "parameter" and node.op is None and len(users) == 1:
            host = graph.nodes[users[0][0]]
            if host.kind == "op" and not {node.id, host.id} & set(apart) and node.id not in graph.outputs:
                found.setdefault(host.id, []).append(node.id)
    return {host: tuple(ids) for host, ids in found.items() if len(ids) <= MOST}


def name_part(graph: Graph, i: int) -> Runs:
    """Write ``◆ W₁ (4, 5)``; of a constant, without the mark of parameters."""
    mark = () if graph.nodes[i].kind == "constant" else (Run(f"◆{SPACE}", "sans"),)
    return join_runs((*mark, *label_runs(graph, i), *words(f"{SPACE}{shape_text(graph.nodes[i].shape)}")))


def gradient_part(graph: Graph, i: int, detail: int) -> Runs:
    """Write what the gradient of a parameter is: ``xᵀ ∂``, with its length ``‖xᵀ ∂‖ .384`` where there is room."""
    node = graph.nodes[i]
    if node.grad is None:
        return words(state_words(node.grad_state)) if detail else ()
    if not detail:
        host, edge = graph.consumers[i][0]
        return product_runs(graph, host, edge) if edge.partial else gradient_name(graph, i)
    number = NOUGHT if is_rounding(graph, node) else narrow_number(node.grad.norm or 0.0)
    return join_runs((*gradient_start(graph, i), *words(number)))


def gradient_start(graph: Graph, i: int) -> Runs:
    """Write what stands before the length of the gradient of a parameter: ``‖xᵀ ∂‖``."""
    host, edge = graph.consumers[i][0]
    product = product_runs(graph, host, edge) if edge.partial else gradient_name(graph, i)
    if is_rounding(graph, graph.nodes[i]):
        return join_runs((*product, *words(f"{SPACE}={SPACE}")))
    return join_runs((Run("‖", "sans"), *product, *words(f"‖{SPACE}")))


def product_runs(graph: Graph, i: int, edge: Edge) -> Runs:
    """Write what comes back along an edge: ``Σ rows x̂ ∂``, where ∂ is the gradient of node ``i``."""
    runs = local_runs(graph, i, edge)
    text = text_of(runs).strip()
    axes = graph.copied_axes(i, edge)
    if text in ("1", "−1"):
        product: Runs = words("−∂" if text == "−1" else "∂")
    elif "·" in text:
        product = tuple(run._replace(text=run.text.replace("·", "∂")) for run in runs)
    elif text.startswith("1/"):
        product = join_runs((Run(f"∂{SPACE}÷{SPACE}", "roman"), *drop_start(runs, 2)))
    elif text.startswith("∗"):
        product = join_runs((Run(f"∂{SPACE}", "roman"), *runs))
    else:
        bare = text.endswith(("⋆", "∗")) or is_single(text)
        left, right = ("", "") if bare else ("(", ")")
        product = join_runs((Run(left, "roman"), *runs, Run(f"{right}{SPACE}∂", "roman")))
    if axes:
        return join_runs((*words(f"Σ {axes_words(axes, len(graph.nodes[i].shape))}{SPACE}"), *product))
    return product


def is_single(text: str) -> bool:
    """Whether a formula is one symbol or function: it needs no brackets as a factor."""
    return not any(c in text for c in f" {SPACE}+−/×÷")


def drop_start(runs: Runs, count: int) -> Runs:
    """Drop the first characters."""
    out = []
    for run in runs:
        cut = min(count, len(run.text))
        count -= cut
        out.append(run._replace(text=run.text[cut:]))
    return tuple(run for run in out if run.text)


def places(hosts: Mapping[int, Collection[int]]) -> frozenset[int]:
    """Return all parameters that stand on a card."""
    return frozenset(i for ids in hosts.values() for i in ids)
