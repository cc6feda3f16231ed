"""Image folders: layouts, names, damaged files."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdstudio.engine.data import DataBundle, load_data
from kdstudio.engine.data.base import Stored
from kdstudio.engine.data.folder import read_image
from kdstudio.project.errors import DataError
from kdstudio.project.spec import ImageFolder

Make = Callable[..., Path]


def load(base: Path, **fields: object) -> DataBundle:
    return load_data(ImageFolder(path=base.name, image_size=8, **fields), base.parent)


def test_class_folders(image_folder: Make) -> None:
    bundle = load(image_folder({"dog": 10, "cat": 12}))
    assert bundle.classes == ["cat", "dog"]
    assert bundle.input_shape == (3, 8, 8)
    assert [sum(column) for column in zip(*bundle.counts().values())] == [12, 10]
    assert all(len(split) for split in bundle.splits.values())
    assert bundle.problems == []


def test_split_folders_are_kept(image_folder: Make) -> None:
    image_folder({"cat": 4, "dog": 4}, below="train")
    image_folder({"cat": 2, "dog": 3}, below="val")
    base = image_folder({"cat": 5, "dog": 1}, below="Test")
    assert load(base).counts() == {"train": [4, 4], "validation": [2, 3], "test": [5, 1]}


def test_what_is_missing_is_held_out(image_folder: Make) -> None:
    image_folder({"cat": 10, "dog": 10}, below="train")
    base = image_folder({"cat": 5, "dog": 5}, below="test")
    counts = load(base).counts()
    assert counts["test"] == [5, 5]
    assert [a + b for a, b in zip(counts["train"], counts["validation"])] == [10, 10]


def test_the_share_of_test_samples_where_the_folder_has_none(image_folder: Make) -> None:
    base = image_folder({"cat": 10, "dog": 10})
    assert load(base, test_fraction=0.4).counts()["test"] == [4, 4]


def test_an_empty_split_folder_counts_as_missing(image_folder: Make) -> None:
    base = image_folder({"cat": 10, "dog": 10}, below="train")
    (base / "val/cat").mkdir(parents=True)
    bundle = load(base)
    assert len(bundle.validation) > 0
    assert any("val: no images in it" in problem for problem in bundle.problems)


def test_what_the_pictures_are_on_disk(image_folder: Make) -> None:
    base = image_folder({"a": 4, "b": 4})
    stored = load(base).stored
    assert stored == Stored((10, 12), (10, 12), grey=False)
    for number, file in enumerate(sorted(base.rglob("*.png"))):
        Image.open(file).convert("L" if number else "RGB").resize((28 + number, 28)).save(file)
    bundle = load(base)
    assert bundle.stored == Stored((28, 28), (28, 35), grey=False)
    assert bundle.problems == []
    first = base / "a/00.png"
    Image.open(first).convert("L").convert("RGB").save(first)
    bundle = load(base)
    assert bundle.stored == Stored((28, 28), (28, 35), grey=True)
    assert [problem.split(";")[0] for problem in bundle.problems] == [
        "pictures: all pictures are grey and are read in colour"
    ]
    bundle = load(base, grayscale=True)
    assert bundle.problems == []
    assert bundle.input_shape == (1, 8, 8)


def test_what_is_no_image_is_told_in_the_right_number(image_folder: Make) -> None:
    base = image_folder({"a": 4, "b": 4})
    for name, words in (("a.txt", "1 file is no image"), ("b.txt", "2 files are not images")):
        (base / "a" / name).write_text("note")
        problem = load(base).problems[0]
        assert problem.startswith(f"pictures: {words} in a class folder and w")
        assert problem.endswith(
            "passed over: " + ", ".join(f"a/{n}" for n in ("a.txt", "b.txt")[: int(words[0])]) + "."
        )


def test_a_class_may_be_called_train(image_folder: Make) -> None:
    assert load(image_folder({"bus": 4, "train": 4})).classes == ["bus", "train"]


def test_unicode_names_are_the_same_on_every_file_system(image_folder: Make, tmp_path: Path) -> None:
    base = image_folder({"École été": 4, "猫": 4, "Ω": 4})
    first = load(base)
    composed = unicodedata.normalize("NFC", "École été")
    assert first.classes == sorted([composed, "猫", "Ω"])
    (base / "École été").rename(base / "aside")
    (base / "aside").rename(base / unicodedata.normalize("NFD", "École été"))
    assert load(base).fingerprint() == first.fingerprint()


def test_grayscale_and_nested_folders(image_folder: Make) -> None:
    base = image_folder({"a": 4, "b/deep": 4})
    bundle = load(base, grayscale=True)
    assert bundle.input_shape == (1, 8, 8)
    assert bundle.classes == ["a", "b"]


def test_one_file_is_passed_over(image_folder: Make) -> None:
    base = image_folder({"cat": 10, "dog": 10})
    (base / "cat/notes.txt").write_text("mine", encoding="utf-8")
    (problem,) = load(base).problems
    assert "1 file is no image in a class folder and was passed over: cat/notes.txt." in problem


def test_other_files_are_named_as_problems(image_folder: Make) -> None:
    base = image_folder({"a": 4, "b": 4})
    (base / "a" / "notes.txt").write_text("x")
    (base / "loose.png").write_bytes((base / "a" / "00.png").read_bytes())
    (base / ".hidden").mkdir()
    (base / "__MACOSX").mkdir()
    bundle = load(base)
    assert bundle.classes == ["a", "b"]
    assert len(bundle.problems) == 1
    assert "2 files" in bundle.problems[0]
    assert "a/notes.txt" in bundle.problems[0]


def test_the_same_picture_in_train_and_test_is_reported(image_folder: Make) -> None:
    base = image_folder({"a": 4, "b": 4}, below="train")
    (base / "test/a").mkdir(parents=True)
    (base / "test/a/copy.png").write_bytes((base / "train/a/01.png").read_bytes())
    problems = load(base).problems
    assert any("1 samples are also in another split" in problem for problem in problems)
    assert any("No test samples of 'b'" in problem for problem in problems)


def test_damaged_images_are_all_named(image_folder: Make) -> None:
    base = image_folder({"a": 4, "b": 4})
    (base / "a" / "01.png").write_bytes(b"not a picture")
    whole = (base / "b" / "02.png").read_bytes()
    (base / "b" / "02.png").write_bytes(whole[: len(whole) // 2])
    (base / "b" / "03.png").write_bytes(b"")
    with pytest.raises(DataError, match="3 of 8 images cannot be read") as caught:
        load(base)
    for name in ("a/01.png", "b/02.png", "b/03.png"):
        assert name in caught.value.what
    assert "data.unreadable" in caught.value.fix


def test_damaged_images_are_left_out_where_that_is_asked_for(image_folder: Make) -> None:
    image_folder({"a": 6, "b": 6}, below="train")
    base = image_folder({"a": 2, "b": 2}, below="test")
    whole = load(base)
    for name in ("train/a/02.png", "test/b/01.png"):
        (base / name).write_bytes(b"not a picture")
    bundle = load(base, unreadable="leave_out")
    assert [sum(column) for column in zip(*bundle.counts().values())] == [7, 7]
    assert bundle.counts()["test"] == [2, 1]
    assert torch.equal(bundle.test.images, whole.test.images[:3])
    assert bundle.problems == [
        "pictures: 2 of 16 images cannot be read and were left out: "
        "train/a/02.png (not an image), test/b/01.png (not an image)."
    ]
    (base / "train/a/02.png").unlink()
    (base / "test/b/01.png").unlink()
    assert bundle.fingerprint() == load(base).fingerprint()


@pytest.mark.parametrize("below", ["", "train", "test"])
def test_a_class_of_damaged_images_only_is_an_error(image_folder: Make, below: str) -> None:
    for place in ("train", "test") if below else ("",):
        base = image_folder({"a": 4, "b": 4}, below=place)
    for file in (base / below / "b").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="none of the images of class 'b' can be read"):
        load(base, unreadable="leave_out")


def test_empty_and_small_classes(image_folder: Make) -> None:
    base = image_folder({"a": 4, "b": 4})
    (base / "c").mkdir()
    with pytest.raises(DataError, match="no images in the class folder 'c'"):
        load(base)
    image_folder({"c": 1})
    with pytest.raises(DataError, match="at least 3 samples to be split, and 'c' has 1"):
        load(base)


def test_a_class_that_training_does_not_know(image_folder: Make) -> None:
    image_folder({"a": 4, "b": 4}, below="train")
    base = image_folder({"a": 4, "z": 4}, below="val")
    with pytest.raises(DataError, match="the class 'z' is not among the training classes"):
        load(base)


def test_missing_folder_file_and_no_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        load(tmp_path / "file")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        load(tmp_path / "bare")


def test_too_many_pixels_for_the_memory(image_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdstudio.engine.data import image_store

    memory = type("Memory", (), {"available": 1000})
    monkeypatch.setattr(image_store.psutil, "virtual_memory", lambda: memory)
    with pytest.raises(DataError, match=r"data\.image_size") as caught:
        load(image_folder({"a": 4, "b": 4}), keep_in="memory")
    assert caught.value.kind == "memory"


def test_progress_reaches_the_total(image_folder: Make) -> None:
    calls: list[tuple[str, int, int]] = []
    base = image_folder({"a": 4, "b": 4})
    load_data(ImageFolder(path=base.name), base.parent, lambda *call: calls.append(call))
    assert calls[-1] == ("Reading images", 8, 8)


def test_the_centre_is_cut_out(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (read_image(tmp_path / "wide.png", 10, False) == 200).all()


def test_kinds_of_pixels(tmp_path: Path) -> None:
    deep = np.full((8, 8), 32896, np.uint16)  # 128 * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert (read_image(tmp_path / "deep.png", 8, True) == 128).all()
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        suffix = "tif" if mode == "CMYK" else "png"
        Image.new(mode, (9, 9)).save(tmp_path / f"x.{suffix}")
        assert read_image(tmp_path / f"x.{suffix}", 8, False).shape == (3, 8, 8)
        assert read_image(tmp_path / f"x.{suffix}", 8, True).shape == (1, 8, 8)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 3  # turned by 180 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path / "turned.png", 8, True)[0]
    assert (upright[0, 0], upright[-1, 0]) == (0, 255)
