"""A project from a file of a person's own texts: a table with labels, words with tags, or plain text for a language
model."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from kdstudio.project.errors import DataError, InputError
from kdstudio.project.folder import Project, create_project
from kdstudio.project.spec import (
    CosineTerm,
    EvaluateSpec,
    Experiment,
    HardTerm,
    LanguageTask,
    LayerPair,
    LayersSpec,
    SoftTerm,
    StudentSpec,
    TaggedText,
    TeacherSpec,
    TextCorpus,
    TextTable,
    TrainSpec,
)
from kdstudio.project.table_head import Columns, TableHead, guess_columns, read_head, what_comes
from kdstudio.project.tables import BROKEN, open_text, suffix_of, wrong_encoding
from kdstudio.project.tagged import CONLL, looks_tagged, read_tagged

TABLES, TEXTS = (".csv", ".tsv", ".jsonl"), (".txt",)
EXPERIMENT = "half-the-layers"
BERT = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}
BERT_ENDS = ("bert.encoder.layer.3", "bert.encoder.layer.1")
#: A first experiment takes so many tokens of the file, which are minutes on a processor; a person may take all.
FIRST_TOKENS, BLOCK = 300_000, 64
#: Packed text is so many times as long.
PACKED = 3
#: About so many letters make a token.
LETTERS = 4
#: So many sentences of a tagged file are looked at before a project is made of it.
SENTENCES = 5000
#: Fewer sentences than these are learned in smaller batches and more epochs: else there are too few steps.
FEW, FEWEST = 3000, 3
#: So many characters of a text are looked at before a project is made of it.
HEAD = 200_000
TASKS: tuple[LanguageTask, ...] = ("causal-lm", "masked-lm")


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return suffix_of(path) in TABLES


def is_plain_text(path: Path) -> bool:
    """Whether a file is plain text by its name."""
    return suffix_of(path) in TEXTS


def text_head(file: Path, encoding: str = "utf-8") -> str:
    """The beginning of a text.

    Raises:
        DataError: It cannot be read, or there is nothing in it.
    """
    with open_text(file, encoding) as opened:
        try:
            head = opened.read(HEAD)
        except UnicodeDecodeError as error:
            raise wrong_encoding(file, encoding, error, "data.path") from None
        except BROKEN as error:
            raise DataError(f"data.path: {file.name} breaks off", str(error)[:200], "copy the file again") from None
    if not head.strip():
        raise DataError(f"data.path: {file.name} has no text in it", fix="give a file with text")
    return head


def table_project(target: Path, file: Path, columns: Columns, encoding: str = "utf-8", gaps: bool = False) -> Project:
    """Makes a project that distils a classifier of a table's texts: a small encoder, and half of its layers.

    Args:
        target: The new folder.
        file: The table; it stays where it is.
        columns: Which hold what.
        encoding: Of the file.
        gaps: Whether rows without text or label are left out.

    Raises:
        KDStudioError: The folder cannot be written.
    """
    assert columns.text is not None
    assert columns.label is not None
    head = read_head(file, encoding)
    tokens = _tokens(head, columns)
    most = FIRST_TOKENS // tokens
    data = TextTable(
        path=str(file.resolve()),
        text=columns.text,
        second=columns.second,
        label=columns.label,
        encoding=encoding,
        bad_rows="leave_out" if gaps else "refuse",
        tokenizer="bpe:2000",
        max_tokens=tokens,
        batch_size=32,
        train_limit=None if head.whole and len(head.rows) <= most else most,
    )
    return _project(target, data, "bert", BERT, BERT_ENDS, 5e-4, 2.0)


def corpus_project(target: Path, file: Path, encoding: str = "utf-8", task: LanguageTask = "causal-lm") -> Project:
    """Makes a project that distils a small language model of a text: four layers of GPT-2 or BERT, and two of them.

    Raises:
        KDStudioError: The file cannot be read, or the folder cannot be written.
    """
    text_head(file, encoding)
    data = TextCorpus(
        path=str(file.resolve()),
        encoding=encoding,
        task=task,
        tokenizer="bpe:1500",
        max_tokens=BLOCK,
        batch_size=16,
        train_limit=FIRST_TOKENS // BLOCK if _letters(file) > FIRST_TOKENS * LETTERS else None,
    )
    if task == "masked-lm":
        return _project(target, data, "bert", BERT, BERT_ENDS, 2e-3, 1.0)
    sizes = {"n_embd": 128, "n_layer": 4, "n_head": 4}
    return _project(target, data, "gpt2", sizes, ("transformer.ln_f", "transformer.ln_f"), 2e-3, 1.0)


def tagged_project(target: Path, file: Path, encoding: str = "utf-8") -> Project:
    """Makes a project that distils a tagger of a file of tagged words: a small encoder, and half of its layers.

    Args:
        target: The new folder.
        file: CoNLL or JSON lines; it stays where it is.
        encoding: Of the file.

    Raises:
        KDStudioError: The file cannot be read, or the folder cannot be written.
    """
    sentences = list(islice(read_tagged(file, encoding), SENTENCES))
    if len(sentences) < FEWEST:
        raise DataError(
            f"data.path: {file.name} has {len(sentences)} sentences",
            "an empty line ends a sentence of a CoNLL file; some are held out to validate and to test",
            "give a file with more sentences",
        )
    letters = sorted(sum(len(word) + 1 for word in each.words) for each in sentences)
    tokens = _room(letters)
    most, few = FIRST_TOKENS // tokens, len(sentences) < FEW
    data = TaggedText(
        path=str(file.resolve()),
        encoding=encoding,
        tokenizer="bpe:2000",
        max_tokens=tokens,
        batch_size=16 if few else 32,
        train_limit=None if len(sentences) < SENTENCES and len(sentences) <= most else most,
    )
    return _project(target, data, "bert", BERT, BERT_ENDS, 5e-4, 2.0, 2 if few else 1)


def own_project(
    target: Path,
    source: Path,
    text: str | None,
    second: str | None,
    label: str | None,
    encoding: str = "utf-8",
    task: LanguageTask | None = None,
) -> Project:
    """Makes a project of a file of texts as the command line does; columns that are not named are guessed.

    Raises:
        KDStudioError: The file is none that is known here, or the columns do not do.
    """
    if looks_tagged(source):
        if text or second or label or task:
            raise InputError(
                f"{source.name} holds words with tags, and each word's tag is learned",
                fix="leave out --text, --second, --label and --task",
            )
        return tagged_project(target, source, encoding)
    if is_plain_text(source):
        if text or second or label:
            raise InputError(f"{source.name} is plain text and has no columns", fix="leave out --text and --label")
        return corpus_project(target, source, encoding, task or "causal-lm")
    if not is_table(source):
        raise InputError(
            f"{source}: nothing is known to be made of this",
            fix=f"give a .csv, .tsv, .jsonl or .txt file (.gz too), words with tags ({', '.join(CONLL)}), or a folder "
            "with a sub-folder of images a class",
        )
    if task is not None:
        raise InputError(
            f"{source.name} is a table, whose texts are sorted into classes",
            fix="leave out --task, or give a .txt file",
        )
    head = read_head(source, encoding)
    for name in (text, second, label):
        if name is not None and name not in head.names:
            raise InputError(f"{source.name} has no column '{name}'", fix=f"there are: {', '.join(head.names)[:200]}")
    guess = guess_columns(head)
    columns = Columns(text or guess.text, second if second or text else guess.second, label or guess.label)
    found = what_comes(head, columns)
    if found.problem:
        raise InputError(
            f"{source.name}: {found.problem}",
            why=f"its columns are: {', '.join(head.names)[:200]}",
            fix="name them with --text COLUMN and --label COLUMN",
        )
    return table_project(target, source, columns, encoding, bool(found.empty or found.unlabelled))


def _letters(file: Path) -> int:
    """About how many letters a file has."""
    return file.stat().st_size * (PACKED if file.suffix.lower() == ".gz" else 1)


def _tokens(head: TableHead, columns: Columns) -> int:
    """A length that most texts fit into; of long texts their beginning."""
    names = [name for name in (columns.text, columns.second) if name]
    letters = sorted(sum(len(str(row.values.get(name) or "")) for name in names) for row in head.rows)
    return _room(letters)


def _room(letters: list[int]) -> int:
    """A length in tokens that most of the texts with so many letters fit into; the numbers are sorted."""
    common = letters[int(0.9 * (len(letters) - 1))] / LETTERS
    return next((size for size in (32, 64) if common <= size), 128)


def _project(
    target: Path,
    data: TextTable | TaggedText | TextCorpus,
    kind: str,
    sizes: dict[str, int],
    ends: tuple[str, str],
    rate: float,
    temperature: float,
    times: int = 1,
) -> Project:
    """Makes the project, with `times` as many epochs as usual."""

    def train(epochs: int, lr: float) -> TrainSpec:
        return TrainSpec(epochs=epochs, optimizer="adamw", lr=lr, weight_decay=0.01, warmup_epochs=0.5, clip_norm=1)

    project = create_project(target, "empty")
    project.save(
        Experiment(
            name=EXPERIMENT,
            data=data,
            teacher=TeacherSpec(model=f"transformers:{kind}", args=sizes, train=train(6 * times, rate)),
            student=StudentSpec(model="from-teacher", layers=LayersSpec(count=2)),
            objective=[
                HardTerm(weight=0.5),
                SoftTerm(weight=0.5, temperature=temperature),
                CosineTerm(weight=1, pairs=[LayerPair(teacher=ends[0], student=ends[1])]),
            ],
            train=train(4 * times, rate / 2),
            evaluate=EvaluateSpec(latency_batch=32),
            baseline=True,
        )
    )
    return project
