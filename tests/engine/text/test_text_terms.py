"""Terms on attention and on the states of texts, in whole runs and against computations by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch.nn import functional

from kdstudio.engine.objective import Objective
from kdstudio.engine.run import execute
from kdstudio.engine.taps import Taps
from kdstudio.engine.terms import StepOutputs
from kdstudio.engine.terms.text import text_state
from kdstudio.engine.text.build import build_transformers
from kdstudio.engine.text.facts import TextFacts
from kdstudio.project.errors import ModelError
from kdstudio.project.runs.control import request
from kdstudio.project.spec import ModelSpec, Term
from tests.engine.text_kit import SMALL_BERT, SMALL_GPT2, corpus_data, table_data, train, write_corpus, write_table

BERT = {"teacher": "bert.encoder.layer.3", "student": "bert.encoder.layer.1"}
GPT2 = {"teacher": "transformer.h.3", "student": "transformer.h.1"}
TERMS: list[dict[str, Any]] = [
    {"term": "attention-relation"},
    {"term": "attention-relation", "heads": 8},
    {"term": "attention-score"},
    {"term": "patient", "weight": 0.1},
    {"term": "hint", "weight": 0.1},
]


def fields(data: dict[str, Any], kind: str, pair: dict[str, str], *terms: dict[str, Any]) -> dict[str, Any]:
    args = SMALL_GPT2 if kind == "gpt2" else SMALL_BERT
    return {
        "data": data,
        "teacher": {"model": f"transformers:{kind}", "args": args, "train": train(1)},
        "student": {"model": "from-teacher"},
        "objective": [{"term": "hard", "weight": 0.5}, *({**term, "pairs": [pair]} for term in terms)],
        "train": train(1),
        "evaluate": {"latency": False},
    }


@pytest.fixture
def texts(lab: Any) -> Any:
    write_table(lab.project.root / "texts.csv")
    write_corpus(lab.project.root / "corpus.txt")
    return lab


def test_all_of_them_in_one_run_of_texts_of_different_lengths(texts: Any) -> None:
    plain = fields(table_data(), "bert", BERT, *TERMS)
    run = texts.run(**plain)
    for name in ("attention-relation", "attention-relation-2", "attention-score", "patient", "hint"):
        values = texts.metrics(run).series("student", "train", f"term.{name}").values
        assert np.isfinite(values).all()
        assert values[0] > 0
    again = texts.project.create_run(texts.experiment(**plain))
    texts.before_step("student", 3, lambda trainer: request(again, "park"))
    assert [execute(again).phase for _ in range(2)] == ["parked", "finished"]
    assert texts.same(texts.module(run), texts.module(again))


def test_a_causal_model(texts: Any) -> None:
    run = texts.run(**fields(corpus_data("causal-lm"), "gpt2", GPT2, *TERMS[:3]))
    for name in ("attention-relation", "attention-relation-2", "attention-score"):
        assert np.isfinite(texts.metrics(run).series("student", "train", f"term.{name}").values).all()


def test_a_network_against_itself_has_no_loss(texts: Any) -> None:
    """All layers kept and nothing to forget: before the first step student and teacher agree."""
    plain = fields(
        table_data(), "bert", {"teacher": "bert.encoder.layer.3", "student": "bert.encoder.layer.3"}, *TERMS[:4]
    )
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain["teacher"]["args"] = {**SMALL_BERT, **dropout}
    plain["student"]["layers"] = {"count": 4}
    run = texts.run(**plain)
    for name in ("attention-relation", "attention-relation-2", "attention-score", "patient"):
        assert texts.metrics(run).series("student", "train", f"term.{name}").values[0] < 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"student": {"model": "transformers:bert", "args": {**SMALL_BERT, "num_attention_heads": 2}}}, "heads"),
        (
            {"objective": [{"term": "attention-score", "pairs": [{**BERT, "student": "classifier"}]}]},
            "objective.0.pairs.0",
        ),
        ({"objective": [{"term": "attention-relation", "heads": 5, "pairs": [BERT]}]}, "5 relation heads cannot share"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(texts: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        texts.run(**{**fields(table_data(), "bert", BERT, {"term": "attention-score"}), **change})


def test_taps_are_what_attention_computes_with() -> None:
    facts = TextFacts("classification", 50, 12, 0, 0)
    spec = ModelSpec(model="transformers:bert", args=SMALL_BERT)
    network = build_transformers(spec, facts, 2, None).eval()  # type: ignore[arg-type]
    ids = torch.randint(1, 50, (3, 12))
    names = [f"bert.encoder.layer.2#{part}" for part in ("query", "key", "value")]
    with (
        Taps(network, [*names, "bert.encoder.layer.1", "bert.encoder.layer.2.attention.self"]) as taps,
        torch.no_grad(),
    ):
        network(ids)
        found = taps.take()
    query, key, value = (found[name] for name in names)
    assert query.shape == (3, 4, 12, 8)
    by_hand = functional.softmax(query @ key.transpose(-1, -2) / 8**0.5, dim=-1) @ value
    expected = found["bert.encoder.layer.2.attention.self"].view(3, 12, 4, 8).transpose(1, 2)
    torch.testing.assert_close(by_hand, expected, rtol=1e-4, atol=1e-5)


def test_what_stands_side_by_side_within_each_head_is_told_apart() -> None:
    """As the library itself splits it."""
    facts = TextFacts("classification", 50, 12, 0, 0)
    spec = ModelSpec(model="transformers:gpt_neox", args=SMALL_BERT)
    network = build_transformers(spec, facts, 2, None).eval()  # type: ignore[arg-type]
    block = f"{network.blocks}.1"
    names = [f"{block}#{part}" for part in ("query", "key", "value")]
    fused = f"{block}.attention.query_key_value"
    with Taps(network, [*names, fused]) as taps, torch.no_grad():
        network(torch.randint(1, 50, (3, 12)))
        found = taps.take()
    expected = found[fused].view(3, 12, 4, 24).transpose(1, 2).chunk(3, dim=-1)
    for name, part in zip(names, expected):
        torch.testing.assert_close(found[name], part, rtol=0, atol=0)


def test_the_state_of_a_text() -> None:
    """[CLS], or the last real token where only that one has seen the whole text."""
    states = torch.arange(2 * 4 * 3).view(2, 4, 3).float()
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    assert text_state(states, mask, causal=False).equal(states[:, 0])
    assert text_state(states, None, causal=True).equal(states[:, -1])
    assert text_state(states, mask, causal=True).equal(torch.stack([states[0, 1], states[1, 3]]))


@pytest.mark.parametrize("term", ["hard", "soft", "reverse-kl", "jsd", "logits"])
def test_a_vocabulary_in_pieces_is_the_same(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(40, 6000, generator=generator, requires_grad=True)
    teacher = torch.randn(40, 6000, generator=generator)
    targets = torch.randint(0, 6000, (40,), generator=generator)
    targets[::3] = -100
    found = []
    for border in (4096, 10_000):
        monkeypatch.setattr("kdstudio.engine.terms.outputs.VOCABULARY", border)
        objective = Objective([TypeAdapter(Term).validate_python({"term": term})], 1)
        objective.term_modules()[0].partial = True
        loss, _ = objective(StepOutputs(student, targets, teacher), 0)
        found.append((loss.detach(), torch.autograd.grad(loss, student)[0]))
    for first, second in zip(*found):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-7)
