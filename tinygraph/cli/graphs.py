"""What the commands on graphs share: how a graph is named, FILE.py:NAME or FILE.json, and how it is printed."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tinygraph.cli.errors import UsageError
from tinygraph.cli.modules import Call, graph_of_net, is_net
from tinygraph.cli.terminal import columns, has_color, speaks_unicode

if TYPE_CHECKING:
    from tinygraph.graph.data import Graph

NAMED = (
    "FILE.py:NAME, where NAME is a tensor, a graph, a function without arguments that returns one, or a Module (of "
    "PyTorch, too) whose inputs are example_inputs in the same file; or FILE.json"
)


def graph_of(spec: str, call: Call | None = None) -> Graph:
    """Return the graph that is named on the command line.

    Args:
        spec: ``FILE.py:NAME`` or ``FILE.json``.
        call: what a Module is called with; None takes what the file has as ``example_inputs``.

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
    return graph_in_file(file, name, call or Call())


def graph_or_example(options: argparse.Namespace) -> tuple[Any, str]:
    """Return the graph that WHAT names, or the example that --example names, with the name of the example.

    Raises:
        UsageError: both are given, or there is no such graph or example.
    """
    from tinygraph.teach.examples import LESSONS

    if options.what and options.example:
        raise UsageError("give WHAT or --example, and not both")
    if options.what:
        return graph_of(options.what), ""
    name = options.example or "batch_norm"
    if name not in LESSONS:
        raise UsageError(f"--example {name}: it must be one of {', '.join(LESSONS)}")
    return LESSONS[name](), name


def graph_in_file(file: str, name: str, call: Call) -> Graph:
    """Run a Python file, and return the graph of ``name`` in it, whose nodes know in which line they were made."""
    from tinygraph.graph.places import record_places

    if not Path(file).is_file():
        raise UsageError(f"{file}: there is no such file")
    with record_places(Path(file).resolve().parent):
        return graph_of_name(run_file(file), file, name, call)


def graph_of_name(module: ModuleType, file: str, name: str, call: Call) -> Graph:
    """Return the graph of the tensor, graph, function or Module that a file, run as ``module``, calls ``name``."""
    from tinygraph.drawing.api import data_of
    from tinygraph.graph.data import Graph

    try:
        found = getattr(module, name)
    except AttributeError:
        names = names_to_draw(module)
        shown = ", ".join(names[:12] + ["…"] * (len(names) > 12)) or "nothing to draw"
        raise UsageError(f"{file} has no {name!r}; it has {shown}") from None
    if callable(found) and not is_net(found):
        if needs_arguments(found):
            raise UsageError(f"{name} takes arguments: name a function that takes none, and calls {name} in it")
        try:
            found = found()
        except Exception as error:
            raise UsageError(f"{name}() failed: {write_exception(error, file)}") from None
    if is_net(found):
        return graph_of_net(found, name, file, module, call)
    if call != Call():
        raise UsageError(f"--inputs and --loss are for a Module: {name} is a {type(found).__name__}")
    try:
        graph = data_of(found)
    except TypeError:
        graph = None
    except RuntimeError as error:
        raise UsageError(f"{file}:{name}: {error}") from None
    if not isinstance(graph, Graph):
        raise UsageError(f"{file}:{name} is of type {type(found).__name__}; it must be a Tensor, several, or a Graph")
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
        if isinstance(thing, Tensor | Graph) or is_net(thing):
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
    width = getattr(options, "width", None)
    width = columns() if width is None and sys.stdout.isatty() else width
    ascii_only = options.ascii or not speaks_unicode(sys.stdout)
    return {"width": width, "ascii": ascii_only, "color": has_color(sys.stdout)}


def print_graph(what: Any, options: argparse.Namespace, **more: Any) -> None:
    """Print a graph, or two that were compared, as text."""
    print(what.text(**text_options(options), **more))
