"""General distillation first, then the task's own: weights of a run as the start of another network."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from kdstudio.engine.run import execute
from kdstudio.engine.student_io import load_student
from kdstudio.project.errors import KDStudioError, ModelError, SpecError
from kdstudio.project.folder import load_experiment
from kdstudio.project.runs.control import request
from kdstudio.project.spec import AS_RUN, ModelSpec, StudentSpec, validate
from tests.engine.text_kit import SMALL_BERT, SMALL_GPT2, corpus_data, table_data, train, write_corpus, write_table

HARD = [{"term": "hard", "weight": 1.0}]
SOFT = [{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 2}]


@pytest.fixture
def texts(lab: Any) -> Any:
    write_table(lab.project.root / "texts.csv")
    write_corpus(lab.project.root / "corpus.txt")
    return lab


def general(texts: Any, kind: str = "bert", task: str = "masked-lm", **args: Any) -> Any:
    """A student that was distilled on plain text."""
    plain = SMALL_GPT2 if kind == "gpt2" else SMALL_BERT
    teacher = {"model": f"transformers:{kind}", "args": {**plain, **args}, "train": train(1)}
    return texts.run(
        name="general",
        data=corpus_data(task),
        teacher=teacher,
        student={"model": "from-teacher"},
        objective=SOFT,
        train=train(1),
        evaluate={"latency": False},
    )


def task(texts: Any, student: dict[str, Any], **fields: Any) -> Any:
    plain = {"data": table_data(tokenizer=None), "student": student, "objective": HARD, "train": train(1)}
    plain["teacher"] = None
    return texts.run(name="task", evaluate={"latency": False}, **{**plain, **fields})


def test_a_model_may_be_left_away_where_a_run_is_named() -> None:
    assert validate(StudentSpec, {"weights": "run:general"}).model == AS_RUN
    assert validate(ModelSpec, {"weights": "run:general", "model": "mlp"}).model == "mlp"
    with pytest.raises(SpecError, match="a required key is missing"):
        validate(StudentSpec, {"weights": "general.safetensors"})
    with pytest.raises(SpecError, match="is the network of a run"):
        validate(StudentSpec, {"model": AS_RUN})
    with pytest.raises(SpecError, match="takes no 'args'"):
        validate(StudentSpec, {"weights": "run:general", "args": {"hidden_size": 8}})


def test_a_classifier_begins_from_a_masked_language_model(texts: Any, caplog: pytest.LogCaptureFixture) -> None:
    first = general(texts)
    body = load_file(first.student_dir / "model.safetensors")
    with caplog.at_level(logging.INFO, logger="kdstudio"):
        run = task(texts, {"weights": "run:general"}, train=train(1, lr=1e-9))
    frozen = load_experiment(run.experiment_path)
    assert frozen.student.weights == "run:general/001"
    found = load_student(run.student_dir)
    assert found.text is not None
    assert found.text.task == "classification"
    assert found.spec.model == "transformers:bert"
    state = found.model.state_dict()
    shared = [name for name in body if name.startswith("bert.")]
    assert len(shared) > 30
    for name in shared:
        torch.testing.assert_close(state[name], body[name], atol=1e-5, rtol=0)
    assert "classifier.weight" not in body
    said = next(record.message for record in caplog.records if "took" in record.message)
    assert "new are bert.pooler" in said
    assert "left are cls.predictions" in said
    assert json.loads((run.student_dir / "student.json").read_text())["model"]["args"]["num_hidden_layers"] == 2


def test_a_classifier_begins_from_a_causal_one_and_learns_from_a_teacher(texts: Any) -> None:
    general(texts, "gpt2", "causal-lm")
    teacher = {"model": "transformers:gpt2", "args": SMALL_GPT2, "train": train(1)}
    data = table_data(tokenizer="run:general")
    run = task(texts, {"weights": "run:general/001"}, data=data, teacher=teacher, objective=SOFT)
    assert run.state().phase == "finished"
    assert load_student(run.student_dir).spec.args["n_layer"] == 2


def test_the_same_task_takes_the_head_too(texts: Any) -> None:
    first = task(texts, {"model": "transformers:bert", "args": SMALL_BERT}, data=table_data())
    again = texts.run(
        name="again",
        data=table_data(tokenizer=None),
        teacher=None,
        student={"weights": "run:task"},
        objective=HARD,
        train=train(1, lr=1e-9),
        evaluate={"latency": False},
    )
    ours, theirs = (load_file(run.student_dir / "model.safetensors") for run in (first, again))
    torch.testing.assert_close(ours["classifier.weight"], theirs["classifier.weight"], atol=1e-5, rtol=0)


def test_resumed_in_the_middle_it_is_the_undisturbed_run(texts: Any) -> None:
    general(texts)
    plain: dict[str, Any] = {
        "name": "task",
        "data": table_data(tokenizer=None),
        "teacher": None,
        "student": {"weights": "run:general"},
        "objective": HARD,
        "train": train(2),
        "evaluate": {"latency": False},
    }
    whole = texts.run(**plain)
    parked = texts.project.create_run(texts.experiment(**plain))
    texts.before_step("student", 3, lambda trainer: request(parked, "park"))
    assert [execute(parked).phase for _ in range(2)] == ["parked", "finished"]
    assert texts.same(texts.module(whole), texts.module(parked))


def test_a_network_for_pictures_begins_from_a_run_too(lab: Any) -> None:
    first = lab.run(name="first", student={"model": "mlp", "widths": [12]}, teacher=None, objective=HARD)
    second = lab.run(name="second", student={"weights": "run:first"}, teacher=None, objective=HARD)
    assert load_student(second.student_dir).spec.widths == load_student(first.student_dir).spec.widths == [12]


def test_what_does_not_fit_is_told(texts: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no finished run for 'run:general'"):
        task(texts, {"weights": "run:general"})
    general(texts)
    other = {"model": "transformers:bert", "args": {**SMALL_BERT, "hidden_size": 64}, "weights": "run:general"}
    with pytest.raises(ModelError, match=r"student.weights: model.safetensors does not fit the model"):
        task(texts, other)
    with pytest.raises(ModelError, match="tokenizer of run:general/001 does not match the data's"):
        task(texts, {"weights": "run:general"}, data=table_data(tokenizer="bpe:310"))
    with pytest.raises(KDStudioError, match="takes texts of 512 tokens"):
        task(texts, {"weights": "run:general"}, data=table_data(tokenizer=None, max_tokens=600))
