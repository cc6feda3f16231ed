"""The Training section: budget, optimizer, schedule; the learning rate drawn; how many steps it comes to."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QLabel

from kdstudio.gui.language import tr, trn
from kdstudio.gui.setup.cache_card import CacheCard
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.curve_view import CurveView
from kdstudio.gui.setup.form import ModelForm, NestedForm
from kdstudio.gui.setup.schema import fields_of
from kdstudio.gui.setup.section import Card, Section
from kdstudio.project.errors import SpecError
from kdstudio.project.schedules import batches_of, learning_rate
from kdstudio.project.spec import Experiment, TrainSpec, validate

#: The curve is drawn from as many points at most.
POINTS = 600
#: Steps of an epoch while the data are not known: enough to see a warm-up.
GUESSED_STEPS = 100


class ScheduleCard(Card):
    """The learning rate over the epochs of a training, and its steps."""

    def __init__(self, context: Context, path: str) -> None:
        super().__init__(tr("Learning rate"))
        self.context = context
        self.path = path
        self.curve = CurveView(context.theme, tr("Learning rate over the epochs"))
        self.steps = QLabel()
        self.steps.setObjectName("soft")
        self.steps.setWordWrap(True)
        self.body.addWidget(self.curve)
        self.body.addWidget(self.steps)

    def refresh(self) -> None:
        try:
            spec = validate(TrainSpec, self.context.document.get(self.path))
        except SpecError:
            self.curve.show_curve([], 0)
            self.steps.setText(tr("The curve appears when the settings beside it are right."))
            return
        per_epoch = self._steps_per_epoch()
        total = spec.epochs * (per_epoch or GUESSED_STEPS)
        places = range(0, total, max(1, total // POINTS))
        rates = [learning_rate(spec, step, per_epoch or GUESSED_STEPS) for step in places]
        self.curve.show_curve(rates, spec.epochs, spec.milestones if spec.schedule == "multistep" else ())
        words = tr("From {first:g} to {last:g}, at most {most:g}", first=rates[0], last=rates[-1], most=max(rates))
        self.curve.setAccessibleDescription(words)
        if per_epoch is None:
            self.steps.setText(trn("Over {count:,} epoch.", "Over {count:,} epochs.", spec.epochs))
        else:
            words = tr(
                "{steps:,} steps in an epoch of {samples:,} samples, {total:,} steps in {epochs:,} epochs.",
                steps=per_epoch,
                samples=self._samples(),
                total=total,
                epochs=spec.epochs,
            )
            self.steps.setText(words)

    def _data(self) -> dict[str, Any]:
        return self.context.facts.data.known or {}

    def _samples(self) -> int | None:
        """Training samples: a teacher also has those that are left out for the student."""
        samples = self._data().get("samples", {}).get("train")
        if isinstance(samples, int) and self.path.startswith("teacher"):
            samples += self._data().get("left_out", {}).get("samples", 0)
        return samples if isinstance(samples, int) else None

    def _steps_per_epoch(self) -> int | None:
        samples = self._samples()
        size = self.context.document.get("data.batch_size")
        return batches_of(samples, size) if samples and isinstance(size, int) and size > 0 else None


class TrainingSection(Section):
    """How the student is trained."""

    def __init__(self, context: Context) -> None:
        sentence = tr("How long and how the student is trained.")
        super().__init__(context, tr("Training"), sentence, ("train", "baseline", "cache", "written", "on_policy"))
        card = Card(tr("Budget and optimizer"))
        self.form = ModelForm(context, "train", TrainSpec)
        card.body.addWidget(self.form)
        self.schedule = ScheduleCard(context, "train")
        others = tuple(name for name in Experiment.model_fields if name != "baseline")
        self.baseline = ModelForm(context, "", Experiment, skip=others)
        self.columns.add(card)
        self.columns.add(self._comparison())
        self.writing = Card(tr("Text that networks write"))
        schemas = {schema.name: schema for schema in fields_of(Experiment)}
        self.written = [NestedForm(context, name, schemas[name]) for name in ("written", "on_policy")]
        for form in self.written:
            self.writing.body.addWidget(form)
        self.columns.add(self.writing)
        self.columns.add(self.schedule, side=True)
        self.cache = CacheCard(context)
        self.columns.add(self.cache, side=True)

    def refresh(self) -> None:
        super().refresh()
        self.form.refresh()
        self.baseline.refresh()
        self.schedule.refresh()
        self.cache.refresh()
        document = self.context.document
        used = any(document.get(name) is not None for name in ("written", "on_policy"))
        self.writing.setVisible(used or document.get("data.task", "") == "causal-lm")
        for form in self.written:
            form.refresh()

    def _comparison(self) -> Card:
        """The student alone, for comparison."""
        card = Card(tr("Comparison"))
        words = QLabel(
            tr(
                "The same student, trained the same way on the labels alone. The scorecard compares the two, which "
                "shows whether distilling helped."
            )
        )
        words.setObjectName("soft")
        words.setWordWrap(True)
        card.body.addWidget(self.baseline)
        card.body.addWidget(words)
        return card

    def shown(self) -> None:
        self.cache.show_held()

    def facts_changed(self, part: str) -> None:
        if part == "data":
            self.schedule.refresh()
