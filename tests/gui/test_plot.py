"""The plot of growing series: zoom that stays, crosshair and legend; with the mouse and with keys alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.plot_tools import PlotTools
from kdstudio.gui.theme import Theme
from tests.gui.metric_runs import RunWriter
from tests.gui.panels import LEFT, drag, spot, wheel
from tests.gui.plotted import Plotted, curve, more

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def test_it_follows_the_data(plotted: Plotted) -> None:
    assert plotted.x[0] <= 0 < 119 <= plotted.x[1]
    more(plotted, 200)
    assert plotted.x[1] >= 319


def test_zoom_by_wheel_stays_while_data_come_in(plotted: Plotted) -> None:
    wheel(plotted.chart, plotted.middle(), 3)
    zoomed = plotted.x
    assert zoomed[1] - zoomed[0] < 100
    more(plotted)
    assert plotted.x == zoomed


def test_the_wheel_leaves_y_following_what_is_visible(plotted: Plotted) -> None:
    before = plotted.y
    place = spot(plotted.chart, 110, sum(before) / 2)
    for _ in range(6):
        wheel(plotted.chart, place, 2)
    QApplication.processEvents()
    assert plotted.chart.follows_y
    assert plotted.y[1] < before[1] / 3  # the loss is small at the end


def test_panning_stays(qtbot: QtBot, plotted: Plotted) -> None:
    before = plotted.x
    drag(qtbot, plotted.chart, plotted.middle(), plotted.middle() - QPoint(80, 0))
    panned = plotted.x
    assert panned[0] > before[0] + 5
    assert math.isclose(panned[1] - panned[0], before[1] - before[0], rel_tol=1e-6)
    more(plotted)
    assert plotted.x == panned


def test_shift_and_dragging_zooms_into_the_frame(qtbot: QtBot, plotted: Plotted) -> None:
    low, high = plotted.y
    start = spot(plotted.chart, 20, low + 0.8 * (high - low))
    end = spot(plotted.chart, 60, low + 0.2 * (high - low))
    drag(qtbot, plotted.chart, start, end, SHIFT)
    assert plotted.x == pytest.approx((20, 60), abs=1.5)
    assert plotted.y == pytest.approx((low + 0.2 * (high - low), low + 0.8 * (high - low)), abs=0.05 * (high - low))
    more(plotted)
    assert plotted.x == pytest.approx((20, 60), abs=1.5)


def test_a_double_click_follows_again(qtbot: QtBot, plotted: Plotted) -> None:
    wheel(plotted.chart, plotted.middle(), 4)
    assert not plotted.chart.follows
    qtbot.mouseMove(plotted.chart.viewport(), plotted.middle())
    qtbot.mouseDClick(plotted.chart.viewport(), LEFT, pos=plotted.middle())
    qtbot.waitUntil(lambda: plotted.chart.follows)
    assert plotted.x[1] >= 119
    more(plotted, 100)
    assert plotted.x[1] >= 219


def test_the_fit_button_follows_again(qtbot: QtBot, theme: Theme, plotted: Plotted) -> None:
    tools = PlotTools(plotted.plot, theme, "Made")
    qtbot.addWidget(tools)
    tools.show()
    assert not tools.fit.isEnabled()
    wheel(plotted.chart, plotted.middle(), 4)
    assert tools.fit.isEnabled()
    qtbot.mouseClick(tools.fit, LEFT)
    assert plotted.chart.follows
    assert not tools.fit.isEnabled()


@pytest.mark.parametrize(
    ("key", "modifier", "moves"),
    [
        (Qt.Key.Key_Plus, Qt.KeyboardModifier.NoModifier, "in"),
        (Qt.Key.Key_Minus, Qt.KeyboardModifier.NoModifier, "out"),
        (Qt.Key.Key_Right, CONTROL, "right"),
        (Qt.Key.Key_Left, CONTROL, "left"),
    ],
)
def test_keys_zoom_and_pan(
    qtbot: QtBot, plotted: Plotted, key: Qt.Key, modifier: Qt.KeyboardModifier, moves: str
) -> None:
    before = plotted.x
    qtbot.keyClick(plotted.chart, key, modifier)
    after = plotted.x
    length = (after[1] - after[0]) / (before[1] - before[0])
    assert {"in": length < 0.9, "out": length > 1.1, "right": after[0] > before[0], "left": after[0] < before[0]}[moves]
    more(plotted)
    assert plotted.x == after
    qtbot.keyClick(plotted.chart, Qt.Key.Key_0)
    assert plotted.chart.follows


def test_it_cannot_be_lost_in_the_void(qtbot: QtBot, plotted: Plotted) -> None:
    for _ in range(40):
        qtbot.keyClick(plotted.chart, Qt.Key.Key_Right, CONTROL)
    assert plotted.x[0] < 2 * 119
    for _ in range(60):
        qtbot.keyClick(plotted.chart, Qt.Key.Key_Minus)
    assert plotted.x[1] - plotted.x[0] < 400


# -- crosshair ----------------------------------------------------------------------------------------------------


def test_the_pointer_snaps_to_samples(qtbot: QtBot, plotted: Plotted) -> None:
    qtbot.mouseMove(plotted.chart.viewport(), spot(plotted.chart, 40.3, sum(plotted.y) / 2))
    QApplication.processEvents()
    assert plotted.plot.crosshair.at == 40
    words = plotted.chart.accessibleDescription()
    assert words.startswith("step 40: ")
    assert "loss " in words
    assert "validation " in words
    assert plotted.plot.crosshair.readout.table.isVisible()
    qtbot.mouseMove(plotted.chart.viewport(), QPoint(2, 2))  # outside the axes
    QApplication.processEvents()
    assert not plotted.plot.crosshair.readout.visible


def test_keys_walk_along_the_samples(qtbot: QtBot, plotted: Plotted) -> None:
    plotted.chart.setFocus()
    crosshair = plotted.plot.crosshair
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Home)
    assert crosshair.at == 0
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Right)
    assert crosshair.at == 1
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Right, SHIFT)
    assert crosshair.at == 11
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Left)
    assert crosshair.at == 10
    qtbot.keyClick(plotted.chart, Qt.Key.Key_End)
    assert crosshair.at == 119
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Right)
    assert crosshair.at == 119
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Escape)
    assert crosshair.at is None
    assert plotted.chart.accessibleDescription() == ""


def test_walking_out_of_sight_pans(qtbot: QtBot, plotted: Plotted) -> None:
    wheel(plotted.chart, plotted.middle(), 6)
    qtbot.keyClick(plotted.chart, Qt.Key.Key_End)
    assert plotted.x[0] <= 119 <= plotted.x[1]


def test_values_are_those_of_the_run(qtbot: QtBot, plotted: Plotted) -> None:
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Home)
    for _ in range(39):
        qtbot.keyClick(plotted.chart, Qt.Key.Key_Right)
    assert plotted.plot.crosshair.at == 39
    loss = plotted.worker.series("student", "train", "loss").values[39]
    validation = plotted.worker.series("student", "validation", "loss").values[1]
    shown = plotted.plot.crosshair.readout.table.text()
    assert f"<b>{loss:.4g}</b>" in shown
    assert f"<b>{validation:.4g}</b>" in shown


def test_a_sample_elsewhere_says_where(qtbot: QtBot, plotted: Plotted) -> None:
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Home)
    assert "at step 19" in plotted.plot.crosshair.readout.table.text()  # the first validation


def test_the_table_keeps_inside_and_out_of_the_way(qtbot: QtBot, plotted: Plotted) -> None:
    plotted.plot.resize(900, 380)
    QApplication.processEvents()
    table = plotted.plot.crosshair.readout.table
    for x in (3, 60, 117):
        qtbot.mouseMove(plotted.chart.viewport(), spot(plotted.chart, x, sum(plotted.y) / 2))
        QApplication.processEvents()
        assert plotted.chart.viewport().rect().contains(table.geometry())
        line = spot(plotted.chart, x, 0).x()
        assert not table.geometry().left() < line < table.geometry().right()


def test_more_curves_than_fit_are_counted(
    qtbot: QtBot, make_plot: Callable[[RunWriter], Plotted], student_run: RunWriter
) -> None:
    plotted = make_plot(student_run)
    plotted.plot.set_curves([curve(label=f"run {number}") for number in range(40)])
    plotted.draw()
    qtbot.keyClick(plotted.chart, Qt.Key.Key_Home)
    table = plotted.plot.crosshair.readout.table
    assert " more" in table.text()
    assert table.height() <= plotted.chart.height()


# -- legend -------------------------------------------------------------------------------------------------------


def test_a_click_on_the_legend_hides_and_shows(qtbot: QtBot, plotted: Plotted) -> None:
    loss, _ = plotted.plot.legend.entries
    qtbot.mouseClick(loss, LEFT)
    assert not plotted.plot.curves[0].line.isVisible()
    assert not plotted.plot.curves[0].raw.isVisible()
    assert plotted.plot.curves[1].line.isVisible()
    assert loss.accessibleName() == "loss, hidden"
    more(plotted)
    assert not plotted.plot.curves[0].line.isVisible()
    qtbot.mouseClick(loss, LEFT)
    assert plotted.plot.curves[0].line.isVisible()
    assert loss.accessibleName() == "loss, shown"


def test_shift_and_click_shows_one_alone_and_all_again(qtbot: QtBot, plotted: Plotted) -> None:
    _, validation = plotted.plot.legend.entries
    qtbot.mouseClick(validation, LEFT, SHIFT)
    assert plotted.plot.legend.hidden == {"loss"}
    assert validation.isChecked()
    qtbot.mouseClick(validation, LEFT, SHIFT)
    assert plotted.plot.legend.hidden == set()


def test_the_legend_by_keys(qtbot: QtBot, plotted: Plotted) -> None:
    loss, validation = plotted.plot.legend.entries
    policies = [entry.focusPolicy() for entry in plotted.plot.legend.entries]
    assert policies == [Qt.FocusPolicy.TabFocus, Qt.FocusPolicy.NoFocus]  # one stop for the tab key
    loss.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(loss, Qt.Key.Key_Right)
    assert plotted.plot.focusWidget() is validation
    qtbot.keyClick(validation, Qt.Key.Key_Space)
    assert plotted.plot.legend.hidden == {"validation"}
    qtbot.keyClick(validation, Qt.Key.Key_Left)
    assert plotted.plot.focusWidget() is loss


def test_hiding_the_tall_curve_lets_the_others_be_seen(
    qtbot: QtBot, make_plot: Callable[[RunWriter], Plotted], student_run: RunWriter
) -> None:
    plotted = make_plot(student_run)
    plotted.plot.set_curves([curve("lr"), curve("loss")])
    plotted.draw()
    assert plotted.y[1] > 2
    qtbot.mouseClick(plotted.plot.legend.entries[1], LEFT)
    QApplication.processEvents()
    assert plotted.y[1] < 0.3


def test_the_legend_never_covers_the_chart(
    qtbot: QtBot, make_plot: Callable[[RunWriter], Plotted], student_run: RunWriter
) -> None:
    plotted = make_plot(student_run)
    plotted.plot.set_curves([curve(label=f"soft-targets/{number:03d}") for number in range(40)])
    plotted.draw()
    legend, chart = plotted.plot.legend.geometry(), plotted.chart.geometry()
    assert not legend.intersects(chart)
    assert chart.height() > 200
