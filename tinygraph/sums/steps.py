"""The steps of a derivation: what each rule makes of the formulas, in numbers too, and what it saves."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.registry import OPS
from tinygraph.engine.types import Array
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.run import leaf_value
from tinygraph.graph.values import parameters_of
from tinygraph.sums.evaluate import Layout, evaluate, leaves_of
from tinygraph.sums.exact import Exact, exact_function
from tinygraph.sums.form import Form, behind
from tinygraph.sums.formula import Page
from tinygraph.sums.lift import REDUCTIONS, Lifted, lift, one_hot_axis

__all__ = ["Cost", "Values", "as_recorded", "cost_of", "leaf_arrays", "new_array", "random_of", "shared_sums"]

DRAWN_HERE = 0xD0  # sets our random numbers apart from those of everybody else


class Cost(NamedTuple):
    """What formulas cost.

    Attributes:
        sweeps: how often memory is passed over, from what is given to the gradient: in each sweep, all is added up that
            can be, and what is known is written.
        arrays: large arrays that the way back needs of the way forward.
        flops: additions, multiplications and functions of an element.
    """

    sweeps: int
    arrays: int
    flops: int


def cost_of(
    outputs: Sequence[Form], page: Page, formulas: Sequence[Form], upstream: frozenset[Hashable], merged: bool = True
) -> Cost:
    """Return what some outputs cost.

    Args:
        outputs: their forms.
        page: what wrote them.
        formulas: the same as formulas.
        upstream: keys of the leaves that the way back starts from.
        merged: whether sums that several nodes compute are computed once.
    """
    parts = behind(outputs)
    most = max((len(form.axes) for form in parts), default=0)
    swept: set[int] = {form.stage for form in outputs if len(form.axes) == most}
    for form in parts:
        if form.kind == "reduction" and form.parts[0] != "first" and len(form.parts[1].axes | form.parts[2]) == most:
            swept |= set(range(form.parts[1].stage, form.stage))
    needs = {leaf for leaf in behind(formulas) if leaf.kind == "leaf" and len(leaf.axes) == most and not leaf.unit}
    given = {leaf for leaf in parts if leaf.kind == "leaf" and len(leaf.axes) == most and not leaf.unit}
    kept = min(({leaf for leaf in some if leaf.parts[0] not in upstream} for some in (needs, given)), key=len)
    again = (
        0 if merged else sum(flops_of(form, page) * (len(ids) - 1) for form, ids in shared_sums(page, parts).items())
    )
    return Cost(len(swept), len(kept), sum(flops_of(form, page) for form in parts) + again)


def shared_sums(page: Page, parts: Sequence[Form]) -> dict[Form, list[int]]:
    """Return the Σ among some forms that several nodes of the graph compute, with the ids of these nodes."""
    makers = page.lifted.former.makers
    found = {
        form: sorted(i for i in makers.get(form, ()) if i is not None) for form in parts if form.kind == "reduction"
    }
    return {form: ids for form, ids in found.items() if len(ids) > 1}


def flops_of(form: Form, page: Page) -> int:
    """Return how many operations a form takes, once what it is made of is there."""
    size: int = page.former.count(form.axes)
    if form.kind == "product":
        powers: int = sum(abs(p) for _, p in form.parts[1])
        return size * (powers - (form.parts[0] in (1, -1)))
    if form.kind == "sum":
        scaled: int = sum(c not in (1, -1) for t, c in form.parts[0] if t.kind != "number")
        return size * (len(form.parts[0]) - 1 + scaled)
    if form.kind == "reduction":
        return 0 if form.parts[0] == "first" else page.former.count(form.parts[1].axes | form.parts[2])
    return size if form.kind == "function" and form.parts[0] != "copy" else 0


# As it was recorded.


def as_recorded(graph: Graph) -> Lifted:
    """Return a graph as forms in which each op stands as it is: nothing is simplified."""
    lifted = lift(graph, "")
    forms: list[Form] = []
    for node in graph.nodes:
        lifted.former.node = node.id
        forms.append(recorded_form(lifted, node, [forms[e.source] for e in node.inputs]))
    return dataclasses.replace(lifted, forms=tuple(forms))


def recorded_form(lifted: Lifted, node: Node, operands: list[Form]) -> Form:
    """Return the form of a node as it was recorded."""
    f = lifted.former
    if node.op is None or node.id in lifted.calls:
        return lifted.forms[node.id]
    if node.op in ("reshape", "transpose", "clone"):
        return operands[0]
    axes = frozenset(loop for axis in lifted.axes[node.id] for loop in axis)
    if node.op == "broadcast_to":
        return (
            f.make("function", ("copy", (operands[0],), ()), axes, operands[0].stage)
            if axes != operands[0].axes
            else operands[0]
        )
    if node.op in ("index", "scatter"):
        return lifted.forms[node.id] if node.op == "index" else f.product(hot_of(lifted, node), operands[0])
    if node.op in (*REDUCTIONS, "sum_to"):
        gone = frozenset(loop for axis in lifted.axes[node.inputs[0].source] for loop in axis) - axes
        name = "sum" if node.op == "sum_to" else str(node.op)
        return f.plain_reduction(name, operands[0], gone) if gone else operands[0]
    params = {key: value for key, value in parameters_of(node).items() if value is not None}
    return f.plain_function(
        str(node.op), tuple(operands), {k: str(v) if k == "dtype" else v for k, v in params.items()}
    )


def hot_of(lifted: Lifted, node: Node) -> Form:
    """Return the one-hot leaf of a scatter."""
    k, _ = one_hot_axis(node, node.shape)
    unit = frozenset(lifted.axes[node.id][k])
    return next(f for f in behind([lifted.forms[node.id]]) if f.unit == unit)


# In numbers.


def leaf_arrays(lifted: Lifted, seed: int = 0, whole: bool = False) -> Callable[[int], Array]:
    """Return what gives an array for each leaf of a graph: its own, or random numbers where the graph has none.

    Args:
        lifted: the graph.
        seed: of the random numbers; above 0 there are no others.
        whole: whether they are whole numbers.
    """
    known: dict[int, Array] = {}

    def array(i: int) -> Array:
        if i not in known:
            known[i] = new_array(lifted.graph.nodes[i], seed, whole)
        return known[i]

    return array


def new_array(node: Node, seed: int, whole: bool) -> Array:
    """Return an array for a leaf."""
    value: Any = node.value
    held = value is not None and value.values is not None
    is_float = node.dtype.startswith("float")
    if held and (not is_float or not seed):
        found = np.asarray(leaf_value(node) if node.op is None else np.reshape(value.values, node.shape))
        return found.astype(float) if is_float else found  # formulas are compared in float64
    rng = random_of(seed, node.id)
    positive = value is not None and value.min is not None and value.min > 0
    if whole:
        return rng.integers(1 if positive else -4, 6, node.shape).astype(float)
    return rng.uniform(0.5, 2, node.shape) if positive else rng.standard_normal(node.shape)


def random_of(*key: int) -> np.random.Generator:
    """Return a generator of numbers that no user draws: x of ``default_rng(0)`` must not be equal to a made-up dy."""
    return np.random.default_rng(np.random.SeedSequence(key, spawn_key=(DRAWN_HERE,)))


class Values:
    """Computes formulas from the leaves of the graph; names are computed from what they stand for.

    Args:
        page: what wrote the formulas.
        arrays: gives the array of a leaf of the graph, by its id.
        layout: how arrays are laid out.
        exact: whether with exact numbers.
        label: given an array and a name, gives it the name; for Tensors.
    """

    def __init__(
        self, page: Page, arrays: Callable[[int], Array], layout: Layout, exact: bool = False,
        label: Callable[[Any, str], Any] = lambda array, name: array,
    ) -> None:  # fmt: skip
        self.page, self.layout, self.label = page, layout, label
        plain: Callable[[Form], Any] = leaves_of(page.lifted, arrays, layout)
        self.meant = {leaf.parts[0]: form for form, leaf in page.named.items()}
        self.known: dict[Hashable, Any] = {}
        self.settings: dict[str, Any] = {}
        if exact:
            self.settings = {"number": Exact.of, "function": with_signs(exact_function)}
            each: Any = np.frompyfunc(to_exact, 1, 1)
            self.plain: Callable[[Form], Any] = lambda leaf: each(plain(leaf))
        else:
            self.settings = {"function": with_signs(lambda name, *args, **params: OPS[name](*args, **params))}
            self.plain = plain

    def __call__(self, formulas: Sequence[Form]) -> list[Array]:
        """Return the arrays of some formulas."""
        return evaluate(formulas, self.leaf, self.layout, **self.settings)

    def leaf(self, leaf: Form) -> Any:
        """Return the array of a leaf of a formula."""
        key = leaf.parts[0]
        if key not in self.known:
            if key in self.meant:
                (found,) = self([self.page.definition(self.meant[key])])
                self.known[key] = self.label(found, leaf.parts[1])
            else:
                self.known[key] = self.plain(leaf)
        return self.known[key]


def to_exact(x: Any) -> Any:
    """Return a number of an array as an exact one."""
    return Exact.of(int(x)) if float(x).is_integer() else Exact.of(float(x))


SIGNS: Mapping[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "square": lambda x: x * x,
    "copy": lambda x: x,
    "dropout": lambda x, mask, p: x * mask,
}


def with_signs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that also computes the ops that have a sign of their own."""

    def call(name: str, *args: Any, **params: Any) -> Any:
        if name == "astype" and "float" in str(params["dtype"]):
            return args[0]  # formulas know no rounding
        return SIGNS[name](*args, **params) if name in SIGNS else power_or(function, name, args, params)

    return call


def power_or(function: Callable[..., Any], name: str, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
    """Raise to a whole power by multiplying; compute any other function as it is."""
    if name == "power" and len(args) == 2 and np.size(args[1]) == 1:
        exponent = float(np.ravel(args[1])[0])
        if exponent.is_integer() and exponent >= 0:
            return math.prod([args[0]] * int(exponent), start=args[0] * 0 + 1)
    return function(name, *args, **params)
