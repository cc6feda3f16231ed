"""The card of the teacher's kept answers in Setup > Training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QMessageBox

from kdstudio.engine.cache.store import CacheStore
from kdstudio.project.cache import entries
from tests.gui.setup_kit import LEFT, SetupKit, know_all


def keep_something(setup: SetupKit) -> Any:
    root = setup.page.context.project.root
    CacheStore(root / "cache" / "0123456789abcdef", 100, {}).write(0, 0, {"logits": np.ones((100, 10), np.float16)})
    return root


def test_what_the_project_keeps_is_said(setup: SetupKit) -> None:
    know_all(setup)
    section = setup.go("training")
    assert "keeps no answers yet" in section.cache.held.text()
    assert not section.cache.clear.isEnabled()
    keep_something(setup)
    setup.go("data")
    section = setup.go("training")
    assert "of answers." in section.cache.held.text()
    assert section.cache.clear.isEnabled()
    images = setup.page.context.project.root / "cache" / "images-0123456789abcdef"
    images.mkdir()
    (images / "train.bin").write_bytes(b"7" * 20_000)
    setup.go("data")
    assert "of decoded images." in setup.go("training").cache.held.text()


@pytest.mark.parametrize("said", [True, False])
def test_it_is_cleared_when_that_is_confirmed(setup: SetupKit, monkeypatch: pytest.MonkeyPatch, said: bool) -> None:
    know_all(setup)
    root = keep_something(setup)
    section = setup.go("training")
    answer = QMessageBox.StandardButton.Yes if said else QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answer)
    setup.qtbot.mouseClick(section.cache.clear, LEFT)
    assert bool(entries(root)) is not said
    assert section.cache.clear.isEnabled() is not said


def test_the_fields_are_edited(setup: SetupKit) -> None:
    know_all(setup)
    setup.go("training")
    setup.type_into(setup.field("cache.limit_gb").editor.line, "3")
    assert setup.value("cache.limit_gb") == 3
    setup.page.document.edit("x", {"cache.limit_gb": -1})
    setup.settle()
    assert any(path.startswith("cache.limit_gb") for path in setup.page.context.problems)
