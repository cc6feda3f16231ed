"""Data: sources, splits and training views. One small file per source; `SOURCES` is the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress
from kdstudio.engine.data.digits import load_digits_data
from kdstudio.engine.data.folder import load_folder_data
from kdstudio.engine.data.hub import load_hub_data
from kdstudio.engine.data.known import load_known_data
from kdstudio.engine.data.npz import load_npz_data
from kdstudio.engine.data.tagged import load_tagged_data
from kdstudio.engine.data.texts import load_corpus_data, load_table_data
from kdstudio.engine.data.views import Batch, Batches, Preprocess, augment, preprocess_for
from kdstudio.project.spec import (
    DataBase,
    Digits,
    HubText,
    ImageFolder,
    KnownImages,
    NumpyFile,
    TaggedText,
    TextCorpus,
    TextTable,
)

SOURCES: dict[type[DataBase], Callable[[Any, Path, Progress | None], DataBundle]] = {
    Digits: load_digits_data,
    KnownImages: load_known_data,
    ImageFolder: load_folder_data,
    NumpyFile: load_npz_data,
    TextTable: load_table_data,
    TaggedText: load_tagged_data,
    TextCorpus: load_corpus_data,
    HubText: load_hub_data,
}


def load_data(spec: DataBase, root: Path, progress: Progress | None = None) -> DataBundle:
    """Reads and splits what `spec` describes.

    Args:
        spec: One of the data specs.
        root: The project folder; paths in the spec are relative to it.
        progress: Called as `progress(label, done, total)` while reading or downloading takes long.

    Raises:
        DataError: The data is missing or cannot be used; the message names the file and the fix.
    """
    return SOURCES[type(spec)](spec, Path(root), progress)


__all__ = [
    "SOURCES",
    "ArraySplit",
    "Batch",
    "Batches",
    "DataBundle",
    "Preprocess",
    "Progress",
    "augment",
    "load_data",
    "preprocess_for",
]
