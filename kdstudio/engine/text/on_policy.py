"""On-policy distillation: in some steps the student writes, and learns from what the teacher says of it.

Agarwal et al. 2024, On-Policy Distillation of Language Models (GKD, 2306.13649), algorithm 1: with probability lambda
the batch is written by the student, whose own choices no gradient flows through.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from kdstudio.engine.counters import mix
from kdstudio.engine.data.views import Batch
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.text.facts import IGNORED
from kdstudio.engine.text.generate import write
from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.spec.language import OnPolicySpec

_CHOICE, _WORDS = 41, 42


class OnPolicy:
    """Says which steps the student writes in, and writes.

    What it does in a step is a function of the seed, the step and the student, so a resumed run goes on alike.

    Args:
        spec: The share of the steps, and how much is written.
        seed: Of the training.
        rank: Each rank's students write by chances of their own.
    """

    def __init__(self, spec: OnPolicySpec, seed: int, rank: int = 0) -> None:
        self.spec = spec
        self.rank = rank
        self.seed = seed

    def writes(self, step: int) -> bool:
        """Whether the student writes in a step."""
        return mix(self.seed, _CHOICE, step) < self.spec.share * 2**64

    def batch(self, batch: Batch, module: DistillationModule, step: int, epoch: int) -> Batch:
        """The batch as it is, or one that the student wrote from its beginnings.

        Args:
            batch: Blocks (B, S).
            module: The student with its objective.
            step, epoch: Where the training stands.

        Returns:
            Of a written batch the images are (B, prompt + new), the labels (B, new), all `IGNORED`.
        """
        if not self.writes(step) or not module.objective.judges(epoch):
            return batch
        spec, student = self.spec, module.student
        assert isinstance(student, TextNetwork)
        own = (self.rank,) if self.rank else ()
        seed = mix(self.seed, _WORDS, step, *own) >> 1
        prompts = batch.images[:, : spec.prompt_tokens].long()
        ids = write(student, prompts, spec.new_tokens, seed, spec.temperature)
        labels = torch.full_like(ids[:, spec.prompt_tokens :], IGNORED)
        return replace(batch, images=ids, labels=labels, prompt=spec.prompt_tokens)
