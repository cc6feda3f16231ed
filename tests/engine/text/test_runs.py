"""Whole runs on texts: a classifier and two language models, from the teacher to the scorecard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kdstudio.engine.data import load_data
from kdstudio.engine.run import data_of, execute
from kdstudio.engine.student_io import load_student
from kdstudio.project.errors import ModelError
from kdstudio.project.runs.control import request
from tests.engine.text_kit import SMALL_BERT, SMALL_GPT2, corpus_data, table_data, train, write_corpus, write_table

SOFT = [{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 2}]


def fields(data: dict[str, Any], kind: str, hidden: tuple[str, str]) -> dict[str, Any]:
    args = SMALL_GPT2 if kind == "gpt2" else SMALL_BERT
    pair = {"teacher": hidden[0], "student": hidden[1]}
    return {
        "data": data,
        "teacher": {"model": f"transformers:{kind}", "args": args, "train": train()},
        "student": {"model": "from-teacher"},
        "objective": [*SOFT, {"term": "cosine", "pairs": [pair]}],
        "train": train(),
        "evaluate": {"latency": False},
    }


@pytest.fixture
def texts(lab: Any) -> Any:
    write_table(lab.project.root / "texts.csv")
    write_corpus(lab.project.root / "corpus.txt")
    return lab


BERT_ENDS = ("bert.encoder.layer.3", "bert.encoder.layer.1")
GPT_ENDS = ("transformer.ln_f", "transformer.ln_f")


def card(run: Any) -> dict[str, Any]:
    return json.loads(run.scorecard_path.read_text(encoding="utf-8"))


def test_a_classifier(texts: Any) -> None:
    plain = fields(table_data(), "bert", BERT_ENDS)
    longer = train(4, lr=5e-3)
    run = texts.run(**{**plain, "teacher": {**plain["teacher"], "train": longer}, "train": longer}, baseline=True)
    found = card(run)
    assert found["networks"]["student"]["test"]["accuracy"] > 0.8
    assert found["networks"]["student"]["parameters"] < found["networks"]["teacher"]["parameters"]
    student = load_student(run.student_dir)
    assert student.text is not None
    bundle = data_of(run)
    logits = student.model(student.preprocess(bundle.test.images))
    accuracy = (logits.argmax(1) == bundle.test.labels).float().mean()
    assert float(accuracy) == pytest.approx(found["networks"]["student"]["test"]["accuracy"])
    assert (run.student_dir / "tokenizer" / "tokenizer.json").exists()


@pytest.mark.parametrize(("task", "kind", "ends"), [("causal-lm", "gpt2", GPT_ENDS), ("masked-lm", "bert", BERT_ENDS)])
def test_a_language_model(texts: Any, task: str, kind: str, ends: tuple[str, str]) -> None:
    run = texts.run(**fields(corpus_data(task), kind, ends))
    found = card(run)
    assert found["metric"] == "perplexity"
    student, teacher = (found["networks"][name]["test"] for name in ("student", "teacher"))
    assert 1 < student["perplexity"] < 300
    assert found["headline"]["keeps"] == pytest.approx(teacher["perplexity"] / student["perplexity"])
    assert 0 < student["fidelity"]["acceptance"] <= 1
    assert run.state().best_metric == "perplexity"


@pytest.mark.parametrize(
    ("task", "kind", "ends"), [("causal-lm", "gpt2", GPT_ENDS), ("classification", "bert", BERT_ENDS)]
)
def test_resumed_in_the_middle_it_is_the_undisturbed_run(
    texts: Any, task: str, kind: str, ends: tuple[str, str]
) -> None:
    data = table_data() if task == "classification" else corpus_data(task)
    plain = fields(data, kind, ends)
    whole = texts.run(**plain)
    parked = texts.project.create_run(texts.experiment(**plain))
    texts.before_step("student", 3, lambda trainer: request(parked, "park"))
    assert [execute(parked).phase for _ in range(2)] == ["parked", "finished"]
    assert texts.same(texts.module(whole), texts.module(parked))


def test_a_teacher_with_another_tokenizer_is_refused(texts: Any) -> None:
    plain = fields(table_data(tokenizer="bpe:300"), "bert", BERT_ENDS)
    experiment = texts.experiment(**plain)
    run = texts.run(experiment)
    folder = texts.project.root / "other"
    student = load_student(run.student_dir)
    student.model.inner.save_pretrained(folder)
    other = load_data(experiment.data.model_copy(update={"tokenizer": "bpe:310"}), texts.project.root)
    assert other.tokenizer is not None
    other.tokenizer.save(folder)
    with pytest.raises(ModelError, match=r"tokenizer of transformers:other does not match the data's.*has 310 tokens"):
        texts.run(**{**plain, "teacher": {"model": "transformers:other", "pretrained": True}})
