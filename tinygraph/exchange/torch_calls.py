"""Each op of ours in PyTorch: the same value, and the same gradient also where a derivative jumps."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygraph.exchange.torch_steps import ONE, TWO

__all__ = ["theirs"]

Call = Callable[..., Any]


@functools.cache
def theirs() -> dict[str, Call]:
    """Return a function of PyTorch for each op of ours that a model may need; parameters have our names."""
    import torch

    F = torch.nn.functional

    def reduced(function: Call) -> Call:
        def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            return function(x, dim=dims(x, axis), keepdim=keepdims) if x.ndim else function(x, dim=(), keepdim=False)

        return call

    def paired(function: Call) -> Call:
        """Give numbers the dtype of the other operand, where PyTorch's function takes tensors alone."""

        def call(x: Any, y: Any) -> Any:
            x = x if torch.is_tensor(x) else torch.as_tensor(x, dtype=y.dtype, device=y.device)
            y = y if torch.is_tensor(y) else torch.as_tensor(y, dtype=x.dtype, device=x.device)
            return function(x, y)

        return call

    def placed(key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(map(placed, key))
        return torch.as_tensor(np.ascontiguousarray(key)) if isinstance(key, list | np.ndarray) else key

    def index(x: Any, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        for axis, k in enumerate(keys):  # PyTorch has no negative steps
            if isinstance(k, slice) and (k.step or 1) < 0:
                start, stop, step = k.indices(x.shape[axis])
                keys = (*keys[:axis], np.arange(start, stop, step), *keys[axis + 1 :])
        keys = tuple(k if torch.is_tensor(k) else placed(k) for k in keys)
        return x[keys if len(keys) > 1 else keys[0]]

    def pad(x: Any, pad_width: Any, mode: str, constant_values: float) -> Any:
        widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].ravel().tolist()
        return F.pad(x, widths, value=constant_values)

    def batch_norm(x: Any, gamma: Any, beta: Any, axis: Any, eps: float) -> Any:
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)

    def layer_norm(x: Any, gamma: Any, beta: Any, axis: Any, eps: float) -> Any:
        return F.layer_norm(x, x.shape[min(axis) :], gamma, beta, eps)

    def contract(*xs: Any, subscripts: str) -> Any:
        return torch.einsum(subscripts, *xs)

    found: dict[str, Call] = {
        name: getattr(torch, name)
        for name in ("square", "sqrt", "exp", "log", "abs", "sign", "tanh", "sigmoid", "relu", "matmul", "erf", "where")
    }
    found |= {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}
    found |= {"neg": operator.neg, "power": operator.pow, "greater": operator.gt, "equal": operator.eq}
    found |= {name: paired(getattr(torch, name)) for name in ("maximum", "minimum", "logaddexp")}
    found |= {ours: getattr(torch, name) for name, ours in ONE.items()}
    found |= {ours: paired(getattr(torch, name)) for name, ours in TWO.items()}
    found |= {"sum": reduced(torch.sum), "mean": reduced(torch.mean), "max": reduced(torch.amax)}
    found |= {"min": reduced(torch.amin), "logsumexp": reduced(torch.logsumexp)}
    return found | {
        "argmax": lambda x, axis=None, keepdims=False: torch.argmax(x, dim=axis, keepdim=keepdims),
        "clip": lambda x, min=None, max=None: torch.clamp(x, min, max),
        "astype": lambda x, dtype: x.to(getattr(torch, str(np.dtype(dtype)))),
        "broadcast_to": lambda x, shape: x.expand(shape),
        "sum_to": lambda x, shape: x.sum_to_size(shape),
        "reshape": lambda x, shape: torch.reshape(x, (shape,) if isinstance(shape, int) else tuple(shape)),
        "transpose": lambda x, axes=None: x.permute(tuple(axes or range(x.ndim)[::-1])),
        "index": index,
        "join": lambda *xs, axis=0: torch.cat(xs, axis),
        "whole": lambda x: x.view_as(x),
        "clone": torch.clone,
        "pad": pad,
        "contract": contract,
        **{
            f"{name}{rank}d": functools.partial(getattr(F, f"{name}{rank}d"), bias=None)
            for name in ("conv", "conv_transpose")
            for rank in (1, 2, 3)
        },
        "avg_pool1d": lambda x, divisor_override=None, **options: F.avg_pool1d(x, **options),
        "avg_pool2d": F.avg_pool2d,
        "avg_pool3d": F.avg_pool3d,
        **{f"max_pool{rank}d": getattr(F, f"max_pool{rank}d") for rank in (1, 2, 3)},
        "batch_norm": batch_norm,
        "layer_norm": layer_norm,
    }


def dims(x: Any, axis: Any) -> tuple[int, ...]:
    """Return the axes of a reduction, as PyTorch wants them."""
    return tuple(range(x.ndim)) if axis is None else tuple(axis) if np.iterable(axis) else (axis,)
