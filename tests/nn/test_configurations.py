"""Some of the random configurations of each layer and loss; `tests.nn.configurations` runs a hundred of each."""

import pytest

from tests.nn.configurations import TABLE, run
from tinygraph import nn


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's own, of kl_div and of transformers
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", TABLE)
def test_a_random_configuration_is_that_of_pytorch(torch, name, number):
    run(torch, name, number)


def test_every_loss_has_configurations():
    assert {name for name in nn.__all__ if name.endswith("Loss")} <= set(TABLE)
