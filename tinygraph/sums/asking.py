"""Judge a closed form that somebody wrote: whether it is right, and which of its terms differs."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.graph.data import Graph
from tinygraph.sums.form import Form, Former, factors_of, terms_of
from tinygraph.sums.formula import Page, names_of
from tinygraph.sums.lift import Lifted, lift, read_number
from tinygraph.sums.reading import Symbol, interpret, key_of, read
from tinygraph.sums.rules import ALL
from tinygraph.sums.steps import Values, leaf_arrays
from tinygraph.sums.writing import Latex, Text

if TYPE_CHECKING:
    from tinygraph.sums.deriving import Maker

__all__ = ["Term", "Verdict", "compare_outputs", "judge"]

CLOSE = 1e-7  # relative; of two formulas in float64
LOST = 1e-3  # relative; what float32 must not lose at a mean of 1e4
DRAWS = 3
NOTHING = 1e-12  # a gradient this small is 0
UPSTREAM = ("dy", "dout", "g", "upstream", "dL_dy")
MOST_TERMS = 200  # of a formula that is multiplied out


@dataclasses.dataclass(frozen=True)
class Term:
    """A term that differs.

    Attributes:
        kind: "missing", "extra", "sign", "factor" or "instead".
        text: the term that should stand there; of an extra one, the one that stands there.
        tex: as LaTeX.
        found: what stands there instead, or the factor by which it is off; "".
    """

    kind: str
    text: str
    tex: str
    found: str = ""

    def __str__(self) -> str:
        return {
            "missing": f"the term {self.text} is missing",
            "extra": f"the term {self.text} should not be there",
            "sign": f"{self.text} has the wrong sign",
            "factor": f"{self.text} is there {self.found} times",
            "instead": f"{self.found} stands where {self.text} should",
        }[self.kind]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is said of a closed form.

    Attributes:
        right: whether it equals the gradient.
        of: the gradient that it was compared with.
        terms: those that differ.
        difference: the greatest relative difference in float64.
        float32: the relative error in float32 at a mean of 1e4; None where it is small, or the formula is wrong.
        shape: what is wrong with its shape; "".
    """

    right: bool
    of: str
    terms: tuple[Term, ...]
    difference: float
    float32: float | None = None
    shape: str = ""

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        if self.right and self.float32 is None:
            return f"{self.of}: right; difference {self.difference:.0g}"
        if self.right:
            off = f"it is off by {self.float32:.0g}" if math.isfinite(self.float32 or 0.0) else "it gives no number"
            return (
                f"{self.of}: right in algebra, but float32 refuses it: at a mean of 1e4 {off}. "
                "A square of deviations must not be multiplied out"
            )
        if self.shape:
            return f"{self.of}: wrong: {self.shape}"
        said = "; ".join(map(str, self.terms)) or f"it is off by {self.difference:.0e}"
        return f"{self.of}: wrong: {said}"

    def data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return dataclasses.asdict(self)


def judge(made: Maker, code: str) -> Verdict:
    """Judge a closed form.

    Args:
        made: the derivation.
        code: the formula, with ``dx =`` in front where there are several gradients.

    Raises:
        ValueError: it is no formula of the values that there are.
    """
    sizes = [math.prod(made.graph.nodes[i].shape) for i in made.graph.outputs]
    which, tree = read(code, [name for name, _ in made.labels], sizes.index(max(sizes)))
    node = made.graph.nodes[made.graph.outputs[which]]
    name = made.labels[which][0]
    differences, shape = [], ""
    for seed in range(1, DRAWS + 1):
        values = named_arrays(made, seed)
        with np.errstate(all="ignore"):
            found = np.asarray(interpret(tree, values))
        true = values["the answer"][which]
        found = np.full(node.shape, found) if not found.shape else found
        if found.shape != node.shape:
            shape = f"its shape is {found.shape}, and should be {node.shape}"
            if np.size(found) != math.prod(node.shape):
                return Verdict(False, name, (), math.inf, shape=shape)
            found = found.reshape(node.shape)
        differences.append(relative(found, true))
    worst = max(differences)
    if worst <= CLOSE:
        lost = None if shape else loss_in_float32(made, tree, which)
        return Verdict(not shape, name, (), worst, lost, shape)
    return Verdict(False, name, terms_that_differ(made, tree, which), worst)


def relative(found: Any, true: Any) -> float:
    """Return the greatest difference of two arrays, relative to the largest element."""
    off, most = (float(np.max(np.abs(a), initial=0.0)) for a in (found - true, true))
    off = off / most if most > NOTHING else off
    return off if math.isfinite(off) else math.inf


# What names stand for.


def meanings(made: Maker) -> dict[str, int]:
    """Return the node of each name, by its key."""
    graph = made.graph
    found: dict[str, int] = {}
    for node in graph.nodes:
        name = made.names.get(node.id) or (node.name if node.op is None or node.derives is None else None)
        if name and not name.startswith("∂") and node.name != "seed":
            found[key_of(name)] = node.id
    most = max(math.prod(n.shape) for n in graph.nodes)
    large = [n for n in graph.nodes if n.op is None and math.prod(n.shape) == most > 1 and not n.requires_grad]
    starts = [n.id for n in graph.nodes if n.op is None and n.gradient_of and n.shape] or [n.id for n in large]
    if len(starts) == 1:
        for name in UPSTREAM:
            found.setdefault(key_of(name), starts[0])
    return found


def numbers_of(made: Maker) -> dict[str, float]:
    """Return the numbers that have a name: the lengths N, D or N, C, H, W, n of what a sum runs over, and eps."""
    found: dict[str, float] = {}
    if len(sets := made.reduced()) == 1:
        found |= dict.fromkeys("nm", made.recorded.former.count(sets[0]))
    shape = max((n.shape for n in made.graph.nodes), key=math.prod)
    found |= dict(zip("NCHW" if len(shape) == 4 else "ND", shape, strict=False))
    small = [v for n in made.graph.nodes if (v := read_number(n)) is not None and 0 < v <= Fraction(1, 1000)]
    if added := [v for v in small if v.numerator == 1]:
        found |= {"eps": float(added[0]), "epsilon": float(added[0])}
    return found


def others(made: Maker, page: Page) -> dict[str, tuple[Form, Form]]:
    """Return what a formula also has a name for, as (form, name): p of a softmax, one-hot t, the root r."""
    found = {key_of(leaf.parts[1]): (form, leaf) for form, leaf in page.named.items()}
    hot = next((form for form in page.lifted.former.pool.values() if form.unit), None)
    return found | ({"t": (hot, page.write(hot))} if hot is not None else {})


def named_arrays(made: Maker, seed: int, far: float = 0.0) -> dict[str, Any]:
    """Return what each name stands for in float64, and the gradients as "the answer".

    ``far`` is added to x, and all leaves are then numbers of float32.
    """
    lifted = made.recorded
    drawn = leaf_arrays(lifted, seed)
    most = max(math.prod(n.shape) for n in made.graph.nodes)

    def arrays(i: int) -> Any:
        is_x = math.prod(made.graph.nodes[i].shape) == most and i not in made.upstream
        return (drawn(i) + far * is_x).astype(np.float32).astype(float) if far else drawn(i)

    ids = meanings(made)
    wanted = [*ids.values(), *made.graph.outputs]
    page = Page(lift(made.graph, ALL), made.names)
    more = others(made, page)
    with np.errstate(all="ignore"):
        found = Values(Page(lifted, {}), arrays, made.layout)([lifted.forms[i] for i in wanted])
        made_up = Values(page, arrays, made.layout)([leaf for _, leaf in more.values()])
    back = [
        made.layout.put_back(a, lifted.axes[i], made.graph.nodes[i].shape) for a, i in zip(found, wanted, strict=True)
    ]
    names = dict(zip(more, made_up, strict=True)) | numbers_of(made) | dict(zip(ids, back, strict=False))
    return names | {"the answer": back[len(ids) :]}


def named_symbols(made: Maker, lifted: Lifted) -> dict[str, Any]:
    """Return what each name stands for as a symbol."""
    f = lifted.former
    found: dict[str, Any] = {}
    for key, (form, _) in others(made, Page(lifted, made.names)).items():
        loops = made.layout.order[len(made.layout.order) - len(made.layout.shape(form.axes)) :]
        found[key] = Symbol(f, form, [(loop,) if loop in form.axes else () for loop in loops])
    found |= numbers_of(made)
    return found | {key: Symbol(f, lifted.forms[i], lifted.axes[i]) for key, i in meanings(made).items()}


# What differs.


def terms_that_differ(made: Maker, tree: ast.expr, which: int) -> tuple[Term, ...]:
    """Return the terms in which a formula differs from the gradient."""
    lifted = lift(made.graph, ALL)
    f = lifted.former
    given = interpret(tree, named_symbols(made, lifted))
    form = given.form if isinstance(given, Symbol) else f.number(Fraction(str(given)))
    return compare_terms(Page(lifted, made.names), form, lifted.outputs[which], made.text, made.tex)


def compare_terms(page: Page, found: Form, right: Form, text: Text, tex: Latex) -> tuple[Term, ...]:
    """Return the terms in which two forms differ, multiplied out; none where there are too many.

    Args:
        page: gives the names.
        found: a form.
        right: what it should be.
        text: writes it.
        tex: writes it as LaTeX.
    """
    f = page.lifted.former
    keep = set(page.named)
    some, wanted = expand(f, found, keep), expand(f, right, keep)
    if some is None or wanted is None:
        return ()

    def written(m: Form, c: Fraction) -> tuple[str, str]:
        form = page.write(f.scaled(c, m))
        return text(form), tex(form)

    missing = {m: c for m, c in wanted.items() if m not in some}
    extra = {m: c for m, c in some.items() if m not in wanted}
    ratios = {some[m] / c if m in some else None for m, c in wanted.items()}
    if not extra and len(ratios) == 1 and None not in ratios:  # it is a multiple
        return tuple(off_by(*written(right, Fraction(1)), ratio) for ratio in ratios if ratio is not None)
    terms: list[Term] = []
    if len(missing) == len(extra) == 1:
        (should,), (does,) = missing.items(), extra.items()
        terms.append(Term("instead", *written(*should), written(*does)[0]))
    else:
        terms += [Term("missing", *written(m, c)) for m, c in missing.items()]
        terms += [Term("extra", *written(m, c)) for m, c in extra.items()]
    wrong = [(m, c) for m, c in wanted.items() if m in some and some[m] != c]
    return (*terms, *(off_by(*written(m, c), some[m] / c) for m, c in wrong))


def off_by(text: str, tex: str, ratio: Fraction) -> Term:
    """Return a term that is there, times a number."""
    return Term("sign", text, tex) if ratio == -1 else Term("factor", text, tex, str(ratio))


def compare_outputs(graph: Graph) -> tuple[Term, ...]:
    """Return the terms in which the first output of a graph differs from the second, which is right."""
    lifted = lift(graph, ALL)
    found, right = lifted.outputs
    names = {i: name for i, name in names_of(graph).items() if i != graph.outputs[0]}  # what is judged has no name
    return compare_terms(Page(lifted, names), found, right, Text(), Latex())


def expand(f: Former, form: Form, keep: set[Form]) -> dict[Form, Fraction] | None:
    """Multiply out all sums that have no name; return the coefficient of each term, None where there are too many."""
    total: dict[Form, Fraction] = {}
    for term, c in terms_of(form).items() if form not in keep else [(form, Fraction(1))]:
        coefficient, factors = factors_of(term)
        found: dict[Form, Fraction] = {f.one: c * coefficient}
        for factor, p in factors.items():
            inner = expand(f, factor, keep) if factor.kind == "sum" and factor not in keep and 0 < p <= 3 else None
            pieces = [(f.power(factor, p), Fraction(1))] if inner is None else list(inner.items())
            for _ in range(1 if inner is None else p):
                found = joined(f, found, pieces)
                if len(found) > MOST_TERMS:
                    return None
        for m, d in found.items():
            total[m] = total.get(m, Fraction(0)) + d
    return {m: c for m, c in total.items() if c}


def joined(f: Former, some: Mapping[Form, Fraction], pieces: Sequence[tuple[Form, Fraction]]) -> dict[Form, Fraction]:
    """Return the products of terms."""
    found: dict[Form, Fraction] = {}
    for m, c in some.items():
        for piece, d in pieces:
            coefficient, factors = factors_of(f.product(m, piece))
            key = f.product_of(Fraction(1), factors)
            found[key] = found.get(key, Fraction(0)) + c * d * coefficient
    return found


def loss_in_float32(made: Maker, tree: ast.expr, which: int) -> float | None:
    """Return the relative error of a formula in float32 at a mean of 1e4, if it is large."""
    values = named_arrays(made, 1, far=1e4)
    true = values["the answer"][which]
    narrow = {k: v.astype(np.float32) if isinstance(v, np.ndarray) else v for k, v in values.items()}
    with np.errstate(all="ignore"):
        off, wide = (relative(np.asarray(interpret(tree, names), float), true) for names in (narrow, values))
    return off if off > LOST and wide < LOST else None
