"""Layers, losses and initialisers, under PyTorch's names and with its meanings."""

from typing import TYPE_CHECKING

from tinygraph.engine.tensor import Parameter
from tinygraph.exchange.missing import module_getattr
from tinygraph.nn import functional, init
from tinygraph.nn.activations import GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from tinygraph.nn.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
)
from tinygraph.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss, NLLLoss
from tinygraph.nn.module import Module, ModuleList, Sequential, StateDict
from tinygraph.nn.norms import BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm

__all__ = [
    "GELU", "AdaptiveAvgPool2d", "AvgPool2d", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "Conv2d",
    "CrossEntropyLoss", "Dropout", "Embedding", "Flatten", "GroupNorm", "Identity", "InstanceNorm2d", "LayerNorm",
    "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "MaxPool2d", "Module", "ModuleList", "NLLLoss", "Parameter", "ReLU",
    "Sequential", "Sigmoid", "Softmax", "StateDict", "Tanh", "functional", "init",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = module_getattr("nn")  # a name that is not here: the error says what to write
