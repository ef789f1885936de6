"""The nets of the texts: sizes, weights, blocks, and how each is trained."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import nets, nn
from tinygraph.cli import train


def test_lenet_has_the_sizes_of_the_text():
    shapes = {key: value.shape for key, value in nets.lenet().state_dict().items() if key.endswith("weight")}
    weights = [shape for key, shape in shapes.items() if "norm" not in key]
    assert weights == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 256), (84, 120), (10, 84)]
    assert [shape for key, shape in shapes.items() if "norm" in key] == [(6,), (16,), (120,), (84,)]
    assert nets.lenet((3, 32, 32)).block3.linear.in_features == 400


def test_weights_are_drawn_as_asked():
    net = nets.fully_connected((400, 300, 10), weight_scale=2e-2, seed=0)
    assert net.block1.linear.weight.data.std() == pytest.approx(2e-2, rel=0.02)
    assert not net.block1.linear.bias.data.any()
    bound = np.sqrt(6 / (256 + 120))
    assert abs(nets.lenet(seed=0).block3.linear.weight.data).max() == pytest.approx(bound, rel=1e-3)
    first, second = (nets.lenet(seed=3).state_dict() for _ in range(2))
    assert all((first[key] == second[key]).all() for key in first)


def test_every_recipe_builds_every_kind():
    x = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    for name, recipe in nets.RECIPES.items():
        for norm in ("batch", "layer", "none"):
            if (name, norm) == ("lenet", "layer"):
                with pytest.raises(ValueError, match="lenet has batch norm or none"):
                    recipe.build((1, 28, 28), 10, norm, True, 0)
                continue
            made = [recipe.build((1, 28, 28), 10, norm, fused, 0) for fused in (False, True)]
            np.testing.assert_allclose(made[0](x).data, made[1](x).data, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", nets.RECIPES)
def test_a_net_is_blocks_in_a_drawing(name):
    net = nets.RECIPES[name].build((1, 28, 28), 10, "batch", False, 0)
    loss = nn.CrossEntropyLoss()(net(np.ones((4, 1, 28, 28), np.float32)), np.arange(4))
    graph = tg.snapshot(loss)
    outer = {node.scope[0] for node in graph.nodes if node.op}
    blocks = {name for name, _ in net.named_children()} - {"flatten"}
    assert blocks <= outer <= blocks | {"flatten", "cross_entropy"}
    means = [node.scope for node in graph.nodes if node.name == "μ"]
    assert means == [(block, "norm", "batch_norm") for block in sorted(blocks - {"out"})]
    assert all(node.name for node in graph.nodes if node.kind == "parameter")


def test_names_are_those_of_the_recipes():
    assert set(train.NAMES) == set(nets.RECIPES)
