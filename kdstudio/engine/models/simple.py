"""The two plain families: multilayer perceptrons and small convolutional nets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Hidden(nn.Module):
    """A linear layer and ReLU. Its output is the tap: before dropout, so that whole vectors are compared."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return F.relu(self.linear(values))


class MLP(nn.Module):
    """inputs - widths - classes with ReLU (Hinton 2015's MNIST nets are 784-1200-1200-10 and 784-800-800-10).

    Taps: hidden1, hidden2, ..., fc. Takes images [B, C, H, W], which it flattens, or features [B, D].
    """

    def __init__(
        self, inputs: int, widths: list[int], num_classes: int, dropout: float = 0.0, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.input_dropout = nn.Dropout(input_dropout)
        self.dropout = nn.Dropout(dropout)
        self.depth = len(widths)
        for number, (before, width) in enumerate(zip([inputs, *widths], widths), start=1):
            self.add_module(f"hidden{number}", Hidden(before, width))
        self.fc = nn.Linear(widths[-1], num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.input_dropout(images.flatten(1))
        for number in range(1, self.depth + 1):
            values = self.dropout(self.get_submodule(f"hidden{number}")(values))
        return self.fc(values)


class ConvStage(nn.Module):
    """3 x 3 convolution, batch normalisation, ReLU; all but the first stage halve the map before it."""

    def __init__(self, inputs: int, channels: int, halve: bool) -> None:
        super().__init__()
        # ceil_mode keeps a map of one pixel at one pixel, so any depth works on any image.
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if halve else nn.Identity()
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(self.pool(images))))


class CNN(nn.Module):
    """A small convolutional net: one stage per width, global average pooling, a linear head.

    Taps: stage1, stage2, ..., fc.
    """

    def __init__(self, channels: int, widths: list[int], num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.depth = len(widths)
        for number, (before, width) in enumerate(zip([channels, *widths], widths), start=1):
            self.add_module(f"stage{number}", ConvStage(before, width, halve=number > 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[-1], num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = images
        for number in range(1, self.depth + 1):
            values = self.get_submodule(f"stage{number}")(values)
        return self.fc(self.dropout(self.avgpool(values).flatten(1)))
