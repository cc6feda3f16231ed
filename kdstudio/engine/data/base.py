"""What every data source hands over: splits as tensors, the names of the classes, and facts about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
import torch

from kdstudio.engine.data.disk import chosen, joined, on_disk, pieces

if TYPE_CHECKING:
    from kdstudio.engine.text.facts import TextFacts
    from kdstudio.engine.text.tokens import Tokenizer

Progress = Callable[[str, int, int], None]
"""Called as `progress(label, done, total)` while a source reads or downloads; total is 0 where it is not known."""


@dataclass
class ArraySplit:
    """Samples of one split.

    Attributes:
        images: uint8 [N, C, H, W] in 0..255, float32 [N, D] for features, or int32 [N, S] for token ids. Images that do
            not fit into memory are `DiskImages`, which are asked for samples, slices and pieces as a tensor is.
        labels: int64 [N]; zeros for language models, whose targets are in the text.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def select(self, indices: np.ndarray | torch.Tensor) -> ArraySplit:
        """The samples at `indices` (int64 [M]), copied; on the disk where they are and take much."""
        places = torch.as_tensor(indices, dtype=torch.int64)
        return ArraySplit(chosen(self.images, places), self.labels[places])


def together(splits: Sequence[ArraySplit]) -> ArraySplit:
    """The samples of several splits, one behind the other."""
    images = joined([split.images for split in splits])
    return ArraySplit(images, torch.cat([split.labels for split in splits]))


@dataclass
class Stored:
    """What the pictures of a folder are before they are resized.

    Attributes:
        smallest, largest: (H, W) of those with the fewest and the most pixels.
        grey: Whether all of them are known to be grey: they were read in colour, and have none.
    """

    smallest: tuple[int, int]
    largest: tuple[int, int]
    grey: bool


@dataclass
class DataBundle:
    """A data source, read and split.

    Attributes:
        name: Short name of the source, for people.
        train, validation, test: The splits; disjoint, the same for the same spec on every machine.
        classes: Names in label order.
        input_shape: Shape of one sample, (C, H, W) or (D,).
        mean, std: Of the training samples: per channel on the 0..1 scale for images, per dimension for features.
            Where a channel or dimension is constant, std is 1.
        problems: Warnings about the data, each a sentence.
        source: Kind of the source, as in the spec.
        stored: Of an image folder.
        left_out: Classes that the student's training samples lack (`data.leave_out`), rising.
        tokenizer, text: Of texts, what turned them into tokens, and what is asked of them.
        unlabelled: Training samples whose labels are not used: they only tell how well others guess them, and are -1
            where they are not known. None where all are used.
        extra: What a stage learns from in place of the transfer set, by its name: with samples of the pool.
        lengths: Of labelled texts, the tokens of all that were read, before they were cut; in no order of the splits.
        contents: Stands for the samples in the fingerprint where there are too many to read them.
    """

    name: str
    train: ArraySplit
    validation: ArraySplit
    test: ArraySplit
    classes: list[str]
    input_shape: tuple[int, ...]
    mean: list[float]
    std: list[float]
    problems: list[str] = field(default_factory=list)
    source: str = ""
    stored: Stored | None = None
    left_out: tuple[int, ...] = ()
    tokenizer: Tokenizer | None = None
    text: TextFacts | None = None
    unlabelled: ArraySplit | None = None
    extra: dict[str, ArraySplit] = field(default_factory=dict)
    contents: str = ""
    lengths: np.ndarray | None = None

    @property
    def outputs(self) -> int:
        """How many logits a network gives: one a class, or one a token of a language model's vocabulary."""
        language = self.text is not None and self.text.is_language_model
        return self.text.outputs if language and self.text is not None else len(self.classes)

    @property
    def is_language(self) -> bool:
        """Whether the targets are tokens of the text."""
        return self.text is not None and self.text.is_language_model

    @property
    def splits(self) -> dict[str, ArraySplit]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @cached_property
    def transfer(self) -> ArraySplit:
        """What the student learns from: the training samples without the classes that are left out."""
        if not self.left_out:
            return self.train
        return self.train.select(torch.nonzero(~torch.isin(self.train.labels, torch.tensor(self.left_out))).flatten())

    def add_unlabelled(self, split: ArraySplit) -> None:
        """Adds samples without labels (-1) to those whose labels are not used."""
        if self.unlabelled is not None:
            split = together([self.unlabelled, split])
        self.unlabelled = split

    def taught(self, stage: str) -> ArraySplit:
        """What a stage of a run learns from: teachers have all training samples, the others the transfer set."""
        if stage in self.extra:
            return self.extra[stage]
        return self.train if stage.startswith("teacher") else self.transfer

    def origin(self) -> dict[str, str]:
        """What travels with a student: the kind of the source, and its name without the folders above it."""
        return {"source": self.source, "name": PurePath(self.name).name or self.source}

    def counts(self) -> dict[str, list[int]]:
        """Samples per class of each split: {"train": [n of class 0, ...], "validation": ..., "test": ...}.

        Those for training are the student's.
        """
        splits = {**self.splits, "train": self.transfer}
        return {
            name: torch.bincount(split.labels[split.labels >= 0], minlength=len(self.classes)).tolist()
            for name, split in splits.items()
        }

    def fingerprint(self) -> str:
        """A hash of the contents and of the split: 32 hexadecimal digits, the same on every machine.

        Caches are keyed by it, so it covers all that a teacher sees: samples, labels, their order and classes. What
        the student's training samples lack is not in it, so that a teacher is kept for all transfer sets.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        digest.update("\0".join(self.classes).encode())
        if self.tokenizer is not None:
            digest.update(self.tokenizer.fingerprint().encode())
        if self.contents:
            digest.update(self.contents.encode())
            return digest.hexdigest()
        disk = next((found for split in self.splits.values() if (found := on_disk(split.images)) is not None), None)
        if disk is None:
            return self._digested(digest)
        # all of it is read for that, so it is noted beside the files
        brief = hashlib.blake2b(digest.digest(), digest_size=16)
        for split in self.splits.values():
            there = on_disk(split.images)
            samples = split.images.numpy() if there is None else there.name
            for part in (samples, split.labels.numpy()):
                brief.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else part.encode())
        return str(disk.noted(f"fingerprint {brief.hexdigest()}", lambda: self._digested(digest)))

    def _digested(self, digest: hashlib.blake2b) -> str:
        """The hash with all samples in it."""
        for name, split in self.splits.items():
            for whole in (split.images, split.labels):
                kind = str(whole.dtype).removeprefix("torch.")
                digest.update(f"\0{name} {kind} {tuple(whole.shape)}\0".encode())
                for piece in pieces(whole):
                    array = piece.numpy()
                    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
                    digest.update(little.data if little.size else b"")
        return digest.hexdigest()


def statistics(images: torch.Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of training samples.

    Args:
        images: uint8 [N, C, H, W] (per channel, on the 0..1 scale), or float32 [N, D] (per dimension).

    Returns:
        mean, std; the std of a constant channel or dimension is 1, so that dividing by it is safe.
    """
    if images.ndim == 2:
        wide = images.double()
        means, deviations = wide.mean(0), wide.std(0, correction=0)
    else:
        # From counts of the 256 values: exact, and without a float copy of the whole set.
        disk = on_disk(images)
        counts = torch.tensor(_counts(images) if disk is None else disk.noted("counts", lambda: _counts(images)))
        shares = counts.double() / counts.sum(dim=1, keepdim=True)
        values = torch.arange(256, dtype=torch.float64) / 255
        means = (shares * values).sum(dim=1)
        deviations = (shares * (values - means[:, None]) ** 2).sum(dim=1).sqrt()
    deviations = torch.where(deviations < 1e-6, torch.ones_like(deviations), deviations)
    return means.tolist(), deviations.tolist()


def _counts(images: torch.Tensor) -> list[list[int]]:
    """How often each of the 256 values occurs in each channel of uint8 [N, C, H, W]."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for piece in pieces(images):
        for channel, values in enumerate(piece.transpose(0, 1).numpy()):
            counts[channel] += np.bincount(values.ravel(), minlength=256)
    return counts.tolist()
