"""A model of PyTorch as a graph, with every value, every gradient and every contribution to a gradient.

The model becomes a list of calls (``torch_program.py``). Each call is written as ops of ours where it can be, and run
on tensors of PyTorch: each use of a tensor gets a view of its own, so that the gradient of the view is the contribution
of that use. Values and gradients are PyTorch's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from tinygraph.engine.lazy_import import install_hint
from tinygraph.exchange.torch_check import difference_from, own
from tinygraph.exchange.torch_program import copy_of, one_line, program_of
from tinygraph.exchange.torch_run import Live, Run
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import with_leaf_scopes

__all__ = ["ExportError", "from_torch"]


class ExportError(RuntimeError):
    """A model could not be exported.

    Attributes:
        graph: what there is up to the op that failed, without gradients; None if there is nothing.
    """

    def __init__(self, message: str, graph: Graph | None = None) -> None:
        super().__init__(message)
        self.graph = graph


def from_torch(
    module: Any,
    *inputs: Any,
    loss: Callable[[Any], Any] | None = None,
    values: int = 64,
    decompose: bool = True,
    **kwargs: Any,
) -> Graph:
    """Return the graph of a PyTorch model: values, gradients and contributions are PyTorch's own.

    The model is run as it is, in training or evaluation mode, with the random numbers that its next call would draw.
    It is not changed: neither its parameters and buffers, nor ``.grad``, nor the state of the random generators.
    Parameters and inputs have a gradient where they require one.

    Args:
        module: a ``torch.nn.Module``.
        inputs: what it is called with: tensors, numbers, and tuples, lists and dicts of them.
        loss: makes one number of the model's output; gradients start there. Without it they start at the output, if
            it is one number or has exactly one; else at all outputs of floating point, with ones.
        values: arrays of up to this many elements are included whole, larger ones as statistics.
        decompose: write what PyTorch has as one op, such as batch norm, with the ops that it is made of. If False,
            each op of PyTorch is one node.
        kwargs: inputs by name.

    Returns:
        A `Graph`. Ops that are ours as well can be run by `run`, and have formulas and local derivatives; any other
        is a node with its values. Notes say what is not as the model has it.

    Raises:
        ImportError: PyTorch is not installed.
        TypeError: ``module`` is no Module, or ``loss`` does not give one number.
        ExportError: the model failed on the way; ``error.graph`` has what there is up to there.

    >>> torch = __import__("pytest").importorskip("torch")
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    >>> graph = from_torch(net, torch.ones(4, 3), loss=lambda y: (y * y).mean())
    >>> [node.op or node.name for node in graph.nodes]
    ['input', '0.weight', '0.bias', 'transpose', 'matmul', 'add', 'relu', 'mul', 'mean']
    """
    try:
        import torch
    except ImportError:
        raise ImportError(f"from_torch needs PyTorch: {install_hint('torch')}") from None
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch: the first argument is a torch.nn.Module, not {type(module).__name__}")
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    whole = with_loss(module, loss) if loss else module
    with torch.inference_mode(False), torch.enable_grad():
        args, named = torch.utils._pytree.tree_map(own, (inputs, kwargs))
        with same_random_numbers():
            program = program_of(copy_of(whole), args, named, decompose, "model" if loss else "")
        run = Run(program, decompose)
        with same_random_numbers():
            error = run.forward()
        notes = list(program.notes)
        if error := program.error or error:
            graph = run.graph(values, [], notes)
            raise ExportError(*said(error, graph)) from None
        outputs = [(name, value) for name, value in run.outputs() if isinstance(value, Live)]
        starts, note = choose_starts(outputs, loss)
        if starts:
            torch.autograd.backward([s.tensor for s in starts], [torch.ones_like(s.tensor) for s in starts])
        with same_random_numbers():
            wrong = difference_from(copy_of(whole), args, named, run, [x for _, x in outputs], starts)
        notes += filter(None, [note, wrong])
        graph = run.graph(values, outputs, notes, scalar=bool(loss) or len(starts) == 1)
    there = {node.name for node in graph.nodes if node.op is None}
    if unused := [name for name in (*run.input_names(), *dict(module.named_parameters())) if name not in there]:
        more = f" and {len(unused) - 4} more" if len(unused) > 4 else ""
        graph = dataclasses.replace(graph, notes=(*graph.notes, f"not in the graph: {', '.join(unused[:4])}{more}"))
    return with_leaf_scopes(without_gradients(graph) if wrong else graph)


def said(error: Exception, graph: Graph) -> tuple[str, Graph | None]:
    """Return what an `ExportError` says of an error, and the graph up to there."""
    message = f"from_torch: {error if type(error) is RuntimeError else one_line(error)}"
    if not graph.nodes:
        return message, None
    note = f"this is what there is up to an error: {message.removeprefix('from_torch: ')}"
    graph = with_leaf_scopes(dataclasses.replace(graph, notes=(*graph.notes, note)))
    return f"{message}; error.graph has the {len(graph)} nodes up to there", graph


@contextlib.contextmanager
def same_random_numbers() -> Iterator[None]:
    """Put the states of PyTorch's random generators back at the end of the block."""
    import torch

    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        yield


def with_loss(module: Any, loss: Callable[[Any], Any]) -> Any:
    """Return a module that applies a function to the output of another, which it calls ``model``."""
    import torch

    class WithLoss(torch.nn.Module):  # type: ignore[misc]  # PyTorch is an extra: Any here
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss = module, loss
            self.forward_signature = inspect.signature(module.forward)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.loss(self.model(*args, **kwargs))

    return WithLoss()


def choose_starts(outputs: list[tuple[str | None, Live]], loss: Any) -> tuple[list[Live], str]:
    """Return the outputs at which gradients start, and what to note about it.

    Raises:
        TypeError: the loss is not one number.
    """
    floating = [x for _, x in outputs if x.tensor.is_floating_point()]
    if loss and (len(outputs) != 1 or len(floating) != 1 or floating[0].tensor.numel() != 1):
        found = ", ".join(f"{x.dtype}{list(x.shape)}" for _, x in outputs) or "no tensor"
        raise TypeError(f"from_torch: the loss gives {found}; it must give one number")
    numbers = [x for x in floating if x.tensor.numel() == 1]
    starts = numbers if len(numbers) == 1 else floating
    starts = [x for x in starts if x.tensor.requires_grad]
    if len(numbers) == 1 or not starts:
        return starts, ""
    what = "the output" if len(starts) == 1 else "all outputs"
    return starts, f"no loss was given: gradients are those of the sum of {what}"


def without_gradients(graph: Graph) -> Graph:
    """Return a graph with its values alone."""
    nodes = []
    for node in graph.nodes:
        edges = tuple(dataclasses.replace(e, grad=None) for e in node.inputs)
        state = "pending" if node.requires_grad else "none"
        nodes.append(dataclasses.replace(node, inputs=edges, grad=None, grad_state=state))
    return dataclasses.replace(graph, nodes=tuple(nodes))
