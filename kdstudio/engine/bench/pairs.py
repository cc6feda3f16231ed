"""The pairs of networks that the benchmarks of distillation use: specs, noise in the place of data, the networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kdstudio.engine.bench.loop import CLASSES, synthetic_data
from kdstudio.engine.data import ArraySplit, DataBundle
from kdstudio.engine.networks import make_network
from kdstudio.engine.text.facts import TextFacts
from kdstudio.project.spec import Experiment

BATCH = 128
TOKENS, VOCABULARY, TEXTS = 64, 8000, 1024
BERT = {
    "hidden_size": 256,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "max_position_embeddings": TOKENS,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@dataclass(frozen=True)
class Pair:
    """A teacher, a student, and the layers that terms on features join.

    Attributes:
        name: For people.
        shape: Of a sample; one number for texts.
        batch: Samples of a step.
        teacher, student: As in a spec.
        train: Optimizer and rate, as in a spec.
        terms: Terms on features beside hard labels, by their short names.
    """

    name: str
    shape: tuple[int, ...]
    batch: int
    teacher: dict[str, Any]
    student: dict[str, Any]
    train: dict[str, Any]
    terms: dict[str, dict[str, Any]]

    def experiment(self, objective: list[dict[str, Any]], augment: list[str], precision: str) -> Experiment:
        """The spec of one variant."""
        pixels = {"augment": augment, "views": 1} if augment else {}
        data = {"source": "digits", "batch_size": self.batch, **pixels}
        if len(self.shape) == 1:
            data = {"source": "table", "path": "noise.csv", "text": "text", "label": "label", "batch_size": self.batch}
        fields = {
            "name": "bench",
            "data": data,
            "teacher": self.teacher,
            "student": self.student,
            "objective": objective,
            "train": {**self.train, "epochs": 10_000, "precision": precision},
        }
        return Experiment.model_validate(fields)

    def bundle(self) -> DataBundle:
        """Noise with labels: what is measured does not depend on what is learnt."""
        if len(self.shape) == 3:
            return synthetic_data(self.shape)
        numbers = np.random.default_rng(0)
        ids = torch.from_numpy(numbers.integers(5, VOCABULARY, (TEXTS, *self.shape), dtype=np.int32))
        split = ArraySplit(ids, torch.arange(TEXTS) % CLASSES)
        facts = TextFacts("classification", VOCABULARY, TOKENS, pad=0, filler=5)
        classes = [str(number) for number in range(CLASSES)]
        return DataBundle("noise", split, split, split, classes, self.shape, [], [], text=facts)

    def networks(self, bundle: DataBundle, root: Path) -> tuple[nn.Module, nn.Module]:
        """Teacher and student, always with the same weights."""
        experiment = self.experiment([{"term": "hard"}], [], "fp32")
        assert experiment.teacher is not None
        teacher = make_network(experiment.teacher, bundle, root, False, 0, False, "teacher")
        return teacher, make_network(experiment.student, bundle, root, False, 1, False, "student")


def _one(term: str, teacher: str, student: str, weight: float, **more: Any) -> dict[str, Any]:
    return {"term": term, "weight": weight, "pairs": [{"teacher": teacher, "student": student}], **more}


_SGD = {"optimizer": "sgd", "lr": 1e-5}  # noise teaches nothing, and must not diverge either
PAIRS = (
    Pair(
        name="resnet56 to resnet20, 3 x 32 x 32, batch 128",
        shape=(3, 32, 32),
        batch=BATCH,
        teacher={"model": "resnet56"},
        student={"model": "resnet20"},
        train=_SGD,
        terms={
            "hint": _one("hint", "layer2", "layer2", 1),
            "attention": {
                "term": "attention",
                "weight": 1000,
                "pairs": [{"teacher": f"layer{number}", "student": f"layer{number}"} for number in (1, 2, 3)],
            },
            "RKD": _one("distance", "avgpool", "avgpool", 25),
        },
    ),
    Pair(
        name="MLP 1200-1200 to 800-800, 28 x 28, batch 128",
        shape=(1, 28, 28),
        batch=BATCH,
        teacher={"model": "mlp", "widths": [1200, 1200]},
        student={"model": "mlp", "widths": [800, 800]},
        train=_SGD,
        terms={
            "hint": _one("hint", "hidden2", "hidden2", 1),
            "RKD": _one("distance", "hidden2", "hidden2", 25),
        },
    ),
    Pair(
        name="BERT-like, 6 to 3 layers of 256, 64 tokens, batch 32",
        shape=(TOKENS,),
        batch=32,
        teacher={"model": "transformers:bert", "args": {**BERT, "num_hidden_layers": 6}},
        student={"model": "transformers:bert", "args": {**BERT, "num_hidden_layers": 3}},
        train={"optimizer": "adamw", "lr": 1e-5},
        terms={
            "hint": _one("hint", "bert.encoder.layer.3", "bert.encoder.layer.1", 1),
            "attention": _one("attention-relation", "bert.encoder.layer.5", "bert.encoder.layer.2", 1),
            "RKD": _one("distance", "bert.pooler", "bert.pooler", 25),
        },
    ),
)
