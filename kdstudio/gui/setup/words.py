"""How the spec is said on screen: labels, units and choices in people's words, what is common, what matters when.

Everything has a sensible form without an entry here: a field that the spec gains is shown under Advanced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

#: Fields whose name is not what people call them.
LABELS = {
    "lr": "Learning rate",
    "clip_norm": "Clip gradients at",
    "widths": "Widths",
    "augment": "Augmentation",
    "validation_fraction": "Validation share",
    "train_limit": "Training samples",
    "image_size": "Image side",
    "every_seconds": "Snapshot every",
    "probes": "Probe samples",
    "pool": "Samples for matrices",
    "max_layers": "Layers in the map",
    "test": "Score on the test samples",
    "latency": "Measure latency and throughput",
    "latency_batch": "Throughput batch",
    "repeats": "Timed repetitions",
    "baseline": "Also train a baseline",
    "warmup_epochs": "Warm-up",
    "nesterov": "Nesterov momentum",
    "deterministic": "Deterministic kernels",
    "early_stop": "Stop early after",
    "checkpoint_seconds": "Checkpoint every",
    "accumulate": "Micro-batches",
    "args": "Further arguments",
    "pretrained": "Published weights",
    "grayscale": "Read as grey",
    "download": "May be downloaded",
    "from_epoch": "From epoch",
    "until_epoch": "Until epoch",
    "schedule": "Schedule",
    "path": "Path",
}

UNITS = {
    "batch_size": "samples",
    "crop_padding": "px",
    "jitter_pixels": "px",
    "image_size": "px",
    "epochs": "epochs",
    "warmup_epochs": "epochs",
    "early_stop": "epochs",
    "every_seconds": "s",
    "checkpoint_seconds": "s",
    "latency_batch": "samples",
    "alignment_samples": "samples",
    "pool": "samples",
}

CHOICES: dict[str, dict[str, str]] = {
    "source": {
        "digits": "Digits (scikit-learn, 8 × 8)",
        "mnist": "MNIST (28 × 28)",
        "fashion-mnist": "Fashion-MNIST (28 × 28)",
        "cifar10": "CIFAR-10 (32 × 32, colour)",
        "cifar100": "CIFAR-100 (32 × 32, colour)",
        "folder": "A folder of images",
        "npz": "A NumPy file (.npz)",
    },
    "optimizer": {"sgd": "SGD with momentum", "adamw": "AdamW"},
    "schedule": {"cosine": "Cosine to zero", "multistep": "Steps at milestones", "constant": "Constant"},
    "kind": {"linear": "Linear", "cosine": "Cosine"},
    "precision": {"auto": "Automatic", "fp32": "float32", "bf16": "bfloat16", "fp16": "float16"},
    "augment": {"crop": "Crop", "flip": "Flip", "jitter": "Jitter"},
}

#: Values that a free text field offers.
OFFERED = {"device": ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps")}

#: What is shown before the Advanced fold, by model; models that are not here are shown whole.
COMMON: dict[str, tuple[str, ...]] = {
    "Experiment": ("name", "notes", "baseline"),
    "Digits": ("batch_size", "train_limit", "augment", "crop_padding", "jitter_pixels"),
    "KnownImages": ("batch_size", "train_limit", "augment", "crop_padding", "jitter_pixels"),
    "ImageFolder": ("path", "image_size", "grayscale", "batch_size", "augment", "crop_padding", "jitter_pixels"),
    "NumpyFile": ("path", "batch_size", "augment", "crop_padding", "jitter_pixels"),
    "TeacherSpec": ("model", "widths", "weights", "pretrained", "dropout", "input_dropout"),
    "StudentSpec": ("model", "widths", "weights", "pretrained", "dropout", "input_dropout"),
    "TrainSpec": (
        "epochs", "lr", "optimizer", "schedule", "milestones", "gamma", "warmup_epochs", "weight_decay", "momentum",
    ),
    "HardTerm": ("weight", "from_epoch", "until_epoch"),
    "SoftTerm": ("weight", "temperature", "from_epoch", "until_epoch"),
    "HintTerm": ("weight", "from_epoch", "until_epoch", "pairs"),
    "MonitorSpec": ("every_seconds", "probes"),
    "EvaluateSpec": ("test", "latency"),
}  # fmt: skip

#: Columns of the fields that take more than one.
SPANS = {
    "name": 2, "path": 2, "folder": 2, "model": 2, "weights": 2, "notes": 4, "args": 2, "classes": 2, "augment": 2,
    "source": 2, "pairs": 4,
}  # fmt: skip

#: What a term is called, and what the student learns by it.
TERMS = {
    "hard": ("Hard labels", "the label of each sample, by cross-entropy"),
    "soft": ("Soft targets", "what the teacher says of all classes, softened by a temperature"),
    "hint": ("Hints", "what layers inside the teacher see (FitNets)"),
}


def term_words(tag: str, description: str = "") -> tuple[str, str]:
    """What a term is called, and a few words on it."""
    sentence = " ".join(description.split()).split(". ")[0].rstrip(".")
    return TERMS.get(tag, (label_of(tag), sentence))


def _library(values: dict[str, Any]) -> bool:
    return str(values.get("model", "")).startswith(("timm:", "torchvision:"))


def _own(values: dict[str, Any]) -> bool:
    return _library(values) or ".py" in str(values.get("model", ""))


def _augment(word: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: word in (values.get("augment") or [])


def _optimizer(word: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: values.get("optimizer") == word


def _family(*words: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: str(values.get("model", "")).split("-")[0] in words


#: When a field has an effect, from the values of the model that it belongs to. The others always have.
RELEVANT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "crop_padding": _augment("crop"),
    "jitter_pixels": _augment("jitter"),
    "momentum": _optimizer("sgd"),
    "nesterov": _optimizer("sgd"),
    "milestones": lambda values: values.get("schedule") == "multistep",
    "gamma": lambda values: values.get("schedule") == "multistep",
    "widths": _family("mlp", "cnn"),
    "dropout": _family("mlp", "cnn", "wrn"),
    "input_dropout": _family("mlp"),
    "args": lambda values: _own(values) or str(values.get("model", "")).startswith("resnet"),
    "pretrained": _library,
    "latency_batch": lambda values: bool(values.get("latency")),
    "repeats": lambda values: bool(values.get("latency")),
}


def label_of(name: str) -> str:
    """The label of a field."""
    words = LABELS.get(name) or name.replace("_", " ")
    return words[:1].upper() + words[1:]


def choice_text(name: str, value: str) -> str:
    """What a choice of a field is called."""
    return CHOICES.get(name, {}).get(value, value)


def hint_of(description: str, values: dict[str, Any] | None = None) -> str:
    """The usual range: what a description says in brackets. Of several optimizers' ranges, the chosen one's."""
    found = re.findall(r"\(([^()]*)\)", description)
    if (values or {}).get("model") == "cnn":  # what is said of a cnn stands behind what is said of an mlp
        found.reverse()
    for words in found:
        parts = [part for part in words.split("; ") if not part.startswith("empty:")]
        by_name = dict(part.split(": ", 1) for part in parts if re.match(r"(sgd|adamw): ", part))
        chosen = by_name.get(str((values or {}).get("optimizer")))
        if chosen:
            return f"usual {chosen}"
        if parts and re.match(r"usual|for example|\d|sgd:|Hinton", parts[0]):
            return "; ".join(parts)
    return ""


def empty_text(description: str) -> str:
    """What it means that an optional field is empty."""
    found = re.search(r"\(empty: ([^;)]+)", description)
    return found[1] if found else "not set"


def is_relevant(name: str, values: dict[str, Any]) -> bool:
    """Whether a field has an effect beside these values."""
    rule = RELEVANT.get(name)
    return rule is None or rule(values)


def amount(number: float) -> str:
    """A count in few letters: 85 k, 1.23 M."""
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:,.0f}"


def file_size(size: float) -> str:
    """Bytes in few letters: 340 kB."""
    for letter, unit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= unit:
            return f"{size / unit:.3g} {letter}"
    return f"{size:.0f} B"


def times(ratio: float) -> str:
    """A ratio in few letters: 35, 3.6."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def path_text(path: str) -> str:
    """Where a field is, for people: objective.1.temperature is Objective, term 2: Temperature."""
    keys = path.split(".")
    parts: list[str] = []
    for before, key in zip(["", *keys], keys):
        if key.isdigit():
            kind = {"objective": "term", "pairs": "pair"}.get(before, "item")
            parts[-1:] = [parts[-1]] if before == "objective" else parts[-1:]
            parts.append(f"{kind} {int(key) + 1}")
        elif key != "pairs":
            parts.append(label_of(key))
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}: {parts[-1]}"
