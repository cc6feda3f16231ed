"""Texts whose words have tags, as token ids with a tag at the first piece of each word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress
from kdstudio.engine.data.splits import sort_keys
from kdstudio.engine.data.text_bundles import tokenizer_for
from kdstudio.engine.text.facts import IGNORED, TextFacts
from kdstudio.engine.text.tokens import Tokenizer, padded
from kdstudio.project.errors import DataError
from kdstudio.project.spec import TaggedText, TextData, suggestion
from kdstudio.project.tagged import Tagged, broken_spans, read_tagged

_SPLIT, _LIMIT = 31, 21
_MOST_TAGS = 500


def load_tagged_data(spec: TaggedText, root: Path, progress: Progress | None = None) -> DataBundle:
    """Sentences of files with a tag for each word; see `tagged_bundle`.

    Raises:
        DataError: A file cannot be read, or has too few sentences or unknown tags.
    """
    paths = {"data.path": spec.path, "data.test_path": spec.test_path}
    read = {
        field: list(read_tagged(root / path, spec.encoding, spec.words, spec.tags, field))
        for field, path in paths.items()
        if path is not None
    }
    for field, sentences in read.items():
        if not sentences:
            raise DataError(
                f"{field}: {Path(str(paths[field])).name} has no sentences",
                fix="a line has a word first and its tag last; an empty line ends a sentence",
            )
    name = Path(spec.path).name
    return tagged_bundle(spec, root, name, read["data.path"], read.get("data.test_path"), spec.classes, progress)


def tagged_bundle(
    spec: TextData,
    root: Path,
    name: str,
    learned: list[Tagged],
    held: list[Tagged] | None,
    classes: list[str] | None,
    progress: Progress | None = None,
) -> DataBundle:
    """Data of sentences with a tag for each word.

    The tag stands at the first piece of its word; other pieces, special tokens and padding have none, as in the
    fine-tuning of BERT (Devlin et al. 2019, 1810.04805, section 5.3).

    Args:
        name: What people call the data.
        learned: Sentences to learn from.
        held: Sentences to test on; None: some of the others are held out.
        classes: The tags in their order; None: all that occur.

    Raises:
        DataError: There are too few sentences, or unknown tags.
    """
    every = learned + (held or [])
    tags = _tags_of(classes, {"": learned, "of the test sentences, ": held or []})
    tokenizer = tokenizer_for(spec, root, lambda: (" ".join(each.words) for each in learned))
    facts = TextFacts.of(tokenizer, "token-classification", spec.max_tokens, tags=tuple(tags))
    ids, marks, lengths = _encoded(tokenizer, every, tags, spec.max_tokens, progress)
    whole = ArraySplit(torch.from_numpy(padded(ids, tokenizer.pad_id)), torch.from_numpy(_filled(marks)).long())
    problems = []
    share = sum(length > spec.max_tokens for length in lengths) / len(lengths)
    if share > 0.01:
        problems.append(f"{100 * share:.0f} % of the sentences are longer than {spec.max_tokens} tokens and are cut.")
    broken = sum(broken_spans(each.tags) for each in every)
    if broken:
        problems.append(f"{broken:,} tags go on with a span that did not begin; they are taken as beginnings.")
    train, validation, test = _split(spec, whole, len(learned), held is not None)
    if min(len(train), len(validation), len(test)) < 1:
        raise DataError(
            f"{name}: {len(every)} sentences are too few to train, validate and test on", fix="give more sentences"
        )
    problems += _unlearned(tags, train, [validation, test])
    bundle = DataBundle(name, train, validation, test, tags, (whole.images.shape[1],), [], [], problems)
    bundle.source, bundle.tokenizer, bundle.text, bundle.lengths = "tagged", tokenizer, facts, np.array(lengths)
    return bundle


def _tags_of(classes: list[str] | None, parts: dict[str, list[Tagged]]) -> list[str]:
    """The tags in their order; the words by which `parts` are named stand in messages before the line."""
    found: dict[str, str] = {}
    for words, sentences in parts.items():
        for each in sentences:
            for tag in each.tags:
                found.setdefault(tag, f"{words}line {each.line}")
    if classes is not None:
        return _checked(classes, found)
    if len(found) > _MOST_TAGS:
        raise DataError(
            f"data.tags: there are {len(found):,} different tags",
            "what stands last in each line looks like words, not like tags",
            "give a file whose lines end with the tag",
        )
    if len(found) < 2:
        raise DataError(
            f"data.tags: every word has the tag '{next(iter(found), '')}'",
            "there is nothing to tell apart",
            "check that the tag is the last in each line, or data.tags",
        )
    return sorted(found, key=lambda tag: (tag != "O", tag[2:] if tag[1:2] == "-" else tag, tag))


def _checked(classes: list[str], found: dict[str, str]) -> list[str]:
    """The given tags, if they are all that were found; `found` says where."""
    twice = next((tag for tag in classes if classes.count(tag) > 1), None)
    if twice is not None:
        raise DataError(f"data.classes: the tag '{twice}' is there twice", fix="keep one of them")
    for tag, where in found.items():
        if tag not in _numbers(classes):
            near = suggestion(tag, classes) or "add it to data.classes"
            raise DataError(f"data.classes: the tag '{tag}' ({where}) is none of them", "", near)
    return list(classes)


def _numbers(tags: list[str]) -> dict[str, int]:
    """The number of each tag; where numbers stand in a file for tags, they are their own."""
    return {**{str(number): number for number in range(len(tags))}, **{tag: place for place, tag in enumerate(tags)}}


def _unlearned(tags: list[str], train: ArraySplit, others: list[ArraySplit]) -> list[str]:
    """Tags that stand in validation or test sentences alone."""
    known = {*train.labels.unique().tolist(), IGNORED}
    missing = sorted({number for split in others for number in split.labels.unique().tolist()} - known)
    if not missing:
        return []
    names = ", ".join(tags[number] for number in missing[:8])
    return [f"Tags that only validation or test sentences have cannot be learned: {names}."]


def _encoded(
    tokenizer: Tokenizer, every: list[Tagged], tags: list[str], longest: int, progress: Progress | None
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """Token ids, the number of the tag at each token or `IGNORED`, and lengths before any is cut."""
    numbers = _numbers(tags)
    ids: list[list[int]] = []
    marks: list[list[int]] = []
    lengths: list[int] = []
    for start in range(0, len(every), 500):
        some = every[start : start + 500]
        for sentence, (tokens, owners) in zip(some, tokenizer.encode_words([each.words for each in some])):
            lengths.append(len(tokens))
            before: int | None = None
            row = []
            for owner in owners:
                row.append(numbers[sentence.tags[owner]] if owner is not None and owner != before else IGNORED)
                before = owner
            if len(tokens) > longest:
                last = len(tokens) if owners[-1] is None else longest  # a special token at the end stays
                tokens, row = [*tokens[: longest - 1], tokens[last - 1]], [*row[: longest - 1], row[last - 1]]
            ids.append(tokens)
            marks.append(row)
        if progress is not None:
            progress("cutting sentences into tokens", len(ids), len(every))
    return ids, marks, lengths


def _filled(marks: list[list[int]]) -> np.ndarray:
    table = np.full((len(marks), max(map(len, marks))), IGNORED, np.int64)
    for row, mark in zip(table, marks):
        row[: len(mark)] = mark
    return table


def _split(spec: TextData, whole: ArraySplit, learned: int, held: bool) -> list[ArraySplit]:
    """Training, validation and test sentences: by chance, the same on every machine."""
    order = np.argsort(sort_keys(learned, spec.split_seed, _SPLIT), kind="stable")
    test = np.arange(learned, len(whole)) if held else order[: round(learned * spec.test_fraction)]
    rest = order if held else order[len(test) :]
    count = round(learned * spec.validation_fraction)
    validation, train = rest[:count], rest[count:]
    if spec.train_limit is not None:
        train = train[: spec.train_limit]
    return [whole.select(np.sort(part)) for part in (train, validation, test)]
