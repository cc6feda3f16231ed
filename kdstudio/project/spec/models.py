"""Models: what is built, and where its weights come from."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from kdstudio.project.spec.base import Strict, suggestion
from kdstudio.project.spec.train import TrainSpec

RESNETS = tuple(f"resnet{depth}" for depth in (8, 14, 20, 26, 32, 38, 44, 50, 56, 62, 110))
KNOWN = ("mlp", "cnn", *RESNETS, "wrn-16-1", "wrn-16-2", "wrn-28-10", "wrn-40-1", "wrn-40-2")
#: Models of the transformers library, by hub id, folder or kind of architecture.
HUB_PREFIX = "transformers:"
PREFIXES = ("timm:", "torchvision:", HUB_PREFIX)
#: A student that is made of layers of its teacher.
FROM_TEACHER = "from-teacher"
#: The network of the run that `weights` names, as it was built there: what is meant where no model is named.
AS_RUN = "as-run"
USER_FILE = re.compile(r"[\w./ -]+\.py:\w+")
WIDE_RESNET = re.compile(r"wrn-(\d+)-(\d+)")
RUN = re.compile(r"run:[A-Za-z0-9][A-Za-z0-9._-]*(/\d+)?")


class ModelSpec(Strict):
    """One network."""

    model: str
    """mlp, cnn, resnet20 (CIFAR), wrn-DEPTH-WIDTH, timm:NAME, torchvision:NAME, transformers:ID or FILE.py:FUNCTION."""
    widths: list[int] | None = None
    """Hidden widths of an mlp (for example [1200, 1200]) or channels of a cnn's stages (for example [16, 32])."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of hidden units dropped while training, for mlp, cnn and wrn (Hinton's teacher used 0.5)."""
    input_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of inputs dropped while training an mlp (Hinton's teacher used 0.2)."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Further arguments: of a timm or torchvision model or your function, or fields of a transformers configuration."""
    pretrained: bool = False
    """Start from the published weights of a timm, torchvision or transformers model (its folder, or downloaded)."""
    weights: str | None = None
    """A weights file (.safetensors, or .pt/.pth), or run:EXPERIMENT for a finished student (as-run builds it, too)."""

    @model_validator(mode="before")
    @classmethod
    def _of_run(cls, data: Any) -> Any:
        if isinstance(data, dict) and "model" not in data and str(data.get("weights", "")).startswith("run:"):
            return {"model": AS_RUN, **data}
        return data

    @field_validator("model")
    @classmethod
    def _known(cls, value: str) -> str:
        if value in (*KNOWN, FROM_TEACHER, AS_RUN) or (value.startswith(PREFIXES) and value not in PREFIXES):
            return value
        if USER_FILE.fullmatch(value):
            return value
        match = WIDE_RESNET.fullmatch(value)
        if match:
            if int(match[1]) < 10 or (int(match[1]) - 4) % 6:
                raise ValueError(
                    f"a wide resnet's depth is 6 n + 4 and at least 10, and {match[1]} is not; for example wrn-16-2"
                )
            if int(match[2]) < 1:
                raise ValueError("a wide resnet is at least 1 wide; for example wrn-16-2")
            return value
        if re.fullmatch(r"resnet\d+", value):
            raise ValueError(f"a CIFAR-style resnet's depth is 6 n + 2; choose one of {', '.join(RESNETS)}")
        raise ValueError(
            f"unknown model '{value}'; "
            + (
                suggestion(value, KNOWN)
                or f"choose one of {', '.join(KNOWN)}, timm:NAME, torchvision:NAME, transformers:ID or FILE.py:FUNCTION"
            )
        )

    @field_validator("widths")
    @classmethod
    def _positive(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and (not value or any(width < 1 for width in value)):
            raise ValueError("widths are whole numbers of at least 1; for example [64, 64]")
        return value

    @field_validator("weights")
    @classmethod
    def _file_or_run(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("weights are empty; give a file or run:EXPERIMENT, or remove the key")
        if value is not None and value.startswith("run:") and not RUN.fullmatch(value):
            raise ValueError(f"'{value}' names no run; write run:EXPERIMENT or run:EXPERIMENT/001")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> ModelSpec:
        if self.widths is not None and self.model not in ("mlp", "cnn"):
            raise ValueError(f"'widths' is for mlp and cnn, not for {self.model}; remove it")
        if self.pretrained and not self.model.startswith(PREFIXES):
            raise ValueError(
                f"'pretrained' is for timm, torchvision and transformers models, not for {self.model}; "
                "remove it or give 'weights'"
            )
        if self.model == FROM_TEACHER and not isinstance(self, StudentSpec):
            raise ValueError("only a student can be made of its teacher's layers; choose another model")
        if self.model == AS_RUN:
            if not (self.weights or "").startswith("run:"):
                raise ValueError(f"the model {AS_RUN} is the network of a run; set 'weights' to run:EXPERIMENT")
            if self.args:
                raise ValueError(f"the model {AS_RUN} is built as in its run and takes no 'args'; remove them")
        if self.pretrained and self.weights:
            raise ValueError("'pretrained' and 'weights' are both given; keep one")
        return self


class TeacherSpec(ModelSpec):
    """The network that knows. Without weights it is trained first, as a stage of its own, and kept."""

    train: TrainSpec = Field(default_factory=TrainSpec)
    """How the teacher is trained when it has no weights."""
    finetune: bool = False
    """Train it on these data although it has weights: for a model that was trained for something else."""

    @model_validator(mode="after")
    def _something_to_tune(self) -> TeacherSpec:
        if self.finetune and not (self.pretrained or self.weights):
            raise ValueError("'finetune' is for a teacher with weights; this one is trained in any case, so remove it")
        return self

    @property
    def given(self) -> bool:
        """Whether it is used as it comes, without training."""
        return bool(self.weights or self.pretrained) and not self.finetune


class LayersSpec(Strict):
    """Which of the teacher's layers a student is made of."""

    rule: Literal["spread", "every-other", "first", "last"] = "spread"
    """How they are chosen: spread (evenly, as DistilBERT: 0 2 4 7 9 11 of 12), every-other, first or last."""
    count: int | None = Field(None, ge=1, le=1000)
    """How many layers (empty: half of the teacher's)."""
    keep: list[int] | None = None
    """The layers by their numbers from 0, in place of the rule (for example [0, 2, 5])."""
    embeddings: bool = True
    """Copy the teacher's embeddings (else random ones)."""
    head: bool = True
    """Copy the teacher's head (else a random one)."""
    weights: bool = True
    """Copy the weights of the layers (else random ones: the control experiment of DistilBERT's ablation)."""
    slim: bool = False
    """Leave token types and pooler away, as DistilBERT did (a BERT becomes a DistilBERT)."""
    freeze_positions: bool = False
    """Keep the position embeddings as they are while the student learns, as DistilBERT's code did."""

    @field_validator("keep")
    @classmethod
    def _rising(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and (not value or value != sorted(set(value)) or value[0] < 0):
            raise ValueError("layers are numbered from 0 and given once each, in rising order; for example [0, 2, 5]")
        return value


class StudentSpec(ModelSpec):
    """The network that learns."""

    layers: LayersSpec | None = None
    """For the model from-teacher: the layers it is made of (empty: half of them, evenly spread)."""

    @model_validator(mode="after")
    def _of_teacher(self) -> StudentSpec:
        if self.layers is not None and self.model != FROM_TEACHER:
            raise ValueError(f"'layers' is for a student with model: {FROM_TEACHER}; set the model, or remove it")
        if self.model == FROM_TEACHER and (self.pretrained or self.args):
            raise ValueError("a student from its teacher's layers takes no 'args' and no 'pretrained'; remove them")
        return self
