"""Pictures for the quality panel: the samples that the scorecard lists, and what each network says of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor
from torch.nn import functional

from kdstudio.engine.data import DataBundle, Preprocess
from kdstudio.engine.evaluate import predict
from kdstudio.engine.student_io import Student
from kdstudio.project.runs.evaluation import EVALUATION_FILE, LISTS
from kdstudio.project.runs.folder import RunFolder, write_bytes

#: Larger pictures are made smaller: they are looked at as thumbnails, and the file stays small.
LARGEST_SIDE = 128
#: Letters of a text.
LONGEST_TEXT = 2000


def write_samples(
    run: RunFolder,
    scorecard: dict[str, Any],
    networks: dict[str, Student],
    bundle: DataBundle,
    device: torch.device,
) -> None:
    """Writes the student's worst and most disagreeing samples of the reported split, and its validation logits.

    Args:
        run: Where they go.
        scorecard: Of these networks on these data.
        networks: On the device.
        bundle: The data.
        device: Where the networks are.
    """
    split_name = scorecard["reported_split"]
    measured = scorecard["networks"]["student"][split_name]
    listed = {"worst": measured["worst"], "disagreeing": measured.get("fidelity", {}).get("disagreeing", [])}
    indices = np.array(sorted({index for found in listed.values() for index in found}), np.int64)
    if not len(indices):
        return
    chosen = bundle.splits[split_name].select(indices)
    arrays: dict[str, np.ndarray] = {"indices": indices, "labels": chosen.labels.numpy()}
    for name in LISTS:
        arrays[name] = np.searchsorted(indices, np.array(listed[name], np.int64)).astype(np.int64)
    for name, network in networks.items():
        preprocess = Preprocess.from_dict(network.preprocess.to_dict()).to(device)
        confidence, predicted = predict(network.model, preprocess, chosen, device).softmax(dim=1).max(dim=1)
        arrays[f"predicted_{name}"] = predicted.numpy()
        arrays[f"confidence_{name}"] = confidence.numpy()
    if chosen.images.ndim == 4:
        arrays["images"] = thumbnails(chosen.images).permute(0, 2, 3, 1).numpy()
    student = networks["student"]
    preprocess = Preprocess.from_dict(student.preprocess.to_dict()).to(device)
    arrays["validation_logits"] = predict(student.model, preprocess, bundle.validation, device).numpy()
    arrays["validation_labels"] = bundle.validation.labels.numpy()
    meta = {"split": split_name, "classes": json.dumps(bundle.classes)}
    if bundle.tokenizer is not None:
        texts = (bundle.tokenizer.text(ids) for ids in chosen.images.tolist())
        meta["texts"] = json.dumps([text[:LONGEST_TEXT] for text in texts])
    contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    write_bytes(run.path / EVALUATION_FILE, save(contiguous, metadata=meta))


def thumbnails(images: Tensor) -> Tensor:
    """Pictures of at most `LARGEST_SIDE` pixels a side: uint8 (N, C, H, W) to the same with smaller sides."""
    longest = max(images.shape[-2:])
    if longest <= LARGEST_SIDE:
        return images
    size = [max(1, round(side * LARGEST_SIDE / longest)) for side in images.shape[-2:]]
    return functional.interpolate(images.float(), size, mode="area").round().clamp(0, 255).to(torch.uint8)
