"""Recurrent layers and their cells: RNN, LSTM and GRU, made of ops; names, order and state keys are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from tinygraph.engine.tensor import Parameter, array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.functions.recurrent import Cell, gru_cell, lstm_cell, recur, rnn_cell
from tinygraph.nn import init
from tinygraph.nn.layers import Dropout
from tinygraph.nn.module import Module
from tinygraph.ops.elementwise import relu, tanh

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

BENDS: Mapping[str, Callable[[Value], Value]] = {"tanh": tanh, "relu": relu}


class Gated(Module):
    """What layers and cells share: weights of several gates, drawn from U(-1/√hidden, 1/√hidden)."""

    gates: ClassVar[int] = 1  # how many stand one after the other in a weight
    parts: ClassVar[int] = 1  # of the state
    cell: Cell  # the function of one step
    input_size: int
    hidden_size: int
    bias: bool

    def _make(self, suffix: str, size: int, hidden: int) -> None:
        """Make the parameters, yet without values, for rows of this size and hidden states of that."""
        wide = self.gates * self.hidden_size
        shapes: dict[str, Shape] = {"weight_ih": (wide, size), "weight_hh": (wide, hidden)}
        for name, shape in (shapes | ({"bias_ih": (wide,), "bias_hh": (wide,)} if self.bias else {})).items():
            setattr(self, name + suffix, Parameter(np.empty(shape, np.float32)))

    def _weights(self, suffix: str = "") -> tuple[Value, ...]:
        """Return the weights of a cell, in the order in which it takes them."""
        names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.bias else ()))
        return tuple(getattr(self, name + suffix) for name in names)

    def _bend(self, nonlinearity: str) -> None:
        """Take the cell of a plain net with this function; raise if there is none."""
        if nonlinearity not in BENDS:
            raise ValueError(f"{type(self).__name__}: nonlinearity {nonlinearity!r} is neither 'tanh' nor 'relu'")
        self.nonlinearity = nonlinearity
        self.cell = rnn_cell(BENDS[nonlinearity])

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the weights and biases anew.

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, generator)

    def _begin(self, given: Any, x: Value, shapes: list[Shape]) -> list[Value]:
        """Return the parts of the state before the first step: as given, or zeros; raise if a shape is wrong."""
        array = array_of(x)
        if given is None:
            dtype = np.result_type(array.dtype, next(self.parameters()).dtype)
            return [np.zeros_like(array, dtype, shape=shape) for shape in shapes]
        state = [*given] if isinstance(given, tuple | list) else [given]
        found = [tuple(part.shape) for part in state]
        if found != shapes:
            raise ValueError(f"{self}: the state has shapes {found}; x of shape {tuple(x.shape)} needs {shapes}")
        return state

    def _check(self, x: Value, axes: tuple[int, int], wanted: str) -> None:
        """Raise if x has another number of axes, or rows of another size."""
        if not hasattr(x, "shape"):
            found = type(x).__name__
            raise TypeError(f"{type(self).__name__}: x must be an array or a Tensor, not {found}; pad sequences")
        if len(x.shape) not in axes or x.shape[-1] != self.input_size:
            raise ValueError(f"{self}: x must be {wanted} with D = {self.input_size}, not {tuple(x.shape)}")


class GatedCell(Gated):
    """One step of a recurrent net."""

    def _prepare(self, input_size: int, hidden_size: int, bias: bool) -> None:
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._make("", input_size, hidden_size)
        self.reset_parameters()

    def forward(self, x: Value, hx: Any = None) -> Any:
        """Return the state after the step.

        Args:
            x: a row for each example, (N, input_size), or one row (input_size,).
            hx: the state before it, (N, hidden_size) or (hidden_size,); an LSTM's is a pair of h and c. Zeros unless
                given.

        Returns:
            h, of the shape of the state; of an LSTM, h and c.
        """
        self._check(x, (1, 2), "(N, D) or (D,)")
        state = self._begin(hx, x, [(*x.shape[:-1], self.hidden_size)] * self.parts)
        found = self.cell(x, tuple(state), *self._weights())
        return found if self.parts > 1 else found[0]

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the usual ones."""
        usual = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
        bend = getattr(self, "nonlinearity", "tanh")
        return usual + (f", nonlinearity={bend}" if bend != "tanh" else "")


class RNNCell(GatedCell):
    r"""Take one step of Elman's net: :math:`h = \tanh(W x + b + U h' + c)`.

    Args:
        input_size: D, length of a row.
        hidden_size: length of the hidden state.
        bias: whether there are b and c.
        nonlinearity: "tanh" or "relu".

    Attributes:
        weight_ih: W, (hidden_size, input_size).
        weight_hh: U, (hidden_size, hidden_size).
        bias_ih: b, (hidden_size,).
        bias_hh: c, (hidden_size,).

    Raises:
        ValueError: the nonlinearity is another; in a call, shapes do not fit.

    Source: Elman 1990.

    >>> RNNCell(3, 2)(np.ones((4, 3), np.float32)).shape
    (4, 2)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        self._bend(nonlinearity)
        self._prepare(input_size, hidden_size, bias)


class LSTMCell(GatedCell):
    r"""Take one step of an LSTM: :math:`c = f c' + i g`, and :math:`h = o \tanh c`.

    The gates are :math:`i, f, o = σ(W x + b + U h' + c)`, each with rows of its own in W and U, and
    :math:`g = \tanh(W x + b + U h' + c)` likewise; their order is i, f, g, o.

    Args:
        input_size: D, length of a row.
        hidden_size: length of h and of c.
        bias: whether there are biases.

    Attributes:
        weight_ih: W, (4 · hidden_size, input_size).
        weight_hh: U, (4 · hidden_size, hidden_size).
        bias_ih: (4 · hidden_size,).
        bias_hh: (4 · hidden_size,).

    Raises:
        ValueError: in a call, shapes do not fit.

    Source: Hochreiter and Schmidhuber 1997; f from Gers, Schmidhuber and Cummins 2000.

    >>> h, c = LSTMCell(3, 2)(np.ones((4, 3), np.float32))
    >>> h.shape, c.shape
    ((4, 2), (4, 2))
    """

    gates, parts, cell = 4, 2, staticmethod(lstm_cell)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        self._prepare(input_size, hidden_size, bias)


class GRUCell(GatedCell):
    r"""Take one step of a GRU: :math:`h = (1 - z) n + z h'`, and :math:`n = \tanh(W x + b + r (U h' + c))`.

    The gates are :math:`r, z = σ(W x + b + U h' + c)`, each with rows of its own in W and U; their order is r, z, n.

    Args:
        input_size: D, length of a row.
        hidden_size: length of the hidden state.
        bias: whether there are biases.

    Attributes:
        weight_ih: W, (3 · hidden_size, input_size).
        weight_hh: U, (3 · hidden_size, hidden_size).
        bias_ih: (3 · hidden_size,).
        bias_hh: (3 · hidden_size,).

    Raises:
        ValueError: in a call, shapes do not fit.

    Source: Cho et al. 2014.

    >>> GRUCell(3, 2)(np.ones((4, 3), np.float32)).shape
    (4, 2)
    """

    gates, cell = 3, staticmethod(gru_cell)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        self._prepare(input_size, hidden_size, bias)


class Recurrent(Gated):
    """A recurrent net over a sequence, of one or more layers, in one direction or both."""

    proj_size: int = 0

    def _prepare(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
    ) -> None:
        if num_layers < 1 or not 0 <= dropout <= 1 or not 0 <= self.proj_size < max(hidden_size, 1):
            raise ValueError(
                f"{type(self).__name__}: num_layers={num_layers} must be 1 or more, dropout={dropout} a probability, "
                f"and proj_size={self.proj_size} below hidden_size={hidden_size}"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        out = self.proj_size or hidden_size
        self._suffixes = [f"_l{k}{way}" for k in range(num_layers) for way in ("", "_reverse")[: 1 + bidirectional]]
        for suffix in self._suffixes:
            size = input_size if suffix.startswith("_l0") else out * (1 + bidirectional)
            self._make(suffix, size, out)
            if self.proj_size:
                setattr(self, f"weight_hr{suffix}", Parameter(np.empty((out, hidden_size), np.float32)))
        if dropout and num_layers > 1:
            self.between = Dropout(dropout)
        self.reset_parameters()

    def _weights(self, suffix: str = "") -> tuple[Value, ...]:
        found = super()._weights(suffix)
        if not self.proj_size:
            return found
        biases = () if self.bias else (None, None)
        return (*found, *biases, getattr(self, f"weight_hr{suffix}"))

    def forward(self, x: Value, hx: Any = None) -> Any:
        """Return the hidden states of the last layer, and the state after the sequence.

        Args:
            x: the sequence (L, N, D), with ``batch_first`` (N, L, D); or of one example, (L, D).
            hx: the state before it, (layers · directions, N, H), of one example without N; an LSTM's is a pair of h
                and c. Zeros unless given.

        Returns:
            The hidden states (L, N, directions · H), laid out as x; and the state after the sequence, of the shape of
            ``hx``, an LSTM's a pair.
        """
        self._check(x, (2, 3), "(N, L, D) or (L, D)" if self.batch_first else "(L, N, D) or (L, D)")
        is_batch, batch_first = len(x.shape) == 3, self.batch_first and len(x.shape) == 3
        if not x.shape[1 if batch_first else 0]:
            raise ValueError(f"{self}: the sequence is empty: x has shape {tuple(x.shape)}")
        count = (x.shape[0 if batch_first else 1],) if is_batch else ()
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: self.parts]
        state = self._begin(hx, x, [(len(self._suffixes), *count, size) for size in sizes])
        out, *last = recur(
            self.cell, x, state, [self._weights(suffix) for suffix in self._suffixes], layers=self.num_layers,
            ways=1 + self.bidirectional, batch_first=batch_first, between=vars(self).get("between"),
        )  # fmt: skip
        return out, tuple(last) if self.parts > 1 else last[0]

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the usual ones."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0}
        for name, value in {**usual, "bidirectional": False}.items():
            if getattr(self, name) != value:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(Recurrent):
    r"""Run Elman's net over a sequence: :math:`h_t = \tanh(W x_t + b + U h_{t-1} + c)`.

    Args:
        input_size: D, length of a row.
        hidden_size: H, length of the hidden state.
        num_layers: how many stand on each other.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether x is (N, L, D) in place of (L, N, D).
        dropout: probability that an element between two layers is set to 0, in training.
        bidirectional: whether a second net goes from the end to the beginning.

    Attributes:
        weight_ih_l0: W of the first layer, (H, D); further ones ``_l1``, and ``_l0_reverse`` of the second net.
        weight_hh_l0: U, (H, H).
        bias_ih_l0: b, (H,).
        bias_hh_l0: c, (H,).

    Raises:
        ValueError: an option is out of range; in a call, shapes do not fit.
        TypeError: in a call, x is no array.

    Source: Elman 1990.

    >>> out, h = RNN(3, 2)(np.ones((5, 4, 3), np.float32))
    >>> out.shape, h.shape
    ((5, 4, 2), (1, 4, 2))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        self._bend(nonlinearity)
        self._prepare(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)


class LSTM(Recurrent):
    r"""Run an LSTM over a sequence: :math:`c_t = f c_{t-1} + i g`, and :math:`h_t = o \tanh c_t`, as `LSTMCell`.

    Args:
        input_size: D, length of a row.
        hidden_size: H, length of c, and of h.
        num_layers: how many stand on each other.
        bias: whether there are biases.
        batch_first: whether x is (N, L, D) in place of (L, N, D).
        dropout: probability that an element between two layers is set to 0, in training.
        bidirectional: whether a second net goes from the end to the beginning.
        proj_size: length of h, if it is not 0; it is below H.

    Attributes:
        weight_ih_l0: of the first layer, (4 H, D); further ones ``_l1``, and ``_l0_reverse`` of the second net.
        weight_hh_l0: (4 H, H).
        bias_ih_l0: (4 H,).
        bias_hh_l0: (4 H,).
        weight_hr_l0: (proj_size, H), if there is a projection.

    Raises:
        ValueError: an option is out of range; in a call, shapes do not fit.
        TypeError: in a call, x is no array.

    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000; Sak, Senior and Beaufays 2014.

    >>> out, (h, c) = LSTM(3, 2, num_layers=2)(np.ones((5, 4, 3), np.float32))
    >>> out.shape, h.shape, c.shape
    ((5, 4, 2), (2, 4, 2), (2, 4, 2))
    """

    gates, parts, cell = 4, 2, staticmethod(lstm_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        self.proj_size = proj_size
        self._prepare(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)


class GRU(Recurrent):
    r"""Run a GRU over a sequence: :math:`h_t = (1 - z) n + z h_{t-1}`, as `GRUCell`.

    Args:
        input_size: D, length of a row.
        hidden_size: H, length of the hidden state.
        num_layers: how many stand on each other.
        bias: whether there are biases.
        batch_first: whether x is (N, L, D) in place of (L, N, D).
        dropout: probability that an element between two layers is set to 0, in training.
        bidirectional: whether a second net goes from the end to the beginning.

    Attributes:
        weight_ih_l0: of the first layer, (3 H, D); further ones ``_l1``, and ``_l0_reverse`` of the second net.
        weight_hh_l0: (3 H, H).
        bias_ih_l0: (3 H,).
        bias_hh_l0: (3 H,).

    Raises:
        ValueError: an option is out of range; in a call, shapes do not fit.
        TypeError: in a call, x is no array.

    Source: Cho et al. 2014.

    >>> out, h = GRU(3, 2, bidirectional=True)(np.ones((5, 4, 3), np.float32))
    >>> out.shape, h.shape
    ((5, 4, 4), (2, 4, 2))
    """

    gates, cell = 3, staticmethod(gru_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        self._prepare(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
