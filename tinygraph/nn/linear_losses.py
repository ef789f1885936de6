"""Losses that hold the last layer of a net: they take features in place of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.nn import functional, init
from tinygraph.nn.containers import ModuleList, Sequential
from tinygraph.nn.functional.reduction import array_of_target, beside, check_reduction, on_host
from tinygraph.nn.layers import Linear
from tinygraph.nn.module import Module
from tinygraph.ops.indexing import index, scatter
from tinygraph.ops.joining import concatenate
from tinygraph.ops.reduce import mean
from tinygraph.ops.shape import expand_dims, reshape, squeeze

__all__ = ["AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss", "OutputAndLoss"]


class LinearCrossEntropyLoss(Module):
    """Multiply by a matrix, and average the cross entropy of these scores, as `functional.linear_cross_entropy`.

    Args:
        in_features: D, length of a row of x.
        num_classes: C.
        out_features: lengths of the axes of places, each of which has a class of its own.
        bias: whether the scores are shifted.
        reduction: "mean", "sum" or "none".
        weight: (C,), how much each class counts; 1 unless given.
        ignore_index: targets of this value do not count; None is -100.
        label_smoothing: share of each target that is spread evenly over all classes, 0 … 1.
        options: how PyTorch saves memory; taken, and without effect.

    Attributes:
        linear: the layer of scores.
        weight: as given, a buffer; or None.

    Raises:
        ValueError: an option is out of range; in a call, shapes do not fit, or a target is no class.

    >>> loss = LinearCrossEntropyLoss(3, 2)
    >>> loss.linear.weight.data[...] = 0
    >>> round(float(loss(np.ones((1, 3), np.float32), np.array([1]))), 4)
    0.6931
    """

    weight: Array | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        reduction: str = "mean",
        weight: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        check_reduction("LinearCrossEntropyLoss", reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"LinearCrossEntropyLoss: label_smoothing is {label_smoothing}, outside of 0 … 1")
        shape = np.shape(array_of(weight))
        if weight is not None and shape != (num_classes,):
            raise ValueError(f"LinearCrossEntropyLoss: weight has shape {shape}, not {(num_classes,)}")
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing
        self.register_buffer("weight", array_of(weight))
        self.linear = Linear(in_features, math.prod(out_features, start=num_classes), bias)

    def forward(self, x: Value, target: Value) -> Value:
        """Return the loss.

        Args:
            x: (D,) or (N, D).
            target: class indices (), (N,) or (N, *out_features); or probabilities, (N, C, *out_features).

        Returns:
            The loss, 0-d; with "none", one for each target.
        """
        shape, shift = (self.num_classes, *self.out_features), self.linear.bias
        return functional.linear_cross_entropy(
            x, reshape(self.linear.weight, (*shape, self.linear.in_features)), target,
            linear_bias=None if shift is None else reshape(shift, shape), weight=self.weight,
            reduction=self.reduction, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"num_classes={self.num_classes}, out_features={self.out_features}, reduction={self.reduction!r}, "
            f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}"
        )


class OutputAndLoss(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` returns."""

    output: Value  # log-probabilities of the targets, (N,)
    loss: Value  # minus their mean


class AdaptiveLogSoftmaxWithLoss(Module):
    """Average the cross entropy of very many classes: seldom ones share a cluster, whose rows are short.

    A class below the first cutoff is scored by the head. The head scores each cluster, too; a class in it gets the
    cluster's log-probability plus its own within the cluster. Classes must be in order of how often they occur.

    Args:
        in_features: D, length of a row of x.
        n_classes: C.
        cutoffs: where clusters begin, rising, each 1 … C - 1.
        div_value: rows of cluster i, counted from 0, are of length ``D / div_value ** (i + 1)``.
        head_bias: whether the head has shifts.

    Attributes:
        head: the layer that scores frequent classes and clusters.
        tail: for each cluster a layer that shortens rows, and one that scores its classes.

    Raises:
        ValueError: cutoffs do not rise from 1 to C - 1; in a call, shapes do not fit, or a target is no class.

    Source: Grave et al. 2017, section 4.

    >>> layer = AdaptiveLogSoftmaxWithLoss(4, 10, [2, 5], div_value=2.0)
    >>> output, loss = layer(np.ones((3, 4), np.float32), np.array([0, 4, 9]))
    >>> output.shape, loss.shape
    ((3,), ())
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
    ) -> None:
        ends = [*map(int, cutoffs), n_classes]
        if not cutoffs or ends[0] < 1 or ends[:-1] != list(cutoffs) or ends != sorted(set(ends)):
            raise ValueError(f"AdaptiveLogSoftmaxWithLoss: cutoffs {cutoffs} do not rise between 1 and {n_classes - 1}")
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, ends
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = ends[0], len(ends) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            shorten, score = Linear(in_features, width, False), Linear(width, ends[i + 1] - ends[i], False)
            self.tail.append(Sequential(shorten, score))

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Draw the layers anew.

        Args:
            generator: the generator to draw from; None takes that of `tinygraph.manual_seed`.
        """
        self.head.reset_parameters(generator)
        for pair in self.tail:
            for layer in pair:
                layer.reset_parameters(generator)

    def forward(self, x: Value, target: Value) -> OutputAndLoss:
        """Return the log-probability of each target, and minus their mean. Only clusters of a target are scored.

        Args:
            x: (N, D), or (D,).
            target: class indices (N,), or one ().

        Returns:
            A named tuple: ``output`` (N,) or (), and ``loss`` ().
        """
        labels = on_host(array_of_target(str(self), target))
        if labels.dtype.kind not in "iu" or tuple(x.shape) != (*labels.shape, self.in_features) or labels.ndim > 1:
            shapes = f"{tuple(x.shape)} and {labels.shape}"
            raise ValueError(f"{self}: x and a target of classes have shapes {shapes}, not (N, D) and (N,)")
        if labels.size and not 0 <= labels.min() <= labels.max() < self.n_classes:
            raise ValueError(f"{self}: targets {labels.min()} … {labels.max()} are not within 0 … {self.n_classes - 1}")
        rows, classes = (x, labels) if labels.ndim else (expand_dims(x, 0), labels[None])
        cluster = np.searchsorted(self.cutoffs, classes, side="right") - 1  # -1: scored by the head
        first = np.where(cluster < 0, classes, self.shortlist_size + cluster)
        count = np.arange(len(classes))
        output = functional.log_softmax(self.head(rows), 1)[beside(x, count), beside(x, first)]
        for i in np.unique(cluster[cluster >= 0]).tolist():
            there = np.flatnonzero(cluster == i)
            scores = functional.log_softmax(self.tail[i](index(rows, beside(x, there))), 1)
            own = scores[beside(x, count[: len(there)]), beside(x, classes[there] - self.cutoffs[i])]
            output = output + scatter(own, beside(x, there), (len(classes),))
        loss = -mean(output)
        return OutputAndLoss(output if labels.ndim else squeeze(output, 0), loss)

    def log_prob(self, x: Value) -> Value:
        """Return the log-probability of every class.

        Args:
            x: (N, D).

        Returns:
            (N, C).
        """
        head = functional.log_softmax(self.head(x), 1)
        size = self.shortlist_size
        parts = [head[:, size + i : size + i + 1] + functional.log_softmax(pair(x), 1)
                 for i, pair in enumerate(self.tail)]  # fmt: skip
        return concatenate([head[:, :size], *parts], 1)

    def predict(self, x: Value) -> Array:
        """Return the likeliest class of each row: an array of integers.

        Args:
            x: (N, D).

        Returns:
            (N,).
        """
        found: Array = array_of(self.log_prob(x)).argmax(1)
        return found
