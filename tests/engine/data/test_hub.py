"""Datasets of the Hugging Face library: saved folders and local files, with the real package where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kdstudio.engine.data import load_data
from kdstudio.project.errors import DataError
from kdstudio.project.spec import HubText

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")

ROWS = {
    "text": [f"a {'fine' if number % 2 else 'dull'} day, number {number}" for number in range(60)],
    "label": [number % 2 for number in range(60)],
}
PLAIN = {"tokenizer": "bpe:300", "max_tokens": 16, "batch_size": 8}


def spec(name: Path | str, **fields: Any) -> HubText:
    return HubText(source="hub", name=str(name), **{**PLAIN, **fields})


def labelled(names: list[str] | None = None) -> Any:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names or ["dull", "fine"])}
    )
    return datasets.Dataset.from_dict(ROWS, features=features)


def test_a_saved_dataset_with_named_classes(tmp_path: Path) -> None:
    labelled().save_to_disk(tmp_path / "saved")
    bundle = load_data(spec("saved"), tmp_path)
    assert bundle.classes == ["dull", "fine"]
    assert len(bundle.train) + len(bundle.validation) + len(bundle.test) == 60


def test_a_saved_dictionary_with_a_test_split(tmp_path: Path) -> None:
    words = {**ROWS, "label": [["dull", "fine"][number % 2] for number in range(60)]}
    split = datasets.Dataset.from_dict(words)
    datasets.DatasetDict({"train": split, "held": split.select(range(10))}).save_to_disk(tmp_path / "saved")
    bundle = load_data(spec("saved", test_split="held"), tmp_path)
    assert bundle.classes == ["dull", "fine"]
    assert len(bundle.test) == 10
    with pytest.raises(DataError, match=r"no split 'hold'.*|did you mean 'held'"):
        load_data(spec("saved", test_split="hold"), tmp_path)
    with pytest.raises(DataError, match="no column 'texts'"):
        load_data(spec("saved", text="texts"), tmp_path)


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    rows = {**ROWS, "label": [-1, *ROWS["label"][1:]]}
    features = labelled().features
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    bundle = load_data(spec("saved"), tmp_path)
    assert "1 of 60 rows without a known label were left out" in " ".join(bundle.problems)


@pytest.mark.parametrize("task", ["causal-lm", "masked-lm"])
def test_a_saved_corpus(tmp_path: Path, task: str) -> None:
    labelled().save_to_disk(tmp_path / "saved")
    bundle = load_data(spec("saved", task=task, validation_fraction=0.1, test_fraction=0.1), tmp_path)
    assert bundle.is_language
    assert bundle.train.images.shape[1] == 16


def test_a_stream_of_local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    folder = tmp_path / "files"
    folder.mkdir()
    lines = "\n".join(json.dumps({"text": text}) for text in ROWS["text"] * 20)
    (folder / "train.jsonl").write_text(lines)
    fields = {"task": "causal-lm", "streaming": True, "stream_tokens": 2000}
    bundle = load_data(spec("files", **fields), tmp_path)
    count = sum(len(split) for split in bundle.splits.values())
    assert 2000 / 16 <= count < 2 * 2000 / 16


def test_what_there_is_not_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="could not be read"):
        load_data(spec("./nowhere"), tmp_path)


def test_lists_of_words_and_of_named_tags(tmp_path: Path) -> None:
    rows = {"tokens": [["Ann", "went"]] * 60, "ner_tags": [[1, 0]] * 60}
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    bundle = load_data(spec("saved", task="token-classification"), tmp_path)
    assert bundle.classes == ["O", "B-PER"]
    assert bundle.counts()["train"] == [len(bundle.train)] * 2
