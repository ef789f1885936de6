"""``tinygraph batchnorm``: batch norm composed on real data, printed, drawn, and compared with the fused op."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.cli.errors import UsageError
from tinygraph.cli.graphs import tell

HELP = "compose batch norm from primitives on real data, draw it, and compare it with the fused op"
DESCRIPTION = (
    "Compose batch norm from primitives on a batch of real data, with L = Σ w⊙y for random w; run it forward and "
    "backward, print the graph, compare it with the fused op, and write the graph to files. Exit 1 if they differ."
)


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    add = parser.add_argument
    add("--batch", type=int, metavar="N", help="rows to take, at random (default 64, or all if there are fewer)")
    add(
        "--features",
        choices=("all", "varying"),
        default="all",
        help="all, or only those that vary in the batch (default all)",
    )
    add(
        "--input",
        type=Path,
        metavar="FILE",
        help=".npy, .npz or .csv with rows × features, or N × C × H × W (default: digits)",
    )
    add(
        "--dtype",
        choices=("float32", "float64", "float16"),
        default="float32",
        help="dtype to compute in (default float32)",
    )
    add("--backend", choices=("numpy", "cupy"), default="numpy", help="where to compute (default numpy)")
    add("--out", type=Path, default=Path("batchnorm"), metavar="DIR", help="folder for the files (default batchnorm)")
    add("--seed", type=int, default=0, help="seed of the rows, w, γ and β (default 0)")
    add("--against", choices=("torch",), help="add PyTorch's fused batch norm to the comparison")
    add("--ascii", action="store_true", help="print ASCII alone")


def run(options: argparse.Namespace) -> int:
    """Run the main job."""
    from tinygraph import fused
    from tinygraph.engine.arrays import asarray
    from tinygraph.functions.normalization import batch_norm
    from tinygraph.verify.comparison import compare

    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: must be 0 or more")
    rng = np.random.default_rng(options.seed)
    what, x = taken(options, rng)
    axes = (0, *range(2, x.ndim))
    channels = x.shape[1]
    gamma, beta, w = (
        1 + 0.1 * rng.standard_normal(channels),
        0.1 * rng.standard_normal(channels),
        rng.standard_normal(x.shape),
    )
    try:
        arrays = [asarray(a, options.backend, options.dtype) for a in (x, gamma, beta, w)]
    except (ModuleNotFoundError, RuntimeError) as error:
        raise UsageError(error) from None

    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {options.out}: cannot be made a folder: {error.strerror}") from None

    graph = drawn(axes, *arrays)
    constant = int((x == x[:1]).all(axis=axes).sum())
    print(
        f"{what}: x is {options.dtype}{list(x.shape)}, {constant} of {channels} features are constant in this batch\n"
    )
    tell(graph, options)

    def composed(x: Any, gamma: Any, beta: Any) -> Any:
        return batch_norm(x, gamma, beta, axis=axes)

    def one_kernel(x: Any, gamma: Any, beta: Any) -> Any:
        return fused.batch_norm(x, gamma, beta, axis=axes)

    composed.__name__, one_kernel.__name__ = "batch_norm", "fused.batch_norm"
    certificate = compare(
        composed,
        one_kernel,
        *arrays[:3],
        against=torch_batch_norm(axes) if options.against else None,
        seed=options.seed,
    )
    print(f"\n{certificate}\n")

    small = drawn((0,), *hand_solvable(), eps=0.0)
    for path in [*written(graph, options.out / "batchnorm"), *written(small, options.out / "batchnorm_4x3")]:
        print(f"wrote {path}")
    return 0 if certificate.ok else 1


def drawn(axes: tuple[int, ...], x: Any, gamma: Any, beta: Any, w: Any, *, eps: float = 1e-5) -> Any:
    """Compose batch norm on a batch, with L = Σ w⊙y; run it forward and backward, and return its graph."""
    from tinygraph.engine.tensor import Parameter, Tensor
    from tinygraph.functions.normalization import batch_norm
    from tinygraph.graph.snapshot import snapshot

    y = batch_norm(Tensor(x, name="x"), Parameter(gamma, name="γ"), Parameter(beta, name="β"), axis=axes, eps=eps)
    loss = (Tensor(w, name="w", requires_grad=False) * y).sum().named("L")
    loss.backward()
    return snapshot(loss)


def hand_solvable() -> tuple[np.ndarray, ...]:
    """Return the batch x, γ, β, w whose every value and gradient is an integer or ½, ¼, ⅛, without an ε."""
    x = [[1, -1, 2], [1, 3, 10], [3, -1, 10], [3, 3, 2]]
    w = [[4, 0, 0], [0, 0, -8], [0, 4, 0], [0, 0, 8]]
    return tuple(np.array(a, np.float64) for a in (x, (1, 2, -1), (0, 1, -1), w))


def taken(options: argparse.Namespace, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Return the batch that is asked for, and in words where it is from."""
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
        why = "; one row has no variance" * (least == 2)
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


def read(path: Path) -> np.ndarray:
    """Read an array from a .npy, .npz or .csv file; nothing in it is ever unpickled.

    Raises:
        UsageError: the file is missing, is of another kind, is damaged, or holds no numbers.
    """
    try:
        ending = path.suffix.lower()
        if ending == ".npy":
            x = np.load(path, allow_pickle=False)
        elif ending == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                if "x" not in archive.files and len(archive.files) != 1:
                    raise UsageError(
                        f"{path}: holds {', '.join(archive.files) or 'nothing'}; one array, or one named x, is needed"
                    )
                x = archive["x" if "x" in archive.files else archive.files[0]]
        elif ending == ".csv":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # an empty file: said below
                form: dict[str, Any] = {"delimiter": ",", "quotechar": '"', "ndmin": 2, "encoding": "utf-8-sig"}
                x = np.loadtxt(path, skiprows=int(has_header(path)), **form)
        else:
            raise UsageError(f"{path}: must end in .npy, .npz or .csv")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except UsageError:
        raise
    except Exception as error:  # a damaged file can fail in any way that NumPy, zip or a codec fails
        raise UsageError(f"{path}: cannot be read as {path.suffix}: {error}") from None
    if x.dtype.kind not in "fiub":
        raise UsageError(f"{path}: holds {x.dtype}, not numbers")
    if not x.size:
        raise UsageError(f"{path}: holds no rows")
    return x


def has_header(path: Path) -> bool:
    """Whether the first line of a CSV file is names: no number is among them, else it is a row with a gap."""
    with path.open(encoding="utf-8-sig") as file:
        return not any(map(is_number, file.readline().split(",")))


def is_number(field: str) -> bool:
    """Whether a field of a CSV file is a number, in quotes or not."""
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True


def torch_batch_norm(axes: tuple[int, ...]) -> Any:
    """Return PyTorch's fused batch norm, as a function of torch tensors.

    Raises:
        UsageError: PyTorch is not installed.
    """
    try:
        from torch.nn.functional import batch_norm
    except ModuleNotFoundError:
        raise UsageError("--against torch needs PyTorch: pip install torch") from None
    return lambda x, gamma, beta: batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)


def written(graph: Any, stem: Path) -> list[Path]:
    """Write a graph as a picture, as a page, as DOT and as JSON; return the paths."""
    from tinygraph.drawing.api import draw

    return [draw(graph, stem.with_name(stem.name + ending)) for ending in (".svg", ".html", ".dot", ".json")]
