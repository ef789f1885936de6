"""Check a student's file in a process of its own, with limits on time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygraph.teach.grading.report import Entry, Report
from tinygraph.teach.language import language_of

__all__ = ["check_file"]

GRACE = 60.0  # seconds for all that is not the student's code


def check_file(
    file: str | Path,
    function: str,
    *,
    forward: str | None = None,
    inputs: Mapping[str, Sequence[int]] | None = None,
    returns: Sequence[str] | None = None,
    exercise: str | None = None,
    checker: bool = False,
    seed: int = 0,
    lang: str = "en",
    hints: int = 1,
    seconds: float = 10.0,
    megabytes: float = 2048.0,
) -> Report:
    """Check a function of a file in a process of its own. That is no sandbox: the code may do what you may do.

    Args:
        file: the student's.
        function: its name.
        forward: name of its forward; see `check_backward`.
        inputs: shape of each input. Without a forward, the function is one of Tensors, and its gradients are checked.
        returns: what a backward returns.
        exercise: "teacher.py:exercise", what is asked instead.
        checker: whether the function is a gradient check; see `check_gradient_checker`.
        seed: of the random numbers.
        lang: language of the report.
        hints: how many hints are printed.
        seconds: how long one call of the student's code may take.
        megabytes: how much memory it may use.

    Raises:
        ValueError: it cannot be checked as asked.
    """
    language = language_of(lang)
    job: dict[str, Any] = {
        "file": str(file), "function": function, "forward": forward, "returns": returns and list(returns),
        "inputs": inputs and {k: list(v) for k, v in inputs.items()}, "exercise": exercise, "checker": checker,
        "seed": seed, "lang": language.code, "hints": hints, "seconds": seconds, "megabytes": megabytes,
    }  # fmt: skip
    here = str(Path(__file__).parents[3])  # of the package
    paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tinygraph.teach.grading.worker"]
    try:
        done = subprocess.run(  # noqa: S603 - this Python, and a module of this package
            command,
            input=json.dumps(job).encode(),
            capture_output=True,
            env=environment,
            timeout=seconds + GRACE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ended(job, language.text("grader.time", seconds=seconds + GRACE))
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return ended(job, language.text("grader.ended", status=done.returncode))
    if "error" in found:
        raise ValueError(found["error"])
    return Report.from_dict(found)


def ended(job: Mapping[str, Any], said: str) -> Report:
    """Return the report of a process that gave no answer."""
    entry = Entry(0, "", "", "wrong", said)
    return Report(job["function"], job["file"], False, (entry,), {}, lang=job["lang"], hints=job["hints"])
