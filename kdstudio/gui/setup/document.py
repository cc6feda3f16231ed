"""The experiment that is being edited: plain data, changed only by commands that can be undone."""

from __future__ import annotations

import copy
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

UNDO_LIMIT = 1000
MERGING = 1


def read(data: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path (the whole for an empty one), or the default where there is none."""
    for key in path.split(".") if path else []:
        if isinstance(data, dict) and key in data:
            data = data[key]
        elif isinstance(data, list) and key.isdigit() and int(key) < len(data):
            data = data[int(key)]
        else:
            return default
    return data


def written(data: Any, changes: dict[str, Any]) -> Any:
    """A copy of the data with the values put at their dotted paths."""
    result = copy.deepcopy(data)
    for path, value in changes.items():
        if not path:
            result = copy.deepcopy(value)
            continue
        *parents, last = path.split(".")
        place = result
        for key in parents:
            if isinstance(place, list):
                place = place[int(key)]
            else:
                place = place.setdefault(key, {}) if place.get(key) is not None else _fresh(place, key)
        if isinstance(place, list):
            place[int(last)] = copy.deepcopy(value)
        else:
            place[last] = copy.deepcopy(value)
    return result


def _fresh(place: dict[str, Any], key: str) -> dict[str, Any]:
    place[key] = {}
    return place[key]


class EditCommand(QUndoCommand):
    """One edit. Small enough to keep the whole experiment before and after it."""

    def __init__(self, document: Document, text: str, path: str, after: Any, merge: bool) -> None:
        super().__init__(text)
        self._document = document
        self._before, self._after = document.value, after
        self._first = True
        self.path = path
        self._merge = merge

    def id(self) -> int:
        return MERGING if self._merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, EditCommand) or other.path != self.path or self._document.sealed:
            return False
        self._after = other._after
        self.setObsolete(self._after == self._before)
        return True

    def undo(self) -> None:
        self._document._become(self._before, self.path)

    def redo(self) -> None:
        self._document._become(self._after, "" if self._first else self.path)
        self._first = False


class Document(QObject):
    """Plain data of one experiment with an undo stack.

    Signals:
        changed: The contents are others now.
        reverted: An undo or redo changed what is at this path.
    """

    changed = Signal()
    reverted = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.value: dict[str, Any] = {}
        self.sealed = False
        self.undo_stack = QUndoStack(self)
        self.undo_stack.setUndoLimit(UNDO_LIMIT)

    def load(self, value: dict[str, Any]) -> None:
        """Shows other contents; nothing can be undone then."""
        self.undo_stack.clear()
        self.value = value
        self.sealed = False
        self.changed.emit()

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a dotted path."""
        return read(self.value, path, default)

    def edit(self, text: str, changes: dict[str, Any], merge: bool = False) -> None:
        """Changes values, as one step of the undo stack.

        Args:
            text: What the step is called: "Change temperature".
            changes: New values by dotted path.
            merge: Consecutive edits of the same path become one step, until `seal` is called.
        """
        after = written(self.value, changes)
        if _same(after, self.value):
            return
        path = next(iter(changes))
        command = EditCommand(self, text, path, after, merge)
        self.undo_stack.push(command)
        self.sealed = not merge

    def seal(self) -> None:
        """What comes next is a step of its own: another field was entered, a slider let go."""
        self.sealed = True

    def _become(self, value: dict[str, Any], reverted: str) -> None:
        self.value = value
        self.changed.emit()
        if reverted:
            self.sealed = True
            self.reverted.emit(reverted)


def _same(first: Any, second: Any) -> bool:
    """Equality in which true is not 1."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    return isinstance(first, bool) == isinstance(second, bool) and bool(first == second)
