"""Starts the window."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtGui import QFont, QFontDatabase
from PySide6.QtWidgets import QApplication

from kdstudio import __version__
from kdstudio.gui.icons import icon
from kdstudio.gui.settings import Settings
from kdstudio.gui.theme import Theme
from kdstudio.project.shipped import resource


def make_application(settings: Settings) -> tuple[QApplication, Theme]:
    """The application with its fonts, theme and icon. Reuses one that exists (tests)."""
    existing = QApplication.instance()
    application = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    application.setApplicationName("KD Studio")
    application.setApplicationVersion(__version__)
    for file in sorted(resource("fonts").glob("*.otf")):
        QFontDatabase.addApplicationFont(str(file))
    if "Inter" in QFontDatabase.families():
        application.setFont(QFont("Inter", 10))
    theme = Theme(application, settings["theme"])
    application.setWindowIcon(icon("kdstudio", theme.tokens.accent))
    return application, theme


def run_app(project: Path | None) -> int:
    """Opens the window, with a project or without, and returns the exit code when it was closed."""
    settings = Settings()
    application, theme = make_application(settings)
    from kdstudio.gui.main_window import MainWindow

    window = MainWindow(settings, theme)
    window.show()
    if project is not None:
        window.open_project(project)
    signal.signal(signal.SIGINT, lambda *_: window.close())
    # Python looks at signals only between its own instructions; Qt's loop gives it none without this
    wake = QTimer()
    wake.timeout.connect(lambda: None)
    wake.start(250)
    return application.exec()
