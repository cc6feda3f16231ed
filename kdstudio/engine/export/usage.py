"""How an artifact is used: the few lines of Python that its README shows."""

from __future__ import annotations

from typing import Any

from kdstudio.engine.student_io import DESCRIPTION, WEIGHTS

#: What has to be installed to use an artifact, and what more to read pictures.
NEEDS = {
    "safetensors": "kdstudio",
    "torch-export": "torch",
    "onnx": "onnxruntime numpy",
    "onnx-int8": "onnxruntime numpy",
}
NEEDS_PICTURES = {"safetensors": "", "torch-export": " numpy pillow", "onnx": " pillow", "onnx-int8": " pillow"}


def snippet(kind: str, own_code: bool, picture: tuple[int, ...] | None) -> str:
    """The usage that README shows; it runs in the artifact's folder.

    Args:
        kind: One of `FORMATS`.
        own_code: Whether the network comes from a Python file of a person's own.
        picture: For students of image folders their input shape (C, S, S): a picture is read as it was for them.
    """
    int8, kind = kind == "onnx-int8", kind.removesuffix("-int8")
    text = (
        _SNIPPETS[kind]
        .replace("model.onnx", "model-int8.onnx" if int8 else "model.onnx")
        .replace("TRUSTED", ", trusted=True" if own_code else "")
    )
    if picture is None:
        return text.replace("NUMPY", "").replace("READ", "").replace("SAMPLES", _ZEROS[kind])
    channels, size = picture[:2]
    read, samples = _PICTURES[kind]
    mode, order = ("L", "[None]") if channels == 1 else ("RGB", ".transpose(2, 0, 1)")
    text = text.replace("NUMPY", "import numpy as np\n").replace("READ", read).replace("SAMPLES", samples)
    for word, value in (("MODE", mode), ("SIZE", str(size)), ("ORDER", order), ("GREY", str(channels == 1))):
        text = text.replace(word, value)
    return text


def checked_words(parity: dict[str, Any]) -> str:
    """What the check found, for README."""
    found = f"checked in a fresh process on {parity['samples']} test samples: "
    if parity["relative_tolerance"] is None:
        same, expected = f"{parity['agreement']:.2%}", f"{parity['expected_accuracy']:.2%}"
        return (
            f"{found}accuracy {parity['accuracy']:.2%} (the student:\n  {expected}); the same answer on {same}; eight "
            f"bits change the outputs by up to\n  {parity['relative_difference']:.2g} of their size"
        )
    return (
        f"{found}accuracy {parity['accuracy']:.2%}, largest difference\n  from the student's outputs "
        f"{parity['max_difference']:.2g}, {parity['relative_difference']:.2g} of their size\n"
        f"  (rounding explains up to {parity['relative_tolerance']:.2g})"
    )


_ZEROS = {
    "safetensors": "torch.zeros(1, *student.input_shape)  # put yours here",
    "torch-export": 'torch.zeros(1, *metadata["input_shape"])  # put yours here',
    "onnx": 'np.zeros((1, *metadata["input_shape"]), np.float32)  # put yours here',
}

#: What `folder.read_image` does, without this program.
_READ = """from PIL import Image, ImageOps


def read(path):
    \"\"\"A picture as the student learned from it: upright, the shorter side resized to SIZE, the centre cut out.\"\"\"
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I") or picture.mode == "F":  # more than 8 bits a pixel
        wide = np.asarray(picture, np.float64)
        scale = 255 / 65535 if picture.mode.startswith("I") else 255 / wide.max()
        picture = Image.fromarray((wide * scale).clip(0, 255).round().astype(np.uint8))
    picture = ImageOps.fit(picture.convert("MODE"), (SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)ORDER

"""

#: How a picture is read, and the samples made of it.
_PICTURES = {
    "safetensors": (
        "from kdstudio.engine.data.folder import read_image\n",
        'torch.from_numpy(read_image(Path("picture.png"), SIZE, grayscale=GREY))[None]  # yours',
    ),
    "torch-export": (_READ, 'torch.from_numpy(read("picture.png"))[None]  # put yours here'),
    "onnx": (_READ, 'read("picture.png")[None]  # put yours here'),
}

_SNIPPETS = {
    "safetensors": f"""from pathlib import Path

import torch
READfrom kdstudio.engine.student_io import load_student

student = load_student(Path(".")TRUSTED)  # {WEIGHTS} and {DESCRIPTION}
samples = SAMPLES
with torch.no_grad():
    logits = student.model(student.preprocess(samples))
print(student.classes[int(logits.argmax())])
""",
    "torch-export": """import json

NUMPYimport torch
READ
extra = {"metadata.json": ""}
model = torch.export.load("model.pt2", extra_files=extra).module()
metadata = json.loads(extra["metadata.json"])
samples = SAMPLES
with torch.no_grad():
    logits = model(samples)
print(metadata["labels"][int(logits.argmax())])
""",
    "onnx": """import json

import numpy as np
import onnxruntime
READ
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
metadata = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
samples = SAMPLES
(logits,) = session.run(["logits"], {"samples": samples})
print(metadata["labels"][int(logits.argmax())])
""",
}
