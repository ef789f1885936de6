"""``tinygraph derive``: from a recorded backward pass to its closed form, a rule a step."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_or_example
from tinygraph.engine.errors import clean

HELP = "derive the closed form of a gradient, a rule a step"
DESCRIPTION = """\
Derive the closed form of the gradients of a tensor from its recorded backward pass. Each step says the rule, the
formulas, the sweeps over memory and the arrays that are kept, and is compared with what was recorded, in floating
point and in exact numbers. With --ask a closed form of yours is judged, and the term that differs is named; the exit
status is 1 if it is wrong. Without WHAT it is batch norm on a batch that can be solved by hand."""
EXAMPLES = """\
  tinygraph derive                             batch norm, on the screen
  tinygraph derive model.py:loss --wrt x       your own graph, the gradient of x
  tinygraph derive model.py:loss -o loss.tex   LaTeX; also .svg, .json and .txt
  tinygraph derive --ask "gamma/sigma*(w - w.mean(0) - xhat*(w*xhat).mean(0))"
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", nargs="?", help=NAMED)
    add("--example", metavar="NAME", help="one of those that come with tinygraph (default batch_norm)")
    add("--wrt", metavar="NAME[,NAME]", help="inputs and parameters whose gradients are wanted (default all)")
    add("--ask", metavar="FORMULA", help="a closed form to judge, as NumPy code: dx = gamma/sigma*(dy - …)")
    add("-o", "--out", metavar="FILE", type=Path, help="file to write: .tex .svg .json .txt (default: the screen)")


def run(options: argparse.Namespace) -> int:
    """Derive a closed form; return the exit status: 1 where the one that was asked about is wrong.

    Raises:
        UsageError: there is no such graph or example, or nothing can be derived of it.
    """
    from tinygraph.sums.deriving import derive
    from tinygraph.sums.report import save

    what, _ = graph_or_example(options)
    wrt = options.wrt.split(",") if options.wrt else None
    try:
        found = derive(what, wrt=wrt, ask=options.ask)
        if options.out is not None:
            save(found, options.out)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error).removeprefix("derive: ")) from None
    if options.out is not None:
        print(clean(f"wrote {options.out}"))
    if options.ask is not None:
        print(found.verdict)
        return 0 if found.verdict.right and found.verdict.float32 is None else 1
    if options.out is None:
        print(found)
    return 0
