"""Check a backward pass that a student wrote, in this process."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.teach.grading.closed_form import terms_of
from tinygraph.teach.grading.judge import Judge
from tinygraph.teach.grading.limits import check_seconds, stopped_after
from tinygraph.teach.grading.quantities import RTOL
from tinygraph.teach.grading.report import Entry, Report
from tinygraph.teach.grading.runs import Subject, TimeUpError
from tinygraph.teach.grading.tasks import Task, argument_names, task_of, task_of_mapping
from tinygraph.teach.grading.truth import Draw, call, first_of, make_draws, truth_of, wrong_forward
from tinygraph.teach.language import Language, language_of

__all__ = ["check_backward", "check_task", "forward_of"]

Function = Callable[..., Any]
DRAWS = 3


def check_backward(
    backward: Function,
    forward: Function | None = None,
    inputs: Mapping[str, Any] | None = None,
    returns: Sequence[str] | None = None,
    *,
    given: Sequence[Any] = (),
    seed: int = 0,
    lang: str = "en",
    hints: int = 1,
    seconds: float = 10.0,
) -> Report:
    """Say which line of a hand-written backward pass is wrong, and why.

    A right backward passes, however it is written. Of a wrong one, each line is named that is wrong in itself, not
    those that only use its value, with the likely mistake: it is named only where its numbers are the student's on
    several random inputs. What is right is what the student's own forward, run on Tensors, has as gradients; where that
    does not record, the forward of the library takes its place.

    Functions of the course CS231n are known by their names: ``batchnorm_backward(dout, cache)``, its ``_alt``,
    ``layernorm_``, ``spatial_batchnorm_``, ``spatial_groupnorm_``, ``affine_``, ``relu_``, ``dropout_``, ``conv_`` and
    ``max_pool_backward``, ``softmax_loss`` and ``svm_loss``. Any other needs ``forward`` and ``inputs``. The function
    runs in this process, and is stopped where one call takes too long; ``tinygraph check`` runs it in a process of its
    own, with a limit on memory, too.

    Args:
        backward: the student's function: of ``(dout, cache)`` where the forward returns ``(out, cache)``, else of
            ``(dout, x, …)``, the inputs by their names. Or a method ``layer.backward`` of ``(dout)``: its object keeps
            what ``layer.forward`` has computed, and copies of it are run.
        forward: the student's; without it, the function of the same name with forward in the place of backward.
        inputs: what the forward takes: for each a shape, or an array like those that it takes.
        returns: what the backward returns, in order; ``d`` and the name of each input unless given.
        given: further arguments of the forward, after the inputs.
        seed: of the random numbers, at least 0.
        lang: language of the report: "en" or "zh".
        hints: how many hints the printed report has for a wrong line, 0 to 3: a question, the place, the formula.
        seconds: how long one call of the function may take, above 0; a single call of NumPy is not broken off.

    Returns:
        The report: true if all that is returned is right; printed, a table of the lines.

    Raises:
        ValueError: the function is not known and has no mapping, there is no forward, the forward does not run, or
            ``seconds`` is not above 0.

    >>> def square(x):
    ...     return x**2
    >>> report = check_backward(lambda dout, x: 3 * x * dout, square, {"x": (4, 3)})
    >>> report.passed, report.mistakes[0].text
    (False, 'dx: right but for a factor: it is 1.5 times what it should be')
    """
    check_seconds("check_backward", seconds)
    if inspect.ismethod(backward):
        backward, forward = of_layer(backward, forward)
    name = getattr(backward, "__name__", "backward")
    if inputs is not None:
        if forward is None:
            raise ValueError("check_backward: inputs are given, and no forward")
        task: Task | None = task_of_mapping(name, forward, inputs, returns, given)
    else:
        task = task_of(name)
        if task is not None and forward is None and not task.one_function:
            forward = forward_of(backward, task)
    if task is None:
        raise ValueError(f"check_backward: {name} is no function that is known by its name: give forward and inputs")
    if forward is None and task.cache is None and not task.one_function:
        raise ValueError(
            f"check_backward: there is no {task.name}_forward beside {name}, and its cache is needed: give forward"
        )
    with stopped_after(seconds):
        return check_task(Subject(backward), task, forward, seed=seed, lang=lang, hints=hints, seconds=seconds)


def of_layer(backward: Any, forward: Any) -> tuple[Function, Function]:
    """Return the methods of an object as functions: a forward of inputs, whose cache is a copy of the object."""
    layer = backward.__self__
    method = forward or layer.forward

    def forward_of_layer(*inputs: Any) -> tuple[Any, Any]:
        own = copy.deepcopy(layer)
        out = method.__func__(own, *inputs) if inspect.ismethod(method) else method(*inputs)
        for name, value in vars(own).items():
            if isinstance(value, Tensor) and value.name is None and value.node.op:
                value.named(name)
        return out, own

    return backward.__func__, forward_of_layer


def forward_of(backward: Function, task: Task) -> Function | None:
    """Return the forward that stands beside a backward."""
    space = getattr(inspect.unwrap(backward), "__globals__", {})
    name = getattr(backward, "__name__", "")
    for wanted in (name.replace("_backward", "_forward"), f"{task.name}_forward", f"{task.name}_forward_naive"):
        for candidate in (wanted, wanted.removesuffix("_alt")):
            if candidate != name and callable(space.get(candidate)):
                return space[candidate]  # type: ignore[no-any-return]
    return None


def check_task(
    subject: Subject,
    task: Task,
    forward: Function | None,
    *,
    seed: int = 0,
    lang: str = "en",
    hints: int = 1,
    rtol: float = RTOL,
    worth: Mapping[str, float] | None = None,
    seconds: float = 10.0,
) -> Report:
    """Check a function on every shape of a task: the first shape on which it is wrong is told.

    Args:
        subject: the student's function.
        task: what is asked.
        forward: the student's, if there is one.
        seed: of the random numbers.
        lang: language of the report.
        hints: how many hints are printed.
        rtol: greatest relative error.
        worth: points of each gradient.
        seconds: how long one call may take.

    Raises:
        ValueError: the forward does not run, or none is known.
    """
    language = language_of(lang)
    report = Report(subject.name, subject.file, True, worth=worth or {}, lang=language.code, hints=hints)
    first: tuple[list[Entry], dict[str, bool]] | None = None
    for shape in range(task.shapes):
        runs = forward or task.references[0]
        try:
            draws = make_draws(task, runs, shape, DRAWS if shape == 0 else 1, seed)
        except (Exception, SystemExit, TimeUpError) as error:
            if forward is None:
                raise
            return broken_forward(report, forward, task, error, language)
        truth = truth_of(task, draws, forward)
        extra = check_forward(task, draws, subject, forward, language)
        arguments = [arguments_of(subject, task, draw) for draw in draws]
        judge = Judge(subject, truth, arguments, task.returns, language, rtol, seconds)
        entries, outputs, passed = judge.entries()
        run = judge.state({}).runs[0]
        printed = report.printed or run.printed
        report = dataclasses.replace(
            report, entries=(*extra, *entries), outputs=outputs, passed=passed and not extra, printed=printed
        )
        if not report.passed:
            if forward is not None and not extra and not task.one_function and not run.crash:
                about = {e.name for e in report.mistakes}  # a line on the way that is wrong says more
                asked = {k: right or (k not in about and "" not in about) for k, right in outputs.items()}
                said = terms_of(subject, task, forward, draws[0], arguments_of, asked, language)
                notes = [Entry(0, "", name, "note", f"{name}: {text}") for name, text in said]
                report = dataclasses.replace(report, entries=(*report.entries, *notes))
            if shape and first:
                note = language.text("grader.other_shape", shape=tuple(draws[0].out.shape))
                report = dataclasses.replace(report, entries=(Entry(0, "", "", "note", note), *report.entries))
            return report
        first = first or (list(report.entries), outputs)
    return dataclasses.replace(report, entries=tuple(first[0]), outputs=first[1]) if first else report


def arguments_of(subject: Subject, task: Task, draw: Draw) -> list[Any]:
    """Return what the student's function is called with."""
    if task.one_function:
        return list(task.arguments(draw.inputs))
    try:
        names = argument_names(subject.function)
    except (TypeError, ValueError):
        names = ["dout", "cache"]
    rest = names[1:]
    if names[:1] == ["self"]:
        return [draw.cache, draw.upstream]
    if draw.cache is not None and len(rest) <= 1 and not (rest and rest[0] in draw.inputs and task.cache is None):
        return [draw.upstream, draw.cache]
    by_name = [draw.inputs[n] for n in rest if n in draw.inputs]
    return [draw.upstream, *(by_name if len(by_name) == len(rest) else list(draw.inputs.values())[: len(rest)])]


def check_forward(
    task: Task, draws: Sequence[Draw], subject: Subject, forward: Function | None, language: Language
) -> list[Entry]:
    """Say what is wrong with the student's forward, before the backward is looked at."""
    if task.one_function:
        forward = subject.function
        try:
            outs = [np.asarray(first_of(call(task, forward, copy.deepcopy(dict(d.inputs))))) for d in draws]
        except (Exception, SystemExit, TimeUpError):  # where it stops is told with the gradient
            return []
        draws = [dataclasses.replace(draw, out=out) for draw, out in zip(draws, outs, strict=True)]
    if forward is None:
        return []
    wrong = wrong_forward(task, draws)
    if wrong is None:
        return []
    found, right = wrong
    source = Subject(forward)
    if found.shape != right.shape:
        said = language.text("words.shape", found=found.shape, wanted=right.shape)
    else:
        place = tuple(int(i) for i in place_of_greatest(abs(found - right)))
        shown = f"[{', '.join(map(str, place))}]"
        said = language.text("words.worst", place=shown, found=f"{found[place]:.6g}", wanted=f"{right[place]:.6g}")
    text = language.text("grader.forward_wrong", name=source.name, said=said)
    same_file = source.file == subject.file
    return [Entry(source.line if same_file else 0, source.text(source.line), source.name, "wrong", text)]


def place_of_greatest(off: Any) -> tuple[Any, ...]:
    """Return the place of the greatest element."""
    return tuple(np.unravel_index(int(np.nan_to_num(off, nan=np.inf).argmax()), off.shape))


def broken_forward(report: Report, forward: Function, task: Task, error: BaseException, language: Language) -> Report:
    """Return the report where the student's forward stops."""
    source = Subject(forward)
    crash = source.crash(error)
    said = language.text("grader.stops", kind=crash.kind, message=crash.message)
    if isinstance(error, TimeUpError):
        said = language.text("grader.late")
    shapes = ", ".join(f"{name} {shape}" for name, shape in crash.shapes.items())
    said += language.text("grader.shapes", shapes=shapes) if shapes else ""
    text = language.text("grader.forward_stops", name=source.name, said=said)
    entry = Entry(crash.line, source.text(crash.line), "", "wrong", text)
    return dataclasses.replace(
        report, file=source.file, entries=(entry,), passed=False, outputs=dict.fromkeys(task.returns, False)
    )
