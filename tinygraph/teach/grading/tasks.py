"""What can be asked of a student: inputs, what comes back, and random numbers on which no two gradients coincide."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.teach.grading import references

__all__ = ["TASKS", "Task", "task_of", "task_of_mapping"]

Function = Callable[..., Any]
Draw = Callable[[np.random.Generator, int], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Task:
    """A function and its backward pass, as they are called.

    Attributes:
        name: "batchnorm".
        inputs: what the forward takes and is differentiated by.
        returns: what the backward returns, in order.
        draw: makes inputs, from a generator and the number of a shape.
        shapes: how many shapes there are.
        given: further arguments of the forward, after the inputs.
        references: forwards that are right; the first is compared with the student's.
        one_function: whether forward and backward are one function, as in ``loss, dx = softmax_loss(x, y)``.
        cache: makes the cache where the student has no forward.
    """

    name: str
    inputs: tuple[str, ...]
    returns: tuple[str, ...]
    draw: Draw
    shapes: int = 1
    given: tuple[Any, ...] = ()
    references: tuple[Function, ...] = ()
    one_function: bool = False
    cache: Callable[[Mapping[str, Any]], Any] | None = None

    def arguments(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the arguments of the forward; dictionaries are copies, which the student may change."""
        extra = [dict(g) if isinstance(g, dict) else g for g in self.given]
        return [*inputs.values(), *extra]


def normal(rng: np.random.Generator, *shape: int, offset: float = 0.0, scale: float = 1.0) -> Any:
    """Return random numbers with a mean and a deviation."""
    return rng.standard_normal(shape) * scale + offset


def rows(*shapes: tuple[int, int]) -> Draw:
    """Return what draws x, gamma and beta for rows: their numbers differ in mean and in size."""

    def draw(rng: np.random.Generator, k: int) -> dict[str, Any]:
        n, d = shapes[k % len(shapes)]
        x = normal(rng, n, d, scale=1.7) + np.linspace(-1.0, 3.0, d)
        return {"x": x, "gamma": normal(rng, d, offset=0.4), "beta": normal(rng, d, offset=-0.3)}

    return draw


def images(shapes: Sequence[tuple[int, int, int, int]], wide: bool) -> Draw:
    """Return what draws x, gamma and beta for images; gamma is (1, C, 1, 1) if ``wide``."""

    def draw(rng: np.random.Generator, k: int) -> dict[str, Any]:
        shape = shapes[k % len(shapes)]
        c = (1, shape[1], 1, 1) if wide else (shape[1],)
        x = normal(rng, *shape, offset=0.8, scale=1.6)
        return {"x": x, "gamma": normal(rng, *c, offset=0.4), "beta": normal(rng, *c, offset=-0.3)}

    return draw


def draw_affine(rng: np.random.Generator, k: int) -> dict[str, Any]:
    """Draw a dense layer whose input has two axes to flatten."""
    n, a, b, m = [(4, 2, 3, 5), (3, 1, 4, 2)][k % 2]
    return {"x": normal(rng, n, a, b), "w": normal(rng, a * b, m), "b": normal(rng, m)}


def draw_x(rng: np.random.Generator, k: int) -> dict[str, Any]:
    """Draw one matrix with numbers of both signs."""
    return {"x": normal(rng, *[(4, 3), (3, 5)][k % 2], offset=0.2)}


def draw_scores(rng: np.random.Generator, k: int) -> dict[str, Any]:
    """Draw scores and the right class of each row."""
    n, c = [(5, 4), (3, 6)][k % 2]
    return {"x": normal(rng, n, c), "y": np.random.default_rng(k).integers(0, c, n)}


def draw_conv(rng: np.random.Generator, k: int) -> dict[str, Any]:
    """Draw images and filters."""
    return {"x": normal(rng, 2, 3, 5, 7), "w": normal(rng, 2, 3, 3, 3), "b": normal(rng, 2)}


def draw_pool(rng: np.random.Generator, k: int) -> dict[str, Any]:
    """Draw images for windows that overlap."""
    return {"x": normal(rng, 2, 3, 5, 7)}


def draw_tiles(rng: np.random.Generator, k: int) -> dict[str, Any]:
    """Draw images whose sides are even."""
    return {"x": normal(rng, 2, 3, 4, 6)}


NORM = ("x", "gamma", "beta")
NORM_BACK = ("dx", "dgamma", "dbeta")
ROWS = ((5, 3), (4, 6), (7, 2))
IMAGES = ((2, 4, 3, 5), (3, 4, 2, 3))
TRAIN = {"mode": "train", "eps": 1e-5}
BATCHNORMS = (references.batchnorm, references.batchnorm_by_var)
TASKS = {
    task.name: task
    for task in (
        Task("batchnorm", NORM, NORM_BACK, rows(*ROWS), 3, (TRAIN,), BATCHNORMS),
        Task("layernorm", NORM, NORM_BACK, rows(*ROWS), 3, ({"eps": 1e-5},), (references.layernorm,)),
        Task("spatial_batchnorm", NORM, NORM_BACK, images(IMAGES, wide=False), 2, (TRAIN,),
             (references.spatial_batchnorm,)),
        Task("spatial_groupnorm", NORM, NORM_BACK, images(IMAGES, wide=True), 2, (2, {"eps": 1e-5}),
             (references.groupnorm,)),
        Task("affine", ("x", "w", "b"), ("dx", "dw", "db"), draw_affine, 2, (), (references.affine,),
             cache=lambda inputs: tuple(inputs.values())),
        Task("relu", ("x",), ("dx",), draw_x, 2, (), (references.relu,), cache=lambda inputs: inputs["x"]),
        Task("dropout", ("x",), ("dx",), draw_x, 2, ({"mode": "train", "p": 0.6, "seed": 3},), (references.dropout,)),
        Task("softmax_loss", ("x", "y"), ("dx",), draw_scores, 2, (), (references.softmax_loss,), one_function=True),
        Task("svm_loss", ("x", "y"), ("dx",), draw_scores, 2, (), (references.svm_loss,), one_function=True),
        Task("conv", ("x", "w", "b"), ("dx", "dw", "db"), draw_conv, 1, ({"stride": 2, "pad": 1},),
             (references.conv,)),
        Task("max_pool", ("x",), ("dx",), draw_pool, 1, ({"pool_height": 3, "pool_width": 3, "stride": 2},),
             (references.max_pool,)),
        Task("max_pool_reshape", ("x",), ("dx",), draw_tiles, 1, ({"pool_height": 2, "pool_width": 2, "stride": 2},),
             (references.max_pool,)),
    )
}  # fmt: skip


def task_of(name: str) -> Task | None:
    """Return the task that a function's name says: ``batchnorm_backward_alt`` is batch norm's backward.

    Args:
        name: of a function of a student.

    >>> task_of("spatial_batchnorm_backward").name, task_of("conv_backward_naive").name, task_of("sort")
    ('spatial_batchnorm', 'conv', None)
    """
    lower = name.lower().replace("_backward_reshape", "_reshape_backward")
    base = lower.partition("_backward")[0].removesuffix("_naive")
    if "_backward" not in name.lower() and not (base in TASKS and TASKS[base].one_function):
        return None
    alike = {
        "batch_norm": "batchnorm",
        "bn": "batchnorm",
        "layer_norm": "layernorm",
        "linear": "affine",
        "fc": "affine",
    }
    return TASKS.get(alike.get(base, base))


def task_of_mapping(
    name: str, forward: Function, inputs: Mapping[str, Any], returns: Sequence[str] | None, given: Sequence[Any] = ()
) -> Task:
    """Return a task for any function.

    Args:
        name: of the backward.
        forward: takes the inputs in this order.
        inputs: for each a shape, or an array that says shape and size of the numbers; integers stay as they are.
        returns: what the backward returns; d and the name of each input unless given.
        given: further arguments of the forward.

    Raises:
        ValueError: there are no inputs.
    """
    if not inputs:
        raise ValueError('check_backward: inputs is empty; give each input a shape, as in {"x": (4, 3)}')
    arrays = {k: v if is_array(v) else tuple(np.atleast_1d(np.asarray(v, int)).tolist()) for k, v in inputs.items()}

    def draw(rng: np.random.Generator, k: int) -> dict[str, Any]:
        found = {}
        for key, value in arrays.items():
            if isinstance(value, tuple):
                found[key] = normal(rng, *value, offset=0.3)
            elif np.asarray(value).dtype.kind != "f":
                found[key] = np.array(value)
            else:  # numbers like those that are given: positive ones stay positive
                a = np.asarray(value, float)
                found[key] = a * rng.uniform(0.6, 1.4, a.shape)
        return found

    wanted = [k for k, v in arrays.items() if isinstance(v, tuple) or np.asarray(v).dtype.kind == "f"]
    back = tuple(returns) if returns is not None else tuple(f"d{k}" for k in wanted)
    return Task(name, tuple(arrays), back, draw, 1, tuple(given))


def is_array(value: Any) -> bool:
    """Whether an input is given as numbers, not as a shape."""
    return hasattr(value, "dtype") or (isinstance(value, list) and bool(np.asarray(value).dtype.kind == "f"))


def argument_names(function: Function) -> list[str]:
    """Return the names of the parameters that a function has to be given.

    >>> argument_names(lambda dout, cache, verbose=False: dout)
    ['dout', 'cache']
    """
    parameters = inspect.signature(function).parameters.values()
    return [
        p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
