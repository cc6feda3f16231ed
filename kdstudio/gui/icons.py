"""The SVG icons, coloured for the theme in force."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSize
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from kdstudio.project.shipped import resource

SIZES = (16, 20, 24, 32, 48, 64)


def icon(name: str, colour: str, disabled: str = "") -> QIcon:
    """An icon of `resources/icons`, drawn at the sizes that screens of 100 to 200 % ask for.

    Args:
        name: The file's name without its ending.
        colour: The colour of its lines.
        disabled: Their colour where the icon's action cannot be done; made from `colour` by default.
    """
    text = resource(f"icons/{name}.svg").read_text(encoding="utf-8")
    result = QIcon()
    for mode, ink in ((QIcon.Mode.Normal, colour), (QIcon.Mode.Disabled, disabled)):
        if not ink:
            continue
        renderer = QSvgRenderer(QByteArray(text.replace("currentColor", ink).encode()))
        for size in SIZES:
            pixmap = QPixmap(QSize(size, size))
            pixmap.fill("transparent")
            painter = QPainter(pixmap)
            renderer.render(painter)
            painter.end()
            result.addPixmap(pixmap, mode)
    return result
