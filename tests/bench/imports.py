"""Time what ``import tinygraph`` adds to the import of NumPy, each import in a process of its own, in turns.

python tests/bench/imports.py [--rounds 21]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    turns = [(seconds("import numpy"), seconds("import tinygraph")) for _ in range(rounds)]
    numpy, ours = (1e3 * statistics.median(column) for column in zip(*turns, strict=True))
    share = 1e3 * statistics.median(b - a for a, b in turns)
    print(f"import numpy {numpy:.0f} ms, import tinygraph {ours:.0f} ms; its own share {share:.0f} ms (must be ≤ 60)")


if __name__ == "__main__":
    main()
