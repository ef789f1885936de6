"""The process in which a student's code runs: it reads a job as JSON, and writes the report as JSON.

What the student's code prints goes nowhere else than into the report. This is no sandbox: the code may do what the user
may do.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import linecache
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.teach.grading.check import check_backward
from tinygraph.teach.grading.checkers import check_gradient_checker
from tinygraph.teach.grading.exercise import Exercise
from tinygraph.teach.grading.limits import limit_memory, watch
from tinygraph.teach.grading.report import Entry, Report
from tinygraph.teach.grading.runs import quiet
from tinygraph.teach.grading.tasks import task_of
from tinygraph.teach.language import language_of
from tinygraph.verify.gradients import GradcheckError, gradcheck

__all__ = ["exercise_of", "main"]

GRACE = 1.0  # seconds in which the thread beside the code may stop it first


class BrokenFileError(Exception):
    """A student's file cannot be run; ``line`` says where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def main() -> int:
    """Do the job that stands on the standard input; return the exit status."""
    job = json.loads(sys.stdin.buffer.read())
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # also what is printed past Python's streams
        os.dup2(nowhere, stream)

    def answer(found: dict[str, Any]) -> None:
        out.write(json.dumps(found).encode())
        out.flush()
        os._exit(0)  # threads of the student do not keep it alive

    def stop(reason: str, frame: Any) -> None:
        words, file = language_of(job["lang"]), str(Path(job["file"]).resolve())
        while frame is not None and str(Path(frame.f_code.co_filename).resolve()) != file:
            frame = frame.f_back
        line = frame.f_lineno if frame else 0
        said = words.text(f"grader.{reason}", seconds=job["seconds"])
        answer(report_of(job, [(line, said)]).to_dict())

    limit_memory(job["megabytes"] * 2)  # of addresses, of which more are taken than used
    watch(job["seconds"] + GRACE, job["megabytes"], stop)  # where an exception does not stop it
    try:
        answer(do(job).to_dict())
    except BrokenFileError as error:
        answer(report_of(job, [(error.line, str(error))]).to_dict())
    except (ValueError, TypeError) as error:
        answer({"error": str(error)})
    return 0


def report_of(job: dict[str, Any], wrong: list[tuple[int, str]]) -> Report:
    """Return the report of a function that did not come to its end."""
    task = task_of(job["function"])
    outputs = dict.fromkeys(task.returns if task else (), False)
    entries = tuple(
        Entry(n, linecache.getline(job["file"], n).strip() if n else "", "", "wrong", text) for n, text in wrong
    )
    return Report(job["function"], job["file"], False, entries, outputs, lang=job["lang"], hints=job["hints"])


def do(job: dict[str, Any]) -> Report:
    """Do a job."""
    module = load(job["file"])
    function = named(module, job["function"], job["file"])
    options = {"seed": job["seed"], "lang": job["lang"], "hints": job["hints"], "seconds": job["seconds"]}
    if job.get("exercise"):
        exercise = exercise_of(job["exercise"])
        return exercise.check(function, lang=job["lang"], hints=job["hints"], seconds=job["seconds"])
    shapes = {name: tuple(shape) for name, shape in (job.get("inputs") or {}).items()}
    forward = named(module, job["forward"], job["file"]) if job.get("forward") else None
    if job.get("checker"):
        return check_gradient_checker(function, forward, shapes or None, lang=job["lang"], hints=job["hints"])
    if shapes and forward is None and not inspect.ismethod(function):
        return check_gradients(function, shapes, job)
    return check_backward(function, forward, shapes or None, job.get("returns"), **options)


def exercise_of(place: str) -> Exercise:
    """Return the exercise "teacher.py:exercise".

    Raises:
        BrokenFileError: the file stops.
        ValueError: it has none of this name.
    """
    file, _, name = place.rpartition(":")
    if not file or not Path(file).is_file():
        raise ValueError(f"there is no file {file or place}: write teacher.py:exercise")
    found = named(load(file), name, file)
    if not isinstance(found, Exercise):
        raise ValueError(f"{place} is no exercise, but {type(found).__name__}")
    return found


def load(file: str) -> Any:
    """Run a file as a module.

    Raises:
        BrokenFileError: it stops.
    """
    path = Path(file).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        with quiet():
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise BrokenFileError(f"{type(error).__name__}: {error.msg}", error.lineno or 0) from None
    except BaseException as error:  # exit() at the top of the file, too
        lines = [n for f, n in traceback.walk_tb(error.__traceback__) if f.f_code.co_filename == str(path)]
        raise BrokenFileError(
            f"{type(error).__name__}: {' '.join(str(error).split())}", lines[-1] if lines else 0
        ) from None
    return module


def named(module: Any, name: str, file: str) -> Any:
    """Return what a module has under a name, or a part of it: "layer.backward".

    Raises:
        ValueError: it has not.
    """
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
            raise ValueError(f"{file} has no {name!r}; it has {', '.join(known) or 'no function'}")
        if inspect.isclass(found):
            raise ValueError(f"{name} is a method of a class: make an object in the file, and name its method")
        found = getattr(found, part)
    return found


def check_gradients(function: Any, shapes: dict[str, tuple[int, ...]], job: dict[str, Any]) -> Report:
    """Check the gradients of a function of Tensors by differences."""
    rng = np.random.default_rng(job["seed"])
    inputs = tuple(rng.standard_normal(shape) for shape in shapes.values())
    code = getattr(function, "__code__", None)
    line, outputs = (code.co_firstlineno if code else 0), {f"d{name}": True for name in shapes}
    report = Report(job["function"], job["file"], True, (), outputs, lang=job["lang"], hints=job["hints"])
    try:
        with quiet():
            gradcheck(function, inputs)
    except GradcheckError as error:
        said = " ".join(str(error).split())
    except (Exception, SystemExit) as error:
        frames = [
            n for f, n in traceback.walk_tb(error.__traceback__) if code and f.f_code.co_filename == code.co_filename
        ]
        line = frames[-1] if frames else line
        said = language_of(job["lang"]).text(
            "grader.stops", kind=type(error).__name__, message=" ".join(str(error).split())
        )
    else:
        return report
    return report_of({**job, "file": job["file"]}, [(line, said)])


if __name__ == "__main__":
    sys.exit(main())
