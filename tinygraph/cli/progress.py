"""What a run prints while it trains: a header, a bar, a line an epoch."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from typing import TYPE_CHECKING

from tinygraph.cli.terminal import columns, rewrites_lines, speaks_unicode
from tinygraph.engine.errors import clean

if TYPE_CHECKING:
    from tinygraph.train.loop import Training

__all__ = ["Bar", "epoch_line", "header"]


def header(run: Training, options: argparse.Namespace) -> str:
    """Return two lines about the run: the net and where it is computed; the data."""
    from tinygraph.train.recipes import RECIPES

    parameters = sum(p.size for p in run.net.parameters())
    device = "a GPU" if options.backend == "cupy" else f"{os.cpu_count()} CPU cores"
    net = f"{RECIPES[options.name].says}: {parameters:,} parameters, {options.backend} on {device}"
    net += ", compiled" * options.compile
    tests = f" and {run.test.examples:,} to test on" if run.test else ""
    data = f"{options.data or 'Fashion-MNIST'}: {run.loader.examples:,} examples{tests}, in batches of {options.batch}"
    return f"{clean(net)}\n{clean(data)}"


def epoch_line(training: Training, epochs: int) -> str:
    """Return a line about the last epoch."""
    last = training.history[-1]
    tested = "" if last.test_accuracy is None else f"  test accuracy {last.test_accuracy:.4f}"
    speed = "" if math.isnan(last.examples_per_second) else f"  {last.examples_per_second:,.0f} examples/s"
    return f"epoch {training.epoch}/{epochs}  loss {last.loss:.4f}  accuracy {last.accuracy:.4f}{tested}{speed}"


class Bar:
    """Progress of the epoch: on a terminal one line, rewritten ten times a second; elsewhere nothing.

    It is as wide as the terminal at most: the figures go first, then the bar.
    """

    def __init__(self, run: Training, epochs: int) -> None:
        self.run, self.epochs, self.shown, self.next = run, epochs, rewrites_lines(sys.stderr), 0.0
        self.full, self.empty = "━╌" if speaks_unicode(sys.stderr) else "#."

    def show(self) -> None:
        """Write the line again, if a tenth of a second has passed."""
        if not self.shown or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + 0.1
        sys.stderr.write(f"\r\x1b[K{self.line(columns(80) - 1)}")
        sys.stderr.flush()

    def line(self, width: int) -> str:
        """Return the line, of that many columns at most."""
        run, batches = self.run, len(self.run.loader)
        parts = [f"epoch {run.epoch + 1}/{self.epochs} ", f" {run.batch}/{batches}", f"  loss {run.loss:.4f}"]
        if not math.isnan(speed := run.examples_per_second):
            seconds = ((self.epochs - run.epoch) * batches - run.batch) * self.run.loader.batch_size / speed
            parts += [f"  {minutes(seconds)} left"]
            parts += [f"  accuracy {run.accuracy:.4f}", f"  {speed:,.0f} examples/s"]
        while len(parts) > 2 and sum(map(len, parts)) + 5 > width:
            parts.pop()
        cells = min(24, width - sum(map(len, parts)))
        done = round(max(cells, 0) * run.batch / batches)
        bar = self.full * done + self.empty * (cells - done)
        return "".join([parts[0], bar, *parts[1:]])[:width]

    def clear(self) -> None:
        """Erase the line."""
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def minutes(seconds: float) -> str:
    """Write a time as a clock does: ``1:05``, ``2:00:00``."""
    whole = round(seconds)
    parts = [whole // 3600, whole // 60 % 60, whole % 60] if whole >= 3600 else [whole // 60, whole % 60]
    return ":".join([str(parts[0]), *(f"{p:02d}" for p in parts[1:])])
