"""What a student is worth as a draft for its teacher: how much of it is taken, and what that gains."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QSpinBox, QWidget

from kdstudio.gui.export.command_card import CommandCard
from kdstudio.gui.language import mark, tr
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder

NETWORKS = {"student": mark("Student"), "baseline": mark("Student alone")}
MODES = {"sampled": mark("drawn"), "greedy": mark("likeliest")}
COLUMNS = (
    ("acceptance", mark("Acceptance"), mark("Chance that a drafted token is taken, as it was measured")),
    (
        "estimate",
        mark("1 − TVD"),
        mark("What theory expects: 1 minus the total variation distance, on average"),
    ),
    ("tokens_per_pass", mark("Tokens a pass"), mark("Tokens for each forward pass of the teacher (1 without a draft)")),
    ("gain", mark("Gain"), mark("Time of the teacher alone, against teacher and draft; below 1 the draft costs more")),
    ("expected_gain", mark("Expected"), mark("The gain by acceptance and cost, without what drafting takes around it")),
)
MOST_OTHERS = 6


class DraftCard(CommandCard):
    """For runs of causal language models with a teacher."""

    def __init__(self) -> None:
        super().__init__(
            tr("As a draft for the teacher"),
            tr(
                "In speculative decoding the student writes a few tokens ahead, and the teacher checks them in one "
                "pass: the text is the teacher's own, only sooner. Measured with real assisted generation."
            ),
            "draft",
            tr("Measure"),
        )
        self.button.setAccessibleName(tr("Measure the student as a draft"))
        self.planned, self.texts = QSpinBox(), QSpinBox()
        for box, value, most, words, tip in (
            (self.planned, 4, 64, tr("tokens ahead: "), tr("Tokens that are drafted at a time (usual 3 to 8)")),
            (self.texts, 8, 1000, tr("texts: "), tr("Texts that are written (usual 8 to 50)")),
        ):
            box.setRange(1, most)
            box.setValue(value)
            box.setPrefix(words)
            box.setToolTip(tip)
            box.setAccessibleName(tip)
            box.lineEdit().setTextMargins(6, 0, 0, 0)
            self.row.insertWidget(1, box)
        self.note = QLabel()
        self.note.setObjectName("soft")
        self.note.setWordWrap(True)
        self.rows = QWidget()
        self._grid = QGridLayout(self.rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(20)
        self._grid.setVerticalSpacing(6)
        self.body.addWidget(self.rows)
        self.body.addWidget(self.note)

    def arguments(self) -> list[str]:
        return ["--tokens", str(self.planned.value()), "--texts", str(self.texts.value())]

    def show_run(self, run: RunFolder | None) -> None:
        super().show_run(run)
        self._fill()

    def show_answer(self, answer: dict[str, Any]) -> None:
        self._fill()  # the command keeps it in the run's folder

    def _fill(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        report = self.run_folder.draft() if self.run_folder is not None else None
        self.rows.setVisible(report is not None)
        self.note.setText(tr("Not measured yet.") if report is None else self._words(report))
        if report is None:
            return
        for column, (_, title, tip) in enumerate(COLUMNS, start=1):
            head = QLabel(tr(title))
            head.setObjectName("soft")
            head.setToolTip(tr(tip))
            self._grid.addWidget(head, 0, column, Qt.AlignmentFlag.AlignRight)
        self._grid.setColumnStretch(0, 1)
        place = self._add(1, "", report)
        for run, other in self._others():
            place = self._add(place, run.name, other)

    def _add(self, place: int, name: str, report: dict[str, Any]) -> int:
        for network, entry in report["networks"].items():
            if name and network != "student":
                continue
            for mode, words in MODES.items():
                if name and mode != "sampled":
                    continue
                said = {**entry.get(mode, {}), "estimate": entry.get("estimate") if mode == "sampled" else None}
                who = tr(NETWORKS[network]) if network in NETWORKS else network
                label = QLabel(tr("{network}, {way}", network=f"{name} · {who}" if name else who, way=tr(words)))
                label.setObjectName("soft" if name else "")
                self._grid.addWidget(label, place, 0)
                for column, (key, _, _) in enumerate(COLUMNS, start=1):
                    cell = QLabel(_figure(key, said.get(key)))
                    cell.setObjectName("soft" if name else "")
                    self._grid.addWidget(cell, place, column, Qt.AlignmentFlag.AlignRight)
                place += 1
        return place

    def _others(self) -> list[tuple[RunFolder, dict[str, Any]]]:
        """Other runs of the project whose students were measured with as many tokens ahead, the newest first."""
        run = self.run_folder
        mine = run.draft() if run is not None else None
        if run is None or mine is None:
            return []
        try:
            runs = Project.open(run.project_root).runs()
        except KDStudioError:
            return []
        found = [(other, other.draft()) for other in reversed(runs) if other != run]
        alike = [(other, report) for other, report in found if report and report.get("planned") == mine["planned"]]
        return alike[:MOST_OTHERS]

    @staticmethod
    def _words(report: dict[str, Any]) -> str:
        return tr(
            "{texts} texts of {tokens} tokens on {device}, {planned} tokens ahead.",
            texts=report.get("texts", "?"),
            tokens=report.get("tokens", "?"),
            device=report.get("device", "?"),
            planned=report["planned"],
        )


def _figure(key: str, value: Any) -> str:
    if not isinstance(value, (int, float)):
        return "–"
    if key in ("acceptance", "estimate"):
        return f"{100 * value:.1f} %"
    return f"{value:.2f} ×" if key in ("gain", "expected_gain") else f"{value:.2f}"
