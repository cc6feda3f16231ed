"""Training views: normalisation, augmentation on the device, and batches that can start anywhere.

The order of an epoch is a function of the seed and the epoch; the pixels of a sample are one of its views, a function
of the sample's number and the view's. Nothing is carried from batch to batch, so a run that resumes in the middle of an
epoch sees exactly what it would have seen, and what the teacher said of a view can be kept for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from kdstudio.engine.counters import mix, view_keys, whole_numbers
from kdstudio.engine.data.ahead import ahead
from kdstudio.engine.data.base import ArraySplit, DataBundle
from kdstudio.engine.data.disk import on_disk
from kdstudio.engine.text.facts import TextFacts
from kdstudio.project.runs.place import ALONE, Place
from kdstudio.project.spec import DataBase, PixelData, ViewedData

_ORDER, _VIEW = 11, 12
_CROP, _JITTER, _FLIP = 21, 23, 25
_RESIDENT_SHARE = 0.25
"""A split is kept on the accelerator when it takes at most this share of the free memory."""


class Preprocess(nn.Module):
    """What stands between stored samples and a network: 0..255 pixels to normalised floats, or standardised features.

    Args:
        mean, std: Per channel on the 0..1 scale (images), or per dimension (features).
        input_shape: (C, H, W) or (D,).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: list[float], std: list[float], input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.input_shape = tuple(int(size) for size in input_shape)
        shape = (1, -1, 1, 1) if self.is_image else (1, -1)
        # Not in the state dict: they are described by to_dict, and a student's weights hold the student only.
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(shape), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(shape), persistent=False)

    @property
    def is_image(self) -> bool:
        return len(self.input_shape) == 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] in 0..255 (uint8, or float on that scale), or [B, D] features -> float32 of the same shape."""
        values = images.to(torch.float32, copy=True)  # then in place: new memory for each operation costs most
        if self.is_image:
            values.div_(255)
        return values.sub_(self.mean).div_(self.std)

    def to_dict(self) -> dict[str, Any]:
        """A plain description that `from_dict` reads back: mean, std, input_shape and scale (255 or 1)."""
        return {
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "input_shape": list(self.input_shape),
            "scale": 255 if self.is_image else 1,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocess:
        if "text" in data:
            return TokenPreprocess(TextFacts.from_dict(data["text"]), int(data["input_shape"][0]))
        return Preprocess(list(data["mean"]), list(data["std"]), tuple(data["input_shape"]))


class TokenPreprocess(Preprocess):
    """Token ids as a network takes them: int64, without the columns that are padding in every sample.

    Args:
        facts: The text task.
        longest: Tokens of the longest sample.
    """

    def __init__(self, facts: TextFacts, longest: int) -> None:
        super().__init__([], [], (longest,))
        self.facts = facts

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """int [B, S] -> int64 [B, S'], S' <= S."""
        ids = images.long()
        # on a device the answer would have to be waited for; `Batches` has cut what it hands out
        if self.facts.pad is None or ids.device.type != "cpu":
            return ids
        used = (ids != self.facts.pad).any(dim=0).nonzero()
        return ids[:, : int(used[-1]) + 1 if len(used) else 1]

    def to_dict(self) -> dict[str, Any]:
        return {"input_shape": list(self.input_shape), "text": self.facts.to_dict()}


def preprocess_for(bundle: DataBundle) -> Preprocess:
    """What stands between the samples of a bundle and a network."""
    if bundle.text is not None:
        return TokenPreprocess(bundle.text, bundle.input_shape[0])
    return Preprocess(bundle.mean, bundle.std, bundle.input_shape)


def augment(images: torch.Tensor, spec: PixelData, keys: torch.Tensor) -> torch.Tensor:
    """A random view of each image, made on the images' device in one pass.

    Crop and jitter are shifts by whole pixels, uniform in -crop_padding..crop_padding and
    -jitter_pixels..jitter_pixels, with zeros where the shift looks past the edge (a padded random crop is the same
    thing); with both, the shifts add. Flip mirrors left-right with probability 1/2.

    Args:
        images: uint8 [B, C, H, W].
        spec: Says which augmentations, and how far.
        keys: int64 [B], see `view_keys`: the view of an image is a function of its key. On the images' device.

    Returns:
        uint8 [B, C, H, W]; `images` itself where nothing is to be done.
    """
    if not spec.augment or images.ndim != 4:
        return images
    batch, channels, height, width = images.shape
    device, reach = images.device, 0
    across = torch.zeros(batch, dtype=torch.int64, device=device)
    down = across
    for word, purpose, far in (("crop", _CROP, spec.crop_padding), ("jitter", _JITTER, spec.jitter_pixels)):
        if word in spec.augment:
            down = down + whole_numbers(keys, purpose, -far, far)
            across = across + whole_numbers(keys, purpose + 1, -far, far)
            reach += far
    # a view is a window into the padded image or into its mirror image: rows that are copied whole, at an offset
    tall, wide = height + 2 * reach, width + 2 * reach
    first = torch.arange(batch, device=device)
    flips = "flip" in spec.augment
    padded = images.new_zeros(1 + flips, batch, channels, tall, wide)
    inner = padded[..., reach : reach + height, reach : reach + width]
    inner[0] = images
    if flips:
        inner[1] = images.flip(3)
        mirrored = whole_numbers(keys, _FLIP, 0, 1)
        first = first + batch * mirrored
        across = across * (1 - 2 * mirrored)  # the shift is made before the image is mirrored
    starts = (first * channels * tall + down + reach) * wide + across + reach
    lines = torch.arange(channels, device=device)[:, None] * tall + torch.arange(height, device=device)
    windows = padded.view(-1).unfold(0, width, 1)  # index_select copies its rows as they are; indexing does not
    return windows.index_select(0, (starts[:, None, None] + lines * wide).flatten()).view(images.shape)


def fixed_view(preprocess: Preprocess, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a network is given of stored samples without augmentation, and its targets: one each, or one a position."""
    if isinstance(preprocess, TokenPreprocess) and preprocess.facts.is_language_model:
        inputs, targets = preprocess.facts.fixed_view(images.long(), 0, labels)
        return inputs, targets.flatten()
    return preprocess(images), labels


@dataclass
class Batch:
    """One batch on the device.

    Attributes:
        images: uint8 [B, C, H, W], augmented; or float32 [B, D]; or int32 [B, S] token ids.
        labels: int64 [B]; of language models and taggers [B, S], the token or tag that is to be said at each place.
        indices: int64 [B], the samples' numbers in the split.
        here: The same on the CPU, so that what lies there can be fetched without waiting for the device.
        prompt: Of text that the student wrote, the tokens of each sample that it was given; 0 where all are data.
        whole: Samples of the batch on all ranks together; 0 where these are all.
        share: How much of the whole batch these are; 0 where another rank has them too, and they do not count here.
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    here: torch.Tensor
    prompt: int = 0
    whole: int = 0
    share: float = 1.0


class _Rows(NamedTuple):
    """Samples before they are sent to the device; their numbers, and the same on the CPU."""

    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    here: torch.Tensor


class Batches:
    """The batches of a split, shuffled anew in each epoch.

    The last batch is smaller where the size does not divide; a single left-over sample joins the batch before it,
    because batch normalisation cannot work on one sample.

    Args:
        split: The samples.
        batch_size: Samples per batch.
        seed: The order is a function of this and the epoch; so are the views, where there is a new one in each epoch.
        device: Where the batches are wanted. The whole split is moved there once if it is small enough.
        spec: The augmentations, and how many views there are; None for none.
        text: The text task, where samples are token ids.
        anew: Whether each epoch has a new view, whatever the spec says.
        place: Which rank wants its slices of the batches.
    """

    def __init__(
        self,
        split: ArraySplit,
        batch_size: int,
        seed: int,
        device: torch.device | str,
        spec: DataBase | None,
        text: TextFacts | None = None,
        anew: bool = False,
        place: Place = ALONE,
    ) -> None:
        self.split = split
        self.place = place
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.seed = seed
        self.views = spec.views if isinstance(spec, ViewedData) and not anew else None
        self.spec = spec if isinstance(spec, PixelData) else None
        self.text = text
        self.lengths: torch.Tensor | None = None
        if text is not None and text.pad is not None:
            self.lengths = (split.images != text.pad).sum(dim=1)  # on the CPU: a device would have to be waited for
        self.count = len(split)
        self.from_disk = on_disk(split.images) is not None
        home = self.device if not self.from_disk and _fits(split, self.device) else torch.device("cpu")
        self._images = split.images if self.from_disk else split.images.to(home)
        self._labels = split.labels.to(home)
        self._starts = list(range(0, self.count, batch_size))
        if batch_size > 1 and len(self._starts) > 1 and self.count - self._starts[-1] == 1:
            self._starts.pop()

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def resident(self) -> bool:
        """Whether all samples lie on the device."""
        return self._images.device == self.device

    @property
    def streamed(self) -> bool:
        """Whether batches are gathered ahead in other threads: from the disk, or for a device they do not fit on."""
        return self.from_disk or (not self.resident and self.device.type == "cuda")

    @property
    def varies(self) -> bool:
        """Whether a sample has more than one view."""
        augmented = self.spec is not None and bool(self.spec.augment) and self._images.ndim == 4
        return augmented or (self.text is not None and self.text.hides)

    def view(self, epoch: int) -> int:
        """The number of the view that all samples have in an epoch.

        With V views they take turns, and each seed begins with another; view v of a sample is the same for all seeds.
        """
        if not self.varies:
            return 0
        number = mix(self.seed, _VIEW, epoch if self.views is None else 0)
        return number if self.views is None else (number + epoch) % self.views

    def order(self, epoch: int) -> torch.Tensor:
        """int64 [N]: the sample numbers in the order of this epoch."""
        generator = torch.Generator().manual_seed(_seed(self.seed, _ORDER, epoch))
        return torch.randperm(self.count, generator=generator)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, or the rank's slices of them, from batch number `start` on."""
        order, view = self.order(epoch), self.view(epoch)
        ends = [*self._starts[1:], self.count]
        places = [self._place(self._starts[number], ends[number]) for number in range(start, len(self._starts))]
        if self.streamed:
            made = ahead([order[place] for place, _, _ in places], self._gathered)
        else:
            there = order.to(self._images.device)
            made = (self._there(there[place], order[place]) for place, _, _ in places)
        for (_, whole, share), rows in zip(places, made):
            batch = self._batch(rows, view)
            batch.whole, batch.share = whole, share
            yield batch

    def _place(self, begin: int, end: int) -> tuple[slice, int, float]:
        """The rank's slice of the samples begin..end of an epoch's order; `whole` and `share` of the batch."""
        if self.place.size == 1:
            return slice(begin, end), 0, 1.0
        first, last, counts = slice_of(end - begin, self.place)
        return slice(begin + first, begin + last), end - begin, counts * (last - first) / (end - begin)

    def rows(self, start: int, end: int, view: int) -> Batch:
        """Samples start..end of the split in one of their views."""
        order = torch.arange(start, end)
        rows = self._gathered(order) if self.streamed else self._there(order.to(self._images.device), order)
        return self._batch(rows, view)

    def _there(self, indices: torch.Tensor, here: torch.Tensor) -> _Rows:
        """Some samples, by their numbers where the samples lie and on the CPU."""
        images = self._images.index_select(0, indices)  # copies rows as they are: a tenth of what indexing takes
        if self.lengths is not None:
            images = images[:, : max(1, int(self.lengths[here].max()))]
        return _Rows(images, self._labels.index_select(0, indices), indices, here)

    def _gathered(self, here: torch.Tensor) -> _Rows:
        """Some samples in memory from which the device can fetch them; made in another thread."""
        rows = self._there(here, here)
        if self.device.type != "cuda":
            return rows
        return _Rows(rows.images.pin_memory(), rows.labels.pin_memory(), here.pin_memory(), here)

    def _batch(self, rows: _Rows, view: int) -> Batch:
        """The batch of some samples in one of their views, on the device."""
        sent = (rows.images, rows.labels, rows.indices)
        images, labels, indices = (tensor.to(self.device, non_blocking=True) for tensor in sent)
        if self.spec is not None and self.spec.augment:
            images = augment(images, self.spec, view_keys(indices, view))
        if self.text is not None and self.text.is_language_model:
            images, labels = self.text.view(images.long(), view_keys(indices, view), labels)
        return Batch(images, labels, indices, rows.here)


def sharers(samples: int, ranks: int) -> int:
    """How many ranks share a batch: none has a single sample, because batch normalisation cannot work on one."""
    return max(1, min(ranks, samples // 2))


def slice_of(samples: int, place: Place) -> tuple[int, int, bool]:
    """A rank's slice of a batch: first sample, the one behind the last, and whether it counts.

    Slices differ by one sample at most, the longer ones first. A rank without a slice of its own takes that of rank 0,
    which does not count, so that all keep step.
    """
    sharing = sharers(samples, place.size)
    rank = place.rank if place.rank < sharing else 0
    size, longer = divmod(samples, sharing)
    first = rank * size + min(rank, longer)
    return first, first + size + (rank < longer), place.rank < sharing


def _seed(*parts: int) -> int:
    # A generator takes 63 bits without a sign.
    return mix(*parts) >> 1


def _fits(split: ArraySplit, device: torch.device) -> bool:
    if device.type == "cpu":
        return True
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return split.images.nbytes <= free * _RESIDENT_SHARE
    return split.images.nbytes <= 2**30
