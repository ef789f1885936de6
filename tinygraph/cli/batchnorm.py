"""``tinygraph batchnorm``: batch norm from primitives, printed, drawn, and compared with the fused op."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.cli.arrays import read
from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import print_graph
from tinygraph.cli.terminal import print_lines
from tinygraph.engine.types import Array

if TYPE_CHECKING:
    from tinygraph.graph.data import Graph
    from tinygraph.verify.certificate import Certificate

HELP = "compute, draw and check batch norm: begin here"
DESCRIPTION = """\
Compute batch norm step by step from primitives, forward and backward. Three things come of it: a chart of a small batch
that can be solved by hand; a check on real data that the fused op computes the same, with all its derivatives; and
pictures of both graphs, in a folder. The loss is L = Σ w⊙y, with random w. Exit status 1: the fused op differs."""
EXAMPLES = """\
  tinygraph batchnorm                    a small batch, and a check on digits
  tinygraph batchnorm --input data.csv   your own rows: chart, check, pictures
  tinygraph batchnorm --verbose          every figure of the check
  tinygraph batchnorm --verbose --against torch
                                         PyTorch's batch norm in the table, too
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add(
        "--input",
        type=Path,
        metavar="FILE",
        help="data: .npy, .npz or .csv with rows × features, or N × C × H × W (default: handwritten digits)",
    )
    add("--batch", type=int, metavar="N", help="how many rows to take, at random (default 64, or all if fewer)")
    add(
        "--features",
        choices=("all", "varying"),
        default="all",
        help="all features, or only those that vary in the batch (default all)",
    )
    add("--out", type=Path, default=Path("batchnorm"), metavar="DIR", help="folder for the files (default batchnorm)")
    add("--verbose", action="store_true", help="print all figures of the check, and the chart of the data")
    add("--against", choices=("torch",), help="check PyTorch's batch norm, too; shown with --verbose")
    add(
        "--dtype",
        choices=("float32", "float64", "float16"),
        default="float32",
        help="dtype to compute in (default float32)",
    )
    add("--backend", choices=("numpy", "cupy"), default="numpy", help="where to compute (default numpy)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the rows, w, γ and β (default 0)")
    add("--ascii", action="store_true", help="use no characters but ASCII in the charts")


def run(options: argparse.Namespace) -> int:
    """Compute batch norm, print it, check the fused op, and write the pictures; return the exit status.

    Raises:
        UsageError: an option is out of range, the data cannot be read, or a package is missing.
    """
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: must be 0 or more")
    rng = np.random.default_rng(options.seed)
    source, x = take_batch(options, rng)
    axes = (0, *range(2, x.ndim))
    gamma = 1 + 0.1 * rng.standard_normal((x.shape[1],))
    beta = 0.1 * rng.standard_normal((x.shape[1],))
    arrays = to_backend((x, gamma, beta, rng.standard_normal(x.shape)), options)
    say = functools.partial(print_lines, ascii=options.ascii)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {options.out}: cannot be made a folder: {error.strerror}") from None

    small, graph = compose((0,), *hand_solvable(), eps=0.0), compose(axes, *arrays)
    constant = int((x == x[:1]).all(axis=axes).sum())
    facts = f"{source}: x is {options.dtype}{list(x.shape)}"
    if constant:
        facts += f", {constant} of {x.shape[1]} features are constant in this batch"
    if options.input is None:
        say("A batch of 4 rows and 3 features that can be solved by hand (without an ε):\n")
        print_graph(small, options)
        print()
    if options.verbose or options.input is not None:
        say(f"{facts}\n")
        print_graph(graph, options)
        print()
    certificate = check_fused(axes, arrays, options)
    if options.verbose:
        say(f"{certificate}\n")
    else:
        say(certificate.verdict if options.input is not None else f"{facts}\n{certificate.verdict}")
        print()
    write_files(small, options.out / "batchnorm_4x3")
    write_files(graph, options.out / "batchnorm")
    write_lesson(options.out / "lesson.html")
    say(where_to_look(options))
    return 0 if certificate.ok else 1


def where_to_look(options: argparse.Namespace) -> str:
    """Say which file to open first, and what the others are."""
    small, large = options.out / "batchnorm_4x3.html", options.out / "batchnorm.html"
    of_large = "the digits" if options.input is None else "your data"
    lines = [
        f"Next: open {options.out / 'lesson.html'} in a browser: watch the backward pass, be asked, break it.",
        f"      {small}: the batch to solve by hand, every number and every gradient.",
        f"      {large}: the same for {of_large}.",
    ]
    lines.append("      The same pictures are there as .svg, and the graphs as .dot and .json.")
    if not options.verbose:
        lines.append("      With --verbose, all figures of the check are printed.")
    return "\n".join(lines)


def to_backend(arrays: Iterable[Array], options: argparse.Namespace) -> list[Array]:
    """Return arrays in the dtype and on the backend that the options name."""
    from tinygraph.kernels.arrays import asarray

    try:
        return [asarray(a, options.backend, options.dtype) for a in arrays]
    except (ModuleNotFoundError, RuntimeError) as error:
        raise UsageError(error) from None


def check_fused(axes: tuple[int, ...], arrays: Sequence[Array], options: argparse.Namespace) -> Certificate:
    """Compare batch norm from primitives with the fused op, on x, γ and β."""
    from tinygraph import fused
    from tinygraph.functions.normalization import batch_norm
    from tinygraph.verify.comparison import compare

    composed, one_kernel = (functools.partial(f, axis=axes) for f in (batch_norm, fused.batch_norm))
    against = torch_batch_norm() if options.against else None
    return compare(composed, one_kernel, *arrays[:3], against=against, seed=options.seed, time=options.verbose)


def compose(axes: tuple[int, ...], x: Array, gamma: Array, beta: Array, w: Array, *, eps: float = 1e-5) -> Graph:
    """Compose batch norm from primitives, with L = Σ w⊙y; run it forward and backward, and return its graph."""
    from tinygraph.engine.tensor import Parameter, Tensor
    from tinygraph.functions.normalization import batch_norm
    from tinygraph.graph.snapshot import snapshot

    y = batch_norm(Tensor(x, name="x"), Parameter(gamma, name="γ"), Parameter(beta, name="β"), axis=axes, eps=eps)
    loss = (Tensor(w, name="w", requires_grad=False) * y).sum().named("L")
    loss.backward()
    return snapshot(loss)


def hand_solvable() -> tuple[Array, ...]:
    """Return the batch x, γ, β, w whose every value and gradient is an integer or ½, ¼, ⅛, without an ε."""
    x = [[1, -1, 2], [1, 3, 10], [3, -1, 10], [3, 3, 2]]
    w = [[4, 0, 0], [0, 0, -8], [0, 4, 0], [0, 0, 8]]
    return tuple(np.array(a, np.float64) for a in (x, (1, 2, -1), (0, 1, -1), w))


def take_batch(options: argparse.Namespace, rng: np.random.Generator) -> tuple[str, Array]:
    """Return, in words, where the batch is from, and the batch."""
    if options.input is None:
        from tinygraph.train.datasets import digits

        x, source = digits()[0], "handwritten digits"
    else:
        x, source = read(options.input), f"rows of {options.input.name}"
    if x.ndim < 2 or x.ndim > 5:
        raise UsageError(f"--input: batch norm needs rows × features or N × C × H × W; this has shape {x.shape}")
    least = 1 if np.prod(x.shape[2:]) > 1 else 2  # one image has a value a pixel
    if len(x) < least:
        raise UsageError("--input: there is one value a feature, and the variance of one value is 0")
    batch = min(64, len(x)) if options.batch is None else options.batch
    if not least <= batch <= len(x):
        why = "; one row has no variance" if least == 2 else ""
        raise UsageError(f"--batch {batch}: must be {least} … {len(x)}, the rows there are{why}")
    x = x[np.sort(rng.permutation(len(x))[:batch])]
    if options.features == "varying":
        x = x[:, (x != x[:1]).any(axis=(0, *range(2, x.ndim)))]
        if not x.size:
            raise UsageError("--features varying: no feature varies in this batch; take a larger one")
    with np.errstate(over="ignore"):
        bad = int((~np.isfinite(x.astype(options.dtype))).sum())
    if bad:
        raise UsageError(f"--input: {bad} elements of the batch are nan or infinite in {options.dtype}")
    return f"{len(x)} {source}", x


def torch_batch_norm() -> Callable[..., Any]:
    """Return PyTorch's fused batch norm, as a function of torch tensors.

    Raises:
        UsageError: PyTorch is not installed.
    """
    try:
        from torch.nn.functional import batch_norm
    except ModuleNotFoundError:
        raise UsageError("--against torch needs PyTorch: pip install torch") from None
    return lambda x, gamma, beta: batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)


def write_lesson(path: Path) -> None:
    """Write the lesson about the batch that can be solved by hand."""
    from tinygraph.teach.examples import LESSONS
    from tinygraph.teach.language import language_of, languages
    from tinygraph.teach.lesson import lesson

    lesson(
        LESSONS["batch_norm"](),
        path,
        title={code: language_of(code).text("lessons.batch_norm") for code in languages()},
    )


def write_files(graph: Graph, stem: Path) -> None:
    """Write a graph as a picture, as a page, as DOT and as JSON."""
    from tinygraph.drawing.api import draw

    for ending in (".svg", ".html", ".dot", ".json"):
        draw(graph, stem.with_name(stem.name + ending))
