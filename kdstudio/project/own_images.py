"""A project from a folder of a person's own images: one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

from kdstudio.project.folder import Project, create_project
from kdstudio.project.spec import Experiment, HardTerm, ImageFolder, SoftTerm, StudentSpec, TeacherSpec

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
#: Folders that hold the classes of the training samples.
TRAINING = ("train", "training")
EXPERIMENT = "soft-targets"


def is_image_folder(path: Path) -> bool:
    """Whether the folder has sub-folders with images, or a folder train/ that has."""
    return _has_classes(path) or any(_has_classes(folder) for folder in _folders(path) if _is_training(folder))


def _is_training(folder: Path) -> bool:
    return folder.name.lower() in TRAINING


def _has_classes(path: Path) -> bool:
    return sum(any(_is_image(file) for file in _entries(folder)) for folder in _folders(path)) > 1


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGES


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _entries(path) if entry.is_dir() and not entry.name.startswith(".")]


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []


def image_project(folder: Path, home: Path) -> Project:
    """Makes a project whose experiment distils a classifier of the folder's images.

    Raises:
        KDStudioError: It cannot be written.
    """
    return images_into(free_folder(home, folder.resolve().name or "images"), folder)


def free_folder(home: Path, base: str) -> Path:
    """A folder that there is not yet: of this name, or with a number."""
    target, number = home / base, 2
    while target.exists():
        target, number = home / f"{base}-{number}", number + 1
    return target


def images_into(target: Path, folder: Path) -> Project:
    """The same, into a new folder.

    Raises:
        KDStudioError: It cannot be written.
    """
    folder = folder.resolve()
    project = create_project(target, "empty")
    experiment = Experiment(
        name=EXPERIMENT,
        data=ImageFolder(path=str(folder)),
        teacher=TeacherSpec(model="resnet20"),
        student=StudentSpec(model="resnet8"),
        objective=[HardTerm(weight=0.1), SoftTerm(weight=0.9)],
        baseline=True,
    )
    project.save(experiment)
    return project
