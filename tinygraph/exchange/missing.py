"""The error of a name that is not here says what to write instead, for those who know it from PyTorch or Keras.

It is an AttributeError, so that ``hasattr`` is False. A name that begins with ``_`` is answered without a look at the
tables: Python and other libraries ask for many of those.
"""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any, NoReturn

__all__ = ["missing_name", "raise_for_tensor"]

PATHS = {
    "tinygraph": "tinygraph", "nn": "tinygraph.nn", "functional": "tinygraph.nn.functional", "optim": "tinygraph.optim",
    "linalg": "tinygraph.linalg", "fft": "tinygraph.fft", "data": "tinygraph.data",
}  # fmt: skip
# Whose tables are read, in this order; and where else the name may be.
TABLES = {"tinygraph": ("tinygraph", "Tensor", "functional"), "functional": ("functional", "Tensor")}
ELSEWHERE = {"Tensor": ("tinygraph", "functional"), "tinygraph": ("functional", "nn", "optim"), "nn": ("optim",)}
OWNERS = {"torch": "tinygraph", "nn": "nn", "F": "functional"}  # of a call in `PAIRS`; a single letter is a Tensor
DTYPES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32", "short": "int16"}
DTYPES |= {"bool": "bool_", "char": "int8", "byte": "uint8"}
GENERAL = {
    "Tensor": (
        "docs/from_pytorch.md lists the names of PyTorch that are here; write another function with these, or as an "
        "op (help(tinygraph.op)); for its value alone, give x.data to NumPy"
    ),
    "nn": "write it as a subclass of nn.Module, whose forward is made of ops; docs/from_pytorch.md lists what is here",
    "data": "a dataset is one array, or several of one length, and DataLoader cuts batches out of it",
    "optim": "optim.Optimizer is the class to build on; docs/from_pytorch.md lists what is here",
}


def missing_name(owner: str, name: str, called: str = "") -> AttributeError:
    """Return the error for a name that is not here.

    Args:
        owner: "Tensor", "Module", or one of the modules in `PATHS`, such as "nn".
        name: what was asked for.
        called: what the message calls the owner's class; ``owner`` unless given.

    Returns:
        An AttributeError that says what to write instead, where that is known.

    >>> print(missing_name("Tensor", "is_leaf"))
    'Tensor' object has no attribute 'is_leaf': write x.node.op is None
    """
    said = f"module {PATHS[owner]!r}" if owner in PATHS else f"{(called or owner)!r} object"
    said += f" has no attribute {name!r}"
    advice = "" if name.startswith("_") else advice_for(owner, name)
    return AttributeError(f"{said}: {advice}" if advice else said)


def raise_for_tensor(x: object, name: str) -> NoReturn:
    """Raise the error of a name that a Tensor does not have; it is ``Tensor.__getattr__``.

    Args:
        x: the Tensor.
        name: what was asked for.

    Raises:
        AttributeError: always.

    >>> hasattr(Tensor([1.0]), "is_leaf")
    False
    """
    raise missing_name("Tensor", name)


def advice_for(owner: str, name: str) -> str:
    """Return what to write instead of a name, or a general sentence."""
    for table in TABLES.get(owner, (owner,)):
        if found := tables()[table].get(name):
            return found
    if owner == "Module":
        return ""
    return where_else(owner, name) or by_form(owner, name) or GENERAL.get(owner, GENERAL["Tensor"])


@functools.cache
def tables() -> dict[str, dict[str, str]]:
    """Return what to write for each name, by owner."""
    from tinygraph.exchange.numpy_names import FUNCTIONS
    from tinygraph.exchange.torch_names import PAIRS, SENTENCES

    found: dict[str, dict[str, str]] = {owner: {} for owner in SENTENCES}
    found["Tensor"] |= {name: f"with functions of tinygraph, write {code}" for name, code in FUNCTIONS.items()}
    for call, code in PAIRS.items():
        owner, name = re.match(r"(\w+)\.(\w+)", call).groups()  # type: ignore[union-attr]
        found[OWNERS.get(owner, "Tensor")][name] = f"for PyTorch's {call} write {code}"
    found["tinygraph"] |= {name: f"dtypes are NumPy's: write numpy.{numpy}" for name, numpy in DTYPES.items()}
    for owner, sentences in SENTENCES.items():
        found[owner] |= {name: text for names, text in sentences.items() for name in names.split()}
    return found


def where_else(owner: str, name: str) -> str:
    """Return where a name stands, if not here."""
    from tinygraph.engine.tensor import Tensor

    for place in ELSEWHERE.get(owner, ()):
        if name in importlib.import_module(PATHS[place]).__all__:
            return f"write {PATHS[place]}.{name}" + ("(x, …)" if owner == "Tensor" else "")
    if owner in ("tinygraph", "functional") and name in dir(Tensor):
        return f"it is a method: write x.{name}(…)"
    return ""


def by_form(owner: str, name: str) -> str:
    """Return what the form of a name says: in place, a dtype, a class of tensors, an array that is not dense."""
    if name.endswith("_"):
        return in_place(owner, name)
    if re.search(r"sparse|_coo|_cs[rc]|_bs[rc]|quant|^q_|qint|complex|conj|imag|real$|nested|mkldnn|vulkan", name):
        return "there are no sparse, quantized or complex arrays here"
    if owner == "tinygraph" and re.fullmatch(r"u?int(8|16|32|64)|float(16|32|64)", name):
        return f"dtypes are NumPy's: write numpy.{name}"
    if owner == "tinygraph" and re.fullmatch(r"[A-Z]\w*(Tensor|Storage)", name):
        return "write tinygraph.tensor(data, dtype=numpy.float32), or another dtype"
    return ""


def in_place(owner: str, name: str) -> str:
    """Return what to write for a function or method that changes a tensor in place."""
    from tinygraph.engine.tensor import Tensor

    said = "a Tensor is never changed in place: "
    if name in importlib.import_module("tinygraph.nn.init").__all__:
        return f"{said}to set a parameter, write tinygraph.nn.init.{name}(x)"
    plain = name.rstrip("_")
    call = f"write x = x.{plain}(…)" if plain in dir(Tensor) else "write x = … with ops"
    if owner == "functional" and plain in importlib.import_module(PATHS[owner]).__all__:
        call = f"write x = nn.functional.{plain}(x)"
    return f"{said}{call}; to set the array of a leaf, write x.data = …"


def module_getattr(owner: str) -> Any:
    """Return the ``__getattr__`` of one of the modules in `PATHS`."""

    def get(name: str) -> NoReturn:
        raise missing_name(owner, name)

    return get
