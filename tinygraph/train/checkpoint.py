"""Checkpoints: a state in one file, which is replaced whole or not at all. Loading one runs no code.

A file has arrays by name, and a text (JSON) for all that is no array. The file of a ``state_dict`` is the one that
PyTorch's users write of theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.lazy_import import install_hint
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array
from tinygraph.graph.files import remove_partial_files, whole_file
from tinygraph.kernels.arrays import to_numpy
from tinygraph.nn.module import StateDict
from tinygraph.ops.keywords import explain_keywords
from tinygraph.train.file_formats import NPZ, SAFETENSORS, Damaged, Format

__all__ = ["load", "save", "to_torch"]

TEXT, DIGEST = "tinygraph", "tinygraph_digest"  # names of the texts beside the arrays
UNPACKED = 100, 1 << 28  # a file may unpack to so many times its size, or to so many bytes if that is more
LIST = object()  # stands where a list of arrays begins
Arrays = dict[str, Array]


PICKLED = (
    ". PyTorch writes such a file with pickle, and reading it could run any code, so it is not read here. Convert it "
    "where PyTorch is installed: safetensors.torch.save_file(torch.load(path, weights_only=True), 'net.safetensors'), "
    "or numpy.savez('net.npz', **{key: value.numpy() for key, value in torch.load(path, weights_only=True).items()})"
)


def save(state: Mapping[str, Any], path: str | Path) -> None:
    """Write a state to a file, whole or not at all.

    A process that is killed meanwhile leaves the file as it was, and a ``.partial`` file that the next save removes.
    Several processes may save to one path: each file is whole, and the last one stays. The permissions of a file stay,
    and of a symbolic link the target is replaced.

    Args:
        state: a ``state_dict``, or a dict of them and of arrays, numbers, texts and lists:
            ``{"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}``. Keys have no "/".
            A list may be of arrays.
        path: its ending picks the format: ``.safetensors``, which needs the package safetensors, or ``.npz``.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: the ending is neither of these, or a key has a "/".
        TypeError: something in the state is no array and cannot be written as JSON.
        ModuleNotFoundError: safetensors is not installed.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state.npz"
    >>> save({"weight": np.ones(2), "epoch": 3}, path)
    >>> load(path)
    {'epoch': 3, 'weight': array([1., 1.])}
    """
    path = Path(path)
    write = format_of(path).write
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint: there is no folder {path.parent}")
    arrays: Arrays = {}
    about: dict[str, Any] = {}
    values: dict[str, Any] = {}
    lists: list[str] = []
    for key, value in flatten_state(state, ""):
        if isinstance(value, StateDict):
            about[key] = value.about
        elif value is LIST:
            lists.append(key)
        elif key in arrays or key in values:
            raise ValueError(f"checkpoint: there are two keys {key!r}: in a file keys are text")
        elif hasattr(value, "dtype"):
            array = to_numpy(value)
            arrays[key] = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
        else:
            values[key] = check_json(key, value)
    text = json.dumps({"values": values, "about": about, "lists": lists})
    remove_partial_files(path)
    with whole_file(path) as file:
        write(file, arrays, {TEXT: text, DIGEST: digest(arrays, text)})


def digest(arrays: Arrays, text: str) -> str:
    """Return a digest of all that a file says: arrays by name with their shapes and dtypes, and the text."""
    found = hashlib.sha256(text.encode())
    for key in sorted(arrays):
        array = arrays[key]
        found.update(json.dumps([key, array.dtype.str, array.shape]).encode())
        if array.nbytes:
            found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def check_json(key: str, value: Any) -> Any:
    """Return a value; raise if it cannot be written as JSON."""
    try:
        json.dumps(value)
    except TypeError as error:
        kind = type(value).__name__
        raise TypeError(f"checkpoint: {key} is {kind}, neither an array nor fit for JSON: {error}") from None
    return value


@explain_keywords
def load(path: str | Path, *, limit: int | None = None) -> dict[str, Any]:
    """Return the state in a file that `save` wrote; of a file from elsewhere, its arrays by name.

    A file of `save` has a digest, so that a flipped bit is noticed. Those from elsewhere have checksums if they are
    ``.npz``, and none if they are ``.safetensors``. bfloat16 comes as float32.

    Args:
        path: a ``.safetensors`` or ``.npz`` file.
        limit: the most bytes that a packed file may unpack to; unless given 256 MiB, or 100 times its size.

    Returns:
        The state: dicts, NumPy arrays and values as they were. Keys are strings.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or corrupt, unpacks to more than the limit, or has objects that would have to be
            unpickled.
        ModuleNotFoundError: safetensors is not installed.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state.npz"
    >>> save({"weight": np.ones(2)}, path)
    >>> load(path)["weight"]
    array([1., 1.])
    """
    path = Path(path)
    read = format_of(path).read
    try:
        if path.is_dir():
            raise Damaged("this is a folder")
        times, least = UNPACKED
        arrays, texts = read(path, limit or max(least, times * path.stat().st_size))
        if DIGEST in texts and texts[DIGEST] != digest(arrays, texts.get(TEXT, "")):
            raise Damaged("damaged: it does not hold what was saved; its digest says so")
        return assemble(arrays, texts[TEXT]) if TEXT in texts else StateDict(arrays)
    except (FileNotFoundError, PermissionError):
        raise
    except Damaged as error:
        raise ValueError(clean(f"{path}: {error}")) from error
    except Exception as error:  # whatever reading a damaged file may end in
        raise ValueError(clean(f"{path}: truncated, corrupt or no such file: {error!r}")) from error


def assemble(arrays: Arrays, text: str) -> dict[str, Any]:
    """Return the state whose arrays and text these are."""
    try:
        described = json.loads(text)
        about, values = dict(described["about"]), dict(described["values"])
        state: dict[str, Any] = StateDict(about=about.pop("")) if "" in about else {}
        for key in sorted(about, key=len):  # outer before inner
            insert(state, key, StateDict(about=about[key]))
        for key, value in (*values.items(), *arrays.items()):
            insert(state, key, value)
        for key in described.get("lists", ()):
            *above, last = key.split("/")
            holder = state
            for name in above:
                holder = holder[name]
            holder[last] = [holder[last][str(i)] for i in range(len(holder[last]))]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Damaged(f"the text beside the arrays is not what tinygraph writes: {error!r}") from error
    return state


def to_torch(state: Any) -> Any:
    """Return a state with PyTorch's tensors in place of arrays, to load into a net or an optimizer there.

    Args:
        state: a ``state_dict``, or a dict or list of them.

    Returns:
        The same with tensors, which are copies.

    Raises:
        ModuleNotFoundError: PyTorch is not installed.

    >>> to_torch({"lr": 0.1, "step": 3})
    {'lr': 0.1, 'step': 3}
    """
    if isinstance(state, Mapping):
        return {key: to_torch(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(to_torch, state))
    if not hasattr(value := array_of(state), "dtype"):
        return state
    try:
        import torch
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"to_torch needs PyTorch: {install_hint('torch')}") from None
    return torch.tensor(np.ascontiguousarray(to_numpy(value)).reshape(value.shape))


def flatten_state(state: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield the arrays and values in a nested state by path; also each StateDict, list of arrays and empty dict."""
    if isinstance(state, StateDict):
        yield path, state
    elif not state and path:
        yield path, {}
    for key, value in state.items():
        if "/" in str(key):
            raise ValueError(f"checkpoint: the key {key!r} has a '/', which in a file stands between a dict and a key")
        inner = f"{path}/{key}" if path else str(key)
        if isinstance(value, list | tuple) and any(hasattr(array_of(part), "dtype") for part in value):
            yield inner, LIST
            value = {str(i): part for i, part in enumerate(value)}
        if isinstance(value, Mapping):
            yield from flatten_state(value, inner)
        else:
            yield inner, array_of(value)


def insert(state: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path, and make the dicts that lead there."""
    *above, key = path.split("/")
    for name in above:
        state = state.setdefault(name, {})
        if not isinstance(state, dict):
            raise ValueError(f"{name} is a value and holds others")
    if key in state:
        raise ValueError(f"{path} is there twice")
    state[key] = value


def format_of(path: Path) -> Format:
    """Return the format of a file's ending."""
    if path.suffix == ".npz":
        return NPZ
    if path.suffix != ".safetensors":
        advice = PICKLED if path.suffix in (".pt", ".pth", ".bin", ".ckpt", ".pkl") else ""
        raise ValueError(f"checkpoint: {path} ends in neither .safetensors nor .npz{advice}")
    if not find_spec("safetensors"):
        raise ModuleNotFoundError(f".safetensors needs a library: {install_hint('safetensors')}; .npz does not")
    return SAFETENSORS
