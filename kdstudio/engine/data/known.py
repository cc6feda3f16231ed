"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100: a local copy first, else a download into the user's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kdstudio.engine.data import download, idx
from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress
from kdstudio.engine.data.splits import make_bundle
from kdstudio.project.errors import DataError
from kdstudio.project.settings_path import cache_dir
from kdstudio.project.spec import KnownImages


@dataclass(frozen=True)
class Known:
    """Where torchvision's class keeps one set: `folder` is the name of the folder that holds the files."""

    torchvision: str
    folder: str

    @property
    def is_cifar(self) -> bool:
        return self.torchvision.startswith("CIFAR")


SETS = {
    "mnist": Known("MNIST", "MNIST/raw"),
    "fashion-mnist": Known("FashionMNIST", "FashionMNIST/raw"),
    "cifar10": Known("CIFAR10", "cifar-10-batches-py"),
    "cifar100": Known("CIFAR100", "cifar-100-python"),
}
_IDX_CLASSES = {
    "mnist": [str(digit) for digit in range(10)],
    "fashion-mnist": [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ],
}  # fmt: skip
SYSTEM_FOLDER = Path("/usr/share/datasets")
_CIFAR_MARK = {"cifar10": "data_batch_1", "cifar100": "train"}


def load_known_data(spec: KnownImages, root: Path, progress: Progress | None = None) -> DataBundle:
    """uint8 [N, 1, 28, 28] or [N, 3, 32, 32] with the set's own test samples.

    Raises:
        DataError: No complete local copy and no download; the message says which files to put where.
    """
    folder = find_local(spec, root)
    if folder is None and spec.folder is not None:
        raise DataError(
            f"data.folder: no {spec.source} files in {root / spec.folder}",
            f"Needed are {files_wanted(spec.source)}.",
            "Put them there, or remove data.folder to have the usual places searched.",
            kind="missing-data",
        )
    if folder is None:
        folder = _fetch(spec, root, progress)
    if SETS[spec.source].is_cifar:
        train, test, classes = _read_cifar(spec.source, folder)
    else:
        train, test, classes = _read_idx(spec.source, folder)
    return make_bundle(spec, spec.source, classes, train, test=test)


def cache_folder(source: str) -> Path:
    """Where downloads of this set go: the user's cache, shared by all projects."""
    return cache_dir() / "data" / source


def places(spec: KnownImages, root: Path) -> list[Path]:
    """The folders that are searched for a local copy, in order. With `spec.folder` only that one."""
    if spec.folder is not None:
        return [root / spec.folder]
    found = [root / "data" / spec.source]
    shared = os.environ.get("KDSTUDIO_DATA")
    if shared:
        found += [Path(shared) / spec.source, Path(shared)]
    return [*found, cache_folder(spec.source), SYSTEM_FOLDER / spec.source]


def find_local(spec: KnownImages, root: Path) -> Path | None:
    """The folder that directly holds the set's files, or None."""
    for place in places(spec, root):
        # Bare files, torchvision's layout below the place, or the place itself is one level inside that layout.
        known = SETS[spec.source]
        for folder in (place, place / "raw", place / known.folder):
            if _complete(spec.source, folder):
                return folder
        archive = place / download.archive_name(known.torchvision) if known.is_cifar else None
        if archive is not None and archive.is_file():
            target = place if os.access(place, os.W_OK) else cache_folder(spec.source)
            if not _complete(spec.source, target / known.folder):
                download.unpack(archive, known.torchvision, target)
            return target / known.folder
    return None


def _complete(source: str, folder: Path) -> bool:
    if SETS[source].is_cifar:
        return (folder / _CIFAR_MARK[source]).is_file()
    return all(idx.find(folder, stem) is not None for stem in idx.STEMS)


def files_wanted(source: str) -> str:
    """The files of a set, for messages."""
    known = SETS[source]
    if known.is_cifar:
        archive = download.archive_name(known.torchvision)
        return f"the folder {known.folder} of the Python version ({archive}, unpacked or not)"
    return ", ".join(f"{stem}.gz" for stem in idx.STEMS) + " (packed or not)"


def _fetch(spec: KnownImages, root: Path, progress: Progress | None) -> Path:
    searched = ", ".join(str(place) for place in places(spec, root))
    target = cache_folder(spec.source)
    where = root / "data" / spec.source
    files = files_wanted(spec.source)
    fix = f"Put {files} into {where}, or set data.folder or the variable KDSTUDIO_DATA to where they are."
    if not spec.download:
        raise DataError(
            f"{spec.source}: no local copy was found, and data.download is off",
            f"Searched: {searched}.",
            f"{fix} Or set data.download to true.",
            kind="missing-data",
        )
    known = SETS[spec.source]
    try:
        download.fetch(known.torchvision, target, known.folder, progress)
    except download.Unreachable as error:
        raise DataError(
            f"{spec.source}: no local copy was found, and the download failed",
            f"{error} Searched: {searched}.",
            fix,
            kind="offline",
        ) from None
    return target / known.folder


def _read_idx(source: str, folder: Path) -> tuple[ArraySplit, ArraySplit, list[str]]:
    splits: list[ArraySplit] = []
    for images_stem, labels_stem in (idx.STEMS[:2], idx.STEMS[2:]):
        images_path, labels_path = idx.find(folder, images_stem), idx.find(folder, labels_stem)
        assert images_path is not None, "find_local looked for all four"
        assert labels_path is not None, "find_local looked for all four"
        images, labels = idx.read(images_path, 3), idx.read(labels_path, 1)
        if len(images) != len(labels):
            raise DataError(
                f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}",
                "The files do not belong together.",
                "Replace both with files of the same set.",
            )
        if len(labels) and labels.max() > 9:
            reason = f"The classes of {source} are numbered 0 to 9."
            raise DataError(f"{labels_path}: a label is {labels.max()}", reason, "Replace the file with a fresh copy.")
        splits.append(ArraySplit(torch.from_numpy(images[:, None]), torch.from_numpy(labels.astype(np.int64))))
    return splits[0], splits[1], list(_IDX_CLASSES[source])


def _read_cifar(source: str, folder: Path) -> tuple[ArraySplit, ArraySplit, list[str]]:
    import torchvision.datasets

    # torchvision unpickles these files, and compares their checksums with the published ones before it does. That check
    # is what makes a foreign folder safe to read, so a copy that differs is refused.
    known = SETS[source]
    published = getattr(torchvision.datasets, known.torchvision)
    local = type(published.__name__, (published,), {"base_folder": folder.name})
    try:
        parts = [local(str(folder.parent), train=train, download=False) for train in (True, False)]
    except (RuntimeError, OSError, EOFError) as error:
        raise DataError(
            f"{folder}: a file is missing or is not the published {source}",
            str(error).split(" You can use")[0],
            f"Replace the folder with {known.folder} from a fresh {download.archive_name(known.torchvision)}.",
        ) from None
    splits = [
        ArraySplit(
            torch.from_numpy(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))),
            torch.tensor(part.targets, dtype=torch.int64),
        )
        for part in parts
    ]
    return splits[0], splits[1], list(parts[0].classes)
