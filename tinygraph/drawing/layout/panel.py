"""What one step does, beside the graph: a heading, a sentence, a line of NumPy, and the arithmetic as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.card import (
    Block,
    Item,
    Text,
    add_heading,
    array_block,
    move_items,
)
from tinygraph.drawing.layout.edge_labels import factor_runs
from tinygraph.drawing.layout.grid import Link
from tinygraph.drawing.layout.labels import (
    axes_words,
    call_runs,
    contributions,
    definition_runs,
    gradient_name,
    label_runs,
    local_runs,
    via_runs,
)
from tinygraph.drawing.style.code import numpy_code
from tinygraph.drawing.style.conventions import numeral, shape_text
from tinygraph.drawing.style.formula import SPACE, Runs, clip_runs, join_runs, text_of, width_of, words
from tinygraph.drawing.style.text_width import wrap
from tinygraph.graph.batch_axis import reduced_axes
from tinygraph.graph.data import Edge, Graph, Node, Summary, fill
from tinygraph.graph.scopes import is_leaf
from tinygraph.graph.steps import Product, Step

__all__ = ["Told", "arithmetic", "tell", "write_texts"]

SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "matmul": "@"}
MOST_OPERANDS = 4  # tables before the sign =
HEADING, SENTENCE, CODE, SIGN = 14.0, 10.0, 10.0, 12.0  # font sizes
LONGEST = 24  # characters of a name in a sentence
TEXT_WIDTH = 380.0  # of sentences, in pixels of the panel


class Told(NamedTuple):
    """A step in words: its heading, a sentence, and a line of NumPy, which is empty where there is none."""

    heading: Runs
    sentence: str
    code: str


# ------------------------------------------------------------------------------------------------------------ words


def tell(graph: Graph, step: Step, product: Product | None) -> Told:
    """Say what a step does.

    Args:
        graph: the graph that is drawn.
        step: one of its steps.
        product: the numbers of a step backward, if they are known.
    """
    if step.kind == "given":
        leaves = [n for n in graph.nodes if is_leaf(n) and not graph.is_number(n.id)]
        names = ", ".join(short_name(graph, n.id) for n in leaves[:12]) + ", …" * (len(leaves) > 12)
        return Told(words("What is given", "roman"), f"The forward pass starts with {names}.", "")
    assert step.node is not None
    node = graph.nodes[step.node]
    if step.kind == "value":
        return tell_value(graph, node)
    gradient = gradient_name(graph, node.id)
    if step.kind == "seed":
        said = f"The backward pass starts here, with the gradient of {short_name(graph, node.id)}"
        code = f"{gradient_code(graph, node.id)} = {'1.0' if node.shape == () else 'seed'}"
        return Told(gradient, f"{said}{' in itself, which is 1' if node.shape == () else ''}.", code)
    parts = contributions(graph, node.id)
    if step.kind == "sum":
        marks = (
            " + ".join(map(numeral, range(len(parts)))) if len(parts) > 1 else "what it started with + what came back"
        )
        code = " + ".join(f"{gradient_code(graph, node.id)}_{k + 1}" for k in range(len(parts)))
        times = {1: "once, and is an output", 2: "twice"}.get(len(parts), f"{len(parts)} times")
        said = f"{short_name(graph, node.id)} was used {times}: its gradient is the sum of what came back."
        heading = join_runs((*gradient, *words(f" = {marks}")))
        return Told(heading, said, f"{gradient_code(graph, node.id)} = {code}" if len(parts) > 1 else "")
    assert step.edge is not None
    consumer = graph.nodes[step.edge[0]]
    edge = consumer.inputs[step.edge[1]]
    mark = (*words(f"{numeral(step.number)} of "),) if step.number is not None else ()
    heading = join_runs((*mark, *gradient, *words(" = "), *equation(graph, consumer, edge)))
    target = gradient_code(graph, node.id) + (f"_{step.number + 1}" if step.number is not None else "")
    back = back_code(graph, consumer, edge, product)
    return Told(heading, back_sentence(graph, consumer, edge, product), f"{target} = {back}" if back else "")


def short_name(graph: Graph, i: int) -> str:
    """Return what a node is called in a sentence."""
    name = graph.label(i)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def tell_value(graph: Graph, node: Node) -> Told:
    """Say how a value is computed."""
    if node.kind == "scope":
        about = dict(node.params)
        blocks = f" of {about['repeat']} equal blocks" if about.get("repeat") else ""
        return Told(call_runs(graph, node), f"{about.get('ops', 0)} ops{blocks} in one step: they are collapsed.", "")
    heading = join_runs((*label_runs(graph, node.id), *words(" = "), *definition_runs(graph, node.id)))
    facts = code_facts(graph, node)
    if node.family == "reduction" and node.inputs:
        shape = graph.nodes[node.inputs[0].source].shape
        facts["axis"] = "its " + axes_words(reduced_axes(dict(node.params), len(shape)), len(shape))
        facts["axis"] = {"its all": "all elements"}.get(facts["axis"], facts["axis"])
    sentence = fill(node.says, facts | {"axis": facts.get("axis") or "all axes"})
    if not sentence:  # several ops in one formula
        names = ", ".join(short_name(graph, e.source) for e in node.inputs[:6])
        sentence = f"From {names}: {(node.op or '').replace(', ', ', then ')}."
    known = node.family not in ("shape", "window", "fused") and node.op != "astype"
    code = matmul_code(graph, node) if "matmul" in (node.op or "") else None
    code = code or (numpy_code(node.tex, code_facts(graph, node).get) if known else None)
    if code and node.family == "reduction" and dict(node.params).get("keepdims") is True:
        code = f"{code[:-1]}{'' if code.endswith('()') else ', '}keepdims=True)"
    return Told(heading, sentence, f"{code_name(graph, node.id)} = {code}" if code else "")


def matmul_code(graph: Graph, node: Node) -> str | None:
    """Write a product of two matrices, the second of which may be turned."""
    names = [code_name(graph, e.source) for e in node.inputs]
    plain = {"matmul": " @ ", "transpose, matmul": " @ "}.get(node.op or "")
    return f"{names[0]}{plain}{names[1]}{'.T' * ('transpose' in (node.op or ''))}" if plain and len(names) == 2 else "…"


def equation(graph: Graph, consumer: Node, edge: Edge) -> Runs:
    """Write what goes back along an edge: Σ rows (∂L/∂x̂ × −x_c/σ²)."""
    above = gradient_name(graph, consumer.id)
    copied = graph.copied_axes(consumer.id, edge)
    local = local_runs(graph, consumer.id, edge) if edge.partial and consumer.kind != "scope" else ()
    text = text_of(local).strip()
    if not text:
        return join_runs((*above, *words(" → "), *label_runs(graph, edge.source)))
    if copied:
        total = words(f"Σ {axes_words(copied, len(consumer.shape))} ")
        if text in ("1", "−1"):
            return join_runs((*words("−" * (text == "−1")), *total, *above))
        return join_runs((*total, *words("("), *above, *words(" × "), *local, *words(")")))
    if text.endswith(("·", "⋆")):
        return join_runs((*local, *words(SPACE), *above))
    if text.startswith(("·", "∗")):
        return join_runs((*above, *words(SPACE), *local))
    factor = factor_runs(graph, Link(0, edge.source, consumer.id, edge, True), ())
    return join_runs((*above, *words(SPACE), *factor))


def back_sentence(graph: Graph, consumer: Node, edge: Edge, product: Product | None) -> str:
    """Say in a sentence what a step backward does, by what the op did forward."""
    source, target = short_name(graph, edge.source), short_name(graph, consumer.id)
    if graph.copied_axes(consumer.id, edge):
        return f"{source} was copied {edge.copies} times going forward, so what comes back to its copies is added up."
    if consumer.family == "shape":
        return f"Only the shape changed: each number of {source} gets back its own."
    if consumer.kind == "scope" or consumer.family in ("fused", "window") or not edge.partial:
        return f"What comes back through {target}."
    if product is not None and product.sign == "@":
        return f"A product of matrices: the gradient of {target} times the other factor, turned."
    if product is not None and product.then == "copy":
        size = math.prod(graph.nodes[edge.source].shape) // max(math.prod(consumer.shape), 1)
        return f"{size} elements of {source} went into each element of {target}: each of them gets its gradient back."
    if edge.partial in ("1", "-1"):
        how = "unchanged" if edge.partial == "1" else "with its sign changed"
        return f"{target} changes as {source} does, so the gradient goes on {how}."
    return f"The gradient of {target}, times how much {target} changes with {source}."


def code_name(graph: Graph, i: int) -> str:
    """Return what a node is called in code."""
    return short_name(graph, i) if graph.nodes[i].name or graph.is_number(i) else f"t{graph.nodes[i].number}"


def gradient_code(graph: Graph, i: int) -> str:
    """Return what the gradient of a node is called in code."""
    return f"∂{code_name(graph, i)}"


def code_facts(graph: Graph, node: Node, edge: Edge | None = None) -> dict[str, str]:
    """Return what fills the holes of a formula in code."""
    facts = graph.facts(node.id, str, edge)
    facts |= {e.operand: code_name(graph, e.source) for e in node.inputs}
    return facts | {"out": code_name(graph, node.id), "axis": facts.get("axis", "")}


def back_code(graph: Graph, consumer: Node, edge: Edge, product: Product | None) -> str | None:
    """Write a step backward in NumPy; None where it is no product."""
    above, name = gradient_code(graph, consumer.id), code_name(graph, edge.source)
    if product is not None and product.sign == "@":
        others = [code_name(graph, e.source) for e in consumer.inputs if e is not edge]
        if len(others) != 1:  # several ops are in the formula, or the other factor is
            return None
        other = others[0]
        turned = "transpose" in (consumer.op or "")
        if product.turned:
            return f"({other}.T @ {above}).T" if product.then == "transpose" else f"{other}.T @ {above}"
        return f"{above} @ {other}{'' if turned else '.T'}"
    if consumer.family not in ("elementwise", "reduction") or consumer.op == "astype":
        return None
    local = numpy_code(edge.partial, code_facts(graph, consumer, edge).get) if edge.partial else None
    shape = graph.nodes[edge.source].shape
    reduces = consumer.family == "reduction"
    summed, ndim = graph.copied_axes(consumer.id, edge), len(consumer.shape)
    if product is not None and product.then == "sum":
        summed, ndim = product.axes, len(product.product.shape)
    if local is None or (reduces and edge.copies > 1 and not summed):
        return None
    up = above
    if reduces and 0 < len(consumer.shape) < len(shape):
        over = reduced_axes(dict(consumer.params), len(shape))
        up = above if list(over) == list(range(len(over))) else f"np.expand_dims({above}, {one_or_all(over)})"
    code = {"1": up, "-1": f"-{up}"}.get(local, f"{up} * {bracket_sum(local)}")
    code = f"{up} / {local[4:]}" if local.startswith("1 / ") else code
    if summed:
        keep = "" if ndim > len(shape) else ", keepdims=True"
        both = ndim > len(shape) and any(a >= ndim - len(shape) for a in summed)
        total = f"{code if code == above else f'({code})'}.sum(axis={one_or_all(summed)}{keep})"
        return f"{total}.reshape({name}.shape)" if both else total
    spread = reduces and consumer.shape != shape and "$" not in edge.partial.replace("$n", "")
    return f"np.broadcast_to({code}, {name}.shape)" if spread else code


def one_or_all(axes: Sequence[int]) -> str:
    """Write one axis as a number, several as a tuple."""
    return str(axes[0] if len(axes) == 1 else tuple(axes))


def bracket_sum(code: str) -> str:
    """Put brackets around a sum, a difference or a negative factor."""
    depth = 0
    for k, c in enumerate(code):
        depth += (c == "(") - (c == ")")
        if not depth and (code[k : k + 3] in (" + ", " - ") or (k == 0 and c == "-")):
            return f"({code})"
    return code


# ----------------------------------------------------------------------------------------------------------- tables


def arithmetic(graph: Graph, step: Step, product: Product | None) -> Block:
    """Show the arithmetic of a step as tables: operands and result, or upstream × local = contribution.

    Args:
        graph: the graph that is drawn.
        step: one of its steps.
        product: the numbers of a step backward, if they are known.

    Returns:
        Items around x = 0, from y = 0 down.
    """
    if step.node is None:
        return Block((), 0, 0)
    node = graph.nodes[step.node]
    if step.kind == "value":
        return value_row(graph, node)
    result = labelled(gradient_name(graph, node.id), node.grad, "grad")
    if step.kind == "seed":
        return result
    parts = contributions(graph, node.id)
    if step.kind == "sum":
        terms = [labelled(part_name(graph, k, c, len(parts)), e.grad, "grad") for k, (c, e) in enumerate(parts)][
            :MOST_OPERANDS
        ]
        more = ["…"] * (len(parts) > MOST_OPERANDS)
        return row_of([*terms, result], ["+"] * (len(terms) - 1) + ["… =" if more else "="])
    assert step.edge is not None
    consumer = graph.nodes[step.edge[0]]
    edge = consumer.inputs[step.edge[1]]
    name = (
        gradient_name(graph, node.id) if step.number is None else part_name(graph, step.number, consumer.id, len(parts))
    )
    result = labelled(name, edge.grad, "grad")
    above = gradient_name(graph, consumer.id)
    if product is None:
        return row_of([labelled(above, consumer.grad, "grad"), result], ["→"])
    upstream = labelled(above, product.upstream, "grad")
    local = labelled(local_name(graph, consumer, edge, product), constant_or_array(edge, product.local), "value")
    factors = [local, upstream] if product.turned else [upstream, local]
    if not product.then:
        return row_of([*factors, result], [product.sign, "="])
    middle = labelled(words("product"), product.product, "grad")
    rows = {"sum": f"Σ {axes_words(product.axes, len(product.product.shape))}", "copy": "copy", "transpose": "turn"}
    arrow = f"{rows[product.then]} →"
    return row_of([*factors, middle, result], [product.sign, "=", arrow])


def value_row(graph: Graph, node: Node) -> Block:
    """Show the operands of a node and its value."""
    edges = [e for e in node.inputs if not graph.is_number(e.source) or node.op in SIGNS]
    blocks = []
    for e in edges[:MOST_OPERANDS]:
        copied = words(f" copied ×{e.copies}" if graph.copied_axes(node.id, e) else "")
        blocks.append(labelled((*label_runs(graph, e.source), *copied), graph.nodes[e.source].value, "value"))
    infix = SIGNS.get(node.op or "") if len(blocks) == 2 else None
    signs = [infix or ","] * (len(blocks) - 1) + (["=" if infix else "→"] if blocks else [])
    return row_of([*blocks, labelled(label_runs(graph, node.id), node.value, "value")], signs)


def row_of(blocks: Sequence[Block], signs: Sequence[str]) -> Block:
    """Put blocks beside each other, a sign before each but the first; they stand on one line."""
    tallest = max(b.height for b in blocks)
    texts = [words(sign, "bold") for sign in signs]
    gaps = [0.0, *(width_of(text, SIGN) + 14 for text in texts)]
    across = math.fsum((*(b.width for b in blocks), *gaps))
    items: list[Item] = []
    x = -across / 2
    for k, (block, gap) in enumerate(zip(blocks, gaps, strict=True)):
        if k:
            items.append(Text(x + gap / 2, (tallest + 14) / 2 + 5, texts[k - 1], SIGN, "ink"))
        x += gap
        items += move_items(block.items, x + block.width / 2, (tallest - block.height) / 2)
        x += block.width
    return Block(items, across, tallest)


def labelled(name: Runs, s: Summary | None, ink: str) -> Block:
    """Show an array under its name."""
    if s is None:
        return add_heading(
            clip_runs(name, 9.0, 150), Block([Text(0, 12, words("not kept"), 10.0, "muted")], 50, 16), ink
        )
    shape = words(f"  {shape_text(s.shape)}") if s.shape else ()
    return add_heading((*clip_runs(name, 9.0, 150), *shape), array_block(s, ink), ink)


def constant_or_array(edge: Edge, s: Summary) -> Summary:
    """Return a local derivative as one number where its formula is a number: 1, −1, 1/4."""
    if "$" in edge.partial.replace("$n", "") or not s.values:
        return s
    v = s.values[0]
    return Summary((), s.dtype, v, 0.0, v, v, int(v == 0), 0, 0, 8, abs(v), values=(v,))


def local_name(graph: Graph, consumer: Node, edge: Edge, product: Product) -> Runs:
    """Write the local derivative above its table."""
    runs = local_runs(graph, consumer.id, edge)
    return (
        join_runs(r._replace(text=r.text.replace("·", "").strip(SPACE)) for r in runs) if product.sign == "@" else runs
    )


def part_name(graph: Graph, k: int, consumer: int, count: int) -> Runs:
    """Write ① via ÷."""
    return join_runs((*words(f"{numeral(k)} via " if count > 1 else "via "), *via_runs(graph, consumer)))


def write_texts(told: Told) -> Block:
    """Put heading, sentence and code below each other, from x = 0 to the right."""
    heading = clip_runs(told.heading, HEADING, TEXT_WIDTH)
    items: list[Item] = [Text(0, 15, heading, HEADING, "ink", "start")]
    y = 24.0
    for line in wrap(told.sentence, SENTENCE, TEXT_WIDTH):
        items.append(Text(0, y + 11, words(line), SENTENCE, "ink", "start"))
        y += 14
    code = clip_runs(words(told.code, "mono"), CODE, TEXT_WIDTH)
    if told.code:
        items.append(Text(0, y + 15, code, CODE, "muted", "start"))
        y += 20
    across = max(width_of(heading, HEADING), width_of(code, CODE), *(i.box[2] for i in items if isinstance(i, Text)))
    return Block(items, across, y)
