"""The schedules under PyTorch's path: ``optim.lr_scheduler.StepLR`` is ``optim.StepLR``."""

from tinygraph.optim.combined import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from tinygraph.optim.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
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
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR",
    "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR",
    "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
