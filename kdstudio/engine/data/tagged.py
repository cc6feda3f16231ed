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
from kdstudio.project.spec import TaggedText, suggestion
from kdstudio.project.tagged import Tagged, broken_spans, read_tagged

_SPLIT, _LIMIT = 31, 21
_MOST_TAGS = 500


def load_tagged_data(spec: TaggedText, root: Path, progress: Progress | None = None) -> DataBundle:
    """Sentences with a tag for each word.

    The tag stands at the first piece of its word; other pieces, special tokens and padding have none, as in the
    fine-tuning of BERT (Devlin et al. 2019, 1810.04805, section 5.3).

    Raises:
        DataError: The file cannot be read, or has too few sentences or unknown tags.
    """
    name = Path(spec.path).name
    learned = list(read_tagged(root / spec.path, spec.encoding, spec.words, spec.tags))
    held = None
    if spec.test_path is not None:
        held = list(read_tagged(root / spec.test_path, spec.encoding, spec.words, spec.tags, "data.test_path"))
    every = learned + (held or [])
    if not every:
        raise DataError(f"{name}: there are no sentences", fix="check data.path; an empty line ends a sentence")
    tags = _tags_of(spec, every)
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
    bundle = DataBundle(name, train, validation, test, tags, (whole.images.shape[1],), [], [], problems)
    bundle.source, bundle.tokenizer, bundle.text, bundle.lengths = "tagged", tokenizer, facts, np.array(lengths)
    return bundle


def _tags_of(spec: TaggedText, every: list[Tagged]) -> list[str]:
    found = {tag: each.line for each in reversed(every) for tag in each.tags}
    if spec.classes is None:
        if len(found) > _MOST_TAGS:
            raise DataError(
                f"data.tags: there are {len(found):,} different tags",
                "what stands last in each line looks like words, not like tags",
                "give a file whose lines end with the tag",
            )
        return sorted(found, key=lambda tag: (tag != "O", tag[2:] if tag[1:2] == "-" else tag, tag))
    unknown = next((tag for tag in found if tag not in spec.classes), None)
    if unknown is not None:
        near = suggestion(unknown, spec.classes) or "add it to data.classes"
        raise DataError(f"data.classes: the tag '{unknown}' (line {found[unknown]}) is none of them", "", near)
    return list(spec.classes)


def _encoded(
    tokenizer: Tokenizer, every: list[Tagged], tags: list[str], longest: int, progress: Progress | None
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """Token ids, the number of the tag at each token or `IGNORED`, and lengths before any is cut."""
    numbers = {tag: number for number, tag in enumerate(tags)}
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
            if len(tokens) > longest:  # the special token at the end stays
                tokens, row = [*tokens[: longest - 1], tokens[-1]], [*row[: longest - 1], row[-1]]
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


def _split(spec: TaggedText, whole: ArraySplit, learned: int, held: bool) -> list[ArraySplit]:
    """Training, validation and test sentences: by chance, the same on every machine."""
    order = np.argsort(sort_keys(learned, spec.split_seed, _SPLIT), kind="stable")
    test = np.arange(learned, len(whole)) if held else order[: round(learned * spec.test_fraction)]
    rest = order if held else order[len(test) :]
    count = round(learned * spec.validation_fraction)
    validation, train = rest[:count], rest[count:]
    if spec.train_limit is not None:
        train = train[: spec.train_limit]
    return [whole.select(np.sort(part)) for part in (train, validation, test)]
