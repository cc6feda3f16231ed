"""The formula of the objective, the slider that links hard labels and soft targets, and the epochs of the terms."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QSlider, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.setup import formula
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.section import Card
from kdstudio.gui.setup.timeline import Lane, Timeline
from kdstudio.project.errors import KDStudioError, SpecError
from kdstudio.project.schedules import weight_at
from kdstudio.project.spec import TermBase, numbered, validate
from kdstudio.project.weight_balance import Shares, shares_of_run

STEPS = 100
#: A training longer than this has no lanes: nothing could be told apart.
MOST_EPOCHS = 20_000


class BalanceCard(Card):
    """L = a L_hard + (1 - a) T^2 L_soft, live with its numbers."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("What is minimised"))
        self.context = context
        self.letters = QLabel()
        self.letters.setObjectName("formula")
        self.numbers = QLabel()
        for label in (self.letters, self.numbers):
            label.setTextFormat(Qt.TextFormat.RichText)
            label.setWordWrap(True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setPageStep(10)
        self.slider.setAccessibleName(tr("Balance a of hard labels and soft targets"))
        self.slider.setToolTip(
            tr("Sets the weight of hard labels to a, and that of soft targets to 1 − a (usual a: 0.1)")
        )
        self.slider.valueChanged.connect(self._moved)
        self.slider.sliderReleased.connect(context.document.seal)
        self.value = QLabel()
        self.note = QLabel()
        self.note.setObjectName("hint")
        self.note.setWordWrap(True)
        self.balance = QWidget()
        grid = QGridLayout(self.balance)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(2)
        left, right = QLabel(tr("Soft targets only")), QLabel(tr("Hard labels only"))
        for label in (left, right):
            label.setObjectName("soft")
        grid.addWidget(left, 0, 0)
        grid.addWidget(self.slider, 0, 1)
        grid.addWidget(right, 0, 2)
        grid.addWidget(self.value, 0, 3)
        grid.addWidget(self.note, 1, 1, 1, 3)
        grid.setColumnStretch(1, 1)
        self.timeline = Timeline(context.theme)
        self.shares = QPushButton(tr("Balance the weights..."))
        self.shares.setToolTip(tr("Sets the weights so that each term has a chosen share of the gradient"))
        self.shares.clicked.connect(self._balance)
        for widget in (self.letters, self.numbers, self.balance, self.timeline):
            self.body.addWidget(widget)
        self.body.addWidget(self.shares, 0, Qt.AlignmentFlag.AlignLeft)

    def _balance(self) -> None:
        """Opens the dialog that sets weights by shares of the gradient; they are one step to undo."""
        from kdstudio.gui.setup.balance_dialog import BalanceDialog

        context, terms = self.context, self._terms()
        names = names_of(terms)
        weights: dict[str, float] = {
            name: term["weight"] for name, term in zip(names, terms) if isinstance(term.get("weight"), (int, float))
        }
        value = context.document.value
        root = str(context.project.root) if context.project is not None else ""
        question = {"ask": "gradient-shares", "root": root, "data": value.get("data"), "experiment": value}
        dialog = BalanceDialog(context.facts.client, question, weights, self._measured(names), self)
        if dialog.exec():
            changes = {
                f"objective.{names.index(name)}.weight": weight
                for name, weight in dialog.weights().items()
                if name in names
            }
            context.document.edit(tr("Balance the weights"), changes)
        dialog.deleteLater()

    def _measured(self, names: list[str]) -> Shares | None:
        """The shares of the newest run of this experiment that has them, and the same terms."""
        context = self.context
        if context.project is None:
            return None
        for run in reversed(context.project.runs(str(context.document.get("name")))):
            try:
                found = shares_of_run(run)
            except KDStudioError:
                continue
            if found is not None and set(found.shares) <= set(names):
                return found
        return None

    def _terms(self) -> list[Any]:
        terms = self.context.document.get("objective")
        return terms if isinstance(terms, list) else []

    def _moved(self, position: int) -> None:
        terms = self._terms()
        places = formula.linked(terms)
        if places is not None:
            a = position / STEPS
            hard, soft = (f"objective.{place}.weight" for place in places)
            changes = {hard: a, soft: round(1 - a, 6)}
            self.context.document.edit(tr("Change the balance a"), changes, merge=True)

    def refresh(self) -> None:
        terms, tokens = self._terms(), self.context.theme.tokens
        self.letters.setText(formula.general(terms, tokens))
        self.numbers.setText(formula.numbers(terms, tokens))
        self.letters.setAccessibleName(formula.plain(terms))
        a = formula.balance(terms)
        self.balance.setVisible(formula.linked(terms) is not None)
        self.slider.setEnabled(a is not None)
        if a is not None:
            self.slider.blockSignals(True)
            self.slider.setValue(round(a * STEPS))
            self.slider.blockSignals(False)
            self.value.setText(f"<i>a</i> = {a:.2f}")
        fits = a is None or formula.sums_to_one(terms)
        self.note.setText(tr("The two weights do not sum to 1; moving the slider makes them a and 1 − a."))
        self.note.setVisible(not fits)
        self._draw_lanes(terms)
        self.shares.setEnabled(len(terms) > 1)

    def _draw_lanes(self, terms: list[Any]) -> None:
        epochs = self.context.document.get("train.epochs")
        usable = isinstance(epochs, int) and 0 < epochs <= MOST_EPOCHS
        self.timeline.setVisible(usable)
        if not usable:
            return
        lanes = []
        for name, data in zip(names_of(terms), terms):
            try:
                # What is wrong elsewhere in the term (no pair yet, say) does not change when it counts
                spec = validate(TermBase, {key: data[key] for key in TermBase.model_fields if key in data})
            except (SpecError, TypeError):
                spec = None
            weights: list[float | None] = [None] * epochs
            if spec is not None:
                weights = [weight_at(spec, epoch, epochs) for epoch in range(epochs)]
            lanes.append(Lane(name, weights))
        self.timeline.show_lanes(lanes)


def names_of(terms: list[Any]) -> list[str]:
    """What each term of a document is called in plots and logs; one without a kind is called ?."""
    return numbered(str(term.get("term")) if isinstance(term, dict) else "?" for term in terms)
