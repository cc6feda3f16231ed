"""Token classification: reading tags, their scores, and whole runs."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification

from kdstudio.cli import main
from kdstudio.commands.inspect import data_report
from kdstudio.engine.data import DataBundle, load_data
from kdstudio.engine.export.exporter import export_student
from kdstudio.engine.run import data_of, execute
from kdstudio.engine.student_io import load_student
from kdstudio.engine.text.facts import IGNORED
from kdstudio.engine.text.tagging import spans, tag_scores
from kdstudio.project.errors import DataError
from kdstudio.project.run_table import as_text, compare
from kdstudio.project.runs.control import request
from kdstudio.project.spec import TaggedText
from kdstudio.project.tagged import looks_tagged, read_tagged
from tests.engine.text_kit import SMALL_BERT, SMALL_GPT2, tagged_data, tagged_sentences, train, write_tagged

SOFT = [{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 2}]
TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


# -- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["names.conll", "names.jsonl", "names.txt"])
def test_sentences_are_read(tmp_path: Path, name: str) -> None:
    path = write_tagged(tmp_path / name, 5)
    assert [(each.words, each.tags) for each in read_tagged(path, "utf-8")] == tagged_sentences(5)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.conll", "Ann B-PER\nwent\n", "line 2: the word 'went' has no tag"),
        ("a.jsonl", '{"tokens": ["a"], "tags": ["O", "O"]}\n', "line 1: 1 words and 2 tags"),
        ("a.jsonl", '{"tokens": "a", "tags": ["O"]}\n', "'tokens' is no list"),
        ("a.jsonl", '{"sentence": ["a"], "tags": ["O"]}\n', "has no column 'tokens'"),
        ("a.jsonl", '{"tokens": ["a", null], "tags": ["O", "O"]}\n', "line 1: item 2 of 'tokens' is no text"),
        ("a.csv", "a,O\n", "is a .csv file"),
        ("a.conll", "na\xefve O\n", ", line 1, is not utf-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=said):
        list(read_tagged(tmp_path / name, "utf-8"))


def test_remarks_are_no_words_and_a_hash_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("# id 1 domain=en\na NN O\n# NN O\n\n# NN O\nb NN O\n\n# a remark that is longer\nc NN O\n")
    assert [(each.words, each.line) for each in read_tagged(path, "utf-8")] == [
        (["a", "#"], 2),
        (["#", "b"], 5),
        (["c"], 9),
    ]


def test_usual_keys_are_guessed_and_empty_sentences_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"tokens": [], "ner_tags": []}\n{"tokens": ["a", "b"], "ner_tags": [0, 1]}\n')
    assert [(each.words, each.tags) for each in read_tagged(path, "utf-8")] == [(["a", "b"], ["0", "1"])]
    assert looks_tagged(path)
    path.write_text('{"text": "a text", "label": "x"}\n')
    assert not looks_tagged(path)


def loaded(root: Path, text: str, **fields: Any) -> DataBundle:
    (root / "names.conll").write_text(text)
    return load_data(TaggedText(**{**tagged_data(**fields), "source": "tagged"}), root)


def test_numbers_count_in_the_tags(tmp_path: Path) -> None:
    bundle = loaded(tmp_path, "Ann 1\nwent 0\n\n" * 40, classes=["O", "B-PER"])
    assert bundle.classes == ["O", "B-PER"]
    assert bundle.counts()["train"] == [30, 30]
    with pytest.raises(DataError, match=r"the tag '1' \(line 1\) is none of them"):
        loaded(tmp_path, "Ann 1\nwent 0\n\n" * 40, classes=["O"])


def test_tags_that_cannot_be_learned_are_told(tmp_path: Path) -> None:
    (tmp_path / "held.conll").write_text("Ann B-NEW\n\n")
    sentences = "Ann B-PER\nwent O\n\n" * 40
    assert "cannot be learned: B-NEW" in " ".join(loaded(tmp_path, sentences, test_path="held.conll").problems)
    with pytest.raises(DataError, match=r"'B-NEW' \(of the test sentences, line 1\)"):
        loaded(tmp_path, sentences, test_path="held.conll", classes=["O", "B-PER"])
    with pytest.raises(DataError, match="every word has the tag 'O'"):
        loaded(tmp_path, "Ann O\n\n" * 40)
    with pytest.raises(DataError, match="'O' is there twice"):
        loaded(tmp_path, sentences, classes=["O", "O", "B-PER"])


def test_long_sentences_lose_their_end(tmp_path: Path) -> None:
    bundle = loaded(tmp_path, ("a O\n" * 20 + "Ann B-PER\n\n") * 40, max_tokens=8)
    assert bundle.train.labels.shape[1] == 8
    assert not bundle.counts()["train"][1]


def test_a_tag_stands_at_the_first_piece_of_its_word(tmp_path: Path) -> None:
    write_tagged(tmp_path / "names.conll")
    bundle = load_data(TaggedText(**{**tagged_data(), "source": "tagged"}), tmp_path)
    assert bundle.classes == TAGS
    assert bundle.tokenizer is not None
    ids, labels = bundle.train.images, bundle.train.labels
    assert ids.shape == labels.shape
    assert bundle.counts()["train"] == [int((labels == number).sum()) for number in range(5)]
    every = {" ".join(words): tags for words, tags in tagged_sentences()}
    for row, marks in zip(ids[:20], labels[:20]):
        text = " ".join(bundle.tokenizer.text(row.tolist()).split())
        assert [TAGS[mark] for mark in marks.tolist() if mark != IGNORED] == every[text]
    assert len(bundle.train) + len(bundle.validation) + len(bundle.test) == 240


def test_tags_are_checked(tmp_path: Path) -> None:
    write_tagged(tmp_path / "names.conll")
    with pytest.raises(DataError, match=r"the tag 'B-PER' \(line 3\) is none of them"):
        load_data(TaggedText(**{**tagged_data(classes=["O", "B-LOC", "I-LOC"]), "source": "tagged"}), tmp_path)
    (tmp_path / "names.conll").write_text("Ann I-PER\nwent O\n\n" * 40)
    bundle = load_data(TaggedText(**{**tagged_data(max_tokens=4), "source": "tagged"}), tmp_path)
    assert "40 tags go on with a span that did not begin" in " ".join(bundle.problems)


# -- scores --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["B-PER", "I-PER", "O", "B-LOC"], {("PER", 0, 2), ("LOC", 3, 4)}),
        (["B-PER", "B-PER"], {("PER", 0, 1), ("PER", 1, 2)}),
        (["O", "I-PER", "I-PER"], {("PER", 1, 3)}),
        (["B-PER", "I-LOC"], {("PER", 0, 1), ("LOC", 1, 2)}),
        (["S-PER", "B-LOC", "I-LOC", "E-LOC", "E-PER"], {("PER", 0, 1), ("LOC", 1, 4), ("PER", 4, 5)}),
        (["U-PER", "B-LOC", "L-LOC"], {("PER", 0, 1), ("LOC", 1, 3)}),
        (["O", "O"], set()),
    ],
)
def test_spans(tags: list[str], found: set[Any]) -> None:
    assert spans(tags) == found


def numbers(*rows: list[str]) -> torch.Tensor:
    return torch.tensor([[TAGS.index(tag) if tag else IGNORED for tag in row] for row in rows])


def test_f1_counts_exact_spans() -> None:
    wanted = numbers(["B-PER", "I-PER", "", "O", "B-LOC"], ["O", "B-PER", "O", "O", ""])
    said = numbers(["B-PER", "O", "O", "O", "B-LOC"], ["O", "B-PER", "B-LOC", "O", "O"])
    scores = tag_scores(said, wanted, TAGS)
    # said: PER(0,1), LOC, PER, LOC; there: PER(0,2), LOC, PER; right: LOC, PER
    assert (scores["precision"], scores["recall"]) == (0.5, pytest.approx(2 / 3))
    assert scores["f1"] == pytest.approx(4 / 7)
    assert scores["per_tag"]["PER"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "count": 2}
    assert tag_scores(wanted.clamp_min(0), wanted, TAGS)["f1"] == 1


def test_plain_tags_have_a_mean_over_tags() -> None:
    tags = ["noun", "verb"]
    wanted, said = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[0, 0, 0, 0]])
    scores = tag_scores(said, wanted, tags)
    assert scores["f1"] == pytest.approx((6 / 7 + 0) / 2)
    assert tag_scores(said, torch.full((1, 4), IGNORED), tags)["f1"] == 0


def test_scores_are_those_of_seqeval() -> None:
    seqeval = pytest.importorskip("seqeval.metrics", reason="the package seqeval is not installed")
    chance = random.Random(1)
    tags = ["O", *(f"{mark}-{kind}" for kind in "XY" for mark in "BIES")]
    for _ in range(300):
        wanted = [[chance.choice(tags) for _ in range(6)] for _ in range(3)]
        said = [[tag if chance.random() < 0.6 else chance.choice(tags) for tag in row] for row in wanted]
        there, ours = (torch.tensor([[tags.index(tag) for tag in row] for row in rows]) for rows in (wanted, said))
        scores = tag_scores(ours, there, tags)
        assert scores["f1"] == pytest.approx(seqeval.f1_score(wanted, said))
        assert scores["precision"] == pytest.approx(seqeval.precision_score(wanted, said))


# -- runs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def texts(lab: Any) -> Any:
    write_tagged(lab.project.root / "names.conll")
    return lab


def fields(kind: str = "bert", **more: Any) -> dict[str, Any]:
    args, block = (SMALL_GPT2, "transformer.h") if kind == "gpt2" else (SMALL_BERT, "bert.encoder.layer")
    pair = {"teacher": f"{block}.3", "student": f"{block}.1"}
    return {
        "data": tagged_data(),
        "teacher": {"model": f"transformers:{kind}", "args": args, "train": train(6, lr=5e-3)},
        "student": {"model": "from-teacher"},
        "objective": [*SOFT, {"term": "cosine", "pairs": [pair]}],
        "train": train(4, lr=5e-3),
        "evaluate": {"latency": False},
        **more,
    }


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_whole_run(texts: Any, kind: str) -> None:
    run = texts.run(**fields(kind), baseline=True)
    card = json.loads(run.scorecard_path.read_text(encoding="utf-8"))
    assert card["metric"] == "f1"
    student = card["networks"]["student"]["test"]
    assert student["f1"] > (0.8 if kind == "bert" else 0.3)  # who reads from the left cannot see what a name is for
    assert set(student["per_tag"]) == {"PER", "LOC"}
    assert "perplexity" not in student
    assert [entry["class"] for entry in student["per_class"]] == TAGS
    assert sum(map(sum, student["confusion"])) == sum(map(sum, student["fidelity"]["confusion"])) == student["count"]
    assert sum(student["confusion"][tag][tag] for tag in range(5)) / student["count"] == student["accuracy"]
    assert 0 <= student["ece"] <= 1
    assert sum(part["count"] for part in student["reliability"]) == student["count"]
    assert 0 < student["fidelity"]["agreement"] <= 1
    assert card["headline"]["score"] == student["f1"]
    assert card["headline"]["keeps"] == pytest.approx(student["f1"] / card["networks"]["teacher"]["test"]["f1"])
    state = run.state()
    assert state.best_metric == "f1"
    assert 0 < state.best <= 1
    store = texts.metrics(run)
    for name in ("f1", "f1.PER", "precision.LOC", "recall"):
        assert len(store.series("student", "validation", name).values) == 4
    per_kind = card["networks"]["student"]["validation"]["per_tag"]["PER"]["f1"]
    assert store.series("student", "validation", "f1.PER").values[state.best_epoch - 1] == pytest.approx(per_kind)
    report = run.report_path.read_text(encoding="utf-8")
    assert "F1 score" in report
    assert "F1 score of PER" in report
    assert "answer on test data" in report
    (row,), _ = compare(texts.project)
    assert row["metric"] == "f1"
    assert as_text([row]).count(" F1") == 3


def test_a_tag_is_shown_behind_its_whole_word(tmp_path: Path) -> None:
    write_tagged(tmp_path / "names.conll")
    bundle = load_data(TaggedText(**{**tagged_data(tokenizer="bpe:300"), "source": "tagged"}), tmp_path)
    known = {
        " ".join(word if tag == "O" else f"{word} [{tag}]" for word, tag in zip(words, tags))
        for words, tags in tagged_sentences()
    }
    for each in data_report(bundle, 8)["text"]["texts"]:
        assert " ".join(each["text"].split()) in known


def test_it_has_no_classes_to_shift(texts: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = texts.run(**fields(train=train(1)))
    assert main(["bias", str(run.path)]) == 2
    assert "no classes of samples to shift" in capsys.readouterr().err


def test_padding_and_pieces_of_words_teach_nothing(texts: Any) -> None:
    """What stands where no word begins changes no weight."""
    plain = fields(train=train(1, lr=5e-3), teacher=None, student={"model": "transformers:bert", "args": SMALL_BERT})
    plain["objective"] = [{"term": "hard"}]
    first = texts.run(**plain)
    longer = texts.run(**{**plain, "data": tagged_data(max_tokens=64)})
    assert texts.same(texts.module(first), texts.module(longer))


def test_resumed_in_the_middle_it_is_the_undisturbed_run(texts: Any) -> None:
    plain = fields(train=train(2))
    whole = texts.run(**plain)
    parked = texts.project.create_run(texts.experiment(**plain))
    texts.before_step("student", 3, lambda trainer: request(parked, "park"))
    assert [execute(parked).phase for _ in range(2)] == ["parked", "finished"]
    assert texts.same(texts.module(whole), texts.module(parked))


def test_pieces_of_a_batch_are_one_batch(texts: Any) -> None:
    run = texts.run(**fields(train=train(1, accumulate=4)))
    assert run.state().phase == "finished"


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("transformers", "onnx-int8")]


@pytest.mark.parametrize("kind", ["onnx", *SLOW])
def test_it_is_exported(texts: Any, kind: str) -> None:
    run = texts.run(**fields(train=train(1)))
    folder = run.exports_dir() / kind
    bundle = data_of(run)
    found = export_student(run.student_dir, kind, folder, bundle)
    assert found.parity["ok"]
    assert 0 < found.parity["accuracy"] <= 1
    if kind == "transformers":
        model = AutoModelForTokenClassification.from_pretrained(folder)
        assert model.config.id2label == dict(enumerate(TAGS))
        student = load_student(run.student_dir)
        ids = bundle.test.images[:3].long()
        assert student.text is not None
        logits = model(input_ids=ids, attention_mask=(ids != student.text.pad).long()).logits
        ours = student.model(ids)
        torch.testing.assert_close(logits.flatten(0, 1), ours, atol=1e-5, rtol=1e-4)
