"""``tinygraph check``: which line of a backward pass that somebody wrote is wrong."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from tinygraph.cli.errors import UsageError

HELP = "say which line of a hand-written backward pass is wrong"
DESCRIPTION = """\
Check a backward pass that was written by hand. A right one passes, however it is written; of a wrong one the wrong
lines are named, with the likely mistake. Functions of the course CS231n are known by their names; of any other name
the forward and the shapes of its inputs. A function of Tensors is checked by differences. The code runs in a process
of its own, with limits on time and memory; that is no sandbox."""
EXAMPLES = """\
  tinygraph check student.py:batchnorm_backward
  tinygraph check student.py:batchnorm_backward --hints 3 --lang zh
  tinygraph check student.py:back --forward forth --inputs x=4,3 w=3,2
  tinygraph check model.py:loss --inputs x=4,3         a function of Tensors
  tinygraph check student.py:backward --exercise teacher.py:exercise
  tinygraph check student.py:gradient_check --checker
  tinygraph check student.py:relu_backward --format gradescope -o results.json
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("what", metavar="FILE.py:NAME", help="the function, or a method of an object: layer.backward")
    add("--forward", metavar="NAME", help="its forward, in the same file")
    add("--inputs", metavar="NAME=SHAPE", nargs="+", help="inputs and their shapes: x=4,3 w=3,2")
    add("--returns", metavar="NAME[,NAME]", help="what the backward returns (default: d and the name of each input)")
    add("--exercise", metavar="FILE.py:NAME", help="an exercise of a teacher, made by tg.exercise")
    add("--checker", action="store_true", help="the function is a gradient check: which wrong backwards does it catch?")
    add("--hints", type=int, choices=range(4), default=1, help="hints for each wrong line (default 1)")
    add("--lang", default="en", help="language: en or zh")
    add("--seed", type=int, default=0, help="of the random inputs (default 0)")
    add("--seconds", type=float, default=10.0, help="how long one call may take (default 10)")
    add("--memory", type=float, default=2048.0, metavar="MB", help="how much memory it may use (default 2048)")
    add("--format", choices=("text", "json", "gradescope", "otter"), default="text", help="form of the result")
    add("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    add("-o", "--out", metavar="FILE", type=Path, help="file to write (default: the screen)")


def run(options: argparse.Namespace) -> int:
    """Check a function; return the exit status: 0 it is right, 1 it is wrong.

    Raises:
        UsageError: it cannot be checked as asked.
    """
    from tinygraph.drawing.api import write
    from tinygraph.teach.grading.process import check_file

    file, _, name = options.what.rpartition(":")
    if not file or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{options.what!r} is no function of a file: write {like(options.what)}")
    if not Path(file).is_file():
        raise UsageError(f"there is no file {file}")
    try:
        if options.format == "otter":
            text, status = otter_of(name, options), 0
        else:
            report = check_file(
                file, name, forward=options.forward, inputs=shapes_of(options.inputs),
                returns=options.returns.split(",") if options.returns else None, exercise=options.exercise,
                checker=options.checker, seed=options.seed, lang=options.lang, hints=options.hints,
                seconds=options.seconds, megabytes=options.memory,
            )  # fmt: skip
            status = 0 if report.passed else 1
            text = str(report)
            if options.format != "text":
                found = report.to_dict() if options.format == "json" else report.to_gradescope()
                text = json.dumps(found, ensure_ascii=False, indent=2)
    except ValueError as error:
        said = str(error).removeprefix("check_backward: ")
        if said.endswith("give forward and inputs"):
            said = said.removesuffix("give forward and inputs") + "give --forward and --inputs, or --exercise"
        raise UsageError(said) from None
    if options.out is None:
        print(text)
    else:
        write(options.out, f"{text}\n".encode())
        print(f"wrote {options.out}")
    return status


def like(what: str) -> str:
    """Return how to write a function of a file: one that can be checked, if the file has one."""
    from tinygraph.teach.grading.tasks import task_of

    file, names = Path(what.rstrip(":")), list[str]()
    if file.suffix == ".py" and file.is_file():
        names = re.findall(r"^def (\w+)", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    known = [name for name in names if task_of(name)] or names
    return ", or ".join(f"{file}:{name}" for name in known[:3]) or "student.py:batchnorm_backward"


def otter_of(name: str, options: argparse.Namespace) -> str:
    """Return the test file for a function; of an exercise, the teacher's own file says its points."""
    from tinygraph.teach.grading.otter import otter_test
    from tinygraph.teach.grading.worker import BrokenFileError, exercise_of

    if options.exercise is None:
        return otter_test(name, options.lang)
    try:
        points = sum(exercise_of(options.exercise).points.values())
    except BrokenFileError as error:
        raise UsageError(f"{options.exercise}:{error.line}: {error}") from None
    return otter_test(
        name, options.lang, f"{Path(options.exercise).stem}:{options.exercise.rpartition(':')[2]}", points
    )


def shapes_of(words: list[str] | None) -> dict[str, list[int]] | None:
    """Return the shapes that ``x=4,3 w=3,2`` says.

    Raises:
        UsageError: it says none.
    """
    found = {}
    for word in words or ():
        name, _, shape = word.partition("=")
        try:
            found[name] = [int(n) for n in shape.split(",") if n]
        except ValueError:
            found[name] = [0]
        if not name.isidentifier() or not all(n > 0 for n in found[name]) or "=" not in word:
            raise UsageError(f"--inputs {word}: write a name and a shape, such as x=4,3")
    return found or None
