"""Time the drawings: batch norm of a 4 × 3 batch with every number, and 5,000 nodes, in each format.

    python tests/bench/draw.py

Exit 1 if batch norm takes 50 ms as SVG, 5,000 nodes take 10 s in any format, or a page of 10,000 nodes takes 10 s or
3 MB.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import gallery
from tinygraph.drawing.api import ENDINGS, EngineMissing, file_content
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.svg import svg


def median(work: Callable[[], Any], rounds: int) -> float:
    """Return the median time of a call, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> int:
    """Measure, print, and say whether the bars hold."""
    small, large = gallery.GALLERY["batch_norm"](), gallery.huge()
    taken = median(lambda: svg(small, detail=2), 21)
    holds = taken < 0.05
    print(f"batch norm (4, 3), every number, .svg  {taken * 1e3:8.1f} ms  (must be < 50 ms)")
    for ending in ENDINGS:
        try:
            taken = median(lambda ending=ending: file_content(large, ending), 3)
        except EngineMissing as missing:
            print(f"{len(large):,} nodes  {ending:<6} left out: {missing}")
            continue
        holds &= taken < 10
        print(f"{len(large):,} nodes  {ending:<6} {taken:8.2f} s  (must be < 10 s)")
    larger = gallery.huge(10_000)
    taken = median(lambda: html(larger), 3)
    size = len(html(larger).encode()) / 1e6
    holds &= taken < 10 and size < 3
    print(f"{len(larger):,} nodes  a page {taken:8.2f} s, {size:.2f} MB  (must be < 10 s, < 3 MB)")
    return int(not holds)


if __name__ == "__main__":
    raise SystemExit(main())
