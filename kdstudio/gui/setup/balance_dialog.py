"""Balances the weights: each term gets a chosen share of the gradient on the student."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.engine_client import EngineClient
from kdstudio.gui.language import tr
from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.weight_balance import Shares, balanced

CHANNEL = "gradient-shares"
#: Of the spin boxes: a term with no share at all is one to remove.
LEAST, MOST = 0.1, 99.9
#: Shares that are shown with one digit need not sum to 100 exactly.
ROUNDING = 0.25


class BalanceDialog(QDialog):
    """One row a term: its share now, the share that it is to have, and the weight that gives it.

    Args:
        client: Asks the engine to measure.
        question: What it is asked: the experiment and its project.
        weights: The weights in the document, by the name of the term.
        measured: The shares of a run, None where there is none.
        parent: The dialog's parent.
    """

    def __init__(
        self,
        client: EngineClient,
        question: dict[str, Any],
        weights: dict[str, float],
        measured: Shares | None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Balance the weights"))
        self._client, self._question, self._now = client, question, weights
        self.measured: Shares | None = None
        self.boxes: dict[str, QDoubleSpinBox] = {}
        self.results: dict[str, QLabel] = {}
        self.source = QLabel()
        self.source.setWordWrap(True)
        self.sum = QLabel()
        self.sum.setObjectName("soft")
        self.sum.setWordWrap(True)
        self.sum.hide()
        self.error = QLabel()
        self.error.setObjectName("error")
        self.error.setWordWrap(True)
        self.error.setTextFormat(Qt.TextFormat.PlainText)
        self.error.hide()
        self.measure = QPushButton(tr("&Measure the untrained student"))
        self.measure.setToolTip(tr("Asks the engine for the shares at the student's first weights; takes some seconds"))
        self.measure.clicked.connect(self._ask)
        words = QLabel(
            tr(
                "A term moves the student by its gradient. Choose which part of it each term is to have; the weights "
                "are set so that it has it."
            )
        )
        words.setObjectName("soft")
        words.setWordWrap(True)
        self._rows = QWidget()
        self._grid = QGridLayout(self._rows)
        self._grid.setContentsMargins(0, 8, 0, 8)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(8)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        self.ok.setText(tr("Set the weights"))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        for button in (*self.buttons.buttons(), self.measure):
            button.setIcon(QIcon())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 16)
        layout.setSpacing(12)
        layout.addWidget(words)
        layout.addWidget(self._rows)
        layout.addWidget(self.sum)
        layout.addWidget(self.source)
        layout.addWidget(self.error)
        layout.addWidget(self.measure, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(520)
        client.answered.connect(self._answered)
        client.failed.connect(self._failed)
        self._show(measured)

    # -- measuring ---------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        self.error.hide()
        self.measure.setEnabled(False)
        self.source.setText(tr("Measuring..."))
        self._client.ask(CHANNEL, self._question, keep=False)

    def _answered(self, channel: str, answer: Any) -> None:
        if channel == CHANNEL:
            self.measure.setEnabled(True)
            self._show(Shares(answer["shares"], answer["weights"], 0, tr("the untrained student")))

    def _failed(self, channel: str, error: Any) -> None:
        if channel == CHANNEL and isinstance(error, KDStudioError):
            self.measure.setEnabled(True)
            self._tell(error)
            self._say_source()

    def _tell(self, error: KDStudioError) -> None:
        self.error.setText("\n".join(part for part in (error.what, error.why, error.fix) if part))
        self.error.show()

    # -- showing -----------------------------------------------------------------------------------------------

    def _say_source(self) -> None:
        if self.measured is None:
            self.source.setText(
                tr("No run of this experiment has measured it yet. Runs do so after their epochs; or measure it now.")
            )
        else:
            self.source.setText(
                tr("Measured on {source}, step {step:,}.", source=self.measured.source, step=self.measured.step)
            )

    def _show(self, measured: Shares | None) -> None:
        self.measured = measured
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.setParent(None)
                widget.deleteLater()
        self.boxes, self.results = {}, {}
        self._say_source()
        self.ok.setEnabled(measured is not None)
        self._rows.setVisible(measured is not None)
        if measured is None:
            return
        heads = (tr("Term"), tr("Share now"), tr("Share wanted"), tr("Weight now"), tr("New weight"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for column, text in enumerate(heads):
            head = QLabel(text)
            head.setObjectName("soft")
            self._grid.addWidget(head, 0, column, right if column else Qt.AlignmentFlag.AlignLeft)
        for row, (name, share) in enumerate(measured.shares.items(), 1):
            box = QDoubleSpinBox()
            box.setRange(LEAST, MOST)
            box.setDecimals(1)
            box.setSuffix(" %")
            box.lineEdit().setTextMargins(6, 0, 0, 0)
            box.setValue(100 / len(measured.shares))
            box.setAccessibleName(tr("Share wanted of {term}", term=name))
            box.valueChanged.connect(self._compute)
            self.boxes[name] = box
            self.results[name] = QLabel()
            cells: list[QWidget] = [
                QLabel(name),
                QLabel(f"{100 * share:.1f} %"),
                box,
                QLabel(f"{self._now.get(name, measured.weights[name]):g}"),
                self.results[name],
            ]
            for column, cell in enumerate(cells):
                self._grid.addWidget(cell, row, column, right if column else Qt.AlignmentFlag.AlignLeft)
        self._compute()

    def _compute(self) -> None:
        self.error.hide()
        found = self.weights()
        for name, label in self.results.items():
            label.setText(f"{found[name]:g}" if name in found else "–")
        self.ok.setEnabled(bool(found))
        total = sum(box.value() for box in self.boxes.values())
        self.sum.setText(tr("The shares sum to {total:.1f} %, and are divided by that.", total=total))
        self.sum.setVisible(bool(self.boxes) and abs(total - 100) > ROUNDING)

    def weights(self) -> dict[str, float]:
        """The new weights by the name of the term; empty where there are none."""
        if self.measured is None:
            return {}
        try:
            return balanced(self.measured, {name: box.value() for name, box in self.boxes.items()})
        except InputError as error:
            self._tell(error)
            return {}

    def done(self, result: int) -> None:
        self._client.cancel(CHANNEL)
        self._client.answered.disconnect(self._answered)
        self._client.failed.disconnect(self._failed)
        super().done(result)
