"""What networks write side by side, and what a student is worth as a draft of its teacher."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from kdstudio.cli import main
from kdstudio.engine.text.draft import MODES, Rounds, assisted, tokens_per_step
from kdstudio.engine.text.generate import write
from tests.engine.text_kit import SMALL_GPT2, corpus_data, train, write_corpus


@pytest.fixture
def run(lab: Any) -> Any:
    """A finished run of a causal language model with a baseline."""
    write_corpus(lab.project.root / "corpus.txt")
    return lab.run(
        data=corpus_data("causal-lm"),
        teacher={"model": "transformers:gpt2", "args": SMALL_GPT2, "train": train(3)},
        student={"model": "from-teacher"},
        objective=[{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 1}],
        train=train(2),
        evaluate={"latency": False},
        baseline=True,
    )


def networks(run: Any) -> dict[str, Any]:
    from kdstudio.engine.scorecard import networks_of

    return {name: network.model for name, (_, network) in networks_of(run).items()}


def test_tokens_of_a_step() -> None:
    assert tokens_per_step(0.0, 4) == 1
    assert tokens_per_step(1.0, 4) == 5
    assert tokens_per_step(0.5, 2) == pytest.approx(1 + 0.5 + 0.25)


def test_figures_of_rounds() -> None:
    rounds = Rounds(2, drafted=[2, 2, 1], accepted=[2, 0, 1], passes=3, written=6)
    rounds.seconds, rounds.alone, rounds.draft_seconds = [1.0], [2.0], [0.5]
    found = rounds.figures()
    assert found["accepted_share"] == pytest.approx(3 / 5)
    assert found["acceptance"] == pytest.approx(3 / 4), "one of four that were looked at was refused"
    assert found["tokens_per_pass"] == pytest.approx(2)
    assert found["gain"] == pytest.approx(2)


def test_a_draft_changes_nothing_that_is_written(run: Any) -> None:
    models = networks(run)
    prompt = torch.randint(4, 200, (1, 4), generator=torch.Generator().manual_seed(1))
    alone = write(models["teacher"].eval(), prompt, 10, 0, 0)
    together, rounds = assisted(models["teacher"], models["student"].eval(), prompt, 10, 3, 0.0, 0)
    assert torch.equal(alone, together)
    assert rounds.passes <= 10
    itself, rounds = assisted(models["teacher"], models["teacher"], prompt, 10, 3, 0.0, 0)
    assert torch.equal(alone, itself)
    assert rounds.accepted == rounds.drafted, "a network takes all that it drafts itself"


def test_the_commands(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["write", str(run.path), "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert kept == run.written()
    assert main(["write", str(run.path), "--prompt", "The cat", "--tokens", "4"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("The cat", "teacher", "student", "baseline"))
    assert main(["draft", str(run.path), "--tokens", "3", "--texts", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == run.draft()
    student = found["networks"]["student"]
    assert 0 < student["estimate"] <= 1
    assert all(student[mode]["drafted"] >= student[mode]["accepted"] for mode in MODES)
    assert main(["draft", str(run.path), "--tokens", "60"]) == 2
    assert "drafts of 60 tokens do not fit" in capsys.readouterr().err


def test_other_runs_have_nothing_to_write(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = lab.run()
    for verb, said in (("write", "no causal language models"), ("draft", "causal-lm")):
        assert main([verb, str(run.path)]) == 2
        assert said in capsys.readouterr().err
