"""A Module finds its parameters, buffers and children among its attributes.

The name of an attribute is its key in a state_dict, its box in a drawing and its place in an error message.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from tinygraph.drawing.formats.notebook import bundle, folded_html, line_html, table_html
from tinygraph.engine.context import scope
from tinygraph.engine.errors import clean
from tinygraph.engine.tensor import Parameter, Tensor, array_of, serial
from tinygraph.engine.types import Array
from tinygraph.graph.records import identity
from tinygraph.kernels.arrays import asarray
from tinygraph.nn.parts import Parts, UninitializedParameter, join
from tinygraph.nn.state import IncompatibleKeys, RemovableHandle, StateDict, fit, given_array

__all__ = ["IncompatibleKeys", "Module", "RemovableHandle", "StateDict"]

DEVICES = ("cuda", "gpu", "cpu", "mps", "xpu", "cupy", "numpy")  # none is a dtype
Hook = Callable[["Module", tuple[Any, ...], Any], Any]


hook_number = itertools.count().__next__
INSIDE: ContextVar[bool] = ContextVar("tinygraph.nn", default=False)  # whether a module is being called


@functools.lru_cache(maxsize=256)
def argument_names(forward: Callable[..., Any], count: int) -> tuple[str, ...]:
    """Return the names of the first ``count`` arguments of a ``forward``; those of ``*xs`` are xs0, xs1, …"""
    try:
        parameters = [*inspect.signature(forward).parameters.values()][1:]
    except (TypeError, ValueError):  # a function of C, without a signature
        return ()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    more = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
    return tuple(names[:count]) + tuple(f"{more}{k}" for k in range(count - len(names)) if more)


class Module(Parts):
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
    _compiled: Callable[..., Any] | None = None

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
        if self._compiled is not None and not INSIDE.get():
            return self._compiled(*args, **kwargs)
        return self._call(*args, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Call ``forward``, and the hooks."""
        outermost = not INSIDE.get()
        token, start = INSIDE.set(True), serial() if outermost else 0
        try:
            for hook in tuple(vars(self).get("_pre_hooks", {}).values()):
                changed = hook(self, args)
                args = args if changed is None else changed if isinstance(changed, tuple) else (changed,)
            with scope(*self._names):
                out = self.forward(*args, **kwargs)
        finally:
            INSIDE.reset(token)
        if outermost:
            self._note_inputs(args, kwargs, out, start)
        for hook in tuple(vars(self).get("_hooks", {}).values()):
            replaced = hook(self, args, out)
            out = out if replaced is None else replaced
        return out

    def _note_inputs(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any, start: int) -> None:
        """Note at the output which plain arrays this call was given, and under which names, for a snapshot."""
        named = [*zip(argument_names(type(self).forward, len(args)), args, strict=False), *kwargs.items()]
        arrays = {identity(x): name for name, x in named if hasattr(x, "dtype") and not isinstance(x, Tensor)}
        outputs = out.values() if isinstance(out, Mapping) else out if isinstance(out, tuple | list) else (out,)
        for tensor in outputs if arrays else ():
            if isinstance(tensor, Tensor) and tensor.node.id > start:
                vars(tensor.node)["given"] = start, arrays

    def register_forward_pre_hook(self, hook: Callable[[Module, tuple[Any, ...]], Any]) -> RemovableHandle:
        """Call a function before every call of this module.

        Args:
            hook: called as ``hook(module, args)``. If it returns something, that becomes the arguments.

        Returns:
            A handle, whose ``remove()`` removes the hook.
        """
        return self._add_hook("_pre_hooks", hook)

    def _add_hook(self, where: str, hook: Callable[..., Any]) -> RemovableHandle:
        """Keep a hook under a number of its own."""
        hooks = vars(self).setdefault(where, {})
        handle = RemovableHandle(hooks, hook_number())
        hooks[handle.number] = hook
        return handle

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
        return self._add_hook("_hooks", hook)

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

    def compile(self, *, backend: str | None = None) -> Self:
        """Compute this module's calls by kernels made for them, as `tinygraph.compile` does, from now on.

        Running statistics are set, and what dropout leaves out is drawn, at each call. Training and evaluation have
        kernels of their own. A module within another one that is called runs as it is.

        Args:
            backend: as for `tinygraph.compile`.

        Returns:
            This module.

        >>> from tinygraph import nn
        >>> net = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()).compile(backend="numpy")
        >>> net(np.ones((128, 64), np.float32)).shape
        (128, 32)
        """
        from tinygraph.compiler.compiled import compile as make_kernels  # takes as long to load as the nets

        object.__setattr__(self, "_compiled", make_kernels(self._call, backend=backend))
        return self

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

    def float(self) -> Self:
        """Convert parameters and buffers to float32, and return this module."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Convert parameters and buffers to float64, and return this module."""
        return self.to(np.float64)

    def half(self) -> Self:
        """Convert parameters and buffers to float16, and return this module."""
        return self.to(np.float16)

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
            names = [name for name, value in vars(module).items() if is_there(value)]
            saved = (name for name in module._buffers if name not in module._transient)
            for name in (*names, *(name for name in saved if getattr(module, name) is not None)):
                yield join(path, name), module, name

    def _make_room(self, path: str, state_dict: Mapping[str, Any]) -> None:
        """Make what has the shapes of a state that is about to be loaded; only a lazy layer has anything to make."""

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
            TypeError: it is no dict.
            RuntimeError: a shape differs, or an array holds no such numbers; with ``strict``, a key is missing or
                unexpected. All are named.
            ValueError: a module refuses its extra state.
        """
        if not isinstance(state_dict, Mapping):
            found = type(state_dict).__name__
            raise TypeError(f"{type(self).__name__}.load_state_dict takes arrays by path, not {found}")
        if any(hasattr(module, "has_uninitialized_params") for module in self.modules()):
            copy.deepcopy(self)._load_state_dict(state_dict, strict)  # raises before a lazy layer takes a size
        return self._load_state_dict(state_dict, strict)

    def _load_state_dict(self, state_dict: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
        """Load a state; if it is refused, nothing is changed but lazy layers, which have taken their size from it."""
        for path, module in self._paths(""):
            module._make_room(path, state_dict)
        about = getattr(state_dict, "about", {})
        places = {key: (module, name) for key, module, name in self._state()}
        old = {key: array_of(getattr(*place)) for key, place in places.items()}
        given = {key: given_array(value) for key, value in state_dict.items()}
        plain = [path for path, module in self._paths("") if path not in about]  # nothing says who wrote their state
        extra = {join(path, name) for path, module in self._paths("") if path in plain for name in module._optional}
        keys = IncompatibleKeys(
            [key for key in old if key not in given and key not in extra], [key for key in given if key not in old]
        )
        new, wrong = {}, []
        for key in (key for key in old if key in given):
            module, name = places[key]
            try:
                if given[key].shape != old[key].shape:
                    raise ValueError(f"has shape {given[key].shape}; the module's has {old[key].shape}")
                new[key] = fit(given[key], old[key])
                module._check_array(name, new[key])
            except (ValueError, TypeError) as error:
                wrong.append(f"{key} {error}")
        if strict and keys.missing_keys:
            wrong.append(f"missing: {', '.join(keys.missing_keys)}")
        if strict and keys.unexpected_keys:
            wrong.append(f"unexpected: {', '.join(keys.unexpected_keys)}")
        if wrong:
            hint = "; strict=False leaves out keys that are missing or unexpected" if strict and any(keys) else ""
            raise RuntimeError(f"{type(self).__name__}.load_state_dict: {clean('; '.join(wrong))}{hint}")
        self._load_extra_state(about)
        for key, array in new.items():
            module, name = places[key]
            if isinstance(value := getattr(module, name), Parameter):
                value.data = array
            else:
                setattr(module, name, array)
        return keys

    def _load_extra_state(self, about: Mapping[str, Any]) -> None:
        """Set the extra state of all modules, or raise and leave it as it was."""
        modules = [(path, module) for path, module in self._paths("") if path in about]
        before = [(module, module.get_extra_state()) for _, module in modules]
        try:
            for path, module in modules:
                module.set_extra_state(about[path])
        except Exception:
            for module, state in before:
                if state is not None:
                    module.set_extra_state(state)
            raise

    def _check_array(self, name: str, array: Array) -> None:
        """Raise a ValueError if an array of a state cannot be the attribute of this name."""

    # A picture -----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return the text between the parentheses of the repr; a subclass with options defines this method."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({clean(name)}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
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


def is_there(value: Any) -> bool:
    """Whether a value is a parameter that has its array."""
    return isinstance(value, Parameter) and not isinstance(value, UninitializedParameter)


@contextlib.contextmanager
def in_mode(net: Module, training: bool) -> Iterator[None]:
    """Set a net to training or evaluation for a ``with`` block; then each of its modules is as it was."""
    modes = [(module, module.training) for module in net.modules()]
    net.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
