"""A test file for otter-grader, which runs in the student's notebook."""

from __future__ import annotations

from tinygraph.teach.grading.tasks import task_of
from tinygraph.teach.language import language_of

__all__ = ["otter_test"]

TEMPLATE = """\
OK_FORMAT = True

test = {{
    "name": {name!r},
    "points": {points:g},
    "suites": [
        {{
            "type": "doctest",
            "cases": [
                {{
                    "code": ">>> {load}\\n>>> report = {check}\\n>>> report.passed or print(report)\\nTrue",
                    "hidden": False,
                }}
            ],
        }}
    ],
}}
"""


def otter_test(name: str, lang: str = "en", exercise: str | None = None, points: float | None = None) -> str:
    """Return a test file of otter-grader for a function that is known by its name, or for an exercise.

    Args:
        name: such as "batchnorm_backward".
        lang: language of the report.
        exercise: "teacher:exercise", a module beside the notebook and what it calls the exercise.
        points: of the exercise.

    Raises:
        ValueError: the function is not known, and there is no exercise.

    >>> "tg.check_backward(relu_backward, lang='en')" in otter_test("relu_backward")
    True
    >>> "task.check(back, lang='en')" in otter_test("back", exercise="teacher:task", points=3)
    True
    """
    code = language_of(lang).code
    if exercise is not None:
        module, _, what = exercise.rpartition(":")
        load, check = f"from {module} import {what}", f"{what}.check({name}, lang={code!r})"
        return TEMPLATE.format(name=name, points=points or 1, load=load, check=check)
    task = task_of(name)
    if task is None:
        raise ValueError(f"{name} is no function that is known by its name")
    check = f"tg.check_backward({name}, lang={code!r})"
    return TEMPLATE.format(name=name, points=len(task.returns), load="import tinygraph as tg", check=check)
