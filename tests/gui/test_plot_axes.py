"""The plot of growing series: axes, smoothing, marks, reference lines, themes and several runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.axis import NUMBER_HEIGHT
from kdstudio.gui.monitor.marks import Mark
from kdstudio.gui.monitor.plot import Line
from kdstudio.gui.monitor.plot_tools import SMOOTHINGS, PlotTools
from kdstudio.gui.monitor.xaxis import Placing
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from tests.gui.metric_runs import RunWriter, Story
from tests.gui.panels import LEFT, read
from tests.gui.plotted import Plotted, curve, ink

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


# -- axes and smoothing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extent", [(1.0, 1.0), (1.0, 3.0), (0.0, 120.0)])
def test_only_whole_epochs_stand_at_the_axis(plotted: Plotted, extent: tuple[float, float]) -> None:
    plotted.plot.set_options(x_kind="epoch")
    plotted.chart.show_extent(extent, None)
    low, high = plotted.x
    assert low < extent[0] <= extent[1] < high
    axis = plotted.plot.item.getAxis("bottom")
    places = [place for _, values in axis.tickValues(low, high, 500) for place in values]
    assert places
    assert all(place == round(place) for place in places)


def test_numbers_beside_a_low_plot_do_not_touch(plotted: Plotted) -> None:
    axis = plotted.plot.item.getAxis("left")
    for height in (40, 60, 90, 200):
        (step, _), *_ = axis.tickSpacing(0.0, 0.97, height)
        assert 0.97 / step * NUMBER_HEIGHT <= max(height, 2 * NUMBER_HEIGHT)


def test_the_grid_lies_under_the_curves(plotted: Plotted) -> None:
    """It is opaque: over a curve it would cut it into pieces."""
    item = plotted.plot.item
    assert max(item.getAxis(side).zValue() for side in ("left", "bottom")) < item.getViewBox().zValue()


def test_smoothing_none_shows_the_raw_curve_alone(plotted: Plotted) -> None:
    first = plotted.plot.curves[0]
    assert first.raw.isVisible()
    assert first.smoothed is not None
    plotted.plot.set_options(smoothing=0.0)
    assert not first.raw.isVisible()
    assert first.smoothed is None
    assert np.array_equal(first.line.yData, plotted.worker.series("student", "train", "loss").values)


def test_a_logarithmic_axis(plotted: Plotted) -> None:
    plotted.plot.set_options(logarithmic=True, smoothing=0.0)
    values = plotted.worker.series("student", "train", "loss").values
    assert np.allclose(plotted.plot.curves[0].line.yData, np.log10(values))
    assert plotted.y[0] < math.log10(values.min())
    assert plotted.y[1] > math.log10(values.max())
    plotted.plot.set_options(logarithmic=False)
    assert np.allclose(plotted.plot.curves[0].line.yData, values)


def test_values_without_a_logarithm_are_left_out(
    qtbot: QtBot, make_plot: Callable[[RunWriter], Plotted], tmp_path: Path
) -> None:
    writer = RunWriter(tmp_path / "runs" / "made" / "001", Story(stages=("student",), terms=("hard",), weights=(1.0,)))
    for step, value in enumerate([1.0, 0.0, 0.1, -3.0, 0.01]):
        writer.step("student", step, value)
    plotted = make_plot(writer)
    plotted.plot.set_curves([curve()])
    plotted.draw()
    plotted.plot.set_options(logarithmic=True, smoothing=0.0)
    assert plotted.plot.curves[0].line.xData.tolist() == [0, 2, 4]
    assert all(math.isfinite(bound) for bound in plotted.y)
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Home)
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Right)
    assert "−" not in plotted.chart.accessibleDescription()
    assert "loss 0" in plotted.chart.accessibleDescription()  # told, though it has no place


@pytest.mark.parametrize(("kind", "last"), [("step", 119), ("epoch", 6.0), ("time", 120 * 0.05)])
def test_x_by_step_epoch_or_time(plotted: Plotted, kind: str, last: float) -> None:
    plotted.plot.set_options(x_kind=kind)
    assert plotted.plot.curves[0].data.last == pytest.approx(last, rel=1e-6)
    assert plotted.plot.curves[1].data.last == pytest.approx(last, rel=1e-6)
    assert plotted.x[0] < plotted.x[1] == pytest.approx(last, rel=0.05)


def test_time_of_training_leaves_out_holds_and_absences(
    qtbot: QtBot, make_plot: Callable[[RunWriter], Plotted], tmp_path: Path
) -> None:
    writer = RunWriter(tmp_path / "runs" / "made" / "001", Story(stages=("student",), step_seconds=1.0))
    writer.event("stage", "student", 0)
    for step in range(10):
        writer.step("student", step)
    writer.event("hold", "student", 10)
    writer.now += 600
    writer.event("continue", "student", 10)
    for step in range(10, 20):
        writer.step("student", step)
    writer.now += 86_400  # parked for a day
    writer.event("resume", "student", 19)
    for step in range(20, 30):
        writer.step("student", step)
    plotted = make_plot(writer)
    plotted.plot.set_curves([curve()])
    plotted.draw()
    plotted.plot.set_options(x_kind="time")
    x, _ = plotted.plot.curves[0].window.envelope()  # type: ignore[union-attr]
    assert x == pytest.approx(np.arange(1, 31), abs=0.01)


def test_a_resume_takes_steps_back(plotted: Plotted) -> None:
    plotted.writer.event("resume", "student", 59)
    for step in range(60, 70):
        plotted.writer.step("student", step, 5.0)
    plotted.draw()
    first = plotted.plot.curves[0]
    assert first.data.count == 70
    assert first.data.last == 69
    assert first.window is not None
    assert first.window.high.max() >= 5


def test_tools_change_the_plot_by_mouse_and_keys(qtbot: QtBot, theme: Theme, plotted: Plotted) -> None:
    tools = PlotTools(plotted.plot, theme, "Made")
    qtbot.addWidget(tools)
    tools.show()
    qtbot.waitExposed(tools)
    qtbot.mouseClick(tools.options, LEFT)
    qtbot.waitUntil(tools.popup.isVisible)
    assert tools.popup.screen().availableGeometry().contains(tools.popup.geometry())
    qtbot.keyClick(tools.smoothing, Qt.Key.Key_Home)
    assert plotted.plot.smoothing == 0
    assert tools.smoothing_words.text() == "none"
    qtbot.keyClick(tools.smoothing, Qt.Key.Key_End)
    assert plotted.plot.smoothing == SMOOTHINGS[-1][0]
    assert tools.smoothing_words.text() == "heaviest (0.99)"
    qtbot.keyClick(tools.log, Qt.Key.Key_Space)
    assert plotted.plot.logarithmic
    tools.x_axis.setFocus()
    qtbot.keyClick(tools.x_axis, Qt.Key.Key_Down)
    tools.x_axis.activated.emit(tools.x_axis.currentIndex())
    assert plotted.plot.x_kind == "epoch"
    qtbot.keyClick(tools.popup, Qt.Key.Key_Escape)
    assert not tools.popup.isVisible()


# -- marks and lines ----------------------------------------------------------------------------------------------


def ticks(plotted: Plotted) -> list[str]:
    axis = plotted.plot.item.getAxis("top")
    return [words for _, words in (axis._tickLevels or [[]])[0]] if axis.isVisible() else []


def test_marks_stand_where_things_happened(plotted: Plotted) -> None:
    plotted.plot.set_marks([Mark("best", 60, 0.0, "best"), Mark("resume", 100, 0.0, "resumed")])
    plotted.draw()
    assert ticks(plotted) == ["best", "resumed"]
    assert [item.value() for item in plotted.plot._mark_items] == [60, 100]
    plotted.plot.set_options(x_kind="epoch")
    assert plotted.plot._mark_items[0].value() == pytest.approx(61 / 20)
    plotted.plot.set_marks([])
    plotted.draw()
    assert ticks(plotted) == []


def test_names_of_marks_do_not_run_into_each_other(plotted: Plotted) -> None:
    plotted.plot.set_marks([Mark("hold", 60 + step / 10, 0.0, f"hold {step} s") for step in range(30)])
    plotted.draw()
    assert len(ticks(plotted)) < 4
    assert sum(item.isVisible() for item in plotted.plot._mark_items) == 30  # the lines stay


def test_lines_can_be_hidden_and_keep_their_place_on_a_log_axis(qtbot: QtBot, plotted: Plotted) -> None:
    plotted.plot.set_lines([Line(0.5, "teacher", ink), Line(0.0, "nothing", ink)])
    plotted.draw()
    items = plotted.plot._line_items
    assert [item.value() for item in items] == [0.5, 0.0]
    plotted.plot.set_options(logarithmic=True)
    assert items[0].value() == pytest.approx(math.log10(0.5))
    assert not items[1].isVisible()
    qtbot.mouseClick(plotted.plot.legend.entries[2], LEFT)
    assert not items[0].isVisible()


# -- themes, export, several runs ---------------------------------------------------------------------------------


def test_a_theme_switch_recolours(plotted: Plotted, theme: Theme) -> None:
    for choice in ("light", "dark"):
        theme.apply(choice)
        plotted.plot.recolour()
        assert plotted.plot.curves[0].line.opts["pen"].color().name() == theme.tokens.ink
        assert plotted.chart.backgroundBrush().color().name() == theme.tokens.panel


def test_the_table_has_every_sample(plotted: Plotted) -> None:
    rows = plotted.plot.table()
    assert rows[0] == ["run", "stage", "split", "key", "step", "time", "value"]
    assert len(rows) == 1 + 120 + 6
    assert rows[1][:5] == ["made/001", "student", "train", "loss", 0]
    plotted.plot.legend.set_hidden({"loss"})
    assert len(plotted.plot.table()) == 1 + 6


def test_curves_of_other_runs(qtbot: QtBot, plotted: Plotted, tmp_path: Path) -> None:
    other = RunWriter(tmp_path / "runs" / "made" / "002", Story(per_epoch=40))
    other.stage("student")
    worker: TrainingWorker = read(qtbot, other.run)
    own = curve(smooth=True)
    plotted.plot.set_curves([own, curve(label="made/002", worker=worker, smooth=True)])
    plotted.draw()
    assert plotted.plot.curves[1].data.count == 240
    assert plotted.x[1] >= 239
    assert not plotted.plot.curves[1].raw.isVisible()  # the raw curves of other runs would bury all
    plotted.plot.set_options(x_kind="epoch")
    assert [round(found.data.last, 6) for found in plotted.plot.curves] == [6, 6]


def test_what_was_read_stays_when_curves_come_and_go(plotted: Plotted) -> None:
    first = plotted.plot.curves[0]
    plotted.plot.set_curves([curve(smooth=True)])
    assert plotted.plot.curves == [first]
    plotted.plot.set_curves([])
    assert plotted.plot.curves == []
    assert first.line.scene() is None


def test_curves_come_and_go_while_they_grow(plotted: Plotted) -> None:
    """An item whose bounds change behind the scene's back is drawn after it was deleted, which kills the window."""
    for turn in range(60):
        names = [f"{turn % 7 + number}" for number in range(5)]
        plotted.plot.set_curves([curve(label=name, smooth=True) for name in names])
        plotted.writer.step("student", 120 + turn)
        plotted.draw()
        plotted.chart.zoom(0.8 if turn % 2 else 1.25)
        QApplication.processEvents()
    assert plotted.plot.curves[0].data.count == 180


def test_the_legend_shrinks_again(plotted: Plotted) -> None:
    own = plotted.plot.curves
    plotted.plot.set_curves([*own, *(curve(label=f"soft-targets/{number:03d}") for number in range(20))])
    plotted.draw()
    tall = plotted.plot.legend.height()
    plotted.plot.set_curves(own)
    plotted.draw()
    assert 0 < plotted.plot.legend.height() < tall
    assert all(entry.isVisible() for entry in plotted.plot.legend.entries)


def test_time_stands_still_in_a_break() -> None:
    placing = Placing("time", begin=100.0, breaks=((150.0, 20.0), (300.0, 100.0)))
    times = np.array([100.0, 130.0, 140.0, 150.0, 160.0, 200.0, 250.0, 300.0, 310.0])
    expected = [0, 30, 30, 30, 40, 80, 80, 80, 90]
    assert placing.place(np.zeros(9, int), times).tolist() == expected


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [
        (1e-4, 3.0, "0.0001", "1"),
        (0.05, 2.5, "0.05", "2"),
        (0.3, 0.9, "0.4", "0.8"),
        (0.6101, 0.6109, "0.6102", "0.6108"),
        (5.0, 9000.0, "10", "1000"),
    ],
)
def test_numbers_of_a_logarithmic_axis(plotted: Plotted, low: float, high: float, first: str, last: str) -> None:
    axis = plotted.plot.item.getAxis("left")
    levels = axis.logTickValues(math.log10(low), math.log10(high), 200, [])
    texts = [text for spacing, values in levels for text in axis.logTickStrings(values, 1.0, spacing)]
    assert (texts[0], texts[-1]) == (first, last)
    assert 2 <= len(texts) <= 12
    assert len(set(texts)) == len(texts)


def test_huge_logarithmic_ranges_leave_out_decades(plotted: Plotted) -> None:
    axis = plotted.plot.item.getAxis("left")
    assert len(axis.logTickValues(-30, 30, 200, [])[0][1]) < 16
