"""Students of texts: how they are written for others, and how what was written is loaded and run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdstudio.engine.student_io import TOKENIZER, Student
from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.network import TextNetwork
from kdstudio.engine.text.tokens import quiet

#: The field of `config.json` under which a student says what it was trained for.
OWN = "kdstudio"
CLASSES = {
    "classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "masked-lm": "AutoModelForMaskedLM",
    "causal-lm": "AutoModelForCausalLM",
}


class DeployedText(nn.Module):
    """Token ids and which of them are real in, logits out: (B, C), or of a language model (B, S, V)."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        assert isinstance(student.model, TextNetwork)
        inner = copy.deepcopy(student.model.inner)
        # its masks are plain arithmetic, which every exporter can follow
        inner.set_attn_implementation("eager")
        self.model = inner
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def example(student: Student) -> tuple[Tensor, Tensor]:
    """Token ids and their mask to trace with."""
    assert isinstance(student.model, TextNetwork)
    ids = student.model.dummy(2, min(16, student.input_shape[0]), "cpu")
    return ids, torch.ones_like(ids)


def dynamic_shapes(student: Student) -> dict[str, Any]:
    """Batch and sequence are free, up to what the student was made for."""
    assert student.text is not None
    batch = torch.export.Dim("batch", min=1, max=65536)
    sequence = torch.export.Dim("sequence", min=2, max=max(3, student.text.max_tokens))
    return {name: {0: batch, 1: sequence} for name in ("input_ids", "attention_mask")}


def write_transformers(student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    """A folder that `from_pretrained` of the transformers library loads, with the tokenizer in it."""
    assert isinstance(student.model, TextNetwork)
    assert student.text is not None
    inner = copy.deepcopy(student.model.inner)
    config = inner.config
    if student.classes:
        config.id2label = dict(enumerate(student.classes))
        config.label2id = {name: number for number, name in enumerate(student.classes)}
    config.architectures = [type(inner).__name__]
    setattr(config, OWN, {key: metadata[key] for key in ("labels", "input_shape", "preprocessing")})
    with quiet():
        inner.save_pretrained(folder, safe_serialization=True)
        _tokenizer(source).save_pretrained(folder)
    return "model.safetensors"


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Puts the tokenizer beside an artifact that has none of its own."""
    with quiet():
        _tokenizer(source).save_pretrained(folder / TOKENIZER)


def _tokenizer(source: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(source / TOKENIZER), trust_remote_code=False)


def load_transformers(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The model that the library makes of a folder, and what its configuration says of itself."""
    import transformers

    with quiet():
        config = transformers.AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
        said = dict(getattr(config, OWN, None) or {})
        task = said.get("preprocessing", {}).get("text", {}).get("task", "classification")
        maker = getattr(transformers, CLASSES[task])
        model = maker.from_pretrained(str(folder), trust_remote_code=False, dtype=torch.float32)
    return model.eval(), said


def flat(logits: np.ndarray, facts: TextFacts) -> np.ndarray:
    """Logits of an artifact as the student's network gives them: a row for each place that has a target."""
    if logits.ndim == 2:
        return logits
    if facts.task == "causal-lm":
        logits = logits[:, :-1]
    return logits.reshape(-1, logits.shape[-1])


def mask_of(ids: np.ndarray, facts: TextFacts) -> np.ndarray:
    """int64 (B, S): 1 where a token is real."""
    return np.ones_like(ids) if facts.pad is None else (ids != facts.pad).astype(np.int64)
