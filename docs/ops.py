"""Write docs/ops.md: ``python docs/ops.py`` collects all ops and composites from the registry.

What an op is stands by the op; how it is written in NumPy and in PyTorch is what `tinygraph.source` writes. Nothing is
written here by hand but `OUT`: what has no derivative here, and why.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
from reference import PYTHONS, first_sentence, formula, inline

import tinygraph as tg
from tinygraph.engine.registry import NUMPY
from tinygraph.nn import functional
from tinygraph.teach.page_program import KNOWN
from tinygraph.teach.spelling import Call, Spelling, atom, numpy_spelling, torch_spelling

PAGE = Path(__file__).parent / "ops.md"
SYMMETRIC = ("cholesky", "eigh")  # ops of symmetric matrices: their sample is the identity
MAKERS = ("by_hand", "creation", "recording", "transforms")  # modules of functions that are no composites
OPENING = """\
# Ops

Every op, and every function that is made of ops. `python docs/ops.py` writes this page from the registry; do not edit
it. Arguments, errors and examples are in the [reference](reference.md), ties and kinks in [gradients](gradients.md).

An op has derivatives of every order: a derivative line is written in ops. *NumPy* and *PyTorch* are what
`tinygraph.source` writes for a call; a name without a module is a helper that it writes along. *In a page* are the ops
that a lesson's page computes with; the others it refuses by name. Of an op with no derivatives the result requires no
gradient, and says so.
"""

# Reason -> functions of NumPy that refuse a Tensor. A test holds this against NumPy: what is neither here nor there has
# code to write instead, which the error says.
OUT: dict[str, str] = {
    "Complex numbers have no derivative here. Transforms of pairs (real, imaginary) are in `tinygraph.fft`:": (
        "fft.fft fft.ifft fft.rfft fft.irfft fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2 fft.fftn fft.ifftn fft.rfftn "
        "fft.irfftn fft.hfft fft.ihfft fft.fftshift fft.ifftshift"
    ),
    "The eigenvalues of a matrix that is not symmetric are complex; those of a symmetric one are `linalg.eigh`'s:": (
        "linalg.eig linalg.eigvals roots poly"
    ),
    "What they give is an array of NumPy's, which has no gradient. Write `tinygraph.stack` for a list of Tensors:": (
        "array asarray asanyarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix require r_ c_"
    ),
    "Counts, bounds and places move in steps:": (
        "histogram histogram2d histogramdd histogram_bin_edges searchsorted digitize nextafter frexp nonzero "
        "argwhere flatnonzero count_nonzero"
    ),
    "A set says what there is, and not where it came from:": (
        "unique unique_all unique_counts unique_inverse unique_values union1d intersect1d setdiff1d setxor1d"
    ),
    "A Tensor is never changed. Write `where`, or `x.scatter(axis, places, values)`:": (
        "put put_along_axis place putmask copyto fill_diagonal"
    ),
    "Write `linalg.lstsq` of `vander(x)`; or divide values:": "polyfit polydiv",
    "An index is an array of integers:": "ix_",
    "In NumPy it copies each element, in PyTorch the whole. Write `x.repeat_interleave(n, axis)` or `x.tile(n)`:": (
        "ndarray.repeat"
    ),
    "The parts of a complex number:": "angle imag iscomplex iscomplexobj isreal isrealobj sort_complex",
    "A Tensor is never changed in place, and shares no memory; write `where`, `scatter` or an index:": (
        "may_share_memory shares_memory"
    ),
    "They count, sort or find places, and move in steps:": "lexsort isin",
    "They are about whole numbers, bits, indices or dates:": (
        "bitwise_and bitwise_count bitwise_or bitwise_xor gcd invert lcm left_shift right_shift packbits "
        "unpackbits ravel_multi_index unravel_index diag_indices_from tril_indices_from triu_indices_from "
        "busday_count busday_offset datetime_as_string is_busday isnat"
    ),
    "They tell something of an array, or write it down; call them on `.data`:": (
        "array2string array_equiv array_repr array_str can_cast common_type einsum_path isneginf isposinf "
        "logical_and logical_not logical_or logical_xor min_scalar_type result_type save savetxt savez "
        "savez_compressed"
    ),
    "They step through the numbers of the machine:": "spacing",
    "They start from numbers; write `.astype`, or an op of what `.data` gives:": "empty_like",
}


def main(page: Path = PAGE) -> str:
    """Write the page.

    Args:
        page: the file to write.

    Returns:
        Its text.
    """
    text = "\n".join(lines()).rstrip() + "\n"
    page.write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")
    return page.read_text(encoding="utf-8")


def lines() -> Iterator[str]:
    """Yield the lines of the page."""
    yield OPENING
    ops = [op for op in tg.OPS.values() if op.function.__module__.startswith("tinygraph.ops.")]
    yield f"There are {len(ops)} ops and {len(composites())} functions that are made of them."
    for module in sorted({op.function.__module__ for op in ops}):
        yield from heading(module)
        yield "| op | NumPy | PyTorch | formula | derivatives | ONNX | in a page |"
        yield "|---|---|---|---|---|---|---|"
        yield from (row(op) for op in ops if op.function.__module__ == module)
    yield "\n## Made of ops\n\nTheir derivatives are those of the ops; in a picture each is a box.\n"
    yield "| function | NumPy | method | in words |"
    yield "|---|---|---|---|"
    yield from (composite_row(name, function) for name, function in sorted(composites().items()))
    yield from what_stays_out()


def heading(module: str) -> Iterator[str]:
    """Yield the heading of a family: its file's name and the rule that the file opens with."""
    about = first_sentence(inspect.getdoc(sys.modules[module]) or "")
    yield f"\n## {module.rpartition('.')[2].replace('_', ' ').capitalize()}\n\n{inline(about)}\n"


def row(op: Any) -> str:
    """Return the row of an op."""
    partials = [f"{formula(tex)} in {x}" for x, tex in zip(op.operands, op.partials, strict=False) if tex]
    written = [spelled(op, language) for language in (numpy_spelling(), torch_spelling())]
    page = "yes" if op.name in KNOWN else "no"
    return cells(link(op.name), *written, formula(op.tex), "; ".join(partials), op.onnx, page)


def spelled(op: Any, language: Spelling) -> str:
    """Return how a language writes the first sample of an op."""
    sample = op.samples[0]
    names = op.operands if not op.variadic else [f"x{i + 1}" for i in range(len(sample.shapes))]
    operands = [atom(name, shape) for name, shape in zip(names, sample.shapes, strict=False)]
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(sample.low, sample.high, shape) for shape in sample.shapes]
    if op.name in SYMMETRIC:
        arrays = [np.eye(sample.shapes[0][-1])]
    with np.errstate(all="ignore"):
        value = op(
            *(x.astype(int) if n == "indices" else x for x, n in zip(arrays, names, strict=True)), **sample.params
        )
    call = Call(op.name, operands, {**op.params, **sample.params}, value.shape, str(value.dtype))
    try:
        return f"`{language.spell(call).text}`"
    except ValueError:
        return ""


def composites() -> dict[str, Callable[..., Any]]:
    """Return the functions that are made of ops, by name; those of `nn.functional` have an F before it."""
    own = {name: getattr(tg, name) for name in {*tg.__all__, *PYTHONS}}
    own |= {f"linalg.{name}": getattr(tg.linalg, name) for name in tg.linalg.__all__ if name not in own}
    own |= {f"fft.{name}": getattr(tg.fft, name) for name in tg.fft.__all__}
    own |= {f"F.{name}": getattr(functional, name) for name in functional.__all__ if name not in own}
    return {
        name: function
        for name, function in own.items()
        if inspect.isfunction(function) and not hasattr(function, "op") and is_mathematics(function.__module__)
    }


def is_mathematics(module: str) -> bool:
    """Whether the functions of a module are made of ops, and make no new tensors."""
    _, folder, *rest = module.split(".")
    return (folder in ("ops", "functions") and rest[0] not in MAKERS) or module.startswith("tinygraph.nn.functional")


def composite_row(name: str, function: Callable[..., Any]) -> str:
    """Return the row of a function that is made of ops."""
    numpy = sorted({f"`{name_in_numpy(theirs)}`" for theirs, ours in NUMPY.items() if ours is function})
    methods = [
        f"`x.{method}`"
        for method, thing in sorted(vars(tg.Tensor).items())
        if getattr(thing, "__wrapped__", None) is function and not method.startswith("_")
    ]
    words = inline(first_sentence(inspect.getdoc(function) or ""))
    return cells(link(name), ", ".join(numpy), ", ".join(methods), words)


def name_in_numpy(function: Any) -> str:
    """Return what NumPy calls a function: ``np.linalg.norm``."""
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def link(name: str) -> str:
    """Return a name, linked to the reference where that has it."""
    known = name in {*tg.__all__, *PYTHONS} or name.startswith("F.")
    anchor = name.removeprefix("F.").lower()
    return f"[`{name}`](reference.md#{anchor})" if known and hasattr(tg, name.removeprefix("F.")) else f"`{name}`"


def cells(*texts: str) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def what_stays_out() -> Iterator[str]:
    """Yield the section about what has no derivative here."""
    yield "\n## What stays out, and why\n"
    for reason, names in OUT.items():
        yield f"- **{reason}** " + ", ".join(f"`{name}`" for name in names.split()) + "."


if __name__ == "__main__":
    print(f"wrote {len(main().splitlines())} lines to {PAGE.name}")
