"""Hugging Face datasets, by id or from a folder; they need the package `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from kdstudio.engine.data.base import DataBundle, Progress
from kdstudio.engine.data.tagged import tagged_bundle
from kdstudio.engine.data.text_bundles import Pair, corpus_bundle, labelled_bundle, problems_of_rows
from kdstudio.engine.text.tokens import resolve
from kdstudio.project.errors import DataError
from kdstudio.project.spec import HubText, suggestion
from kdstudio.project.tagged import USUAL_TAGS, USUAL_WORDS, Tagged, sentence_of, usual_key


def load_hub_data(spec: HubText, root: Path, progress: Progress | None = None) -> DataBundle:
    """Texts of a dataset, with labels or as a corpus.

    Raises:
        DataError: The package is not installed, the dataset cannot be had, or a split or column is not there.
    """
    train = _split(spec, root, spec.train_split, "data.train_split")
    name = Path(spec.name).name
    if spec.task == "token-classification":
        return _tagged(spec, root, name, train, progress)
    if spec.task != "classification":
        _check_column(train, spec.text, "data.text")

        def texts() -> Iterator[str]:
            for row in train:
                text = str(row[spec.text] or "").strip()
                if text:
                    yield text

        stamp = str(getattr(train, "_fingerprint", "")) or f"{spec.name} {spec.config} {spec.train_split}"
        most = spec.stream_tokens if spec.streaming else None
        share = spec.mask_share
        return corpus_bundle(spec, root, name, texts, spec.task, share, f"{stamp} {spec.text}", progress, most)
    problems: list[str] = []
    classes = _class_names(train, spec.label)
    pairs = _pairs(spec, train, classes, problems)
    test = None
    if spec.test_split is not None:
        test = _pairs(spec, _split(spec, root, spec.test_split, "data.test_split"), classes, problems)
    return labelled_bundle(spec, root, name, pairs, test, classes, problems, progress)


def _split(spec: HubText, root: Path, split: str, field: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError(
            "data.source: datasets of the Hugging Face hub need a package that is not installed",
            fix="pip install 'kdstudio[hub]'",
        ) from None
    folder = resolve(spec.name, root)
    try:
        if folder is not None and (folder / "state.json").exists():
            return datasets.load_from_disk(str(folder))
        if folder is not None and (folder / "dataset_dict.json").exists():
            found = datasets.load_from_disk(str(folder))
        else:
            return datasets.load_dataset(str(folder or spec.name), spec.config, split=split, streaming=spec.streaming)
    except Exception as error:  # the library and its clients raise whatever their parts do
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise DataError(
            f"data.name: the dataset '{spec.name}' could not be read",
            f"{type(error).__name__}: {first}",
            "check the id, data.config, the split's name and the network; or give a folder that save_to_disk wrote",
        ) from None
    if split not in found:
        near = suggestion(split, list(found)) or f"choose one of: {', '.join(found)}"
        raise DataError(f"{field}: the dataset has no split '{split}'", "", near)
    return found[split]


def _tagged(spec: HubText, root: Path, name: str, train: Any, progress: Progress | None) -> DataBundle:
    """Lists of words and of tags; where the tags are numbers, the dataset has their names."""
    known = list(train.column_names or [])
    words = usual_key(known, spec.text, ("text", *USUAL_WORDS))
    tags = usual_key(known, spec.label, ("label", *USUAL_TAGS))

    def sentences(split: Any) -> list[Tagged]:
        _check_column(split, words, "data.text")
        _check_column(split, tags, "data.label")
        found = (sentence_of(number, row, words, tags, f"{name}, row {number}") for number, row in enumerate(split, 1))
        return [each for each in found if each.words]

    learned = sentences(train)
    held = sentences(_split(spec, root, spec.test_split, "data.test_split")) if spec.test_split is not None else None
    classes = list(getattr(getattr(train.features[tags], "feature", None), "names", None) or []) or None
    return tagged_bundle(spec, root, name, learned, held, classes, progress)


def _check_column(split: Any, name: str, field: str) -> None:
    known = list(split.column_names or [])
    if name not in known:
        near = suggestion(name, known) or f"choose one of: {', '.join(known)}"
        raise DataError(f"{field}: the dataset has no column '{name}'", "", near)


def _class_names(split: Any, label: str) -> list[str] | None:
    _check_column(split, label, "data.label")
    return list(getattr(split.features[label], "names", None) or []) or None


def _pairs(spec: HubText, split: Any, classes: list[str] | None, problems: list[str]) -> list[Pair]:
    for name, field in ((spec.text, "data.text"), (spec.label, "data.label"), (spec.second, "data.second")):
        if name is not None:
            _check_column(split, name, field)
    found: list[Pair] = []
    empty: list[int] = []
    unlabelled: list[int] = []
    for number, row in enumerate(islice(split, None), 1):
        text, label = str(row[spec.text] or "").strip(), row[spec.label]
        missing = label is None or (classes is not None and not 0 <= int(label) < len(classes))
        if not text or missing:
            (empty if not text else unlabelled).append(number)
            continue
        second = str(row[spec.second] or "") if spec.second else None
        found.append((text, second, classes[int(label)] if classes is not None else str(label)))
    problems += problems_of_rows(spec.name, empty, unlabelled, 0, len(found) + len(empty) + len(unlabelled))
    return found
