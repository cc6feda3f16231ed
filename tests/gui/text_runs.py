"""Run folders of language models, written without an engine: texts, and what teacher and student say of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import log_soften
from kdstudio.project.runs.texts import BETAS

TOP = 5
HEADS = 3


@dataclass
class TextRecipe:
    """What a made run holds; `why` is an obstacle to maps of attention."""

    task: str = "causal-lm"
    texts: int = 3
    tokens: int = 12
    vocabulary: int = 40
    snapshots: int = 4
    teacher: bool = True
    why: str = ""
    broken: tuple[int, ...] = ()
    phase: str = "finished"


def word(number: int) -> str:
    """Words and pieces of words, and what cannot be seen."""
    return {0: "\n", 1: "[MASK]", 2: " "}.get(number, f" word{number}" if number % 3 else f"piece{number}")


def side(name: str, logs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """A network's arrays, of log probabilities (B, N, V)."""
    ids = np.argsort(-logs, axis=-1)[..., :TOP]
    told = np.concatenate([np.take_along_axis(logs, ids, -1), np.take_along_axis(logs, targets[..., None], -1)], -1)
    mass = []
    for beta in BETAS:
        scaled = beta * logs
        value = np.log(np.exp(scaled).sum(-1))
        mass.append(np.stack([value, (np.exp(scaled - value[..., None]) * logs).sum(-1)], -1))
    return {
        f"{name}.ids": ids.astype(np.uint16),
        f"{name}.logs": told.astype(np.float16),
        f"{name}.mass": np.stack(mass, -2).astype(np.float32),
    }


def attention(recipe: TextRecipe, seed: int, share: float) -> np.ndarray:
    """(2, heads, S, S): rows that sum to 1."""
    size = recipe.tokens
    scores = share * np.random.default_rng(seed).normal(0, 2, (2, HEADS, size, size))
    if recipe.task == "causal-lm":
        scores = np.where(np.tril(np.ones((size, size), bool)), scores, -1e9)
    return np.exp(log_soften(scores, 1.0)).astype(np.float16)


def make_text_run(folder: Path, recipe: TextRecipe) -> RunFolder:
    """Writes a run of a student that comes nearer to its teacher from snapshot to snapshot."""
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    args = "{n_layer: 4, n_embd: 8, n_head: 4}"
    lines = [
        "version: 1",
        "name: made",
        f"data: {{source: corpus, path: some.txt, task: {recipe.task}, tokenizer: 'bpe:300', max_tokens: 16}}",
        f"student: {{model: 'transformers:gpt2', args: {args}}}",
        "objective:",
        "  - {term: hard, weight: 0.5}",
    ]
    if recipe.teacher:
        lines.insert(3, f"teacher: {{model: 'transformers:gpt2', args: {args}}}")
        lines.append("  - {term: soft, weight: 0.5, temperature: 2}")
        lines.append("  - {term: hint, pairs: [{teacher: transformer.h.3, student: transformer.h.1}]}")
    (folder / "experiment.yaml").write_text("\n".join([*lines, ""]), encoding="utf-8")
    state = {"phase": recipe.phase, "stage": "student", "step": 100, "pid": 0}
    run.state_path.write_text(json.dumps(state), encoding="utf-8")
    run.metrics_path.write_text("", encoding="utf-8")
    run.snapshots_dir.mkdir()
    rng = np.random.default_rng(0)
    ids = rng.integers(3, recipe.vocabulary, (recipe.texts, recipe.tokens)).astype(np.int32)
    targets = ids[:, 1:] if recipe.task == "causal-lm" else ids.copy()
    hidden = np.ones(targets.shape, np.uint8)
    if recipe.task == "masked-lm":
        hidden[:] = 0
        hidden[:, 4] = 1
        ids[:, 4] = 1
    shape = (*targets.shape, recipe.vocabulary)
    teacher = log_soften(rng.normal(0, 2, shape), 1.0)
    start = rng.normal(0, 2, shape)
    arrays = {"ids": ids, "targets": targets, "hidden": hidden}
    if recipe.teacher:
        arrays |= side("teacher", teacher, targets)
        _save(run.snapshots_dir / "teacher.safetensors", _maps(recipe, "transformer.h.3", 1.0), {})
    meta = {"task": recipe.task, "words": [word(number) for number in range(recipe.vocabulary)]}
    _save(run.snapshots_dir / "texts.safetensors", arrays, meta)
    for index in range(recipe.snapshots):
        share = index / max(1, recipe.snapshots - 1)
        _snapshot(run, recipe, index, log_soften(share * teacher + (1 - share) * start, 1.0), teacher, targets, share)
    return run


def _snapshot(
    run: RunFolder,
    recipe: TextRecipe,
    index: int,
    logs: np.ndarray,
    teacher: np.ndarray,
    targets: np.ndarray,
    share: float,
) -> None:
    arrays = side("student", logs, targets)
    spoken = {"nll": float(-arrays["student.logs"][..., -1].mean())}
    meta: dict[str, object] = {}
    if recipe.teacher:
        top = np.argsort(-teacher, axis=-1)[..., :TOP]
        arrays["teacher.others"] = np.take_along_axis(teacher, arrays["student.ids"].astype(int), -1).astype(np.float16)
        arrays["student.others"] = np.take_along_axis(logs, top, -1).astype(np.float16)
        arrays["kl"] = (np.exp(teacher) * (teacher - logs)).sum(-1).astype(np.float32)
        spoken |= {"kl": float(arrays["kl"].mean()), "agreement": share}
        layers = ["transformer.wte", *(f"transformer.h.{number}" for number in range(4)), "transformer.ln_f"]
        arrays["cka_map"] = (np.eye(len(layers)) * share + 0.1).clip(0, 1).astype(np.float32)
        name = "transformer.h.3 → transformer.h.1"
        meta = {"teacher_layers": layers, "student_layers": layers, "attention_why": recipe.why}
        meta |= {"pair_cka": {name: share}, "pair_error": {name: 1 - share}, "pair_cosine": {name: share}}
        meta["attention_pairs"] = [] if recipe.why else [["transformer.h.3", "transformer.h.1"]]
        arrays |= _maps(recipe, "transformer.h.1", share)
    plain = {"step": str(25 * index), "epoch": str(index), "stage": "student", "time": repr(1e9 + index)}
    path = run.snapshots_dir / f"{index + 1:06d}.safetensors"
    _save(path, arrays, {**meta, "spoken": spoken}, plain)
    if index + 1 in recipe.broken:
        path.write_bytes(path.read_bytes()[:-200])


def _maps(recipe: TextRecipe, block: str, share: float) -> dict[str, np.ndarray]:
    return {} if recipe.why else {f"attention.{block}": attention(recipe, 1, share)}


def _save(
    path: Path, arrays: dict[str, np.ndarray], meta: dict[str, object], plain: dict[str, str] | None = None
) -> None:
    words = {key: json.dumps(value) for key, value in meta.items()} | (plain or {})
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, path, words)
