"""The resources panel: how fast it goes, how long it will take, and what it takes of the machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.marks import run_marks
from kdstudio.gui.monitor.plot import Curve, SeriesPlot
from kdstudio.gui.monitor.plot_tools import PlotTools
from kdstudio.gui.monitor.quality_state import DASHES, NETWORKS, colour_of
from kdstudio.gui.monitor.resource_data import Rates, Usage
from kdstudio.gui.monitor.views import View, ViewStack
from kdstudio.gui.monitor.words import duration, remaining, size
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.gui.widgets.flow import FlowLayout
from kdstudio.gui.words import and_then, network_word, numbered
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.metrics import Series
from kdstudio.project.runs.state import RunState, RunStatus
from kdstudio.project.spec import Experiment

EMPTY = mark("Speed, time left and memory appear here as soon as a run starts.")
NOTHING = mark("Nothing was recorded yet: the first figures come after a second of training.")
MEGABYTE = 1e6
#: Figures of `resources.jsonl`: key, name, dash, tip.
MEMORY = (
    ("memory", mark("process"), "solid", mark("Memory of the engine's process")),
    ("device_memory", mark("on the device"), "dash", mark("Memory that the run holds on the device")),
    ("gpu_memory", mark("whole device"), "dot", mark("Memory that all processes together hold on the device")),
)
LOAD = (
    ("cpu", mark("processor"), "solid", mark("Processor time of the engine's process; 100 % is one core")),
    ("gpu", mark("GPU"), "dash", mark("Share of time in which the device is busy, of all processes together")),
)


class ResourceView(View):
    """One plot over time. Each curve is read by a function of its own."""

    def __init__(
        self, theme: Theme, title: str, hint: str, label: str, words: Callable[[float], str], factor: float = 1.0
    ) -> None:
        self.title, self.hint = title, hint
        super().__init__(theme)
        self.panel: ResourcesPanel | None = None
        self.series = SeriesPlot(theme, label, words=words, factor=factor, x_kind="time")
        self.tools = PlotTools(self.series, theme, tr(title), logarithmic=False, x_axis=False)
        self.note = QLabel(tr(NOTHING))
        self.note.setObjectName("soft")
        self.note.setWordWrap(True)
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.series)
        layout.addWidget(self.note)
        self.note.hide()

    def clear(self) -> None:
        self.series.clear()
        self.series.legend.set_hidden(set())

    def recolour(self) -> None:
        self.series.recolour()

    def redraw(self) -> None:
        if self.panel is None or self.panel.worker is None:
            return
        self.series.set_curves(self.panel.curves(self))
        self.series.set_marks(run_marks(self.panel.worker.store().events))
        seen = self.series.update_from(self.panel.worker, self.panel.state)
        self.series.setVisible(seen)
        self.note.setVisible(not seen)


class Figure(QWidget):
    """A figure beside its name."""

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.name = QLabel(name)
        self.name.setObjectName("soft")
        self.value = QLabel()
        self.value.setObjectName("heading")
        self.setToolTip(tip)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 8, 0)
        layout.setSpacing(6)
        layout.addWidget(self.name)
        layout.addWidget(self.value)

    def show_value(self, name: str, value: str) -> None:
        """Shows a figure; an empty one hides the widget."""
        self.name.setText(name)
        self.value.setText(value)
        self.setAccessibleName(f"{name}: {value}")
        self.setVisible(bool(value))


class ResourcesPanel(Panel):
    """Figures of now above a plot over the whole run, holds and interruptions left out."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("resources", tr("Resources"), tr(EMPTY), theme)
        self.state = RunState()
        self.status = RunStatus.CREATED
        self._experiment: Experiment | None = None
        self._usage: Usage | None = None
        self._rates = Rates()
        self.figures = {
            "speed": Figure(tr("Speed"), tr("Samples that pass through the network being trained")),
            "step": Figure(tr("Step"), tr("Time from one step to the next")),
            "left": Figure(tr("Time left"), tr("Of the stage that is going, at its present speed")),
            "memory": Figure(tr("Memory"), tr("Memory of the engine's process")),
            "device": Figure(tr("Device memory"), tr("Memory that the run holds on the device")),
            "cpu": Figure(tr("Processor"), tr("Processor time of the engine's process; 100 % is one core")),
            "gpu": Figure(
                tr("GPU"), tr("Share of time in which the device is busy, and memory of all processes on it")
            ),
        }
        strip = QWidget()
        flow = FlowLayout(strip, across=12, down=2)
        for figure in self.figures.values():
            flow.addWidget(figure)
        self.speed = ResourceView(theme, mark("Speed"), mark("Samples a second of each stage"), tr("samples/s"), _rate)
        self.step = ResourceView(
            theme, mark("Step time"), mark("Time from one step to the next"), tr("ms a step"), _milliseconds
        )
        self.memory = ResourceView(
            theme, mark("Memory"), mark("Memory of the process and on the device"), "MB", size, 1 / MEGABYTE
        )
        self.load = ResourceView(theme, mark("Load"), mark("How busy processor and GPU are"), tr("per cent"), _per_cent)
        self.views = [self.speed, self.step, self.memory, self.load]
        self.switch = ViewStack(self.views, self.head_row)
        for view in self.views:
            view.panel = self
            self.head.addWidget(view.tools)
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(strip)
        layout.addWidget(self.switch, 1)
        self.switch.switch.currentChanged.connect(lambda _: self._place_tools())
        self.switch.tall_changed.connect(lambda _: self._place_tools())
        self.show_empty(True)

    # -- following -------------------------------------------------------------------------------------------

    def set_worker(self, worker: TrainingWorker | None) -> None:
        super().set_worker(worker)
        if worker is not None:
            worker.state_changed.connect(self._state_changed)
            self._usage = Usage(worker.run_folder)
            try:
                self._experiment = worker.run_folder.experiment()
            except KDStudioError:
                self._experiment = None

    def _state_changed(self, state: RunState, status: RunStatus) -> None:
        if self.sender() is self.worker:
            self.state, self.status = state, status
            self.mark_stale()

    def clear(self) -> None:
        self.state, self.status = RunState(), RunStatus.CREATED
        self._experiment = self._usage = None
        self._rates = Rates()
        for view in self.views:
            view.clear()

    def recolour(self) -> None:
        for view in self.views:
            view.recolour()

    def show_empty(self, empty: bool) -> None:
        super().show_empty(empty)
        self.switch.switch.setVisible(not empty)
        self._place_tools()

    def _place_tools(self) -> None:
        shown = self.switch.shown() if self.stack.currentIndex() == 1 else []
        for view in self.views:
            view.tools.setVisible(view in shown)

    # -- drawing ---------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        if self.worker is None or self._usage is None:
            return
        if self._usage.poll():
            self.stale = True  # the rest is read in the next frames
        with self.worker.reading() as store:
            self._rates.update(store)
        self.show_empty(self.status is RunStatus.CREATED and not self._rates.stages)
        self._show_figures()
        self.switch.redraw()

    def curves(self, view: View) -> list[Curve]:
        """The curves of a view."""
        if view in (self.speed, self.step):
            return [
                Curve(
                    "", "", view.title, network_word(stage), functools.partial(_stage_colour, stage),
                    dash=DASHES.get(stage, "dot"), smooth=True, pull=self._stage_reader(view, stage),
                )
                for stage, found in self._rates.stages.items() if found.times
            ]  # fmt: skip
        figures = MEMORY if view is self.memory else LOAD
        known = self._usage.figures if self._usage is not None else {}
        return [
            Curve("", "", key, tr(name), _plain_colours[index], dash=dash, tip=tr(tip), pull=self._figure_reader(key))
            for index, (key, name, dash, tip) in enumerate(figures)
            if key in known
        ]

    def _stage_reader(self, view: View, stage: str) -> Callable[..., Series]:
        def read(store: Any, start: int, stop: int | None) -> Series:
            if view is self.step:
                return self._rates.milliseconds(stage, start, stop)
            return self._rates.series(stage, self._batch(stage), start, stop)

        return read

    def _figure_reader(self, key: str) -> Callable[..., Series]:
        def read(store: Any, start: int, stop: int | None) -> Series:
            assert self._usage is not None
            return self._usage.series(key, start, stop)

        return read

    def _batch(self, stage: str) -> int:
        """Samples of a step."""
        return self._experiment.data.batch_size if self._experiment is not None else 1

    # -- figures ---------------------------------------------------------------------------------------------

    def _show_figures(self) -> None:
        state, figures = self.state, self.figures
        active = self.status.active
        stage = state.stage if active else next(reversed(self._rates.stages), "")
        rate = self._rates.recent(stage)
        training = self.status is RunStatus.TRAINING
        figures["speed"].show_value(tr("Speed"), _rate(rate * self._batch(stage)) if rate else "")
        figures["step"].show_value(tr("Step"), duration(1 / rate) if rate else "")
        figures["left"].show_value(*self._time_words(stage, rate if training else None))
        memory = state.memory_bytes or (self._usage.last("memory") if self._usage is not None else 0)
        figures["memory"].show_value(
            tr("Memory") if active else tr("Memory at the end"), size(memory) if memory else ""
        )
        held = state.device_memory_bytes
        figures["device"].show_value(tr("Device memory"), size(held) if held else "")
        last = self._usage.last if self._usage is not None and active else lambda key: None
        cpu, gpu, taken = last("cpu"), last("gpu"), last("gpu_memory")
        figures["cpu"].show_value(tr("Processor"), _per_cent(cpu) if cpu is not None else "")
        words = [_per_cent(gpu) if gpu is not None else "", size(taken) if taken else ""]
        figures["gpu"].show_value(tr("GPU"), ", ".join(word for word in words if word))

    def _time_words(self, stage: str, rate: float | None) -> tuple[str, str]:
        """Name and words of the time: what is left of a stage that trains, else how long the run took."""
        state = self.state
        if self.status.active:
            if rate and state.total_steps:
                words = remaining(max(0, state.total_steps - state.step) / rate)
                if self._experiment is not None:
                    words = and_then(words, stage, self._experiment.baseline, len(self._experiment.assistants))
                if numbered(stage)[1]:
                    return tr("Time left for {stage}", stage=network_word(stage)), words
                return tr("Time left for the {stage}", stage=network_word(stage)), words
            others = {RunStatus.HOLDING: tr("on hold"), RunStatus.EVALUATING: tr("evaluating")}
            return tr("Time left"), others.get(self.status, tr("not known yet"))
        if state.started and state.ended > state.started:
            return tr("From start to end"), duration(state.ended - state.started)
        return "", ""

    def table(self) -> Sequence[Sequence[object]]:
        """Every figure over time: seconds since 1970, what, value."""
        rows: list[Sequence[object]] = [("time", "figure", "stage", "value")]
        for stage, found in self._rates.stages.items():
            values = [value * self._batch(stage) for value in found.values]
            rows += [(moment, "samples per second", stage, value) for moment, value in zip(found.times, values)]
        for key, figure in (self._usage.figures if self._usage is not None else {}).items():
            rows += [(moment, key, "", value) for moment, value in zip(figure.times, figure.values)]
        return rows


def _stage_colour(stage: str, tokens: Tokens) -> str:
    return colour_of(stage, tokens) if stage in NETWORKS else tokens.curve3


_plain_colours: list[Callable[[Tokens], str]] = [
    lambda tokens: tokens.curve1,
    lambda tokens: tokens.curve2,
    lambda tokens: tokens.curve3,
]


def _rate(value: float) -> str:
    return tr("{count:,.0f} samples/s", count=value) if value >= 10 else tr("{count:.2f} samples/s", count=value)


def _milliseconds(value: float) -> str:
    return duration(value / 1000)


def _per_cent(value: float) -> str:
    return f"{value:.0f} %"
