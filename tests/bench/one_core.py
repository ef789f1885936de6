"""Time rows of `tinygraph bench` on one core, in processor time: that can be done on a busy machine.

All processes are pinned to one core, with one thread on both sides, and take turns. The figure is the median over turns
of our processor time divided by the peer's in the same turn. It says how much work there is, not how well threads share
it. Linux only.

    python tests/bench/one_core.py [--rows "compiled BN" …] [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

from tinygraph.bench import ROWS, Row, Worker

SPAN = 0.3  # seconds of a turn


def processor_time(worker: Worker) -> float:
    """Return the seconds that all threads of a process have run."""
    files = Path(f"/proc/{worker.process.pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def turn(worker: Worker, steps: int) -> float:
    """Return the processor time of a step."""
    worker.ask(repeat=-(-steps // 10))
    begun = processor_time(worker)
    worker.ask(repeat=steps)
    return (processor_time(worker) - begun) / steps


def measure(row: Row, rounds: int) -> str:
    """Return a line of the table."""
    workers = [Worker("tinygraph", 1, row.route), Worker(row.peer, 1, "")]
    try:
        for worker in workers:
            worker.ask(work=row.work, shape=row.shape)
            worker.ask(repeat=3)
        repeats = [max(3, round(SPAN / max(turn(w, 3), 1e-6))) for w in workers]
        turns = [[turn(w, n) for w, n in zip(workers, repeats, strict=True)] for _ in range(rounds)]
    except (ModuleNotFoundError, RuntimeError) as error:
        return f"| {row.group} | {row.peer} | {error} |"
    finally:
        for worker in workers:
            worker.close()
    low, ratio, high = statistics.quantiles([ours / theirs for ours, theirs in turns], n=4)
    ours, theirs = (min(t[k] for t in turns) * 1e3 for k in (0, 1))
    shape = " × ".join(map(str, row.shape))
    return f"| {row.group} | {shape} | {row.peer} | {ours:.3f} | {theirs:.3f} | {ratio:.2f} | {low:.2f} – {high:.2f} |"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=["compiled", "whole step"], help="texts that titles have")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print("| what | shape | against | ours, ms | theirs, ms | ratio | quartiles |\n|---|---|---|---|---|---|---|")
    for row in ROWS:
        if row.measure == "time" and any(text in row.title for text in options.rows):
            print(measure(row, options.rounds), flush=True)


if __name__ == "__main__":
    main()
