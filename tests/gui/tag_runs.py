"""Run folders of taggers, written without an engine: sentences, and what teacher and student say of their words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import log_soften

TAGS = ("O", "B-LOC", "I-LOC", "B-PER")
VOCABULARY = ["<pad>", "<s>", "</s>", " Ann", " went", " to", " New", " York", " Har", "lem", " ."]
#: Tokens and their tags, -1 where no word begins; the second sentence ends in padding.
SENTENCES = (
    ([1, 3, 4, 5, 6, 7, 10, 2], [-1, 3, 0, 0, 1, 2, 0, -1]),
    ([1, 3, 4, 5, 8, 9, 2, 0], [-1, 3, 0, 0, 1, -1, -1, -1]),
)
EXPERIMENT = """version: 1
name: made
data: {source: tagged, path: names.conll, tokenizer: 'bpe:300', max_tokens: 16}
teacher: {model: 'transformers:bert', args: {num_hidden_layers: 4}}
student: {model: 'transformers:bert', args: {num_hidden_layers: 2}}
objective:
  - {term: hard, weight: 0.5}
  - {term: soft, weight: 0.5, temperature: 2}
"""


@dataclass
class TagRecipe:
    """What a made run holds."""

    snapshots: int = 4
    teacher: bool = True
    phase: str = "finished"


def make_tag_run(folder: Path, recipe: TagRecipe) -> RunFolder:
    """Writes a run whose teacher is right and whose student comes to it, and takes Ann for a town at first."""
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    text = EXPERIMENT
    if not recipe.teacher:
        text = (
            "\n".join(line for line in text.splitlines() if not line.startswith(("teacher", "  - {term: soft"))) + "\n"
        )
    (folder / "experiment.yaml").write_text(text, encoding="utf-8")
    state = {"phase": recipe.phase, "stage": "student", "step": 100, "pid": 0}
    run.state_path.write_text(json.dumps(state), encoding="utf-8")
    run.metrics_path.write_text("", encoding="utf-8")
    run.snapshots_dir.mkdir()
    ids = np.array([tokens for tokens, _ in SENTENCES], np.int32)
    targets = np.array([tags for _, tags in SENTENCES], np.int32)
    begins = targets >= 0
    right = np.eye(len(TAGS))[targets.clip(0)]
    teacher = log_soften(4 * right, 1.0)
    arrays = {"ids": ids, "targets": targets, "hidden": begins.astype(np.uint8)}
    arrays["kinds"] = np.where(ids == 0, 0, np.where(ids < 3, 1, 2)).astype(np.uint8)
    if recipe.teacher:
        arrays["teacher.tags"] = teacher.astype(np.float16)
    meta = {"task": "token-classification", "words": VOCABULARY, "tags": TAGS}
    _save(run.snapshots_dir / "texts.safetensors", arrays, {key: json.dumps(value) for key, value in meta.items()})
    start = 2 * right
    start[:, 1] = [0, 3, 0, 0]
    for index in range(recipe.snapshots):
        share = index / max(1, recipe.snapshots - 1)
        logs = log_soften(4 * share * right + (1 - share) * start, 1.0)
        found = {"student.tags": logs.astype(np.float16)}
        spoken = {"nll": float(1 - share)}
        if recipe.teacher:
            kl = (np.exp(teacher) * (teacher - logs)).sum(-1)
            found["kl"] = np.where(begins, kl, np.nan).astype(np.float32)
            spoken["kl"] = float(kl[begins].mean())
        plain = {"step": str(25 * index), "epoch": str(index), "stage": "student", "time": repr(1e9 + index)}
        _save(run.snapshots_dir / f"{index + 1:06d}.safetensors", found, {**plain, "spoken": json.dumps(spoken)})
    return run


def _save(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, str]) -> None:
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, path, meta)
