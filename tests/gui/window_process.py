"""A window in a process of its own, for tests that kill it: `python window_process.py PROJECT [RUN]`.

Starts a new run of the default experiment, or resumes the run, and shows it until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kdstudio.gui.app import make_application
from kdstudio.gui.garbage import GarbageCollector
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.settings import Settings
from kdstudio.project.runs.folder import RunFolder


def main() -> int:
    settings = Settings()
    application, theme = make_application(settings)
    _garbage = GarbageCollector()
    window = MainWindow(settings, theme)
    window.show()
    window.open_project(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        window.show_run(RunFolder.open(sys.argv[2]))
        window.resume()
    else:
        window.start()
    print("shown", flush=True)
    return application.exec()


if __name__ == "__main__":
    sys.exit(main())
