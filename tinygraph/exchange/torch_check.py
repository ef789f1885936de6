"""Hold what was run against the model itself: PyTorch runs it once more, forward and backward.

An export leaves out what is no op, such as the backward that a ``torch.autograd.Function`` brings with it. So no
gradient is shown that is not PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygraph.exchange.torch_run import Live, Run

__all__ = ["difference_from", "own"]

ROUNDING = 0.01  # a difference of more than this share is no rounding; of numbers of 16 bits, a quarter

Pairs = list[tuple[str, Any, Any]]


def own(x: Any) -> Any:
    """Return a tensor that shares no gradient and no memory with an input; anything else as it is."""
    return x.detach().clone().requires_grad_(x.requires_grad) if hasattr(x, "requires_grad") else x


def difference_from(module: Any, args: Any, kwargs: Any, run: Run, outputs: list[Live], starts: list[Live]) -> str:
    """Run a model as PyTorch does, and say where its values or gradients are others than those of a run.

    Args:
        module: the model; it is changed by the run.
        args: what it is called with.
        kwargs: likewise, by name.
        run: what is checked.
        outputs: its outputs that are tensors, in the model's order.
        starts: those of them at which gradients started, with ones.

    Returns:
        A note, or "" where nothing differs.
    """
    import torch
    from torch.utils import _pytree

    args, kwargs = _pytree.tree_map(own, (args, kwargs))
    expected = [y for y in _pytree.tree_leaves(module(*args, **kwargs)) if isinstance(y, torch.Tensor)]
    tensors = [x.tensor for x in run.nodes if isinstance(x.tensor, torch.Tensor)]
    pairs = [(f"output {i}", x.tensor, y) for i, (x, y) in enumerate(zip(outputs, expected, strict=False))]
    if off := differing(pairs, largest_in(tensors)):
        return f"no gradients are shown: run again, the model gives other values ({off}): it is random or keeps state"
    if not starts:
        return ""
    ends = [y for y, x in zip(expected, outputs, strict=True) if x in starts]
    torch.autograd.backward(ends, [torch.ones_like(y) for y in ends])
    inputs = [x for x in _pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    pairs = [(x.name, x.tensor.grad, g) for x, g in gradients_of(module, inputs, run)]
    if off := differing(pairs, largest_in(x.grad for x in tensors if x.requires_grad)):
        return (
            f"no gradients are shown: those of the exported ops are not those of PyTorch's own backward ({off}); "
            "a function with a backward of its own does that"
        )
    return ""


def gradients_of(module: Any, inputs: list[Any], run: Run) -> Iterable[tuple[Live, Any]]:
    """Return each leaf of a run, with the gradient that it has in the model."""
    prefix = "model." if hasattr(module, "forward_signature") else ""
    found = {name.removeprefix(prefix): p.grad for name, p in module.named_parameters()}
    given = [leaf for leaf in run.program.leaves.values() if leaf.kind == "input" and hasattr(leaf.value, "detach")]
    found |= {leaf.name: x.grad for leaf, x in zip(given, inputs, strict=False)}
    return [(x, found[x.name]) for x in run.leaves.values() if x.name in found]


def differing(pairs: Pairs, largest: float) -> str:
    """Return which of some pairs of tensors differ by more than rounding, and by how much; "" if none does.

    Args:
        pairs: a name and two tensors each; None is zeros.
        largest: the largest element on the way to them: the gradient of a bias before batch norm is 0, and rounding
            on the way makes it some small number.
    """
    import torch

    gaps, size, eps = [], 0.0, 0.0
    for name, *both in pairs:
        there = next((t for t in both if t is not None), None)
        if there is None or not there.is_floating_point() or not there.numel():
            continue
        a, b = ((0 * there if t is None else t).detach().to_dense().double().nan_to_num() for t in both)
        gaps.append((float((a - b).abs().max()), name))
        size = max(size, float(a.abs().max()), float(b.abs().max()))
        eps = max(eps, float(torch.finfo(there.dtype).eps))
    most = size * (ROUNDING if eps < 1e-4 else 0.25) + largest * 1000 * eps
    return ", ".join(f"{name} by {gap:.2g}" for gap, name in sorted(gaps)[:-4:-1] if gap > most)


def largest_in(tensors: Iterable[Any]) -> float:
    """Return the largest finite absolute value in some tensors; None is passed over."""
    sizes = [
        x.detach().to_dense().nan_to_num(posinf=0, neginf=0).abs().max()
        for x in tensors
        if x is not None and x.numel() and x.is_floating_point()
    ]
    return max(map(float, sizes), default=0.0)
