"""Texts as token ids: labelled texts, and corpora that are packed into blocks."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from kdstudio.engine.counters import mix
from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress
from kdstudio.engine.data.splits import make_bundle, sort_keys
from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.tokens import Tokenizer, lent_by, load_tokenizer, make_tokenizer, padded
from kdstudio.project.errors import DataError
from kdstudio.project.settings_path import cache_dir
from kdstudio.project.spec import TextData, suggestion
from kdstudio.project.yaml_io import storage_error

_MOST_CLASSES = 1000
_SHOWN = 3
_LIMIT = 21
Pair = tuple[str, str | None, str]


def tokenizer_for(spec: TextData, root: Path, texts: Callable[[], Iterator[str]]) -> Tokenizer:
    """The tokenizer that a source asks for; one of `bpe:N` is made from the texts.

    Raises:
        DataError, ModelError: Nothing says which, or it cannot be read; the message names the field that says so.
    """
    source = spec.tokenizer_source
    if source is None:
        raise DataError(
            "data.tokenizer: nothing says how texts become tokens",
            "neither teacher nor student is a model of the transformers library that has a tokenizer",
            "set data.tokenizer to a hub id or a folder, or to bpe:4000 to make one from the text",
        )
    if source.startswith("bpe:"):
        return make_tokenizer(texts(), int(source.removeprefix("bpe:")))
    if spec.tokenizer:
        return load_tokenizer(source, root)
    with lent_by(spec.lender, source, "data.tokenizer is empty, so the model lends its own"):
        return load_tokenizer(source, root)


def check_mask(tokenizer: Tokenizer, task: str) -> None:
    """Raises DataError where masked-lm is asked of a tokenizer that cannot hide tokens."""
    if task == "masked-lm" and tokenizer.mask_id is None:
        raise DataError(
            f"data.task: masked-lm needs a token that hides others, and the tokenizer {tokenizer.source} has none",
            "it belongs to a model that writes from left to right",
            "set data.task to causal-lm, or choose the tokenizer of an encoder such as bert-base-uncased",
        )


# -- labelled texts ------------------------------------------------------------------------------------------


def labelled_bundle(
    spec: TextData,
    root: Path,
    name: str,
    train: list[Pair],
    test: list[Pair] | None,
    classes: list[str] | None,
    problems: list[str],
    progress: Progress | None = None,
) -> DataBundle:
    """Labelled texts as token ids.

    Args:
        spec: The source.
        root: The project's folder.
        name: Of the source, for people.
        train, test: (text, second text or None, label) of each sample; without `test` some are held out.
        classes: Names in label order; None for all that occur, sorted.
        problems: Warnings so far.
        progress: Called while texts are cut into tokens.
    """
    every = train + (test or [])
    if not every:
        raise DataError(f"{name}: there are no texts", fix="check data.path, and the columns data.text and data.label")
    found = Counter(label for _, _, label in every)
    if classes is None:
        classes = sorted(found, key=_label_order)
        if len(classes) > _MOST_CLASSES:
            raise DataError(
                f"data.label: the column has {len(classes):,} different labels",
                "it looks like text or numbers, not like classes",
                "choose the column that says the class",
            )
    numbers = {label: number for number, label in enumerate(classes)}
    unknown = next((label for label in found if label not in numbers), None)
    if unknown is not None:
        near = suggestion(unknown, classes) or "add it to data.classes, or set data.bad_rows to leave_out"
        raise DataError(f"data.classes: the label '{unknown}' occurs and is none of them", "", near)
    tokenizer = tokenizer_for(spec, root, lambda: (text for text, _, _ in train))
    facts = TextFacts.of(tokenizer, "classification", spec.max_tokens)
    lengths: list[int] = []
    ids = _encoded(tokenizer, every, spec.max_tokens, lengths, progress)
    table = torch.from_numpy(padded(ids, tokenizer.pad_id))
    labels = torch.tensor([numbers[label] for _, _, label in every], dtype=torch.int64)
    held = None if test is None else ArraySplit(table[len(train) :], labels[len(train) :])
    share = sum(length > spec.max_tokens for length in lengths) / len(lengths)
    if share > 0.01:
        problems.append(f"{100 * share:.0f} % of the texts are longer than {spec.max_tokens} tokens and are cut.")
    learned = ArraySplit(table[: len(train)], labels[: len(train)])
    bundle = make_bundle(spec, name, classes, learned, None, held, problems)
    bundle.lengths = np.array(lengths)
    return _as_text(bundle, tokenizer, facts)


def _label_order(label: str) -> tuple[int, float, str]:
    """Numbers by their value, words by the alphabet."""
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def _encoded(
    tokenizer: Tokenizer, part: list[Pair], longest: int, lengths: list[int], progress: Progress | None
) -> list[list[int]]:
    """Token ids; and how many each text has before it is cut."""
    ids: list[list[int]] = []
    paired = any(second is not None for _, second, _ in part)
    for start in range(0, len(part), 1000):
        some = part[start : start + 1000]
        seconds = [second or "" for _, second, _ in some] if paired else None
        found, told = tokenizer.encode_told([text for text, _, _ in some], longest, seconds)
        lengths += told
        ids += [sample or [tokenizer.pad_id] for sample in found]
        if progress is not None:
            progress("cutting texts into tokens", len(ids), len(part))
    return ids


def _as_text(bundle: DataBundle, tokenizer: Tokenizer, facts: TextFacts) -> DataBundle:
    bundle.tokenizer, bundle.text = tokenizer, facts
    return bundle


# -- corpora -------------------------------------------------------------------------------------------------


def corpus_bundle(
    spec: TextData,
    root: Path,
    name: str,
    texts: Callable[[], Iterator[str]],
    task: str,
    mask_share: float,
    stamp: str,
    progress: Progress | None = None,
    most_tokens: int | None = None,
) -> DataBundle:
    """A corpus as blocks of token ids, on disk and mapped into memory, so that it need not fit there.

    The last blocks are the test samples and those before them the validation samples: neighbours in a text are alike,
    and blocks that were drawn by chance would be tested beside ones that were learned.

    Args:
        texts: Gives the documents from the first on; a document may come in pieces that end with a line.
        task, mask_share: See `TextFacts`.
        stamp: Changes when the contents do.
        most_tokens: Stop after so many.
    """
    tokenizer = tokenizer_for(spec, root, texts)
    check_mask(tokenizer, task)
    facts = TextFacts.of(tokenizer, task, spec.max_tokens, mask_share)
    digest = hashlib.blake2b(digest_size=12)
    digest.update("\0".join([stamp, tokenizer.fingerprint(), str(spec.max_tokens), task, str(most_tokens)]).encode())
    path = cache_dir() / "blocks" / f"{digest.hexdigest()}.bin"
    if not path.exists():
        _write_blocks(path, tokenizer, texts(), facts, progress, most_tokens)
    count = path.stat().st_size // (4 * spec.max_tokens)
    test, validation = round(count * spec.test_fraction), round(count * spec.validation_fraction)
    if min(test, validation, count - test - validation) < 1:
        raise DataError(
            f"{name}: the text has {count} blocks of {spec.max_tokens} tokens, too few to train and test on",
            fix="give more text, or set data.max_tokens lower",
        )
    blocks = torch.from_numpy(np.memmap(path, np.int32, "c").reshape(count, spec.max_tokens))
    parts = blocks.split([count - test - validation, validation, test])
    train, held, tested = (ArraySplit(part, torch.zeros(len(part), dtype=torch.int64)) for part in parts)
    if spec.train_limit is not None and spec.train_limit < len(train):
        order = np.argsort(sort_keys(len(train), spec.split_seed, _LIMIT), kind="stable")
        train = train.select(np.sort(order[: spec.train_limit]))
    bundle = DataBundle(name, train, held, tested, [], (spec.max_tokens,), [], [])
    bundle.source = str(getattr(spec, "source", ""))
    bundle.contents = f"{digest.hexdigest()} {mix(len(train), len(held), len(tested), spec.split_seed)}"
    return _as_text(bundle, tokenizer, facts)


def _write_blocks(
    path: Path,
    tokenizer: Tokenizer,
    texts: Iterable[str],
    facts: TextFacts,
    progress: Progress | None,
    most_tokens: int | None,
) -> None:
    """Packs the documents, an end token after each, into blocks; an encoder's blocks begin and end with its own."""
    inner = facts.max_tokens
    head: list[int] = []
    tail: list[int] = []
    if facts.task == "masked-lm" and facts.begin is not None and facts.end is not None:
        head, tail = [facts.begin], [facts.end]
        inner -= 2
    end = [] if tokenizer.end_id is None else [tokenizer.end_id]
    waiting: list[int] = []
    written = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".")
        with os.fdopen(handle, "wb") as file:
            documents = iter(texts)
            while pieces := list(islice(documents, 64)):
                for ids in tokenizer.plain(pieces):
                    waiting += ids + end
                blocks = [waiting[at : at + inner] for at in range(0, len(waiting) - inner + 1, inner)]
                waiting = waiting[len(blocks) * inner :]
                for block in blocks:
                    file.write(np.array(head + block + tail, np.int32).tobytes())
                written += len(blocks) * inner
                if progress is not None:
                    progress("cutting the text into tokens", written, most_tokens or 0)
                if most_tokens is not None and written >= most_tokens:
                    break
        os.replace(beside, path)
    except OSError as error:
        raise storage_error(path, error) from error


def problems_of_rows(name: str, empty: list[int], unlabelled: list[int], twice: int, total: int) -> list[str]:
    """Warnings about rows that were left out or that are suspicious."""
    found = []
    for rows, words in ((empty, "without a text"), (unlabelled, "without a known label")):
        if rows:
            shown = ", ".join(str(line) for line in rows[:_SHOWN]) + (" ..." if len(rows) > _SHOWN else "")
            found.append(f"{len(rows):,} of {total:,} rows {words} were left out (lines {shown}).")
    if twice > 0.01 * total:
        found.append(f"{twice:,} of {total:,} texts occur more than once: training and test samples may be the same.")
    return found
