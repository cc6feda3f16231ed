"""Sequence-level distillation: the teacher writes training blocks, once; the student learns from them as from data.

Kim and Rush 2016, Sequence-Level Knowledge Distillation (1606.07947), section 3.2, with what is drawn from the
teacher's distribution in the place of a beam's best.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import nn

from kdstudio.engine.counters import mix
from kdstudio.engine.data import ArraySplit, DataBundle
from kdstudio.engine.data.splits import sort_keys
from kdstudio.engine.text.generate import write
from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.spec.language import WrittenSpec

#: Blocks are written in groups of so many, each with a seed of its own.
GROUP = 16
#: What was written is saved this often.
SAVE_SECONDS = 10.0
#: Part of every key; raised when the same settings come to mean another text.
RECIPE = 1
_ORDER, _WORDS = 51, 52
Progress = Callable[[str, int, int], None]


def taught_by_teacher(
    teacher: nn.Module,
    folder: Path,
    bundle: DataBundle,
    spec: WrittenSpec,
    device: torch.device,
    progress: Progress,
) -> ArraySplit:
    """The student's training blocks, a share of them replaced by what the teacher made of their beginnings.

    There are as many blocks as before, so that the budget is the same. What was written lies in the teacher's folder;
    it is read from there, and what is missing is written, also after an interruption.

    Args:
        teacher: Of the task causal-lm.
        folder: Where it is kept.
        bundle: The data.
        spec: How much is written and how.
        device: The teacher's.
        progress: Called as `progress(label, done, total)`; may raise to interrupt.

    Returns:
        Blocks int32 (N, S) in the order of the data.
    """
    assert isinstance(teacher, TextNetwork)
    blocks = bundle.transfer
    order = np.argsort(sort_keys(len(blocks), spec.seed, _ORDER), kind="stable")
    count = max(1, round(spec.share * len(order)))
    # whole groups, so that another share of the same text begins alike
    whole = min(len(order), -(-count // GROUP) * GROUP)
    path = written_path(folder, bundle, spec)
    rows = read_rows(path, bundle.input_shape[0])
    kept, saved = len(rows), time.monotonic()
    try:
        while len(rows) < whole:
            progress("the teacher writes", len(rows), whole)
            places = order[len(rows) : len(rows) + GROUP]
            prompts = blocks.images[torch.from_numpy(places)][:, : spec.prompt_tokens].long().to(device)
            seed = mix(spec.seed, _WORDS, len(rows) // GROUP) >> 1
            new = bundle.input_shape[0] - spec.prompt_tokens
            ids = write(teacher, prompts, new, seed, spec.temperature, spec.top_k)
            rows = np.concatenate([rows, ids.cpu().numpy().astype(np.int32)])
            if time.monotonic() - saved > SAVE_SECONDS:
                _save_rows(path, rows)
                kept, saved = len(rows), time.monotonic()
    finally:
        if len(rows) > kept:
            _save_rows(path, rows)
    images = blocks.images.clone()
    images[torch.from_numpy(order[:count].copy())] = torch.from_numpy(rows[:count])
    return ArraySplit(images, blocks.labels)


def written_path(folder: Path, bundle: DataBundle, spec: WrittenSpec) -> Path:
    """Where the teacher's text is kept; its name stands for all that decides it beside the teacher and the share."""
    described = {
        "recipe": RECIPE,
        "data": bundle.fingerprint(),
        "blocks": len(bundle.transfer),
        "spec": spec.model_dump(mode="json", exclude={"share"}),
    }
    key = hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=8).hexdigest()
    return folder / f"written-{key}.safetensors"


def read_rows(path: Path, width: int) -> np.ndarray:
    """The blocks that are there, int32 (M, S); none where there is no file or it is damaged."""
    try:
        found = load(path.read_bytes())["blocks"]
    except (OSError, SafetensorError, KeyError):
        found = np.empty((0, width), np.int32)
    return found if found.ndim == 2 and found.shape[1] == width else np.empty((0, width), np.int32)


def _save_rows(path: Path, rows: np.ndarray) -> None:
    write_bytes(path, save({"blocks": rows}))
