"""``tinygraph worksheet``: an exercise to print, and its answer key on the same layout."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_or_example

HELP = "write an exercise to print, and its answer key"
DESCRIPTION = """\
Write a worksheet on backpropagation: the figure with blanks, a question for each line of the answer key, and room to
write. The key has the same layout, with the line of code, the formula and the numbers of each answer. Without WHAT it
is batch norm on a batch that can be solved by hand."""
EXAMPLES = """\
  tinygraph worksheet -o sheet.pdf --key key.pdf   batch norm by hand
  tinygraph worksheet model.py:loss -o sheet.pdf   your own graph
  tinygraph worksheet model.py:loss -o sheet.html  print it from a browser
  tinygraph worksheet -o s.pdf --ask dσ,dx         only these gradients
  tinygraph worksheet -o s.pdf --ask forward       compute the values
  tinygraph worksheet -o s.pdf --key k.pdf --copies 30   with other numbers each
  tinygraph worksheet -o s.pdf --lang zh --paper letter  in Chinese, on Letter
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", nargs="?", help=NAMED)
    add("--example", metavar="NAME", help="one of those that come with tinygraph (default batch_norm)")
    add("-o", "--out", metavar="FILE", type=Path, required=True, help="sheet to write: .pdf or .html")
    add("--key", metavar="FILE", type=Path, help="answer key to write: .pdf or .html")
    add("--ask", metavar="NAME[,NAME]", default="backward",
        help="what is asked: backward (the default), forward, or names: σ is a value, dσ its gradient")  # fmt: skip
    add("--blank", metavar="WHAT",
        help="leave out of the figure: gradients, values, derivatives, or names (default: what is asked)")  # fmt: skip
    add("--wrt", metavar="NAME[,NAME]", help="inputs and parameters whose gradients are wanted (default all)")
    add("--title", metavar="TEXT", help="title on the first page")
    add("--points", metavar="N", type=int, default=2, help="points of each question (default 2)")
    add("--paper", choices=("a4", "letter"), default="a4", help="the paper (default a4)")
    add("--lang", metavar="CODE", default="en", help="the language: en or zh (default en)")
    add("--ascii", action="store_true", help="spell names in the code in ASCII: sigma for σ")
    add("--copies", metavar="N", type=int, default=1, help="sheets, each with other numbers, in one file")
    add("--seed", metavar="N", type=int, help="seed of these numbers; a single sheet has other numbers with it, too")


def run(options: argparse.Namespace) -> int:
    """Write a worksheet and its key; return the exit status.

    Raises:
        UsageError: there is no such graph or question, or what prints the files is not installed.
    """
    from tinygraph.drawing.api import EngineMissing
    from tinygraph.teach.worksheet import worksheet

    def words(text: str | None) -> Any:
        return text.split(",") if text else None

    what, _ = graph_or_example(options)
    try:
        worksheet(
            what, options.out, key=options.key, ask=words(options.ask) or "backward", blank=words(options.blank),
            wrt=words(options.wrt), title=options.title, points=options.points, paper=options.paper, lang=options.lang,
            ascii=options.ascii, copies=options.copies, seed=options.seed,
        )  # fmt: skip
    except (ValueError, TypeError, EngineMissing, KeyError) as error:
        message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        raise UsageError(message.removeprefix("worksheet: ").removeprefix("source: ")) from None
    for path in (options.out, options.key):
        if path is not None:
            print(f"wrote {path}")
    return 0
