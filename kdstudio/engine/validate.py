"""Validation: the score that chooses the best epoch. Never on test data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.data import ArraySplit, Preprocess
from kdstudio.engine.losses import soft_target_loss
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.terms import StepOutputs

BATCH = 512


class Validation:
    """Scores a network on the validation split.

    Args:
        split: The validation samples.
        preprocess: Makes network inputs of stored samples; on the device.
        device: Where the network is.
        teacher_logits: (N, C) of the same samples in the same order, for agreement and KL; None without a teacher.
        other_logits: The same of each further teacher.
    """

    #: The value that is told as the best one so far.
    metric = "accuracy"

    def __init__(
        self,
        split: ArraySplit,
        preprocess: Preprocess,
        device: torch.device,
        teacher_logits: Tensor | None,
        other_logits: Sequence[Tensor] = (),
    ) -> None:
        self.split = split
        self.preprocess = preprocess
        self.device = device
        self.labels = split.labels.to(device)
        self.other_logits = [logits.to(device) for logits in other_logits]
        self.teacher_logits = None if teacher_logits is None else teacher_logits.to(device)

    def score(self, module: DistillationModule, accelerator: Accelerator) -> dict[str, float]:
        """Cross-entropy, accuracy, and (with a teacher) top-1 agreement and mean KL(teacher || student) at T = 1;
        `term.hard`, `term.soft...` are the objective's own terms on outputs, on these samples without augmentation.

        Leaves the network in eval mode.
        """
        module.eval()
        with torch.no_grad(), accelerator.autocast():
            logits = self._logits(module.student)
            watched = {
                f"{name}_accuracy": (self._logits(network).argmax(1) == self.labels).float().mean()
                for term in module.objective.term_modules()
                for name, network in term.watched().items()
            }
        values = {
            "loss": functional.cross_entropy(logits, self.labels),
            "accuracy": (logits.argmax(1) == self.labels).float().mean(),
        }
        values |= watched
        outputs = StepOutputs(logits, self.labels, self.teacher_logits, other_logits=self.other_logits)
        for term in module.objective.term_modules():
            if term.outputs_only and not (term.needs_teacher and self.teacher_logits is None):
                values[f"term.{term.name}"] = term(outputs)
        if self.teacher_logits is not None:
            values["agreement"] = (logits.argmax(1) == self.teacher_logits.argmax(1)).float().mean()
            values["kl"] = soft_target_loss(logits, self.teacher_logits, 1.0)
        return dict(zip(values, torch.stack(list(values.values())).tolist()))

    def _logits(self, network: nn.Module) -> Tensor:
        parts = [network(self.preprocess(images.to(self.device))).float() for images in self.split.images.split(BATCH)]
        return torch.cat(parts)

    @staticmethod
    def criterion(values: Mapping[str, float]) -> float:
        """The figure by which epochs are compared: accuracy, and among equal ones the smaller cross-entropy.

        Small validation sets tie often. The loss is squeezed into a fraction of one sample's worth of accuracy.
        """
        loss = values["loss"] if values["loss"] == values["loss"] else float("inf")
        return values["accuracy"] - 1e-7 * min(loss, 100.0)

    def better(self, values: Mapping[str, float], best: float) -> bool:
        """Whether the values beat the best criterion so far."""
        return self.criterion(values) > best
