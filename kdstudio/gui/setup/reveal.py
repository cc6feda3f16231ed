"""Brings a field on screen: opens the folds around it, scrolls to it and puts the cursor into it."""

from __future__ import annotations

import shiboken6
from PySide6.QtWidgets import QScrollArea

from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.fields import FieldBox, Fold

MARGIN = 60


def box_at(context: Context, path: str) -> FieldBox | None:
    """The field at a path, or the nearest one above it."""
    while path:
        if path in context.boxes:
            return context.boxes[path]
        path = path.rpartition(".")[0]
    return None


def reveal(area: QScrollArea, context: Context, path: str) -> None:
    """Shows the field at a path. Does nothing where the path has no field of its own."""
    if not shiboken6.isValid(area):
        return
    box = box_at(context, path)
    if box is None:
        below = sorted(place for place in context.boxes if place.startswith(f"{path}."))
        box = context.boxes[below[0]] if below else None
    if box is None or not shiboken6.isValid(box):
        return
    parent = box.parentWidget()
    while parent is not None and parent is not area:
        if isinstance(parent, Fold):
            parent.open()
        parent = parent.parentWidget()
    inner = area.widget()
    layout = inner.layout() if inner is not None else None
    if layout is not None:
        layout.activate()
    area.ensureWidgetVisible(box, 0, MARGIN)
    box.editor.setFocus()
