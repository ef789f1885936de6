"""A Module is its attributes: what it holds is what it has, and a name once given is used everywhere.

Parameters, children and buffers are found among the attributes. The name of an attribute is the key in a
state_dict, the box in a drawing and the place in an error message; nothing is registered twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from tinygraph.engine.arrays import asarray, backend_of
from tinygraph.engine.context import scope
from tinygraph.engine.tensor import Parameter, array_of
from tinygraph.exchange.missing import missing_name

__all__ = ["IncompatibleKeys", "Module", "ModuleList", "RemovableHandle", "Sequential", "StateDict"]

DEVICES = ("cuda", "gpu", "cpu", "mps", "xpu", "cupy", "numpy")  # none is a dtype
Hook = Callable[["Module", tuple[Any, ...], Any], Any]


class StateDict(dict[str, Any]):
    """The arrays of a module by name, and beside them ``about``: what a module says of its own (`get_extra_state`).

    Keys and arrays are those of PyTorch. ``about`` goes into a checkpoint as text.
    """

    def __init__(self, arrays: Mapping[str, Any] = {}, about: Mapping[str, Any] = {}) -> None:
        super().__init__(arrays)
        self.about: dict[str, Any] = dict(about)


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` did not find, and what it found no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class RemovableHandle(NamedTuple):
    """What takes a hook away again: ``handle.remove()``, or the end of a ``with`` block."""

    hooks: dict[int, Hook]
    number: int

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self.hooks.pop(self.number, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


serial = itertools.count().__next__


class Module:
    """A function with parameters, and with other modules among its attributes.

    A subclass sets attributes in ``__init__`` and computes in ``forward``. Calling a child puts what it
    computes into a scope that bears the child's name, so that drawings have a box a module.

    >>> from tinygraph import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(4, 3)
    ...         self.out = nn.Linear(3, 2, bias=False)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> net = Net()
    >>> net
    Net(
      (hidden): Linear(in_features=4, out_features=3, bias=True)
      (out): Linear(in_features=3, out_features=2, bias=False)
    )
    >>> [name for name, _ in net.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight']
    >>> net(np.ones((5, 4), np.float32)).node.scope
    ('out',)
    """

    training: bool = True
    _names: tuple[str, ...] = ()  # the scopes that a call enters
    _buffers: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if isinstance(value, Module):
            value._place((name,))
        elif isinstance(value, Parameter) and not value.name:
            value.named(name)

    if not TYPE_CHECKING:  # a type checker shall see which attributes there are

        def __getattr__(self, name: str) -> Any:
            """Raise: there is no such attribute. For names of PyTorch and Keras the error says what to write."""
            raise missing_name("Module", name, type(self).__name__)

    def _place(self, names: tuple[str, ...]) -> None:
        """Take the names of the scopes that a call enters; a mere number says what it counts: ``Linear 0``."""
        *above, name = names
        object.__setattr__(self, "_names", (*above, f"{type(self).__name__} {name}" if name.isdecimal() else name))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return ``forward`` of the arguments, computed in this module's scope, after the hooks have seen it."""
        with scope(*self._names):
            out = self.forward(*args, **kwargs)
        for hook in tuple(vars(self).get("_hooks", {}).values()):
            replaced = hook(self, args, out)
            out = out if replaced is None else replaced
        return out

    def register_forward_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after every call; what it returns, if not None, is the output."""
        hooks = vars(self).setdefault("_hooks", {})
        handle = RemovableHandle(hooks, serial())
        hooks[handle.number] = hook
        return handle

    def register_buffer(self, name: str, array: Any) -> None:
        """Make an array part of the state: saved and loaded, not trained. None takes up the name alone."""
        self._buffers = (*self._buffers, name)
        setattr(self, name, array)

    # What there is -------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules among the attributes, by name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """Yield the modules among the attributes."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it, each once, by path: ``block1.bn1``."""
        seen: set[Module] = set()
        for path, module in self._paths(prefix):
            if module not in seen:
                seen.add(module)
                yield path, module

    def _paths(self, path: str) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it under every path that leads there."""
        yield path, self
        for name, child in self.named_children():
            yield from child._paths(joined(path, name))

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters, each once, by path: ``block1.bn1.weight``."""
        seen: set[Parameter] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and value not in seen:
                    seen.add(value)
                    yield joined(path, name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Any]]:
        """Yield the buffers by path: ``block1.bn1.running_mean``."""
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name in module._buffers:
                if getattr(module, name) is not None:
                    yield joined(path, name), getattr(module, name)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """Yield the buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # What there is to do -------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set this module and all below it to training, or with False to evaluation; return it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and all below it to evaluation; return it."""
        return self.train(False)

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every module below this one and then with this one; return it."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether gradients reach the parameters; return the module."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, dtype: Any = None, *, backend: str | None = None) -> Self:
        """Convert parameters and buffers to a floating dtype, or move them to "numpy" or "cupy"; return the module."""
        if isinstance(dtype, str) and dtype.partition(":")[0] in DEVICES:
            advice = 'write net.to(backend="cupy") for a GPU, or net.to(backend="numpy")'
            raise TypeError(f"{type(self).__name__}.to: {dtype!r} is a device and no dtype: {advice}")

        def converted(array: Any) -> Any:
            wanted = array.dtype if dtype is None or array.dtype.kind != "f" else dtype
            return array.astype(wanted) if backend is None else asarray(array, backend, wanted)

        for module in self.modules():
            for name, value in [*vars(module).items()]:
                if isinstance(value, Parameter):
                    value.data, value.grad = converted(value.data), None
                elif name in module._buffers and value is not None:
                    setattr(module, name, converted(value))
        return self

    # State ---------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """Return what this module, without those below it, has to say of its state, fit for JSON; None is nothing."""
        return None

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` gave."""

    def _state(self) -> Iterator[tuple[str, Module, str]]:
        """Yield every parameter and buffer in PyTorch's order: path, the module that has it, attribute."""
        for path, module in self._paths(""):
            names = [name for name, value in vars(module).items() if isinstance(value, Parameter)]
            for name in (*names, *(name for name in module._buffers if getattr(module, name) is not None)):
                yield joined(path, name), module, name

    def state_dict(self) -> StateDict:
        """Return all parameters and buffers by path, as PyTorch names and orders them.

        The arrays are those of the module, not copies: nothing here or in `optim` writes into an array that
        is in use, so what is returned does not change when training goes on.
        """
        about = {path: state for path, module in self._paths("") if (state := module.get_extra_state()) is not None}
        return StateDict({key: array_of(getattr(module, name)) for key, module, name in self._state()}, about)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy arrays into the parameters and buffers of their names: all of them, or none if one does not fit.

        Args:
            state_dict: arrays by path, from `state_dict`, `tinygraph.checkpoint.load` or PyTorch.
            strict: whether a missing or an unexpected key is an error.

        Returns:
            The keys that are missing and those that are unexpected.

        Raises:
            RuntimeError: a shape differs; with ``strict``, a key is missing or unexpected. All are named.
        """
        own = {key: (module, name) for key, module, name in self._state()}
        keys = IncompatibleKeys([k for k in own if k not in state_dict], [k for k in state_dict if k not in own])
        new = {key: array_of(value) for key, value in state_dict.items()}
        wrong = [
            f"{key} has shape {tuple(np.shape(new[key]))}; the module's has {tuple(array_of(getattr(*own[key])).shape)}"
            for key in own
            if key in new and np.shape(new[key]) != array_of(getattr(*own[key])).shape
        ]
        if strict and keys.missing_keys:
            wrong.append(f"missing: {', '.join(keys.missing_keys)}")
        if strict and keys.unexpected_keys:
            wrong.append(f"unexpected: {', '.join(keys.unexpected_keys)}")
        if wrong:
            hint = "; strict=False leaves out keys that are missing or unexpected" if strict and any(keys) else ""
            raise RuntimeError(f"{type(self).__name__}.load_state_dict: {'; '.join(wrong)}{hint}")
        about = getattr(state_dict, "about", {})
        for path, module in self._paths(""):
            if path in about:
                module.set_extra_state(about[path])
        for key in own.keys() & new.keys():
            module, name = own[key]
            value = getattr(module, name)
            array = array_of(value)
            array = asarray(new[key], backend_of(array), array.dtype).copy()  # whoever gave it may write into it
            if isinstance(value, Parameter):
                value.data = array
            else:
                setattr(module, name, array)
        return keys

    # A picture -----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the repr."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        extra = self.extra_repr()
        body = "\n  ".join(["", *filter(None, [extra]), *lines]) + "\n" if lines else extra
        return f"{type(self).__name__}({body})"


def joined(path: str, name: str) -> str:
    """Return the path of what ``name`` means in the module at ``path``."""
    return f"{path}.{name}" if path else name


class Container(Module):
    """Modules by number, which is their name."""

    def __init__(self, modules: Iterable[Module] | Mapping[str, Module] = ()) -> None:
        named = modules.items() if isinstance(modules, Mapping) else enumerate(modules)
        for name, module in named:
            if not isinstance(module, Module):
                raise TypeError(f"{type(self).__name__} holds modules; number {name} is {type(module).__name__}")
            setattr(self, str(name), module)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            return type(self)(dict([*self.named_children()][key]))
        return [*self.children()][key]


class ModuleList(Container):
    """A list of modules, which are found as attributes are.

    >>> from tinygraph import nn
    >>> [*nn.ModuleList([nn.Linear(2, 2, bias=False)]).state_dict()]
    ['0.weight']
    """

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, Module):
            value._place((*self._names, name))

    def _place(self, names: tuple[str, ...]) -> None:
        super()._place(names)
        for name, child in self.named_children():  # a list is not called: its name goes before theirs
            child._place((*self._names, name))


class Sequential(Container):
    """Modules one after the other, each on the output of the last.

    Args:
        modules: the modules, or one mapping from names to modules.

    >>> from tinygraph import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())(np.ones((4, 2), np.float32)).shape
    (4, 3)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__(modules[0] if len(modules) == 1 and isinstance(modules[0], Mapping) else modules)

    def forward(self, x: Any) -> Any:
        """Call each module on the output of the one before."""
        for module in self.children():
            x = module(x)
        return x
