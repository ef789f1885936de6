"""Which term of a student's closed form differs: both are lifted into sums of products, and compared term by term."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tinygraph.autodiff.grad import grad
from tinygraph.engine.tensor import Tensor
from tinygraph.graph.snapshot import snapshot
from tinygraph.sums.asking import Term, compare_outputs
from tinygraph.teach.grading.runs import Subject, TimeUpError, quiet
from tinygraph.teach.grading.tasks import Task
from tinygraph.teach.grading.truth import Draw, first_of, record_forward
from tinygraph.teach.language import Language

__all__ = ["terms_of"]

FEW = 2  # terms that differ; where there are more, it is another formula


def terms_of(
    subject: Subject,
    task: Task,
    forward: Callable[..., Any],
    draw: Draw,
    arguments: Callable[[Subject, Task, Draw], list[Any]],
    outputs: Mapping[str, bool],
    language: Language,
) -> Iterator[tuple[str, str]]:
    """Yield (name, what is wrong with its terms) of each gradient that is wrong, where few terms differ.

    Args:
        subject: the student's function.
        task: what is asked.
        forward: the student's.
        draw: inputs.
        arguments: makes the arguments of the student's function.
        outputs: which gradients are right, by name.
        language: what the student reads.
    """
    names = [name for name, right in outputs.items() if not right]
    try:
        found, right = run_both(subject, task, forward, draw, arguments)
        for name in names:
            k = task.returns.index(name)
            terms = compare_outputs(snapshot(found[k], right[k], values=64))
            if 0 < len(terms) <= FEW:
                text = "; ".join(said(term, language) for term in terms)
                if "#" not in text:  # a value that has no name says nothing to a student
                    yield name, text
    except (Exception, SystemExit, TimeUpError):  # the student's code need not run on Tensors: then nothing is said
        return


def run_both(
    subject: Subject, task: Task, forward: Callable[..., Any], draw: Draw, arguments: Any
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the student's gradients as recorded Tensors, and the right ones, of the student's own forward."""
    inputs = {name: Tensor(v, name=name) if v.dtype.kind == "f" else v for name, v in draw.inputs.items()}
    result, _ = record_forward(forward, task.arguments(inputs))
    out = first_of(result)
    dout = Tensor(draw.upstream, name="dout", requires_grad=False)
    cache = result[1] if isinstance(result, tuple | list) and len(result) == 2 else None
    with quiet():
        given = arguments(subject, task, Draw(inputs, out, cache, dout))
        found = subject.function(*given)
    values = list(found.values()) if isinstance(found, dict) else list(found) if isinstance(found, tuple) else [found]
    wanted = [x for x in inputs.values() if isinstance(x, Tensor)]
    return values, list(grad(out, wanted, [dout], create_graph=True))


def said(term: Term, language: Language) -> str:
    """Say how a term differs."""
    return language.text(f"terms.{term.kind}", term=term.text, found=term.found)
