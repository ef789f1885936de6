"""Train torchvision's ResNet-18 for five steps in both libraries, from the same weights: its file, with other imports.

    python -m tests.nn.torchvision_resnet18 .../site-packages/torchvision/models/resnet.py [--lr 0.001]

Prints, for float64 and float32, the greatest difference of a loss, and how far PyTorch's own float32 is from its
float64: what is less cannot be asked of anyone. Only the lines that import are changed.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tinygraph import nn, optim

PRIVATE = {  # what the file imports from the rest of torchvision, none of which makes the net
    "ImageClassification": lambda *args, **kwargs: None,
    "_log_api_usage_once": lambda *args: None,
    "register_model": lambda *args, **kwargs: lambda f: f,
    "handle_legacy_interface": lambda *args, **kwargs: lambda f: f,
    "Weights": lambda *args, **kwargs: None,
    "_IMAGENET_CATEGORIES": (),
    "_ovewrite_named_param": lambda *args: None,
}


class EveryWeights(SimpleNamespace):
    """Stands for the class of published weights: none are asked for."""

    @classmethod
    def verify(cls, weights: None) -> None:
        """Take no weights."""


def load_file(path: Path, ours: bool) -> ModuleType:
    """Run torchvision's file; with ``ours`` its import lines name tinygraph."""
    text = re.sub(r"(?m)^from \.+.*\n", "", path.read_text(encoding="utf-8"))
    if ours:
        text = re.sub(r"(?m)^import torch$", "import tinygraph as torch", text)
        text = re.sub(r"(?m)^import torch\.nn as nn$", "from tinygraph import nn", text)
        text = re.sub(r"(?m)^from torch import", "from tinygraph import", text)
    module = ModuleType("resnet")
    vars(module).update(PRIVATE, WeightsEnum=EveryWeights)
    exec(compile(text, str(path), "exec"), vars(module))
    return module


def losses(net: Any, sgd: Any, criterion: Any, tensor: Any, batches: list[Any], lr: float) -> np.ndarray[Any, Any]:
    """Return the loss of each step."""
    optimizer, found = sgd(net.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4), []
    for x, labels in batches:
        optimizer.zero_grad()
        loss = criterion(net(tensor(x)), tensor(labels))
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return np.array(found)


def main() -> None:
    """Train, and print the differences."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--lr", type=float, default=0.001)
    options = parser.parse_args()
    files = load_file(options.file, ours=False), load_file(options.file, ours=True)
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((8, 3, 64, 64)), rng.integers(0, 10, 8)) for _ in range(5)]
    found = {}
    for dtype in ("float64", "float32"):
        torch.manual_seed(0)
        theirs = files[0].resnet18(num_classes=10)
        ours = files[1].resnet18(num_classes=10)
        ours.load_state_dict(theirs.state_dict())
        ours, theirs = ours.to(np.dtype(dtype)), theirs.to(getattr(torch, dtype))
        typed = [(x.astype(dtype), labels) for x, labels in batches]
        found[dtype] = (
            losses(ours, optim.SGD, nn.CrossEntropyLoss(), np.asarray, typed, options.lr),
            losses(theirs, torch.optim.SGD, torch.nn.CrossEntropyLoss(), torch.tensor, typed, options.lr),
        )
    single, double = found["float32"], found["float64"]
    print(f"torchvision's ResNet-18, 8×3×64×64, 5 steps, learning rate {options.lr}")
    print(f"float64: tinygraph and PyTorch differ by {abs(double[0] - double[1]).max():.1e} (must be ≤ 1e-9)")
    print(f"float32: tinygraph and PyTorch differ by {abs(single[0] - single[1]).max():.1e} (must be ≤ 1e-3)")
    print(f"float32 from float64: tinygraph {abs(single[0] - double[1]).max():.1e}, ", end="")
    print(f"PyTorch {abs(single[1] - double[1]).max():.1e}")


if __name__ == "__main__":
    main()
