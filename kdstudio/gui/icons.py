"""The SVG icons, coloured for the theme in force."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSize
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from kdstudio.project.shipped import resource

SIZES = (16, 20, 24, 32, 48, 64)


def icon(name: str, colour: str) -> QIcon:
    """An icon of `resources/icons` in one colour, drawn at the sizes that screens of 100 to 200 % ask for."""
    text = resource(f"icons/{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    renderer = QSvgRenderer(QByteArray(text.encode()))
    result = QIcon()
    for size in SIZES:
        pixmap = QPixmap(QSize(size, size))
        pixmap.fill("transparent")
        painter = QPainter(pixmap)
        renderer.render(painter)
        painter.end()
        result.addPixmap(pixmap)
    return result
