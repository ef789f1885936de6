"""What a module is made of: the parameters, buffers and modules among its attributes, by name and by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from tinygraph.engine.tensor import Parameter
from tinygraph.engine.types import Array, Shape
from tinygraph.exchange.missing import missing_name

if TYPE_CHECKING:
    from tinygraph.nn.module import Module


def join(path: str, name: str) -> str:
    """Return the path of the attribute ``name`` of the module at ``path``."""
    return f"{path}.{name}" if path else name


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known yet. A lazy layer gives it one in its first call.

    Args:
        requires_grad: False freezes it.
        dtype: of the array that it will have; float32 unless given.
        name: what drawings and errors call it.

    Raises:
        RuntimeError: its shape is asked for.

    >>> p = UninitializedParameter()
    >>> p.materialize((2, 3))
    >>> type(p).__name__, p.shape
    ('Parameter', (2, 3))
    """

    __slots__ = ()

    def __init__(self, requires_grad: bool = True, dtype: npt.DTypeLike = np.float32, name: str | None = None) -> None:
        super().__init__(np.empty(0, dtype), name=name, requires_grad=requires_grad)

    def __reduce__(self) -> Any:
        return type(self), (self.requires_grad, self.dtype, self.name)

    def materialize(self, shape: Shape) -> None:
        """Get an array, whose elements are yet to be set, and become a Parameter.

        Args:
            shape: of the array.
        """
        self.data = np.empty(shape, self.dtype)
        self.__class__ = Parameter  # type: ignore[assignment]

    def _no_shape(self) -> Any:
        """Raise: there is no shape."""
        raise RuntimeError(
            f"{self.name or 'a lazy parameter'} has no shape yet: call the net with a batch, or load a state, first"
        )

    shape = property(_no_shape, doc="Raises: it is not known yet.")
    size = property(_no_shape, doc="Raises: it is not known yet.")

    def __repr__(self) -> str:
        return f"UninitializedParameter({f'name={self.name!r}, ' if self.name else ''}dtype={self.dtype})"


class Parts:
    """The half of `Module` that finds its parts. An attribute is found by what it is, in the order it was set."""

    _names: tuple[str, ...] = ()  # the scopes that a call enters
    _path: str = ""  # where it was placed last, in the module that all others are in
    _symbols: ClassVar[Mapping[str, str]] = {}  # what a parameter is called in a module that is in no other
    _buffers: tuple[str, ...] = ()
    _optional: ClassVar[tuple[str, ...]] = ()  # buffers that a plain dict may lack, as PyTorch's older files do
    _transient: tuple[str, ...] = ()  # buffers that are not saved
    _computed: Mapping[str, Any] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if isinstance(value, Parts):
            value._place((name,))
            value._name_parameters(join(self._path, name))
        elif isinstance(value, Parameter) and not value.name:
            value.named(self._name_of(name))

    if not TYPE_CHECKING:  # a type checker shall see which attributes there are

        def __getattr__(self, name: str) -> Any:
            """Compute a weight that stands for others; or raise, and say what to write for names of PyTorch."""
            if name in (computed := vars(self).get("_computed", ())):
                return computed[name](self)
            raise missing_name("Module", name, type(self).__name__)

    def _place(self, names: tuple[str, ...]) -> None:
        """Set the scopes that a call enters; before a name that is a number comes the class, as in ``Linear 0``."""
        *above, name = names
        object.__setattr__(self, "_names", (*above, f"{type(self).__name__} {name}" if name.isdecimal() else name))

    def _name_of(self, attribute: str) -> str:
        """Return the name that a parameter gets by itself: its key in the state dict of the outermost module."""
        return join(self._path, attribute) if self._path else self._symbols.get(attribute, attribute)

    def _name_parameters(self, path: str) -> None:
        """Name the parameters here and below by their new paths, but for those that have names of the user's."""
        own = [(name, value) for name, value in vars(self).items() if isinstance(value, Parameter)]
        own = [(name, value) for name, value in own if value.name == self._name_of(name)]
        object.__setattr__(self, "_path", path)
        for name, value in own:
            value.named(self._name_of(name))
        for name, child in self.named_children():
            child._name_parameters(join(path, name))

    def register_buffer(self, name: str, array: Array | None, persistent: bool = True) -> None:
        """Make an array part of the state: it is converted and moved with the parameters, and not trained.

        Args:
            name: the attribute that holds it.
            array: the array, or None for a buffer that is set later; it is saved when it is an array.
            persistent: whether `state_dict` has it, so that it is saved and loaded.
        """
        self._buffers = (*(n for n in self._buffers if n != name), name)
        self._transient = tuple(n for n in self._transient if n != name) + (() if persistent else (name,))
        setattr(self, name, array)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Set a parameter as the attribute ``name``; setting the attribute does the same.

        Args:
            name: of the attribute, without a dot.
            parameter: the parameter, or None for one that is not there.

        Raises:
            KeyError: the name has a dot, is empty, or is that of another attribute.
            TypeError: it is no parameter.
        """
        if not isinstance(parameter, Parameter | None):
            raise TypeError(f"register_parameter: {name} must be a Parameter, not {type(parameter).__name__}")
        self._check_new(name)
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Any) -> None:
        """Set a module as the attribute ``name``; setting the attribute does the same.

        Args:
            name: of the attribute, without a dot.
            module: the module, or None for one that is not there.

        Raises:
            KeyError: the name has a dot, is empty, or is that of another attribute.
            TypeError: it is no module.
        """
        if not isinstance(module, Parts | None):
            raise TypeError(f"add_module: {name} must be a Module, not {type(module).__name__}")
        self._check_new(name)
        setattr(self, name, module)

    register_module = add_module

    def _check_new(self, name: str) -> None:
        """Raise if an attribute may not have this name."""
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: a name must be text, not {type(name).__name__}")
        is_taken = hasattr(type(self), name) or not isinstance(vars(self).get(name), Parts | Parameter | None)
        if not name or "." in name or is_taken:
            why = "is that of another attribute" if is_taken else "has a dot, or is empty"
            raise KeyError(f"{type(self).__name__}: the name {name!r} {why}")

    def get_submodule(self, target: str) -> Any:
        """Return the module at a path.

        Args:
            target: a path, such as ``block1.bn1``; "" is this module.

        Returns:
            The module.

        Raises:
            AttributeError: there is none.
        """
        found = self
        for name in target.split(".") if target else ():
            value = vars(found).get(name)
            if not isinstance(value, Parts):
                has = ", ".join(n for n, _ in found.named_children()) or "none"
                raise AttributeError(f"{type(found).__name__} has no module {name!r}, of {target!r}; it has: {has}")
            found = value
        return found

    def set_submodule(self, target: str, module: Any) -> None:
        """Replace the module at a path.

        Args:
            target: a path, such as ``block1.bn1``.
            module: what stands there from now on.

        Raises:
            AttributeError: there is no module at the path to it.
        """
        above, _, name = target.rpartition(".")
        self.get_submodule(above).add_module(name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at a path.

        Args:
            target: a path, such as ``block1.bn1.weight``.

        Returns:
            The parameter.

        Raises:
            AttributeError: there is none.
        """
        above, _, name = target.rpartition(".")
        module = self.get_submodule(above)
        value = vars(module).get(name)
        if not isinstance(value, Parameter):
            raise AttributeError(f"{type(module).__name__} has no parameter {name!r}, of {target!r}")
        return value

    def get_buffer(self, target: str) -> Array:
        """Return the buffer at a path.

        Args:
            target: a path, such as ``block1.bn1.running_mean``.

        Returns:
            The array.

        Raises:
            AttributeError: there is none.
        """
        above, _, name = target.rpartition(".")
        module = self.get_submodule(above)
        if name not in module._buffers:
            raise AttributeError(f"{type(module).__name__} has no buffer {name!r}, of {target!r}")
        found: Array = getattr(module, name)
        return found

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Return the modules among the attributes.

        Returns:
            An iterator of names and modules.
        """
        found: Iterator[Any] = ((name, value) for name, value in vars(self).items() if isinstance(value, Parts))
        return found

    def children(self) -> Iterator[Module]:
        """Return an iterator of the modules among the attributes."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it, each once.

        Args:
            prefix: path of this module, put before the others.

        Yields:
            A path, such as ``block1.bn1``, and a module.
        """
        seen: set[Parts] = set()
        for path, module in self._paths(prefix):
            if module not in seen:
                seen.add(module)
                yield path, module

    def _paths(self, path: str) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it under every path that leads there."""
        here: Any = self
        yield path, here
        for name, child in self.named_children():
            yield from child._paths(join(path, name))

    def modules(self) -> Iterator[Module]:
        """Return an iterator of this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters, each once.

        Args:
            prefix: path of this module, put before the names.
            recurse: whether to take those of the modules below too.

        Yields:
            A path, such as ``block1.bn1.weight``, and a parameter.
        """
        seen: set[Parameter] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and value not in seen:
                    seen.add(value)
                    yield join(path, name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Return an iterator of the parameters, each once.

        Args:
            recurse: whether to take those of the modules below too.

        Returns:
            The iterator.
        """
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Array]]:
        """Yield the buffers that are arrays.

        Args:
            prefix: path of this module, put before the names.
            recurse: whether to take those of the modules below too.

        Yields:
            A path, such as ``block1.bn1.running_mean``, and an array.
        """
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name in module._buffers:
                if getattr(module, name) is not None:
                    yield join(path, name), getattr(module, name)

    def buffers(self, recurse: bool = True) -> Iterator[Array]:
        """Return an iterator of the buffers.

        Args:
            recurse: whether to take those of the modules below too.

        Returns:
            The iterator.
        """
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))
