"""Data: where samples come from, how they are split, and how training views are made."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kdstudio.project.spec.base import Strict

Augmentation = Literal["crop", "flip", "jitter"]


class DataBase(Strict):
    """What every data source shares."""

    batch_size: int = Field(128, ge=1, le=65536)
    """Samples per optimizer step, over all devices (usual range 32 to 512)."""
    validation_fraction: float = Field(0.1, gt=0, lt=0.9)
    """Share of the training samples held out to choose the best checkpoint (usual 0.1)."""
    split_seed: int = Field(0, ge=0)
    """Seed of the split into training, validation and (where a source has none) test samples."""
    train_limit: int | None = Field(None, ge=1)
    """Use at most this many training samples, chosen class-balanced by the split seed (empty: all)."""
    labelled: float | None = Field(None, gt=0, lt=1)
    """Share of the training samples whose labels are used, class-balanced; the rest is the pool (empty: all)."""
    leave_out: list[str] = Field(default_factory=list)
    """Classes, by name or number, that the student's training samples lack (for example 3). The teacher learns all."""

    @field_validator("leave_out", mode="before")
    @classmethod
    def _numbers_as_text(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]


class ViewedData(DataBase):
    """A source whose samples may look otherwise in each epoch."""

    views: int | None = Field(None, ge=1, le=4096)
    """Views of each sample that the student's epochs go through in turn (empty: new ones in each; usual 4 to 8)."""


class PixelData(ViewedData):
    """A source of pictures, or of features in their place."""

    augment: list[Augmentation] = Field(default_factory=list)
    """Random views for training: crop (shift with padding), flip (left-right), jitter (shift by a few pixels)."""
    crop_padding: int = Field(4, ge=0, le=64)
    """Pixels of zero padding around the image before the random crop (4 is usual for 32 x 32)."""
    jitter_pixels: int = Field(2, ge=0, le=64)
    """Largest shift in pixels that jitter makes in each direction (Hinton's MNIST used 2)."""


class SplitData(DataBase):
    """A source that may have no test samples of its own, so that some are held out."""

    test_fraction: float = Field(0.15, gt=0, lt=0.9)
    """Share of all samples held out for the test, before validation; no effect on a folder with test/ (usual 0.15)."""

    @model_validator(mode="after")
    def _fractions(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction ({self.validation_fraction:g}) and test_fraction ({self.test_fraction:g}) "
                "must be less than 1 together; for example 0.1 and 0.15"
            )
        return self


class Digits(SplitData, PixelData):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels. Comes with the program; needs no download."""

    source: Literal["digits"] = "digits"
    """scikit-learn's digits, which come with the program."""


class KnownImages(PixelData):
    """A well-known image set: a local copy is found first, else it is downloaded."""

    source: Literal["mnist", "fashion-mnist", "cifar10", "cifar100"]
    """Which set."""
    folder: str | None = None
    """Where the files lie (gz idx files or torchvision's layout); empty: the usual places, then a download."""
    download: bool = True
    """Whether the files may be fetched when no local copy is found."""


class ImageFolder(SplitData, PixelData):
    """A folder with one sub-folder of images per class, or with train/, val/ and test/ folders of that form."""

    source: Literal["folder"] = "folder"
    """A folder of images."""
    path: str
    """The folder, relative to the project."""
    image_size: int = Field(32, ge=4, le=1024)
    """Side in pixels to which every image is resized (shorter side, then the centre is cut out)."""
    grayscale: bool = False
    """Read the images with one channel instead of three."""
    unreadable: Literal["refuse", "leave_out"] = "refuse"
    """What to do with files that cannot be read as images: refuse the folder, or leave them out with a warning."""
    keep_in: Literal["auto", "memory", "disk"] = "auto"
    """Where the decoded images are kept: in memory if they fit, else on the project's disk; on the disk they are
    decoded once for all runs, and read batch by batch."""


class NumpyFile(SplitData, PixelData):
    """A NumPy .npz file with arrays `images` (N, H, W), (N, H, W, C) or `features` (N, D), and `labels` (N)."""

    source: Literal["npz"] = "npz"
    """A NumPy file."""
    path: str
    """The .npz file, relative to the project."""
    classes: list[str] | None = None
    """Names of the classes in label order (empty: 0, 1, 2 ...)."""
