"""A student out of its teacher's layers: which are kept, and what that saves."""

from __future__ import annotations

import functools
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSpinBox

from kdstudio.gui.language import mark, tr, trn
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.facts import FactState
from kdstudio.gui.setup.layers_picture import LayersPicture
from kdstudio.gui.setup.section import Card
from kdstudio.gui.setup.words import amount, times
from kdstudio.project.errors import KDStudioError
from kdstudio.project.kept_layers import chosen_layers
from kdstudio.project.spec import FROM_TEACHER, LayersSpec, validate

RULES = {
    "spread": (mark("Spread"), mark("Evenly spread, the first and the last included, as DistilBERT's")),
    "every-other": (mark("Every other"), mark("The layers 0, 2, 4 and so on")),
    "first": (mark("First"), mark("The lowest layers")),
    "last": (mark("Last"), mark("The highest layers")),
}
PATH = "student.layers"


class LayersCard(Card):
    """Shown where the student is made of its teacher's layers."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("Layers that are kept"))
        self.context = context
        self.picture = LayersPicture(context.theme)
        self.picture.toggled.connect(self._toggled)
        self.sentence = QLabel()
        self.sentence.setObjectName("soft")
        self.sentence.setWordWrap(True)
        self.note = QLabel()
        self.note.setObjectName("soft")
        self.note.setWordWrap(True)
        self.count = QSpinBox()
        self.count.setRange(1, 1000)
        self.count.lineEdit().setTextMargins(6, 0, 0, 0)
        self.count.setAccessibleName(tr("How many layers"))
        self.count.setToolTip(tr("How many layers the student keeps (usual: half of them)"))
        self.count.valueChanged.connect(self._counted)
        self.rules: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(QLabel(tr("Keep")))
        row.addWidget(self.count)
        for rule, (words, tip) in RULES.items():
            button = QPushButton(tr(words))
            button.setToolTip(tr(tip))
            button.clicked.connect(functools.partial(self._ruled, rule))
            self.rules[rule] = button
            row.addWidget(button)
        row.addStretch(1)
        self.body.addWidget(self.sentence)
        self.body.addWidget(self.picture)
        self.body.addLayout(row)
        self.body.addWidget(self.note)

    # -- edits -------------------------------------------------------------------------------------------------

    def _layers(self) -> dict[str, Any]:
        found = self.context.document.get(PATH)
        return found if isinstance(found, dict) else LayersSpec().model_dump(mode="json")

    def _edit(self, **changes: Any) -> None:
        self.context.document.edit(tr("Keep other layers"), {PATH: {**self._layers(), **changes}})

    def _toggled(self, number: int) -> None:
        kept = self.picture.kept
        new = [each for each in kept if each != number] if number in kept else sorted([*kept, number])
        if new:
            self._edit(keep=new)

    def _ruled(self, rule: str, checked: bool = False) -> None:
        self._edit(rule=rule, count=self.count.value(), keep=None)

    def _counted(self, count: int) -> None:
        rule = str(self._layers().get("rule", "spread"))
        depth = self.picture.layers
        if rule == "every-other" and count > (depth + 1) // 2:
            rule = "spread"
        self._edit(rule=rule, count=count, keep=None)

    # -- showing -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Shows what the document says, as far as the teacher is known."""
        document = self.context.document
        self.setVisible(document.get("student.model") == FROM_TEACHER)
        if self.isHidden():
            return
        depth, kept, problem = self._kept()
        known = bool(depth)
        for widget in (self.picture, self.count, *self.rules.values()):
            widget.setEnabled(known)
        self.picture.setVisible(known)
        if known:
            self.count.blockSignals(True)
            self.count.setMaximum(depth)
            self.count.setValue(len(kept) or 1)
            self.count.blockSignals(False)
            self.picture.show_layers(depth, kept)
        self.note.setText(problem)
        self.note.setVisible(bool(problem))
        self.sentence.setText(self._words(depth, kept) if known and not problem else "")
        self.sentence.setVisible(bool(self.sentence.text()))

    def _kept(self) -> tuple[int, list[int], str]:
        """How many layers the teacher has, which are kept, and what stands in the way."""
        teacher = self.context.facts.teacher
        if teacher.known is None:
            building = teacher.state is FactState.ASKING
            words = tr("The teacher's layers appear here when the teacher can be built.")
            return 0, [], tr("Building the teacher") if building else words
        depth = int(teacher.known.get("depth") or 0)
        if not depth:
            return 0, [], tr("The teacher is no model of the transformers library, so its layers cannot be taken.")
        try:
            return depth, chosen_layers(validate(LayersSpec, self._layers()), depth), ""
        except KDStudioError as error:
            return depth, [], f"{error.what}; {error.fix}" if error.fix else error.what

    def _words(self, depth: int, kept: list[int]) -> str:
        words = trn("{count} of {all} layers", "{count} of {all} layers", len(kept), all=depth)
        facts = self.context.facts
        teacher, student = facts.teacher.known, facts.student.known
        if not teacher or not student or student.get("kept") != kept:
            return words
        saved = tr(
            "{before} parameters become {after}, {smaller}× fewer; FLOPs {fewer}× fewer.",
            before=amount(teacher["parameters"]),
            after=amount(student["parameters"]),
            smaller=times(teacher["parameters"] / max(student["parameters"], 1)),
            fewer=times(teacher["flops"] / max(student["flops"], 1)),
        )
        return f"{words}: {saved}"
