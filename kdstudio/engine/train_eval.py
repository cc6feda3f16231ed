"""How near the student is to its teacher on samples that it learns from: the evidence for the capacity-gap report."""

from __future__ import annotations

import math
import time

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.data import DataBundle, Preprocess
from kdstudio.engine.evaluate import predict
from kdstudio.engine.losses import soft_target_loss
from kdstudio.engine.probes import balanced_order
from kdstudio.engine.teacher import Teacher
from kdstudio.project.train_eval import sample_count

#: Measuring may take at most this share of the training time, beside the measurements that are made in any case.
BUDGET = 0.005
#: So many epochs of the last quarter are measured in any case, or the report could not tell a plateau from a fall.
CERTAIN = 6


class TrainEval:
    """Agreement with the teacher and KL on training samples, always the same ones, without augmentation.

    It changes no weights, running statistics or random states, so a run with it and one without end alike. It leaves
    the student in eval mode.

    Args:
        bundle: The data; the samples are the first of the student's training split, classes in turn.
        preprocess: Makes network inputs of them; on the device.
        device: Where the networks are.
        teacher: What the student learns from; it is asked once.
        epochs: The budget of the stage.
    """

    def __init__(
        self, bundle: DataBundle, preprocess: Preprocess, device: torch.device, teacher: Teacher, epochs: int
    ) -> None:
        count = sample_count(len(bundle.transfer), len(bundle.validation))
        order = balanced_order(bundle.transfer.labels.numpy())[:count]
        self._split = bundle.transfer.select(torch.from_numpy(order))
        self.preprocess = preprocess
        self.device = device
        self.teacher = teacher
        self._said: Tensor | None = None
        self._certain = certain_epochs(epochs)
        self._next = 0.0

    def due(self, epoch: int) -> bool:
        """Whether to measure after so many epochs: it is one of the certain ones, or the budget allows it."""
        return epoch in self._certain or time.monotonic() >= self._next

    def measure(self, student: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Cross-entropy, accuracy, top-1 agreement and mean KL(teacher || student) at T = 1."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), accelerator.autocast():
            if self._said is None:
                self._said = predict(self.teacher.model, self.preprocess, self._split, self.device)
                self.teacher.taps.take()  # what its layers gave is of no use to anybody
            begin = time.monotonic()
            logits = predict(student, self.preprocess, self._split, self.device)
        values = {
            "loss": functional.cross_entropy(logits, self._split.labels),
            "accuracy": (logits.argmax(1) == self._split.labels).float().mean(),
            "agreement": (logits.argmax(1) == self._said.argmax(1)).float().mean(),
            "kl": soft_target_loss(logits, self._said, 1.0),
        }
        self._next = time.monotonic() + (time.monotonic() - begin) / BUDGET
        return dict(zip(values, torch.stack(list(values.values())).tolist()))


def certain_epochs(epochs: int) -> frozenset[int]:
    """The epochs of the last quarter that are measured in any case, evenly spread, the last one among them."""
    quarter = math.ceil(epochs / 4)
    count = min(CERTAIN, quarter + 1)  # with the one before it the quarter has a beginning
    steps = [epochs - round(quarter * place / max(count - 1, 1)) for place in range(count)]
    return frozenset(step for step in steps if step > 0)
