"""Write docs/reference.md: ``python docs/reference.py`` collects every public name with its docstring.

What is public stands in ``__all__``; what an op is stands in the registry. Nothing is written here by hand but the
order of the sections and their titles.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import tinygraph as tg
from tinygraph.engine.registry import OPS
from tinygraph.ops.later import load_all

PAGE = Path(__file__).parent / "reference.md"

# A name of `tinygraph` stands in the section of the first of these modules that begins the name of its own.
SECTIONS = {
    "engine": "Tensors and ops",
    "autodiff": "Gradients",
    "functions.transforms": "Gradients",
    "ops.elementwise": "Ops: element by element",
    "ops.activations": "Ops: element by element",
    "ops.exponentials": "Ops: element by element",
    "ops.special": "Ops: element by element",
    "ops.rounding": "Ops: element by element",
    "ops.trigonometry": "Ops: element by element",
    "ops.reduce": "Ops: reductions",
    **dict.fromkeys(("ops.shape", "ops.indexing", "ops.joining", "ops.padding"), "Ops: shape and place"),
    "ops.linear": "Ops: products",
    "ops.convolution": "Ops: windows of images",
    "ops.pooling": "Ops: windows of images",
    "ops": "Ops: others",
    "functions.normalization": "Normalization",
    "functions.by_hand": "Normalization",
    "functions": "Functions of ops",
    "graph": "The graph as data",
    "drawing": "Drawing",
    "verify": "Checks and measurements",
    "compiler": "Compiling",
    "teach": "Teaching",
    "": "Others",
}
MODULES = (
    "linalg",
    "fft",
    "fused",
    "nn",
    "nn.init",
    "nn.functional",
    "nn.utils",
    "nn.parametrizations",
    "optim",
    "optim.swa_utils",
    "data",
    "nets",
    "checkpoint",
    "training",
)
PYTHONS = {
    "abs",
    "compile",
    "divmod",
    "max",
    "min",
    "round",
    "sum",
}  # public, and not in ``__all__``: these are Python's
NO_FUNCTIONS = {"OPS", "fused"}  # a table, and a module with a section of its own
PARTS = re.compile(r"^(Args|Returns|Yields|Raises|Attributes|Example|Examples|Source|Note):[ ]*(.*)$")


def main(page: Path = PAGE) -> str:
    """Write the reference.

    Args:
        page: the file to write.

    Returns:
        Its text.
    """
    load_all()  # so that every method is there
    text = "\n".join(reference()).rstrip() + "\n"
    page.write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")
    return page.read_text(encoding="utf-8")


def reference() -> Iterator[str]:
    """Yield the lines of the page."""
    sections = sections_of_tinygraph()
    titles = [*sections, *(f"tinygraph.{name}" for name in MODULES if has_module(name))]
    yield "# Reference"
    yield ""
    yield "Every public name with its docstring. `python docs/reference.py` writes this page; do not edit it."
    yield ""
    yield from (f"- [{title}](#{re.sub(r'[^a-z0-9 _-]', '', title.lower()).replace(' ', '-')})" for title in titles)
    for title, names in sections.items():
        yield from ["", f"## {title}", ""]
        if title.startswith("Ops"):
            yield from table_of_ops(names)
        for name in names:
            yield from entry(name, getattr(tg, name))
    for name in filter(has_module, MODULES):
        module = importlib.import_module(f"tinygraph.{name}")
        yield from ["", f"## tinygraph.{name}", "", *prose(inspect.getdoc(module) or "")]
        for member in sorted(public_names(module), key=lambda name: (name.lower(), name)):
            yield from entry(member, getattr(module, member))


def has_module(name: str) -> bool:
    """Whether ``tinygraph.NAME`` can be imported."""
    try:
        importlib.import_module(f"tinygraph.{name}")
    except ModuleNotFoundError:
        return False
    return True


def public_names(module: ModuleType) -> list[str]:
    """Return the names of a module that are its own: no modules, and nothing that tinygraph itself has."""
    known = () if module is tg.fused else tg.__all__
    return [name for name in module.__all__ if name not in known and not inspect.ismodule(getattr(module, name))]


def sections_of_tinygraph() -> dict[str, list[str]]:
    """Return the names of `tinygraph` itself by section."""
    found: dict[str, list[str]] = {title: [] for title in SECTIONS.values()}
    for name in sorted(set(tg.__all__) - NO_FUNCTIONS | PYTHONS, key=lambda name: (name.lower(), name)):
        place = getattr(getattr(tg, name), "__module__", "").removeprefix("tinygraph.")
        title = next(title for start, title in SECTIONS.items() if place.startswith(start))
        found[title].append(name)
    return {title: names for title, names in found.items() if names}


def table_of_ops(names: list[str]) -> Iterator[str]:
    """Yield a table of what the registry knows of some ops: the formula, the derivatives, the sentence."""
    rows = [(name, OPS[name]) for name in names if name in OPS]
    if not rows:
        return
    yield "| op | formula | local derivatives | in words |"
    yield "|---|---|---|---|"
    for name, op in rows:
        partials = [
            f"{formula(partial)} in {x}" for x, partial in zip(op.operands, op.partials, strict=False) if partial
        ]
        cells = [f"[`{name}`](#{name})", formula(op.tex), "; ".join(partials), re.sub(r"\$(\w+)", r"\1", op.says)]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def formula(tex: str) -> str:
    """Return a template in LaTeX as a formula of Markdown, with the names of the operands in the holes."""
    filled = re.sub(r"\$(\w+)", lambda hole: r"\mathit{" + hole[1].replace("_", r"\_") + "}", tex)
    return f"$`{filled}`$"


def entry(name: str, thing: Any) -> Iterator[str]:
    """Yield the lines about one name."""
    yield from ["", f"### {name}", ""]
    if inspect.isclass(thing) and issubclass(thing, Exception):
        yield f"*error*, a kind of `{thing.__mro__[1].__name__}`"
    elif callable(thing):
        yield from ["```python", f"{'class ' * inspect.isclass(thing)}{name}{signature(thing)}", "```"]
    yield from ["", *prose(own_docstring(thing))]
    if inspect.isclass(thing) and not issubclass(thing, Exception | enum.Enum):
        members = list(members_of(thing))
        if members:
            yield from ["", "| | |", "|---|---|", *members]


def own_docstring(thing: Any) -> str:
    """Return the docstring of a thing; of a class its own, not its parent's."""
    return inspect.cleandoc((vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or "")


def signature(thing: Any, skip: int = 0) -> str:
    """Return the arguments of a callable with their defaults, less the first ``skip``; types stand in the source."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(…)"
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()][skip:]
    text = str(found.replace(parameters=bare, return_annotation=found.empty))
    return re.sub(r"<(?:class|function) '?(?:[\w.]+\.)?(<?\w+>?)(?:'| at 0x\w+)>", r"\1", text)


def members_of(cls: type) -> Iterator[str]:
    """Yield a row for each public method and property that a class defines itself."""
    for name, member in sorted(vars(cls).items()):
        if name.startswith("_"):
            continue
        text = first_sentence(inspect.getdoc(getattr(cls, name, None)) or "")
        if isinstance(member, property):
            yield f"| `.{name}` | {inline(text)} |"
        elif isinstance(member, staticmethod | classmethod) or inspect.isroutine(member):
            arguments = signature(getattr(cls, name), skip=inspect.isfunction(member))
            yield f"| `.{name}{arguments}` | {inline(text)} |".replace("\\", "\\\\")


def first_sentence(text: str) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def inline(text: str) -> str:
    """Return a line of a docstring as Markdown: one backtick for code, a dollar for formulas."""
    text = re.sub(r":math:`([^`]*)`", r"$`\1`$", text)
    return re.sub(r"``(.*?)``", r"`\1`", text)


def prose(docstring: str) -> Iterator[str]:
    """Yield a docstring as Markdown: sections become lists, examples and formulas their own blocks."""
    for block in blocks(docstring.splitlines()):
        head = PARTS.match(block[0])
        if block[0].startswith(">>>"):
            yield from ["```pycon", *block, "```", ""]
        elif block[0].startswith(".. math::"):
            lines = [block[0].removeprefix(".. math::"), *block[1:]]
            yield from ["$$", *(line.strip() for line in lines if line.strip()), "$$", ""]
        elif head and len(block) > 1 and not head[2]:
            yield from [f"**{head[1]}**", "", *items(block[1:]), ""]
        elif head:
            rest = " ".join(line.strip() for line in block[1:])
            yield from [inline(f"**{head[1]}**: {head[2]} {rest}".rstrip()), ""]
        elif all(line.startswith((" ", "-")) for line in block):
            yield from [*block, ""]
        else:
            yield from [*map(inline, block), ""]


def blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield the parts of a docstring: a paragraph, a section or an example each."""
    block: list[str] = []
    for line in [*lines, ""]:
        starts = line.startswith(">>>") and not (block and block[0].startswith(">>>"))
        inside = block and PARTS.match(block[0]) and line.startswith(" ")
        if block and (not line.strip() or starts or (PARTS.match(line) and not inside)):
            yield block
            block = []
        if line.strip():
            block.append(line)
    if block:
        yield block


def items(lines: list[str]) -> Iterator[str]:
    """Yield the entries of a section as a list; a line that is indented further goes on with its entry."""
    depth = min(len(line) - len(line.lstrip()) for line in lines)
    for line in lines:
        text = inline(line.strip())
        if len(line) - len(line.lstrip()) > depth:
            yield f"  {text}"
        else:
            yield re.sub(r"^([\w*, ]+(?:\([^)]*\))?):", lambda m: f"- `{m[1]}`:", text) if ":" in text else f"- {text}"


if __name__ == "__main__":
    print(f"wrote {len(main().splitlines())} lines to {sys.argv[1] if sys.argv[1:] else PAGE.name}")
