"""Presets for texts, and what terms are called for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from kdstudio.gui.setup.facts import Fact, FactState
from kdstudio.gui.setup.page import SetupPage
from kdstudio.gui.setup.preset import PICTURES
from kdstudio.gui.setup.presets import PRESETS, apply_preset
from kdstudio.gui.setup.text_presets import TEXT_PRESETS
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project, create_project
from tests.gui.setup_kit import SetupKit

DATA = {
    "classification": "{source: table, path: t.csv, max_tokens: 64}",
    "masked-lm": "{source: corpus, path: t.txt, task: masked-lm, max_tokens: 64}",
    "causal-lm": "{source: corpus, path: t.txt, task: causal-lm, max_tokens: 64}",
}
BERT, GPT = "bert.encoder.layer", "transformer.h"


@pytest.fixture
def texts(tmp_path: Path) -> Project:
    made = create_project(tmp_path / "texts", "empty")
    for task, data in DATA.items():
        kind = "gpt2" if task == "causal-lm" else "bert"
        (made.experiments_dir / f"{task}.yaml").write_text(
            f"data: {data}\nteacher: {{model: 'transformers:{kind}'}}\nstudent: {{model: from-teacher}}\n"
            "objective: [{term: hard, weight: 0.5}, {term: soft, weight: 0.5}]\n"
        )
    return made


@pytest.fixture
def page(qtbot: QtBot, theme: Theme, texts: Project) -> Iterator[SetupKit]:
    kit = SetupKit(qtbot, SetupPage(theme), (1150, 700))
    yield kit
    kit.close()


def know(kit: SetupKit, blocks: str) -> None:
    """The engine's answers: a teacher of four blocks, a student of two."""
    for side, depth in (("teacher", 4), ("student", 2)):
        names = ["bert.embeddings"] if blocks == BERT else []
        names += [f"{blocks}.{number}" for number in range(depth)]
        layers: list[dict[str, Any]] = [
            {"name": name, "kind": "BertLayer", "output_shape": [64, 32], "parameters": 9} for name in names
        ]
        layers.append({"name": "head", "kind": "Linear", "output_shape": [10], "parameters": 9})
        answer = {"layers": layers, "parts": layers, "depth": depth, "parameters": 9, "flops": 9, "model": side}
        kit.page.facts.parts[side] = Fact(FactState.KNOWN, answer)


CASES = [(task, preset) for preset in TEXT_PRESETS for task in preset.tasks]


@pytest.mark.parametrize(("task", "preset"), CASES, ids=lambda value: getattr(value, "name", value))
def test_each_makes_an_experiment_that_is_right(page: SetupKit, texts: Project, task: str, preset: Any) -> None:
    page.open(texts, task)
    know(page, GPT if task == "causal-lm" else BERT)
    before = page.page.document.value
    apply_preset(page.page.context, preset)
    page.settle()
    assert page.page.experiment is not None, page.page.context.problems
    assert page.page.document.value != before
    page.page.undo_stack.undo()
    assert page.page.document.value == before


def test_published_numbers(page: SetupKit, texts: Project) -> None:
    page.open(texts, "masked-lm")
    know(page, BERT)
    by_name = {preset.name: preset for preset in TEXT_PRESETS}
    apply_preset(page.page.context, by_name["DistilBERT"])
    terms = page.value("objective")
    assert [(term["term"], term["weight"]) for term in terms] == [("hard", 2), ("soft", 5), ("cosine", 1)]
    assert terms[2]["pairs"] == [{"teacher": f"{BERT}.3", "student": f"{BERT}.1"}]
    apply_preset(page.page.context, by_name["TinyBERT"])
    scores, hints, _ = page.value("objective")
    whole = [{"teacher": f"{BERT}.{one}", "student": f"{BERT}.{other}"} for one, other in ((1, 0), (3, 1))]
    assert scores["pairs"] == whole
    assert hints["pairs"] == [{"teacher": "bert.embeddings", "student": "bert.embeddings"}, *whole]
    assert hints["weight"] == 3


def test_those_are_offered_that_fit(page: SetupKit, texts: Project, sample: Project) -> None:
    menu: QMenu = page.page.presets.menu()

    def offered() -> set[str]:
        menu.aboutToShow.emit()
        return {action.text().split("\t")[0] for action in menu.actions() if action.isVisible()}

    page.open(texts, "masked-lm")
    assert {"DistilBERT", "MiniLM", "TinyBERT", "Hinton soft targets", "Quick try"} <= offered()
    assert not {"CIFAR benchmark schedule", "DistilGPT2", "FitNets, two stages"} & offered()
    page.open(texts, "causal-lm")
    assert {"DistilGPT2", "On-policy distillation (GKD)"} <= offered()
    page.open(sample)
    assert offered() == {preset.name for preset in PRESETS if PICTURES in preset.tasks}


@pytest.mark.parametrize(
    ("task", "words"),
    [("masked-lm", "Masked tokens"), ("causal-lm", "Next tokens"), ("classification", "Hard labels")],
)
def test_labels_are_called_by_what_they_are(page: SetupKit, texts: Project, task: str, words: str) -> None:
    page.open(texts, task)
    section = page.go("objective")
    assert section.cards[0].heading.text() == words
