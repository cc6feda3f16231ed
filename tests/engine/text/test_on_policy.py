"""Language models that learn from written text: by the teacher beforehand, or by the student as it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from kdstudio.engine.data import Batch, load_data
from kdstudio.engine.losses import hard_target_loss
from kdstudio.engine.models import build_model
from kdstudio.engine.objective import DistillationModule, Objective, written_only
from kdstudio.engine.run import execute
from kdstudio.engine.teacher_store import load_teacher
from kdstudio.engine.terms import StepOutputs
from kdstudio.engine.text import sequence
from kdstudio.engine.text.generate import write
from kdstudio.engine.text.on_policy import OnPolicy
from kdstudio.project.runs.control import request
from kdstudio.project.spec import HardTerm, JSDTerm, ModelSpec, ReverseKLTerm, SoftTerm
from kdstudio.project.spec.language import OnPolicySpec
from tests.engine.text_kit import SMALL_GPT2, corpus_data, train, write_corpus

ON_POLICY = {"share": 0.5, "prompt_tokens": 4, "new_tokens": 6}
WRITTEN = {"share": 0.4, "prompt_tokens": 4, "temperature": 0.8, "top_k": 20}

ALONE = {"student": {"model": "transformers:gpt2"}, "objective": [{"term": "hard"}]}


def fields(**more: Any) -> dict[str, Any]:
    return {
        "data": corpus_data("causal-lm"),
        "teacher": {"model": "transformers:gpt2", "args": SMALL_GPT2, "train": train(1)},
        "student": {"model": "from-teacher"},
        "objective": [{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 1}],
        "train": train(2),
        "evaluate": {"latency": False},
        **more,
    }


@pytest.fixture
def texts(lab: Any) -> Any:
    write_corpus(lab.project.root / "corpus.txt")
    return lab


@pytest.fixture
def bundle(texts: Any) -> Any:
    return load_data(texts.experiment(**fields()).data, texts.project.root)


def network(bundle: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    spec = ModelSpec(model="transformers:gpt2", args={**SMALL_GPT2, "n_layer": 2})
    return build_model(spec, bundle.input_shape, bundle.outputs, Path(), False, bundle.text)


def test_writing_is_the_same_for_the_same_seed(bundle: Any) -> None:
    model, prompts = network(bundle).train(), bundle.train.images[:3, :4].long()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (write(model, prompts, 40, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected), "the random states of the process stay as they are"
    assert first.shape == (3, 44), "more than a block has room for"
    assert torch.equal(first[:, :4], prompts)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert model.training
    assert model.inner.training


def test_greedy_writing_takes_the_likeliest_token(bundle: Any) -> None:
    model = network(bundle).eval()
    ids = write(model, bundle.train.images[:2, :4].long(), 8, 0, temperature=0)
    with torch.no_grad():
        said = model.inner(input_ids=ids).logits.argmax(dim=-1)
    assert torch.equal(said[:, 3:-1], ids[:, 4:])
    assert torch.equal(write(model, ids[:, :4], 8, 1, top_k=1), ids)


def test_the_student_writes_in_its_share_of_the_steps() -> None:
    writer = OnPolicy(OnPolicySpec(share=0.3), seed=3)
    chosen = [writer.writes(step) for step in range(2000)]
    assert sum(chosen) / len(chosen) == pytest.approx(0.3, abs=0.04)
    assert chosen == [OnPolicy(OnPolicySpec(share=0.3), seed=3).writes(step) for step in range(2000)]
    assert all(OnPolicy(OnPolicySpec(share=1), seed=0).writes(step) for step in range(50))


@pytest.mark.parametrize("term", [SoftTerm(temperature=1), ReverseKLTerm(), JSDTerm()])
def test_the_loss_is_that_of_the_written_tokens(bundle: Any, term: Any) -> None:
    student, teacher = network(bundle, 0), network(bundle, 1).eval()
    module = DistillationModule(student, Objective([HardTerm(), term], 1)).eval()
    images = bundle.train.images[:4].long()
    batch = OnPolicy(OnPolicySpec(share=1, prompt_tokens=4, new_tokens=6), 0).batch(
        Batch(images, images[:, 1:], torch.arange(4), torch.arange(4)), module, 7, 0
    )
    assert batch.images.shape == (4, 10)
    assert batch.labels.shape == (4, 6)
    assert bool((batch.labels == -100).all())
    assert torch.equal(batch.images[:, :4], images[:, :4])
    with torch.no_grad():
        says = teacher(batch.images)
        loss, parts, outputs = module(
            batch.images, batch.labels.flatten(), 0, says, {}, batch.indices, [], batch.prompt
        )
        mine, its = (model.inner(input_ids=batch.images).logits[:, 3:-1] for model in (student, teacher))
        alone = StepOutputs(mine.flatten(0, 1), batch.labels.flatten(), its.flatten(0, 1))
        expected = Objective([term], 1)(alone, 0)[0]
    assert outputs.shape == (24, bundle.outputs)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert parts[0].isnan().tolist() == [True, False], "no label is there"
    assert parts[0, 1] == pytest.approx(float(expected), rel=1e-5)


def test_cross_entropy_over_nothing_is_0() -> None:
    logits = torch.randn(6, 5, requires_grad=True)
    loss = hard_target_loss(logits, torch.full((6,), -100))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) == 0


def test_written_only_keeps_what_speaks_of_written_tokens() -> None:
    logits = torch.arange(2 * 5).reshape(10, 1).float()
    found = written_only(StepOutputs(logits, torch.zeros(4), logits + 100), 2, 4)
    assert found.student_logits.flatten().tolist() == [3, 4, 8, 9]
    assert found.teacher().flatten().tolist() == [103, 104, 108, 109]


def test_resumed_in_the_middle_it_is_the_undisturbed_run(texts: Any) -> None:
    plain = fields(on_policy=ON_POLICY, written=WRITTEN)
    whole = texts.run(**plain)
    parked = texts.project.create_run(texts.experiment(**plain))
    texts.before_step("student", 3, lambda trainer: request(parked, "park"))
    assert [execute(parked).phase for _ in range(2)] == ["parked", "finished"]
    assert texts.same(texts.module(whole), texts.module(parked))


def test_the_teacher_writes_once(texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = texts.run(**fields(written=WRITTEN, baseline=True))
    (path,) = (texts.project.root / "teachers").glob("*/written-*.safetensors")
    bundle = load_data(run.experiment().data, texts.project.root)
    rows = sequence.read_rows(path, 16)
    assert rows.shape == (32, 16), "whole groups: 26 of 64 blocks are replaced"
    asked: list[int] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        asked.append(len(arguments[1]))
        return write(*arguments, **named)

    monkeypatch.setattr(sequence, "write", counted)
    spec = run.experiment().written
    teacher = load_teacher(path.parent, False)

    def told(spec: Any) -> Any:
        return sequence.taught_by_teacher(teacher, path.parent, bundle, spec, torch.device("cpu"), lambda *_: None)

    found = told(spec)
    assert not asked
    changed = (found.images != bundle.train.images).any(dim=1)
    assert 20 <= int(changed.sum()) <= 26
    assert torch.equal(found.images[:, :4], bundle.train.images[:, :4])
    more = told(spec.model_copy(update={"share": 0.9}))
    assert asked == [16, 16]
    assert torch.equal(more.images[changed], found.images[changed]), "a larger share begins alike"
    path.unlink()
    assert torch.equal(told(spec).images, found.images), "written again it is the same"
    path.write_bytes(b"damaged")
    assert torch.equal(told(spec).images, found.images)


def test_the_teacher_goes_on_where_it_was_interrupted(texts: Any, bundle: Any, tmp_path: Any) -> None:
    teacher = network(bundle)
    spec = texts.experiment(**fields(written=WRITTEN)).written

    def told(folder: Any, progress: Any = lambda *_: None) -> Any:
        folder.mkdir(exist_ok=True)
        return sequence.taught_by_teacher(teacher, folder, bundle, spec, torch.device("cpu"), progress)

    whole = told(tmp_path / "whole")
    seen: list[int] = []

    def stops(label: str, done: int, total: int) -> None:
        seen.append(done)
        if done == 16 and seen.count(16) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told(tmp_path / "cut", stops)
    assert torch.equal(told(tmp_path / "cut", stops).images, whole.images)
    assert seen == [0, 16, 16]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"on_policy": {**ON_POLICY, "new_tokens": 30}}, "on_policy: .* 34 tokens, and a sample has 16"),
        ({"written": {"prompt_tokens": 16}}, "written: .* 17 tokens, and a sample has 16"),
        ({"on_policy": ON_POLICY, "objective": [{"term": "hard"}]}, "no term compares the outputs"),
        ({"written": WRITTEN, "data": corpus_data("masked-lm")}, "set data.task to causal-lm"),
        ({"written": WRITTEN, "teacher": None, **ALONE}, "'written' needs a teacher"),
    ],
)
def test_what_writing_asks_for(lab: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        lab.experiment(**fields(**more))


def test_in_a_densely_guided_chain_all_networks_judge_what_the_student_wrote(texts: Any) -> None:
    assistants = [{"model": "transformers:gpt2", "args": {**SMALL_GPT2, "n_layer": 3}, "train": train(1)}]
    student = {"model": "transformers:gpt2", "args": {**SMALL_GPT2, "n_layer": 2}}
    about = {"assistants": assistants, "student": student, "guided": "dense", "on_policy": ON_POLICY}
    run = texts.run(**fields(**about))
    assert run.state().phase == "finished"
    soft = texts.metrics(run).series("student", "train", "term.soft").values
    assert len(soft) == 8
    assert all(value > 0 for value in soft)
