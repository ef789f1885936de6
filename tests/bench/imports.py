"""Time what ``import tinygraph`` adds to the import of NumPy, each import in a process of its own, in turns.

Bytecode is kept in a folder of its own and written before the first turn, so that also where Python is told not to
write any, what is timed is the import that a user waits for.

python tests/bench/imports.py [--rounds 21]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time


def seconds(code: str, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        commands = "import numpy", "import tinygraph"
        for command in commands:
            seconds(command, environment)
        turns = [tuple(seconds(command, environment) for command in commands) for _ in range(rounds)]
    numpy, ours = (1e3 * statistics.median(column) for column in zip(*turns, strict=True))
    share = 1e3 * statistics.median(b - a for a, b in turns)
    print(f"import numpy {numpy:.0f} ms, import tinygraph {ours:.0f} ms; its own share {share:.0f} ms (must be ≤ 60)")


if __name__ == "__main__":
    main()
