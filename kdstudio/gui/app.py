"""Starts the window."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtGui import QFont, QFontDatabase
from PySide6.QtWidgets import QApplication

from kdstudio import __version__
from kdstudio.gui.garbage import GarbageCollector
from kdstudio.gui.icons import icon
from kdstudio.gui.language import install_language, tr
from kdstudio.gui.settings import Settings
from kdstudio.gui.theme import POINTS, Theme
from kdstudio.project.settings_path import config_dir
from kdstudio.project.shipped import resource

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow


def make_application(settings: Settings) -> tuple[QApplication, Theme]:
    """The application with its fonts, theme and icon. Reuses one that exists (tests)."""
    existing = QApplication.instance()
    application = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    application.setApplicationName("KD Studio")
    application.setApplicationVersion(__version__)
    if "Inter" not in QFontDatabase.families():
        for file in sorted(resource("fonts").glob("*.otf")):
            QFontDatabase.addApplicationFont(str(file))
    font = QFont("Inter")
    font.setPointSizeF(POINTS + settings["text"])
    application.setFont(font)
    install_language(application)
    theme = Theme(application, settings["theme"])
    application.setWindowIcon(icon("kdstudio", theme.tokens.accent))
    return application, theme


def run_app(project: Path | None) -> int:
    """Opens the window, with a project or without, and returns the exit code when it was closed."""
    settings = Settings()
    application, theme = make_application(settings)
    from kdstudio.gui.main_window import MainWindow

    window = MainWindow(settings, theme)
    garbage = GarbageCollector()
    window.show()
    with crash_log(window):
        if project is not None:
            window.open_project(project)
        signal.signal(signal.SIGINT, lambda *_: window.close())
        # Python looks at signals only between its own instructions; Qt's loop gives it none without this
        wake = QTimer()
        wake.timeout.connect(lambda: None)
        wake.start(250)
        code = application.exec()
    garbage.stop()
    return code


@contextlib.contextmanager
def crash_log(window: MainWindow) -> Iterator[None]:
    """Keeps what a crash says: a fault's stack is shown at the next start, an exception at once."""
    path = config_dir() / "crash.log"
    with contextlib.suppress(OSError):
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        if text:
            window.message.tell(
                tr("KD Studio ended unexpectedly the last time."),
                tr("Runs that were going went on; they are in the tree with their state."),
                details=text[-8000:],
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    except OSError:
        yield
        return

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(text)
        window.message.tell(
            tr("Something unexpected went wrong: {kind}: {words}", kind=kind.__name__, words=str(error)[:200]),
            tr("This is a mistake in KD Studio. Nothing was lost, and you can go on."),
            details=text,
        )

    before = sys.excepthook
    sys.excepthook = on_exception
    faulthandler.enable(file)
    try:
        yield
    finally:
        sys.excepthook = before
        faulthandler.disable()
        file.close()
