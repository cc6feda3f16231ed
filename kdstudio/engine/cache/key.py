"""What an entry of the cache is named by: all that a teacher's answer depends on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

from kdstudio.engine.cache.store import FORMAT
from kdstudio.engine.data import Batches, Preprocess
from kdstudio.engine.data.disk import on_disk, pieces

#: Part of every key; raised when a change in the engine makes the same views or answers come out otherwise.
RECIPE = 1


def cache_key(teacher: nn.Module, batches: Batches, preprocess: Preprocess, precision: str, kept: str) -> str:
    """16 hexadecimal digits: teacher's network and weights, samples in their order, preprocessing, views, precision.

    Views have numbers that stand in the entry; labels and the objective are not in it, nor is the seed: experiments,
    sweeps and seeds share what the teacher says of the same pixels.

    Args:
        teacher: The network.
        batches: The samples, and how views are made of them.
        preprocess: What makes inputs of them.
        precision: The arithmetic of the teacher's forward pass.
        kept: The type in which answers are kept.
    """
    digest = hashlib.sha256()  # processors have instructions for it: of a small teacher's pass hashing is a tenth
    described: dict[str, Any] = {
        "format": FORMAT,
        "recipe": RECIPE,
        "network": str(teacher),
        "preprocess": preprocess.to_dict(),
        "augment": None,
        "precision": precision,
        "kept": kept,
    }
    if batches.spec is not None and batches.spec.augment:
        spec = batches.spec
        described["augment"] = [sorted(spec.augment), spec.crop_padding, spec.jitter_pixels]
    digest.update(json.dumps(described, sort_keys=True).encode())
    for name, tensor in teacher.state_dict().items():
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(_bytes_of(tensor))
    images = batches.split.images
    digest.update(f"\0samples {images.dtype} {tuple(images.shape)}\0".encode())

    def digested() -> str:
        for part in pieces(images):
            digest.update(_bytes_of(part))
        return digest.hexdigest()[:16]

    disk = on_disk(images)
    return digested() if disk is None else str(disk.noted(f"cache {digest.hexdigest()}", digested))


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")
