"""Garbage that holds widgets dies in the window's thread, whichever thread makes it due."""

from __future__ import annotations

import gc
import threading
import weakref

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from kdstudio.gui.garbage import GarbageCollector, collect_if_due


class Cycle(QObject):
    """An object that only the collector can free."""

    def __init__(self) -> None:
        super().__init__()
        self.itself = self


def make_due() -> list[list[list[int]]]:
    """Objects enough to make a collection due; they are kept, so that none is freed by its count."""
    return [[[]] for _ in range(2 * gc.get_threshold()[0])]


def test_it_is_freed_by_the_windows_thread(qtbot: QtBot) -> None:
    collector = GarbageCollector()
    died_in: list[threading.Thread] = []
    lost = Cycle()
    weakref.finalize(lost, lambda: died_in.append(threading.current_thread()))
    del lost
    kept: list[object] = []
    thread = threading.Thread(target=lambda: kept.extend(make_due() for _ in range(50)))
    thread.start()
    thread.join()
    assert died_in == []
    qtbot.waitUntil(lambda: bool(died_in), timeout=10_000)
    assert died_in == [threading.main_thread()]
    collector.stop()
    assert gc.isenabled()


def test_nothing_is_done_before_it_is_due() -> None:
    gc.collect()
    assert collect_if_due() == 0


def test_old_garbage_is_found_in_its_turn() -> None:
    gc.collect()
    lost = Cycle()
    gone = weakref.ref(lost)
    gc.collect(1)  # it is of the oldest generation now
    del lost
    kept = []
    _, young, old = gc.get_threshold()
    for _ in range((young + 2) * (old + 2)):
        kept.append(make_due())
        collect_if_due()
    assert gone() is None
