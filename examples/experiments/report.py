"""What every experiment shares: its options, its figure, and its place in docs/experiments.md.

An experiment is a function ``run(short, data) -> Report``. The figures in the documentation are written there by
``--docs`` and by nothing else, with the command, the machine and the date.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygraph.data import dataset
from tinygraph.drawing.style.palette import LIGHT

ROOT = Path(__file__).resolve().parent.parent.parent
BLUE, ORANGE, GREEN, GRAY = LIGHT["value"], LIGHT["grad"], "#00775C", LIGHT["strong"]


class Report(NamedTuple):
    """What an experiment found: a table in Markdown, a figure (or None), and its numbers by name."""

    table: str
    figure: Any
    found: dict[str, Any]


def images(data: Path | None, examples: int | None = None) -> tuple[Any, Any]:
    """Return the training and the test set: Fashion-MNIST, or what is in the folder ``data``."""
    train, test = dataset(data)
    return tuple(array[:examples] for array in train), test


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table in Markdown, aligned as in a terminal."""
    lines = [tuple(map(str, line)) for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
    return "\n".join([cells[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *cells[1:]])


def panels(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """Return a figure and its axes.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed; the message says how to install it.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModuleNotFoundError("the experiments need Matplotlib: pip install matplotlib") from None
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "tinygraph", "font.size": 9, "legend.frameon": False}
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def band(axes: Any, x: Any, runs: Any, **style: Any) -> None:
    """Draw the mean of several runs (run, x), and lightly how far they spread."""
    runs = np.asarray(runs)
    axes.plot(x, runs.mean(0), **style)
    axes.fill_between(x, runs.min(0), runs.max(0), color=style["color"], alpha=0.15, linewidth=0)


def main(number: int, run: Callable[..., Report]) -> None:
    """Run an experiment as the command line asks."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--data", type=Path, metavar="DIR", help="Fashion-MNIST's or CIFAR-10's files")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figure (.svg, .png or .pdf)")
    parser.add_argument("--docs", action="store_true", help="write table and figure into docs/, with machine and date")
    options = parser.parse_args()
    started = time.perf_counter()
    report = run(short=options.short, data=options.data)
    print(report.table)
    picture = ROOT / "docs" / "pictures" / f"experiment_{number}.svg" if options.docs else options.out
    if picture and report.figure:
        report.figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else {})
        print(f"wrote {picture}")
    if options.docs:
        file = Path(sys.argv[0]).resolve().relative_to(ROOT)
        threads = "".join(f"{name}={os.environ[name]} " for name in ("OPENBLAS_NUM_THREADS",) if name in os.environ)
        numba = f"Numba {metadata.version('numba')}" if find_spec("numba") else "no Numba"
        versions = f"Python {platform.python_version()}, NumPy {np.__version__}, {numba}"
        took = f"{time.perf_counter() - started:.0f} s on {date.today()}"
        how = f"`{threads}python {file} --docs`: {took}, {platform.machine()} with {os.cpu_count()} cores, {versions}."
        write(ROOT / "docs" / "experiments.md", number, f"{report.table}\n\n{how}")


def write(path: Path, number: int, text: str) -> None:
    """Put text between the marks of an experiment."""
    mark, page = f"experiment {number}", path.read_text(encoding="utf-8")
    block = f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->"
    page, count = re.subn(f"<!-- {mark} -->.*?<!-- /{mark} -->", lambda _: block, page, flags=re.S)
    if count != 1:
        raise ValueError(f"{path}: there are {count} places for {mark}; there must be one")
    path.write_text(page, encoding="utf-8")
