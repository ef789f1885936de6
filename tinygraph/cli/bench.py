"""``tinygraph bench``: the benchmark, as a table, as JSON and as a chart."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tinygraph.cli.errors import UsageError

HELP = "measure how fast tinygraph is, beside other libraries"
DESCRIPTION = """\
Measure how fast tinygraph is beside PyTorch, jax, MyGrad, autograd, DeZero and micrograd, as far as they are
installed. Each library runs in its own process, and they take turns. Prints the ratio of the median times: below 1,
tinygraph is faster. Exit status 1: a ratio is above its limit."""
EXAMPLES = """\
  tinygraph bench --rounds 5                   all rows, in a few minutes
  tinygraph bench --rows "fused BN"            the rows of fused batch norm
  tinygraph bench --json r.json --chart r.svg  write the results and draw them
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add(
        "--rows",
        default="",
        metavar="TEXT",
        help="only the rows whose title contains TEXT, such as 'chain' or 'fused BN'",
    )
    add("--rounds", type=int, default=15, metavar="N", help="how many turns each library has (default 15)")
    add("--json", type=Path, metavar="FILE", help="write the results, with machine, versions and date, to FILE")
    add("--chart", type=Path, metavar="FILE", help="draw the ratios as bars (.svg, .png or .pdf; needs Matplotlib)")


def run(options: argparse.Namespace) -> int:
    """Run the benchmark; return the exit status.

    Raises:
        UsageError: no row has that title, an option is out of range, or Matplotlib is missing for the chart.
    """
    from tinygraph import bench
    from tinygraph.drawing.api import write

    rows = [row for row in bench.ROWS if options.rows in row.title]
    if not rows:
        raise UsageError(f"--rows {options.rows!r}: no row has that in its title")
    if options.rounds < 1:
        raise UsageError(f"--rounds {options.rounds}: must be 1 or more")
    results = bench.run(rows, options.rounds, say=lambda line: print(line, file=sys.stderr, flush=True))
    print(bench.table(results))
    if options.json:
        write(options.json, (json.dumps(bench.report(results), ensure_ascii=False, indent=1) + "\n").encode())
    if options.chart:
        try:
            bench.chart(results, options.chart)
        except (ModuleNotFoundError, ValueError) as error:
            raise UsageError(error) from None
    return int(any(result.holds is False for result in results))
