"""Checkpoints: a state in one file, which is replaced whole or not at all. Loading one runs no code.

A file has arrays by name, and a text (JSON) for all that is no array. The file of a ``state_dict`` is the one that
PyTorch's users write of theirs.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tinygraph.engine.lazy_import import install_hint
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array
from tinygraph.graph.files import partial_files, whole_file
from tinygraph.kernels.arrays import to_numpy
from tinygraph.nn.module import StateDict

__all__ = ["load", "save"]

NAME = "tinygraph"  # of the text beside the arrays
Arrays = dict[str, Array]


class Format(NamedTuple):
    """How a kind of file is written and read: arrays by name, and a text."""

    write: Callable[[BinaryIO, Arrays, str], None]
    read: Callable[[Path], tuple[Arrays, str | None]]


PICKLED = (
    ". PyTorch writes such a file with pickle, and reading it could run any code, so it is not read here. Convert it "
    "where PyTorch is installed: safetensors.torch.save_file(torch.load(path, weights_only=True), 'net.safetensors'), "
    "or numpy.savez('net.npz', **{key: value.numpy() for key, value in torch.load(path, weights_only=True).items()})"
)


def save(state: Mapping[str, Any], path: str | Path) -> None:
    """Write a state to a file, whole or not at all.

    A process that is killed meanwhile leaves the file as it was, and a ``.partial`` file that the next save removes.

    Args:
        state: a ``state_dict``, or a dict of them and of arrays, numbers, texts and lists:
            ``{"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}``. Keys have no "/".
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
    text: dict[str, Any] = {"values": {}, "about": {}}
    for key, value in flatten_state(state, ""):
        if isinstance(value, StateDict):
            text["about"][key] = value.about
        elif hasattr(value, "dtype"):
            arrays[key] = np.ascontiguousarray(to_numpy(value)).reshape(value.shape)
        else:
            text["values"][key] = check_json(key, value)
    for leftover in partial_files(path):
        leftover.unlink(missing_ok=True)
    with whole_file(path) as file:
        write(file, arrays, json.dumps(text))


def check_json(key: str, value: Any) -> Any:
    """Return a value; raise if it cannot be written as JSON."""
    try:
        json.dumps(value)
    except TypeError as error:
        kind = type(value).__name__
        raise TypeError(f"checkpoint: {key} is {kind}, neither an array nor fit for JSON: {error}") from None
    return value


def load(path: str | Path) -> dict[str, Any]:
    """Return the state in a file that `save` wrote; of a file from elsewhere, its arrays by name.

    Args:
        path: a ``.safetensors`` or ``.npz`` file.

    Returns:
        The state: dicts, NumPy arrays and values as they were. Keys are strings.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or corrupt, or has objects that would have to be unpickled.
        ModuleNotFoundError: safetensors is not installed.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state.npz"
    >>> save({"weight": np.ones(2)}, path)
    >>> load(path)["weight"]
    array([1., 1.])
    """
    path = Path(path)
    arrays, text = format_of(path).read(path)
    if text is None:
        return StateDict(arrays)
    try:
        described = json.loads(text)
        about = described["about"]
        state: dict[str, Any] = StateDict(about=about.pop("")) if "" in about else {}
        for key in sorted(about, key=len):  # outer before inner
            insert(state, key, StateDict(about=about[key]))
        for key, value in (*described["values"].items(), *arrays.items()):
            insert(state, key, value)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: the text beside the arrays is not what tinygraph writes: {error!r}") from error
    return state


def flatten_state(state: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield the arrays and values in a nested state by path; also each StateDict and each empty dict."""
    if isinstance(state, StateDict):
        yield path, state
    elif not state and path:
        yield path, {}
    for key, value in state.items():
        if "/" in str(key):
            raise ValueError(f"checkpoint: the key {key!r} has a '/', which in a file stands between a dict and a key")
        inner = f"{path}/{key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from flatten_state(value, inner)
        else:
            yield inner, array_of(value)


def insert(state: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path, and make the dicts that lead there."""
    *above, key = path.split("/")
    for name in above:
        state = state.setdefault(name, {})
    state[key] = value


def format_of(path: Path) -> Format:
    """Return the format of a file's ending."""
    if path.suffix == ".npz":
        return Format(write_npz, read_npz)
    if path.suffix != ".safetensors":
        advice = PICKLED if path.suffix in (".pt", ".pth", ".bin", ".ckpt", ".pkl") else ""
        raise ValueError(f"checkpoint: {path} ends in neither .safetensors nor .npz{advice}")
    if not find_spec("safetensors"):
        raise ModuleNotFoundError(f".safetensors needs a library: {install_hint('safetensors')}; .npz does not")
    return Format(write_safetensors, read_safetensors)


def write_safetensors(file: BinaryIO, arrays: Arrays, text: str) -> None:
    """Write arrays and text in the format of safetensors."""
    from safetensors.numpy import save as to_bytes  # its save_file leaves files of its own behind when it is killed

    file.write(to_bytes(arrays, {"format": "np", NAME: text}))


def read_safetensors(path: Path) -> tuple[Arrays, str | None]:
    """Read arrays and text in the format of safetensors."""
    from safetensors import SafetensorError, safe_open

    arrays: Arrays = {}
    key = ""
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118 - this file is no dict
                arrays[key] = file.get_tensor(key)
            return arrays, (file.metadata() or {}).get(NAME)
    except SafetensorError as error:
        raise ValueError(f"{path}: truncated, corrupt or no safetensors file: {error}") from error
    except TypeError as error:
        raise ValueError(f"{path}: {key} is of a type that NumPy does not have: {error}; save it as float32") from error


def write_npz(file: BinaryIO, arrays: Arrays, text: str) -> None:
    """Write arrays and text as NumPy's ``savez`` does, which takes fewer keys."""
    with zipfile.ZipFile(file, "w") as archive:
        for key, array in {**arrays, f"/{NAME}": np.frombuffer(text.encode(), np.uint8)}.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_npz(path: Path) -> tuple[Arrays, str | None]:
    """Read arrays and text; every part has a checksum, which is checked."""
    arrays: Arrays = {}
    key = "the list of its parts"
    try:
        with zipfile.ZipFile(path) as file:
            for key in file.namelist():
                with file.open(key) as member:
                    arrays[key.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
                    member.read()  # to the end, where the checksum is
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        reason = "holds objects, which are not unpickled" if "allow_pickle" in str(error) else "is truncated or corrupt"
        raise ValueError(f"{path}: {key.removesuffix('.npy')} {reason}: {error}") from error
    text = arrays.pop(f"/{NAME}", None)
    return arrays, None if text is None else text.tobytes().decode()
