"""A residual net, written once for both libraries: blocks of two convolutions and a short cut, as in He et al. 2016."""

from __future__ import annotations

from typing import Any


def residual_net(layers: Any, torch_like: Any, width: int = 4) -> Any:
    """Return the net, of either library's layers.

    Args:
        layers: ``nn`` of the library.
        torch_like: the library itself.
        width: channels of the first blocks; 64 makes it ResNet-18.
    """

    class Block(layers.Module):
        def __init__(self, channels, out, stride):
            super().__init__()
            self.conv1 = layers.Conv2d(channels, out, 3, stride, 1, bias=False)
            self.bn1 = layers.BatchNorm2d(out)
            self.relu = layers.ReLU(inplace=True)
            self.conv2 = layers.Conv2d(out, out, 3, padding=1, bias=False)
            self.bn2 = layers.BatchNorm2d(out)
            self.downsample = None
            if stride > 1 or channels != out:
                self.downsample = layers.Sequential(
                    layers.Conv2d(channels, out, 1, stride, bias=False), layers.BatchNorm2d(out)
                )

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    class Net(layers.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = layers.Conv2d(3, width, 7, 2, 3, bias=False)
            self.bn1 = layers.BatchNorm2d(width)
            self.relu = layers.ReLU(inplace=True)
            self.maxpool = layers.MaxPool2d(kernel_size=3, stride=2, padding=1)
            for k, (channels, out, stride) in enumerate([(1, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 2)], 1):
                blocks = Block(channels * width, out * width, stride), Block(out * width, out * width, 1)
                setattr(self, f"layer{k}", layers.Sequential(*blocks))
            self.avgpool = layers.AdaptiveAvgPool2d((1, 1))
            self.fc = layers.Linear(8 * width, 10)

        def forward(self, x):
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(torch_like.flatten(self.avgpool(x), 1))

    return Net()
