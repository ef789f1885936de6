"""The public path of training: the loop, what stops it, its curves and tables."""

from tinygraph.train.curves import curves
from tinygraph.train.interrupts import interruptible
from tinygraph.train.loop import Epoch, Training, evaluate
from tinygraph.train.not_finite import NotFinite, RunsAway, first_not_finite
from tinygraph.train.records import LayerSize, Outcome, confusion_of, layer_sizes, outcomes

__all__ = [
    "Epoch",
    "LayerSize",
    "NotFinite",
    "Outcome",
    "RunsAway",
    "Training",
    "confusion_of",
    "curves",
    "evaluate",
    "first_not_finite",
    "interruptible",
    "layer_sizes",
    "outcomes",
]
