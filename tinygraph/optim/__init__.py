"""Optimizers and schedules, with PyTorch's names, arguments and arithmetic."""

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
