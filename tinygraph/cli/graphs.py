"""What the commands on graphs share: how a graph is named, FILE.py:NAME or FILE.json, and how it is printed."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import inspect
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tinygraph.cli.errors import UsageError

if TYPE_CHECKING:
    from tinygraph.graph.data import Graph

NAMED = "FILE.py:NAME, where NAME is a tensor, a graph, or a function without arguments that returns one; or FILE.json"


def graph_of(spec: str) -> Graph:
    """Return the graph that is named on the command line.

    Args:
        spec: ``FILE.py:NAME`` or ``FILE.json``.

    Returns:
        The graph.

    Raises:
        UsageError: there is no such file or name, the file fails, or what it has under that name is no graph.
    """
    from tinygraph.graph.data import Graph

    if spec.endswith(".json"):
        try:
            return Graph.from_json(Path(spec).read_text(encoding="utf-8"))
        except (ValueError, FileNotFoundError) as error:
            raise UsageError(f"{spec}: {'there is no such file' if isinstance(error, OSError) else error}") from None
    file, _, name = spec.rpartition(":")
    if not file.endswith(".py") or not name:
        raise UsageError(f"{spec}: write {NAMED}")
    return graph_in_file(file, name)


def graph_in_file(file: str, name: str) -> Graph:
    """Run a Python file, and return the graph of the tensor, graph or function ``name`` in it."""
    from tinygraph.drawing.api import data_of
    from tinygraph.graph.data import Graph

    if not Path(file).is_file():
        raise UsageError(f"{file}: there is no such file")
    module = run_file(file)
    try:
        found = getattr(module, name)
    except AttributeError:
        raise UsageError(
            f"{file} has no {name!r}; it has {', '.join(names_to_draw(module)[:12]) or 'nothing to draw'}"
        ) from None
    if callable(found):
        if needs_arguments(getattr(found, "forward", found)):  # a Module says in `forward` what it takes
            raise UsageError(f"{name} takes arguments: name a function that takes none, and calls {name} in it")
        try:
            found = found()
        except Exception as error:
            raise UsageError(f"{name}() failed: {write_exception(error, file)}") from None
    try:
        graph = data_of(found)
        if not isinstance(graph, Graph):
            raise TypeError(f"a graph is needed, not {type(found).__name__}")
    except (TypeError, RuntimeError) as error:
        raise UsageError(f"{file}:{name}: {error}") from None
    return graph


@functools.cache
def run_file(file: str) -> ModuleType:
    """Run a file once, as a module and not as the main program."""
    spec = importlib.util.spec_from_file_location(f"tinygraph drawing {file}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file}: this is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(Path(file).resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{file} failed: {write_exception(error, file)}") from None
    finally:
        sys.path.pop(0)
    return module


def write_exception(error: BaseException, file: str) -> str:
    """Return an exception in one line: its kind, its message, and the line of the file."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(Path(file).resolve())]
    lines = lines or [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return message + (f" (line {lines[-1]})" if lines else "")


def names_to_draw(module: ModuleType) -> list[str]:
    """Return the names in a module that can be drawn."""
    from tinygraph.engine.tensor import Tensor
    from tinygraph.graph.data import Graph

    def is_drawable(thing: object) -> bool:
        if isinstance(thing, Tensor | Graph):
            return True
        return inspect.isfunction(thing) and thing.__module__ == module.__name__ and not needs_arguments(thing)

    found = {name: thing for name, thing in vars(module).items() if not name.startswith("_") and is_drawable(thing)}
    return [f"{name}()" if inspect.isfunction(thing) else name for name, thing in found.items()]


def needs_arguments(function: Callable[..., object]) -> bool:
    """Say whether a function cannot be called without arguments."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def to_usage_error(error: Exception) -> UsageError:
    """Return the error of a drawing as one of this command."""
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return UsageError(message.removeprefix("draw: "))


def text_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a text: as wide as the terminal, coloured there alone, in ASCII if the options say so."""
    is_terminal = sys.stdout.isatty()
    width = getattr(options, "width", None) or (shutil.get_terminal_size((120, 24)).columns if is_terminal else None)
    return {"width": width, "ascii": options.ascii, "color": is_terminal and "NO_COLOR" not in os.environ}


def print_graph(what: Any, options: argparse.Namespace, **more: Any) -> None:
    """Print a graph, or two that were compared, as text."""
    print(what.text(**text_options(options), **more))
