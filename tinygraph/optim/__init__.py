"""Optimizers and schedules, with PyTorch's names, arguments and arithmetic."""

from typing import TYPE_CHECKING

from tinygraph.exchange.missing import module_getattr
from tinygraph.optim.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    clip_grad_norm_,
    decay_weights_only,
)
from tinygraph.optim.schedules import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, StepLR

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LRScheduler",
    "LinearLR",
    "MultiStepLR",
    "Optimizer",
    "RMSprop",
    "StepLR",
    "clip_grad_norm_",
    "decay_weights_only",
]

if not TYPE_CHECKING:
    __getattr__ = module_getattr("optim")  # a name that is not here: the error says what to write
