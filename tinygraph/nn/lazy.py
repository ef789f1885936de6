"""Layers that take the size of their input from the first batch, or from the state that is loaded into them.

Until then a parameter is an `UninitializedParameter`. Afterwards the layer is one of the class it stands for, with the
same parameters, so that an optimizer that was made before has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tinygraph.nn import init
from tinygraph.nn.convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinygraph.nn.example_norms import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from tinygraph.nn.layers import Linear
from tinygraph.nn.module import Module
from tinygraph.nn.norms import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinygraph.nn.parts import UninitializedParameter, join
from tinygraph.ops.windows import Lengths

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d",
    "LazyInstanceNorm3d", "LazyLinear", "UninitializedParameter",
]  # fmt: skip


class Lazy(Module):
    """What all lazy layers do; the second base is the class that one becomes."""

    _whole: ClassVar[type[Module]]  # that class
    _axis: ClassVar[int] = 1  # of the input, whose length is the size
    _sized: ClassVar[str] = "in_features"  # how the class calls the size
    _generator: init.Generator = None  # what was seeded before the parameters were there

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._whole = cls.__bases__[-1]

    def _wait(self, parameters: Mapping[str, bool], *args: Any, **options: Any) -> None:
        """Keep the arguments that are known, and stand-ins for the parameters that there will be."""
        self._arguments = args, options
        setattr(self, self._sized, 0)
        for name, is_there in parameters.items():
            setattr(self, name, UninitializedParameter() if is_there else None)

    def has_uninitialized_params(self) -> bool:
        """Return whether a parameter still has no shape."""
        return isinstance(self, Lazy)

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Remember what the parameters shall be drawn from, once they are there.

        Args:
            generator: the generator; None takes that of `tinygraph.manual_seed`.
        """
        self._generator = generator.spawn(1)[0] if generator else None

    def _size_in(self, state: Mapping[str, Any]) -> int:
        """Return the size of the input for which a state of the layer was made."""
        return int(np.shape(state["weight"])[1])

    def _become(self, size: int) -> None:
        """Become a layer of the class it stands for, for inputs of this size."""
        (args, options), generator = self._arguments, self._generator
        whole: Any = self._whole
        waiting = {name: p for name, p in vars(self).items() if isinstance(p, UninitializedParameter)}
        dtype = next((p.dtype for p in waiting.values()), np.dtype(np.float32))
        for name in (*waiting, "_arguments", "_generator", self._sized):
            vars(self).pop(name, None)
        self.__class__ = whole
        *above, last = self._names or ("",)
        object.__setattr__(self, "_names", (*above, last.removeprefix("Lazy")) if last else ())
        whole.__init__(self, size, *args, **options)
        if generator is not None:
            self.reset_parameters(generator)
        for name, p in waiting.items():
            made = getattr(self, name)
            p.materialize(made.shape)
            p.data = made.data.astype(dtype)
            setattr(self, name, p)
        self.to(dtype)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take the size from the first argument, become a layer of that size, and call it.

        Args:
            args: arguments of ``forward``.
            kwargs: its arguments by name.

        Returns:
            The output.
        """
        shape = np.shape((*args, *kwargs.values())[0])
        if len(shape) <= max(self._axis, -1 - self._axis):
            raise ValueError(f"{type(self).__name__}: an input of shape {shape} does not tell {self._sized}")
        self._become(shape[self._axis])
        return self(*args, **kwargs)

    def _make_room(self, path: str, state_dict: Mapping[str, Any]) -> None:
        own = {name: state_dict[join(path, name)] for name in self._needed() if join(path, name) in state_dict}
        if own:
            self._become(self._size_in(own))

    def get_extra_state(self) -> Any:
        """Return None: there is no state yet."""

    def _needed(self) -> tuple[str, ...]:
        """Return the names of the arrays that tell the size."""
        return ("weight",)


class LazyLinear(Lazy, Linear):
    """A `Linear` layer whose ``in_features`` is the last axis of its first input.

    Args:
        out_features: length of the last axis of y.
        bias: whether there is a shift b.

    >>> layer = LazyLinear(2)
    >>> layer(np.ones((4, 3), np.float32)).shape
    (4, 2)
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    _axis = -1

    def __init__(self, out_features: int, bias: bool = True) -> None:
        self.out_features = out_features
        self._wait({"weight": True, "bias": bias}, out_features, bias)


class LazyConv(Lazy):
    """The lazy convolutions but for their number of axes."""

    _sized = "in_channels"

    def __init__(
        self,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Any = 0,
        dilation: Lengths = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        known = (out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        self._wait({"weight": True, "bias": bias}, *known)

    def _size_in(self, state: Mapping[str, Any]) -> int:
        groups: int = self._arguments[0][5]
        return int(np.shape(state["weight"])[1]) * groups

    def extra_repr(self) -> str:
        """Return the arguments that are known."""
        return ", ".join(map(str, (0, *self._arguments[0])))


class LazyConvTranspose(LazyConv):
    """The lazy transposed convolutions but for their number of axes."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Any = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Lengths = 1,
        padding_mode: str = "zeros",
    ) -> None:
        known = (out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode)
        self._wait({"weight": True, "bias": bias}, *known)

    def _size_in(self, state: Mapping[str, Any]) -> int:
        return int(np.shape(state["weight"])[0])


class LazyNorm(Lazy):
    """The lazy batch and instance norms but for their number of axes."""

    _sized = "num_features"
    _affine: ClassVar[bool] = True  # unless given, and running statistics likewise

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool | None = None,
        track_running_stats: bool | None = None,
    ) -> None:
        affine = self._affine if affine is None else affine
        tracks = self._affine if track_running_stats is None else track_running_stats
        named = {"eps": eps, "momentum": momentum, "affine": affine, "track_running_stats": tracks}
        self._wait({"weight": affine, "bias": affine}, **named)

    def _needed(self) -> tuple[str, ...]:
        return ("running_mean", "weight")

    def _size_in(self, state: Mapping[str, Any]) -> int:
        return int(np.shape(next(iter(state.values())))[0])

    def extra_repr(self) -> str:
        """Return the arguments that are known."""
        return ", ".join(["0", *(f"{name}={value}" for name, value in self._arguments[1].items())])


class LazyConv1d(LazyConv, Conv1d):
    """A `Conv1d` whose ``in_channels`` is that of its first input.

    Args:
        out_channels: channels of y.
        kernel_size: as in `Conv1d`, and so are the others.
        stride: likewise.
        padding: likewise.
        dilation: likewise.
        groups: likewise.
        bias: whether each channel is shifted.
        padding_mode: likewise.

    >>> LazyConv1d(6, kernel_size=3)(np.ones((2, 3, 8), np.float32)).shape
    (2, 6, 6)
    """

    _axis = -2


class LazyConv2d(LazyConv, Conv2d):
    """A `Conv2d` whose ``in_channels`` is that of its first input.

    Args:
        out_channels: channels of y.
        kernel_size: as in `Conv2d`, and so are the others.
        stride: likewise.
        padding: likewise.
        dilation: likewise.
        groups: likewise.
        bias: whether each channel is shifted.
        padding_mode: likewise.

    >>> LazyConv2d(6, kernel_size=3)(np.ones((2, 3, 8, 8), np.float32)).shape
    (2, 6, 6, 6)
    """

    _axis = -3


class LazyConv3d(LazyConv, Conv3d):
    """A `Conv3d` whose ``in_channels`` is that of its first input.

    Args:
        out_channels: channels of y.
        kernel_size: as in `Conv3d`, and so are the others.
        stride: likewise.
        padding: likewise.
        dilation: likewise.
        groups: likewise.
        bias: whether each channel is shifted.
        padding_mode: likewise.

    >>> LazyConv3d(6, kernel_size=3)(np.ones((2, 3, 8, 8, 8), np.float32)).shape
    (2, 6, 6, 6, 6)
    """

    _axis = -4


class LazyConvTranspose1d(LazyConvTranspose, ConvTranspose1d):
    """A `ConvTranspose1d` whose ``in_channels`` is that of its first input.

    Args:
        out_channels: channels of y.
        kernel_size: as in `ConvTranspose1d`, and so are the others.
        stride: likewise.
        padding: likewise.
        output_padding: likewise.
        groups: likewise.
        bias: whether each channel is shifted.
        dilation: likewise.
        padding_mode: likewise.

    >>> LazyConvTranspose1d(6, kernel_size=3)(np.ones((2, 3, 8), np.float32)).shape
    (2, 6, 10)
    """

    _axis = -2


class LazyConvTranspose2d(LazyConvTranspose, ConvTranspose2d):
    """A `ConvTranspose2d` whose ``in_channels`` is that of its first input.

    Args:
        out_channels: channels of y.
        kernel_size: as in `ConvTranspose2d`, and so are the others.
        stride: likewise.
        padding: likewise.
        output_padding: likewise.
        groups: likewise.
        bias: whether each channel is shifted.
        dilation: likewise.
        padding_mode: likewise.

    >>> LazyConvTranspose2d(6, kernel_size=3)(np.ones((2, 3, 8, 8), np.float32)).shape
    (2, 6, 10, 10)
    """

    _axis = -3


class LazyConvTranspose3d(LazyConvTranspose, ConvTranspose3d):
    """A `ConvTranspose3d` whose ``in_channels`` is that of its first input.

    Args:
        out_channels: channels of y.
        kernel_size: as in `ConvTranspose3d`, and so are the others.
        stride: likewise.
        padding: likewise.
        output_padding: likewise.
        groups: likewise.
        bias: whether each channel is shifted.
        dilation: likewise.
        padding_mode: likewise.

    >>> LazyConvTranspose3d(6, kernel_size=3)(np.ones((2, 3, 8, 8, 8), np.float32)).shape
    (2, 6, 10, 10, 10)
    """

    _axis = -4


class LazyBatchNorm1d(LazyNorm, BatchNorm1d):
    """A `BatchNorm1d` whose ``num_features`` is that of its first input.

    Args:
        eps: as in `BatchNorm1d`, and so are the others.
        momentum: likewise.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics.

    >>> LazyBatchNorm1d()(np.random.default_rng(0).random((2, 3, 8))).shape
    (2, 3, 8)
    """


class LazyBatchNorm2d(LazyNorm, BatchNorm2d):
    """A `BatchNorm2d` whose ``num_features`` is that of its first input.

    Args:
        eps: as in `BatchNorm2d`, and so are the others.
        momentum: likewise.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics.

    >>> LazyBatchNorm2d()(np.random.default_rng(0).random((2, 3, 8, 8))).shape
    (2, 3, 8, 8)
    """


class LazyBatchNorm3d(LazyNorm, BatchNorm3d):
    """A `BatchNorm3d` whose ``num_features`` is that of its first input.

    Args:
        eps: as in `BatchNorm3d`, and so are the others.
        momentum: likewise.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics.

    >>> LazyBatchNorm3d()(np.random.default_rng(0).random((2, 3, 8, 8, 8))).shape
    (2, 3, 8, 8, 8)
    """


class LazyInstanceNorm1d(LazyNorm, InstanceNorm1d):
    """A `InstanceNorm1d` whose ``num_features`` is that of its first input.

    Args:
        eps: as in `InstanceNorm1d`, and so are the others.
        momentum: likewise.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics.

    >>> LazyInstanceNorm1d()(np.random.default_rng(0).random((2, 3, 8))).shape
    (2, 3, 8)
    """

    _axis = -2

    _affine = False


class LazyInstanceNorm2d(LazyNorm, InstanceNorm2d):
    """A `InstanceNorm2d` whose ``num_features`` is that of its first input.

    Args:
        eps: as in `InstanceNorm2d`, and so are the others.
        momentum: likewise.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics.

    >>> LazyInstanceNorm2d()(np.random.default_rng(0).random((2, 3, 8, 8))).shape
    (2, 3, 8, 8)
    """

    _axis = -3

    _affine = False


class LazyInstanceNorm3d(LazyNorm, InstanceNorm3d):
    """A `InstanceNorm3d` whose ``num_features`` is that of its first input.

    Args:
        eps: as in `InstanceNorm3d`, and so are the others.
        momentum: likewise.
        affine: whether there are γ and β.
        track_running_stats: whether there are running statistics.

    >>> LazyInstanceNorm3d()(np.random.default_rng(0).random((2, 3, 8, 8, 8))).shape
    (2, 3, 8, 8, 8)
    """

    _axis = -4

    _affine = False
