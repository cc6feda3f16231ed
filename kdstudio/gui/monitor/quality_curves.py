"""The quality panel, curves: accuracy, agreement and KL on validation samples, epoch by epoch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.marks import event_marks
from kdstudio.gui.monitor.plot import Curve, Line, SeriesPlot
from kdstudio.gui.monitor.plot_tools import PlotTools
from kdstudio.gui.monitor.quality_state import DASHES, NETWORKS, QualityState, QualityView, colour_of
from kdstudio.gui.monitor.run_styles import RunStyles
from kdstudio.gui.monitor.words import figure, percent
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.gui.words import network_word, numbered
from kdstudio.project.runs.state import RunState

#: What can be shown: key in the records, words, whether it is a share.
MEASURES = {
    "perplexity": (mark("Perplexity"), False),
    "f1": (mark("F1 score"), True),
    "accuracy": (mark("Accuracy"), True),
    "agreement": (mark("Agreement"), True),
    "kl": (mark("KL"), False),
    "acceptance": (mark("Taken as a draft"), True),
}
#: Those that only language models have.
LANGUAGE = ("perplexity", "acceptance")
#: And the one that only taggers have.
TAGGERS = ("f1",)
TIPS = {
    "f1": mark("Harmonic mean of precision and recall of exact spans, on validation sentences"),
    "perplexity": mark("exp of the mean loss a token, on validation text; less is better"),
    "acceptance": mark("Mean of 1 - TVD on validation text: the chance that the teacher takes a token that it drafts"),
    "accuracy": mark("Share of validation samples whose label comes first"),
    "agreement": mark("Share of validation samples to which student and teacher give the same first class"),
    "kl": mark("Mean KL(teacher || student) on validation samples, in nats at T = 1; 0 is perfect agreement"),
}


#: Of what the finished networks are lines.
FINISHED = {
    "f1": mark("Validation F1 score of the finished network: {figure}"),
    "accuracy": mark("Validation accuracy of the finished network: {figure}"),
}
PEER_TIP = mark("A student that learned beside this one; it is not kept")


def _peer(name: str) -> int:
    """The number of the peer whose accuracy has this name; 0 for everything else."""
    number = name.removeprefix("peer_").removesuffix("_accuracy")
    return int(number) if name == f"peer_{number}_accuracy" and number.isdecimal() else 0


def _further_colour(place: int, tokens: Tokens) -> str:
    """The colour of a network that has none of its own."""
    return [tokens.curve3, tokens.curve4, tokens.curve5, tokens.curve1][place % 4]


class CurvesView(QualityView):
    """One measure of every stage, and of compared runs; what the finished networks reached are lines."""

    title = mark("Curves")
    hint = mark("Accuracy, agreement and KL on validation samples, epoch by epoch")
    hints = {
        "f1": mark("F1 score, accuracy, agreement and KL on validation sentences, epoch by epoch"),
        "perplexity": mark("Perplexity, agreement and KL on validation text, epoch by epoch"),
    }

    def __init__(self, theme: Theme, state: QualityState) -> None:
        super().__init__(theme, state)
        self.run_state: RunState | None = None
        self.styles = RunStyles()
        self.measure = QComboBox()
        self.measure.setAccessibleName(tr("Measure"))
        self.measure.setToolTip(tr("What is drawn"))
        self._has: frozenset[str] | None = None
        self._offer(frozenset())
        self.measure.activated.connect(lambda _: self._measure_chosen())
        look: dict[str, Any] = {"x_kind": "epoch", "smoothing": 0.0}
        self.shares = SeriesPlot(theme, tr("per cent"), words=percent, factor=100.0, **look)
        self.figures = SeriesPlot(theme, tr("nats"), words=figure, **look)
        self.plots = (self.shares, self.figures)
        row = QHBoxLayout(self.options)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.measure)
        self.tools = [
            PlotTools(plot, theme, tr("Quality"), smoothing=False, logarithmic=plot is self.figures)
            for plot in self.plots
        ]
        for tool in self.tools:
            row.addWidget(tool)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for plot in self.plots:
            layout.addWidget(plot, 1)
        self._show_plot()

    def clear(self) -> None:
        self.run_state = None
        for plot in self.plots:
            plot.clear()
            plot.legend.set_hidden(set())

    def recolour(self) -> None:
        for plot in self.plots:
            plot.recolour()

    def table(self) -> Sequence[Sequence[object]]:
        return self._plot().table()

    def _offer(self, has: frozenset[str]) -> None:
        """Offers the measures that the shown run has: those of language models and of taggers only there."""
        if has == self._has:
            return
        self._has = has
        self.measure.clear()
        for key, (words, _) in MEASURES.items():
            if key not in (*LANGUAGE, *TAGGERS) or key in has:
                self.measure.addItem(tr(words), key)

    def _key(self) -> str:
        return str(self.measure.currentData())

    def _plot(self) -> SeriesPlot:
        return self.shares if MEASURES[self._key()][1] else self.figures

    def _show_plot(self) -> None:
        if self._plot() is self.figures:
            self.figures.set_y_label(tr("nats") if self._key() == "kl" else tr(MEASURES[self._key()][0]))
        for plot, tool in zip(self.plots, self.tools):
            plot.setVisible(plot is self._plot())
            tool.setVisible(plot is self._plot())

    def _measure_chosen(self) -> None:
        self._plot().clear()
        self._show_plot()
        self.redraw()

    def redraw(self) -> None:
        worker = self.state.worker
        if worker is None:
            return
        keys = worker.series_keys()
        recorded = {key for _, _, key in keys}
        has = frozenset(LANGUAGE if "perplexity" in recorded else TAGGERS if "f1" in recorded else ())
        if has != self._has:
            self._offer(has)
            self._show_plot()
        key, plot = self._key(), self._plot()
        curves = [
            Curve(
                network, "validation", key, network_word(network), functools.partial(colour_of, network),
                dash=DASHES[network], dots=True, tip=tr(TIPS[key]),
            )
            for network in NETWORKS
            if (network, "validation", key) in keys
        ]  # fmt: skip
        curves += self._further(key, keys)
        self.styles.keep([other.run_folder for other in self.state.compared])
        for other in self.state.compared:
            if other.run_folder != worker.run_folder:
                style, name = self.styles.of(other.run_folder), other.run_folder.name
                curve = Curve("student", "validation", key, name, style.colour, style.dash, dots=True, worker=other)
                curves.append(curve)
        plot.set_curves(curves)
        plot.set_lines(self._lines(key))
        plot.set_marks(event_marks(worker.store().events, "student") if self._student_first(curves) else [])
        plot.update_from(worker, self.run_state)

    @staticmethod
    def _further(key: str, keys: list[tuple[str, str, str]]) -> list[Curve]:
        """Further teachers, assistants, and the peers of mutual learning, which are scored with the student."""
        found = [
            Curve(stage, "validation", key, network_word(stage), functools.partial(_further_colour, place), "dashdot",
                  dots=True, tip=tr(TIPS[key]))
            for place, stage in enumerate(dict.fromkeys(stage for stage, *_ in keys if numbered(stage)[1]))
            if (stage, "validation", key) in keys
        ]  # fmt: skip
        peers = [name for stage, split, name in keys if (stage, split) == ("student", "validation") and _peer(name)]
        if key == "accuracy":
            for place, name in enumerate(peers):
                words = tr("peer {number}", number=_peer(name))
                colour = functools.partial(_further_colour, place + 1)
                curve = Curve("student", "validation", name, words, colour, "dot", dots=True, tip=tr(PEER_TIP))
                found.append(curve)
        return found

    @staticmethod
    def _student_first(curves: list[Curve]) -> bool:
        """Marks are placed as the first curve is; epochs of teacher and student are not the same."""
        return bool(curves) and curves[0].stage == "student"

    def _lines(self, key: str) -> list[Line]:
        """What teacher and baseline reached on validation samples."""
        if key not in FINISHED:
            return []
        entries = self.state.scorecard().get("networks", {})
        lines = []
        for network in ("teacher", "baseline"):
            value = entries.get(network, {}).get("validation", {}).get(key)
            if value is not None:
                tip = tr(FINISHED[key], figure=percent(value))
                colour = functools.partial(colour_of, network)
                lines.append(Line(float(value), tr("{network}, finished", network=network_word(network)), colour, tip))
        return lines
