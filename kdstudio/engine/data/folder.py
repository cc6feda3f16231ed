"""Image folders: one sub-folder per class, or train/, val/ and test/ folders of that form."""

from __future__ import annotations

import os
import unicodedata
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image, ImageOps

from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress, Stored
from kdstudio.engine.data.checks import duplicates
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
_MEMORY_SHARE = 0.7


@dataclass
class _Listing:
    """The images of one split: (path, class name), and what was passed over."""

    files: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


@dataclass
class _Looks:
    """What was seen of the images that could be read: their sizes (H, W), and whether no one has colour."""

    sizes: set[tuple[int, int]] = field(default_factory=set)
    grey: bool = True

    def see(self, size: tuple[int, int], pixels: np.ndarray) -> None:
        self.sizes.add(size)
        if self.grey and not (pixels == pixels[:1]).all():
            self.grey = False  # and never back: several threads come here

    def stored(self, spec: ImageFolder) -> Stored:
        by_pixels = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        return Stored(by_pixels[0], by_pixels[-1], self.grey and not spec.grayscale)


def load_folder_data(spec: ImageFolder, root: Path, progress: Progress | None = None) -> DataBundle:
    """Every image of the folder as uint8 [N, C, S, S], S = `image_size`.

    The order of classes and samples is that of their names in Unicode's composed form, so that the same folder gives
    the same samples on every file system.

    Raises:
        DataError: The folder is missing, has no classes, a class is too small, images are damaged, or the set does not
            fit into memory.
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
    _check_memory(spec, total)
    splits: dict[str, ArraySplit] = {}
    damaged: list[str] = []
    looks = _Looks()
    done = 0
    for split, listing in listings.items():
        splits[split], complaints = _read_all(spec, base, listing, classes, done, total, progress, looks)
        done += len(listing.files)
        damaged += complaints
        if complaints and spec.unreadable == "leave_out":
            _require_classes(spec, split_folders[split], base, listing, splits[split], classes)
    if damaged:
        problems.append(_damaged(spec, damaged, total))
    if looks.grey and not spec.grayscale:
        problems.append(
            f"{spec.path}: all pictures are grey and are read in colour; set data.grayscale to true (Read as grey) "
            "to have one channel instead of three equal ones."
        )
    problems += duplicates(splits, spec.path)
    train = splits.pop("train")
    bundle = make_bundle(spec, spec.path, classes, train, splits.get("validation"), splits.get("test"), problems)
    bundle.stored = looks.stored(spec)
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


def _check_memory(spec: ImageFolder, total: int) -> None:
    needed = total * (1 if spec.grayscale else 3) * spec.image_size**2
    available = psutil.virtual_memory().available
    if needed > available * _MEMORY_SHARE:
        raise DataError(
            f"{spec.path}: {total} images at {spec.image_size} x {spec.image_size} take {needed / 2**30:.1f} GiB",
            f"They are kept in memory, and {available / 2**30:.1f} GiB is free.",
            "Set a smaller data.image_size, or data.grayscale if colour does not matter.",
            kind="memory",
        )


def _read_all(
    spec: ImageFolder,
    base: Path,
    listing: _Listing,
    classes: list[str],
    done: int,
    total: int,
    progress: Progress | None,
    looks: _Looks,
) -> tuple[ArraySplit, list[str]]:
    """The images that can be read, and a complaint about each of the others."""
    channels = 1 if spec.grayscale else 3
    images = np.empty((len(listing.files), channels, spec.image_size, spec.image_size), dtype=np.uint8)

    def read(index: int) -> str:
        try:
            picture = _upright(listing.files[index][0])
            images[index] = _fitted(picture, spec.image_size, spec.grayscale)
            looks.see((picture.height, picture.width), images[index])
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            return f"{listing.files[index][0].relative_to(base).as_posix()} ({_reason(error)})"
        return ""

    damaged: list[str] = []
    whole = np.ones(len(listing.files), dtype=bool)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for index, complaint in enumerate(pool.map(read, range(len(listing.files)))):
            if complaint:
                damaged.append(complaint)
                whole[index] = False
            if progress is not None and (index % 100 == 99 or index + 1 == len(listing.files)):
                progress("Reading images", done + index + 1, total)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = torch.tensor([numbers[name] for _, name in listing.files], dtype=torch.int64)
    split = ArraySplit(torch.from_numpy(images), labels)
    return (split.select(np.flatnonzero(whole)) if damaged else split), damaged


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
