"""`derive`: from a recorded gradient to its closed form, a rule a step, each step checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygraph.autodiff.grad import grad
from tinygraph.drawing.style.latex import latex_name
from tinygraph.engine.context import within
from tinygraph.engine.registry import OPS
from tinygraph.engine.tensor import Parameter, Tensor
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.run import leaf_value
from tinygraph.graph.snapshot import snapshot
from tinygraph.graph.values import parameters_of
from tinygraph.sums.asking import Verdict, judge
from tinygraph.sums.derivation import Derivation, Formula, Step
from tinygraph.sums.evaluate import Layout
from tinygraph.sums.exact import Exact, Undecided
from tinygraph.sums.form import Form, behind
from tinygraph.sums.formula import Page, names_of
from tinygraph.sums.lift import Lifted, lift
from tinygraph.sums.rules import RULES
from tinygraph.sums.steps import Cost, Values, as_recorded, cost_of, leaf_arrays, new_array, random_of, shared_sums
from tinygraph.sums.writing import Code, Latex, Text

__all__ = ["Maker", "derive"]

ORDER = "hbadcsfem"  # the order in which a person applies the rules
MOST_EXACT = 4096  # elements of the largest value, for exact numbers
HELD = 4096  # elements of a leaf whose own numbers are taken
NOTHING = 1e-12  # a gradient this small is 0
EPS = 1e-3  # the largest ε
VIEWS_AND_SIGNS = ("reshape", "broadcast_to", "transpose", "clone", "sub", "neg", "div", "square", "sum_to", "mean")
TRIES = 4  # batches of whole numbers, where one divides by 0
NAMES = {
    "recorded": ("recorded", "The gradient as it was recorded: each op stands as it is."),
    "lift": ("copies, views and signs go", "A copy is nothing in a formula; a quotient is a product."),
    "collect": ("collect", "What all terms have in common stands in front of a bracket."),
}  # fmt: skip


def derive(what: Tensor | Graph | Sequence[Tensor], *, wrt: Any = None, ask: str | None = None) -> Derivation:
    """Derive the closed form of a gradient from its recorded backward pass, a rule a step.

    Args:
        what: a gradient that ``grad(…, create_graph=True)`` recorded, several, or a graph of them; or what is to be
            differentiated: then the backward pass is recorded here, from an upstream gradient dy if it is no scalar.
        wrt: leaves whose gradients are wanted, or their names; without it, all that require one. Only for what is to be
            differentiated.
        ask: a closed form, as NumPy code: is it right, and if not, which term differs? Of several gradients, "dx = …"
            says which is meant.

    Returns:
        The steps, with formulas, figures and graphs. ``print`` it.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: no gradient is wanted, or ``ask`` is no formula of the values that there are.

    >>> x = Tensor([[1.0, 2.0], [3.0, 6.0]], name="x")
    >>> derivation = derive((x - x.mean(0)).named("y"))
    >>> derivation.closed[0].text
    'dy − mean(dy)'
    """
    graph = graph_of(what, wrt)
    made = Maker(graph)
    steps = made.steps()
    verdict: Verdict | None = None if ask is None else judge(made, ask)
    return Derivation(graph, tuple(steps), made.over(), verdict)


def graph_of(what: Any, wrt: Any) -> Graph:
    """Return a graph of gradients: what is given, or that of its recorded backward pass."""
    if isinstance(what, Graph):
        graph = what
    else:
        tensors = list(what) if isinstance(what, list | tuple) else [what]
        if not tensors or not all(isinstance(t, Tensor) for t in tensors):
            raise TypeError(f"derive takes a Tensor, several, or a Graph, not {type(what).__name__}")
        graph = snapshot(*tensors, values=HELD)
    return graph if is_gradient(graph) else record_gradients(graph, wrt)


def record_gradients(graph: Graph, wrt: Any) -> Graph:
    """Record the backward pass of a graph, from an upstream gradient of each output that is no scalar."""
    values: list[Any] = []
    for node in graph.nodes:
        values.append(replay(node, [values[e.source] for e in node.inputs]))
    given_first = sorted(graph.nodes, key=lambda n: n.kind == "parameter")  # x, then γ and β
    leaves = {n.name or f"#{n.number}": values[n.id] for n in given_first if n.op is None and n.requires_grad}
    given = wrt if isinstance(wrt, list | tuple) else [] if wrt is None else [wrt]
    names = [w if isinstance(w, str) else str(w.name) for w in given] or list(leaves)
    if unknown := [name for name in names if name not in leaves]:
        raise ValueError(f"derive: wrt={', '.join(unknown)}: the leaves are {', '.join(leaves)}")
    outputs = [values[i] for i in graph.outputs if isinstance(values[i], Tensor) and values[i].requires_grad]
    if not outputs or not names:
        raise ValueError("derive: no gradient is wanted: make an input a Tensor or a Parameter")
    starts = [upstream(y, "dy" if len(outputs) == 1 else f"dy_{k + 1}", k) for k, y in enumerate(outputs)]
    found = grad(outputs, [leaves[name] for name in names], starts, create_graph=True, allow_unused=True)
    gradients = [g for g in found if g is not None and g.requires_grad | bool(g.node.op)]
    if not gradients:
        raise ValueError("derive: no gradient reaches what is wanted")
    return snapshot(*gradients, values=HELD)


def upstream(y: Tensor, name: str, seed: int) -> Any:
    """Return the upstream gradient of an output: numbers without a pattern; None, which is 1, of a scalar."""
    if not y.shape:
        return None
    draw = random_of(seed).standard_normal(y.shape).round(2)
    return Tensor(draw.astype(y.dtype), name=name, requires_grad=False)


def replay(node: Node, operands: list[Any]) -> Any:
    """Return the value of a node as a Tensor, made from its operands; a fused op becomes what it is defined as."""
    if node.op is None:
        held = node.value is not None and node.value.values is not None
        array = leaf_value(node) if held else new_array(node, 0, False).astype(node.dtype)
        if node.kind == "constant" and not node.name:
            return array
        return (Parameter if node.kind == "parameter" else Tensor)(
            array, name=node.name, requires_grad=node.requires_grad
        )
    if node.op not in OPS:
        raise ValueError(f"derive: node {node.id} is made by {node.op!r}, which is no op that is registered here")
    made: Any = OPS[node.op]
    with within(scope=node.scope):
        out = (made.definition or made)(*operands, **parameters_of(node))
    return out.named(node.name) if node.name and isinstance(out, Tensor) else out


def is_gradient(graph: Graph) -> bool:
    """Whether the outputs of a graph are gradients that were recorded."""
    return all(graph.nodes[i].gradient_of or graph.nodes[i].derives for i in graph.outputs)


class Maker:
    """Makes the steps of a derivation.

    Args:
        graph: of recorded gradients.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.recorded = as_recorded(graph)
        self.names = names_of(graph)
        self.layout = Layout.of(self.recorded)
        self.labels = [self.label(i) for i in graph.outputs]
        self.text, self.tex = Text(self.subscript), Latex(self.subscript)
        self.upstream: frozenset[Hashable] = frozenset(
            n.id for n in graph.nodes if n.op is None and (n.gradient_of or not n.requires_grad)
        )  # and what else is given and has no gradient
        self.true = self.numbers(Page(self.recorded, {}), self.recorded.outputs)
        self.rational = without_eps(graph)  # the same with ε = 0
        self.seed, self.true_exact = self.find_batch()

    # Words.

    def label(self, i: int) -> tuple[str, str]:
        """Return what an output is called, as text and as LaTeX: dx."""
        node = self.graph.nodes[i]
        if not node.gradient_of:
            return self.graph.label(i), latex_name(self.graph.label(i))
        of = self.graph.nodes[node.gradient_of[0][0]]
        name = of.name or f"#{of.number}"
        return f"d{name}", rf"\mathrm{{d}}{latex_name(name)}"

    def reduced(self) -> list[frozenset[int]]:
        """Return the loops that sums run over, each set once."""
        return list(dict.fromkeys(f.parts[2] for f in behind(self.recorded.outputs) if f.kind == "reduction"))

    def subscript(self, axes: frozenset[int]) -> str:
        """Return the subscript of a Σ: none where all run over the same axes."""
        if self.reduced() == [axes]:
            return ""
        return ",".join(map(str, self.places(axes)))

    def places(self, axes: frozenset[int]) -> tuple[int, ...]:
        """Return the numbers of some loops, among those that have to do with a Σ."""
        return tuple(sorted(map(self.summed_loops().index, axes)))

    def summed_loops(self) -> list[int]:
        """Return the loops of all that is added up, outermost first."""
        named = [self.recorded.forms[i] for i in self.names]
        sums = [f for f in behind([*self.recorded.outputs, *named]) if f.kind == "reduction"]
        found = frozenset[int]().union(*(f.parts[1].axes | f.parts[2] for f in sums))
        return [loop for loop in dict.fromkeys(self.layout.inner + self.layout.order) if loop in found]

    def axes_in_code(self, axes: frozenset[int], spread: bool) -> str:
        """Return the axes of a Σ as NumPy takes them.

        They are kept where they must be for what is ``spread`` along them: unless they come first.
        """
        places = self.places(axes)
        kept = ", keepdims=True" if spread and places != tuple(range(len(places))) else ""
        return f"{places[0] if len(places) == 1 else places}{kept}"

    def over(self) -> str:
        """Say what the sums run over."""
        sets = self.reduced()
        shape = tuple(self.layout.lengths[x] for x in self.summed_loops() if x in self.layout.inner)
        if not sets:
            return "elementwise"
        if len(sets) > 1:
            return f"subscripts say over which axes of {shape} a sum runs"
        axes = self.places(sets[0])
        places = f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
        return f"sums run over {places} of {shape}"

    def formula(self, name: tuple[str, str], form: Form) -> Formula:
        """Return a formula in words."""
        return Formula(name[0], self.text(form), self.tex(form), self.code_of(form), name[1])

    def code_of(self, form: Form) -> str:
        """Return a formula as NumPy code; "" where large values have several shapes, so that a Σ has several axes."""
        most = max(math.prod(n.shape) for n in self.graph.nodes)
        if len({n.shape for n in self.graph.nodes if math.prod(n.shape) == most > 1}) > 1:
            return ""
        spread = any(f.kind == "reduction" and f.parts[2] & form.axes for f in behind([form]))
        return Code(lambda axes: self.axes_in_code(axes, spread))(form)

    # Numbers.

    def numbers(self, page: Page, formulas: Sequence[Form], seed: int = 0, exact: bool = False) -> list[Any]:
        """Return the values of some formulas, in float64 or in exact numbers, for the numbers of a seed."""
        arrays = leaf_arrays(self.recorded, seed, whole=exact)
        with np.errstate(all="ignore"):
            return Values(page, arrays, self.layout, exact)(formulas)

    def find_batch(self) -> tuple[int, list[Any] | None]:
        """Return the recorded gradients in exact numbers, and the seed of the batch; None where there are none."""
        size = max(math.prod(node.shape) for node in self.graph.nodes)
        recorded = as_recorded(self.rational)
        seeds = [*([0] if is_whole(self.graph) else []), *range(1, TRIES + 1)]
        for seed in seeds if size <= MOST_EXACT else []:
            try:
                return seed, self.numbers(Page(recorded, {}), recorded.outputs, seed, exact=True)
            except (ZeroDivisionError, Undecided):
                continue
        return 0, None

    def is_equal(self, rules: str, collects: bool) -> bool | None:
        """Say whether the formulas of a step equal what was recorded, in exact numbers."""
        if self.true_exact is None:
            return None
        lifted = lift(self.rational, rules)
        page = Page(lifted, self.names, collects)
        Exact.guessed = False
        try:
            found = self.numbers(page, [page.of(form) for form in lifted.outputs], self.seed, exact=True)
        except (ZeroDivisionError, Undecided):
            return None
        same = all(bool(np.all(a == b)) for a, b in zip(found, self.true_exact, strict=True))
        return same or (None if Exact.guessed else False)

    # Steps.

    def steps(self) -> Iterator[Step]:
        """Yield the steps that change something."""
        yield (last := self.first())
        rules = ""
        for letter in ("lift", *ORDER, "collect", "p"):
            collects = letter in ("collect", "p")
            rules += letter if len(letter) == 1 else ""
            lifted = lift(self.graph, rules, self.recorded.former.pool)
            step = self.step(letter, rules, lifted, collects)
            same = (step.formulas, step.definitions, step.cost) == (last.formulas, last.definitions, last.cost)
            if not same:
                yield step
                last = step

    def first(self) -> Step:
        """Return what was recorded, as a step."""
        page = Page(self.recorded, self.names)
        formulas = [page.of(form) for form in self.recorded.outputs]
        backward = {n.id for n in self.graph.nodes if n.derives is not None}
        kept = {
            e.source for i in backward for e in self.graph.nodes[i].inputs if e.source not in backward | self.upstream
        }
        most = max(math.prod(n.shape) for n in self.graph.nodes)
        cost = cost_of(self.recorded.outputs, page, formulas, self.upstream)
        cost = cost._replace(arrays=sum(math.prod(self.graph.nodes[i].shape) == most > 1 for i in kept))
        exact = None if self.true_exact is None else True
        return self.written("recorded", page, formulas, (), tuple(sorted(backward)), 0.0, exact, cost, self.graph)

    def step(self, letter: str, rules: str, lifted: Lifted, collects: bool) -> Step:
        """Return what the formulas are after a rule."""
        page = Page(lifted, self.names, collects)
        formulas = [page.of(form) for form in lifted.outputs]
        cost = cost_of(lifted.outputs, page, formulas, self.upstream, "m" in rules)
        parts, nodes = self.applied(letter, lifted, page)
        found = self.numbers(page, formulas)
        difference = max(gap(a, b) for a, b in zip(found, self.true, strict=True))
        exact = self.is_equal(rules, collects)
        return self.written(letter, page, formulas, parts, nodes, difference, exact, cost, self.draw(page, formulas))

    def written(
        self, letter: str, page: Page, formulas: list[Form], parts: Any, nodes: tuple[int, ...], difference: float,
        exact: bool | None, cost: Cost, graph: Graph,
    ) -> Step:  # fmt: skip
        """Return a step in words."""
        rule = next((rule for rule in RULES if rule.letter == letter), None)
        name, says = (rule.name, rule.says) if rule else NAMES[letter]
        return Step(
            letter, name, says, rule.tex if rule else "",
            tuple(self.formula(*pair) for pair in zip(self.labels, formulas, strict=True)),
            tuple(self.definitions(page, formulas)), parts, nodes, difference, exact, cost, graph,
        )  # fmt: skip

    def definitions(self, page: Page, formulas: Sequence[Form]) -> Iterator[Formula]:
        """Yield what the names in some formulas stand for, in the order in which they are computed."""
        meant = {leaf.parts[0]: form for form, leaf in page.named.items()}
        found: dict[Form, Form] = {}
        stack = list(formulas)
        while stack:
            for leaf in behind([stack.pop()]):
                form = meant.get(leaf.parts[0]) if leaf.kind == "leaf" else None
                if form is not None and form not in found:
                    found[form] = page.definition(form)
                    stack.append(found[form])
        for form in sorted(found, key=lambda form: form.id):
            name = page.named[form].parts[1]
            yield self.formula((name, latex_name(name)), found[form])

    def applied(
        self, letter: str, lifted: Lifted, page: Page
    ) -> tuple[tuple[tuple[Formula, Formula], ...], tuple[int, ...]]:
        """Return where a rule was applied, in formulas, and the nodes that it touched."""
        if letter == "m":
            shared = shared_sums(page, behind(lifted.outputs))
            times = [(self.formula(("", ""), page.write(form)), len(ids)) for form, ids in shared.items()]
            pairs = tuple((a, dataclasses.replace(a, text=f"once, not {n} times", tex=f"{n} \\to 1")) for a, n in times)
            return pairs, tuple(sorted({i for ids in shared.values() for i in ids}))
        if letter == "lift":
            views = [n.id for n in self.graph.nodes if n.op in VIEWS_AND_SIGNS and n.derives is not None]
            return (), tuple(views)
        if letter == "collect":
            return (), self.graph.outputs
        mine = [a for a in lifted.former.log if a.rule == letter]
        sides = dict.fromkeys((a.before, a.after) for a in mine)
        shown = [(self.formula(("", ""), page.write(a)), self.formula(("", ""), page.write(b))) for a, b in sides]
        shown = [pair for pair in dict.fromkeys(shown) if pair[0].text != pair[1].text]
        return tuple(shown), tuple(sorted({a.node for a in mine if a.node is not None}))

    def draw(self, page: Page, formulas: Sequence[Form]) -> Graph:
        """Return the graph that computes some formulas."""
        arrays = leaf_arrays(self.recorded)

        def leaf(i: int) -> Any:
            node = self.graph.nodes[i]
            laid = self.layout.lay_out(np.asarray(arrays(i), float), self.recorded.axes[i])
            kind = Parameter if node.kind == "parameter" else Tensor
            return kind(laid, name=node.name or f"#{node.number}", requires_grad=node.requires_grad)

        with np.errstate(all="ignore"):
            found = Values(page, leaf, self.layout, label=named)(formulas)
        outputs = [named(as_tensor(a), name) for a, (name, _) in zip(found, self.labels, strict=True)]
        return snapshot(*outputs, values=64)


def as_tensor(array: Any) -> Tensor:
    """Return an array as a Tensor."""
    return array if isinstance(array, Tensor) else Tensor(array)


def named(array: Any, name: str) -> Any:
    """Give a Tensor a name; a leaf keeps its own."""
    return array.named(name) if isinstance(array, Tensor) and array.node.op is not None else array


def gap(a: Any, b: Any) -> float:
    """Return the greatest difference of two arrays, relative to the largest element."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    if not a.size:
        return 0.0
    off, most = float(np.max(np.abs(a - b))), float(np.max(np.abs(b)))
    return off / most if most > NOTHING else off


def is_whole(graph: Graph) -> bool:
    """Whether all leaves of a graph are whole numbers, as on a batch that can be solved by hand."""
    leaves = [n for n in graph.nodes if n.op is None and n.shape]
    return all(n.value and n.value.values and all(float(v).is_integer() for v in n.value.values) for n in leaves)


def without_eps(graph: Graph) -> Graph:
    """Return a graph with ε = 0: each small number that is added to something."""
    nodes = list(graph.nodes)
    for node in graph.nodes:
        added = graph.is_number(node.id) and all(nodes[c].op == "add" for c, _ in graph.consumers[node.id])
        if added and node.value and node.value.values and 0 < float(node.value.values[0]) <= EPS:
            nodes[node.id] = dataclasses.replace(node, value=dataclasses.replace(node.value, values=(0.0,)))
    return dataclasses.replace(graph, nodes=tuple(nodes))
