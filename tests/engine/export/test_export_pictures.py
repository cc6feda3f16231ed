"""Students of image folders: README's lines read a picture as the engine did, and no path of this computer travels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdstudio.engine.data import load_data
from kdstudio.engine.data.folder import read_image
from kdstudio.engine.evaluate import predict
from kdstudio.engine.export import export_student
from kdstudio.engine.export.usage import snippet
from kdstudio.engine.student_io import DESCRIPTION, load_student
from kdstudio.project.spec import ImageFolder
from tests.engine.export.conftest import make_student
from tests.engine.export.test_export_formats import use_as_readme_says


def draw(folder: Path) -> list[Path]:
    """Pictures of many forms in two classes: upright or not, grey, 16 bits, palettes, transparent."""
    random = np.random.default_rng(3)
    turned = Image.Exif()
    turned[0x0112] = 6  # by a quarter
    for label in ("cats", "dogs"):
        (folder / label).mkdir(parents=True)
        pixels = random.integers(0, 256, (15, 22, 3), dtype=np.uint8) // (1 + (label == "dogs"))
        wide = Image.fromarray(random.integers(0, 65536, (20, 13), dtype=np.uint16))
        picture = Image.fromarray(pixels)
        forms = [picture, picture.convert("L"), picture.convert("LA"), picture.convert("RGBA"), wide]
        for number, form in enumerate(forms):
            form.save(folder / label / f"{number}.png")
        picture.save(folder / label / "turned.png", exif=turned)
        picture.quantize(16).save(folder / label / "palette.png", transparency=2)
        Image.fromarray(pixels[..., 0].astype(np.float32)).save(folder / label / "float.tif")
    return sorted(folder.rglob("*.*"))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_the_lines_of_readme_read_every_picture_as_the_engine_does(tmp_path: Path, kind: str, grey: bool) -> None:
    lines = snippet(kind, False, (1 if grey else 3, 9, 9)).splitlines()
    start = lines.index("from PIL import Image, ImageOps")
    end = next(index for index, line in enumerate(lines) if line.startswith("    return"))
    found: dict[str, Any] = {"np": np}
    exec("\n".join(lines[start : end + 1]), found)
    paths = draw(tmp_path / "pictures")
    assert len(paths) == 16
    for path in paths:
        np.testing.assert_array_equal(found["read"](path), read_image(path, 9, grey), err_msg=path.name)


@pytest.mark.parametrize("kind", ["safetensors", pytest.param("torch-export", marks=pytest.mark.slow), "onnx"])
def test_readme_answers_as_the_engine_does(tmp_path: Path, kind: str, in_this_process: None) -> None:
    draw(tmp_path / "private" / "photos")
    root = tmp_path / "private"
    bundle = load_data(ImageFolder(path=str(root / "photos"), image_size=9, grayscale=kind == "onnx"), tmp_path)
    source = make_student(tmp_path / "student", bundle, model="cnn", widths=[4], scale=20.0)
    description = json.loads((source / DESCRIPTION).read_text())
    description["meta"]["data"] = bundle.name  # as versions before this one wrote it
    (source / DESCRIPTION).write_text(json.dumps(description))
    folder = tmp_path / "out"
    export_student(source, kind, folder, bundle)
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["origin"]["data"] == {"source": "folder", "name": "photos"}
    for file in folder.iterdir():
        assert str(root).encode() not in file.read_bytes(), file.name
    student = load_student(folder if kind == "safetensors" else source)
    for path in (root / "photos/cats/0.png", root / "photos/dogs/turned.png"):
        image = read_image(path, 9, kind == "onnx")
        split = bundle.test.select([0])
        split.images[0] = bundle.test.images.new_tensor(image)
        expected = bundle.classes[int(predict(student.model, student.preprocess, split, "cpu").argmax())]
        shutil.copyfile(path, folder / "picture.png")
        assert use_as_readme_says(folder) == expected
