"""Run folders with snapshots, written without an engine: any number of classes, layers, pairs and moments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from kdstudio.project.runs.folder import RunFolder

TEACHER_LAYERS = ["conv1", "layer1", "layer2", "layer3", "fc"]
STUDENT_LAYERS = ["conv1", "layer1", "layer2", "fc"]


@dataclass
class Recipe:
    """What a made run holds. `broken` are numbers of snapshots whose files are cut off."""

    classes: int = 10
    snapshots: int = 8
    probes: int = 16
    pool: int = 200
    teacher: bool = True
    pictures: bool = True
    texts: bool = False
    pairs: tuple[tuple[str, str], ...] = (("layer1", "layer1"), ("layer3", "layer2"))
    teacher_layers: tuple[str, ...] = tuple(TEACHER_LAYERS)
    student_layers: tuple[str, ...] = tuple(STUDENT_LAYERS)
    temperature: float = 4.0
    names: tuple[str, ...] = ()
    broken: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    aligned: bool = True
    looks: bool = True
    phase: str = "finished"


def make_run(folder: Path, recipe: Recipe) -> RunFolder:
    """Writes a run of a student that comes nearer to its teacher from snapshot to snapshot."""
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    (folder / "experiment.yaml").write_text(_experiment(recipe), encoding="utf-8")
    state = {"phase": recipe.phase, "stage": "student", "step": 100 * recipe.snapshots, "pid": 0}
    run.state_path.write_text(json.dumps(state), encoding="utf-8")
    run.metrics_path.write_text("", encoding="utf-8")
    run.snapshots_dir.mkdir()
    rng = np.random.default_rng(0)
    labels = np.arange(recipe.pool) % recipe.classes
    teacher = rng.normal(size=(recipe.pool, recipe.classes)).astype(np.float32)
    teacher += 1.5 * rng.normal(size=(recipe.classes, recipe.classes)).astype(np.float32)[labels]
    teacher[np.arange(recipe.pool), labels] += 5
    start = rng.normal(size=teacher.shape).astype(np.float32)
    names = list(recipe.names) or [f"class {index}" for index in range(recipe.classes)]
    arrays = {
        "labels": labels[: recipe.probes],
        "indices": np.arange(recipe.probes),
        "pool_labels": labels,
    }
    if recipe.teacher:
        arrays |= {"teacher_logits": teacher[: recipe.probes], "pool_teacher_logits": teacher}
    if recipe.pictures:
        arrays["images"] = rng.integers(0, 255, (recipe.probes, 12, 12, 3), dtype=np.uint8)
    arrays = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    meta = {"classes": json.dumps(names)}
    if recipe.texts:
        words = [[f" word{place}" for place in range(3 + row % 4)] for row in range(recipe.probes)]
        meta["tokens"] = json.dumps(words)
        meta["texts"] = json.dumps([f"{'Text number' + ''.join(row)}, {place}" for place, row in enumerate(words)])
    save_file(arrays, run.snapshots_dir / "probes.safetensors", meta)
    if recipe.teacher and recipe.looks and recipe.pairs:
        once = _looks(recipe, [teacher for teacher, _ in recipe.pairs], 8, 1.0)
        save_file(once, run.snapshots_dir / "teacher.safetensors")
    for index in range(recipe.snapshots):
        share = index / max(1, recipe.snapshots - 1)
        write_snapshot(run, recipe, index + 1, (1 - share) * start + share * teacher, share)
    return run


def write_snapshot(run: RunFolder, recipe: Recipe, number: int, logits: np.ndarray, share: float) -> Path:
    """Writes one snapshot; `share` is how far the student has come."""
    step = recipe.steps[number - 1] if recipe.steps else 100 * (number - 1)
    meta = {"step": str(step), "epoch": str(step // 100), "stage": "student", "time": repr(1e9 + number)}
    arrays = {"student_logits": logits[: recipe.probes], "pool_student_logits": logits.astype(np.float16)}
    if recipe.teacher and recipe.aligned:
        rows, columns = len(recipe.teacher_layers), len(recipe.student_layers)
        near = np.abs(np.linspace(0, 1, rows)[:, None] - np.linspace(0, 1, columns)[None, :])
        arrays["cka_map"] = ((1 - near) * (0.3 + 0.6 * share)).astype(np.float32)
        meta["teacher_layers"] = json.dumps(recipe.teacher_layers)
        meta["student_layers"] = json.dumps(recipe.student_layers)
        pairs = {f"{teacher} → {student}": (teacher, student) for teacher, student in recipe.pairs}
        found = {
            name: float(arrays["cka_map"][recipe.teacher_layers.index(teacher), recipe.student_layers.index(student)])
            for name, (teacher, student) in pairs.items()
        }
        meta["pair_cka"] = json.dumps(found)
        meta["pair_error"] = json.dumps(dict.fromkeys(pairs, 2.0 - 1.9 * share))
        if recipe.looks and recipe.pairs:
            meta["pair_cosine"] = json.dumps(dict.fromkeys(list(pairs)[:1], share))
            meta["attention_pairs"] = meta["relation_pairs"] = json.dumps(recipe.pairs)
            arrays |= _looks(recipe, [student for _, student in recipe.pairs], 4, share)
    path = run.snapshots_dir / f"{number:06d}.safetensors"
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, path, meta)
    if number in recipe.broken:
        path.write_bytes(path.read_bytes()[:-200])
    return path


def _looks(recipe: Recipe, names: list[str], side: int, share: float) -> dict[str, np.ndarray]:
    """Attention maps and distances of the probes; with a share of 1 those of the teacher."""
    found: dict[str, np.ndarray] = {}
    for name in names:
        rng = np.random.default_rng(1)
        maps = np.kron(rng.random((recipe.probes, 4, 4)), np.ones((1, side // 4, side // 4)))
        maps = share * maps + (1 - share) * np.ones_like(maps)
        distances = np.abs(np.arange(recipe.probes)[:, None] - np.arange(recipe.probes)[None, :]) ** (0.5 + share / 2)
        found[f"attention.{name}"] = (maps / np.linalg.norm(maps, axis=(1, 2), keepdims=True)).astype(np.float16)
        found[f"relations.{name}"] = (distances / distances[distances > 0].mean()).astype(np.float16)
    return found


def _experiment(recipe: Recipe) -> str:
    lines = ["version: 1", "name: made", "data: {source: digits}", "student: {model: mlp, widths: [32]}"]
    terms = ["  - {term: hard, weight: 0.1}"]
    if recipe.teacher:
        lines.append("teacher: {model: mlp, widths: [64], train: {epochs: 2}}")
        terms.append(f"  - {{term: soft, weight: 0.9, temperature: {recipe.temperature}}}")
    if recipe.teacher and recipe.pairs:
        pairs = ", ".join(f"{{teacher: {teacher}, student: {student}}}" for teacher, student in recipe.pairs)
        terms.append(f"  - {{term: hint, pairs: [{pairs}]}}")
    return "\n".join([*lines, "objective:", *terms, "train: {epochs: 30}", ""])
