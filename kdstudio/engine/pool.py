"""The pool: samples without labels, what the teacher says of them, and which of them a student learns from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch import Tensor, nn

from kdstudio.engine.counters import mix
from kdstudio.engine.data import ArraySplit, DataBundle, Preprocess, load_data
from kdstudio.engine.data.base import together
from kdstudio.engine.evaluate import predict
from kdstudio.engine.samples import thumbnails
from kdstudio.engine.text.facts import IGNORED
from kdstudio.project.errors import DataError
from kdstudio.project.pool import kept_of
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.spec import Experiment, PoolSpec

#: So many of the least and of the most certain samples are kept as pictures, to look at.
SHOWN = 12
_NOISE = 31


@dataclass
class Pool:
    """Samples without labels.

    Attributes:
        images: As in `ArraySplit`.
        truth: int64 (N), the labels that they really have, where they were hidden on purpose, and -1 elsewhere. Never
            learned from: they only tell how often the teacher was right.
    """

    images: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.truth)


def gather(experiment: Experiment, bundle: DataBundle, root: Path, progress: Callable[[str, int, int], None]) -> Pool:
    """All samples without labels of an experiment.

    Raises:
        DataError: There are none, or they have another shape than the labelled ones.
    """
    spec = experiment.unlabelled
    assert spec is not None
    parts = [bundle.unlabelled] if bundle.unlabelled is not None else []
    if spec.data is not None:
        other = load_data(spec.data, root, progress)
        if other.input_shape != bundle.input_shape:
            raise DataError(
                f"unlabelled.data: its samples have the shape {other.input_shape}, and the others {bundle.input_shape}",
                "both go through the same networks",
                "choose data of that shape, or set unlabelled.data.image_size and grayscale to match",
            )
        splits = list(other.splits.values()) + ([other.unlabelled] if other.unlabelled is not None else [])
        images = together(splits).images
        parts.append(ArraySplit(images, torch.full((len(images),), -1)))
    if spec.noise:
        if len(bundle.input_shape) != 3:
            raise DataError("unlabelled.noise: noise is made as pictures, and the samples are none", fix="set it to 0")
        generator = torch.Generator().manual_seed(mix(experiment.data.split_seed, _NOISE) >> 1)
        shape = (spec.noise, *bundle.input_shape)
        noise = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        parts.append(ArraySplit(noise, torch.full((spec.noise,), -1)))
    if not sum(len(part) for part in parts):
        raise DataError(
            "unlabelled: there are no samples without labels",
            "all training samples have labels, and neither unlabelled.data nor unlabelled.noise adds others",
            "set data.labelled to the share that keeps its labels, or give unlabelled.data",
        )
    whole = together(parts)
    return Pool(whole.images, whole.labels)


def ask(
    teacher: nn.Module,
    pool: Pool,
    preprocess: Preprocess,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the un-noised teacher says: eval mode, no augmentation (Noisy Student, 1911.04252, algorithm 1).

    Returns:
        confidence: float32 (N), the probability of its answer; predicted: int32 (N).
    """
    logits = predict(teacher, preprocess, ArraySplit(pool.images, pool.truth), device, progress=progress)
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    return confidence.numpy().astype(np.float32), predicted.numpy().astype(np.int32)


def chosen(pool: Pool, confidence: np.ndarray, predicted: np.ndarray, spec: PoolSpec, classes: int) -> ArraySplit:
    """The samples that a student learns from, some of them several times; labels by the teacher, or `IGNORED`."""
    places = torch.from_numpy(kept_of(confidence, predicted, spec, classes))
    labels = torch.from_numpy(predicted.astype(np.int64))[places]
    if spec.labels == "soft":
        labels = torch.full_like(labels, IGNORED)
    return ArraySplit(ArraySplit(pool.images, pool.truth).select(places).images, labels)


def label_pool(
    run: RunFolder,
    stage: str,
    teacher: nn.Module,
    experiment: Experiment,
    bundle: DataBundle,
    pool: Pool,
    preprocess: Preprocess,
    device: torch.device,
    progress: Callable[[str, int, int], None],
) -> ArraySplit:
    """What a stage of a run learns from: the labelled samples and those of the pool that its teacher is sure of.

    What the teacher said is written to `pool/STAGE.safetensors`, and read from there when the run is resumed.

    Raises:
        DataError: Nothing is left to learn from.
    """
    spec = experiment.unlabelled
    assert spec is not None
    path = run.pool_path(stage)
    if path.exists():
        kept = load_file(path)
        confidence, predicted = kept["confidence"], kept["predicted"]
    else:

        def tell(done: int, total: int) -> None:
            progress("labelling the pool", done, total)

        confidence, predicted = ask(teacher, pool, preprocess, device, tell)
        write_pool(path, pool, confidence, predicted, bundle)
    found = chosen(pool, confidence, predicted, spec, len(bundle.classes))
    if not len(found) and not spec.labelled_too:
        raise DataError(
            f"unlabelled.threshold: the teacher is sure of none of the {len(pool):,} samples ({spec.threshold:g})",
            fix="lower unlabelled.threshold, or set unlabelled.labelled_too to true",
        )
    own = bundle.transfer
    if not spec.labelled_too:
        return found
    return together([own, found])


def write_pool(path: Path, pool: Pool, confidence: np.ndarray, predicted: np.ndarray, bundle: DataBundle) -> None:
    """Writes what a teacher said, with the samples that it is least and most sure of, for `project.pool.read_pool`."""
    arrays = {"confidence": confidence, "predicted": predicted, "truth": pool.truth.numpy().astype(np.int32)}
    order = np.argsort(confidence, kind="stable")
    for name, places in (("least", order[:SHOWN]), ("most", order[::-1][:SHOWN])):
        arrays[f"{name}_indices"] = np.ascontiguousarray(places)
        if pool.images.ndim == 4:
            pictures = thumbnails(pool.images[torch.from_numpy(places.copy())])
            arrays[f"{name}_images"] = np.ascontiguousarray(pictures.permute(0, 2, 3, 1).numpy())
    meta = {"classes": json.dumps(bundle.classes)}
    if bundle.tokenizer is not None:
        read = bundle.tokenizer.text
        shown = {name: [read(pool.images[int(at)]) for at in arrays[f"{name}_indices"]] for name in ("least", "most")}
        meta["texts"] = json.dumps(shown)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save(arrays, metadata=meta))
