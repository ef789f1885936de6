"""What goes into a module's state and comes out of it: arrays by path, keys that did not match, hooks to remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array
from tinygraph.kernels.arrays import asarray, backend_of

__all__ = ["IncompatibleKeys", "RemovableHandle", "StateDict"]


class StateDict(dict[str, Array]):
    """The arrays of a module by path, with PyTorch's paths, and the extra state of its modules.

    Args:
        arrays: arrays by path.
        about: by the path of a module, what its `Module.get_extra_state` returned. A checkpoint stores it as text.

    >>> StateDict({"weight": np.ones(2)}, {"": {"momentum": 0.1}}).about
    {'': {'momentum': 0.1}}
    """

    def __init__(self, arrays: Mapping[str, Array] = {}, about: Mapping[str, Any] = {}) -> None:
        super().__init__(arrays)
        self.about: dict[str, Any] = dict(about)


class IncompatibleKeys(NamedTuple):
    """The keys that did not match in `Module.load_state_dict`.

    Args:
        missing_keys: the module's keys that were not given.
        unexpected_keys: the given keys that the module does not have.

    >>> IncompatibleKeys([], ["bias"]).unexpected_keys
    ['bias']
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


class RemovableHandle(NamedTuple):
    """The means to remove a hook: call ``remove()``, or use it in a ``with`` block and leave the block.

    Args:
        hooks: the hooks of a module by number.
        number: the number of this hook.

    >>> from tinygraph import nn
    >>> net = nn.Linear(4, 3)
    >>> handle = net.register_forward_hook(lambda module, args, out: print(out.shape))
    >>> y = net(np.ones((5, 4), np.float32))
    (5, 3)
    >>> handle.remove()
    """

    hooks: dict[int, Any]
    number: int

    def remove(self) -> None:
        """Remove the hook; a second time does nothing."""
        self.hooks.pop(self.number, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


TAKEN = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}  # kinds of dtype that fit where one of the first kind is
MEANS = {"c": "complex numbers", "U": "words", "S": "bytes", "M": "dates", "m": "spans of time", "O": "objects"}


def given_array(value: Any) -> Any:
    """Return the array of a Tensor or of a tensor of PyTorch's, of which NumPy takes all but bfloat16."""
    value = array_of(value)
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return value.float().numpy() if str(value.dtype) == "torch.bfloat16" else value.numpy()
    return value if hasattr(value, "dtype") else np.asarray(value)


def fit(value: Any, like: Array) -> Array:
    """Return a copy of an array with the dtype and the backend of another; raise if that would lose what it says.

    Args:
        value: an array of the same shape.
        like: the array that it is to replace.

    Raises:
        ValueError: it holds no numbers of the kind, or numbers that the dtype cannot hold.
    """
    kind, wanted = value.dtype.kind, like.dtype
    is_whole = kind == "f" and wanted.kind in "iu" and (value == np.floor(value)).all()
    if kind not in TAKEN.get(wanted.kind, wanted.kind) and not is_whole:
        raise ValueError(f"holds {MEANS.get(kind, value.dtype)}, and must hold {wanted}")
    with np.errstate(over="ignore"):
        array: Array = asarray(value, backend_of(like), wanted)
    is_narrower = kind == wanted.kind == "f" and wanted.itemsize < value.dtype.itemsize
    if is_narrower and not (np.isfinite(array) == np.isfinite(asarray(value, backend_of(like)))).all():
        raise ValueError(f"holds numbers too large for {wanted}")
    return array.copy()  # the given array may change
