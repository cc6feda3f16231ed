"""Images that are kept on the disk: the same numbers as in memory, decoded once, read ahead."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdstudio.engine.data import Batches, DataBundle, disk, folder, image_store, load_data
from kdstudio.engine.data.ahead import ahead
from kdstudio.engine.data.base import ArraySplit, statistics, together
from kdstudio.engine.data.disk import DiskImages, as_tensor
from kdstudio.project.cache import entries
from kdstudio.project.errors import DataError, StorageError
from kdstudio.project.spec import ImageFolder

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have few images: all of them count as much here."""
    monkeypatch.setattr(disk, "SMALL_BYTES", 0)


def load(base: Path, keep_in: str = "disk", **fields: Any) -> DataBundle:
    return load_data(ImageFolder(path=base.name, image_size=8, keep_in=keep_in, **fields), base.parent)


def batches(bundle: DataBundle, base: Path) -> Batches:
    spec = ImageFolder(path=base.name, image_size=8, augment=["crop", "flip"], crop_padding=2)
    return Batches(bundle.train, 5, 3, "cpu", spec)


def test_all_is_as_in_memory(image_folder: Make) -> None:
    base = image_folder({"cat": 14, "dog": 13})
    there, here = load(base), load(base, "memory")
    for name, split in here.splits.items():
        found = there.splits[name].images
        assert isinstance(found, DiskImages)
        assert found.shape == split.images.shape
        assert torch.equal(torch.cat(list(found.split(4))), split.images)
        assert torch.equal(found[1], split.images[1])
        assert torch.equal(found[2:4], split.images[2:4])
        assert torch.equal(there.splits[name].labels, split.labels)
    assert (there.mean, there.std) == (here.mean, here.std)
    assert there.fingerprint() == here.fingerprint()
    assert there.stored == here.stored
    assert there.problems == here.problems


def test_batches_are_those_of_the_memory(image_folder: Make) -> None:
    base = image_folder({"cat": 14, "dog": 13})
    there, here = batches(load(base), base), batches(load(base, "memory"), base)
    assert (there.streamed, here.streamed) == (True, False)
    for start in (0, 2):
        pairs = list(zip(there.epoch(4, start), here.epoch(4, start), strict=True))
        assert len(pairs) == len(here) - start
        for one, other in pairs:
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.labels, other.labels)
            assert torch.equal(one.indices, other.here)
    assert torch.equal(there.rows(2, 6, 1).images, here.rows(2, 6, 1).images)


def test_images_are_decoded_once(image_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    base = image_folder({"cat": 6, "dog": 6})
    first = load(base)

    def never(path: Path) -> Image.Image:
        raise AssertionError(f"{path} was decoded again")

    with monkeypatch.context() as patched:
        patched.setattr(folder, "_upright", never)
        again = load(base)
    assert torch.equal(again.train.images[:], first.train.images[:])
    (entry,) = entries(base.parent)
    assert entry.is_images
    assert entry.about["rows"] == 12


def test_a_changed_file_is_decoded_anew(image_folder: Make) -> None:
    base = image_folder({"cat": 6, "dog": 6})
    before = load(base).fingerprint()
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(base / "cat" / "00.png")
    after = load(base)
    assert after.fingerprint() != before
    assert after.fingerprint() == load(base, "memory").fingerprint()


def test_what_was_not_finished_is_made_anew(image_folder: Make) -> None:
    base = image_folder({"cat": 6, "dog": 6})

    def stop(label: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_data(ImageFolder(path=base.name, image_size=8, keep_in="disk"), base.parent, stop)
    assert load(base).fingerprint() == load(base, "memory").fingerprint()


def test_a_file_that_was_cut_off_is_made_anew(image_folder: Make) -> None:
    base = image_folder({"cat": 6, "dog": 6})
    fingerprint = load(base).fingerprint()
    (entry,) = entries(base.parent)
    with (entry.path / "train.bin").open("r+b") as file:
        file.truncate(100)
    assert load(base).fingerprint() == fingerprint


def test_damaged_images_are_left_out_from_the_disk_too(image_folder: Make) -> None:
    base = image_folder({"cat": 6, "dog": 6})
    (base / "cat" / "03.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cat/03\.png"):
        load(base)
    found, expected = load(base, unreadable="leave_out"), load(base, "memory", unreadable="leave_out")
    assert found.problems == expected.problems
    assert found.fingerprint() == expected.fingerprint()


def test_two_that_read_at_once(image_folder: Make) -> None:
    base = image_folder({"cat": 20, "dog": 20})
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(load(base).fingerprint())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [load(base, "memory").fingerprint()] * 3


def test_what_fits_into_memory_is_kept_there_unless_told_otherwise(
    image_folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = image_folder({"cat": 6, "dog": 6})
    assert isinstance(load(base, "auto").train.images, torch.Tensor)
    assert not (base.parent / "cache").exists()
    memory = type("Memory", (), {"available": 1000})
    monkeypatch.setattr(image_store.psutil, "virtual_memory", lambda: memory)
    assert isinstance(load(base, "auto").train.images, DiskImages)
    with pytest.raises(DataError, match="asks for the memory") as caught:
        load(base, "memory")
    assert "data.keep_in" in caught.value.fix


def test_no_place_at_all(image_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    base = image_folder({"cat": 6, "dog": 6})
    monkeypatch.setattr(image_store.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000}))
    monkeypatch.setattr(image_store.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 900}))
    with pytest.raises(DataError, match=r"12 images at 8 x 8 take") as caught:
        load(base, "auto")
    assert caught.value.kind == "memory"
    assert "data.image_size" in caught.value.fix


def test_images_that_are_there_need_no_more_room(image_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    base = image_folder({"cat": 6, "dog": 6})
    fingerprint = load(base).fingerprint()
    monkeypatch.setattr(image_store.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 0}))
    assert load(base).fingerprint() == fingerprint
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(base / "cat" / "00.png")
    with pytest.raises(DataError, match="asks for the project's disk"):
        load(base)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot say beforehand")
def test_a_disk_that_is_full_is_told_before_it_is_written_to(
    image_folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = image_folder({"cat": 6, "dog": 6})

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"train\.bin"):
        load(base)


def test_splits_on_the_disk_and_in_memory_are_put_together() -> None:
    one, two = torch.randint(0, 256, (2, 5, 3, 4, 4), dtype=torch.uint8)
    there = ArraySplit(as_tensor(DiskImages([one], torch.tensor([4, 0, 2]))), torch.zeros(3))
    whole = together([there, ArraySplit(two, torch.ones(5))])
    expected = torch.cat([one[[4, 0, 2]], two])
    assert torch.equal(whole.images[:], expected)
    assert torch.equal(whole.select(torch.tensor([7, 0, 3])).images[:], expected[[7, 0, 3]])
    assert statistics(whole.images) == statistics(expected)


def test_work_ahead_keeps_its_order_and_ends_with_its_reader() -> None:
    before = threading.active_count()
    assert list(ahead(range(20), lambda number: number * number)) == [number * number for number in range(20)]
    reading = ahead(range(20), lambda number: number)
    assert next(reading) == 0
    reading.close()
    assert threading.active_count() == before

    def fails(number: int) -> int:
        if number == 2:
            raise OSError("the disk is gone")
        return number

    found: list[int] = []
    with pytest.raises(OSError, match="gone"):
        found.extend(ahead(range(5), fails))
    assert threading.active_count() == before
