"""A Module finds its parameters, buffers and children among its attributes.

The name of an attribute is its key in a state_dict, its box in a drawing and its place in an error message.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from tinygraph.drawing.formats.notebook import bundle, folded_html, line_html, table_html
from tinygraph.engine.context import scope
from tinygraph.engine.tensor import Parameter, array_of
from tinygraph.engine.types import Array, Value
from tinygraph.exchange.missing import missing_name
from tinygraph.kernels.arrays import asarray, backend_of

__all__ = ["IncompatibleKeys", "Module", "ModuleList", "RemovableHandle", "Sequential", "StateDict"]

DEVICES = ("cuda", "gpu", "cpu", "mps", "xpu", "cupy", "numpy")  # none is a dtype
Hook = Callable[["Module", tuple[Any, ...], Any], Any]


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

    hooks: dict[int, Hook]
    number: int

    def remove(self) -> None:
        """Remove the hook; a second time does nothing."""
        self.hooks.pop(self.number, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


serial = itertools.count().__next__


class Module:
    """A function with parameters, and with other modules among its attributes.

    A subclass sets attributes in ``__init__`` and computes in ``forward``. The ops of a child's call are recorded
    in a scope with the child's name, so that a drawing has one box for each module.

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
        """Set the scopes that a call enters; before a name that is a number comes the class, as in ``Linear 0``."""
        *above, name = names
        object.__setattr__(self, "_names", (*above, f"{type(self).__name__} {name}" if name.isdecimal() else name))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Every subclass defines this method.

        Args:
            args: what the call was given by place.
            kwargs: what the call was given by name.

        Returns:
            The output.

        Raises:
            NotImplementedError: the subclass has no ``forward``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute ``forward`` in this module's scope, and call the hooks with its output.

        Args:
            args: arguments of ``forward``.
            kwargs: its arguments by name.

        Returns:
            The output; or what the last hook returned in its place.
        """
        with scope(*self._names):
            out = self.forward(*args, **kwargs)
        for hook in tuple(vars(self).get("_hooks", {}).values()):
            replaced = hook(self, args, out)
            out = out if replaced is None else replaced
        return out

    def register_forward_hook(self, hook: Hook) -> RemovableHandle:
        """Call a function after every call of this module.

        Args:
            hook: called as ``hook(module, args, output)``. If it returns something, that becomes the output.

        Returns:
            A handle, whose ``remove()`` removes the hook.

        >>> from tinygraph import nn
        >>> layer = nn.Identity()
        >>> with layer.register_forward_hook(lambda module, args, output: output + 1):
        ...     layer(1)
        2
        """
        hooks = vars(self).setdefault("_hooks", {})
        handle = RemovableHandle(hooks, serial())
        hooks[handle.number] = hook
        return handle

    def register_buffer(self, name: str, array: Array | None) -> None:
        """Make an array part of the state: it is saved and loaded, and not trained.

        Args:
            name: the attribute that holds it.
            array: the array, or None for a buffer that is set later; it is saved when it is an array.
        """
        self._buffers = (*self._buffers, name)
        setattr(self, name, array)

    # Parts -------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Return the modules among the attributes.

        Returns:
            An iterator of names and modules.
        """
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

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
        seen: set[Module] = set()
        for path, module in self._paths(prefix):
            if module not in seen:
                seen.add(module)
                yield path, module

    def _paths(self, path: str) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it under every path that leads there."""
        yield path, self
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

    # Changes --------------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set this module and all below it to training or to evaluation.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            This module.
        """
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and all below it to evaluation, and return this module."""
        return self.train(False)

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every module below this one, and then with this one.

        Args:
            function: takes a module; what it returns is not used.

        Returns:
            This module.
        """
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient of each parameter.

        Args:
            set_to_none: whether a gradient becomes None; if not, one that is there becomes zeros.
        """
        for parameter in self.parameters():
            parameter.grad = None if set_to_none or parameter.grad is None else np.zeros_like(parameter.grad)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters get gradients.

        Args:
            requires_grad: whether they do.

        Returns:
            This module.
        """
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, dtype: DTypeLike | None = None, *, backend: str | None = None) -> Self:
        """Convert parameters and buffers to a floating dtype, or move them to another backend.

        Args:
            dtype: the new dtype; None leaves it. Buffers of integers stay as they are.
            backend: "numpy" or "cupy"; None leaves them where they are.

        Returns:
            This module.
        """
        if isinstance(dtype, str) and dtype.partition(":")[0] in DEVICES:
            advice = 'write net.to(backend="cupy") for a GPU, or net.to(backend="numpy")'
            raise TypeError(f"{type(self).__name__}.to: {dtype!r} is a device and no dtype: {advice}")

        def convert(array: Array) -> Array:
            wanted = array.dtype if dtype is None or array.dtype.kind != "f" else dtype
            return array.astype(wanted) if backend is None else asarray(array, backend, wanted)

        for module in self.modules():
            for name, value in [*vars(module).items()]:
                if isinstance(value, Parameter):
                    value.data, value.grad = convert(value.data), None
                elif name in module._buffers and value is not None:
                    setattr(module, name, convert(value))
        return self

    # State ---------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """Return what a checkpoint shall store of this module beside its arrays, fit for JSON; None for nothing.

        Modules below this one have their own extra state.
        """
        return None

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` returned.

        Args:
            state: that, read from JSON.
        """

    def _state(self) -> Iterator[tuple[str, Module, str]]:
        """Yield the path, the module and the attribute of every parameter and buffer, in PyTorch's order."""
        for path, module in self._paths(""):
            names = [name for name, value in vars(module).items() if isinstance(value, Parameter)]
            for name in (*names, *(name for name in module._buffers if getattr(module, name) is not None)):
                yield join(path, name), module, name

    def state_dict(self) -> StateDict:
        """Return all parameters and buffers by path, as PyTorch names and orders them.

        The arrays are not copied. They do not change when training goes on, because `optim` and this class replace
        arrays and never write into them.

        Returns:
            The arrays by path, and the modules' extra state in ``about``.

        >>> from tinygraph import nn
        >>> [*nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False)).state_dict()]
        ['0.weight', '0.bias', '1.running_mean', '1.running_var', '1.num_batches_tracked']
        """
        about = {path: state for path, module in self._paths("") if (state := module.get_extra_state()) is not None}
        return StateDict({key: array_of(getattr(module, name)) for key, module, name in self._state()}, about)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy arrays into the parameters and buffers with their paths: all of them, or none if one does not fit.

        Args:
            state_dict: arrays by path, from `state_dict`, `tinygraph.checkpoint.load` or PyTorch.
            strict: whether a missing or an unexpected key is an error.

        Returns:
            The keys that are missing and those that are unexpected.

        Raises:
            RuntimeError: a shape differs; with ``strict``, a key is missing or unexpected. All are named.
        """
        places = {key: (module, name) for key, module, name in self._state()}
        old = {key: array_of(getattr(*place)) for key, place in places.items()}
        new = {key: array_of(value) for key, value in state_dict.items()}
        keys = IncompatibleKeys([k for k in old if k not in new], [k for k in new if k not in old])
        wrong = [
            f"{key} has shape {np.shape(new[key])}; the module's has {array.shape}"
            for key, array in old.items()
            if key in new and np.shape(new[key]) != array.shape
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
        for key in old.keys() & new.keys():
            like = old[key]
            array = asarray(new[key], backend_of(like), like.dtype).copy()  # the given array may change
            module, name = places[key]
            if isinstance(value := getattr(module, name), Parameter):
                value.data = array
            else:
                setattr(module, name, array)
        return keys

    # A picture -----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return the text between the parentheses of the repr; a subclass with options defines this method."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        extra = self.extra_repr()
        body = "\n  ".join(["", *filter(None, [extra]), *lines]) + "\n" if lines else extra
        return f"{type(self).__name__}({body})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        parameters = [(name, p.data) for name, p in self.named_parameters()]
        total = sum(array.size for _, array in parameters)
        rows = [(name, str(array.shape), str(array.dtype), f"{array.size:,}") for name, array in parameters]
        table = table_html(("parameter", "shape", "dtype", "elements"), rows)
        first = f"{type(self).__name__}: {total:,} elements in {len(parameters)} parameters"
        return bundle(repr(self), line_html(first), table, folded_html("layers", repr(self)))


def join(path: str, name: str) -> str:
    """Return the path of the attribute ``name`` of the module at ``path``."""
    return f"{path}.{name}" if path else name


class Container(Module):
    """Modules whose names are their numbers."""

    def __init__(self, modules: Iterable[Module] | Mapping[str, Module] = ()) -> None:
        named = modules.items() if isinstance(modules, Mapping) else enumerate(modules)
        for name, module in named:
            if not isinstance(module, Module):
                raise TypeError(f"{type(self).__name__} holds modules; number {name} is {type(module).__name__}")
            setattr(self, str(name), module)

    def append(self, module: Module) -> Self:
        """Add a module at the end.

        Args:
            module: the module.

        Returns:
            This container.
        """
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
    """A list of modules, whose parameters are found as those of attributes are.

    Args:
        modules: the modules.

    Raises:
        TypeError: one of them is no module.

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

    Raises:
        TypeError: one of them is no module.

    >>> from tinygraph import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())(np.ones((4, 2), np.float32)).shape
    (4, 3)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__(modules[0] if len(modules) == 1 and isinstance(modules[0], Mapping) else modules)

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
