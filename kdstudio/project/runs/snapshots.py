"""`snapshots/`: arrays for the panels, and the small sums that panels do with them. NumPy only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PROBES_FILE = "probes.safetensors"


@dataclass(frozen=True)
class Probes:
    """The fixed probe samples of a run and what the teacher says of them."""

    classes: list[str]
    labels: np.ndarray  # (P,)
    images: np.ndarray | None  # (P, H, W, C) uint8; None where the samples are no pictures
    indices: np.ndarray  # (P,) positions in the validation split
    pool_labels: np.ndarray  # (N,)
    teacher_logits: np.ndarray | None  # (P, K)
    pool_teacher_logits: np.ndarray | None  # (N, K)


@dataclass(frozen=True)
class SnapshotInfo:
    """A snapshot on disk; its file name tells the order, its header the rest."""

    path: Path
    number: int
    step: int
    epoch: int
    stage: str
    time: float


@dataclass(frozen=True)
class Snapshot:
    """What the panels draw of one moment."""

    step: int
    epoch: int
    stage: str
    time: float
    student_logits: np.ndarray  # (P, K)
    pool_student_logits: np.ndarray  # (N, K)
    cka_map: np.ndarray | None = None  # (teacher layers, student layers)
    teacher_layers: list[str] = field(default_factory=list)
    student_layers: list[str] = field(default_factory=list)
    pair_cka: dict[str, float] = field(default_factory=dict)
    pair_error: dict[str, float] = field(default_factory=dict)


def read_header(path: Path) -> dict[str, Any]:
    """The metadata of a safetensors file, without its arrays. Empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length < 100_000_000:
                return {}
            header = json.loads(file.read(length))
        return dict(header.get("__metadata__", {}))
    except (OSError, ValueError):
        return {}


def read_probes(run: Any) -> Probes | None:
    """The probes of a run, None while they have not been written."""
    from safetensors.numpy import load_file

    path = run.snapshots_dir / PROBES_FILE
    meta = read_header(path)
    if not meta:
        return None
    try:
        arrays = load_file(path)
    except Exception:  # a file that is cut off or foreign: the panel waits for a good one
        return None
    return Probes(
        classes=json.loads(meta["classes"]),
        labels=arrays["labels"],
        images=arrays.get("images"),
        indices=arrays["indices"],
        pool_labels=arrays["pool_labels"],
        teacher_logits=arrays.get("teacher_logits"),
        pool_teacher_logits=arrays.get("pool_teacher_logits"),
    )


def list_snapshots(run: Any, known: dict[Path, SnapshotInfo] | None = None) -> list[SnapshotInfo]:
    """The snapshots in their order. Pass the same `known` again to read the header of new files only."""
    known = {} if known is None else known
    found = []
    try:
        paths = sorted(p for p in run.snapshots_dir.iterdir() if p.suffix == ".safetensors" and p.stem.isdigit())
    except OSError:
        return []
    for path in paths:
        info = known.get(path)
        if info is None:
            meta = read_header(path)
            if not meta:
                continue
            info = SnapshotInfo(
                path=path,
                number=int(path.stem),
                step=int(meta.get("step", 0)),
                epoch=int(meta.get("epoch", 0)),
                stage=meta.get("stage", ""),
                time=float(meta.get("time", 0)),
            )
            known[path] = info
        found.append(info)
    return found


def read_snapshot(info: SnapshotInfo) -> Snapshot | None:
    """One snapshot with its arrays, None if the file is damaged."""
    from safetensors.numpy import load_file

    try:
        arrays = load_file(info.path)
    except Exception:  # see read_probes
        return None
    meta = read_header(info.path)
    return Snapshot(
        step=info.step,
        epoch=info.epoch,
        stage=info.stage,
        time=info.time,
        student_logits=arrays["student_logits"].astype(np.float32),
        pool_student_logits=arrays["pool_student_logits"].astype(np.float32),
        cka_map=arrays.get("cka_map"),
        teacher_layers=json.loads(meta.get("teacher_layers", "[]")),
        student_layers=json.loads(meta.get("student_layers", "[]")),
        pair_cka=json.loads(meta.get("pair_cka", "{}")),
        pair_error=json.loads(meta.get("pair_error", "{}")),
    )


def soften(logits: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(z / T) over the last axis, in float64 and safe for large logits."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    weights = np.exp(scaled)
    return weights / weights.sum(axis=-1, keepdims=True)


def entropy(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Entropy in nats of softmax(z / T), over the last axis."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    log_probabilities = scaled - log_total
    return -(np.exp(log_probabilities) * log_probabilities).sum(axis=-1)


def class_matrix(logits: np.ndarray, labels: np.ndarray, temperature: float, classes: int) -> np.ndarray:
    """The dark-knowledge matrix: row r is the mean of softmax(z / T) over samples whose label is r.

    Returns:
        (classes, classes); the row of a class without samples is NaN.
    """
    probabilities = soften(logits, temperature)
    sums = np.zeros((classes, probabilities.shape[-1]))
    np.add.at(sums, labels, probabilities)
    counts = np.bincount(labels, minlength=classes)[:classes].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts[:, None] > 0, sums / counts[:, None], np.nan)
