"""The public path of training: the loop, what stops it, and its curves."""

from tinygraph.train.curves import curves
from tinygraph.train.interrupts import interruptible
from tinygraph.train.loop import Epoch, Training, evaluate
from tinygraph.train.not_finite import NotFinite, first_not_finite

__all__ = ["Epoch", "NotFinite", "Training", "curves", "evaluate", "first_not_finite", "interruptible"]
