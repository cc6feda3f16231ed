"""Drafts: unsaved edits of the Setup page survive a crash, and are offered again."""

from __future__ import annotations

from pathlib import Path

from kdstudio.gui.setup.page import SetupPage
from kdstudio.gui.theme import Theme
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from tests.gui.setup_kit import SetupKit


def draft_of(project: Project, name: str = "soft-targets") -> Path:
    return project.root / ".kdstudio" / "autosave" / f"{name}.yaml"


# -- drafts ----------------------------------------------------------------------------------------------------


def write_draft_now(setup: SetupKit) -> None:
    """What the timer does after a few seconds."""
    assert setup.page.draft._timer.isActive()
    setup.page.draft.write()


def test_unsaved_edits_are_written_and_go_with_saving(setup: SetupKit, sample: Project) -> None:
    assert not draft_of(sample).exists()
    setup.page.draft._timer.setInterval(50)
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    setup.qtbot.waitUntil(draft_of(sample).exists, timeout=20_000)
    assert "0.01" in draft_of(sample).read_text()
    assert setup.page.save()
    assert not draft_of(sample).exists()
    setup.type_into(setup.field("train.lr").editor.line, "0.02")
    write_draft_now(setup)
    while setup.page.undo_stack.canUndo() and setup.page.dirty:
        setup.page.undo_stack.undo()
    assert not draft_of(sample).exists(), "nothing is unsaved any more"


def test_leaving_the_experiment_discards_its_draft(setup: SetupKit, sample: Project) -> None:
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    write_draft_now(setup)
    setup.open(sample, "hints")
    assert not draft_of(sample).exists()
    setup.open(sample)
    assert not setup.page.recovery.isVisible()


def crash_and_open(setup: SetupKit, theme: Theme, sample: Project) -> SetupKit:
    """Another window on the same project, after the first one ended without a word."""
    setup.page.draft.close = lambda: None  # type: ignore[method-assign]
    other = SetupKit(setup.qtbot, SetupPage(theme))
    other.open(sample)
    return other


def test_a_draft_is_offered_after_a_crash_and_restored(setup: SetupKit, theme: Theme, sample: Project) -> None:
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    setup.type_into(setup.field("student.widths").editor.line, "48, x")
    write_draft_now(setup)
    other = crash_and_open(setup, theme, sample)
    assert other.page.recovery.isVisible()
    assert "unsaved changes" in other.page.recovery.text.text()
    assert other.value("train.lr") == 0.003
    assert not other.page.dirty
    other.click(other.page.recovery.restore)
    assert other.value("train.lr") == 0.01
    assert other.value("student.widths") == [48, "x"], "also what is wrong in it"
    assert other.page.dirty
    assert not other.page.recovery.isVisible()
    assert other.page.undo_stack.undoText() == "Restore unsaved changes"
    other.page.undo_stack.undo()
    assert not other.page.dirty
    other.close()
    assert not draft_of(sample).exists()


def test_a_draft_that_was_found_stays_until_it_is_answered(setup: SetupKit, theme: Theme, sample: Project) -> None:
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    write_draft_now(setup)
    other = crash_and_open(setup, theme, sample)
    other.open(sample, "hints")
    assert draft_of(sample).exists()
    other.open(sample)
    assert other.page.recovery.isVisible()
    other.type_into(other.field("train.epochs").editor.spin.lineEdit(), "9")
    write_draft_now(other)
    other.click(other.page.recovery.restore)
    assert other.value("train.lr") == 0.01, "it is still there, although a new draft took its file"
    other.page.undo_stack.undo()
    assert other.value("train.epochs") == 9
    other.close()


def test_a_draft_can_be_discarded(setup: SetupKit, theme: Theme, sample: Project) -> None:
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    write_draft_now(setup)
    other = crash_and_open(setup, theme, sample)
    other.click(other.page.recovery.discard)
    assert not draft_of(sample).exists()
    assert not other.page.recovery.isVisible()
    assert other.value("train.lr") == 0.003
    other.close()


def test_a_damaged_draft_is_no_obstacle(setup: SetupKit, sample: Project) -> None:
    setup.page.close_experiment()
    for text in ("{", "[]", "", "\x00"):
        draft_of(sample).parent.mkdir(parents=True, exist_ok=True)
        draft_of(sample).write_text(text)
        setup.open(sample)
        assert not setup.page.recovery.isVisible()
        setup.page.close_experiment()


def test_a_disk_that_takes_no_draft_is_told_once(setup: SetupKit, sample: Project) -> None:
    errors: list[KDStudioError] = []
    setup.page.failed.connect(errors.append)
    (sample.root / ".kdstudio").write_text("in the way")
    for number in ("0.01", "0.02"):
        setup.type_into(setup.field("train.lr").editor.line, number)
        write_draft_now(setup)
    assert len(errors) == 1
