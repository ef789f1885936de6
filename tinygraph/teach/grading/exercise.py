"""An exercise of a teacher: gradients that are asked for by name, points, and hidden inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.graph.data import Graph
from tinygraph.teach.grading.judge import Judge
from tinygraph.teach.grading.limits import check_seconds, stopped_after
from tinygraph.teach.grading.quantities import Recording, plain
from tinygraph.teach.grading.report import Entry, Report
from tinygraph.teach.grading.runs import Subject
from tinygraph.teach.grading.tasks import argument_names
from tinygraph.teach.grading.truth import Truth, record_forward
from tinygraph.teach.language import language_of
from tinygraph.teach.program import Program, record_program
from tinygraph.teach.workshop import draw_values

__all__ = ["Exercise", "exercise"]

DRAWS = 3
OFFSET = 1e4
LOOSE = 1e-5  # relative error that an offset of 10⁴ may cause
Shape = Sequence[int | str]


@dataclasses.dataclass(frozen=True)
class Exercise:
    """Gradients that a student has to compute.

    Attributes:
        what: a graph, or a function of Tensors.
        inputs: of a function, the shape of each input; letters are sizes that are drawn.
        ask: names of the values whose gradients are asked for.
        points: of each of them.
        seed: of the hidden inputs.
    """

    what: Graph | Callable[..., Any]
    inputs: Mapping[str, Shape]
    ask: tuple[str, ...]
    points: Mapping[str, float]
    seed: int

    def check(self, function: Callable[..., Any], *, lang: str = "en", hints: int = 1, seconds: float = 10.0) -> Report:
        """Check a student's function on hidden inputs.

        Args:
            function: of values by their names: inputs, values of the way forward, and ``dout``, the gradient of the
                output. It returns the gradients that are asked for: in order, or in a dictionary.
            lang: language of the report.
            hints: how many hints are printed.
            seconds: how long one call of the function may take, above 0; see `check_backward`.

        Raises:
            ValueError: the function wants a value that there is not, or ``seconds`` is not above 0.
        """
        check_seconds("exercise", seconds)
        language, subject = language_of(lang), Subject(function)
        returns = tuple(f"d{name}" for name in self.ask)
        worth = {f"d{name}": points for name, points in self.points.items()}
        report = Report(subject.name, subject.file, True, worth=worth, lang=language.code, hints=hints)
        verdicts, shown = dict.fromkeys(returns, True), None
        for kind, recording in self.draws():
            asked = [find(recording.program, name) for name in self.ask]
            truth = Truth([recording], asked, own=False)
            arguments = [self.arguments(function, recording, k) for k in range(len(recording.draws))]
            judge = Judge(subject, truth, arguments, returns, language, LOOSE, seconds)
            with stopped_after(seconds):
                entries, outputs, passed = judge.entries()
            verdicts = {name: verdicts[name] and outputs[name] for name in verdicts}
            if kind != "first" and not passed and shown is not None and shown[1]:
                note = language.text("grader.hidden", kind=language.text(f"draws.{kind}"))
                entries = [Entry(0, "", "", "note", note), *entries]
            if shown is None or (shown[1] and not passed):
                shown = entries, passed
        assert shown is not None
        passed = all(verdicts.values())
        return dataclasses.replace(report, entries=tuple(shown[0]), outputs=verdicts, passed=passed)

    def arguments(self, function: Callable[..., Any], recording: Recording, k: int) -> list[Any]:
        """Return the values that a student's function takes, on one draw."""
        program, found = recording.program, []
        for name in argument_names(function):
            starts = {f"d{recording.label(i)}": start for i, start in program.upstream.items()}
            first = next(iter(program.upstream.values()))
            nodes = recording.forward.get(plain(name))
            if name in starts or (name in ("dout", "dy") and nodes is None):
                found.append(recording.draws[k][starts.get(name, first)])
            elif nodes:
                found.append(recording.draws[k][nodes[-1]])
            else:
                known = ", ".join(recording.label(n[-1]) for n in recording.forward.values())
                raise ValueError(f"exercise: the function takes {name!r}; there are {known}, dout")
        return found

    # -- hidden inputs

    def draws(self) -> list[tuple[str, Recording]]:
        """Return the recordings on which a function is checked: several seeds, and what is often forgotten."""
        if isinstance(self.what, Graph):
            program = record_program(self.what)
            names = [program.graph.nodes[i].name or f"x{i}" for i in program.wrt]
            seeds = range(self.seed + 100, self.seed + 100 + DRAWS)
            values = [draw_values(program.graph.nodes, seed) for seed in seeds]
            inputs = [{n: v[i] for n, i in zip(names, program.wrt, strict=True)} for v in values]
            return list(self.kinds(program, names, inputs))
        other = [("shape", recording) for kind, recording in self.of_function(1) if kind == "first"]
        return [*self.of_function(0), *other]

    def of_function(self, k: int) -> list[tuple[str, Recording]]:
        """Return the recordings of a function on inputs of one shape."""
        assert callable(self.what)
        rng = np.random.default_rng([self.seed, k])
        letters = sorted({s for shape in self.inputs.values() for s in shape if isinstance(s, str)})
        drawn = np.random.default_rng(self.seed).permutation(np.arange(2, 4 + len(letters)))
        sizes = {letter: int(n) + k for letter, n in zip(letters, drawn, strict=False)}
        shapes = {n: tuple(sizes[s] if isinstance(s, str) else s for s in shape) for n, shape in self.inputs.items()}
        draws = [{n: rng.standard_normal(shape) + 0.3 for n, shape in shapes.items()} for _ in range(DRAWS)]
        tensors = {n: Tensor(v, name=n, requires_grad=True) for n, v in draws[0].items()}
        out, aliases = record_forward(self.what, list(tensors.values()))
        if not isinstance(out, Tensor):
            raise ValueError(f"exercise: the function gives {type(out).__name__}, and no Tensor")
        program = record_program(out, list(tensors.values()))
        return list(self.kinds(program, list(shapes), draws, aliases))

    def kinds(
        self,
        program: Program,
        names: Sequence[str],
        inputs: Sequence[Mapping[str, Any]],
        aliases: Mapping[str, str] | None = None,
    ) -> list[tuple[str, Recording]]:
        """Return recordings on plain inputs, with vectors of zeros, and with a mean of 10⁴."""
        rng = np.random.default_rng(self.seed + 7)
        starts = list(program.upstream.values())
        shape = program.graph.nodes[starts[0]].shape
        upstream = [rng.standard_normal(shape) if shape else np.ones(()) for _ in inputs]
        zeros = [{n: v * (np.ndim(v) != 1) for n, v in draw.items()} for draw in inputs]
        offset = [{n: v + OFFSET * (np.ndim(v) > 1 and n == names[0]) for n, v in draw.items()} for draw in inputs]
        found = []
        for kind, draws in (("first", inputs), ("zeros", zeros), ("offset", offset)):
            recording = Recording(program, draws, upstream, names, aliases or {})
            if all(np.all(np.isfinite(recording.draws[0][g])) for g in program.gradient.values()):
                found.append((kind, recording))
        return found


def exercise(
    what: Tensor | Graph | Callable[..., Any],
    ask: Sequence[str],
    *,
    inputs: Mapping[str, Shape] | None = None,
    points: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Exercise:
    """Make an exercise: gradients of a graph, or of a function, that a student computes by hand.

    They are checked on hidden inputs: other numbers and, for a function, other sizes; vectors such as γ that are zero;
    a first input with a mean of 10⁴. The first input is the batch: it must have two rows or more.

    Args:
        what: a Tensor or its graph, whose shapes are fixed; or a function of Tensors.
        ask: names of the values whose gradients are asked for; of a function, also its local variables.
        inputs: of a function, the shape of each input; a letter is a size that is drawn: ``{"x": ("N", "D")}``.
        points: of each name; 1 unless given.
        seed: of the hidden inputs.

    Returns:
        The exercise; ``check(function)`` gives a report.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: a name is not there or has no gradient, or a batch has one row.

    >>> def forward(x, gamma):
    ...     xc = x - x.mean(axis=0)
    ...     return xc * gamma
    >>> task = exercise(forward, ["xc", "gamma"], inputs={"x": ("N", "D"), "gamma": ("D",)}, points={"gamma": 2})
    >>> report = task.check(lambda dout, gamma, xc: (dout * gamma, (dout * xc).sum(axis=1)))
    >>> report.points, report.most_points
    (1.0, 3.0)
    """
    if isinstance(what, Tensor):
        from tinygraph.graph.snapshot import snapshot

        what = snapshot(what, values=1 << 30)
    if not isinstance(what, Graph) and not callable(what):
        raise TypeError(f"exercise takes a Tensor, a Graph or a function, not {type(what).__name__}")
    if not isinstance(what, Graph) and not inputs:
        raise ValueError('exercise: give the shape of each input, as in inputs={"x": ("N", "D")}')
    batch: tuple[str, Sequence[int | str]] = next(iter((inputs or {}).items()), ("", ()))
    if isinstance(what, Graph):
        leaves = [n for n in what.nodes if n.op is None and n.requires_grad]
        batch = next(((n.name or f"#{n.id}", n.shape) for n in leaves), batch)
    if len(batch[1]) > 1 and batch[1][0] == 1:
        raise ValueError(
            f"exercise: {batch[0]} has one row: a sum over rows that is forgotten cannot be seen, and batch statistics "
            "have no gradient; take 2 or more"
        )
    names = tuple(ask)
    if unknown := set(points or ()) - set(names):
        raise ValueError(f"exercise: points for {', '.join(sorted(unknown))}, which are not asked for")
    made = Exercise(what, dict(inputs or {}), names, {n: float((points or {}).get(n, 1)) for n in names}, seed)
    for name in names:
        find(made.draws()[0][1].program, name)
    return made


def find(program: Program, name: str) -> int:
    """Return the node that a name asks for.

    Raises:
        ValueError: there is none, or it has no gradient.
    """
    nodes = program.graph.nodes
    hits = [i for i in program.forward if nodes[i].name and name in (nodes[i].name, plain(nodes[i].name or ""))]
    hits = hits or [i for i in program.forward if nodes[i].name and plain(nodes[i].name or "") == plain(name)]
    found = [i for i in hits if i in program.gradient]
    if len(found) != 1:
        known = ", ".join(nodes[i].name or "" for i in program.gradient if nodes[i].name)
        raise ValueError(f"exercise: {name!r} is {len(found)} of the values that have a gradient: {known}")
    return found[0]
