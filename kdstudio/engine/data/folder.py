"""Image folders: one sub-folder per class, or train/, val/ and test/ folders of that form."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress, Stored
from kdstudio.engine.data.checks import content_of, repeated
from kdstudio.engine.data.disk import DiskImages, as_tensor, chosen
from kdstudio.engine.data.image_store import ImageStore, belongs_on_disk
from kdstudio.engine.data.splits import make_bundle
from kdstudio.project.errors import DataError
from kdstudio.project.spec import ImageFolder

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_NOT_OURS = frozenset({"__macosx", "__pycache__", "$recycle.bin"})


@dataclass
class _Listing:
    """The images of one split: (path, class name), and what was passed over."""

    files: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


@dataclass
class _Found:
    """What decoding has found.

    Attributes:
        sizes: (H, W) of the images that could be read.
        grey: Whether none of them has colour.
        damaged: By split and number, a complaint about each of the others.
        contents: By split, a hash of each image.
    """

    sizes: set[tuple[int, int]] = field(default_factory=set)
    grey: bool = True
    damaged: dict[str, dict[int, str]] = field(default_factory=dict)
    contents: dict[str, list[str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        extremes = self.extremes() if self.sizes else ()
        return {"sizes": extremes, "grey": self.grey, "damaged": self.damaged, "contents": self.contents}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> _Found:
        damaged = {split: {int(at): said for at, said in each.items()} for split, each in data["damaged"].items()}
        sizes = {(height, width) for height, width in data["sizes"]}
        return cls(sizes, bool(data["grey"]), damaged, data["contents"])

    def whole(self, split: str, count: int) -> np.ndarray:
        """Rising numbers of the images of a split that could be read."""
        return np.setdiff1d(np.arange(count), list(self.damaged.get(split, {})))

    def see(self, size: tuple[int, int], pixels: np.ndarray) -> None:
        self.sizes.add(size)
        if self.grey and not (pixels == pixels[:1]).all():
            self.grey = False  # and never back: several threads come here

    def extremes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        by_pixels = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        return by_pixels[0], by_pixels[-1]

    def stored(self, spec: ImageFolder) -> Stored:
        return Stored(*self.extremes(), self.grey and not spec.grayscale)


def load_folder_data(spec: ImageFolder, root: Path, progress: Progress | None = None) -> DataBundle:
    """Every image of the folder as uint8 [N, C, S, S], S = `image_size`; on the disk where they do not fit into memory.

    The order of classes and samples is that of their names in Unicode's composed form, so that the same folder gives
    the same samples on every file system.

    Raises:
        DataError: The folder is missing, has no classes, a class is too small, images are damaged, or the set fits
            neither into memory nor on the project's disk.
    """
    base = root / spec.path
    if not base.exists():
        raise DataError(
            f"{spec.path}: the folder does not exist",
            f"It was looked for at {base}.",
            "Check data.path; it is relative to the project.",
        )
    if not base.is_dir():
        raise DataError(f"{spec.path}: this is a file, not a folder", "", "Give a folder, or set data.source to 'npz'.")
    try:
        split_folders = _split_folders(base)
        listings = {split: _list_images(folder) for split, folder in split_folders.items()}
    except OSError as error:
        raise DataError(f"{spec.path}: the folder cannot be read", str(error), "Check its permissions.") from None
    classes = _class_names(spec, split_folders)
    problems = _passed_over(spec, base, split_folders, listings)
    for split in [split for split, listing in listings.items() if not listing.files]:
        del listings[split]
        problems.append(
            f"{spec.path}/{split_folders[split].name}: no images in it; {split} samples are held out instead."
        )
    total = sum(len(listing.files) for listing in listings.values())
    found, images = _decoded(spec, base, root, listings, progress)
    splits: dict[str, ArraySplit] = {}
    contents: dict[str, tuple[list[str], list[int]]] = {}
    damaged: list[str] = []
    numbers = {name: number for number, name in enumerate(classes)}
    for split, listing in listings.items():
        whole = found.whole(split, len(listing.files))
        labels = torch.tensor([numbers[listing.files[at][1]] for at in whole], dtype=torch.int64)
        splits[split] = ArraySplit(images[split], labels)
        if len(whole) < len(listing.files):
            splits[split] = ArraySplit(chosen(images[split], torch.from_numpy(whole)), labels)
            damaged += found.damaged[split].values()
            if spec.unreadable == "leave_out":
                _require_classes(spec, split_folders[split], base, listing, splits[split], classes)
        contents[split] = [found.contents[split][at] for at in whole], labels.tolist()
    if damaged:
        problems.append(_damaged(spec, damaged, total))
    if found.grey and not spec.grayscale:
        problems.append(
            f"{spec.path}: all pictures are grey and are read in colour; set data.grayscale to true (Read as grey) "
            "to have one channel instead of three equal ones."
        )
    problems += repeated(contents, spec.path)
    train = splits.pop("train")
    bundle = make_bundle(spec, spec.path, classes, train, splits.get("validation"), splits.get("test"), problems)
    bundle.stored = found.stored(spec)
    return bundle


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _visible(folder: Path) -> list[Path]:
    return sorted((entry for entry in folder.iterdir() if _ours(entry.name)), key=lambda entry: _composed(entry.name))


def _ours(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_OURS


def _class_folders(folder: Path) -> list[Path]:
    return [entry for entry in _visible(folder) if entry.is_dir()]


def _split_folders(base: Path) -> dict[str, Path]:
    """{"train": folder, ...}. Without a train/ folder that holds folders, `base` itself is all training samples."""
    found: dict[str, Path] = {}
    for entry in _class_folders(base):
        split = SPLIT_NAMES.get(entry.name.lower())
        if split is not None and _class_folders(entry):
            found.setdefault(split, entry)
    if "train" not in found:
        return {"train": base}
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _list_images(folder: Path) -> _Listing:
    listing = _Listing()
    for entry in _visible(folder):
        if not entry.is_dir():
            listing.passed_over.append(entry)
            continue
        inside: list[Path] = []
        for directory, folders, names in os.walk(entry):
            folders[:] = [name for name in folders if _ours(name)]
            inside += [Path(directory, name) for name in names if not name.startswith(".")]
        inside.sort(key=lambda path: _composed(path.relative_to(folder).as_posix()))
        for path in inside:
            if path.suffix.lower() in EXTENSIONS:
                listing.files.append((path, _composed(entry.name)))
            else:
                listing.passed_over.append(path)
    return listing


def _class_names(spec: ImageFolder, split_folders: dict[str, Path]) -> list[str]:
    train = split_folders["train"]
    folders = _class_folders(train)
    where = spec.path if len(split_folders) == 1 and train.name == Path(spec.path).name else f"{spec.path}/{train.name}"
    if not folders:
        raise DataError(
            f"{where}: the folder has no class folders",
            "Each class needs a sub-folder of its own with its images in it.",
            f"Make folders such as {where}/cats and {where}/dogs and put the images into them.",
        )
    classes = [_composed(folder.name) for folder in folders]
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise DataError(
            f"{where}: two folders are both named '{twice[0]}'",
            "Their names are stored as different code points and read the same.",
            "Rename or merge one of them.",
        )
    empty = [folder.name for folder in folders if not any(p.suffix.lower() in EXTENSIONS for p in folder.rglob("*"))]
    if empty:
        names = ", ".join(f"'{name}'" for name in empty[:6])
        raise DataError(
            f"{where}: no images in the class folder{'s' if len(empty) > 1 else ''} {names}",
            f"Images end in {', '.join(sorted(EXTENSIONS))}.",
            "Put at least 3 images into each, or remove the folder.",
        )
    for split, folder in split_folders.items():
        strange = [entry.name for entry in _class_folders(folder) if _composed(entry.name) not in classes]
        if strange:
            raise DataError(
                f"{spec.path}/{folder.name}: the class '{strange[0]}' is not among the training classes",
                f"The {split} samples must have the classes of {where}: {', '.join(classes[:8])}"
                f"{' ...' if len(classes) > 8 else ''}.",
                f"Rename the folder, or add {where}/{strange[0]} with training images.",
            )
    return classes


def _passed_over(
    spec: ImageFolder, base: Path, split_folders: dict[str, Path], listings: dict[str, _Listing]
) -> list[str]:
    problems: list[str] = []
    files = [path for listing in listings.values() for path in listing.passed_over]
    if files:
        shown = ", ".join(path.relative_to(base).as_posix() for path in files[:3])
        more = " ..." if len(files) > 3 else ""
        one = len(files) == 1
        what = "is no image in a class folder and was" if one else "are not images in a class folder and were"
        problems.append(f"{spec.path}: {len(files)} {'file' if one else 'files'} {what} passed over: {shown}{more}.")
    if split_folders["train"] != base:
        unused = [entry.name for entry in _class_folders(base) if entry not in split_folders.values()]
        if unused:
            problems.append(f"{spec.path}: not one of train, val and test, so not used: {', '.join(unused)}.")
    return problems


def _decoded(
    spec: ImageFolder, base: Path, root: Path, listings: dict[str, _Listing], progress: Progress | None
) -> tuple[_Found, dict[str, torch.Tensor]]:
    """The images of each split, with what decoding them has found; from the disk where they are kept there."""
    total = sum(len(listing.files) for listing in listings.values())
    store = ImageStore(root, spec, base, {split: [p for p, _ in each.files] for split, each in listings.items()})
    if not belongs_on_disk(spec, root, total, lambda: store.found() is not None):
        found = _Found()
        side, channels = spec.image_size, 1 if spec.grayscale else 3
        arrays = {
            split: np.empty((len(listing.files), channels, side, side), np.uint8) for split, listing in listings.items()
        }
        _read_all(spec, base, listings, arrays, found, progress)
        return found, {split: torch.from_numpy(array) for split, array in arrays.items()}

    def waiting() -> None:
        if progress is not None:
            progress("Waiting for another run that reads the images", 0, 0)

    known = store.found()
    if known is None:
        with store.filling(waiting):
            known = store.found()  # another one may have been here
            if known is None:
                fresh, new = _Found(), {split: store.new(split) for split in listings}
                _read_all(spec, base, listings, new, fresh, progress)
                known = fresh.to_dict()
                store.finish(new, known)
    found = _Found.from_dict(known)
    mapped = {split: as_tensor(DiskImages([store.images(split)], None, store.folder, split)) for split in listings}
    return found, mapped


def _read_all(
    spec: ImageFolder,
    base: Path,
    listings: dict[str, _Listing],
    arrays: Mapping[str, np.ndarray],
    found: _Found,
    progress: Progress | None,
) -> None:
    """Decodes all images into arrays; notes what there is to note."""
    done, total = 0, sum(len(listing.files) for listing in listings.values())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for split, listing in listings.items():
            found.damaged[split], found.contents[split] = {}, []
            for index, (content, complaint) in enumerate(
                pool.map(_reader(spec, base, listing, arrays[split], found), range(len(listing.files)))
            ):
                found.contents[split].append(content)
                if complaint:
                    found.damaged[split][index] = complaint
                done += 1
                if progress is not None and (index % 100 == 99 or index + 1 == len(listing.files)):
                    progress("Reading images", done, total)


def _reader(
    spec: ImageFolder, base: Path, listing: _Listing, images: np.ndarray, found: _Found
) -> Callable[[int], tuple[str, str]]:
    """What decodes one image of a split into its place: a hash of it, and a complaint where it cannot be read."""

    def read(index: int) -> tuple[str, str]:
        path = listing.files[index][0]
        try:
            picture = _upright(path)
            images[index] = _fitted(picture, spec.image_size, spec.grayscale)
            found.see((picture.height, picture.width), images[index])
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            return "", f"{path.relative_to(base).as_posix()} ({_reason(error)})"
        return content_of(images[index]), ""

    return read


def _damaged(spec: ImageFolder, damaged: list[str], total: int) -> str:
    """The warning that files were left out.

    Raises:
        DataError: They are refused.
    """
    if spec.unreadable == "refuse":
        more = f"\n  and {len(damaged) - 8} more" if len(damaged) > 8 else ""
        shown = "".join(f"\n  {complaint}" for complaint in damaged[:8])
        raise DataError(
            f"{spec.path}: {len(damaged)} of {total} images cannot be read:{shown}{more}",
            "The files are damaged, empty, or not images in spite of their names.",
            "Replace or remove these files, or set data.unreadable to leave_out to go on without them.",
        )
    were = "was" if len(damaged) == 1 else "were"
    more = f" and {len(damaged) - 20} more" if len(damaged) > 20 else ""
    names = ", ".join(damaged[:20])
    return f"{spec.path}: {len(damaged)} of {total} images cannot be read and {were} left out: {names}{more}."


def _require_classes(
    spec: ImageFolder, folder: Path, base: Path, listing: _Listing, split: ArraySplit, classes: list[str]
) -> None:
    """Refuses a class that had images in this folder and has none that can be read."""
    left = {classes[label] for label in split.labels.unique().tolist()}
    empty = [name for name in classes if name not in left and any(name == other for _, other in listing.files)]
    if empty:
        where = spec.path if folder == base else f"{spec.path}/{folder.name}"
        raise DataError(
            f"{where}: none of the images of class '{empty[0]}' can be read",
            "With data.unreadable leave_out they are left out, and a class cannot be without images.",
            "Replace the files of this class, or remove its folder.",
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels"
    return str(error) or type(error).__name__


def read_image(path: Path, size: int, grayscale: bool) -> np.ndarray:
    """uint8 [C, size, size]: turned upright, the shorter side resized to `size`, the centre cut out."""
    return _fitted(_upright(path), size, grayscale)


def _upright(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            opened.load()
            image: Image.Image = ImageOps.exif_transpose(opened)
    return image


def _fitted(image: Image.Image, size: int, grayscale: bool) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow clips 16-bit pixels when it converts them; scale them instead.
        wide = np.asarray(image, dtype=np.float64)
        scale = 255 / 65535 if image.mode.startswith("I") else 255 / max(float(wide.max()), 1e-12)
        image = Image.fromarray(np.clip(wide * scale, 0, 255).round().astype(np.uint8))
    if image.mode in ("P", "LA", "PA") and not grayscale:
        image = image.convert("RGBA" if "transparency" in image.info or image.mode != "P" else "RGB")
    image = image.convert("L" if grayscale else "RGB")
    image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if grayscale else np.ascontiguousarray(array.transpose(2, 0, 1))
