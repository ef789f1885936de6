"""A net that a file names, of PyTorch or of ours, called with inputs of the same file: its graph."""

from __future__ import annotations

import dataclasses
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.cli.errors import UsageError

if TYPE_CHECKING:
    from tinygraph.graph.data import Graph

__all__ = ["Call", "PartialGraphError", "graph_of_net", "is_net"]

EXAMPLE = "example_inputs"  # the name in a file that is looked for without --inputs


class PartialGraphError(UsageError):
    """A model failed on the way; ``graph`` has what there is up to there."""

    def __init__(self, message: str, graph: Graph) -> None:
        super().__init__(message)
        self.graph = graph


@dataclasses.dataclass(frozen=True)
class Call:
    """What a net is called with: names in its file, separated by commas, and the name of a loss."""

    inputs: str | None = None
    loss: str | None = None


def is_net(found: object) -> bool:
    """Whether an object is a Module, of PyTorch or of ours."""
    return is_kind(found, "torch.nn") or is_kind(found, "tinygraph.nn")


def is_kind(found: object, package: str) -> bool:
    """Whether an object is a Module of a package. It is not loaded: a file that has a Module has loaded it."""
    kind = getattr(sys.modules.get(package), "Module", None)
    return kind is not None and isinstance(found, kind)


def graph_of_net(net: Any, name: str, file: str, module: ModuleType, call: Call) -> Graph:
    """Return the graph of a net.

    Args:
        net: the Module.
        name: what the file calls it.
        file: the file, as the user wrote it.
        module: the file as a module.
        call: the names of its inputs and of its loss.

    Raises:
        UsageError: there are no inputs, a name is missing, or the net fails.
    """
    inputs, named = find_inputs(name, file, module, call.inputs)
    loss = find(call.loss, file, module, "--loss") if call.loss else None
    return (run_ours if is_kind(net, "tinygraph.nn") else run_theirs)(net, name, inputs, named, loss)


def find_inputs(name: str, file: str, module: ModuleType, names: str | None) -> tuple[list[Any], dict[str, Any]]:
    """Return what a net is called with: those that are named, or the file's ``example_inputs``."""
    if names:
        return [find(part, file, module, "--inputs") for part in names.split(",")], {}
    if not hasattr(module, EXAMPLE):
        raise UsageError(
            f"{name} is a Module, which needs inputs: write {EXAMPLE} = (x,) in {file}, or --inputs NAME of one there"
        )
    given = getattr(module, EXAMPLE)
    if isinstance(given, dict):
        return [], given
    return (list(given) if isinstance(given, tuple | list) else [given]), {}


def find(name: str, file: str, module: ModuleType, option: str) -> Any:
    """Return what a file has under a name."""
    try:
        return getattr(module, name)
    except AttributeError:
        raise UsageError(f"{option} {name}: {file} has no {name!r}") from None


def run_theirs(net: Any, name: str, inputs: list[Any], named: dict[str, Any], loss: Any) -> Graph:
    """Return the graph of a net of PyTorch."""
    from tinygraph.exchange.from_torch import ExportError, from_torch

    try:
        return from_torch(net, *inputs, loss=loss, **named)
    except ExportError as error:
        if error.graph is not None:
            raise PartialGraphError(f"{name}: {error}".partition("; error.graph")[0], error.graph) from None
        raise UsageError(f"{name}: {error}") from None
    except Exception as error:
        raise UsageError(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}") from None


def run_ours(net: Any, name: str, inputs: list[Any], named: dict[str, Any], loss: Any) -> Graph:
    """Return the graph of a net of ours, in the same way: gradients start at the loss, or at all outputs with ones."""
    from tinygraph.engine.tensor import Tensor
    from tinygraph.graph.snapshot import snapshot

    try:
        out = net(*inputs, **named)
        if loss:
            out = loss(out)
            if not isinstance(out, Tensor) or out.size != 1:
                raise TypeError(f"the loss gives {out!r}; it must give one number")
        outputs = [y for y in (out if isinstance(out, tuple | list) else [out]) if isinstance(y, Tensor)]
        for y in outputs:
            if y.requires_grad:
                y.backward(np.ones(y.shape, y.dtype))
        graph = snapshot(*outputs)
    except Exception as error:
        raise UsageError(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}") from None
    if loss or all(y.size == 1 for y in outputs):
        return graph
    what = "the output" if len(outputs) == 1 else "all outputs"
    note = f"no loss was given: gradients are those of the sum of {what}"
    return dataclasses.replace(graph, notes=(*graph.notes, note))
