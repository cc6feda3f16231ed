"""Tables and corpora of texts: what is read, what is refused, and what becomes of it."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from kdstudio.engine.data import Batches, load_data, preprocess_for
from kdstudio.project.errors import DataError, KDStudioError
from kdstudio.project.spec import Experiment, TextCorpus, TextTable
from tests.engine.text_kit import SMALL_BERT, corpus_data, table_data, write_corpus, write_table


def table(root: Path, **fields: Any) -> Any:
    return load_data(TextTable.model_validate(table_data(**fields)), root)


def corpus(root: Path, task: str = "causal-lm", **fields: Any) -> Any:
    return load_data(TextCorpus.model_validate(corpus_data(task, **fields)), root)


def write(root: Path, name: str, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    (root / name).write_bytes(data)


def test_a_table(tmp_path: Path) -> None:
    write_table(tmp_path / "texts.csv")
    bundle = table(tmp_path)
    assert bundle.classes == ["bad", "good"]
    assert sum(len(split) for split in bundle.splits.values()) == 120
    assert bundle.train.images.dtype == torch.int32
    row, label = bundle.train.images[0], bundle.train.labels[0]
    text = bundle.tokenizer.text(row)
    assert ("fine" in text or "best" in text or "love" in text or "kind" in text) == bool(label)
    assert bundle.fingerprint() == table(tmp_path).fingerprint() != table(tmp_path, max_tokens=8).fingerprint()


@pytest.mark.parametrize("name", ["texts.tsv", "texts.jsonl", "texts.csv.gz", "texts.jsonl.gz"])
def test_forms_of_tables(tmp_path: Path, name: str) -> None:
    rows = [(f'text number {number}, "quoted"', number % 2) for number in range(60)]
    if "jsonl" in name:
        text = "\n".join(json.dumps({"body": body, "kind": kind, "more": None}) for body, kind in rows)
    else:
        cut = "\t" if "tsv" in name else ","
        lines = [cut.join(['"' + body.replace('"', '""') + '"', str(kind)]) for body, kind in rows]
        text = "\n".join([f"body{cut}kind", *lines])
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    bundle = table(tmp_path, path=name, text="body", label="kind")
    assert bundle.classes == ["0", "1"]
    assert "quoted" in bundle.tokenizer.text(bundle.train.images[0])


def test_pairs_of_sentences_and_a_file_of_test_samples(tmp_path: Path) -> None:
    lines = [f"it rains {n},it is {'wet' if n % 2 else 'dry'},{'yes' if n % 2 else 'no'}" for n in range(40)]
    for name in ("texts.csv", "test.csv"):
        write(tmp_path, name, "\n".join(["a,b,label", *lines]))
    bundle = table(tmp_path, text="a", second="b", test_path="test.csv", max_tokens=32)
    assert len(bundle.test) == 40
    text = bundle.tokenizer.text(bundle.test.images[0])
    assert "rains" in text
    assert "dry" in text


@pytest.mark.parametrize(
    ("text", "fields", "said"),
    [
        ("text,label\na,b\n", {"label": "lable"}, "has no column 'lable'.*did you mean 'label'"),
        ("text,label\nabc\n", {}, r"line 2: 1 cells, and there are 2 columns \(text, label\)"),
        ("text,label\n,good\n", {}, "line 2 has no text in the column 'text'"),
        ("text,label\nabc,\n", {}, "line 2 has no label"),
        ('text,label\na,b\n"abc,good\nd,e\nf,g\n', {}, "line 3 to 5: 1 cells.*double quote that was opened"),
        ("", {}, "texts.csv is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", {}, "is no text file"),
        ("text,label\nab\0c,d\n", {}, "is no text file"),
        ("text,label\ncaf\u00e9,good\n".encode("latin-1"), {}, "is not utf-8.*latin-1"),
        ("text,label\na,good\n".encode("utf-16"), {}, "is not utf-8.*utf-16"),
        ("text,label\na,b\n", {"encoding": "utf-9"}, "no encoding 'utf-9'"),
        ("text,label\na,b\nc,b\n", {}, "only one class"),
    ],
)  # fmt: skip
def test_bad_tables(tmp_path: Path, text: str | bytes, fields: dict[str, Any], said: str) -> None:
    write(tmp_path, "texts.csv", text)
    with pytest.raises(DataError) as error:
        table(tmp_path, **fields)
    import re

    assert re.search(said, str(error.value).replace("\n", " ")), str(error.value)


def test_rows_can_be_left_out(tmp_path: Path) -> None:
    good = [f"text {number},{'yes' if number % 2 else 'no'}" for number in range(40)]
    write(tmp_path, "texts.csv", "\n".join(["text,label", *good, ",yes", "text x,", "text y,maybe"]))
    bundle = table(tmp_path, bad_rows="leave_out", classes=["no", "yes"])
    assert sum(len(split) for split in bundle.splits.values()) == 40
    assert any("1 of 43 rows without a text" in problem for problem in bundle.problems)
    assert any("2 of 43 rows without a known label" in problem for problem in bundle.problems)


def test_a_very_long_line_is_cut_and_told(tmp_path: Path) -> None:
    lines = [f"{'word ' * 400_000},long"] + [f"short text {number},short" for number in range(20)]
    write(tmp_path, "texts.csv", "\n".join(["text,label", *lines, "another long,long", "third long,long"]))
    bundle = table(tmp_path, tokenizer="bpe:300")
    assert bundle.train.images.shape[1] == 16
    assert any("are longer than 16 tokens and are cut" in problem for problem in bundle.problems)


def test_a_very_long_word(tmp_path: Path) -> None:
    """As in packed data: a vocabulary is made of it, and it is cut, in seconds."""
    lines = [f"{'x' * 2_000_000},long", "another one,long", "third one,long"]
    lines += [f"short text {number},short" for number in range(20)]
    write(tmp_path, "texts.csv", "\n".join(["text,label", *lines]))
    assert table(tmp_path).train.images.shape[1] == 16


def test_a_table_needs_a_tokenizer(tmp_path: Path) -> None:
    write_table(tmp_path / "texts.csv")
    with pytest.raises(DataError, match="nothing says how texts become tokens"):
        table(tmp_path, tokenizer=None)
    with pytest.raises(DataError, match=r"there is no folder './nothing'"):
        table(tmp_path, tokenizer="./nothing")


def test_the_models_tokenizer_is_taken_where_none_is_named() -> None:
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "data": table_data(tokenizer=None),
            "teacher": {"model": "transformers:./here", "pretrained": True},
            "student": {"model": "transformers:bert", "args": SMALL_BERT},
        }
    )
    assert experiment.data.tokenizer_source == "./here"  # type: ignore[union-attr]
    assert experiment.model_dump()["data"]["tokenizer"] is None


@pytest.mark.parametrize(
    ("part", "networks", "message"),
    [
        (
            "teacher.model",
            {"teacher": {"model": "transformers:./nothing", "pretrained": True}},
            "there is no folder './nothing'",
        ),
        ("student.weights", {"student": {"weights": "run:nothing"}}, "no finished run for 'run:nothing'"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_a_model_cannot_lend_is_told_where_the_model_is_named(
    tmp_path: Path, part: str, networks: dict[str, Any], message: str
) -> None:
    write_table(tmp_path / "texts.csv")
    (tmp_path / "project.yaml").write_text("version: 1\nname: x\n", encoding="utf-8")
    plain: dict[str, Any] = {
        "name": "x",
        "data": table_data(tokenizer=None),
        "student": {"model": "mlp", "widths": [4]},
    }
    plain["objective"] = [{"term": "hard"}]
    experiment = Experiment.model_validate({**plain, **networks})
    with pytest.raises(KDStudioError, match=re.escape(f"{part}: {message}")) as caught:
        load_data(experiment.data, tmp_path)
    assert "data.tokenizer is empty, so the model lends its own" in caught.value.why


def test_a_corpus_is_packed(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus.txt")
    bundle = corpus(tmp_path, train_limit=None)
    blocks = torch.cat([split.images for split in bundle.splits.values()])
    text = bundle.tokenizer.inner.decode(blocks.flatten().tolist(), skip_special_tokens=True)
    assert (tmp_path / "corpus.txt").read_text(encoding="utf-8").startswith(text[:2000])
    assert bundle.input_shape == (16,)
    assert bundle.outputs == len(bundle.tokenizer)
    assert corpus(tmp_path).fingerprint() != bundle.fingerprint()  # another limit
    write_corpus(tmp_path / "corpus.txt", seed=1)
    assert corpus(tmp_path, train_limit=None).fingerprint() != bundle.fingerprint()


def test_folders_and_rows_are_corpora_too(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    for number in range(3):
        write_corpus(tmp_path / "books" / f"{number}.txt", seed=number)
    assert len(corpus(tmp_path, path="books").test) > 10
    lines = (tmp_path / "books" / "0.txt").read_text(encoding="utf-8").splitlines()
    write(tmp_path, "rows.jsonl", "\n".join(json.dumps({"text": line}) for line in lines))
    assert len(corpus(tmp_path, path="rows.jsonl").test) > 10


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("nothing.txt", "causal-lm", "there is no file"),
        ("short.txt", "causal-lm", "too few to train and test on"),
        ("empty", "causal-lm", "there is no .txt file"),
        ("latin.txt", "causal-lm", "latin.txt, line 1, is not utf-8"),
    ],
)
def test_bad_corpora(tmp_path: Path, name: str, task: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, "short.txt", "too short")
    write(tmp_path, "latin.txt", ("word " * 3000 + "caf\u00e9").encode("latin-1"))
    with pytest.raises(DataError, match=said):
        corpus(tmp_path, task, path=name)


def test_batches_of_texts_are_cut_to_their_longest(tmp_path: Path) -> None:
    write_table(tmp_path / "texts.csv")
    bundle = table(tmp_path, max_tokens=64)
    batches = Batches(bundle.train, 4, 0, "cpu", None, bundle.text)
    widths = set()
    for batch in batches.epoch(0):
        inputs = preprocess_for(bundle)(batch.images)
        assert inputs.dtype == torch.int64
        assert bool((inputs[:, -1] != bundle.text.pad).any())
        widths.add(inputs.shape[1])
    assert len(widths) > 1


def test_batches_of_a_language_model_resume_anywhere(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus.txt")
    bundle = corpus(tmp_path, "masked-lm")
    batches = Batches(bundle.train, 16, 3, "cpu", None, bundle.text)
    whole = list(batches.epoch(1))
    rest = list(Batches(bundle.train, 16, 3, "cpu", None, bundle.text).epoch(1, 2))
    assert torch.equal(whole[2].images, rest[0].images)
    assert torch.equal(whole[2].labels, rest[0].labels)
    assert whole[0].labels.shape == whole[0].images.shape
    assert not torch.equal(whole[0].images, next(iter(batches.epoch(2))).images)


def test_a_key_that_some_lines_lack_is_a_gap_and_one_that_all_lack_is_told(tmp_path: Path) -> None:
    lines = [{"text": f"word {number}", "label": number % 2} for number in range(60)]
    del lines[7]["label"]
    write(tmp_path, "gaps.jsonl", "\n".join(map(json.dumps, lines)))
    more: dict[str, Any] = {"source": "table", "path": "gaps.jsonl", "tokenizer": "bpe:300", "bad_rows": "leave_out"}
    bundle = load_data(TextTable(**more), tmp_path)
    assert any("line 8" in problem or "1 " in problem for problem in bundle.problems)
    assert sum(len(split) for split in bundle.splits.values()) == 59
    with pytest.raises(DataError, match="has no column 'kind'"):
        load_data(TextTable(**more, label="kind"), tmp_path)
    with pytest.raises(DataError, match="has no column 'label'"):
        load_data(TextTable(**{**more, "bad_rows": "refuse"}), tmp_path)
