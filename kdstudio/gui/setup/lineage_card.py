"""The runs that the student's weights come from, as a chain: general distillation, then the task's own."""

from __future__ import annotations

import functools

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.section import Card
from kdstudio.gui.setup.words import choice_text
from kdstudio.project.errors import KDStudioError
from kdstudio.project.lineage import Step, lineage
from kdstudio.project.spec import Experiment

#: What a network learned, by the task of its data.
TASKS = {
    "masked-lm": mark("masked language model"),
    "causal-lm": mark("language model"),
    "classification": mark("classification"),
    "token-classification": mark("a tag for each word"),
}


class LineageCard(Card):
    """Shown where the student begins with the weights of a run."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("Where it begins"))
        self.context = context
        self.steps: list[Step] = []
        self.buttons: list[QPushButton] = []
        self._rows = QWidget()
        self._grid = QGridLayout(self._rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        self.body.addWidget(self._rows)
        self._shown: object = None

    def refresh(self) -> None:
        """Shows what the document says."""
        weights = self.context.document.get("student.weights")
        project = self.context.project
        named = isinstance(weights, str) and weights.startswith("run:")
        self.setVisible(named and project is not None)
        if self.isHidden() or project is None:
            return
        try:
            self.steps = lineage(project, weights)
        except (KDStudioError, ValueError):  # a name that is being typed
            self.steps = []
        name = str(self.context.document.get("name") or "")
        mark_ = (weights, name, [(step.run, step.summary and step.summary.score) for step in self.steps])
        if mark_ == self._shown:
            return
        self._shown = mark_
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self.buttons = []
        for place, step in enumerate(self.steps):
            self._add(place, step)
        self._put(2 * len(self.steps), "student", name, tr("this experiment"), None)
        self._grid.setColumnStretch(2, 1)

    def _add(self, place: int, step: Step) -> None:
        if step.run is None or step.summary is None:
            self._put(2 * place, "baseline", step.weights.removeprefix("run:"), tr("no run is finished yet"), None)
        else:
            words = _learned(step.experiment)
            if step.summary.score is not None:
                score = step.summary.score
                figure = f"{score:.1f}" if step.summary.is_language else f"{100 * score:.1f} %"
                kind = tr("perplexity {figure}", figure=figure) if step.summary.is_language else figure
                words = f"{words} · {kind}" if words else kind
            show = QPushButton(tr("Show"))
            show.setObjectName("flat")
            show.setAccessibleName(tr("Show {run}", run=step.run.name))
            show.clicked.connect(functools.partial(self._show, step))
            self.buttons.append(show)
            self._put(2 * place, "baseline", step.run.name, words, show)
        arrow = QLabel("↓")
        arrow.setObjectName("soft")
        self._grid.addWidget(arrow, 2 * place + 1, 0, Qt.AlignmentFlag.AlignHCenter)

    def _put(self, row: int, role: str, name: str, words: str, button: QPushButton | None) -> None:
        colour = getattr(self.context.theme.tokens, role)
        dot = QLabel(f'<span style="color:{colour}">●</span>')
        title = QLabel(name)
        title.setTextFormat(Qt.TextFormat.PlainText)
        note = QLabel(words)
        note.setObjectName("soft")
        note.setTextFormat(Qt.TextFormat.PlainText)
        note.setWordWrap(True)
        for column, widget in enumerate((dot, title, note)):
            self._grid.addWidget(widget, row, column)
        if button is not None:
            self._grid.addWidget(button, row, 3)

    def _show(self, step: Step, checked: bool = False) -> None:
        self.context.run_wanted.emit(step.run)


def _learned(experiment: Experiment | None) -> str:
    """What a run's student learned, and from whom."""
    if experiment is None:
        return ""
    task = str(getattr(experiment.data, "task", "classification"))
    what = tr(TASKS[task]) if task in TASKS else task
    source = choice_text("source", experiment.data.source).split(" (")[0]
    return tr("{task} on {data}", task=what, data=source)
