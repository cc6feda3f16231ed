"""The network that is exported: preprocessing and student in one, from stored samples to logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdstudio.engine.student_io import Student


class Deployed(nn.Module):
    """Raw samples in, logits out.

    The preprocessing is part of the graph, so nobody who uses the artifact can get it wrong: pictures go in as
    float32 in 0..255, as they come out of a decoder; features as they are in the data.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.preprocess = student.preprocess
        self.model = student.model
        self.eval()

    def forward(self, samples: Tensor) -> Tensor:
        return self.model(self.preprocess(samples))


def example(input_shape: tuple[int, ...], batch: int = 2) -> Tensor:
    """A batch to trace with."""
    return torch.zeros(batch, *input_shape)
