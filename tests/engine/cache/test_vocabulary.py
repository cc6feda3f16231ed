"""What is kept of a vocabulary: how wrong each way is, once and on average."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from kdstudio.engine.cache.vocabulary import VocabularyCodec
from kdstudio.engine.losses import soft_target_loss
from kdstudio.project.spec import Experiment
from tests.engine.text_kit import SMALL_BERT, SMALL_GPT2, corpus_data, train, write_corpus

V, P = 500, 4


@pytest.fixture
def logits() -> Tensor:
    """Of twelve positions, as steep as a language model's: word number r is about 1/r as likely as the first."""
    numbers = torch.Generator().manual_seed(0)
    ranks = torch.stack([torch.randperm(V, generator=numbers) for _ in range(12)]) + 1
    return -1.1 * ranks.log() + 0.3 * torch.randn(12, V, generator=numbers)


def probabilities(codec: VocabularyCodec, logits: Tensor, seed: int = 0) -> Tensor:
    return codec.logits(codec.kept(logits, seed)).softmax(dim=1)


def off(found: Tensor, logits: Tensor) -> float:
    """Mean total variation distance to the teacher."""
    return float((found - logits.softmax(dim=1)).abs().sum(dim=1).mean() / 2)


def test_top_k_keeps_the_likeliest_words_and_the_mass_of_the_rest(logits: Tensor) -> None:
    codec = VocabularyCodec("top-k", 32, P, V)
    found, true = probabilities(codec, logits), logits.softmax(dim=1)
    top = true.topk(32, dim=1).indices
    assert torch.allclose(found.gather(1, top), true.gather(1, top), rtol=5e-3)
    assert torch.allclose(found.sum(dim=1), torch.ones(12), atol=1e-3)
    rest = 1 - true.gather(1, top).sum(dim=1)
    assert 0 < off(found, logits) < float(rest.mean())  # the tail is flat, no more


def test_top_k_is_biased_and_samples_are_not(logits: Tensor) -> None:
    """Averaged over many caches the drawn words come to the teacher; the flat tail stays as wrong as it is."""
    words = 32
    top, drawn = VocabularyCodec("top-k", words, P, V), VocabularyCodec("samples", words, P, V)
    once = [probabilities(drawn, logits, seed) for seed in range(2000)]
    mean = torch.stack(once).mean(dim=0)
    bias_top, bias_drawn, error_drawn = (off(each, logits) for each in (probabilities(top, logits), mean, once[0]))
    assert 0.05 < bias_top < 0.15
    true = logits.softmax(dim=1)
    chance = float((2 / torch.pi * true * (1 - true) / (2000 * words)).sqrt().sum(dim=1).mean() / 2)
    assert bias_drawn < 1.1 * chance < bias_top / 2
    assert error_drawn > bias_top  # each single one is further off


def test_the_gradient_of_samples_is_right_on_average(logits: Tensor) -> None:
    student = torch.randn(12, V, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def gradient(teacher: Tensor) -> Tensor:
        return torch.autograd.grad(soft_target_loss(student, teacher, 1.0), student)[0]

    drawn, true = VocabularyCodec("samples", 32, P, V), gradient(logits)
    mean = torch.stack([gradient(drawn.logits(drawn.kept(logits, seed))) for seed in range(300)]).mean(dim=0)
    top = VocabularyCodec("top-k", 32, P, V)
    biased = gradient(top.logits(top.kept(logits, 0)))
    size = float(true.norm())
    assert float((mean - true).norm()) / size < 0.05
    assert torch.isfinite(mean).all()
    assert float((biased - true).norm()) / size < 0.1


def test_all_words_are_the_teacher(logits: Tensor) -> None:
    codec = VocabularyCodec("top-k", V, P, V)
    assert off(probabilities(codec, logits), logits) < 1e-3


def test_what_is_drawn_can_be_drawn_again(logits: Tensor) -> None:
    codec = VocabularyCodec("samples", 8, P, V)
    first, again, other = (codec.kept(logits, seed)["vocabulary.tokens"] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, P, 8)


# -- in runs -------------------------------------------------------------------------------------------------


def model(lab: Any, task: str, cache: dict[str, Any]) -> Any:
    write_corpus(lab.project.root / "corpus.txt")
    network = {"model": "transformers:gpt2", "args": SMALL_GPT2}
    if task == "masked-lm":
        network = {"model": "transformers:bert", "args": SMALL_BERT}
    return lab.run(
        data=corpus_data(task, **({"views": 2} if task == "masked-lm" else {})),
        teacher={**network, "train": train(2)},
        student={"model": "from-teacher"},
        objective=[{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 1}],
        train=train(3, precision="fp32"),
        evaluate={"latency": False},
        cache=cache,
    )


@pytest.mark.parametrize("task", ["causal-lm", "masked-lm"])
def test_language_models_learn_from_what_is_kept(lab: Any, caplog: pytest.LogCaptureFixture, task: str) -> None:
    caplog.set_level(logging.INFO, "kdstudio")
    online = model(lab, task, {})
    assert "cache.vocabulary keeps a part of it" in (online.path / "log.txt").read_text()
    whole = model(lab, task, {"vocabulary": "top-k", "per_token": 65536})
    drawn = model(lab, task, {"vocabulary": "samples", "per_token": 200})
    series = [lab.metrics(run).series("student", "train", "loss").values for run in (online, whole, drawn)]
    assert series[1] == pytest.approx(series[0], rel=2e-3)
    soft = [lab.metrics(run).series("student", "validation", "loss").values[-1] for run in (online, drawn)]
    assert soft[1] == pytest.approx(soft[0], rel=0.02)
    assert "answers are kept" in whole.state().means["teacher"]
    again = model(lab, task, {"vocabulary": "top-k", "per_token": 65536})
    assert lab.same(lab.module(again), lab.module(whole))


def test_drawn_words_need_temperature_one() -> None:
    fields = {
        "name": "x",
        "teacher": {"model": "mlp"},
        "student": {"model": "mlp"},
        "objective": [{"term": "soft", "temperature": 2}],
        "cache": {"vocabulary": "samples"},
    }
    with pytest.raises(ValueError, match="set its temperature to 1, or use top-k"):
        Experiment.model_validate(fields)
