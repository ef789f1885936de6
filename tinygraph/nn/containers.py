"""Modules in a row, in a list or by name, and parameters likewise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinygraph.engine.tensor import Parameter, Tensor
from tinygraph.engine.types import Value
from tinygraph.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class Numbered(Module):
    """Parts whose names are their numbers, unless a mapping named them."""

    kind: type = Module  # of what it holds

    def _set(self, name: str, part: Any) -> None:
        """Set the part with this name, old or new."""
        if not isinstance(part, self.kind):
            held = "modules" if self.kind is Module else "parameters"
            raise TypeError(f"{type(self).__name__} holds {held}; number {name} is {type(part).__name__}")
        setattr(self, name, part)

    def _named(self) -> list[tuple[str, Any]]:
        """Return the names and the parts, in their order."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, self.kind)]

    def _name_at(self, number: int) -> str:
        """Return the name of the part at a place."""
        named = self._named()
        if not -len(named) <= number < len(named):
            raise IndexError(f"{type(self).__name__} has no number {number}: it holds {len(named)}")
        return named[number][0]

    def _renumber(self, parts: Iterable[Any]) -> Self:
        """Hold these parts, in this order, under their numbers."""
        parts = [*parts]
        for name, _ in self._named():
            delattr(self, name)
        for number, part in enumerate(parts):
            self._set(str(number), part)
        return self

    def append(self, module: Any) -> Self:
        """Add one at the end.

        Args:
            module: what to add.

        Returns:
            This container.
        """
        self._set(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add several at the end.

        Args:
            modules: what to add.

        Returns:
            This container.
        """
        for module in [*modules]:
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> Self:
        """Add one before the one at a place; the numbers of the later ones change.

        Args:
            index: the place.
            module: what to add.

        Returns:
            This container.
        """
        parts = [*self]
        parts.insert(index, module)
        return self._renumber(parts)

    def pop(self, key: int = -1) -> Any:
        """Take one out; the numbers of the later ones change.

        Args:
            key: its place; the last one unless given.

        Returns:
            What was there.
        """
        part = self[key]
        del self[key]
        return part

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[Any]:
        return iter([part for _, part in self._named()])

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            return self._like(self._named()[key])
        return vars(self)[self._name_at(key)]

    def _like(self, named: list[tuple[str, Any]]) -> Any:
        """Return a container of some of the parts."""
        make: Any = type(self)
        return make([part for _, part in named])

    def __setitem__(self, key: int, part: Any) -> None:
        self._set(self._name_at(key), part)

    def __delitem__(self, key: int | slice) -> None:
        parts = [*self]
        self._name_at(key) if isinstance(key, int) else None
        del parts[key]
        self._renumber(parts)

    def __iadd__(self, others: Iterable[Any]) -> Self:
        return self.extend(others)

    def __add__(self, others: Iterable[Any]) -> Any:
        return self._like([(str(n), part) for n, part in enumerate([*self, *others])])


class Uncalled(Module):
    """A container that is not called itself: its name goes before those of what it holds."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, Module):
            value._place((*self._names, name))

    def _place(self, names: tuple[str, ...]) -> None:
        super()._place(names)
        for name, child in self.named_children():
            child._place((*self._names, name))


class ModuleList(Uncalled, Numbered):
    """A list of modules, whose parameters are found as those of attributes are.

    Args:
        modules: the modules.

    Raises:
        TypeError: one of them is no module.

    >>> from tinygraph import nn
    >>> [*nn.ModuleList([nn.Linear(2, 2, bias=False)]).state_dict()]
    ['0.weight']
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)


class Sequential(Numbered):
    """Modules one after the other, each on the output of the last.

    Args:
        modules: the modules, or one mapping from names to modules.

    Raises:
        TypeError: one of them is no module.

    >>> from tinygraph import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())(np.ones((4, 2), np.float32)).shape
    (4, 3)
    """

    def __init__(self, *modules: Any) -> None:
        is_mapping = len(modules) == 1 and isinstance(modules[0], Mapping)
        for name, module in modules[0].items() if is_mapping else enumerate(modules):
            self._set(str(name), module)

    def _like(self, named: list[tuple[str, Any]]) -> Any:
        return type(self)(dict(named))

    def forward(self, x: Value) -> Value:
        """Call each module on the output of the one before it.

        Args:
            x: what the first module takes.

        Returns:
            What the last module returns.
        """
        for module in self.children():
            x = module(x)
        return x


class Keyed(Module):
    """Parts by name, in the manner of a dict."""

    kind: type = Module

    def _named(self) -> list[tuple[str, Any]]:
        """Return the names and the parts, in their order."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, self.kind)]

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return dict(self._named()).keys()

    def values(self) -> Iterable[Any]:
        """Return what they name."""
        return dict(self._named()).values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return the names with what they name."""
        return dict(self._named()).items()

    def update(self, parts: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add several, in the place of those that have the same names.

        Args:
            parts: a mapping, or pairs of a name and a part.
        """
        for name, part in [*(parts.items() if isinstance(parts, Mapping | Keyed) else parts)]:
            self[name] = part

    def pop(self, key: str) -> Any:
        """Take one out.

        Args:
            key: its name.

        Returns:
            What it named.
        """
        part = self[key]
        del self[key]
        return part

    def clear(self) -> None:
        """Take all out."""
        for name, _ in self._named():
            delattr(self, name)

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in dict(self._named())

    def __getitem__(self, key: str) -> Any:
        found = dict(self._named())
        if key not in found:
            raise KeyError(f"{type(self).__name__} has no {key!r}; it has: {', '.join(found) or 'none'}")
        return found[key]

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __setitem__(self, key: str, part: Any) -> None:
        self.add_module(key, part)


class ModuleDict(Uncalled, Keyed):
    """Modules by name, whose parameters are found as those of attributes are.

    Args:
        modules: a mapping, or pairs of a name and a module. A name may not be that of a method.

    Raises:
        KeyError: a name has a dot, is empty, or is that of another attribute.
        TypeError: one of them is no module.

    >>> from tinygraph import nn
    >>> heads = nn.ModuleDict({"wide": nn.Linear(2, 9), "narrow": nn.Linear(2, 1)})
    >>> heads["narrow"](np.ones((4, 2), np.float32)).shape
    (4, 1)
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)


def as_parameter(value: Any) -> Any:
    """Return a parameter as it is, and a Tensor or an array as a parameter."""
    is_array = isinstance(value, Tensor) or hasattr(value, "dtype")
    return Parameter(value) if is_array and not isinstance(value, Parameter) else value


def lines_of(named: Iterable[tuple[str, Any]]) -> str:
    """Return what the repr of a container says of its parameters."""
    return "\n  ".join(f"({name}): Parameter({p.dtype}, {p.shape})" for name, p in named)


class ParameterList(Numbered):
    """A list of parameters, which a module finds as it finds its own.

    Args:
        values: parameters; arrays and Tensors become parameters.

    Raises:
        TypeError: one of them is neither.

    >>> from tinygraph import nn
    >>> scales = nn.ParameterList([np.ones(2, np.float32), np.ones(3, np.float32)])
    >>> [(name, p.shape) for name, p in scales.named_parameters()]
    [('0', (2,)), ('1', (3,))]
    """

    kind = Parameter

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.extend(values)

    def _set(self, name: str, part: Any) -> None:
        super()._set(name, as_parameter(part))

    def extra_repr(self) -> str:
        """Return the parameters' dtypes and shapes."""
        return lines_of(self._named())


class ParameterDict(Keyed):
    """Parameters by name, which a module finds as it finds its own.

    Args:
        parameters: a mapping, or pairs of a name and a parameter; arrays and Tensors become parameters.

    Raises:
        KeyError: a name has a dot, is empty, or is that of another attribute.
        TypeError: one of them is neither.

    >>> from tinygraph import nn
    >>> table = nn.ParameterDict({"scale": np.ones(2, np.float32)})
    >>> [(name, p.shape) for name, p in table.named_parameters()]
    [('scale', (2,))]
    """

    kind = Parameter

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self.update(parameters)

    def __setitem__(self, key: str, part: Any) -> None:
        self.register_parameter(key, as_parameter(part))

    def extra_repr(self) -> str:
        """Return the parameters' dtypes and shapes."""
        return lines_of(self._named())
