"""Balancing weights in the window: by what a run has measured, and by a measurement of the untrained student."""

from __future__ import annotations

import json
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QDialogButtonBox

from kdstudio.gui.setup.balance_dialog import CHANNEL, BalanceDialog
from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project
from tests.gui.setup_kit import SetupKit


def with_dialog(setup: SetupKit, look: Any) -> None:
    """Clicks the button that opens the dialog, and looks at it."""
    section = setup.go("objective")
    done = []

    def find() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, BalanceDialog):
            timer.stop()
            done.append(True)
            try:
                look(dialog)
            finally:
                if dialog.isVisible():
                    dialog.reject()

    timer = QTimer()
    timer.timeout.connect(find)
    timer.start(50)
    setup.click(section.balance.shares)
    timer.stop()
    assert done


def measured(project: Project, name: str, shares: dict[str, float]) -> None:
    run = project.create_run(project.load(name))
    values = {f"term.{term}": share for term, share in shares.items()}
    record = {"seq": 1, "step": 9, "epoch": 0, "stage": "student", "time": 1.0, "split": "gradient", "values": values}
    run.metrics_path.write_text(json.dumps(record) + "\n")


def test_weights_by_a_runs_shares(setup: SetupKit, sample: Project) -> None:
    measured(sample, "soft-targets", {"hard": 0.2, "soft": 0.8})
    before = [setup.value("objective.0.weight"), setup.value("objective.1.weight")]

    def look(dialog: BalanceDialog) -> None:
        assert dialog.source.text() == "Measured on soft-targets/001, step 9."
        assert {name: box.value() for name, box in dialog.boxes.items()} == {"hard": 50.0, "soft": 50.0}
        setup.type_into(dialog.boxes["hard"].lineEdit(), "25")
        assert dialog.sum.text() == "The shares sum to 75.0 %, and are divided by that."
        assert dialog.sum.isVisible()
        setup.type_into(dialog.boxes["soft"].lineEdit(), "75")
        assert not dialog.sum.isVisible()
        assert dialog.results["hard"].text() == f"{before[0] * 0.25 / 0.2:.4g}"
        setup.qtbot.wait(10)
        dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).click()

    with_dialog(setup, look)
    setup.settle()
    assert setup.value("objective.0.weight") == float(f"{before[0] * 0.25 / 0.2:.4g}")
    assert setup.value("objective.1.weight") == float(f"{before[1] * 0.75 / 0.8:.4g}")
    assert setup.page.undo_stack.undoText() == "Balance the weights"
    setup.page.undo_stack.undo()
    assert [setup.value("objective.0.weight"), setup.value("objective.1.weight")] == before


def test_the_engine_measures_the_untrained_student(setup: SetupKit, sample: Project) -> None:
    def look(dialog: BalanceDialog) -> None:
        assert "No run of this experiment" in dialog.source.text()
        assert not dialog.ok.isEnabled()
        dialog.measure.click()
        assert dialog.source.text() == "Measuring..."
        setup.engine.failed.emit(CHANNEL, InputError("the teacher is not trained yet", fix="train it first"))
        assert dialog.error.text() == "the teacher is not trained yet\ntrain it first"
        assert dialog.measure.isEnabled()
        dialog.measure.click()
        answer = {"shares": {"hard": 0.5, "soft": 0.5}, "weights": {"hard": 0.1, "soft": 0.9}}
        setup.engine.answered.emit(CHANNEL, answer)
        assert not dialog.error.isVisible()
        assert "the untrained student" in dialog.source.text()
        assert dialog.ok.isEnabled()

    with_dialog(setup, look)
    assert setup.page.undo_stack.count() == 0


def test_a_term_that_does_not_move_the_student_is_told(setup: SetupKit, sample: Project) -> None:
    measured(sample, "soft-targets", {"hard": 1.0, "soft": 0.0})

    def look(dialog: BalanceDialog) -> None:
        assert "'soft' does not move the student at all" in dialog.error.text()
        assert not dialog.ok.isEnabled()

    with_dialog(setup, look)
