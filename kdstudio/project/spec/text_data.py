"""Text: where it comes from, how it is cut into tokens, and what is asked of it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from kdstudio.project.spec.data import SplitData, ViewedData
from kdstudio.project.spec.models import HUB_PREFIX, ModelSpec

LanguageTask = Literal["masked-lm", "causal-lm"]
Task = Literal["classification", "token-classification", "masked-lm", "causal-lm"]


class TextData(SplitData):
    """What every source of text shares."""

    tokenizer: str | None = None
    """A hub id or a folder with a tokenizer, or bpe:N to make one of N pieces from the text (empty: the model's)."""
    max_tokens: int = Field(128, ge=4, le=8192)
    """Tokens of a sample: longer texts are cut, a language model's text is packed into blocks of this (usual 128)."""
    encoding: str = "utf-8"
    """How the file's characters are encoded: utf-8, or latin-1, cp1252 and the like for older files."""

    _of_model: str | None = PrivateAttr(None)
    _lender: str = PrivateAttr("teacher")

    def tokenizer_of(self, **models: ModelSpec | None) -> None:
        """Says which models the experiment has: the first one that has a tokenizer lends it where none is named."""
        lent = ((name, lent_tokenizer(model)) for name, model in models.items() if model is not None)
        self._lender, self._of_model = next((one for one in lent if one[1]), ("teacher", None))

    @property
    def lender(self) -> str:
        """The part of the experiment whose model lends the tokenizer."""
        return self._lender

    @property
    def tokenizer_source(self) -> str | None:
        """Where the tokenizer comes from, None where nothing says it."""
        return self.tokenizer or self._of_model

    @field_validator("tokenizer")
    @classmethod
    def _pieces(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("bpe:"):
            number = value.removeprefix("bpe:")
            if not number.isdigit() or not 300 <= int(number) <= 100_000:
                raise ValueError(f"'{value}' is no size of a vocabulary; write bpe:N with N from 300 to 100000")
        elif value is not None and not value.strip():
            raise ValueError("the tokenizer is empty; give a hub id or a folder, or remove the key")
        return value


def lent_tokenizer(model: ModelSpec) -> str | None:
    """Where the tokenizer of a model comes from: the model's place, or the run that it was trained in."""
    if model.weights and model.weights.startswith("run:"):
        return model.weights
    return model.model.removeprefix(HUB_PREFIX) if model.model.startswith(HUB_PREFIX) else None


class TextTable(TextData):
    """A table of texts with labels: CSV, TSV or JSON lines, also gzipped."""

    source: Literal["table"] = "table"
    """A table of texts."""
    path: str
    """The .csv, .tsv or .jsonl file (.gz too), relative to the project."""
    test_path: str | None = None
    """A file of the same form with the test samples (empty: some are held out)."""
    text: str = "text"
    """Column that holds the text."""
    second: str | None = None
    """Column with a second text, for pairs of sentences (empty: none)."""
    label: str = "label"
    """Column that holds the label."""
    classes: list[str] | None = None
    """The labels in the order that their numbers have (empty: all that occur, sorted)."""
    bad_rows: Literal["refuse", "leave_out"] = "refuse"
    """What to do with rows without text or with an unknown label: refuse the file, or leave them out with a warning."""

    @property
    def task(self) -> Task:
        return "classification"

    @model_validator(mode="after")
    def _columns(self) -> Self:
        if self.text == self.label:
            raise ValueError(f"text and label are both the column '{self.text}'; choose two columns")
        return self


class TextCorpus(TextData, ViewedData):
    """Plain text for a language model: a file or a folder of .txt files, or a column of JSON lines; gzipped too."""

    source: Literal["corpus"] = "corpus"
    """Plain text."""
    path: str
    """The file, or a folder of .txt files, relative to the project."""
    task: LanguageTask = "causal-lm"
    """What is learned: causal-lm, each token from those before (GPT); masked-lm, hidden ones from the rest (BERT)."""
    text: str = "text"
    """Column that holds the text, in JSON lines, CSV and TSV."""
    mask_share: float = Field(0.15, gt=0, lt=1)
    """Share of the tokens that masked-lm hides: 80 % masked, 10 % another token, 10 % as they are (usual 0.15)."""


class TaggedText(TextData):
    """Texts whose words have tags, as names of people and places: CoNLL files, or JSON lines with lists."""

    source: Literal["tagged"] = "tagged"
    """Words with tags."""
    path: str
    """The file (.gz too), relative to the project: .jsonl with lists, or a word and its tag a line (CoNLL)."""
    test_path: str | None = None
    """A file of the same form with the test sentences (empty: some are held out)."""
    words: str = "tokens"
    """Of JSON lines, the key of the list of words (usual tokens)."""
    tags: str = "tags"
    """Of JSON lines, the key of the list of tags (usual tags or ner_tags)."""
    classes: list[str] | None = None
    """The tags in their order (empty: all that occur). Where the file has numbers for tags, they count in it from 0."""

    @property
    def task(self) -> Task:
        return "token-classification"


class HubText(TextData, ViewedData):
    """A dataset of the Hugging Face hub by its id, or one that was saved in a folder. Needs the package datasets."""

    source: Literal["hub"] = "hub"
    """A Hugging Face dataset."""
    name: str
    """The dataset's id, for example stanfordnlp/imdb, or a folder that save_to_disk wrote."""
    config: str | None = None
    """Which configuration, for datasets that have several (for example sst2 of nyu-mll/glue)."""
    task: Task = "classification"
    """What is learned: a label for each text, a tag for each word of a list, or the texts themselves."""
    text: str = "text"
    """Column that holds the text; of tagged words, their list (usual tokens)."""
    second: str | None = None
    """Column with a second text, for pairs of sentences (empty: none)."""
    label: str = "label"
    """Column that holds the label; of tagged words, the list of tags (usual ner_tags)."""
    train_split: str = "train"
    """Name of the dataset's split to learn from."""
    test_split: str | None = None
    """Name of the dataset's split to test on (empty: test samples are held out)."""
    streaming: bool = False
    """Read it as a stream and not as a whole, for corpora that do not fit on the disk; language models only."""
    stream_tokens: int = Field(10_000_000, ge=1000)
    """Tokens to take of a stream."""
    mask_share: float = Field(0.15, gt=0, lt=1)
    """Share of the tokens that masked-lm hides (usual 0.15)."""

    @model_validator(mode="after")
    def _streams(self) -> Self:
        if self.streaming and self.task in ("classification", "token-classification"):
            raise ValueError("a stream is for language models; set streaming to false, or task to causal-lm")
        return self
