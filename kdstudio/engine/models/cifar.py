"""The nets of the CIFAR benchmarks: ResNets of depth 6 n + 2 (He 2016) and wide ResNets (Zagoruyko 2016).

Layers are named as in the usual CIFAR-100 distillation benchmark, so that its checkpoints load. All of them end in
global pooling and work on any image of 4 x 4 pixels or more.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


def _conv3x3(inputs: int, channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)


class PadShortcut(nn.Module):
    """Option A of He 2016: every second pixel, and zeros for the new channels. Has no parameters."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        before = self.extra // 2
        return F.pad(images[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, inputs: int, channels: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != channels:
            if shortcut == "A":
                self.downsample = PadShortcut(channels - inputs, stride)
            else:
                conv = nn.Conv2d(inputs, channels, 1, stride=stride, bias=False)
                self.downsample = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = F.relu(self.bn1(self.conv1(images)))
        values = self.bn2(self.conv2(values))
        passed = images if self.downsample is None else self.downsample(images)
        return F.relu(values + passed)


class CifarResNet(nn.Module):
    """ResNet of depth 6 n + 2 with 16, 32 and 64 channels.

    Taps: conv1, bn1, layer1, layer2, layer3 and their blocks, fc.

    Args:
        depth: 8, 14, 20, ...
        channels: Of the input.
        num_classes: Outputs.
        shortcut: "B" (1 x 1 convolution, as in the CIFAR-100 benchmark) or "A" (zero padding, as in He 2016).
    """

    def __init__(self, depth: int, channels: int, num_classes: int, shortcut: str = "B") -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = _conv3x3(channels, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, 1, shortcut)
        self.layer2 = self._stage(16, 32, blocks, 2, shortcut)
        self.layer3 = self._stage(32, 64, blocks, 2, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(inputs: int, channels: int, blocks: int, stride: int, shortcut: str) -> nn.Sequential:
        first = BasicBlock(inputs, channels, stride, shortcut)
        return nn.Sequential(first, *(BasicBlock(channels, channels, 1, shortcut) for _ in range(blocks - 1)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = F.relu(self.bn1(self.conv1(images)))
        values = self.layer3(self.layer2(self.layer1(values)))
        return self.fc(self.avgpool(values).flatten(1))


class WideBlock(nn.Module):
    """Pre-activation block of a wide ResNet."""

    def __init__(self, inputs: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = _conv3x3(inputs, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels)
        self.dropout = dropout
        # An absent shortcut is the identity; the name is the benchmark's.
        self.convShortcut = None if inputs == channels else nn.Conv2d(inputs, channels, 1, stride=stride, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        active = F.relu(self.bn1(images))
        values = F.relu(self.bn2(self.conv1(active)))
        values = F.dropout(values, self.dropout, self.training)
        values = self.conv2(values)
        return values + (images if self.convShortcut is None else self.convShortcut(active))


class WideStage(nn.Module):
    """The blocks of one width, under the benchmark's name `layer`."""

    def __init__(self, inputs: int, channels: int, blocks: int, stride: int, dropout: float) -> None:
        super().__init__()
        first = WideBlock(inputs, channels, stride, dropout)
        rest = (WideBlock(channels, channels, 1, dropout) for _ in range(blocks - 1))
        self.layer = nn.Sequential(first, *rest)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images)


class WideResNet(nn.Module):
    """WRN-depth-width, depth 6 n + 4.

    Taps: conv1, block1, block2, block3 and their blocks, bn1, fc.
    """

    def __init__(self, depth: int, width: int, channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        widths = [16, 16 * width, 32 * width, 64 * width]
        self.conv1 = _conv3x3(channels, widths[0])
        self.block1 = WideStage(widths[0], widths[1], blocks, 1, dropout)
        self.block2 = WideStage(widths[1], widths[2], blocks, 2, dropout)
        self.block3 = WideStage(widths[2], widths[3], blocks, 2, dropout)
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.block3(self.block2(self.block1(self.conv1(images))))
        values = F.relu(self.bn1(values))
        return self.fc(self.avgpool(values).flatten(1))
