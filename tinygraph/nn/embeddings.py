"""Tables of rows that are looked up by number, as layers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygraph.engine.tensor import Parameter, array_of
from tinygraph.engine.types import Value
from tinygraph.nn import functional, init
from tinygraph.nn.functional.embeddings import place_of, refuse
from tinygraph.nn.module import Module

__all__ = ["Embedding", "EmbeddingBag"]


class Table(Module):
    """A matrix whose rows are looked up."""

    def _prepare(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None) -> None:
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = place_of(padding_idx, num_embeddings, type(self).__name__)
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), np.float32))
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the rows anew, and set that of ``padding_idx`` to 0.

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            values = self.weight.data.copy()
            values[self.padding_idx] = 0
            self.weight.data = values

    @classmethod
    def from_pretrained(cls, embeddings: Value, freeze: bool = True, **options: Any) -> Self:
        """Make a layer with given rows.

        Args:
            embeddings: (num_embeddings, embedding_dim).
            freeze: whether they stay as they are.
            options: further arguments of the layer.

        Returns:
            The layer.
        """
        rows = array_of(embeddings)
        layer = cls(*rows.shape, **options)
        layer.weight.data = rows
        layer.weight.requires_grad = not freeze
        return layer

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the usual ones."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Embedding(Table):
    """Look up a row for each index.

    Args:
        num_embeddings: number of rows.
        embedding_dim: length of a row.
        padding_idx: a row of zeros that gets no gradient, or None.
        max_norm: None: weights are not changed in a call.
        norm_type: taken, and without effect.
        scale_grad_by_freq: False, likewise.
        sparse: False, likewise.

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1).

    Raises:
        ValueError: an option is not here, or ``padding_idx`` is no row.
        TypeError: in a call, the indices are no integers.
        IndexError: in a call, there is no such row.

    >>> Embedding(10, 4)(np.array([[1, 2], [3, 1]])).shape
    (2, 2, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> None:
        refuse("Embedding", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        self._prepare(num_embeddings, embedding_dim, padding_idx)

    def forward(self, indices: Value) -> Value:
        """Return the row of each index.

        Args:
            indices: integers in 0 … num_embeddings - 1, of any shape (…).

        Returns:
            Rows, (…, embedding_dim).
        """
        return functional.embedding(indices, self.weight, self.padding_idx)


class EmbeddingBag(Table):
    """Average the rows of each bag of indices, add them up, or take the largest.

    Args:
        num_embeddings: number of rows.
        embedding_dim: length of a row.
        max_norm: None: weights are not changed in a call.
        norm_type: taken, and without effect.
        scale_grad_by_freq: False, likewise.
        mode: "sum", "mean" or "max".
        sparse: False.
        include_last_offset: whether the offsets of a call end with the number of indices.
        padding_idx: a row of zeros that does not count, or None.

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1).

    Raises:
        ValueError: an option is not here; in a call, shapes or options do not fit.
        TypeError: in a call, the indices are no integers.
        IndexError: in a call, there is no such row.

    >>> EmbeddingBag(10, 4)(np.array([1, 2, 3]), offsets=np.array([0, 2])).shape
    (2, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        *,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> None:
        refuse("EmbeddingBag", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        self.mode, self.include_last_offset = mode, include_last_offset
        self._prepare(num_embeddings, embedding_dim, padding_idx)

    def forward(self, indices: Value, offsets: Any = None, per_sample_weights: Value = None) -> Value:
        """Return a row for each bag.

        Args:
            indices: integers (B, n), n in each of B bags; or all after one another, with ``offsets``.
            offsets: where each bag begins, (B,).
            per_sample_weights: what each row is multiplied by, of the shape of ``indices``; with "sum" alone.

        Returns:
            (B, embedding_dim). An empty bag gives zeros.
        """
        return functional.embedding_bag(
            indices,
            self.weight,
            offsets,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    def extra_repr(self) -> str:
        """Return the sizes and options."""
        return f"{super().extra_repr()}, mode={self.mode!r}"
