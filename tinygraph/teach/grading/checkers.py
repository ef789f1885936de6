"""The reverse exercise: a student writes a gradient check, and it has to catch seven wrong backwards."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.teach.grading.mutated import Key, wrong_backwards
from tinygraph.teach.grading.references import batchnorm
from tinygraph.teach.grading.report import Entry, Report
from tinygraph.teach.grading.runs import Subject, quiet
from tinygraph.teach.language import language_of

__all__ = ["check_gradient_checker"]

BATCH_NORM = {"x": (5, 3), "gamma": (3,), "beta": (3,)}  # the shapes of its inputs


def check_gradient_checker(
    checker: Callable[..., Any],
    forward: Callable[..., Any] | None = None,
    inputs: Mapping[str, Sequence[int]] | None = None,
    *,
    count: int = 7,
    lang: str = "en",
    hints: int = 1,
) -> Report:
    """Grade a gradient check: does it let a right backward pass, and catch seven wrong ones?

    The wrong backwards are functions: the answer key of the forward, as `source` writes it, with one mistake in one
    line. The mistakes are made from the recorded program: a factor is left out, a statistic taken for a constant, a sum
    is a mean, a shape is (1, D). The check is called as ``checker(forward, backward)``: of batch norm,
    ``forward(x, gamma, beta)`` returns ``out, cache``, and ``backward(dout, cache)`` returns ``dx, dgamma, dbeta``. It
    draws its own inputs, of any sizes; it says that a backward is wrong by returning False or by raising an error. An
    upstream gradient of ones, γ = 1, or shapes that are not compared let mistakes slip through.

    Args:
        checker: the student's.
        forward: a function of Tensors; batch norm unless given.
        inputs: the shape of each of its inputs.
        count: how many wrong backwards, at least 1.
        lang: language of the report: "en" or "zh".
        hints: how many hints are printed, 0 to 3; the last is the wrong line.

    Returns:
        The report: true if all are judged rightly; each is worth a point.

    Raises:
        ValueError: a forward has no inputs, or there are not so many wrong backwards of it.

    >>> report = check_gradient_checker(lambda forward, backward: True)
    >>> report.passed, report.points, report.most_points
    (False, 1.0, 8.0)
    """
    if forward is not None and not inputs:
        raise ValueError('check_gradient_checker: give the shape of each input, as in {"x": (4, 3)}')
    if count < 1:
        raise ValueError(f"check_gradient_checker: count is {count}; it must be 1 or more")
    language, subject = language_of(lang), Subject(checker)
    shapes = {name: tuple(shape) for name, shape in (inputs if forward and inputs else BATCH_NORM).items()}
    key = Key(forward, [*shapes]) if forward else Key(batchnorm, [*shapes], [{"eps": 1e-5}])
    entries, outputs = [], {}
    for wrong in (None, *wrong_backwards(key, tuple(shapes.values()), count)):
        backward = functools.partial(key.backward, wrong=wrong) if wrong else key.backward
        passes, said = verdict_of(checker, key.forward, backward, subject)
        is_right = passes != bool(wrong)
        name = f"{wrong.name} {wrong.kind}" if wrong else "right"
        if wrong:
            what = f"{wrong.name}: {language.text(f'mutants.{wrong.kind}.say', **wrong.facts)}"
            text = language.text("grader.catches" if is_right else "grader.slips", what=what)
            asked = wrong.kind if wrong.kind in language.texts["wrongs"] else "any"
            hint = () if is_right else (language.text(f"wrongs.{asked}.ask", name=wrong.name), "", wrong.line)
        else:
            text = language.text("grader.passes_right") if is_right else language.text("grader.refuses_right") + said
            hint = ()
        outputs[name] = is_right
        entries.append(Entry(0, "", name, "right" if is_right else "wrong", text, hint))
    passed = all(outputs.values())
    return Report(subject.name, subject.file, passed, tuple(entries), outputs, lang=language.code, hints=hints)


def verdict_of(
    checker: Callable[..., Any], forward: Callable[..., Any], backward: Callable[..., Any], subject: Subject
) -> tuple[bool, str]:
    """Return whether a check lets a backward pass, and what it said where it raised an error."""
    with quiet(), np.errstate(all="ignore"):
        try:
            return bool(checker(forward, backward)), ""
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an assertion that fails is the answer, too
            crash = subject.crash(error)
            return False, f" ({crash.kind}{': ' if crash.message else ''}{crash.message})"
