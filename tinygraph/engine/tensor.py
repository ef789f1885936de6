"""A Tensor is an array and the node that made it; references run from output to input, never back.

So a graph is no cycle: drop its output and all of it is freed at once, without the garbage collector.
A node keeps what the derivative lines of its op ask for, and nothing else.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.engine.context import CONTEXT
from tinygraph.engine.errors import describe
from tinygraph.engine.lazy_import import Later

if TYPE_CHECKING:
    from tinygraph.engine.op import Op
    from tinygraph.engine.tensor_methods import TensorMethods
else:
    TensorMethods = object  # ops install the methods; `tinygraph.exchange.stubs` writes down which

__all__ = ["Parameter", "Tensor"]

serial = itertools.count().__next__  # creation order is a topological order


class Record:
    """One recorded value: its op, the op's inputs, and for each input what its derivative line needs.

    An input is a Record, or a constant as the caller gave it. ``saved`` has one entry an input: the
    arguments of its derivative line, or None where no gradient is wanted.
    """

    __slots__ = ("__dict__", "id", "inputs", "needs", "op", "saved", "scope", "shape")

    op: Op | None
    inputs: tuple[Any, ...]
    saved: tuple[tuple[Any, ...] | None, ...] | None
    shape: tuple[int, ...]
    scope: tuple[str, ...]
    id: int
    needs: bool
    name: str | None = None  # most nodes never set these; a class default costs nothing per node
    grad: Any = None
    seed: Any = None  # of a computed value: the gradient that the last backward() from it started with
    params: Mapping[str, Any] = MappingProxyType({})


class Leaf(Record):
    """A value that no op made: an input, a parameter or a constant. It holds its array and gradient."""

    data: Any
    kind: str
    passes: int = 0  # of backward(), added up in `grad`

    def __init__(self, data: Any, name: str | None, needs: bool, kind: str) -> None:
        self.op, self.inputs, self.saved = None, (), ()
        self.shape, self.scope, self.id, self.needs = data.shape, CONTEXT.get().scope, serial(), needs
        self.name, self.data, self.kind = name, data, kind


def array_of(x: Any) -> Any:
    """Return the array of a Tensor; anything else is returned as it is."""
    return x._data if isinstance(x, Tensor) else x


def checked_array(array: Any, needs: bool) -> Any:
    """Return the array of a leaf; raise if it is complex, or needs a gradient and is not of floating point."""
    data = array_of(array)
    if isinstance(data, np.generic) or not (hasattr(data, "dtype") and hasattr(data, "shape")):
        data = np.asarray(data)
    if data.dtype.kind == "c":
        raise TypeError(f"Tensor: {describe(data)} is complex: give its real and its imaginary part apart")
    if needs and data.dtype.kind != "f":
        advice = "convert it with .astype(numpy.float32), or pass requires_grad=False for a constant"
        raise TypeError(f"Tensor: cannot differentiate with respect to {describe(data)}: {advice}")
    return data


class Tensor(TensorMethods):
    """An array to differentiate with respect to.

    An op called with arrays computes; called with a Tensor it also records. With
    ``requires_grad=False`` a Tensor is a named constant, which is drawn but not differentiated.

    Args:
        array: NumPy or CuPy array of floating point, or what ``numpy.asarray`` takes. It is not copied.
        name: what drawings and errors call it.
        requires_grad: whether gradients are wanted.

    Raises:
        TypeError: gradients are asked for, and the array is not of floating point.

    >>> x = Tensor([1.0, 2.0], name="x")
    >>> ((x * x).sum()).backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = ("__weakref__", "_data", "node")
    node: Record
    kind = "input"
    _repr_mimebundle_ = Later("tinygraph.drawing.api", "mimebundle")

    if not TYPE_CHECKING:  # a name that is not here: the error says what to write
        __getattr__ = Later("tinygraph.exchange.missing", "raise_for_tensor")

    def __init__(self, array: Any, *, name: str | None = None, requires_grad: bool = True) -> None:
        self._data = data = checked_array(array, requires_grad)
        self.node = Leaf(data, name, requires_grad, self.kind if requires_grad else "constant")

    @property
    def data(self) -> Any:
        """The array itself. A leaf's may be replaced; what was computed from it keeps the old one."""
        return self._data

    @data.setter
    def data(self, array: Any) -> None:
        leaf = self._leaf("replace the data of")
        self._data = data = checked_array(array, leaf.needs)
        if data.shape != leaf.shape:  # what was computed from the old one keeps its leaf, for the shapes there
            self.node = leaf = Leaf(data, leaf.name, leaf.needs, leaf.kind)
        leaf.data = data

    @property
    def grad(self) -> Any:
        """The gradient that ``backward()`` has added up in this leaf: an array, or None before."""
        return self.node.grad

    @grad.setter
    def grad(self, array: Any) -> None:
        leaf, array = self._leaf("set the gradient of"), array_of(array)
        array = array if array is None or hasattr(array, "dtype") else np.asarray(array, self.dtype)
        if array is not None and array.shape != leaf.shape:
            raise ValueError(f"the gradient of {describe(self)} must have its shape, and has {list(array.shape)}")
        if array is not None and array.dtype != self.dtype:
            array = array.astype(self.dtype, casting="same_kind")
        leaf.grad = array

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach this tensor."""
        return self.node.needs

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        leaf = self._leaf("set requires_grad of")
        checked_array(leaf.data, wanted)
        leaf.needs, leaf.kind = wanted, self.kind if wanted else "constant"

    def _leaf(self, action: str) -> Leaf:
        if isinstance(self.node, Leaf):
            return self.node
        raise RuntimeError(f"cannot {action} {describe(self)}: it was computed, so it is no leaf; use .detach()")

    @property
    def name(self) -> str | None:
        """What drawings and errors call it."""
        return self.node.name

    def named(self, name: str) -> Tensor:
        """Name this value for drawings and errors, and return it: ``mu = x.mean(0).named("μ")``."""
        self.node.name = name
        return self

    shape = property(lambda self: self._data.shape, doc="Length of each axis.")
    dtype = property(lambda self: self._data.dtype, doc="Type of an element.")
    ndim = property(lambda self: self._data.ndim, doc="Number of axes.")
    size = property(lambda self: self._data.size, doc="Number of elements.")

    def numpy(self) -> np.ndarray:
        """Return the value as a NumPy array, copied from the device if need be."""
        return np.asarray(self._data.get() if hasattr(self._data, "get") else self._data)

    def item(self) -> Any:
        """Return the one element as a Python number."""
        return self._data.item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        return self._data.tolist()

    def detach(self) -> Tensor:
        """Return a constant that shares this array: gradients stop here."""
        return Tensor(self._data, name=self.node.name, requires_grad=False)

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        if self.node.needs:
            raise TypeError(f"{describe(self)} would lose its gradient in NumPy: write .numpy(), or tg.stack(list)")
        return np.asarray(self._data, *args, **kwargs)

    def __repr__(self) -> str:
        values = np.array2string(self._data, separator=", ", prefix="Tensor(") if hasattr(self._data, "dtype") else ""
        facts = [f"name={self.name!r}"] * bool(self.name) + [f"dtype={self.dtype}"] * (self.dtype != np.float64)
        facts += [f"op={op.name}" for op in (self.node.op,) if op] + ["requires_grad=False"] * (not self.node.needs)
        return f"{type(self).__name__}({', '.join([values, *facts])})"

    def __reduce__(self) -> Any:
        leaf = self._leaf("copy or pickle")
        make = functools.partial(type(self), name=leaf.name, requires_grad=leaf.needs)
        return make, (self._data,), (None, {"grad": leaf.grad})

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.size == 1 else super().__format__(spec)

    __pos__ = lambda self: self
    __len__ = lambda self: len(self._data)
    __bool__ = lambda self: bool(self._data)
    __float__ = lambda self: float(self._data)
    __int__ = lambda self: int(self._data)

    # Comparisons give plain arrays: they have no derivative to record.
    __hash__ = object.__hash__
    __lt__ = lambda self, y: self._data < array_of(y)
    __le__ = lambda self, y: self._data <= array_of(y)
    __gt__ = lambda self, y: self._data > array_of(y)
    __ge__ = lambda self, y: self._data >= array_of(y)
    __eq__: Any = lambda self, y: self._data == array_of(y)
    __ne__: Any = lambda self, y: self._data != array_of(y)


class Parameter(Tensor):
    """A leaf that an optimizer moves; drawings show it as a parameter.

    Args:
        array: as for `Tensor`.
        name: what drawings and errors call it. In a `nn.Module`, the name of the attribute unless given.
        requires_grad: False freezes it: it becomes a constant.

    >>> Parameter(np.ones(3, np.float32), name="γ")
    Parameter([1., 1., 1.], name='γ', dtype=float32)
    """

    __slots__ = ()
    kind = "parameter"
