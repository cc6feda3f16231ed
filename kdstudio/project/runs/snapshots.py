"""`snapshots/`: arrays for the panels, and the small sums that panels do with them. NumPy only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

PROBES_FILE = "probes.safetensors"
#: The teacher's side of attention maps and relations: it does not change.
TEACHER_FILE = "teacher.safetensors"
TYPES = {"F32": "<f4", "F16": "<f2"}


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
    tokens: list[list[str]] | None = None  # of texts, P lists of their tokens as people read them
    texts: list[str] | None = None  # of texts, P of them


@dataclass(frozen=True)
class SnapshotInfo:
    """A snapshot on disk; its file name tells the order, its header the rest."""

    path: Path
    number: int
    step: int
    epoch: int
    stage: str
    time: float
    teacher_layers: tuple[str, ...] = ()
    student_layers: tuple[str, ...] = ()
    pair_cka: dict[str, float] = field(default_factory=dict)
    pair_error: dict[str, float] = field(default_factory=dict)
    pair_cosine: dict[str, float] = field(default_factory=dict)
    attention_pairs: tuple[tuple[str, str], ...] = ()
    relation_pairs: tuple[tuple[str, str], ...] = ()
    #: Why there are no maps of attention between tokens, see the engine's `obstacle`; None where samples are no texts.
    attention_why: str | None = None
    #: Of language models, means over the probe texts: `kl`, `agreement`, `nll`.
    spoken: dict[str, float] = field(default_factory=dict)


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
            found = _header(file).get("__metadata__", {})
        return dict(found) if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _header(file: BinaryIO) -> dict[str, Any]:
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length < 100_000_000:
        raise ValueError("no header")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header


def read_array(path: Path, name: str) -> np.ndarray | None:
    """One array of a safetensors file as float32, and no byte of the others. None where it is missing or damaged."""
    try:
        with path.open("rb") as file:
            entry = _header(file)[name]
            begin, end = entry["data_offsets"]
            kind = TYPES.get(entry["dtype"])
            if kind is None:
                return None
            file.seek(begin, 1)
            return np.frombuffer(file.read(end - begin), kind).reshape(entry["shape"]).astype(np.float32, copy=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_probes(run: Any) -> Probes | None:
    """The probes of a run, None while they have not been written."""
    from safetensors.numpy import load_file

    path = run.snapshots_dir / PROBES_FILE
    meta = read_header(path)
    if not meta:
        return None
    try:
        arrays = load_file(path)
        return Probes(
            classes=json.loads(meta["classes"]),
            labels=arrays["labels"],
            images=arrays.get("images"),
            indices=arrays["indices"],
            pool_labels=arrays["pool_labels"],
            teacher_logits=arrays.get("teacher_logits"),
            pool_teacher_logits=arrays.get("pool_teacher_logits"),
            tokens=json.loads(meta["tokens"]) if "tokens" in meta else None,
            texts=json.loads(meta["texts"]) if "texts" in meta else None,
        )
    except Exception:  # a file that is cut off or foreign: the panel waits for a good one
        return None


def list_snapshots(run: Any, known: dict[Path, SnapshotInfo] | None = None) -> list[SnapshotInfo]:
    """The snapshots in their order. Pass the same `known` again to read the header of new files only."""
    known = {} if known is None else known
    found = []
    try:
        paths = [p for p in run.snapshots_dir.iterdir() if p.suffix == ".safetensors" and p.stem.isdecimal()]
    except OSError:
        return []
    for path in sorted(paths, key=lambda path: int(path.stem)):
        info = known.get(path)
        if info is None:
            info = _info(path)
            if info is None:
                continue
            known[path] = info
        found.append(info)
    return found


def _info(path: Path) -> SnapshotInfo | None:
    meta = read_header(path)
    if not meta:
        return None
    try:
        return SnapshotInfo(
            path=path,
            number=int(path.stem),
            step=int(meta.get("step", 0)),
            epoch=int(meta.get("epoch", 0)),
            stage=str(meta.get("stage", "")),
            time=float(meta.get("time", 0)),
            teacher_layers=_names(meta.get("teacher_layers", "[]")),
            student_layers=_names(meta.get("student_layers", "[]")),
            pair_cka=_numbers(meta.get("pair_cka", "{}")),
            pair_error=_numbers(meta.get("pair_error", "{}")),
            pair_cosine=_numbers(meta.get("pair_cosine", "{}")),
            attention_pairs=_pairs(meta.get("attention_pairs", "[]")),
            relation_pairs=_pairs(meta.get("relation_pairs", "[]")),
            attention_why=json.loads(meta.get("attention_why", "null")),
            spoken=_numbers(meta.get("spoken", "{}")),
        )
    except (ValueError, TypeError, AttributeError):  # a foreign file
        return None


@lru_cache(maxsize=64)
def _names(text: str) -> tuple[str, ...]:
    """Layer names; the snapshots of a run share one copy."""
    return tuple(str(name) for name in json.loads(text))


@lru_cache(maxsize=64)
def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of layer names, the teacher's first."""
    return tuple((str(one), str(other)) for one, other in json.loads(text))


def _numbers(text: str) -> dict[str, float]:
    return {key: float("nan") if value is None else float(value) for key, value in json.loads(text).items()}


def in_force(infos: Sequence[SnapshotInfo]) -> list[SnapshotInfo]:
    """The snapshots that a resume did not take back: a later one of a stage replaces all that are not before it."""
    kept: list[SnapshotInfo] = []
    for info in reversed(infos):
        if not kept or info.stage != kept[-1].stage or info.step < kept[-1].step:
            kept.append(info)
    return kept[::-1]


def read_cka(info: SnapshotInfo) -> np.ndarray | None:
    """The CKA map of one snapshot, (teacher layers, student layers), without reading anything else."""
    table = read_array(info.path, "cka_map")
    shape = (len(info.teacher_layers), len(info.student_layers))
    return table if table is not None and table.shape == shape else None


def read_looks(run: Any, info: SnapshotInfo, kind: str, pair: tuple[str, str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Teacher's and student's arrays of a pair at a moment: `attention` (P, h, w) or `relations` (P, P).

    None where they were not kept, as by runs of before, or a file is damaged.
    """
    teacher = read_array(run.snapshots_dir / TEACHER_FILE, f"{kind}.{pair[0]}")
    student = read_array(info.path, f"{kind}.{pair[1]}")
    return (teacher, student) if teacher is not None and student is not None else None


def read_snapshot(info: SnapshotInfo) -> Snapshot | None:
    """One snapshot with its arrays, None if the file is damaged."""
    from safetensors.numpy import load_file

    try:
        arrays = load_file(info.path)
        return Snapshot(
            step=info.step,
            epoch=info.epoch,
            stage=info.stage,
            time=info.time,
            student_logits=arrays["student_logits"].astype(np.float32),
            pool_student_logits=arrays["pool_student_logits"].astype(np.float32),
            cka_map=arrays.get("cka_map"),
            teacher_layers=list(info.teacher_layers),
            student_layers=list(info.student_layers),
            pair_cka=dict(info.pair_cka),
            pair_error=dict(info.pair_error),
        )
    except Exception:  # see read_probes
        return None


def soften(logits: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(z / T) over the last axis, in float64 and safe for large logits."""
    return np.exp(log_soften(logits, temperature))


def log_soften(logits: np.ndarray, temperature: float, dtype: type = np.float64) -> np.ndarray:
    """log softmax(z / T) over the last axis; `dtype` float32 is several times quicker and good for six digits."""
    scaled = np.asarray(logits, dtype) / dtype(temperature)
    scaled -= scaled.max(axis=-1, keepdims=True)
    scaled -= np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    return scaled


def entropy(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Entropy in nats of softmax(z / T), over the last axis."""
    logs = log_soften(logits, temperature)
    return -(np.exp(logs) * logs).sum(axis=-1)


def class_matrix(logits: np.ndarray, labels: np.ndarray, temperature: float, classes: int) -> np.ndarray:
    """The dark-knowledge matrix: row r is the mean of softmax(z / T) over samples whose label is r.

    Returns:
        (classes, classes); the row of a class without samples is NaN.
    """
    return class_means(soften(logits, temperature), labels, classes)


def class_means(rows: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The mean of rows (N, K) over the samples of each label, (classes, K); NaN for a class without samples."""
    result = np.full((classes, rows.shape[-1]), np.nan, rows.dtype)
    order = np.argsort(labels, kind="stable")
    found, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    if len(found):
        sums = np.add.reduceat(rows[order], starts, axis=0)
        inside = (found >= 0) & (found < classes)
        result[found[inside]] = sums[inside] / counts[inside, None].astype(rows.dtype)
    return result
