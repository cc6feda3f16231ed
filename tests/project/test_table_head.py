"""Heads of tables: columns that are guessed, what comes of a choice, files that are none; projects of own texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kdstudio.cli import main
from kdstudio.project.errors import DataError, InputError
from kdstudio.project.own_texts import FIRST_TOKENS, own_project
from kdstudio.project.spec import TaggedText
from kdstudio.project.table_head import MOST_ROWS, Columns, guess_columns, read_head, what_comes
from tests.engine.text_kit import write_tagged

REVIEWS = (
    "id,Review,stars,Sentiment\n1,a fine long day out,5,pos\n2,a dull day at home,1,neg\n3,so very kind of you,4,pos\n"
)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("header", "row", "found"),
    [
        ("text,label", "a day,x", Columns("text", None, "label")),
        ("Content,Category,n", "a day,x,1", Columns("Content", None, "Category")),
        ("premise,hypothesis,label", "a,b,x", Columns("premise", "hypothesis", "label")),
        ("question1,question2,target", "a,b,1", Columns("question1", "question2", "target")),
        ("a,b", "a long sentence here,x", Columns("a", None, "b")),
    ],
)
def test_columns_are_guessed(tmp_path: Path, header: str, row: str, found: Columns) -> None:
    other = row.rsplit(",", 1)[0] + ",z"
    head = read_head(write(tmp_path / "t.csv", "\n".join([header, row, other, row, other])))
    assert guess_columns(head) == found


def test_a_label_without_a_name_is_found_by_its_few_values(tmp_path: Path) -> None:
    lines = [json.dumps({"words": f"sentence number {n}", "kind of it": "ab"[n % 2], "n": n}) for n in range(20)]
    head = read_head(write(tmp_path / "t.jsonl.gz", gzip.compress("\n".join(lines).encode())))
    assert guess_columns(head) == Columns("words", None, "kind of it")


def test_what_comes_of_a_choice(tmp_path: Path) -> None:
    text = REVIEWS + "4,,3,pos\n5,a dull day at home,1,\n"
    head = read_head(write(tmp_path / "t.csv", text))
    found = what_comes(head, Columns("Review", None, "Sentiment"))
    assert found.classes == [("pos", 3), ("neg", 1)]
    assert (found.empty, found.unlabelled, found.twice, found.problem) == ([5], [6], 1, "")
    assert "chosen twice" in what_comes(head, Columns("Review", None, "Review")).problem
    assert "no column is chosen for the label" in what_comes(head, Columns("Review", None, None)).problem
    one = read_head(write(tmp_path / "u.csv", "text,label\na,x\nb,x\n"))
    assert "one label only, 'x'" in what_comes(one, Columns("text", None, "label")).problem


def test_no_more_than_the_head_is_read(tmp_path: Path) -> None:
    head = read_head(write(tmp_path / "t.csv", "text,label\n" + "a,b\n" * (MOST_ROWS + 50)))
    assert len(head.rows) == MOST_ROWS
    assert not head.whole
    long = read_head(write(tmp_path / "l.csv", "text,label\n" + f"{'x' * 2_000_000},b\n" * 5))
    assert len(long.rows) < 5
    many = write(tmp_path / "m.csv", "text,label\n" + "".join(f"t{n},{n}\n" for n in range(300)))
    assert "it looks like no class" in what_comes(read_head(many), Columns("text", None, "label")).problem


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "text,label\n", "has no rows"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\0\0", "is no text file"),
        ("t.csv", "text,label\n" + 'a,b\n"never closed,c\nd,e\n', "cells"),
        ("t.csv", "text,label\nna\u00efve,x\n".encode("latin-1"), "t.csv, line 2, is not utf-8"),
        ("t.csv", "text;label\na;x\n", "separated by semicolons"),
        ("t.csv", "text\tlabel\na\tx\n", "separated by tabs"),
        ("t.tsv", "text,label\na,x\n", "separated by commas"),
        ("t.jsonl", "[" * 100_000, "line 1 is no JSON"),
        ("t.csv.gz", gzip.compress(REVIEWS.encode(), mtime=0)[:40] + bytes(60), "cannot be read"),
        ("t.jsonl", '{"text": "a", "label": 1}\nno json\n', "line 2 is no JSON"),
        ("t.xlsx", b"PK\x03\x04", "is no table that is known here"),
    ],
)
def test_files_that_are_no_tables_are_told(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_head(write(tmp_path / name, content))


def test_a_wrong_byte_is_told_with_its_line_however_far_it_is(tmp_path: Path) -> None:
    good = "".join(f"text {number},{'ab'[number % 2]}\n" for number in range(1500))
    file = write(tmp_path / "t.csv", f"text,label\n{good}".encode() + "caf\u00e9,a\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"t\.csv, line 1502, is not utf-8"):
        read_head(file)


def test_a_quote_that_is_never_closed_is_told_where_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdstudio.project.tables.LONGEST_FIELD", 5000)
    file = write(tmp_path / "t.csv", 'text,label\na,b\n"never closed,b\n' + "words,b\n" * 5000)
    with pytest.raises(DataError, match=r"t\.csv, line 3: field larger"):
        read_head(file)


def test_columns_without_a_name_or_with_the_same_are_told_apart(tmp_path: Path) -> None:
    head = read_head(write(tmp_path / "t.csv", "text,text,label,,\na,b,x,,\nc,d,y,,\n"))
    assert head.names == ["text", "text.1", "label", "column 4", "column 5"]
    assert guess_columns(head) == Columns("text", None, "label")
    assert [row.values["text"] for row in head.rows] == ["a", "c"]


def test_pairs_occur_again_as_pairs(tmp_path: Path) -> None:
    head = read_head(write(tmp_path / "t.csv", "premise,hypothesis,label\na,b,x\na,c,y\na,b,x\n"))
    assert what_comes(head, Columns("premise", "hypothesis", "label")).twice == 1
    assert what_comes(head, Columns("premise", None, "label")).twice == 2


def test_a_project_of_ones_own_table(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", REVIEWS + "4,,3,pos\n")
    project = own_project(tmp_path / "project", file, None, None, None)
    data = project.load("half-the-layers").data
    assert (data.text, data.label, data.bad_rows) == ("Review", "Sentiment", "leave_out")  # type: ignore[union-attr]
    assert data.max_tokens == 32  # type: ignore[union-attr]
    assert Path(data.path) == file  # type: ignore[union-attr]
    assert data.train_limit is None  # type: ignore[union-attr]


def test_a_first_experiment_takes_only_so_much_of_a_long_file(tmp_path: Path) -> None:
    rows = "".join(f"{'word ' * 300},{'ab'[number % 2]}\n" for number in range(3000))
    table = write(tmp_path / "t.csv", "text,label\n" + rows)
    data = own_project(tmp_path / "a", table, None, None, None).load("half-the-layers").data
    assert data.max_tokens * data.train_limit <= FIRST_TOKENS  # type: ignore[union-attr, operator]
    text = write(tmp_path / "t.txt", "word " * 400_000)
    data = own_project(tmp_path / "b", text, None, None, None).load("half-the-layers").data
    assert data.max_tokens * data.train_limit <= FIRST_TOKENS  # type: ignore[union-attr, operator]


def test_a_project_of_ones_own_text(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.txt", "A cat sees a dog.\n" * 100)
    project = own_project(tmp_path / "project", file, None, None, None)
    experiment = project.load("half-the-layers")
    assert (experiment.data.source, experiment.data.task) == ("corpus", "causal-lm")  # type: ignore[union-attr]
    hidden = own_project(tmp_path / "hidden", file, None, None, None, task="masked-lm").load("half-the-layers")
    assert (hidden.data.task, hidden.teacher.model) == ("masked-lm", "transformers:bert")  # type: ignore[union-attr]
    with pytest.raises(InputError, match="has no columns"):
        own_project(tmp_path / "other", file, "text", None, None)
    for content, said in ((b"caf\xe9", "line 1, is not utf-8"), (b" \n", "has no text in it")):
        with pytest.raises(DataError, match=said):
            own_project(tmp_path / "other", write(tmp_path / "c.txt", content), None, None, None)
    with pytest.raises(DataError, match="is no text file"):
        own_project(tmp_path / "other", write(tmp_path / "b.txt", b"a\0b"), None, None, None)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["names.conll", "names.jsonl"])
def test_a_project_of_ones_own_tagged_words(tmp_path: Path, name: str) -> None:
    file = write_tagged(tmp_path / name)
    experiment = own_project(tmp_path / "project", file, None, None, None).load("half-the-layers")
    data = experiment.data
    assert isinstance(data, TaggedText)
    assert (Path(data.path), data.max_tokens, data.batch_size, data.train_limit) == (file, 32, 16, None)
    assert experiment.teacher is not None
    assert experiment.teacher.model == "transformers:bert"
    with pytest.raises(InputError, match="each word's tag is learned"):
        own_project(tmp_path / "other", file, None, None, "tags")
    with pytest.raises(InputError, match="each word's tag is learned"):
        own_project(tmp_path / "other", file, None, None, None, task="causal-lm")
    for content, said in (("Ann O\nwent\n", "line 2: the word 'went' has no tag"), ("Ann O\n", "has 1 sentences")):
        with pytest.raises(DataError, match=said):
            own_project(tmp_path / "other", write(tmp_path / "bad.conll", content), None, None, None)
    assert not (tmp_path / "other").exists()


def test_a_first_experiment_takes_only_so_many_tagged_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdstudio.project.own_texts.SENTENCES", 50)
    file = write_tagged(tmp_path / "names.conll")
    data = own_project(tmp_path / "project", file, None, None, None).load("half-the-layers").data
    assert isinstance(data, TaggedText)
    assert data.train_limit == FIRST_TOKENS // data.max_tokens


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", REVIEWS)
    with pytest.raises(InputError, match="has no column 'nope'"):
        own_project(tmp_path / "p", file, "nope", None, None)
    with pytest.raises(InputError, match="is a table"):
        own_project(tmp_path / "p", file, None, None, None, task="masked-lm")
    with pytest.raises(InputError, match="nothing is known to be made of this"):
        own_project(tmp_path / "p", write(tmp_path / "x.pdf", "x"), None, None, None)
    with pytest.raises(InputError, match="one label only"):
        own_project(tmp_path / "p", write(tmp_path / "o.csv", "text,label\na,x\nb,x\n"), None, None, None)


def test_the_command_makes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "mine.csv", REVIEWS)
    assert main(["new", str(tmp_path / "p"), "--from", str(file), "--label", "stars"]) == 0
    assert "columns: text Review, label stars" in capsys.readouterr().out
    assert main(["new", str(tmp_path / "q"), "--from", str(tmp_path / "nowhere.csv")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
    story = write(tmp_path / "story.txt", "A cat sees a dog.\n" * 50)
    assert main(["new", str(tmp_path / "lm"), "--from", str(story), "--task", "masked-lm"]) == 0
    assert main(["new", str(tmp_path / "q"), "--text", "body"]) == 2
    assert "add --from FILE" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "q"), "--from", str(tmp_path)]) == 2
    assert "no sub-folders with images" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "q"), "--from", str(file), "--template", "digits"]) == 2
