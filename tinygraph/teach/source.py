"""The answer key: forward and backward of a graph as code that a person could have written, a line for each node."""

from __future__ import annotations

from collections.abc import Sequence

from tinygraph.engine.tensor import Tensor
from tinygraph.graph.data import Graph
from tinygraph.teach.latex import LatexPrinter
from tinygraph.teach.printer import Printer
from tinygraph.teach.program import record_program
from tinygraph.teach.spelling import numpy_spelling, torch_spelling

__all__ = ["source"]

LANGUAGES = {"numpy": numpy_spelling, "torch": torch_spelling}


def source(
    what: Tensor | Graph | Sequence[Tensor],
    lang: str = "numpy",
    wrt: Sequence[str | Tensor] | None = None,
    *,
    ascii: bool = False,  # noqa: A002 - the word that users know
) -> str:
    """Write the forward and the backward pass of a computation as code that runs alone.

    A line is a node, or the derivative line of one edge. ``dσ`` is the gradient of σ; where a value was used twice,
    ``dx_1`` and ``dx_2`` are what its uses send back, and ``dx`` is their sum. Comments have the shape of each value,
    and say why a line is as it is.

    Args:
        what: a Tensor, several, or a graph as `snapshot` makes it.
        lang: "numpy", "torch", or "latex", which gives an ``align*`` block.
        wrt: leaves, or their names, whose gradients are wanted; without it, all that require one.
        ascii: spell names in ASCII: ``sigma`` for σ, ``x_hat`` for x̂.

    Returns:
        The program. Where a leaf's numbers are not in the graph, random ones stand in their place, and a comment
        says so.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: the language or a name is not known, no gradient is wanted, or an op has no spelling.

    >>> x = Tensor([1.0, 2.0], name="x")
    >>> print(source((x * x).sum().named("L")).rstrip())
    import numpy as np
    <BLANKLINE>
    x = np.array([1.0, 2.0])                    # (2,)
    <BLANKLINE>
    # forward
    t1 = x * x                                  # (2,)
    L = t1.sum()                                # ()
    <BLANKLINE>
    # backward
    dL = np.ones(())                            # () the upstream gradient
    dt1 = np.broadcast_to(dL, (2,))             # (2,) through L = t1.sum()
    dx_1 = dt1 * x                              # (2,) through t1 = x * x
    dx_2 = dt1 * x                              # (2,) through t1 = x * x
    dx = dx_1 + dx_2                            # (2,) x was used twice: add
    """
    program = record_program(what, wrt)
    if lang == "latex":
        return LatexPrinter(program).text()
    if lang not in LANGUAGES:
        raise ValueError(f"source: lang is {lang!r}; it must be one of {', '.join([*LANGUAGES, 'latex'])}")
    return Printer(program, LANGUAGES[lang](), ascii).text()
