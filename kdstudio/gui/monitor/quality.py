"""The quality panel: validation accuracy of every stage, and how well the student agrees with the teacher."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout

from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.plot import Curve, Line, SeriesPlot
from kdstudio.gui.theme import Theme, Tokens

DASH = {"baseline": "dash"}
ROLES = {"teacher": lambda t: t.teacher, "student": lambda t: t.student, "baseline": lambda t: t.baseline}


class QualityPanel(Panel):
    """Accuracy on validation samples, epoch by epoch; the finished teacher is a line."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("quality", "Quality", "Validation accuracy appears here after the first epoch.", theme)
        self.series = SeriesPlot(theme, "accuracy")
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.series)

    def clear(self) -> None:
        self.series.clear()

    def table(self) -> Sequence[Sequence[object]]:
        return self.series.table()

    def recolour(self) -> None:
        self.series.recolour()

    def redraw(self) -> None:
        if self.worker is None:
            return
        curves = []
        for stage, split, key in self.worker.series_keys():
            if split == "validation" and key == "accuracy" and stage in ROLES:
                curves.append(Curve(stage, split, key, stage, ROLES[stage], dash=DASH.get(stage, "solid")))
            elif split == "validation" and key == "agreement" and stage == "student":
                curves.append(Curve(stage, split, key, "agrees with teacher", _agreement))
        self.series.set_curves(curves)
        scorecard = self.worker.run_folder.scorecard()
        teacher = (scorecard or {}).get("networks", {}).get("teacher", {}).get("validation")
        if teacher:
            self.series.set_lines([Line(teacher["accuracy"], "teacher, finished", ROLES["teacher"])])
        self.show_empty(not self.series.update_from(self.worker))


def _agreement(tokens: Tokens) -> str:
    return tokens.curve3
