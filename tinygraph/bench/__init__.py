"""Measure tinygraph against its peers: each library in a process of its own, taking turns.

A figure is the median, over rounds, of our time divided by the peer's in the same round; its spread is the two
quartiles. docs/benchmarks.md gives the reasons.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib import metadata
from typing import Any

import numpy as np

from tinygraph.drawing.style.palette import LIGHT
from tinygraph.engine.lazy_import import install_hint
from tinygraph.engine.types import Array, Shape

__all__ = ["ROWS", "Result", "Row", "chart", "report", "run", "table"]

SPAN = 0.05  # seconds that one turn of a library lasts, at least
QUIET = 0.03  # seconds before it: the threads of OpenMP spin for most of that after a library's last operation


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: the work, its shape, and the library that it is measured against.

    Args:
        group: what the table calls the work.
        work: what `tinygraph.bench.workloads` calls it.
        shape: of x.
        must: the greatest figure that is good enough.
        peer: the library on the other side; "fused" is ours, with the fused op written by hand, and then the next one.
        threads: how many each library may use.
        route: which fused kernels are used, "numpy" or "numba".
        measure: "time" (ours ÷ the peer's), "peak" (greatest memory ÷ bytes of x) or "accuracy" (greatest
            relative error).

    >>> Row("chain of 201 ops", "chain", (64, 64), 0.75).title
    'chain of 201 ops 64×64 ÷ torch'
    """

    group: str
    work: str
    shape: Shape
    must: float
    peer: str = "torch"
    threads: int = 2
    route: str = "numpy"
    measure: str = "time"

    @property
    def title(self) -> str:
        """The name of the row: group, shape, peer."""
        against = f" ÷ {self.peer}" if self.measure == "time" else ""
        return f"{self.group} {'×'.join(map(str, self.shape))}{against}"


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured in a row.

    Args:
        row: the row.
        figure: the median; None if the row could not be run.
        low: the lower quartile.
        high: the upper quartile.
        ours: median time of a step of ours, in seconds; None where no time is measured.
        theirs: median time of a step of the peer's, in seconds.
        why: the reason why the row could not be run.

    >>> Result(Row("error", "batch_norm", (64, 16), 1e-5, measure="accuracy"), 2e-7).holds
    True
    """

    row: Row
    figure: float | None
    low: float = 0.0
    high: float = 0.0
    ours: float | None = None
    theirs: float | None = None
    why: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the figure is good enough; None if there is none."""
        return None if self.figure is None else self.figure <= self.row.must


FLAT = [(128, 512), (1024, 1024), (8192, 256)]
IMAGES = [(32, 64, 56, 56), (128, 16, 28, 28), (64, 256, 14, 14)]
COMPOSED = dict(zip([*FLAT, *IMAGES], [0.8, 0.95, 0.95, 1.2, 1.2, 1.2], strict=True))
SLOWER = ("mygrad", "autograd", "dezero")
ROWS = [
    Row("chain of 201 ops", "chain", (8,), 0.5, threads=1),
    Row("chain of 201 ops", "chain", (64, 64), 0.75, threads=1),
    *(Row("composed BN", "composed", shape, must) for shape, must in COMPOSED.items()),
    *(Row("composed BN, peak memory", "training", shape, 4.5, measure="peak") for shape in (FLAT[1], IMAGES[0])),
    Row("composed BN, peak memory of grad", "training by grad", FLAT[1], 4.6, measure="peak"),
    *(Row("fused BN, NumPy", "batch_norm", shape, 2.6) for shape in [*FLAT, *IMAGES]),
    *(Row("fused BN, Numba", "batch_norm", shape, 0.85, route="numba") for shape in FLAT),
    *(Row("fused BN, Numba", "batch_norm", shape, 0.45, route="numba") for shape in IMAGES),
    *(Row("fused LN, NumPy", "layer_norm", shape, 2.6) for shape in FLAT),
    *(Row("fused LN, Numba", "layer_norm", shape, 0.9, route="numba") for shape in FLAT),
    *(
        Row(f"fused {name}, {route}, error at mean 10⁴", work, shape, 1e-5, route=route.lower(), measure="accuracy")
        for name, work in (("BN", "batch_norm"), ("LN", "layer_norm"))
        for route in ("NumPy", "Numba")
        for shape in ([(1024, 1024), (128, 16, 28, 28)] if name == "BN" else [(1024, 1024)])
    ),
    *(Row("compiled BN, NumPy", "compiled batch_norm", shape, 2.6) for shape in [*FLAT, *IMAGES]),
    *(Row("compiled BN, Numba", "compiled batch_norm", shape, 0.95, route="numba") for shape in FLAT),
    *(Row("compiled BN, Numba", "compiled batch_norm", shape, 0.5, route="numba") for shape in IMAGES),
    *(
        Row("compiled BN, Numba", "compiled batch_norm", shape, must, peer=peer, route="numba")
        for peer, must in (("torch_compile", 0.6), ("jax", 0.5), ("fused", 1.15))
        for shape in [*FLAT, *IMAGES]
    ),
    Row("MLP + BN + Adam, whole step", "mlp step", (256, 784), 0.75, route="numba"),
    Row("MLP + BN + Adam, whole step", "mlp step", (256, 784), 1.2, peer="jax", route="numba"),
    Row("LeNet + BN + SGD, whole step", "lenet step", (256, 1, 28, 28), 1.2, route="numba"),
    *(
        Row("compiled LN, Numba", "compiled layer_norm", shape, must, peer=peer, route="numba")
        for peer, must in (("torch", 1.0), ("fused", 1.15))
        for shape in FLAT
    ),
    *(
        Row(f"compiled BN{after}, Numba", f"compiled batch_norm{after}", shape, 0.75, peer="fused", route="numba")
        for after in (", relu", ", sigmoid, residual")
        for shape in [*FLAT, *IMAGES]
    ),
    *(
        Row(f"compiled {name}, Numba", f"compiled {name}", shape, must, route="numba")
        for name, shape, must in (
            ("softmax", (1024, 1000), 1.3),
            ("cross_entropy", (1024, 1000), 1.3),
            ("gelu", (1024, 1024), 1.5),
        )
    ),
    Row("compiled BN, peak memory", "compiled batch_norm", IMAGES[0], 2.3, route="numba", measure="peak"),
    *(
        Row(
            f"compiled BN, {route}, error at mean 10⁴",
            "compiled batch_norm",
            (1024, 1024),
            1e-6,
            route=route.lower(),
            measure="accuracy",
        )
        for route in ("NumPy", "Numba")
    ),
    *(Row("chain of 201 ops", "chain", (8,), 1 / 3, peer=peer, threads=1) for peer in SLOWER),
    *(Row("composed BN", "composed", s, 1 / 3, peer=peer) for s in ((32, 64), (128, 512)) for peer in SLOWER),
    Row("composed BN", "composed", (16, 4), 1 / 3, peer="micrograd", threads=1),
]


class Worker:
    """A process that has one library imported, and measures what it is asked to measure."""

    def __init__(self, library: str, threads: int, route: str) -> None:
        count = str(threads)
        limits = {f"{name}_NUM_THREADS": count for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        environment = {**os.environ, **limits, "TINYGRAPH_FUSED": route}
        command = [sys.executable, "-m", "tinygraph.bench.workloads", library]
        self.process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for the answer.

        Args:
            request: one of the methods of `tinygraph.bench.workloads.Server` with its argument, and a shape.

        Returns:
            The answer, as JSON has it.

        Raises:
            ModuleNotFoundError: what the work needs is not installed.
            RuntimeError: the work failed; the message is the end of what the process said.
        """
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read().strip().splitlines()[-1:] or "the worker ended")
        answer = json.loads(line)
        if isinstance(answer, dict):
            raise ModuleNotFoundError(answer["absent"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def run(rows: Sequence[Row] = ROWS, rounds: int = 15, say: Callable[[str], Any] = lambda _: None) -> list[Result]:
    """Measure rows, one after the other.

    Args:
        rows: the rows.
        rounds: how many turns each library has, 1 or more.
        say: called with a line of text before each row.

    Returns:
        A result for each row; where a peer is not installed, the result says so.

    >>> from tinygraph import bench
    >>> bench.run([bench.Row("chain", "chain", (8,), 1.0, peer="no such library")], rounds=1)[0].why
    'not installed: no such library'
    """
    results = []
    for k, row in enumerate(rows):
        say(f"[{k + 1}/{len(rows)}] {row.title}")
        ours = Worker("tinygraph", row.threads, row.route)
        workers = [ours, Worker(row.peer, row.threads, "")] if row.measure == "time" else [ours]
        try:
            results.append(measure_row(row, workers, rounds))
        except ModuleNotFoundError as error:
            results.append(Result(row, None, why=f"not installed: {error}"))
        except RuntimeError as error:
            results.append(Result(row, None, why=str(error)))
        finally:
            for worker in workers:
                worker.close()
    return results


def measure_row(row: Row, workers: list[Worker], rounds: int) -> Result:
    """Measure one row, with our worker and perhaps the peer's."""
    if row.measure == "accuracy":
        error = workers[0].ask(accuracy=row.work, shape=row.shape)
        return Result(row, error, error, error)
    if row.measure == "peak":
        most = workers[0].ask(peak=row.work, shape=row.shape)
        return Result(row, most, most, most)
    for worker in workers:
        worker.ask(work=row.work, shape=row.shape)
    repeats = [max(1, round(SPAN / time_turn(worker, 3))) for worker in workers]
    turns = np.array([[time_turn(w, n) for w, n in zip(workers, repeats, strict=True)] for _ in range(rounds)])
    low, figure, high = np.percentile(turns[:, 0] / turns[:, 1], [25, 50, 75])
    ours, theirs = np.median(turns, axis=0)
    return Result(row, float(figure), float(low), float(high), float(ours), float(theirs))


def time_turn(worker: Worker, steps: int) -> float:
    """Wait until the other library's threads sleep, let this one warm up, and return the seconds of a step."""
    time.sleep(QUIET)
    worker.ask(repeat=-(-steps // 10))
    return max(float(worker.ask(repeat=steps)), 1e-6)


def table(results: Iterable[Result]) -> str:
    """Write results as a Markdown table, which can be read in a terminal too.

    Args:
        results: from `run`.

    Returns:
        The table, a line a result.

    >>> print(table([Result(Row("error", "batch_norm", (64, 16), 1e-5, measure="accuracy"), 2e-7)]))
    | what  | shape   | against | ours | theirs | figure | quartiles | must    |   |
    |-------|---------|---------|------|--------|--------|-----------|---------|---|
    | error | 64 × 16 | float64 |      |        | 2e-07  |           | ≤ 1e-05 | ✓ |
    """
    lines = [("what", "shape", "against", "ours", "theirs", "figure", "quartiles", "must", "")]
    for r in results:
        shape = " × ".join(map(str, r.row.shape))
        against = {"time": r.row.peer, "peak": "input bytes", "accuracy": "float64"}[r.row.measure]
        if r.figure is None:
            lines.append((r.row.group, shape, against, "", "", "not run", r.why[:40], write_limit(r.row), ""))
            continue
        spread = f"{write_number(r.low)}–{write_number(r.high)}" if r.row.measure == "time" else ""
        times = (write_seconds(r.ours), write_seconds(r.theirs))
        figures = (*times, write_number(r.figure), spread, write_limit(r.row), "✓" if r.holds else "✗")
        lines.append((r.row.group, shape, against, *figures))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
    return "\n".join([rows[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *rows[1:]])


def write_limit(row: Row) -> str:
    """Write what the figure must not exceed."""
    return f"≤ {write_number(row.must)}"


def write_number(x: float) -> str:
    """Write a figure in two decimals, or as a power where it is small."""
    return f"{x:.2f}" if x >= 0.005 else f"{x:.0e}"


def write_seconds(x: float | None) -> str:
    """Write a time with its unit."""
    if x is None:
        return ""
    return f"{x * 1e6:.0f} µs" if x < 1e-3 else f"{x * 1e3:.1f} ms"


def report(results: Iterable[Result]) -> dict[str, Any]:
    """Return results with the machine, the versions and the date, fit for JSON.

    Args:
        results: from `run`.

    Returns:
        A dictionary of "date", "machine", "versions" and "results".

    >>> sorted(report([]))
    ['date', 'machine', 'results', 'versions']
    """
    names = ("numpy", "numba", "torch", "jax", "mygrad", "autograd", "dezero", "micrograd")
    return {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version(), **{n: v for n in names if (v := version_of(n))}},
        "results": [{**dataclasses.asdict(r), "holds": r.holds} for r in results],
    }


def processor() -> str:
    """Return the name of the processor and the size of its largest cache, as far as the system tells them."""
    facts = [platform.machine()]
    for path, pattern, text in (
        ("/proc/cpuinfo", r"model name\s*: (.+)", "{}"),
        ("/sys/devices/system/cpu/cpu0/cache/index3/size", r"(\d+)K", "{} KB of L3 cache"),
    ):
        with contextlib.suppress(OSError):
            facts += [text.format(found) for found in re.findall(pattern, pathlib.Path(path).read_text())[:1]]
    return ", ".join(facts)


def version_of(name: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def chart(results: Iterable[Result], path: str | os.PathLike[str]) -> None:
    """Draw the ratios of times as bars, each with the limit that it must not exceed.

    Args:
        results: from `run`; those that measure a time are drawn.
        path: where to write the picture; its ending chooses .svg, .png or .pdf.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed; the message says how to install it.

    >>> chart(results, "bench.svg")  # doctest: +SKIP
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"a chart needs Matplotlib: {install_hint('plot')}") from None
    shown = [r for r in results if r.figure is not None and r.row.measure == "time"]
    figure = Figure(figsize=(8, 0.6 + 0.27 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = range(len(shown))
    color = [LIGHT["value" if r.holds else "grad"] for r in shown]
    figures, gray = [r.figure or 0 for r in shown], LIGHT["strong"]
    axes.barh(places, figures, xerr=spreads(shown), color=color, height=0.7, ecolor=gray)
    limits = [r.row.must for r in shown]
    axes.plot(limits, places, "|", color=LIGHT["ink"], markersize=11, markeredgewidth=2, label="must be left of")
    axes.axvline(1, color=gray, linewidth=0.8)
    axes.set_yticks(places, [r.row.title for r in shown], fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("our time ÷ the peer's, forward and backward (shorter is faster)")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def spreads(results: Sequence[Result]) -> Array:
    """Return the distances from the medians to the quartiles, (2, results)."""
    return np.array([[r.figure - r.low, r.high - r.figure] for r in results if r.figure is not None]).T
