"""The Teacher and Student sections: the networks, their costs side by side, how the teacher is trained."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout

from kdstudio.gui.language import tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.cost_view import CostCard
from kdstudio.gui.setup.form import ListForm, ModelForm
from kdstudio.gui.setup.layers_card import LayersCard
from kdstudio.gui.setup.lineage_card import LineageCard
from kdstudio.gui.setup.schema import complete, fields_of
from kdstudio.gui.setup.section import Card, Section
from kdstudio.gui.setup.training_section import ScheduleCard
from kdstudio.project.spec import Experiment, StudentSpec, TeacherSpec, TrainSpec

FIRST_TEACHER = {"model": "resnet56"}
FIRST_FEATURE_TEACHER = {"model": "mlp", "widths": [256, 256]}


class StudentSection(Section):
    """The network that learns."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, tr("Student"), tr("The network that learns, and that you ship."), ("student",))
        card = Card(tr("Network"))
        self.form = ModelForm(context, "student", StudentSpec)
        card.body.addWidget(self.form)
        self.layers = LayersCard(context)
        self.lineage = LineageCard(context)
        self.costs = CostCard(context)
        self.columns.add(card)
        self.columns.add(self.layers)
        self.columns.add(self.lineage)
        self.columns.add(self.costs, side=True)

    def refresh(self) -> None:
        super().refresh()
        self.form.refresh()
        self.layers.refresh()
        self.lineage.refresh()
        self.costs.refresh()

    def facts_changed(self, part: str) -> None:
        self.layers.refresh()
        self.costs.refresh()


class TeacherSection(Section):
    """The network that knows. It may be absent; without weights it is trained first."""

    def __init__(self, context: Context) -> None:
        sentence = tr("The network that knows. The student learns from its outputs, and from layers inside it.")
        super().__init__(context, tr("Teacher"), sentence, ("teacher", "teachers"))
        self.remove = QPushButton(tr("Remove the teacher"))
        self.remove.setObjectName("flat")
        self.remove.clicked.connect(lambda: context.document.edit(tr("Remove the teacher"), {"teacher": None}))
        self.head.addWidget(self.remove, 0, Qt.AlignmentFlag.AlignTop)
        self.empty = self._empty_card()
        self.network = Card(tr("Network"))
        self.form = ModelForm(context, "teacher", TeacherSpec, skip=("train",))
        self.network.body.addWidget(self.form)
        self.costs = CostCard(context)
        self.training = Card(tr("How the teacher is trained"))
        self.trained_note = QLabel()
        self.trained_note.setObjectName("soft")
        self.trained_note.setWordWrap(True)
        self.train_form = ModelForm(context, "teacher.train", TrainSpec)
        self.training.body.addWidget(self.trained_note)
        self.training.body.addWidget(self.train_form)
        self.schedule = ScheduleCard(context, "teacher.train")
        self.more = Card(tr("More teachers"))
        words = QLabel(
            tr(
                "Each is trained and kept as the first one is. The term for several teachers looks at all of them; "
                "every other term looks at the first."
            )
        )
        words.setObjectName("soft")
        words.setWordWrap(True)
        schema = next(schema for schema in fields_of(Experiment) if schema.name == "teachers")
        self.others = ListForm(context, "teachers", schema)
        self.more.body.addWidget(words)
        self.more.body.addWidget(self.others)
        for card in (self.empty, self.network, self.training, self.more):
            self.columns.add(card)
        for card in (self.costs, self.schedule):
            self.columns.add(card, side=True)

    def _empty_card(self) -> Card:
        card = Card(tr("There is no teacher"))
        words = QLabel(
            tr(
                "The student learns from the labels alone. With a teacher it can also learn from soft targets, which "
                "say how alike the classes are, and from hints, which say what to look for inside the network."
            )
        )
        words.setObjectName("soft")
        words.setWordWrap(True)
        self.add = QPushButton(tr("Add a teacher"))
        self.add.setObjectName("primary")
        self.add.clicked.connect(self._add)
        column = QVBoxLayout()
        column.setSpacing(12)
        column.addWidget(words)
        column.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)
        card.body.addLayout(column)
        return card

    def _add(self) -> None:
        known = self.context.facts.data.known
        pictures = known is None or (len(known["input_shape"]) == 3 and min(known["input_shape"][1:]) >= 16)
        first = FIRST_TEACHER if pictures else FIRST_FEATURE_TEACHER
        self.context.document.edit(tr("Add a teacher"), {"teacher": complete(TeacherSpec, first)})

    def refresh(self) -> None:
        super().refresh()
        document = self.context.document
        present = document.get("teacher") is not None
        for widget in (self.network, self.costs, self.remove):
            widget.setVisible(present)
        self.more.setVisible(present or bool(document.get("teachers")))
        self.others.refresh()
        self.empty.setVisible(not present)
        given = bool(document.get("teacher.weights") or document.get("teacher.pretrained"))
        trained = present and (not given or bool(self.context.problem_below("teacher.train")))
        self.training.setVisible(trained)
        self.schedule.setVisible(trained)
        self.trained_note.setText(
            tr("It has weights, so these settings are not used.")
            if given
            else tr(
                "It has no weights: the first run trains it, and later runs find it in the project's folder teachers/."
            )
        )
        if present:
            self.form.refresh()
            self.costs.refresh()
        if trained:
            self.train_form.refresh()
            self.schedule.refresh()

    def facts_changed(self, part: str) -> None:
        if self.context.document.get("teacher") is not None:
            self.costs.refresh()
            self.schedule.refresh()
