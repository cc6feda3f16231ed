"""The crosshair: the sample under the pointer, or walked to with keys, and its values of all shown curves."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pyqtgraph
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QLabel

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.chart import Chart

MARGIN = 8


@dataclass(frozen=True)
class Reading:
    """What the crosshair reads of one curve: where its dot stands, and words for the table."""

    label: str
    colour: str
    x: float
    y: float
    value: str
    smoothed: str = ""
    note: str = ""


class Readout:
    """A line at the sample, a dot on each curve, and a table beside it that keeps out of the pointer's way."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.line = pyqtgraph.InfiniteLine(angle=90)
        self.line.setZValue(50)
        self.dots = pyqtgraph.ScatterPlotItem(size=7, pen=None)
        self.dots.setZValue(60)
        self.table = QLabel(chart.viewport())
        self.table.setObjectName("readout")
        self.table.setTextFormat(Qt.TextFormat.RichText)
        self.table.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        for item in (self.line, self.dots):
            chart.item.addItem(item, ignoreBounds=True)
        self.hide()

    @property
    def visible(self) -> bool:
        return self.line.isVisible()

    def hide(self) -> None:
        self.line.hide()
        self.dots.hide()
        self.table.hide()
        self.chart.setAccessibleDescription("")

    def show(self, x: float, title: str, readings: Sequence[Reading]) -> None:
        """Shows the readings at x.

        Args:
            x: On the axis.
            title: The position in words.
            readings: In the order of the legend. y is where the dot stands, NaN for none.
        """
        self.line.setPos(x)
        self.line.setPen(pyqtgraph.mkPen(self.chart.theme.tokens.faint, width=1))
        self.line.show()
        seen = [reading for reading in readings if math.isfinite(reading.y)]
        self.dots.setData(
            x=[reading.x for reading in seen],
            y=[reading.y for reading in seen],
            brush=[pyqtgraph.mkBrush(reading.colour) for reading in seen],
        )
        self.dots.show()
        self._show_table(x, title, list(readings))
        spoken = ", ".join(f"{reading.label} {reading.value}" for reading in readings)
        self.chart.setAccessibleDescription(f"{title}: {spoken}")

    def _show_table(self, x: float, title: str, readings: list[Reading]) -> None:
        area = self.chart.view.sceneBoundingRect()
        line = self.table.fontMetrics().lineSpacing() + 1
        room = max(1, int((area.height() - 2 * MARGIN) / line) - 1)
        left_out = len(readings) - room if len(readings) > room else 0
        self.table.setText(self._html(title, readings[: room - 1] if left_out else readings, left_out))
        self.table.adjustSize()
        place = self.chart.view.mapViewToScene(QPointF(x, 0)).x()
        width = self.table.width()
        left = place + MARGIN
        if left + width > area.right():
            left = place - MARGIN - width
        self.table.move(int(max(area.left(), left)), int(area.top()) + MARGIN)
        self.table.raise_()
        self.table.show()

    def _html(self, title: str, readings: Sequence[Reading], left_out: int) -> str:
        soft = self.chart.theme.tokens.soft
        smoothed = any(reading.smoothed for reading in readings)
        right = '<td align="right" style="padding-left:10px'
        heads = f'{right}">{tr("value")}</td>{right}">{tr("smoothed")}</td>' if smoothed else "<td></td>"
        rows = [f'<tr style="color:{soft}"><td><b>{html.escape(title)}</b></td>{heads}</tr>']
        for reading in readings:
            label = html.escape(reading.label).replace(" ", "&nbsp;")
            note = f'&nbsp;<span style="color:{soft}">{html.escape(reading.note)}</span>' if reading.note else ""
            rows.append(
                f'<tr><td><span style="color:{reading.colour}">■</span>&nbsp;{label}{note}</td>'
                f'{right}"><b>{reading.value}</b></td>'
                + (f'{right};color:{soft}">{reading.smoothed}</td>' if smoothed else "")
                + "</tr>"
            )
        if left_out:
            more = tr("and {count} more", count=left_out + 1)
            rows.append(f'<tr style="color:{soft}"><td>{more}</td></tr>')
        return f'<table cellspacing="0" cellpadding="0">{"".join(rows)}</table>'
