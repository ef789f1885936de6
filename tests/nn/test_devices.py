"""Layers and losses compute on the device of their arrays: what CuPy would refuse, the Decoy refuses."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from tests.decoy import Decoy
from tests.nn.configurations import TABLE, flat
from tests.nn.setups import Draw, Fixed
from tinygraph import Parameter, Tensor, nn

MADE_ON_THE_HOST = {"CTCLoss", "MultiMarginLoss", "MultiLabelMarginLoss", "Embedding", "EmbeddingBag", "RReLU"}
# These lay out on the host where to look, or draw there, and move it: `asarray` makes no Decoys.


def moved(value: Any) -> Any:
    """A value on the device; what is differentiated as a Tensor."""
    if isinstance(value, Fixed):
        return Decoy(value.array) if isinstance(value.array, np.ndarray) else value.array
    if isinstance(value, tuple):
        return tuple(moved(part) for part in value)
    return Tensor(Decoy(value)) if isinstance(value, np.ndarray) else value


def plain(value: Any) -> Any:
    """The same on the host."""
    if isinstance(value, Fixed):
        return value.array
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", [name for name in TABLE if name not in MADE_ON_THE_HOST])
def test_a_layer_stays_on_the_device(name):
    for number in range(2):
        draw = Draw(zlib.crc32(f"{name} {number}".encode()))
        setup = TABLE[name](draw)
        layer = getattr(nn, name)(*setup.args, **setup.options).double()
        call = setup.call or (lambda layer, *xs, **named: layer(*xs, **named))
        wanted = [*flat(call(layer, *map(plain, setup.inputs), **{k: plain(v) for k, v in setup.named.items()}))]
        layer = getattr(nn, name)(*setup.args, **setup.options).double()
        for module in layer.modules():
            for key, value in [*vars(module).items()]:
                if isinstance(value, Parameter):
                    value.data = Decoy(value.data)
                elif key in module._buffers and getattr(value, "ndim", 0):
                    setattr(module, key, Decoy(value))
        inputs = [moved(value) for value in setup.inputs]
        found = [*flat(call(layer, *inputs, **{k: moved(v) for k, v in setup.named.items()}))]
        for y in found:
            assert isinstance(y.data, Decoy)
        if not [*layer.parameters()]:
            for y, z in zip(found, wanted, strict=True):
                np.testing.assert_allclose(y.data.get(), getattr(z, "data", z) if isinstance(z, Tensor) else z)
        total = sum(y.sum() for y in found)
        if total.requires_grad:
            total.backward()
