"""Two runs side by side, by the command and in the window; and the table of runs as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QFileDialog
from safetensors.numpy import save_file

from kdstudio.cli import main
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.runs.difference_dialog import DifferenceDialog
from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project
from kdstudio.project.run_difference import difference, spec_difference
from kdstudio.project.runs.evaluation import EVALUATION_FILE
from kdstudio.project.runs.folder import RunFolder
from tests.gui.synthetic import finished_run

NAMES = ["cat", "dog", "owl"]
LABELS = np.array([0, 0, 1, 1, 2, 2])


def store(run: RunFolder, answers: list[int], labels: np.ndarray = LABELS) -> None:
    logits = 3 * np.eye(3, dtype=np.float32)[answers]
    save_file(
        {"validation_logits": logits, "validation_labels": labels},
        run.path / EVALUATION_FILE,
        {"split": "test", "classes": json.dumps(NAMES)},
    )


@pytest.fixture
def runs(digits: Project) -> list[RunFolder]:
    made = [finished_run(digits, name) for name in ("soft-targets", "hints")]
    store(made[0], [0, 0, 1, 0, 0, 2])
    store(made[1], [0, 1, 1, 1, 0, 2])
    return made


def test_specs_differ_where_they_do() -> None:
    one = {"a": 1, "b": {"c": 2, "d": [1, 2]}, "t": [{"w": 1}, {"w": 2}]}
    other = {"a": 1, "b": {"c": 3, "d": [1]}, "t": [{"w": 1}], "e": True}
    assert spec_difference(one, other) == [
        ("b.c", 2, 3),
        ("b.d", [1, 2], [1]),
        ("t.1", {"w": 2}, None),
        ("e", None, True),
    ]
    assert spec_difference(one, one) == []


def test_students_are_compared_sample_by_sample(runs: list[RunFolder]) -> None:
    said = difference(*runs).students
    assert said is not None
    assert (said.count, said.both, said.first_only, said.second_only, said.neither) == (6, 3, 1, 1, 1)
    assert said.agreement == pytest.approx(4 / 6)
    assert said.per_class == [(2, 1.0, 0.5), (2, 0.5, 1.0), (2, 0.5, 0.5)]
    assert sorted(index for index, *_ in said.samples) == [1, 3]


def test_what_cannot_be_compared_is_told(runs: list[RunFolder], digits: Project) -> None:
    with pytest.raises(InputError, match="this is the same run twice"):
        difference(runs[0], runs[0])
    store(runs[1], [0, 1, 1, 1, 0, 2], LABELS[::-1].copy())
    assert difference(*runs).why_not == "the two runs have other validation samples"
    (runs[1].path / EVALUATION_FILE).unlink()
    assert "kept no outputs of its student" in difference(*runs).why_not


def test_the_command(runs: list[RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(run.path) for run in runs]
    assert main(["diff", *paths]) == 0
    told = capsys.readouterr().out
    assert "objective.2" in told
    assert "they agree on 66.7%; right: both 3, only soft-targets/001 1" in told
    assert main(["diff", *paths, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["students"]["both"] == 3


def test_two_ticked_runs_are_shown(
    make_window: Callable[..., MainWindow], digits: Project, runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[DifferenceDialog] = []

    class Kept(DifferenceDialog):
        def exec(self) -> int:
            shown.append(self)
            self.setParent(None)
            return 0

        def deleteLater(self) -> None:
            """Looked at first."""

    monkeypatch.setattr("kdstudio.gui.result_actions.DifferenceDialog", Kept)
    window = make_window(digits)
    window.actions_by_name["difference"].trigger()
    assert "Tick two runs" in window.message.why.text()
    window.runs.model._ticked = list(runs)
    window.actions_by_name["difference"].trigger()
    (dialog,) = shown
    fields = [dialog.fields.item(row, 0).text() for row in range(dialog.fields.rowCount())]  # type: ignore[union-attr]
    assert fields[0] == "Score"
    assert "Name" in fields
    assert "agree on 66.7 %" in dialog.words.text()
    assert dialog.classes.item(1, 4).text() == "+50.0"  # type: ignore[union-attr]
    dialog.close()


@pytest.mark.parametrize(
    ("name", "start"), [("t.csv", "experiment,"), ("t.md", "| experiment |"), ("t.html", "<!doct")]
)
def test_the_table_is_saved(
    make_window: Callable[..., MainWindow],
    digits: Project,
    runs: list[RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    start: str,
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / name), ""))
    window = make_window(digits)
    window.actions_by_name["save-table"].trigger()
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert text.startswith(start)
    assert "soft-targets" in text
