"""Students of every family, made in a moment: random weights, and batch statistics of a few batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kdstudio.engine.data import ArraySplit, DataBundle, Preprocess
from kdstudio.engine.data.base import statistics
from kdstudio.engine.export import check
from kdstudio.engine.export.verify import file_hash, verify
from kdstudio.engine.models import build_model
from kdstudio.engine.student_io import save_student
from kdstudio.project.spec import ModelSpec

NAMES = ["cat", "dog", "<owl>", "möwe"]
OWN_MODEL = """
from torch import nn
from blocks import Block

def build(input_shape, num_classes, width=6):
    return nn.Sequential(Block(input_shape[0], width), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, num_classes))
"""
OWN_BLOCKS = """
from torch import nn

class Block(nn.Sequential):
    def __init__(self, inputs, width):
        super().__init__(nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
"""


def make_data(shape: tuple[int, ...] = (1, 8, 8), samples: int = 40, seed: int = 7) -> DataBundle:
    """Random samples of unequal brightness; all splits are the same size."""
    generator = torch.Generator().manual_seed(seed)

    def split() -> ArraySplit:
        labels = torch.arange(samples) % len(NAMES)
        if len(shape) == 1:
            return ArraySplit(torch.randn(samples, *shape, generator=generator) * 3 + 1, labels)
        bright = torch.rand(samples, 1, 1, 1, generator=generator) * 255
        return ArraySplit((torch.rand(samples, *shape, generator=generator) * bright).to(torch.uint8), labels)

    train = split()
    mean, std = statistics(train.images)
    return DataBundle("made up", train, split(), split(), NAMES, shape, mean, std)


def make_student(
    folder: Path,
    bundle: DataBundle,
    seed: int = 0,
    scale: float = 1.0,
    root: Path | None = None,
    **spec: Any,
) -> Path:
    """A student folder. `scale` multiplies the last linear layer."""
    torch.manual_seed(seed)
    described = ModelSpec(**{"model": "mlp", **spec})
    model = build_model(described, bundle.input_shape, len(bundle.classes), root or folder, trusted=True)
    preprocess = Preprocess(bundle.mean, bundle.std, bundle.input_shape)
    model.train()
    with torch.no_grad():
        for images in bundle.train.images.split(20):
            model(preprocess(images))
        last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
        last.weight.mul_(scale)
        last.bias.mul_(scale)
    save_student(
        folder,
        model.eval(),
        described,
        bundle.input_shape,
        bundle.classes,
        preprocess.to_dict(),
        {"role": "student", "run": "made-up/001"},
        root,
    )
    return folder


def own_model(root: Path) -> Path:
    """A project folder with a model file of a person's own, and the neighbour that it imports."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "models.py").write_text(OWN_MODEL, encoding="utf-8")
    (root / "blocks.py").write_text(OWN_BLOCKS, encoding="utf-8")
    return root


def rehash(folder: Path) -> None:
    """Writes the SHA-256 of what lies there now, as someone would who wants to hide a change."""
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    metadata["files"] = {name: file_hash(folder / name) for name in metadata["files"] if (folder / name).exists()}
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check without its two seconds of starting Python: for the many ways in which artifacts are damaged."""

    def here(folder: Path, cases: Path, trusted: bool, seconds: float) -> dict[str, Any]:
        return verify(folder, cases, trusted)

    monkeypatch.setattr(check, "_fresh_process", here)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the checking processes that were started."""
    seen: list[list[str]] = []
    original: Callable[..., Any] = check.subprocess.run

    def counted(command: list[str], **options: Any) -> Any:
        seen.append(command)
        return original(command, **options)

    monkeypatch.setattr(check.subprocess, "run", counted)
    return seen
