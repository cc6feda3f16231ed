"""Tokenizers: found by id or folder, made from a text, compared, and sent along with networks."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdstudio.project.as_run import run_of
from kdstudio.project.errors import DataError, KDStudioError, ModelError

hub = logging.getLogger("huggingface_hub")
#: Files of a tokenizer in a folder; at least one of the first two is there.
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")
#: Begins the source of a model that an installed Python package brings with it.
PACKAGE = "package:"
#: Folder of the tokenizer beside a network that was saved.
KEPT = "tokenizer"
#: A vocabulary is made from texts in pieces of so many characters.
_PIECE = 1000
END, PAD, UNKNOWN, MASK = "<|end|>", "<|pad|>", "<|unknown|>", "<|mask|>"


@dataclass
class Tokenizer:
    """A tokenizer of the transformers library, with what data and networks ask of it.

    Attributes:
        inner: The library's tokenizer.
        source: Where it came from, for people.
    """

    inner: Any
    source: str

    def __len__(self) -> int:
        return len(self.inner)

    @property
    def pad_id(self) -> int:
        """The token that fills short samples; of GPT-like tokenizers, which have none, the one that ends texts."""
        for found in (self.inner.pad_token_id, self.inner.eos_token_id, 0):
            if found is not None:
                return int(found)
        raise AssertionError("unreachable")

    @property
    def end_id(self) -> int | None:
        """The token between two texts: the end of a text, or the separator of encoders."""
        found = self.inner.eos_token_id if self.inner.eos_token_id is not None else self.inner.sep_token_id
        return None if found is None else int(found)

    @property
    def mask_id(self) -> int | None:
        found = self.inner.mask_token_id
        return None if found is None else int(found)

    @property
    def special_ids(self) -> list[int]:
        return sorted(int(number) for number in self.inner.all_special_ids)

    def encode(self, texts: Sequence[str], longest: int, seconds: Sequence[str] | None = None) -> list[list[int]]:
        """Token ids of each text, with the special tokens that its model expects; cut at `longest` tokens."""
        pairs = {} if seconds is None else {"text_pair": list(seconds)}
        found = self.inner(list(texts), truncation=True, max_length=longest, padding=False, **pairs)
        return [list(ids) for ids in found["input_ids"]]

    def encode_told(
        self, texts: Sequence[str], longest: int, seconds: Sequence[str] | None = None
    ) -> tuple[list[list[int]], list[int]]:
        """The same, and how many tokens each text has before it is cut, special tokens included."""
        pairs = {} if seconds is None else {"text_pair": list(seconds)}
        with quiet():
            found = self.inner(list(texts), truncation=True, max_length=longest, padding=False, **pairs)
            encodings = getattr(found, "encodings", None)
            ids = [list(each) for each in found["input_ids"]]
            if not encodings:  # a tokenizer in plain Python tells nothing of what it cut
                whole = self.inner(list(texts), truncation=False, padding=False, **pairs)["input_ids"]
                return ids, [len(each) for each in whole]
        extra = self.inner.num_special_tokens_to_add(pair=seconds is not None)
        return ids, [len(each.ids) + sum(len(part.ids) - extra for part in each.overflowing) for each in encodings]

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[tuple[list[int], list[int | None]]]:
        """Of sentences that are cut into words already: token ids with special tokens, not cut, and the number of the
        word that each token is of (None of special ones)."""
        found = []
        with quiet():
            if not self.inner.is_fast:
                raise DataError(
                    f"data.tokenizer: the tokenizer {self.source} cannot say which word a token is of",
                    fix="use one with a tokenizer.json, or bpe:4000",
                )
            for words in sentences:
                # byte-level vocabularies tell words by the blank before them
                spaced = [word if not place else f" {word}" for place, word in enumerate(words)]
                said = self.inner(spaced if self._blanks else list(words), is_split_into_words=True)
                found.append((list(said["input_ids"]), list(said.word_ids())))
        return found

    @property
    def _blanks(self) -> bool:
        return _bytes_level(self.inner) and not getattr(self.inner, "add_prefix_space", False)

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids without special tokens, not cut."""
        with quiet():
            found = self.inner(list(texts), add_special_tokens=False, padding=False, truncation=False)
        return [list(ids) for ids in found["input_ids"]]

    def words(self, ids: Iterable[int]) -> list[str]:
        """Each token as people read it: with the blank before it where it begins a word."""
        inner = self.inner
        special, blanks = set(inner.all_special_ids), _bytes_level(inner)  # slow to ask for each token
        return [readable(inner, int(number), int(number) in special, blanks) for number in ids]

    def text(self, ids: Iterable[int]) -> str:
        """The text of token ids, without special tokens."""
        return str(self.inner.decode([int(number) for number in ids], skip_special_tokens=True))

    def fingerprint(self) -> str:
        """16 hex digits: the same for two tokenizers that give every text the same ids."""
        backend = getattr(self.inner, "backend_tokenizer", None)
        described = json.loads(backend.to_str()) if backend is not None else self.inner.get_vocab()
        if isinstance(described, dict):
            for key in ("padding", "truncation"):
                described.pop(key, None)
        text = json.dumps(described, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def save(self, folder: Path) -> None:
        """Writes its files into a folder."""
        self.inner.save_pretrained(folder)


def readable(inner: Any, number: int, special: bool, blanks: bool) -> str:
    """A token in people's words.

    Args:
        inner: The library's tokenizer.
        number: The token.
        special: Whether it is a special one.
        blanks: Whether all tokens tell the blank before them.
    """
    token = inner.convert_ids_to_tokens(number)
    if token is None:
        return f"[{number}]"
    if special:
        return str(token)
    if token.startswith("##"):
        return str(token)[2:]
    text = inner.convert_tokens_to_string([token])
    if token.startswith(("Ġ", "▁")) and not text.startswith(" "):
        return f" {text}"
    uses_blanks = any(mark in token for mark in ("Ġ", "▁", "Ċ")) or blanks
    return str(text) if uses_blanks else f" {text}"


def _bytes_level(inner: Any) -> bool:
    return "Ġ" in "".join(list(inner.get_vocab())[:2000])


class quiet:
    """Silences the transformers library's warnings and progress bars for a while."""

    def __enter__(self) -> None:
        from transformers.utils import logging as library

        self._level, self._bars = library.get_verbosity(), library.is_progress_bar_enabled()
        library.set_verbosity_error()
        library.disable_progress_bar()
        self._hub = hub.level
        hub.setLevel(logging.ERROR)  # it tells of each try

    def __exit__(self, *error: object) -> None:
        from transformers.utils import logging as library

        library.set_verbosity(self._level)
        hub.setLevel(self._hub)
        if self._bars:
            library.enable_progress_bar()


def resolve(source: str, root: Path) -> Path | None:
    """The folder that a tokenizer's or a model's source names, None for a hub id.

    `package:NAME/FOLDER` is a folder inside of an installed Python package, which brings a model with it;
    `run:EXPERIMENT` is the tokenizer that travelled with the student of a finished run.

    Raises:
        ModelError: There is no such package or run, or it has no such folder.
    """
    if source.startswith(PACKAGE):
        return _in_package(source.removeprefix(PACKAGE))
    if source.startswith("run:"):
        return run_of(source, root, "data.tokenizer").student_dir / KEPT
    path = Path(source).expanduser()
    path = path if path.is_absolute() else root / path
    return path if path.exists() else None


def _in_package(named: str) -> Path:
    package, _, inside = named.partition("/")
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise ModelError(
            f"model: the Python package '{package}' is not installed",
            "the experiment takes a model that comes with it",
            f"pip install {package.replace('_', '-')}; or give a hub id or a folder",
        )
    folder = Path(next(iter(found.submodule_search_locations))) / inside
    if not folder.is_dir():
        raise ModelError(f"model: the package '{package}' has no folder '{inside}'", fix="check the name")
    return folder


def looks_like_path(source: str) -> bool:
    """Whether a source can only be meant as a folder, so that a hub need not be asked."""
    return source.startswith((".", "/", "~")) or source.count("/") > 1


def load_tokenizer(source: str, root: Path) -> Tokenizer:
    """A tokenizer by its folder or hub id. No code of a hub is ever run.

    Raises:
        DataError: There is none, or it cannot be read.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = resolve(source, root)
    if folder is None and looks_like_path(source):
        raise DataError(
            f"data.tokenizer: there is no folder '{source}'",
            why=f"looked for {root / source}",
            fix="give a folder with tokenizer.json, or a hub id such as distilbert-base-uncased",
        )
    try:
        with quiet():
            inner = AutoTokenizer.from_pretrained(str(folder or source), trust_remote_code=False)
    except Exception as error:  # the library raises whatever its parts do
        kind = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"
        if folder is None and _is_kind(source, AutoConfig):
            raise DataError(
                f"data.tokenizer: '{source}' is a kind of network, not a tokenizer",
                fix="set data.tokenizer to a hub id or a folder, or to bpe:4000 to make one from the text",
            ) from None
        where = f"the folder {folder}" if folder else f"the hub's '{source}'"
        raise DataError(
            f"data.tokenizer: no tokenizer could be read from {where}",
            why=kind,
            fix="check the id and the network" if folder is None else "it needs tokenizer.json or vocab.txt",
        ) from None
    return Tokenizer(inner, source)


@contextmanager
def lent_by(part: str, source: str, remark: str = "") -> Iterator[None]:
    """What goes wrong with the tokenizer of a network is told of the field that the network stands in.

    Args:
        part: Which network of the experiment: `teacher`.
        source: Its tokenizer's folder, hub id or run.
        remark: Goes with the reason.

    Raises:
        DataError, ModelError: As in the block, with the field.
    """
    field = f"{part}.weights" if source.startswith("run:") else f"{part}.model"
    try:
        yield
    except KDStudioError as error:
        what = error.what.removeprefix("data.tokenizer: ").removeprefix("model: ")
        why = "; ".join(words for words in (error.why, remark) if words)
        raise type(error)(f"{field}: {what}", why, error.fix, error.kind) from None


def _is_kind(source: str, configurations: Any) -> bool:
    try:
        configurations.for_model(source)
    except (ValueError, KeyError):
        return False
    return True


def make_tokenizer(texts: Iterator[str], size: int) -> Tokenizer:
    """A byte-level BPE tokenizer of `size` pieces, made from texts (Sennrich et al. 2016, 1508.07909)."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END, PAD, UNKNOWN, MASK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # one word of a million letters, as in packed data, would be looked at a million times
    pieces = (text[at : at + _PIECE] for text in texts for at in range(0, len(text), _PIECE))
    backend.train_from_iterator(pieces, trainer)
    inner = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, bos_token=END, pad_token=PAD, unk_token=UNKNOWN, mask_token=MASK
    )
    return Tokenizer(inner, f"bpe:{size}")


def load_kept_tokenizer(folder: Path) -> Tokenizer:
    """A tokenizer that travelled with a network.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        return load_tokenizer(str(folder), folder)
    except DataError as error:
        raise ModelError(f"{folder}: the tokenizer cannot be read", error.why, "run the experiment again") from None


def same_vocabulary(first: Tokenizer, second: Tokenizer) -> str:
    """What is different between two tokenizers in people's words; empty where every id means the same."""
    if len(first) != len(second):
        return f"one has {len(first):,} tokens and the other {len(second):,}"
    ours, theirs = first.inner.get_vocab(), second.inner.get_vocab()
    wrong = [token for token, number in ours.items() if theirs.get(token) != number]
    if wrong:
        return f"{len(wrong):,} tokens have other numbers, for example '{wrong[0]}'"
    return "" if first.fingerprint() == second.fingerprint() else "they cut texts in other places"


def padded(samples: Sequence[Sequence[int]], pad: int) -> np.ndarray:
    """int32 (N, S): token ids, filled up at the end to the longest."""
    longest = max((len(sample) for sample in samples), default=1)
    table = np.full((len(samples), max(1, longest)), pad, np.int32)
    for row, sample in zip(table, samples):
        row[: len(sample)] = sample
    return table
