"""How a library differentiates: tinygraph, and PyTorch beside it, behind the same few functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Array
from tinygraph.functions.checks import axes_of
from tinygraph.functions.transforms import pull
from tinygraph.graph.records import behind, differentiated_inputs, kept_arrays
from tinygraph.kernels.arrays import to_numpy
from tinygraph.verify.inputs import Function, as_tuple

__all__ = ["TINYGRAPH", "Engine", "Values", "find_torch_twin", "make_torch_engine", "name_function"]

Values = Mapping[tuple[int, str], Array]  # order and name of a quantity -> its value
Groups = Sequence[Sequence[Array]]  # inputs, upstream gradients, and two directions


class Engine(NamedTuple):
    """The functions of one library.

    Attributes:
        lift: makes a leaf, to differentiate in, of an array.
        pull: carries upstream gradients back from outputs to inputs.
        lower: returns the value of a tensor as a NumPy array.
        count_bytes: counts the bytes that a call keeps for backward: beyond the inputs, and of the inputs.
    """

    lift: Callable[[Array], Any]
    pull: Callable[..., tuple[Any, ...]]
    lower: Callable[[Any], Array]
    count_bytes: Callable[[Function, Sequence[Array]], tuple[int, int]]

    def values(self, func: Function, data: Groups, names: Sequence[str]) -> Values:
        """Return the value of ``func`` and its derivatives to the third order.

        Args:
            func: takes and returns tensors of this library.
            data: four groups of arrays: inputs, an upstream gradient for each output, and two directions.
            names: names of the inputs.
        """
        xs, w, v, u = (tuple(map(self.lift, group)) for group in data)
        ys = as_tuple(func(*xs))
        first = self.pull(ys, xs, w)  # the plain walk, which runs a fused op's kernel
        recorded = self.pull(ys, xs, w, create_graph=True)
        along = self.pull(recorded, w, v)  # linear in w, so its derivative there is the jvp
        second = self.pull(recorded, xs, v, create_graph=True)
        third = self.pull(second, xs, u)
        number = [str(i) if len(ys) > 1 else "" for i in range(len(ys))]
        found = [(0, "y", number, ys), (1, "d", names, first), (1, "jvp", number, along)]
        found += [(2, "d²", names, second), (3, "d³", names, third)]
        return {(o, d + n): self.lower(a) for o, d, each, parts in found for n, a in zip(each, parts, strict=True)}


def bytes_for_backward(func: Function, xs: Sequence[Array]) -> tuple[int, int]:
    """Count the bytes that the graph of a call keeps for backward: beyond the inputs, and of the inputs."""
    ys = as_tuple(func(*map(Tensor, xs)))
    nodes = behind([y.node for y in ys if y.requires_grad], differentiated_inputs)
    buffers = {
        id(memory_owner(array)): memory_owner(array).nbytes for array in kept_arrays([node.saved for node in nodes])
    }
    given = {id(memory_owner(x)): x.nbytes for x in xs}
    of_inputs = sum(size for i, size in given.items() if buffers.pop(i, None) is not None)
    return sum(buffers.values()), of_inputs


def memory_owner(array: Any) -> Array:
    """Return the array whose memory a view looks into."""
    while hasattr(getattr(array, "base", None), "nbytes"):
        array = array.base
    owner: Array = array
    return owner


TINYGRAPH = Engine(Tensor, pull, lambda t: to_numpy(array_of(t)), bytes_for_backward)


def make_torch_engine() -> Engine:
    """Make the engine of PyTorch.

    Raises:
        ModuleNotFoundError: PyTorch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise ModuleNotFoundError("compare: against= needs PyTorch: pip install torch") from None

    def lift(array: Array) -> Any:
        return torch.tensor(to_numpy(array), requires_grad=True)

    def pull(outputs: Sequence[Any], inputs: Sequence[Any], v: Sequence[Any], create_graph: bool = False) -> Any:
        reached = [(y, g) for y, g in zip(outputs, v, strict=True) if y.requires_grad]
        if not reached:
            return tuple(map(torch.zeros_like, inputs))
        ys, gs = zip(*reached, strict=True)
        options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        return torch.autograd.grad(ys, inputs, gs, create_graph=create_graph, **options)

    def count_bytes(func: Function, xs: Sequence[Array]) -> tuple[int, int]:
        leaves = [lift(x) for x in xs]
        buffers: dict[int, int] = {}

        def count(t: Any) -> Any:
            buffers[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            out = func(*leaves)
        of_inputs = sum(buffers.pop(x.untyped_storage().data_ptr(), 0) for x in leaves)
        del out  # only now, so that no buffer was freed and its address used again
        return sum(buffers.values()), of_inputs

    return Engine(lift, pull, lambda t: t.detach().numpy(), count_bytes)


def find_torch_twin(composed: Function) -> Function:
    """Return PyTorch's function of the same name as ours, with the same keywords.

    Raises:
        ValueError: PyTorch's function for it is not known.
    """
    from torch.nn import functional

    keywords = getattr(composed, "keywords", {})
    eps, name = keywords.get("eps", 1e-5), name_function(composed).removeprefix("fused.")

    def batch_norm(x: Any, gamma: Any = None, beta: Any = None) -> Any:
        axes = axes_of(keywords.get("axis", 0), x, name)
        order = [*axes, *(a for a in range(x.ndim) if a not in axes)]
        if order[-1] == 1 and len(axes) == x.ndim - 1:  # channels come second, as PyTorch has them
            return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)
        rows = x.permute(order)
        table = rows.reshape(int(np.prod(rows.shape[: len(axes)])), -1)
        gamma, beta = (p if p is None else p.reshape(-1) for p in (gamma, beta))
        y = functional.batch_norm(table, None, None, gamma, beta, training=True, eps=eps)
        return y.reshape(rows.shape).permute([order.index(a) for a in range(x.ndim)])

    def layer_norm(x: Any, gamma: Any = None, beta: Any = None) -> Any:
        axes = axes_of(keywords.get("axis", -1), x, name)
        if axes != tuple(range(x.ndim - len(axes), x.ndim)):
            raise ValueError(f"PyTorch's layer_norm takes the last axes, and axis is {axes}")
        return functional.layer_norm(x, [x.shape[a] for a in axes], gamma, beta, eps)

    twins = {"batch_norm": batch_norm, "layer_norm": layer_norm}
    if name not in twins:
        raise ValueError(
            f"compare: PyTorch's twin of {name} is not known, but those of {' and '.join(twins)}; "
            "give a function of PyTorch tensors as against="
        )
    return twins[name]


def name_function(func: Function) -> str:
    """Return the name by which a user knows a function: ``batch_norm``, ``fused.batch_norm``."""
    func = getattr(func, "func", func)  # of a functools.partial
    module, name = getattr(func, "__module__", None) or "", getattr(func, "__name__", type(func).__name__)
    return f"fused.{name}" if ".fused" in module else name
