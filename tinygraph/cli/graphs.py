"""What the commands on graphs share: one is named as FILE.py:NAME or FILE.json, and told as a terminal can show it."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import inspect
import os
import shutil
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tinygraph.cli.errors import UsageError

if TYPE_CHECKING:
    from tinygraph.graph.data import Graph

NAMED = "FILE.py:NAME, where NAME is a tensor, a graph, or a function without arguments that returns one; or FILE.json"


def graph_of(spec: str) -> Graph:
    """Return the graph that is named on the command line.

    Raises:
        UsageError: there is no such file or name, the file fails, or it is something else.
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
    return made(file, name)


def made(file: str, name: str) -> Graph:
    """Run a Python file, and return the graph of what bears a name in it."""
    from tinygraph.drawing.api import data_of
    from tinygraph.graph.data import Graph

    if not Path(file).is_file():
        raise UsageError(f"{file}: there is no such file")
    module = ran(file)
    try:
        found = getattr(module, name)
    except AttributeError:
        raise UsageError(
            f"{file} has no {name!r}; it has {', '.join(offered(module)[:12]) or 'nothing to draw'}"
        ) from None
    if callable(found):
        try:
            found = found()
        except Exception as error:
            raise UsageError(f"{name}() failed: {told(error, file)}") from None
    try:
        graph = data_of(found)
        if not isinstance(graph, Graph):
            raise TypeError(f"a graph is needed, not {type(found).__name__}")
    except (TypeError, RuntimeError) as error:
        raise UsageError(f"{file}:{name}: {error}") from None
    return graph


@functools.cache
def ran(file: str) -> ModuleType:
    """Run a file as a module, and not as the main program; once."""
    spec = importlib.util.spec_from_file_location(f"tinygraph drawing {file}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file}: this is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(Path(file).resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{file} failed: {told(error, file)}") from None
    finally:
        sys.path.pop(0)
    return module


def told(error: BaseException, file: str) -> str:
    """Write an exception in a line: the kind, the message, the line of the file."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(Path(file).resolve())]
    lines = lines or [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return said + (f" (line {lines[-1]})" if lines else "")


def offered(module: ModuleType) -> list[str]:
    """Return the names of a module that can be drawn."""
    from tinygraph.engine.tensor import Tensor
    from tinygraph.graph.data import Graph

    def fits(thing: Any) -> bool:
        if isinstance(thing, Tensor | Graph):
            return True
        if not inspect.isfunction(thing) or thing.__module__ != module.__name__:
            return False
        wanted = inspect.signature(thing).parameters.values()
        return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in wanted)

    found = {name: thing for name, thing in vars(module).items() if not name.startswith("_") and fits(thing)}
    return [name + "()" * inspect.isfunction(thing) for name, thing in found.items()]


def refused(error: Exception) -> UsageError:
    """Return what to say when a drawing was refused."""
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return UsageError(said.removeprefix("draw: "))


def terminal(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a text: as wide as the terminal, coloured only there, ASCII if asked for."""
    shown = sys.stdout.isatty()
    width = getattr(options, "width", None) or (shutil.get_terminal_size((120, 24)).columns if shown else None)
    return {"width": width, "ascii": options.ascii, "color": shown and "NO_COLOR" not in os.environ}


def tell(what: Any, options: argparse.Namespace, **more: Any) -> None:
    """Print a graph, or two, as text."""
    print(what.text(**terminal(options), **more))
