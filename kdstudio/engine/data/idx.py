"""The idx files of MNIST and its relatives, packed with gzip or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from kdstudio.project.errors import DataError

STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def find(folder: Path, stem: str) -> Path | None:
    """The file `stem` in `folder`, packed or not; some copies have a dot in place of the dash before idx."""
    for name in (stem, stem.replace("-idx", ".idx")):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def read(path: Path, dimensions: int) -> np.ndarray:
    """uint8 array with `dimensions` axes.

    Raises:
        DataError: The file is damaged or has another form.
    """
    again = "Replace the file with a fresh copy."
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the file cannot be read", str(error), again) from None
    header = 4 + 4 * dimensions
    # 8 in the third byte stands for unsigned bytes.
    if len(data) < header or data[:4] != bytes([0, 0, 8, dimensions]):
        raise DataError(f"{path}: this is not an idx file of {dimensions} dimensions", "Its first bytes differ.", again)
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, 4))
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(data) != expected:
        raise DataError(
            f"{path}: the file is {len(data)} bytes long, and its header promises {expected}",
            "It is cut off or damaged.",
            again,
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy()
