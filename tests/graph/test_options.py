"""What is said of convolutions, poolings and dropouts."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import nn
from tinygraph.graph.options import layer_words, op_words
from tinygraph.graph.scopes import at_depth

IMAGES = np.ones((2, 2, 9, 9), np.float32)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Conv2d(2, 4, 3, bias=False), "conv2d 3×3"),
        (nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), "conv2d 3×3, stride 2, pad 1"),
        (nn.Conv2d(2, 4, (1, 5), (2, 1), (0, 2), bias=False), "conv2d 1×5, stride 2×1, pad 0×2"),
        (nn.Conv2d(2, 4, 3, dilation=2, groups=2, bias=False), "conv2d 3×3, dilation 2, groups 2"),
        (nn.Conv2d(2, 4, 2, padding="same", bias=False), "conv2d 2×2, pad same"),
    ],
)
def test_a_convolution_says_kernel_stride_and_padding(layer, said):
    graph = tg.snapshot(layer(IMAGES))
    assert op_words(graph, graph.nodes[-1]) == said


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.MaxPool2d(3), "max_pool2d 3×3"),
        (nn.MaxPool2d(3, stride=2, padding=1), "max_pool2d 3×3, stride 2, pad 1"),
        (nn.AvgPool2d((1, 3)), "avg_pool2d 1×3"),
        (
            nn.AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False),
            "avg_pool2d 3×3, stride 2, rounded up, without its padding",
        ),
        (nn.Unfold((2, 3)), "unfold 2×3"),
        (nn.Upsample((9, 8), mode="bilinear"), "resample 9×8, linear"),
        (nn.Dropout(0.25), "dropout, p = 0.25"),
        (nn.ReLU(), "relu"),
    ],
)
def test_poolings_and_dropouts(layer, said):
    graph = tg.snapshot(layer(tg.Tensor(IMAGES)))
    assert op_words(graph, graph.nodes[-1]) == said
    leaf = next(n for n in graph.nodes if n.op is None)
    assert op_words(graph, leaf) == "input"


def test_a_collapsed_layer_says_it_too():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.5)))
    graph = at_depth(tg.snapshot(net(IMAGES)), 0)
    assert [dict(n.params).get("options") for n in graph.nodes if n.kind == "scope"] == ["conv2d 3×3, stride 2", ""]
    assert layer_words(graph, ()) == ""
