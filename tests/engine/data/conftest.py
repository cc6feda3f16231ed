"""Small data on disk, made from a seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def no_outside_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test finds or writes data outside its own folder. Returns the cache's place."""
    from kdstudio.engine.data import known

    cache = tmp_path / "user-cache"
    monkeypatch.delenv("KDSTUDIO_DATA", raising=False)
    monkeypatch.setenv("KDSTUDIO_CACHE", str(cache))
    monkeypatch.setattr(known, "SYSTEM_FOLDER", tmp_path / "system")
    return cache


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """`image_folder({"cat": 5, ...}, below="train")` writes that many PNGs per class and returns the base folder."""

    def make(counts: dict[str, int], below: str = "", size: tuple[int, int] = (12, 10)) -> Path:
        base = tmp_path / "pictures"
        random = np.random.default_rng(len(below))
        for label, count in counts.items():
            folder = base / below / label
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        return base

    return make
