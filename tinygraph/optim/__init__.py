"""Optimizers and schedules, with PyTorch's names, arguments and arithmetic."""

from typing import TYPE_CHECKING

from tinygraph.exchange.missing import module_getattr
from tinygraph.nn.utils import clip_grad_norm_, clip_grad_value_
from tinygraph.optim import lr_scheduler, swa_utils
from tinygraph.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from tinygraph.optim.adaptive import Adadelta, Adagrad, RMSprop
from tinygraph.optim.combined import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from tinygraph.optim.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from tinygraph.optim.gradient_descent import ASGD, SGD, Lion, Rprop
from tinygraph.optim.lbfgs import LBFGS
from tinygraph.optim.optimizer import Optimizer, decay_weights_only
from tinygraph.optim.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ChainedScheduler", "ConstantLR",
    "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LRScheduler", "LambdaLR",
    "LinearLR", "Lion", "MultiStepLR", "MultiplicativeLR", "NAdam", "OneCycleLR", "Optimizer", "PolynomialLR", "RAdam",
    "RMSprop", "ReduceLROnPlateau", "Rprop", "SequentialLR", "StepLR", "clip_grad_norm_", "clip_grad_value_",
    "decay_weights_only", "lr_scheduler", "swa_utils",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = module_getattr("optim")  # a name that is not here: the error says what to write
