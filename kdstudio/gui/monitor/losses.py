"""The losses panel: every term of the objective as it is optimised, training and validation."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from PySide6.QtWidgets import QCheckBox, QComboBox, QVBoxLayout

from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.plot import Curve, SeriesPlot
from kdstudio.gui.theme import Theme, Tokens, term_colour


class LossesPanel(Panel):
    """Raw values faint, smoothed ones on top; weighted as they are summed, or as each loss itself."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("losses", "Losses", "The loss of every term appears here as soon as training starts.", theme)
        self.stage = QComboBox()
        self.stage.setAccessibleName("Stage")
        self.stage.setToolTip("The network whose training is shown")
        self.stage.activated.connect(self._chosen)
        self.weighted = QComboBox()
        self.weighted.addItems(["weighted", "unweighted"])
        self.weighted.setAccessibleName("Weighted or unweighted terms")
        self.weighted.setToolTip("Weighted: what is summed and optimised. Unweighted: each loss itself")
        self.weighted.activated.connect(self._again)
        self.log = QCheckBox("log")
        self.log.setToolTip("Logarithmic axis")
        self.log.toggled.connect(self._log_toggled)
        for widget in (self.stage, self.weighted, self.log):
            self.head.addWidget(widget)
        self.series = SeriesPlot(theme, "loss")
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.series)
        self._follow = True

    def clear(self) -> None:
        self.series.clear()
        self.stage.clear()
        self._follow = True

    def table(self) -> Sequence[Sequence[object]]:
        return self.series.table()

    def recolour(self) -> None:
        self.series.recolour()

    def _chosen(self) -> None:
        self._follow = False
        self._again()

    def _again(self) -> None:
        self.series.clear()
        self.mark_stale()
        self.redraw_if_stale()

    def _log_toggled(self, on: bool) -> None:
        self.series.item.setLogMode(y=on)
        self.mark_stale()

    def redraw(self) -> None:
        if self.worker is None:
            return
        keys = self.worker.series_keys()
        stages = list(dict.fromkeys(stage for stage, split, _ in keys if split == "train"))
        if stages != [self.stage.itemText(index) for index in range(self.stage.count())]:
            chosen = self.stage.currentText()
            self.stage.clear()
            self.stage.addItems(stages)
            follow = "student" if "student" in stages else (stages or [""])[-1]
            self.stage.setCurrentText(follow if self._follow else chosen)
        stage = self.stage.currentText()
        self.series.set_curves(self._curves(stage, keys))
        self.show_empty(not self.series.update_from(self.worker))

    def _curves(self, stage: str, keys: list[tuple[str, str, str]]) -> list[Curve]:
        own = [(split, key) for where, split, key in keys if where == stage]
        curves = []
        if ("train", "loss") in own:
            curves.append(Curve(stage, "train", "loss", "total", _total, smooth=True))
        suffix = ".weighted" if self.weighted.currentText() == "weighted" else ""
        terms = [key for split, key in own if split == "train" and key.startswith("term.") and key.count(".") == 1]
        if len(terms) > 1 or suffix == "":
            for index, term in enumerate(terms):
                colour = functools.partial(_term, index)
                if ("train", term + suffix) in own:
                    curves.append(Curve(stage, "train", term + suffix, term.removeprefix("term."), colour, smooth=True))
        if ("validation", "loss") in own:
            curves.append(Curve(stage, "validation", "loss", "validation (hard)", _student, dashed=True))
        return curves


def _total(tokens: Tokens) -> str:
    return tokens.total


def _student(tokens: Tokens) -> str:
    return tokens.student


def _term(index: int, tokens: Tokens) -> str:
    return term_colour(tokens, index)
