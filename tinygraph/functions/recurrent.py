"""Recurrent nets, made of ops: cells with the names of their papers, and the loop that runs one over a sequence.

A cell takes a row, the state before it, and its weights; it returns the state after it, a tuple whose first part is the
hidden state. Gates stand in a weight one after the other, in PyTorch's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tinygraph.engine.context import scope
from tinygraph.engine.types import Value
from tinygraph.functions.checks import label
from tinygraph.ops.elementwise import sigmoid, tanh
from tinygraph.ops.indexing import split, take_parts
from tinygraph.ops.joining import concatenate, stack

State = tuple[Value, ...]
Weights = Sequence[Value]  # of the row, of the hidden state, their biases or none, and an LSTM's projection
Cell = Callable[..., State]


def affine(x: Value, w: Value, b: Value = None) -> Value:
    """Return x wᵀ, and the bias if there is one."""
    y = x @ w.T
    return y if b is None else y + b


def lstm_cell(x: Value, state: State, w: Value, u: Value, b: Value = None, c: Value = None, r: Value = None) -> State:
    r"""Return h and c after a step of an LSTM: :math:`c = f c' + i g`, and :math:`h = o \tanh c`.

    i lets in, f keeps, o lets out, and g is what is offered. With r, a matrix, h is projected by it.

    Source: Hochreiter and Schmidhuber 1997; f from Gers, Schmidhuber and Cummins 2000; r from Sak et al. 2014.
    """
    hidden, cell = state
    parts = split(affine(x, w, b) + affine(hidden, u, c), 4, axis=-1)
    i, f = label(sigmoid(parts[0]), "i"), label(sigmoid(parts[1]), "f")
    g, o = label(tanh(parts[2]), "g"), label(sigmoid(parts[3]), "o")
    cell = label(f * cell + i * g, "c")
    hidden = o * tanh(cell)
    return label(hidden if r is None else hidden @ r.T, "h"), cell


def gru_cell(x: Value, state: State, w: Value, u: Value, b: Value = None, c: Value = None) -> State:
    r"""Return h after a step of a GRU: :math:`h = (1 - z) n + z h'`; z keeps, and r is how much of h' goes into n.

    Source: Cho et al. 2014, with r after the product, as PyTorch has it.
    """
    (hidden,) = state
    ours, theirs = split(affine(x, w, b), 3, axis=-1), split(affine(hidden, u, c), 3, axis=-1)
    r, z = label(sigmoid(ours[0] + theirs[0]), "r"), label(sigmoid(ours[1] + theirs[1]), "z")
    n = label(tanh(ours[2] + r * theirs[2]), "n")
    return (label((hidden - n) * z + n, "h"),)


def rnn_cell(bend: Callable[[Value], Value]) -> Cell:
    """Return the cell of Elman's net: ``h = bend(x Wᵀ + h' Uᵀ + b)``."""

    def cell(x: Value, state: State, w: Value, u: Value, b: Value = None, c: Value = None) -> State:
        return (label(bend(affine(x, w, b) + affine(state[0], u, c)), "h"),)

    return cell


def recur(
    cell: Cell,
    x: Value,
    first: Sequence[Sequence[Value]],
    weights: Sequence[Weights],
    *,
    layers: int,
    ways: int = 1,
    batch_first: bool = False,
    between: Callable[[Value], Value] | None = None,
) -> tuple[Value, ...]:
    """Run layers of a cell over a sequence, in time and memory in proportion to its length.

    Args:
        cell: as above.
        x: the sequence (L, N, D) or (L, D); with ``batch_first``, (N, L, D).
        first: for each part of the state, its values before the sequence, one for each layer and way.
        weights: of each layer, and in it of each way.
        layers: how many stand on each other.
        ways: 2 for a second cell in each layer that goes from the end to the beginning.
        batch_first: whether time is the second axis.
        between: changes what goes from one layer to the next.

    Returns:
        The hidden states of the last layer at each step, laid out as x; and for each part of the state, its values
        after the sequence, (layers · ways, …).
    """
    axis, length = (1, x.shape[1]) if batch_first else (0, x.shape[0])
    rows: list[Value] | None = None
    last: list[State] = []
    for k in range(layers):
        outs = []
        for way in range(ways):
            order = range(length)[::-1] if way else range(length)
            with scope(f"layer{k}" + "_reverse" * way):
                keys = [(slice(None), t) if axis else t for t in order]
                given = take_parts(x, keys) if rows is None else (rows[t] for t in order)
                state = tuple(part[k * ways + way] for part in first)
                found, state = scan(cell, given, order, state, weights[k * ways + way])
            outs.append(found[::-1] if way else found)
            last.append(state)
        rows = outs[0] if ways == 1 else [concatenate(pair, -1) for pair in zip(*outs, strict=True)]
        if between and k < layers - 1:
            rows = [between(row) for row in rows]
    with scope() if ways > 1 else scope(f"layer{layers - 1}"):
        whole = stack(rows or [], axis)
    return whole, *(stack(list(parts)) for parts in zip(*last, strict=True))


def scan(
    cell: Cell, rows: Iterable[Value], order: Iterable[int], state: State, weights: Weights
) -> tuple[list[Value], State]:
    """Run a cell over rows in an order; return each hidden state, and the last state."""
    outs, rows = [], iter(rows)
    for t in order:
        with scope(f"step{t}"):
            state = cell(next(rows), state, *weights)
        outs.append(state[0])
    return outs, state
