"""Sections that are forms and nothing more."""

from __future__ import annotations

from kdstudio.gui.language import tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.fields import FieldBox, FieldGrid
from kdstudio.gui.setup.form import ModelForm
from kdstudio.gui.setup.schema import fields_of
from kdstudio.gui.setup.section import Card, Section
from kdstudio.project.spec import EvaluateSpec, Experiment, MonitorSpec

#: Fields of the experiment on trackers.
TRACKING = ("trackers", "tracking_project")

#: Fields of the experiment that have a section of their own.
ELSEWHERE = (
    "version",
    "data",
    "teacher",
    "teachers",
    "assistants",
    "guided",
    "guided_drop",
    "student",
    "unlabelled",
    "written",
    "on_policy",
    "objective",
    "train",
    "baseline",
    "cache",
    "monitor",
    "evaluate",
    *TRACKING,
)


class GeneralSection(Section):
    """Name and notes, and whatever the spec gains that has no section yet."""

    def __init__(self, context: Context) -> None:
        sentence = tr("What this experiment is called and what it is for.")
        super().__init__(context, tr("General"), sentence, ("name", "notes"))
        card = Card(tr("Experiment"))
        self.form = ModelForm(context, "", Experiment, skip=ELSEWHERE)
        card.body.addWidget(self.form)
        self.columns.add(card)

    def refresh(self) -> None:
        super().refresh()
        self.form.refresh()


class RecordingSection(Section):
    """What the panels get while it trains, and what is measured at the end."""

    def __init__(self, context: Context) -> None:
        sentence = tr("What is recorded while the student learns, and what is measured when it is done.")
        super().__init__(context, tr("Recording and evaluation"), sentence, ("monitor", "evaluate", *TRACKING))
        self.forms = []
        for title, path, model in (
            (tr("While training"), "monitor", MonitorSpec),
            (tr("Scorecard"), "evaluate", EvaluateSpec),
        ):
            card = Card(title)
            form = ModelForm(context, path, model)
            card.body.addWidget(form)
            self.columns.add(card)
            self.forms.append(form)
        schemas = [schema for schema in fields_of(Experiment) if schema.name in TRACKING]
        self.boxes = [FieldBox(context, schema.name, schema, Experiment.__name__) for schema in schemas]
        self.trackers = FieldGrid(self.boxes)
        card = Card(tr("Trackers"))
        card.body.addWidget(self.trackers)
        self.columns.add(card)

    def refresh(self) -> None:
        super().refresh()
        for form in self.forms:
            form.refresh()
        document = self.context.document
        values = {name: document.get(name) for name in TRACKING}
        for box in self.boxes:
            box.refresh(values)
            shown = box.schema.name == "trackers" or bool(values["trackers"]) or not box.is_default
            self.trackers.set_shown(box, shown or bool(self.context.problem_below(box.path)))
        self.trackers.place()
