"""``tinygraph lesson``: a page in which a graph is watched, explored, asked about and broken."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import NAMED, graph_or_example
from tinygraph.engine.errors import clean

HELP = "write a lesson about a graph: watch, explore, quiz, break it"
DESCRIPTION = """\
Write a lesson about the backward pass of a tensor: one HTML file that works offline. A reader watches it step by step,
changes any number, is asked for each line and told what is wrong with an answer, breaks a rule, and sees the gradient
split by path. Without WHAT it is batch norm on a batch that can be solved by hand."""
EXAMPLES = """\
  tinygraph lesson                             batch norm: lesson.html
  tinygraph lesson --example attention         another one, of tinygraph's own
  tinygraph lesson model.py:loss -o loss.html  your own graph, up to 40 nodes
  tinygraph lesson --lang zh                   in Chinese, for every browser
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="WHAT", nargs="?", help=NAMED)
    add("--example", metavar="NAME", help="one of those that come with tinygraph (default batch_norm)")
    add("-o", "--out", metavar="FILE", type=Path, default=Path("lesson.html"), help="file to write (lesson.html)")
    add("--title", help="heading of the page")
    add("--lang", metavar="CODE", help="en or zh (default: what the reader's browser asks for)")
    add("--wrt", metavar="NAME[,NAME]", help="inputs and parameters whose gradients are asked for (default all)")


def run(options: argparse.Namespace) -> int:
    """Write a lesson; return the exit status.

    Raises:
        UsageError: there is no such graph or example, or no lesson can be made of it.
    """
    from tinygraph.teach.language import language_of, languages
    from tinygraph.teach.lesson import lesson

    if options.out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{options.out}: a lesson is a page, so the ending must be .html")
    what, name = graph_or_example(options)
    title = options.title
    if name and not title:
        title = {code: language_of(code).text(f"lessons.{name}") for code in languages()}
    wrt = options.wrt.split(",") if options.wrt else None
    try:
        path = lesson(what, options.out, title=title, lang=options.lang, wrt=wrt)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error).removeprefix("lesson: ").removeprefix("source: ")) from None
    print(clean(f"wrote {path}; open it in a browser"))
    return 0
