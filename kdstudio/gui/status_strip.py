"""The status strip: run, phase, step of total, time left, speed, memory; and the progress bar above."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStatusBar, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.widgets.elided import ElidedLabel, Pill
from kdstudio.gui.words import and_then, network_word, numbered, status_words
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunState, RunStatus

#: What the phase keeps of the status bar, however large the text is.
LEAST_PHASE = 200


def duration(seconds: float) -> str:
    """A length of time as people say it: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return tr("{minutes} min {seconds:02d} s", minutes=whole // 60, seconds=whole % 60)
    return tr("{hours} h {minutes:02d} min", hours=whole // 3600, minutes=whole % 3600 // 60)


class Pace:
    """Steps a second of the stage at hand, smoothed; from it the time that is left."""

    def __init__(self) -> None:
        self._last: tuple[str, int, float] | None = None
        self.rate = 0.0

    def update(self, state: RunState) -> None:
        """Takes the latest state."""
        now = state.heartbeat or time.time()
        last, self._last = self._last, (state.stage, state.step, now)
        if last is None or last[0] != state.stage or state.step < last[1]:
            self.rate = 0.0
        elif now - last[2] > 0.2 and state.step > last[1]:
            fresh = (state.step - last[1]) / (now - last[2])
            self.rate = fresh if not self.rate else 0.7 * self.rate + 0.3 * fresh
        else:
            self._last = last if now - last[2] <= 0.2 else self._last

    def left(self, state: RunState) -> float | None:
        """Seconds to the end of the stage, None while nothing is known."""
        return (state.total_steps - state.step) / self.rate if self.rate and state.total_steps else None


#: How a run works, beside its device.
MEANS = {
    "precision": mark("Precision"),
    "memory": mark("Order in memory"),
    "data": mark("Samples"),
    "ranks": mark("Processes"),
    "weights": mark("Weights"),
    "teacher": mark("Teacher"),
    "compile": mark("Compiled"),
}


def _how(state: RunState) -> list[str]:
    """How a run works, a line each."""
    lines = []
    for key, said in state.means.items():
        word = MEANS.get(key, key)
        lines.append(f"{tr(word)}: {said}")
    return lines


class StatusStrip:
    """Fills the window's status bar and its progress bar."""

    def __init__(self, bar: QStatusBar) -> None:
        self.run = ElidedLabel()
        self.phase = ElidedLabel(tr("Ready"))
        self.note = ElidedLabel()
        self.time = ElidedLabel()
        self.speed = ElidedLabel()
        self.memory = ElidedLabel()
        self.device = ElidedLabel()
        for label, name in (
            (self.run, tr("Run")),
            (self.phase, tr("Phase")),
            (self.time, tr("Time left")),
            (self.speed, tr("Speed")),
        ):
            label.setAccessibleName(name)
        self.phase.setMinimumWidth(LEAST_PHASE)
        bar.addWidget(self.run)
        bar.addWidget(self.phase, 1)
        bar.addWidget(self.note, 1)
        for label in (self.time, self.speed, self.memory, self.device):
            bar.addPermanentWidget(label)
        self._silence = QTimer(bar)
        self._silence.setSingleShot(True)
        self._silence.timeout.connect(self.say)
        self.progress = Pill()
        self.progress.setAccessibleName(tr("Progress of the shown run"))
        self.progress.setFixedWidth(290)
        self.left = QLabel()
        self.left.setObjectName("soft")
        self.left.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.block = QWidget()
        row = QHBoxLayout(self.block)
        row.setContentsMargins(0, 0, 8, 0)
        row.setSpacing(12)
        row.addWidget(self.left)
        row.addWidget(self.progress)
        self._pace = Pace()
        self._plans: dict[RunFolder, tuple[bool, int]] = {}
        self.say()
        self.show(None, RunState(), RunStatus.CREATED)

    def say(self, text: str = "", milliseconds: int = 0) -> None:
        """Says something in the place of the run's line, for a while. Nothing brings the line back."""
        self._silence.stop()
        self.note.setText(text)
        self.note.setVisible(bool(text))
        for label in (self.run, self.phase, self.time, self.speed, self.memory):
            label.setVisible(not text)
        if text and milliseconds:
            self._silence.start(milliseconds)

    def show(self, run: RunFolder | None, state: RunState, status: RunStatus) -> None:
        """Shows where a run stands; None clears the strip."""
        self.progress.setVisible(run is not None)
        labels = (self.run, self.time, self.speed, self.memory, self.device, self.left)
        if run is None:
            for label in labels:
                label.clear()
            self.phase.setText(tr("Ready"))
            self._pace = Pace()
            return
        words = self._words(state, status)
        total = max(state.total_steps, 1)
        done = state.progress if status.active and state.progress else None
        if done and done.get("total"):
            self.progress.setRange(0, 1000)
            self.progress.setValue(int(1000 * done["done"] / done["total"]))
        elif status is RunStatus.STARTING:
            self.progress.setRange(0, 0)
        else:
            self.progress.setRange(0, total)
            self.progress.setValue(total if status is RunStatus.FINISHED else min(state.step, total))
        self.progress.setFormat(f"{run.name}: {words}")
        self.run.setText(run.name)
        position = tr("step {step:,} of {all:,}", step=state.step, all=state.total_steps) if state.total_steps else ""
        message = state.message if status.active else ""
        self.phase.setText(" · ".join(part for part in (words, position, message) if part))
        self._pace.update(state)
        left = self._pace.left(state) if status is RunStatus.TRAINING else None
        words = ""
        if left and numbered(state.stage)[1]:
            words = tr("{time} left for {stage}", time=duration(left), stage=network_word(state.stage))
        elif left:
            words = tr("{time} left for the {stage}", time=duration(left), stage=network_word(state.stage))
        self.left.setText(words)
        self.time.setText(and_then(words, state.stage, *self._coming(run)) if words else "")
        fast = status is RunStatus.TRAINING and state.samples_per_second
        self.speed.setText(tr("{count:,.0f} samples/s", count=state.samples_per_second) if fast else "")
        memory = f"{state.memory_bytes / 1e6:,.0f} MB" if state.memory_bytes and status.active else ""
        if state.device_memory_bytes and status.active:
            memory += f" · GPU {state.device_memory_bytes / 1e9:.2f} GB"
        self.memory.setText(memory)
        self.device.setText(state.device)
        self.device.explain("\n".join(_how(state)))

    def _coming(self, run: RunFolder) -> tuple[bool, int]:
        """Whether the run has a baseline, and how many assistants."""
        if run not in self._plans:
            try:
                experiment = run.experiment()
                self._plans[run] = experiment.baseline, len(experiment.assistants)
            except KDStudioError:
                self._plans[run] = False, 0
        return self._plans[run]

    @staticmethod
    def _words(state: RunState, status: RunStatus) -> str:
        if status is RunStatus.TRAINING and state.total_epochs:
            epoch = min(state.epoch + 1, state.total_epochs)
            return tr(
                "{stage}: epoch {epoch} / {all}", stage=network_word(state.stage), epoch=epoch, all=state.total_epochs
            )
        if status.active and state.progress:
            return str(state.progress.get("label", status_words(status, state)))
        return status_words(status, state)
